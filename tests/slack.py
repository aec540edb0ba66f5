"""Slack for the tests: the strict emulator over real HTTP, in a thread, asked for violations at the end."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import pytest
import uvloop

from router.preview.app import preview_app
from router.preview.emulator import Emulator
from router.preview.rates import Rates
from router.preview.transport import Server
from router.preview.workspace import Keep, Message

STARTED_WITHIN_S: Final = 10


class SlackServer:
    """`with SlackServer() as slack:` listens on a free port of 127.0.0.1 before the block begins.

    The clock is the real one, and `emulator.advance(seconds)` moves it; `clock=lambda: 1763722980.0` stands still.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        rates: Rates | None = None,
        link_hosts: frozenset[str] | None = None,
    ) -> None:
        self.emulator = Emulator(
            clock=clock, rates=rates or Rates.strict(), keep=Keep.everything(), link_hosts=link_hosts
        )
        self.token = self.emulator.token
        self._server = Server(preview_app(self.emulator, control=True))
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._port = 0
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="slack", daemon=True)
        self._expected: frozenset[int] = frozenset()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def api_url(self) -> str:
        return f"{self.url}api/"

    def messages(self, channel: str) -> list[Message]:
        """All messages, replies too, by rising ts."""
        return self.emulator.messages(channel)

    def roots(self, channel: str) -> list[Message]:
        return [message for message in self.messages(channel) if message.is_root]

    def thread(self, channel: str, root_ts: str) -> list[Message]:
        """The replies, without the root."""
        return [message for message in self.messages(channel) if message.thread_ts == root_ts]

    def notified(self, target: str) -> int:
        """How often this user group's, or user's, phone rang."""
        return sum(entry.target == target for entry in self.emulator.notified)

    def posts_of(self, delivery_id: str) -> list[str]:
        """The ts of every post that took effect under this delivery id; more than one is a duplicate."""
        return [
            entry.ts
            for entry in self.emulator.accepted
            if entry.delivery_id == delivery_id and entry.method == "chat.postMessage"
        ]

    def wait_for(self, predicate: Callable[["SlackServer"], bool], *, timeout_s: float = 10) -> None:
        """Return as soon as the predicate holds; it is asked again after every call to Slack."""
        with self.emulator.changed:
            if not self.emulator.changed.wait_for(lambda: predicate(self), timeout_s):
                pytest.fail(f"not seen within {timeout_s} s; Slack knows {self.emulator.state()}"[:4_000])

    def expect_violations(self, *rules: int) -> None:
        """This test breaks these rules, and each of them, on purpose."""
        self._expected = frozenset(rules)

    def check(self) -> None:
        """Fail unless exactly the expected rules were broken: none, if nothing was said."""
        found = self.emulator.violations
        lines = [f"rule {v.rule} {v.rule.name}: {v.method} to {v.channel}: {v.message}" for v in found]
        assert {violation.rule for violation in found} == self._expected, "\n".join(
            [f"expected violations of rules {sorted(self._expected)}, found {len(found)}:", *lines]
        )

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Nobody listens meanwhile, and every open connection is reset; afterwards the port is the same again."""
        self._do(self._server.stop())
        try:
            yield
        finally:
            self._do(self._listen())

    def start(self) -> None:
        self._thread.start()
        if not self._listening.wait(STARTED_WITHIN_S) or self._failure:
            raise RuntimeError("the emulator does not listen") from self._failure

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STARTED_WITHIN_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            with self._runner as runner:
                runner.run(self._serve())
        except BaseException as failure:  # to the thread that waits in start()
            self._failure = failure
            raise
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = await self._server.listen("127.0.0.1", 0)
        self._listening.set()
        await self._stop.wait()
        await self._server.stop()

    async def _listen(self) -> None:
        await self._server.listen()

    def _do(self, work: Coroutine[None, None, None]) -> None:
        assert self._loop is not None, "start it first"
        asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTED_WITHIN_S)


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """A strict Slack without channels (`slack.emulator.seed(…)`); the test fails if a call broke one of its rules."""
    with SlackServer() as server:
        yield server
        server.check()
