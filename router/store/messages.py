"""The outbox: one row a message, holding what it should show and what Slack is known to show.

A revision that should be shown is counted once as `wanted` and ends once as delivered, superseded or dead; a row that
is pending stands for exactly one revision that is still to come. So the four sums balance at any moment.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, case, func, insert, select, update

from router.core.model import Cause, Channel, MessageKind, MessageState, Notice, Source, Undelivered
from router.core.routing import Wanted
from router.store.inbox import count
from router.store.instants import instant, micros
from router.store.tables import messages

# A notice is told once per cause and hour; what comes within the hour is counted in it.
NOTICE_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that nobody else sends until its lease ends."""

    id: int
    incident: str | None  # None: a notice
    kind: MessageKind
    channel_id: str | None  # None: the fallback channel
    ts: str | None  # None: not posted yet
    revision: int
    attempt: int  # counts from 1
    wanted_at: datetime
    undelivered: Undelivered | None
    notice: Notice | None
    plain: bool  # Slack refused the blocks: facts as text only


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A message as lists show it."""

    id: int
    incident: str | None
    kind: MessageKind
    channel_id: str | None
    ts: str | None
    state: MessageState
    attempts: int
    error: str | None
    wanted_at: datetime


def want(connection: Connection, wanted: Iterable[Wanted], *, now: datetime) -> None:
    """Each of these messages should show its incident's newest state. One that is in flight is edited afterwards."""
    asked = list(wanted)
    if not asked:
        return
    known = _known(connection, {message.incident for message in asked})
    at = micros(now)
    inserts, raised, superseded = [], [], 0
    for message in asked:
        row = known.get((message.incident, message.kind, message.channel_id))
        if row is not None and row.state == "dead":
            if message.kind is not MessageKind.ROOT:
                continue
            # The owner's channel refused: the message that stands for it in the fallback channel is kept true instead.
            row = known.get((message.incident, MessageKind.UNDELIVERED, None))
            if row is None or row.state == "dead":
                continue
        if row is None:
            inserts.append(_fresh(message.incident, message.kind, message.channel_id, at=at))
        else:
            superseded += row.state == "pending"
            raised.append({"key": row.id, "at": at})
    if inserts:
        connection.execute(insert(messages), inserts)
    if raised:
        connection.execute(_RAISE, raised)
    count(connection, {"wanted": len(inserts) + len(raised), "superseded": superseded})


# A row that waits for a retry, or is in flight, keeps its time: a change must not hurry what Slack refused.
_RAISE = (
    update(messages)
    .where(messages.c.id == bindparam("key"))
    .values(
        wanted=messages.c.wanted + 1,
        state="pending",
        wanted_at=case((messages.c.state == "pending", messages.c.wanted_at), else_=bindparam("at")),
        due_at=case((messages.c.state == "pending", messages.c.due_at), else_=bindparam("at")),
        attempts=case((messages.c.state == "pending", messages.c.attempts), else_=0),
    )
)


def _known(
    connection: Connection, incidents: Collection[str]
) -> dict[tuple[str, MessageKind, str | None], Row[*tuple[Any, ...]]]:
    rows = connection.execute(
        select(messages.c.id, messages.c.incident, messages.c.kind, messages.c.channel, messages.c.state).where(
            messages.c.incident.in_(incidents)
        )
    )
    return {(row.incident, MessageKind(row.kind), row.channel): row for row in rows}


def _fresh(incident: str | None, kind: MessageKind, channel_id: str | None, *, at: int) -> dict[str, Any]:
    return {
        "incident": incident,
        "kind": kind.value,
        "channel": channel_id,
        "ts": None,
        "state": "pending",
        "wanted": 1,
        "shown": 0,
        "wanted_at": at,
        "due_at": at,
        "attempts": 0,
        "error": None,
        "undelivered": None,
        "notice": None,
        "cause": None,
    }


def notify(connection: Connection, notice: Notice) -> None:
    """Tell the fallback channel: a new line, or one more in the line of this cause that is not an hour old."""
    at = micros(notice.last_at)
    cause = f"{notice.cause}:{notice.source}"
    row = connection.execute(
        select(messages)
        .where(messages.c.cause == cause, messages.c.state != "dead")
        .order_by(messages.c.id.desc())
        .limit(1)
    ).one_or_none()
    earlier = _notice(row.notice) if row is not None else None
    if row is None or earlier is None or notice.last_at - earlier.first_at >= NOTICE_WINDOW:
        fresh = _fresh(None, MessageKind.NOTICE, None, at=at)
        connection.execute(insert(messages).values({**fresh, "notice": _dump_notice(notice), "cause": cause}))
        count(connection, {"wanted": 1})
        return
    told = Notice(
        cause=notice.cause,
        source=notice.source,
        error=notice.error,
        count=earlier.count + notice.count,
        first_at=earlier.first_at,
        last_at=notice.last_at,
        reference=notice.reference or earlier.reference,
    )
    connection.execute(update(messages).where(messages.c.id == row.id).values(notice=_dump_notice(told)))
    connection.execute(_RAISE, [{"key": row.id, "at": at}])
    count(connection, {"wanted": 1, "superseded": int(row.state == "pending")})


def claim(
    connection: Connection,
    *,
    now: datetime,
    lease: timedelta,
    posts: int,
    edits: int,
    blocked: Collection[str],
    fallback: str,
) -> list[Claimed]:
    """Lease due messages, oldest first: up to `posts` new ones, one a channel, none for a `blocked` one; and `edits`.

    `fallback` is the channel of the messages that name none. A message whose lease ended is due again with its attempt
    already counted: a crash costs one.
    """
    at = micros(now)
    channel = func.coalesce(messages.c.channel, fallback)
    due = select(messages).where(messages.c.state == "pending", messages.c.due_at <= at)
    rows: list[Row[*tuple[Any, ...]]] = []
    if posts > 0:
        first = due.where(messages.c.ts.is_(None), channel.not_in(blocked)).add_columns(
            func.row_number().over(partition_by=channel, order_by=messages.c.id).label("place")
        )
        ranked = first.subquery()
        rows += connection.execute(select(ranked).where(ranked.c.place == 1).order_by(ranked.c.id).limit(posts))
    if edits > 0:
        rows += connection.execute(due.where(messages.c.ts.is_not(None)).order_by(messages.c.due_at).limit(edits))
    if rows:
        connection.execute(_LEASE, [{"key": row.id, "until": micros(now + lease)} for row in rows])
    return [_claimed(row) for row in rows]


_LEASE = (
    update(messages)
    .where(messages.c.id == bindparam("key"))
    .values(due_at=bindparam("until"), attempts=messages.c.attempts + 1)
)


def next_due(connection: Connection) -> datetime | None:
    """When the earliest pending message is due; None if nothing is pending."""
    due = connection.execute(select(func.min(messages.c.due_at)).where(messages.c.state == "pending")).scalar()
    return None if due is None else instant(due)


def delivered(connection: Connection, id: int, *, revision: int, ts: str, now: datetime) -> None:
    """Slack shows `revision`. If a newer one is wanted meanwhile the message stays pending and is due at once."""
    row = connection.execute(select(messages.c.wanted, messages.c.state).where(messages.c.id == id)).one()
    newer = row.wanted > revision
    # A newer revision was counted as superseding this one when it was wanted; now this one was shown after all.
    count(connection, {"delivered": 1, "superseded": -1 if newer else 0})
    connection.execute(
        update(messages)
        .where(messages.c.id == id)
        .values(
            ts=ts,
            shown=revision,
            state="pending" if newer else "delivered",
            due_at=micros(now),
            attempts=0,
            error=None,
        )
    )


def retry(connection: Connection, id: int, *, error: str, due_at: datetime) -> None:
    connection.execute(update(messages).where(messages.c.id == id).values(error=error, due_at=micros(due_at)))


def degrade(connection: Connection, id: int, *, error: str, now: datetime) -> None:
    """Slack refuses this content: the same facts go out as text only, at once."""
    connection.execute(update(messages).where(messages.c.id == id).values(error=f"{PLAIN}{error}", due_at=micros(now)))


PLAIN = "plain text: "


def forget_root(connection: Connection, id: int, *, error: str, now: datetime) -> None:
    """The message in Slack is gone: post it anew with its current state."""
    connection.execute(update(messages).where(messages.c.id == id).values(ts=None, error=error, due_at=micros(now)))


def give_up(
    connection: Connection, claimed: Claimed, *, error: str, undelivered: Undelivered | None, now: datetime
) -> None:
    """The message is a dead letter; with `undelivered` the fallback channel shows its incident instead, and why."""
    connection.execute(update(messages).where(messages.c.id == claimed.id).values(state="dead", error=error))
    count(connection, {"dead": 1})
    if undelivered is None or claimed.incident is None:
        return
    known = _known(connection, [claimed.incident])
    at = micros(now)
    existing = known.get((claimed.incident, MessageKind.UNDELIVERED, None))
    if existing is not None:
        return
    connection.execute(
        insert(messages).values(
            {
                **_fresh(claimed.incident, MessageKind.UNDELIVERED, None, at=at),
                "undelivered": _dump_undelivered(undelivered),
            }
        )
    )
    count(connection, {"wanted": 1})


def pending(connection: Connection) -> tuple[int, datetime | None]:
    """How many messages are pending, and since when the oldest of them is wanted."""
    row = connection.execute(
        select(func.count(), func.min(messages.c.wanted_at)).where(messages.c.state == "pending")
    ).one()
    return row[0], None if row[1] is None else instant(row[1])


def of_incidents(connection: Connection, ids: Sequence[str]) -> dict[str, list[Listed]]:
    found: dict[str, list[Listed]] = {}
    for row in connection.execute(select(messages).where(messages.c.incident.in_(ids)).order_by(messages.c.id)):
        found.setdefault(row.incident, []).append(_listed(row))
    return found


def dead(connection: Connection, *, before: int, limit: int) -> list[Listed]:
    """Deliveries that were given up, newest first."""
    rows = connection.execute(
        select(messages)
        .where(messages.c.state == "dead", messages.c.id < before)
        .order_by(messages.c.id.desc())
        .limit(limit)
    )
    return [_listed(row) for row in rows]


def _listed(row: Row[*tuple[Any, ...]]) -> Listed:
    return Listed(
        id=row.id,
        incident=row.incident,
        kind=MessageKind(row.kind),
        channel_id=row.channel,
        ts=row.ts,
        state=MessageState(row.state),
        attempts=row.attempts,
        error=row.error,
        wanted_at=instant(row.wanted_at),
    )


def _claimed(row: Row[*tuple[Any, ...]]) -> Claimed:
    undelivered = json.loads(row.undelivered) if row.undelivered else None
    return Claimed(
        id=row.id,
        incident=row.incident,
        kind=MessageKind(row.kind),
        channel_id=row.channel,
        ts=row.ts,
        revision=row.wanted,
        attempt=row.attempts + 1,
        wanted_at=instant(row.wanted_at),
        undelivered=Undelivered(channel=Channel(**undelivered["channel"]), reason=undelivered["reason"])
        if undelivered
        else None,
        notice=_notice(row.notice),
        plain=(row.error or "").startswith(PLAIN),
    )


def _dump_undelivered(undelivered: Undelivered) -> str:
    channel = {"name": undelivered.channel.name, "id": undelivered.channel.id}
    return json.dumps({"channel": channel, "reason": undelivered.reason}, ensure_ascii=False)


def _dump_notice(notice: Notice) -> str:
    return json.dumps(
        {
            "cause": notice.cause,
            "source": notice.source,
            "error": notice.error,
            "count": notice.count,
            "first_at": micros(notice.first_at),
            "last_at": micros(notice.last_at),
            "reference": notice.reference,
        },
        ensure_ascii=False,
    )


def _notice(text: str | None) -> Notice | None:
    if text is None:
        return None
    facts = json.loads(text)
    return Notice(
        cause=Cause(facts["cause"]),
        source=Source(facts["source"]),
        error=facts["error"],
        count=facts["count"],
        first_at=instant(facts["first_at"]),
        last_at=instant(facts["last_at"]),
        reference=facts["reference"],
    )
