"""Which of several routers on one database does what only one may do."""

from datetime import datetime, timedelta
from typing import Final

from router.core.errors import LeaseLost
from router.store.database import Connection
from router.store.instants import micros

DECIDING: Final = "deciding"
DELIVERING: Final = "delivering"


def hold(connection: Connection, name: str, *, holder: str, now: datetime, lasts: timedelta) -> int | None:
    """Take the lease, or make it last longer; its term, which grows with every new holder. None: somebody else has it.

    `now` is the database's, so that all routers read one clock.
    """
    at, ends_at = micros(now), micros(now + lasts)
    row = connection.execute(
        """
        INSERT INTO leases (name, holder, term, ends_at) VALUES (?, ?, 1, ?)
        ON CONFLICT (name) DO UPDATE SET
            term = CASE WHEN leases.holder = excluded.holder THEN leases.term ELSE leases.term + 1 END,
            holder = excluded.holder,
            ends_at = excluded.ends_at
        WHERE leases.holder = excluded.holder OR leases.ends_at <= ?
        RETURNING term
        """,
        (name, holder, ends_at, at),
    ).fetchone()
    return None if row is None else int(row[0])


def let_go(connection: Connection, name: str, *, holder: str) -> None:
    """Another router may take it at once."""
    connection.execute("UPDATE leases SET ends_at = 0 WHERE name = ? AND holder = ?", (name, holder))


def holders(connection: Connection) -> dict[str, str]:
    """Who holds each lease, or held it last."""
    return dict(connection.execute("SELECT name, holder FROM leases ORDER BY name").fetchall())


def require(connection: Connection, name: str, *, term: int) -> None:
    """In the transaction of a holder's write. Raises LeaseLost if the lease has gone to somebody else since.

    The row stays locked until that is committed: who takes the lease meanwhile waits, and then sees what was written.
    """
    row = connection.execute(f"SELECT term FROM leases WHERE name = ? {connection.for_update}", (name,)).fetchone()
    if row is None or row[0] != term:
        raise LeaseLost(f"the lease {name!r} has gone to another router")
