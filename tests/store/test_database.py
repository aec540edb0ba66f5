"""What the store promises on either engine: group commit, one failing unit among others, answers in time, odd text."""

import asyncio
import json
import sqlite3
import threading
from functools import partial

import psycopg
import pytest

from router.core.errors import CannotStart, LeaseLost, StoreConflict, StoreOverloaded, StoreUnavailable
from router.core.identifiers import text_of
from router.core.model import Source
from router.store import inbox
from router.store.database import QUEUED_BYTES, Connection, Store, marks
from router.telemetry import Metrics
from tests.core.factories import NOW
from tests.store.opened import accept, accepted, beside, with_store


def test_requests_that_wait_share_one_commit(database: str) -> None:
    """Five hundred notifications at once need a handful of commits, and all of them are there afterwards."""

    metrics = Metrics()

    async def run(store: Store) -> int:
        await asyncio.gather(*(accept(store, number) for number in range(500)))
        return await accepted(store)

    number = with_store(database, run, metrics=metrics)
    commits = metrics.registry.get_sample_value("router_store_commit_seconds_count")
    assert commits is not None

    assert number == 500
    assert commits <= 500 / 8


def test_what_was_answered_is_there_after_a_restart(database: str) -> None:
    """And a newly opened store finds nothing to bring forward."""

    async def first(store: Store) -> None:
        await accept(store, 1, b"\x00\xff binary")

    async def second(store: Store) -> inbox.Batch:
        return await store.read(partial(inbox.waiting, limit=10, size=1000))

    with_store(database, first)
    (stored,) = with_store(database, second).stored

    assert (stored.id, stored.body, stored.received_at) == (1, b"\x00\xff binary", NOW)


def test_a_failing_unit_does_not_sink_its_neighbours(database: str) -> None:
    """A unit's own mistake is raised to whoever asked, its changes are undone, and the batch commits without it."""

    def mistaken(connection: Connection) -> None:
        inbox.count(connection, {"decided": 7})
        raise LookupError("no such thing")

    def late(connection: Connection) -> None:
        inbox.count(connection, {"decided": 70})
        raise LeaseLost("somebody else has it")

    async def run(store: Store) -> tuple[list[object], dict[str, int]]:
        results = await asyncio.gather(
            accept(store, 1), store.write(mistaken), store.write(late), accept(store, 2), return_exceptions=True
        )
        return list(results), await store.read(inbox.sums)

    results, sums = with_store(database, run)

    assert [type(result) for result in results] == [type(None), LookupError, LeaseLost, type(None)]
    assert (sums["accepted"], sums["decided"]) == (2, 0)


def _twice(connection: Connection) -> None:
    connection.execute("INSERT INTO totals (name, value) VALUES ('accepted', 0)")


def _twice_unnoticed(connection: Connection) -> None:
    try:
        _twice(connection)
    except (sqlite3.Error, psycopg.Error):  # the mistake that is meant
        connection.execute("INSERT INTO totals (name, value) VALUES ('accepted', 0)")


def _no_sql(connection: Connection) -> None:
    connection.execute("SELECT nothing FROM nowhere")


def _too_large(connection: Connection) -> None:
    connection.execute("UPDATE totals SET value = ? WHERE name = 'dead'", (1 << 70,))


def _half_a_character(connection: Connection) -> None:
    connection.execute("UPDATE totals SET value = 1 WHERE name = ?", ("\ud83d",))


@pytest.mark.parametrize(
    ("mistake", "becomes"),
    [
        pytest.param(_twice, StoreConflict, id="contradicts a constraint"),
        pytest.param(_twice_unnoticed, StoreConflict, id="goes on after that"),
        pytest.param(_no_sql, StoreConflict, id="is no statement"),
        pytest.param(_too_large, (StoreConflict, OverflowError), id="is too large a number"),
        pytest.param(_half_a_character, UnicodeEncodeError, id="is no text"),
    ],
)
def test_a_write_that_cannot_be_is_a_fault_of_its_own(
    database: str, mistake: object, becomes: type[Exception] | tuple[type[Exception], ...]
) -> None:
    """It is told apart from a disk that fails; its neighbours are committed."""
    assert callable(mistake)

    async def run(store: Store) -> tuple[list[object], int]:
        results = await asyncio.gather(
            accept(store, 1), store.write(mistake), store.write(inbox.touch), return_exceptions=True
        )
        return list(results), await accepted(store)

    (before, failed, after), number = with_store(database, run)

    assert (before, after, number) == (None, None, 1)
    assert isinstance(failed, becomes)


def test_two_notifications_of_one_id(database: str) -> None:
    """The second is refused at once, so that its sender comes again and gets another id; the first stays."""

    async def run(store: Store) -> list[inbox.Stored]:
        await accept(store, 1, b"first")
        with pytest.raises((StoreUnavailable, StoreConflict)):
            await asyncio.wait_for(accept(store, 1, b"second"), timeout=1)
        await accept(store, 2, b"third")
        return list((await store.read(partial(inbox.waiting, limit=10, size=1000))).stored)

    assert [(stored.id, stored.body) for stored in with_store(database, run)] == [(1, b"first"), (2, b"third")]


def test_a_write_that_hangs_is_answered_for(database: str) -> None:
    """While a write hangs, a body is refused in time for the sender to hear it, and is not written afterwards."""
    unblocked, hanging = threading.Event(), threading.Event()

    def hang(_connection: Connection) -> None:
        hanging.set()
        unblocked.wait(30)

    async def run(store: Store) -> int:
        task = asyncio.create_task(store.write(hang))
        await asyncio.to_thread(hanging.wait, 10)
        try:
            with pytest.raises(StoreUnavailable, match="does not answer"):
                await asyncio.wait_for(accept(store, 1), timeout=2)
        finally:
            unblocked.set()
        await task
        await accept(store, 2)
        return await accepted(store)

    assert with_store(database, run) == 1


def test_a_thread_that_hangs_does_not_hold_up_the_end(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that never answers is left behind when the router stops."""
    monkeypatch.setattr("router.store.database.CLOSE_WITHIN_S", 0.05)  # not to wait for it
    unblocked, hanging = threading.Event(), threading.Event()

    def hang(_connection: Connection) -> None:
        hanging.set()
        unblocked.wait(30)

    async def run() -> list[threading.Thread]:
        store = Store(database, append=inbox.append, metrics=Metrics())
        store.open(asyncio.get_running_loop())
        task = asyncio.create_task(store.write(hang))
        await asyncio.to_thread(hanging.wait, 10)
        await asyncio.wait_for(store.close(), timeout=5)
        left = [thread for thread in threading.enumerate() if thread.name == "store-writer"]
        unblocked.set()
        await asyncio.wait([task])
        return left

    (left,) = asyncio.run(run())
    left.join(10)
    assert not left.is_alive()


def test_too_much_waiting_is_refused_at_once(database: str) -> None:
    """The queue before the disk is bounded in bytes."""

    async def run(store: Store) -> None:
        row = inbox.row(id=1, source=Source.GRAFANA, received_at=NOW, error=None, body=b"")
        with pytest.raises(StoreOverloaded):
            await store.append(row, size=QUEUED_BYTES + 1)

    with_store(database, run)


def test_reading_changes_nothing(database: str) -> None:
    """The reading connection cannot write, and goes on afterwards."""

    async def run(store: Store) -> int:
        with pytest.raises(StoreUnavailable):
            await store.read(inbox.touch)
        return await accepted(store)

    assert with_store(database, run) == 0


def test_a_question_that_is_wrong(database: str) -> None:
    """Its error is raised to who asked; the next question is answered."""

    def wrong(_connection: Connection) -> None:
        raise LookupError("no such thing")

    async def run(store: Store) -> int:
        with pytest.raises(LookupError):
            await store.read(wrong)
        return await accepted(store)

    assert with_store(database, run) == 0


def test_a_reader_sees_one_instant(database: str) -> None:
    """What is committed while somebody reads is not half in the answer."""
    first, second = threading.Event(), threading.Event()

    def look(connection: Connection) -> tuple[int, int]:
        before = inbox.sums(connection)["accepted"]
        first.set()
        second.wait(10)
        return before, inbox.sums(connection)["accepted"]

    async def run(store: Store) -> tuple[int, int]:
        looking = asyncio.create_task(store.read(look))
        await asyncio.to_thread(first.wait, 10)
        await accept(store, 1)
        second.set()
        return await looking

    assert with_store(database, run) == (0, 0)


# What each engine has a meaning of its own for, and what people write.
_WORDS = (
    "plain",
    "",
    " \t\r\n",
    "it's 100 % \"quoted\" -- ? $1 %s {serial} \\ \\x41 E'\\n'",
    "\x01\x1f\x7f\x85\u2028\ufeff",
    "請求締め処理が失敗しました",
    "\N{PILE OF POO}\N{COMBINING ACUTE ACCENT}e\N{COMBINING ACUTE ACCENT} \U0010ffff",
    "NULL",
    json.dumps("nul \x00 inside", ensure_ascii=False),
    "long " * 100_000,
)


@pytest.mark.parametrize("word", _WORDS, ids=range(len(_WORDS)))
def test_text_comes_back_as_it_was(database: str, word: str) -> None:
    """Whatever an alert says is kept as it says it, and is found by it."""

    def keep(connection: Connection) -> None:
        connection.execute(
            "INSERT INTO maps (revision, loaded_at, map_commit, file) VALUES (?, 1, '?', ?)", (word[:1000], word)
        )

    def find(connection: Connection) -> list[tuple[str, str, str]]:
        return connection.execute(
            "SELECT revision, map_commit, file FROM maps WHERE revision = ? -- where else?\n", (word[:1000],)
        ).fetchall()

    async def run(store: Store) -> list[tuple[str, str, str]]:
        await store.write(keep)
        return await store.read(find)

    assert with_store(database, run) == [(word[:1000], "?", word)]


def _numbers(connection: Connection) -> None:
    connection.executemany(
        "INSERT INTO maps (revision, loaded_at, file) VALUES (?, ?, '')",
        [("a", 1), ("B", 1 << 40), ("_", True), ("é", 3)],
    )


@pytest.mark.parametrize(
    ("sql", "parameters", "rows"),
    [
        pytest.param("SELECT sum(loaded_at) FROM maps", (), [((1 << 40) + 5,)], id="a sum is an integer"),
        pytest.param("SELECT max(loaded_at) FROM maps WHERE revision = ?", ("x",), [(None,)], id="of nothing"),
        pytest.param(
            "SELECT revision FROM maps ORDER BY revision",
            (),
            [("B",), ("_",), ("a",), ("é",)],
            id="text sorts by bytes",
        ),
        pytest.param("SELECT loaded_at FROM maps WHERE revision = '_'", (), [(1,)], id="truth is 1"),
        pytest.param(f"SELECT revision FROM maps WHERE revision IN ({marks([])})", (), [], id="none of an empty list"),
        pytest.param(
            f"SELECT revision FROM maps WHERE revision IN ({marks('aB')}) ORDER BY loaded_at LIMIT ?",
            ("a", "B", 1),
            [("a",)],
            id="a list and a limit",
        ),
        pytest.param(
            "SELECT coalesce(map_commit, ?) FROM maps WHERE loaded_at > ? AND revision LIKE ?",
            ("none", 2, "%é%"),
            [("none",)],
            id="per cent",
        ),
    ],
)
def test_statements_mean_the_same(database: str, sql: str, parameters: tuple[object, ...], rows: list[object]) -> None:
    """One set of statements, the same rows from both engines."""

    async def run(store: Store) -> list[object]:
        await store.write(_numbers)
        return await store.read(lambda connection: connection.execute(sql, parameters).fetchall())

    assert with_store(database, run) == rows


def test_how_many_rows_were_changed(database: str) -> None:
    """A late record is known by changing nothing."""

    def changes(connection: Connection) -> tuple[int, ...]:
        _numbers(connection)
        update = "UPDATE maps SET map_commit = ? WHERE loaded_at = ?"
        return (
            connection.execute(update, ("c", 1)).rowcount,
            connection.execute(update, ("c", 99)).rowcount,
            connection.executemany(update, [("d", 1), ("d", 99), ("d", 3)]).rowcount,
            len(
                connection.execute(f"SELECT 1 FROM maps WHERE loaded_at = ? {connection.skip_locked}", (1,)).fetchall()
            ),
            len(connection.execute(f"SELECT 1 FROM maps WHERE loaded_at = ? {connection.for_update}", (1,)).fetchall()),
        )

    async def run(store: Store) -> tuple[int, ...]:
        return await store.write(changes)

    assert with_store(database, run) == (2, 0, 3, 2, 2)


def test_nothing_in_a_list_of_rows(database: str) -> None:
    """It is no statement at all."""

    async def run(store: Store) -> int:
        await store.write(
            lambda connection: connection.executemany("UPDATE totals SET value = ? WHERE name = ?", []).rowcount
        )
        return await accepted(store)

    assert with_store(database, run) == 0


@pytest.mark.parametrize(
    ("unusable", "says"),
    [
        pytest.param("sqlite://", "must name a file", id="memory"),
        pytest.param("mysql://host/name", "SQLite or in PostgreSQL, not in 'mysql'", id="another database"),
        pytest.param("router.db", "not a database URL", id="a path"),
        pytest.param("postgresql://user:secr et@host/name", "is not a URL that PostgreSQL understands", id="a space"),
        pytest.param("postgresql://user:secr@et@host/name", "written as %40", id="an @ in the password"),
        pytest.param("postgresql://user:secr/et@host/name", "written as %40", id="a slash in the password"),
        pytest.param("postgresql://user:secr%et@host/name", "written as %40", id="a per cent sign in the password"),
        pytest.param("postgresql://host:secret/name", "is not a URL", id="no port"),
    ],
)
def test_unusable_url(unusable: str, says: str) -> None:
    """A database that cannot keep its promise is refused before anything is served; its password is not told."""

    with pytest.raises(CannotStart, match=says) as raised:
        Store(unusable, append=inbox.append, metrics=Metrics())
    assert "secr" not in f"{raised.value} {raised.value.__cause__} {raised.value.__context__}"


def test_newer_schema_is_refused(database: str) -> None:
    """An older router does not touch what a newer one wrote, and says which versions they are."""

    async def nothing(_store: Store) -> None: ...

    with_store(database, nothing)
    with beside(database) as run:
        run("UPDATE router_schema SET version = 99")

        with pytest.raises(CannotStart, match=r"schema version 99, this router knows \d+\. Run the newer router"):
            with_store(database, nothing)

        assert run("SELECT version FROM router_schema") == [(99,)]


def test_ids_go_on_after_a_restart(database: str) -> None:
    """The newest id is known again, so that a clock that went backwards does not give one twice."""

    async def first(store: Store) -> None:
        await accept(store, 41)

    async def second(store: Store) -> int:
        return await store.read(inbox.last_id)

    with_store(database, first)
    assert with_store(database, second) == 41


def test_outcome_of_an_undecided_notification(database: str) -> None:
    """What came in can be looked up before it was decided."""

    async def run(store: Store) -> inbox.Outcome | None:
        await accept(store, 41, b'{"alerts": []}')
        return await store.read(partial(inbox.outcome, id=41))

    outcome = with_store(database, run)

    assert outcome is not None
    assert (text_of(outcome.id), outcome.state, outcome.body) == ("0000000000019", "waiting", b'{"alerts": []}')
