"""PostgreSQL: one database that several routers may use.

No answer is waited for without end: a server that was frozen, or whose packets are dropped, leaves a connection that
looks healthy for hours. The server's own limits come first, because it can say what took so long.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import AdaptersMap, Loader
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Format, TransactionStatus
from psycopg.types.numeric import Int8Dumper, NumericBinaryLoader

from router.core.errors import CannotStart, StoreUnavailable
from router.store import migrations
from router.store.engine import Connection, Cursor, Fault
from router.store.instants import instant

T = TypeVar("T")

# The least that libpq waits for; for each host of the URL.
CONNECT_S: Final = 2
STATEMENT_S: Final = 5
# A router that is stopped within a transaction holds rows that others wait for: they get them before they give up.
IDLE_S: Final = 4
# After the server had its chance to give up by itself.
ANSWER_S: Final = 6
MIGRATION_S: Final = 600
# Of pg_advisory_xact_lock, whose numbers a database shares: "router" in ASCII.
MIGRATING: Final = 0x726F75746572
WRITING: Final = MIGRATING + 1

# A URL that says something else wins. The kernel gives up on packets that nobody acknowledges.
_DEFAULTS: Final[dict[str, Any]] = {  # Any: as in psycopg
    "application_name": "alert-router",
    "connect_timeout": CONNECT_S,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
    # Of several hosts only the primary is of use, and after a failover no other (libpq: target_session_attrs).
    "target_session_attrs": "read-write",
}
# SET, not the connection's `options`: poolers refuse those.
_LIMITS: Final = (
    f"SET statement_timeout = '{STATEMENT_S}s'; SET lock_timeout = '{STATEMENT_S}s'; "
    f"SET idle_in_transaction_session_timeout = '{IDLE_S}s'"
)
_MIGRATION_LIMITS: Final = (
    f"SET LOCAL statement_timeout = '{MIGRATION_S}s'; SET LOCAL lock_timeout = '{MIGRATION_S}s'; "
    f"SET LOCAL idle_in_transaction_session_timeout = '{MIGRATION_S}s'"
)
# What a server says that time does not mend. libpq gives no code for it, and a server may speak another language: what
# is not known here counts as a server that is away, whose words are in the log.
_REFUSALS: Final = (
    "authentication failed",
    "does not exist",
    "no password supplied",
    "no pg_hba.conf entry",
    "not permitted to log in",
    "permission denied for database",
)


class PostgresEngine:
    """One database, found anew at each connection: the URL may name several hosts."""

    name = "postgresql"
    shared = True
    error = psycopg.Error

    def __init__(self, url: str) -> None:
        """Raises CannotStart for a URL that libpq does not understand."""
        try:
            named = conninfo_to_dict(url)
        except psycopg.Error:
            named = {}
        if not _plausible(named):
            # Neither libpq's text nor what it took for host, port and name is told: they may hold the password.
            raise CannotStart(
                "ROUTER_DATABASE is not a URL that PostgreSQL understands. Write postgresql://user@host/name; "
                "in a password, what is no letter and no digit is written as %40 (here @)"
            )
        self._conninfo = make_conninfo("", **{**_DEFAULTS, **named, "client_encoding": "utf8"})
        self.place = _place(named)
        self._migrated = False

    def open(self) -> "_Session":
        return self.connect()

    def connect(self) -> "_Session":
        session = self._connect("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
        try:
            with session.transaction():
                _require_durability(session)
                self._bring_forward(session)
        except CannotStart:
            session.close()
            raise
        except psycopg.Error as exc:
            session.close()
            if self._migrated or self.fault(exc) is not Fault.UNIT:
                raise StoreUnavailable(said(exc)) from exc
            raise CannotStart(
                f"ROUTER_DATABASE {self.place}: {said(exc)}. "
                "The router makes its tables itself: give it a database of its own, whose owner it is"
            ) from exc
        self._migrated = True
        return session

    def connect_reading(self) -> "_Session":
        return self._connect("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def fault(self, exc: Exception) -> Fault:
        if isinstance(exc, errors.DeadlockDetected | errors.SerializationFailure):
            return Fault.AGAIN
        # What was the primary is a standby now; or the data is damaged (class XX).
        lost = errors.ReadOnlySqlTransaction | errors.InternalError_ | errors.DataCorrupted | errors.IndexCorrupted
        if isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError | lost):
            return Fault.CONNECTION
        return Fault.UNIT

    def time(self, connection: Connection) -> datetime:
        (micros,) = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").fetchone()
        return instant(micros)

    def close(self) -> None: ...

    def _connect(self, begin: str) -> "_Session":
        try:
            driver = _Driver.connect(
                self._conninfo, autocommit=True, cursor_factory=psycopg.RawCursor, context=_adapters()
            )
        except psycopg.Error as exc:
            text = said(exc)
            if any(refusal in text for refusal in _REFUSALS):
                raise CannotStart(
                    f"ROUTER_DATABASE {self.place}: {text}. Put it right in the URL or on the server: "
                    "CREATE ROLE … LOGIN PASSWORD …; CREATE DATABASE … OWNER … ENCODING 'UTF8'"
                ) from exc
            raise StoreUnavailable(text) from exc
        try:
            driver.execute(_LIMITS)
        except psycopg.Error as exc:
            driver.close()
            raise StoreUnavailable(said(exc)) from exc
        return _Session(driver, begin)

    def _bring_forward(self, session: "_Session") -> None:
        if (version := _version(session)) == migrations.LATEST:
            return
        if not (self._migrated and version > migrations.LATEST):
            # Replicas are replaced one by one: an older one that runs goes on, also over a new connection.
            migrations.check(version)
        if version > migrations.LATEST:
            return
        with session.patient():
            # Two routers that start at once: the second waits here, and then finds nothing left to do.
            session.execute("SELECT pg_advisory_xact_lock(?)", (MIGRATING,))
            version = _version(session)
            migrations.check(version)
            if version < migrations.LATEST:
                migrations.migrate(session, version=version, spelled=spelled)
            if version == 0:
                _compress_with_lz4(session)


class _Driver(psycopg.Connection[tuple[Any, ...]]):
    """Waits for an answer no longer than `patience_s`; then it is closed."""

    patience_s: float = ANSWER_S

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError as exc:
            if exc.sqlstate is None and self.info.transaction_status == TransactionStatus.ACTIVE:
                # Nobody knows where in the conversation it is.
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {self.patience_s:g} s") from exc
            raise


class _Session:
    """A connection that takes the statements of the store."""

    for_update = "FOR UPDATE"
    skip_locked = "FOR UPDATE SKIP LOCKED"

    def __init__(self, driver: _Driver, begin: str) -> None:
        self._driver = driver
        self._begin = begin.encode()

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor:
        # Binary results: a body comes as it is, not as hexadecimal text.
        return self._driver.execute(_translated(sql), parameters or None, binary=True)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        cursor = self._driver.cursor(binary=True)
        cursor.executemany(_translated(sql), parameters)
        return cursor

    def begin(self) -> None:
        self._driver.execute(self._begin)

    def take_turn(self) -> None:
        # Units of work change rows of several tables, and the totals, each in the order of its own; in transactions of
        # several of them those of two routers would deadlock, which the server notices only after a second.
        self.execute("SELECT pg_advisory_xact_lock(?)", (WRITING,))

    def commit(self) -> None:
        # A transaction that failed, and whose error was swallowed, is answered with ROLLBACK and no error.
        if self._driver.execute(b"COMMIT").statusmessage != "COMMIT":
            raise errors.InFailedSqlTransaction("the transaction had failed before its COMMIT")

    def rollback(self) -> None:
        if not self._driver.closed and self._driver.info.transaction_status != TransactionStatus.IDLE:
            self._driver.execute(b"ROLLBACK")

    def close(self) -> None:
        self._driver.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.begin()
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit()

    @contextmanager
    def patient(self) -> Iterator[None]:
        """What is done here may take long, to the end of the transaction."""
        self._driver.execute(_MIGRATION_LIMITS)
        self._driver.patience_s = MIGRATION_S
        try:
            yield
        finally:
            self._driver.patience_s = ANSWER_S


_MARKS: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|\?")


@lru_cache(maxsize=1024)
def _translated(sql: str) -> bytes:
    """With the marks of PostgreSQL ($1, $2, …) in the place of `?`."""
    number = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal number
        if found[0] != "?":
            return found[0]
        number += 1
        return f"${number}"

    return _MARKS.sub(mark, sql).encode()


def spelled(statement: str) -> str:
    """A statement of the schema in PostgreSQL's words.

    Text sorts by its bytes, as in SQLite: pages that go from id to id rely on it, and an index does not break when the
    server's C library changes its idea of an order (wiki.postgresql.org/wiki/Locale_data_changes).
    """
    return (
        statement.replace("{serial}", "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
        .replace("{blob}", "BYTEA")
        .replace(" TEXT", ' TEXT COLLATE "C"')
    )


def said(exc: Exception) -> str:
    """The driver's words on one line. They name host, user and database, and never a password."""
    return " ".join(f"{exc}".split()) or type(exc).__name__


class _BoolDumper(Int8Dumper):
    """The tables keep truth as 0 and 1."""

    def dump(self, obj: Any) -> Buffer:  # Any: as in psycopg
        return b"1" if obj else b"0"


class _NumberLoader(Loader):
    """Of what the statements ask for only the sum of a BIGINT is numeric; SQLite has it as an integer."""

    format = Format.BINARY

    def load(self, data: Buffer) -> int | float:
        value = NumericBinaryLoader(self.oid).load(data)
        return int(value) if value == value.to_integral_value() else float(value)


@lru_cache(maxsize=1)
def _adapters() -> psycopg.abc.AdaptContext:
    adapters = AdaptersMap(psycopg.adapters)
    # One type for all integers, else a statement is prepared anew for each size of its values.
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(bool, _BoolDumper)
    adapters.register_loader("numeric", _NumberLoader)
    return adapters


def _version(session: _Session) -> int:
    # Not to_regclass(): within a transaction it goes on saying that a table is not there which another has made since.
    (found,) = session.execute(
        "SELECT count(*) FROM pg_tables WHERE tablename = 'router_schema' AND schemaname = ANY (current_schemas(false))"
    ).fetchone()
    return migrations.version_of(session, exists=found > 0)


def _require_durability(session: _Session) -> None:
    commit, fsync, encoding = session.execute(
        "SELECT current_setting('synchronous_commit'), current_setting('fsync'), current_setting('server_encoding')"
    ).fetchone()
    if commit == "off":
        raise CannotStart(
            "ROUTER_DATABASE: synchronous_commit is off, so that what was answered could be lost with the server. "
            "ALTER ROLE … SET synchronous_commit = on (or local, remote_write, remote_apply)"
        )
    if fsync == "off":
        raise CannotStart(
            "ROUTER_DATABASE: the server runs with fsync = off and loses its data at a power cut. Set it to on"
        )
    if encoding != "UTF8":
        raise CannotStart(
            f"ROUTER_DATABASE: the database's encoding is {encoding}, which does not hold every alert. "
            "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _compress_with_lz4(session: _Session) -> None:
    """Bodies are JSON, and PostgreSQL's own pglz is several times slower. A server without lz4 goes on with that."""
    session.execute("SAVEPOINT lz4")
    try:
        session.execute("ALTER TABLE bodies ALTER COLUMN body SET COMPRESSION lz4")
    except (errors.FeatureNotSupported, errors.SyntaxError, errors.InvalidParameterValue):
        session.execute("ROLLBACK TO lz4")
    session.execute("RELEASE lz4")


def _plausible(named: dict[str, Any]) -> bool:  # Any, here and below: as in psycopg
    """A password that is not encoded ends up in host, port or name."""
    ports = str(named.get("port") or "").replace(",", "")
    names = f"{named.get('host')}{named.get('dbname')}"
    return bool(named) and (ports.isdigit() or not ports) and "@" not in names


def _place(named: dict[str, Any]) -> str:
    hosts = str(named.get("host") or named.get("hostaddr") or "").split(",")
    ports = str(named.get("port") or "").split(",")
    if len(ports) < len(hosts):
        ports = ports[:1] * len(hosts)
    where = ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
    return f"postgresql://{where}/{named.get('dbname') or ''}"
