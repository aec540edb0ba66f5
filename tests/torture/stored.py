"""What a database holds, against what was promised: nothing acknowledged is missing, nothing is half there."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Read by plain SQL, not through the code that wrote it. Each finds what a transaction must not leave behind.
TORN: Final[Mapping[str, str]] = {
    "notification without its body": """
        SELECT id FROM notifications WHERE id NOT IN (SELECT id FROM bodies)
    """,
    "body without its notification": """
        SELECT id FROM bodies WHERE id NOT IN (SELECT id FROM notifications)
    """,
    "accepted is not the number of notifications": """
        SELECT value, n FROM totals, (SELECT count(*) AS n FROM notifications) WHERE name = 'accepted' AND value <> n
    """,
    "a total is not the number of notifications in that state": """
        SELECT name, value FROM totals WHERE name IN ('decided', 'deduplicated', 'quarantined')
            AND value <> (SELECT count(*) FROM notifications WHERE state = name)
    """,
    "accepted is not the sum of its states": """
        SELECT sum(CASE name WHEN 'accepted' THEN value ELSE -value END) AS rest FROM totals
        WHERE name IN ('accepted', 'decided', 'deduplicated', 'quarantined')
        HAVING rest <> (SELECT count(*) FROM notifications WHERE state = 'waiting')
    """,
    "wanted is not the sum of its states": """
        SELECT sum(CASE name WHEN 'wanted' THEN value ELSE -value END) AS rest FROM totals
        WHERE name IN ('wanted', 'delivered', 'superseded', 'dead')
        HAVING rest <> (SELECT count(*) FROM messages WHERE state = 'pending')
    """,
    "decided without a time or a map": """
        SELECT id FROM notifications WHERE state = 'decided' AND (decided_at IS NULL OR map_revision IS NULL)
    """,
    "decided, and its incident is missing": """
        SELECT n.id, v.value FROM notifications n, json_each(n.verdicts) v
        WHERE json_extract(v.value, '$[5]') IS NOT NULL
            AND json_extract(v.value, '$[5]') NOT IN (SELECT id FROM incidents)
    """,
    "incident that no message shows": """
        SELECT id FROM incidents WHERE id NOT IN (SELECT incident FROM messages WHERE incident IS NOT NULL)
    """,
    "incident of a notification that is missing": """
        SELECT id FROM incidents WHERE first_notification NOT IN (SELECT id FROM notifications)
            OR last_notification NOT IN (SELECT id FROM notifications)
    """,
    "message of an incident that is missing": """
        SELECT id FROM messages WHERE incident IS NOT NULL AND incident NOT IN (SELECT id FROM incidents)
    """,
    "telling of a notification that is missing": """
        SELECT alert_group FROM tellings WHERE notification NOT IN (SELECT id FROM notifications)
    """,
    "duplicate of a notification that is missing": """
        SELECT id FROM notifications WHERE duplicate_of IS NOT NULL
            AND duplicate_of NOT IN (SELECT id FROM notifications)
    """,
    # The row of a thread stands for all of its replies, and names none.
    "delivered, and Slack's name of it is missing": """
        SELECT id FROM messages WHERE state = 'delivered' AND ((ts IS NULL) <> (kind = 'reply') OR shown <> wanted)
    """,
    "told of a thread, and never wanted": """
        SELECT id FROM messages WHERE kind = 'reply' AND shown > wanted
    """,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """On one database after a cut."""

    lost: tuple[str, ...] = ()
    corrupt: tuple[str, ...] = ()
    torn: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        return not (self.lost or self.corrupt or self.torn)


def judge(database: Path, acknowledged: Mapping[int, bytes | None]) -> Verdict:
    """`acknowledged`: the bodies of notifications by id; None where the sender never read its answer."""
    try:
        # Opened as the router opens it: whoever comes first after a crash recovers the write-ahead log.
        with closing(sqlite3.connect(database)) as connection:
            damage = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            if damage != ["ok"]:
                return Verdict(corrupt=tuple(damage))
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:  # before its first transaction
                return Verdict(lost=tuple(f"{identifier}: no table" for identifier in acknowledged))
            return Verdict(lost=tuple(_lost(connection, acknowledged)), torn=tuple(_torn(connection)))
    except sqlite3.DatabaseError as exc:
        return Verdict(corrupt=(f"{type(exc).__name__}: {exc}",))


def _lost(connection: sqlite3.Connection, acknowledged: Mapping[int, bytes | None]) -> list[str]:
    held = dict(connection.execute("SELECT n.id, b.body FROM notifications n JOIN bodies b ON b.id = n.id"))
    missing = [f"{identifier}: missing" for identifier in acknowledged if identifier not in held]
    return missing + [
        f"{identifier}: another body"
        for identifier, body in acknowledged.items()
        if body is not None and held.get(identifier, body) != body
    ]


def _torn(connection: sqlite3.Connection) -> list[str]:
    return [f"{what}: {row}" for what, sql in TORN.items() for row in connection.execute(sql)]
