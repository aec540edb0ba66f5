"""The one decision: what a notification changes, and why. Pure; live traffic and replay call the same function."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from router.core.incidents import (
    NEWS,
    Incident,
    Reason,
    Telling,
    content_of,
    group_of,
    is_duplicate,
    is_repeat,
    sender_of,
)
from router.core.model import (
    IncidentState,
    Level,
    MessageKind,
    Notification,
    NotificationState,
    Urgency,
)
from router.core.shares import Ownership, Shares, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What is known of an alert group before a notification: its open and lately closed incidents, oldest first."""

    telling: Telling | None
    incidents: tuple[Incident, ...]


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
    succeeded: tuple[tuple[str, datetime], ...] = ()  # jobs, by their entry in the map, that reported, and when


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

    shares = Shares(
        group.incidents,
        telling=last,
        notification=notification,
        id=id,
        key=key,
        sender=sender,
        ownership=ownership,
        now=now,
    )
    verdicts = shares.placed(notification.alerts)
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
            for wanted in _wanted(shares.before(incident.id), incident, repeated=repeated)
        ),
        telling=Telling(
            content=content,
            notification=id,
            sender=sender,
            reason=notification.reason,
            at=now,
            rhythm=shares.rhythm(content),
            ended=shares.ended(),
        )
        if repeated or news or Reason.OTHER_VALUE in told or not shares.may_be_old
        else shares.telling_with_ended(),
        succeeded=shares.succeeded(),
    )


def _wanted(before: Incident | None, after: Incident, *, repeated: bool) -> Iterable[Wanted]:
    """Nothing, where it was only heard of."""
    if before is None or after.revision != before.revision:
        yield from messages_of(after, repeated=repeated)
        yield from replies_of(before, after)


def _repeated(verdict: Verdict) -> Verdict:
    return replace(verdict, reason=Reason.REPEATED) if verdict.reason is Reason.STILL_FIRING else verdict


def messages_of(incident: Incident, *, repeated: bool = False, noted: bool = False) -> Iterable[Wanted]:
    """The messages that show it. `repeated`: nothing is new but that it was told again. `noted`: nor even that."""
    calling = Urgency.CRITICAL if incident.severity is Level.CRITICAL else Urgency.FIRING
    if incident.state is not IncidentState.OPEN:
        urgency = calling = Urgency.ENDED
    elif repeated or noted:
        urgency = Urgency.REPEATED if repeated else Urgency.NOTED
    else:
        urgency = calling
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
                urgency=calling if noted else urgency,  # a step that was just taken calls people
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
