"""Checks of severity words, and of critical alerts that would wake nobody."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

from router.core.findings import Finding
from router.core.model import Hours, Level
from router.core.quoting import quoted
from router.lint.codes import WARNING
from router.lint.references import active_team, team_id
from router.ownership_file.document import Document, Path, Span
from router.ownership_file.parts import Parts


def check(parts: Parts, today: date) -> Iterator[Finding]:
    yield from _spellings(parts)
    yield from _severity_maps(parts)
    yield from _critical_hours(parts)
    yield from _critical_without_mention(parts)
    yield from _without_timezone(parts)


# -- words ---------------------------------------------------------------------------------------------------------


def _spellings(parts: Parts) -> Iterator[Finding]:
    """Words of `severities.*.from`, in the order of the file."""
    root = parts.root
    written = [
        (root.value_at(("severities", level.value, "from", index)), word, level)
        for level in Level
        for index, word in enumerate(getattr(parts.severities, level.value).spellings or ())
    ]
    yield from _contradictions(root, sorted(written, key=lambda spelling: spelling[0][:2]))
    yield from _teams(parts, root, written)


def _severity_maps(parts: Parts) -> Iterator[Finding]:
    for entry in (*parts.services.values(), *parts.jobs.values()):
        yield from _severity_map(parts, entry.document, entry.path, entry.shape.severity_map)
    for rule in (*parts.rules, *parts.overrides):
        yield from _severity_map(parts, rule.document, rule.path, rule.shape.severity_map)


def _severity_map(parts: Parts, document: Document, path: Path, words: Mapping[str, Level]) -> Iterator[Finding]:
    written = [(document.key((*path, "severity_map", word)), word, level) for word, level in words.items()]
    yield from _contradictions(document, written)
    yield from _teams(parts, document, written)


def _teams(parts: Parts, document: Document, written: Iterable[tuple[Span, str, Level]]) -> Iterator[Finding]:
    """Where `severity` says who owns an alert, it cannot say how much it matters."""
    for span, word, level in written:
        team = parts.team(word)
        if team is not None:
            yield document.finding(
                "OWN501",
                f'"{word}" means {level} here, and is the team "{team_id(team)}"',
                span,
                severity=WARNING,
                help=f'take it out; for the owner, write a rule that matches severity="{word}"',
                related=[team.document.related(f'team "{team_id(team)}"', team.name)],
            )


def _contradictions(document: Document, written: Iterable[tuple[Span, str, Level]]) -> Iterator[Finding]:
    """Rules spell severities as they like, so `Warning` and `warning` are one word."""
    first: dict[str, tuple[Span, str, Level]] = {}
    for span, word, level in written:
        earlier_span, earlier, meaning = first.setdefault(word.lower(), (span, word, level))
        if level is not meaning:
            yield document.finding(
                "OWN501",
                f"{quoted(word)} means {level} here, and {quoted(earlier)} means {meaning}",
                span,
                severity=WARNING,
                help="keep one of them",
                related=[document.related(f"{quoted(earlier)} means {meaning}", earlier_span)],
            )


# -- critical alerts -----------------------------------------------------------------------------------------------


def _critical_hours(parts: Parts) -> Iterator[Finding]:
    if parts.severities.critical.hours is Hours.BUSINESS:
        yield parts.root.finding(
            "OWN502",
            "critical alerts wait for business hours",
            parts.root.value_at(("severities", "critical", "hours")),
            severity=WARNING,
            help="write always, or call it another level",
        )


def _critical_without_mention(parts: Parts) -> Iterator[Finding]:
    reasons: dict[str, str] = {}
    for owner, what in _critical(parts):
        team = active_team(parts, owner)
        if team is not None and team.shape.mention is None:
            reasons.setdefault(team_id(team), what)
    for name, what in reasons.items():
        team = parts.teams[name]
        yield team.document.finding(
            "OWN502",
            f'team "{name}" has no mention, so critical alerts call nobody: {what}',
            team.name,
            severity=WARNING,
            help=f'add `mention: "@{name}-oncall"`, a user group',
        )


def _critical(parts: Parts) -> Iterator[tuple[str, str]]:
    """Teams with something critical, as named, and what it is."""
    for name, team in parts.teams.items():
        if Level.CRITICAL in team.shape.channels:
            yield name, "it has a channel for them"
    for kind, entries in (("service", parts.services), ("job", parts.jobs)):
        for name, entry in entries.items():
            if entry.shape.severity is Level.CRITICAL or Level.CRITICAL in entry.shape.severity_map.values():
                yield entry.shape.owner, f'{kind} "{name}" is critical'
    for rule in (*parts.rules, *parts.overrides):
        if rule.shape.owner is not None and Level.CRITICAL in rule.shape.severity_map.values():
            yield rule.shape.owner, f'"{rule.shape.id}" makes some critical'


# -- time zones ----------------------------------------------------------------------------------------------------


def _without_timezone(parts: Parts) -> Iterator[Finding]:
    """Only where the file does not say it: the shape of `defaults` fills in UTC."""
    if not parts.root.usable or ("defaults", "timezone") in parts.root.keys:
        return
    for name, team in parts.teams.items():
        if team.shape.dissolved is None and team.shape.timezone is None:
            yield team.document.finding(
                "OWN502",
                f'team "{name}" has no time zone, and `defaults` has none: its hours are those of UTC',
                team.name,
                severity=WARNING,
                help="add `timezone: Asia/Tokyo` to `defaults`, or to the team",
            )
