"""Digests: one message that stands for many that wait for the same channel.

Its members are superseded by it, each counted so when it is formed. The row of a member keeps the id of its digest,
also after it got a message of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.core.model import MessageKind, MessageState, Urgency
from router.store.database import Connection, marks
from router.store.inbox import count
from router.store.instants import micros
from router.store.messages import Raises

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


def form(connection: Connection, channel_id: str, *, fallback: str, due: tuple[int, int], now: datetime) -> int | None:
    """A digest of those that wait for the channel, the most urgent and newest first; its id. It is due now.

    None: somebody else is claiming all of them.
    """
    rows = []
    # By two statements: neither engine reads `x = ? OR x IS NULL` in the order of its index.
    for named in ("channel = ?", "channel IS NULL") if channel_id == fallback else ("channel = ?",):
        rows += connection.execute(
            f"""
            SELECT id, urgency, channel, wanted_at, digest FROM messages
            WHERE state = 'pending' AND ts IS NULL AND {named} AND (due_at <= ? OR due_at > ?) AND {MAY_JOIN}
            ORDER BY urgency, wanted_at DESC, id DESC LIMIT ? {connection.skip_locked}
            """,
            (*((channel_id,) if "?" in named else ()), *due, MEMBERS),
        ).fetchall()
    rows = sorted(rows, key=lambda row: (row[1], -row[3], -row[0]))[:MEMBERS]
    if not rows:
        return None
    at = micros(now)
    _tell_again(connection, {earlier for *_, earlier in rows if earlier is not None}, at=at)
    # Where all of them name the channel it is of that one for good, whatever the map makes the fallback channel.
    of_its_own = all(channel is not None for _, _, channel, *_ in rows)
    (digest,) = connection.execute(
        """
        INSERT INTO messages (kind, channel, state, wanted, shown, wanted_at, due_at, attempts, urgency)
        VALUES (?, ?, 'pending', 1, 0, ?, ?, 0, ?) RETURNING id
        """,
        (
            MessageKind.DIGEST.value,
            channel_id if of_its_own else None,
            at,
            at,
            min(urgency for _, urgency, *_ in rows),
        ),
    ).fetchone()
    ids = [identifier for identifier, *_ in rows]
    connection.execute(
        f"UPDATE messages SET state = 'superseded', digest = ?, token = token + 1 WHERE id IN ({marks(ids)})",
        (digest, *ids),
    )
    count(connection, {"wanted": 1, "superseded": len(ids)})
    return int(digest)


def _tell_again(connection: Connection, earlier: Collection[int], *, at: int) -> None:
    """Earlier digests lose the lines of those that are told again in a newer one."""
    ids = sorted(earlier)
    rows = connection.execute(
        f"SELECT id, state FROM messages WHERE id IN ({marks(ids)}) AND state <> 'dead'", ids
    ).fetchall()
    raises = Raises()
    for identifier, state in rows:
        raises.add(identifier, pending=state == MessageState.PENDING, urgency=Urgency.ENDED)
    raises.write(connection, at=at)


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
