"""Notifications through the pure core, one after the other, with what it knows carried in memory as the store would."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Final

from router.core.actions import Action, apply
from router.core.escalation import Facts, Since, look, policy_for
from router.core.history import EscalationReason, Happening
from router.core.incidents import Incident, Reason, group_of
from router.core.model import Level, Notification, Resolution
from router.core.ownership import OwnershipMap
from router.core.routing import Decision, decide
from router.store.decisions import REMEMBERED, Known
from tests.core.factories import TeamLabelMap
from tests.streams.called import Stop
from tests.streams.charts import Chart, map_of
from tests.streams.people import Press
from tests.streams.senders import instant

SEVERITIES: Final = frozenset(("severity", level.value) for level in Level)
NOBODY: Final = map_of(Chart())
ALWAYS: Final = Since(listening=datetime.min.replace(tzinfo=UTC), judging=datetime.min.replace(tzinfo=UTC))
STARTS = frozenset({Reason.FIRST, Reason.JOINED, Reason.FIRES_AGAIN})


class OfTheirTeam(TeamLabelMap):
    """The label `team` names the owner as it stands there; apart from the severity nothing else is looked at."""

    def resolve(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        *,
        today: date,
        route_labels: Mapping[str, str],
    ) -> Resolution:
        known = {name: value for name, value in labels.items() if name == "team" or (name, value) in SEVERITIES}
        return super().resolve(known, annotations, today=today, route_labels={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """An incident of which nothing was heard until it was stale."""

    incident: str
    heard_at: datetime
    stale_at: datetime


@dataclass
class Replay:
    """The core with its timers, and every incident that it ever made, oldest first."""

    ownership: OfTheirTeam = field(default_factory=OfTheirTeam)
    map: OwnershipMap = field(default_factory=lambda: NOBODY)  # who is called
    stops: list[Stop] = field(default_factory=list)  # to come, in order
    known: Known = field(default_factory=lambda: Known(tellings={}, incidents={}))
    incidents: dict[str, Incident] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    threads: dict[str, list[Happening]] = field(default_factory=dict)  # all that ever happened, by incident
    told: int = 0
    _since: Since = ALWAYS

    def tell(self, notification: Notification, *, at: datetime) -> Decision:
        self.told += 1
        group = group_of(notification)
        self.wait_until(at)
        self._forget(group, at)
        decision = decide(notification, id=self.told, group=self.known.group(group), ownership=self.ownership, now=at)
        self.known.enter(decision)
        for incident in decision.incidents:
            self._enter(incident)
        return decision

    def _enter(self, incident: Incident) -> None:
        self.incidents[incident.id] = incident
        thread = self.threads.setdefault(incident.id, [])
        thread.extend(happening for happening in incident.history if happening.number > len(thread))

    def press(self, press: Press) -> None:
        """Somebody does this about what is open of that owner."""
        at = instant(press.at)
        self.wait_until(at)
        for incident in self._open():
            if incident.owner == press.owner:
                action = Action(incident=incident.id, kind=press.kind, by="U0SOMEBODY", at=at, lasts=press.lasts)
                for after in apply(action, incident, ownership=self.map, now=at).incidents:
                    self._put(after)

    def wait_until(self, now: datetime) -> None:
        """Time passes: what is due is looked at, unless the router stands still."""
        while self.stops and self.stops[0].since <= now:
            stop = self.stops[0]
            self._look_until(stop.since)
            if now < stop.until:
                return
            self._since = Since(listening=stop.until, judging=stop.until)
            for incident in self._open():
                self._put(replace(incident, due_at=stop.until))
            del self.stops[0]
        self._look_until(now)

    def _look_until(self, now: datetime) -> None:
        while due := [one for one in self._open() if one.due_at is not None and one.due_at <= now]:
            before = min(due, key=_due_at)
            at = _due_at(before)
            found = look(before, facts=self._facts(before, at), ownership=self.map, since=self._since, now=at)
            self._put(found.incident)
            if found.went_stale:
                assert before.heard_at is not None
                self.silences.append(Silence(incident=before.id, heard_at=before.heard_at, stale_at=at))

    def _facts(self, incident: Incident, now: datetime) -> Facts:
        """As router.store.timers finds them."""
        rhythm = self.known.tellings[incident.group].rhythm
        policy = policy_for(self.map, incident.owner, incident.severity)
        if policy.repeats is None or incident.owner is None:
            return Facts(rhythm=rhythm)
        since = now - policy.repeats.window
        share = [one for one in self.incidents.values() if (one.group, one.owner) == (incident.group, incident.owner)]
        called = frozenset(
            escalation.channel_id
            for one in share
            for escalation in one.escalations
            if one.id != incident.id and escalation.reason is EscalationReason.REPEATED and escalation.at >= since
        )
        opened = sum(one.opened_at >= since for one in share)
        often = opened > policy.repeats.count
        return Facts(opened_in_window=opened, called=called if often else frozenset(), rhythm=rhythm)

    def _open(self) -> list[Incident]:
        return [one for incidents in self.known.incidents.values() for one in incidents if not one.ended]

    def _put(self, incident: Incident) -> None:
        known = self.known.incidents[incident.group]
        known[[one.id for one in known].index(incident.id)] = incident
        self._enter(incident)

    def _forget(self, group: str, at: datetime) -> None:
        """As the store does: closed incidents are known for a while only."""
        if group in self.known.incidents:
            self.known.incidents[group] = [
                incident
                for incident in self.known.incidents[group]
                if incident.closed_at is None or incident.closed_at > at - REMEMBERED
            ]


def _due_at(incident: Incident) -> datetime:
    assert incident.due_at is not None
    return incident.due_at


def started(decision: Decision) -> frozenset[str]:
    """The alerts that somebody is told to fire by it, by fingerprint."""
    return frozenset(verdict.fingerprint for verdict in decision.verdicts if verdict.reason in STARTS)


def ended(decision: Decision) -> frozenset[str]:
    return frozenset(verdict.fingerprint for verdict in decision.verdicts if verdict.reason is Reason.RESOLVED)


def repeats_of(incidents: Iterable[Incident]) -> int:
    return sum(incident.repeats for incident in incidents)
