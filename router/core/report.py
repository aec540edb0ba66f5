"""How loud it was, for whom, and what to do about it: the figures of `router report`. Pure.

docs/reference/report.md explains each figure once; `core.report_forms` writes them.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from math import ceil
from typing import Final

from router.core.enrichment import Duration, parse_duration, respond_until, zone_of
from router.core.history import EscalationReason
from router.core.incidents import group_of
from router.core.model import DRILL_RECEIVER, Hours, IncidentState, Notification, Source
from router.core.ownership import OwnershipMap

NOBODY: Final = "nobody"  # as a team, where people read and write; no team may be called so
SOON: Final = timedelta(minutes=5)
TOP: Final = 10
# What two titles have in common to be one; also what a hostile one may keep in memory.
LONGEST_TITLE: Final = 200


class Figure(StrEnum):
    """What is counted of each team's incidents."""

    NEW = "new"
    REPEATED = "repeated"
    REPEATS = "repeats"
    FIRED_AGAIN = "fired_again"
    FLAPPING = "flapping"
    FLAPS = "flaps"
    AUTO_RESOLVED = "auto_resolved"
    OPEN = "open"
    STALE = "stale"
    SUSPECT = "suspect"
    MOVED = "moved"
    ORPHANED = "orphaned"
    UNDELIVERABLE = "undeliverable"
    UNACKNOWLEDGED = "unacknowledged"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"


class Advice(StrEnum):
    """What to do about an alert that is told often. Each needs its evidence; of several the first here counts."""

    NO_OWNER = "no_owner"
    FLAPS = "flaps"
    SHORT = "short"
    IGNORED = "ignored"
    NO_RUNBOOK = "no_runbook"
    LASTS = "lasts"


# -- the time ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `since` until before `until`."""

    since: datetime
    until: datetime
    timezone: str  # in which dates are meant, and shown


_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def moment_of(text: str) -> Duration | datetime | date:
    """Read `7d` (so long ago), `2026-11-14` or `2026-11-14T09:00:00+09:00`. Raises ValueError."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        if text[:1].isdigit() and text[-1:].isalpha() and not text.endswith(("Z", "z")):
            return parse_duration(text)
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    else:
        raise ValueError(f'"{text[:80]}" names no time zone: write {text[:80]}Z, or with +09:00 at its end')
    raise ValueError(
        f'"{text[:80]}" is neither a duration such as 7d or 12h, nor a day such as 2026-11-14, '
        "nor a time such as 2026-11-14T09:00:00Z"
    )


def window_of(since: str, until: str | None, *, now: datetime, timezone: str) -> Window:
    """The time that is asked for; it ends now at the latest. Raises ValueError, whose text is for who asked."""
    begins = _instant(moment_of(since), now=now, timezone=timezone)
    ends = now if until is None else min(now, _instant(moment_of(until), now=now, timezone=timezone))
    if begins >= ends:
        raise ValueError(f'"{since[:80]}" is not before ' + ("now" if until is None else f'"{until[:80]}"'))
    return Window(since=begins, until=ends, timezone=timezone)


def _instant(moment: Duration | datetime | date, *, now: datetime, timezone: str) -> datetime:
    if isinstance(moment, Duration):
        return now - moment.total
    zone = zone_of(timezone)
    try:
        if not isinstance(moment, datetime):
            return datetime.combine(moment, time(), tzinfo=zone).astimezone(UTC)
        moment.astimezone(zone)  # in which it will be shown
    except OverflowError as exc:
        raise ValueError(f'"{moment}" is a time that this time zone does not have') from exc
    return moment


# -- counting ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is counted of one incident."""

    group: str
    fingerprints: Sequence[str]
    owner: str | None
    channel_id: str
    state: IncidentState
    title: str
    opened_at: datetime
    closed_at: datetime | None
    ended_at: datetime | None  # by its sender's word, as its message shows it
    repeats: int
    flaps: int
    respond_within: str | None
    hours: Hours
    runbook: bool
    acknowledged_at: datetime | None
    escalated: frozenset[EscalationReason]
    orphaned: bool  # nobody owns it, or owned it when it came
    undeliverable: bool
    suspect: bool
    handed_over: bool  # all that fired of it is with another incident, which is counted as new in its place

    @property
    def drill(self) -> bool:
        """By the name of its group, which only `router drill` gives: a title could be anybody's."""
        return len(self.fingerprints) == 1 and self.group == group_of(
            Notification(
                source=Source.ALERTMANAGER,
                receiver=DRILL_RECEIVER,
                group_key=f"drill {self.fingerprints[0]}",
                alerts=(),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """How long it took until somebody acknowledged."""

    median: timedelta
    p90: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one team, or of all."""

    team: str | None  # None: nobody, or of all
    counts: Mapping[Figure, int]
    escalated: Mapping[EscalationReason, int]  # one incident may be in several
    waits: Waits | None  # None: nobody acknowledged anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeater:
    """All incidents of one title and team."""

    team: str | None
    title: str
    incidents: int
    repeats: int
    flaps: int
    share: float  # of all that its team was told, from 0 to 1
    advice: Advice | None

    @property
    def times(self) -> int:
        return self.incidents + self.repeats + self.flaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    window: Window
    kept_since: datetime | None  # what ended before is not kept; None: the window begins later
    total: Figures
    teams: tuple[Figures, ...]  # the loudest first, nobody last
    top: tuple[Repeater, ...]  # the loudest first
    drills: int  # counted nowhere else


@dataclass(slots=True)
class _Sum:
    counts: Counter[Figure] = field(default_factory=Counter)
    escalated: Counter[EscalationReason] = field(default_factory=Counter)
    waits_s: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def times(self) -> int:
        """How often its owner was told, but for what others have since: that is one time for them."""
        return self.counts[Figure.NEW] + self.counts[Figure.REPEATS] + self.counts[Figure.FLAPS]

    def add(self, told: Told, counts: Mapping[Figure, int]) -> None:
        for figure, count in counts.items():
            if count:
                self.counts[figure] += count
        for reason in told.escalated:
            self.escalated[reason] += 1
        if told.acknowledged_at is not None:
            self.waits_s.append(max(0.0, (told.acknowledged_at - told.opened_at).total_seconds()))

    def figures(self, team: str | None = None) -> Figures:
        return Figures(
            team=team,
            counts={figure: self.counts[figure] for figure in Figure},
            escalated={reason: self.escalated[reason] for reason in EscalationReason},
            waits=_waits(sorted(self.waits_s)),
        )


@dataclass(slots=True)
class _Title:
    """The evidence about one title."""

    incidents: int = 0
    repeats: int = 0
    flaps: int = 0
    short: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    without_runbook: int = 0

    @property
    def times(self) -> int:
        return self.incidents + self.repeats + self.flaps


class Tally:
    """Counts incidents one by one. It keeps a few words of each alert group and title, not of each incident."""

    def __init__(self, *, ownership: OwnershipMap, now: datetime, team: str | None = None) -> None:
        """Of one `team` only, by its id or NOBODY; None: of all."""
        self._ownership = ownership
        self._now = now
        self._team = team
        self._total = _Sum()
        self._sums: dict[str | None, _Sum] = {}
        self._titles: dict[tuple[str | None, str], _Title] = {}
        self._groups: dict[tuple[str | None, str], set[str]] = {}  # that fired, by owner and channel
        self._drills = 0

    def add(self, told: Told) -> None:
        if self._team not in (None, told.owner or NOBODY):
            return
        if told.drill:
            self._drills += not told.handed_over
            return
        counts = self._happened(told)
        if not told.handed_over:
            counts |= self._came_and_went(told)
        for sums in (self._total, self._sums.setdefault(told.owner, _Sum())):
            sums.add(told, counts)
        title = self._titles.setdefault((told.owner, told.title[:LONGEST_TITLE]), _Title())
        title.repeats += told.repeats
        title.flaps += told.flaps
        title.acknowledged += counts[Figure.ACKNOWLEDGED]
        if told.handed_over:  # what else speaks for an advice is for who has it now
            return
        title.incidents += 1
        title.short += counts[Figure.AUTO_RESOLVED]
        title.unacknowledged += counts[Figure.UNACKNOWLEDGED]
        title.without_runbook += not told.runbook

    def report(self, window: Window, *, kept_since: datetime | None) -> Report:
        loudest = sorted(self._sums.items(), key=lambda item: (item[0] is None, -item[1].times, item[0] or ""))
        return Report(
            window=window,
            kept_since=kept_since,
            total=self._total.figures(),
            teams=tuple(sums.figures(team) for team, sums in loudest),
            top=tuple(self._top()),
            drills=self._drills,
        )

    def _happened(self, told: Told) -> dict[Figure, int]:
        """What happened to it while its owner had it; that stays with this owner, wherever it went later."""
        return {
            Figure.REPEATED: int(told.repeats > 0),
            Figure.REPEATS: told.repeats,
            Figure.FLAPPING: int(told.flaps > 0),
            Figure.FLAPS: told.flaps,
            Figure.MOVED: int(told.handed_over),
            Figure.UNDELIVERABLE: int(told.undeliverable),
            Figure.UNACKNOWLEDGED: int(self._is_late(told)),
            Figure.ESCALATED: int(bool(told.escalated)),
            Figure.ACKNOWLEDGED: int(told.acknowledged_at is not None),
        }

    def _came_and_went(self, told: Told) -> dict[Figure, int]:
        """What it is, and how it came and ended: once for each problem, for who has it now."""
        groups = self._groups.setdefault((told.owner, told.channel_id), set())
        again = told.group in groups
        groups.add(told.group)
        return {
            Figure.NEW: 1,
            Figure.FIRED_AGAIN: int(again),
            Figure.AUTO_RESOLVED: int(told.acknowledged_at is None and _was_short(told)),
            Figure.OPEN: int(told.state is IncidentState.OPEN),
            Figure.STALE: int(told.state is IncidentState.STALE),
            Figure.SUSPECT: int(told.suspect),
            Figure.ORPHANED: int(told.orphaned),
        }

    def _is_late(self, told: Told) -> bool:
        """Whether it fired until after its deadline, and nobody had acknowledged it by then."""
        fired_until = self._now if told.closed_at is None else told.closed_at
        handled_at = fired_until if told.acknowledged_at is None else min(fired_until, told.acknowledged_at)
        if told.respond_within is None or handled_at <= told.opened_at:
            return False
        team = self._ownership.teams.get(told.owner) if told.owner is not None else None
        deadline = respond_until(
            told.opened_at,
            within=told.respond_within,
            hours=told.hours,
            timezone=self._ownership.timezone if team is None else team.timezone,
            business_hours=self._ownership.business_hours if team is None else team.business_hours,
        )
        return deadline is not None and handled_at > deadline

    def _top(self) -> Iterable[Repeater]:
        often = [item for item in self._titles.items() if item[1].times > 1]
        often.sort(key=lambda item: (-item[1].times, -item[1].incidents, item[0][1], item[0][0] or ""))
        for (team, title), evidence in often[:TOP]:
            yield Repeater(
                team=team,
                title=title,
                incidents=evidence.incidents,
                repeats=evidence.repeats,
                flaps=evidence.flaps,
                share=round(evidence.times / self._sums[team].times, 3),
                advice=_advice(team, evidence),
            )


def _was_short(told: Told) -> bool:
    """By its sender's word: news of an end comes with the next flush, five minutes later by Alertmanager's default.

    Not where that word is doubted: the end may only be that Prometheus was away.
    """
    ended_at = told.ended_at if told.state is IncidentState.RESOLVED and not told.suspect else None
    return ended_at is not None and ended_at - told.opened_at <= SOON


def _advice(team: str | None, evidence: _Title) -> Advice | None:
    if not evidence.incidents:
        return None
    if team is None:
        return Advice.NO_OWNER
    if evidence.flaps:
        return Advice.FLAPS
    several = evidence.incidents > 1
    if several and evidence.short * 2 >= evidence.incidents:
        return Advice.SHORT
    if several and not evidence.acknowledged and evidence.unacknowledged * 2 >= evidence.incidents:
        return Advice.IGNORED
    if evidence.without_runbook == evidence.incidents:
        return Advice.NO_RUNBOOK
    return Advice.LASTS if evidence.repeats >= 3 * evidence.incidents else None


def _waits(seconds: Sequence[float]) -> Waits | None:
    if not seconds:
        return None

    def within(share: float) -> timedelta:
        """The nearest rank: a wait that there was."""
        return timedelta(seconds=round(seconds[ceil(share * len(seconds)) - 1], 3))

    return Waits(median=within(0.5), p90=within(0.9))
