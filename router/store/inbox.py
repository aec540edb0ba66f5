"""The inbox: what senders told us, as bytes, and what became of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from router.core.incidents import Reason, Telling
from router.core.model import AlertStatus, Level, NotificationState, Source, Stage, Via
from router.core.routing import Decision, Verdict
from router.store.instants import instant, micros
from router.store.tables import bodies, notifications, tellings, totals

_INSERT_NOTIFICATION = "INSERT INTO notifications (id, source, received_at, state, error) VALUES (?, ?, ?, ?, ?)"
_INSERT_BODY = "INSERT INTO bodies (id, body) VALUES (?, ?)"


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
    verdicts: tuple[Verdict, ...]
    body: bytes | None


def row(*, id: int, source: Source, received_at: datetime, error: str | None, body: bytes) -> tuple[Any, ...]:
    """What `append` takes. With an `error` the notification is quarantined from the start."""
    state = NotificationState.WAITING if error is None else NotificationState.QUARANTINED
    return id, source.value, micros(received_at), state.value, error, body


def append(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """The one hot statement, so it speaks to the driver: SQLAlchemy's processing costs more than the insert."""
    driver = connection.connection.driver_connection
    assert driver is not None, "a connection that is in a transaction has a driver"  # noqa: S101
    driver.executemany(_INSERT_NOTIFICATION, [row[:5] for row in rows])
    driver.executemany(_INSERT_BODY, [(row[0], row[5]) for row in rows])
    quarantined = sum(row[3] == NotificationState.QUARANTINED for row in rows)
    count(connection, {"accepted": len(rows), "quarantined": quarantined})


def count(connection: Connection, amounts: Mapping[str, int]) -> None:
    """Add to the totals of the conservation law, in the transaction that changes the rows."""
    changes = [{"total": name, "amount": amount} for name, amount in amounts.items() if amount]
    if changes:
        connection.execute(_COUNT, changes)


_COUNT = update(totals).where(totals.c.name == bindparam("total")).values(value=totals.c.value + bindparam("amount"))


def touch(connection: Connection) -> None:
    """A write that changes nothing, to see that the disk still takes one."""
    connection.execute(update(totals).where(totals.c.name == "accepted").values(value=totals.c.value))


def last_id(connection: Connection) -> int:
    """The newest notification's id; ids of this process go on from there, also when the clock went backwards."""
    return connection.execute(select(func.max(notifications.c.id))).scalar() or 0


_WAITING = (
    select(notifications.c.id, notifications.c.source, notifications.c.received_at, bodies.c.body)
    .join(bodies, bodies.c.id == notifications.c.id)
    .where(notifications.c.state == "waiting")
    .order_by(notifications.c.id)
    .limit(bindparam("count"))
)


def waiting(connection: Connection, *, limit: int) -> list[Stored]:
    """The oldest undecided notifications, in the order of their arrival."""
    return [
        Stored(id=row.id, source=Source(row.source), received_at=instant(row.received_at), body=row.body)
        for row in connection.execute(_WAITING, {"count": limit})
    ]


_DECIDED = (
    update(notifications)
    .where(notifications.c.id == bindparam("notification"))
    .values(
        state=bindparam("new_state"),
        error=bindparam("new_error"),
        duplicate_of=bindparam("original"),
        verdicts=bindparam("new_verdicts"),
        map_revision=bindparam("revision"),
        decided_at=bindparam("at"),
    )
)


def record(connection: Connection, decisions: Sequence[tuple[int, Decision]], *, revision: str, now: datetime) -> None:
    """Mark notifications as decided. In the transaction that writes what was decided."""
    connection.execute(
        _DECIDED,
        [
            {
                "notification": id_,
                "new_state": decision.state.value,
                "new_error": None,
                "original": decision.duplicate_of,
                "new_verdicts": _dump(decision.verdicts) if decision.verdicts else None,
                "revision": revision,
                "at": micros(now),
            }
            for id_, decision in decisions
        ],
    )
    states = [decision.state.value for _, decision in decisions]
    count(connection, {state: states.count(state) for state in set(states)})


def quarantine(connection: Connection, id: int, *, error: str, revision: str, now: datetime) -> None:
    """What turned out to be unreadable after its answer."""
    connection.execute(
        _DECIDED,
        {
            "notification": id,
            "new_state": NotificationState.QUARANTINED.value,
            "new_error": error,
            "original": None,
            "new_verdicts": None,
            "revision": revision,
            "at": micros(now),
        },
    )
    count(connection, {"quarantined": 1})


def told(connection: Connection, groups: Sequence[str]) -> dict[str, Telling]:
    rows = connection.execute(select(tellings).where(tellings.c.alert_group.in_(groups)))
    return {
        row.alert_group: Telling(
            content=row.content,
            notification=row.notification,
            sender=row.sender,
            reason=row.reason,
            at=instant(row.at),
        )
        for row in rows
    }


_UPDATE_TELLING = (
    update(tellings)
    .where(tellings.c.alert_group == bindparam("key"))
    .values({name: bindparam(f"new_{name}") for name in ("content", "notification", "sender", "reason", "at")})
)


def tell(connection: Connection, new: Mapping[str, Telling], *, known: Mapping[str, Telling]) -> None:
    """Remember what groups were last told. `known` are those that have a row already."""
    inserts, updates = [], []
    for group, telling in new.items():
        values = {
            "content": telling.content,
            "notification": telling.notification,
            "sender": telling.sender,
            "reason": telling.reason,
            "at": micros(telling.at),
        }
        if group in known:
            updates.append({"key": group, **{f"new_{name}": value for name, value in values.items()}})
        else:
            inserts.append({"alert_group": group, **values})
    if inserts:
        connection.execute(insert(tellings), inserts)
    if updates:
        connection.execute(_UPDATE_TELLING, updates)


def bodies_of(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[Source, bytes]]:
    """The bodies of notifications, by id. One that was pruned is missing."""
    rows = connection.execute(
        select(bodies.c.id, notifications.c.source, bodies.c.body)
        .join(notifications, notifications.c.id == bodies.c.id)
        .where(bodies.c.id.in_(ids))
    )
    return {row.id: (Source(row.source), row.body) for row in rows}


def outcome(connection: Connection, id: int) -> Outcome | None:
    row = connection.execute(
        select(notifications, bodies.c.body)
        .outerjoin(bodies, bodies.c.id == notifications.c.id)
        .where(notifications.c.id == id)
    ).one_or_none()
    if row is None:
        return None
    return Outcome(
        id=row.id,
        source=Source(row.source),
        received_at=instant(row.received_at),
        state=NotificationState(row.state),
        error=row.error,
        duplicate_of=row.duplicate_of,
        map_revision=row.map_revision,
        verdicts=_load(row.verdicts) if row.verdicts else (),
        body=row.body,
    )


def sums(connection: Connection) -> dict[str, int]:
    """The totals, and what waits, counted from the rows."""
    values = {row.name: row.value for row in connection.execute(select(totals))}
    waits = select(func.count()).select_from(notifications).where(notifications.c.state == "waiting")
    return {**values, "waiting": connection.execute(waits).scalar_one()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    id: int
    source: Source
    received_at: datetime
    error: str


def quarantined(connection: Connection, *, before: int, limit: int) -> list[Quarantined]:
    """Notifications that could not be read, newest first, older than the id `before`."""
    rows = connection.execute(
        select(notifications.c.id, notifications.c.source, notifications.c.received_at, notifications.c.error)
        .where(notifications.c.state == "quarantined", notifications.c.id < before)
        .order_by(notifications.c.id.desc())
        .limit(limit)
    )
    return [
        Quarantined(id=row.id, source=Source(row.source), received_at=instant(row.received_at), error=row.error or "")
        for row in rows
    ]


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
