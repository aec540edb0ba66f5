"""The database: one writing thread with group commit, one reading thread.

SQLite is opened with WAL and `synchronous=FULL`: with NORMAL, committed transactions may roll back after a power cut
(sqlite.org/pragma.html#pragma_synchronous). Exactly one connection writes and checkpoints: SQLite before 3.51.3 can
corrupt its WAL when two do (sqlite.org/wal.html#walresetbug), and a deferred transaction that upgrades fails at once.
"""

import asyncio
import fcntl
import os
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import structlog

from router.core.errors import FAULTS, CannotStart, StoreConflict, StoreOverloaded, StoreUnavailable
from router.store.schema import MIGRATIONS
from router.telemetry import Metrics

log = structlog.get_logger()

T = TypeVar("T")

# A batch is bounded so that its first member does not wait for the last one of a herd.
BATCH_UNITS = 512
BATCH_BYTES = 8 * 1024 * 1024
# What may wait for the disk before senders are told to come back.
QUEUED_BYTES = 128 * 1024 * 1024
# A sender is answered within two seconds, also when the disk hangs: Alertmanager tries again at once after a 503.
ANSWER_WITHIN_S = 1.5
GATHERING_TURNS = 8
SYNCHRONOUS_FULL = 2
ENGINE = "sqlite"


class Cursor(Protocol):
    """The rows of one statement, as tuples."""

    def fetchone(self) -> Any: ...  # Any, here and below: a row's columns have the types of its statement

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What a unit of work gets: an open transaction of the driver."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor: ...


def marks(values: Sequence[object]) -> str:
    """A place for each value, between the parentheses of IN."""
    return ", ".join("?" * len(values))


@dataclass(slots=True)
class _Unit:
    """Something to write, and who waits for it. `work` is None for a body, which goes with all others of its batch."""

    future: asyncio.Future[Any]
    work: Callable[[Connection], Any] | None = None
    row: tuple[Any, ...] = ()
    size: int = 0
    answer_by: float = 0.0  # loop time; for bodies only
    result: Any = None
    failure: BaseException | None = None


class Store:
    """Open with `open`, close with `close`. `append`, `write` and `read` belong to one event loop."""

    def __init__(
        self, url: str, *, append: Callable[[Connection, list[tuple[Any, ...]]], None], metrics: Metrics
    ) -> None:
        self._path = _file_of(url)
        self._append = append
        self._metrics = metrics
        self._connection: sqlite3.Connection | None = None
        self._lock_file: int | None = None
        self._gathered: list[_Unit] = []  # in this turn of the event loop
        self._queue: queue.SimpleQueue[list[_Unit] | None] = queue.SimpleQueue()
        self._unanswered: deque[_Unit] = deque()  # bodies, the oldest first
        self._watch: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._readers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-reader")
        self._reading: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop
        self._failing = False

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create or check the schema and start the writer. Raises CannotStart with what to do."""
        self._loop = loop
        self._lock_file = _exclusive(self._path)
        try:
            with _transaction(self._connected()) as connection:
                _migrate(connection)
        except (sqlite3.Error, OSError) as exc:
            raise CannotStart(
                f"ROUTER_DATABASE {self._path}: {exc}. "
                "Check that the file is a database of this router and that its directory can be written."
            ) from exc
        self._thread.start()

    def append(self, row: tuple[Any, ...], *, size: int) -> asyncio.Future[None]:
        """Commit one row of the inbox with all others that wait.

        The future, or this call, raises StoreUnavailable. Where the disk hangs it does so after ANSWER_WITHIN_S; only
        then the row may have been written all the same.
        """
        self._admit(size)
        unit = _Unit(
            future=self._loop.create_future(), row=row, size=size, answer_by=self._loop.time() + ANSWER_WITHIN_S
        )
        self._unanswered.append(unit)
        if self._watch is None:
            self._watch = self._loop.call_at(unit.answer_by, self._give_up)
        self._submit(unit)
        return unit.future

    async def write(self, work: Callable[[Connection], T], *, size: int = 0) -> T:
        """Run `work` in the writer's next transaction and return its result once that is committed.

        An exception of `work` undoes only its own changes and is raised here. Raises StoreUnavailable if the
        transaction failed. `size`: the bytes that it keeps in memory while it waits.
        """
        self._admit(size)
        unit = _Unit(future=self._loop.create_future(), work=work, size=size)
        self._submit(unit)
        result: T = await unit.future
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the reading connection, which sees all that is committed. Raises StoreUnavailable."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def close(self) -> None:
        """Finish what waits, then close. Called once, after everything that writes has stopped."""
        self._hand_over()
        self._queue.put(None)
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        if self._watch is not None:
            self._watch.cancel()
        await asyncio.get_running_loop().run_in_executor(self._readers, self._close_reading)
        self._readers.shutdown()
        # The writer's connection goes last: the last one to close checkpoints.
        if self._connection is not None:
            self._connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)

    # -- the event loop's side ---------------------------------------------------------------------------------------

    def _admit(self, size: int) -> None:
        if size and self._queued_bytes + size > QUEUED_BYTES:
            raise StoreOverloaded("too much is waiting for the disk")

    def _submit(self, unit: _Unit) -> None:
        self._queued_bytes += unit.size
        if not self._gathered:
            self._loop.call_soon(self._gather, 0, GATHERING_TURNS)
        self._gathered.append(unit)

    def _gather(self, before: int, turns: int) -> None:
        """Hand over once a turn of the event loop brings nothing more.

        A lone request does not wait for that, and a crowd wakes the writer once: a thread that is woken for each
        request costs more than the inserts.
        """
        if len(self._gathered) > before and turns > 0:
            self._loop.call_soon(self._gather, len(self._gathered), turns - 1)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        if self._gathered:
            self._queue.put(self._gathered)
            self._gathered = []

    def _give_up(self) -> None:
        """Tell senders of bodies that have waited too long; one timer for all, as a timer each would cost too much."""
        now = self._loop.time()
        while self._unanswered and (self._unanswered[0].future.done() or self._unanswered[0].answer_by <= now):
            unit = self._unanswered.popleft()
            if not unit.future.done():
                unit.future.set_exception(StoreUnavailable("the disk does not answer"))
        self._watch = None
        if self._unanswered:
            self._watch = self._loop.call_at(self._unanswered[0].answer_by, self._give_up)

    # -- the writing thread ------------------------------------------------------------------------------------------

    def _write_loop(self) -> None:
        waiting: deque[_Unit] = deque()
        closing = False
        while waiting or not closing:
            closing = self._take(waiting, wait=not waiting) or closing
            if waiting:
                self._commit(_batch(waiting))

    def _take(self, waiting: deque[_Unit], *, wait: bool) -> bool:
        """Add everything that was handed over; with `wait`, at least something. True: nothing will come any more."""
        while True:
            try:
                units = self._queue.get(block=wait)
            except queue.Empty:
                return False
            if units is None:
                return True
            waiting.extend(units)
            wait = False

    def _commit(self, batch: list[_Unit]) -> None:
        try:
            with self._metrics.commit_seconds.time(), _transaction(self._connected()) as connection:
                rows = [unit.row for unit in batch if unit.work is None]
                if rows:
                    self._append(connection, rows)
                for unit in batch:
                    if unit.work is not None:
                        _run(unit, connection)
        except Exception as exc:  # noqa: BLE001 - the top of a worker: a dead writer would answer nobody
            self._failed(batch, exc)
        else:
            self._metrics.commit_units.observe(len(batch))
            if self._failing:
                self._failing = False
                log.info("store_recovered")
        self._wake(batch)

    def _failed(self, batch: list[_Unit], exc: Exception) -> None:
        # After an error of the disk the connection's state is not to be trusted: the next batch opens a new one.
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except sqlite3.Error as closing:
                log.debug("store_close_failed", error=_cause(closing))
        for unit in batch:
            unit.failure = StoreUnavailable(_cause(exc))
            unit.failure.__cause__ = exc
        if not self._failing:
            self._failing = True
            log.error("store_unavailable", error=_cause(exc))

    def _wake(self, batch: list[_Unit]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._answer, batch)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.warning("store_answer_unheard", units=len(batch))

    def _answer(self, batch: list[_Unit]) -> None:
        while self._unanswered and self._unanswered[0].future.done():
            self._unanswered.popleft()
        for unit in batch:
            self._queued_bytes -= unit.size
            if unit.future.done():  # the caller gave up waiting
                continue
            if unit.failure is not None:
                unit.future.set_exception(unit.failure)
            else:
                unit.future.set_result(unit.result)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection

    # -- the reading thread ------------------------------------------------------------------------------------------

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._reading is None:
                self._reading = _connect(self._path)
                # It must neither write nor checkpoint: there is one connection for both.
                self._reading.execute("PRAGMA query_only=ON")
                self._reading.execute("PRAGMA wal_autocheckpoint=0")
            with _transaction(self._reading, begin="BEGIN") as connection:
                return work(connection)
        except sqlite3.Error as exc:
            self._close_reading()
            raise StoreUnavailable(_cause(exc)) from exc

    def _close_reading(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def _batch(waiting: deque[_Unit]) -> list[_Unit]:
    """What goes into one transaction: all that waits, within bounds. A lone request is committed at once, no timer."""
    batch = [waiting.popleft()]
    size = batch[0].size
    while waiting and len(batch) < BATCH_UNITS and size < BATCH_BYTES:
        unit = waiting.popleft()
        batch.append(unit)
        size += unit.size
    return batch


def _run(unit: _Unit, connection: Connection) -> None:
    assert unit.work is not None  # noqa: S101
    connection.execute("SAVEPOINT unit")
    try:
        unit.result = unit.work(connection)
    except sqlite3.OperationalError:
        raise  # the disk: the whole batch fails
    except (*FAULTS, sqlite3.Error) as exc:
        connection.execute("ROLLBACK TO unit")
        unit.failure = exc
        if isinstance(exc, sqlite3.Error):
            unit.failure = StoreConflict(_cause(exc))
            unit.failure.__cause__ = exc
    connection.execute("RELEASE unit")


@contextmanager
def _transaction(connection: sqlite3.Connection, *, begin: str = "BEGIN IMMEDIATE") -> Iterator[Connection]:
    """Immediate for writers: a deferred one that comes to write fails at once when another wrote meanwhile."""
    connection.execute(begin)
    try:
        yield connection
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
    connection.commit()


def _file_of(url: str) -> Path:
    scheme, separator, path = url.partition("://")
    if not separator:
        raise CannotStart(f"ROUTER_DATABASE {url!r} is not a database URL. Write sqlite:///router.db")
    if scheme != "sqlite":
        # The rest of the URL may hold a password.
        raise CannotStart(
            f"ROUTER_DATABASE: this version keeps its data in SQLite, not in {scheme!r}. Write sqlite:///router.db"
        )
    if not path.startswith("/") or path == "/":
        raise CannotStart("ROUTER_DATABASE must name a file, after three slashes. Write sqlite:///router.db")
    return Path(path[1:])


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit as far as the driver is concerned: it must not begin transactions by itself. Opened on one thread and
    # then used by one other alone.
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    if synchronous != SYNCHRONOUS_FULL:
        connection.close()
        raise sqlite3.OperationalError(
            f"synchronous=FULL was refused, it is {synchronous}: answers would promise too much"
        )
    return connection


def _migrate(connection: Connection) -> None:
    """Bring the schema to this router's version. Raises CannotStart for one of a newer router."""
    connection.execute("CREATE TABLE IF NOT EXISTS router_schema (version INTEGER NOT NULL)")
    row = connection.execute("SELECT version FROM router_schema").fetchone()
    version = 0 if row is None else row[0]
    if version > len(MIGRATIONS):
        raise CannotStart(
            f"the database has schema version {version}, this router knows {len(MIGRATIONS)}. "
            "Run the newer router, or restore a backup"
        )
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement.replace("{serial}", "INTEGER PRIMARY KEY").replace("{blob}", "BLOB"))
    connection.execute("DELETE FROM router_schema")
    connection.execute("INSERT INTO router_schema (version) VALUES (?)", (len(MIGRATIONS),))


def _exclusive(path: Path) -> int:
    """Hold the lock file beside the database: a second process on it would send every message twice."""
    try:
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise CannotStart(f"ROUTER_DATABASE {path}: {exc.strerror}: the directory must exist and be writable") from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(handle)
        raise CannotStart(
            f"ROUTER_DATABASE {path} is in use by another router. Stop that one, or name another file"
        ) from exc
    return handle


def _cause(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}"
