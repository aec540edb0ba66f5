"""The load generator, a process of its own: its orders are one JSON on stdin, its result one JSON on stdout.

Closed loop: every connection sends its next request when the last was answered. Open loop (`rate`): requests are due at
fixed times whatever the server does, and latency counts from when a request was due, so a stall is in the figures.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Final

import uvloop

from tests.bench.bodies import MARK, mark

TICK_S: Final = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What to send. `templates` are taken in turn; `first` keeps the ids of several runs apart."""

    port: int
    path: str
    token: str
    templates: list[str]
    connections: int
    seconds: float
    warm_up_s: float = 1.0
    first: int = 0
    rate: float | None = None


@dataclass(slots=True, kw_only=True)
class Result:
    """Of the measured time only, without the warm-up."""

    answered: int = 0
    seconds: float = 0
    statuses: dict[str, int] = field(default_factory=dict)
    p50_ms: float = 0
    p99_ms: float = 0
    max_ms: float = 0


class Load:
    """All connections together: whose turn it is, which ids are used, and what came back."""

    def __init__(self, orders: Orders) -> None:
        head = (
            f"POST {orders.path} HTTP/1.1\r\nHost: 127.0.0.1:{orders.port}\r\nUser-Agent: Alertmanager/0.33.1\r\n"
            f"Content-Length: {{}}\r\nAuthorization: Bearer {orders.token}\r\nContent-Type: application/json\r\n\r\n"
        )
        bodies = [template.encode() for template in orders.templates]
        self._requests = [head.format(len(body)).encode() + body for body in bodies]
        self._orders = orders
        self._next = orders.first
        self._measured_from = self._measured_to = float("inf")
        self._latencies: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._idle: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next_request(self) -> bytes:
        number = self._next
        self._next += 1
        return self._requests[number % len(self._requests)].replace(MARK.encode(), mark(number).encode())

    def answered(self, connection: "Connection", status: int, due: float, now: float) -> None:
        if self._measured_from <= due and now <= self._measured_to:
            self._latencies.append(now - due)
            self._statuses[status] += 1
        if self._orders.rate is None:
            connection.send(self.next_request(), now)
        elif self._due:
            connection.send(self.next_request(), self._due.popleft())
        else:
            self._idle.append(connection)

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        connections = [
            (await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._orders.port))[1]
            for _ in range(self._orders.connections)
        ]
        started = time.monotonic()
        if self._orders.rate is None:
            for connection in connections:
                connection.send(self.next_request(), started)
        else:
            self._idle.extend(connections)
            self._tick(started, 0)
        loop.call_later(self._orders.warm_up_s, self._measure)
        loop.call_later(self._orders.warm_up_s + self._orders.seconds, self._finish)
        await self.done
        return self._result()

    def _tick(self, started: float, sent: int) -> None:
        """Open loop: send what has become due since the last tick."""
        assert self._orders.rate is not None
        now = time.monotonic()
        while (due := started + sent / self._orders.rate) <= now:
            if self._idle:
                self._idle.popleft().send(self.next_request(), due)
            else:
                self._due.append(due)
            sent += 1
        if not self.done.done():
            asyncio.get_running_loop().call_later(TICK_S, self._tick, started, sent)

    def _measure(self) -> None:
        self._measured_from = time.monotonic()
        print("measuring", flush=True)  # the parent reads the server's CPU time here …

    def _finish(self) -> None:
        self._measured_to = time.monotonic()
        print("measured", flush=True)  # … and here
        if not self.done.done():
            self.done.set_result(None)

    def _result(self) -> Result:
        ordered = sorted(self._latencies) or [0.0]
        return Result(
            answered=len(self._latencies),
            seconds=self._measured_to - self._measured_from,
            statuses={str(status): number for status, number in sorted(self._statuses.items())},
            p50_ms=ordered[len(ordered) // 2] * 1e3,
            p99_ms=ordered[len(ordered) * 99 // 100] * 1e3,
            max_ms=ordered[-1] * 1e3,
        )


class Connection(asyncio.Protocol):
    """Keep-alive, one request at a time, no pipelining: as Go's client in Alertmanager."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._due = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")  # uvloop's is no subclass
        self._transport = transport  # type: ignore[assignment]  # as above

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._received = b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + len(b"content-length:")
        if len(body) >= int(lower[at:].split(b"\r\n", 1)[0]):
            self._load.answered(self, int(head[9:12]), self._due, time.monotonic())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._load.done.done():
            self._load.done.set_exception(exc or ConnectionResetError("the server closed a connection under load"))


def main() -> None:
    orders = Orders(**json.load(sys.stdin))

    async def run() -> Result:
        return await Load(orders).run()

    print(json.dumps(asdict(uvloop.run(run()))), flush=True)


if __name__ == "__main__":
    main()
