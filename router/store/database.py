"""The store: one writing thread with group commit, one reading thread, on the engine that the URL names."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import structlog

from router.core.errors import (
    FAULTS,
    CannotStart,
    RouterError,
    StoreConflict,
    StoreOverloaded,
    StoreUnavailable,
)
from router.store.engine import Connection, Cursor, Engine, Fault, Session, marks
from router.store.sqlite import SqliteEngine
from router.telemetry import Metrics

__all__ = ["Connection", "Cursor", "Store", "marks"]

log = structlog.get_logger()

T = TypeVar("T")

# A batch is bounded so that its first member does not wait for the last one of a herd.
BATCH_UNITS = 512
BATCH_BYTES = 8 * 1024 * 1024
# What may wait for the disk before senders are told to come back.
QUEUED_BYTES = 128 * 1024 * 1024
# A sender is answered within two seconds, also when the disk hangs: Alertmanager tries again at once after a 503.
ANSWER_WITHIN_S = 1.5
# Nobody waits for these but loops of ours, which must not wait for ever.
WORK_WITHIN_S = 15.0
CLOSE_WITHIN_S = 5.0
GATHERING_TURNS = 8
# How often a transaction is tried in whose way others were.
ATTEMPTS = 3


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


@dataclass(slots=True)
class _Question:
    """Something to read, and who waits for it."""

    future: asyncio.Future[Any]
    work: Callable[[Connection], Any]
    result: Any = None
    failure: BaseException | None = None

    def answer(self) -> None:
        if self.future.done():  # the caller gave up waiting
            return
        if self.failure is not None:
            self.future.set_exception(self.failure)
        else:
            self.future.set_result(self.result)


class Store:
    """Open with `open`, close with `close`. `append`, `write` and `read` belong to one event loop."""

    def __init__(
        self, url: str, *, append: Callable[[Connection, list[tuple[Any, ...]]], None], metrics: Metrics
    ) -> None:
        """Raises CannotStart for a URL that names no database."""
        self._engine = _engine_of(url)
        self._append = append
        self._metrics = metrics
        self._session: Session | None = None
        self._gathered: list[_Unit] = []  # in this turn of the event loop
        self._queue: queue.SimpleQueue[list[_Unit] | None] = queue.SimpleQueue()
        self._unanswered: deque[_Unit] = deque()  # bodies, the oldest first
        self._watch: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._asked: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_loop, name="store-reader", daemon=True)
        self._reading: Session | None = None
        self._loop: asyncio.AbstractEventLoop
        self._failing = False

    @property
    def engine(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.name

    @property
    def shared(self) -> bool:
        """Several routers may use this database at the same time."""
        return self._engine.shared

    @property
    def place(self) -> str:
        """Where the database is, for people; never with a password."""
        return self._engine.place

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create or check the schema and start. Raises CannotStart with what to do.

        A PostgreSQL that cannot be reached is waited for: until it comes everything raises StoreUnavailable.
        """
        self._loop = loop
        try:
            self._session = self._engine.open()
        except StoreUnavailable as exc:
            self._say_failing(exc)
        self._thread.start()
        self._reader.start()

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

        `work` runs again where another router's transaction was in the way, so it changes nothing but the database.
        Where the answer is lost, or does not come within WORK_WITHIN_S, it may have been written all the same.
        """
        self._admit(size)
        unit = _Unit(future=self._loop.create_future(), work=work, size=size)
        self._submit(unit)
        return await _within(WORK_WITHIN_S, unit.future)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the reading connection, which sees all that is committed. Raises StoreUnavailable."""
        question = _Question(future=self._loop.create_future(), work=work)
        self._asked.put(question)
        return await _within(WORK_WITHIN_S, question.future)

    async def time(self) -> datetime | None:
        """The clock of a database that is `shared`; None for one that has no other than this machine's."""
        return await self.read(self._engine.time) if self.shared else None

    async def close(self) -> None:
        """Finish what waits, then close. Called once, after everything that writes has stopped.

        A thread that hangs is left behind: what it was about was answered for, and its process is about to end.
        """
        self._asked.put(None)
        read = await self._ended(self._reader)
        # The writer's connection goes last: the last one to close checkpoints.
        self._hand_over()
        self._queue.put(None)
        written = await self._ended(self._thread)
        if self._watch is not None:
            self._watch.cancel()
        if read and written:
            self._engine.close()

    async def _ended(self, thread: threading.Thread) -> bool:
        if not thread.is_alive():  # or was never started
            return True
        await asyncio.to_thread(thread.join, CLOSE_WITHIN_S)
        if thread.is_alive():
            log.error("store_hangs", thread=thread.name, database=self.place, waited_s=CLOSE_WITHIN_S)
        return not thread.is_alive()

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
                unit.future.set_exception(StoreUnavailable("the database does not answer"))
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
                self._write_next(waiting)
        self._disconnect()

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

    def _write_next(self, waiting: deque[_Unit]) -> None:
        try:
            if self._session is None:
                self._session = self._engine.connect()
        except Exception as exc:  # noqa: BLE001 - the top of a worker: a dead writer would answer nobody
            # All of them: one batch after the other would wait for the same server again and again.
            batch = list(waiting)
            waiting.clear()
            self._failed(batch, exc)
        else:
            batch = _batch(waiting)
            self._commit(batch, self._session)
        self._wake(batch)

    def _commit(self, batch: list[_Unit], session: Session) -> None:
        # Who gave up was told that it is not written; who tries again must not find it there.
        wanted = [unit for unit in batch if not unit.future.done()]
        if not wanted:
            return
        try:
            with self._metrics.commit_seconds.time():
                self._transact(wanted, session)
        except Exception as exc:  # noqa: BLE001 - as above
            self._failed(wanted, exc)
        else:
            self._metrics.commit_units.observe(len(wanted))
            if self._failing:
                self._failing = False
                log.info("store_recovered")

    def _transact(self, batch: list[_Unit], session: Session) -> None:
        rows = [unit.row for unit in batch if unit.work is None]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _transaction(session):
                    if len(rows) < len(batch):
                        session.take_turn()
                    if rows:
                        self._append(session, rows)
                    for unit in batch:
                        if unit.work is not None:
                            self._run(unit, session)
            except self._engine.error as exc:
                if attempt == ATTEMPTS or self._engine.fault(exc) is not Fault.AGAIN:
                    raise
                log.info("store_transaction_again", attempt=attempt, why=_cause(exc))
            else:
                return

    def _run(self, unit: _Unit, session: Session) -> None:
        assert unit.work is not None  # noqa: S101
        unit.failure = None
        session.execute("SAVEPOINT unit")
        try:
            unit.result = unit.work(session)
            session.execute("RELEASE unit")
        except self._engine.error as exc:
            if self._engine.fault(exc) is not Fault.UNIT:
                raise  # the whole batch fails, or is tried again
            unit.failure = StoreConflict(_cause(exc))
            unit.failure.__cause__ = exc
        except (*FAULTS, RouterError) as exc:
            unit.failure = exc
        if unit.failure is not None:
            session.execute("ROLLBACK TO unit")
            session.execute("RELEASE unit")

    def _failed(self, batch: list[_Unit], exc: Exception) -> None:
        # After an error of the disk the connection's state is not to be trusted: the next batch opens a new one.
        self._disconnect()
        for unit in batch:
            unit.failure = StoreUnavailable(_cause(exc))
            unit.failure.__cause__ = exc
        self._say_failing(exc)

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except self._engine.error as exc:
                log.debug("store_close_failed", error=_cause(exc))

    def _say_failing(self, exc: Exception) -> None:
        if not self._failing:
            self._failing = True
            log.error("store_unavailable", database=self.place, error=_cause(exc))

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

    # -- the reading thread ------------------------------------------------------------------------------------------

    def _read_loop(self) -> None:
        while (question := self._asked.get()) is not None:
            if not question.future.done():
                self._read(question)
                self._wake_reader(question)
        self._stop_reading()

    def _read(self, question: _Question) -> None:
        try:
            if self._reading is None:
                self._reading = self._engine.connect_reading()
            with _transaction(self._reading) as connection:
                self._look(question, connection)
        except Exception as exc:  # noqa: BLE001 - the top of a worker: a dead reader would answer nobody
            if isinstance(exc, self._engine.error) and self._engine.fault(exc) is Fault.UNIT:
                question.failure = StoreConflict(_cause(exc))  # the question is wrong, the connection is not
                question.failure.__cause__ = exc
                return
            self._stop_reading()
            question.failure = StoreUnavailable(_cause(exc))
            question.failure.__cause__ = exc

    def _look(self, question: _Question, connection: Connection) -> None:
        try:
            question.result = question.work(connection)
        except (*FAULTS, RouterError) as exc:  # the question is wrong, the connection is not
            question.failure = exc

    def _wake_reader(self, question: _Question) -> None:
        try:
            self._loop.call_soon_threadsafe(question.answer)
        except RuntimeError:  # the loop is closed: nobody waits any more
            log.warning("store_answer_unheard", units=1)

    def _stop_reading(self) -> None:
        session, self._reading = self._reading, None
        if session is not None:
            try:
                session.close()
            except self._engine.error as exc:
                log.debug("store_close_failed", error=_cause(exc))


def _batch(waiting: deque[_Unit]) -> list[_Unit]:
    """What goes into one transaction: all that waits, within bounds. A lone request is committed at once, no timer."""
    batch = [waiting.popleft()]
    size = batch[0].size
    while waiting and len(batch) < BATCH_UNITS and size < BATCH_BYTES:
        unit = waiting.popleft()
        batch.append(unit)
        size += unit.size
    return batch


@contextmanager
def _transaction(session: Session) -> Iterator[Connection]:
    session.begin()
    try:
        yield session
    except BaseException:
        session.rollback()
        raise
    session.commit()


async def _within(seconds: float, future: asyncio.Future[T]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        raise StoreUnavailable("the database does not answer") from None


def _engine_of(url: str) -> Engine:
    scheme, separator, _ = url.partition("://")
    # The rest of the URL may hold a password.
    if not separator:
        raise CannotStart(
            "ROUTER_DATABASE is not a database URL. Write sqlite:///router.db or postgresql://user@host/name"
        )
    if scheme == "sqlite":
        return SqliteEngine(url)
    if scheme in ("postgresql", "postgres"):
        # Imported here: with SQLite it would cost memory and time at every start.
        from router.store.postgres import PostgresEngine

        return PostgresEngine(url)
    raise CannotStart(
        f"ROUTER_DATABASE: data is kept in SQLite or in PostgreSQL, not in {scheme!r}. "
        "Write sqlite:///router.db or postgresql://user@host/name"
    )


def _cause(exc: BaseException) -> str:
    text = " ".join(f"{exc}".split())
    return text if isinstance(exc, RouterError) else f"{type(exc).__name__}: {text}"
