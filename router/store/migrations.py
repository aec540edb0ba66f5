"""Brings the schema to this router's version, in the transaction that its caller opened."""

from collections.abc import Callable

from router.core.errors import CannotStart
from router.store.engine import Connection
from router.store.schema import MIGRATIONS

LATEST = len(MIGRATIONS)


def version_of(connection: Connection, *, exists: bool) -> int:
    """The schema's version; 0 for an empty database. `exists`: whether there is a table router_schema."""
    if not exists:
        return 0
    row = connection.execute("SELECT version FROM router_schema").fetchone()
    return 0 if row is None else int(row[0])


def check(version: int) -> None:
    """Raises CannotStart for the schema of a newer router: this one would not keep what that one needs."""
    if version > LATEST:
        raise CannotStart(
            f"the database has schema version {version}, this router knows {LATEST}. "
            "Run the newer router, or restore a backup from before the upgrade"
        )


def migrate(connection: Connection, *, version: int, spelled: Callable[[str], str]) -> None:
    """Do every step behind `version`. `spelled` puts a statement into the words of the engine."""
    if version == 0:
        connection.execute("CREATE TABLE IF NOT EXISTS router_schema (version INTEGER NOT NULL)")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(spelled(statement))
    connection.execute("DELETE FROM router_schema")
    connection.execute("INSERT INTO router_schema (version) VALUES (?)", (LATEST,))
