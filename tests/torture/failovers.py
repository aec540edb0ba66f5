"""A primary is killed under load, its synchronous standby is promoted, and two routers go on by themselves."""

import random
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.acceptance.organisation import CHANNELS, channel_of
from tests.postgres import Pair, pair
from tests.programs import eventually
from tests.torture.kills import SLACK_S, TEAMS, Lane, concluded, drain, running
from tests.torture.load import Poster, posting, watching
from tests.torture.outcome import Outcome, together
from tests.torture.slack import SlackProcess

POSTERS: Final = 4
GROUPS: Final = 2  # of each poster
PAUSE_S: Final = 0.1
# From the promotion on.
BACK_WITHIN_S: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class FailOver:
    """One of them."""

    outcome: Outcome
    refused: int  # posts answered 503 meanwhile
    back_after_s: float  # from the promotion to the next answer 200


def failovers(times: int, seed: int) -> Outcome:
    """So many, each of a new pair."""
    started = time.monotonic()
    found = []
    for number in range(times):
        done = fail_over(number, seed)
        print(
            f"  failover {number + 1} of {times}: {done.outcome.alerts} alerts acknowledged, {done.refused} posts "
            f"answered 503, back {done.back_after_s:.1f} s after the promotion",
            flush=True,
        )
        found.append(done.outcome)
    return together(found, seconds=time.monotonic() - started)


def fail_over(number: int, seed: int) -> FailOver:
    started = time.monotonic()
    with pair() as servers, _lane(number, seed, servers) as lane, watching(lane.routers) as watcher:
        refused, back_after_s = _failed_over(lane, servers)
        status = drain(lane.routers[0], lambda said: print(f"  failover {number + 1}: {said}", flush=True))
        seconds = time.monotonic() - started
        return FailOver(
            outcome=concluded(lane, status, watcher, cycles=1, seconds=seconds),
            refused=refused,
            back_after_s=back_after_s,
        )


def _failed_over(lane: Lane, servers: Pair) -> tuple[int, float]:
    """How many posts were answered 503, and how long it took after the promotion until one was taken."""
    stop = threading.Event()
    ledger = lane.ledger
    with posting(_posters(lane, "a", stop), stop):
        eventually(lambda: len(ledger.acknowledged) > POSTERS, timeout_s=20, what="load")
        stop.wait(lane.chance.uniform(0, 1))
        servers.kill_primary()
        lane.kills.append(time.time())
        refused = ledger.refused
        eventually(lambda: ledger.refused > refused, timeout_s=20, what="503 while there is no primary")
        promoted_at, answered = time.monotonic(), ledger.answered
        servers.promote()
        eventually(lambda: ledger.answered > answered, timeout_s=BACK_WITHIN_S, what="200 after the promotion")
        back_after_s = time.monotonic() - promoted_at
    stop = threading.Event()
    before = len(ledger.acknowledged)
    with posting(_posters(lane, "b", stop), stop):
        eventually(lambda: len(ledger.acknowledged) > before + POSTERS, timeout_s=20, what="new alerts are taken")
    return ledger.refused, back_after_s


def _posters(lane: Lane, name: str, stop: threading.Event) -> Sequence[Poster]:
    return [
        Poster(
            lane.routers,
            lane.ledger,
            stop,
            name=f"T{lane.number}{name}p{poster}",
            teams=[lane.chance.randrange(TEAMS) for _ in range(GROUPS)],
            seed=lane.chance.getrandbits(32),
            pause_s=PAUSE_S,
        )
        for poster in range(POSTERS)
    ]


@contextmanager
def _lane(number: int, seed: int, servers: Pair) -> Iterator[Lane]:
    with tempfile.TemporaryDirectory(prefix="router-failover-") as directory, SlackProcess(rates="strict") as slack:
        slack.seed_channels([*(channel_of(team) for team in range(TEAMS)), CHANNELS[None]])
        slack.answer_after(SLACK_S)
        with running(Path(directory), slack, routers=2, url=servers.new_database()) as routers:
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - repeatable, not secret
            yield Lane(number, routers, slack, chance)
