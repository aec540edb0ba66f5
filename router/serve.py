"""The composition root: wires everything, and is the only place that reads the clock and draws random numbers."""

import asyncio
import gc
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import structlog
import uvicorn
import uvloop

from router.acting import Acting, ActionInbox
from router.active_map import ActiveMap
from router.api import Api
from router.config import Address, Settings, secret
from router.core.errors import CannotStart, LeaseLost, OwnershipFileInvalid, StoreUnavailable
from router.core.ownership import OwnershipMap
from router.delivery import Delivery, SlackHealth
from router.dispatcher import Dispatcher
from router.heartbeats import Heartbeats
from router.inbox import DurableInbox
from router.intake.http import Intake
from router.intake.protocol import BACKLOG, raise_file_limit, uvicorn_settings
from router.intake.tokens import IntakeTokens
from router.leadership import Lease, SharedLease, SoleLease
from router.notify.pacing import CHANNEL_SPACING_S, Pacing
from router.notify.slack import API_URL, SlackSender
from router.reassigner import Reassigner
from router.retention import Retention
from router.store import inbox, leases
from router.store.backup import mark_copy
from router.store.database import Store
from router.telemetry import Metrics
from router.timers import Timers

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = structlog.get_logger()

# Everything is woken by an event. The poll is for what no event tells: a lease that ended, a wake-up that was lost; and
# of several routers on one database, what another one took or decided.
POLL_S = 5.0
POLL_SHARED_S = 0.25
# While notifications come without a pause, so often it is looked whether something else is due, and for so long at the
# most: what is decided is due at once, and of a flood there is no end.
TIMERS_S = 1.0
TIMERS_SHARE_S = 0.2
# How often it is looked whether there is something to delete.
PRUNE_S = 60.0
# How often the database is asked for its time.
CLOCK_S = 10.0
SLOW_ANSWER_S = 1.0
AFTER_FAILURE_S = 1.0
# How often the map's files are looked at. Polled, because a file system over the network tells of no change.
WATCH_S = 2.0


def now() -> datetime:
    return datetime.now(UTC)


class DatabaseClock:
    """The time of a database that several routers use: all of them read one clock, and none jumps with its machine's.

    Between two looks it goes on with the machine's monotonic clock. Until the first it is the machine's.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._anchor, self._at = now(), time.monotonic()
        self.is_anchored = False  # until then it says nothing about leases

    def __call__(self) -> datetime:
        return self._anchor + timedelta(seconds=time.monotonic() - self._at)

    async def step(self) -> float:
        """Look once; the seconds until the next time. Raises StoreUnavailable."""
        asked_at = time.monotonic()
        told = await self._store.time()
        answered_at = time.monotonic()
        # An answer that took long may be as old as it took: what is known goes on.
        if told is not None and answered_at - asked_at < SLOW_ANSWER_S:
            self._anchor, self._at = told, (asked_at + answered_at) / 2
            self.is_anchored = True
        return CLOCK_S if self.is_anchored else SLOW_ANSWER_S


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. Raises CannotStart or OwnershipFileInvalid."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    metrics = Metrics()
    tokens = IntakeTokens.parse(settings.intake_tokens) if settings.intake_tokens is not None else IntakeTokens()
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(closing(_listening(settings.listen)))
        store = Store(settings.database, append=inbox.append, metrics=metrics)
        ownership = ActiveMap(settings.ownership, clock=now, metrics=metrics)
        stack.push_async_callback(store.close)
        store.open(asyncio.get_running_loop())
        await _mark_copy(store)
        clock = await _clock(store)
        last_id = await _last_id(store)
        await ownership.keep_in(store)
        router = _Router(
            settings,
            ownership,
            store,
            tokens,
            metrics,
            clock=clock,
            port=listening.getsockname()[1],
            last_id=last_id,
        )
        await router.serve(listening)


async def _mark_copy(store: Store) -> None:
    """A backup that was copied into the database's place is a restore, whoever did it."""
    if store.shared:
        return
    try:
        marked = await store.write(partial(mark_copy, now=now()))
    except StoreUnavailable as exc:
        # It may be a copy, and what waits in it would be posted again.
        raise CannotStart(
            f"ROUTER_DATABASE {store.place}: it cannot be written: {exc}. Free the disk, or end what holds the file"
        ) from exc
    if marked is not None:
        log.warning("database_restored", dead=marked.dead, edits=marked.edits, waiting=marked.waiting)


async def _clock(store: Store) -> Callable[[], datetime]:
    if not store.shared:
        return now
    clock = DatabaseClock(store)
    with suppress(StoreUnavailable):  # it is looked at again every few seconds
        await clock.step()
    return clock


async def _last_id(store: Store) -> int:
    """The newest notification's id, so that ids go on from there, also after a clock that went backwards."""
    try:
        return await store.read(inbox.last_id)
    except StoreUnavailable as exc:
        if store.shared:  # it may come back; until then senders are told to come again
            return 0
        raise CannotStart(f"ROUTER_DATABASE: {exc}. Restore a backup, or name a new file") from exc


class _Router:
    """One running router."""

    def __init__(
        self,
        settings: Settings,
        ownership: ActiveMap,
        store: Store,
        tokens: IntakeTokens,
        metrics: Metrics,
        *,
        clock: Callable[[], datetime],
        port: int,
        last_id: int,
    ) -> None:
        self._settings = settings
        self._slack_token = settings.slack_token
        self._clock = clock
        self._holder = f"{socket.gethostname()}:{port}:{secrets.token_hex(4)}"
        self._leases: list[SharedLease] = []
        self._deciding = self._lease(leases.DECIDING, store)
        self._delivering = self._lease(leases.DELIVERING, store)
        self._ownership = ownership
        self._store = store
        self._tokens = tokens
        self._url = f"http://{settings.listen.url_host}:{port}"
        self._metrics = metrics
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._health = SlackHealth()
        self._actions = ActionInbox(store=store, wake=self._arrived.set)
        self._inbox = DurableInbox(
            store=store,
            last_id=last_id,
            drawn=lambda: random.getrandbits(20),
            arrived=self._arrived,
            wanted=self._wanted,
        )

    async def serve(self, listening: socket.socket) -> None:
        """Answer requests, decide and deliver until stopped; then finish what is under way, in this order."""
        preview = _preview(self._ownership) if self._settings.slack_token is None else None
        server = uvicorn.Server(uvicorn.Config(self._app(preview), **uvicorn_settings(metrics=self._metrics)))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, lambda: loop.create_task(self._reload()))
        answering = loop.create_task(_answer(server, listening), name="http")
        deciding = loop.create_task(self._decide(), name="dispatcher")
        delivering = loop.create_task(self._deliver(preview), name="delivery")
        watching = loop.create_task(self._watch(), name="map")
        pruning = loop.create_task(self._prune(), name="retention")
        together = loop.create_task(self._keep_together(), name="leases")
        # What was made until now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self._say_ready(preview)
        stopped = loop.create_task(self._stopping.wait())
        await asyncio.wait(
            (answering, deciding, delivering, watching, pruning, together, stopped), return_when=asyncio.FIRST_COMPLETED
        )
        self._stop(None)
        server.should_exit = True
        await answering
        await deciding
        await delivering
        await watching
        await pruning
        await together
        for lease in self._leases:
            await lease.let_go()
        log.info("stopped")

    def _lease(self, name: str, store: Store) -> Lease:
        if not store.shared:
            return SoleLease()
        lease = SharedLease(name, store=store, holder=self._holder, clock=self._clock, monotonic=time.monotonic)
        self._leases.append(lease)
        return lease

    def _app(self, preview: "_Preview | None") -> Intake:
        api = Api(
            store=self._store,
            ownership=self._ownership,
            health=self._health,
            metrics=self._metrics,
            clock=self._clock,
            draining=self._stopping.is_set,
            map_changed=self._map_changed,
            replayed=self._map_changed,
            drawn=lambda: random.getrandbits(20),
            actions=self._actions,
            signing_secret=self._settings.slack_signing_secret,
        )
        return Intake(
            inbox=self._inbox,
            tokens=self._tokens,
            metrics=self._metrics,
            clock=self._clock,
            otherwise=api.app(
                admin_token=self._settings.admin_token,
                preview=None if preview is None else preview.app,
            ),
        )

    def _stop(self, number: signal.Signals | None) -> None:
        if not self._stopping.is_set():
            log.info("stopping", signal=None if number is None else number.name)
        self._stopping.set()
        self._arrived.set()
        self._wanted.set()

    async def _reload(self) -> None:
        with suppress(OwnershipFileInvalid):  # logged where it was found; the old map stays
            await self._ownership.reload()
        self._map_changed()

    def _map_changed(self) -> None:
        """Wake those who have to do with it: open incidents are resolved again, refusals are told."""
        self._arrived.set()
        self._wanted.set()

    def _say_ready(self, preview: "_Preview | None") -> None:
        ownership = self._ownership()
        log.info(
            "ready",
            url=self._url,
            map=ownership.file,
            revision=ownership.revision[:12],
            teams=len(ownership.teams),
            database=self._store.engine,
        )
        if preview is not None:
            log.warning(
                "preview_mode",
                why="ROUTER_SLACK_TOKEN is not set: messages go to a page, not to Slack",
                see=f"{self._url}/preview/",
            )

    # -- the loops ---------------------------------------------------------------------------------------------------

    async def _decide(self) -> None:
        dispatcher = Dispatcher(
            store=self._store,
            ownership=self._ownership,
            clock=self._clock,
            metrics=self._metrics,
            wanted=self._wanted,
            arrivals=lambda: self._inbox.arrivals,
            cpu_clock=time.thread_time,
            lease=self._deciding,
        )

        acting = Acting(
            store=self._store,
            ownership=self._ownership,
            clock=self._clock,
            metrics=self._metrics,
            wanted=self._wanted,
            settled=self._actions.settled,
            lease=self._deciding,
        )
        timers = Timers(
            store=self._store,
            ownership=self._ownership,
            clock=self._clock,
            monotonic=time.monotonic,
            metrics=self._metrics,
            wanted=self._wanted,
            lease=self._deciding,
            listening_since=self._clock(),
        )
        heartbeats = Heartbeats(
            store=self._store,
            clock=self._clock,
            monotonic=time.monotonic,
            wanted=self._wanted,
            lease=self._deciding,
        )
        reassigner = Reassigner(
            store=self._store,
            ownership=self._ownership,
            clock=self._clock,
            metrics=self._metrics,
            wanted=self._wanted,
            lease=self._deciding,
        )
        looked_at = -TIMERS_S

        async def step() -> float | None:
            nonlocal looked_at
            if not self._deciding.held:
                return None
            decided = await dispatcher.step()
            acted = await acting.step()
            reassigned = await reassigner.step()
            due_in: list[float | None] = []
            if not decided.more or time.monotonic() - looked_at >= TIMERS_S:
                looked_at = time.monotonic()
                due_in = [await timers.step(), await heartbeats.step()]
                while decided.more and due_in[0] == 0.0 and time.monotonic() - looked_at < TIMERS_SHARE_S:
                    due_in[0] = await timers.step()
            if (rest_s := decided.rest_s(now=self._clock())) > 0:
                await _wait(self._stopping, rest_s)
            if decided.more or acted or reassigned:
                return 0.0
            return min((wait_s for wait_s in due_in if wait_s is not None), default=None)

        await self._keep_doing("dispatcher", step, woken=self._arrived)

    async def _watch(self) -> None:
        """Take a changed map up by itself: people merge a pull request, and nobody thinks of a reload."""

        async def step() -> float | None:
            if await self._ownership.look():
                self._map_changed()
            return WATCH_S

        await self._keep_doing("map", step, woken=self._stopping)

    async def _deliver(self, preview: "_Preview | None") -> None:
        # Only now: the Slack client takes 0.4 s to import, and notifications are being accepted meanwhile.
        sender = await SlackSender.open(
            token=preview.token if preview is not None else self._settings.slack_token or "",
            api_url=f"{self._url}/preview/api/" if preview is not None else self._settings.slack_api_url or API_URL,
            metrics=self._metrics,
            proxy=None if preview is not None else _proxy(self._settings.slack_api_url or API_URL),
        )
        delivery: Delivery | None = None

        async def step() -> float | None:
            nonlocal delivery
            if not self._delivering.held:
                if delivery is not None:
                    await delivery.finish()
                    delivery = None
                self._health.state = "standby"
                return None
            if delivery is None:
                delivery = self._new_delivery(sender)
            if self._health.state != "ok" and preview is None:
                self._take_new_token(sender)
            return await delivery.step()

        try:
            await self._keep_doing("delivery", step, woken=self._wanted)
            if delivery is not None:
                await delivery.finish()
        finally:
            await sender.close()

    def _take_new_token(self, sender: SlackSender) -> None:
        """A token that was revoked is replaced in its file; nobody should have to restart the router for that."""
        try:
            token = secret("ROUTER_SLACK_TOKEN", os.environ)
        except CannotStart as exc:
            log.warning("slack_token_unreadable", error=str(exc))
            return
        if token is not None and token != self._slack_token:
            self._slack_token = token
            sender.use_token(token)
            log.info("slack_token_changed")

    def _new_delivery(self, sender: SlackSender) -> Delivery:
        self._health.state = "ok"
        return Delivery(
            store=self._store,
            sender=sender,
            ownership=self._ownership,
            clock=self._clock,
            monotonic=time.monotonic,
            jitter=random.random,
            metrics=self._metrics,
            wanted=self._wanted,
            health=self._health,
            # The process that delivered until now may have posted a moment ago; one that is started again and again
            # must not begin each time as if Slack's minute were empty.
            pacing=Pacing(closed_until=time.monotonic() + CHANNEL_SPACING_S),
            lease=self._delivering,
            buttons=self._settings.slack_signing_secret is not None,
        )

    async def _prune(self) -> None:
        retention = Retention(store=self._store, clock=self._clock, metrics=self._metrics)

        async def step() -> float | None:
            return await retention.step() if self._deciding.held else None

        await self._keep_doing("retention", step, woken=self._stopping, poll_s=PRUNE_S)

    async def _keep_together(self) -> None:
        """Renew the leases and follow the database's clock, where several routers use one database."""
        clock = self._clock
        if not isinstance(clock, DatabaseClock):
            await self._stopping.wait()
            return

        async def renew(lease: SharedLease) -> float | None:
            # By the machine's own clock a lease might seem to have ended that has not.
            return await lease.step() if clock.is_anchored else AFTER_FAILURE_S

        steps: list[Callable[[], Awaitable[float | None]]] = [partial(renew, lease) for lease in self._leases]
        steps.append(clock.step)
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(self._keep_doing("leases", step, woken=self._stopping, poll_s=CLOCK_S))
            await self._stopping.wait()

    async def _keep_doing(
        self,
        name: str,
        step: Callable[[], Awaitable[float | None]],
        *,
        woken: asyncio.Event,
        poll_s: float | None = None,
    ) -> None:
        """Repeat `step` until the router stops: at once, after the seconds it returns, or when woken."""
        if poll_s is None:
            poll_s = POLL_SHARED_S if self._store.shared else POLL_S
        while not self._stopping.is_set():
            if woken is not self._stopping:
                woken.clear()
            try:
                wait_s = await step()
            except StoreUnavailable:  # the store has said so; what is due stays due
                self._metrics.loop_failures.labels(name).inc()
                wait_s = AFTER_FAILURE_S
            except LeaseLost as exc:  # another router does it now
                log.info("lease_lost", loop=name, error=str(exc))
                wait_s = AFTER_FAILURE_S
            except Exception:
                self._metrics.loop_failures.labels(name).inc()
                log.exception("loop_failed", loop=name)
                wait_s = AFTER_FAILURE_S
            if wait_s == 0.0:
                continue
            await _wait(woken, poll_s if wait_s is None else min(wait_s, poll_s))


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


async def _answer(server: uvicorn.Server, listening: socket.socket) -> None:
    # Its own signal handlers would raise the signal again after a clean stop; ours only ask it to stop.
    await server._serve(sockets=[listening])  # noqa: SLF001


def _proxy(url: str) -> str | None:
    """HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY names the host: slack-sdk knows the first and not the last."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _listening(address: Address) -> socket.socket:
    """Bound here and not by the server, so that a port in use is our error, and port 0 is known. Raises CannotStart."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
        # A reloaded Alertmanager opens up to 10,000 connections at once; the kernel caps this at net.core.somaxconn.
        listening.listen(BACKLOG)
    except OSError as exc:
        listening.close()
        raise CannotStart(
            f"ROUTER_LISTEN {address.host}:{address.port}: {exc.strerror}. "
            "Stop what listens there, or name another address"
        ) from exc
    listening.setblocking(False)
    return listening


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preview:
    """The Slack emulator that stands in for Slack."""

    app: "ASGIApp"
    token: str


def _people(loaded: OwnershipMap) -> set[str]:
    """Whom the map may call that is no group."""
    teams = loaded.teams.values()
    mentioned = (
        mention.person_id for mention in (loaded.fallback.mention, *(team.mention for team in teams)) if mention
    )
    return {person for person in (*mentioned, *(team.lead_in_slack for team in teams)) if person is not None}


def _preview(ownership: ActiveMap) -> _Preview:
    """A workspace with the channels and user groups of the map, also of one that is loaded later."""
    # Imported here: with a token none of it is needed, and it would cost memory and time at every start.
    from router.preview.app import preview_app
    from router.preview.emulator import Emulator
    from router.preview.workspace import ChannelSeed, UsergroupSeed, UserSeed

    token = f"xoxb-{secrets.token_hex(16)}"
    emulator = Emulator(clock=time.time, token=token)

    def seed(loaded: OwnershipMap) -> None:
        mentions = [loaded.fallback.mention, *(team.mention for team in loaded.teams.values())]
        emulator.seed(
            channels=[ChannelSeed(id=channel.id, name=channel.name) for channel in loaded.channels],
            usergroups=[
                UsergroupSeed(id=mention.group_id, handle=mention.group_id.lower())
                for mention in mentions
                if mention is not None and mention.group_id is not None
            ],
            users=[UserSeed(id=person, name=person.lower()) for person in _people(loaded)],
        )

    seed(ownership())
    ownership.listeners.append(seed)
    return _Preview(app=preview_app(emulator, control=False), token=token)
