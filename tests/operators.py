"""Somebody who asks the API of a router without its server."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2

from router.active_map import ActiveMap
from router.api import Api
from tests.house import House

LOCAL: Final = ("127.0.0.1", 40000)
ELSEWHERE: Final = ("10.0.0.7", 40000)


class Operator:
    """Asks the API of a house, from this machine unless said otherwise."""

    def __init__(
        self, house: House, map_file: Path, *, admin_token: str | None = None, signing_secret: str | None = None
    ) -> None:
        self.map_file = map_file
        self.draining = False
        self.woken = 0  # how often a replay woke those who decide and deliver
        self.ownership = ActiveMap(map_file, clock=house.clock, metrics=house.metrics)
        api = Api(
            store=house.store,
            ownership=self.ownership,
            health=house.health,
            metrics=house.metrics,
            clock=house.clock,
            draining=lambda: self.draining,
            map_changed=lambda: None,
            replayed=self._wake,
            drawn=lambda: 0,
            actions=house.actions,
            signing_secret=signing_secret,
        )
        self._app = api.app(admin_token=admin_token, preview=None)

    def _wake(self) -> None:
        self.woken += 1

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        peer: tuple[str, int] = LOCAL,
        headers: Mapping[str, str] | Sequence[tuple[bytes, bytes]] | None = None,
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self._app, client=peer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:9095") as client:
            return await client.request(method, path, headers=headers, content=body)

    async def leave(self, path: str) -> int:
        """The answer to somebody who hangs up in the middle of a body."""
        given = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
        sent: list[Any] = []  # Any: ASGI messages
        scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"", "client": LOCAL}

        async def receive() -> Any:  # Any: as above
            return given.pop(0)

        async def send(message: Any) -> None:  # Any: as above
            sent.append(message)

        await self._app(scope, receive, send)
        status: int = sent[0]["status"]
        return status

    async def json(self, path: str) -> Any:  # Any: what the answer holds
        return (await self.ask(path)).json()

    async def post(self, path: str, question: Mapping[str, object]) -> Any:  # Any: as above
        answer = await self.ask(path, method="POST", body=json.dumps(question).encode())
        assert answer.status_code == 200, answer.text
        return answer.json()
