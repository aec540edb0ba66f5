"""Somebody who asks the API of a router without its server."""

import json
from collections.abc import Mapping
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

    def __init__(self, house: House, map_file: Path, *, admin_token: str | None = None) -> None:
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
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self._app, client=peer)
        async with httpx2.AsyncClient(transport=transport, base_url="http://router") as client:
            return await client.request(method, path, headers=headers, content=body)

    async def json(self, path: str) -> Any:  # Any: what the answer holds
        return (await self.ask(path)).json()

    async def post(self, path: str, question: Mapping[str, object]) -> Any:  # Any: as above
        answer = await self.ask(path, method="POST", body=json.dumps(question).encode())
        assert answer.status_code == 200, answer.text
        return answer.json()
