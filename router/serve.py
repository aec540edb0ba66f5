"""The composition root: wires everything, and is the only place that reads the clock and draws random numbers."""

import asyncio
import gc
import random
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import structlog
import uvicorn
import uvloop

from router.active_map import ActiveMap
from router.api import Api
from router.config import Address, Settings
from router.core.errors import CannotStart, OwnershipFileInvalid, StoreUnavailable
from router.core.ownership import OwnershipMap
from router.delivery import Delivery, SlackHealth
from router.dispatcher import Dispatcher
from router.inbox import DurableInbox
from router.intake.http import Intake
from router.intake.protocol import BACKLOG, raise_file_limit, uvicorn_settings
from router.intake.tokens import IntakeTokens
from router.notify.slack import API_URL, SlackSender
from router.reassigner import Reassigner
from router.store import inbox
from router.store.database import ENGINE, Store
from router.telemetry import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = structlog.get_logger()

# Everything is woken by an event. The poll is for what no event tells: a lease that ended, a wake-up that was lost.
POLL_S = 5.0
AFTER_FAILURE_S = 1.0
# How often the map's files are looked at. Polled, because a file system over the network tells of no change.
WATCH_S = 2.0


def now() -> datetime:
    return datetime.now(UTC)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. Raises CannotStart or OwnershipFileInvalid."""
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    metrics = Metrics()
    ownership = ActiveMap(settings.ownership, clock=now, metrics=metrics)
    tokens = IntakeTokens.parse(settings.intake_tokens) if settings.intake_tokens is not None else IntakeTokens()
    async with AsyncExitStack() as stack:
        listening = stack.enter_context(closing(_listening(settings.listen)))
        store = Store(settings.database, append=inbox.append, metrics=metrics)
        stack.push_async_callback(store.close)
        store.open(asyncio.get_running_loop())
        port = listening.getsockname()[1]
        try:
            last_id = await store.read(inbox.last_id)
        except StoreUnavailable as exc:
            raise CannotStart(
                f"ROUTER_DATABASE {settings.database}: {exc}. Restore a backup, or name a new file"
            ) from exc
        await ownership.keep_in(store)
        router = _Router(settings, ownership, store, tokens, metrics, port=port, last_id=last_id)
        await router.serve(listening)


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
        port: int,
        last_id: int,
    ) -> None:
        self._settings = settings
        self._ownership = ownership
        self._store = store
        self._tokens = tokens
        self._url = f"http://{settings.listen.url_host}:{port}"
        self._metrics = metrics
        self._arrived = asyncio.Event()
        self._wanted = asyncio.Event()
        self._stopping = asyncio.Event()
        self._health = SlackHealth()
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
        # What was made until now lives as long as the process: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        self._say_ready(preview)
        stopped = loop.create_task(self._stopping.wait())
        await asyncio.wait((answering, deciding, delivering, watching, stopped), return_when=asyncio.FIRST_COMPLETED)
        self._stop(None)
        server.should_exit = True
        await answering
        await deciding
        await delivering
        await watching
        log.info("stopped")

    def _app(self, preview: "_Preview | None") -> Intake:
        api = Api(
            store=self._store,
            ownership=self._ownership,
            health=self._health,
            metrics=self._metrics,
            clock=now,
            draining=self._stopping.is_set,
            map_changed=self._map_changed,
        )
        return Intake(
            inbox=self._inbox,
            tokens=self._tokens,
            metrics=self._metrics,
            clock=now,
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
            database=ENGINE,
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
            clock=now,
            metrics=self._metrics,
            wanted=self._wanted,
            arrivals=lambda: self._inbox.arrivals,
            cpu_clock=time.thread_time,
        )

        reassigner = Reassigner(
            store=self._store, ownership=self._ownership, clock=now, metrics=self._metrics, wanted=self._wanted
        )

        async def step() -> float | None:
            decided = await dispatcher.step()
            reassigned = await reassigner.step()
            if (rest_s := decided.rest_s(now=now())) > 0:
                await _wait(self._stopping, rest_s)
            return 0.0 if decided.more or reassigned else None

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
        delivery = Delivery(
            store=self._store,
            sender=sender,
            ownership=self._ownership,
            clock=now,
            monotonic=time.monotonic,
            jitter=random.random,
            metrics=self._metrics,
            wanted=self._wanted,
            health=self._health,
        )
        try:
            await self._keep_doing("delivery", delivery.step, woken=self._wanted)
            await delivery.finish()
        finally:
            await sender.close()

    async def _keep_doing(
        self, name: str, step: Callable[[], Awaitable[float | None]], *, woken: asyncio.Event
    ) -> None:
        """Repeat `step` until the router stops: at once, after the seconds it returns, or when woken."""
        while not self._stopping.is_set():
            if woken is not self._stopping:
                woken.clear()
            try:
                wait_s = await step()
            except StoreUnavailable:  # the store has said so; what is due stays due
                self._metrics.loop_failures.labels(name).inc()
                wait_s = AFTER_FAILURE_S
            except Exception:
                self._metrics.loop_failures.labels(name).inc()
                log.exception("loop_failed", loop=name)
                wait_s = AFTER_FAILURE_S
            if wait_s == 0.0:
                continue
            await _wait(woken, POLL_S if wait_s is None else min(wait_s, POLL_S))


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


def _preview(ownership: ActiveMap) -> _Preview:
    """A workspace with the channels and user groups of the map, also of one that is loaded later."""
    # Imported here: with a token none of it is needed, and it would cost memory and time at every start.
    from router.preview.app import preview_app
    from router.preview.emulator import Emulator
    from router.preview.workspace import ChannelSeed, UsergroupSeed

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
        )

    seed(ownership())
    ownership.listeners.append(seed)
    return _Preview(app=preview_app(emulator, control=False), token=token)
