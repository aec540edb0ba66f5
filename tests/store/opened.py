"""A store for tests: opened on a database, closed at the end, driven on an event loop of its own."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from router.core.model import Source
from router.store import inbox, postgres, sqlite
from router.store.database import Store
from router.telemetry import Metrics
from tests.core.factories import NOW

T = TypeVar("T")


@asynccontextmanager
async def opened(database: Path | str, metrics: Metrics) -> AsyncIterator[Store]:
    """`database` is a URL, or the path of an SQLite file."""
    url = f"sqlite:///{database}" if isinstance(database, Path) else database
    store = Store(url, append=inbox.append, metrics=metrics)
    try:
        store.open(asyncio.get_running_loop())
        yield store
    finally:
        await store.close()


def with_store(database: Path | str, test: Callable[[Store], Awaitable[T]], *, metrics: Metrics | None = None) -> T:
    """Run `test` with a store that is open while it runs."""

    async def run() -> T:
        async with opened(database, metrics or Metrics()) as store:
            return await test(store)

    return asyncio.run(run())


async def accept(store: Store, identifier: int, body: bytes = b"{}") -> None:
    row = inbox.row(id=identifier, source=Source.ALERTMANAGER, received_at=NOW, error=None, body=body)
    await store.append(row, size=len(body))


async def accepted(store: Store) -> int:
    return (await store.read(inbox.sums))["accepted"]


Run = Callable[..., list[Sequence[Any]]]  # Any: a row's columns have the types of its statement


@contextmanager
def beside(url: str) -> Iterator[Run]:
    """Statements on a connection that the router knows nothing of, in the words of the schema; each is committed."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            yield lambda sql: file.execute(sqlite.spelled(sql)).fetchall()
        return
    with psycopg.connect(url, autocommit=True) as server:

        def run(sql: str) -> list[Sequence[Any]]:
            cursor = server.execute(postgres.spelled(sql).encode())
            return list(cursor.fetchall()) if cursor.description else []

        yield run
