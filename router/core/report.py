"""How loud it was, for whom, and what to do about it: the figures of `router report` and their three forms. Pure.

docs/reference/report.md explains each figure once.
"""

import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from math import ceil
from typing import Any, Final

from router.core.enrichment import Duration, parse_duration, respond_until, zone_of
from router.core.history import EscalationReason
from router.core.incidents import group_of
from router.core.model import DRILL_RECEIVER, Hours, IncidentState, Notification, Source
from router.core.ownership import OwnershipMap

Json = dict[str, Any]  # Any: what json reads and writes

VERSION: Final = 1
NOBODY: Final = "nobody"  # as a team, where people read and write; no team may be called so
SOON: Final = timedelta(minutes=5)
TOP: Final = 10
# What two titles have in common to be one; also what a hostile one may keep in memory.
LONGEST_TITLE: Final = 200
_SHOWN_TITLE: Final = 80


class Figure(StrEnum):
    """What is counted of each team's incidents."""

    NEW = "new"
    REPEATED = "repeated"
    NOTICES = "notices"
    FIRED_AGAIN = "fired_again"
    FLAPPING = "flapping"
    FLAPS = "flaps"
    AUTO_RESOLVED = "auto_resolved"
    OPEN = "open"
    STALE = "stale"
    SUSPECT = "suspect"
    ORPHANED = "orphaned"
    UNDELIVERABLE = "undeliverable"
    UNACKNOWLEDGED = "unacknowledged"
    ESCALATED = "escalated"
    ACKNOWLEDGED = "acknowledged"


class Hint(StrEnum):
    """What to do about an alert that is told often. Each needs its evidence; of several the first here counts."""

    NO_OWNER = "no_owner"
    FLAPS = "flaps"
    SHORT = "short"
    IGNORED = "ignored"
    NO_RUNBOOK = "no_runbook"
    LASTS = "lasts"


HINTS: Final[Mapping[Hint, str]] = {
    Hint.NO_OWNER: "nobody owns it: give it an owner in the map",
    Hint.FLAPS: "it flaps: raise its `for`, or set `keep_firing_for`",
    Hint.SHORT: "mostly over within 5 minutes: raise its `for`",
    Hint.IGNORED: "nobody acknowledges it: lower its severity, or drop it",
    Hint.NO_RUNBOOK: "no runbook: write down what to do",
    Hint.LASTS: "told again and again: repair it, or silence it until then",
}


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
    handed_over: bool  # all that fired of it is with another incident, which is counted

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
    notices: int
    flaps: int
    share: float  # of all that its team was told, from 0 to 1
    hint: Hint | None

    @property
    def times(self) -> int:
        return self.incidents + self.notices + self.flaps


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
        return self.counts[Figure.NEW] + self.counts[Figure.NOTICES] + self.counts[Figure.FLAPS]

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
    notices: int = 0
    flaps: int = 0
    short: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    without_runbook: int = 0

    @property
    def times(self) -> int:
        return self.incidents + self.notices + self.flaps


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
        if told.handed_over or self._team not in (None, told.owner or NOBODY):
            return
        if told.drill:
            self._drills += 1
            return
        groups = self._groups.setdefault((told.owner, told.channel_id), set())
        counts = self._counts(told, again=told.group in groups)
        groups.add(told.group)
        for sums in (self._total, self._sums.setdefault(told.owner, _Sum())):
            sums.add(told, counts)
        title = self._titles.setdefault((told.owner, told.title[:LONGEST_TITLE]), _Title())
        title.incidents += 1
        title.notices += told.repeats
        title.flaps += told.flaps
        title.short += counts[Figure.AUTO_RESOLVED]
        title.acknowledged += counts[Figure.ACKNOWLEDGED]
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

    def _counts(self, told: Told, *, again: bool) -> dict[Figure, int]:
        acknowledged = told.acknowledged_at is not None
        return {
            Figure.NEW: 1,
            Figure.REPEATED: int(told.repeats > 0),
            Figure.NOTICES: told.repeats,
            Figure.FIRED_AGAIN: int(again),
            Figure.FLAPPING: int(told.flaps > 0),
            Figure.FLAPS: told.flaps,
            Figure.AUTO_RESOLVED: int(not acknowledged and _was_short(told)),
            Figure.OPEN: int(told.state is IncidentState.OPEN),
            Figure.STALE: int(told.state is IncidentState.STALE),
            Figure.SUSPECT: int(told.suspect),
            Figure.ORPHANED: int(told.orphaned),
            Figure.UNDELIVERABLE: int(told.undeliverable),
            Figure.UNACKNOWLEDGED: int(self._is_late(told)),
            Figure.ESCALATED: int(bool(told.escalated)),
            Figure.ACKNOWLEDGED: int(acknowledged),
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
                notices=evidence.notices,
                flaps=evidence.flaps,
                share=round(evidence.times / self._sums[team].times, 3),
                hint=_hint(team, evidence),
            )


def _was_short(told: Told) -> bool:
    """By its sender's word: news of an end comes with the next flush, five minutes later by Alertmanager's default."""
    return told.state is IncidentState.RESOLVED and told.ended_at is not None and told.ended_at - told.opened_at <= SOON


def _hint(team: str | None, evidence: _Title) -> Hint | None:
    if team is None:
        return Hint.NO_OWNER
    if evidence.flaps:
        return Hint.FLAPS
    if evidence.incidents > 1 and evidence.short * 2 >= evidence.incidents:
        return Hint.SHORT
    if not evidence.acknowledged and evidence.unacknowledged * 2 >= evidence.incidents:
        return Hint.IGNORED
    if evidence.without_runbook == evidence.incidents:
        return Hint.NO_RUNBOOK
    return Hint.LASTS if evidence.notices >= 3 * evidence.incidents else None


def _waits(seconds: Sequence[float]) -> Waits | None:
    if not seconds:
        return None

    def within(share: float) -> timedelta:
        """The nearest rank: a wait that there was."""
        return timedelta(seconds=round(seconds[ceil(share * len(seconds)) - 1], 3))

    return Waits(median=within(0.5), p90=within(0.9))


# -- JSON --------------------------------------------------------------------------------------------------------------


def as_json(report: Report) -> Json:
    """What `/api/v1/report` answers. Keys may be added, never renamed."""
    window = report.window
    return {
        "version": VERSION,
        "since": _rfc3339(window.since),
        "until": _rfc3339(window.until),
        "timezone": window.timezone,
        "kept_since": None if report.kept_since is None else _rfc3339(report.kept_since),
        "total": _figures_json(report.total),
        "teams": [{"team": figures.team, **_figures_json(figures)} for figures in report.teams],
        "top": [
            {
                "team": one.team,
                "title": one.title,
                "incidents": one.incidents,
                "notices": one.notices,
                "flaps": one.flaps,
                "share": one.share,
                "hint": one.hint,
            }
            for one in report.top
        ],
        "drills": report.drills,
    }


def _figures_json(figures: Figures) -> Json:
    waits = figures.waits
    return {
        **{figure.value: figures.counts[figure] for figure in Figure},
        "escalated_by_reason": {reason.value: figures.escalated[reason] for reason in EscalationReason},
        "time_to_acknowledge": None
        if waits is None
        else {"median_seconds": waits.median.total_seconds(), "p90_seconds": waits.p90.total_seconds()},
    }


def of_json(answer: Json) -> Report:
    """The report that a router answered. Raises ValueError for what `as_json` of this version cannot have made."""
    try:
        kept_since = answer["kept_since"]
        return Report(
            window=Window(
                since=datetime.fromisoformat(answer["since"]),
                until=datetime.fromisoformat(answer["until"]),
                timezone=answer["timezone"],
            ),
            kept_since=None if kept_since is None else datetime.fromisoformat(kept_since),
            total=_figures(answer["total"], None),
            teams=tuple(_figures(told, told["team"]) for told in answer["teams"]),
            top=tuple(_repeater(told) for told in answer["top"]),
            drills=int(answer["drills"]),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"not a report of version {VERSION}: {exc}") from exc


def _figures(told: Json, team: str | None) -> Figures:
    waits = told["time_to_acknowledge"]
    return Figures(
        team=team,
        counts={figure: int(told[figure]) for figure in Figure},
        escalated={reason: int(told["escalated_by_reason"][reason]) for reason in EscalationReason},
        waits=None
        if waits is None
        else Waits(
            median=timedelta(seconds=waits["median_seconds"]),
            p90=timedelta(seconds=waits["p90_seconds"]),
        ),
    )


def _repeater(told: Json) -> Repeater:
    hint = told["hint"]
    return Repeater(
        team=told["team"],
        title=told["title"],
        incidents=told["incidents"],
        notices=told["notices"],
        flaps=told["flaps"],
        share=told["share"],
        hint=Hint(hint) if hint in [*Hint] else None,  # a newer router may know more of them
    )


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- for people --------------------------------------------------------------------------------------------------------

_LOUDNESS: Final[Mapping[Figure, str]] = {
    Figure.NEW: "new",
    Figure.REPEATED: "repeated",
    Figure.NOTICES: "notices",
    Figure.FIRED_AGAIN: "fired again",
    Figure.FLAPPING: "flapping",
    Figure.FLAPS: "flaps",
    Figure.AUTO_RESOLVED: "over in 5m",
    Figure.OPEN: "still open",
    Figure.STALE: "stale",
    Figure.SUSPECT: "suspect",
}
_CARE: Final[Mapping[Figure, str]] = {
    Figure.ORPHANED: "orphaned",
    Figure.UNDELIVERABLE: "undeliverable",
    Figure.UNACKNOWLEDGED: "unacknowledged",
    Figure.ESCALATED: "escalated",
    Figure.ACKNOWLEDGED: "acknowledged",
}
HEADS: Final[Mapping[Figure, str]] = {**_LOUDNESS, **_CARE}
_WAITS: Final = ("half within", "90% within")
_TOP_HEADS: Final = ("team", "times", "incidents", "notices", "flaps", "share", "title")

_Rows = list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """A heading and the table below it: its first row are the heads, its first column is of words, others numbers."""

    heading: str
    rows: _Rows


def as_text(report: Report) -> str:
    """For a terminal: aligned, and read aloud line by line."""
    lines = [_headline(report)]
    for section in _sections(report):
        lines += ["", section.heading, *_aligned(section.rows)]
    if report.top:
        lines += ["", _top_heading(report), *_aligned_top(report.top)]
    remarks = _remarks(report)
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def as_markdown(report: Report) -> str:
    """For a pull request or the notes of a meeting, in the dialect of GitHub."""
    lines = [f"## {_headline(report)}"]
    for section in _sections(report):
        lines += ["", f"### {section.heading}", "", *_markdown_table(section.rows)]
    if report.top:
        heads = [*_TOP_HEADS, "what to do"]
        rows = [[*_numbers(one), _code(one.title), "" if one.hint is None else HINTS[one.hint]] for one in report.top]
        lines += ["", f"### {_top_heading(report)}", "", *_markdown_table([heads, *rows], words=2)]
    for remark in _remarks(report):
        lines += ["", remark]
    return "\n".join(lines)


def _headline(report: Report) -> str:
    window = report.window
    zone = zone_of(window.timezone)
    begins, ends = (instant.astimezone(zone).strftime("%a %Y-%m-%d %H:%M") for instant in (window.since, window.until))
    new = report.total.counts[Figure.NEW]
    count = "No incidents" if new == 0 else "1 incident" if new == 1 else f"{new} incidents"
    return f"{count} from {begins} to {ends} ({window.timezone})"


def _sections(report: Report) -> Iterable[_Section]:
    """Columns in which all is zero are left out: what is there is worth a look."""
    if not report.total.counts[Figure.NEW]:
        return
    rows = [*report.teams, *([report.total] if len(report.teams) > 1 else [])]
    names = [_name(figures.team) for figures in report.teams] + ["all"]
    for heading, columns in (("How loud it was", _LOUDNESS), ("Who took care of it", _CARE)):
        shown = [figure for figure in columns if report.total.counts[figure]]
        if not shown:
            continue
        timed = Figure.ACKNOWLEDGED in shown
        table = [["team", *(columns[figure] for figure in shown), *(_WAITS if timed else ())]]
        for name, figures in zip(names, rows, strict=False):
            cells = [name, *(str(figures.counts[figure]) for figure in shown)]
            table.append([*cells, *(_waits_cells(figures.waits) if timed else ())])
        yield _Section(heading=heading, rows=table)


def _waits_cells(waits: Waits | None) -> tuple[str, str]:
    return ("-", "-") if waits is None else (_short(waits.median), _short(waits.p90))


def _remarks(report: Report) -> list[str]:
    remarks = []
    if not report.total.counts[Figure.NEW]:
        remarks.append("Quiet, or nothing arrives: `router drill` shows which.")
    else:
        none = [head for figure, head in HEADS.items() if not report.total.counts[figure]]
        if none:
            remarks.append(f"None: {', '.join(none)}.")
    for figures in report.teams:
        reasons = [f"{count} {reason}" for reason, count in figures.escalated.items() if count]
        if reasons:
            remarks.append(f"Escalated of {_name(figures.team)}: {', '.join(reasons)}.")
    if report.drills:
        remarks.append(f"Not counted: {report.drills} {'drill' if report.drills == 1 else 'drills'}.")
    if report.kept_since is not None:
        day = report.kept_since.astimezone(zone_of(report.window.timezone)).strftime("%Y-%m-%d %H:%M")
        remarks.append(f"What ended before {day} is not kept, so the time before is not told in full.")
    return remarks


def _top_heading(report: Report) -> str:
    return f"The {len(report.top)} that were told most often" if len(report.top) > 1 else "Told most often"


def _numbers(one: Repeater) -> list[str]:
    counts = (one.times, one.incidents, one.notices, one.flaps)
    return [_name(one.team), *map(str, counts), f"{one.share:.0%}"]


def _aligned_top(top: Sequence[Repeater]) -> list[str]:
    """The title is last in its line, where it may be long and of any script; what to do stands below it."""
    *heads, title = _TOP_HEADS
    table = _aligned([heads, *(_numbers(one) for one in top)])
    lines = [f"{table[0]}  {title.upper()}"]
    for row, one in zip(table[1:], top, strict=True):
        lines.append(f"{row}  {_line(one.title)}")
        if one.hint is not None:
            lines.append(f"{' ' * _width(row)}    {HINTS[one.hint]}")
    return lines


def _aligned(rows: _Rows) -> list[str]:
    heads, *others = rows
    shown = [[head.upper() for head in heads], *others]
    widths = [max(_width(row[column]) for row in shown) for column in range(len(heads))]
    return [
        "  ".join(_padded(cell, width, right=n > 0) for n, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in shown
    ]


def _padded(cell: str, width: int, *, right: bool) -> str:
    gap = " " * (width - _width(cell))
    return gap + cell if right else cell + gap


def _markdown_table(rows: _Rows, *, words: int = 0) -> list[str]:
    """`words`: how many of the last columns are words too."""
    heads, *others = rows
    numbers = len(heads) - 1 - words
    rule = ["---", *["---:"] * numbers, *["---"] * words]
    return ["| " + " | ".join(row) + " |" for row in (heads, rule, *others)]


def _name(team: str | None) -> str:
    return NOBODY if team is None else _line(team).replace("|", "¦")


def _code(title: str) -> str:
    """As code nothing in it is a link, a mention or HTML; a bar would still end the cell, also behind a backslash."""
    return f"`{_line(title).replace('`', 'ˋ').replace('|', '¦')}`"


# What moves a cursor, turns the writing, or is no character of its own.
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _line(text: str) -> str:
    """Text from outside on one line, of characters that can be seen, short enough for a table."""
    line = " ".join(text.split())
    seen = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(one) in _UNSHOWN else one for one in line)
    return (seen if len(seen) <= _SHOWN_TITLE else seen[: _SHOWN_TITLE - 1] + "…") or "(no name)"


def _width(text: str) -> int:
    """In columns of a terminal."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else not unicodedata.combining(one) for one in text)


def _short(wait: timedelta) -> str:
    """`40s`, `12m`, `3h 05m`, `2d 4h`."""
    seconds = round(wait.total_seconds())
    if seconds < 60:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 24 * 60:
        return f"{minutes // 60}h {minutes % 60:02}m"
    return f"{minutes // (24 * 60)}d {minutes // 60 % 24}h"
