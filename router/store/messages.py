"""The outbox: one row a message, holding what it should show and what Slack is known to show.

A revision that should be shown is counted once as `wanted` and ends once as delivered, superseded or dead; a row that
is pending stands for exactly one revision that is still to come. So the four sums balance at any moment. How rows are
claimed and what becomes of them is in `sending`.

The row of a reply stands for all replies below one message, and its revisions are the numbers of what happened: what
has a number above `shown` is still to be told. None of its posts is edited, so it keeps no `ts`.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from router.core.model import Cause, MessageKind, MessageState, Notice, Source, Urgency
from router.core.routing import Wanted
from router.store.database import Connection, marks
from router.store.inbox import count
from router.store.instants import instant, instant_or_none, micros, micros_or_none

# A notice is told once per cause and hour; what comes within the hour is counted in it.
NOTICE_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A message as lists show it. One that a digest stands for has the state and the `ts` of the digest."""

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
    asked: dict[tuple[str, MessageKind, str], _Asked] = {}
    # The same message may be wanted several times in one transaction: of these states only the last is ever shown.
    for message in wanted:
        before = asked.get((message.incident, message.kind, message.channel_id))
        asked[message.incident, message.kind, message.channel_id] = _Asked(
            kind=message.kind,
            times=1 if before is None else before.times + 1,
            urgency=message.urgency if before is None else _together(message, before.urgency),
        )
    if not asked:
        return
    known = _known(connection, sorted({incident for incident, _, _ in asked}))
    fresh, raises = _Fresh(), Raises()
    for (incident, kind, channel_id), newest in asked.items():
        row = known.get((incident, kind, channel_id))
        # Where the owner's channel refused, a message in the fallback channel stands for it.
        stand_in = known.get((incident, MessageKind.UNDELIVERED, None))
        if kind is MessageKind.REPLY:
            below = stand_in or known.get((incident, MessageKind.ROOT, channel_id))
            row = row or known.get((incident, kind, None))
            _want_reply(
                row,
                newest,
                below,
                fresh,
                raises,
                incident=incident,
                channel=None if stand_in is not None else channel_id,
            )
            continue
        if kind is MessageKind.ROOT:
            # It is kept true; also after the owner's own was replayed.
            last = stand_in or row
            if last is not None and last.state is MessageState.DEAD and (row is None or row.state is MessageState.DEAD):
                # Nothing shows it: it was waiting when its database was backed up, say. What is new is told.
                raises.add(last.id, pending=False, urgency=newest.urgency, times=newest.times)
                continue
            if stand_in is not None:
                _raise_one(raises, stand_in, newest)
        if kind is MessageKind.ESCALATED and row is not None and row.state is MessageState.DEAD:
            row = known.get((incident, kind, None), row)
        if row is None:
            fresh.add(incident, kind, channel_id, newest)
        else:
            _raise_one(raises, row, newest)
    fresh.write(connection, at=micros(now))
    raises.write(connection, at=micros(now))


# What changes nothing about how urgent it is that the message is there.
_NOT_NEW = (Urgency.REPEATED, Urgency.NOTED)


def _together(message: Wanted, before: Urgency) -> Urgency:
    """That of the newest state, unless that only repeats; of a reply, which tells everything, the highest."""
    if message.kind is MessageKind.REPLY:
        return min(message.urgency, before)
    return before if message.urgency in _NOT_NEW else message.urgency


def _want_reply(
    row: "_Known | None",
    newest: "_Asked",
    below: "_Known | None",
    fresh: "_Fresh",
    raises: "Raises",
    *,
    incident: str,
    channel: str | None,
) -> None:
    # What a message was never posted without is told by it, and a digest has no thread. Who is to be called is called.
    told = newest.urgency is Urgency.REPLY and (below is None or not below.was_posted)
    if row is None:
        fresh.add(incident, MessageKind.REPLY, channel, newest, told=told)
    elif told and row.state is not MessageState.PENDING:
        raises.pass_over(row.id, times=newest.times)
    else:
        _raise_one(raises, row, newest)


@dataclass(frozen=True, slots=True)
class _Asked:
    kind: MessageKind
    times: int
    urgency: Urgency


class _Fresh:
    """Messages that were not there before, gathered for one transaction."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str | None, str, int, int, int]] = []

    def add(self, incident: str, kind: MessageKind, channel: str | None, newest: _Asked, *, told: bool = False) -> None:
        state, shown = (MessageState.SUPERSEDED, newest.times) if told else (MessageState.PENDING, 0)
        self._rows.append((incident, kind.value, channel, state.value, newest.times, shown, newest.urgency.value))

    def write(self, connection: Connection, *, at: int) -> None:
        connection.executemany(
            """
            INSERT INTO messages
                (incident, kind, channel, state, wanted, shown, urgency, wanted_at, due_at, attempts)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
            """,
            [(*row, at, at) for row in self._rows],
        )
        wanted = sum(row[4] for row in self._rows)
        waiting = sum(row[3] == MessageState.PENDING for row in self._rows)
        count(connection, {"wanted": wanted, "superseded": wanted - waiting})


class Raises:
    """States that known messages should show next, gathered for one transaction."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}
        self._pending: dict[int, bool] = {}
        self._urgency: dict[int, Urgency] = {}
        self._passed_over: dict[int, int] = {}

    def add(self, id: int, *, pending: bool, urgency: Urgency, times: int = 1) -> None:
        self._times[id] = self._times.get(id, 0) + times
        self._pending[id] = pending
        self._urgency[id] = urgency

    def pass_over(self, id: int, *, times: int) -> None:
        """Another message tells it: of a reply that does not wait."""
        self._passed_over[id] = self._passed_over.get(id, 0) + times

    def write(self, connection: Connection, *, at: int) -> None:
        """What waits for a retry or is in flight keeps its time: a change must not hurry it.

        Its urgency is that of the newest state, unless that only repeats; a digest that waits keeps its own, and so
        does a reply that waits with something more urgent. What was given up of a thread is not told with what is new.
        """
        connection.executemany(
            """
            UPDATE messages SET
                wanted = wanted + ?,
                wanted_at = CASE state WHEN 'pending' THEN wanted_at ELSE ? END,
                due_at = CASE state WHEN 'pending' THEN due_at ELSE ? END,
                attempts = CASE state WHEN 'pending' THEN attempts ELSE 0 END,
                urgency = CASE
                    WHEN state = 'pending' AND (kind = 'digest' OR kind = 'reply' AND urgency < ? OR ? = 1) THEN urgency
                    ELSE ?
                END,
                shown = CASE WHEN kind = 'reply' AND state = 'dead' THEN wanted ELSE shown END,
                state = 'pending',
                handled_at = NULL
            WHERE id = ?
            """,
            [
                (
                    times,
                    at,
                    at,
                    self._urgency[row].value,
                    int(self._urgency[row] in _NOT_NEW),
                    self._urgency[row].value,
                    row,
                )
                for row, times in self._times.items()
            ],
        )
        connection.executemany(
            "UPDATE messages SET wanted = wanted + ?, shown = wanted + ? WHERE id = ?",
            [(times, times, row) for row, times in self._passed_over.items()],
        )
        passed_over = sum(self._passed_over.values())
        superseded = sum(times - (not self._pending[row]) for row, times in self._times.items())
        count(
            connection,
            {"wanted": sum(self._times.values()) + passed_over, "superseded": superseded + passed_over},
        )


@dataclass(frozen=True, slots=True)
class _Known:
    id: int
    state: MessageState
    digest: int | None
    digest_posted: bool
    digest_state: MessageState | None
    was_posted: bool  # as a message of its own


def _raise_one(raises: Raises, row: _Known, newest: _Asked) -> None:
    if row.state is MessageState.DEAD and newest.kind is not MessageKind.REPLY:
        return
    if row.state is MessageState.SUPERSEDED and row.digest is not None and row.digest_state is not None:
        # What fires at its next notice gets a message of its own; its end is told by its line in the digest.
        own = row.digest_posted and newest.urgency in (Urgency.CRITICAL, Urgency.FIRING, Urgency.REPEATED)
        if not own:
            pending = row.digest_state is MessageState.PENDING
            raises.add(row.digest, pending=pending, urgency=newest.urgency, times=newest.times)
            return
    raises.add(row.id, pending=row.state is MessageState.PENDING, urgency=newest.urgency, times=newest.times)
    if row.digest is not None and row.digest_posted and newest.urgency is Urgency.ENDED:
        # It got a message of its own since; the line in the digest must not go on firing.
        pending = row.digest_state is MessageState.PENDING
        if pending or row.digest_state is MessageState.DELIVERED:
            raises.add(row.digest, pending=pending, urgency=newest.urgency)


def _known(connection: Connection, incidents: Sequence[str]) -> dict[tuple[str, MessageKind, str | None], _Known]:
    rows = connection.execute(
        f"""
        SELECT m.incident, m.kind, m.channel, m.id, m.state, m.digest, d.ts, d.state, m.ts, m.shown
        FROM messages m LEFT JOIN messages d ON d.id = m.digest WHERE m.incident IN ({marks(incidents)})
        """,
        incidents,
    )
    return {
        (incident, MessageKind(kind), channel): _Known(
            row,
            MessageState(state),
            digest,
            digest_ts is not None,
            None if told is None else MessageState(told),
            # While it is posted anew, because somebody deleted it, it has no `ts`.
            ts is not None or shown > 0,
        )
        for incident, kind, channel, row, state, digest, digest_ts, told, ts, shown in rows
    }


def notify(connection: Connection, notice: Notice) -> None:
    """Tell the fallback channel: a new line, or one more in the line of this cause that is not an hour old.

    What was over begins a new line, because an edit calls nobody; but never two that both wait to be posted.
    """
    at = micros(notice.last_at)
    cause = _cause(notice)
    row = connection.execute(
        "SELECT id, state, notice, ts FROM messages WHERE cause = ? AND state <> 'dead' ORDER BY id DESC LIMIT 1",
        (cause,),
    ).fetchone()
    earlier = None if row is None else notice_of(row[2])
    over = earlier is not None and earlier.ended_at is not None and row[3] is not None
    if earlier is None or over or notice.last_at - earlier.first_at >= NOTICE_WINDOW:
        connection.execute(
            """
            INSERT INTO messages (kind, state, wanted, shown, wanted_at, due_at, attempts, urgency, notice, cause)
            VALUES (?, 'pending', 1, 0, ?, ?, 0, ?, ?, ?)
            """,
            (MessageKind.NOTICE.value, at, at, _urgency_of(notice).value, _dump_notice(notice), cause),
        )
        count(connection, {"wanted": 1})
        return
    told = replace(
        notice,
        count=earlier.count + notice.count,
        first_at=earlier.first_at,
        reference=notice.reference or earlier.reference,
    )
    _tell_again(connection, row[0], MessageState(row[1]), told, now=notice.last_at)


def end_notices(connection: Connection, notice: Notice, *, now: datetime) -> None:
    """What was told of this cause is not so any more: its lines say so."""
    rows = connection.execute(
        "SELECT id, state, notice FROM messages WHERE cause = ? AND state <> 'dead' ORDER BY id DESC LIMIT 100",
        (_cause(notice),),
    ).fetchall()
    for identifier, state, text in rows:
        told = notice_of(text)
        if told is not None and told.ended_at is None:
            _tell_again(connection, identifier, MessageState(state), replace(told, ended_at=now), now=now)


def _tell_again(connection: Connection, id: int, state: MessageState, notice: Notice, *, now: datetime) -> None:
    connection.execute("UPDATE messages SET notice = ? WHERE id = ?", (_dump_notice(notice), id))
    raises = Raises()
    raises.add(id, pending=state is MessageState.PENDING, urgency=_urgency_of(notice))
    raises.write(connection, at=micros(now))


def _urgency_of(notice: Notice) -> Urgency:
    return Urgency.ALARM_BROKEN if notice.cause is Cause.HEARTBEAT and notice.ended_at is None else Urgency.NOTICE


def _cause(notice: Notice) -> str:
    return ":".join([notice.cause, notice.source or "", *([notice.subject] if notice.subject else [])])


def pending(connection: Connection) -> tuple[int, datetime | None]:
    """How many messages are pending, and since when the oldest of them is wanted.

    Replies that call nobody wait until nothing else does: they are counted, and are not late.
    """
    number, oldest = connection.execute(
        "SELECT count(*), min(CASE WHEN urgency < ? THEN wanted_at END) FROM messages WHERE state = 'pending'",
        (Urgency.REPLY.value,),
    ).fetchone()
    return number, instant_or_none(oldest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The message that replies about an incident go below."""

    ts: str | None  # None: it was not posted as a message of its own
    channel_id: str | None  # of `ts`
    waits_until: datetime | None  # it, or the digest that it is in, will be posted then or later; None: nothing will


_NO_ROOT = Root(ts=None, channel_id=None, waits_until=None)


def root_of(connection: Connection, incident: str, *, kind: MessageKind = MessageKind.ROOT) -> Root:
    """`kind`: of the message in the owner's channel, or of the one that stands for it in the fallback channel."""
    row = connection.execute(
        """
        SELECT m.ts, m.posted_in, m.state, m.due_at, d.ts, d.state, d.due_at
        FROM messages m LEFT JOIN messages d ON d.id = m.digest AND m.state = 'superseded'
        WHERE m.incident = ? AND m.kind = ?
        """,
        (incident, kind.value),
    ).fetchone()
    if row is None:
        return _NO_ROOT
    ts, posted_in, state, due_at, digest_ts, digest_state, digest_due_at = row
    if ts is None and state == MessageState.PENDING:
        return Root(ts=None, channel_id=None, waits_until=instant(due_at))
    if ts is None and digest_ts is None and digest_state == MessageState.PENDING:
        return Root(ts=None, channel_id=None, waits_until=instant(digest_due_at))
    return Root(ts=ts, channel_id=posted_in, waits_until=None)


def is_escalated_in(connection: Connection, channel_id: str, *, incident: str, other_than: int) -> bool:
    """Whether another step of this incident is told in this channel already."""
    row = connection.execute(
        """
        SELECT count(*) FROM messages
        WHERE incident = ? AND kind = ? AND posted_in = ? AND ts IS NOT NULL AND id <> ?
        """,
        (incident, MessageKind.ESCALATED.value, channel_id, other_than),
    ).fetchone()
    return bool(row[0])


def of_incidents(connection: Connection, ids: Sequence[str]) -> dict[str, list[Listed]]:
    found: dict[str, list[Listed]] = {}
    rows = connection.execute(
        f"""
        SELECT m.id, m.incident, m.kind, coalesce(m.posted_in, m.channel), m.ts, m.state, m.attempts, m.error,
            m.wanted_at, coalesce(d.posted_in, d.channel), d.ts, d.state, d.error
        FROM messages m LEFT JOIN messages d ON d.id = m.digest AND m.state = 'superseded'
        WHERE m.incident IN ({marks(ids)}) ORDER BY m.id
        """,
        ids,
    )
    for row in rows:
        identifier, incident, kind, channel, ts, state, attempts, error, wanted_at, *digest = row
        if digest[2] is not None:
            kind, (channel, ts, state, error) = MessageKind.DIGEST, digest
        found.setdefault(incident, []).append(
            Listed(
                id=identifier,
                incident=incident,
                kind=MessageKind(kind),
                channel_id=channel,
                ts=ts,
                state=MessageState(state),
                attempts=attempts,
                error=error,
                wanted_at=instant(wanted_at),
            )
        )
    return found


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
            "ended_at": micros_or_none(notice.ended_at),
            "subject": notice.subject,
        },
        ensure_ascii=False,
    )


def notice_of(text: str | None) -> Notice | None:
    """The notice that a row holds."""
    if text is None:
        return None
    facts: dict[str, Any] = json.loads(text)
    return Notice(
        cause=Cause(facts["cause"]),
        source=Source(facts["source"]) if facts["source"] is not None else None,
        error=facts["error"],
        count=facts["count"],
        first_at=instant(facts["first_at"]),
        last_at=instant(facts["last_at"]),
        reference=facts["reference"],
        ended_at=instant_or_none(facts.get("ended_at")),
        subject=facts.get("subject", ""),
    )
