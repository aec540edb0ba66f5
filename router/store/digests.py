"""Digests: one message that stands for many that wait for the same channel.

Its members are superseded by it, each counted so when it is formed. The row of a member keeps the id of its digest,
also after it got a message of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.core.model import MessageKind
from router.store.database import Connection, marks
from router.store.inbox import count
from router.store.instants import micros

# More than so many that wait for one channel are told together: at one post a second people wait no longer than that.
CROWD = 5
MEMBERS = 30
# Of what waits to be posted: what is about an incident, and is surely not in Slack.
MAY_JOIN = "kind IN ('root', 'copy', 'undelivered') AND asked_at IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One message that a digest stands for."""

    id: int
    incident: str | None
    kind: MessageKind
    ts: str | None  # of a message of its own, which it got since
    undelivered: str | None  # as in its row


def form(connection: Connection, channel_id: str, *, fallback: str, due: tuple[int, int], now: datetime) -> int:
    """A digest of those that wait for the channel, the most urgent and newest first; its id. It is due now."""
    rows = connection.execute(
        f"""
        SELECT id, urgency FROM messages
        WHERE state = 'pending' AND ts IS NULL AND (due_at <= ? OR due_at > ?) AND coalesce(channel, ?) = ?
            AND {MAY_JOIN}
        ORDER BY urgency, wanted_at DESC, id DESC LIMIT ? {connection.skip_locked}
        """,
        (*due, fallback, channel_id, MEMBERS),
    ).fetchall()
    at = micros(now)
    (digest,) = connection.execute(
        """
        INSERT INTO messages (kind, channel, state, wanted, shown, wanted_at, due_at, attempts, urgency)
        VALUES (?, ?, 'pending', 1, 0, ?, ?, 0, ?) RETURNING id
        """,
        (
            MessageKind.DIGEST.value,
            None if channel_id == fallback else channel_id,
            at,
            at,
            min(urgency for _, urgency in rows),
        ),
    ).fetchone()
    ids = [identifier for identifier, _ in rows]
    connection.execute(
        f"UPDATE messages SET state = 'superseded', digest = ?, token = token + 1 WHERE id IN ({marks(ids)})",
        (digest, *ids),
    )
    count(connection, {"wanted": 1, "superseded": len(ids)})
    return int(digest)


def members(connection: Connection, digest: int) -> list[Member]:
    rows = connection.execute(
        "SELECT id, incident, kind, ts, undelivered FROM messages WHERE digest = ? ORDER BY id", (digest,)
    )
    return [_member(row) for row in rows]


def give_up(connection: Connection, digest: int, *, error: str) -> list[Member]:
    """The digest cannot be shown: those that it stood for are dead with it. Their states were counted when it began."""
    rows = connection.execute(
        "SELECT id, incident, kind, ts, undelivered FROM messages WHERE digest = ? AND state = 'superseded'", (digest,)
    ).fetchall()
    connection.execute(
        """
        UPDATE messages SET state = 'dead', error = ?, handled_at = wanted_at
        WHERE digest = ? AND state = 'superseded'
        """,
        (error, digest),
    )
    return [_member(row) for row in rows]


def _member(row: Sequence[Any]) -> Member:
    identifier, incident, kind, ts, undelivered = row
    return Member(
        id=identifier,
        incident=incident,
        kind=MessageKind(kind),
        ts=ts,
        undelivered=undelivered,
    )
