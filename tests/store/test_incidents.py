"""Incidents on both engines: kept as they are, and read as they were kept before they had a history."""

import json
from dataclasses import MISSING, fields, replace
from datetime import timedelta
from functools import partial

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
from router.core.incidents import Explanation, Incident, Move, Tracked
from router.core.model import (
    AlertStatus,
    Hints,
    Hours,
    IncidentState,
    Level,
    Rerun,
    RerunSafety,
    Source,
    Stage,
    Tried,
    Via,
)
from router.store import incidents
from router.store.database import Connection, Store
from tests.core.factories import NOW, minutes
from tests.store.opened import with_store

EXPLANATION = Explanation(
    via=Via(stage=Stage.JOB, entry="billing-close", file="teams/payments.yaml", line=68),
    hints=Hints(
        severity=Level.CRITICAL,
        respond_within="15m",
        hours=Hours.BUSINESS,
        runbook="https://runbooks.example.com/billing",
        rerun=Rerun(
            safety=RerunSafety.CONDITIONAL, when="the row is open", how="make", ask="payments", recover_within="2d"
        ),
    ),
    drift=("service refund-api says ledger",),
    tried=(Tried(stage=Stage.LABEL, answer=None, reason="no label team"),),
    job="billing-close",
)
FIRING = Tracked(
    status=AlertStatus.FIRING,
    since=NOW,
    until=None,
    notification=7,
    explanation=EXPLANATION,
    words=11,
    sender=13,
    stem=17,
    value_since=NOW + minutes(1),
)
RESOLVED = Tracked(
    status=AlertStatus.RESOLVED,
    since=None,
    until=NOW + minutes(3),
    notification=8,
    explanation=replace(EXPLANATION, job=None),
    words=0,
    sender=-1,
)
HAPPENED = Happening(
    number=3,
    event=Event.WORSE,
    at=NOW,
    count=5,
    names=("支払いバッチ遅延", 'quoted "escalations": no'),
    by="U0ALICE",
    level=Level.CRITICAL,
    team="payments",
    channel_id="C0PAYALERT",
    mention="S0PAYONCALL",
    until=NOW + minutes(4),
    reason=EscalationReason.REPEATED,
)
ESCALATED = Escalation(
    step=2,
    to="finance",
    team="finance",
    channel_id="C0FINANCE1",
    reason=EscalationReason.REPEATED,
    at=NOW + minutes(5),
    count=6,
    mention="U0LEADPAY1",
)
PLAIN = Incident(
    id="0000000000001-1",
    group="g",
    source=Source.ALERTMANAGER,
    owner=None,
    channel_id="C0ORPHANS1",
    copies=(),
    state=IncidentState.RESOLVED,
    severity=Level.NORMAL,
    title="",
    opened_at=NOW,
    updated_at=NOW,
    closed_at=None,
    first_notification=1,
    last_notification=1,
    alerts={},
    truncated=0,
    repeats=0,
    revision=1,
    map_revision="",
)
FULL = Incident(
    id="0000000000002-1",
    group="支払い",
    source=Source.GRAFANA,
    owner="payments",
    channel_id="C0PAYALERT",
    copies=("C0DATAALRT", "C0LEDGERAL"),
    state=IncidentState.STALE,
    severity=Level.CRITICAL,
    title="BillingCloseFailed",
    opened_at=NOW + timedelta(microseconds=1),
    updated_at=NOW + minutes(6),
    closed_at=NOW + minutes(7),
    first_notification=7,
    last_notification=8,
    alerts={"a": FIRING, "b": RESOLVED},
    truncated=2,
    repeats=3,
    revision=4,
    map_revision="r2",
    moved_to=(Move(incident="0000000000003-1", owner=None, channel_id="C0ORPHANS1", alerts=2),),
    moved_from=(Move(incident="0000000000001-1", owner="ledger", channel_id="C0LEDGERAL", alerts=1),),
    handed_over=True,
    due_at=NOW + minutes(8),
    heard_at=NOW + minutes(9),
    waiting_since=NOW + minutes(10),
    history=(Happening(number=2, event=Event.STALE, at=NOW), HAPPENED),
    happened=3,
    escalations=(
        Escalation(step=0, to="fallback", channel_id="C0ORPHANS1", reason=EscalationReason.ORPHANED, at=NOW),
        ESCALATED,
    ),
    acknowledged=Acknowledgement(by="U0ALICE", at=NOW + minutes(11)),
    snoozed=Snooze(by="母", at=NOW + minutes(12), until=NOW + minutes(13)),
    assigned=Assignment(by="U0BOB", at=NOW + minutes(14), instead_of="ledger", channel_id="C0LEDGERAL"),
    flaps=5,
    unheard=1,
    suspect=Suspicion(heartbeat="Watchdog", lost_at=NOW + minutes(15)),
    job="billing-close",
)


def test_everything_in_this_file_is_set() -> None:
    """A field that is added to an incident is added here too, else the next test would not miss it."""
    for one, full in ((FULL, Incident), (HAPPENED, Happening), (ESCALATED, Escalation), (FIRING, Tracked)):
        unset = [
            field.name
            for field in fields(full)
            if field.default is not MISSING and getattr(one, field.name) == field.default
        ]
        assert unset == []


def test_it_is_kept_as_it_is(database: str) -> None:
    """Nothing of an incident is lost on its way, whether everything is set or nothing is."""

    async def run(store: Store) -> dict[str, Incident]:
        await store.write(partial(incidents.save, incidents=[PLAIN, FULL]))
        return await store.read(partial(incidents.by_id, ids=[PLAIN.id, FULL.id]))

    assert with_store(database, run) == {PLAIN.id: PLAIN, FULL.id: FULL}


def test_it_is_replaced_as_a_whole(database: str) -> None:
    """What is not true of it any more does not stay."""

    async def run(store: Store) -> dict[str, Incident]:
        await store.write(partial(incidents.save, incidents=[FULL]))
        await store.write(partial(incidents.save, incidents=[replace(PLAIN, id=FULL.id)]))
        return await store.read(partial(incidents.by_id, ids=[FULL.id]))

    assert with_store(database, run) == {FULL.id: replace(PLAIN, id=FULL.id)}


# As the first version wrote it: nothing of what happened, and no job in what the map said.
OLD_DOCUMENT = json.dumps(
    {
        "alerts": {"a": [1, 1_795_258_980_000_000, None, 7, 0, 11, 13]},
        "explanations": [
            [
                ["label", "team", "map.yaml", 3],
                ["normal", None, "business", None],
                ["unknown", None, None, None, None],
                [],
                [],
            ]
        ],
        "copies": ["C0DATAALRT"],
    }
)
OLD = replace(
    PLAIN,
    copies=("C0DATAALRT",),
    alerts={
        "a": Tracked(
            status=AlertStatus.FIRING,
            since=NOW,
            until=None,
            notification=7,
            explanation=Explanation(
                via=Via(stage=Stage.LABEL, entry="team", file="map.yaml", line=3),
                hints=Hints(
                    severity=Level.NORMAL, respond_within=None, hours=Hours.BUSINESS, runbook=None, rerun=Rerun()
                ),
                drift=(),
                tried=(),
            ),
            words=11,
            sender=13,
        )
    },
)


def test_of_an_older_version(database: str) -> None:
    """A document without what is kept today is read: nothing of that happened to it."""

    def age(connection: Connection) -> None:
        incidents.save(connection, [PLAIN])
        connection.execute("UPDATE incidents SET document = ? WHERE id = ?", (OLD_DOCUMENT, PLAIN.id))

    async def run(store: Store) -> dict[str, Incident]:
        await store.write(age)
        return await store.read(partial(incidents.by_id, ids=[PLAIN.id]))

    assert with_store(database, run) == {PLAIN.id: OLD}
