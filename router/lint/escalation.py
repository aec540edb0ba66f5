"""Checks of escalation chains: each must end with somebody, for every team that it holds for."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from router.core.entries import person_in_slack
from router.core.escalation_policy import STEPS
from router.core.findings import Finding
from router.core.quoting import did_you_mean, quoted
from router.lint.references import active_team, of_the_root, team_id
from router.ownership_file.document import Document, Path
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import EscalateShape, TeamShape

_NAMED_AT_MOST: Final = 3
_ADVICE: Final = "end it with `fallback`"


def check(parts: Parts, today: date) -> Iterator[Finding]:
    inheriting = []
    for team in parts.teams.values():
        if team.shape.dissolved is not None:
            continue
        steps = _steps(team.shape.escalate)
        if steps is None:
            inheriting.append(team)
            continue
        if any(active_team(parts, step) is team for step in steps if step not in STEPS):
            message = f'the escalation of "{team_id(team)}" leads back to itself'
            yield _finding(team.document, team.path, message, help="name another team, or `fallback`")
        else:
            yield from _chain(parts, team.document, team.path, steps, [team])
    for path, escalate in of_the_root(parts):
        steps = _steps(escalate)
        if steps is not None:
            yield from _chain(parts, parts.root, path, steps, inheriting)


def _steps(escalate: EscalateShape | None) -> list[str] | None:
    return escalate.then if escalate is not None else None


def _chain(
    parts: Parts, document: Document, path: Path, steps: Sequence[str], teams: Sequence[Part[TeamShape]]
) -> Iterator[Finding]:
    """What is wrong with `steps`, written at `path`, for the `teams` that it holds for."""
    unknown = [step for step in steps if step not in STEPS and parts.team(step) is None]
    if not steps:
        yield _finding(document, path, "the escalation ends nowhere: `then` is empty", help="write [lead, fallback]")
    elif unknown:
        if parts.complete:
            message = f"the escalation names {quoted(unknown[0])}, which is neither lead, parent, fallback nor a team"
            yield _finding(document, path, message, help=did_you_mean(unknown[0], [*STEPS, *parts.team_ids]))
    elif alone := [team_id(team) for team in teams if _reaches_nobody(parts, steps[-1], team)]:
        listed = ", ".join(f'"{name}"' for name in alone[:_NAMED_AT_MOST])
        more = f" and {len(alone) - _NAMED_AT_MOST} more" if len(alone) > _NAMED_AT_MOST else ""
        message = f"the escalation ends with `{steps[-1]}`, which leads to nobody for {listed}{more}"
        yield _finding(document, path, message, help=_ADVICE)


def _reaches_nobody(parts: Parts, step: str, team: Part[TeamShape]) -> bool:
    """Whether `step`, as the last one, leaves `team` with nobody, or with itself."""
    match step:
        case "fallback":
            return False
        case "lead":
            return person_in_slack(team.shape.lead) is None
        case "parent":
            return team.shape.parent is None
        case _:
            return active_team(parts, step) is team


def _finding(document: Document, path: Path, message: str, *, help: str | None) -> Finding:
    return document.finding("OWN503", message, document.value_at((*path, "escalate", "then")), help=help)
