"""Incidents: one row each, with its alerts as one document, read and written as a whole.

A row per alert would cost three to five times as much to write, and nothing asks for one alert alone.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from router.core.incidents import Explanation, Incident, Move, Tracked
from router.core.model import (
    AlertStatus,
    Hints,
    Hours,
    IncidentState,
    Level,
    MapVersion,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Tried,
    Via,
)
from router.store import incident_history, maps
from router.store.database import Connection, marks
from router.store.inbox import bodies_of
from router.store.instants import instant, instant_or_none, micros, micros_or_none

_COLUMNS = (
    "id",
    "alert_group",
    "source",
    "owner",
    "channel",
    "state",
    "severity",
    "title",
    "opened_at",
    "updated_at",
    "closed_at",
    "first_notification",
    "last_notification",
    "truncated",
    "repeats",
    "revision",
    "map_revision",
    "document",
    "due_at",
    "job",
)
_DOCUMENT = _COLUMNS.index("document")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM incidents"
_SAVE = f"""
    INSERT INTO incidents ({", ".join(_COLUMNS)}) VALUES ({marks(_COLUMNS)})
    ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:])}
"""


# Of one owner in one channel. What a group that comes and goes was an hour ago helps to tell nothing of today, and each
# is read with all its alerts for every notification.
EPISODES = 3


def of_groups(connection: Connection, groups: Sequence[str], *, closed_after: datetime) -> dict[str, list[Incident]]:
    """The open incidents of alert groups and the last that closed lately, oldest first, by group."""
    found: dict[str, list[Incident]] = {}
    rows = connection.execute(
        f"""
        SELECT {", ".join(_COLUMNS)} FROM (
            SELECT *, row_number() OVER (
                PARTITION BY alert_group, owner, channel, closed_at IS NULL ORDER BY id DESC
            ) AS episode FROM incidents
            WHERE alert_group IN ({marks(groups)}) AND (closed_at IS NULL OR closed_at > ?)
        ) AS known WHERE closed_at IS NULL OR episode <= ? ORDER BY id
        """,
        (*groups, micros(closed_after), EPISODES),
    )
    for row in rows:
        incident = _incident(row)
        found.setdefault(incident.group, []).append(incident)
    return found


def by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Incident]:
    rows = connection.execute(f"{_SELECT} WHERE id IN ({marks(ids)})", ids)
    return {row[0]: _incident(row) for row in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An incident with what is needed to show it, all of one instant."""

    incident: Incident
    bodies: dict[int, tuple[Source, bytes]]  # of the notifications whose words are shown
    map: MapVersion | None  # that decided it, where this store knows more of it than its revision


def with_bodies(connection: Connection, *, id: str, needed: Callable[[Incident], Iterable[int]]) -> Told:
    """An incident and the bodies of the notifications that are `needed` to tell it, in one consistent read."""
    incident = by_id(connection, [id])[id]
    return Told(
        incident=incident,
        bodies=bodies_of(connection, sorted(needed(incident))),
        map=maps.in_force(connection, incident.map_revision, at=incident.updated_at),
    )


def of_older_maps(connection: Connection, *, revision: str, after: str, limit: int, size: int) -> list[Incident]:
    """Incidents that have not ended and were last decided by another map than `revision`, by id, from behind `after`.

    At most `limit`, and of about `size` bytes.
    """
    rows = list[Sequence[Any]]()
    # A statement for each state: neither engine reads `state IN (…)` in the order of its partial indexes.
    for state in (IncidentState.OPEN, IncidentState.STALE):
        rows += connection.execute(
            f"{_SELECT} WHERE state = '{state.value}' AND map_revision <> ? AND id > ? ORDER BY id LIMIT ?",
            (revision, after, limit),
        ).fetchall()
    return _first_of(sorted(rows, key=lambda row: str(row[0]))[:limit], size=size)


def _first_of(rows: Iterable[Sequence[Any]], *, size: int) -> list[Incident]:
    """So many of the first rows as are of about `size` bytes: one at least."""
    found, held = list[Incident](), 0
    for row in rows:
        found.append(_incident(row))
        held += len(row[_DOCUMENT])
        if held >= size:
            break
    return found


def open_of_groups(connection: Connection, groups: Sequence[str]) -> dict[str, list[Incident]]:
    """The open incidents of alert groups, by group."""
    found: dict[str, list[Incident]] = {}
    rows = connection.execute(
        f"{_SELECT} WHERE alert_group IN ({marks(groups)}) AND closed_at IS NULL ORDER BY id", groups
    )
    for row in rows:
        incident = _incident(row)
        found.setdefault(incident.group, []).append(incident)
    return found


def save(connection: Connection, incidents: Iterable[Incident]) -> None:
    connection.executemany(_SAVE, [_row(incident) for incident in incidents])


def page(
    connection: Connection,
    *,
    state: IncidentState | None,
    before: str | None,
    limit: int,
    owner: str | None = None,
) -> list[Incident]:
    """Incidents newest first, from before the id `before`. `owner`: of this team alone; empty: of nobody."""
    conditions, values = ["1 = 1"], list[str | int]()
    if owner is not None:
        conditions.append("coalesce(owner, '') = ?")
        values.append(owner)
    if state is not None:
        conditions.append("state = ?")
        values.append(state.value)
    if before is not None:
        conditions.append("id < ?")
        values.append(before)
    rows = connection.execute(f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?", (*values, limit))
    return [_incident(row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many there are at this moment. `orphaned` are those of the open ones that nobody owns."""

    opened: int
    orphaned: int
    stale: int


def counts(connection: Connection) -> Counts:
    opened, owned = connection.execute("SELECT count(*), count(owner) FROM incidents WHERE state = 'open'").fetchone()
    (stale,) = connection.execute("SELECT count(*) FROM incidents WHERE state = 'stale'").fetchone()
    return Counts(opened=opened, orphaned=opened - owned, stale=stale)


def due(connection: Connection, *, now: datetime, limit: int, size: int) -> list[Incident]:
    """Incidents that timers have to look at, the longest due first: at most `limit`, and of about `size` bytes."""
    rows = connection.execute(
        f"{_SELECT} WHERE due_at IS NOT NULL AND due_at <= ? ORDER BY due_at, id LIMIT ?", (micros(now), limit)
    )
    return _first_of(rows.fetchall(), size=size)


def next_due(connection: Connection) -> datetime | None:
    """When the next one is due; None: none ever."""
    (due_at,) = connection.execute("SELECT min(due_at) FROM incidents WHERE due_at IS NOT NULL").fetchone()
    return instant_or_none(due_at)


def opened_since(connection: Connection, incident: Incident, *, since: datetime) -> int:
    """How often it fired since then: incidents of the same owner's share of the same group, this one included."""
    (number,) = connection.execute(
        """
        SELECT count(*) FROM incidents
        WHERE alert_group = ? AND channel = ? AND coalesce(owner, '') = ? AND opened_at >= ?
        """,
        (incident.group, incident.channel_id, incident.owner or "", micros(since)),
    ).fetchone()
    return int(number)


def of_job(connection: Connection, job: str) -> list[Incident]:
    """The incidents of a job that have not ended."""
    return [
        _incident(row)
        for row in connection.execute(f"{_SELECT} WHERE job = ? AND closed_at IS NULL ORDER BY id", (job,))
    ]


def closed_since(connection: Connection, *, since: datetime, limit: int) -> list[Incident]:
    """Incidents that ended since then, the newest first."""
    rows = connection.execute(
        f"{_SELECT} WHERE closed_at IS NOT NULL AND closed_at >= ? ORDER BY closed_at DESC LIMIT ?",
        (micros(since), limit),
    )
    return [_incident(row) for row in rows]


def schedule(connection: Connection, due_at: dict[str, datetime | None]) -> None:
    """When timers look at these incidents next; nothing else of them changes."""
    connection.executemany(
        "UPDATE incidents SET due_at = ? WHERE id = ?",
        [(micros_or_none(at), identifier) for identifier, at in due_at.items()],
    )


def _row(incident: Incident) -> tuple[Any, ...]:
    return (
        incident.id,
        incident.group,
        incident.source.value,
        incident.owner,
        incident.channel_id,
        incident.state.value,
        incident.severity.value,
        incident.title,
        micros(incident.opened_at),
        micros(incident.updated_at),
        micros_or_none(incident.closed_at),
        incident.first_notification,
        incident.last_notification,
        incident.truncated,
        incident.repeats,
        incident.revision,
        incident.map_revision,
        _document(incident),
        micros_or_none(incident.due_at),
        incident.job,
    )


def _document(incident: Incident) -> str:
    places: dict[Explanation, int] = {}
    alerts = {
        fingerprint: [
            int(tracked.firing),
            micros_or_none(tracked.since),
            micros_or_none(tracked.until),
            tracked.notification,
            places.setdefault(tracked.explanation, len(places)),
            tracked.words,
            tracked.sender,
            # Few have a value in a label.
            *([tracked.stem, micros_or_none(tracked.value_since)] if tracked.stem else ()),
        ]
        for fingerprint, tracked in incident.alerts.items()
    }
    document: dict[str, Any] = {
        "alerts": alerts,
        "explanations": [_told(explanation) for explanation in places],
        "copies": incident.copies,
    }
    if incident.moved_to:
        document["moved_to"] = [_move(move) for move in incident.moved_to]
        document["handed_over"] = incident.handed_over
    if incident.moved_from:
        document["moved_from"] = [_move(move) for move in incident.moved_from]
    document |= incident_history.dumped(incident)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _incident(row: Sequence[Any]) -> Incident:
    (
        identifier,
        group,
        source,
        owner,
        channel,
        state,
        severity,
        title,
        opened_at,
        updated_at,
        closed_at,
        first_notification,
        last_notification,
        truncated,
        repeats,
        revision,
        map_revision,
        document,
        due_at,
        job,
    ) = row
    facts = json.loads(document)
    explanations = [_explanation(told) for told in facts["explanations"]]
    alerts = {
        fingerprint: Tracked(
            status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
            since=instant_or_none(since),
            until=instant_or_none(until),
            notification=notification,
            explanation=explanations[place],
            words=words,
            sender=sender,
            stem=value[0] if value else 0,
            value_since=instant_or_none(value[1]) if value else None,
        )
        for fingerprint, (firing, since, until, notification, place, words, sender, *value) in facts["alerts"].items()
    }
    return Incident(
        id=identifier,
        group=group,
        source=Source(source),
        owner=owner,
        channel_id=channel,
        copies=tuple(facts["copies"]),
        state=IncidentState(state),
        severity=Level(severity),
        title=title,
        opened_at=instant(opened_at),
        updated_at=instant(updated_at),
        closed_at=instant_or_none(closed_at),
        first_notification=first_notification,
        last_notification=last_notification,
        alerts=alerts,
        truncated=truncated,
        repeats=repeats,
        revision=revision,
        map_revision=map_revision,
        moved_to=tuple(Move(**move) for move in facts.get("moved_to", ())),
        moved_from=tuple(Move(**move) for move in facts.get("moved_from", ())),
        handed_over=facts.get("handed_over", False),
        due_at=instant_or_none(due_at),
        job=job,
        **incident_history.loaded(facts),
    )


def _move(move: Move) -> dict[str, Any]:
    return {"incident": move.incident, "owner": move.owner, "channel_id": move.channel_id, "alerts": move.alerts}


def _told(explanation: Explanation) -> list[Any]:
    via, hints, rerun = explanation.via, explanation.hints, explanation.hints.rerun
    return [
        [via.stage, via.entry, via.file, via.line],
        [hints.severity, hints.respond_within, hints.hours, hints.runbook],
        [rerun.safety, rerun.when, rerun.how, rerun.ask, rerun.recover_within],
        explanation.drift,
        [[tried.stage, tried.answer, tried.reason] for tried in explanation.tried],
        explanation.job,
    ]


def _explanation(told: list[Any]) -> Explanation:
    (stage, entry, file, line), (severity, respond_within, hours, runbook), rerun, drift, tried, *later = told
    safety, when, how, ask, recover_within = rerun
    return Explanation(
        via=Via(stage=Stage(stage), entry=entry, file=file, line=line),
        hints=Hints(
            severity=Level(severity),
            respond_within=respond_within,
            hours=Hours(hours),
            runbook=runbook,
            rerun=Rerun(safety=RerunSafety(safety), when=when, how=how, ask=ask, recover_within=recover_within),
        ),
        drift=tuple(drift),
        tried=tuple(Tried(stage=Stage(stage), answer=answer, reason=reason) for stage, answer, reason in tried),
        job=later[0] if later else None,  # not told before schema version 4
    )
