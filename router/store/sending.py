"""What is sent and what came of it: claims on messages, and the record of every answer.

A claim is committed before anything is sent, and what Slack did is recorded afterwards. Whoever claims gets a token;
a record with an older one comes too late, changes nothing and returns False. So does a record that is made twice.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from router.core.identifiers import text_of
from router.core.model import (
    Cause,
    Channel,
    FailureClass,
    MessageKind,
    MessageState,
    Notice,
    Source,
    Undelivered,
    Urgency,
)
from router.store import digests
from router.store.database import Connection, marks
from router.store.inbox import count
from router.store.instants import instant, instant_or_none, micros
from router.store.messages import notice_of, notify

# Nothing waits longer (core.retry): what is due beyond it was written before the clock went back, and is due now.
LONGEST_WAIT = timedelta(minutes=11)
# What has waited so long goes before what is more urgent: no channel starves another.
PATIENCE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A message that nobody else sends until its lease ends."""

    id: int
    incident: str | None  # None: a notice, or a digest
    kind: MessageKind
    channel_id: str | None  # None: the fallback channel
    ts: str | None  # None: not posted yet
    revision: int
    attempt: int  # counts from 1
    wanted_at: datetime
    undelivered: Undelivered | None
    notice: Notice | None
    plain: bool  # Slack refused the blocks: facts as text only
    token: int
    posted_in: str | None  # the channel of `ts`
    asked_at: datetime | None  # Slack was asked to post it then, and its answer is not known
    shown: int  # the revision that Slack shows; of a reply: the last number that was told
    urgency: Urgency
    failure: FailureClass | None  # of the last attempt

    @property
    def calls(self) -> bool:
        """Of a reply: whether it calls somebody, whom nothing else calls."""
        return self.urgency < Urgency.REPLY


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
    served: Mapping[str, float] | None = None,
    under_way: Collection[int] = (),
) -> list[Claimed]:
    """Lease due messages, at most `limit`: up to `posts` new ones, and then up to `edits` others.

    Of the new ones it is one a channel, and none for a channel that is `blocked`; in a channel the most urgent and
    newest first, and replies that call nobody only where nothing else waits. Where more than a handful wait for one
    channel they become a digest, which is claimed in their place.
    Among channels it is the most urgent first, then the one that was `served` longest ago (any rising number).

    `fallback` is the channel of the messages that name none. What is `under_way` is left alone, also when its lease has
    ended by a clock that jumped. A message whose lease ended is due again with its attempt
    already counted: a crash costs one.
    """
    order = _Order(served or {}, now)
    chosen = []
    if (most := min(posts, limit)) > 0:
        queues = _queues(connection, "ts IS NULL", now=now, fallback=fallback)
        for queue in sorted((queue for queue in queues if queue.channel_id not in blocked), key=order.of_posts)[:most]:
            found = _head(connection, queue, now=now, fallback=fallback)
            if found is None:
                continue
            head, joins = found
            if joins and queue.crowd > digests.CROWD:
                formed = digests.form(connection, queue.channel_id, fallback=fallback, due=_due(now), now=now)
                head = head if formed is None else formed
            chosen.append(head)
    if (most := min(edits, limit - len(chosen))) > 0:
        queues = sorted(_queues(connection, "ts IS NOT NULL", now=now, fallback=fallback), key=order.of_edits)
        # Edits are few, of the whole workspace, and call nobody: each channel has its turn.
        waiting = [
            (place, turn, edit)
            for turn, queue in enumerate(queues[:most])
            for place, edit in enumerate(_edits(connection, queue, now=now, fallback=fallback, limit=most))
        ]
        chosen += [edit for _, _, edit in sorted(waiting)[:most]]
    return _lease(connection, [row for row in chosen if row not in under_way], now=now, lease=lease)


def claim_refused(
    connection: Connection,
    *,
    now: datetime,
    lease: timedelta,
    channels: Collection[str],
    limit: int,
    under_way: Collection[int] = (),
) -> list[Claimed]:
    """Lease due messages of channels that refuse everything, to be told elsewhere."""
    if not channels:
        return []
    closed = sorted(channels)
    rows = connection.execute(
        f"""
        SELECT id FROM messages WHERE state = 'pending' AND (due_at <= ? OR due_at > ?)
            AND channel IN ({marks(closed)}) ORDER BY id LIMIT ?
        """,
        (*_due(now), *closed, limit),
    ).fetchall()
    return _lease(connection, [row for (row,) in rows if row not in under_way], now=now, lease=lease)


def _due(now: datetime) -> tuple[int, int]:
    """The bounds of `due_at <= ? OR due_at > ?`."""
    return micros(now), micros(now + LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class _Queue:
    """What waits for one channel."""

    channel_id: str
    urgency: int  # the highest
    oldest: int | None  # of what may become impatient
    crowd: int  # how many could share a digest
    patient: int | None  # has waited long, and what is newer would never give it its turn
    alone: int | None  # such a one, of those that no digest can show


@dataclass(frozen=True, slots=True)
class _Order:
    served: Mapping[str, float]
    now: datetime

    def of_posts(self, queue: _Queue) -> tuple[int, float, str]:
        return self._urgency(queue), self._served(queue), queue.channel_id

    def of_edits(self, queue: _Queue) -> tuple[float, int, str]:
        return self._served(queue), self._urgency(queue), queue.channel_id

    def _served(self, queue: _Queue) -> float:
        return self.served.get(queue.channel_id, float("-inf"))

    def _urgency(self, queue: _Queue) -> int:
        patient = queue.oldest is not None and queue.oldest <= micros(self.now - PATIENCE)
        return 0 if patient else queue.urgency


# A reply that calls nobody waits for all else.
_HAS_PATIENCE = f"urgency < {Urgency.REPLY.value}"
# What no digest shows.
_ALONE = f"(kind IN ('notice', 'escalated', 'reply') OR asked_at IS NOT NULL) AND {_HAS_PATIENCE}"


def _queues(connection: Connection, which: str, *, now: datetime, fallback: str) -> list[_Queue]:
    """Of each channel what waits for it; `which` chooses posts or edits. One pass over the index messages_in_turn."""
    found: dict[str, _Queue] = {}
    rows = connection.execute(
        f"""
        SELECT channel, min(urgency), min(CASE WHEN {_HAS_PATIENCE} THEN wanted_at END),
            sum(CASE WHEN {digests.MAY_JOIN} THEN 1 ELSE 0 END),
            min(CASE WHEN {_HAS_PATIENCE} AND wanted_at <= ? THEN id END),
            min(CASE WHEN {_ALONE} AND wanted_at <= ? THEN id END)
        FROM messages WHERE state = 'pending' AND {which} AND (due_at <= ? OR due_at > ?) GROUP BY channel
        """,
        (micros(now - PATIENCE), micros(now - PATIENCE), *_due(now)),
    )
    for channel, urgency, oldest, crowd, patient, alone in rows:
        queue = _Queue(channel or fallback, urgency, oldest, crowd, patient, alone)
        other = found.get(queue.channel_id)
        found[queue.channel_id] = queue if other is None else _together(queue, other)
    return list(found.values())


def _together(one: _Queue, other: _Queue) -> _Queue:
    """The fallback channel has messages that name it, and messages that name none."""
    return _Queue(
        one.channel_id,
        min(one.urgency, other.urgency),
        _earlier(one.oldest, other.oldest),
        one.crowd + other.crowd,
        _earlier(one.patient, other.patient),
        _earlier(one.alone, other.alone),
    )


def _earlier(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _head(connection: Connection, queue: _Queue, *, now: datetime, fallback: str) -> tuple[int, bool] | None:
    """What to post next, and whether it may join a digest. None: somebody else has claimed the last of it since."""
    if queue.alone is not None:
        return queue.alone, False
    if queue.patient is not None and queue.crowd <= digests.CROWD:
        return queue.patient, False
    return next(iter(_next(connection, queue, "ts IS NULL", now=now, fallback=fallback, limit=1)), None)


def _edits(connection: Connection, queue: _Queue, *, now: datetime, fallback: str, limit: int) -> list[int]:
    return [edit for edit, _ in _next(connection, queue, "ts IS NOT NULL", now=now, fallback=fallback, limit=limit)]


def _next(
    connection: Connection, queue: _Queue, which: str, *, now: datetime, fallback: str, limit: int
) -> list[tuple[int, bool]]:
    """The most urgent and newest of one channel.

    By two statements: neither engine reads `x = ? OR x IS NULL` in the order of its index.
    """
    rows = []
    for named in ("channel = ?", "channel IS NULL") if queue.channel_id == fallback else ("channel = ?",):
        rows += connection.execute(
            f"""
            SELECT urgency, wanted_at, id, CASE WHEN {digests.MAY_JOIN} THEN 1 ELSE 0 END
            FROM messages WHERE state = 'pending' AND {which} AND {named} AND (due_at <= ? OR due_at > ?)
            ORDER BY urgency, wanted_at DESC, id DESC LIMIT ?
            """,
            (*((queue.channel_id,) if "?" in named else ()), *_due(now), limit),
        ).fetchall()
    rows.sort(key=lambda row: (row[0], -row[1], -row[2]))
    return [(row, bool(joins)) for _, _, row, joins in rows[:limit]]


_CLAIMED = """
    SELECT id, incident, kind, channel, ts, wanted, attempts, wanted_at, undelivered, notice, plain, token,
        posted_in, asked_at, shown, urgency, failure
    FROM messages
"""


def _lease(connection: Connection, ids: Sequence[int], *, now: datetime, lease: timedelta) -> list[Claimed]:
    """In the order of `ids`; without those that another router holds at this moment."""
    if not ids:
        return []
    rows = connection.execute(
        f"{_CLAIMED} WHERE id IN ({marks(ids)}) AND state = 'pending' AND (due_at <= ? OR due_at > ?) "
        f"{connection.skip_locked}",
        (*ids, *_due(now)),
    ).fetchall()
    # Without a class of failure what is not due is in flight; with one it waits for its next attempt.
    connection.executemany(
        """
        UPDATE messages SET due_at = ?, attempts = attempts + 1, token = token + 1, failure = NULL,
            asked_at = CASE WHEN ts IS NULL THEN coalesce(asked_at, ?) END
        WHERE id = ?
        """,
        [(micros(now + lease), micros(now), row[0]) for row in rows],
    )
    claimed = {row[0]: _claimed(row) for row in rows}
    return [claimed[identifier] for identifier in ids if identifier in claimed]


def next_due(connection: Connection, *, now: datetime) -> datetime | None:
    """When the earliest pending message is due; None if nothing is pending."""
    at, beyond = _due(now)
    (due_at,) = connection.execute(
        "SELECT min(CASE WHEN due_at > ? THEN ? ELSE due_at END) FROM messages WHERE state = 'pending'", (beyond, at)
    ).fetchone()
    return instant_or_none(due_at)


def ask(connection: Connection, claimed: Claimed, *, now: datetime) -> bool:
    """It is posted again now. Before that, so that a crash leaves the doubt where it belongs."""
    row = connection.execute(
        "UPDATE messages SET asked_at = ? WHERE id = ? AND token = ?", (micros(now), claimed.id, claimed.token)
    )
    return row.rowcount == 1


def delivered(
    connection: Connection,
    claimed: Claimed,
    *,
    ts: str,
    revision: int,
    now: datetime,
    channel_id: str | None = None,
) -> bool:
    """Slack shows `revision`. If a newer one is wanted meanwhile the message stays pending and is due at once.

    `channel_id`: where, if it has been posted.
    """
    if not _returned(connection, claimed):
        return False
    (wanted,) = connection.execute("SELECT wanted FROM messages WHERE id = ?", (claimed.id,)).fetchone()
    newer = wanted > revision
    is_reply = claimed.kind is MessageKind.REPLY  # the next one is a post of its own
    # A newer revision was counted as superseding this one when it was wanted; now this one was shown after all.
    count(connection, {"delivered": 1, "superseded": -1 if newer else 0})
    connection.execute(
        """
        UPDATE messages SET ts = ?, posted_in = coalesce(?, posted_in), shown = ?, plain = ?, state = ?, wanted_at = ?,
            due_at = ?, attempts = 0, error = NULL, failure = NULL
        WHERE id = ?
        """,
        (
            None if is_reply else ts,
            None if is_reply else channel_id,
            revision,
            int(claimed.plain and not is_reply),
            (MessageState.PENDING if newer else MessageState.DELIVERED).value,
            micros(now),
            micros(now),
            claimed.id,
        ),
    )
    return True


def supersede(connection: Connection, claimed: Claimed) -> bool:
    """There is nothing left to show: another message says it. If a newer revision is wanted meanwhile, that is due."""
    if not _returned(connection, claimed):
        return False
    _supersede(connection, claimed)
    return True


def _supersede(connection: Connection, claimed: Claimed) -> None:
    if claimed.kind is MessageKind.REPLY:
        connection.execute("UPDATE messages SET shown = ?, plain = 0 WHERE id = ?", (claimed.revision, claimed.id))
    (wanted,) = connection.execute("SELECT wanted FROM messages WHERE id = ?", (claimed.id,)).fetchone()
    if wanted > claimed.revision:
        connection.execute("UPDATE messages SET due_at = wanted_at, attempts = 0 WHERE id = ?", (claimed.id,))
        return  # this one was counted when the newer was wanted
    connection.execute("UPDATE messages SET state = 'superseded' WHERE id = ?", (claimed.id,))
    count(connection, {"superseded": 1})


def retry(
    connection: Connection, claimed: Claimed, *, failure: FailureClass, error: str, due_at: datetime, in_doubt: bool
) -> bool:
    """Another attempt at `due_at`. With `in_doubt` a post may have taken effect all the same."""
    if not _returned(connection, claimed, keep_doubt=in_doubt):
        return False
    connection.execute(
        "UPDATE messages SET failure = ?, error = ?, due_at = ? WHERE id = ?",
        (failure.value, error, micros(due_at), claimed.id),
    )
    return True


def release(connection: Connection, claimed: Sequence[Claimed], *, due_at: datetime) -> None:
    """Nothing of these was sent: they are as they were before their claim, and due again at `due_at`."""
    for message in claimed:
        if _returned(connection, message, keep_doubt=message.asked_at is not None):
            connection.execute(
                "UPDATE messages SET due_at = ?, attempts = attempts - 1 WHERE id = ?", (micros(due_at), message.id)
            )


def degrade(connection: Connection, claimed: Claimed, *, error: str, now: datetime) -> bool:
    """Slack refuses this content: the same facts go out as text only, at once."""
    if not _returned(connection, claimed):
        return False
    connection.execute(
        "UPDATE messages SET plain = 1, failure = ?, error = ?, due_at = ? WHERE id = ?",
        (FailureClass.CONTENT.value, error, micros(now), claimed.id),
    )
    return True


def forget_root(connection: Connection, claimed: Claimed, *, error: str, now: datetime) -> bool:
    """The message in Slack is gone: post it anew with its current state."""
    if not _returned(connection, claimed):
        return False
    connection.execute(
        "UPDATE messages SET ts = NULL, posted_in = NULL, failure = ?, error = ?, due_at = ? WHERE id = ?",
        (FailureClass.ROOT_GONE.value, error, micros(now), claimed.id),
    )
    return True


def give_up(
    connection: Connection,
    claimed: Claimed,
    *,
    failure: FailureClass | None,
    error: str,
    undelivered: Undelivered | None,
    now: datetime,
) -> bool:
    """The message is a dead letter; with `undelivered` the fallback channel shows its incident instead, and why.

    Where a digest is given up, that goes for each incident that it stands for. A reply is no dead letter where its
    channel refuses it: who is to be called is called below the message in the fallback channel, and the rest is
    told by the message that it was to go below.
    """
    if not _returned(connection, claimed):
        return False
    if claimed.kind is MessageKind.REPLY and failure is FailureClass.CHANNEL:
        if claimed.calls and claimed.incident is not None and undelivered is not None:
            connection.execute("UPDATE messages SET due_at = ?, attempts = 0 WHERE id = ?", (micros(now), claimed.id))
            _tell_elsewhere(connection, claimed.incident, MessageKind.ROOT, undelivered, error, now=now)
        else:
            _supersede(connection, claimed)
        return True
    connection.execute(
        "UPDATE messages SET state = 'dead', failure = ?, error = ? WHERE id = ?",
        (None if failure is None else failure.value, error, claimed.id),
    )
    count(connection, {"dead": 1})
    if claimed.kind is MessageKind.DIGEST:
        for member in digests.give_up(connection, claimed.id, error=error):
            if member.incident is not None:
                _tell_elsewhere(connection, member.incident, member.kind, undelivered, error, now=now)
    elif claimed.incident is not None:
        _tell_elsewhere(connection, claimed.incident, claimed.kind, undelivered, error, now=now)
    return True


# What stands in the fallback channel where the channel of such a message refuses it.
_STAND_INS: Final = {MessageKind.ROOT: MessageKind.UNDELIVERED, MessageKind.ESCALATED: MessageKind.ESCALATED}


def _tell_elsewhere(
    connection: Connection,
    incident: str,
    kind: MessageKind,
    undelivered: Undelivered | None,
    error: str,
    *,
    now: datetime,
) -> None:
    if kind is MessageKind.UNDELIVERED:
        notify(connection, _last_word(connection, incident, error, now=now))
    if kind not in _STAND_INS or undelivered is None:
        return
    if kind is MessageKind.ROOT:
        connection.execute(
            "UPDATE messages SET channel = NULL WHERE incident = ? AND kind = ?", (incident, MessageKind.REPLY.value)
        )
    at = micros(now)
    found = connection.execute(
        "SELECT count(*) FROM messages WHERE incident = ? AND kind = ? AND channel IS NULL",
        (incident, _STAND_INS[kind].value),
    ).fetchone()
    if found[0]:
        return
    connection.execute(
        """
        INSERT INTO messages
            (incident, kind, state, wanted, shown, wanted_at, due_at, attempts, urgency, undelivered)
        VALUES (?, ?, 'pending', 1, 0, ?, ?, 0, ?, ?)
        """,
        (
            incident,
            _STAND_INS[kind].value,
            at,
            at,
            Urgency.NOTICE.value,
            _dump_undelivered(undelivered),
        ),
    )
    count(connection, {"wanted": 1})


def _last_word(connection: Connection, incident: str, error: str, *, now: datetime) -> Notice:
    """What is left to say where an incident can be shown in no channel: that there is one, and where to look."""
    source, first = connection.execute(
        "SELECT source, first_notification FROM incidents WHERE id = ?", (incident,)
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


def hurry(connection: Connection, failures: Iterable[FailureClass], *, now: datetime) -> None:
    """What waits for its next attempt for such a reason is due now: the reason is gone."""
    reasons = [failure.value for failure in failures]
    connection.execute(
        f"UPDATE messages SET due_at = ? WHERE state = 'pending' AND due_at > ? AND failure IN ({marks(reasons)})",
        (micros(now), micros(now), *reasons),
    )


def _returned(connection: Connection, claimed: Claimed, *, keep_doubt: bool = False) -> bool:
    """End the claim; False: it had ended already, and somebody else decides what becomes of the message."""
    row = connection.execute(
        """
        UPDATE messages SET token = token + 1, asked_at = CASE WHEN ? = 1 THEN asked_at END
        WHERE id = ? AND token = ?
        """,
        (int(keep_doubt), claimed.id, claimed.token),
    )
    return row.rowcount == 1


def _claimed(row: Sequence[Any]) -> Claimed:
    (
        identifier,
        incident,
        kind,
        channel,
        ts,
        wanted,
        attempts,
        wanted_at,
        undelivered,
        notice,
        plain,
        token,
        posted_in,
        asked_at,
        shown,
        urgency,
        failure,
    ) = row
    return Claimed(
        id=identifier,
        incident=incident,
        kind=MessageKind(kind),
        channel_id=channel,
        ts=ts,
        revision=wanted,
        attempt=attempts + 1,
        wanted_at=instant(wanted_at),
        undelivered=undelivered_of(undelivered),
        notice=notice_of(notice),
        plain=bool(plain),
        token=token + 1,
        posted_in=posted_in,
        asked_at=instant_or_none(asked_at),
        shown=shown,
        urgency=Urgency(urgency),
        failure=None if failure is None else FailureClass(failure),
    )


def undelivered_of(text: str | None) -> Undelivered | None:
    """Why a message stands in the fallback channel, as its row says."""
    if text is None:
        return None
    facts = json.loads(text)
    return Undelivered(channel=Channel(**facts["channel"]), reason=facts["reason"])


def _dump_undelivered(undelivered: Undelivered) -> str:
    channel = {"name": undelivered.channel.name, "id": undelivered.channel.id}
    return json.dumps({"channel": channel, "reason": undelivered.reason}, ensure_ascii=False)
