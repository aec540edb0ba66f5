"""SQLite: one file, one process, one connection that writes.

It is opened with WAL and `synchronous=FULL`: with NORMAL, committed transactions may roll back after a power cut
(sqlite.org/pragma.html#pragma_synchronous). Exactly one connection writes and checkpoints: SQLite before 3.51.3 can
corrupt its WAL when two do (sqlite.org/wal.html#walresetbug), and a deferred transaction that upgrades fails at once.
"""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

from router.core.errors import CannotStart
from router.store import migrations
from router.store.engine import Connection, Fault

SYNCHRONOUS_FULL: Final = 2
# The low byte of an extended result code is its class (sqlite.org/rescode.html).
_CLASS: Final = 0xFF
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class _Session(sqlite3.Connection):
    """Nobody else writes: a transaction has the whole file, so there is nothing to lock."""

    for_update = ""
    skip_locked = ""
    reads_only = False

    def begin(self) -> None:
        # Immediate for the writer: a deferred transaction that comes to write fails at once if another wrote meanwhile.
        self.execute("BEGIN" if self.reads_only else "BEGIN IMMEDIATE")

    def take_turn(self) -> None:
        """Nobody else is there."""


class SqliteEngine:
    """One database file. A second process on it is kept out by a lock file beside it."""

    name = "sqlite"
    shared = False
    error = sqlite3.Error

    def __init__(self, url: str) -> None:
        """Raises CannotStart for a URL that names no file."""
        path = url.partition("://")[2]
        if not path.startswith("/") or path == "/":
            raise CannotStart("ROUTER_DATABASE must name a file, after three slashes. Write sqlite:///router.db")
        self._path = Path(path[1:])
        self._lock_file: int | None = None

    @property
    def place(self) -> str:
        return str(self._path)

    def open(self) -> _Session:
        self._lock_file = _exclusive(self._path)
        try:
            session = self.connect()
            session.begin()
            try:
                _migrate(session)
                _look_at_each_table(session)
            except BaseException:
                session.rollback()
                session.close()
                raise
            session.commit()
        except sqlite3.Error as exc:
            if _class_of(exc) in _DAMAGED:
                aside = self._path.with_name("damaged")
                raise CannotStart(
                    f"ROUTER_DATABASE {self._path} is damaged, or not a database of this router ({exc}). "
                    "Bring back the last backup with `router restore FILE`. Or start empty, and keep what is left: "
                    f"mkdir {aside} && mv {self._path}* {aside}/"
                ) from exc
            raise CannotStart(
                f"ROUTER_DATABASE {self._path}: {exc}. "
                "Check that the file is a database of this router and that its directory can be written"
            ) from exc
        return session

    def connect(self) -> _Session:
        # Autocommit as far as the driver is concerned: it must not begin transactions by itself. Opened on one thread
        # and then used by one other alone.
        if not self._path.exists():
            # What senders sent is nobody else's to read; the files beside it get the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        session = sqlite3.connect(
            self._path,
            timeout=1.0,
            isolation_level=None,
            check_same_thread=False,
            factory=_Session,
            cached_statements=512,  # an insert for each number of rows is 128 of them
        )
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY"):
                session.execute(f"PRAGMA {pragma}")
            (synchronous,) = session.execute("PRAGMA synchronous").fetchone()
            if synchronous != SYNCHRONOUS_FULL:
                raise sqlite3.OperationalError(
                    f"synchronous=FULL was refused, it is {synchronous}: answers would promise too much"
                )
        except sqlite3.Error:
            session.close()
            raise
        return session

    def connect_reading(self) -> _Session:
        session = self.connect()
        session.reads_only = True
        # It must neither write nor checkpoint: there is one connection for both.
        session.execute("PRAGMA query_only=ON")
        session.execute("PRAGMA wal_autocheckpoint=0")
        return session

    def fault(self, exc: Exception) -> Fault:
        # SQLITE_ERROR is a statement that cannot be run; any other OperationalError is the disk, or a lock.
        if _class_of(exc) in _DAMAGED:
            return Fault.CONNECTION
        if isinstance(exc, sqlite3.OperationalError) and _class_of(exc) != sqlite3.SQLITE_ERROR:
            return Fault.CONNECTION
        return Fault.UNIT

    def time(self, _connection: Connection) -> None:
        return None

    def close(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def spelled(statement: str) -> str:
    """A statement of the schema in SQLite's words."""
    return statement.replace("{serial}", "INTEGER PRIMARY KEY").replace("{blob}", "BLOB")


def _migrate(session: _Session) -> None:
    exists = session.execute("SELECT 1 FROM sqlite_master WHERE name = 'router_schema'").fetchone() is not None
    version = migrations.version_of(session, exists=exists)
    migrations.check(version)
    if version < migrations.LATEST:
        migrations.migrate(session, version=version, spelled=spelled)


def _look_at_each_table(session: _Session) -> None:
    """Damage at the top of a table is found before anything is promised; reading all of it would take too long."""
    tables = session.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in tables:
        session.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchone()


def _class_of(exc: Exception) -> int | None:
    """The driver's own errors, such as a value that it cannot bind, have no code."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else code & _CLASS


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
