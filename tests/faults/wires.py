"""A wire to a server that loses what the test says, on the one connection that carries it."""

import asyncio
import threading
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self

STARTED_WITHIN_S: Final = 10
# CommandComplete: it is done, and not only prepared (postgresql.org/docs/current/protocol-message-formats.html).
_COMMITTED: Final = b"C\x00\x00\x00\x0bCOMMIT\x00"


class Loss(Enum):
    """What becomes of a connection once it has carried the bytes that the test named."""

    ANSWER = auto()  # that its transaction is committed: it is, and the connection ends without saying so
    EVERYTHING = auto()  # no packet arrives any more, in either direction, and nobody is told


@dataclass
class _Carried:
    """What happened to one connection so far."""

    named: bool = False
    silent: bool = False


class Wire:
    """`with Wire(port) as wire:` listens on `wire.port` and carries everything to `port` and back."""

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self._server_port = server_port
        self._runner = asyncio.Runner()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._lost = threading.Event()
        self._named = b""
        self._loss = Loss.EVERYTHING
        self._carrying: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)

    def lose(self, loss: Loss, *, after: bytes) -> None:
        """On the first connection to the server that carries `after`, and on no other."""
        self._lost.clear()
        self._loss, self._named = loss, after

    def wait_for_the_loss(self, timeout_s: float = 10) -> None:
        assert self._lost.wait(timeout_s), f"nothing was lost within {timeout_s:g} s"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(STARTED_WITHIN_S), "the wire does not listen"
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STARTED_WITHIN_S)

    def _run(self) -> None:
        with self._runner as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        server.close()
        for carrying in self._carrying:
            carrying.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)

    async def _connection(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        carrying = asyncio.current_task()
        assert carrying is not None
        self._carrying.add(carrying)
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            try:
                await self._carry(client, to_client, server, to_server)
            finally:
                to_server.transport.abort()
        except OSError:  # the server is away, or one of the two went
            return
        finally:
            to_client.transport.abort()
            self._carrying.discard(carrying)

    async def _carry(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        """Until one of the two goes."""
        carried = _Carried()
        ways = {
            asyncio.create_task(self._there(client, to_server, carried)),
            asyncio.create_task(self._back(server, to_client, carried)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _there(self, client: asyncio.StreamReader, to_server: asyncio.StreamWriter, carried: _Carried) -> None:
        while sent := await client.read(65_536):
            if carried.silent:
                continue
            if self._named and self._named in sent:
                carried.named, self._named = True, b""
            to_server.write(sent)
            if carried.named and self._loss is Loss.EVERYTHING:
                carried.silent = True
                self._lost.set()

    async def _back(self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, carried: _Carried) -> None:
        while answered := await server.read(65_536):
            if carried.named and self._loss is Loss.ANSWER and _COMMITTED in answered:
                self._lost.set()
                return
            if not carried.silent:
                to_client.write(answered)
        if carried.silent:  # the server gave up, and nobody hears so
            await asyncio.Event().wait()
