"""The store alone, driven as the intake drives it: `python -m tests.bench.appends DATABASE BATCH CALLERS SECONDS`.

Prints one JSON: how many rows were committed, by how many commits, in which time. BATCH 1 is one commit a request.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime

import uvloop

from router.core.model import Source
from router.store import database, inbox
from router.store.database import Store
from router.telemetry import Metrics
from tests.bench.bodies import MARK, mark, template

WARM_UP_S = 0.5


def commits(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("router_store_commit_seconds_count") or 0.0


async def drive(url: str, *, callers: int, seconds: float) -> dict[str, float]:
    metrics = Metrics()
    store = Store(url, append=inbox.append, metrics=metrics)
    store.open(asyncio.get_running_loop())
    body = template(team="team-000", alerts=1)
    now = datetime(2026, 11, 21, 10, 3, tzinfo=UTC)
    until = time.monotonic() + WARM_UP_S + seconds
    rows = 0

    async def caller() -> None:
        nonlocal rows
        while time.monotonic() < until:
            rows += 1
            sent = body.replace(MARK.encode(), mark(rows).encode())
            row = inbox.row(id=rows, source=Source.ALERTMANAGER, received_at=now, error=None, body=sent)
            await store.append(row, size=len(sent))

    driving = asyncio.gather(*(caller() for _ in range(callers)))
    await asyncio.wait([driving], timeout=WARM_UP_S)
    rows_before, commits_before, began = rows, commits(metrics), time.monotonic()
    await driving
    result = {
        "rows": rows - rows_before,
        "commits": commits(metrics) - commits_before,
        "seconds": time.monotonic() - began,
    }
    await store.close()
    return result


def main() -> None:
    path, batch, callers, seconds = sys.argv[1:]
    # The one thing in which the two sides differ; the router never changes it.
    database.BATCH_UNITS = int(batch)
    print(json.dumps(uvloop.run(drive(f"sqlite:///{path}", callers=int(callers), seconds=float(seconds)))))


if __name__ == "__main__":
    main()
