"""What a receiver of these bodies can truly know, told from the world in which they were made.

The world knows of every alert in a body which of its episodes that is and whether it is over, so old news and new are
told apart by that and not by windows of time or by who sent it. The truth is then:

- **An alert fires** from the first word of an episode until the word that this or a later episode is over.
  A word of an earlier state of the alert than one that was told is old news and changes nothing, whoever sends it.
- **An incident** is an owner's share of the group, from the first of his alerts that was told to fire while none did,
  until a word after which none does. What is absent from a word (silenced, cut off by `max_alerts`) keeps its state.
  So a word that cuts off alerts can end an incident of which a hidden one fires: not right, see test_generated.
- **A re-fire** is a start of an alert that was told before to be over. An alert that ended and began again between two
  flushes was never told to be over: only its `startsAt` moved, and it is no re-fire. (dispatch/dispatch.go: a flush
  tells states, not events)
- **A resolve of what nobody was told** to fire changes nothing, and is not remembered.
- **A repeat** is a word without news that says of itself that it is one. Before 0.32 nothing says so: then it is a word
  of nothing but what is known to fire, told later than a retry (same member) or the other member's copy would be.
  So the end of a silence, a restart, a flush whose answers were all lost, and a change among alerts that are cut off
  count as repeats before 0.32: their bodies are the same as a repeat's. (template/template.go writes nothing else)
- **A copy** is the last word that counted, once more and soon: a retry, or the other member's.
- **Nothing else is news**: re-sent resolves, old news, what is told again for another reason than a repeat.

What a word adds is asked of each body (`Effect`), so that not only the sums agree.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from tests.streams.senders import REPEAT, Arrival, World, fingerprint_of, owner_of

# The sender leaves these to be guessed; the core guesses the same (router.core.incidents says why).
RETRY_S: Final = 9.0
COPY_S: Final = 330.0


class Effect(StrEnum):
    NEWS = "news"
    REPEAT = "repeat"
    COPY = "copy"  # of the last word: a retry, or the other member's
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one body adds to what was known."""

    effect: Effect
    started: frozenset[str]  # fingerprints
    ended: frozenset[str]


@dataclass(slots=True, kw_only=True)
class Happened:
    """One incident, as it was told."""

    owner: str | None
    opened_at: float
    closed_at: float | None = None
    alerts: set[str] = field(default_factory=set)
    repeats: int = 0


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


class _Telling:
    def __init__(self, world: World) -> None:
        self._world = world
        self._firing: set[int] = set()
        self._state: dict[int, tuple[int, bool]] = {}  # alert -> (episode, over): the latest that was told
        self._open: dict[str | None, Happened] = {}
        self._last: _Counted | None = None
        self.incidents: list[Happened] = []
        self.refires = 0

    def hear(self, arrival: Arrival) -> Word:
        started, ended = set(), set()
        again = set()  # owners who are told again that something of theirs fires
        only_firing = True
        for told in arrival.told:
            state, latest = (told.episode, told.resolved), self._state.get(told.alert)
            only_firing = only_firing and not told.resolved
            if latest is not None and state < latest:
                only_firing = False
            elif told.resolved:
                if told.alert in self._firing:
                    ended.add(told.alert)
                    self._state[told.alert] = state
            elif told.alert in self._firing:
                again.add(owner_of(self._world, told.alert))
                self._state[told.alert] = state
            elif latest != state:
                self.refires += latest is not None
                started.add(told.alert)
                self._state[told.alert] = state
        if started or ended:
            self._change(started, ended, arrival.at)
            effect = Effect.NEWS
        elif again and self._is_repeat(arrival, only_firing=only_firing):
            for owner in again:
                self._open[owner].repeats += 1
            effect = Effect.REPEAT
        else:
            effect = Effect.COPY if self._is_copy(arrival) else Effect.NOTHING
        # A member's words are in order, so its later one is what it says now. The other member's may be an old one.
        if effect in (Effect.NEWS, Effect.REPEAT) or (effect is Effect.NOTHING and self._is_of_last(arrival)):
            self._last = _Counted(
                at=arrival.at, member=arrival.member, content=_content(arrival), repeat=arrival.reason == REPEAT
            )
        return Word(
            effect=effect,
            started=frozenset(map(fingerprint_of, started)),
            ended=frozenset(map(fingerprint_of, ended)),
        )

    def _change(self, started: set[int], ended: set[int], at: float) -> None:
        self._firing = (self._firing | started) - ended
        for alert in sorted(started):
            owner = owner_of(self._world, alert)
            incident = self._open.get(owner)
            if incident is None:
                incident = self._open[owner] = Happened(owner=owner, opened_at=at)
                self.incidents.append(incident)
            incident.alerts.add(fingerprint_of(alert))
        for owner in {owner_of(self._world, alert) for alert in ended}:
            if not any(owner_of(self._world, alert) == owner for alert in self._firing):
                self._open.pop(owner).closed_at = at

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

    def _is_of_last(self, arrival: Arrival) -> bool:
        return self._last is None or self._last.member == arrival.member


def _content(arrival: Arrival) -> object:
    return frozenset(arrival.told), arrival.truncated
