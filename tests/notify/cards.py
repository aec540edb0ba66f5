"""Cards as the core writes them, one of each kind. Factories show only what matters to a test."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from router.core.message_card import Card, CardAlert
from router.core.model import (
    Alert,
    AlertStatus,
    Cause,
    Channel,
    Hints,
    Hours,
    IncidentState,
    Language,
    Level,
    Mention,
    MessageKind,
    Nearest,
    Notice,
    OrphanHelp,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Tried,
    Undelivered,
    Via,
)

NOW = datetime(2025, 11, 21, 11, 3, tzinfo=UTC)
LABELS = {
    "alertname": "HighErrorRate",
    "service": "checkout",
    "cluster": "prod-eu",
    "namespace": "shop",
    "severity": "critical",
}
RUNBOOK = "https://runbooks.example.com/checkout/high-error-rate"
SAFE = Rerun(safety=RerunSafety.SAFE, when="deduplicates on `order_id`")
UNSAFE = Rerun(safety=RerunSafety.UNSAFE, when="It sends invoices. Check step 3 of the runbook first.")
CONDITIONAL = Rerun(
    safety=RerunSafety.CONDITIONAL,
    when="Only if the ledger row for the month is still `open`; otherwise it double-posts.",
    how="kubectl -n pay create job --from=cronjob/billing-close billing-close-manual-$(date +%s)",
    ask="payments",
    recover_within="2d",
)


def hints(*, rerun: Rerun = SAFE, runbook: str | None = RUNBOOK, severity: Level = Level.CRITICAL) -> Hints:
    return Hints(severity=severity, respond_within="15m", hours=Hours.ALWAYS, runbook=runbook, rerun=rerun)


def shown(
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    *,
    firing: bool = True,
    hints: Hints = hints(),  # noqa: B008  # frozen
    since: datetime | None = NOW,
    **alert: str,
) -> CardAlert:
    until = None if firing else NOW + timedelta(minutes=42)
    return CardAlert(
        alert=Alert(
            fingerprint="7503d3f198bad091",
            status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
            labels=LABELS if labels is None else labels,
            annotations=SUMMARY if annotations is None else annotations,
            starts_at=since,
            ends_at=until,
            **alert,
        ),
        hints=hints,
        firing=firing,
        since=since,
        until=until,
    )


SUMMARY = {"summary": "5xx ratio is 7.3 % (threshold > 5 %) for 10 min on checkout"}


def pods(*, firing: int = 3, resolved: int = 0, **changed: Any) -> tuple[CardAlert, ...]:  # Any: as `shown`
    return tuple(
        shown(
            {**LABELS, "pod": f"checkout-7c9f-{number}"},
            {**SUMMARY, "value": f"{10 - number / 2:.1f} %"},
            firing=number <= firing,
            generator_url="https://prometheus.example.com/graph?g0.expr=job%3Aerrors+%3E+0.05&g0.tab=1",
            dashboard_url="https://grafana.example.com/d/checkout?from=1763722380000&to=now",
            **changed,
        )
        for number in range(1, firing + resolved + 1)
    )


def card(**changed: Any) -> Card:  # Any: the fields of Card
    alerts = changed.get("alerts", pods())
    facts: dict[str, Any] = {
        "kind": MessageKind.ROOT,
        "source": Source.ALERTMANAGER,
        "language": Language.ENGLISH,
        "state": IncidentState.OPEN,
        "severity": Level.CRITICAL,
        "owner": "Payments",
        "mention": Mention(handle="S0PAYMENTS"),
        "via": Via(stage=Stage.SERVICE, entry="checkout", file="ownership.yaml", line=41),
        "map_revision": "3f2a91c",
        "alerts": alerts,
        "firing": sum(one.firing for one in alerts),
        "resolved": sum(not one.firing for one in alerts),
        "truncated": 0,
        "repeats": 0,
        "opened_at": NOW,
        "closed_at": None,
        "respond_until": NOW + timedelta(minutes=15),
        "timezone": "Asia/Tokyo",
        "reference": "0nbrxr3v00a2m",
        "sender": "https://alertmanager.example.com",
    }
    return Card(**(facts | changed))


def resolved(**changed: Any) -> Card:  # Any: the fields of Card
    facts: dict[str, Any] = {
        "state": IncidentState.RESOLVED,
        "alerts": pods(firing=0, resolved=3),
        "closed_at": NOW + timedelta(minutes=42),
    }
    return card(**(facts | changed))


def orphan(**changed: Any) -> Card:  # Any: the fields of Card
    labels = {
        "alertname": "QueueBacklog",
        "service": "legacy-mailer",
        "namespace": "mail",
        "cluster": "prod-eu",
        "team": "paymnts",
    }
    facts: dict[str, Any] = {
        "owner": None,
        "severity": Level.NORMAL,
        "mention": Mention(handle="S0PLATFRM"),
        "via": Via(stage=Stage.FALLBACK, entry=None, file="ownership.yaml", line=20),
        "respond_until": None,
        "alerts": (
            shown(
                labels,
                {"summary": "Queue depth 18 230 (threshold > 10 000) for 20 min"},
                hints=hints(rerun=Rerun(), runbook=None, severity=Level.NORMAL),
            ),
        ),
        "drift": ('unknown team "paymnts"',),
        "orphan": OrphanHelp(
            tried=(
                Tried(stage=Stage.LABEL, answer=None, reason='label team="paymnts" names no team'),
                Tried(stage=Stage.JOB, answer=None, reason="no label cronjob, job_name or checkin"),
                Tried(stage=Stage.SERVICE, answer=None, reason='no service "legacy-mailer"'),
                Tried(stage=Stage.RULE, answer=None, reason="none of 12 rules matches"),
                Tried(stage=Stage.NAMESPACE, answer=None, reason='no entry for "mail"'),
            ),
            nearest=(
                Nearest(
                    kind="team",
                    entry="payments",
                    why='label team="paymnts" is one letter off',
                    file="ownership.yaml",
                    line=25,
                ),
            ),
            stanza="services:\n  legacy-mailer:\n    owner: YOUR-TEAM",
        ),
    }
    return card(**(facts | changed))


def check_in(*, missing: bool = True, **changed: Any) -> Card:  # Any: the fields of Card
    labels = {
        "alertname": "CheckInMissing",
        "source": "honeybadger",
        "checkin": "nightly-billing-export",
        "checkin_id": "AbC123",
        "checkin_name": "Nightly billing export",
        "project": "Billing",
    }
    annotations = {
        "summary": "nightly-billing-export has not reported",
        "expected_at": "2025-11-21T02:10:00Z",
        "missed_count": "1",
        "link": "https://app.honeybadger.io/projects/40001/check_ins",
    }
    facts: dict[str, Any] = {
        "source": Source.HONEYBADGER,
        "via": Via(stage=Stage.JOB, entry="nightly-billing-export", file="teams/pay/ownership.yaml", line=68),
        "alerts": (shown(labels, annotations, firing=missing, hints=hints(rerun=UNSAFE)),),
        "sender": "",
    }
    if not missing:
        facts |= {"state": IncidentState.RESOLVED, "closed_at": datetime(2025, 11, 21, 3, 15, tzinfo=UTC)}
    return card(**(facts | changed))


def undelivered(**changed: Any) -> Card:  # Any: the fields of Card
    refused = Undelivered(
        channel=Channel(name="payments-alerts", id="C0PAYALERT"), reason="is_archived", team="Payments"
    )
    facts: dict[str, Any] = {"kind": MessageKind.UNDELIVERED, "undelivered": refused}
    return card(**(facts | {"mention": Mention(handle="S0PLATFRM")} | changed))


def mixed_reruns(**changed: Any) -> Card:  # Any: the fields of Card
    def job(name: str, rerun: Rerun, runbook: str | None) -> CardAlert:
        return shown(
            {"alertname": "KubeJobFailed", "cluster": "prod-eu", "namespace": "batch", "job_name": name},
            {"summary": "Job failed to complete."},
            hints=hints(rerun=rerun, runbook=runbook),
        )

    alerts = (
        job("export-29398765", UNSAFE, RUNBOOK),
        job("cleanup-29398825", SAFE, None),
        job("unheard-of-29398826", Rerun(), RUNBOOK),
    )
    return card(**({"alerts": alerts} | changed))


def notice(**changed: Any) -> Notice:  # Any: the fields of Notice
    facts: dict[str, Any] = {
        "cause": Cause.QUARANTINED,
        "source": Source.ALERTMANAGER,
        "error": "the body is not JSON: Expecting value: line 1 column 1 (char 0)",
        "count": 4,
        "first_at": NOW,
        "last_at": NOW + timedelta(minutes=9),
        "reference": "0nbrxr3v00a2m",
    }
    return Notice(**(facts | changed))


def every_kind(language: Language) -> Mapping[str, Card]:
    """One card of each kind that a channel may show."""
    spoken: dict[str, Any] = {"language": language}
    return {
        "firing": card(**spoken),
        "repeated": card(repeats=3, **spoken),
        "partly resolved": card(alerts=pods(firing=3, resolved=2), **spoken),
        "truncated": card(truncated=195, **spoken),
        "many": card(alerts=pods(firing=10), firing=200, **spoken),
        "several names": card(
            alerts=(
                *pods(firing=1),
                shown({**LABELS, "alertname": "SlowQueries"}, {"description": "p99 above 2 s"}),
                shown({**LABELS, "alertname": "DiskWillFill", "device": "sda1"}, {}),
            ),
            **spoken,
        ),
        "conditional": card(alerts=pods(hints=hints(rerun=CONDITIONAL)), **spoken),
        "mixed reruns": mixed_reruns(**spoken),
        "nothing declared": card(
            alerts=(shown({"alertname": "Lonely"}, {}, hints=hints(rerun=Rerun(), runbook=None)),),
            respond_until=None,
            **spoken,
        ),
        "resolved": resolved(**spoken),
        "stale": card(state=IncidentState.STALE, closed_at=NOW + timedelta(hours=9), **spoken),
        "orphan": orphan(**spoken),
        "copy": card(kind=MessageKind.COPY, **spoken),
        "undelivered": undelivered(**spoken),
        "check-in missing": check_in(**spoken),
        "check-in recovered": check_in(missing=False, **spoken),
    }
