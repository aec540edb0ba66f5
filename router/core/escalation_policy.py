"""When others are told of an incident, and who: what a map says of it, key by key the most local one."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from router.core.enrichment import Response, parse_duration
from router.core.model import Hours, Level

LEAD: Final = "lead"
PARENT: Final = "parent"
FALLBACK: Final = "fallback"
# What `then` may say instead of a team.
STEPS: Final = (LEAD, PARENT, FALLBACK)

# Nobody is called for these because the whole map says so: somebody has to say it of the level, or of the team.
QUIET: Final = frozenset({Level.LOW, Level.IGNORE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalate:
    """What one place of the map says, as written; None: nothing."""

    if_unacked: str | None = None  # 2x, 45m, none
    if_repeats: str | None = None  # 3 in 24h, none
    then: tuple[str, ...] | None = None  # lead, parent, fallback, or a team's name


UNSAID: Final = Escalate()
# Where the map says nothing. Without a word in it nobody promised to acknowledge anything.
BUILT_IN: Final = Escalate(if_unacked="none", if_repeats="3 in 24h", then=STEPS)
_NEVER: Final = Escalate(if_unacked="none", if_repeats="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """So often it may come again, told again or fired again, before the next one is told."""

    count: int
    window: timedelta  # within which it fires again


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationPolicy:
    """What holds for one team at one level."""

    within: str | None  # as written: 15m. None: nobody is waited for
    times: int = 1  # so many of these after each other are one wait
    hours: Hours = Hours.ALWAYS  # in which they are counted
    repeats: Repeats | None = None  # None: it may come again as often as it likes
    then: tuple[str, ...] = STEPS


def policy_of(
    level: Level, *, response: Response, team: Escalate, of_level: Escalate, defaults: Escalate
) -> EscalationPolicy:
    """The policy by the map's words, each key by the most local place that has it."""
    quiet = level in QUIET
    when = [team, of_level, *([_NEVER] if quiet else [defaults, BUILT_IN])]
    whom = [team, of_level, defaults, BUILT_IN]
    within, times = _wait(_first(place.if_unacked for place in when), response)
    return EscalationPolicy(
        within=within,
        times=times,
        hours=response.hours,
        repeats=parse_repeats(_first(place.if_repeats for place in when)),
        then=next(place.then for place in whom if place.then is not None),
    )


def _first(said: Iterable[str | None]) -> str:
    return next(text for text in said if text is not None)


def _wait(text: str, response: Response) -> tuple[str | None, int]:
    """How long, and how many times that, nobody is called further; no deadline, no multiple of it."""
    times = parse_if_unacked(text)
    if times is not None and response.within is not None:
        return response.within, times
    if times is not None:
        return None, 1
    return (None if text == "none" else text), 1


_TIMES: Final = re.compile(r"([1-9][0-9]?)x")
_REPEATS: Final = re.compile(r"([1-9][0-9]{0,3}) in (\S+)")
_LONGEST_WINDOW: Final = timedelta(days=30)


def parse_if_unacked(text: str) -> int | None:
    """N of `Nx`; None for `none` and for a duration. Raises ValueError."""
    if text == "none":
        return None
    times = _TIMES.fullmatch(text)
    if times is not None:
        return int(times[1])
    try:
        waits = parse_duration(text).total
    except ValueError as exc:
        raise ValueError(f'"{text}" is neither 1x to 99x, nor a duration such as 45m, nor none') from exc
    if not waits:
        raise ValueError(f'"{text}" is no time to wait: write none, or a longer one')
    return None


def parse_repeats(text: str) -> Repeats | None:
    """Read `3 in 24h`; None for `none`. Raises ValueError."""
    if text == "none":
        return None
    written = _REPEATS.fullmatch(text)
    if written is None:
        raise ValueError(f'"{text}" is neither like "3 in 24h" nor none')
    window = parse_duration(written[2]).total
    # What ended longer ago is deleted, and cannot be counted.
    if not timedelta() < window <= _LONGEST_WINDOW:
        raise ValueError(f'"{text}": the time must be longer than nothing, and at most 30d')
    return Repeats(count=int(written[1]), window=window)
