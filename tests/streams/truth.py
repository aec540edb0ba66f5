"""What a receiver of these bodies can truly know, told from the world in which they were made.

The world knows of every alert in a body which of its episodes that is and whether it is over, so old news and new are
told apart by that and not by windows of time or by who sent it. The truth is then:

- **An alert fires** from the first word of an episode until the word that this or a later episode is over.
  A word of an earlier state of the alert than one that was told is old news and changes nothing, whoever sends it.
- **An incident** is an owner's share of the group, from the first of his alerts that was told to fire while none did,
  until a word after which none does. What is absent from a word (silenced, cut off by `max_alerts`) keeps its state.
  A word that cuts off alerts ends nothing: what is hidden may fire. The next does that hides nothing, or that says of
  all alerts that they resolved. Of the other member's it may be an old one, if it comes as soon as his would.
- **A flap** is an incident that ended twice within the hour and fires again, or fired again so before: it is the same.
- **A value in a label** makes another alert of a series at each change. It is the same while the series fires without
  a gap, shown under its newest value.
- **A re-fire** is a start of an alert that was told before to be over. An alert that ended and began again between two
  flushes was never told to be over: only its `startsAt` moved, and it is no re-fire. (dispatch/dispatch.go: a flush
  tells states, not events)
- **A resolve of what nobody was told** to fire changes nothing, but what was before it is old news from then on.
- **A repeat** is a word without news that says of itself that it is one. Before 0.32 nothing says so: then it is a word
  of nothing but what is known to fire, told later than a retry (same member) or the other member's copy would be.
  So the end of a silence, a restart, a flush whose answers were all lost, and a change among alerts that are cut off
  count as repeats before 0.32: their bodies are the same as a repeat's. (template/template.go writes nothing else)
- **A copy** is the last word that counted, once more and soon: a retry, or the other member's.
- **The thread** tells what joined, each power of two of notices from the fourth, what got worse (not again within the
  hour), that it flaps, and its end unless it flaps.
- **Nothing else is news**: re-sent resolves, old news, what is told again for another reason than a repeat.

What a word adds is asked of each body (`Effect`), so that not only the sums agree. How each incident stands after each
word (`Moment`) is kept for who has to be called: tests/streams/called.py.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from router.core.history import Event
from router.core.model import Level
from tests.streams.senders import ALL_RESOLVED, REPEAT, Arrival, World, fingerprint_of, owner_of

# The sender leaves these to be guessed; the core guesses the same (router.core.incidents says why).
RETRY_S: Final = 9.0
COPY_S: Final = 330.0
# By agreement: what ended so often within the hour and fires again is not told anew, and what is told of repeats.
HOUR_S: Final = 3600.0
FLAPS_AFTER: Final = 2
POWERS_OF_TWO: Final = frozenset((4, 8, 16, 32, 64, 128, 256, 512, 1024))


class Effect(StrEnum):
    NEWS = "news"
    VALUE = "value"  # what fires does so under another value
    REPEAT = "repeat"
    COPY = "copy"  # of the last word: a retry, or the other member's
    NOTHING = "nothing"


COUNTED: Final = frozenset({Effect.NEWS, Effect.VALUE, Effect.REPEAT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one body adds to what was known."""

    effect: Effect
    started: frozenset[str]  # fingerprints
    ended: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How an incident stands after a word."""

    at: float
    open: bool
    level: Level
    repeats: int
    flaps: int
    worsened: int  # how often that was told
    heard: bool  # something of it was told to fire


@dataclass(slots=True, kw_only=True, eq=False)
class Happened:
    """One incident, as it was told."""

    owner: str | None
    opened_at: float
    closed_at: float | None = None
    alerts: set[str] = field(default_factory=set)
    repeats: int = 0
    flaps: int = 0
    thread: list[tuple[Event, int | Level]] = field(default_factory=list)
    worse: dict[Level, float] = field(default_factory=dict)  # when that was told last
    worsened: int = 0
    moments: list[Moment] = field(default_factory=list)

    def repeat(self) -> None:
        self.repeats += 1
        notices = self.repeats + 1
        if notices in POWERS_OF_TWO:
            self.thread.append((Event.REPEATED, notices))

    def worsen(self, level: Level, *, at: float) -> None:
        if level not in self.worse or at - self.worse[level] >= HOUR_S:
            self.thread.append((Event.WORSE, level))
            self.worse[level] = at
            self.worsened += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    words: tuple[Word, ...]
    incidents: tuple[Happened, ...]
    refires: int


def truth_of(world: World, arrivals: Sequence[Arrival]) -> Truth:
    """What each of these bodies adds, and the incidents that they tell of."""
    telling = _Telling(world)
    words = tuple(telling.hear(arrival) for arrival in arrivals)
    return Truth(words=words, incidents=tuple(telling.incidents), refires=telling.refires)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """The last word that counted, against which the next may be a mere copy."""

    at: float
    member: int
    content: object
    repeat: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """What one alert is of its series: one value of one time that it fires."""

    series: int
    block: int  # which time it fires: values without a gap
    place: int
    last: bool  # of its block


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    """What a word says of an alert, or of a series. Both are known by an alert: the series by its first."""

    key: int
    alert: int  # that stands for it: the value that it is told with
    state: tuple[int, int, bool]  # (episode, value, over): a later state is a greater one


class _Telling:
    def __init__(self, world: World) -> None:
        self._world = world
        self._segments = _segments_of(world)
        self._firing: dict[int, int] = {}  # what fires -> the alert that stands for it
        self._state: dict[int, tuple[int, int, bool]] = {}  # the latest that was told
        self._told: set[int] = set()  # what was ever told to fire
        self._open: dict[str | None, Happened] = {}
        self._last: _Counted | None = None
        self.incidents: list[Happened] = []
        self.refires = 0

    def hear(self, arrival: Arrival) -> Word:
        started, ended, renamed = dict[int, int](), dict[int, int](), dict[int, int]()
        again = set()  # owners who are told again that something of theirs fires
        only_firing = not any(told.resolved for told in arrival.told)
        open_before = dict(self._open)
        for heard in self._heard(arrival):
            key, latest = heard.key, self._state.get(heard.key)
            if latest is not None and heard.state < latest:
                only_firing = False
                continue
            self._state[key] = heard.state
            if heard.state[-1]:
                if key in self._firing:
                    ended[key] = self._firing[key]
            elif key in self._firing and key not in ended:
                if self._firing[key] != heard.alert:
                    renamed[key] = heard.alert
                again.add(self._owner(key))
            elif latest != heard.state:
                self.refires += key in self._told
                self._told.add(key)
                started[key] = heard.alert
        self._change(started, ended, renamed, arrival)
        if started or ended:
            effect = Effect.NEWS
        elif renamed:
            effect = Effect.VALUE
        elif again and self._is_repeat(arrival, only_firing=only_firing):
            for owner in again:
                self._open[owner].repeat()
            effect = Effect.REPEAT
        else:
            effect = Effect.COPY if self._is_copy(arrival) else Effect.NOTHING
        if effect is not Effect.COPY:
            told = again | {self._owner(key) for key in (*started, *renamed)}
            for owner, incident in (open_before | self._open).items():
                incident.moments.append(self._moment(incident, arrival.at, heard=owner in told))
        # A member's words are in order, so its later one is what it says now. The other member's may be an old one.
        if effect in COUNTED or (effect is Effect.NOTHING and not self._may_be_old(arrival)):
            self._last = _Counted(
                at=arrival.at, member=arrival.member, content=_content(arrival), repeat=arrival.reason == REPEAT
            )
        return Word(
            effect=effect,
            started=frozenset(map(fingerprint_of, started.values())),
            ended=frozenset(map(fingerprint_of, ended.values())),
        )

    def _heard(self, arrival: Arrival) -> list[_Heard]:
        """What it says, the older first."""
        heard = []
        for told in arrival.told:
            segment = self._segments.get(told.alert)
            if segment is None:
                heard.append(_Heard(key=told.alert, alert=told.alert, state=(told.episode, 0, told.resolved)))
            elif segment.last or not told.resolved:
                state = (segment.block, segment.place, told.resolved)
                heard.append(_Heard(key=segment.series, alert=told.alert, state=state))
        return sorted(heard, key=lambda one: (one.key, one.state))

    def _owner(self, key: int) -> str | None:
        return owner_of(self._world, key)

    # -- the incidents ---------------------------------------------------------------------------------------------

    def _change(
        self, started: Mapping[int, int], ended: Mapping[int, int], renamed: Mapping[int, int], arrival: Arrival
    ) -> None:
        levels = {owner: self._level(incident) for owner, incident in self._open.items()}
        fresh = set()
        for key, alert in sorted(renamed.items()):
            incident = self._open[self._owner(key)]
            incident.alerts.remove(fingerprint_of(self._firing[key]))
            incident.alerts.add(fingerprint_of(alert))
        for key in sorted(started):
            owner = self._owner(key)
            if owner not in self._open:
                self._open[owner] = self._opened(owner, arrival.at)
                fresh.add(owner)
        joined = Counter(
            self._owner(key)
            for key, alert in started.items()
            if self._owner(key) not in fresh and fingerprint_of(alert) not in self._open[self._owner(key)].alerts
        )
        for key, alert in started.items():
            self._open[self._owner(key)].alerts.add(fingerprint_of(alert))
        still = {key: alert for key, alert in self._firing.items() if key not in ended}
        self._firing = {**still, **started, **renamed}
        fire = {self._owner(key) for key in self._firing}
        for owner, count in joined.items():
            self._open[owner].thread.append((Event.JOINED, count))
        for owner, level in levels.items():
            now = self._level(self._open[owner])
            if owner in fire and _is_worse(now, than=level):
                self._open[owner].worsen(now, at=arrival.at)
        self._close(set(self._open) - fire, told={self._owner(key) for key in ended}, arrival=arrival)

    def _opened(self, owner: str | None, at: float) -> Happened:
        lately = [
            incident
            for incident in self.incidents
            if incident.owner == owner and incident.closed_at is not None and at - incident.closed_at < HOUR_S
        ]
        newest = max(lately, key=_closed_at, default=None)
        if newest is None or not (newest.flaps or len(lately) >= FLAPS_AFTER):
            self.incidents.append(Happened(owner=owner, opened_at=at))
            return self.incidents[-1]
        if not newest.flaps:
            newest.thread.append((Event.FLAPPING, len(lately) + 1))
        newest.flaps += 1
        newest.closed_at = None
        return newest

    def _close(self, owners: Set[str | None], *, told: Set[str | None], arrival: Arrival) -> None:
        """Nothing of theirs fires; `told` are those of whom something ended by this word."""
        if arrival.truncated and not (self._world.reasons and arrival.reason == ALL_RESOLVED):
            return
        for owner in owners:
            if owner in told or not self._may_be_old(arrival):
                incident = self._open.pop(owner)
                incident.closed_at = arrival.at
                if not incident.flaps:
                    incident.thread.append((Event.RESOLVED, 0))

    def _moment(self, incident: Happened, at: float, *, heard: bool) -> Moment:
        return Moment(
            at=at,
            open=incident.closed_at is None,
            level=self._level(incident),
            repeats=incident.repeats,
            flaps=incident.flaps,
            worsened=incident.worsened,
            heard=heard,
        )

    def _level(self, incident: Happened) -> Level:
        """The most urgent of what fires, else of all that did."""
        firing = [alert for key, alert in self._firing.items() if self._owner(key) == incident.owner]
        alerts = firing or [int(fingerprint, 16) for fingerprint in incident.alerts]
        return min((Level(self._world.alerts[alert].severity) for alert in alerts), key=_urgency)

    # -- the words -------------------------------------------------------------------------------------------------

    def _is_repeat(self, arrival: Arrival, *, only_firing: bool) -> bool:
        if self._is_copy(arrival):
            return False
        if self._world.reasons:
            return arrival.reason == REPEAT
        return not self._is_soon(arrival) and (only_firing or self._is_last_again(arrival))

    def _is_copy(self, arrival: Arrival) -> bool:
        """Whether the same was told by the retry's first attempt, or by the other member."""
        if self._world.reasons and arrival.reason == REPEAT and self._last is not None and not self._last.repeat:
            return False
        return self._is_last_again(arrival) and self._is_soon(arrival)

    def _is_last_again(self, arrival: Arrival) -> bool:
        return self._last is not None and self._last.content == _content(arrival)

    def _is_soon(self, arrival: Arrival) -> bool:
        if self._last is None:
            return False
        return arrival.at - self._last.at < (RETRY_S if self._is_of_last(arrival) else COPY_S)

    def _may_be_old(self, arrival: Arrival) -> bool:
        return self._is_soon(arrival) and not self._is_of_last(arrival)

    def _is_of_last(self, arrival: Arrival) -> bool:
        return self._last is None or self._last.member == arrival.member


def _segments_of(world: World) -> dict[int, _Segment]:
    """The alerts that are values of a series, each of which fires once."""
    series: dict[int, list[tuple[tuple[float, float], int]]] = {}
    for alert, watched in enumerate(world.alerts):
        if watched.series is not None:
            series.setdefault(watched.series, []).append((watched.episodes[0], alert))
    segments: dict[int, _Segment] = {}
    for values in series.values():
        block, until = -1, -1.0
        values.sort()
        for place, ((begins_at, ends_at), alert) in enumerate(values):
            block += begins_at != until
            until = ends_at
            last = place + 1 == len(values) or values[place + 1][0][0] != ends_at
            segments[alert] = _Segment(series=values[0][1], block=block, place=place, last=last)
    return segments


def _urgency(level: Level) -> int:
    return tuple(Level).index(level)


def _is_worse(level: Level, *, than: Level) -> bool:
    return _urgency(level) < _urgency(than)


def _closed_at(incident: Happened) -> float:
    assert incident.closed_at is not None
    return incident.closed_at


def _content(arrival: Arrival) -> object:
    return frozenset(arrival.told), arrival.truncated
