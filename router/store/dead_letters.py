"""Dead letters: notifications that could not be read, and deliveries that were given up.

They stay as the rows that they are. One that was replayed goes back to where it failed; one that was dropped, or that
has nothing left to show, keeps its state and has `handled_at`. Every change is guarded by the row's state: of two that
handle the same dead letter at once, one does.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.core.incidents import Move
from router.core.model import FailureClass, IncidentState, MessageKind, MessageState, NotificationState, Source
from router.store import incidents
from router.store.database import Connection, marks
from router.store.inbox import count
from router.store.instants import instant, instant_or_none, micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """A notification that could not be read, or that once could not be."""

    id: int
    source: Source
    received_at: datetime
    state: NotificationState
    error: str
    size: int | None  # bytes of the body. None: it is not kept any more
    handled_at: datetime | None
    replay: str | None  # the last one

    @property
    def dead(self) -> bool:
        return self.state is NotificationState.QUARANTINED and self.handled_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A delivery that was given up, or that once was."""

    id: int
    incident: str | None  # None: a notice, or a digest
    kind: MessageKind
    channel_id: str | None  # None: the fallback channel
    ts: str | None
    state: MessageState
    attempts: int
    error: str
    failure: FailureClass | None  # None: a defect of the router, or given up by a router that did not keep it
    wanted_at: datetime
    handled_at: datetime | None
    replay: str | None  # the last one

    @property
    def dead(self) -> bool:
        return self.state is MessageState.DEAD and self.handled_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """Of an incident: what tells whether a message of it still has something to show."""

    title: str
    owner: str | None
    state: IncidentState
    moved_to: tuple[Move, ...]
    handed_over: bool


_QUARANTINED = """
    SELECT n.id, n.source, n.received_at, n.state, n.error, length(b.body), n.handled_at, n.replay
    FROM notifications n LEFT JOIN bodies b ON b.id = n.id
"""
_GIVEN_UP = """
    SELECT id, incident, kind, channel, ts, state, attempts, error, failure, wanted_at, handled_at, replay FROM messages
"""


def quarantined(connection: Connection, *, before: int, limit: int) -> list[Quarantined]:
    """Notifications that could not be read, newest first, older than the id `before`."""
    rows = connection.execute(
        f"{_QUARANTINED} WHERE n.state = 'quarantined' AND n.handled_at IS NULL AND n.id < ? "
        "ORDER BY n.id DESC LIMIT ?",
        (before, limit),
    )
    return [_quarantined(row) for row in rows]


def given_up(connection: Connection, *, before: int, reason: str | None, limit: int) -> list[GivenUp]:
    """Deliveries that were given up, newest first, older than the id `before`; for this reason alone, where given."""
    fits, values = ("AND error = ?", [reason]) if reason is not None else ("", [])
    rows = connection.execute(
        f"{_GIVEN_UP} WHERE state = 'dead' AND handled_at IS NULL AND id < ? {fits} ORDER BY id DESC LIMIT ?",
        (before, *values, limit),
    )
    return [_given_up(row) for row in rows]


def next_quarantined(connection: Connection, *, after: int, before: datetime | None, limit: int) -> list[Quarantined]:
    """As `quarantined`, oldest first from behind the id `after`, received before that time."""
    fits, values = ("AND n.received_at < ?", [micros(before)]) if before is not None else ("", [])
    rows = connection.execute(
        f"{_QUARANTINED} WHERE n.state = 'quarantined' AND n.handled_at IS NULL AND n.id > ? {fits} "
        "ORDER BY n.id LIMIT ?",
        (after, *values, limit),
    )
    return [_quarantined(row) for row in rows]


def next_given_up(
    connection: Connection, *, after: int, reason: str | None, before: datetime | None, limit: int
) -> list[GivenUp]:
    """As `given_up`, oldest first from behind the id `after`, wanted before that time."""
    fits, values = "", list[Any]()
    if reason is not None:
        fits, values = "AND error = ?", [reason]
    if before is not None:
        fits, values = f"{fits} AND wanted_at < ?", [*values, micros(before)]
    rows = connection.execute(
        f"{_GIVEN_UP} WHERE state = 'dead' AND handled_at IS NULL AND id > ? {fits} ORDER BY id LIMIT ?",
        (after, *values, limit),
    )
    return [_given_up(row) for row in rows]


def notifications(connection: Connection, ids: Sequence[int]) -> list[Quarantined]:
    """Those of these that are dead letters or once were, oldest first."""
    rows = connection.execute(
        f"{_QUARANTINED} WHERE n.id IN ({marks(ids)}) AND (n.state = 'quarantined' OR n.replay IS NOT NULL) "
        "ORDER BY n.id",
        ids,
    )
    return [_quarantined(row) for row in rows]


def deliveries(connection: Connection, ids: Sequence[int]) -> list[GivenUp]:
    """Those of these that are dead letters or once were, oldest first."""
    rows = connection.execute(
        f"{_GIVEN_UP} WHERE id IN ({marks(ids)}) AND (state = 'dead' OR replay IS NOT NULL) ORDER BY id", ids
    )
    return [_given_up(row) for row in rows]


def whereabouts(connection: Connection, ids: Collection[str]) -> dict[str, Whereabouts]:
    """Of incidents, one after the other: each may be a document of a megabyte. One that was pruned is missing."""
    found = {}
    for asked in sorted(ids):
        for incident in incidents.by_id(connection, [asked]).values():
            found[incident.id] = Whereabouts(
                title=incident.title,
                owner=incident.owner,
                state=incident.state,
                moved_to=incident.moved_to,
                handed_over=incident.handed_over,
            )
    return found


def requeue_notifications(connection: Connection, ids: Sequence[int], *, replay: str) -> set[int]:
    """They wait to be decided, as if they came in now. Returns those that were dead letters until this moment."""
    if not ids:
        return set()
    rows = connection.execute(
        f"""
        UPDATE notifications SET state = 'waiting', error = NULL, map_revision = NULL, decided_at = NULL, replay = ?
        WHERE id IN ({marks(ids)}) AND state = 'quarantined' AND handled_at IS NULL
            AND EXISTS (SELECT 1 FROM bodies WHERE bodies.id = notifications.id)
        RETURNING id
        """,
        (replay, *ids),
    ).fetchall()
    count(connection, {NotificationState.QUARANTINED: -len(rows)})
    return {row[0] for row in rows}


def requeue_deliveries(connection: Connection, ids: Sequence[int], *, replay: str, now: datetime) -> set[int]:
    """They are due now, as if never tried. Returns those that were dead letters until this moment.

    Their channels are tried again, also those that had refused: somebody says that they are repaired.
    """
    if not ids:
        return set()
    at = micros(now)
    rows = connection.execute(
        f"""
        UPDATE messages SET state = 'pending', wanted_at = ?, due_at = ?, attempts = 0, error = NULL, failure = NULL,
            plain = 0, token = token + 1, replay = ?
        WHERE id IN ({marks(ids)}) AND state = 'dead' AND handled_at IS NULL
        RETURNING id, channel, kind
        """,
        (at, at, replay, *ids),
    ).fetchall()
    count(connection, {MessageState.DEAD: -len(rows)})
    channels = sorted({channel for _, channel, _ in rows if channel is not None})
    if channels:
        connection.execute(f"DELETE FROM refused_channels WHERE channel IN ({marks(channels)})", channels)
    digests = [digest for digest, _, kind in rows if kind == MessageKind.DIGEST]
    if digests:
        # Its members went with it when it was given up, and were marked so (store.digests); it stands for them again.
        connection.execute(
            f"""
            UPDATE messages SET state = 'superseded', error = NULL, handled_at = NULL
            WHERE digest IN ({marks(digests)}) AND state = 'dead' AND handled_at = wanted_at
            """,
            digests,
        )
    return {row[0] for row in rows}


def drop_notifications(connection: Connection, ids: Sequence[int], *, now: datetime) -> set[int]:
    """They are kept and counted, and are nobody's business any more. Returns those that were until this moment."""
    if not ids:
        return set()
    rows = connection.execute(
        f"""
        UPDATE notifications SET handled_at = ?
        WHERE id IN ({marks(ids)}) AND state = 'quarantined' AND handled_at IS NULL RETURNING id
        """,
        (micros(now), *ids),
    ).fetchall()
    return {row[0] for row in rows}


def drop_deliveries(
    connection: Connection, ids: Sequence[int], *, now: datetime, replay: str | None = None
) -> set[int]:
    """As `drop_notifications`; with the `replay` that found nothing left to show, where it was one."""
    if not ids:
        return set()
    rows = connection.execute(
        f"""
        UPDATE messages SET handled_at = ?, replay = coalesce(?, replay)
        WHERE id IN ({marks(ids)}) AND state = 'dead' AND handled_at IS NULL RETURNING id
        """,
        (micros(now), replay, *ids),
    ).fetchall()
    return {row[0] for row in rows}


def _quarantined(row: Sequence[Any]) -> Quarantined:
    identifier, source, received_at, state, error, size, handled_at, replay = row
    return Quarantined(
        id=identifier,
        source=Source(source),
        received_at=instant(received_at),
        state=NotificationState(state),
        error=error or "",
        size=size,
        handled_at=instant_or_none(handled_at),
        replay=replay,
    )


def _given_up(row: Sequence[Any]) -> GivenUp:
    identifier, incident, kind, channel, ts, state, attempts, error, failure, wanted_at, handled_at, replay = row
    return GivenUp(
        id=identifier,
        incident=incident,
        kind=MessageKind(kind),
        channel_id=channel,
        ts=ts,
        state=MessageState(state),
        attempts=attempts,
        error=error or "",
        failure=None if failure is None else FailureClass(failure),
        wanted_at=instant(wanted_at),
        handled_at=instant_or_none(handled_at),
        replay=replay,
    )
