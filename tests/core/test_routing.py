"""What a notification changes: told as the story of one alert group, without a clock and without a store."""

from dataclasses import dataclass, field
from datetime import datetime

import pytest

from router.core.incidents import Incident, Reason
from router.core.model import IncidentState, Level, MessageKind, Notification, NotificationState
from router.core.routing import Decision, Group, decide
from tests.core.factories import FALLBACK, NOW, TeamLabelMap, alert, minutes, notification


@dataclass
class Story:
    """One alert group, decided notification by notification, as the store would remember it."""

    ownership: TeamLabelMap = field(default_factory=TeamLabelMap)
    group: Group = field(default_factory=lambda: Group(telling=None, incidents=()))
    told: int = 0

    def tell(self, told: Notification, *, at: datetime = NOW) -> Decision:
        self.told += 1
        decision = decide(told, id=self.told, group=self.group, ownership=self.ownership, now=at)
        incidents = {incident.id: incident for incident in self.group.incidents}
        incidents.update((incident.id, incident) for incident in decision.incidents)
        self.group = Group(telling=decision.telling or self.group.telling, incidents=tuple(incidents.values()))
        return decision

    def of(self, owner: str | None) -> Incident:
        (incident,) = [incident for incident in self.group.incidents if incident.owner == owner]
        return incident


def reasons(decision: Decision) -> list[Reason]:
    return [verdict.reason for verdict in decision.verdicts]


def test_one_message_per_owner() -> None:
    """A group of several owners and an orphan is one incident and one message each, in the owner's own channel."""
    decision = Story().tell(
        notification(alert("a"), alert("b"), alert("c", team="ledger"), alert("d", team=None), alert("e", team=None))
    )

    assert [(wanted.channel_id, wanted.kind) for wanted in decision.wanted] == [
        ("C0PAYMENTS", MessageKind.ROOT),
        ("C0LEDGER", MessageKind.ROOT),
        (FALLBACK.id, MessageKind.ROOT),
    ]
    assert [(incident.owner, incident.firing) for incident in decision.incidents] == [
        ("payments", 2),
        ("ledger", 1),
        (None, 2),
    ]


def test_closes_when_none_fires() -> None:
    """An incident is open while one of its alerts fires, whatever the others do."""
    story = Story()
    story.tell(notification(alert("a"), alert("b")))

    first = story.tell(notification(alert("a", resolved=True), alert("b")), at=NOW + minutes(5))
    assert (story.of("payments").state, story.of("payments").resolved) == (IncidentState.OPEN, 1)

    last = story.tell(notification(alert("a", resolved=True), alert("b", resolved=True)), at=NOW + minutes(6))
    assert (story.of("payments").state, story.of("payments").closed_at) == (IncidentState.RESOLVED, NOW + minutes(6))
    assert (reasons(first), reasons(last)) == (
        [Reason.RESOLVED, Reason.STILL_FIRING],
        [Reason.ALREADY_RESOLVED, Reason.RESOLVED],
    )


def test_absent_alert_keeps_firing() -> None:
    """A silenced alert is absent from a group that says resolved; it still fires as far as anybody was told."""
    story = Story()
    story.tell(notification(alert("a"), alert("b"), alert("c")))

    story.tell(notification(alert("a", resolved=True), alert("c", resolved=True)), at=NOW + minutes(1))

    assert (story.of("payments").state, story.of("payments").firing) == (IncidentState.OPEN, 1)


def test_untouched_owner_is_not_edited() -> None:
    """An alert that joins for one owner does not edit the message of another owner in the same group."""
    story = Story()
    story.tell(notification(alert("a"), alert("b", team="ledger")))

    decision = story.tell(notification(alert("a"), alert("b", team="ledger"), alert("c")), at=NOW + minutes(5))

    assert [wanted.channel_id for wanted in decision.wanted] == ["C0PAYMENTS"]
    assert reasons(decision) == [Reason.STILL_FIRING, Reason.STILL_FIRING, Reason.JOINED]


@pytest.mark.parametrize(
    ("sender", "reason", "later", "state"),
    [
        pytest.param("http://am-0", None, minutes(0.1), NotificationState.DEDUPLICATED, id="retry of a lost answer"),
        pytest.param("http://am-1", None, minutes(0), NotificationState.DEDUPLICATED, id="other member of a pair"),
        pytest.param(
            "http://am-1", None, minutes(5), NotificationState.DEDUPLICATED, id="other member, inside its flush"
        ),
        pytest.param("http://am-1", None, minutes(6), NotificationState.DECIDED, id="other member, a repeat"),
        pytest.param(
            "http://am-0", None, minutes(240), NotificationState.DECIDED, id="repeat, version without reasons"
        ),
        pytest.param(
            "http://am-0", "repeat interval elapsed", minutes(0.1), NotificationState.DECIDED, id="says it is a repeat"
        ),
    ],
)
def test_duplicate_or_repeat(sender: str, reason: str | None, later: object, state: NotificationState) -> None:
    """The same content is a duplicate, which changes nothing, or a repeat, which is counted."""
    story = Story()
    story.tell(notification(alert("a"), reason=None if reason is None else "first notification"))
    before = story.of("payments")

    decision = story.tell(notification(alert("a"), sender=sender, reason=reason), at=NOW + later)  # type: ignore[operator]  # a timedelta

    assert decision.state is state
    if state is NotificationState.DEDUPLICATED:
        assert (decision.duplicate_of, decision.wanted, story.of("payments")) == (1, (), before)
    else:
        assert story.of("payments").repeats == before.repeats + 1


def test_repeat_seen_by_a_pair_counts_once() -> None:
    """Both members repeat; the second one's word is a duplicate of the first one's repeat."""
    story = Story()
    for at in (NOW, NOW + minutes(240), NOW + minutes(480)):
        for sender in ("http://am-0", "http://am-1"):
            story.tell(notification(alert("a"), sender=sender), at=at)

    assert story.of("payments").repeats == 2


@pytest.mark.parametrize("reason", ["repeat interval elapsed", None], ids=["says so", "version without reasons"])
def test_repeats_after_an_alert_resolved_are_counted(reason: str | None) -> None:
    """A group that is told without the alert that resolved is another content once, and then repeats as any other."""
    story = Story()
    story.tell(notification(alert("a"), alert("b")))
    story.tell(notification(alert("a"), alert("b", resolved=True)), at=NOW + minutes(5))

    for count in (1, 2, 3):
        story.tell(notification(alert("a"), reason=reason), at=NOW + minutes(5 + 240 * count))
    retry = story.tell(notification(alert("a"), reason=reason), at=NOW + minutes(5 + 240 * 3 + 0.01))

    assert story.of("payments").repeats == 3
    assert retry.state is NotificationState.DEDUPLICATED


def test_old_word_is_believed_again_in_time() -> None:
    """While other alerts keep the incident open, an alert that the other member tells firing hours later does fire."""
    story = Story()
    story.tell(notification(alert("a"), alert("b")))
    story.tell(notification(alert("a"), alert("b", resolved=True, until=NOW + minutes(5))), at=NOW + minutes(5))

    told = notification(alert("a"), alert("b"), sender="http://am-1")
    late = story.tell(told, at=NOW + minutes(6))
    believed = story.tell(told, at=NOW + minutes(600))

    assert (reasons(late)[1], reasons(believed)[1]) == (Reason.LATE, Reason.FIRES_AGAIN)


def test_resolved_for_an_episode_never_told() -> None:
    """A flap inside a group interval: resolved carries a later start than the firing that was told. It closes it."""
    story = Story()
    story.tell(notification(alert("a", since=NOW)))

    story.tell(notification(alert("a", resolved=True, since=NOW + minutes(3))), at=NOW + minutes(5))

    assert story.of("payments").state is IncidentState.RESOLVED


def test_resolved_without_firing_is_silent() -> None:
    """An alert that fired and resolved between two flushes is recorded, and nobody is told."""
    decision = Story().tell(notification(alert("a", resolved=True)))

    assert (decision.state, reasons(decision), decision.wanted) == (NotificationState.DECIDED, [Reason.NEVER_FIRED], ())


def test_resolve_told_again_changes_nothing() -> None:
    """Prometheus tells resolved alerts again for 15 minutes."""
    story = Story()
    story.tell(notification(alert("a"), alert("b")))
    story.tell(notification(alert("a", resolved=True), alert("b", resolved=True)), at=NOW + minutes(5))

    decision = story.tell(notification(alert("a", resolved=True)), at=NOW + minutes(10))

    assert (reasons(decision), decision.wanted) == ([Reason.ALREADY_RESOLVED], ())


def test_late_word_of_the_other_member_does_not_reopen() -> None:
    """After one member told an alert resolved, the other one's older word that it fires is not believed."""
    story = Story()
    story.tell(notification(alert("a")))
    story.tell(notification(alert("a", resolved=True, until=NOW + minutes(5))), at=NOW + minutes(5))

    decision = story.tell(notification(alert("a"), sender="http://am-1"), at=NOW + minutes(5.1))

    assert (reasons(decision), decision.wanted) == ([Reason.LATE], ())
    assert story.of("payments").state is IncidentState.RESOLVED


@pytest.mark.parametrize(
    ("sender", "since"),
    [
        pytest.param("http://am-0", NOW, id="same member: its own word is believed, whatever the start"),
        pytest.param("http://am-1", NOW + minutes(7), id="other member, a later start"),
    ],
)
def test_fires_again_after_resolving(sender: str, since: datetime) -> None:
    """A re-fire is a new incident with a message of its own; the old one stays resolved."""
    story = Story()
    story.tell(notification(alert("a")))
    story.tell(notification(alert("a", resolved=True, until=NOW + minutes(5))), at=NOW + minutes(5))

    decision = story.tell(notification(alert("a", since=since), sender=sender), at=NOW + minutes(8))

    assert [(incident.id[-15:], incident.state) for incident in story.group.incidents] == [
        ("0000000000001-1", IncidentState.RESOLVED),
        ("0000000000003-1", IncidentState.OPEN),
    ]
    assert reasons(decision) == [Reason.FIRST]


def test_fires_again_in_an_open_incident() -> None:
    """An alert that comes back while others of its incident fire stays in that incident's message."""
    story = Story()
    story.tell(notification(alert("a"), alert("b")))
    story.tell(notification(alert("a", resolved=True), alert("b")), at=NOW + minutes(5))

    decision = story.tell(notification(alert("a", since=NOW + minutes(7)), alert("b")), at=NOW + minutes(10))

    assert (reasons(decision), story.of("payments").firing) == ([Reason.FIRES_AGAIN, Reason.STILL_FIRING], 2)


def test_firing_alert_stays_with_its_owner() -> None:
    """A new map does not tear a firing alert out of its message."""
    story = Story()
    story.tell(notification(alert("a")))
    story.ownership.channels = {"payments": "C0NEWCHANNEL"}

    story.tell(notification(alert("a", resolved=True)), at=NOW + minutes(5))

    assert [(incident.channel_id, incident.state) for incident in story.group.incidents] == [
        ("C0PAYMENTS", IncidentState.RESOLVED)
    ]


def test_changed_words_edit_the_message() -> None:
    """An annotation with a new value is shown, although Alertmanager counts the notification as the same."""
    story = Story()
    story.tell(notification(alert("a", summary="5 %")))

    decision = story.tell(notification(alert("a", summary="7 %")), at=NOW + minutes(240))

    assert (reasons(decision), len(decision.wanted)) == ([Reason.CHANGED], 1)


def test_severity_is_that_of_the_firing_alerts() -> None:
    """The most urgent alert that fires decides; one that resolved does not."""
    story = Story()
    story.tell(notification(alert("a", severity="critical"), alert("b", severity="low")))
    assert story.of("payments").severity is Level.CRITICAL

    story.tell(
        notification(alert("a", severity="critical", resolved=True), alert("b", severity="low")), at=NOW + minutes(5)
    )

    assert story.of("payments").severity is Level.LOW


def test_dropped_alerts_are_recorded_with_their_reason() -> None:
    """A drop rule sends no message; the notification still says what happened and why."""
    decision = Story().tell(notification(alert("a", drop="yes"), alert("b")))

    assert [(verdict.reason, verdict.detail) for verdict in decision.verdicts] == [
        (Reason.DROPPED, "heartbeat"),
        (Reason.FIRST, None),
    ]
    assert [wanted.channel_id for wanted in decision.wanted] == ["C0PAYMENTS"]


def test_receivers_do_not_share_an_incident() -> None:
    """Two sibling routes with equal matchers send the same groupKey; the receiver tells them apart."""
    one, other = Story(), Story()

    first = one.tell(notification(alert("a"), receiver="one"))
    second = other.tell(notification(alert("a"), receiver="other"))

    assert first.group != second.group


def test_replay_opens_the_same_incidents() -> None:
    """Deciding the same notification again gives the same ids: a crash between decision and commit changes nothing."""
    told = notification(alert("a"), alert("b", team="ledger"))

    assert Story().tell(told) == Story().tell(told)
