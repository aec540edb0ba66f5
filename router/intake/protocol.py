"""HTTP connections that cannot be held for nothing: deadlines and a bound on the head, which uvicorn has not.

Without them, half a header or half a body stays open for ever, and httptools collects a head of any size.
(Kludex/uvicorn discussions of read timeouts; nodejs/llhttp leaves limits to its user)
"""

import asyncio
import resource
from enum import Enum
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from router.telemetry import Metrics

HEAD_TIMEOUT_S = 10.0
BODY_TIMEOUT_S = 30.0
MAX_HEAD_BYTES = 32 * 1024
# A chunked body comes with sizes and trailers. Chunks of 64 bytes are an eighth more; nobody sends smaller ones.
FRAMING_PER_BODY_BYTE = 1 / 8
# Alertmanager's idle connections live for five minutes; if we close first, its next notification meets a closed
# connection. (prometheus/common config/http_config.go: IdleConnTimeout)
KEEP_ALIVE_S = 320
# What is being answered at SIGTERM has this long.
GRACEFUL_SHUTDOWN_S = 10
# One Alertmanager opens up to 10,000 connections at once when its configuration is reloaded.
BACKLOG = 4096
MAX_OPEN_FILES = 65536


def uvicorn_settings(
    *, metrics: Metrics | None = None, head_timeout_s: float = HEAD_TIMEOUT_S, body_timeout_s: float = BODY_TIMEOUT_S
) -> dict[str, Any]:  # keyword arguments of uvicorn.Config, which has its own types
    """How uvicorn serves the router; without `metrics`, cut connections are not counted."""
    limits = {"metrics": metrics or Metrics(), "head_timeout_s": head_timeout_s, "body_timeout_s": body_timeout_s}
    return {
        "http": type("IntakeProtocol", (BoundedProtocol,), limits),
        "loop": "uvloop",
        "ws": "none",
        "interface": "asgi3",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "backlog": BACKLOG,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": GRACEFUL_SHUTDOWN_S,
    }


def raise_file_limit() -> int:
    """Room for one Alertmanager's connections: the soft limit of open files goes up as far as the hard one lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


class _Part(Enum):
    """What of a request is under way."""

    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"  # it is complete and being answered, or the connection is idle


class _HeadTooLarge(Exception):
    pass


class BoundedProtocol(HttpToolsProtocol):
    """Cuts a connection whose request is not complete in time, or whose head is too large.

    The deadlines are absolute: a byte now and then does not move them. A connection has one timer at most, and none
    while a request is answered or between two requests; for that uvicorn has the keep-alive timeout.
    """

    metrics: ClassVar[Metrics]
    head_timeout_s: ClassVar[float]
    body_timeout_s: ClassVar[float]

    _part = _Part.NOTHING
    _timed = _Part.NOTHING  # the part that the timer runs for
    _timer: asyncio.TimerHandle | None = None
    _body_bytes = 0
    _other_bytes = 0  # of this request: its head, and the framing of a chunked body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_timer(_Part.HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._other_bytes += len(data)
        super().data_received(data)
        part = self._part
        if part is _Part.NOTHING:
            if self._answering():
                return
            # Line ends before a request: they stopped the keep-alive timeout, so a deadline takes over.
            part = _Part.HEAD
        if self.transport.is_closing():
            return
        if part is not self._timed:
            self._stop_timer()
            self._start_timer(part)
        if self._other_bytes > MAX_HEAD_BYTES + self._body_bytes * FRAMING_PER_BODY_BYTE:
            self._refuse_head()

    def on_message_begin(self) -> None:
        self._part = _Part.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        # What was received is at least the head; only where that is much, the head is measured.
        if self._other_bytes > MAX_HEAD_BYTES and self._head_bytes() > MAX_HEAD_BYTES:
            raise _HeadTooLarge
        self._part = _Part.BODY
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._other_bytes -= len(body)
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = _Part.NOTHING
        self._other_bytes = self._body_bytes = 0
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        # uvicorn calls it for whatever stopped the parser.
        if self._other_bytes > MAX_HEAD_BYTES and self._part is _Part.HEAD:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def _start_timer(self, part: _Part) -> None:
        self._timed = part
        timeout_s = self.head_timeout_s if part is _Part.HEAD else self.body_timeout_s
        self._timer = self.loop.call_later(timeout_s, self._give_up)

    def _stop_timer(self) -> None:
        self._timed = _Part.NOTHING
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        # Without a 408: Alertmanager tries again at once when a connection breaks, but not after a 4xx.
        self.metrics.connections_cut.labels("receive_deadline").inc()
        self.transport.abort()

    def _refuse_head(self) -> None:
        self.metrics.connections_cut.labels("header_too_large").inc()
        if self._answering():
            self.transport.abort()
            return
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        )
        self.transport.close()
