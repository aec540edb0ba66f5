"""Claims on messages: by one worker, and by eight at once, each message exactly once."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from router.core.model import MessageKind, Urgency
from router.core.routing import Wanted
from router.delivery import IN_FLIGHT, LEASE
from router.store import messages, sending
from router.store.engine import Engine, Session
from router.store.postgres import PostgresEngine
from router.store.sqlite import SqliteEngine
from tests.acceptance.organisation import CHANNELS
from tests.bench import servers
from tests.bench.report import Report

MESSAGES = 2_400
WORKERS = 8
ROUNDS = 3
NOW = datetime(2026, 11, 21, 10, 3, tzinfo=UTC)
FALLBACK = CHANNELS[None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """How all due messages were claimed."""

    seconds: float
    asked: int  # how often somebody asked for some, without the last time of each
    empty: int  # how often there were some and others held them

    @property
    def per_s(self) -> float:
        return MESSAGES / self.seconds

    def __str__(self) -> str:
        return (
            f"{self.per_s:7.0f} messages/s  {MESSAGES / self.asked:5.1f} a claim  "
            f"{self.empty} of {self.asked + self.empty} claims found all in other hands"
        )


def run(directory: Path, report: Report) -> None:
    """One worker is how a router works; eight are what the rows must withstand while a lease changes hands."""
    directory.mkdir(parents=True)
    print(f"  {MESSAGES:,} due messages, each in a channel of its own, at most {IN_FLIGHT} a claim")
    alone = [claimed_by(1, SqliteEngine(f"sqlite:///{directory}/{round_}.db")) for round_ in range(ROUNDS)]
    print(f"    SQLite, one worker         {middle(alone)}", flush=True)
    with servers.postgres() as postgres:
        if postgres is None:
            report.not_run("claims by eight workers", "PostgreSQL is not installed")
            return
        one, eight = [], []
        for _ in range(ROUNDS):
            one.append(claimed_by(1, PostgresEngine(postgres.new_database())))
            eight.append(claimed_by(WORKERS, PostgresEngine(postgres.new_database())))
        print(f"    PostgreSQL, one worker     {middle(one)}")
        print(f"    PostgreSQL, eight workers  {middle(eight)}")
        print(f"    eight workers / one: {middle(eight).per_s / middle(one).per_s:.2f}")
    # A router posts four a second. Eight that claim at once look for the same messages, and that is still not felt.
    report.goal("claims by one worker, PostgreSQL", middle(one).per_s, at_least=400, unit="/s")
    report.goal("claims by eight, each exactly once, PostgreSQL", middle(eight).per_s, at_least=40, unit="/s")


def middle(rounds: list[Claims]) -> Claims:
    return sorted(rounds, key=lambda one: one.per_s)[len(rounds) // 2]


def claimed_by(workers: int, engine: Engine) -> Claims:
    """All messages claimed in a new database. Fails if one was claimed twice, or was not."""
    with closing(engine.open()) as session:
        session.begin()
        messages.want(session, [wanted(number) for number in range(MESSAGES)], now=NOW)
        session.commit()
        start = threading.Barrier(workers + 1)
        with ThreadPoolExecutor(workers) as pool:
            working = [pool.submit(work, engine, start) for _ in range(workers)]
            start.wait()
            began = time.monotonic()
            found = [one.result() for one in working]
            seconds = time.monotonic() - began
    engine.close()
    times = Counter(identifier for claims, _ in found for claim in claims for identifier in claim)
    assert len(times) == MESSAGES, f"{MESSAGES - len(times)} of {MESSAGES} messages were not claimed"
    assert times.total() == MESSAGES, f"{times.total() - MESSAGES} messages were claimed twice"
    return Claims(
        seconds=seconds,
        asked=sum(len(claims) for claims, _ in found),
        empty=sum(empty for _, empty in found),
    )


def work(engine: Engine, start: threading.Barrier) -> tuple[list[list[int]], int]:
    """Claim until nothing is due: the ids of each claim, and how many claims got none of what was due."""
    claims: list[list[int]] = []
    empty = 0
    with closing(engine.connect()) as session:
        start.wait()
        while due(session):
            if claimed := claim(session):
                claims.append(claimed)
            else:
                empty += 1
    return claims, empty


def claim(session: Session) -> list[int]:
    session.begin()
    claimed = sending.claim(
        session, now=NOW, lease=LEASE, posts=IN_FLIGHT, edits=0, limit=IN_FLIGHT, blocked=(), fallback=FALLBACK
    )
    session.commit()
    return [message.id for message in claimed]


def due(session: Session) -> bool:
    session.begin()
    at = sending.next_due(session, now=NOW)
    session.commit()
    return at is not None and at <= NOW


def wanted(number: int) -> Wanted:
    return Wanted(
        incident=f"incident-{number}", kind=MessageKind.ROOT, channel_id=f"C0CLAIM{number:04d}", urgency=Urgency.FIRING
    )
