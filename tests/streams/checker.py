"""The core's decisions about a stream, compared with the truth body by body and incident by incident."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from router.core.history import Event, Happening
from router.core.incidents import Incident
from router.core.model import IncidentState, Level, NotificationState
from router.core.routing import Decision
from router.intake.alertmanager import read
from tests.streams.replay import Replay, ended, repeats_of, started
from tests.streams.senders import PEER_TIMEOUT_S, Arrival, World, arrivals, instant
from tests.streams.truth import Effect, Happened, truth_of
from tests.streams.worlds import DAY, DAYS, world_of

# As docs/explanation/alertmanager.md says of what is stale; and a silence before which nothing can be stale any more.
UNKNOWN: Final = timedelta(hours=26)
LEAST: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(days=DAYS)
END_S: Final = 3 * DAYS * DAY

Thread = tuple[tuple[Event, int | Level], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a world held, and where the core saw something else."""

    bodies: int
    incidents: int
    refires: int
    repeats: int
    copies: int
    other: int  # old news, and what was said again later
    values: int  # words that what fires does so under another value
    flaps: int
    silences: int  # incidents that went stale
    told: int  # happenings in the threads
    differences: tuple[str, ...]


def check_seed(seed: int) -> Checked:
    """The month of this seed, checked."""
    return check(world_of(seed), Random(seed))  # noqa: S311  # not for secrets


def check(world: World, chance: Random) -> Checked:
    stream = arrivals(world, chance)
    return compare(world, stream, [arrival.body for arrival in stream])


def compare(world: World, stream: Sequence[Arrival], bodies: Sequence[bytes]) -> Checked:
    """What the core makes of `bodies`, against the truth about `stream`, whose bodies they are."""
    truth = truth_of(world, stream)
    replay = Replay()
    shown = _Shown(ticks=[arrival.tick for arrival in stream])
    differences: list[str] = []
    counts: dict[str, int] = {}
    for arrival, word, body in zip(stream, truth.words, bodies, strict=True):
        repeats = repeats_of(replay.incidents.values())
        decision = replay.tell(read(body), at=arrival.received_at)
        differences += shown.differences(decision)
        repeated = repeats_of(replay.incidents.values()) > repeats
        differences += _of_word(arrival, word.started, word.ended, word.effect, decision, repeated=repeated)
        counts[word.effect] = counts.get(word.effect, 0) + 1
    replay.wait_until(instant(END_S))
    differences += _of_incidents(replay, truth.incidents)
    differences += _of_silences(replay, world)
    return Checked(
        bodies=len(stream),
        incidents=len(truth.incidents),
        refires=truth.refires,
        repeats=counts.get(Effect.REPEAT, 0),
        copies=counts.get(Effect.COPY, 0),
        other=counts.get(Effect.NOTHING, 0),
        values=counts.get(Effect.VALUE, 0),
        flaps=sum(happened.flaps for happened in truth.incidents),
        silences=len(replay.silences),
        told=sum(map(len, replay.threads.values())),
        differences=tuple(differences),
    )


def _of_word(
    arrival: Arrival,
    truly_started: frozenset[str],
    truly_ended: frozenset[str],
    effect: Effect,
    decision: Decision,
    *,
    repeated: bool,
) -> list[str]:
    where = f"{instant(arrival.at):%d %H:%M:%S} member {arrival.member}, {arrival.reason}"
    differences = []
    for what, told, truly in (
        ("starts", started(decision), truly_started),
        ("ends", ended(decision), truly_ended),
    ):
        if told != truly:
            differences.append(f"{where}: {what} {_short(told)}, truly {_short(truly)}")
    if repeated != (effect is Effect.REPEAT):
        differences.append(f"{where}: {'a' if repeated else 'no'} repeat, truly {effect}")
    if (decision.state is NotificationState.DEDUPLICATED) != (effect is Effect.COPY):
        differences.append(f"{where}: {decision.state}, truly {effect}")
    return differences


def _of_incidents(replay: Replay, truly: Sequence[Happened]) -> list[str]:
    seen = sorted(
        (
            incident.opened_at,
            incident.owner or "",
            incident.closed_at,
            frozenset(incident.alerts),
            incident.repeats,
            incident.flaps,
            _thread(replay.threads[incident.id]),
        )
        for incident in replay.incidents.values()
    )
    wanted = sorted(
        (
            instant(happened.opened_at),
            happened.owner or "",
            None if happened.closed_at is None else instant(happened.closed_at),
            frozenset(happened.alerts),
            happened.repeats,
            happened.flaps,
            tuple(happened.thread),
        )
        for happened in truly
    )
    if len(seen) != len(wanted):
        return [f"{len(seen)} incidents, truly {len(wanted)}"]
    return [
        f"incident {_told(one)}, truly {_told(other)}" for one, other in zip(seen, wanted, strict=True) if one != other
    ]


def _of_silences(replay: Replay, world: World) -> list[str]:
    """When an incident went stale depends on what was learned of its rhythm: but never before the next repeat is due.

    And in the end all are that did not end; of what is heard again that is said once.
    """
    next_repeat_s = (
        world.repeat_interval_s + world.group_interval_s + max(world.group_interval_s, 10.0) + PEER_TIMEOUT_S
    )
    soonest = min(UNKNOWN, max(timedelta(seconds=next_repeat_s), LEAST))
    differences = [
        f"stale at {silence.stale_at:%d %H:%M:%S}, heard of at {silence.heard_at:%d %H:%M:%S}"
        for silence in replay.silences
        if not soonest <= silence.stale_at - silence.heard_at <= LONGEST
    ]
    for incident in replay.incidents.values():
        thread = [happening.event for happening in replay.threads[incident.id]]
        silences = [event for event in thread if event in (Event.STALE, Event.HEARD_AGAIN)]
        in_turn = [Event.STALE, Event.HEARD_AGAIN] * len(silences)
        if (incident.state is IncidentState.OPEN) or silences != in_turn[: len(silences)]:
            differences.append(f"{incident.state} in the end, {', '.join(silences)}: {_of(incident)}")
    return differences


def _of(incident: Incident) -> str:
    return f"incident {incident.opened_at:%d %H:%M:%S} of {incident.owner or 'nobody'}"


@dataclass
class _Shown:
    """The words that are shown of each alert: never older ones than before."""

    ticks: list[float]
    _shown: dict[tuple[str, str], float] = field(default_factory=dict)

    def differences(self, decision: Decision) -> list[str]:
        differences = []
        for incident in decision.incidents:
            for fingerprint, tracked in incident.alerts.items():
                tick, key = self.ticks[tracked.notification - 1], (incident.id, fingerprint)
                if tick < self._shown.get(key, tick):
                    differences.append(f"words of {tick:.0f} s replace those of {self._shown[key]:.0f} s")
                self._shown[key] = tick
        return differences


def _thread(happenings: Iterable[Happening]) -> Thread:
    """Without what time does: see _of_silences."""
    return tuple(
        (happening.event, happening.level or happening.count)
        for happening in happenings
        if happening.event not in (Event.STALE, Event.HEARD_AGAIN)
    )


def _told(incident: tuple[datetime, str, datetime | None, frozenset[str], int, int, Thread]) -> str:
    opened_at, owner, closed_at, alerts, repeats, flaps, _ = incident
    until = "now" if closed_at is None else f"{closed_at:%d %H:%M:%S}"
    return (
        f"{opened_at:%d %H:%M:%S} to {until} of {owner or 'nobody'}: {_short(alerts)}, {repeats} repeats, {flaps} flaps"
    )


def _short(fingerprints: frozenset[str]) -> str:
    return ",".join(sorted(fingerprint.lstrip("0") or "0" for fingerprint in fingerprints)) or "none"
