"""Members of digests, and a map in which two teams speak two languages. Each shows only what matters to a test."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from router.core.digests import DigestMember
from router.core.incidents import Explanation, Incident, Tracked
from router.core.model import (
    AlertStatus,
    Channel,
    Hints,
    Hours,
    IncidentState,
    Level,
    MessageKind,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Undelivered,
    Via,
)
from router.core.ownership import OwnershipMap
from router.ownership_file import load_map

NOW = datetime(2026, 11, 21, 11, 3, tzinfo=UTC)
PAYMENTS, LEDGER, FALLBACK = "C0PAYALERT", "C0LEDGER01", "C0ORPHANS1"
_MAP = f"""
version: 1
defaults: {{timezone: Asia/Tokyo}}
fallback:
  channel: {{name: ops-orphans, id: {FALLBACK}}}
  mention: S0PLATFRM1
teams:
  payments:
    name: Payments
    channel: {{name: pay-alerts, id: {PAYMENTS}}}
    mention: S0PAYMENTS
  ledger:
    name: Ledger
    language: ja
    channel: {{name: ledger-alerts, id: {LEDGER}}}
    mention: S0LEDGER01
"""
SAFE = Rerun(safety=RerunSafety.SAFE)
UNSAFE = Rerun(safety=RerunSafety.UNSAFE, when="it sends invoices")
REFUSED = Undelivered(channel=Channel(name="pay-alerts", id=PAYMENTS), reason="is_archived")


def ownership() -> OwnershipMap:
    with TemporaryDirectory() as directory:
        root = Path(directory) / "ownership.yaml"
        root.write_text(_MAP, encoding="utf-8")
        return load_map(root)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def member(
    title: str = "HighErrorRate",
    *,
    owner: str | None = "payments",
    kind: MessageKind = MessageKind.ROOT,
    own_ts: str | None = None,
    undelivered: Undelivered | None = None,
    state: IncidentState = IncidentState.OPEN,
    severity: Level = Level.NORMAL,
    source: Source = Source.ALERTMANAGER,
    stage: Stage = Stage.SERVICE,
    entry: str | None = "checkout",
    alerts: int = 1,
    reruns: tuple[Rerun, ...] = (SAFE,),
    runbook: str | None = None,
    within: str | None = None,
    truncated: int = 0,
    opened_at: datetime = NOW,
    lasted: timedelta = timedelta(minutes=42),
) -> DigestMember:
    """`alerts` of one incident that all fire, or have all resolved unless it is open; `reruns` are dealt in turns."""
    closed_at = None if state is IncidentState.OPEN else opened_at + lasted
    firing = state is not IncidentState.RESOLVED
    tracked = {
        f"f{number}": Tracked(
            status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
            since=opened_at,
            until=None if firing else closed_at,
            notification=7,
            explanation=Explanation(
                via=Via(stage=stage, entry=entry, file="ownership.yaml", line=41),
                hints=Hints(
                    severity=severity,
                    respond_within=within,
                    hours=Hours.ALWAYS,
                    runbook=runbook,
                    rerun=reruns[number % len(reruns)],
                ),
                drift=(),
                tried=(),
            ),
            words=0,
            sender=0,
        )
        for number in range(alerts)
    }
    incident = Incident(
        id=f"i-{title}",
        group="g",
        source=source,
        owner=owner,
        channel_id=FALLBACK if owner is None else PAYMENTS,
        copies=(),
        state=state,
        severity=severity,
        title=title,
        opened_at=opened_at,
        updated_at=opened_at,
        closed_at=closed_at,
        first_notification=7,
        last_notification=7,
        alerts=tracked,
        truncated=truncated,
        repeats=0,
        revision=1,
        map_revision="4f1c0a2b9e12",
    )
    return DigestMember(incident=incident, kind=kind, own_ts=own_ts, undelivered=undelivered)


def orphan(title: str = "QueueBacklog") -> DigestMember:
    return member(title, owner=None, stage=Stage.FALLBACK, entry=None, reruns=(Rerun(),))


def undelivered(title: str = "DiskWillFill", *, owner: str = "payments") -> DigestMember:
    return member(title, owner=owner, kind=MessageKind.UNDELIVERED, undelivered=REFUSED)


def resolved(title: str = "CertExpiresSoon") -> DigestMember:
    return member(title, state=IncidentState.RESOLVED)


def check_in(entry: str = "nightly-export", *, state: IncidentState = IncidentState.OPEN) -> DigestMember:
    return member("CheckInMissing", source=Source.HONEYBADGER, stage=Stage.JOB, entry=entry, state=state)
