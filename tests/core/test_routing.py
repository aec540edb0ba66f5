"""What a notification changes: told as the story of one alert group, without a clock and without a store."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from router.core.history import Assignment, Event, Snooze, Suspicion
from router.core.incidents import (
    REPEATED,
    Incident,
    Reason,
    noted,
    stale_at,
    stem_of,
    superseded_alerts,
    superseded_by_run,
)
from router.core.model import Alert, IncidentState, Level, MessageKind, Notification, NotificationState, Source
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


def test_what_is_silenced_is_counted() -> None:
    """A word that tells the whole group without an alert that fires: it is muted, which its message says, until it is
    told again. What max_alerts cut off, and the other member's older word, say nothing of it."""
    story = Story()
    story.tell(notification(alert("a"), alert("b"), alert("c", team="ledger")))

    def unheard() -> tuple[int, int]:
        return story.of("payments").unheard, story.of("payments").revision

    story.tell(notification(alert("a"), alert("c", team="ledger"), truncated=1), at=NOW + minutes(240))
    assert unheard() == (0, 2)
    decision = story.tell(notification(alert("a"), alert("c", team="ledger")), at=NOW + minutes(480))
    assert unheard() == (1, 3)
    assert story.of("payments").id in {wanted.incident for wanted in decision.wanted}
    story.tell(notification(alert("c", team="ledger")), at=NOW + minutes(720))
    assert unheard() == (2, 4)
    assert story.of("payments").heard_at == NOW + minutes(480)
    told = notification(alert("a"), alert("b"), alert("c", team="ledger"))
    story.tell(told, at=NOW + minutes(725))
    assert unheard() == (0, 5)
    story.tell(notification(alert("c", team="ledger"), sender="http://am-1"), at=NOW + minutes(725.2))
    assert unheard() == (0, 5)


def test_untouched_owner_is_not_edited() -> None:
    """An alert that joins for one owner does not edit the message of another owner in the same group."""
    story = Story()
    story.tell(notification(alert("a"), alert("b", team="ledger")))

    decision = story.tell(notification(alert("a"), alert("b", team="ledger"), alert("c")), at=NOW + minutes(5))

    assert [(wanted.channel_id, wanted.kind) for wanted in decision.wanted] == [
        ("C0PAYMENTS", MessageKind.ROOT),
        ("C0PAYMENTS", MessageKind.REPLY),
    ]
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


def happened(incident: Incident) -> list[tuple[Event, int]]:
    return [(happening.event, happening.count) for happening in incident.history]


def went_stale(story: Story, *, at: datetime) -> None:
    """As the timer does it."""
    (incident,) = story.group.incidents
    stale = noted(replace(incident, state=IncidentState.STALE), Event.STALE, at=at)
    story.group = replace(story.group, incidents=(stale,))


@pytest.mark.parametrize(
    ("last", "state"),
    [
        pytest.param(notification(alert("b", team="ledger")), IncidentState.RESOLVED, id="a word that hides nothing"),
        pytest.param(
            notification(alert("b", team="ledger"), truncated=3), IncidentState.OPEN, id="another word that hides some"
        ),
        pytest.param(
            notification(alert("a", resolved=True), truncated=3, reason="all alerts resolved"),
            IncidentState.RESOLVED,
            id="all resolved, says the sender",
        ),
        pytest.param(
            notification(alert("a", resolved=True), truncated=3, reason="some alerts resolved"),
            IncidentState.OPEN,
            id="some resolved",
        ),
        pytest.param(
            notification(alert("b", team="ledger"), sender="http://am-1"),
            IncidentState.OPEN,
            id="a word that may be an older one",
        ),
    ],
)
def test_what_was_cut_off_keeps_it_open(last: Notification, state: IncidentState) -> None:
    """After a word that hides alerts nothing of it fires as far as was told, and it is partial until that is known."""
    story = Story()
    story.tell(notification(alert("a"), alert("b", team="ledger"), truncated=2))
    story.tell(notification(alert("a", resolved=True), alert("b", team="ledger"), truncated=2), at=NOW + minutes(5))
    held = story.of("payments")
    assert (held.state, held.firing, held.truncated) == (IncidentState.OPEN, 0, 2)

    story.tell(last, at=NOW + minutes(6))

    assert story.of("payments").state is state


@pytest.mark.parametrize(
    ("source", "rhythm", "after"),
    [
        pytest.param(Source.ALERTMANAGER, None, timedelta(hours=26), id="its rhythm is not known"),
        pytest.param(Source.ALERTMANAGER, timedelta(hours=4), timedelta(hours=8), id="two repeats are missing"),
        pytest.param(Source.GRAFANA, timedelta(minutes=1), timedelta(minutes=15), id="not sooner than that"),
        pytest.param(Source.HONEYBADGER, timedelta(hours=4), None, id="a check-in is not repeated"),
    ],
)
def test_stale_when_no_repeat_comes(source: Source, rhythm: timedelta | None, after: timedelta | None) -> None:
    """By the repeats of its group, from when it was last heard of."""
    story = Story()
    story.tell(notification(alert("a")))
    incident = replace(story.of("payments"), source=source)

    assert stale_at(incident, rhythm=rhythm) == (None if after is None else NOW + after)


@pytest.mark.parametrize("state", [IncidentState.RESOLVED, IncidentState.STALE], ids=["ended", "stale already"])
def test_only_what_is_open_gets_stale(state: IncidentState) -> None:
    """Nobody waits for the repeats of the others."""
    story = Story()
    story.tell(notification(alert("a")))

    assert stale_at(replace(story.of("payments"), state=state), rhythm=minutes(60)) is None


@pytest.mark.parametrize(
    ("told", "rhythm"),
    [
        pytest.param([(240, "repeat interval elapsed")], 240, id="says so: once is enough"),
        pytest.param([(240, None)], None, id="once may be a restart"),
        pytest.param([(240, None), (485, None)], 245, id="twice"),
        pytest.param([(0.2, None), (0.5, None)], None, id="retries"),
        pytest.param([(10, None), (240, None)], None, id="a restart, then a repeat"),
        pytest.param([(10, None), (40, None)], None, id="two restarts"),
        pytest.param([(240, None), (480, None), (490, None)], 240, id="a restart after repeats"),
        pytest.param([(60, REPEATED), (300, REPEATED), (360, REPEATED)], 210, id="a gap, forgotten slowly"),
    ],
)
def test_rhythm_is_that_of_the_repeats(told: list[tuple[float, str | None]], rhythm: float | None) -> None:
    """What only looks like a repeat teaches nothing, or little."""
    story = Story()
    story.tell(notification(alert("a"), reason=told[0][1] and "first notification"))
    for at, reason in told:
        story.tell(notification(alert("a"), reason=reason), at=NOW + minutes(at))

    assert story.group.telling is not None
    assert story.group.telling.rhythm == (None if rhythm is None else minutes(rhythm))


@pytest.mark.parametrize(
    ("told", "state", "events"),
    [
        pytest.param(alert("a"), IncidentState.OPEN, [Event.STALE, Event.HEARD_AGAIN], id="still firing"),
        pytest.param(alert("b"), IncidentState.STALE, [Event.STALE], id="something else, of somebody else"),
        pytest.param(alert("a", resolved=True), IncidentState.RESOLVED, [Event.STALE, Event.RESOLVED], id="resolved"),
    ],
)
def test_heard_of_again(told: Alert, state: IncidentState, events: list[Event]) -> None:
    """What was stale is the same incident when it is told again, and is told to be over when it is."""
    story = Story()
    story.tell(notification(alert("a")))
    went_stale(story, at=NOW + timedelta(hours=26))
    if told.fingerprint == "b":
        told = replace(told, labels={"team": "ledger"})

    story.tell(notification(told), at=NOW + timedelta(hours=40))

    incident = story.of("payments")
    assert (incident.state, [happening.event for happening in incident.history]) == (state, events)


def test_heard_of_without_news() -> None:
    """What is told again for another reason than a repeat is remembered as heard, and edits no message."""
    story = Story()
    story.tell(notification(alert("a"), reason="first notification"))

    decision = story.tell(notification(alert("a"), reason="first notification"), at=NOW + minutes(60))

    assert story.of("payments").heard_at == NOW + minutes(60)
    assert (decision.wanted, story.of("payments").revision) == ((), 1)


def episode(story: Story, number: int, *, length: float = 5) -> tuple[Decision, Decision]:
    """An alert fires for a while, every twenty minutes."""
    since = NOW + minutes(20 * number)
    return (
        story.tell(notification(alert("a", since=since)), at=since),
        story.tell(
            notification(alert("a", since=since, resolved=True, until=since + minutes(length))),
            at=since + minutes(length),
        ),
    )


def test_flapping_is_told_once() -> None:
    """What ended twice within the hour and fires again is the same incident; from then on only its message changes."""
    story = Story()
    decisions = [episode(story, number) for number in range(5)]

    first, flapping = story.group.incidents
    assert (happened(first), first.flaps) == ([(Event.RESOLVED, 0)], 0)
    assert (happened(flapping), flapping.flaps) == ([(Event.RESOLVED, 0), (Event.FLAPPING, 3)], 3)
    assert flapping.closed_at == NOW + minutes(85)
    assert [wanted.kind for decision in decisions[3] + decisions[4] for wanted in decision.wanted] == [
        MessageKind.ROOT
    ] * 4


def test_flapping_ends_when_it_is_quiet_for_an_hour() -> None:
    """Who fixed it an hour ago is called again."""
    story = Story()
    for number in (0, 1, 2):
        episode(story, number)

    decision, _ = episode(story, 6)

    assert [incident.state for incident in decision.incidents] == [IncidentState.OPEN]
    assert len(story.group.incidents) == 3


def test_late_word_of_the_other_member_is_no_flap() -> None:
    """An old firing word after the second end opens nothing again."""
    story = Story()
    for number in (0, 1):
        episode(story, number)

    decision = story.tell(
        notification(alert("a", since=NOW + minutes(20)), sender="http://am-1"), at=NOW + minutes(25.1)
    )

    assert (reasons(decision), decision.incidents) == ([Reason.LATE], ())


def test_suspicion_ends_when_it_fires_again() -> None:
    """What ended with the alarm itself broken, and fires again, had not ended."""
    story = Story()
    for number in (0, 1):
        episode(story, number)
    suspect = Suspicion(heartbeat="Watchdog", lost_at=NOW)
    story.group = replace(
        story.group, incidents=tuple(replace(incident, suspect=suspect) for incident in story.group.incidents)
    )

    story.tell(notification(alert("a", since=NOW + minutes(40))), at=NOW + minutes(40))

    newest = story.group.incidents[-1]
    assert (newest.suspect, newest.history[-2].event) == (None, Event.HEARD_AGAIN)


def test_joined_alerts_are_named() -> None:
    """The thread names the first that joined and counts all; those of the first notification joined nothing."""
    story = Story()
    story.tell(notification(alert("a"), alert("b")))
    story.tell(notification(*(alert(name) for name in "abcdefgh")), at=NOW + minutes(5))

    (joined,) = story.of("payments").history
    assert (joined.event, joined.count, joined.names) == (Event.JOINED, 6, tuple("cdefg"))


def test_repeats_are_told_ever_more_rarely() -> None:
    """The thread has the fourth notice, the eighth, and so on."""
    story = Story()
    for count in range(17):
        story.tell(notification(alert("a")), at=NOW + minutes(240 * count))

    assert happened(story.of("payments")) == [(Event.REPEATED, 4), (Event.REPEATED, 8), (Event.REPEATED, 16)]


def test_worse_calls_once_an_hour() -> None:
    """A higher severity is told and ends a snooze; one alert of several that comes and goes does not call each time."""
    story = Story()
    story.tell(notification(alert("a")))
    snooze = Snooze(by="U1", at=NOW, until=NOW + minutes(600))
    story.group = replace(story.group, incidents=(replace(story.of("payments"), snoozed=snooze),))
    for at, critical in ((1, True), (10, False), (20, True), (30, False), (90, True), (100, False)):
        worse = alert("b", severity="critical", resolved=not critical, since=NOW + minutes(at))
        story.tell(notification(alert("a"), worse), at=NOW + minutes(at))
        assert story.of("payments").severity is (Level.CRITICAL if critical else Level.NORMAL)

    told = [happening for happening in story.of("payments").history if happening.event is Event.WORSE]
    assert [(one.at, one.level) for one in told] == [
        (NOW + minutes(1), Level.CRITICAL),
        (NOW + minutes(90), Level.CRITICAL),
    ]
    assert story.of("payments").snoozed is None


def test_the_end_is_not_worse() -> None:
    """A message that is over shows the worst of it; that calls nobody."""
    story = Story()
    story.tell(notification(alert("a"), alert("b", severity="critical")))
    story.tell(notification(alert("a"), alert("b", severity="critical", resolved=True)), at=NOW + minutes(5))
    story.tell(notification(alert("a", resolved=True)), at=NOW + minutes(6))

    assert (story.of("payments").severity, happened(story.of("payments"))) == (
        Level.CRITICAL,
        [(Event.RESOLVED, 0)],
    )


def test_new_alerts_follow_what_a_person_said() -> None:
    """Of a share that was given to somebody else, more joins the incident there while it is open."""
    story = Story()
    story.tell(notification(alert("a")))
    assigned = Assignment(by="U1", at=NOW, instead_of="payments", channel_id="C0PAYMENTS")
    story.group = replace(
        story.group,
        incidents=(replace(story.of("payments"), owner="ledger", channel_id="C0LEDGER", assigned=assigned),),
    )

    decision = story.tell(notification(alert("a"), alert("b")), at=NOW + minutes(5))

    assert reasons(decision) == [Reason.STILL_FIRING, Reason.JOINED]
    assert story.of("ledger").firing == 2


def valued(value: str, *, since: float, until: float | None = None, label: str = "usage", **labels: str) -> Alert:
    """An alert with its value in a label: another fingerprint for each value."""
    return alert(
        f"disk {value}",
        since=NOW + minutes(since),
        until=None if until is None else NOW + minutes(until),
        resolved=until is not None,
        alertname="DiskFull",
        **{label: value},
        **labels,
    )


@pytest.mark.parametrize("firing_first", [True, False], ids=["the new value first", "the old value first"])
def test_another_value_in_a_label_is_the_same_alert(firing_first: bool) -> None:
    """It fires on since it began, under its newest value, and nobody is told."""
    story = Story()
    story.tell(notification(valued("91.2%", since=0)))
    words = [valued("93.7%", since=5), valued("91.2%", since=0, until=5)]

    decision = story.tell(notification(*words[:: 1 if firing_first else -1]), at=NOW + minutes(6))

    incident = story.of("payments")
    assert reasons(decision) == [Reason.OTHER_VALUE, Reason.OTHER_VALUE]
    assert [(name, tracked.since, tracked.firing) for name, tracked in incident.alerts.items()] == [
        ("disk 93.7%", NOW, True)
    ]
    assert (incident.history, [wanted.kind for wanted in decision.wanted]) == ((), [MessageKind.ROOT])


def test_values_between_two_flushes_are_followed() -> None:
    """Of the values that it had meanwhile only the ends are told."""
    story = Story()
    story.tell(notification(valued("91.2%", since=0)))
    story.tell(
        notification(
            valued("91.2%", since=0, until=1),
            valued("92.0%", since=1, until=2),
            valued("93.7%", since=2, until=3),
            valued("94.1%", since=3),
        ),
        at=NOW + minutes(5),
    )
    still = story.tell(notification(valued("94.1%", since=3)), at=NOW + minutes(245))
    story.tell(notification(valued("94.1%", since=3, until=250)), at=NOW + minutes(250))

    assert reasons(still) == [Reason.REPEATED]
    assert (story.of("payments").state, happened(story.of("payments"))) == (
        IncidentState.RESOLVED,
        [(Event.RESOLVED, 0)],
    )


def test_late_word_of_an_earlier_value_starts_nothing() -> None:
    """The other member's older word tells a value that is over as firing."""
    story = Story()
    story.tell(notification(valued("91.2%", since=0)))
    story.tell(notification(valued("91.2%", since=0, until=5), valued("93.7%", since=5)), at=NOW + minutes(6))

    decision = story.tell(notification(valued("91.2%", since=0), sender="http://am-1"), at=NOW + minutes(6.1))

    assert (reasons(decision), decision.wanted) == ([Reason.LATE], ())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(valued("93.7%", since=5.1), id="it began later"),
        pytest.param(valued("93.7%", since=5, instance="b"), id="another label differs too"),
        pytest.param(valued("9100", since=5, label="port"), id="a number that is no value"),
        pytest.param(valued("30m", since=5, label="window"), id="a span of time"),
        pytest.param(valued("0.99", since=5, label="quantile"), id="a number that names something"),
    ],
)
def test_another_alert_is_another_one(other: Alert) -> None:
    """Only what begins as the other ends, and differs in its value alone, is the same."""
    label = next(name for name in ("usage", "port", "window", "quantile") if name in other.labels)
    first = "0.5" if label == "quantile" else "5m" if label == "window" else "8080" if label == "port" else "91.2%"
    story = Story()
    story.tell(notification(valued(first, since=0, label=label)))

    decision = story.tell(notification(other, valued(first, since=0, until=5, label=label)), at=NOW + minutes(6))

    assert reasons(decision) == [Reason.JOINED, Reason.RESOLVED]


@pytest.mark.parametrize(
    ("label", "value", "measured"),
    [
        pytest.param("usage", "93.7%", True, id="percent"),
        pytest.param("x", "93%", True, id="whole percent"),
        pytest.param("x", "0.937", True, id="fraction"),
        pytest.param("x", "1.234k", True, id="humanize"),
        pytest.param("x", "1.5Gi", True, id="humanize1024"),
        pytest.param("x", "9.3e+06", True, id="Go's %v"),
        pytest.param("x", "250ms", True, id="milliseconds"),
        pytest.param("value", "93", True, id="a plain number called value"),
        pytest.param("x", "93", False, id="a plain number"),
        pytest.param("x", "5m", False, id="a window"),
        pytest.param("x", "10.0.0.12", False, id="an address"),
        pytest.param("x", "10.0.0.12:9100", False, id="an instance"),
        pytest.param("x", "2026-11-21", False, id="a date"),
        pytest.param("x", "5xx", False, id="a class"),
        pytest.param("version", "1.25", False, id="a release"),
        pytest.param("value", "high", False, id="a word"),
        pytest.param("value", "", False, id="nothing"),
    ],
)
def test_labels_that_hold_a_measured_value(label: str, value: str, measured: bool) -> None:
    """By what it looks like, or by its name."""
    assert bool(stem_of(replace(alert("a"), labels={"alertname": "A", label: value}))) is measured


def test_what_ended_untold_is_remembered_for_a_while() -> None:
    """No longer than a late word may take, and not without end."""
    story = Story()
    story.tell(notification(alert("a"), *(alert(f"u{n}", resolved=True, until=NOW) for n in range(600))))
    assert story.group.telling is not None
    assert len(story.group.telling.ended) == 500

    story.tell(notification(alert("a"), alert("b")), at=NOW + minutes(11))

    assert story.group.telling is not None
    assert not story.group.telling.ended


@pytest.mark.parametrize(
    ("since", "state", "events"),
    [
        pytest.param(-60, IncidentState.RESOLVED, [Event.SUPERSEDED_RUN], id="of an older run"),
        pytest.param(45, IncidentState.OPEN, [], id="of a newer run"),
    ],
)
def test_newer_run_ends_what_an_older_one_left(since: float, state: IncidentState, events: list[Event]) -> None:
    """A job that failed and then succeeded is fine, whatever the older run's alert says."""
    story = Story()
    story.tell(notification(alert("a", since=NOW + minutes(since))), at=NOW + minutes(60))

    after = superseded_by_run(story.of("payments"), at=NOW + minutes(30), now=NOW + minutes(61))

    assert (after.state, [happening.event for happening in after.history]) == (state, events)
    assert (after is story.of("payments")) is (state is IncidentState.OPEN)


def test_what_a_newer_run_ended_does_not_fire_on() -> None:
    """The failed run is told on until somebody deletes it: its sender's word is not believed."""
    story = Story()
    story.tell(notification(alert("a")))
    ended = superseded_by_run(story.of("payments"), at=NOW + minutes(30), now=NOW + minutes(31))
    story.group = replace(story.group, incidents=(ended,))

    still = story.tell(notification(alert("a"), reason="repeat interval elapsed"), at=NOW + minutes(240))
    assert story.group.telling is not None
    telling = replace(story.group.telling, ended=superseded_alerts(ended))
    story.group = Group(telling=telling, incidents=())  # it is known as an incident for an hour only
    for day in (1, 2):
        later = story.tell(notification(alert("a")), at=NOW + timedelta(days=day))
        assert (reasons(later), later.wanted) == ([Reason.LATE], ())
    failed_again = story.tell(notification(alert("a", since=NOW + minutes(250))), at=NOW + timedelta(days=3))

    assert (reasons(still), still.wanted) == ([Reason.LATE], ())
    assert reasons(failed_again) == [Reason.FIRST]


def test_reported_jobs_are_named() -> None:
    """A check-in that reports tells of its job, also when nothing was open; an alert that resolves does not."""
    ownership = TeamLabelMap(job="billing-close")
    reported = notification(alert("a", resolved=True, until=NOW))

    assert Story(ownership=ownership).tell(reported).succeeded == ()
    assert Story(ownership=ownership).tell(replace(reported, source=Source.HONEYBADGER)).succeeded == (
        ("billing-close", NOW),
    )
