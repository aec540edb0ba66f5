"""Databases of every version before, brought forward with what they hold."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from threading import Barrier, Thread

import pytest

from router.core.errors import CannotStart, RouterError
from router.store import inbox, incidents
from router.store.database import Store
from router.store.postgres import PostgresEngine
from router.store.schema import MIGRATIONS
from tests.postgres import PostgresServer
from tests.store.opened import Run, beside, with_store

# As the router wrote it before schema version 2, which knew no maps and no moves.
_DOCUMENT_OF_VERSION_1 = (
    '{"alerts":{"bc05cecd9c379494":[1,1795258800000000,null,9,0,1678393156,1042848646]},'
    '"explanations":[[["label","team","ownership.yaml",7],["normal","1d","business",null],'
    '["unknown",null,null,null,null],[],[]]],"copies":[]}'
)
# As version 2 and older ones held them.
_OLD_ROWS = (
    f"""
    INSERT INTO incidents (id, alert_group, source, owner, channel, state, severity, title, opened_at, updated_at,
        first_notification, last_notification, truncated, repeats, revision, map_revision, document)
    VALUES ('i-1', 'g', 'alertmanager', 'ledger', 'C0LEDGER01', 'open', 'normal', 'B', 1795258980000000,
        1795258980000000, 9, 9, 0, 0, 1, 'r1', '{_DOCUMENT_OF_VERSION_1}')
    """,
    """
    INSERT INTO notifications (id, source, received_at, state) VALUES (9, 'alertmanager', 1795258980000000, 'waiting')
    """,
    "UPDATE totals SET value = 1 WHERE name = 'accepted'",
    # Never sent; sent once without an answer; refused once as text only; delivered.
    """
    INSERT INTO messages (incident, kind, channel, ts, state, wanted, shown, wanted_at, due_at, attempts, error)
    VALUES ('i-1', 'root', 'C1', NULL, 'pending', 1, 0, 10, 10, 0, NULL),
        ('i-1', 'root', 'C2', NULL, 'pending', 1, 0, 20, 20, 1, 'timeout'),
        ('i-1', 'root', 'C3', '1.1', 'pending', 2, 1, 30, 30, 1, 'plain text: ratelimited'),
        ('i-1', 'root', 'C4', '1.2', 'delivered', 1, 1, 40, 40, 0, NULL)
    """,
)


def make(run: Run, version: int, *, rows: Sequence[str] = (), rows_of: int = 0) -> None:
    """A database as a router of that version left it, with `rows` that one of the version `rows_of` wrote."""
    run("CREATE TABLE router_schema (version INTEGER NOT NULL)")
    run(f"INSERT INTO router_schema (version) VALUES ({version})")
    for number, statements in enumerate(MIGRATIONS[:version], start=1):
        for statement in (*statements, *(rows if number == rows_of else ())):
            run(statement)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_database_of_a_version_before_is_brought_forward(database: str, version: int) -> None:
    """What it holds is read and goes on under the new schema; the second time there is nothing left to do."""
    with beside(database) as run:
        make(run, version, rows=_OLD_ROWS, rows_of=min(version, 2))

    async def work(store: Store) -> None:
        sums = await store.read(inbox.sums)
        assert (sums["accepted"], sums["waiting"]) == (1, 1)
        older = partial(incidents.of_older_maps, revision="r2", after="", limit=10, size=1)
        (incident,) = await store.read(older)
        assert (incident.owner, incident.firing, incident.handed_over) == ("ledger", 1, False)
        assert (incident.moved_to, incident.moved_from) == ((), ())
        assert (incident.due_at, incident.happened, incident.job) == (incident.updated_at, 0, None)
        told = await store.read(partial(incidents.with_bodies, id="i-1", needed=lambda _: ()))
        assert told.map is None
        await store.write(lambda connection: incidents.save(connection, [replace(incident, map_revision="r2")]))
        assert await store.read(older) == []

    async def nothing(_store: Store) -> None: ...

    with_store(database, work)
    with_store(database, nothing)
    with beside(database) as run:
        assert run("SELECT version FROM router_schema") == [(len(MIGRATIONS),)]
        # What a crash may have left in flight is in doubt; what went out as text only still does.
        assert run("SELECT channel, asked_at, plain, error, token FROM messages ORDER BY id") == [
            ("C1", None, 0, None, 0),
            ("C2", 20, 0, "timeout", 0),
            ("C3", None, 1, "ratelimited", 0),
            ("C4", None, 0, None, 0),
        ]


def test_a_migration_is_done_whole_or_not_at_all(database: str) -> None:
    """A step that fails leaves the database as it was, at its version, for the router that made it."""
    with beside(database) as run:
        make(run, 1)
        run("CREATE TABLE leases (surprise INTEGER)")  # the last step of version 3 makes one

    async def nothing(_store: Store) -> None: ...

    with pytest.raises(CannotStart, match="leases"):
        with_store(database, nothing)

    with beside(database) as run:
        assert run("SELECT version FROM router_schema") == [(1,)]
        run("CREATE TABLE maps (made_by INTEGER)")  # nothing of version 2 is there


@pytest.mark.needs("postgres")
def test_routers_that_start_at_once_migrate_once(postgres: PostgresServer) -> None:
    """One of them does it, the others wait and find nothing left to do."""
    url = postgres.new_database()
    number = 4
    together, failures = Barrier(number), list[RouterError]()

    def start() -> None:
        engine = PostgresEngine(url)
        together.wait(10)
        try:
            engine.open().close()
        except RouterError as exc:  # any other one pytest tells of
            failures.append(exc)

    threads = [Thread(target=start) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    with beside(url) as run:
        assert run("SELECT version FROM router_schema") == [(len(MIGRATIONS),)]
        assert run("SELECT count(*) FROM totals WHERE name = 'accepted'") == [(1,)]
