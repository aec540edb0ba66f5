"""The intake behind a real uvicorn with the real protocol class, and an inbox that does as it is told."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from router.core.model import Source
from router.intake.http import Intake
from router.intake.protocol import uvicorn_settings
from router.intake.tokens import IntakeTokens
from router.telemetry import Metrics
from tests.router_process import Answer, request

NOW: Final = datetime(2026, 11, 21, 10, 3, tzinfo=UTC)
TOKEN: Final = "token-of-the-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    source: Source
    body: bytes
    error: str | None
    now: datetime


@dataclass(slots=True, kw_only=True)
class FakeInbox:
    """Remembers what it was given; fails or waits if it is told to."""

    fails: Exception | None = None
    accepted: dict[str, Accepted] = field(default_factory=dict)
    refusals: list[tuple[Source, str, datetime]] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)
    may_go_on: threading.Event = field(default_factory=threading.Event)
    waits: bool = False

    async def accept(self, *, source: Source, body: bytes, error: str | None, now: datetime) -> str:
        self.asked.set()
        if self.waits:
            await asyncio.to_thread(self.may_go_on.wait, 10)
        if self.fails is not None:
            raise self.fails
        identifier = f"N{len(self.accepted)}"
        self.accepted[identifier] = Accepted(source=source, body=body, error=error, now=now)
        return identifier

    def refused(self, *, source: Source, error: str, now: datetime) -> None:
        self.refusals.append((source, error, now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running server."""

    port: int
    inbox: FakeInbox
    metrics: Metrics

    def post(
        self,
        body: bytes,
        *,
        path: str = "/webhooks/alertmanager",
        method: str = "POST",
        authorization: str | None = f"Bearer {TOKEN}",
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if authorization is not None:
            sent["Authorization"] = authorization
        return request(f"http://127.0.0.1:{self.port}{path}", method, body, headers=sent)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0


async def _elsewhere(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"elsewhere: {request.url.path}")


def app(inbox: FakeInbox, tokens: str, metrics: Metrics) -> Intake:
    return Intake(
        inbox=inbox,
        tokens=IntakeTokens.parse(tokens),
        metrics=metrics,
        clock=lambda: NOW,
        otherwise=Starlette(routes=[Route("/{rest:path}", _elsewhere)]),
    )


@contextmanager
def serving(
    *,
    inbox: FakeInbox | None = None,
    tokens: str = f"tests:{TOKEN}",
    head_timeout_s: float = 10,
    body_timeout_s: float = 30,
) -> Iterator[Served]:
    inbox = inbox or FakeInbox()
    metrics = Metrics()
    settings = uvicorn_settings(metrics=metrics, head_timeout_s=head_timeout_s, body_timeout_s=body_timeout_s)
    server = uvicorn.Server(uvicorn.Config(app(inbox, tokens, metrics), **settings | {"timeout_graceful_shutdown": 1}))
    # Bound before the server runs, so that no test has to wait for it: connections queue.
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), name="intake under test")
        thread.start()
        try:
            yield Served(port=listening.getsockname()[1], inbox=inbox, metrics=metrics)
        finally:
            inbox.may_go_on.set()
            server.should_exit = True
            thread.join(10)
    assert not thread.is_alive()
