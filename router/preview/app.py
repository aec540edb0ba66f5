"""The emulator over HTTP: Slack's API, the pages, and for tests the control paths."""

import asyncio
import re
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from router.preview import pages
from router.preview.call import Request
from router.preview.emulator import Answer, Emulator
from router.preview.faults import Fault, FaultKind
from router.preview.transport import connection_of
from router.preview.workspace import ChannelSeed, TokenState, UsergroupSeed, UserSeed

MOST_BODY_BYTES: Final = 1_048_576


def preview_app(emulator: Emulator, *, control: bool) -> Starlette:
    """`/api/{method}`, `/` and `/channels/{id}`, wherever it is mounted; `control` adds `/_emu/…`, for tests only."""
    routes: list[BaseRoute] = [
        Route("/api/{method}", _Api(emulator)),
        *_page_routes(emulator, standalone=control),
    ]
    return Starlette(routes=[*routes, *(_control_routes(emulator) if control else [])])


class _Api:
    """A bare ASGI callable: some faults never answer, which no Response can say."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = HttpRequest(scope, receive)
        body = bytearray()
        try:
            async for chunk in http.stream():
                body += chunk
                if len(body) > MOST_BODY_BYTES:
                    await Response(status_code=413)(scope, receive, send)
                    return
        except ClientDisconnect:
            return
        method: str = scope["path_params"]["method"]
        answer = self._emulator.call(
            Request(
                method=method,
                verb=http.method,
                content_type=http.headers.get("content-type", ""),
                query=http.url.query,
                body=bytes(body),
                authorization=http.headers.get("authorization", ""),
                url=str(http.url.replace(query="")).removesuffix(f"api/{method}"),
            )
        )
        await _deliver(answer, scope, receive, send)


async def _deliver(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(
        answer.body, status_code=answer.status, headers=dict(answer.headers), media_type=answer.content_type
    )
    if answer.fault is None:
        await response(scope, receive, send)
        return
    connection = connection_of(scope)
    match answer.fault.kind:
        case FaultKind.SLOW:
            if not await _left(receive, within=answer.fault.seconds):
                await response(scope, receive, send)
            return
        case FaultKind.CLOSE:
            connection.close()
        case FaultKind.RESET:
            connection.reset()
        case FaultKind.REFUSE:
            connection.refuse(answer.fault.seconds)
        case FaultKind.HALF_BODY:
            await send({"type": "http.response.start", "status": answer.status, "headers": response.raw_headers})
            half = response.body[: len(response.body) // 2]
            await send({"type": "http.response.body", "body": bytes(half), "more_body": True})
            connection.close()
        case _:  # HANG: silence
            pass
    await _left(receive, within=None)


async def _left(receive: Receive, *, within: float | None) -> bool:
    """Whether the client went away, within so many seconds."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def _page_routes(emulator: Emulator, *, standalone: bool) -> list[BaseRoute]:
    # Plain functions, so that starlette renders them on a thread of their own and not on the event loop.
    def index(request: HttpRequest) -> Response:
        return _page(pages.index(emulator, example=example(request)))

    def channel(request: HttpRequest) -> Response:
        rendered = pages.channel(
            emulator,
            request.path_params["channel"],
            before=request.query_params.get("before", ""),
            paused="paused" in request.query_params,
            example=example(request),
        )
        return _page(rendered) if rendered else _page(pages.missing(), status=404)

    def example(request: HttpRequest) -> str:
        host = request.url.netloc
        if not standalone:
            return pages.webhook_example(host)
        first = next((seed.id for seed in emulator.channels), "C…")
        channel_id = request.path_params.get("channel", first)
        return pages.post_example(host, channel_id=channel_id, token=emulator.token)

    def archived(request: HttpRequest) -> Response:
        """The address of a message, as Slack makes them: the page that begins with it."""
        found = re.fullmatch(r"p([0-9]{7,17})", request.path_params["message"])
        if found is None:
            return _page(pages.missing(), status=404)
        ts, next_ts = (f"{at // 1_000_000}.{at % 1_000_000:06d}" for at in (int(found[1]), int(found[1]) + 1))
        where = f"../../channels/{quote(request.path_params['channel'], safe='')}?before={next_ts}#m{ts}"
        return RedirectResponse(where, status_code=303, headers=pages.HEADERS)

    def style(_: HttpRequest) -> Response:
        return Response(pages.STYLE, media_type="text/css", headers={"cache-control": "max-age=300"})

    return [
        Route("/", index),
        Route("/channels/{channel}", channel),
        Route("/archives/{channel}/{message}", archived),
        Route("/style.css", style),
    ]


def _page(html: str, *, status: int = 200) -> Response:
    return HTMLResponse(html, status_code=status, headers=pages.HEADERS)


def _control_routes(emulator: Emulator) -> list[BaseRoute]:
    async def seed(request: HttpRequest) -> Response:
        asked = await request.json()
        token = asked.get("token", {})
        emulator.seed(
            channels=[ChannelSeed(**channel) for channel in asked.get("channels", ())],
            usergroups=[UsergroupSeed(**group) for group in asked.get("usergroups", ())],
            users=[UserSeed(**user) for user in asked.get("users", ())],
        )
        if token:
            scopes = token.get("scopes")
            state = TokenState(token.get("state", TokenState.LIVE))
            emulator.set_token(state, scopes=None if scopes is None else frozenset(scopes))
        return JSONResponse({"ok": True})

    async def faults(request: HttpRequest) -> Response:
        asked = await request.json()
        script = [Fault(**{**fault, "kind": FaultKind(fault["kind"])}) for fault in asked.get("faults", ())]
        emulator.script(*script, seed=asked.get("seed", 0))
        return JSONResponse({"ok": True})

    async def clock(request: HttpRequest) -> Response:
        if request.method == "POST":
            emulator.advance((await request.json())["advance"])
        return JSONResponse({"now": emulator.now()})

    def state(_: HttpRequest) -> Response:
        return JSONResponse(emulator.state())

    def violations(_: HttpRequest) -> Response:
        return JSONResponse(emulator.state()["violations"])

    return [
        Route("/_emu/seed", seed, methods=["POST"]),
        Route("/_emu/faults", faults, methods=["POST"]),
        Route("/_emu/clock", clock, methods=["GET", "POST"]),
        Route("/_emu/state", state),
        Route("/_emu/violations", violations),
    ]
