"""The inbox: what senders told us, as bytes, and what became of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from router.core.errors import LeaseLost
from router.core.incidents import Ended, Reason, Telling
from router.core.model import AlertStatus, Level, NotificationState, Source, Stage, Via
from router.core.routing import Decision
from router.core.shares import Verdict
from router.store.database import Connection, marks
from router.store.instants import instant, instant_or_none, micros, micros_or_none


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One notification as it came in."""

    id: int
    source: Source
    received_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one notification."""

    id: int
    source: Source
    received_at: datetime
    state: NotificationState
    error: str | None
    duplicate_of: int | None
    map_revision: str | None
    decided_at: datetime | None
    replay: str | None  # that took it out of the dead letters
    verdicts: tuple[Verdict, ...]
    body: bytes | None


def row(*, id: int, source: Source, received_at: datetime, error: str | None, body: bytes) -> tuple[Any, ...]:
    """What `append` takes. With an `error` the notification is quarantined from the start."""
    state = NotificationState.WAITING if error is None else NotificationState.QUARANTINED
    return id, source.value, micros(received_at), state.value, error, body


def append(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Store notifications: the hot statements."""
    # Many rows a statement: each step of SQLite gives the interpreter's lock away and has to wait to get it back, and
    # each statement of PostgreSQL is a way there and back.
    for at in range(0, len(rows), _CHUNK):
        chunk = rows[at : at + _CHUNK]
        notifications, bodies = _inserts(len(chunk))
        connection.execute(notifications, [value for row in chunk for value in row[:5]])
        connection.execute(bodies, [value for row in chunk for value in (row[0], row[5])])
    quarantined = sum(row[3] == NotificationState.QUARANTINED for row in rows)
    count(connection, {"accepted": len(rows), "quarantined": quarantined})


_CHUNK = 64


@lru_cache(maxsize=_CHUNK)
def _inserts(size: int) -> tuple[str, str]:
    """For so many rows: into notifications, and into bodies."""
    return (
        "INSERT INTO notifications (id, source, received_at, state, error) VALUES "
        + ", ".join(["(?, ?, ?, ?, ?)"] * size),
        "INSERT INTO bodies (id, body) VALUES " + ", ".join(["(?, ?)"] * size),
    )


def count(connection: Connection, amounts: Mapping[str, int]) -> None:
    """Add to the totals of the conservation law, in the transaction that changes the rows."""
    for name, amount in amounts.items():
        if amount:
            connection.execute("UPDATE totals SET value = value + ? WHERE name = ?", (amount, str(name)))


def touch(connection: Connection) -> None:
    """A write that changes nothing, to see that the disk still takes one."""
    # There and back: SQLite writes nothing for a row that stays as it was, and a full disk would go unseen.
    for step in (1, -1):
        connection.execute("UPDATE totals SET value = value + ? WHERE name = 'accepted'", (step,))


def last_id(connection: Connection) -> int:
    """The newest notification's id; ids of this process go on from there, also when the clock went backwards."""
    (newest,) = connection.execute("SELECT max(id) FROM notifications").fetchone()
    return newest or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Notifications to be decided together."""

    stored: tuple[Stored, ...]
    more: bool  # wait behind these


def waiting(connection: Connection, *, limit: int, size: int) -> Batch:
    """The oldest undecided notifications, in the order of their arrival: at most `limit`, and of about `size` bytes."""
    rows = connection.execute(
        """
        SELECT n.id, n.source, n.received_at, b.body FROM notifications n JOIN bodies b ON b.id = n.id
        WHERE n.state = 'waiting' ORDER BY n.id LIMIT ?
        """,
        (limit + 1,),
    )
    stored: list[Stored] = []
    held = 0
    for identifier, source, received_at, body in rows:
        # A large body is a batch of its own: what is decided together is in memory together, and is one transaction.
        if len(stored) == limit or (stored and held + len(body) > size):
            return Batch(stored=tuple(stored), more=True)
        stored.append(Stored(id=identifier, source=Source(source), received_at=instant(received_at), body=body))
        held += len(body)
    return Batch(stored=tuple(stored), more=False)


_DECIDED = """
    UPDATE notifications SET state = ?, error = ?, duplicate_of = ?, verdicts = ?, map_revision = ?, decided_at = ?
    WHERE id = ? AND state = 'waiting'
"""


def record(connection: Connection, decisions: Sequence[tuple[int, Decision]], *, revision: str, now: datetime) -> None:
    """Mark notifications as decided. In the transaction that writes what was decided."""
    at = micros(now)
    changed = connection.executemany(
        _DECIDED,
        [
            (
                decision.state.value,
                None,
                decision.duplicate_of,
                _dump(decision.verdicts) if decision.verdicts else None,
                revision,
                at,
                identifier,
            )
            for identifier, decision in decisions
        ],
    )
    if changed.rowcount != len(decisions):
        raise LeaseLost("another router has decided these notifications")
    states = [decision.state for _, decision in decisions]
    count(connection, {state: states.count(state) for state in set(states)})


def quarantine(connection: Connection, id: int, *, error: str, revision: str, now: datetime) -> None:
    """What turned out to be unreadable after its answer."""
    state = NotificationState.QUARANTINED
    changed = connection.execute(_DECIDED, (state.value, error, None, None, revision, micros(now), id))
    if changed.rowcount != 1:
        raise LeaseLost("another router has decided this notification")
    count(connection, {state: 1})


def told(connection: Connection, groups: Sequence[str]) -> dict[str, Telling]:
    rows = connection.execute(
        "SELECT alert_group, content, notification, sender, reason, at, rhythm, ended FROM tellings "
        f"WHERE alert_group IN ({marks(groups)})",
        groups,
    )
    return {
        group: Telling(
            content=content,
            notification=notification,
            sender=sender,
            reason=reason,
            at=instant(at),
            rhythm=None if rhythm is None else timedelta(microseconds=rhythm),
            ended={} if ended is None else _ended(ended),
        )
        for group, content, notification, sender, reason, at, rhythm, ended in rows
    }


def tell(connection: Connection, tellings: Mapping[str, Telling]) -> None:
    """Remember what groups were last told."""
    connection.executemany(
        """
        INSERT INTO tellings (alert_group, content, notification, sender, reason, at, rhythm, ended)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (alert_group) DO UPDATE SET content = excluded.content, notification = excluded.notification,
            sender = excluded.sender, reason = excluded.reason, at = excluded.at, rhythm = excluded.rhythm,
            ended = excluded.ended
        """,
        [
            (
                group,
                telling.content,
                telling.notification,
                telling.sender,
                telling.reason,
                micros(telling.at),
                None if telling.rhythm is None else telling.rhythm // timedelta(microseconds=1),
                _dump_ended(telling.ended) if telling.ended else None,
            )
            for group, telling in tellings.items()
        ],
    )


def _dump_ended(ended: Mapping[str, Ended]) -> str:
    return json.dumps(
        {name: [micros_or_none(one.since), micros(one.until), one.sender] for name, one in ended.items()},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _ended(text: str) -> dict[str, Ended]:
    return {
        name: Ended(since=instant_or_none(since), until=instant(until), sender=sender)
        for name, (since, until, sender) in json.loads(text).items()
    }


def bodies_of(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[Source, bytes]]:
    """The bodies of notifications, by id. One that was pruned is missing."""
    rows = connection.execute(
        f"SELECT b.id, n.source, b.body FROM bodies b JOIN notifications n ON n.id = b.id WHERE b.id IN ({marks(ids)})",
        ids,
    )
    return {identifier: (Source(source), body) for identifier, source, body in rows}


def outcome(connection: Connection, id: int) -> Outcome | None:
    row = connection.execute(
        """
        SELECT n.source, n.received_at, n.state, n.error, n.duplicate_of, n.map_revision, n.decided_at,
            n.replay, n.verdicts, b.body
        FROM notifications n LEFT JOIN bodies b ON b.id = n.id WHERE n.id = ?
        """,
        (id,),
    ).fetchone()
    if row is None:
        return None
    source, received_at, state, error, duplicate_of, map_revision, decided_at, replay, verdicts, body = row
    return Outcome(
        id=id,
        source=Source(source),
        received_at=instant(received_at),
        state=NotificationState(state),
        error=error,
        duplicate_of=duplicate_of,
        map_revision=map_revision,
        decided_at=instant_or_none(decided_at),
        replay=replay,
        verdicts=_load(verdicts) if verdicts else (),
        body=body,
    )


def sums(connection: Connection) -> dict[str, int]:
    """The totals, and what waits, counted from the rows."""
    found = dict(connection.execute("SELECT name, value FROM totals").fetchall())
    (found["waiting"],) = connection.execute("SELECT count(*) FROM notifications WHERE state = 'waiting'").fetchone()
    return found


def _dump(verdicts: Sequence[Verdict]) -> str:
    return json.dumps(
        [
            [
                verdict.fingerprint,
                verdict.status,
                verdict.owner,
                None
                if verdict.via is None
                else [verdict.via.stage, verdict.via.entry, verdict.via.file, verdict.via.line],
                verdict.severity,
                verdict.incident,
                verdict.reason,
                verdict.detail,
            ]
            for verdict in verdicts
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _load(text: str) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(
            fingerprint=fingerprint,
            status=None if status is None else AlertStatus(status),
            owner=owner,
            via=None if via is None else Via(stage=Stage(via[0]), entry=via[1], file=via[2], line=via[3]),
            severity=None if severity is None else Level(severity),
            incident=incident,
            reason=Reason(reason),
            detail=detail,
        )
        for fingerprint, status, owner, via, severity, incident, reason, detail in json.loads(text)
    )
