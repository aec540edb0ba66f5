"""What the store asks of a database engine: the little in which SQLite and PostgreSQL differ.

All statements are the same for both. They mark values with `?`, never in a literal. Lists go through `marks()`; what
sorts NULL, or compares with it, says how, because the engines sort it at opposite ends.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, Protocol


class Cursor(Protocol):
    """The rows of one statement, as tuples."""

    @property
    def rowcount(self) -> int:
        """How many rows INSERT, UPDATE or DELETE changed; of a SELECT the engines say different things."""

    def fetchone(self) -> Any: ...  # Any, here and below: a row's columns have the types of its statement

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What a unit of work gets: an open transaction."""

    @property
    def for_update(self) -> str:
        """At the end of a SELECT: its rows are this transaction's until it ends. Empty where nobody else writes."""

    @property
    def skip_locked(self) -> str:
        """As `for_update`, but without the rows that another transaction holds."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor: ...


class Session(Connection, Protocol):
    """A connection as the store holds it. Errors are of the class `Engine.error`."""

    def begin(self) -> None: ...

    def take_turn(self) -> None:
        """Wait until no other router is in the middle of a transaction that has taken its turn."""

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Also where no transaction is open."""

    def close(self) -> None: ...


class Fault(Enum):
    """What an error of the driver says about the transaction it came from."""

    UNIT = "the statement is wrong, or contradicts what is stored; what was written before it stands"
    AGAIN = "another transaction was in the way; the same again may succeed"
    CONNECTION = "the database, or the way there, is broken; nothing of the transaction is to be trusted"


class Engine(Protocol):
    """One database. Each session is used by one thread."""

    @property
    def name(self) -> str: ...

    @property
    def shared(self) -> bool:
        """Several routers may use it at the same time."""

    @property
    def place(self) -> str:
        """Where it is, for people; never with a password."""

    @property
    def error(self) -> type[Exception]:
        """The base of what the driver raises."""

    def open(self) -> Session:
        """The first session, with the schema of this router.

        Raises CannotStart with what to do, or StoreUnavailable for a server that may come later.
        """

    def connect(self) -> Session:
        """A new session to write with, after another broke. Raises StoreUnavailable, CannotStart or `error`."""

    def connect_reading(self) -> Session:
        """A session whose transactions see one instant and change nothing. Raises as `connect`."""

    def fault(self, exc: Exception) -> Fault: ...

    def time(self, connection: Connection) -> datetime | None:
        """The clock that all routers on this database share; None where there is no other than the machine's."""

    def close(self) -> None:
        """After all its sessions."""


def marks(values: Sequence[object]) -> str:
    """A place for each value, between the parentheses of IN; for no value NULL, which equals nothing.

    Not for NOT IN: `x NOT IN (NULL)` is never true.
    """
    return ", ".join("?" * len(values)) or "NULL"
