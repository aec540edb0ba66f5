"""Who must truly be called beyond the owner, and when: from what happened and from docs/explanation/escalation.md.

Nothing of the core is asked. Of each incident it is known how it stood after each word that was told of it, what people
did about it, when it fell silent and when the router stood still. From one of these instants to the next nothing but
the clock moves, so the next call is the earliest that the page asks for:

- **Unacknowledged**: the n-th call since the wait began comes after n times the wait, by the words for its present
  level, counted in the team's working time where the level says so. The wait begins at the opening, and anew at the end
  of a snooze, at a worse level, and when what was silent or over is heard of again.
- **It keeps coming**: the n-th step of the chain for n times the count, told again or fired again, whichever is more.
  What an earlier incident called for that within the time is not called again while it fires so often.
- **Nobody owns it**: once, after the time for triage, in the working time of the defaults.
- **Never** what is silent, acknowledged or snoozed; a step or a channel twice; anybody within the pause after a call,
  which all that a wait begins anew with are too; nor within five minutes of the router's start
  for what opened before.

Where the page leaves it open, by agreement:

- What flaps is one incident, whose wait begins anew each time that it fires again. Each time counts on top, for itself;
  for the incidents after it they all are one.
- An acknowledgement holds until the end, whatever comes; the first one ends a snooze. A snooze that ends while the
  incident is over, or silent, is ended when it is heard of again.
- Who was called by an incident that opened before the time is not spared, though it called within.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from itertools import accumulate
from typing import Final
from zoneinfo import ZoneInfo

from router.core.actions import ActionKind
from router.core.history import EscalationReason
from tests.streams.charts import FALLBACK_CHANNEL, Again, Chart, Team, Unacked, Wait, Words, channel_of
from tests.streams.people import Press
from tests.streams.senders import START, instant
from tests.streams.truth import Happened, Moment

PAUSE: Final = timedelta(minutes=5)
CHAIN: Final = ("lead", "parent", "fallback")
# Where no place of the map says anything; `low` is not called for unless the team or the level says so.
UNSAID: Final = Words(unacked=Unacked(), again=Again(count=3, hours=24), then=CHAIN)
NEVER: Final = Words(unacked=Unacked(), again=Again())
QUIET: Final = "low"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Call:
    at: datetime
    reason: EscalationReason
    to: str
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """Whom one incident calls, and when its snoozes ended by themselves."""

    calls: tuple[Call, ...]
    woken: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """The incident of this owner that opened then fell silent."""

    owner: str | None
    opened_at: datetime
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The router stands still."""

    since: datetime
    until: datetime


def fates_of(
    chart: Chart,
    incidents: Iterable[Happened],
    *,
    presses: Sequence[Press] = (),
    silent: Iterable[Silent] = (),
    stops: Sequence[Stop] = (),
    end: datetime,
) -> list[Fate]:
    """What becomes of each of these incidents, in the order in which they opened."""
    shares: dict[str | None, _Share] = {}
    silences: dict[tuple[str | None, datetime], list[datetime]] = {}
    for silence in silent:
        silences.setdefault((silence.owner, silence.opened_at), []).append(silence.at)
    fates = []
    for incident in sorted(incidents, key=lambda one: one.opened_at):
        share = shares.setdefault(incident.owner, _Share())
        opened_at = instant(incident.opened_at)
        share.opened.append(opened_at)
        life = _Life(chart, incident.owner, share, opened_at)
        life.live(
            incident.moments,
            [press for press in presses if press.owner == incident.owner],
            silences.get((incident.owner, opened_at), ()),
            stops,
            end,
        )
        share.calls += [(opened_at, call) for call in life.calls]
        fates.append(Fate(calls=tuple(life.calls), woken=tuple(life.woken)))
    return fates


@dataclass
class _Share:
    """What is known of the incidents of one owner, each after the other."""

    opened: list[datetime] = field(default_factory=list)
    calls: list[tuple[datetime, Call]] = field(default_factory=list)  # of those before, with when these opened


@dataclass(frozen=True, slots=True, kw_only=True)
class _Policy:
    wait: Wait | None
    times: int
    business: bool
    again: Again
    then: tuple[str, ...]

    @property
    def pause(self) -> timedelta:
        return PAUSE if self.wait is None else min(PAUSE, self.wait.total * self.times)


class _Life:
    """One incident, from its opening on."""

    def __init__(self, chart: Chart, owner: str | None, share: _Share, opened_at: datetime) -> None:
        self._chart = chart
        self._owner = owner
        self._share = share
        self._opened_at = self._now = opened_at
        self._anew: datetime | None = None  # when the wait began anew
        self._told: datetime | None = None  # when that was by a word that people heard
        self._started: datetime | None = None  # the router, last
        self._stopped = False
        self._moment: Moment | None = None
        self._silent = False
        self._acknowledged = False
        self._snoozed: datetime | None = None  # until then
        self.calls: list[Call] = []
        self.woken: list[datetime] = []

    def live(
        self,
        moments: Sequence[Moment],
        presses: Sequence[Press],
        silences: Iterable[datetime],
        stops: Sequence[Stop],
        end: datetime,
    ) -> None:
        events: list[tuple[datetime, Callable[[datetime], None]]] = [
            *((instant(moment.at), partial(self._hear, moment)) for moment in moments),
            *((instant(press.at), partial(self._press, press)) for press in presses),
            *((at, self._fall_silent) for at in silences),
            *((stop.since, self._stand_still) for stop in stops),
            *((stop.until, self._start) for stop in stops),
        ]
        for at, happen in sorted(events, key=lambda one: one[0]):
            self._pass(at)
            happen(at)
        self._pass(end)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _hear(self, moment: Moment, at: datetime) -> None:
        before, self._moment = self._moment, moment
        if self._silent and moment.heard:
            self._silent, self._anew, self._told = False, at, at
        if not moment.open:
            self._silent = False
        if before is not None and moment.flaps > before.flaps:
            self._anew = at
        if before is not None and moment.worsened > before.worsened:
            self._snoozed, self._anew, self._told = None, at, at

    def _press(self, press: Press, at: datetime) -> None:
        if self._moment is None or not self._moment.open:
            return
        match press.kind:
            case ActionKind.ACK if not self._acknowledged:
                self._acknowledged, self._snoozed = True, None
            case ActionKind.SNOOZE:
                self._snoozed = at + press.lasts
            case ActionKind.WAKE if self._snoozed is not None:
                self._snoozed, self._anew, self._told = None, at, at

    def _fall_silent(self, _: datetime) -> None:
        self._silent = True

    def _stand_still(self, _: datetime) -> None:
        self._stopped = True

    def _start(self, at: datetime) -> None:
        self._stopped, self._started = False, at

    # -- what time does ----------------------------------------------------------------------------------------------

    def _pass(self, until: datetime) -> None:
        """Until then nothing but the clock moves."""
        while self._is_open:
            if self._snoozed is not None:
                self._now = max(self._now, self._snoozed)
                if self._now >= until:
                    break
                self.woken.append(self._now)
                self._snoozed, self._anew, self._told = None, self._now, self._now
                continue
            if self._acknowledged:
                break
            call = self._next()
            if call is None or call.at >= until:
                break
            # Until then what counts may be too long ago.
            if call.at == self._now:
                self.calls.append(call)
            self._now = call.at
        self._now = until

    @property
    def _is_open(self) -> bool:
        return self._moment is not None and self._moment.open and not self._silent and not self._stopped

    def _next(self) -> Call | None:
        assert self._moment is not None
        level = self._moment.level
        if self._owner is None:
            return self._triage(level)
        if self._owner not in self._chart.teams:
            return None
        policy = policy_of(self._chart, self._owner, level)
        called = {told for call in self.calls for told in (call.to, call.channel)}
        steps = [
            (place, to, channel)
            for place, (to, channel) in enumerate(steps_of(self._chart, self._owner, level, policy), start=1)
            if not {to, channel} & called
        ]
        if not steps:
            return None
        return self._repeated(policy, steps) or self._unacknowledged(policy, steps)

    def _repeated(self, policy: _Policy, steps: list[tuple[int, str, str]]) -> Call | None:
        assert self._moment is not None
        if not policy.again.count:
            return None
        since = self._now - timedelta(hours=policy.again.hours)
        opened_again = sum(at >= since for at in self._share.opened) - 1
        often = max(self._moment.repeats, opened_again + self._moment.flaps)
        spared = {
            call.channel
            for _, call in self._share.calls
            if opened_again >= policy.again.count
            if call.reason is EscalationReason.REPEATED and call.at >= since
        }
        for place, to, channel in steps:
            if often >= place * policy.again.count and channel not in spared:
                return Call(at=self._soonest(policy.pause), reason=EscalationReason.REPEATED, to=to, channel=channel)
        return None

    def _unacknowledged(self, policy: _Policy, steps: list[tuple[int, str, str]]) -> Call | None:
        if policy.wait is None:
            return None
        begins = self._anew or self._opened_at
        waited = sum(call.at >= begins for call in self.calls) + 1
        team = self._chart.teams[self._owner or ""]
        at: datetime | None = begins
        for _ in range(waited * policy.times):
            at = at and _after(at, policy.wait, self._chart, team, business=policy.business)
        if at is None:
            return None
        _, to, channel = steps[0]
        return Call(
            at=max(at, self._soonest(policy.pause)), reason=EscalationReason.UNACKNOWLEDGED, to=to, channel=channel
        )

    def _triage(self, level: str) -> Call | None:
        if self._chart.triage is None or self.calls or level == QUIET:
            return None
        at = _after(self._anew or self._opened_at, self._chart.triage, self._chart, None, business=True)
        if at is None:
            return None
        return Call(
            at=max(at, self._soonest(PAUSE)),
            reason=EscalationReason.ORPHANED,
            to="fallback",
            channel=FALLBACK_CHANNEL,
        )

    def _soonest(self, pause: timedelta) -> datetime:
        soonest = [self._now, *(call.at + pause for call in self.calls)]
        if self._told is not None and self._told == self._anew:
            soonest.append(self._told + pause)
        if self._started is not None and (self._anew or self._opened_at) < self._started:
            soonest.append(self._started + PAUSE)
        return max(soonest)


# -- the words of the map ----------------------------------------------------------------------------------------------


def policy_of(chart: Chart, owner: str, level: str) -> _Policy:
    """Of each key the most local word."""
    local = [chart.teams[owner].words, chart.of_level.get(level, Words())]
    when = [*local, *([NEVER] if level == QUIET else [chart.defaults, UNSAID])]
    unacked = next(words.unacked for words in when if words.unacked is not None)
    again = next(words.again for words in when if words.again is not None)
    then = next(words.then for words in [*local, chart.defaults, UNSAID] if words.then is not None)
    deadline = chart.deadlines[level]
    return _Policy(
        wait=unacked.wait or (deadline.wait if unacked.times else None),
        times=unacked.times if unacked.wait is None else 1,
        business=deadline.business,
        again=again,
        then=then,
    )


def steps_of(chart: Chart, owner: str, level: str, policy: _Policy) -> list[tuple[str, str]]:
    """Who is called one after the other, and in which channel."""
    steps: list[tuple[str, str]] = []
    for to in policy.then:
        channel = _channel(chart, owner, level, to)
        if channel is not None and channel not in [told for _, told in steps]:
            steps.append((to, channel))
    return steps


def _channel(chart: Chart, owner: str, level: str, to: str) -> str | None:
    """None if it leads to nobody, or where it is told already."""
    if to == "fallback":
        return FALLBACK_CHANNEL
    if to == "lead":
        return channel_of(owner) if chart.teams[owner].lead else None
    name = chart.teams[owner].parent if to == "parent" else to
    if name is None:
        return None
    name = next((one for one, team in chart.teams.items() if name in team.aliases), name)
    name = chart.teams[name].successor or name
    if name == owner:
        return None
    return channel_of(name, level if level in chart.teams[name].channels else "")


# -- working time ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calendar:
    """Four months of one team's working days."""

    starts: list[datetime]
    ends: list[datetime]
    worked: list[timedelta]  # until the end of each


@lru_cache(maxsize=64)
def _calendar(zone: str, opens: int, closes: int) -> _Calendar:
    days = [START.date() + timedelta(days=number) for number in range(-4, 130)]
    days = [day for day in days if day.weekday() < 5]
    starts, ends = [_at(day, opens, zone) for day in days], [_at(day, closes, zone) for day in days]
    worked = accumulate(end - start for start, end in zip(starts, ends, strict=True))
    return _Calendar(starts=starts, ends=ends, worked=list(worked))


def _at(day: date, hour: int, zone: str) -> datetime:
    return datetime.combine(day, time(hour), ZoneInfo(zone)).astimezone(UTC)


def _after(begins: datetime, wait: Wait, chart: Chart, team: Team | None, *, business: bool) -> datetime | None:
    """When the wait is over; None: after all that is looked at here."""
    if not business:
        return begins + wait.total
    zone = (team.zone if team is not None else None) or chart.zone
    calendar = _calendar(zone, chart.opens, chart.closes)
    place = bisect_right(calendar.ends, begins)
    if place + wait.days >= len(calendar.ends):
        return None
    into = max(begins - calendar.starts[place], timedelta())
    if wait.days:
        place += wait.days
        return min(calendar.starts[place] + into, calendar.ends[place])
    worked = calendar.worked[place] - (calendar.ends[place] - calendar.starts[place] - into)
    worked += timedelta(minutes=wait.minutes)
    place = bisect_left(calendar.worked, worked)
    if place == len(calendar.worked):
        return None
    return calendar.ends[place] - (calendar.worked[place] - worked)
