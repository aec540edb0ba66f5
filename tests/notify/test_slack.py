"""Sending: what goes over the wire, and one class for every way in which it can go wrong."""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from prometheus_client import generate_latest
from slack_sdk.web.async_client import AsyncWebClient

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass, IncidentState, Language, MessageKind
from router.notify.layout import Payload, plain
from router.notify.messages import render
from router.notify.notices import render_notice
from router.notify.slack import Found, SlackSender
from router.preview.emulator import SCOPES
from router.preview.faults import Fault, FaultKind
from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, TokenState, UsergroupSeed, UserSeed
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
    token: str = TOKEN,
) -> AsyncIterator[SlackSender]:
    """As `SlackSender.open` makes it, with timeouts that a test can wait for."""
    session = aiohttp.ClientSession(
        timeout=limits or aiohttp.ClientTimeout(total=5, connect=5, sock_read=5),
        connector=aiohttp.TCPConnector(resolver=dns),
    )
    client = AsyncWebClient(token, base_url=url, session=session, retry_handlers=[])
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
        pytest.param(answering(says(ok=True)), AMBIGUOUS, "not_understood", None, id="ok without ts"),
        pytest.param(
            answering(says(ok=True, ts=1763722980.1)), AMBIGUOUS, "not_understood", None, id="ok, ts is a number"
        ),
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
                UsergroupSeed(id="S0COMMERCE", handle="commerce"),
            ],
            users=[UserSeed(id="U0LEADPAY1", name="lead")],
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


# --- the same of every method, against the emulator and its faults

CHANNEL = "C0PAYALERT"
PATIENT = aiohttp.ClientTimeout(total=5)
IMPATIENT = aiohttp.ClientTimeout(total=0.3)

_T = TypeVar("_T")
Scene = tuple[SlackSender, str, str]  # and the ts of a root and of its reply, both ours
Use = Callable[[Scene], Coroutine[Any, Any, object]]


def emulated() -> SlackServer:
    slack = SlackServer(rates=Rates.unlimited())
    slack.emulator.seed(
        channels=[ChannelSeed(id=CHANNEL, name="pay-alerts")],
        usergroups=[UsergroupSeed(id="S0PAYMENTS", handle="pay-oncall")],
    )
    return slack


@asynccontextmanager
async def scene(
    slack: SlackServer, *, limits: aiohttp.ClientTimeout = PATIENT, metrics: Metrics | None = None
) -> AsyncIterator[Scene]:
    """A sender that has posted d_root and below it d_reply, and knows by what names Slack calls it."""
    async with sender_to(slack.api_url, limits=limits, metrics=metrics, token=slack.token) as sender:
        root = await posted(sender, "d_root")
        reply = await posted(sender, "d_reply", thread_ts=root)
        await sender.probe()
        yield sender, root, reply


async def posted(sender: SlackSender, delivery_id: str, *, thread_ts: str | None = None) -> str:
    return await sender.post(
        CHANNEL, render(card()), delivery_id=delivery_id, group="8f3c1d20", revision=1, thread_ts=thread_ts
    )


async def found(
    sender: SlackSender, delivery_id: str = "d_root", *, thread_ts: str | None = None, ago: float = 10
) -> Found | None:
    since = datetime.now(UTC) - timedelta(seconds=ago)
    return await sender.find(CHANNEL, delivery_id=delivery_id, since=since, thread_ts=thread_ts)


METHODS: dict[str, tuple[str, Use]] = {
    "post": ("chat.postMessage", lambda on: posted(on[0], "d_2")),
    "reply": ("chat.postMessage", lambda on: posted(on[0], "d_2", thread_ts=on[1])),
    "edit": ("chat.update", lambda on: update(on[0], render(card()), ts=on[1])),
    "delete": ("chat.delete", lambda on: on[0].delete(CHANNEL, on[1])),
    "find": ("conversations.history", lambda on: found(on[0])),
    "find a reply": ("conversations.replies", lambda on: found(on[0], "d_reply", thread_ts=on[1])),
    "probe": ("auth.test", lambda on: on[0].probe()),
    "ask the channel": ("conversations.info", lambda on: on[0].channel_takes(CHANNEL)),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    ("fault", "failure", "reason", "retry_after_s"),
    [
        pytest.param({"kind": FaultKind.CLOSE}, AMBIGUOUS, "disconnected", None, id="closed"),
        pytest.param({"kind": FaultKind.RESET}, AMBIGUOUS, "disconnected", None, id="RST"),
        pytest.param({"kind": FaultKind.HANG}, AMBIGUOUS, "timed_out", None, id="silence"),
        pytest.param({"kind": FaultKind.SLOW, "seconds": 60}, AMBIGUOUS, "timed_out", None, id="too slow"),
        pytest.param({"kind": FaultKind.HALF_BODY}, AMBIGUOUS, "half_an_answer", None, id="half a body"),
        pytest.param({"kind": FaultKind.SERVER_ERROR}, AMBIGUOUS, "http_500", None, id="500"),
        pytest.param({"kind": FaultKind.HTML}, AMBIGUOUS, "not_json", None, id="a page"),
        pytest.param({"kind": FaultKind.WRONG_TYPE}, AMBIGUOUS, "not_json", None, id="text"),
        pytest.param({"kind": FaultKind.FATAL_ERROR}, AMBIGUOUS, "fatal_error", None, id="fatal_error"),
        pytest.param({"kind": FaultKind.INTERNAL_ERROR}, AMBIGUOUS, "internal_error", None, id="internal_error"),
        pytest.param({"kind": FaultKind.UNAVAILABLE}, AMBIGUOUS, "service_unavailable", None, id="503"),
        pytest.param({"kind": FaultKind.RATE_LIMITED, "seconds": 7}, TRANSIENT, "ratelimited", 7, id="429"),
        pytest.param({"kind": FaultKind.RATE_LIMITED_BARE}, TRANSIENT, "ratelimited", None, id="429 bare"),
        pytest.param({"kind": FaultKind.REVOKE_TOKEN}, FailureClass.APP, "token_revoked", None, id="token revoked"),
        *(
            pytest.param({"kind": FaultKind.SLACK_ERROR, "code": code}, failure, code, None, id=code)
            for failure, code in [
                (TRANSIENT, "request_timeout"),
                (FailureClass.WORKSPACE, "message_limit_exceeded"),
                (FailureClass.CONTENT, "slack_connect_anything_blocked"),
                (FailureClass.ROOT_GONE, "thread_not_found"),
                (FailureClass.APP, "invalid_auth"),
                (FailureClass.UNKNOWN, "brand_new"),
            ]
        ),
    ],
)
def test_every_fault_of_every_method(
    name: str, fault: dict[str, Any], failure: FailureClass, reason: str, retry_after_s: int | None
) -> None:
    """DeliveryFailed with its class, counted under its method; nothing is written twice; the token is nowhere in it."""
    method, use = METHODS[name]
    metrics = Metrics()

    async def send(slack: SlackServer) -> DeliveryFailed:
        async with scene(slack, limits=IMPATIENT if reason == "timed_out" else PATIENT, metrics=metrics) as on:
            before = slack.emulator.calls[method]
            slack.emulator.script(Fault(method=method, **fault))
            failed = await failure_of(use(on))
            # aiohttp asks again where a kept connection breaks, if the method is one that may be repeated: a GET.
            assert slack.emulator.calls[method] - before in ((1, 2) if method.startswith("conversations") else (1,))
            return failed

    with emulated() as slack:
        failed = asyncio.run(send(slack))
        slack.check()
        assert slack.token not in _with_causes(failed)
    assert (failed.failure, failed.reason) == (failure, reason)
    assert failed.retry_after == (None if retry_after_s is None else timedelta(seconds=retry_after_s))
    assert f'router_slack_calls_total{{method="{method}",outcome="{failure}"}} 1.0' in exposed(metrics)


@pytest.mark.parametrize("name", METHODS)
def test_no_method_sends_where_nobody_listens(name: str) -> None:
    """Surely not sent, also by those that ask."""
    _, use = METHODS[name]

    async def send(slack: SlackServer) -> list[DeliveryFailed]:
        async with scene(slack) as on:
            with slack.refusing():
                await failure_of(use(on))  # it may meet the reset of the connection that was kept
                refused = await failure_of(use(on))
            await on[0].close()
            return [refused, await failure_of(use(on))]

    with emulated() as slack:
        failures = asyncio.run(send(slack))
    assert [(failed.failure, failed.reason) for failed in failures] == [
        (NOT_SENT, "connect_failed"),
        (NOT_SENT, "closed"),
    ]


@pytest.mark.parametrize("name", METHODS)
def test_a_slow_answer_is_an_answer(name: str) -> None:
    """Every method with all well, answered late; counted as ok, and Slack's rules kept."""
    method, use = METHODS[name]
    metrics = Metrics()

    async def send(slack: SlackServer) -> object:
        async with scene(slack, metrics=metrics) as on:
            slack.emulator.script(Fault(method=method, kind=FaultKind.SLOW, seconds=0.01))
            return await use(on)

    with emulated() as slack:
        asyncio.run(send(slack))
        slack.check()
    assert f'router_slack_calls_total{{method="{method}",outcome="ok"}}' in exposed(metrics)
    assert f'method="{method}",outcome="ok"}} 0.0' not in exposed(metrics)


# --- looking for a message whose answer was lost


def looked_for(use: Callable[[SlackServer, Scene], Coroutine[Any, Any, _T]]) -> _T:
    """What `use` found in a channel with d_root and below it d_reply."""

    async def look(slack: SlackServer) -> _T:
        async with scene(slack) as on:
            return await use(slack, on)

    with emulated() as slack:
        answer = asyncio.run(look(slack))
        slack.check()
        return answer


def test_a_message_is_found_by_its_delivery() -> None:
    """Among those of people and of other deliveries, with the revision that it shows by now."""

    async def use(slack: SlackServer, on: Scene) -> Found | None:
        sender, root, _ = on
        slack.emulator.say(CHANNEL, "what is this about?", user="U0ALICE001")
        await posted(sender, "d_other")
        await sender.update(CHANNEL, root, render(card()), delivery_id="d_root", group="8f3c1d20", revision=7)
        answer = await found(sender)
        assert answer == Found(ts=root, revision=7)
        return answer

    assert looked_for(use)


def test_a_reply_is_found_in_its_thread() -> None:
    """And not in the channel, as the channel's message is not in its thread."""

    async def use(_: SlackServer, on: Scene) -> Found | None:
        sender, root, reply = on
        assert await found(sender, "d_reply") is None
        assert await found(sender, "d_2", thread_ts=root) is None
        answer = await found(sender, "d_reply", thread_ts=root)
        assert answer == Found(ts=reply, revision=1)
        return answer

    assert looked_for(use)


def test_a_reply_that_the_channel_sees_too() -> None:
    """It is found in its thread like any other, and a message that is no reply is not broadcast."""

    async def use(slack: SlackServer, on: Scene) -> Found | None:
        sender, root, _ = on
        ts = await sender.post(
            CHANNEL, render(card()), delivery_id="d_2", group="g", revision=4, thread_ts=root, broadcast=True
        )
        assert [message.ts for message in slack.messages(CHANNEL) if message.broadcast] == [ts]
        answer = await found(sender, "d_2", thread_ts=root)
        assert answer == Found(ts=ts, revision=4)
        return answer

    assert looked_for(use)


def test_the_oldest_copy_is_the_message() -> None:
    """The others are named too, by age, so that they can be taken away."""

    async def use(_: SlackServer, on: Scene) -> Found | None:
        sender, root, _reply = on
        copies = [await posted(sender, "d_root") for _ in range(2)]
        assert await found(sender) == Found(ts=root, revision=1, younger=(copies[0], copies[1]))
        for copy in copies:
            await sender.delete(CHANNEL, copy)
        return await found(sender)

    assert looked_for(use) is not None


@pytest.mark.parametrize(
    ("ago", "is_found"),
    [
        pytest.param(-290, True, id="Slack's clock is 290 s behind ours"),
        pytest.param(-310, False, id="more than five minutes before it was asked"),
        pytest.param(340, True, id="Slack's clock is ahead, and it took its time"),
        pytest.param(3_600, False, id="an hour later: of a later posting"),
    ],
)
def test_clocks_may_differ(ago: float, is_found: bool) -> None:
    """By up to five minutes; what is older or newer is of another posting."""

    async def use(_: SlackServer, on: Scene) -> Found | None:
        return await found(on[0], ago=ago)

    assert (looked_for(use) is not None) == is_found


@pytest.mark.parametrize(
    ("others", "calls", "reason"),
    [
        pytest.param(199, 1, None, id="the last of the first page"),
        pytest.param(200, 2, None, id="the first of the second page"),
        pytest.param(999, 5, None, id="the last of the last page"),
        pytest.param(1_000, 5, "history_too_long", id="behind the last page"),
    ],
)
def test_a_long_history_is_read_to_its_end(others: int, calls: int, reason: str | None) -> None:
    """In at most five calls; what lies behind them is neither found nor surely missing."""

    async def use(slack: SlackServer, on: Scene) -> Found | None:
        for number in range(others):
            slack.emulator.say(CHANNEL, f"message {number}", user="U0ALICE001")
        answer = None
        if reason is None:
            answer = await found(on[0])
            assert answer == Found(ts=on[1], revision=1)
        else:
            failed = await failure_of(found(on[0]))
            assert (failed.failure, failed.reason) == (AMBIGUOUS, reason)
        assert slack.emulator.calls["conversations.history"] == calls
        return answer

    looked_for(use)


@pytest.mark.parametrize(
    ("seed", "scopes", "failure", "reason"),
    [
        pytest.param({}, SCOPES - {"channels:history"}, FailureClass.APP, "missing_scope", id="no scope"),
        pytest.param({"member": False}, SCOPES, FailureClass.CHANNEL, "not_in_channel", id="not invited"),
        pytest.param(
            {"member": False, "private": True}, SCOPES, FailureClass.CHANNEL, "channel_not_found", id="private"
        ),
    ],
)
@pytest.mark.parametrize("name", ["find", "find a reply"])
def test_a_history_may_be_closed(
    name: str, seed: dict[str, Any], scopes: frozenset[str], failure: FailureClass, reason: str
) -> None:
    """Then it says why, which is not that the message is missing."""

    async def use(slack: SlackServer, on: Scene) -> None:
        slack.emulator.seed(channels=[ChannelSeed(id=CHANNEL, name="pay-alerts", **seed)])
        slack.emulator.set_token(TokenState.LIVE, scopes=scopes)
        failed = await failure_of(METHODS[name][1](on))
        assert (failed.failure, failed.reason) == (failure, reason)

    looked_for(use)


def saying(**answers: object) -> Serve:
    """Answers each method, its dot written as an underscore, with this JSON."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method = head.split(b" ")[1].decode().partition("?")[0].rpartition("/")[2]
        writer.write(answer(json.dumps(answers[method.replace(".", "_")])))
        await writer.drain()

    return serve


WHO = {"ok": True, "user_id": "U0ROUTER01", "bot_id": "B0ROUTER01"}
OURS: dict[str, Any] = {  # JSON
    "ts": "1763722980.000100",
    "bot_id": "B0ROUTER01",
    "metadata": {"event_type": "alert_router_notification", "event_payload": {"delivery_id": "d_root", "rev": 3}},
}


def with_payload(**payload: object) -> Mapping[str, object]:
    return OURS | {"metadata": {"event_type": "alert_router_notification", "event_payload": payload}}


@pytest.mark.parametrize(
    ("message", "revision"),
    [
        pytest.param(OURS, 3, id="as Slack writes it"),
        pytest.param({**OURS, "bot_id": None, "user": "U0ROUTER01"}, 3, id="named by its user"),
        pytest.param(with_payload(delivery_id="d_root"), 0, id="no revision"),
        pytest.param(with_payload(delivery_id="d_root", rev="3"), 0, id="revision as a string"),
        pytest.param(with_payload(delivery_id="d_root", rev=True), 0, id="revision as a bool"),
        pytest.param({**OURS, "bot_id": "B0STAGING1"}, None, id="another app's, which counts like us"),
        pytest.param({**OURS, "bot_id": ["B0ROUTER01"]}, None, id="author as a list"),
        pytest.param({**OURS, "ts": 1763722980.0001}, None, id="ts as a number"),
        pytest.param({**OURS, "ts": "yesterday"}, None, id="ts as a word"),
        pytest.param({**OURS, "metadata": "d_root"}, None, id="metadata as a string"),
        pytest.param({**OURS, "metadata": {"event_type": "alert_router_notification"}}, None, id="payload kept back"),
        pytest.param({**OURS, "metadata": OURS["metadata"] | {"event_type": "other"}}, None, id="another event type"),
        pytest.param(with_payload(delivery_id=["d_root"], rev=3), None, id="delivery as a list"),
        pytest.param(None, None, id="null"),
        pytest.param("d_root", None, id="a string"),
    ],
)
def test_a_message_is_ours_only_if_all_of_it_says_so(message: object, revision: int | None) -> None:
    """Whatever stands in a history: nothing in it is taken to be of the type that it should be."""

    async def look() -> Found | None:
        serve = saying(auth_test=WHO, conversations_history={"ok": True, "messages": [message], "has_more": False})
        async with listening(serve) as url, sender_to(url) as sender:
            return await found(sender)

    expected = None if revision is None else Found(ts="1763722980.000100", revision=revision)
    assert asyncio.run(look()) == expected


@pytest.mark.parametrize(
    ("who", "history", "reason"),
    [
        pytest.param(WHO, {"ok": True}, "not_understood", id="no messages"),
        pytest.param(WHO, {"ok": True, "messages": {"0": OURS}}, "not_understood", id="messages as an object"),
        pytest.param(WHO, {"ok": True, "messages": [], "has_more": True}, "history_too_long", id="more, and no cursor"),
        pytest.param(
            WHO,
            {"ok": True, "messages": [], "has_more": True, "response_metadata": {"next_cursor": 7}},
            "history_too_long",
            id="cursor as a number",
        ),
        pytest.param(
            WHO,
            {"ok": True, "messages": [OURS], "response_metadata": {"next_cursor": "again"}},
            "history_too_long",
            id="a cursor that leads in a circle",
        ),
        pytest.param({"ok": True, "bot_id": 7}, {}, "not_understood", id="nobody"),
    ],
)
def test_half_a_history_is_no_answer(who: object, history: object, reason: str) -> None:
    """A message that was not seen may stand where nobody looked."""

    async def look() -> DeliveryFailed:
        serve = saying(auth_test=who, conversations_history=history)
        async with listening(serve) as url, sender_to(url) as sender:
            return await failure_of(found(sender))

    failed = asyncio.run(look())
    assert (failed.failure, failed.reason) == (AMBIGUOUS, reason)


# --- deleting, the address of a message, asking a channel, another token


def test_address_is_the_one_that_slack_gives() -> None:
    """Asked who we are once, and then never again."""

    async def use(slack: SlackServer) -> None:
        async with sender_to(slack.api_url, token=slack.token) as sender:
            root = await posted(sender, "d_root")
            permalink = await sender._client.chat_getPermalink(channel=CHANNEL, message_ts=root)
            for _ in range(2):
                assert await sender.address_of(CHANNEL, root) == permalink["permalink"]
        assert slack.emulator.calls["auth.test"] == 1

    with emulated() as slack:
        asyncio.run(use(slack))
        slack.check()


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(None, id="none"),
        pytest.param(7, id="a number"),
        pytest.param("javascript:alert(1)/", id="a script"),
        pytest.param("https://example.slack.com", id="no slash at the end"),
        pytest.param("https://example.slack.com/<!channel>/", id="markup"),
    ],
)
def test_address_that_nobody_can_open_is_none(url: object) -> None:
    """What Slack says of itself is written into messages: it is an address, or nothing."""

    async def ask() -> str | None:
        async with listening(saying(auth_test={**WHO, "url": url})) as api_url, sender_to(api_url) as sender:
            return await sender.address_of(CHANNEL, "1763722980.000100")

    assert asyncio.run(ask()) is None


def test_address_while_slack_is_away() -> None:
    """A message goes without it."""

    async def ask() -> str | None:
        async with listening(_silent) as url, sender_to(url, limits=IMPATIENT) as sender:
            return await sender.address_of(CHANNEL, "1763722980.000100")

    assert asyncio.run(ask()) is None


def test_deleting() -> None:
    """Once, twice, and not what somebody else wrote."""
    metrics = Metrics()

    async def use(slack: SlackServer) -> None:
        async with scene(slack, metrics=metrics) as (sender, root, _):
            await sender.delete(CHANNEL, root)
            await sender.delete(CHANNEL, root)
            theirs = slack.emulator.say(CHANNEL, "mine", user="U0ALICE001")
            failed = await failure_of(sender.delete(CHANNEL, theirs.ts))
            assert (failed.failure, failed.reason) == (FailureClass.UNKNOWN, "cant_delete_message")
            failed = await failure_of(update(sender, render(card()), ts=root))
            assert (failed.failure, failed.reason) == (FailureClass.ROOT_GONE, "message_not_found")

    with emulated() as slack:
        asyncio.run(use(slack))
        slack.check()
        assert [message.text for message in slack.messages(CHANNEL)] == ["mine"]
    assert 'router_slack_calls_total{method="chat.delete",outcome="ok"} 2.0' in exposed(metrics)


@pytest.mark.parametrize(
    ("seed", "scopes", "expected"),
    [
        pytest.param({}, SCOPES, None, id="ours"),
        pytest.param({"archived": True}, SCOPES, "is_archived", id="archived"),
        pytest.param({"member": False}, SCOPES, "not_in_channel", id="public, not invited"),
        pytest.param({"member": False}, SCOPES | {"chat:write.public"}, None, id="public, posts anywhere"),
        pytest.param(
            {"member": False, "private": True}, SCOPES | {"chat:write.public"}, "channel_not_found", id="private"
        ),
        pytest.param({"read_only": True}, SCOPES, None, id="read-only for typical users"),
        pytest.param({}, SCOPES - {"channels:read"}, None, id="may not ask"),
    ],
)
def test_what_a_channel_takes(seed: dict[str, Any], scopes: frozenset[str], expected: str | None) -> None:
    """Slack's word for why not; nothing where only a post can tell."""

    async def ask(slack: SlackServer) -> str | None:
        async with sender_to(slack.api_url, token=slack.token) as sender:
            assert await sender.channel_takes("C0UNKNOWN1") in ("channel_not_found", expected)
            return await sender.channel_takes(CHANNEL)

    with emulated() as slack:
        slack.emulator.seed(channels=[ChannelSeed(id=CHANNEL, name="pay-alerts", **seed)])
        slack.emulator.set_token(TokenState.LIVE, scopes=scopes)
        assert asyncio.run(ask(slack)) == expected
        slack.check()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({"is_archived": "yes", "is_member": "no"}, None, id="words for truth"),
        pytest.param({"is_archived": True}, "is_archived", id="archived"),
        pytest.param({"is_member": False}, None, id="not invited, and no scopes are told"),
        pytest.param({"is_member": False, "is_private": True}, "not_in_channel", id="private, not invited"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_what_a_channel_says_is_read_with_care(told: object, expected: str | None) -> None:
    """Only what is plainly said keeps a channel closed."""

    async def ask() -> str | None:
        async with (
            listening(saying(conversations_info={"ok": True, "channel": told})) as url,
            sender_to(url) as sender,
        ):
            return await sender.channel_takes(CHANNEL)

    assert asyncio.run(ask()) == expected


def test_a_channel_that_is_no_object() -> None:
    """An answer without a channel says nothing."""

    async def ask() -> DeliveryFailed:
        serve = saying(conversations_info={"ok": True, "channel": [CHANNEL]})
        async with listening(serve) as url, sender_to(url) as sender:
            return await failure_of(sender.channel_takes(CHANNEL))

    failed = asyncio.run(ask())
    assert (failed.failure, failed.reason) == (AMBIGUOUS, "not_understood")


def test_another_token_while_it_runs() -> None:
    """The next call uses it, over the same session, and what the old one's messages were called is forgotten."""

    async def use(slack: SlackServer) -> None:
        async with scene(slack) as (sender, root, _):
            sender.use_token("xoxb-of-yesterday")
            assert (await failure_of(sender.probe())).reason == "invalid_auth"
            assert (await failure_of(found(sender))).reason == "invalid_auth"
            sender.use_token(slack.token)
            before = slack.emulator.calls["auth.test"]
            for _ in range(2):
                assert await found(sender) == Found(ts=root, revision=1)
            assert slack.emulator.calls["auth.test"] == before + 1

    with emulated() as slack:
        asyncio.run(use(slack))
        slack.check()
