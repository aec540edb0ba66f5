"""What a message is made of: names for the ids of an incident, and who is called by which message."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from router.core.cards import card, shown
from router.core.history import Acknowledgement, Assignment, Escalation, EscalationReason, Event, Snooze, Suspicion
from router.core.incidents import Incident, Move, noted
from router.core.message_card import Card
from router.core.model import (
    Channel,
    IncidentState,
    Language,
    Level,
    Mention,
    MessageKind,
    Notification,
    Source,
    Undelivered,
)
from tests.core.digest_members import FALLBACK, LEDGER, NOW, PAYMENTS, member, minutes, ownership
from tests.core.factories import alert, notification

MAP = ownership()
LEAD = "U0LEADPAY1"


def incident(**changed: Any) -> Incident:  # Any: the fields of Incident
    return replace(member().incident, **changed)


def shows(of: Incident, /, *, kind: MessageKind = MessageKind.ROOT, **given: Any) -> Card:  # Any: the arguments of card
    return card(of, kind=kind, **{"told": {}, "ownership": MAP, **given})


def told_of(of: Incident, labels: Mapping[str, str]) -> dict[int, Notification]:
    """The notification in which the incident's only alert has these labels."""
    ((fingerprint, tracked),) = shown(of)
    return {tracked.notification: notification(replace(alert(), labels=labels, fingerprint=fingerprint))}


def step(
    channel_id: str, *, team: str | None = None, mention: str | None = None, at: datetime = NOW, to: str = "parent"
) -> Escalation:
    return Escalation(
        step=0,
        to=to,
        team=team,
        channel_id=channel_id,
        reason=EscalationReason.UNACKNOWLEDGED,
        at=at,
        mention=mention,
    )


def test_what_people_and_timers_did_is_shown() -> None:
    """As it stands in the incident."""
    facts = {
        "acknowledged": Acknowledgement(by=LEAD, at=NOW),
        "snoozed": Snooze(by=LEAD, at=NOW, until=NOW + minutes(60)),
        "suspect": Suspicion(heartbeat="Watchdog", lost_at=NOW),
        "flaps": 3,
        "heard_at": NOW + minutes(5),
    }
    told = shows(incident(**facts))
    assert {name: getattr(told, name) for name in facts} == facts
    assert told.incident == incident().id
    assert told.first_channel == Channel(name="pay-alerts", id=PAYMENTS)


@pytest.mark.parametrize(
    ("kind", "state", "expected"),
    [
        pytest.param(MessageKind.ROOT, IncidentState.OPEN, True, id="root"),
        pytest.param(MessageKind.ESCALATED, IncidentState.OPEN, True, id="escalated"),
        pytest.param(MessageKind.COPY, IncidentState.OPEN, False, id="copy"),
        pytest.param(MessageKind.REPLY, IncidentState.OPEN, True, id="reply, below one that has them"),
        pytest.param(MessageKind.UNDELIVERED, IncidentState.OPEN, True, id="undelivered"),
        pytest.param(MessageKind.ROOT, IncidentState.RESOLVED, False, id="resolved"),
        pytest.param(MessageKind.ROOT, IncidentState.STALE, False, id="stale"),
    ],
)
def test_where_people_can_answer(kind: MessageKind, state: IncidentState, expected: bool) -> None:
    """On messages that call somebody, while it fires, and only where Slack can reach the router."""
    assert shows(incident(state=state), kind=kind, buttons=True).buttons == expected
    assert not shows(incident(state=state), kind=kind).buttons


def test_escalations_have_names() -> None:
    """Of the team and the channel; an id that the map does not know stands for itself."""
    told = shows(
        incident(escalations=(step(LEDGER, team="ledger"), step(FALLBACK, to="fallback"), step("C0GONE", team="gone")))
    )
    assert [(one.team, one.channel.name) for one in told.escalations] == [
        ("Ledger", "ledger-alerts"),
        (None, "ops-orphans"),
        ("gone", "C0GONE"),
    ]


@pytest.mark.parametrize(
    ("taken", "mention", "language"),
    [
        pytest.param(step(LEDGER, team="ledger"), "S0LEDGER01", Language.JAPANESE, id="a team"),
        pytest.param(step(LEDGER, team="ledger", mention=LEAD), LEAD, Language.JAPANESE, id="as it was called then"),
        pytest.param(
            step(FALLBACK, to="fallback", mention="S0PLATFRM1"), "S0PLATFRM1", Language.ENGLISH, id="the fallback"
        ),
    ],
)
def test_an_escalation_speaks_to_whom_it_calls(taken: Escalation, mention: str, language: Language) -> None:
    """By the channel it is found which step it is, and so who is called and in which language."""
    told = incident(escalations=(step(PAYMENTS, team="payments", mention=LEAD, to="lead"), taken))
    found = shows(told, kind=MessageKind.ESCALATED, escalation_channel=taken.channel_id, first_message="https://x")
    assert found.escalation is not None
    assert found.escalation.escalation == taken
    assert (found.mention, found.language) == (Mention(handle=mention), language)
    assert (found.owner, found.timezone) == ("Payments", "Asia/Tokyo")
    assert found.first_message == "https://x"


def test_an_escalation_that_was_refused_calls_whom_it_reaches() -> None:
    """In the fallback channel; whose channel refused it is the team that was to be called."""
    told = incident(escalations=(step(LEDGER, team="ledger", mention=LEAD),))
    refused = Undelivered(channel=Channel(name="ledger-alerts", id=LEDGER), reason="is_archived")
    found = shows(told, kind=MessageKind.ESCALATED, escalation_channel=LEDGER, undelivered=refused)
    assert found.mention == Mention(handle="S0PLATFRM1")
    assert found.undelivered == replace(refused, team="Ledger")


@pytest.mark.parametrize(
    ("taken", "owner", "expected"),
    [
        pytest.param((), "payments", True, id="none taken"),
        pytest.param((step(FALLBACK, to="fallback"),), "payments", False, id="all taken"),
        pytest.param((step(FALLBACK, to="team:sre"),), "payments", False, id="its channel was told by another word"),
        pytest.param((), None, False, id="nobody owns it"),
    ],
)
def test_whether_another_step_follows(taken: tuple[Escalation, ...], owner: str | None, expected: bool) -> None:
    """By the chain in force, which here has the fallback channel alone."""
    changed = incident(escalations=taken, owner=owner, severity=Level.CRITICAL)
    assert shows(changed).steps_left == expected


def test_an_end_by_a_newer_run_has_its_time() -> None:
    """While that is the last thing that happened."""
    ended = noted(incident(), Event.SUPERSEDED_RUN, at=NOW, until=NOW - minutes(3))
    assert shows(ended).newer_run_at == NOW - minutes(3)
    assert shows(noted(ended, Event.HEARD_AGAIN, at=NOW)).newer_run_at is None
    assert shows(incident()).newer_run_at is None


def test_the_owners_message_stays_the_owners() -> None:
    """Whoever else was told."""
    told = shows(incident(escalations=(step(LEDGER, team="ledger"),)))
    assert (told.mention, told.language, told.escalation) == (Mention(handle="S0PAYMENTS"), Language.ENGLISH, None)


SAID = Assignment(by=LEAD, at=NOW, instead_of="ledger", channel_id=LEDGER)


def test_a_person_said_whose_it_is() -> None:
    """With the name of the team that has it by the map, and what to change there."""
    told = incident(assigned=SAID)
    found = shows(told, told=told_of(told, {"service": "checkout"}))
    assert (found.assigned, found.assigned_instead_of) == (SAID, "Ledger")
    assert found.correction is not None
    assert "owner: payments" in found.correction


def given_away(**changed: Any) -> Incident:  # Any: the fields of Incident
    move = Move(incident="x", owner="ledger", channel_id=LEDGER, alerts=1)
    left = incident(state=IncidentState.RESOLVED, closed_at=NOW, handed_over=True, moved_to=(move,), **changed)
    return noted(left, Event.DISOWNED, at=NOW, by=LEAD, team="ledger")


def test_what_was_given_away_says_by_whom() -> None:
    """Its history has it: who has it now says so too."""
    left = given_away()
    found = shows(left, told=told_of(left, {"service": "checkout"}))
    assert found.assigned == Assignment(by=LEAD, at=NOW, instead_of="payments", channel_id=LEDGER)
    assert found.assigned_instead_of == "Payments"
    assert found.correction is not None
    assert "owner: ledger" in found.correction


@pytest.mark.parametrize(
    "left",
    [
        pytest.param(replace(given_away(), history=()), id="nobody said so"),
        pytest.param(
            replace(given_away(), moved_to=(Move(incident="x", owner="other", channel_id="C0X", alerts=1),)),
            id="somebody else has it by now",
        ),
        pytest.param(incident(), id="it was not handed over"),
    ],
)
def test_what_moved_by_the_map_names_no_person(left: Incident) -> None:
    """Then the map changed."""
    found = shows(left)
    assert (found.assigned, found.assigned_instead_of, found.correction) == (None, "", None)


@pytest.mark.parametrize(
    ("told", "labels", "expected"),
    [
        pytest.param(incident(), {"cronjob": "billing-close"}, True, id="a label of a job"),
        pytest.param(incident(), {"job": "node-exporter"}, False, id="what Prometheus calls a job"),
        pytest.param(incident(), {"service": "checkout"}, False, id="no job"),
        pytest.param(incident(job="billing-close"), {"service": "checkout"}, True, id="an entry of jobs"),
        pytest.param(incident(source=Source.HONEYBADGER), {}, True, id="a check-in"),
    ],
)
def test_what_can_be_run_again(told: Incident, labels: dict[str, str], expected: bool) -> None:
    """By the map's entry, by its labels for jobs, or because it is a check-in."""
    assert shows(told, told=told_of(told, labels)).about_job == expected
