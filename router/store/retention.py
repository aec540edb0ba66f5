"""What has ended long ago, and how it goes: in batches so small that no sender waits for one.

Nothing goes that somebody may still be told of. An incident's message is rendered from the bodies of the notifications
that its alerts fired in; so these stay with it, however old they are. The totals of the conservation law are of all
time, and do not change.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from router.core.identifiers import next_identifier, text_of
from router.core.model import Cause, IncidentState, MessageState, NotificationState
from router.store import incidents
from router.store.database import Connection, marks
from router.store.decisions import REMEMBERED
from router.store.instants import instant, micros
from router.store.messages import notice_of

# One transaction, for which those who send wait.
BATCH_ROWS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
# How many incidents are read at a time: each may be a document of a megabyte.
READ_TOGETHER: Final = 50

Key = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What may go, as it was at one instant; it holds for as long as a round takes."""

    before: datetime  # what ended later stays
    incidents: frozenset[str]  # ended before, but a message of theirs is still to be sent
    notifications: frozenset[int]  # older, but of incidents that may still be told

    @property
    def first_id(self) -> int:
        """Of the notifications that came in at `before`."""
        return next_identifier(now_ms=micros(self.before) // 1000, last=0, drawn=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows that go together, and the key of the last one that was looked at; None: there is no other behind it."""

    keys: tuple[Key, ...]
    last: Key | None


class Table(NamedTuple):
    """How the rows of one table, and what belongs to them, are found and deleted."""

    find: Callable[[Connection, Survey, Key], Batch]
    delete: Callable[[Connection, Sequence[Key]], dict[str, int]]  # how many rows of which table
    start: Key


# What is open, or stale and was told of since `before`: a stale incident that is told again is open again.
_LIVE = """
    SELECT id FROM incidents WHERE state = 'open'
    UNION SELECT id FROM incidents WHERE state = 'stale' AND updated_at >= ?
"""
# An incident is told by its own message or by a line of a digest. It may be told again while one of these waits or is a
# dead letter that nobody handled, and while the digest has a live incident, whose next state edits all of it.
_STILL_TOLD = f"""
    SELECT incident FROM messages WHERE state = 'pending'
    UNION SELECT incident FROM messages WHERE state = 'dead' AND handled_at IS NULL
    UNION SELECT m.incident FROM messages d JOIN messages m ON m.digest = d.id WHERE d.state = 'pending'
    UNION SELECT m.incident FROM messages d JOIN messages m ON m.digest = d.id
        WHERE d.state = 'dead' AND d.handled_at IS NULL
    UNION SELECT m.incident FROM ({_LIVE}) AS i JOIN messages o ON o.incident = i.id
        JOIN messages m ON m.digest = o.digest
"""


def survey(connection: Connection, *, before: datetime) -> Survey:
    """What stays of all that ended before that time.

    It need not be looked at again while a round deletes by it. What waits to be decided now is decided with a newer
    `decided_at`. What else comes to need an old notification has it from an incident that needed it before: alerts move
    between open incidents only.
    """
    waiting = connection.execute(
        "SELECT received_at FROM notifications WHERE state = 'waiting' ORDER BY id LIMIT 1"
    ).fetchone()
    if waiting is not None:
        # It is decided by what was known when it came in (decisions.known_of).
        before = min(before, instant(waiting[0]) - REMEMBERED)
    found = Survey(before=before, incidents=frozenset(), notifications=frozenset())
    # Older than itself can only be what moved into it.
    older = "(first_notification < ? OR document LIKE ?)"
    moved = '%"moved_from":%'
    rows = connection.execute(
        f"""
        SELECT id FROM incidents WHERE id IN ({_LIVE}) AND {older}
        UNION SELECT id FROM incidents WHERE id IN ({_STILL_TOLD}) AND {older}
        """,
        (micros(before), found.first_id, moved, micros(before), found.first_id, moved),
    ).fetchall()
    told = [row[0] for row in rows]
    return Survey(before=before, incidents=frozenset(told), notifications=frozenset(_needed(connection, told)))


def _needed(connection: Connection, ids: Sequence[str]) -> Iterator[int]:
    for at in range(0, len(ids), READ_TOGETHER):
        for incident in incidents.by_id(connection, ids[at : at + READ_TOGETHER]).values():
            yield incident.first_notification
            yield incident.last_notification
            yield from (tracked.notification for tracked in incident.alerts.values())


@dataclass(frozen=True, slots=True)
class _Found:
    key: Key
    goes: bool
    rows: int  # to delete
    size: int  # bytes


def _batch(found: Iterable[_Found]) -> Batch:
    """As many as one transaction may delete, at least one; those that stay are only passed by."""
    keys: list[Key] = []
    last: Key | None = None
    seen = rows = size = 0
    for row in found:
        if row.goes:
            rows, size = rows + row.rows, size + row.size
            if keys and (rows > BATCH_ROWS or size > BATCH_BYTES):
                return Batch(keys=tuple(keys), last=last)
            keys.append(row.key)
        seen, last = seen + 1, row.key
    return Batch(keys=tuple(keys), last=last if seen == BATCH_ROWS else None)


# -- incidents, with their messages ------------------------------------------------------------------------------------


def _ended_incidents(connection: Connection, survey: Survey, after: Key) -> Batch:
    before = micros(survey.before)
    rows = connection.execute(
        """
        SELECT i.id, i.state, i.closed_at, i.updated_at, length(i.document),
            (SELECT count(*) FROM messages m WHERE m.incident = i.id),
            EXISTS (
                SELECT 1 FROM messages m LEFT JOIN messages d ON d.id = m.digest
                WHERE m.incident = i.id AND (m.handled_at >= ? OR d.handled_at >= ?)
            )
        FROM incidents i WHERE i.id > ? AND i.id < ? ORDER BY i.id LIMIT ?
        """,
        (before, before, after, text_of(survey.first_id), BATCH_ROWS),
    )
    return _batch(
        _Found(
            incident,
            _has_ended(state, closed_at, updated_at, before)
            and not handled_lately
            and incident not in survey.incidents,
            1 + messages,
            size,
        )
        for incident, state, closed_at, updated_at, size, messages, handled_lately in rows
    )


def _has_ended(state: str, closed_at: int | None, updated_at: int, before: int) -> bool:
    """Of a stale one nothing was heard for longer than its rhythm; after so long nobody will ever hear of it."""
    ended_at = updated_at if state == IncidentState.STALE else closed_at
    return ended_at is not None and ended_at < before


def _delete_incidents(connection: Connection, ids: Sequence[Key]) -> dict[str, int]:
    """With their messages; a digest goes with the last of those that it stands for.

    Not what is to be told again since it was found: a dead letter that was replayed may end in an incident as old as
    itself, of which the survey knows nothing. Nor what was stale, and is open again.
    """
    told = connection.execute(
        f"""
        SELECT m.incident FROM messages m LEFT JOIN messages d ON d.id = m.digest
        WHERE m.incident IN ({marks(ids)}) AND (m.state = 'pending' OR d.state = 'pending')
        UNION SELECT id FROM incidents WHERE id IN ({marks(ids)}) AND state = 'open'
        """,
        [*ids, *ids],
    ).fetchall()
    ids = sorted({*ids} - {row[0] for row in told})
    digests = connection.execute(
        f"SELECT DISTINCT digest FROM messages WHERE incident IN ({marks(ids)}) AND digest IS NOT NULL", ids
    ).fetchall()
    messages = connection.execute(f"DELETE FROM messages WHERE incident IN ({marks(ids)})", ids).rowcount
    if digests:
        messages += connection.execute(
            f"""
            DELETE FROM messages WHERE id IN ({marks(digests)}) AND kind = 'digest'
                AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.digest = messages.id)
            """,
            [row[0] for row in digests],
        ).rowcount
    gone = connection.execute(f"DELETE FROM incidents WHERE id IN ({marks(ids)})", ids).rowcount
    return {"incidents": gone, "messages": messages}


# -- notices, and digests of nothing -----------------------------------------------------------------------------------


def _told_notices(connection: Connection, survey: Survey, after: Key) -> Batch:
    """Each comes at most once an hour and cause: few enough to be read at once."""
    before = micros(survey.before)
    rows = connection.execute(
        "SELECT id, state, handled_at, notice FROM messages WHERE cause > '' AND wanted_at < ?", (before,)
    ).fetchall()
    keys = [
        message
        for message, state, handled_at, notice in sorted(rows)
        if message > after and _is_over(state, handled_at, before) and not _tells_what_still_is(notice)
    ]
    return Batch(keys=tuple(keys[:BATCH_ROWS]), last=keys[BATCH_ROWS - 1] if len(keys) > BATCH_ROWS else None)


def _is_over(state: str, handled_at: int | None, before: int) -> bool:
    if state == MessageState.DEAD:
        return handled_at is not None and handled_at < before
    return state != MessageState.PENDING


def _tells_what_still_is(text: str) -> bool:
    """Its line is edited when it is over (messages.end_notices)."""
    notice = notice_of(text)
    return notice is not None and notice.cause is Cause.MAP_REJECTED and notice.ended_at is None


def _empty_digests(connection: Connection, survey: Survey, after: Key) -> Batch:
    """All that they stood for is told again in newer ones, with which it goes."""
    rows = connection.execute(
        """
        SELECT d.id FROM messages d WHERE d.id > ? AND d.kind = 'digest' AND d.wanted_at < ?
            AND (d.state <> 'dead' OR d.handled_at < ?) AND d.state <> 'pending'
            AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.digest = d.id)
        ORDER BY d.id LIMIT ?
        """,
        (after, micros(survey.before), micros(survey.before), BATCH_ROWS),
    )
    keys = tuple(row[0] for row in rows)
    return Batch(keys=keys, last=keys[-1] if len(keys) == BATCH_ROWS else None)


def _delete_messages(connection: Connection, ids: Sequence[Key]) -> dict[str, int]:
    gone = connection.execute(f"DELETE FROM messages WHERE id IN ({marks(ids)}) AND state <> 'pending'", ids)
    return {"messages": gone.rowcount}


# -- notifications, with their bodies ----------------------------------------------------------------------------------


def _settled_notifications(connection: Connection, survey: Survey, after: Key) -> Batch:
    before = micros(survey.before)
    rows = connection.execute(
        """
        SELECT n.id, n.state, n.decided_at, n.handled_at, coalesce(length(b.body), 0)
        FROM notifications n LEFT JOIN bodies b ON b.id = n.id WHERE n.id > ? AND n.id < ? ORDER BY n.id LIMIT ?
        """,
        (after, survey.first_id, BATCH_ROWS),
    )
    return _batch(
        _Found(
            notification,
            notification not in survey.notifications and _is_settled(state, decided_at, handled_at, before),
            2,
            size,
        )
        for notification, state, decided_at, handled_at, size in rows
    )


def _is_settled(state: str, decided_at: int | None, handled_at: int | None, before: int) -> bool:
    """Whether all that was to be done about a notification was done before."""
    if state == NotificationState.QUARANTINED:
        return handled_at is not None and handled_at < before
    return state != NotificationState.WAITING and decided_at is not None and decided_at < before


def _delete_notifications(connection: Connection, ids: Sequence[Key]) -> dict[str, int]:
    bodies = connection.execute(f"DELETE FROM bodies WHERE id IN ({marks(ids)})", ids).rowcount
    gone = connection.execute(f"DELETE FROM notifications WHERE id IN ({marks(ids)})", ids).rowcount
    return {"notifications": gone, "bodies": bodies}


# -- tellings ----------------------------------------------------------------------------------------------------------


def _old_tellings(connection: Connection, survey: Survey, after: Key) -> Batch:
    """Not what was told after a dead letter came in: by it a replay knows that it could show an older state."""
    rows = connection.execute(
        """
        SELECT alert_group, at < ? AND NOT EXISTS (
            SELECT 1 FROM incidents i WHERE i.alert_group = t.alert_group AND i.closed_at IS NULL
        ) AND NOT EXISTS (
            SELECT 1 FROM notifications n
            WHERE n.state = 'quarantined' AND n.handled_at IS NULL AND n.id < t.notification
        )
        FROM tellings t WHERE alert_group > ? ORDER BY alert_group LIMIT ?
        """,
        (micros(survey.before), after, BATCH_ROWS),
    )
    return _batch(_Found(group, bool(goes), 1, 0) for group, goes in rows)


def _delete_tellings(connection: Connection, groups: Sequence[Key]) -> dict[str, int]:
    gone = connection.execute(f"DELETE FROM tellings WHERE alert_group IN ({marks(groups)})", groups)
    return {"tellings": gone.rowcount}


# -- actions, and heartbeats that nobody hears -----------------------------------------------------------------------


def _done_actions(connection: Connection, survey: Survey, after: Key) -> Batch:
    rows = connection.execute(
        """
        SELECT id, done_at IS NOT NULL AND done_at < ? FROM actions WHERE id > ? ORDER BY id LIMIT ?
        """,
        (micros(survey.before), after, BATCH_ROWS),
    )
    return _batch(_Found(action, bool(goes), 1, 0) for action, goes in rows)


def _delete_actions(connection: Connection, ids: Sequence[Key]) -> dict[str, int]:
    gone = connection.execute(f"DELETE FROM actions WHERE id IN ({marks(ids)})", ids)
    return {"actions": gone.rowcount}


def _silent_heartbeats(connection: Connection, survey: Survey, after: Key) -> Batch:
    """Lost ones, that were renamed perhaps, and those that were heard too seldom to know when they are missing."""
    rows = connection.execute(
        "SELECT id, heard_at < ? AND due_at IS NULL FROM heartbeats WHERE id > ? ORDER BY id LIMIT ?",
        (micros(survey.before), after, BATCH_ROWS),
    )
    return _batch(_Found(heartbeat, bool(goes), 1, 0) for heartbeat, goes in rows)


def _delete_heartbeats(connection: Connection, ids: Sequence[Key]) -> dict[str, int]:
    """Not one that was heard again since it was found: that is due to be looked at."""
    gone = connection.execute(f"DELETE FROM heartbeats WHERE id IN ({marks(ids)}) AND due_at IS NULL", ids)
    return {"heartbeats": gone.rowcount}


# The order matters to who looks: an incident goes before the notifications that its page names. What stays for good are
# the `maps`: a row of two hundred bytes for each time that a map came into force, which tells what decided an incident.
TABLES: Final = (
    Table(_ended_incidents, _delete_incidents, ""),
    Table(_told_notices, _delete_messages, 0),
    Table(_empty_digests, _delete_messages, 0),
    Table(_settled_notifications, _delete_notifications, 0),
    Table(_old_tellings, _delete_tellings, ""),
    Table(_done_actions, _delete_actions, 0),
    Table(_silent_heartbeats, _delete_heartbeats, ""),
)
