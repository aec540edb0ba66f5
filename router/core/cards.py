"""What one message says: an incident, the words that its alerts came with, and what the map adds. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from router.core.enrichment import respond_until
from router.core.identifiers import text_of
from router.core.incidents import Incident, Move, Tracked
from router.core.message_card import Card, CardAlert, Handover
from router.core.model import (
    LEVELS_BY_URGENCY,
    Alert,
    Channel,
    MapVersion,
    Mention,
    MessageKind,
    Notification,
    OrphanHelp,
    Stage,
    Undelivered,
)
from router.core.orphans import nearest, stanza
from router.core.ownership import OwnershipMap, Team

# As many as a message shows in full; the rest is counted.
SHOWN = 10


def shown(incident: Incident) -> list[tuple[str, Tracked]]:
    """The alerts worth showing in full: those that fire, the most urgent and oldest first; then those that resolved."""

    def order(item: tuple[str, Tracked]) -> tuple[bool, int, float, str]:
        fingerprint, tracked = item
        since = 0.0 if tracked.since is None else tracked.since.timestamp()
        return (not tracked.firing, LEVELS_BY_URGENCY[tracked.explanation.hints.severity], since, fingerprint)

    return sorted(incident.alerts.items(), key=order)[:SHOWN]


def card(
    incident: Incident,
    *,
    kind: MessageKind,
    told: Mapping[int, Notification],
    ownership: OwnershipMap,
    decided_by: MapVersion | None = None,
    undelivered: Undelivered | None = None,
) -> Card:
    """What a message of `kind` says about `incident`. `told`: the notifications that its `shown` alerts fired in.

    `decided_by` is the map that decided it, `ownership` the one in force now.
    """
    listed = shown(incident)
    alerts = [
        CardAlert(
            alert=_alert(fingerprint, tracked, incident, told),
            hints=tracked.explanation.hints,
            firing=tracked.firing,
            since=tracked.since,
            until=tracked.until,
        )
        for fingerprint, tracked in listed
    ]
    lead = listed[0][1]
    hints = lead.explanation.hints
    team = ownership.teams.get(incident.owner) if incident.owner is not None else None
    timezone = ownership.timezone if team is None else team.timezone
    name = incident.owner if team is None else team.name
    return Card(
        kind=kind,
        source=incident.source,
        language=ownership.language if team is None else team.language,
        state=incident.state,
        severity=incident.severity,
        owner=name,
        mention=_mention(kind, team, ownership),
        via=lead.explanation.via,
        # By several maps it is for a moment only, and the one in force is the last of these.
        map_revision=(incident.map_revision or ownership.revision)[:12] if decided_by is None else decided_by.name,
        map_since=None if decided_by is None else decided_by.loaded_at,
        alerts=tuple(alerts),
        firing=incident.firing,
        resolved=incident.resolved,
        truncated=incident.truncated,
        repeats=incident.repeats,
        opened_at=incident.opened_at,
        closed_at=_ended(incident),
        respond_until=respond_until(
            incident.opened_at,
            within=hints.respond_within,
            hours=hints.hours,
            timezone=timezone,
            business_hours=ownership.business_hours if team is None else team.business_hours,
        ),
        timezone=timezone,
        reference=text_of(incident.last_notification),
        drift=tuple(dict.fromkeys(word for _, tracked in listed for word in tracked.explanation.drift)),
        orphan=_orphan_help(alerts[0].alert, lead, told, ownership) if incident.owner is None else None,
        undelivered=None if undelivered is None else replace(undelivered, team=name or ""),
        handed_to=tuple(_handover(move, ownership) for move in incident.moved_to),
        handed_over=incident.handed_over,
        taken_from=tuple(_handover(move, ownership) for move in incident.moved_from),
        sender=told[lead.notification].sender if lead.notification in told else "",
    )


def _handover(move: Move, ownership: OwnershipMap) -> Handover:
    team = ownership.teams.get(move.owner) if move.owner is not None else None
    named = {channel.id: channel for channel in ownership.channels}
    return Handover(
        team=move.owner if team is None else team.name,
        channel=named.get(move.channel_id, Channel(name=move.channel_id, id=move.channel_id)),
        alerts=move.alerts,
    )


def _ended(incident: Incident) -> datetime | None:
    """When the last alert ended by its sender's word, so that the duration is not longer by the way of the news."""
    if incident.closed_at is None:
        return None
    ends = [tracked.until for tracked in incident.alerts.values() if tracked.until is not None]
    return min(max(ends, default=incident.closed_at), incident.closed_at)


def _alert(fingerprint: str, tracked: Tracked, incident: Incident, told: Mapping[int, Notification]) -> Alert:
    """The alert with the words of when it last fired; without them, where its body is gone, only that it was."""
    notification = told.get(tracked.notification)
    for alert in notification.alerts if notification is not None else ():
        if alert.fingerprint == fingerprint:
            return alert
    return Alert(
        fingerprint=fingerprint,
        status=tracked.status,
        labels={"alertname": incident.title},
        annotations={},
        starts_at=tracked.since,
        ends_at=tracked.until,
    )


def _mention(kind: MessageKind, team: Team | None, ownership: OwnershipMap) -> Mention | None:
    """Who is called: the owner in its own channel, whoever watches the fallback channel there, nobody for a copy."""
    if kind is MessageKind.COPY:
        return None
    if kind is MessageKind.UNDELIVERED or team is None:
        return ownership.fallback.mention
    return team.mention


def _orphan_help(alert: Alert, lead: Tracked, told: Mapping[int, Notification], ownership: OwnershipMap) -> OrphanHelp:
    route_labels = told[lead.notification].route_labels if lead.notification in told else {}
    evidence = {**route_labels, **alert.labels}
    return OrphanHelp(
        # That the fallback has no answer either goes without saying: the message is there.
        tried=tuple(tried for tried in lead.explanation.tried if tried.stage is not Stage.FALLBACK),
        nearest=nearest(ownership, evidence),
        stanza=stanza(ownership, evidence),
    )
