"""The outbox: one row a message, holding what it should show and what Slack is known to show.

A revision that should be shown is counted once as `wanted` and ends once as delivered, superseded or dead; a row that
is pending stands for exactly one revision that is still to come. So the four sums balance at any moment.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from router.core.identifiers import text_of
from router.core.model import Cause, Channel, MessageKind, MessageState, Notice, Source, Undelivered
from router.core.routing import Wanted
from router.store.database import Connection, marks
from router.store.inbox import count
from router.store.instants import instant, instant_or_none, micros, micros_or_none

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
    known = _known(connection, sorted({message.incident for message in asked}))
    at = micros(now)
    fresh, raised, superseded = [], [], 0
    # The same message may be wanted several times in one transaction: of these states only the last is ever shown.
    for message, times in Counter(asked).items():
        row = known.get((message.incident, message.kind, message.channel_id))
        if row is not None and row.state is MessageState.DEAD:
            if message.kind is not MessageKind.ROOT:
                continue
            # The owner's channel refused: the message that stands for it in the fallback channel is kept true instead.
            row = known.get((message.incident, MessageKind.UNDELIVERED, None))
            if row is None or row.state is MessageState.DEAD:
                continue
        if row is None:
            fresh.append((message.incident, message.kind.value, message.channel_id, times, at, at))
        else:
            raised += [row.id] * times
        superseded += times - 1 if row is None or row.state is not MessageState.PENDING else times
    connection.executemany(_INSERT, fresh)
    _raise(connection, raised, at=at)
    count(connection, {"wanted": sum(row[3] for row in fresh) + len(raised), "superseded": superseded})


_INSERT = """
    INSERT INTO messages (incident, kind, channel, state, wanted, shown, wanted_at, due_at, attempts)
    VALUES (?, ?, ?, 'pending', ?, 0, ?, ?, 0)
"""


def _raise(connection: Connection, ids: Iterable[int], *, at: int) -> None:
    """One more state to show. What waits for a retry or is in flight keeps its time: a change must not hurry it."""
    connection.executemany(
        """
        UPDATE messages SET
            wanted = wanted + 1,
            wanted_at = CASE state WHEN 'pending' THEN wanted_at ELSE ? END,
            due_at = CASE state WHEN 'pending' THEN due_at ELSE ? END,
            attempts = CASE state WHEN 'pending' THEN attempts ELSE 0 END,
            state = 'pending'
        WHERE id = ?
        """,
        [(at, at, identifier) for identifier in ids],
    )


@dataclass(frozen=True, slots=True)
class _Known:
    id: int
    state: MessageState


def _known(connection: Connection, incidents: Sequence[str]) -> dict[tuple[str, MessageKind, str | None], _Known]:
    rows = connection.execute(
        f"SELECT incident, kind, channel, id, state FROM messages WHERE incident IN ({marks(incidents)})", incidents
    )
    return {
        (incident, MessageKind(kind), channel): _Known(identifier, MessageState(state))
        for incident, kind, channel, identifier, state in rows
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
    earlier = None if row is None else _notice(row[2])
    over = earlier is not None and earlier.ended_at is not None and row[3] is not None
    if earlier is None or over or notice.last_at - earlier.first_at >= NOTICE_WINDOW:
        connection.execute(
            """
            INSERT INTO messages (kind, state, wanted, shown, wanted_at, due_at, attempts, notice, cause)
            VALUES (?, 'pending', 1, 0, ?, ?, 0, ?, ?)
            """,
            (MessageKind.NOTICE.value, at, at, _dump_notice(notice), cause),
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
        told = _notice(text)
        if told is not None and told.ended_at is None:
            _tell_again(connection, identifier, MessageState(state), replace(told, ended_at=now), now=now)


def _tell_again(connection: Connection, id: int, state: MessageState, notice: Notice, *, now: datetime) -> None:
    connection.execute("UPDATE messages SET notice = ? WHERE id = ?", (_dump_notice(notice), id))
    _raise(connection, [id], at=micros(now))
    count(connection, {"wanted": 1, "superseded": int(state is MessageState.PENDING)})


def _cause(notice: Notice) -> str:
    return f"{notice.cause}:{notice.source or ''}"


_CLAIMED = "id, incident, kind, channel, ts, wanted, attempts, wanted_at, undelivered, notice, error"


def claim(
    connection: Connection,
    *,
    now: datetime,
    lease: timedelta,
    posts: int,
    edits: int,
    limit: int,
    blocked: Collection[str],
    fallback: str,
) -> list[Claimed]:
    """Lease due messages, oldest first, at most `limit`: up to `posts` new ones, and then up to `edits` others.

    Of the new ones it is one a channel, and none for a channel that is `blocked`.

    `fallback` is the channel of the messages that name none. A message whose lease ended is due again with its attempt
    already counted: a crash costs one.
    """
    at = micros(now)
    closed = sorted(blocked)
    rows = connection.execute(
        f"""
        SELECT {_CLAIMED} FROM (
            SELECT *, row_number() OVER (PARTITION BY coalesce(channel, ?) ORDER BY id) AS place FROM messages
            WHERE state = 'pending' AND due_at <= ? AND ts IS NULL AND coalesce(channel, ?) NOT IN ({marks(closed)})
        ) AS due WHERE place = 1 ORDER BY id LIMIT ?
        """,
        (fallback, at, fallback, *closed, min(posts, limit)),
    ).fetchall()
    rows += connection.execute(
        f"""
        SELECT {_CLAIMED} FROM messages WHERE state = 'pending' AND due_at <= ? AND ts IS NOT NULL
        ORDER BY due_at LIMIT ?
        """,
        (at, min(edits, limit - len(rows))),
    ).fetchall()
    connection.executemany(
        "UPDATE messages SET due_at = ?, attempts = attempts + 1 WHERE id = ?",
        [(micros(now + lease), row[0]) for row in rows],
    )
    return [_claimed(row) for row in rows]


def next_due(connection: Connection) -> datetime | None:
    """When the earliest pending message is due; None if nothing is pending."""
    (due_at,) = connection.execute("SELECT min(due_at) FROM messages WHERE state = 'pending'").fetchone()
    return instant_or_none(due_at)


def delivered(connection: Connection, id: int, *, revision: int, ts: str, now: datetime) -> None:
    """Slack shows `revision`. If a newer one is wanted meanwhile the message stays pending and is due at once."""
    wanted, shown = connection.execute("SELECT wanted, shown FROM messages WHERE id = ?", (id,)).fetchone()
    if shown >= revision:
        return  # recorded before: a second answer is not a second state
    newer = wanted > revision
    # A newer revision was counted as superseding this one when it was wanted; now this one was shown after all.
    count(connection, {"delivered": 1, "superseded": -1 if newer else 0})
    connection.execute(
        """
        UPDATE messages SET ts = ?, shown = ?, state = ?, wanted_at = ?, due_at = ?, attempts = 0, error = NULL
        WHERE id = ?
        """,
        (
            ts,
            revision,
            (MessageState.PENDING if newer else MessageState.DELIVERED).value,
            micros(now),
            micros(now),
            id,
        ),
    )


def root_ts(connection: Connection, incident: str) -> str | None:
    """Slack's name of the message that replies about an incident go below; None while there is none."""
    row = connection.execute(
        "SELECT ts FROM messages WHERE incident = ? AND kind = ?", (incident, MessageKind.ROOT.value)
    ).fetchone()
    return None if row is None else row[0]


def supersede(connection: Connection, id: int, *, revision: int) -> None:
    """There is nothing left to show: another message says it. If a newer revision is wanted meanwhile, that is due."""
    (wanted,) = connection.execute("SELECT wanted FROM messages WHERE id = ?", (id,)).fetchone()
    if wanted > revision:
        connection.execute("UPDATE messages SET due_at = wanted_at, attempts = 0 WHERE id = ?", (id,))
        return  # this one was counted when the newer was wanted
    connection.execute("UPDATE messages SET state = 'superseded' WHERE id = ?", (id,))
    count(connection, {"superseded": 1})


PLAIN = "plain text: "


def retry(connection: Connection, id: int, *, error: str, due_at: datetime) -> None:
    """A message that goes out as text only stays so."""
    connection.execute(
        "UPDATE messages SET error = CASE WHEN error LIKE ? THEN ? ELSE ? END, due_at = ? WHERE id = ?",
        (f"{PLAIN}%", f"{PLAIN}{error}", error, micros(due_at), id),
    )


def degrade(connection: Connection, id: int, *, error: str, now: datetime) -> None:
    """Slack refuses this content: the same facts go out as text only, at once."""
    connection.execute("UPDATE messages SET error = ?, due_at = ? WHERE id = ?", (f"{PLAIN}{error}", micros(now), id))


def forget_root(connection: Connection, id: int, *, error: str, now: datetime) -> None:
    """The message in Slack is gone: post it anew with its current state."""
    connection.execute("UPDATE messages SET ts = NULL WHERE id = ?", (id,))
    retry(connection, id, error=error, due_at=now)


def give_up(
    connection: Connection, claimed: Claimed, *, error: str, undelivered: Undelivered | None, now: datetime
) -> None:
    """The message is a dead letter; with `undelivered` the fallback channel shows its incident instead, and why."""
    connection.execute("UPDATE messages SET state = 'dead', error = ? WHERE id = ?", (error, claimed.id))
    count(connection, {"dead": 1})
    if claimed.incident is None:
        return
    if claimed.kind is MessageKind.UNDELIVERED:
        notify(connection, _last_word(connection, claimed, error, now=now))
    if undelivered is None:
        return
    if (claimed.incident, MessageKind.UNDELIVERED, None) in _known(connection, [claimed.incident]):
        return
    at = micros(now)
    connection.execute(
        """
        INSERT INTO messages (incident, kind, state, wanted, shown, wanted_at, due_at, attempts, undelivered)
        VALUES (?, ?, 'pending', 1, 0, ?, ?, 0, ?)
        """,
        (claimed.incident, MessageKind.UNDELIVERED.value, at, at, _dump_undelivered(undelivered)),
    )
    count(connection, {"wanted": 1})


def _last_word(connection: Connection, claimed: Claimed, error: str, *, now: datetime) -> Notice:
    """What is left to say where an incident can be shown in no channel: that there is one, and where to look."""
    source, first = connection.execute(
        "SELECT source, first_notification FROM incidents WHERE id = ?", (claimed.incident,)
    ).fetchone()
    return Notice(
        cause=Cause.UNDELIVERABLE,
        source=Source(source),
        error=error,
        count=1,
        first_at=now,
        last_at=now,
        reference=text_of(first),
    )


def pending(connection: Connection) -> tuple[int, datetime | None]:
    """How many messages are pending, and since when the oldest of them is wanted."""
    number, oldest = connection.execute(
        "SELECT count(*), min(wanted_at) FROM messages WHERE state = 'pending'"
    ).fetchone()
    return number, instant_or_none(oldest)


_LISTED = "id, incident, kind, channel, ts, state, attempts, error, wanted_at"


def of_incidents(connection: Connection, ids: Sequence[str]) -> dict[str, list[Listed]]:
    found: dict[str, list[Listed]] = {}
    rows = connection.execute(f"SELECT {_LISTED} FROM messages WHERE incident IN ({marks(ids)}) ORDER BY id", ids)
    for row in rows:
        found.setdefault(row[1], []).append(_listed(row))
    return found


def dead(connection: Connection, *, before: int, limit: int) -> list[Listed]:
    """Deliveries that were given up, newest first."""
    rows = connection.execute(
        f"SELECT {_LISTED} FROM messages WHERE state = 'dead' AND id < ? ORDER BY id DESC LIMIT ?", (before, limit)
    )
    return [_listed(row) for row in rows]


def _listed(row: Sequence[Any]) -> Listed:
    identifier, incident, kind, channel, ts, state, attempts, error, wanted_at = row
    return Listed(
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


def _claimed(row: Sequence[Any]) -> Claimed:
    identifier, incident, kind, channel, ts, wanted, attempts, wanted_at, undelivered, notice, error = row
    return Claimed(
        id=identifier,
        incident=incident,
        kind=MessageKind(kind),
        channel_id=channel,
        ts=ts,
        revision=wanted,
        attempt=attempts + 1,
        wanted_at=instant(wanted_at),
        undelivered=_undelivered(undelivered),
        notice=_notice(notice),
        plain=(error or "").startswith(PLAIN),
    )


def _undelivered(text: str | None) -> Undelivered | None:
    if text is None:
        return None
    facts = json.loads(text)
    return Undelivered(channel=Channel(**facts["channel"]), reason=facts["reason"])


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
            "ended_at": micros_or_none(notice.ended_at),
        },
        ensure_ascii=False,
    )


def _notice(text: str | None) -> Notice | None:
    if text is None:
        return None
    facts = json.loads(text)
    return Notice(
        cause=Cause(facts["cause"]),
        source=Source(facts["source"]) if facts["source"] is not None else None,
        error=facts["error"],
        count=facts["count"],
        first_at=instant(facts["first_at"]),
        last_at=instant(facts["last_at"]),
        reference=facts["reference"],
        ended_at=instant_or_none(facts.get("ended_at")),
    )
