"""What one message says: an incident, the words that its alerts came with, and what the map adds. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from router.core.corrections import correction
from router.core.enrichment import respond_until
from router.core.escalation import chain
from router.core.history import Assignment, Escalation, Event
from router.core.identifiers import text_of
from router.core.incidents import Incident, Move, Tracked
from router.core.message_card import Card, CardAlert, CardEscalation, Handover
from router.core.model import (
    LEVELS_BY_URGENCY,
    Alert,
    Channel,
    IncidentState,
    MapVersion,
    Mention,
    MessageKind,
    Notification,
    OrphanHelp,
    Source,
    Stage,
    Undelivered,
)
from router.core.orphans import nearest, stanza
from router.core.ownership import OwnershipMap, Team

# A reply has none of its own: they stand on the message above it.
_WITH_BUTTONS = frozenset({MessageKind.ROOT, MessageKind.ESCALATED, MessageKind.UNDELIVERED, MessageKind.REPLY})

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
    buttons: bool = False,
    escalation_channel: str | None = None,
    first_message: str | None = None,
) -> Card:
    """What a message of `kind` says about `incident`. `told`: the notifications that its `shown` alerts fired in.

    `decided_by` is the map that decided it, `ownership` the one in force now. `buttons`: people can answer in Slack.
    `escalation_channel` is where an ESCALATED message stands, by which its step is found; `first_message` is the
    address of the root message.
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
    channels = {channel.id: channel for channel in ownership.channels}
    assigned = _assigned(incident)
    escalations = tuple(_escalation(step, ownership, channels) for step in incident.escalations)
    escalation = next((one for one in escalations if one.channel.id == escalation_channel), None)
    reader, refusing = team, name
    if escalation is not None and kind is MessageKind.ESCALATED:
        called = escalation.escalation.team
        reader, refusing = ownership.teams.get(called) if called is not None else None, escalation.team
    return Card(
        kind=kind,
        source=incident.source,
        language=ownership.language if reader is None else reader.language,
        state=incident.state,
        severity=incident.severity,
        owner=name,
        mention=_mention(kind, reader, ownership, escalation, undelivered),
        via=lead.explanation.via,
        # By several maps it is for a moment only, and the one in force is the last of these.
        map_revision=(incident.map_revision or ownership.revision)[:12] if decided_by is None else decided_by.name,
        map_since=None if decided_by is None else decided_by.loaded_at,
        alerts=tuple(alerts),
        firing=incident.firing,
        resolved=incident.resolved,
        truncated=incident.truncated,
        unheard=incident.unheard if incident.state is IncidentState.OPEN else 0,
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
        undelivered=None if undelivered is None else replace(undelivered, team=refusing or ""),
        handed_to=tuple(_handover(move, ownership, channels) for move in incident.moved_to),
        handed_over=incident.handed_over,
        taken_from=tuple(_handover(move, ownership, channels) for move in incident.moved_from),
        sender=told[lead.notification].sender if lead.notification in told else "",
        incident=incident.id,
        buttons=buttons and kind in _WITH_BUTTONS and incident.state is IncidentState.OPEN,
        acknowledged=incident.acknowledged,
        snoozed=incident.snoozed,
        assigned=assigned,
        assigned_instead_of=_name(assigned.instead_of, ownership) or "" if assigned is not None else "",
        flaps=incident.flaps,
        suspect=incident.suspect,
        escalations=escalations,
        escalation=escalation,
        steps_left=_steps_left(incident, ownership),
        newer_run_at=_newer_run_at(incident),
        first_message=first_message,
        first_channel=_channel(incident.channel_id, channels),
        correction=_correction(assigned, incident, alerts[0].alert, lead, told, ownership)
        if assigned is not None
        else None,
        about_job=_is_about_job(incident, alerts, ownership),
        heard_at=incident.heard_at,
    )


def _handover(move: Move, ownership: OwnershipMap, channels: Mapping[str, Channel]) -> Handover:
    return Handover(team=_name(move.owner, ownership), channel=_channel(move.channel_id, channels), alerts=move.alerts)


def _escalation(step: Escalation, ownership: OwnershipMap, channels: Mapping[str, Channel]) -> CardEscalation:
    return CardEscalation(
        escalation=step, team=_name(step.team, ownership), channel=_channel(step.channel_id, channels)
    )


def _steps_left(incident: Incident, ownership: OwnershipMap) -> bool:
    """Whether the chain goes on, by the map in force."""
    words = {step.to for step in incident.escalations}
    channels = {step.channel_id for step in incident.escalations}
    steps = chain(ownership, incident.owner, incident.severity, channel_id=incident.channel_id)
    return any(step.to not in words and step.channel_id not in channels for step in steps)


def _newer_run_at(incident: Incident) -> datetime | None:
    last = incident.history[-1] if incident.history else None
    return last.until if last is not None and last.event is Event.SUPERSEDED_RUN else None


def _name(team: str | None, ownership: OwnershipMap) -> str | None:
    """What people call the team; its id where the map does not have it any more."""
    return ownership.teams[team].name if team is not None and team in ownership.teams else team


def _channel(id: str, channels: Mapping[str, Channel]) -> Channel:
    return channels.get(id, Channel(name=id, id=id))


def _assigned(incident: Incident) -> Assignment | None:
    """By whose word it is its owner's, or somebody else's now: what was handed over keeps that in its history."""
    if incident.assigned is not None or not incident.handed_over:
        return incident.assigned
    last = next((one for one in reversed(incident.history) if one.event is Event.DISOWNED), None)
    if last is None or incident.moved_to[-1].owner != last.team:
        return None  # the map changed since
    return Assignment(
        by=last.by or "", at=last.at, instead_of=incident.owner, channel_id=incident.moved_to[-1].channel_id
    )


def _correction(
    assigned: Assignment,
    incident: Incident,
    alert: Alert,
    lead: Tracked,
    told: Mapping[int, Notification],
    ownership: OwnershipMap,
) -> str | None:
    owner = incident.moved_to[-1].owner if incident.handed_over else incident.owner
    if owner is None:
        return None
    return correction(
        ownership,
        _evidence(alert, lead, told),
        via=lead.explanation.via,
        owner=owner,
        said_on=assigned.at.date(),
    )


def _is_about_job(incident: Incident, alerts: list[CardAlert], ownership: OwnershipMap) -> bool:
    """Whether the alerts shown are about runs, each by its entry of the map, its labels, or as a missing check-in."""
    if incident.source is Source.HONEYBADGER or incident.job is not None:
        return True
    return all(any(one.alert.labels.get(name) for name in ownership.identity.all_job_labels) for one in alerts)


def _evidence(alert: Alert, lead: Tracked, told: Mapping[int, Notification]) -> dict[str, str]:
    route_labels = told[lead.notification].route_labels if lead.notification in told else {}
    return {**route_labels, **alert.labels}


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


def _mention(
    kind: MessageKind,
    team: Team | None,
    ownership: OwnershipMap,
    escalation: CardEscalation | None,
    undelivered: Undelivered | None,
) -> Mention | None:
    """Who is called: the owner in its own channel, whoever watches the fallback channel there, nobody for a copy."""
    if kind is MessageKind.COPY:
        return None
    if kind is MessageKind.UNDELIVERED or undelivered is not None or team is None:
        return ownership.fallback.mention
    if kind is MessageKind.ESCALATED and escalation is not None and escalation.escalation.mention is not None:
        return Mention(handle=escalation.escalation.mention)
    return team.mention


def _orphan_help(alert: Alert, lead: Tracked, told: Mapping[int, Notification], ownership: OwnershipMap) -> OrphanHelp:
    evidence = _evidence(alert, lead, told)
    return OrphanHelp(
        # That the fallback has no answer either goes without saying: the message is there.
        tried=tuple(tried for tried in lead.explanation.tried if tried.stage is not Stage.FALLBACK),
        nearest=nearest(ownership, evidence),
        stanza=stanza(ownership, evidence),
    )
