"""The whole router without its server: store, dispatcher and delivery on one virtual clock; Slack over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from router.acting import Acting, ActionInbox
from router.core.model import Source
from router.core.ownership import OwnershipMap
from router.delivery import Delivery, SlackHealth
from router.dispatcher import Dispatcher
from router.heartbeats import Heartbeats
from router.inbox import DurableInbox
from router.leadership import Lease, SoleLease
from router.notify.slack import SlackSender
from router.ownership_file import load_map
from router.preview.workspace import ChannelSeed, Message, UsergroupSeed, UserSeed
from router.reassigner import Reassigner
from router.store import channels, inbox, messages, sending
from router.store.database import Store
from router.telemetry import Metrics
from router.timers import Timers
from tests.postgres import PostgresServer
from tests.slack import SlackServer

START = datetime(2026, 11, 21, 11, 3, tzinfo=UTC)
PAYMENTS, LEDGER, FALLBACK = "C0PAYALERT", "C0LEDGER01", "C0ORPHANS1"
MAP = f"""
version: 1
fallback:
  channel: {{name: ops-orphans, id: {FALLBACK}}}
teams:
  payments:
    channel: {{name: pay-alerts, id: {PAYMENTS}}}
  ledger:
    channel: {{name: ledger-alerts, id: {LEDGER}}}
"""
# As MAP, once payments was dissolved into ledger.
HANDED_OVER = f"""
version: 1
fallback:
  channel: {{name: ops-orphans, id: {FALLBACK}}}
teams:
  payments: {{dissolved: 2026-11-20, successor: ledger}}
  ledger:
    name: Ledger
    channel: {{name: ledger-alerts, id: {LEDGER}}}
"""


@dataclass
class Clock:
    """Time that passes when the test says so, for the router and for Slack alike."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class House:
    """Tell it something, then `settle`: it decides and delivers until nothing is left to do, time passing as needed."""

    store: Store
    slack: SlackServer
    sender: SlackSender
    ownership: OwnershipMap
    map_file: Path
    clock: Clock
    health: SlackHealth = field(default_factory=SlackHealth)
    metrics: Metrics = field(default_factory=Metrics)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.inbox = DurableInbox(
            store=self.store, last_id=0, drawn=lambda: 0, arrived=self.arrived, wanted=self.wanted
        )
        self.dispatcher = Dispatcher(
            store=self.store,
            ownership=lambda: self.ownership,
            clock=self.clock,
            metrics=self.metrics,
            wanted=self.wanted,
            arrivals=lambda: self.inbox.arrivals,
            cpu_clock=lambda: 0.0,
            lease=SoleLease(),
        )
        self.reassigner = Reassigner(
            store=self.store,
            ownership=lambda: self.ownership,
            clock=self.clock,
            metrics=self.metrics,
            wanted=self.wanted,
            lease=SoleLease(),
        )
        self.actions = ActionInbox(store=self.store, wake=self.arrived.set)
        self.acting = self.new_acting()
        self.timers = self.new_timers()
        self.heartbeats = self.new_heartbeats()
        self.delivery = self.new_delivery()

    def new_map(self, body: str) -> None:
        """From now on the map is `body`, as after a reload."""
        self.map_file.write_text(body, encoding="utf-8")
        self.ownership = load_map(self.map_file)
        seed(self.slack, self.ownership)

    def new_acting(self, *, lease: Lease | None = None) -> Acting:
        return Acting(
            store=self.store,
            ownership=lambda: self.ownership,
            clock=self.clock,
            metrics=self.metrics,
            wanted=self.wanted,
            settled=self.actions.settled,
            lease=lease or SoleLease(),
        )

    def new_timers(self, *, lease: Lease | None = None) -> Timers:
        """Timers as after a restart: the router listens since now."""
        return Timers(
            store=self.store,
            ownership=lambda: self.ownership,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            metrics=self.metrics,
            wanted=self.wanted,
            lease=lease or SoleLease(),
            listening_since=self.clock(),
        )

    def new_heartbeats(self) -> Heartbeats:
        """As after a restart: the router listens since its first look."""
        return Heartbeats(
            store=self.store,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            wanted=self.wanted,
            lease=SoleLease(),
        )

    def new_delivery(self, *, lease: Lease | None = None) -> Delivery:
        """A delivery as after a restart: what it knew of pacing and of calls under way is gone."""
        return Delivery(
            store=self.store,
            sender=self.sender,
            ownership=lambda: self.ownership,
            clock=self.clock,
            monotonic=self.clock.monotonic,
            jitter=lambda: 0.0,
            metrics=self.metrics,
            wanted=self.wanted,
            health=self.health,
            lease=lease,
        )

    async def tell(self, *alerts: dict[str, Any], group: str = "g", **fields: Any) -> str:
        """A notification of Alertmanager, durable; its id."""
        body = {
            "version": "4",
            "receiver": "router",
            "groupKey": group,
            "externalURL": "http://alertmanager.example.com",
            "status": "firing",
            "alerts": list(alerts),
            **fields,
        }
        return await self.inbox.accept(
            source=Source.ALERTMANAGER, body=json.dumps(body).encode(), error=None, now=self.clock()
        )

    async def settle(self, *, within: timedelta = timedelta(minutes=10)) -> None:
        """Decide and deliver until nothing is due within the time; the clock moves only to what is due next."""
        ends = self.clock() + within
        await self.decide()
        while True:
            wait_s = await self.delivery.step()
            await self.delivery.finish()
            if wait_s == 0.0:
                continue
            due = await self.store.read(partial(sending.next_due, now=self.clock()))
            if due is None or due > ends:
                return
            self.clock.advance(max(wait_s or 0.0, (due - self.clock()).total_seconds(), 0.01))

    async def live(self, seconds: float) -> None:
        """Decide and deliver while so much time passes; the clock stops wherever something is due."""
        ends = self.clock() + timedelta(seconds=seconds)
        while True:
            next_look_s = await self.decide()
            wait_s = await self.delivery.step()
            await self.delivery.finish()
            if wait_s == 0.0:
                continue
            left_s = (ends - self.clock()).total_seconds()
            if left_s <= 0:
                return
            self.clock.advance(min(due_s for due_s in (left_s, wait_s, next_look_s) if due_s is not None))

    async def decide(self) -> float | None:
        """Everything that can be decided now; the seconds until an incident or a heartbeat is due again."""
        while True:
            decided = await self.dispatcher.step()
            acted = await self.acting.step()
            looks = [await self.timers.step(), await self.heartbeats.step()]
            reassigned = await self.reassigner.step()
            if not (decided.more or acted or 0.0 in looks or reassigned):
                return min((next_look_s for next_look_s in looks if next_look_s is not None), default=None)

    async def refused(self) -> set[str]:
        """The channels that are left alone for a while."""
        return set(await self.store.read(channels.refused))

    async def sums(self) -> dict[str, int]:
        found = await self.store.read(inbox.sums)
        pending, _ = await self.store.read(messages.pending)
        return {**found, "pending": pending}


def seed(slack: SlackServer, ownership: OwnershipMap) -> None:
    """Everything that the map names is there in Slack."""
    mentions = [ownership.fallback.mention, *(team.mention for team in ownership.teams.values())]
    groups = {mention.group_id for mention in mentions if mention is not None}
    leads = {team.lead_in_slack for team in ownership.teams.values()}
    slack.emulator.seed(
        channels=[ChannelSeed(id=channel.id, name=channel.name) for channel in ownership.channels],
        usergroups=[UsergroupSeed(id=group, handle=group.lower()) for group in groups if group is not None],
        users=[UserSeed(id=lead, name=lead.lower()) for lead in leads if lead is not None],
    )


def alert(
    name: str = "HighErrorRate", *, team: str | None = "payments", resolved: bool = False, **labels: str
) -> dict[str, Any]:
    """One alert as Alertmanager sends it; its fingerprint is its name."""
    return {
        "status": "resolved" if resolved else "firing",
        "labels": {"alertname": name, **({"team": team} if team else {}), **labels},
        "annotations": {"summary": f"{name} is not as it should be"},
        "startsAt": "2026-11-21T11:00:00Z",
        "endsAt": "2026-11-21T11:20:00Z" if resolved else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": name,
    }


@asynccontextmanager
async def house(path: Path, slack: SlackServer, *, clock: Clock, database: str | None = None) -> AsyncIterator[House]:
    """`slack` must run on the same `clock`; `database` is a URL, of an SQLite file in `path` unless given."""
    map_file = path / "ownership.yaml"
    map_file.write_text(MAP, encoding="utf-8")
    ownership = load_map(map_file)
    seed(slack, ownership)
    metrics = Metrics()
    store = Store(database or f"sqlite:///{path / 'router.db'}", append=inbox.append, metrics=metrics)
    store.open(asyncio.get_running_loop())
    sender = await SlackSender.open(token=slack.token, api_url=slack.api_url, metrics=metrics)
    try:
        yield House(
            store=store,
            slack=slack,
            sender=sender,
            ownership=ownership,
            map_file=map_file,
            clock=clock,
            metrics=metrics,
        )
    finally:
        await sender.close()
        await store.close()


Tell = Callable[[Callable[[House], Awaitable[None]]], SlackServer]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'router.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.new_database()


# For what is about one engine, or takes too long to be seen twice.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def tell(tmp_path: Path, database: str) -> Iterator[Tell]:
    """Runs a story in a house of its own; at the end no rule of Slack was violated and the sums balance."""
    clock = Clock()
    with SlackServer(clock=clock.monotonic) as slack:

        def run(story: Callable[[House], Awaitable[None]]) -> SlackServer:
            async def live() -> None:
                async with house(tmp_path, slack, clock=clock, database=database) as opened:
                    await story(opened)
                    sums = await opened.sums()
                assert sums["wanted"] == sums["delivered"] + sums["pending"] + sums["superseded"] + sums["dead"]
                assert (
                    sums["accepted"] == sums["deduplicated"] + sums["quarantined"] + sums["decided"] + sums["waiting"]
                )

            asyncio.run(live())
            return slack

        yield run
        slack.check()


def header(message: Message) -> str:
    """The one line that says what it is."""
    text: str = message.content.blocks[0]["text"]["text"]
    return text
