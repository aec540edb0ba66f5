"""Where the map names teams, and what is said of teams that are dissolved, idle, or another file's."""

from collections.abc import Collection, Iterator
from datetime import date
from typing import NamedTuple

from router.core.escalation_policy import STEPS
from router.core.findings import Finding
from router.core.model import Level
from router.lint.codes import INFO, WARNING
from router.ownership_file.document import Document, Path
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import EscalateShape, RerunShape, TeamShape


class Reference(NamedTuple):
    """A place that names a team."""

    document: Document
    path: Path
    team: str  # as written


def check(parts: Parts, today: date, *, by_label: Collection[str] = ()) -> Iterator[Finding]:
    """`by_label`: the teams that own alerts of the rule files, of which the map alone knows nothing."""
    yield from _dissolved(parts)
    yield from _idle(parts, by_label)
    yield from _handed_over(parts)


def team_id(team: Part[TeamShape]) -> str:
    return str(team.path[-1])


def active_team(parts: Parts, name: str) -> Part[TeamShape] | None:
    """The team that answers to `name`, successors followed; None if nobody does."""
    return next((team for team in lineage(parts, name) if team.shape.dissolved is None), None)


def lineage(parts: Parts, name: str) -> list[Part[TeamShape]]:
    """The team called `name`, its successor, the successor of that one, and so on, each once."""
    found: dict[str, Part[TeamShape]] = {}
    team = parts.team(name)
    while team is not None and team_id(team) not in found:
        found[team_id(team)] = team
        dissolved = team.shape.dissolved is not None
        team = parts.team(team.shape.successor) if dissolved and team.shape.successor is not None else None
    return list(found.values())


# -- where teams are named -----------------------------------------------------------------------------------------


def owners(parts: Parts) -> Iterator[Reference]:
    """Every place that gives something to a team."""
    for entry in (*parts.services.values(), *parts.jobs.values()):
        yield Reference(entry.document, (*entry.path, "owner"), entry.shape.owner)
    for rule in (*parts.rules, *parts.overrides):
        if rule.shape.owner is not None:
            yield Reference(rule.document, (*rule.path, "owner"), rule.shape.owner)
    for namespace in parts.namespaces.values():
        yield Reference(namespace.document, namespace.path, namespace.shape)


def _informed_or_asked(parts: Parts) -> Iterator[Reference]:
    for team in parts.teams.values():
        if team.shape.dissolved is None:
            if team.shape.parent is not None:
                yield Reference(team.document, (*team.path, "parent"), team.shape.parent)
            yield from _escalated(team.document, team.path, team.shape.escalate)
    for entry in (*parts.services.values(), *parts.jobs.values()):
        for index, name in enumerate(entry.shape.also_notify):
            yield Reference(entry.document, (*entry.path, "also_notify", index), name)
        yield from _asked(entry.document, entry.path, entry.shape.rerun)
    yield from _asked(parts.root, ("defaults",), parts.defaults.rerun)
    for path, escalate in of_the_root(parts):
        yield from _escalated(parts.root, path, escalate)


def of_the_root(parts: Parts) -> Iterator[tuple[Path, EscalateShape | None]]:
    """What the root file says for teams that say nothing: in `defaults`, and for single levels."""
    yield ("defaults",), parts.defaults.escalate
    for level in Level:
        yield ("severities", level.value), getattr(parts.severities, level.value).escalate


def _asked(document: Document, path: Path, rerun: RerunShape | None) -> Iterator[Reference]:
    if rerun is not None and rerun.ask is not None:
        yield Reference(document, (*path, "rerun", "ask"), rerun.ask)


def _escalated(document: Document, path: Path, escalate: EscalateShape | None) -> Iterator[Reference]:
    for index, step in enumerate((escalate and escalate.then) or ()):
        if step not in STEPS:
            yield Reference(document, (*path, "escalate", "then", index), step)


# -- checks --------------------------------------------------------------------------------------------------------


def _dissolved(parts: Parts) -> Iterator[Finding]:
    for document, path, name in (*owners(parts), *_informed_or_asked(parts)):
        team = parts.team(name)
        if team is None or team.shape.dissolved is None:
            continue
        heir = active_team(parts, name)
        gone = f'team "{team_id(team)}" is dissolved since {team.shape.dissolved}'
        yield document.finding(
            "OWN102",
            gone if name == team_id(team) else f'"{name}" is an alias, and {gone}',
            document.value_at(path),
            severity=WARNING,
            help=f'write "{team_id(heir)}"' if heir is not None else None,
        )


def _idle(parts: Parts, by_label: Collection[str]) -> Iterator[Finding]:
    """Teams to which no entry leads, and no label of the rule files."""
    if not parts.complete:
        return
    busy = {team_id(team) for reference in owners(parts) for team in lineage(parts, reference.team)}
    parents = {team.shape.parent for team in parts.teams.values() if team.shape.parent is not None}
    busy |= {team_id(team) for name in parents for team in lineage(parts, name)} | set(by_label)
    for name, team in parts.teams.items():
        if team.shape.dissolved is None and name not in busy:
            yield team.document.finding(
                "OWN105",
                f'team "{name}" owns nothing by the map, and is the parent of no team',
                team.name,
                severity=INFO,
                help="right if it owns by its label; else dissolve it",
            )


def _handed_over(parts: Parts) -> Iterator[Finding]:
    """Entries of one team file whose owner is defined in another: nobody there agreed to it."""
    for document, path, name in owners(parts):
        team = parts.team(name)
        if team is None or team.shape.dissolved is not None:  # OWN101, OWN102
            continue
        if parts.root in (document, team.document) or document is team.document:
            continue
        yield document.finding(
            "OWN132",
            f'handed over to team "{team_id(team)}" of another file, and not accepted there',
            document.value_at(path),
            severity=WARNING,
            help=f"move the entry to {team.document.file}",
            related=[team.document.related(f'team "{team_id(team)}"', team.name)],
        )
