"""Delivery without its pacing: `python -m tests.bench.deliver URL MAP SLACK_API_URL TOKEN`.

The map's teams are told a first alert each, and then another one, so that each message is posted once and edited once.
Prints one JSON a phase, after everything of it was decided and then delivered: the seconds and CPU of the delivery.
"""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from router.core.model import Source
from router.core.ownership import OwnershipMap
from router.delivery import IN_FLIGHT, Delivery, SlackHealth
from router.dispatcher import Dispatcher
from router.inbox import DurableInbox
from router.leadership import SoleLease
from router.notify.pacing import Pacing
from router.notify.slack import SlackSender
from router.ownership_file import load_map
from router.store import inbox, messages
from router.store.database import Store
from router.telemetry import Metrics
from tests.bench.bodies import alert, notification


class Unpaced(Pacing):
    """Never waits. One post of a channel at a time stays."""

    def posts_allowed(self, now: float) -> int:
        return IN_FLIGHT

    def edits_allowed(self, now: float) -> int:
        return IN_FLIGHT

    def next_free(self, now: float) -> float | None:
        return None

    def close(self, channel: str, until: float) -> None: ...


def clock() -> datetime:
    return datetime.now(UTC)


async def deliver(url: str, ownership: OwnershipMap, api_url: str, token: str) -> None:
    metrics, wanted = Metrics(), asyncio.Event()
    async with AsyncExitStack() as stack:
        store = Store(url, append=inbox.append, metrics=metrics)
        stack.push_async_callback(store.close)
        store.open(asyncio.get_running_loop())
        sender = await SlackSender.open(token=token, api_url=api_url, metrics=metrics)
        stack.push_async_callback(sender.close)
        received = DurableInbox(store=store, last_id=0, drawn=lambda: 0, arrived=asyncio.Event(), wanted=wanted)
        dispatcher = Dispatcher(
            store=store,
            ownership=lambda: ownership,
            clock=clock,
            metrics=metrics,
            wanted=wanted,
            arrivals=lambda: received.arrivals,
            cpu_clock=time.thread_time,
            lease=SoleLease(),
        )
        delivery = Delivery(
            store=store,
            sender=sender,
            ownership=lambda: ownership,
            clock=clock,
            monotonic=time.monotonic,
            jitter=lambda: 0.0,
            metrics=metrics,
            wanted=wanted,
            health=SlackHealth(),
            pacing=Unpaced(),
        )
        for alerts in (1, 2):
            for team in ownership.teams:
                told = [alert(team=team, instance=f"{team}-{number}") for number in range(alerts)]
                body = notification(told, group=team)
                await received.accept(source=Source.ALERTMANAGER, body=body, error=None, now=clock())
            while (await dispatcher.step()).more:
                pass
            await deliver_all(delivery, store, wanted)


async def deliver_all(delivery: Delivery, store: Store, wanted: asyncio.Event) -> None:
    """As `router.serve` does it: a step at once, or when something has changed."""
    (number, _), before = await store.read(messages.pending), await store.read(inbox.sums)
    began, cpu_began = time.monotonic(), time.process_time()
    pending = number
    while pending:
        wanted.clear()
        if await delivery.step() != 0.0:
            await wanted.wait()
        if delivery.under_way == 0:
            pending, _ = await store.read(messages.pending)
    seconds, cpu_s = time.monotonic() - began, time.process_time() - cpu_began
    sums = await store.read(inbox.sums)
    assert sums["delivered"] - before["delivered"] == number, f"not all {number} were delivered: {before}, then {sums}"
    print(json.dumps({"messages": number, "seconds": seconds, "cpu_s": cpu_s}), flush=True)


def main() -> None:
    url, ownership, api_url, token = sys.argv[1:]
    uvloop.run(deliver(url, load_map(Path(ownership)), api_url, token))


if __name__ == "__main__":
    main()
