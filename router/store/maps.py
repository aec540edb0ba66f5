"""The maps that were in force, so that what one of them decided can say which it was."""

from dataclasses import replace
from datetime import datetime

from router.core.model import MapVersion
from router.store.database import Connection
from router.store.instants import instant, micros


def record(connection: Connection, version: MapVersion, *, file: str, restarted: bool) -> MapVersion:
    """That this map is in force now, and since when: a restart does not make a map younger."""
    latest = connection.execute("SELECT revision, loaded_at FROM maps ORDER BY loaded_at DESC LIMIT 1").fetchone()
    if restarted and latest is not None and latest[0] == version.revision:
        version = replace(version, loaded_at=instant(latest[1]))
    connection.execute(
        """
        INSERT INTO maps (revision, loaded_at, map_commit, file) VALUES (?, ?, ?, ?)
        ON CONFLICT (revision, loaded_at) DO UPDATE SET map_commit = excluded.map_commit
        """,
        (version.revision, micros(version.loaded_at), version.commit, file),
    )
    return version


def in_force(connection: Connection, revision: str, *, at: datetime) -> MapVersion | None:
    """The map of this revision as it was in force at that time; None where nothing is known of it but that."""
    rows = connection.execute(
        "SELECT loaded_at, map_commit FROM maps WHERE revision = ? ORDER BY loaded_at", (revision,)
    ).fetchall()
    if not rows:
        return None
    # A clock that went backwards may leave none before: then the first time is as true as can be said.
    loaded_at, commit = next((row for row in reversed(rows) if row[0] <= micros(at)), rows[0])
    return MapVersion(revision=revision, commit=commit, loaded_at=instant(loaded_at))
