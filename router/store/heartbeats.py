"""Heartbeats: one row each, for as long as somebody may want to know that one stopped."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from router.core.heartbeats import Beat, Change, Heartbeat, Lost, Why, due_at, heard, notice_of
from router.core.incidents import Incident
from router.core.model import Source
from router.store import incidents, messages
from router.store.database import Connection, marks
from router.store.instants import instant, instant_or_none, micros, micros_or_none

_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A beat, when it came in, and the id of the notification that told it."""

    beat: Beat
    at: datetime
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What has to be looked at now."""

    heartbeats: tuple[Heartbeat, ...]
    heard_until: datetime  # what came in before this is decided
    next_at: datetime | None  # when others are due


def hear(connection: Connection, beats: Sequence[Told], *, now: datetime) -> None:
    """Take note of beats in their order; tell the fallback channel what is lost, and what is back."""
    known = _by_id(connection, sorted({told.beat.id for told in beats}))
    for told in beats:
        heartbeat, change = heard(known.get(told.beat.id), told.beat, now=told.at)
        known[heartbeat.id] = heartbeat
        notice = notice_of(heartbeat, now=now, reference=told.reference)
        if change is Change.LOST:
            messages.notify(connection, notice)
        elif change is Change.BACK:
            messages.end_notices(connection, notice, now=now)
    save(connection, known.values())


def lost(connection: Connection) -> list[Heartbeat]:
    return [_heartbeat(row) for row in connection.execute("SELECT id, document FROM heartbeats WHERE lost = 1")]


def listed(connection: Connection, *, limit: int) -> list[Heartbeat]:
    """All of them, those that are lost first."""
    rows = connection.execute("SELECT id, document FROM heartbeats ORDER BY lost DESC, id LIMIT ?", (limit,))
    return [_heartbeat(row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    ok: int
    lost: int


def counts(connection: Connection) -> Counts:
    number, gone = connection.execute("SELECT count(*), coalesce(sum(lost), 0) FROM heartbeats").fetchone()
    return Counts(ok=number - gone, lost=gone)


def due(connection: Connection, *, now: datetime, limit: int) -> Due:
    at = micros(now)
    rows = connection.execute(
        "SELECT id, document FROM heartbeats WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at, id LIMIT ?",
        (at, limit),
    ).fetchall()
    (next_at,) = connection.execute(
        "SELECT min(due_at) FROM heartbeats WHERE due_at IS NOT NULL AND due_at > ?", (at,)
    ).fetchone()
    waiting = connection.execute(
        "SELECT received_at FROM notifications WHERE state = 'waiting' ORDER BY id LIMIT 1"
    ).fetchone()
    return Due(
        heartbeats=tuple(_heartbeat(row) for row in rows),
        heard_until=now if waiting is None else min(now, instant(waiting[0])),
        next_at=instant_or_none(next_at),
    )


def save(connection: Connection, heartbeats: Iterable[Heartbeat]) -> None:
    connection.executemany(
        """
        INSERT INTO heartbeats (id, document, lost, heard_at, due_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET document = excluded.document, lost = excluded.lost,
            heard_at = excluded.heard_at, due_at = excluded.due_at
        """,
        [
            (
                heartbeat.id,
                _document(heartbeat),
                int(heartbeat.lost is not None),
                micros(heartbeat.heard_at),
                micros_or_none(due_at(heartbeat)),
            )
            for heartbeat in heartbeats
        ],
    )


def postpone(connection: Connection, heartbeat: Heartbeat, *, until: datetime) -> None:
    """Look at it again then; nothing else of it changes."""
    connection.execute("UPDATE heartbeats SET due_at = ? WHERE id = ?", (micros(until), heartbeat.id))


# Where a page of ended incidents goes on: behind this one.
Mark = tuple[datetime, str]


def ended_behind(connection: Connection, mark: Mark, *, limit: int) -> list[Incident]:
    """Incidents that ended behind the mark, in the order of their ends."""
    ended_at, identifier = micros(mark[0]), mark[1]
    rows = connection.execute(
        """
        SELECT id FROM incidents WHERE closed_at IS NOT NULL AND closed_at >= ? AND (closed_at > ? OR id > ?)
        ORDER BY closed_at, id LIMIT ?
        """,
        (ended_at, ended_at, identifier, limit),
    )
    ids = [row[0] for row in rows]
    found = incidents.by_id(connection, ids) if ids else {}
    return [found[identifier] for identifier in ids]


def _by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Heartbeat]:
    rows = connection.execute(f"SELECT id, document FROM heartbeats WHERE id IN ({marks(ids)})", ids)
    return {row[0]: _heartbeat(row) for row in rows}


def _document(heartbeat: Heartbeat) -> str:
    found: dict[str, Any] = {
        "source": heartbeat.source,
        "fingerprint": heartbeat.fingerprint,
        "name": heartbeat.name,
        "senders": heartbeat.senders,
        "first_at": micros(heartbeat.first_at),
        "heard_at": micros(heartbeat.heard_at),
        "beat_at": micros(heartbeat.beat_at),
        "beat_by": heartbeat.beat_by,
        "content": heartbeat.content,
        "gaps": [gap // _MICROSECOND for gap in heartbeat.gaps],
        "within": None if heartbeat.within is None else heartbeat.within // _MICROSECOND,
        "since": micros_or_none(heartbeat.since),
        "until": micros_or_none(heartbeat.until),
        "lost": None if heartbeat.lost is None else [micros(heartbeat.lost.at), heartbeat.lost.why],
        "untold": heartbeat.untold,
    }
    return json.dumps({name: value for name, value in found.items() if value is not None}, separators=(",", ":"))


def _heartbeat(row: Sequence[Any]) -> Heartbeat:
    identifier, document = row
    facts: dict[str, Any] = json.loads(document)
    within, gone, untold = facts.get("within"), facts.get("lost"), facts.get("untold")
    return Heartbeat(
        id=identifier,
        source=Source(facts["source"]),
        fingerprint=facts["fingerprint"],
        name=facts["name"],
        senders=tuple(facts["senders"]),
        first_at=instant(facts["first_at"]),
        heard_at=instant(facts["heard_at"]),
        beat_at=instant(facts["beat_at"]),
        beat_by=facts["beat_by"],
        content=facts["content"],
        gaps=tuple(gap * _MICROSECOND for gap in facts["gaps"]),
        within=None if within is None else within * _MICROSECOND,
        since=instant_or_none(facts.get("since")),
        until=instant_or_none(facts.get("until")),
        lost=None if gone is None else Lost(at=instant(gone[0]), why=Why(gone[1])),
        untold=None if untold is None else Change(untold),
    )
