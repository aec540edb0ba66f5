"""uvicorn's HTTP protocol with a hand on the connection, for faults that HTTP cannot express.

Only the stand-alone emulator and the tests are served by this; in preview mode the router's own server does it.
"""

import asyncio
import socket
import struct
from typing import Final

from starlette.types import ASGIApp, Scope
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_EXTENSION: Final = "router.preview.connection"


class Connection:
    """What a fault may do to the client's connection."""

    def __init__(self, transport: asyncio.Transport, server: "Server") -> None:
        self._transport = transport
        self._server = server

    def close(self) -> None:
        """FIN, after what was written."""
        self._transport.close()

    def reset(self) -> None:
        """RST, as a machine that went away: SO_LINGER of zero seconds makes the kernel send it."""
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self._transport.abort()

    def refuse(self, seconds: float) -> None:
        """Reset this and every other connection, and let nobody connect for so long."""
        self._server.refuse(seconds)


def connection_of(scope: Scope) -> Connection:
    found = scope.get("extensions", {}).get(_EXTENSION, {}).get("connection")
    if not isinstance(found, Connection):
        raise RuntimeError("this fault needs router.preview.transport.Server")
    return found


class Server:
    """One listening address on the running event loop.

    Not uvicorn's own Server: that one starts and stops in steps of 0.1 s, takes the signals, and cannot refuse.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._config = Config(
            app,
            http=HttpToolsProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self._config.load()
        self._state = ServerState()
        self._listener: asyncio.Server | None = None
        self._again: asyncio.TimerHandle | None = None
        self._starting: asyncio.Task[int] | None = None
        self._address = ("127.0.0.1", 0)

    async def listen(self, host: str | None = None, port: int | None = None) -> int:
        """Listen there, or where it listened last; returns the port."""
        address = (host or self._address[0], self._address[1] if port is None else port)
        self._listener = await asyncio.get_running_loop().create_server(self._protocol, *address)
        self._address = (address[0], self._listener.sockets[0].getsockname()[1])
        return self._address[1]

    async def stop(self) -> None:
        """Nobody listens, every connection is reset, and whoever answered one has noticed."""
        self._close()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)

    def refuse(self, seconds: float) -> None:
        self._close()
        self._again = asyncio.get_running_loop().call_later(seconds, self._listen_again)

    def _close(self) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._listener is not None:
            self._listener.close()
        for protocol in list(self._state.connections):
            Connection(protocol.transport, self).reset()

    def _listen_again(self) -> None:
        self._starting = asyncio.ensure_future(self.listen())

    def _protocol(self) -> asyncio.Protocol:
        return _Protocol(self)

    @property
    def config(self) -> Config:
        return self._config

    @property
    def state(self) -> ServerState:
        return self._state


class _Protocol(HttpToolsProtocol):
    def __init__(self, server: Server) -> None:
        super().__init__(server.config, server.state, {})
        self._server = server

    def on_message_begin(self) -> None:
        super().on_message_begin()
        # ASGI's own door for what a server offers beyond the protocol.
        self.scope["extensions"] = {_EXTENSION: {"connection": Connection(self.transport, self._server)}}
