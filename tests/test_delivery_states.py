"""Delivery as a state machine: whatever goes wrong, in whatever order, in the end Slack shows what is so, once."""

import asyncio
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router.core.errors import DeliveryFailed, LeaseLost, StoreUnavailable
from router.core.history import Event
from router.core.incidents import Incident
from router.core.model import IncidentState, MessageKind, MessageState, Source
from router.delivery import REFUSED_FOR
from router.handling import Handling, Selection
from router.leadership import LASTS, SharedLease
from router.notify.slack import SlackSender
from router.ownership_file import load_map
from router.preview.emulator import SCOPES
from router.preview.faults import Fault, FaultKind
from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, Message, TokenState
from router.store import channels, incidents
from router.store.database import Connection
from tests.happenings import CALLING, QUIET, happens_to_open
from tests.house import FALLBACK, LEDGER, MAP, ON_SQLITE, PAYMENTS, Clock, House, Tell, alert, header, house
from tests.slack import SlackServer

ALPHA, BETA, GAMMA, OPS, OPS_TOO = "C0ALPHA001", "C0BETA0001", "C0GAMMA001", "C0OPS00001", "C0OPS00002"
CHANNELS = (ALPHA, BETA, GAMMA, OPS, OPS_TOO)
# Owners move, the fallback channel is another, and the channel of a team becomes the fallback channel.
MAPS = {
    name: f"""
version: 1
fallback: {{channel: {{name: ops, id: {fallback}}}}}
teams:
  alpha: {{channel: {{name: alpha, id: {ALPHA}}}}}
  beta: {{channel: {{name: beta, id: {BETA}}}}}
  gamma: {{channel: {{name: gamma, id: {GAMMA}}}}}
services:
  shared: {{owner: {owner}, also_notify: [gamma]}}
"""
    for name, fallback, owner in (
        ("first", OPS, "alpha"),
        ("other owner", OPS, "beta"),
        ("other fallback", OPS_TOO, "alpha"),
        ("fallback is a team's", BETA, "alpha"),
    )
}
# By how the alert says whose it is: of a team, of a service that others are told about, of nobody.
OWNERS: dict[str, dict[str, Any]] = {
    "alpha": {"team": "alpha"},
    "beta": {"team": "beta"},
    "shared": {"team": None, "service": "shared"},
    "nobody": {"team": None},
}
METHODS = (
    "chat.postMessage",
    "chat.update",
    "chat.delete",
    "conversations.history",
    "conversations.replies",
    "conversations.info",
    "auth.test",
)
# HANG takes eight real seconds a call, and REFUSE is `slack.refusing()`.
KINDS = [kind for kind in FaultKind if kind not in (FaultKind.HANG, FaultKind.REFUSE)]
# One of each class but of content and of what is gone, whose messages are meant to be posted anew.
WORDS = (
    "ratelimited",
    "message_limit_exceeded",
    "fatal_error",
    "is_archived",
    "token_revoked",
    "accesslimited",
    "what",
)
RESTART_S = 3.5  # no process is back sooner; longer than any Retry-After of this machine
EVERYTHING = Selection()


@dataclass
class JumpyClock(Clock):
    """The machine's clock jumps; Slack's, and what counts the seconds, do not."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> Any:
        return self.now + self.ahead


class MortalSender(SlackSender):
    """Its calls never come back, from a moment on that the test chooses."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.lives_for: int | None = None  # calls; None: for ever
        self.took_effect = False  # whether the last words reached Slack
        self.dead = 0
        self.gate = asyncio.Event()  # closed: calls are under way, and nothing comes of them yet
        self.gate.set()

    async def _call(self, method: str, call: Any, read: Any, **arguments: Any) -> Any:
        await self.gate.wait()
        if self.lives_for is not None:
            if self.lives_for <= 0:
                await self._die(method, call, read, arguments)
            self.lives_for -= 1
        return await super()._call(method, call, read, **arguments)

    async def _die(self, method: str, call: Any, read: Any, arguments: dict[str, Any]) -> None:
        if self.took_effect:
            with suppress(DeliveryFailed):
                await super()._call(method, call, read, **arguments)
        self.dead += 1
        await asyncio.Event().wait()


class DeliveryStates(RuleBasedStateMachine):
    """A house with one delivery. Steps do one thing each; in the end everything is repaired and time passes."""

    groups = st.integers(0, 9)
    owners = st.sampled_from(sorted(OWNERS))

    @initialize(traceable=st.booleans())
    def build(self, traceable: bool) -> None:
        self.directory = Path(
            tempfile.mkdtemp(prefix="delivery", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        )
        self.clock = JumpyClock()
        self.resources = ExitStack()
        self.resources.callback(shutil.rmtree, self.directory, ignore_errors=True)
        # A restart forgets how many edits of the minute are spent; of posts, and of Retry-After, it must break nothing.
        self.slack = self.resources.enter_context(
            SlackServer(clock=self.clock.monotonic, rates=replace(Rates.strict(), tiers=False))
        )
        self.slack.emulator.seed(channels=[ChannelSeed(id=channel, name=channel.lower()) for channel in CHANNELS])
        self.runner = self.resources.enter_context(asyncio.Runner())
        self.firing: dict[int, set[str]] = defaultdict(set)
        self.owner: dict[int, str] = {}
        self.serial = count()
        # Whether lost answers can be cleared up: then nothing is ever posted twice. What would make that impossible is
        # not done in such a run.
        self.traceable = traceable
        self.archived: set[str] = set()
        self.outage: Any = None
        self.replays = count(1)
        self.house: House = self.runner.run(self._open())

    async def _open(self) -> House:
        self.stack = AsyncExitStack()
        opened = await self.stack.enter_async_context(house(self.directory, self.slack, clock=self.clock))
        await opened.sender.close()
        opened.sender = await MortalSender.open(
            token=self.slack.token, api_url=self.slack.api_url, metrics=opened.metrics
        )
        opened.new_map(MAPS["first"])
        opened.delivery = opened.new_delivery()
        return opened

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def within() -> Any:
            return await asyncio.wait_for(work, 60)

        return self.runner.run(within())

    # -- what is told ------------------------------------------------------------------------------------------------

    def _tell(self, group: int, *, resolved: frozenset[str] = frozenset(), severity: str = "warning") -> None:
        alerts = [
            alert(
                name,
                resolved=name in resolved,
                severity=severity,
                **OWNERS[self.owner[group]],
            )
            for name in sorted(self.firing[group] | resolved)
        ]
        self.do(self.house.tell(*alerts, group=f"group {group}"))
        self.firing[group] -= resolved

    def _fire(self, group: int, owner: str, severity: str) -> None:
        self.owner.setdefault(group, owner)
        if not self.firing[group]:
            self.owner[group] = owner
        self.firing[group].add(f"A{next(self.serial):03d}")
        self._tell(group, severity=severity)

    @rule(group=groups, owner=owners, severity=st.sampled_from(["critical", "warning"]))
    def fires(self, group: int, owner: str, severity: str) -> None:
        self._fire(group, owner, severity)

    @rule(owner=owners, many=st.integers(6, 10))
    def floods(self, owner: str, many: int) -> None:
        for group in range(many):
            self._fire(group, owner, "warning")

    @precondition(lambda self: any(self.firing.values()))
    @rule(data=st.data(), all_of_it=st.booleans())
    def resolves(self, data: st.DataObject, all_of_it: bool) -> None:
        group = data.draw(st.sampled_from(sorted(group for group, alerts in self.firing.items() if alerts)))
        alerts = sorted(self.firing[group])
        self._tell(group, resolved=frozenset(alerts if all_of_it else alerts[:1]))

    @precondition(lambda self: any(self.firing.values()))
    @rule()
    def resolves_everything(self) -> None:
        for group, alerts in sorted(self.firing.items()):
            if alerts:
                self._tell(group, resolved=frozenset(alerts))

    @rule(number=st.integers(0, 99), calls=st.lists(st.booleans(), min_size=1, max_size=3))
    def happens(self, number: int, calls: list[bool]) -> None:
        """People and timers do something about an incident."""
        self.do(happens_to_open(self.house, number, *(CALLING if one else QUIET for one in calls)))

    # -- time --------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0, 0, 1, 3, 10, 60, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.do(self.house.live(seconds))

    @precondition(lambda self: not self.traceable)
    @rule(seconds=st.sampled_from([-7200, -300, -3, 3, 30, 300, 7200]))
    def clock_jumps(self, seconds: int) -> None:
        self.clock.ahead += timedelta(seconds=seconds)

    @rule(group=groups, owner=owners, resolved=st.booleans())
    def is_told_meanwhile(self, group: int, owner: str, resolved: bool) -> None:
        """Something new while calls are under way."""
        sender = self.house.sender
        assert isinstance(sender, MortalSender)
        sender.gate.clear()
        self._fire(group, owner, "warning")

        async def begin() -> None:
            while (await self.house.dispatcher.step()).more:
                pass
            self.step = asyncio.create_task(self.house.delivery.step())
            await asyncio.wait({self.step}, timeout=0.05)

        self.do(begin())
        if resolved:
            self._tell(group, resolved=frozenset(self.firing[group]))
        else:
            self._fire(group, owner, "critical")

        async def end() -> None:
            while (await self.house.dispatcher.step()).more:
                pass
            sender.gate.set()
            await self.step
            await self.house.delivery.finish()

        self.do(end())

    @rule(
        owner=owners,
        calls=st.sampled_from([0, 0, 1, 2]),
        took_effect=st.booleans(),
        seconds=st.sampled_from([0, 1, 30]),
    )
    def crashes(self, owner: str, calls: int, took_effect: bool, seconds: int) -> None:
        # Something is posted at that moment, ahead of all else.
        self._fire(1000 + next(self.serial), owner, "critical")
        self.do(self._crash(calls, took_effect))
        self.clock.advance(RESTART_S + seconds)

    async def _crash(self, calls: int, took_effect: bool) -> None:
        opened, sender = self.house, self.house.sender
        assert isinstance(sender, MortalSender)
        sender.lives_for, sender.took_effect, sender.dead = calls, took_effect, 0
        while (await opened.dispatcher.step()).more or await opened.reassigner.step():
            pass
        delivery = opened.delivery
        step = asyncio.create_task(delivery.step())
        while sender.dead < (len(delivery._under_way) + (not step.done())):
            await asyncio.wait({step, *delivery._under_way}, timeout=0.01, return_when=asyncio.FIRST_COMPLETED)
        tasks = {step, *delivery._under_way}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sender.lives_for = None
        opened.delivery = opened.new_delivery()

    # -- Slack -------------------------------------------------------------------------------------------------------

    @rule(
        faults=st.lists(
            st.builds(
                Fault,
                kind=st.sampled_from(KINDS),
                method=st.sampled_from([None, *METHODS]),
                channel=st.sampled_from([None, None, *CHANNELS]),
                nth=st.integers(1, 3),
                accepted=st.booleans(),
                seconds=st.just(1),
                code=st.sampled_from(WORDS),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def things_go_wrong(self, faults: list[Fault]) -> None:
        faults = [replace(fault, seconds=0.01) if fault.kind is FaultKind.SLOW else fault for fault in faults]
        if self.traceable:
            faults = [fault for fault in faults if fault.method in ("chat.postMessage", "chat.update", "auth.test")]
        self.slack.emulator.script(*faults)

    @precondition(lambda self: not self.traceable)
    @rule(channel=st.sampled_from(CHANNELS), archived=st.booleans())
    def archives(self, channel: str, archived: bool) -> None:
        self.slack.emulator.seed(channels=[ChannelSeed(id=channel, name=channel.lower(), archived=archived)])

    @rule(state=st.sampled_from([TokenState.REVOKED, TokenState.LIVE, TokenState.LIVE]))
    def token_changes(self, state: TokenState) -> None:
        self.slack.emulator.set_token(state)

    @precondition(lambda self: not self.traceable)
    @rule(readable=st.booleans())
    def history_scope_changes(self, readable: bool) -> None:
        scopes = SCOPES if readable else SCOPES - {"channels:history", "groups:history"}
        self.slack.emulator.set_token(self.slack.emulator._token_state, scopes=scopes)

    @precondition(lambda self: self.outage is None)
    @rule()
    def slack_goes(self) -> None:
        self.outage = self.slack.refusing()
        self.outage.__enter__()

    @precondition(lambda self: self.outage is not None)
    @rule()
    def slack_comes_back(self) -> None:
        self.outage.__exit__(None, None, None)
        self.outage = None

    # -- people ------------------------------------------------------------------------------------------------------

    # The other maps, with another fallback channel, are for when test_stand_in_ends_where_it_was_posted holds.
    @rule(name=st.sampled_from(["first", "other owner"]))
    def map_changes(self, name: str) -> None:
        self.house.map_file.write_text(MAPS[name], encoding="utf-8")
        before = {channel.id: channel for channel in self.slack.emulator.channels}
        self.house.new_map(MAPS[name])
        self.slack.emulator.seed(channels=before.values())

    @rule(replay=st.booleans())
    def dead_letters_are_handled(self, replay: bool) -> None:
        handling = Handling(
            store=self.house.store,
            ownership=lambda: self.house.ownership,
            clock=self.clock,
            drawn=lambda: 0,
            replayed=self.house.wanted.set,
        )
        if replay:
            self.do(handling.replay(EVERYTHING, replay=f"r{next(self.replays)}", outdated=False, dry_run=False))
        else:
            self.do(handling.drop(EVERYTHING, dry_run=False))

    # -- what is always so -------------------------------------------------------------------------------------------

    @invariant()
    def sums_balance(self) -> None:
        if not hasattr(self, "house"):
            return
        sums = self.do(self.house.sums())
        assert sums["wanted"] == sums["delivered"] + sums["pending"] + sums["superseded"] + sums["dead"], sums
        assert sums["accepted"] == sums["deduplicated"] + sums["quarantined"] + sums["decided"] + sums["waiting"], sums
        assert min(sums.values()) >= 0, sums

    @invariant()
    def no_rule_of_slack_is_violated(self) -> None:
        if hasattr(self, "house"):
            self.slack.check()

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        try:
            self._repair()
            self.sums_balance()
            self.no_rule_of_slack_is_violated()
            self._everything_is_shown()
        finally:
            if self.outage is not None:
                self.outage.__exit__(None, None, None)
            self.runner.run(self.house.sender.close())
            self.runner.run(self.stack.aclose())
            self.resources.close()

    def _repair(self) -> None:
        if self.outage is not None:
            self.slack_comes_back()
        self.slack.emulator.script()
        self.slack.emulator.seed(channels=[ChannelSeed(id=channel, name=channel.lower()) for channel in CHANNELS])
        self.slack.emulator.set_token(TokenState.LIVE, scopes=SCOPES)
        self.do(self.house.live(3600))

    def _everything_is_shown(self) -> None:
        assert self.do(self.house.sums())["pending"] == 0
        found = self.do(self.house.store.read(_everything))
        fallback = self.house.ownership.fallback.channel.id
        for incident in found.incidents.values():
            rows = [row for row in found.rows if row.incident == incident.id]
            self._incident_is_shown(incident, rows, found, fallback)
            self._thread_is_told(incident, [row for row in rows if row.kind is MessageKind.REPLY])
        posts = Counter(
            (entry.delivery_id, entry.channel)
            for entry in self.slack.emulator.accepted
            if entry.method == "chat.postMessage" and entry.delivery_id is not None
        )
        if self.traceable:
            assert max(posts.values(), default=0) <= 1, posts
        for channel in CHANNELS:
            for message in self.slack.messages(channel):
                _only_goes_forward(message)

    def _incident_is_shown(self, incident: Incident, rows: "list[Row]", found: "Everything", fallback: str) -> None:
        shown = [row for row in rows if row.kind in (MessageKind.ROOT, MessageKind.UNDELIVERED)]
        facts = f"{incident.id} {incident.title} {incident.state} {rows}"
        places = 0
        for row in rows:
            if row.state is MessageState.DELIVERED and row.kind not in (MessageKind.MOVED, MessageKind.REPLY):
                self._is_true(row, incident, row.channel or fallback, facts)
                places += row in shown
            elif row.state is MessageState.SUPERSEDED and row.digest is not None:
                digest = found.digests[row.digest]
                assert digest.state is MessageState.DELIVERED, f"{facts} {digest}"
                message = self._message(digest.channel or fallback, digest.ts, f"{facts} {digest}")
                assert incident.title in str(message.content.blocks), f"{facts}: not in {message.content.text}"
                assert _revision(message) == digest.wanted, f"{facts} {digest} {message.content.metadata}"
                lines = re.findall(rf"(?m)^.*\*{incident.title}\*.*$", _told(message))
                over = incident.state is not IncidentState.OPEN
                assert any(line.startswith(("✅", "➡️")) == over for line in lines), f"{facts} {lines}"
                places += row in shown
        assert places >= 1, f"shown nowhere: {facts}"
        digests_replayed = any(row.digest is not None and found.digests[row.digest].replayed for row in rows)
        # Where only a reply was refused that calls somebody, the message that it was to go below is shown on.
        called_elsewhere = any(row.kind is MessageKind.REPLY and row.channel is None for row in rows)
        root_replayed = any(row.kind is MessageKind.ROOT and row.replayed for row in rows)
        if not digests_replayed and not root_replayed:
            assert places <= 1 + called_elsewhere, f"shown twice: {facts}"

    def _thread_is_told(self, incident: Incident, rows: "list[Row]") -> None:
        """In order, nothing twice, nothing before its root; and whoever was to be called was called."""
        facts = f"{incident.id} {incident.title} {incident.state} {incident.history} {rows}"
        assert all(row.shown == row.wanted for row in rows), facts
        replies = sorted((reply for row in rows for reply in self._replies(row)), key=lambda reply: float(reply.ts))
        ranges = [_numbers(reply) for reply in replies]
        told = {number for numbers in ranges for number in numbers}
        if self.traceable:
            assert ranges == sorted(ranges, key=lambda numbers: numbers.start), f"{facts} {ranges}"
            assert sum(len(numbers) for numbers in ranges) == len(told), f"{facts} {ranges}"
        assert all(reply.thread_ts is None or reply.ts > reply.thread_ts for reply in replies)
        assert sum(row.wanted for row in rows) == incident.happened, facts
        # Nobody is called for what is over, or was for a while.
        if not incident.ended and not any(one.event is Event.RESOLVED for one in incident.history):
            calls = {one.number for one in incident.history if one.calls}
            assert calls <= told, f"{facts} {ranges}"
            heard = {number for reply in replies if reply.broadcast or reply.is_root for number in _numbers(reply)}
            assert calls <= heard, f"{facts} {ranges}"

    def _replies(self, row: "Row") -> list[Message]:
        name = f"{row.incident}.{MessageKind.REPLY}.{row.id}."
        found = [message for channel in CHANNELS for message in self.slack.messages(channel)]
        return [message for message in found if (message.delivery_id or "").startswith(name)]

    def _is_true(self, row: "Row", incident: Incident, channel: str, facts: str) -> None:
        message = self._message(channel, row.ts, facts)
        assert _revision(message) == row.wanted, f"{facts} {message.content.metadata}"
        text = str(message.content.blocks)
        if incident.state is IncidentState.OPEN:
            assert "RESOLVED" not in text.split("fields")[0][:200], facts
        elif not incident.handed_over:
            assert "RESOLVED" in text, facts

    def _message(self, channel: str, ts: str | None, facts: str) -> Message:
        for message in self.slack.messages(channel):
            if message.ts == ts:
                return message
        raise AssertionError(f"not in Slack: {facts}")


def _told(message: Message) -> str:
    return "\n".join(block["text"]["text"] for block in message.content.blocks if block["type"] == "section")


def _revision(message: Message) -> int:
    revision: int = (message.content.metadata or {})["event_payload"]["rev"]
    return revision


def _numbers(reply: Message) -> range:
    """Of what it tells."""
    assert reply.delivery_id is not None
    return range(int(reply.delivery_id.rpartition(".")[2]), _revision(reply) + 1)


def _only_goes_forward(message: Message) -> None:
    revisions = [content.metadata["event_payload"]["rev"] for content in message.revisions if content.metadata]
    assert revisions == sorted(revisions), f"{message.channel} {message.ts}: {revisions}"


@dataclass(frozen=True, kw_only=True)
class Row:
    id: int
    incident: str | None
    kind: MessageKind
    channel: str | None
    ts: str | None
    state: MessageState
    wanted: int
    shown: int
    digest: int | None
    replayed: bool


@dataclass(frozen=True, kw_only=True)
class Everything:
    incidents: dict[str, Incident]
    rows: list[Row]
    digests: dict[int, Row]


def _everything(connection: Connection) -> Everything:
    rows = [
        Row(
            id=row,
            incident=incident,
            kind=MessageKind(kind),
            channel=channel,
            ts=ts,
            state=MessageState(state),
            wanted=wanted,
            shown=shown,
            digest=digest,
            replayed=replay is not None,
        )
        for row, incident, kind, channel, ts, state, wanted, shown, digest, replay in connection.execute(
            "SELECT id, incident, kind, channel, ts, state, wanted, shown, digest, replay FROM messages ORDER BY id"
        )
    ]
    shown_by = {row.id: row for row in rows if row.kind is MessageKind.DIGEST}
    return Everything(
        incidents={
            incident.id: incident for incident in incidents.page(connection, state=None, before=None, limit=9999)
        },
        rows=rows,
        digests=shown_by,
    )


TestDeliveryStates = DeliveryStates.TestCase
TestDeliveryStates.settings = settings(
    max_examples=int(os.environ.get("DELIVERY_EXAMPLES", "100")),
    stateful_step_count=int(os.environ.get("DELIVERY_STEPS", "30")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


# -- found by reading, each as it was found ----------------------------------------------------------------------------


@ON_SQLITE
def test_many_refused_channels_are_asked_slowly(tell: Tell) -> None:
    """An app that was taken out of seventy channels: asking them again keeps to Slack's limit of such questions."""
    teams = {f"team-{number}": f"C0TEAM{number:04d}" for number in range(70)}
    body = MAP + "".join(
        f"  {name}:\n    channel: {{name: {name}, id: {channel}}}\n" for name, channel in teams.items()
    )

    async def story(house: House) -> None:
        house.new_map(body)
        house.slack.emulator.seed(
            channels=[ChannelSeed(id=channel, name=name, archived=True) for name, channel in teams.items()]
        )
        for name in teams:
            await house.tell(alert(name, team=name), group=name)
        await house.live(REFUSED_FOR.total_seconds() * 2)
        assert await house.refused() == set(teams.values())

    tell(story)


@ON_SQLITE
def test_question_without_an_answer_keeps_the_reason(tell: Tell) -> None:
    """What people are told of a channel that refuses is what it said, and not how asking it again went wrong."""

    async def story(house: House) -> None:
        house.slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts", archived=True)])
        await house.tell(alert("A"))
        await house.live(60)
        house.slack.emulator.script(Fault(kind=FaultKind.SERVER_ERROR, method="conversations.info", nth=1))
        await house.live(REFUSED_FOR.total_seconds())
        refused = await house.store.read(channels.refused)
        assert refused[PAYMENTS].reason == "is_archived"

    tell(story)


@ON_SQLITE
def test_limit_of_reading_holds_no_post(tell: Tell) -> None:
    """Slack lets us read no history for a minute: what is in doubt waits for it, and nothing else."""

    async def story(house: House) -> None:
        house.slack.emulator.script(
            *(
                Fault(kind=FaultKind.CLOSE, method="chat.postMessage", channel=channel, nth=1, accepted=False)
                for channel in (PAYMENTS, LEDGER)
            ),
            Fault(kind=FaultKind.RATE_LIMITED, method="conversations.history", seconds=60),
        )
        await house.tell(alert("A"), group="a")
        await house.tell(alert("B", team="ledger"), group="b")
        await house.live(10)
        await house.tell(alert("C"), group="c")
        await house.tell(alert("D", team=None), group="d")
        await house.live(10)
        assert (len(house.slack.roots(PAYMENTS)), len(house.slack.roots(FALLBACK))) == (1, 1)

    tell(story)


@ON_SQLITE
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(kind=FaultKind.SLACK_ERROR, code="access_denied"), id="closed by policy"),
        pytest.param(Fault(kind=FaultKind.FATAL_ERROR), id="broken"),
        pytest.param(Fault(kind=FaultKind.RATE_LIMITED, seconds=30), id="always too much"),
    ],
)
def test_history_that_never_answers_hides_no_message(tell: Tell, fault: Fault) -> None:
    """What is in doubt is posted again after a while, marked; everything else is posted meanwhile, at once."""

    async def story(house: House) -> None:
        house.slack.emulator.script(
            Fault(kind=FaultKind.CLOSE, method="chat.postMessage", channel=PAYMENTS, nth=1, accepted=False),
            replace(fault, method="conversations.history"),
        )
        await house.tell(alert("A"), group="a")
        await house.live(10)
        for number in range(5):
            await house.tell(alert(f"B{number}", team=None), group=f"b{number}")
        await house.live(10)
        assert len(house.slack.roots(FALLBACK)) == 5
        await house.live(600)
        assert len(house.slack.roots(PAYMENTS)) == 1

    tell(story)


@ON_SQLITE
def test_doubt_has_its_turn_in_a_flood(tell: Tell) -> None:
    """A critical alert whose post may have been lost is not put off by the digests of what comes after it."""

    async def story(house: House) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.CLOSE, method="chat.postMessage", nth=1, accepted=False))
        await house.tell(alert("Critical", severity="critical"), group="critical")
        for number in range(150):
            await house.tell(alert(f"G{number:03d}"), group=f"g{number}")
            await house.live(0.1)
        assert sum("Critical" in header(message) for message in house.slack.roots(PAYMENTS)) == 1

    tell(story)


@ON_SQLITE
def test_notice_has_its_turn_in_a_flood(tell: Tell) -> None:
    """That a body could not be read is told also while more urgent things keep coming in."""

    async def story(house: House) -> None:
        await house.inbox.accept(source=Source.ALERTMANAGER, body=b"{", error="not JSON", now=house.clock())
        for number in range(150):
            await house.tell(alert(f"G{number:03d}", team=None, severity="critical"), group=f"g{number}")
            await house.live(0.5)
        assert any("not JSON" in str(message.content.blocks) for message in house.slack.roots(FALLBACK))

    tell(story)


@ON_SQLITE
def test_digest_stays_where_it_was_posted(tell: Tell) -> None:
    """Another channel becomes the fallback channel: a digest of orphans is edited where people know it."""

    async def story(house: House) -> None:
        for number in range(8):
            await house.tell(alert(f"G{number:03d}", team=None), group=f"g{number}")
        await house.settle()
        house.new_map(MAP.replace(FALLBACK, OPS_TOO))
        await house.settle()

    slack = tell(story)

    (before,) = slack.roots(FALLBACK)
    (after,) = slack.roots(OPS_TOO)
    assert "✅" in header(before)
    assert "✅" not in header(after)


@ON_SQLITE
def test_line_of_a_digest_ends_with_its_own_message(tell: Tell) -> None:
    """What got a message of its own since goes on firing in no digest once it has ended."""

    async def story(house: House) -> None:
        for number in range(8):
            await house.tell(alert(f"G{number:03d}"), group=f"g{number}")
        await house.settle()
        for number in range(7):
            await house.tell(alert(f"G{number:03d}", resolved=True), group=f"g{number}")
        await house.settle()
        house.clock.advance(4 * 3600)
        await house.tell(alert("G007"), group="g7")
        await house.settle()
        await house.tell(alert("G007", resolved=True), group="g7")
        await house.settle()

    slack = tell(story)

    assert ["✅" in header(message) for message in slack.roots(PAYMENTS)] == [True, True]


@ON_SQLITE
def test_line_of_a_digest_ends_when_a_later_digest_took_it_over(tell: Tell) -> None:
    """Told again in a second flood: no digest says of what ended that it fires."""

    async def story(house: House) -> None:
        for resolved in (False, False, True):
            for number in range(8):
                await house.tell(alert(f"G{number:03d}", resolved=resolved), group=f"g{number}")
            await house.settle()
            house.clock.advance(4 * 3600)

    slack = tell(story)

    first, second = slack.roots(PAYMENTS)
    assert "told again" in str(first.content.blocks)
    assert "✅" in header(second)


@ON_SQLITE
def test_record_that_cannot_be_written_stops_nobody(tell: Tell) -> None:
    """A defect of ours in one record, or a database that is away at the end, keeps delivery neither busy nor alive."""

    def broken(_: Connection) -> None:
        raise ValueError("a defect")

    def away(_: Connection) -> None:
        raise StoreUnavailable("away")

    async def story(house: House) -> None:
        house.delivery._unrecorded.append(broken)
        await house.tell(alert("A"))
        await house.settle()
        house.delivery._unrecorded.append(away)
        await house.delivery.finish()
        house.delivery._unrecorded.clear()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 1


@ON_SQLITE
def test_work_of_an_earlier_term_is_refused(tell: Tell) -> None:
    """A router that lost its lease and got it back meanwhile writes nothing that it had read before."""

    async def story(house: House) -> None:
        def lease(holder: str) -> SharedLease:
            return SharedLease(
                "deciding", store=house.store, holder=holder, clock=house.clock, monotonic=house.clock.monotonic
            )

        ours, theirs = lease("a"), lease("b")
        await ours.step()
        work = ours.guard()  # what a step takes along when it begins
        house.clock.advance(LASTS.total_seconds() + 1)
        await theirs.step()
        await theirs.let_go()
        await ours.step()
        with pytest.raises(LeaseLost):
            await house.store.write(work)

    tell(story)


@ON_SQLITE
def test_who_lost_the_lease_claims_nothing(tell: Tell) -> None:
    """A router that stood still between its look at the lease and its claim leaves the messages to the other one."""

    async def story(house: House) -> None:
        ours, theirs = (
            SharedLease(
                "delivering", store=house.store, holder=holder, clock=house.clock, monotonic=house.clock.monotonic
            )
            for holder in ("a", "b")
        )
        await ours.step()
        house.delivery = house.new_delivery(lease=ours)
        await house.tell(alert("A"))
        await house.dispatcher.step()
        house.clock.advance(LASTS.total_seconds() + 1)
        await theirs.step()
        with pytest.raises(LeaseLost):
            await house.delivery.step()
        house.delivery = house.new_delivery(lease=theirs)
        await house.settle()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 1


@ON_SQLITE
def test_end_is_not_put_off_by_a_slow_slack(tell: Tell) -> None:
    """A call that takes too long is left to the next process, as one that a crash cut off."""

    async def story(house: House) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.HANG, method="chat.postMessage", nth=1))
        await house.tell(alert("A"))
        await house.dispatcher.step()
        await house.delivery.step()
        await house.delivery.finish(within_s=0.2)
        assert house.delivery.under_way == 0
        house.clock.advance(RESTART_S)
        house.delivery = house.new_delivery()
        await house.settle()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 1


@ON_SQLITE
def test_stand_in_ends_where_it_was_posted(tell: Tell) -> None:
    """Another channel becomes the fallback channel: what was told in the first one does not fire there for ever."""

    async def story(house: House) -> None:
        house.slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts", archived=True)])
        await house.tell(alert("A"))
        await house.settle(within=timedelta(minutes=1))
        house.clock.advance(1)
        house.map_file.write_text(MAP.replace(FALLBACK, OPS_TOO), encoding="utf-8")
        house.slack.emulator.seed(channels=[ChannelSeed(id=OPS_TOO, name="ops-too")])
        house.ownership = load_map(house.map_file)
        await house.tell(alert("A", resolved=True))
        await house.settle(within=timedelta(minutes=1))

    slack = tell(story)

    assert ["RESOLVED" in header(message) for message in slack.roots(FALLBACK)] == [True]
