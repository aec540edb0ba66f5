"""What is true of an SQLite file: one process, durable, and a clear word where it is damaged."""

import asyncio
import sqlite3
import subprocess
from pathlib import Path

import pytest

from router.core.errors import CannotStart, StoreUnavailable
from router.store import inbox
from router.store.database import Connection, Store
from router.telemetry import Metrics
from tests.store.opened import accept, accepted, with_store


async def nothing(_store: Store) -> None: ...


def test_locked_database_is_an_answer_and_then_recovers(tmp_path: Path) -> None:
    """While another process holds the write lock the store says so within its busy time-out; then it works again."""
    path = tmp_path / "router.db"

    async def run(store: Store) -> int:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            await asyncio.wait_for(accept(store, 1), timeout=2)
        other.execute("ROLLBACK")
        other.close()
        await accept(store, 2)
        return await accepted(store)

    assert with_store(path, run) == 1


def test_every_connection_is_durable(tmp_path: Path) -> None:
    """Each connection runs with a write-ahead log and a sync at every commit."""

    def modes(connection: Connection) -> tuple[str, int]:
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        return journal, synchronous

    async def run(store: Store) -> list[tuple[str, int]]:
        return [await store.write(modes), await store.read(modes)]

    assert with_store(tmp_path / "router.db", run) == [("wal", 2), ("wal", 2)]


def test_nothing_is_left_beside_a_closed_file(tmp_path: Path) -> None:
    """The last connection to close has written the log back: the file alone is the whole database."""
    with_store(tmp_path / "router.db", accepted)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["router.db", "router.db.lock"]


def test_one_process_a_file(tmp_path: Path) -> None:
    """A second router on the same file is refused: it would send everything twice."""
    path = tmp_path / "router.db"

    async def run(store: Store) -> None:
        assert (store.engine, store.shared, await store.time()) == ("sqlite", False, None)
        second = Store(f"sqlite:///{path}", append=inbox.append, metrics=Metrics())
        with pytest.raises(CannotStart, match="in use by another router"):
            second.open(asyncio.get_running_loop())

    with_store(path, run)


def test_not_a_database(tmp_path: Path) -> None:
    """A file of something else is refused with the file's name and the way out; it is not touched."""
    path = tmp_path / "router.db"
    content = b"certainly not a database, but long enough to be read as one" * 100
    path.write_bytes(content)

    with pytest.raises(CannotStart, match=r"router\.db is damaged.*not a database.*`router restore FILE`.*mv "):
        with_store(path, nothing)

    assert path.read_bytes() == content


def test_damaged_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """A file whose first pages were overwritten; the command that is named moves it aside, and then it starts."""
    path = tmp_path / "router.db"
    with_store(path, nothing)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)

    with pytest.raises(CannotStart, match="malformed") as refused:
        with_store(path, nothing)

    subprocess.run(["sh", "-c", str(refused.value).rpartition("what is left: ")[2]], check=True)
    assert (tmp_path / "damaged" / "router.db").exists()
    assert with_store(path, accepted) == 0


def test_damage_that_is_met_later_fails_all_of_the_batch(tmp_path: Path) -> None:
    """Nothing is acknowledged on a file that was found to be damaged."""
    path = tmp_path / "router.db"

    def damage(_connection: Connection) -> None:
        error = sqlite3.DatabaseError("database disk image is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT_INDEX
        raise error

    async def run(store: Store) -> tuple[list[object], int]:
        results = await asyncio.gather(accept(store, 1), store.write(damage), return_exceptions=True)
        return list(results), await accepted(store)

    results, number = with_store(path, run)

    assert ([type(result) for result in results], number) == ([StoreUnavailable, StoreUnavailable], 0)
