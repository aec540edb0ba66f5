"""The three forms of a report: JSON, for a terminal, and Markdown. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from router.core.enrichment import zone_of
from router.core.history import EscalationReason
from router.core.report import NOBODY, Advice, Figure, Figures, Repeater, Report, Waits, Window

Json = dict[str, Any]  # Any: what json reads and writes

VERSION: Final = 1
_SHOWN_TITLE: Final = 80

ADVICE_WORDS: Final[Mapping[Advice, str]] = {
    Advice.NO_OWNER: "nobody owns it: give it an owner in the map",
    Advice.FLAPS: "it flaps: raise its `for`, or set `keep_firing_for`",
    Advice.SHORT: "mostly over within 5 minutes: raise its `for`",
    Advice.IGNORED: "nobody acknowledges it: lower its severity, or drop it",
    Advice.NO_RUNBOOK: "no runbook: write down what to do",
    Advice.LASTS: "told again and again: repair it, or silence it until then",
}


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
                "repeats": one.repeats,
                "flaps": one.flaps,
                "share": one.share,
                "advice": one.advice,
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
    advice = told["advice"]
    return Repeater(
        team=told["team"],
        title=told["title"],
        incidents=told["incidents"],
        repeats=told["repeats"],
        flaps=told["flaps"],
        share=told["share"],
        advice=Advice(advice) if advice in [*Advice] else None,  # a newer router may know more of them
    )


def _rfc3339(instant: datetime) -> str:
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- for people --------------------------------------------------------------------------------------------------------

_LOUDNESS: Final[Mapping[Figure, str]] = {
    Figure.NEW: "new",
    Figure.REPEATED: "repeated",
    Figure.REPEATS: "repeats",
    Figure.FIRED_AGAIN: "fired again",
    Figure.FLAPPING: "flapping",
    Figure.FLAPS: "flaps",
    Figure.AUTO_RESOLVED: "over in 5m",
    Figure.OPEN: "still open",
    Figure.STALE: "stale",
    Figure.SUSPECT: "suspect",
    Figure.MOVED: "moved",
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
_TOP_HEADS: Final = ("team", "times", "incidents", "repeats", "flaps", "share", "title")

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
        rows = [
            [*_numbers(one), _code(one.title), "" if one.advice is None else ADVICE_WORDS[one.advice]]
            for one in report.top
        ]
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
    if _is_quiet(report):
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


def _is_quiet(report: Report) -> bool:
    """Not where a team had something that others have since."""
    return not any(report.total.counts.values())


def _waits_cells(waits: Waits | None) -> tuple[str, str]:
    return ("-", "-") if waits is None else (_short(waits.median), _short(waits.p90))


def _remarks(report: Report) -> list[str]:
    remarks = []
    if _is_quiet(report):
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
    counts = (one.times, one.incidents, one.repeats, one.flaps)
    return [_name(one.team), *map(str, counts), f"{one.share:.0%}"]


def _aligned_top(top: Sequence[Repeater]) -> list[str]:
    """The title is last in its line, where it may be long and of any script; what to do stands below it."""
    *heads, title = _TOP_HEADS
    table = _aligned([heads, *(_numbers(one) for one in top)])
    lines = [f"{table[0]}  {title.upper()}"]
    for row, one in zip(table[1:], top, strict=True):
        lines.append(f"{row}  {_line(one.title)}")
        if one.advice is not None:
            lines.append(f"{' ' * _width(row)}    {ADVICE_WORDS[one.advice]}")
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
