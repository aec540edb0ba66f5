"""Incidents: one row each, with its alerts as one document, read and written as a whole.

A row per alert would cost three to five times as much to write, and nothing asks for one alert alone.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, or_, select, update

from router.core.incidents import Explanation, Incident, Tracked
from router.core.model import (
    AlertStatus,
    Hints,
    Hours,
    IncidentState,
    Level,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Tried,
    Via,
)
from router.store.inbox import bodies_of
from router.store.instants import instant, instant_or_none, micros, micros_or_none
from router.store.tables import incidents


def of_groups(connection: Connection, groups: Sequence[str], *, closed_after: datetime) -> dict[str, list[Incident]]:
    """The open incidents of alert groups and those that closed lately, oldest first, by group."""
    found: dict[str, list[Incident]] = {}
    rows = connection.execute(
        select(incidents)
        .where(
            incidents.c.alert_group.in_(groups),
            or_(incidents.c.closed_at.is_(None), incidents.c.closed_at > micros(closed_after)),
        )
        .order_by(incidents.c.id)
    )
    for row in rows:
        found.setdefault(row.alert_group, []).append(_incident(row))
    return found


def by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Incident]:
    return {row.id: _incident(row) for row in connection.execute(select(incidents).where(incidents.c.id.in_(ids)))}


def with_bodies(
    connection: Connection,
    *,
    id: str,
    needed: Callable[[Incident], Iterable[int]],
) -> tuple[Incident, dict[int, tuple[Source, bytes]]]:
    """An incident and the bodies of the notifications that are `needed` to tell it, in one consistent read."""
    incident = by_id(connection, [id])[id]
    return incident, bodies_of(connection, sorted(needed(incident)))


_COLUMNS = [column.name for column in incidents.columns if column.name != "id"]
_UPDATE = (
    update(incidents)
    .where(incidents.c.id == bindparam("key"))
    .values({name: bindparam(f"new_{name}") for name in _COLUMNS})
)


def save(connection: Connection, new: Iterable[Incident], changed: Iterable[Incident]) -> None:
    inserts = [{"id": incident.id, **_values(incident)} for incident in new]
    updates = [
        {"key": incident.id, **{f"new_{name}": value for name, value in _values(incident).items()}}
        for incident in changed
    ]
    if inserts:
        connection.execute(insert(incidents), inserts)
    if updates:
        connection.execute(_UPDATE, updates)


def page(connection: Connection, *, state: IncidentState | None, before: str | None, limit: int) -> list[Incident]:
    """Incidents newest first, from before the id `before`."""
    query = select(incidents).order_by(incidents.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(incidents.c.state == state.value)
    if before is not None:
        query = query.where(incidents.c.id < before)
    return [_incident(row) for row in connection.execute(query)]


def open_counts(connection: Connection) -> tuple[int, int]:
    """How many are open, and how many of these are orphans."""
    row = connection.execute(
        select(func.count(), func.count().filter(incidents.c.owner.is_(None))).where(incidents.c.state == "open")
    ).one()
    return row[0], row[1]


def _values(incident: Incident) -> dict[str, Any]:
    firing = incident.firing
    return {
        "alert_group": incident.group,
        "source": incident.source.value,
        "owner": incident.owner,
        "channel": incident.channel_id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "title": incident.title,
        "opened_at": micros(incident.opened_at),
        "updated_at": micros(incident.updated_at),
        "closed_at": micros_or_none(incident.closed_at),
        "first_notification": incident.first_notification,
        "last_notification": incident.last_notification,
        "firing": firing,
        "resolved": len(incident.alerts) - firing,
        "truncated": incident.truncated,
        "repeats": incident.repeats,
        "revision": incident.revision,
        "map_revision": incident.map_revision,
        "document": _document(incident),
    }


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
        ]
        for fingerprint, tracked in incident.alerts.items()
    }
    document = {
        "alerts": alerts,
        "explanations": [_told(explanation) for explanation in places],
        "copies": incident.copies,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _incident(row: Row[*tuple[Any, ...]]) -> Incident:
    document = json.loads(row.document)
    explanations = [_explanation(told) for told in document["explanations"]]
    alerts = {
        fingerprint: Tracked(
            status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
            since=instant_or_none(since),
            until=instant_or_none(until),
            notification=notification,
            explanation=explanations[place],
            words=words,
            sender=sender,
        )
        for fingerprint, (firing, since, until, notification, place, words, sender) in document["alerts"].items()
    }
    return Incident(
        id=row.id,
        group=row.alert_group,
        source=Source(row.source),
        owner=row.owner,
        channel_id=row.channel,
        copies=tuple(document["copies"]),
        state=IncidentState(row.state),
        severity=Level(row.severity),
        title=row.title,
        opened_at=instant(row.opened_at),
        updated_at=instant(row.updated_at),
        closed_at=instant_or_none(row.closed_at),
        first_notification=row.first_notification,
        last_notification=row.last_notification,
        alerts=alerts,
        truncated=row.truncated,
        repeats=row.repeats,
        revision=row.revision,
        map_revision=row.map_revision,
    )


def _told(explanation: Explanation) -> list[Any]:
    via, hints, rerun = explanation.via, explanation.hints, explanation.hints.rerun
    return [
        [via.stage, via.entry, via.file, via.line],
        [hints.severity, hints.respond_within, hints.hours, hints.runbook],
        [rerun.safety, rerun.when, rerun.how, rerun.ask, rerun.recover_within],
        explanation.drift,
        [[tried.stage, tried.answer, tried.reason] for tried in explanation.tried],
    ]


def _explanation(told: list[Any]) -> Explanation:
    (stage, entry, file, line), (severity, respond_within, hours, runbook), rerun, drift, tried = told
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
    )
