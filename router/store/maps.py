"""The maps that were in force, so that what one of them decided can say which it was."""

from dataclasses import replace

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
        INSERT INTO maps (revision, map_commit, file, loaded_at) VALUES (?, ?, ?, ?)
        ON CONFLICT (revision) DO UPDATE SET map_commit = excluded.map_commit, loaded_at = excluded.loaded_at
        """,
        (version.revision, version.commit, file, micros(version.loaded_at)),
    )
    return version


def by_revision(connection: Connection, revision: str) -> MapVersion | None:
    row = connection.execute("SELECT map_commit, loaded_at FROM maps WHERE revision = ?", (revision,)).fetchone()
    if row is None:
        return None
    commit, loaded_at = row
    return MapVersion(revision=revision, commit=commit, loaded_at=instant(loaded_at))
