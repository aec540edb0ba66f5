"""Any order of notifications and map changes: what fires is with exactly one owner, and every move is told once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.core.history import Assignment
from router.core.incidents import Incident, Move
from router.core.model import Alert, IncidentState, MessageKind, Resolution
from router.core.reassignment import Evidence, Reassignment, hand_over, reassign
from router.core.routing import Group, decide
from tests.core.factories import NOW, TeamLabelMap, alert, notification

NAMES = ("a", "b", "c", "d")


@dataclass
class Owners:
    """A map that names an owner for each alert; None: nobody. What it does not name it drops."""

    revision: str
    of: Mapping[str, str | None]
    inner: TeamLabelMap = field(default_factory=TeamLabelMap)

    def resolve(
        self,
        labels: Mapping[str, str],
        annotations: Mapping[str, str],
        *,
        today: date,
        route_labels: Mapping[str, str],
    ) -> Resolution:
        name = labels["alertname"]
        owner = self.of.get(name)
        told = {"team": owner} if owner is not None else {} if name in self.of else {"drop": "yes"}
        return self.inner.resolve(told, annotations, today=today, route_labels=route_labels)

    def place(self, name: str) -> tuple[str | None, str] | None:
        """None: dropped."""
        answer = self.resolve({"alertname": name}, {}, today=NOW.date(), route_labels={})
        return None if answer.dropped else (answer.owner, answer.destinations[0].channel.id)


MAPS = (
    Owners("r1", dict.fromkeys(NAMES, "payments")),
    Owners("r2", {"a": "payments", "b": "ledger", "c": "ledger", "d": None}),
    Owners("r3", {"a": "ledger", "b": "payments", "d": "payments"}),
    Owners("r4", {"a": None, "b": "ledger", "c": "payments", "d": "search"}),
)


def _by_map(incident: Incident) -> tuple[str | None, str]:
    """Where the map put it, whatever a person said since."""
    if incident.assigned is None:
        return incident.owner, incident.channel_id
    return incident.assigned.instead_of, incident.assigned.channel_id


class OneGroup(RuleBasedStateMachine):
    """An alert group as Alertmanager tells it, under maps that come and go, looked at again one incident at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.map = self.map_before = MAPS[0]
        self.incidents: dict[str, Incident] = {}
        self.telling = Group(telling=None, incidents=()).telling
        self.now = NOW
        self.told = 0
        self.alerts: dict[str, Alert] = {}  # as last told
        self.evidence: dict[str, Evidence] = {}
        self.known: set[str] = set()  # fire, as far as anybody was told
        self.looked_until = ""
        self.given: set[str] = set()  # incidents that a person's word opened
        self.missed = False  # an incident was looked at without all of its bodies

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(fire=st.sets(st.sampled_from(NAMES)), under_map_before=st.booleans())
    def notify(self, fire: set[str], under_map_before: bool) -> None:
        """Exactly `fire` fires now. The decision may have begun before the map changed."""
        self.now += timedelta(minutes=2)
        self.looked_until = ""  # a new incident of an old map is behind the last one, a changed one may not be
        by = self.map_before if under_map_before else self.map
        for name in fire:
            if name not in self.alerts or name not in self._firing_by_sender():
                self.alerts[name] = alert(name, since=self.now)
        for name in self._firing_by_sender() - fire:
            self.alerts[name] = alert(name, resolved=True, since=self.now, until=self.now)
        if not self.alerts:
            return
        told = notification(*self.alerts.values())
        self.told += 1
        known = [one for one in self.incidents.values() if one.closed_at is None or self._lately(one)]
        group = Group(telling=self.telling, incidents=tuple(sorted(known, key=lambda one: one.id)))
        decision = decide(told, id=self.told, group=group, ownership=by, now=self.now)
        self.telling = decision.telling or self.telling
        self.incidents |= {one.id: one for one in decision.incidents}
        for name, one in self.alerts.items():
            if one.ends_at is None:
                self.evidence[name] = Evidence(alert=one, route_labels={})
                if name not in self.known and by.place(name) is not None:
                    self.known.add(name)
            else:
                self.known.discard(name)

    @rule(to=st.sampled_from(MAPS))
    def change_the_map(self, to: Owners) -> None:
        self.map_before, self.map = self.map, to
        self.looked_until = ""

    @rule(gone=st.sampled_from((set(), set(), set(), {"a"}, {"b", "c"})))
    def look_at_one(self, gone: set[str]) -> None:
        """Bodies of what is `gone` cannot be read any more."""
        older = self._older()
        if older:
            self._reassign(older[0], {name: one for name, one in self.evidence.items() if name not in gone})
            self.missed |= bool(gone)
            self.looked_until = older[0].id

    @rule(team=st.sampled_from(("payments", "ledger", "search")), which=st.integers(0, 3))
    def disown(self, team: str, which: int) -> None:
        """A person says whose one of them is."""
        others = [one for one in self._open() if one.owner != team]
        if not others:
            return
        before = sorted(others, key=lambda one: one.id)[which % len(others)]
        by_map = _by_map(before)
        channel_id = f"C0{team.upper()}"
        assigned = Assignment(by="U0ALICE", at=self.now, instead_of=by_map[0], channel_id=by_map[1])
        result = hand_over(
            before,
            owner=team,
            channel_id=channel_id,
            assigned=None if (team, channel_id) == by_map else assigned,
            now=self.now,
        )
        left, given = result.incidents
        assert left.handed_over
        assert (given.owner, given.channel_id) == (team, channel_id)
        assert given.id not in self.incidents
        assert result.moves == left.moved_to[-1:]
        self.incidents |= {one.id: one for one in result.incidents}
        self.given.add(given.id)
        self.looked_until = ""  # the next look at all begins anew

    @rule()
    def look_at_all(self) -> None:
        looks = 0
        while older := self._older():
            self._reassign(older[0], self.evidence)
            self.looked_until = older[0].id
            looks += 1
            assert looks <= 4 * len(self.incidents), "looks without end"
        self.map_before = self.map
        assert all(one.map_revision == self.map.revision for one in self._open())
        for one in self._open():
            for name, tracked in one.alerts.items():
                place = self.map.place(name)
                here = (None, (one.owner, one.channel_id), _by_map(one))
                assert not tracked.firing or self.missed or place in here

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def each_firing_alert_is_in_exactly_one_open_incident(self) -> None:
        holding = Counter(name for one in self._open() for name, tracked in one.alerts.items() if tracked.firing)
        assert holding == Counter(self.known)

    @invariant()
    def nothing_is_open_for_nothing_and_nobody_has_two(self) -> None:
        assert all(one.firing for one in self._open())
        assert all(one.firing == 0 for one in self.incidents.values() if one.state is not IncidentState.OPEN)
        places = [(one.owner, one.channel_id) for one in self._open() if one.id not in self.given]
        assert len(places) == len(set(places))

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _reassign(self, incident: Incident, evidence: Mapping[str, Evidence]) -> None:
        self.now += timedelta(seconds=20)
        siblings = [one for one in self._open() if one.id != incident.id]
        result = reassign(incident, siblings=siblings, evidence=evidence, ownership=self.map, now=self.now)
        self._told_once(incident, result)
        self.incidents |= {one.id: one for one in result.incidents}

    def _told_once(self, before: Incident, result: Reassignment) -> None:
        after = {one.id: one for one in result.incidents}
        left = after[before.id]
        assert left.moved_to == (*before.moved_to, *result.moves)
        assert len({move.incident for move in result.moves}) == len(result.moves)
        for move in result.moves:
            target = after[move.incident]
            assert (target.owner, target.channel_id) == (move.owner, move.channel_id)
            assert target.moved_from[-1] == Move(
                incident=before.id, owner=before.owner, channel_id=before.channel_id, alerts=move.alerts
            )
        roots = Counter(one.incident for one in result.wanted if one.kind is MessageKind.ROOT)
        assert all(times == 1 for times in roots.values())
        if result.moves:
            assert set(roots) == set(after)
        replies = Counter(one.incident for one in result.wanted if one.kind is MessageKind.MOVED)
        joined = {move.incident for move in result.moves} & set(self.incidents)
        assert replies == (Counter([before.id, *joined]) if result.moves else Counter())

    def _open(self) -> list[Incident]:
        return [one for one in self.incidents.values() if one.state is IncidentState.OPEN]

    def _older(self) -> list[Incident]:
        older = [one for one in self._open() if one.map_revision != self.map.revision and one.id > self.looked_until]
        return sorted(older, key=lambda one: one.id)

    def _lately(self, incident: Incident) -> bool:
        return incident.closed_at is not None and self.now - incident.closed_at < timedelta(hours=1)

    def _firing_by_sender(self) -> set[str]:
        return {name for name, one in self.alerts.items() if one.ends_at is None}


def test_map_that_comes_back_finds_what_another_placed() -> None:
    """An alert joined under a map that was in force for a moment: the first map is asked about it again."""
    group = OneGroup()
    group.change_the_map(MAPS[1])
    group.notify({"a"}, under_map_before=False)
    group.change_the_map(MAPS[0])
    group.notify({"a", "b"}, under_map_before=False)
    group.change_the_map(MAPS[1])
    group.look_at_all()
    assert {one.owner: set(one.alerts) for one in group.incidents.values()} == {"payments": {"a"}, "ledger": {"b"}}


def _opened(
    name: str, *, id: int, ownership: TeamLabelMap, team: str | None = "payments", severity: str = "normal"
) -> Incident:
    told = notification(alert(name, team=team, severity=severity))
    decision = decide(told, id=id, group=Group(telling=None, incidents=()), ownership=ownership, now=NOW)
    (incident,) = decision.incidents
    return replace(incident, due_at=NOW + timedelta(hours=26))


def _looked_at(
    incident: Incident, *siblings: Incident, name: str, team: str = "payments", severity: str = "normal"
) -> Reassignment:
    """By a map that says so of it."""
    evidence = {name: Evidence(alert=alert(name, team=team, severity=severity), route_labels={})}
    return reassign(
        incident, siblings=siblings, evidence=evidence, ownership=TeamLabelMap("r2"), now=NOW + timedelta(minutes=1)
    )


def test_timers_look_again_at_what_has_another_severity() -> None:
    """How long it waits for somebody is another one; where nothing changed, timers have looked by the new map."""
    one = _opened("a", id=1, ownership=TeamLabelMap("r1"))
    (worse,) = _looked_at(one, name="a", severity="critical").incidents
    assert worse.due_at == NOW + timedelta(minutes=1)
    assert _looked_at(one, name="a").incidents[0].due_at == one.due_at
    (stale,) = _looked_at(replace(one, state=IncidentState.STALE, due_at=None), name="a", severity="critical").incidents
    assert stale.due_at is None


def test_timers_look_again_at_what_something_worse_moved_into() -> None:
    """It is as urgent as what is in it."""
    ownership = TeamLabelMap("r1")
    one = _opened("a", id=1, ownership=ownership, team="ledger", severity="critical")
    other = _opened("b", id=2, ownership=ownership)
    _, receiving = _looked_at(one, other, name="a", severity="critical").incidents
    assert receiving.id == other.id
    assert receiving.due_at == NOW + timedelta(minutes=1)


def test_what_a_person_gave_takes_nothing_from_the_map() -> None:
    """Given to somebody else as a whole, it would take along what the map never gave to anybody else."""
    ownership = TeamLabelMap("r1")
    orphan = _opened("a", id=1, ownership=ownership, team=None)
    said = Assignment(by="U0ALICE", at=NOW, instead_of=orphan.owner, channel_id=orphan.channel_id)
    _, given = hand_over(orphan, owner="payments", channel_id="C0PAYMENTS", assigned=said, now=NOW).incidents
    one = _opened("b", id=2, ownership=ownership, team="ledger")
    _, receiving = _looked_at(one, given, name="b").incidents
    assert (receiving.owner, receiving.channel_id) == (given.owner, given.channel_id)
    assert receiving.id != given.id


def test_what_a_person_gave_stays_apart_from_what_the_map_gives() -> None:
    """Given on once more, it would take along what the map never gave to anybody else."""
    group = OneGroup()
    group.change_the_map(MAPS[3])
    group.notify({"a"}, under_map_before=False)
    group.disown("payments", 0)
    group.notify({"a", "c"}, under_map_before=False)
    assert sorted((one.owner, *one.alerts) for one in group.incidents.values() if one.firing) == [
        ("payments", "a"),
        ("payments", "c"),
    ]


TestOneGroup = OneGroup.TestCase
TestOneGroup.settings = settings(max_examples=400, stateful_step_count=20, deadline=None)
