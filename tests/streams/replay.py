"""Notifications through the pure core, one after the other, with what it knows carried in memory as the store would."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

from router.core.history import Event, Happening
from router.core.incidents import Incident, Reason, group_of, noted, stale_at
from router.core.model import IncidentState, Level, Notification, Resolution
from router.core.routing import Decision, decide
from router.store.decisions import REMEMBERED, Known
from tests.core.factories import TeamLabelMap

SEVERITIES: Final = frozenset(("severity", level.value) for level in Level)
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
    """The core with the timer for what is stale, and every incident that it ever made, oldest first."""

    ownership: OfTheirTeam = field(default_factory=OfTheirTeam)
    known: Known = field(default_factory=lambda: Known(tellings={}, incidents={}))
    incidents: dict[str, Incident] = field(default_factory=dict)
    silences: list[Silence] = field(default_factory=list)
    threads: dict[str, list[Happening]] = field(default_factory=dict)  # all that ever happened, by incident
    told: int = 0

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

    def wait_until(self, now: datetime) -> None:
        """Time passes, and with it what is only known for a while."""
        for group, incidents in self.known.incidents.items():
            telling = self.known.tellings[group]
            for place, incident in enumerate(incidents):
                due_at = stale_at(incident, rhythm=telling.rhythm)
                if due_at is None or due_at > now:
                    continue
                assert incident.heard_at is not None
                stale = noted(replace(incident, state=IncidentState.STALE), Event.STALE, at=due_at)
                incidents[place] = stale
                self._enter(stale)
                self.silences.append(Silence(incident=incident.id, heard_at=incident.heard_at, stale_at=due_at))

    def _forget(self, group: str, at: datetime) -> None:
        """As the store does: closed incidents are known for a while only."""
        if group in self.known.incidents:
            self.known.incidents[group] = [
                incident
                for incident in self.known.incidents[group]
                if incident.closed_at is None or incident.closed_at > at - REMEMBERED
            ]


def started(decision: Decision) -> frozenset[str]:
    """The alerts that somebody is told to fire by it, by fingerprint."""
    return frozenset(verdict.fingerprint for verdict in decision.verdicts if verdict.reason in STARTS)


def ended(decision: Decision) -> frozenset[str]:
    return frozenset(verdict.fingerprint for verdict in decision.verdicts if verdict.reason is Reason.RESOLVED)


def repeats_of(incidents: Iterable[Incident]) -> int:
    return sum(incident.repeats for incident in incidents)
