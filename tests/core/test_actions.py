"""What people do about an incident: who has it then, what is told, and what is refused in words."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from router.core.actions import Action, ActionKind, Result, apply
from router.core.history import Acknowledgement, Assignment, Event, Snooze
from router.core.incidents import Incident
from router.core.model import Channel, IncidentState, MessageKind
from router.core.ownership import OwnershipMap
from router.core.reassignment import Evidence, Reassignment, reassign
from router.core.routing import Group, decide
from tests.core.factories import NOW, TeamLabelMap, alert, minutes, notification
from tests.ownership.maps import a_map

MAP = a_map("services:\n  refunds: {owner: payments, also_notify: [data]}\n")
PAYMENTS, CRITICAL, DATA, FALLBACK = "C0PAYALERT", "C0PAYCRITI", "C0DATAALRT", "C0ORPHANS1"
LATER = NOW + minutes(5)


def opened(*names: str, ownership: OwnershipMap = MAP, **labels: str) -> Incident:
    """An incident with these alerts, of payments unless a label says otherwise."""
    labels = {"team": "payments", **labels}
    told = notification(*(alert(name, **labels) for name in names or ("a",)))  # type: ignore[arg-type]  # labels
    (incident,) = decide(told, id=1, group=Group(telling=None, incidents=()), ownership=ownership, now=NOW).incidents
    return incident


def orphan() -> Incident:
    return opened(team="")


def act(
    incident: Incident,
    kind: ActionKind,
    *,
    by: str = "U0ALICE",
    ownership: OwnershipMap = MAP,
    **facts: Any,  # fields of Action
) -> Result:
    action = Action(incident=incident.id, kind=kind, by=by, at=LATER, **facts)
    return apply(action, incident, ownership=ownership, now=LATER + timedelta(seconds=1))


def kinds(result: Result) -> list[tuple[MessageKind, str]]:
    return [(one.kind, one.channel_id) for one in result.wanted]


def events(incident: Incident) -> list[tuple[Event, str | None]]:
    return [(happening.event, happening.by) for happening in incident.history]


def test_acknowledged() -> None:
    """It says by whom and since when, in its message and in its thread, and timers look at it at once."""
    (before, result) = (opened(), act(opened(), ActionKind.ACK))
    (after,) = result.incidents
    assert result.done
    assert after.acknowledged == Acknowledgement(by="U0ALICE", at=LATER)
    assert events(after) == [(Event.ACKNOWLEDGED, "U0ALICE")]
    assert not after.history[0].calls
    assert after.revision == before.revision + 1
    assert after.due_at == LATER + timedelta(seconds=1)
    assert kinds(result) == [(MessageKind.ROOT, PAYMENTS), (MessageKind.REPLY, PAYMENTS)]


def test_copies_are_kept_true() -> None:
    """Whoever reads it for information sees who has it too."""
    result = act(opened(team="", service="refunds"), ActionKind.ACK)
    assert (MessageKind.COPY, DATA) in kinds(result)


def test_acknowledging_twice_changes_nothing() -> None:
    """The same person is told that it is done; another one learns who was first."""
    (after,) = act(opened(), ActionKind.ACK).incidents
    again, other = act(after, ActionKind.ACK), act(after, ActionKind.ACK, by="U0BOB")
    assert (again.done, again.incidents, again.wanted) == (True, (), ())
    assert (other.done, other.incidents) == (False, ())
    assert other.words == "U0ALICE acknowledged it already, at 2026-11-21 11:08 UTC"


def test_snoozed_and_woken() -> None:
    """A snooze ends at its time, counted from when somebody asked for it, or when somebody ends it."""
    result = act(opened(), ActionKind.SNOOZE, lasts=timedelta(hours=2))
    (after,) = result.incidents
    assert after.snoozed == Snooze(by="U0ALICE", at=LATER, until=LATER + timedelta(hours=2))
    assert after.history[-1].until == LATER + timedelta(hours=2)
    assert result.words == "snoozed until 2026-11-21 13:08 UTC"

    woken = act(after, ActionKind.WAKE, by="U0BOB")
    (awake,) = woken.incidents
    assert awake.snoozed is None
    assert events(awake) == [(Event.SNOOZED, "U0ALICE"), (Event.SNOOZE_OVER, "U0BOB")]
    assert not awake.history[-1].calls, "who ended it did so on purpose"


def test_who_acknowledges_is_not_reminded_of_a_snooze() -> None:
    """A snooze is over with the acknowledgement: somebody has it now."""
    (snoozed,) = act(opened(), ActionKind.SNOOZE, lasts=timedelta(hours=2)).incidents
    (after,) = act(snoozed, ActionKind.ACK, by="U0BOB").incidents
    assert (after.snoozed, after.acknowledged and after.acknowledged.by) == (None, "U0BOB")


@pytest.mark.parametrize(
    ("lasts", "words"),
    [
        pytest.param(timedelta(minutes=4, seconds=59), "a snooze lasts 5 minutes at least", id="too short"),
        pytest.param(timedelta(days=7, seconds=1), "a snooze lasts 7 days at most", id="too long"),
        pytest.param(None, "for how long?", id="without a time"),
        pytest.param(timedelta(minutes=5), None, id="the shortest"),
        pytest.param(timedelta(days=7), None, id="the longest"),
    ],
)
def test_how_long_a_snooze_lasts(lasts: timedelta | None, words: str | None) -> None:
    """Not so short that it is over when it is read, and not so long that it is forgotten."""
    result = act(opened(), ActionKind.SNOOZE, lasts=lasts)
    assert result.done == (words is None)
    assert words is None or result.words == words


def test_snooze_that_came_late_is_refused() -> None:
    """A router that was away does not begin a snooze that would have ended meanwhile."""
    action = Action(incident="x", kind=ActionKind.SNOOZE, by="U0ALICE", at=NOW, lasts=minutes(30))
    assert not apply(action, opened(), ownership=MAP, now=NOW + minutes(30)).done
    assert apply(action, opened(), ownership=MAP, now=NOW + minutes(29)).done


def test_disowned() -> None:
    """All that fires is told to the other team as an incident of its own; the old one ends and says so."""
    before = opened("a", "b")
    result = act(before, ActionKind.DISOWN, team="data")
    old, new = result.incidents
    assert (old.id, old.state, old.handed_over, old.due_at) == (before.id, IncidentState.RESOLVED, True, None)
    assert events(old) == [(Event.DISOWNED, "U0ALICE")]
    assert old.history[-1].team == "data"
    assert (new.owner, new.channel_id, new.state) == ("data", DATA, IncidentState.OPEN)
    assert set(new.alerts) == {"a", "b"}
    assert new.alerts["a"].explanation == before.alerts["a"].explanation
    assert new.assigned == Assignment(by="U0ALICE", at=LATER, instead_of="payments", channel_id=PAYMENTS)
    assert (new.acknowledged, new.history, new.happened) == (None, (), 0)
    assert kinds(result) == [(MessageKind.ROOT, PAYMENTS), (MessageKind.ROOT, DATA), (MessageKind.REPLY, PAYMENTS)]
    assert result.words == f"it is data's now, in #data: incident {new.id}"
    assert old.moved_to == result.moves
    assert new.moved_from[0].incident == old.id


def test_level_finds_the_channel() -> None:
    """A critical one goes where the other team has its critical ones."""
    result = act(opened(team="data", severity="critical"), ActionKind.DISOWN, team="payments")
    assert result.incidents[1].channel_id == CRITICAL


def test_orphan_is_claimed() -> None:
    """What nobody owned is its team's by somebody's word, and the fallback's message says where it went."""
    result = act(orphan(), ActionKind.DISOWN, team="billing")
    old, new = result.incidents
    assert (new.owner, new.channel_id) == ("payments", PAYMENTS)
    assert new.assigned == Assignment(by="U0ALICE", at=LATER, instead_of=None, channel_id=FALLBACK)
    assert kinds(result)[0] == (MessageKind.ROOT, FALLBACK)
    assert old.handed_over


@pytest.mark.parametrize(
    ("team", "words"),
    [
        pytest.param("paymnts", 'the map has no team "paymnts"; did you mean "payments"?', id="misspelled"),
        pytest.param("zzz", 'the map has no team "zzz"', id="no such team"),
        pytest.param("", 'the map has no team ""', id="none"),
        pytest.param("payments", "payments has it already", id="it has it already"),
        pytest.param("billing", "payments has it already", id="by an alias"),
        pytest.param(
            "growth", "growth was dissolved, and payments took over: payments has it already", id="was dissolved"
        ),
    ],
)
def test_disown_refused(team: str, words: str) -> None:
    """Nothing changes, and the words say why."""
    result = act(opened(), ActionKind.DISOWN, team=team)
    assert (result.done, result.words, result.incidents) == (False, words, ())


def test_dissolved_team_has_a_successor() -> None:
    """A name of old leads to who took over, and the words say so."""
    result = act(opened(team="data"), ActionKind.DISOWN, team="marketing")
    assert result.incidents[1].owner == "payments"
    assert result.words.startswith("growth was dissolved, and payments took over: it is payments's now")


def test_there_and_back() -> None:
    """Back with whom the map says, nobody's word is needed any more; and the next one may say so again."""
    incident, ids = opened(), set()
    for number in range(6):
        result = act(incident, ActionKind.DISOWN, team=("data", "payments")[number % 2])
        assert result.done
        incident = result.incidents[1]
        ids.add(incident.id)
        assert (incident.assigned is None) == (number % 2 == 1)
        assert incident.assigned is None or incident.assigned.instead_of == "payments"
    assert len(ids) == 6


@pytest.mark.parametrize("kind", list(ActionKind))
def test_nothing_is_done_about_what_is_over(kind: ActionKind) -> None:
    """A press on an old message is answered with when it ended, or where it went."""
    facts: dict[str, Any] = {"team": "data"} if kind is ActionKind.DISOWN else {}
    ended = replace(opened(), state=IncidentState.RESOLVED, closed_at=LATER)
    assert act(ended, kind, **facts) == Result(done=False, words="it resolved already, at 2026-11-21 11:08 UTC")
    left, new = act(opened(), ActionKind.DISOWN, team="data").incidents
    assert act(left, kind, **facts).words == f"it went over to data already: that is incident {new.id}"


def test_waking_what_is_awake_is_refused() -> None:
    """There is nothing to end."""
    assert act(opened(), ActionKind.WAKE) == Result(done=False, words="it is not snoozed")


def test_stale_one_can_be_taken() -> None:
    """Nobody knows whether it is over: so somebody may take it."""
    assert act(replace(opened(), state=IncidentState.STALE), ActionKind.ACK).done


# -- the map afterwards ------------------------------------------------------------------------------------------------


def looked_at(incident: Incident, ownership: TeamLabelMap, *, evidence: Iterable[str] = ("a",)) -> Reassignment:
    known = {name: Evidence(alert=alert(name), route_labels={}) for name in evidence}
    return reassign(incident, siblings=(), evidence=known, ownership=ownership, now=LATER + minutes(1))


def assigned() -> Incident:
    """Payments' by the map, data's by somebody's word."""
    _, given = act(opened(), ActionKind.DISOWN, team="data").incidents
    return given


def test_map_that_says_the_same_again_changes_nothing() -> None:
    """A reload for another reason does not take it from whom a person gave it to."""
    same = TeamLabelMap("r2", {"payments": PAYMENTS})
    (after,) = looked_at(assigned(), same).incidents
    assert (after.owner, after.channel_id, after.map_revision) == ("data", DATA, "r2")
    assert after.assigned == assigned().assigned


def test_without_a_body_nothing_is_known() -> None:
    """The map cannot be asked about what is not kept any more: what a person said stands."""
    (after,) = looked_at(assigned(), TeamLabelMap("r2", {"payments": "C0ELSEWHERE"}), evidence=()).incidents
    assert after.assigned is not None


def test_corrected_map_needs_no_word_any_more() -> None:
    """Once the map gives it to the same team, the message says no more that a person did."""

    class Corrected(TeamLabelMap):
        def resolve(self, labels, annotations, *, today, route_labels):  # type: ignore[no-untyped-def]  # as TeamLabelMap
            told = super().resolve({"team": "data"}, annotations, today=today, route_labels={})
            (to,) = told.destinations
            return replace(told, destinations=(replace(to, channel=Channel(name="data", id=DATA)),))

    result = looked_at(assigned(), Corrected("r2"))
    (after,) = result.incidents
    assert (after.owner, after.assigned) == ("data", None)
    assert [one.kind for one in result.wanted] == [MessageKind.ROOT]


def test_third_answer_of_the_map_is_followed() -> None:
    """The map says something else than both: it moves there, and nobody's word holds it."""
    result = looked_at(assigned(), TeamLabelMap("r2", {"payments": "C0PAYMENTS2"}))
    left, taken = result.incidents
    assert (left.handed_over, left.assigned) == (True, None)
    assert (taken.owner, taken.channel_id, taken.assigned) == ("payments", "C0PAYMENTS2", None)
