"""Notifications through the pure core, one after the other, with what it knows carried in memory as the store would."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from router.core.incidents import Incident, Reason, group_of
from router.core.model import IncidentState, Notification, Resolution
from router.core.routing import Decision, decide
from router.store.decisions import REMEMBERED, Known
from tests.core.factories import TeamLabelMap

STARTS = frozenset({Reason.FIRST, Reason.JOINED, Reason.FIRES_AGAIN})


class OfTheirTeam(TeamLabelMap):
    """The label `team` names the owner as it stands there; what else the alert says is not looked at."""

    def resolve(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        *,
        today: date,
        route_labels: Mapping[str, str],
    ) -> Resolution:
        team = {name: value for name, value in labels.items() if name == "team"}
        return super().resolve(team, annotations, today=today, route_labels={})


@dataclass
class Replay:
    """The core, and every incident that it ever made, oldest first."""

    ownership: OfTheirTeam = field(default_factory=OfTheirTeam)
    known: Known = field(default_factory=lambda: Known(tellings={}, incidents={}))
    incidents: dict[str, Incident] = field(default_factory=dict)
    told: int = 0

    def tell(self, notification: Notification, *, at: datetime) -> Decision:
        self.told += 1
        group = group_of(notification)
        self._forget(group, at)
        decision = decide(notification, id=self.told, group=self.known.group(group), ownership=self.ownership, now=at)
        self.known.enter(decision)
        self.incidents.update((incident.id, incident) for incident in decision.incidents)
        return decision

    def _forget(self, group: str, at: datetime) -> None:
        """As the store does: closed incidents are known for a while only."""
        if group in self.known.incidents:
            self.known.incidents[group] = [
                incident
                for incident in self.known.incidents[group]
                if incident.state is IncidentState.OPEN or _closed_at(incident) > at - REMEMBERED
            ]


def _closed_at(incident: Incident) -> datetime:
    assert incident.closed_at is not None
    return incident.closed_at


def started(decision: Decision) -> frozenset[str]:
    """The alerts that somebody is told to fire by it, by fingerprint."""
    return frozenset(verdict.fingerprint for verdict in decision.verdicts if verdict.reason in STARTS)


def ended(decision: Decision) -> frozenset[str]:
    return frozenset(verdict.fingerprint for verdict in decision.verdicts if verdict.reason is Reason.RESOLVED)


def repeats_of(incidents: Iterable[Incident]) -> int:
    return sum(incident.repeats for incident in incidents)
