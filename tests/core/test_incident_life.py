"""Notifications, people, time and maps in any order: each incident is looked at in time, and nobody called twice."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.core.actions import Action, ActionKind, apply
from router.core.escalation import Facts, Look, Since, look, policy_for
from router.core.history import EscalationReason
from router.core.incidents import Incident
from router.core.model import Alert, AlertStatus, IncidentState, MessageKind
from router.core.ownership import OwnershipMap
from router.core.reassignment import Evidence, reassign
from router.core.routing import Group, Wanted, decide
from router.store.decisions import REMEMBERED
from tests.core.factories import NOW, alert, minutes, notification
from tests.ownership.maps import a_map

HEAD = """\
version: 1
fallback: {channel: {name: ops, id: C0ORPHANS1}, mention: S0OPSDUTY1, triage_within: 1d}
"""
USUAL = """\
defaults: {timezone: Europe/Berlin, escalate: {if_unacked: 2x, if_repeats: 2 in 1h}}
teams:
  payments: {channel: {name: pay, id: C0PAYALERT}, lead: {slack: U0LEADPAY1}, parent: finance}
  ledger: {channel: {name: ledger, id: C0LEDGER01}, parent: finance}
  finance: {channel: {name: finance, id: C0FINANCE1}, mention: S0FINANCE1}
  ops: {channel: {name: ops, id: C0ORPHANS1}, escalate: {then: [fallback, finance]}}
"""
PAYMENTS, LEDGER = "{name: pay, id: C0PAYALERT}", "{channel: {name: ledger, id: C0LEDGER01}, parent: finance}"
MAPS = tuple(
    a_map(body, head=HEAD)
    for body in (
        USUAL,
        USUAL.replace("lead: {slack: U0LEADPAY1}, parent: finance", "parent: ledger"),
        USUAL.replace("2x", "10m").replace(
            PAYMENTS, f"{PAYMENTS}, channels: {{critical: {{name: now, id: C0PAYNOW01}}}}"
        ),
        USUAL + "severities: {critical: {from: [critical, warning]}, normal: {from: [ticket]}}\n",
        USUAL.replace(LEDGER, "{dissolved: 2026-01-01, successor: payments}"),
    )
)
NAMES = ("a", "b", "c")
TEAMS = ("payments", "ledger", "ops", None)


class Life(RuleBasedStateMachine):
    """One alert group, with everything that changes its incidents; what is due is looked at as soon as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.map = MAPS[0]
        self.since = Since(listening=NOW, judging=NOW)
        self.group = Group(telling=None, incidents=())
        self.incidents: dict[str, Incident] = {}
        self.wanted: Counter[tuple[str, MessageKind, str]] = Counter()
        self.firing: dict[str, Alert] = {}  # as last told
        self.evidence: dict[str, Evidence] = {}
        self.told = 0

    # -- what happens --------------------------------------------------------------------------------------------------

    @rule(
        changes=st.dictionaries(st.sampled_from(NAMES), st.booleans(), min_size=1),
        team=st.sampled_from(TEAMS),
        severity=st.sampled_from(("critical", "warning", "none")),
        sender=st.sampled_from(("http://am-0", "http://am-0", "http://am-1")),
        reason=st.sampled_from((None, "repeat interval elapsed")),
        truncated=st.sampled_from((0, 0, 0, 2)),
    )
    def notify(
        self,
        changes: dict[str, bool],
        team: str | None,
        severity: str,
        sender: str,
        reason: str | None,
        truncated: int,
    ) -> None:
        """Some of them fire, or are over."""
        alerts = []
        for name, fires in changes.items():
            known = self.firing.get(name) or alert(name, team=team, severity=severity, since=self.now)
            if fires:
                self.firing[name] = known
                self.evidence[name] = Evidence(alert=known, route_labels={})
                alerts.append(known)
            else:
                self.firing.pop(name, None)
                ends_at = max(self.now, known.starts_at or self.now) + timedelta(seconds=1)
                alerts.append(replace(known, status=AlertStatus.RESOLVED, ends_at=ends_at))
        self.told += 1
        lately = self.now - REMEMBERED
        known_incidents = [one for one in self.incidents.values() if one.closed_at is None or one.closed_at > lately]
        decision = decide(
            notification(*alerts, sender=sender, reason=reason, truncated=truncated),
            id=self.told,
            group=Group(telling=self.group.telling, incidents=tuple(sorted(known_incidents, key=lambda one: one.id))),
            ownership=self.map,
            now=self.now,
        )
        self.group = replace(self.group, telling=decision.telling or self.group.telling)
        self._enter(decision.incidents, decision.wanted)
        self._look_at_due()

    @rule(
        kind=st.sampled_from(ActionKind), which=st.integers(0, 5), team=st.sampled_from(("payments", "ledger", "ops"))
    )
    def act(self, kind: ActionKind, which: int, team: str) -> None:
        """Somebody pressed a button three minutes ago."""
        if not self.incidents:
            return
        there = sorted(self.incidents.values(), key=lambda one: (one.ended, one.id))
        one = there[which % len(there)]
        action = Action(
            incident=one.id, kind=kind, by="U1", at=self.now - minutes(3), team=team, lasts=timedelta(hours=1)
        )
        result = apply(action, one, ownership=self.map, now=self.now)
        assert result.done or not (result.incidents or result.wanted)
        self._enter(result.incidents, result.wanted)
        for move in result.moves:
            assert self.incidents[move.incident].firing == one.firing
        self._look_at_due()

    @rule(count=st.sampled_from((1, 6, 16, 31, 61, 240, 1600)))
    def wait(self, count: int) -> None:
        ends = self.now + minutes(count)
        while due := [one.due_at for one in self.incidents.values() if one.due_at is not None and one.due_at <= ends]:
            self.now = max(self.now, min(due))
            self._look_at_due()
        self.now = ends

    @rule(to=st.sampled_from(MAPS))
    def change_the_map(self, to: OwnershipMap) -> None:
        """Timers look at everything by it, then who has what is found again."""
        self.map = to
        self.since = replace(self.since, judging=self.now)
        self._all_due()
        for identifier in sorted(self.incidents):
            one = self.incidents[identifier]
            if one.ended or one.map_revision == self.map.revision:
                continue
            siblings = [other for other in self.incidents.values() if other.closed_at is None and other.id != one.id]
            result = reassign(one, siblings=siblings, evidence=self.evidence, ownership=self.map, now=self.now)
            self._enter(result.incidents, result.wanted)
        for one in self.incidents.values():
            due_at = self._look(one).incident.due_at
            assert due_at is None or one.due_at is None or one.due_at <= max(due_at, self.now), "looked at too late"
        self._look_at_due()

    @rule(hours=st.sampled_from((-30, -1, 0, 1, 30)))
    def restart(self, hours: int) -> None:
        """After a while, or with a clock that was set."""
        self.now += timedelta(hours=hours)
        self.since = Since(listening=self.now, judging=self.now)
        self._all_due()

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def what_is_open_is_looked_at_some_time_and_nothing_else(self) -> None:
        for one in self.incidents.values():
            assert (one.due_at is not None) == (one.state is IncidentState.OPEN)
            assert (one.closed_at is not None) == one.ended

    @invariant()
    def each_firing_alert_is_in_one_incident(self) -> None:
        there = [one for one in self.incidents.values() if not one.ended]
        holding = Counter(name for one in there for name, tracked in one.alerts.items() if tracked.firing)
        assert all(times == 1 for times in holding.values())

    @invariant()
    def nobody_is_called_twice_and_everything_is_told(self) -> None:
        for one in self.incidents.values():
            assert self.wanted[one.id, MessageKind.REPLY, one.channel_id] == one.happened
            assert self.wanted[one.id, MessageKind.ROOT, one.channel_id]
            for told in (step.to for step in one.escalations), (step.channel_id for step in one.escalations):
                assert max(Counter(told).values(), default=1) == 1
            for step in one.escalations:
                assert step.channel_id == one.channel_id or self.wanted[one.id, MessageKind.ESCALATED, step.channel_id]

    # -- steps ---------------------------------------------------------------------------------------------------------

    def _enter(self, changed: Iterable[Incident], wanted: Sequence[Wanted]) -> None:
        for one in changed:
            before = self.incidents.get(one.id)
            assert before is None or (before.revision <= one.revision and before.happened <= one.happened)
            assert not one.history or one.history[-1].number == one.happened
            self.incidents[one.id] = one
        self.wanted.update((one.incident, one.kind, one.channel_id) for one in wanted)

    def _all_due(self) -> None:
        for one in self.incidents.values():
            if one.state is IncidentState.OPEN:
                self.incidents[one.id] = replace(one, due_at=self.now)
        self._look_at_due()

    def _look_at_due(self) -> None:
        for one in list(self.incidents.values()):
            if one.due_at is None or one.due_at > self.now:
                continue
            seen = self._look(one)
            if seen.taken:
                assert seen.incident.state is IncidentState.OPEN
                assert seen.incident.acknowledged is None
                assert one.snoozed is None or one.snoozed.until <= self.now
            assert len(seen.taken) <= 1
            assert seen.incident.due_at is None or seen.incident.due_at > self.now
            self._enter([seen.incident], seen.wanted)
            assert not self._look(seen.incident).changed

    def _look(self, one: Incident) -> Look:
        """As the store tells it."""
        policy = policy_for(self.map, one.owner, one.severity)
        rhythm = self.group.telling.rhythm if self.group.telling is not None else None
        facts = Facts(rhythm=rhythm)
        if policy.repeats is not None:
            since = self.now - policy.repeats.window
            share = [
                other
                for other in self.incidents.values()
                if (other.owner, other.channel_id) == (one.owner, one.channel_id) and other.opened_at >= since
            ]
            called = [
                step.channel_id
                for other in share
                for step in other.escalations
                if other.id != one.id and step.reason is EscalationReason.REPEATED and step.at >= since
            ]
            facts = Facts(opened_in_window=len(share), called=frozenset(called), rhythm=rhythm)
        return look(one, facts=facts, ownership=self.map, since=self.since, now=self.now)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
