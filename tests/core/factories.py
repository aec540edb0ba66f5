"""Alerts, notifications and a map for tests; each shows only what matters to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from router.core.model import (
    Alert,
    AlertStatus,
    Channel,
    Destination,
    Hints,
    Hours,
    Level,
    Notification,
    Rerun,
    Resolution,
    Source,
    Stage,
    Tried,
    Via,
)

NOW = datetime(2026, 11, 21, 11, 3, tzinfo=UTC)
FALLBACK = Channel(name="ops-orphans", id="C0ORPHANS1")


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def alert(
    name: str = "a",
    *,
    team: str | None = "payments",
    resolved: bool = False,
    since: datetime = NOW,
    until: datetime | None = None,
    summary: str = "",
    **labels: str,
) -> Alert:
    """An alert whose fingerprint is its name."""
    return Alert(
        fingerprint=name,
        status=AlertStatus.RESOLVED if resolved else AlertStatus.FIRING,
        labels={"alertname": name, **({"team": team} if team else {}), **labels},
        annotations={"summary": summary} if summary else {},
        starts_at=since,
        ends_at=(until or since + minutes(1)) if resolved else None,
    )


def notification(
    *alerts: Alert, sender: str = "http://am-0", reason: str | None = None, truncated: int = 0, receiver: str = "router"
) -> Notification:
    return Notification(
        source=Source.ALERTMANAGER,
        receiver=receiver,
        group_key="{}:{}",
        alerts=alerts,
        sender=sender,
        reason=reason,
        truncated=truncated,
    )


@dataclass
class TeamLabelMap:
    """A map in which the label `team` names the owner, and `severity` the level; `drop` drops."""

    revision: str = "r1"
    channels: Mapping[str, str] = field(default_factory=dict)  # team -> channel id, where it is not C0<TEAM>
    job: str | None = None  # that everything is of

    def resolve(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        *,
        today: date,
        route_labels: Mapping[str, str],
    ) -> Resolution:
        team = {**route_labels, **labels}.get("team")
        dropped = "drop" in labels
        owner = None if dropped else team
        channel = FALLBACK
        if owner is not None:
            channel = Channel(name=owner, id=self.channels.get(owner, f"C0{owner.upper()}"))
        return Resolution(
            owner=owner,
            via=Via(
                stage=Stage.LABEL if owner else Stage.FALLBACK, entry="team" if owner else None, file="map.yaml", line=3
            ),
            hints=Hints(
                severity=Level(labels.get("severity", "normal")),
                respond_within="1h",
                hours=Hours.ALWAYS,
                runbook=None,
                rerun=Rerun(),
            ),
            destinations=() if dropped else (Destination(team=owner, channel=channel),),
            dropped=dropped,
            drop_reason="heartbeat" if dropped else None,
            job=self.job,
            tried=(Tried(stage=Stage.LABEL, answer=owner, reason="team"),),
        )
