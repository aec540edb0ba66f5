"""The writer: group commit, one failing unit among others, a disk that fails and comes back, one process a file."""

import asyncio
import sqlite3
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from router.core.errors import CannotStart, StoreConflict, StoreOverloaded, StoreUnavailable
from router.core.identifiers import text_of
from router.core.model import Source
from router.store import database, inbox, incidents
from router.store.database import Connection, Store
from router.store.schema import MIGRATIONS
from router.telemetry import Metrics
from tests.core.factories import NOW
from tests.store.opened import with_store


async def accept(store: Store, identifier: int, body: bytes = b"{}") -> None:
    row = inbox.row(id=identifier, source=Source.ALERTMANAGER, received_at=NOW, error=None, body=body)
    await store.append(row, size=len(body))


def test_requests_that_wait_share_one_commit(tmp_path: Path) -> None:
    """Five hundred notifications at once need a handful of commits, and all of them are there afterwards."""

    metrics = Metrics()

    async def run(store: Store) -> int:
        await asyncio.gather(*(accept(store, number) for number in range(500)))
        return (await store.read(inbox.sums))["accepted"]

    accepted = with_store(tmp_path / "router.db", run, metrics=metrics)
    commits = metrics.registry.get_sample_value("router_store_commit_seconds_count")
    assert commits is not None

    assert accepted == 500
    assert commits <= 500 / 8


def test_a_failing_unit_does_not_sink_its_neighbours(tmp_path: Path) -> None:
    """A unit's own mistake is raised to whoever asked, its changes are undone, and the batch commits without it."""

    def mistaken(connection: Connection) -> None:
        inbox.count(connection, {"decided": 7})
        raise LookupError("no such thing")

    async def run(store: Store) -> tuple[list[object], dict[str, int]]:
        results = await asyncio.gather(
            accept(store, 1), store.write(mistaken), accept(store, 2), return_exceptions=True
        )
        return list(results), await store.read(inbox.sums)

    results, sums = with_store(tmp_path / "router.db", run)

    assert [type(result) for result in results] == [type(None), LookupError, type(None)]
    assert (sums["accepted"], sums["decided"]) == (2, 0)


def test_a_write_that_contradicts_is_a_conflict(tmp_path: Path) -> None:
    """A broken constraint is the unit's own fault, told apart from a disk that fails; its neighbours are committed."""

    def twice(connection: Connection) -> None:
        connection.execute("INSERT INTO totals (name, value) VALUES ('accepted', 0)")

    async def run(store: Store) -> tuple[list[object], int]:
        results = await asyncio.gather(accept(store, 1), store.write(twice), return_exceptions=True)
        return list(results), (await store.read(inbox.sums))["accepted"]

    results, accepted = with_store(tmp_path / "router.db", run)

    assert ([type(result) for result in results], accepted) == ([type(None), StoreConflict], 1)


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
        return (await store.read(inbox.sums))["accepted"]

    assert with_store(path, run) == 1


def test_a_disk_that_hangs_is_answered_for(tmp_path: Path) -> None:
    """While a write hangs, a body is refused in time for the sender to hear it; afterwards all is well again."""
    unblocked = threading.Event()

    def hang(_connection: Connection) -> None:
        unblocked.wait(30)

    async def run(store: Store) -> None:
        hanging = asyncio.create_task(store.write(hang))
        try:
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await asyncio.wait_for(accept(store, 1), timeout=2)
        finally:
            unblocked.set()
        await hanging
        await accept(store, 2)

    with_store(tmp_path / "router.db", run)


def test_too_much_waiting_is_refused_at_once(tmp_path: Path) -> None:
    """The queue before the disk is bounded in bytes."""

    async def run(store: Store) -> None:
        row = inbox.row(id=1, source=Source.GRAFANA, received_at=NOW, error=None, body=b"")
        with pytest.raises(StoreOverloaded):
            await store.append(row, size=database.QUEUED_BYTES + 1)

    with_store(tmp_path / "router.db", run)


def test_every_connection_is_durable(tmp_path: Path) -> None:
    """Each connection runs with a write-ahead log and a sync at every commit."""

    def modes(connection: Connection) -> tuple[str, int]:
        (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        return journal, synchronous

    async def run(store: Store) -> list[tuple[str, int]]:
        return [await store.write(modes), await store.read(modes)]

    assert with_store(tmp_path / "router.db", run) == [("wal", 2), ("wal", 2)]


def test_one_process_a_file(tmp_path: Path) -> None:
    """A second router on the same file is refused: it would send everything twice."""
    path = tmp_path / "router.db"

    async def run(_store: Store) -> None:
        second = Store(f"sqlite:///{path}", append=inbox.append, metrics=Metrics())
        with pytest.raises(CannotStart, match="in use by another router"):
            second.open(asyncio.get_running_loop())

    with_store(path, run)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        pytest.param("sqlite://", "must name a file", id="memory"),
        pytest.param("mysql://host/name", "in SQLite", id="another database"),
        pytest.param("router.db", "not a database URL", id="a path"),
    ],
)
def test_unusable_url(url: str, says: str) -> None:
    """A database that cannot keep its promise is refused before anything is served."""
    with pytest.raises(CannotStart, match=says):
        Store(url, append=inbox.append, metrics=Metrics())


def test_newer_schema_is_refused(tmp_path: Path) -> None:
    """An older router does not touch what a newer one wrote."""
    path = tmp_path / "router.db"

    async def nothing(_store: Store) -> None: ...

    with_store(path, nothing)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE router_schema SET version = 99")
    connection.close()

    with pytest.raises(CannotStart, match="schema version 99"):
        with_store(path, nothing)


def test_database_of_the_version_before_is_brought_forward(tmp_path: Path) -> None:
    """Incidents of schema version 1, which knew no maps and no moves, are read and looked at under the new map."""
    path = tmp_path / "router.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE router_schema (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO router_schema (version) VALUES (1)")
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO incidents VALUES ('i-1', 'g', 'alertmanager', 'ledger', 'C0LEDGER01', 'open', 'normal', 'B',"
            " 1795258980000000, 1795258980000000, NULL, 9, 9, 0, 0, 1, 'r1', ?)",
            (_DOCUMENT_OF_VERSION_1,),
        )
    connection.close()

    async def work(store: Store) -> None:
        older = partial(incidents.of_older_maps, revision="r2", after="", limit=10, size=1)
        (incident,) = await store.read(older)
        assert (incident.owner, incident.firing, incident.handed_over) == ("ledger", 1, False)
        assert (incident.moved_to, incident.moved_from) == ((), ())
        told = await store.read(partial(incidents.with_bodies, id="i-1", needed=lambda _: ()))
        assert told.map is None
        await store.write(lambda connection: incidents.save(connection, [replace(incident, map_revision="r2")]))
        assert await store.read(older) == []

    async def nothing(_store: Store) -> None: ...

    with_store(path, work)
    with_store(path, nothing)  # there is nothing left to bring forward
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM router_schema").fetchall() == [(len(MIGRATIONS),)]
    connection.close()


# As the router wrote it before schema version 2.
_DOCUMENT_OF_VERSION_1 = (
    '{"alerts":{"bc05cecd9c379494":[1,1795258800000000,null,9,0,1678393156,1042848646]},'
    '"explanations":[[["label","team","ownership.yaml",7],["normal","1d","business",null],'
    '["unknown",null,null,null,null],[],[]]],"copies":[]}'
)


def test_not_a_database(tmp_path: Path) -> None:
    """A file of something else is refused with the file's name."""
    path = tmp_path / "router.db"
    path.write_bytes(b"certainly not a database, but long enough to be read as one" * 100)

    async def nothing(_store: Store) -> None: ...

    with pytest.raises(CannotStart, match="not a database"):
        with_store(path, nothing)


def test_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    """The newest id is known again, so that a clock that went backwards does not give one twice."""

    async def first(store: Store) -> None:
        await accept(store, 41)

    async def second(store: Store) -> int:
        return await store.read(inbox.last_id)

    with_store(tmp_path / "router.db", first)
    assert with_store(tmp_path / "router.db", second) == 41


def test_outcome_of_an_undecided_notification(tmp_path: Path) -> None:
    """What came in can be looked up before it was decided."""

    async def run(store: Store) -> inbox.Outcome | None:
        await accept(store, 41, b'{"alerts": []}')
        return await store.read(partial(inbox.outcome, id=41))

    outcome = with_store(tmp_path / "router.db", run)

    assert outcome is not None
    assert (text_of(outcome.id), outcome.state, outcome.body) == ("0000000000019", "waiting", b'{"alerts": []}')
