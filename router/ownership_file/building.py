"""Shapes -> the map in memory. Everything was checked before; nothing here can fail."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import reduce
from typing import Final

from router.core.enrichment import Response, Severities, known_zone, parse_business_hours
from router.core.escalation_policy import UNSAID, Escalate
from router.core.findings import Finding
from router.core.matchers import Matcher
from router.core.model import Channel, Hours, Level, Mention, Place, Rerun, RerunSafety
from router.core.ownership import (
    LADDER,
    CheckIn,
    Entry,
    Fallback,
    Identity,
    MapTest,
    Namespace,
    OwnershipMap,
    Rule,
    Team,
)
from router.core.quoting import quoted
from router.ownership_file.document import Document, Path, below
from router.ownership_file.shape import (
    ChannelShape,
    CheckInShape,
    DefaultsShape,
    EntryShape,
    EscalateShape,
    FallbackShape,
    RerunShape,
    RootShape,
    RuleShape,
    SeveritiesShape,
    SeverityShape,
    TeamFileShape,
    TeamShape,
)

# What a map need not say: the usual words, and the promises that go with them.
_SPELLINGS: Final = {
    Level.CRITICAL: ("critical", "page", "p1", "s1", "emergency"),
    Level.HIGH: ("high", "error", "p2", "s2"),
    Level.NORMAL: ("warning", "ticket", "task", "p3", "s3"),
    Level.LOW: ("info", "notify", "p4", "s4", "low"),
    Level.IGNORE: ("none",),
}
_RESPONSES: Final = {
    Level.CRITICAL: Response(within="15m", hours=Hours.ALWAYS),
    Level.HIGH: Response(within="1h", hours=Hours.ALWAYS),
    Level.NORMAL: Response(within="1d", hours=Hours.BUSINESS),
    Level.LOW: Response(within=None, hours=Hours.BUSINESS),
    Level.IGNORE: Response(within=None, hours=Hours.BUSINESS),
}

_Files = Sequence[tuple[Document, TeamFileShape]]


def build_map(
    root: tuple[Document, RootShape], team_files: _Files, *, revision: str, commit: str | None
) -> OwnershipMap:
    document, shape = root
    files: _Files = [root, *team_files]
    defaults = shape.defaults
    return OwnershipMap(
        file=document.file,
        revision=revision,
        commit=commit,
        org=shape.org,
        teams={
            name: _team(name, team, _place(file, ("teams", name)), defaults)
            for file, part in files
            for name, team in part.teams.items()
        },
        fallback=_fallback(shape.fallback, _place(document, ("fallback",))),
        identity=Identity(**{name: tuple(labels) for name, labels in shape.identity.model_dump().items()}),
        severities=_severities(shape.severities),
        timezone=defaults.timezone,
        business_hours=parse_business_hours(defaults.business_hours),
        language=defaults.language,
        rerun=_default_rerun(defaults.rerun),
        ladder=tuple(shape.resolve) if shape.resolve is not None else LADDER,
        services={
            name: _entry(name, entry, _place(file, ("services", name)), defaults)
            for file, part in files
            for name, entry in part.services.items()
        },
        jobs={
            name: _entry(name, entry, _place(file, ("jobs", name)), defaults)
            for file, part in files
            for name, entry in part.jobs.items()
        },
        rules=tuple(
            _rule(rule, file, ("rules", index)) for file, part in files for index, rule in enumerate(part.rules)
        ),
        overrides=tuple(_rule(rule, document, ("overrides", index)) for index, rule in enumerate(shape.overrides)),
        namespaces=tuple(
            Namespace(key=key, place=_place(file, ("namespaces", key)), owner=owner)
            for file, part in files
            for key, owner in part.namespaces.items()
        ),
        tests=tuple(
            MapTest(
                place=_place(file, _first_key(file, ("tests", index))),
                labels=test.labels,
                annotations=test.annotations,
                expect=test.expect,
            )
            for file, part in files
            for index, test in enumerate(part.tests)
        ),
        warnings=tuple(_unknown_timezones(files)),
        escalate=_escalate(defaults.escalate),
        escalate_by_level={
            level: _escalate(told.escalate)
            for level in Level
            if (told := _severity(shape.severities, level)).escalate is not None
        },
    )


def _place(document: Document, path: Path) -> Place:
    span = document.key(path)
    return Place(file=document.file, line=span.line, column=span.column)


def _first_key(document: Document, path: Path) -> Path:
    """In `- {labels: …}` the element begins before it."""
    mapping = reduce(below, path, document.value)
    return (*path, next(iter(mapping))) if isinstance(mapping, dict) and mapping else path


# -- teams ---------------------------------------------------------------------------------------------------------


def _team(id: str, shape: TeamShape, place: Place, defaults: DefaultsShape) -> Team:
    return Team(
        id=id,
        place=place,
        name=shape.name or id,
        channel=_channel(shape.channel),
        channels={level: Channel(name=channel.name, id=channel.id) for level, channel in shape.channels.items()},
        mention=_mention(shape.mention),
        lead=shape.lead,
        parent=shape.parent,
        github_team=shape.github_team,
        aliases=tuple(shape.aliases),
        timezone=shape.timezone or defaults.timezone,
        business_hours=parse_business_hours(shape.business_hours or defaults.business_hours),
        language=shape.language or defaults.language,
        runbook=shape.runbook,
        dissolved=_date(shape.dissolved),
        successor=shape.successor,
        note=shape.note,
        escalate=_escalate(shape.escalate),
    )


def _escalate(shape: EscalateShape | None) -> Escalate:
    if shape is None:
        return UNSAID
    then = tuple(shape.then) if shape.then is not None else None
    return Escalate(if_unacked=shape.if_unacked, if_repeats=shape.if_repeats, then=then)


def _fallback(shape: FallbackShape, place: Place) -> Fallback:
    return Fallback(
        place=place,
        channel=Channel(name=shape.channel.name, id=shape.channel.id),
        mention=_mention(shape.mention),
        triage_within=shape.triage_within,
    )


def _channel(shape: ChannelShape | None) -> Channel | None:
    return Channel(name=shape.name, id=shape.id) if shape is not None else None


def _mention(handle: str | None) -> Mention | None:
    return Mention(handle=handle) if handle is not None else None


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text is not None else None


# -- entries -------------------------------------------------------------------------------------------------------


def _entry(id: str, shape: EntryShape, place: Place, defaults: DefaultsShape) -> Entry:
    return Entry(
        id=id,
        place=place,
        owner=shape.owner,
        aliases=tuple(shape.aliases),
        match=matchers_of(shape.match) if shape.match is not None else None,
        also_notify=tuple(shape.also_notify),
        tier=shape.tier,
        severity=shape.severity,
        severity_map=_words(shape.severity_map),
        runbook=shape.runbook,
        runbooks=shape.runbooks,
        channel=_channel(shape.channel),
        rerun=_rerun(shape.rerun) if shape.rerun is not None else None,
        checkin=_checkin(shape.checkin, defaults) if shape.checkin is not None else None,
    )


def _rule(shape: RuleShape, document: Document, path: Path) -> Rule:
    return Rule(
        id=shape.id,
        place=_place(document, (*path, "id")),
        begins=_place(document, path),
        match=matchers_of(shape.match),
        owner=shape.owner,
        reason=shape.reason,
        expires=_date(shape.expires),
        severity_map=_words(shape.severity_map),
        runbook=shape.runbook,
    )


def matchers_of(shape: object) -> tuple[Matcher, ...]:
    """The matchers of a `match`: a list of texts, each of which was read as matchers, or labels with their values."""
    if isinstance(shape, dict):
        return tuple(Matcher.one_of(name, values) for name, values in shape.items())
    return tuple(matcher for matchers in shape for matcher in matchers) if isinstance(shape, list) else ()


def _rerun(shape: RerunShape) -> Rerun:
    return Rerun(
        safety=shape.safety,
        when=shape.when,
        how=shape.how,
        ask=shape.ask,
        recover_within=shape.recover_within,
    )


def _default_rerun(shape: RerunShape) -> Rerun:
    """No default declares a job safe: only somebody who knows that very job can."""
    return Rerun() if shape.safety is RerunSafety.SAFE else _rerun(shape)


def _checkin(shape: CheckInShape, defaults: DefaultsShape) -> CheckIn:
    return CheckIn(
        schedule=shape.schedule,
        timezone=shape.timezone or defaults.timezone,
        grace=shape.grace,
        max_runtime=shape.max_runtime,
    )


# -- severities ----------------------------------------------------------------------------------------------------


def _severity(shape: SeveritiesShape, level: Level) -> SeverityShape:
    told: SeverityShape = getattr(shape, level.value)
    return told


def _severities(shape: SeveritiesShape) -> Severities:
    given = {level: _severity(shape, level) for level in Level}
    responses = {}
    for level, told in given.items():
        usual = _RESPONSES[level]
        within = usual.within if told.respond_within is None else told.respond_within
        responses[level] = Response(within=None if within == "none" else within, hours=told.hours or usual.hours)
    # The map's own words come last, so that they take a word from the usual ones of another level.
    words: dict[str, Level] = {}
    for level in reversed(Level):
        if given[level].spellings is None:
            words |= dict.fromkeys(_SPELLINGS[level], level)
    for level in reversed(Level):
        words |= _words(dict.fromkeys(given[level].spellings or (), level))
    return Severities(words=words, responses=responses, default=shape.default)


def _words(words: Mapping[str, Level]) -> dict[str, Level]:
    """Words as written and, because rules spell them as they like, in lower case."""
    return {word.lower(): level for word, level in words.items()} | dict(words)


# -- warnings ------------------------------------------------------------------------------------------------------


def _unknown_timezones(files: _Files) -> Iterator[Finding]:
    """An unknown time zone: deadlines are then counted in UTC, which is said and stops nobody."""
    for document, part in files:
        zones: list[tuple[Path, str | None]] = [
            (("teams", name, "timezone"), team.timezone) for name, team in part.teams.items()
        ]
        if isinstance(part, RootShape):
            zones.append((("defaults", "timezone"), part.defaults.timezone))
        for kind, entries in (("services", part.services), ("jobs", part.jobs)):
            zones += [
                ((kind, name, "checkin", "timezone"), entry.checkin.timezone)
                for name, entry in entries.items()
                if entry.checkin is not None
            ]
        for path, zone in zones:
            if zone is not None and path in document.values and known_zone(zone) is None:
                message = f"there is no time zone {quoted(zone)}"
                yield document.finding("OWN601", message, document.value_at(path), help="write it as in Asia/Tokyo")
