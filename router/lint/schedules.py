"""Checks of check-ins: schedules that never come, or at times that there are not, and time zones."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, pairwise, takewhile
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from router.core.enrichment import known_zone, parse_duration
from router.core.findings import Finding
from router.core.quoting import quoted
from router.ownership_file.document import Document, Path
from router.ownership_file.parts import Part, Parts
from router.ownership_file.shape import CheckInShape, EntryShape

# https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ (Schedule syntax); it takes ? for * too.
_MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = 5
_ADVICE: Final = 'write minute, hour, day of month, month and day of week, such as "0 3 * * *"'
_DAY: Final = timedelta(days=1)
_LOOKAHEAD_DAYS: Final = 2 * 366  # for changes of clocks
# How far one day is from the next shows within so many days, and also where February 29 is meant.
_ENOUGH_DAYS: Final = 366
_A_DOZEN_YEARS: Final = 12 * 366 * _DAY
_EPOCH: Final = datetime(2001, 1, 1)  # noqa: DTZ001  (the clock on a wall; any day would do)
_REMEMBERED: Final = 4096  # answers: large maps repeat their schedules


def check(parts: Parts, today: date) -> Iterator[Finding]:
    yield from _timezones(parts)
    for entry in (*parts.services.values(), *parts.jobs.values()):
        if entry.shape.checkin is not None:
            zone = entry.shape.checkin.timezone or parts.defaults.timezone
            yield from _schedule(entry, entry.shape.checkin, known_zone(zone), today)


# -- time zones ----------------------------------------------------------------------------------------------------


def _timezones(parts: Parts) -> Iterator[Finding]:
    """In the very words of the loader, which says the same of a map without a fault: equal findings are told once."""
    for document, path, zone in _zones(parts):
        if path in document.values and known_zone(zone) is None:
            message = f"there is no time zone {quoted(zone)}"
            yield document.finding("OWN601", message, document.values[path], help="write it as in Asia/Tokyo")


def _zones(parts: Parts) -> Iterator[tuple[Document, Path, str]]:
    yield parts.root, ("defaults", "timezone"), parts.defaults.timezone
    for team in parts.teams.values():
        if team.shape.timezone is not None:
            yield team.document, (*team.path, "timezone"), team.shape.timezone
    for entry in (*parts.services.values(), *parts.jobs.values()):
        if entry.shape.checkin is not None and entry.shape.checkin.timezone is not None:
            yield entry.document, (*entry.path, "checkin", "timezone"), entry.shape.checkin.timezone


# -- schedules -----------------------------------------------------------------------------------------------------


def _schedule(entry: Part[EntryShape], checkin: CheckInShape, zone: ZoneInfo | None, today: date) -> Iterator[Finding]:
    document, at_schedule = entry.document, entry.at("checkin", "schedule")
    expression, shown = _expression(checkin.schedule), quoted(checkin.schedule)
    reason = _never(expression)
    if reason is not None:
        yield document.finding("OWN601", f"{shown} {reason}", at_schedule, help=_ADVICE)
        return
    distance = _distance(expression, below=parse_duration(checkin.grace).total)
    if distance is not None:
        message = f"a grace of {checkin.grace} is longer than the {_spelled(distance)} between two times of {shown}"
        advice = "the next run would come before a missed one is told"
        yield document.finding("OWN601", message, entry.at("checkin", "grace"), help=advice)
    skipped = _skipped(expression, zone, today) if zone is not None else None
    if zone is not None and skipped is not None:
        clocks = f"{skipped.start:%H:%M} to {skipped.end:%H:%M}"
        message = f"{shown} names a time that {zone.key} skips: on {skipped.start:%Y-%m-%d} clocks go from {clocks}"
        advice = "take another hour, or a time zone that does not change, such as UTC"
        yield document.finding("OWN601", message, at_schedule, help=advice)


def _expression(schedule: str) -> str:
    """`schedule` as five fields, without what only Kubernetes writes."""
    return _MACROS.get(schedule.strip(), schedule).replace("?", "*")


@lru_cache(maxsize=_REMEMBERED)
def _never(expression: str) -> str | None:
    """Why `expression` stands for no time at all; None if it comes."""
    fields = expression.split()
    if len(fields) != _FIELDS:
        return f"is not a cron expression: it has {len(fields)} fields, not {_FIELDS}"
    minute, hour, day, month, weekday = fields
    try:
        CronSim(f"{minute} {hour} {day} * {weekday}", _EPOCH)
        CronSim(f"0 0 1 {month} *", _EPOCH)
    except CronSimError as exc:
        return f"is not a cron expression: {str(exc).lower()}"
    except ValueError:  # more digits than Python reads
        return "is not a cron expression: a number is too large"
    try:
        comes = next(CronSim(expression, _EPOCH), None) is not None
    except CronSimError:  # each field is right, and no month of them has such a day
        comes = False
    return None if comes else "never comes: there is no such day"


# -- distance ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=_REMEMBERED)
def _distance(expression: str, *, below: timedelta) -> timedelta | None:
    """The shortest time from one run to the next, by the clock on the wall; None if it is not below `below`."""
    cron = CronSim(expression, _EPOCH)
    times = sorted(timedelta(hours=hour, minutes=minute) for hour in cron.hours for minute in cron.minutes)
    distances = [later - earlier for earlier, later in pairwise(times)]
    overnight = _DAY - times[-1] + times[0]
    if overnight < below and (days := _days_between(" ".join(expression.split()[2:]))) is not None:
        distances.append(overnight + days - _DAY)
    shortest = min(distances, default=below)
    return shortest if shortest < below else None


@lru_cache(maxsize=_REMEMBERED)
def _days_between(fields: str) -> timedelta | None:
    """The shortest time from one day of `fields` to the next; None if there is only one in a dozen years."""
    days = takewhile(lambda day: day < _EPOCH + _A_DOZEN_YEARS, CronSim(f"0 0 {fields}", _EPOCH))
    return min((later - earlier for earlier, later in pairwise(islice(days, _ENOUGH_DAYS))), default=None)


def _spelled(distance: timedelta) -> str:
    minutes = int(distance.total_seconds()) // 60
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return "".join(f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if count)


# -- changes of clocks ---------------------------------------------------------------------------------------------


class _Gap(NamedTuple):
    """What the clocks on the wall leave out, from `start` until just before `end`."""

    start: datetime
    end: datetime


@lru_cache(maxsize=_REMEMBERED)
def _skipped(expression: str, zone: ZoneInfo, today: date) -> _Gap | None:
    """The next change of clocks that leaves out a time of `expression`.

    Whoever writes a `*` for the hour means every hour that there is.
    """
    if expression.split()[1].startswith("*"):
        return None
    for gap in _gaps(zone, today):
        time_of_it = next(CronSim(expression, gap.start - timedelta(seconds=1)), None)
        if time_of_it is not None and time_of_it < gap.end:
            return gap
    return None


@lru_cache(maxsize=_REMEMBERED)
def _gaps(zone: ZoneInfo, today: date) -> tuple[_Gap, ...]:
    """The changes of clocks ahead that skip something."""
    midnight = datetime.combine(today, time(), UTC)
    days = [midnight + day * _DAY for day in range(_LOOKAHEAD_DAYS)]
    return tuple(_gap(zone, day) for day in days if _offset(zone, day + _DAY) > _offset(zone, day))


def _gap(zone: ZoneInfo, day: datetime) -> _Gap:
    """The gap within the 24 hours from `day` on, of which there is one."""
    before, after = _offset(zone, day), _offset(zone, day + _DAY)
    earlier, later = day, day + _DAY
    while later - earlier > timedelta(seconds=1):
        middle = (earlier + (later - earlier) / 2).replace(microsecond=0)
        earlier, later = (middle, later) if _offset(zone, middle) == before else (earlier, middle)
    wall_clock = later.replace(tzinfo=None)
    return _Gap(wall_clock + before, wall_clock + after)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
