"""Cards as the core writes them, one of each kind. Factories show only what matters to a test."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from router.core.history import (
    Acknowledgement,
    Assignment,
    Escalation,
    EscalationReason,
    Event,
    Happening,
    Snooze,
    Suspicion,
)
from router.core.message_card import Card, CardAlert, CardEscalation, Handover
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


LEAD = "U0LEADPAY1"
PAYMENTS = Channel(name="payments-alerts", id="C0PAYALERT")
COMMERCE = Channel(name="commerce", id="C0COMMERCE")
ORPHANS = Channel(name="ops-orphans", id="C0ORPHANS1")
ACKNOWLEDGED = Acknowledgement(by=LEAD, at=NOW + timedelta(minutes=7))
SNOOZED = Snooze(by=LEAD, at=NOW, until=NOW + timedelta(hours=4))
SUSPICION = Suspicion(heartbeat="Watchdog of prod-eu", lost_at=NOW + timedelta(minutes=20))


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
        "incident": "0nbrxr3v00a2m-1",
        "first_channel": PAYMENTS,
        "heard_at": NOW,
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
        "about_job": True,
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
    return card(**({"alerts": alerts, "about_job": True} | changed))


def job(rerun: Rerun = CONDITIONAL, **changed: Any) -> Card:  # Any: the fields of Card
    labels = {
        "alertname": "KubeJobFailed",
        "cluster": "prod-eu",
        "namespace": "pay",
        "job_name": "billing-close-29398765",
    }
    facts: dict[str, Any] = {
        "via": Via(stage=Stage.JOB, entry="billing-close", file="ownership.yaml", line=68),
        "alerts": (shown(labels, {"summary": "Job pay/billing-close failed to complete."}, hints=hints(rerun=rerun)),),
        "about_job": True,
    }
    return card(**(facts | changed))


def step(
    to: str, *, reason: EscalationReason = EscalationReason.UNACKNOWLEDGED, minutes: int = 30, count: int = 0
) -> CardEscalation:
    """A step of the chain of Payments: its lead, the parent team, whoever watches the fallback channel."""
    place, team, channel, mention = {
        "lead": (0, "Payments", PAYMENTS, LEAD),
        "parent": (1, "Commerce", COMMERCE, "S0COMMERCE"),
        "fallback": (2, None, ORPHANS, "S0PLATFRM"),
    }[to]
    return CardEscalation(
        escalation=Escalation(
            step=place,
            to=to,
            team=team.lower() if team is not None else None,
            channel_id=channel.id,
            reason=reason,
            at=NOW + timedelta(minutes=minutes),
            count=count,
            mention=mention,
        ),
        team=team,
        channel=channel,
    )


def escalated(*steps: CardEscalation, **changed: Any) -> Card:  # Any: the fields of Card
    """The message that the last of these steps posted."""
    facts: dict[str, Any] = {
        "kind": MessageKind.ESCALATED,
        "escalations": steps,
        "escalation": steps[-1],
        "mention": Mention(handle=steps[-1].escalation.mention or "S0PLATFRM"),
        "first_message": "https://example.slack.com/archives/C0PAYALERT/p1763722985000100",
        "steps_left": steps[-1].escalation.to != "fallback",
    }
    return card(**(facts | changed))


def said_to_be_ledgers() -> dict[str, Any]:  # Any: the fields of Card
    return {
        "owner": "Ledger",
        "assigned": Assignment(by=LEAD, at=NOW, instead_of="payments", channel_id=PAYMENTS.id),
        "assigned_instead_of": "Payments",
    }


def claimed(**changed: Any) -> Card:  # Any: the fields of Card
    """An orphan of which a person said that it is Ledger's."""
    facts: dict[str, Any] = {
        "assigned": Assignment(by="hana", at=NOW, instead_of=None, channel_id=ORPHANS.id),
        "assigned_instead_of": "",
        "taken_from": (),
        "via": Via(stage=Stage.FALLBACK, entry=None, file="ownership.yaml", line=20),
    }
    return assigned(**(facts | changed))


def assigned(**changed: Any) -> Card:  # Any: the fields of Card
    facts: dict[str, Any] = {
        **said_to_be_ledgers(),
        "taken_from": (Handover(team="Payments", channel=PAYMENTS, alerts=3),),
        "correction": "# ownership.yaml:41\nservices:\n  checkout:\n    # owner: payments\n    owner: ledger",
        "first_channel": Channel(name="ledger", id="C0LEDGER01"),
    }
    return card(**(facts | changed))


def given_away(**changed: Any) -> Card:  # Any: the fields of Card
    """The same, where it was before."""
    facts: dict[str, Any] = {
        "state": IncidentState.RESOLVED,
        "closed_at": NOW + timedelta(minutes=9),
        "handed_over": True,
        "handed_to": (Handover(team="Ledger", channel=Channel(name="ledger", id="C0LEDGER01"), alerts=3),),
        "assigned": Assignment(by=LEAD, at=NOW, instead_of="payments", channel_id="C0LEDGER01"),
        "assigned_instead_of": "Payments",
        "correction": "# ownership.yaml:41\nservices:\n  checkout:\n    # owner: payments\n    owner: ledger",
    }
    return card(**(facts | changed))


def happened(event: Event, *, number: int = 1, minutes: int = 30, **facts: Any) -> Happening:  # Any: its fields
    return Happening(number=number, event=event, at=NOW + timedelta(minutes=minutes), **facts)


def every_happening() -> tuple[Happening, ...]:
    """One of each, with the facts that the core gives it."""
    lead, parent = step("lead").escalation, step("parent").escalation
    return (
        happened(Event.JOINED, count=2, names=("checkout-7c9f-7", "checkout-7c9f-9")),
        happened(Event.REPEATED, minutes=180, count=4),
        happened(Event.WORSE, level=Level.CRITICAL),
        happened(Event.FLAPPING, count=5),
        happened(
            Event.ESCALATED, team="payments", channel_id=lead.channel_id, mention=lead.mention, reason=lead.reason
        ),
        happened(Event.ESCALATED, team="commerce", channel_id=parent.channel_id, reason=parent.reason),
        happened(Event.ESCALATED, channel_id=ORPHANS.id, reason=EscalationReason.REPEATED, count=6),
        happened(
            Event.ESCALATED, channel_id=PAYMENTS.id, mention="S0PLATFRM", reason=EscalationReason.ORPHANED, minutes=1440
        ),
        happened(Event.ACKNOWLEDGED, by=LEAD),
        happened(Event.ACKNOWLEDGED, by="hana"),
        happened(Event.SNOOZED, by="hana", until=NOW + timedelta(hours=4)),
        happened(Event.SNOOZE_OVER, minutes=240),
        happened(Event.SNOOZE_OVER, by="hana"),
        happened(Event.DISOWNED, by="hana", team="ledger"),
        happened(Event.STALE, minutes=600),
        happened(Event.HEARD_AGAIN, minutes=700),
        happened(Event.RESOLVED, minutes=42),
        happened(Event.SUPERSEDED_RUN, until=NOW + timedelta(minutes=25)),
        happened(Event.SUSPECT, names=("Watchdog of prod-eu",)),
    )


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
        "stale": card(state=IncidentState.STALE, **spoken),
        "orphan": orphan(**spoken),
        "copy": card(kind=MessageKind.COPY, **spoken),
        "undelivered": undelivered(**spoken),
        "check-in missing": check_in(**spoken),
        "check-in recovered": check_in(missing=False, **spoken),
        "interactive": card(buttons=True, **spoken),
        "acknowledged": card(buttons=True, acknowledged=ACKNOWLEDGED, **spoken),
        "snoozed": card(buttons=True, snoozed=SNOOZED, **spoken),
        "flapping": card(buttons=True, flaps=7, repeats=2, **spoken),
        "partly silenced": card(unheard=2, buttons=True, **spoken),
        "only the left out": card(alerts=pods(firing=0, resolved=3), truncated=195, buttons=True, **spoken),
        "acknowledged, and over": resolved(acknowledged=ACKNOWLEDGED, **spoken),
        "over by a newer run": job(
            state=IncidentState.RESOLVED, closed_at=NOW, newer_run_at=NOW + timedelta(minutes=25), **spoken
        ),
        "command to fill in": check_in(
            alerts=(shown(hints=hints(rerun=replace(CONDITIONAL, how="run --namespace {namespace}"))),), **spoken
        ),
        "last step": escalated(step("parent"), step("fallback", minutes=45), buttons=True, **spoken),
        "claimed": claimed(buttons=True, **spoken),
        "assigned, and escalated": escalated(step("parent"), **said_to_be_ledgers(), **spoken),
        "suspect": resolved(suspect=SUSPICION, **spoken),
        "assigned": assigned(buttons=True, **spoken),
        "given away": given_away(**spoken),
        "with steps": card(escalations=(step("lead"), step("parent", minutes=45)), buttons=True, **spoken),
        "unacknowledged": escalated(step("lead", minutes=15), step("parent"), buttons=True, **spoken),
        "told again": escalated(
            step("fallback", reason=EscalationReason.REPEATED, count=6, minutes=180), repeats=6, **spoken
        ),
        "came again": escalated(step("parent", reason=EscalationReason.REPEATED, count=6), **spoken),
        "step taken back": escalated(step("parent"), acknowledged=ACKNOWLEDGED, buttons=True, **spoken),
        "step over": escalated(
            step("parent"),
            state=IncidentState.RESOLVED,
            alerts=pods(firing=0, resolved=3),
            closed_at=NOW + timedelta(minutes=42),
            **spoken,
        ),
        "orphan with buttons": orphan(buttons=True, **spoken),
        "job safe": job(SAFE, **spoken),
        "job with care": job(buttons=True, **spoken),
        "job too late": job(heard_at=NOW + timedelta(days=3), **spoken),
        "job unsafe": job(replace(UNSAFE, ask="payments"), **spoken),
        "job not needed": job(Rerun(safety=RerunSafety.NOT_NEEDED), **spoken),
        "job not declared": job(Rerun(), **spoken),
    }
