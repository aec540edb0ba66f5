"""The core's decisions about a stream, compared with the truth body by body and incident by incident."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from router.core.incidents import Incident
from router.core.model import NotificationState
from router.core.routing import Decision
from router.intake.alertmanager import read
from tests.streams.replay import Replay, ended, repeats_of, started
from tests.streams.senders import Arrival, World, arrivals, instant
from tests.streams.truth import Effect, Happened, truth_of
from tests.streams.worlds import world_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a world held, and where the core saw something else."""

    bodies: int
    incidents: int
    refires: int
    repeats: int
    copies: int
    other: int  # old news, and what was said again later
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
    differences: list[str] = []
    counts: dict[str, int] = {}
    for arrival, word, body in zip(stream, truth.words, bodies, strict=True):
        repeats = repeats_of(replay.incidents.values())
        decision = replay.tell(read(body), at=arrival.received_at)
        repeated = repeats_of(replay.incidents.values()) > repeats
        differences += _of_word(arrival, word.started, word.ended, word.effect, decision, repeated=repeated)
        counts[word.effect] = counts.get(word.effect, 0) + 1
    differences += _of_incidents(list(replay.incidents.values()), truth.incidents)
    return Checked(
        bodies=len(stream),
        incidents=len(truth.incidents),
        refires=truth.refires,
        repeats=counts.get(Effect.REPEAT, 0),
        copies=counts.get(Effect.COPY, 0),
        other=counts.get(Effect.NOTHING, 0),
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


def _of_incidents(told: Sequence[Incident], truly: Sequence[Happened]) -> list[str]:
    seen = sorted(
        (
            incident.opened_at,
            incident.owner or "",
            incident.closed_at,
            frozenset(incident.alerts),
            incident.repeats,
        )
        for incident in told
    )
    wanted = sorted(
        (
            instant(happened.opened_at),
            happened.owner or "",
            None if happened.closed_at is None else instant(happened.closed_at),
            frozenset(happened.alerts),
            happened.repeats,
        )
        for happened in truly
    )
    if len(seen) != len(wanted):
        return [f"{len(seen)} incidents, truly {len(wanted)}"]
    return [
        f"incident {one[0]:%d %H:%M:%S} of {one[1] or 'nobody'}: {one[2]} {_short(one[3])} {one[4]} repeats, "
        f"truly {other[0]:%d %H:%M:%S} {other[1] or 'nobody'} {other[2]} {_short(other[3])} {other[4]} repeats"
        for one, other in zip(seen, wanted, strict=True)
        if one != other
    ]


def _short(fingerprints: frozenset[str]) -> str:
    return ",".join(sorted(fingerprint.lstrip("0") or "0" for fingerprint in fingerprints)) or "none"
