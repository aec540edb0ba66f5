"""Sending: what goes over the wire, and one class for every way in which it can go wrong."""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from prometheus_client import generate_latest
from slack_sdk.web.async_client import AsyncWebClient

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass, IncidentState, Language, MessageKind
from router.notify.blocks import Payload, plain, render, render_notice
from router.notify.slack import SlackSender
from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, UsergroupSeed
from router.telemetry import Metrics
from tests.notify import cards
from tests.notify.cards import LABELS, NOW, card, hints, shown
from tests.notify.hostile import NASTY
from tests.slack import SlackServer

TOKEN = "xoxb-1-very-secret"
PAYLOAD = Payload(kind="firing", text="CRITICAL firing: HighErrorRate")
HANG_UP = b""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(
    body: str | bytes, *, status: str = "200 OK", content_type: str = "application/json", headers: str = ""
) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: {content_type}\r\n{headers}"
    return f"{head}content-length: {len(content)}\r\n\r\n".encode() + content


def says(**values: object) -> bytes:
    return answer(json.dumps(values))


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    return await reader.readexactly(length)


def answering(content: bytes) -> Serve:
    """Takes the whole request, writes this and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(content)
        await writer.drain()

    return serve


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _read_request(reader)
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the client gives up."""
    await reader.read()


async def _no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(answer("", status="400 Bad Request"))


class _Nowhere(AbstractResolver):
    """A DNS that knows no name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        raise OSError(f"no such host: {host}")

    async def close(self) -> None:
        return None


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/api/"


@asynccontextmanager
async def sender_to(
    url: str,
    *,
    metrics: Metrics | None = None,
    limits: aiohttp.ClientTimeout | None = None,
    dns: AbstractResolver | None = None,
) -> AsyncIterator[SlackSender]:
    """As `SlackSender.open` makes it, with timeouts that a test can wait for."""
    session = aiohttp.ClientSession(
        timeout=limits or aiohttp.ClientTimeout(total=5, connect=5, sock_read=5),
        connector=aiohttp.TCPConnector(resolver=dns),
    )
    client = AsyncWebClient(TOKEN, base_url=url, session=session, retry_handlers=[])
    client.proxy = None
    sender = SlackSender(client=client, session=session, metrics=metrics or Metrics())
    try:
        yield sender
    finally:
        await sender.close()


async def post(sender: SlackSender, payload: Payload = PAYLOAD) -> str:
    return await sender.post("C0PAYALERT", payload, delivery_id="d_1", group="8f3c1d20", revision=1)


async def update(sender: SlackSender, payload: Payload = PAYLOAD, *, ts: str = "1763722980.000100") -> None:
    await sender.update("C0PAYALERT", ts, payload, delivery_id="d_1", group="8f3c1d20", revision=2)


async def failure_of(call: Coroutine[Any, Any, object]) -> DeliveryFailed:
    with pytest.raises(DeliveryFailed) as caught:
        await call
    return caught.value


CLEAN = {"ok": True, "channel": "C0PAYALERT", "ts": "1763722980.000100", "message": {}}


AMBIGUOUS, TRANSIENT, NOT_SENT = FailureClass.AMBIGUOUS, FailureClass.TRANSIENT, FailureClass.NOT_SENT


@pytest.mark.parametrize("call", [post, update])
@pytest.mark.parametrize(
    ("serve", "failure", "reason", "retry_after_s"),
    [
        pytest.param(answering(HANG_UP), AMBIGUOUS, "disconnected", None, id="accepted, then closed"),
        pytest.param(_reset, AMBIGUOUS, "disconnected", None, id="accepted, then RST"),
        pytest.param(
            answering(answer(json.dumps(CLEAN))[:-20]), AMBIGUOUS, "half_an_answer", None, id="accepted, half a body"
        ),
        pytest.param(
            answering(answer("<html>", status="500 Oops", content_type="text/html")),
            AMBIGUOUS,
            "http_500",
            None,
            id="500 with a page",
        ),
        pytest.param(
            answering(answer('{"ok":false,"error":"service_unavailable"}', status="503 Busy")),
            AMBIGUOUS,
            "service_unavailable",
            None,
            id="503 with Slack's word",
        ),
        pytest.param(
            answering(answer('{"ok":false,"error":"brand_new"}', status="502 Bad")),
            AMBIGUOUS,
            "brand_new",
            None,
            id="5xx with an unknown word",
        ),
        pytest.param(
            answering(
                answer('{"ok":false,"error":"ratelimited"}', status="429 Slow down", headers="retry-after: 30\r\n")
            ),
            TRANSIENT,
            "ratelimited",
            30,
            id="429 with seconds",
        ),
        pytest.param(
            answering(answer("<html>", status="429 No", content_type="text/html", headers="Retry-After: 7\r\n")),
            TRANSIENT,
            "ratelimited",
            7,
            id="429 with a page",
        ),
        pytest.param(
            answering(answer("{}", status="429 No", headers="Retry-After: Fri, 21 Nov 2025 11:03:00 GMT\r\n")),
            TRANSIENT,
            "ratelimited",
            None,
            id="429 with a date",
        ),
        pytest.param(answering(answer("{}", status="429 No")), TRANSIENT, "ratelimited", None, id="429 bare"),
        pytest.param(
            answering(answer("<html>", content_type="text/html")), AMBIGUOUS, "not_json", None, id="200 with a page"
        ),
        pytest.param(answering(answer("ok", content_type="text/plain")), AMBIGUOUS, "not_json", None, id="200 as text"),
        pytest.param(answering(answer("{broken")), AMBIGUOUS, "not_json", None, id="200, JSON that breaks off"),
        pytest.param(answering(answer(b"\xff\xfe{")), AMBIGUOUS, "not_json", None, id="200, bytes that are no text"),
        pytest.param(answering(answer("[]")), AMBIGUOUS, "not_json", None, id="200, an empty list"),
        pytest.param(answering(answer("[1]")), AMBIGUOUS, "not_json", None, id="200, a list"),
        pytest.param(answering(answer("null")), AMBIGUOUS, "not_json", None, id="200, null"),
        pytest.param(answering(answer('"ok"')), AMBIGUOUS, "not_json", None, id="200, a string"),
        pytest.param(
            answering(answer(b"\x1f\x8b", content_type="application/gzip")), AMBIGUOUS, "not_json", None, id="200, gzip"
        ),
        pytest.param(answering(says(ok=True)), AMBIGUOUS, "no_ts", None, id="ok without ts"),
        pytest.param(answering(says(ok=True, ts=1763722980.1)), AMBIGUOUS, "no_ts", None, id="ok, ts is a number"),
        pytest.param(answering(says(ok=False)), AMBIGUOUS, "not_json", None, id="not ok, no word"),
        pytest.param(
            answering(says(ok=False, error=f"{TOKEN} <html>")), AMBIGUOUS, "not_json", None, id="not a word of Slack's"
        ),
        pytest.param(answering(answer("", status="404 Where")), AMBIGUOUS, "http_404", None, id="404"),
        pytest.param(
            answering(says(ok=False, error="is_archived")), FailureClass.CHANNEL, "is_archived", None, id="archived"
        ),
        pytest.param(
            answering(says(ok=False, error="invalid_blocks", errors=["x"])),
            FailureClass.CONTENT,
            "invalid_blocks",
            None,
            id="blocks refused",
        ),
        pytest.param(
            answering(says(ok=False, error="token_revoked")), FailureClass.APP, "token_revoked", None, id="token"
        ),
        pytest.param(
            answering(says(ok=False, error="brand_new")), FailureClass.UNKNOWN, "brand_new", None, id="an unknown word"
        ),
    ],
)
def test_every_answer_has_a_class(
    call: Callable[[SlackSender], Coroutine[Any, Any, object]],
    serve: Serve,
    failure: FailureClass,
    reason: str,
    retry_after_s: int | None,
) -> None:
    """Anything but a clean answer is DeliveryFailed with its class; it is counted, and the call is not repeated."""
    connections = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await serve(reader, writer)

    async def send() -> tuple[DeliveryFailed, Metrics]:
        metrics = Metrics()
        async with listening(counted) as url, sender_to(url, metrics=metrics) as sender:
            return await failure_of(call(sender)), metrics

    failed, metrics = asyncio.run(send())
    assert (failed.failure, failed.reason) == (failure, reason)
    assert failed.retry_after == (None if retry_after_s is None else timedelta(seconds=retry_after_s))
    assert connections == 1
    method = "chat.postMessage" if call is post else "chat.update"
    assert f'router_slack_calls_total{{method="{method}",outcome="{failure}"}} 1.0' in exposed(metrics)
    assert f'router_slack_call_seconds_count{{method="{method}"}} 1.0' in exposed(metrics)


def exposed(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


SHORT_READ = aiohttp.ClientTimeout(total=5, sock_read=0.05)
SHORT_TOTAL = aiohttp.ClientTimeout(total=0.1)
SHORT_CONNECT = aiohttp.ClientTimeout(total=5, connect=0.05)


@pytest.mark.parametrize(
    ("limits", "scheme", "failure", "reason"),
    [
        pytest.param(SHORT_READ, "http", AMBIGUOUS, "timed_out", id="accepted, then silence"),
        pytest.param(SHORT_TOTAL, "http", AMBIGUOUS, "timed_out", id="too long in total"),
        pytest.param(SHORT_CONNECT, "https", NOT_SENT, "connect_timed_out", id="TLS that never finishes"),
    ],
)
def test_silence(limits: aiohttp.ClientTimeout, scheme: str, failure: FailureClass, reason: str) -> None:
    """Before the connection stands nothing was sent; afterwards nobody knows."""

    async def send() -> DeliveryFailed:
        async with (
            listening(_silent) as url,
            sender_to(url.replace("http", scheme), limits=limits) as sender,
        ):
            return await failure_of(post(sender))

    failed = asyncio.run(send())
    assert (failed.failure, failed.reason) == (failure, reason)


def test_nothing_is_sent_where_nobody_listens() -> None:
    """Refused, unknown to DNS, no TLS, a proxy that is away, our own session closed: surely not sent."""

    async def send() -> list[DeliveryFailed]:
        failures = []
        async with listening(_silent) as url:
            port = url.split(":")[2].split("/")[0]
        async with sender_to(url) as sender:
            failures.append(await failure_of(post(sender)))
            await sender.close()
            failures.append(await failure_of(post(sender)))
        async with sender_to("https://slack.invalid/api/", dns=_Nowhere()) as sender:
            failures.append(await failure_of(post(sender)))
        async with listening(_no_tls) as plain_http, sender_to(plain_http.replace("http", "https")) as sender:
            failures.append(await failure_of(post(sender)))
        sender = await SlackSender.open(
            token=TOKEN, metrics=Metrics(), api_url="http://slack.invalid/api/", proxy=f"http://127.0.0.1:{port}"
        )
        failures.append(await failure_of(post(sender)))
        await sender.close()
        return failures

    failures = asyncio.run(send())
    assert {failed.failure for failed in failures} == {NOT_SENT}
    assert [failed.reason for failed in failures] == ["connect_failed", "closed", *["connect_failed"] * 3]


def test_the_environment_does_not_choose_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK takes HTTP_PROXY and knows no NO_PROXY: the preview on loopback would not be reached."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def send() -> str:
        async with listening(answering(says(**CLEAN))) as url:
            sender = await SlackSender.open(token=TOKEN, metrics=Metrics(), api_url=url)
            try:
                return await post(sender)
            finally:
                await sender.close()

    assert asyncio.run(send()) == "1763722980.000100"


def _with_causes(error: BaseException | None) -> str:
    """The error as the most talkative log would write it: with its causes and the variables of every frame."""
    assert error is not None
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(told.format())


@pytest.mark.parametrize(
    "serve", [answering(says(ok=False, error="invalid_auth")), answering(answer("{broken")), answering(HANG_UP)]
)
def test_no_error_holds_the_token(serve: Serve) -> None:
    """Slack's own error carries the request with its bearer token; ours does not carry that error."""

    async def send() -> DeliveryFailed:
        async with listening(serve) as url, sender_to(url) as sender:
            return await failure_of(post(sender))

    failed = asyncio.run(send())
    assert TOKEN not in _with_causes(failed)
    assert failed.__cause__ is None
    assert failed.__context__ is None


def test_what_goes_over_the_wire() -> None:
    """Nothing unfurled or parsed, old attachments cleared, and no metadata beside text alone."""
    bodies: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(json.loads(await _read_request(reader)))
        writer.write(says(**CLEAN))
        await writer.drain()

    async def send() -> None:
        async with listening(serve) as url, sender_to(url) as sender:
            assert await post(sender, render(card())) == CLEAN["ts"]
            await update(sender, plain(render(card())))

    asyncio.run(send())
    posted, edited = bodies
    payload = render(card())
    assert posted == {
        "channel": "C0PAYALERT",
        "text": payload.text,
        "blocks": list(payload.blocks),
        "attachments": list(payload.attachments),
        "metadata": {
            "event_type": "alert_router_notification",
            "event_payload": {"v": 1, "delivery_id": "d_1", "kind": "firing", "group": "8f3c1d20", "rev": 1},
        },
        "unfurl_links": False,
        "unfurl_media": False,
    }
    assert edited == {
        "channel": "C0PAYALERT",
        "ts": "1763722980.000100",
        "text": plain(payload).text,
        "blocks": [],
        "attachments": [],
        "parse": "none",
    }


def test_slack_is_not_imported_before_it_is_needed() -> None:
    """The process listens 0.4 s earlier."""
    code = "import sys, router.notify.slack; sys.exit(bool({'aiohttp', 'slack_sdk'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def _hostile(text: str, language: Language) -> list[Payload]:
    labels = {**LABELS, **dict.fromkeys(("alertname", "service", "cluster", text), text)}
    annotations = dict.fromkeys(("summary", "description", "value", "runbook_url", "dashboard_url", "link"), text)
    alerts = tuple(shown({**labels, "pod": f"{n}{text}"}, annotations, hints=hints(runbook=text)) for n in range(3))
    told = card(alerts=alerts, owner=text or "x", drift=(text,), language=language)
    return [
        render(told),
        render(cards.orphan(alerts=alerts[:1], language=language)),
        render(cards.check_in(alerts=alerts[:1], language=language)),
        render(cards.resolved(alerts=alerts, language=language)),
        render(cards.card(kind=MessageKind.COPY, alerts=alerts, language=language)),
        render_notice(cards.notice(error=text), language, cards.orphan().mention),
    ]


def _all_payloads() -> list[Payload]:
    payloads = [render(told) for language in Language for told in cards.every_kind(language).values()]
    payloads += [render_notice(cards.notice(), language, cards.card().mention) for language in Language]
    payloads += [payload for text in NASTY for language in Language for payload in _hostile(text, language)]
    return [*payloads, *map(plain, payloads)]


def test_every_kind_of_message_breaks_no_rule_of_slack() -> None:
    """All kinds in both languages, and hostile text in each: posted, edited, and shown as they were sent."""
    payloads = _all_payloads()
    with SlackServer(rates=Rates.unlimited()) as slack:
        slack.emulator.seed(
            channels=[ChannelSeed(id="C0PAYALERT", name="pay-alerts")],
            usergroups=[
                UsergroupSeed(id="S0PAYMENTS", handle="pay-oncall"),
                UsergroupSeed(id="S0PLATFRM", handle="platform"),
            ],
        )

        async def send() -> None:
            sender = await SlackSender.open(token=slack.token, metrics=Metrics(), api_url=slack.api_url)
            try:
                for payload in payloads:
                    ts = await post(sender, payload)
                    await update(sender, payload, ts=ts)
            finally:
                await sender.close()

        asyncio.run(send())
        slack.check()
        messages = slack.roots("C0PAYALERT")
    assert [message.text for message in messages] == [payload.text for payload in payloads]


def test_the_owner_is_called_once_and_nobody_by_the_end() -> None:
    """A post calls the group that the map names; the edit to resolved, and a resolved post, call nobody."""
    with SlackServer(rates=Rates.unlimited()) as slack:
        slack.emulator.seed(
            channels=[ChannelSeed(id="C0PAYALERT", name="pay-alerts")],
            usergroups=[UsergroupSeed(id="S0PAYMENTS", handle="pay-oncall")],
        )

        async def send() -> None:
            sender = await SlackSender.open(token=slack.token, metrics=Metrics(), api_url=slack.api_url)
            try:
                ts = await post(sender, render(card()))
                await update(sender, render(cards.resolved()), ts=ts)
                await post(sender, render(card(state=IncidentState.RESOLVED, closed_at=NOW)))
            finally:
                await sender.close()

        asyncio.run(send())
        slack.check()
        assert slack.notified("S0PAYMENTS") == 1
