"""The core's decisions about a stream, compared with the truth body by body and incident by incident."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from router.core.history import EscalationReason, Event, Happening
from router.core.incidents import Incident
from router.core.model import IncidentState, Level, NotificationState
from router.core.ownership import OwnershipMap
from router.core.routing import Decision
from router.intake.alertmanager import read
from tests.streams.called import Call, Fate, Silent, Stop, fates_of
from tests.streams.charts import Chart, channel_of, chart_of, map_of
from tests.streams.people import Press, presses_of
from tests.streams.replay import OfTheirTeam, Replay, ended, repeats_of, started
from tests.streams.senders import PEER_TIMEOUT_S, Arrival, World, arrivals, instant
from tests.streams.truth import Effect, Happened, truth_of
from tests.streams.worlds import DAY, DAYS, world_of

# As docs/explanation/alertmanager.md says of what is stale; and a silence before which nothing can be stale any more.
UNKNOWN: Final = timedelta(hours=26)
LEAST: Final = timedelta(minutes=15)
LONGEST: Final = timedelta(days=DAYS)
END_S: Final = 3 * DAYS * DAY

CHANNELS: Final = {team: channel_of(team) for team in ("payments", "ledger")}
NOWHERE: Final = Chart()
OF_TIME: Final = frozenset(
    {Event.STALE, Event.HEARD_AGAIN, Event.ESCALATED, Event.ACKNOWLEDGED, Event.SNOOZED, Event.SNOOZE_OVER}
)

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
    unacknowledged: int  # escalations, by their reason
    repeated: int
    orphaned: int
    woken: int  # snoozes that ended by themselves
    fates: tuple[Fate, ...]
    differences: tuple[str, ...]


def check_seed(seed: int) -> Checked:
    """The month of this seed, checked."""
    return check(world_of(seed), Random(seed), chart=chart_of_seed(seed))  # noqa: S311  # not for secrets


def chart_of_seed(seed: int) -> Chart:
    return chart_of(Random(f"chart {seed}"))  # noqa: S311  # not for secrets


def check(world: World, chance: Random, *, chart: Chart | None = None) -> Checked:
    """Without a chart nobody is called, and nobody does anything."""
    stream = arrivals(world, chance)
    presses = presses_of(world, stream, chance) if chart is not None else ()
    return compare(world, stream, [arrival.body for arrival in stream], chart=chart or NOWHERE, presses=presses)


def compare(
    world: World,
    stream: Sequence[Arrival],
    bodies: Sequence[bytes],
    *,
    chart: Chart = NOWHERE,
    presses: Sequence[Press] = (),
    ownership: OwnershipMap | None = None,
) -> Checked:
    """What the core makes of `bodies`, against the truth about `stream`, whose bodies they are.

    By the map of the chart, unless it is given another one.
    """
    truth = truth_of(world, stream)
    stops = stops_of(world)
    replay = Replay(ownership=OfTheirTeam(channels=CHANNELS), map=ownership or map_of(chart), stops=stops.copy())
    shown = _Shown(ticks=[arrival.tick for arrival in stream])
    differences: list[str] = []
    counts: dict[str, int] = {}
    pressing = deque(presses)
    for arrival, word, body in zip(stream, truth.words, bodies, strict=True):
        while pressing and pressing[0].at < arrival.at:
            replay.press(pressing.popleft())
        repeats = repeats_of(replay.incidents.values())
        decision = replay.tell(read(body), at=arrival.received_at)
        differences += shown.differences(decision)
        repeated = repeats_of(replay.incidents.values()) > repeats
        differences += _of_word(arrival, word.started, word.ended, word.effect, decision, repeated=repeated)
        counts[word.effect] = counts.get(word.effect, 0) + 1
    for press in pressing:
        replay.press(press)
    replay.wait_until(instant(END_S))
    differences += _of_incidents(replay, truth.incidents)
    differences += _of_silences(replay, world)
    fates = fates_of(
        chart,
        truth.incidents,
        presses=presses,
        silent=[_silent(replay.incidents[silence.incident], silence.stale_at) for silence in replay.silences],
        stops=stops,
        end=instant(END_S),
    )
    differences += _of_fates(replay, fates)
    reasons = Counter(call.reason for fate in fates for call in fate.calls)
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
        unacknowledged=reasons[EscalationReason.UNACKNOWLEDGED],
        repeated=reasons[EscalationReason.REPEATED],
        orphaned=reasons[EscalationReason.ORPHANED],
        woken=sum(len(fate.woken) for fate in fates),
        fates=tuple(fates),
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


def _of_fates(replay: Replay, fates: Sequence[Fate]) -> list[str]:
    """Whom each incident called, and when its snoozes ended; in the order in which they opened."""
    incidents = sorted(replay.incidents.values(), key=lambda incident: incident.opened_at)
    differences = []
    for incident, fate in zip(incidents, fates, strict=False):
        calls = tuple(
            Call(at=one.at, reason=one.reason, to=one.to, channel=one.channel_id) for one in incident.escalations
        )
        if calls != fate.calls:
            differences.append(f"{_of(incident)} called {_calls(calls)}, truly {_calls(fate.calls)}")
        woken = tuple(
            happening.at
            for happening in replay.threads[incident.id]
            if happening.event is Event.SNOOZE_OVER and happening.by is None
        )
        if woken != fate.woken:
            differences.append(f"{_of(incident)} woke {_times(woken)}, truly {_times(fate.woken)}")
    return differences


def _calls(calls: Sequence[Call]) -> str:
    return "; ".join(f"{call.at:%d %H:%M:%S} {call.reason} {call.to} {call.channel}" for call in calls) or "nobody"


def _times(times: Sequence[datetime]) -> str:
    return "; ".join(f"{at:%d %H:%M:%S}" for at in times) or "never"


def _silent(incident: Incident, at: datetime) -> Silent:
    return Silent(owner=incident.owner, opened_at=incident.opened_at, at=at)


def stops_of(world: World) -> list[Stop]:
    """Its outages, as one where they overlap."""
    stops = list[Stop]()
    for since, until in sorted(world.outages):
        if stops and instant(since) <= stops[-1].until:
            last = stops.pop()
            stops.append(Stop(since=last.since, until=max(last.until, instant(until))))
        else:
            stops.append(Stop(since=instant(since), until=instant(until)))
    return stops


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
    """Without what time and people do: see _of_silences and _of_fates."""
    return tuple(
        (happening.event, happening.level or happening.count)
        for happening in happenings
        if happening.event not in OF_TIME
    )


def _told(incident: tuple[datetime, str, datetime | None, frozenset[str], int, int, Thread]) -> str:
    opened_at, owner, closed_at, alerts, repeats, flaps, _ = incident
    until = "now" if closed_at is None else f"{closed_at:%d %H:%M:%S}"
    return (
        f"{opened_at:%d %H:%M:%S} to {until} of {owner or 'nobody'}: {_short(alerts)}, {repeats} repeats, {flaps} flaps"
    )


def _short(fingerprints: frozenset[str]) -> str:
    return ",".join(sorted(fingerprint.lstrip("0") or "0" for fingerprint in fingerprints)) or "none"
