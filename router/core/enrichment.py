"""What somebody needs to act on an alert: how bad, until when, what to read, whether to run it again. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from router.core.model import Hours, Level

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


# -- severity ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """How soon somebody must react at one level."""

    within: str | None  # as written in the map: 15m. None: no deadline
    hours: Hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Severities:
    """The organisation's words for how bad something is."""

    words: Mapping[str, Level]
    responses: Mapping[Level, Response]
    default: Level


def level_of(word: str, *, maps: Iterable[Mapping[str, Level]], severities: Severities) -> Level | None:
    """The level that `word` stands for by the first of `maps` that has it, else by `severities`; None: not understood.

    A word is first looked up as written, then in lower case: rules spell `Critical` and `P1` too.
    """
    for words in (*maps, severities.words):
        level = words.get(word) or words.get(word.lower())
        if level is not None:
            return level
    return None


# -- placeholders --------------------------------------------------------------------------------------------------

_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{(?P<label>[A-Za-z_][A-Za-z0-9_.]*)(?P<lower>\|lower)?\}")
# What no shell reads as anything but itself, and no program as an option.
_HARMLESS_ARGUMENT: Final = re.compile(r"[A-Za-z0-9_.:/@%+=,][A-Za-z0-9_.:/@%+=,-]*")


def filled_url(template: str, labels: Mapping[str, str]) -> str | None:
    """`template` with `{label}` and `{label|lower}` replaced, percent-encoded; None if a label is missing."""
    if "{" not in template:
        return template
    url, *placeholders = _pieces(template)
    for label, lower, text in zip(placeholders[::3], placeholders[1::3], placeholders[2::3], strict=True):
        value = labels.get(label)
        if not value:
            return None
        value = value.lower() if lower else value
        # Most values are such words, and quote() takes three times as long to say so.
        url += (value if _UNRESERVED.fullmatch(value) else quote(value, safe="", errors="replace")) + text
    return url


_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")  # RFC 3986, section 2.3


@lru_cache(maxsize=4096)
def _pieces(template: str) -> list[str]:
    """The text before the first placeholder; then of each its label, whether it is lowered, and the text after it."""
    return _PLACEHOLDER.split(template)


def filled_command(template: str, labels: Mapping[str, str]) -> str:
    """`template` with its placeholders replaced by labels; somebody will paste it into a shell.

    A value that a shell could read as more than one plain word stays a placeholder: labels come from outside.
    """

    def replacement(match: re.Match[str]) -> str:
        value = _value(match, labels)
        return value if _HARMLESS_ARGUMENT.fullmatch(value) else match[0]

    return _PLACEHOLDER.sub(replacement, template)


def _value(match: re.Match[str], labels: Mapping[str, str]) -> str:
    value = labels.get(match["label"], "")
    return value.lower() if match["lower"] else value


# -- runbook -------------------------------------------------------------------------------------------------------

# In this order: the first is the convention of the Prometheus mixins, the others are seen in the wild.
RUNBOOK_ANNOTATIONS: Final = ("runbook_url", "runbook", "playbook")


def annotated_runbook(annotations: Mapping[str, str]) -> str | None:
    """The rule author's runbook; only http(s), because it becomes a link that people click."""
    for name in RUNBOOK_ANNOTATIONS:
        url = annotations.get(name)
        if url and is_web_address(url.strip()):
            return url.strip()
    return None


def is_web_address(text: str) -> bool:
    if not text.lower().startswith(("http://", "https://")) or any(character.isspace() for character in text):
        return False
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:  # [not-an-address
        return False


# -- deadline ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessHours:
    """On which days, and from when until when, a team works. Past midnight where `closes` is not after `opens`."""

    days: tuple[int, ...]  # 0 is Monday, as in datetime.weekday()
    opens: timedelta  # since midnight
    closes: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A duration of the map. Days and weeks are kept apart, because inside business hours they are working days."""

    weeks: int
    days: int
    time: timedelta

    @property
    def total(self) -> timedelta:
        return timedelta(weeks=self.weeks, days=self.days) + self.time


_DURATION_PART: Final = re.compile(r"([0-9]{1,9})([smhdw])")
_HOURS: Final = re.compile(
    r"(?P<first>{day})(?:-(?P<last>{day}))? (?P<opens>[0-9]{{2}}:[0-9]{{2}})-(?P<closes>[0-9]{{2}}:[0-9]{{2}})".format(
        day="|".join(WEEKDAYS)
    )
)
_LONGEST: Final = timedelta(days=3660)
_DAY: Final = timedelta(days=1)


def parse_duration(text: str) -> Duration:
    """Read `15m`, `1h30m`, `2d`, `1w`. Raises ValueError, also for more than ten years."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'"{text}" is not a duration such as 15m, 1h30m, 2d or 1w')
    amount = dict.fromkeys("smhdw", 0)
    for number, unit in parts:
        amount[unit] += int(number)
    if sum(amount[unit] * seconds for unit, seconds in _SECONDS.items()) > _LONGEST.total_seconds():
        raise ValueError(f'"{text}" is more than ten years')
    return Duration(
        weeks=amount["w"],
        days=amount["d"],
        time=timedelta(hours=amount["h"], minutes=amount["m"], seconds=amount["s"]),
    )


_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def parse_business_hours(text: str) -> BusinessHours:
    """Read `Mon-Fri 09:00-17:00` or `Sat 22:00-06:00`. Raises ValueError."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not like "Mon-Fri 09:00-17:00"')
    first = WEEKDAYS.index(match["first"])
    last = WEEKDAYS.index(match["last"] or match["first"])
    opens, closes = _since_midnight(match["opens"]), _since_midnight(match["closes"])
    if opens >= _DAY or closes > _DAY or opens == closes:
        raise ValueError(f'"{text}": no such hours')
    return BusinessHours(
        days=tuple((first + offset) % 7 for offset in range((last - first) % 7 + 1)), opens=opens, closes=closes
    )


def _since_midnight(clock: str) -> timedelta:
    hours, minutes = clock.split(":")
    if int(minutes) > 59:
        raise ValueError(f"no such time: {clock}")
    return timedelta(hours=int(hours), minutes=int(minutes))


def respond_until(
    opened_at: datetime, *, within: str | None, hours: Hours, timezone: str, business_hours: BusinessHours
) -> datetime | None:
    """When somebody must have reacted, in UTC; None: no deadline.

    Inside business hours a clock that starts outside of them waits for the next opening, hours and minutes count
    only while the team works, a day is a working day, and a week is as many of them as the team works in a week.
    """
    if within is None:
        return None
    duration = parse_duration(within)
    opened_at = opened_at.astimezone(UTC)  # adding to the wall clock of a zone would skip over a clock change
    if hours is Hours.ALWAYS:
        return opened_at + duration.total
    shifts = _shifts(opened_at, zone=zone_of(timezone), hours=business_hours)
    starts, ends = next(shifts)
    moment = max(opened_at, starts)
    into_shift = moment - starts
    for _ in range(duration.weeks * len(business_hours.days) + duration.days):
        starts, ends = next(shifts)
        moment = min(starts + into_shift, ends)
    left = duration.time
    while left > ends - moment:
        left -= ends - moment
        starts, ends = next(shifts)
        moment = starts
    return moment + left


def _shifts(after: datetime, *, zone: tzinfo, hours: BusinessHours) -> Iterator[tuple[datetime, datetime]]:
    """The working times that end after `after`, as (start, end) in UTC: real time, also where a clock is changed."""
    midnight = datetime.combine(after.astimezone(zone).date(), time()) - _DAY  # yesterday's may run past midnight
    closes = hours.closes if hours.closes > hours.opens else hours.closes + _DAY
    while True:
        if midnight.weekday() in hours.days:
            starts = _instant(midnight + hours.opens, zone)
            ends = _instant(midnight + closes, zone)
            if ends > max(starts, after):
                yield starts, ends
        midnight += _DAY


def _instant(wall_clock: datetime, zone: tzinfo) -> datetime:
    return wall_clock.replace(tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """The time zone called `name`; UTC for a name that the time zone database does not have.

    An unknown zone is a finding of the map's loader (OWN601), which does not stop the router.
    """
    return known_zone(name) or UTC


def known_zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # ../etc, a directory, no such zone
        return None
