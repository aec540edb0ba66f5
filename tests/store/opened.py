"""A store for tests: opened on a file, closed at the end, driven on an event loop of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from router.store import inbox
from router.store.database import Store
from router.telemetry import Metrics

T = TypeVar("T")


@asynccontextmanager
async def opened(path: Path, metrics: Metrics) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{path}", append=inbox.append, metrics=metrics)
    store.open(asyncio.get_running_loop())
    try:
        yield store
    finally:
        await store.close()


def with_store(path: Path, test: Callable[[Store], Awaitable[T]], *, metrics: Metrics | None = None) -> T:
    """Run `test` with a store that is open while it runs."""

    async def run() -> T:
        async with opened(path, metrics or Metrics()) as store:
            return await test(store)

    return asyncio.run(run())
