"""`kill -9` under load, again and again, of the one router on SQLite and of two on PostgreSQL.

Posters send notifications with an alert more each time, and retries of the last. Slack is an emulator in a process of
its own, which survives. At the end the routers may finish; all that was acknowledged must then be seen in Slack.
A few lanes run beside each other, each with routers, a database and a Slack of its own: much of the time is waiting.
"""

import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.acceptance.organisation import CHANNELS, channel_of, map_of, write_map
from tests.postgres import PostgresServer, server
from tests.programs import eventually
from tests.router_process import Json, RouterProcess, drained
from tests.torture.load import Ledger, Poster, Watcher, posting, teams_of, watching
from tests.torture.outcome import Outcome, outcome, together
from tests.torture.slack import SlackProcess
from tests.torture.verdict import incidents_of, judge

TEAMS: Final = 200
POSTERS: Final = 4
# How many can be in doubt after a kill is what the end takes long for: Slack lets few calls look for them.
GROUPS_A_LIFE: Final = 1
LATEST_KILL_S: Final = 0.3
DRAIN_S: Final = 1_800
# A lease lasts 20 s, and a channel or the workspace is never paced for longer than some seconds.
STALLED_S: Final = 120
# What Slack takes to answer, so that calls are under way when the router is killed.
SLACK_S: Final = 0.05
SQLITE_LANES: Final = 3
POSTGRES_LANES: Final = 3
# How long it may take until the next one delivers, after the one that did was killed.
HANDOVER_S: Final = 20
# Longer than a lease, and than the claim on a message.
PAUSED_S: Final = 21
SAY_EVERY: Final = 20


@dataclass(slots=True)
class Lane:
    """Routers of one database, and what was done to them."""

    number: int
    routers: Sequence[RouterProcess]
    slack: SlackProcess
    chance: random.Random
    database: PostgresServer | None = None
    ledger: Ledger = field(default_factory=Ledger)
    # When routers and databases were killed or stood still, by the emulator's clock.
    kills: list[float] = field(default_factory=list)

    def posters(self, cycle: int, stop: threading.Event) -> list[Poster]:
        return [
            Poster(
                self.routers,
                self.ledger,
                stop,
                name=f"T{self.number}c{cycle:x}p{poster}",
                teams=teams_of(self.chance, teams=TEAMS, groups=GROUPS_A_LIFE),
                seed=self.chance.getrandbits(32),
            )
            for poster in range(POSTERS)
        ]

    def kill(self, *routers: RouterProcess) -> None:
        for router in routers:
            router.kill()
            self.kills.append(time.time())

    def pause(self, router: RouterProcess) -> None:
        """It stands still for longer than anything is promised to it, and then goes on as if nothing had been."""
        router.send_signal(signal.SIGSTOP)
        self.kills.append(time.time())
        threading.Event().wait(PAUSED_S)
        router.send_signal(signal.SIGCONT)

    def wait_for_a_delivery(self, timeout_s: float) -> None:
        """Until some router has delivered from now on; not for ever, as there may be nothing to deliver."""
        seen = [len(router.events) for router in self.routers]
        deadline = time.monotonic() + timeout_s
        pause = threading.Event()
        while time.monotonic() < deadline:
            for router, before in zip(self.routers, seen, strict=True):
                if any(line.get("event") == "message_delivered" for line in router.events[before:]):
                    return
            pause.wait(0.02)


def sqlite(cycles: int, seed: int) -> Outcome:
    """One router, killed so often."""

    def lane(number: int, share: int) -> Outcome:
        with _lane(number, seed, routers=1) as made:
            return _torture(made, share, _sqlite_cycle)

    return _lanes("sqlite", cycles, SQLITE_LANES, lane)


def postgres(cycles: int, seed: int) -> Outcome:
    """Two routers on one database: one of them is killed, or both; now and then the database, or one stands still."""

    def lane(number: int, share: int) -> Outcome:
        with server() as database, _lane(number, seed, routers=2, database=database) as made:
            return _torture(made, share, _postgres_cycle)

    return _lanes("postgres", cycles, POSTGRES_LANES, lane)


def _sqlite_cycle(lane: Lane, cycle: int) -> None:
    (router,) = lane.routers
    stop = threading.Event()
    if lane.chance.random() < 0.3:
        # Not while it starts, but while it sends what the kills before left behind.
        lane.wait_for_a_delivery(1)
    with posting(lane.posters(cycle, stop), stop):
        stop.wait(lane.chance.uniform(0, LATEST_KILL_S))
        lane.kill(router)
        stop.set()
    router.start()


def _postgres_cycle(lane: Lane, cycle: int) -> None:
    assert lane.database is not None
    stop = threading.Event()
    with posting(lane.posters(cycle, stop), stop):
        if lane.chance.random() < 0.4:
            lane.wait_for_a_delivery(HANDOVER_S)
        stop.wait(lane.chance.uniform(0, LATEST_KILL_S))
        what = lane.chance.random()
        killed: Sequence[RouterProcess] = ()
        if what < 0.05:
            lane.pause(lane.chance.choice(lane.routers))
        elif what < 0.15:
            lane.database.kill()
            lane.kills.append(time.time())
            stop.wait(lane.chance.uniform(0, LATEST_KILL_S))
            lane.database.start()
        else:
            killed = lane.routers if what < 0.35 else (lane.chance.choice(lane.routers),)
            lane.kill(*killed)
    for router in killed:
        router.start()


def _torture(lane: Lane, cycles: int, cycle: Callable[[Lane, int], None]) -> Outcome:
    started = time.monotonic()
    with watching(lane.routers) as watcher:
        for number in range(cycles):
            cycle(lane, number)
            if (number + 1) % SAY_EVERY == 0:
                _say(lane, f"{number + 1:5} of {cycles}, {len(lane.ledger.acknowledged)} alerts acknowledged")
        status = drain(lane.routers[0], lambda said: _say(lane, said))
    return concluded(lane, status, watcher, cycles=cycles, seconds=time.monotonic() - started)


def concluded(lane: Lane, status: Json, watcher: Watcher, *, cycles: int, seconds: float) -> Outcome:
    """The verdict, once everything is drained."""
    verdict = judge(
        lane.ledger,
        lane.slack.state(),
        incidents_of(lane.routers[0]),
        [line for router in lane.routers for line in router.events],
        status=status,
        kills=lane.kills,
    )
    return outcome(
        lane.ledger, verdict, status, cycles=cycles, seconds=seconds, looks=watcher.looks, wrong=watcher.wrong
    )


def drain(router: RouterProcess, say: Callable[[str], None]) -> Json:
    """Let the routers finish, saying every now and then how far they are. Every status on the way balances."""
    said = moved = time.monotonic()
    left = (0, 0)

    def done(status: Json) -> bool:
        nonlocal said, moved, left
        now = time.monotonic()
        found = (status["notifications"]["waiting"], status["messages"]["pending"])
        if found != left:
            left, moved = found, now
        assert now - moved < STALLED_S, f"nothing has moved for {STALLED_S} s: {status}"
        if now - said >= 30:
            said = now
            say(f"draining: {left[0]} notifications waiting, {left[1]} messages pending")
        return drained(status)

    # The connection to a database that was killed a moment ago is found broken only by who uses it next.
    eventually(lambda: router.get("/api/v1/status").status == 200, timeout_s=30, what="the router can read again")
    return router.wait_until(done, DRAIN_S)


@contextmanager
def _lane(number: int, seed: int, *, routers: int, database: PostgresServer | None = None) -> Iterator[Lane]:
    with tempfile.TemporaryDirectory(prefix="router-torture-") as directory, SlackProcess() as slack:
        slack.seed_channels([*(channel_of(team) for team in range(TEAMS)), CHANNELS[None]])
        slack.answer_after(SLACK_S)
        place = Path(directory)
        with running(place, slack, routers=routers, url=None if database is None else database.new_database()) as made:
            chance = random.Random(f"{seed} {number}")  # noqa: S311 - repeatable, not secret
            yield Lane(number, made, slack, chance, database)


@contextmanager
def running(place: Path, slack: SlackProcess, *, routers: int, url: str | None) -> Iterator[list[RouterProcess]]:
    """Routers of one database, each started; killed at the end if they still run."""
    ownership = write_map(place, map_of(TEAMS))
    made = [RouterProcess(place, ownership=ownership, slack=slack.access, database_url=url) for _ in range(routers)]
    try:
        for router in made:
            router.start()
        yield made
    finally:
        for router in made:
            router.__exit__(None, None, None)  # kills what runs


def _lanes(name: str, cycles: int, lanes: int, lane: Callable[[int, int], Outcome]) -> Outcome:
    started = time.monotonic()
    shares = [(cycles + number) // lanes for number in range(lanes)]
    with ThreadPoolExecutor(lanes, thread_name_prefix=name) as pool:
        under_way = [pool.submit(lane, number, share) for number, share in enumerate(shares) if share]
        found = [one.result() for one in under_way]
    return together(found, seconds=time.monotonic() - started)


def _say(lane: Lane, what: str) -> None:
    kind = "sqlite" if lane.database is None else "postgres"
    print(f"  {kind} {lane.number}: {what}", flush=True)
