"""The one decision: what a notification changes, and why. Pure; live traffic and replay call the same function."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol

from router.core.identifiers import text_of
from router.core.incidents import (
    NEWS,
    SEVERAL_MAPS,
    STILL,
    Explanation,
    Incident,
    Reason,
    Telling,
    Tracked,
    content_of,
    group_of,
    is_duplicate,
    is_late,
    is_outdated,
    is_repeat,
    later_start,
    most_urgent,
    sender_of,
    words_of,
)
from router.core.model import (
    Alert,
    AlertStatus,
    IncidentState,
    Level,
    MessageKind,
    Notification,
    NotificationState,
    Resolution,
    Urgency,
    Via,
)


class Ownership(Protocol):
    """What a decision asks of the map."""

    @property
    def revision(self) -> str: ...

    def resolve(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        *,
        today: date,
        route_labels: Mapping[str, str],
    ) -> Resolution: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is known of an alert group before a notification: its open and lately closed incidents, oldest first."""

    telling: Telling | None
    incidents: tuple[Incident, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was decided about one alert of a notification."""

    fingerprint: str
    status: AlertStatus | None  # None: unreadable
    owner: str | None
    via: Via | None
    severity: Level | None
    incident: str | None
    reason: Reason
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A message that should show its incident's newest state."""

    incident: str
    kind: MessageKind
    channel_id: str
    urgency: Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Everything that one notification changes. `incidents` holds only those that changed."""

    state: NotificationState
    group: str
    duplicate_of: int | None = None
    verdicts: tuple[Verdict, ...] = ()
    incidents: tuple[Incident, ...] = ()
    wanted: tuple[Wanted, ...] = ()
    telling: Telling | None = None  # None: had no effect, the last one stays


def decide(
    notification: Notification,
    *,
    id: int,
    group: Group,
    ownership: Ownership,
    now: datetime,
) -> Decision:
    """What `notification` changes in its `group`. A group's status closes nothing: it lies (truncation, silences)."""
    key, content, sender = group_of(notification), content_of(notification), sender_of(notification)
    last = group.telling
    if last is not None and is_duplicate(
        last=last, content=content, sender=sender, reason=notification.reason, now=now
    ):
        return Decision(state=NotificationState.DEDUPLICATED, group=key, duplicate_of=last.notification)

    shares = _Shares(group.incidents, notification=notification, id=id, group=key, ownership=ownership, now=now)
    verdicts = [shares.place(alert, sender=sender) for alert in notification.alerts]
    told = {verdict.reason for verdict in verdicts}
    news = bool(told & NEWS)
    repeated = not news and is_repeat(
        told, last=last, content=content, sender=sender, reason=notification.reason, now=now
    )
    if repeated:
        shares.repeat(verdicts)
        verdicts = [_repeated(verdict) for verdict in verdicts]
    changed = shares.changed()
    verdicts.extend(
        Verdict(
            fingerprint="",
            status=None,
            owner=None,
            via=None,
            severity=None,
            incident=None,
            reason=Reason.UNREADABLE,
            detail=f"alerts[{alert.index}]: {alert.error}",
        )
        for alert in notification.unreadable
    )
    return Decision(
        state=NotificationState.DECIDED,
        group=key,
        verdicts=tuple(verdicts),
        incidents=changed,
        wanted=tuple(
            wanted
            for incident in changed
            for wanted in (
                *messages_of(incident, repeated=repeated),
                *replies_of(shares.before(incident.id), incident),
            )
        ),
        telling=Telling(content=content, notification=id, sender=sender, reason=notification.reason, at=now)
        # One sender's word is serial: its latest is always the last. Of another sender it may be an old one, come late.
        if repeated or news or last is None or sender == last.sender
        else None,
    )


def _repeated(verdict: Verdict) -> Verdict:
    return replace(verdict, reason=Reason.REPEATED) if verdict.reason is Reason.STILL_FIRING else verdict


def messages_of(incident: Incident, *, repeated: bool = False) -> Iterable[Wanted]:
    """The messages that show it. `repeated`: nothing is new but that it was told again."""
    if incident.state is not IncidentState.OPEN:
        urgency = Urgency.ENDED
    elif repeated:
        urgency = Urgency.REPEATED
    else:
        urgency = Urgency.CRITICAL if incident.severity is Level.CRITICAL else Urgency.FIRING
    yield Wanted(incident=incident.id, kind=MessageKind.ROOT, channel_id=incident.channel_id, urgency=urgency)
    for channel_id in incident.copies:
        yield Wanted(incident=incident.id, kind=MessageKind.COPY, channel_id=channel_id, urgency=urgency)
    for escalation in incident.escalations:
        # The lead is called in the owner's channel, by a reply.
        if escalation.channel_id != incident.channel_id:
            yield Wanted(
                incident=incident.id,
                kind=MessageKind.ESCALATED,
                channel_id=escalation.channel_id,
                urgency=urgency,
            )


def replies_of(before: Incident | None, after: Incident) -> Iterable[Wanted]:
    """The replies that tell what happened to it since it was `before`: each happening counts once as wanted."""
    for happening in after.history:
        if before is None or happening.number > before.happened:
            yield Wanted(
                incident=after.id,
                kind=MessageKind.REPLY,
                channel_id=after.channel_id,
                urgency=Urgency.NOTICE if happening.calls else Urgency.REPLY,
            )


def explanation_of(resolution: Resolution) -> Explanation:
    """What is kept of the map's answer about one alert."""
    return Explanation(
        via=resolution.via,
        hints=resolution.hints,
        drift=tuple(drift.message for drift in resolution.drift),
        tried=resolution.tried if resolution.orphan else (),
        job=resolution.job,
    )


def copies_of(resolution: Resolution) -> tuple[str, ...]:
    """The channels of `also_notify`, by id, without the owner's own."""
    owner, *others = [destination.channel.id for destination in resolution.destinations]
    return tuple(dict.fromkeys(channel_id for channel_id in others if channel_id != owner))


def _episode(tracked: Tracked) -> tuple[bool, int]:
    """Orders what several incidents of a group know of one alert: that it fires, else what was told last.

    Not the newest incident: a changed map may give the alert to one that was open before.
    """
    return tracked.firing, tracked.notification


def _job_of(alerts: Iterable[Tracked]) -> str | None:
    jobs = {tracked.explanation.job for tracked in alerts}
    return jobs.pop() if len(jobs) == 1 else None


class _Shares:
    """The owners' shares of one group while one notification is placed into them."""

    def __init__(
        self,
        incidents: Iterable[Incident],
        *,
        notification: Notification,
        id: int,
        group: str,
        ownership: Ownership,
        now: datetime,
    ) -> None:
        self._notification = notification
        self._id = id
        self._group = group
        self._ownership = ownership
        self._now = now
        self._before = {incident.id: incident for incident in incidents}
        self._alerts: dict[str, dict[str, Tracked]] = {}  # of the incidents that are touched
        self._repeats: dict[str, int] = {}
        self._opened: dict[str, Incident] = {}
        self._open_by_key: dict[tuple[str | None, str], str] = {}
        self._holder: dict[str, str] = {}  # fingerprint -> the incident that has it
        self._placed: set[str] = set()  # incidents into which an alert came by the map of this decision
        self._explanations: dict[Explanation, Explanation] = {}
        for incident in self._before.values():
            if incident.state is IncidentState.OPEN:
                self._open_by_key[incident.owner, incident.channel_id] = incident.id
            for fingerprint, tracked in incident.alerts.items():
                if incident.handed_over and tracked.firing:  # another incident has it now
                    continue
                holder = self._holder.get(fingerprint)
                other = self._before[holder].alerts[fingerprint] if holder is not None else None
                if other is None or _episode(tracked) >= _episode(other):
                    self._holder[fingerprint] = incident.id

    def place(self, alert: Alert, *, sender: int) -> Verdict:
        holder = self._holder.get(alert.fingerprint)
        known = self._tracked(holder, alert.fingerprint) if holder is not None else None
        if alert.status is AlertStatus.RESOLVED:
            return self._resolve(alert, holder, known, sender=sender)
        if holder is not None and known is not None and known.firing:
            return self._still_firing(alert, holder, known, sender=sender)
        if holder is not None and known is not None:
            closed_at = self._before[holder].closed_at if holder in self._before else None
            if is_late(known, alert, sender=sender, closed_at=closed_at, now=self._now):
                return self._verdict(alert, holder, known.explanation, Reason.LATE)
        return self._fire(alert, sender=sender)

    def repeat(self, verdicts: Iterable[Verdict]) -> None:
        """It was told again without news: counted once in each incident of which something still fires."""
        for incident_id in {verdict.incident for verdict in verdicts if verdict.reason in STILL}:
            if incident_id is not None and incident_id in self._before:
                self._repeats[incident_id] = self._before[incident_id].repeats + 1

    def before(self, incident_id: str) -> Incident | None:
        return self._before.get(incident_id)

    def changed(self) -> tuple[Incident, ...]:
        """The incidents that are not what they were: a new revision for their messages to show."""
        touched = [*self._opened, *(i for i in self._before if i in self._alerts or i in self._repeats)]
        return tuple(self._after(incident_id) for incident_id in touched)

    # -- one alert -------------------------------------------------------------------------------------------------

    def _resolve(self, alert: Alert, holder: str | None, known: Tracked | None, *, sender: int) -> Verdict:
        if holder is None or known is None:
            # It fired and resolved between two flushes, or before this router knew of it: nobody was told it fires.
            resolution = self._resolution(alert)
            return self._verdict_of(alert, None, resolution, Reason.NEVER_FIRED)
        if not known.firing:
            return self._verdict(alert, holder, known.explanation, Reason.ALREADY_RESOLVED)
        if is_outdated(known, alert, sender=sender):
            return self._verdict(alert, holder, known.explanation, Reason.OUTDATED)
        self._track(
            holder,
            alert.fingerprint,
            replace(known, status=AlertStatus.RESOLVED, until=alert.ends_at or self._now, sender=sender),
        )
        return self._verdict(alert, holder, known.explanation, Reason.RESOLVED)

    def _still_firing(self, alert: Alert, holder: str, known: Tracked, *, sender: int) -> Verdict:
        words, since = words_of(alert), later_start(known, alert)
        if words == known.words and since == known.since:
            return self._verdict(alert, holder, known.explanation, Reason.STILL_FIRING)
        told = replace(known, since=since, sender=sender if since == alert.starts_at else known.sender)
        if words != known.words:
            told = replace(told, words=words, notification=self._id)
        self._track(holder, alert.fingerprint, told)
        reason = Reason.STILL_FIRING if words == known.words else Reason.CHANGED
        return self._verdict(alert, holder, known.explanation, reason)

    def _fire(self, alert: Alert, *, sender: int) -> Verdict:
        resolution = self._resolution(alert)
        if resolution.dropped:
            return self._verdict_of(alert, None, resolution, Reason.DROPPED, detail=resolution.drop_reason)
        incident_id, reason = self._incident_for(alert, resolution)
        self._placed.add(incident_id)
        explanation = self._explanation(resolution)
        self._track(
            incident_id,
            alert.fingerprint,
            Tracked(
                status=AlertStatus.FIRING,
                since=alert.starts_at,
                until=None,
                notification=self._id,
                explanation=explanation,
                words=words_of(alert),
                sender=sender,
            ),
        )
        return self._verdict(alert, incident_id, explanation, reason)

    def _incident_for(self, alert: Alert, resolution: Resolution) -> tuple[str, Reason]:
        channel_id = resolution.destinations[0].channel.id
        key = resolution.owner, channel_id
        existing = self._open_by_key.get(key)
        if existing is not None:
            again = self._tracked(existing, alert.fingerprint) is not None
            if existing in self._opened:
                return existing, Reason.FIRST
            return existing, Reason.FIRES_AGAIN if again else Reason.JOINED
        incident = Incident(
            # Derived, not drawn: the same notification decided again opens the same incidents.
            id=f"{text_of(self._id)}-{len(self._opened) + 1}",
            group=self._group,
            source=self._notification.source,
            owner=resolution.owner,
            channel_id=channel_id,
            copies=copies_of(resolution),
            state=IncidentState.OPEN,
            severity=resolution.hints.severity,
            title=alert.title,
            opened_at=self._now,
            updated_at=self._now,
            closed_at=None,
            first_notification=self._id,
            last_notification=self._id,
            alerts={},
            truncated=self._notification.truncated,
            repeats=0,
            revision=0,
            map_revision=self._ownership.revision,
        )
        self._opened[incident.id] = incident
        self._open_by_key[key] = incident.id
        return incident.id, Reason.FIRST

    # -- the shares ------------------------------------------------------------------------------------------------

    def _tracked(self, incident_id: str, fingerprint: str) -> Tracked | None:
        alerts: Mapping[str, Tracked] | None = self._alerts.get(incident_id)
        if alerts is None:
            alerts = self._before[incident_id].alerts if incident_id in self._before else {}
        return alerts.get(fingerprint)

    def _track(self, incident_id: str, fingerprint: str, tracked: Tracked) -> None:
        alerts = self._alerts.get(incident_id)
        if alerts is None:
            alerts = self._alerts[incident_id] = dict(
                self._before[incident_id].alerts if incident_id in self._before else {}
            )
        alerts[fingerprint] = tracked
        self._holder[fingerprint] = incident_id

    def _after(self, incident_id: str) -> Incident:
        incident = self._before.get(incident_id) or self._opened[incident_id]
        alerts = self._alerts.get(incident_id, incident.alerts)
        firing = [tracked for tracked in alerts.values() if tracked.firing]
        return replace(
            incident,
            state=IncidentState.OPEN if firing else IncidentState.RESOLVED,
            severity=most_urgent([tracked.explanation.hints.severity for tracked in firing or alerts.values()]),
            updated_at=self._now,
            closed_at=None if firing else (incident.closed_at or self._now),
            last_notification=self._id,
            alerts=alerts,
            truncated=self._notification.truncated,
            repeats=self._repeats.get(incident_id, incident.repeats),
            revision=incident.revision + 1,
            map_revision=self._map_revision(incident),
            heard_at=self._now,
            # Whether somebody else has to know is looked at behind the batch.
            due_at=self._now if firing else None,
            job=_job_of(alerts.values()),
        )

    def _map_revision(self, incident: Incident) -> str:
        """Of two maps the incident is by none: so it is looked at again also if the first of them comes back."""
        by_this_too = incident.id in self._placed and incident.map_revision != self._ownership.revision
        return SEVERAL_MAPS if by_this_too else incident.map_revision

    # -- verdicts --------------------------------------------------------------------------------------------------

    def _resolution(self, alert: Alert) -> Resolution:
        return self._ownership.resolve(
            alert.labels, alert.annotations, today=self._now.date(), route_labels=self._notification.route_labels
        )

    def _explanation(self, resolution: Resolution) -> Explanation:
        explanation = explanation_of(resolution)
        return self._explanations.setdefault(explanation, explanation)

    def _verdict(self, alert: Alert, incident_id: str, explanation: Explanation, reason: Reason) -> Verdict:
        incident = self._before.get(incident_id) or self._opened[incident_id]
        return Verdict(
            fingerprint=alert.fingerprint,
            status=alert.status,
            owner=incident.owner,
            via=explanation.via,
            severity=explanation.hints.severity,
            incident=incident_id,
            reason=reason,
        )

    def _verdict_of(
        self, alert: Alert, incident_id: str | None, resolution: Resolution, reason: Reason, detail: str | None = None
    ) -> Verdict:
        return Verdict(
            fingerprint=alert.fingerprint,
            status=alert.status,
            owner=resolution.owner,
            via=resolution.via,
            severity=resolution.hints.severity,
            incident=incident_id,
            reason=reason,
            detail=detail,
        )
