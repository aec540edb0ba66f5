"""The store alone, driven as the intake drives it: `python -m tests.bench.appends URL BATCH CALLERS SECONDS`.

Prints one JSON: how many rows were committed, by how many commits, in which time. BATCH 1 is one commit a request.
With BATCH `pool` the callers share eight connections instead, as a service on PostgreSQL usually does: each request is
a transaction of its own, and several are under way at once.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import uvloop

from router.core.model import Source
from router.store import database, inbox
from router.store.database import Store
from router.telemetry import Metrics
from tests.bench.bodies import MARK, mark, template

WARM_UP_S = 0.5
POOL = 8
NOW = datetime(2026, 11, 21, 10, 3, tzinfo=UTC)


def commits(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("router_store_commit_seconds_count") or 0.0


async def drive(url: str, *, callers: int, seconds: float) -> dict[str, float]:
    metrics = Metrics()
    store = Store(url, append=inbox.append, metrics=metrics)
    store.open(asyncio.get_running_loop())
    try:
        return await calling(
            lambda row: store.append(row, size=len(row[-1])),
            callers=callers,
            seconds=seconds,
            commits=lambda: commits(metrics),
        )
    finally:
        await store.close()


async def drive_pool(url: str, *, callers: int, seconds: float) -> dict[str, float]:
    # Makes the tables.
    store = Store(url, append=inbox.append, metrics=Metrics())
    store.open(asyncio.get_running_loop())
    await store.close()
    free: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()
    for _ in range(POOL):
        free.put_nowait(await psycopg.AsyncConnection.connect(url, autocommit=True))
    done = 0

    async def append(row: Row) -> None:
        nonlocal done
        connection = await free.get()
        try:
            # Without the totals: eight transactions would wait for one row, which nobody would build like this.
            await connection.execute(INSERT, (*row[:5], row[0], row[5]), prepare=True, binary=True)
        finally:
            free.put_nowait(connection)
        done += 1

    try:
        return await calling(append, callers=callers, seconds=seconds, commits=lambda: done)
    finally:
        while not free.empty():
            await free.get_nowait().close()


Row = tuple[Any, ...]  # as inbox.append takes it
INSERT = """
    WITH told AS (INSERT INTO notifications (id, source, received_at, state, error) VALUES (%s, %s, %s, %s, %s))
    INSERT INTO bodies (id, body) VALUES (%s, %s)
"""


async def calling(
    append: Callable[[Row], Awaitable[None]], *, callers: int, seconds: float, commits: Callable[[], float]
) -> dict[str, float]:
    """So many callers, each of which sends its next body when its last is stored."""
    body = template(team="team-000", alerts=1)
    until = time.monotonic() + WARM_UP_S + seconds
    rows = 0

    async def caller() -> None:
        nonlocal rows
        while time.monotonic() < until:
            rows += 1
            sent = body.replace(MARK.encode(), mark(rows).encode())
            await append(inbox.row(id=rows, source=Source.ALERTMANAGER, received_at=NOW, error=None, body=sent))

    driving = asyncio.gather(*(caller() for _ in range(callers)))
    await asyncio.wait([driving], timeout=WARM_UP_S)
    rows_before, commits_before, began = rows, commits(), time.monotonic()
    await driving
    return {"rows": rows - rows_before, "commits": commits() - commits_before, "seconds": time.monotonic() - began}


def main() -> None:
    url, batch, callers, seconds = sys.argv[1:]
    if batch != "pool":
        # The one thing in which the two sides differ; the router never changes it.
        database.BATCH_UNITS = int(batch)
    driven = drive_pool if batch == "pool" else drive
    print(json.dumps(uvloop.run(driven(url, callers=int(callers), seconds=float(seconds)))))


if __name__ == "__main__":
    main()
