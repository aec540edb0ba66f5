"""What is true of PostgreSQL: routers beside each other, and a server that goes away, freezes and comes back."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count

import psycopg
import pytest
from structlog.testing import capture_logs

from router.core.errors import CannotStart, StoreConflict, StoreUnavailable
from router.store import inbox
from router.store.database import Connection, Store
from router.store.postgres import ANSWER_S, CONNECT_S
from router.telemetry import Metrics
from tests.postgres import PASSWORD, SETTINGS, WITH_PASSWORD, PostgresServer, pair
from tests.programs import free_port
from tests.store.opened import accept, accepted, beside, opened, with_store

pytestmark = pytest.mark.needs("postgres")

# On two busy cores nothing is on time.
LATE_S = 6.0


async def nothing(_store: Store) -> None: ...


async def soon(store: Store, *, first: int) -> None:
    """Tries again as senders do, until a notification is accepted."""
    never = asyncio.Event()
    async with asyncio.timeout(20):
        for identifier in count(first):
            with suppress(StoreUnavailable):
                await accept(store, identifier)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(never.wait(), timeout=0.05)


def test_what_it_says_of_itself(postgres: PostgresServer) -> None:
    """Several routers may use it, and its clock is theirs."""

    async def run(store: Store) -> None:
        assert (store.engine, store.shared) == ("postgresql", True)
        first, second = await store.time(), await store.time()
        assert first is not None
        assert second is not None
        assert timedelta(0) < second - first < timedelta(minutes=1)
        assert first.utcoffset() == timedelta(0)

    with_store(postgres.new_database(), run)


def test_bodies_are_compressed_fast(postgres: PostgresServer) -> None:
    """By lz4, which costs a sender less time than PostgreSQL's own way."""
    url = postgres.new_database()
    with_store(url, nothing)

    with beside(url) as run:
        assert run(
            "SELECT attcompression FROM pg_attribute WHERE attrelid = 'bodies'::regclass AND attname = 'body'"
        ) == [("l",)]


@pytest.mark.parametrize("waits", ["for_update", "skip_locked"])
def test_rows_that_somebody_holds(postgres: PostgresServer, waits: str) -> None:
    """A claim passes by what somebody else is claiming; a lease's row is waited for."""
    url = postgres.new_database()
    looking = threading.Event()

    def look(connection: Connection) -> list[tuple[int]]:
        looking.set()
        lock = getattr(connection, waits)
        return connection.execute(f"SELECT value FROM totals WHERE name = 'dead' {lock}").fetchall()

    async def run(store: Store) -> list[tuple[int]]:
        with psycopg.connect(url) as other:
            other.execute("UPDATE totals SET value = 1 WHERE name = 'dead'")
            found = asyncio.create_task(store.write(look))
            await asyncio.to_thread(looking.wait, 10)
            if waits == "for_update":
                other.commit()
            return await found

    assert with_store(url, run) == ([(1,)] if waits == "for_update" else [])


def _crossing(mine: str, theirs: str, here: threading.Event, there: threading.Event) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        inbox.count(connection, {mine: 1})
        here.set()
        there.wait(1)
        inbox.count(connection, {theirs: 1})

    return work


def test_routers_take_turns(postgres: PostgresServer) -> None:
    """Two routers that change the same rows in the other order do not get into a deadlock."""
    url = postgres.new_database()

    async def run(store: Store) -> tuple[dict[str, int], str]:
        one, other = threading.Event(), threading.Event()
        async with opened(url, Metrics()) as second:
            await asyncio.gather(
                store.write(_crossing("accepted", "decided", one, other)),
                second.write(_crossing("decided", "accepted", other, one)),
            )
        deadlocks = "SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()"
        told: str = await store.read(lambda connection: connection.execute(deadlocks).fetchone()[0])
        return await store.read(inbox.sums), told

    sums, deadlocks = with_store(url, run)

    assert (sums["accepted"], sums["decided"], deadlocks) == (2, 2, "0")


def test_deadlock_is_tried_again(postgres: PostgresServer) -> None:
    """With somebody else at the database: PostgreSQL ends one of the two, and a router does it again."""
    url = postgres.new_database()
    runs = count()
    here = threading.Event()

    def work(connection: Connection) -> None:
        next(runs)
        inbox.count(connection, {"accepted": 1})
        here.set()
        inbox.count(connection, {"decided": 1})

    def cross(other: psycopg.Connection[tuple[object, ...]]) -> None:
        # It waits longer than the router: so it is the router whose wait uncovers the deadlock, and who is ended.
        other.execute("SET deadlock_timeout = '20s'")
        other.execute("UPDATE totals SET value = value + 1 WHERE name = 'decided'")
        crossing.set()
        here.wait(10)
        other.execute("UPDATE totals SET value = value + 1 WHERE name = 'accepted'")
        other.commit()

    crossing = threading.Event()

    async def run(store: Store) -> dict[str, int]:
        with psycopg.connect(url) as other:
            crossed = asyncio.create_task(asyncio.to_thread(cross, other))
            await asyncio.to_thread(crossing.wait, 10)
            await store.write(work)
            await crossed
        return await store.read(inbox.sums)

    sums = with_store(url, run)

    assert (sums["accepted"], sums["decided"]) == (2, 2)
    assert next(runs) == 2, "it ran twice"


def test_deadlock_again_and_again_is_given_up(postgres: PostgresServer) -> None:
    """Whoever waits is told, instead of a transaction that is tried for ever; the next one succeeds."""
    runs = count()

    def always(connection: Connection) -> None:
        next(runs)
        connection.execute("DO $$ BEGIN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END $$")

    async def run(store: Store) -> int:
        with pytest.raises(StoreUnavailable, match="in the way"):
            await store.write(always)
        await accept(store, 1)
        return await accepted(store)

    assert with_store(postgres.new_database(), run) == 1
    assert next(runs) == 3


def test_text_that_postgresql_refuses(postgres: PostgresServer) -> None:
    """NUL in text is refused to whoever wrote it; bodies hold every byte, and intake lets no NUL through."""

    def nul(connection: Connection) -> None:
        connection.execute("UPDATE totals SET value = 0 WHERE name = ?", ("\x00",))

    async def run(store: Store) -> int:
        with pytest.raises(StoreConflict, match="NUL"):
            await store.write(nul)
        await accept(store, 1, b"\x00")
        return await accepted(store)

    assert with_store(postgres.new_database(), run) == 1


def test_frozen_server_is_answered_for_and_comes_back(postgres: PostgresServer) -> None:
    """Nobody waits without end for a server that does not answer: senders least of all. Then all is well again."""

    async def run(store: Store) -> int:
        await accept(store, 1)
        await accepted(store)
        postgres.freeze()
        working = asyncio.create_task(store.write(inbox.touch))
        reading = asyncio.create_task(store.read(inbox.sums))
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await asyncio.wait_for(accept(store, 2), timeout=2)
        done, _ = await asyncio.wait([working, reading], timeout=ANSWER_S + CONNECT_S + LATE_S)
        assert {type(task.exception()) for task in done} == {StoreUnavailable}
        assert len(done) == 2
        postgres.thaw()
        await soon(store, first=3)
        return await accepted(store)

    assert with_store(postgres.new_database(), run) == 2


def test_frozen_while_connecting(postgres: PostgresServer) -> None:
    """Everything that waits for a connection fails with it, not one batch after the other."""

    async def run(store: Store) -> None:
        await accept(store, 1)
        postgres.kill()
        with pytest.raises(StoreUnavailable):
            await store.write(inbox.touch)
        postgres.start()
        postgres.freeze()
        started = asyncio.get_running_loop().time()
        results = await asyncio.gather(*(store.write(inbox.touch) for _ in range(2000)), return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailable}
        assert asyncio.get_running_loop().time() - started < 2 * CONNECT_S + LATE_S
        postgres.thaw()
        await soon(store, first=2)

    with_store(postgres.new_database(), run)


def test_server_that_was_killed_comes_back(postgres: PostgresServer) -> None:
    """What was acknowledged is there; what came meanwhile was refused; nobody has to restart the router."""

    async def run(store: Store) -> int:
        await asyncio.gather(*(accept(store, number) for number in range(1, 51)))
        postgres.kill()
        for identifier in (51, 52):
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(accept(store, identifier), timeout=2)
        with pytest.raises(StoreUnavailable):
            await store.read(inbox.sums)
        postgres.start()
        await soon(store, first=100)
        return await accepted(store)

    assert with_store(postgres.new_database(), run) == 51


def test_server_that_is_away_at_the_start(postgres: PostgresServer) -> None:
    """The router starts, refuses everything, and makes its tables once the server is there."""
    url = postgres.new_database()
    postgres.stop()

    async def run(store: Store) -> int:
        with pytest.raises(StoreUnavailable, match="refused"):
            await asyncio.wait_for(accept(store, 1), timeout=2)
        with pytest.raises(StoreUnavailable, match="refused"):
            await store.read(inbox.last_id)
        postgres.start()
        await soon(store, first=2)
        return await accepted(store)

    with capture_logs() as logs:
        assert with_store(url, run) == 1
    assert [entry["event"] for entry in logs if entry["event"].startswith("store_")] == [
        "store_unavailable",
        "store_recovered",
    ]


def test_newer_schema_that_is_met_later(postgres: PostgresServer) -> None:
    """A router that started while the server was away refuses to write, and says why."""
    url = postgres.new_database()
    with_store(url, nothing)
    with beside(url) as run_beside:
        run_beside("UPDATE router_schema SET version = 99")
    postgres.stop()

    async def run(store: Store) -> None:
        postgres.start()
        for identifier in (1, 2):
            with pytest.raises(StoreUnavailable, match="schema version 99"):
                await accept(store, identifier)

    with_store(url, run)


def test_newer_router_beside_an_older_one(postgres: PostgresServer) -> None:
    """Replicas are replaced one by one: the older one that runs goes on, also over a new connection."""
    url = postgres.new_database()

    async def run(store: Store) -> int:
        with beside(url) as run_beside:
            run_beside("UPDATE router_schema SET version = 99")
        postgres.kill()
        with pytest.raises(StoreUnavailable):
            await accept(store, 1)
        postgres.start()
        await soon(store, first=2)
        return await accepted(store)

    assert with_store(url, run) == 1


def _asynchronous(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    postgres.execute(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET synchronous_commit = off')
    return url


def _without_fsync(postgres: PostgresServer) -> str:
    url = postgres.new_database()
    postgres.stop()
    postgres.start(settings={**SETTINGS, "fsync": "off"})
    return url


def _latin(postgres: PostgresServer) -> str:
    return postgres.new_database(options="ENCODING 'LATIN1' TEMPLATE template0")


def _wrong_password(postgres: PostgresServer) -> str:
    return postgres.url(user=WITH_PASSWORD, password=f"not {PASSWORD}")


def _of_somebody_else(postgres: PostgresServer) -> str:
    name = postgres.new_database().rpartition("/")[2]
    return postgres.url(name, user=WITH_PASSWORD, password=PASSWORD)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        pytest.param(_asynchronous, "synchronous_commit is off", id="synchronous_commit"),
        pytest.param(_without_fsync, "fsync = off", id="fsync"),
        pytest.param(_latin, "encoding is LATIN1", id="encoding"),
        pytest.param(_wrong_password, "password authentication failed for user", id="password"),
        pytest.param(lambda postgres: postgres.url("nowhere"), '"nowhere" does not exist', id="database"),
        pytest.param(lambda postgres: postgres.url(user="nobody"), '"nobody" does not exist', id="role"),
        pytest.param(_of_somebody_else, "permission denied for schema public.*whose owner it is", id="not its owner"),
    ],
)
def test_what_time_does_not_mend_is_refused(
    postgres: PostgresServer, made: Callable[[PostgresServer], str], says: str
) -> None:
    """A server that answers and cannot be used is a reason not to start, with what to do; never with a password."""
    url = made(postgres)

    with capture_logs() as logs, pytest.raises(CannotStart, match=says) as refused:
        with_store(url, nothing)

    assert PASSWORD not in f"{refused.value} {refused.value.__cause__} {logs}"


def test_password_is_told_to_nobody() -> None:
    """Not in an error, not in a log, where a server cannot be reached."""
    secret = "hunter2"

    async def run(store: Store) -> str:
        assert store.place == f"postgresql://127.0.0.1:{port}/name"
        with pytest.raises(StoreUnavailable) as failed:
            await accept(store, 1)
        return f"{failed.value} {failed.value.__cause__!r} {store!r}"

    port = free_port()
    with capture_logs() as logs:
        said = with_store(f"postgresql://user:{secret}@127.0.0.1:{port}/name", run)

    assert secret not in said
    assert secret not in str(logs)
    assert [entry["database"] for entry in logs] == [f"postgresql://127.0.0.1:{port}/name"]


def test_standby_takes_over() -> None:
    """The primary fails, its synchronous standby is promoted: nothing that was acknowledged is missing."""
    with pair() as servers:

        async def run(store: Store) -> tuple[int, int]:
            await asyncio.gather(*(accept(store, number) for number in range(1, 201)))
            servers.kill_primary()
            with pytest.raises(StoreUnavailable):
                await accept(store, 201)
            servers.promote()
            await soon(store, first=300)
            return await accepted(store), len(await store.read(_ids))

        assert with_store(servers.new_database(), run) == (201, 201)


def _ids(connection: Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM notifications").fetchall()]


def test_question_that_postgresql_refuses_breaks_nothing(postgres: PostgresServer) -> None:
    """NUL in what somebody asks for: that question is refused, and the next one is answered."""

    async def run(store: Store) -> None:
        with pytest.raises(StoreConflict):
            await store.read(lambda connection: connection.execute("SELECT ?", ("\x00",)).fetchone())
        assert await accepted(store) == 0

    with_store(postgres.new_database(), run)
