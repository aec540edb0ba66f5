"""The owners' shares of one alert group: which incident each alert of a notification belongs to, and why. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from router.core.history import Event
from router.core.identifiers import text_of
from router.core.incidents import (
    ALL_RESOLVED,
    FLAP_WINDOW,
    FLAPS_AFTER,
    LATE_WINDOW,
    SAME_INSTANT,
    SEVERAL_MAPS,
    STILL,
    UNTOLD,
    Ended,
    Explanation,
    Incident,
    Reason,
    Telling,
    Tracked,
    is_late,
    is_late_of_untold,
    is_outdated,
    is_remembered,
    is_soon,
    later_start,
    most_urgent,
    noted,
    rhythm_after,
    stem_of,
    words_of,
)
from router.core.model import (
    CHECK_IN_SOURCES,
    LEVELS_BY_URGENCY,
    Alert,
    AlertStatus,
    IncidentState,
    Level,
    Notification,
    Resolution,
    Via,
)

# How many of the alerts that joined are named in the thread, and the first repeat that is told there: the second notice
# is what everybody waits for.
NAMED: Final = 5
FIRST_TOLD: Final = 4


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
class _EndedValue:
    """An alert with a value in a label, when it had that value."""

    fingerprint: str
    since: datetime | None
    until: datetime


class Shares:
    """The owners' shares of one group while one notification is placed into them."""

    def __init__(
        self,
        incidents: Iterable[Incident],
        *,
        telling: Telling | None,
        notification: Notification,
        id: int,
        key: str,
        sender: int,
        ownership: Ownership,
        now: datetime,
    ) -> None:
        self._notification = notification
        self._id = id
        self._group = key
        self._sender = sender
        self._ownership = ownership
        self._now = now
        self._last = telling
        # One sender's word is serial: its latest is always the last. Of another sender it may be an old one, come late.
        self.may_be_old = telling is not None and telling.sender != sender and is_soon(telling, sender=sender, now=now)
        # What max_alerts cut off may fire.
        self._is_whole = not notification.truncated or notification.reason == ALL_RESOLVED
        self._named = {alert.fingerprint for alert in notification.alerts}
        self._before = {incident.id: incident for incident in incidents}
        self._alerts: dict[str, dict[str, Tracked]] = {}  # of the incidents that are touched
        self._repeats: dict[str, int] = {}
        self._opened: dict[str, Incident] = {}
        self._reopened: dict[str, int] = {}  # and how often each of these fired, this time included
        self._heard: set[str] = set()  # incidents of which something was told to fire
        self._joined: dict[str, list[str]] = {}  # incident -> the names of the alerts that are new in it
        self._open_by_key: dict[tuple[str | None, str], str] = {}
        self._lately: dict[tuple[str | None, str], list[Incident]] = {}  # ended, oldest first
        self._holder: dict[str, str] = {}  # fingerprint -> the incident that has it
        self._placed: set[str] = set()  # incidents into which an alert came by the map of this decision
        self._untold: dict[str, Ended] = {}
        self._other_values: dict[str, str] = {}  # fingerprint of what has another value now -> its incident
        self._ended_by_stem: dict[int, list[_EndedValue]] | None = None
        self._explanations: dict[Explanation, Explanation] = {}
        for incident in self._before.values():
            if not incident.ended:
                # Not what a person gave to its owner: that one is not by the map, and goes elsewhere as a whole.
                if incident.assigned is None:
                    self._open_by_key[incident.owner, incident.channel_id] = incident.id
            elif _is_over(incident, now=now):
                self._lately.setdefault((incident.owner, incident.channel_id), []).append(incident)
            for fingerprint, tracked in incident.alerts.items():
                if incident.handed_over and tracked.firing:  # another incident has it now
                    continue
                holder = self._holder.get(fingerprint)
                other = self._before[holder].alerts[fingerprint] if holder is not None else None
                if other is None or _episode(tracked) >= _episode(other):
                    self._holder[fingerprint] = incident.id
        for incident in self._before.values():
            if incident.assigned is not None and not incident.ended:
                place = incident.assigned.instead_of, incident.assigned.channel_id
                self._open_by_key.setdefault(place, incident.id)

    def placed(self, alerts: Iterable[Alert]) -> list[Verdict]:
        verdicts = [self._place(alert) for alert in alerts]
        if not self._other_values:
            return verdicts
        return [
            replace(verdict, reason=Reason.OTHER_VALUE, incident=self._other_values[verdict.fingerprint])
            if verdict.fingerprint in self._other_values and verdict.status is AlertStatus.RESOLVED
            else verdict
            for verdict in verdicts
        ]

    def repeat(self, verdicts: Iterable[Verdict]) -> None:
        """It was told again without news: counted once in each incident of which something still fires."""
        for incident_id in {verdict.incident for verdict in verdicts if verdict.reason in STILL}:
            if incident_id is not None and incident_id in self._before:
                self._repeats[incident_id] = self._before[incident_id].repeats + 1

    def before(self, incident_id: str) -> Incident | None:
        return self._before.get(incident_id)

    def changed(self) -> tuple[Incident, ...]:
        """The incidents that are not what they were: a new revision for their messages to show.

        Those that were only heard of keep their revision.
        """
        return tuple(
            self._after(incident_id)
            if self._is_changed(incident_id)
            else replace(self._before[incident_id], heard_at=self._now)
            for incident_id in (*self._opened, *self._before)
            if incident_id in self._heard or self._is_changed(incident_id)
        )

    def rhythm(self, content: str) -> timedelta | None:
        """Of the group's repeats, as far as they are known to be some: each member of a pair has its own."""
        if self._last is None:
            return None
        rhythm, certain = self._last.rhythm, self._notification.reason is not None
        if self._sender != self._last.sender:
            return rhythm
        if not certain and (content != self._last.content or self._notification.truncated):
            return rhythm  # it may be told for another reason
        for incident_id, repeats in self._repeats.items():
            rhythm = rhythm_after(
                self._last,
                opened_at=self._before[incident_id].opened_at,
                repeats=repeats,
                certain=certain,
                now=self._now,
            )
        return rhythm

    def ended(self) -> Mapping[str, Ended]:
        """What is remembered as told to be over only."""
        before = self._last.ended if self._last is not None else {}
        if not before and not self._untold:
            return before
        ended = {name: one for name, one in before.items() if is_remembered(one, now=self._now)} | self._untold
        if len(ended) > UNTOLD:
            ended = dict(sorted(ended.items(), key=lambda item: item[1].until)[-UNTOLD:])
        return ended

    def telling_with_ended(self) -> Telling | None:
        """The last telling, with what was told over since; None: nothing was."""
        if self._last is None or not self._untold:
            return None
        return replace(self._last, ended=self.ended())

    def succeeded(self) -> tuple[tuple[str, datetime], ...]:
        """The jobs that reported, whether anything was open or not."""
        if self._notification.source not in CHECK_IN_SOURCES:
            return ()
        reported = [alert for alert in self._notification.alerts if alert.status is AlertStatus.RESOLVED]
        jobs = [(self._resolution(alert).job, alert.ends_at or self._now) for alert in reported]
        return tuple((job, at) for job, at in jobs if job is not None)

    # -- one alert -------------------------------------------------------------------------------------------------

    def _place(self, alert: Alert) -> Verdict:
        holder = self._holder.get(alert.fingerprint)
        known = self._tracked(holder, alert.fingerprint) if holder is not None else None
        if alert.status is AlertStatus.RESOLVED:
            return self._resolve(alert, holder, known)
        if holder is not None and known is not None:
            if known.firing:
                return self._still_firing(alert, holder, known)
            closed_at = self._before[holder].closed_at if holder in self._before else None
            if is_late(known, alert, sender=self._sender, closed_at=closed_at, now=self._now):
                return self._verdict(alert, holder, known.explanation, Reason.LATE)
        ended = self._last.ended.get(alert.fingerprint) if self._last is not None else None
        if ended is not None and is_late_of_untold(ended, alert, sender=self._sender, now=self._now):
            return self._verdict_of(alert, None, self._resolution(alert), Reason.LATE)
        return self._fire(alert)

    def _resolve(self, alert: Alert, holder: str | None, known: Tracked | None) -> Verdict:
        if holder is None or known is None:
            # It fired and resolved between two flushes, or before this router knew of it: nobody was told it fires.
            self._remember(alert)
            return self._verdict_of(alert, None, self._resolution(alert), Reason.NEVER_FIRED)
        if not known.firing:
            if known.until is not None and alert.starts_at is not None and alert.starts_at > known.until:
                self._remember(alert)
                return self._verdict(alert, holder, known.explanation, Reason.NEVER_FIRED)
            return self._verdict(alert, holder, known.explanation, Reason.ALREADY_RESOLVED)
        if is_outdated(known, alert, sender=self._sender):
            return self._verdict(alert, holder, known.explanation, Reason.OUTDATED)
        self._track(
            holder,
            alert.fingerprint,
            replace(known, status=AlertStatus.RESOLVED, until=alert.ends_at or self._now, sender=self._sender),
        )
        return self._verdict(alert, holder, known.explanation, Reason.RESOLVED)

    def _remember(self, alert: Alert) -> None:
        until = alert.ends_at or self._now
        if self._now - until < LATE_WINDOW:
            self._untold[alert.fingerprint] = Ended(since=alert.starts_at, until=until, sender=self._sender)

    def _still_firing(self, alert: Alert, holder: str, known: Tracked) -> Verdict:
        self._heard.add(holder)
        words, started_at = known.words if self.may_be_old else words_of(alert), later_start(known, alert)
        if words == known.words and started_at == known.started_at:
            return self._verdict(alert, holder, known.explanation, Reason.STILL_FIRING)
        told = known
        if started_at != known.started_at:
            told = replace(known, since=started_at, value_since=None, sender=self._sender)
        if words != known.words:
            told = replace(told, words=words, notification=self._id)
        self._track(holder, alert.fingerprint, told)
        reason = Reason.STILL_FIRING if words == known.words else Reason.CHANGED
        return self._verdict(alert, holder, known.explanation, reason)

    def _fire(self, alert: Alert) -> Verdict:
        stem = stem_of(alert)
        if stem and (was := self._earlier_value(alert, stem)) is not None:
            return self._fire_on(alert, was)
        resolution = self._resolution(alert)
        if resolution.dropped:
            return self._verdict_of(alert, None, resolution, Reason.DROPPED, detail=resolution.drop_reason)
        incident_id, reason = self._incident_for(alert, resolution)
        self._placed.add(incident_id)
        self._heard.add(incident_id)
        if reason is Reason.JOINED and incident_id not in self._reopened:
            self._joined.setdefault(incident_id, []).append(alert.title)
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
                sender=self._sender,
                stem=stem,
            ),
        )
        return self._verdict(alert, incident_id, explanation, reason)

    def _incident_for(self, alert: Alert, resolution: Resolution) -> tuple[str, Reason]:
        channel_id = resolution.destinations[0].channel.id
        key = resolution.owner, channel_id
        existing = self._open_by_key.get(key) or self._reopen(key)
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

    def _reopen(self, key: tuple[str | None, str]) -> str | None:
        """What flaps is one incident: people were called for it, and are not for each time."""
        lately = self._lately.get(key, ())
        if not lately:
            return None
        newest = max(lately, key=_closed_at)
        if not newest.flaps and len(lately) < FLAPS_AFTER:
            return None
        self._reopened[newest.id] = len(lately) + 1
        self._open_by_key[key] = newest.id
        return newest.id

    # -- a value in a label ----------------------------------------------------------------------------------------

    def _earlier_value(self, alert: Alert, stem: int) -> str | None:
        """The fingerprint that it had until its value changed, if it is in an open incident.

        Between two flushes it may have had several values more, of which nobody was told but that they are over.
        """
        if self._ended_by_stem is None:
            self._ended_by_stem = self._find_ended_values()
        ended, starts, seen = self._ended_by_stem.get(stem, ()), [alert.starts_at], {alert.fingerprint}
        while starts:
            start = starts.pop()
            for value in ended:
                if start is None or value.fingerprint in seen or abs(value.until - start) > SAME_INSTANT:
                    continue
                seen.add(value.fingerprint)
                if self._was_open_until(value):
                    return value.fingerprint
                starts.append(value.since)
        return None

    def _find_ended_values(self) -> dict[int, list[_EndedValue]]:
        ended: dict[int, list[_EndedValue]] = {}
        for alert in self._notification.alerts:
            if alert.ends_at is not None and (stem := stem_of(alert)):
                value = _EndedValue(fingerprint=alert.fingerprint, since=alert.starts_at, until=alert.ends_at)
                ended.setdefault(stem, []).append(value)
        for incident in self._before.values():
            for fingerprint, tracked in incident.alerts.items():
                if tracked.stem and tracked.until is not None:
                    value = _EndedValue(fingerprint=fingerprint, since=tracked.started_at, until=tracked.until)
                    ended.setdefault(tracked.stem, []).append(value)
        return ended

    def _was_open_until(self, value: _EndedValue) -> bool:
        holder = self._holder.get(value.fingerprint)
        if holder is None or (holder in self._before and self._before[holder].ended):
            return False
        known = self._tracked(holder, value.fingerprint)
        return known is not None and (
            known.until == value.until
            or (known.firing and (known.started_at is None or known.started_at < value.until))
        )

    def _fire_on(self, alert: Alert, was: str) -> Verdict:
        holder = self._holder.pop(was)
        alerts = self._touched(holder)
        known = alerts.pop(was)
        self._other_values[was] = holder
        ended_at = alert.starts_at or self._now
        self._untold[was] = Ended(since=known.started_at, until=ended_at, sender=self._sender)
        self._heard.add(holder)
        told = replace(
            known,
            status=AlertStatus.FIRING,
            until=None,
            notification=self._id,
            words=words_of(alert),
            sender=self._sender,
            value_since=alert.starts_at,
        )
        self._track(holder, alert.fingerprint, told)
        return self._verdict(alert, holder, known.explanation, Reason.OTHER_VALUE)

    # -- the shares ------------------------------------------------------------------------------------------------

    def _tracked(self, incident_id: str, fingerprint: str) -> Tracked | None:
        alerts: Mapping[str, Tracked] | None = self._alerts.get(incident_id)
        if alerts is None:
            alerts = self._before[incident_id].alerts if incident_id in self._before else {}
        return alerts.get(fingerprint)

    def _touched(self, incident_id: str) -> dict[str, Tracked]:
        alerts = self._alerts.get(incident_id)
        if alerts is None:
            alerts = self._alerts[incident_id] = dict(
                self._before[incident_id].alerts if incident_id in self._before else {}
            )
        return alerts

    def _track(self, incident_id: str, fingerprint: str, tracked: Tracked) -> None:
        self._touched(incident_id)[fingerprint] = tracked
        self._holder[fingerprint] = incident_id

    def _is_changed(self, incident_id: str) -> bool:
        if incident_id in self._alerts or incident_id in self._repeats:
            return True
        before = self._before[incident_id]
        if self._unheard(before, before.alerts) != before.unheard:
            return True
        if incident_id in self._heard:
            return before.state is IncidentState.STALE
        # Only what was cut off kept it open, and nothing is.
        return (
            before.truncated > 0 and self._is_whole and not self.may_be_old and not before.ended and before.firing == 0
        )

    def _after(self, incident_id: str) -> Incident:
        before = self._before.get(incident_id)
        incident = before or self._opened[incident_id]
        alerts = self._alerts.get(incident_id, incident.alerts)
        firing = [tracked for tracked in alerts.values() if tracked.firing]
        state = self._state(incident, firing=bool(firing))
        after = replace(
            incident,
            state=state,
            severity=most_urgent([tracked.explanation.hints.severity for tracked in firing or alerts.values()]),
            updated_at=self._now,
            closed_at=(incident.closed_at or self._now) if state is IncidentState.RESOLVED else None,
            last_notification=self._id,
            alerts=alerts,
            truncated=self._notification.truncated,
            unheard=self._unheard(incident, alerts),
            repeats=self._repeats.get(incident_id, incident.repeats),
            revision=incident.revision + 1,
            map_revision=self._map_revision(incident),
            heard_at=self._now if incident_id in self._heard or incident_id in self._alerts else incident.heard_at,
            # Whether somebody else has to know is looked at behind the batch.
            due_at=None if state is IncidentState.RESOLVED else self._now,
            job=_job_of(alerts.values()),
        )
        return after if before is None else self._noted(before, after, firing=bool(firing))

    def _unheard(self, incident: Incident, alerts: Mapping[str, Tracked]) -> int:
        """How many of its firing alerts this word leaves out, though it tells the whole group: somebody muted them.

        (notify/mute.go: what is silenced or inhibited is taken out before the rest is sent)
        """
        if incident.ended or self._notification.truncated or self.may_be_old:
            return incident.unheard
        return sum(tracked.firing and fingerprint not in self._named for fingerprint, tracked in alerts.items())

    def _state(self, incident: Incident, *, firing: bool) -> IncidentState:
        if not firing and self._is_whole:
            return IncidentState.RESOLVED
        if incident.state is IncidentState.STALE and incident.id not in self._heard:
            return IncidentState.STALE
        return IncidentState.OPEN

    def _noted(self, before: Incident, after: Incident, *, firing: bool) -> Incident:
        """With what its thread tells of this notification."""
        now = self._now
        if after.state is IncidentState.OPEN and (before.state is IncidentState.STALE or before.suspect is not None):
            after = noted(replace(after, suspect=None), Event.HEARD_AGAIN, at=now)
        times = self._reopened.get(before.id)
        if times is not None:
            # It had ended: nobody was waited for meanwhile.
            after = replace(after, flaps=before.flaps + 1, waiting_since=now)
            if not before.flaps:
                after = noted(after, Event.FLAPPING, at=now, count=times)
        elif not before.ended:
            joined = self._joined.get(before.id)
            if joined is not None:
                after = noted(after, Event.JOINED, at=now, count=len(joined), names=tuple(joined[:NAMED]))
            if firing and _is_worse(before, after.severity, now=now):
                after = noted(replace(after, snoozed=None), Event.WORSE, at=now, level=after.severity)
        notices = after.repeats + 1
        if after.repeats != before.repeats and notices >= FIRST_TOLD and notices & (notices - 1) == 0:
            after = noted(after, Event.REPEATED, at=now, count=notices)
        # The end of what flaps is shown, and told no more than its beginning.
        if after.ended and not before.ended and not after.flaps:
            after = noted(after, Event.RESOLVED, at=now)
        return after

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


def _is_over(incident: Incident, *, now: datetime) -> bool:
    """Whether it is an episode that ended lately, for its own owner."""
    return (
        incident.closed_at is not None
        and now - incident.closed_at < FLAP_WINDOW
        and not incident.handed_over
        and incident.assigned is None
    )


def _is_worse(before: Incident, severity: Level, *, now: datetime) -> bool:
    """Whether people are called for it: not each time that one alert of several comes and goes."""
    if LEVELS_BY_URGENCY[severity] >= LEVELS_BY_URGENCY[before.severity]:
        return False
    return not any(
        happening.event is Event.WORSE and happening.level is severity and now - happening.at < FLAP_WINDOW
        for happening in before.history
    )


def _closed_at(incident: Incident) -> datetime:
    return incident.closed_at or incident.updated_at
