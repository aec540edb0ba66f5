"""Copies of a running SQLite database, and databases made from them.

A copy is one instant of the database, and holds no file but its own. What a restored database knows is old: what waited
to be posted then has been posted since, as far as anybody can tell, and is not posted again by itself.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from router.core.errors import BackupUnusable, CannotStart, StoreUnavailable
from router.core.model import Cause, MessageKind, Notice, Urgency
from router.store import digests, messages, migrations
from router.store.database import Connection, _engine_of
from router.store.engine import Engine
from router.store.inbox import count
from router.store.instants import micros
from router.store.sqlite import SqliteEngine, _exclusive

# Pages between two reports of the progress, which an interrupt is heard at too.
PAGES_A_STEP: Final = 2_048
# In the header of a copy, as PRAGMA user_version: whoever opens it as a database learns that what it knows is old.
COPIED: Final = 1
RESTORED: Final = "restored from a backup"

_LOGS: Final = ("-journal", "-wal", "-shm")

Progress = Callable[[int, int], None]  # pages that are left, pages in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What is in a copy."""

    version: int  # of the schema
    size: int  # bytes
    notifications: int
    waiting: int
    incidents: int
    open: int
    messages: int
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What a restored database knows to be undone."""

    dead: int  # messages that waited to be posted
    edits: int  # messages in Slack that are brought up to date
    waiting: int  # notifications that are decided at the next start


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    contents: Contents
    marked: Marked
    before: Path | None  # where the database is kept that was there; None: there was none


def back_up(url: str, target: Path, *, force: bool, progress: Progress) -> Contents:
    """Copy the database to the file `target`, whether a router runs or not; `target` is there whole or not at all.

    Raises BackupUnusable where nothing was tried, StoreUnavailable where it did not work.
    """
    engine = _engine_of(url)
    if not isinstance(engine, SqliteEngine):
        raise BackupUnusable(
            "PostgreSQL is backed up by its own tools: "
            f"pg_dump --format=custom --file={target} --dbname='{engine.place}'"
        )
    source = Path(engine.place)
    partial = target.with_name(f"{target.name}.partial")
    if not source.is_file():
        raise BackupUnusable(f"{source}: no such database. Name the router's with --database or ROUTER_DATABASE")
    if any(_same(source, other) for other in (target, partial)):
        raise BackupUnusable(f"{target} is the database itself. Name another file")
    if target.exists() and not force:
        raise BackupUnusable(f"{target} exists already. Name another file, or give --force to replace it")
    with _failing(f"the backup to {target}", source), _alone(partial):
        try:
            contents = _copy(source, partial, progress)
            _sync(partial)
            partial.replace(target)
            _sync(target.parent)
        finally:
            _remove(partial)
    return contents


def restore(source: Path, url: str, *, now: datetime, progress: Progress) -> Restored:
    """Make `source` the database, marked as restored; the one that is there is kept beside it.

    A crash leaves either the old one or the new. Raises BackupUnusable where `source` cannot be used, CannotStart where
    a router runs, StoreUnavailable where it did not work.
    """
    engine = _engine_of(url)
    if not isinstance(engine, SqliteEngine):
        raise BackupUnusable(
            f"PostgreSQL is restored by its own tools: pg_restore --dbname='{engine.place}' {source}. "
            "Then, before a router is started: router restore --in-place"
        )
    database = Path(engine.place)
    if not source.is_file():
        raise BackupUnusable(f"{source}: no such file")
    if _same(source, database):
        raise BackupUnusable(f"{source} is the database itself. To mark it as restored: router restore --in-place")
    lock = _exclusive(database)
    try:
        with _failing(f"the restore to {database}", source):
            return _restore(source, database, now=now, progress=progress)
    finally:
        os.close(lock)


def _restore(source: Path, database: Path, *, now: datetime, progress: Progress) -> Restored:
    new = database.with_name(f"{database.name}.restoring")
    _remove(new)
    try:
        contents = _copy(source, new, progress)
        marked = _mark(SqliteEngine(f"sqlite:///{new}"), now=now)
        if _beside(new, "-wal").exists():
            raise StoreUnavailable(f"{new} has a log beside it still: another program has it open")
        _sync(new)
        before = _keep(database, now=now)
        new.replace(database)
        _sync(database.parent)
    finally:
        _remove(new)
    return Restored(contents=contents, marked=marked, before=before)


def _keep(database: Path, *, now: datetime) -> Path | None:
    """Give the present database a second name, so that there is no moment without a database. Returns that name."""
    kept = None
    if database.exists():
        # Closing the last connection puts the log into the file.
        with suppress(sqlite3.DatabaseError), closing(_open(database)) as present:
            present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        log = _beside(database, "-wal")
        if log.exists() and log.stat().st_size:
            raise StoreUnavailable(
                f"{log} cannot be put into {database}: another program has it open, or the disk fails. "
                f"Move {database}* away by hand, then try again"
            )
        kept = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
        os.link(database, kept)
        was = database.stat()
        new = database.with_name(f"{database.name}.restoring")
        new.chmod(was.st_mode & 0o777)
        with suppress(PermissionError):
            os.chown(new, was.st_uid, was.st_gid)
    # Beside another file than its own, a log would be taken for that one's.
    for suffix in _LOGS:
        _beside(database, suffix).unlink(missing_ok=True)
    return kept


def restore_in_place(url: str, *, now: datetime) -> Marked:
    """Mark a database as restored that other tools have brought back. Raises CannotStart, StoreUnavailable."""
    engine = _engine_of(url)
    if isinstance(engine, SqliteEngine) and not Path(engine.place).is_file():
        raise BackupUnusable(f"{engine.place}: no such database")
    return _mark(engine, now=now)


def _mark(engine: Engine, *, now: datetime) -> Marked:
    """In the schema of this router."""
    session = engine.open()
    try:
        session.begin()
        now = engine.time(session) or now
        held = session.execute("SELECT count(*) FROM leases WHERE ends_at > ?", (micros(now),)).fetchone()[0]
        if engine.shared and held:
            raise CannotStart(f"{engine.place} is in use by a router. Stop all routers on it, then try again")
        marked = mark_restored(session, now=now)
        if not engine.shared:
            session.execute("PRAGMA user_version=0")
        session.commit()
    except engine.error as exc:
        raise StoreUnavailable(f"{engine.place}: {exc}") from exc
    finally:
        session.close()
        engine.close()
    return marked


def mark_copy(connection: Connection, *, now: datetime) -> Marked | None:
    """Mark a copy that somebody put in the database's place by hand, on SQLite; None: it is no copy."""
    (copied,) = connection.execute("PRAGMA user_version").fetchone()
    if copied != COPIED:
        return None
    connection.execute("PRAGMA user_version=0")
    return mark_restored(connection, now=now)


def mark_restored(connection: Connection, *, now: datetime) -> Marked:
    """See to it that nothing old is posted. The fallback channel is told how much that is.

    What waited to be posted is a dead letter. It counts as in doubt: who replays it has Slack asked first whether it is
    there. What only waits to be edited calls nobody, and makes the message as true as the database knows. What waits to
    be decided was promised to its sender, and is decided. It may be done twice. A reply that calls nobody is left out:
    its message shows what it tells.
    """
    left_out = connection.execute(
        """
        UPDATE messages SET state = 'superseded', shown = wanted, token = token + 1
        WHERE state = 'pending' AND kind = ? AND urgency >= ? RETURNING id
        """,
        (MessageKind.REPLY.value, Urgency.REPLY.value),
    ).fetchall()
    rows = connection.execute(
        """
        UPDATE messages SET state = 'dead', error = ?, failure = NULL, token = token + 1,
            asked_at = coalesce(asked_at, wanted_at)
        WHERE state = 'pending' AND ts IS NULL AND (cause IS NULL OR cause NOT LIKE ?) RETURNING id, kind
        """,
        (RESTORED, f"{Cause.RESTORED}:%"),
    ).fetchall()
    for identifier, kind in rows:
        if kind == MessageKind.DIGEST:
            digests.give_up(connection, identifier, error=RESTORED)
    count(connection, {"dead": len(rows), "superseded": len(left_out)})
    (edits,) = connection.execute("SELECT count(*) FROM messages WHERE state = 'pending' AND ts IS NOT NULL").fetchone()
    (waiting,) = connection.execute("SELECT count(*) FROM notifications WHERE state = 'waiting'").fetchone()
    messages.notify(
        connection,
        Notice(
            cause=Cause.RESTORED,
            source=None,
            error=f"messages that waited to be posted: {len(rows)}",
            count=1,
            first_at=now,
            last_at=now,
            reference=None,
        ),
    )
    return Marked(dead=len(rows), edits=edits, waiting=waiting)


# -- files -------------------------------------------------------------------------------------------------------------


def _open(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """With `read_only` it neither writes nor checkpoints: a router that runs has the one connection for both."""
    if not read_only:
        return sqlite3.connect(path, isolation_level=None)
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    return connection


def _copy(source: Path, target: Path, progress: Progress) -> Contents:
    """One instant of `source` as one file, checked. Raises BackupUnusable where it is not whole, or not of a router."""
    with closing(_open(source, read_only=True)) as reading, closing(_open(target)) as copy:
        # It is thrown away if it is not whole, and synced once when it is.
        copy.execute("PRAGMA journal_mode=OFF")
        copy.execute("PRAGMA synchronous=OFF")
        # Within a transaction all pages are of one instant. Without one SQLite begins anew each time that another
        # process has written (sqlite.org/c3ref/backup_finish.html), and would never come to an end under load.
        reading.execute("BEGIN")
        _version(reading, source)
        reading.backup(copy, pages=PAGES_A_STEP, progress=lambda _, left, pages: progress(left, pages), sleep=0)
    with closing(_open(target)) as copy:
        # Without a log beside it, so that it can be moved, and read where nothing can be written.
        copy.execute("PRAGMA journal_mode=DELETE")
        copy.execute(f"PRAGMA user_version={COPIED}")
        (found,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise BackupUnusable(f"{source} is damaged: {' '.join(found.split())}. {_OLDER}")
        return _contents(copy, size=target.stat().st_size)


def _version(connection: sqlite3.Connection, source: Path) -> int:
    """Of its schema. Raises BackupUnusable for what is no database of a router, or one of a newer router."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'router_schema'").fetchone() is None:
        raise BackupUnusable(f"{source} is a database, but not one of this router. {_OLDER}")
    (version,) = connection.execute("SELECT version FROM router_schema").fetchone()
    if version > migrations.LATEST:
        raise BackupUnusable(
            f"{source} has schema version {version}, this router knows {migrations.LATEST}: a newer router made it. "
            "Use that one, or a backup from before the upgrade"
        )
    return int(version)


def _contents(copy: sqlite3.Connection, *, size: int) -> Contents:
    def number(of: str) -> int:
        return int(copy.execute(f"SELECT count(*) FROM {of}").fetchone()[0])

    (version,) = copy.execute("SELECT version FROM router_schema").fetchone()
    return Contents(
        version=version,
        size=size,
        notifications=number("notifications"),
        waiting=number("notifications WHERE state = 'waiting'"),
        incidents=number("incidents"),
        open=number("incidents WHERE state = 'open'"),
        messages=number("messages"),
        pending=number("messages WHERE state = 'pending'"),
    )


_OLDER: Final = "Name a file that `router backup` wrote, or an older one"


@contextmanager
def _failing(what: str, source: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as exc:
        raise StoreUnavailable(f"{what} failed: {exc}") from exc
    except sqlite3.DatabaseError as exc:
        raise BackupUnusable(f"{source}: {exc}. {_OLDER}") from exc


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """The file, empty, for this process alone and no other user to read. Raises StoreUnavailable."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
            raise BlockingIOError  # it has just been finished, and renamed
        os.ftruncate(handle, 0)
        for suffix in _LOGS:
            _beside(path, suffix).unlink(missing_ok=True)
        yield
    except BlockingIOError:
        raise StoreUnavailable(f"another backup is being written to {path}") from None
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _remove(path: Path) -> None:
    for suffix in ("", ".lock", *_LOGS):
        _beside(path, suffix).unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
