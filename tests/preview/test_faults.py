"""Each fault as a real client sees it: slack-sdk over aiohttp, its own retries off."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from router.preview.faults import Fault, FaultKind, FaultScript
from router.preview.rates import Rates
from tests.preview.workspace import OTHER, OWN, POST, still_server
from tests.slack import SlackServer

IMPATIENT_S = 0.3
PATIENT_S = 10


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with still_server(Rates.unlimited()) as running:
        yield running


def with_client(
    server: SlackServer, use: Callable[[AsyncWebClient], Awaitable[None]], *, timeout_s: float = PATIENT_S
) -> None:
    """A fresh client, as the router builds it."""

    async def run() -> None:
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            client = AsyncWebClient(server.token, base_url=server.api_url, session=session, retry_handlers=[])
            client.proxy = None
            await use(client)

    asyncio.run(run())


async def outcome(call: Awaitable[Any]) -> str:
    """The exception's name, or the status and Slack's word."""
    try:
        answer = await call
    except SlackApiError as error:
        return f"{error.response.status_code} {error.response.get('error')}"
    except (aiohttp.ClientError, TimeoutError, AttributeError) as error:
        return type(error).__name__
    return f"{answer.status_code} ok"


@pytest.mark.parametrize(
    ("fault", "seen", "accepted"),
    [
        pytest.param(Fault(kind=FaultKind.CLOSE), "ServerDisconnectedError", 1, id="close"),
        pytest.param(Fault(kind=FaultKind.CLOSE, accepted=False), "ServerDisconnectedError", 0, id="close before"),
        pytest.param(Fault(kind=FaultKind.RESET), "ClientOSError", 1, id="reset"),
        pytest.param(Fault(kind=FaultKind.HANG), "TimeoutError", 1, id="hang"),
        pytest.param(Fault(kind=FaultKind.HALF_BODY), "ClientPayloadError", 1, id="half a body"),
        pytest.param(Fault(kind=FaultKind.SLOW, seconds=0.01), "200 ok", 1, id="slow"),
        pytest.param(Fault(kind=FaultKind.SLOW, seconds=60), "TimeoutError", 1, id="too slow"),
        pytest.param(Fault(kind=FaultKind.SERVER_ERROR), "500 None", 1, id="500 HTML"),
        pytest.param(Fault(kind=FaultKind.HTML), "200 None", 1, id="200 HTML"),
        pytest.param(Fault(kind=FaultKind.HTML, accepted=False), "200 None", 0, id="captive portal"),
        pytest.param(Fault(kind=FaultKind.WRONG_TYPE), "AttributeError", 1, id="200 text/plain"),
        pytest.param(Fault(kind=FaultKind.FATAL_ERROR), "200 fatal_error", 1, id="fatal_error"),
        pytest.param(Fault(kind=FaultKind.FATAL_ERROR, accepted=False), "200 fatal_error", 0, id="fatal_error before"),
        pytest.param(Fault(kind=FaultKind.INTERNAL_ERROR), "200 internal_error", 1, id="internal_error"),
        pytest.param(Fault(kind=FaultKind.UNAVAILABLE), "503 service_unavailable", 0, id="503"),
        pytest.param(Fault(kind=FaultKind.RATE_LIMITED, seconds=30), "429 ratelimited", 0, id="429"),
        pytest.param(Fault(kind=FaultKind.RATE_LIMITED_BARE), "429 ratelimited", 0, id="429 without header"),
        pytest.param(
            Fault(kind=FaultKind.SLACK_ERROR, code="message_limit_exceeded"),
            "200 message_limit_exceeded",
            0,
            id="a word of Slack's",
        ),
        pytest.param(Fault(kind=FaultKind.REVOKE_TOKEN), "200 token_revoked", 0, id="token revoked"),
        pytest.param(Fault(kind=FaultKind.ARCHIVE_CHANNEL), "200 is_archived", 0, id="channel archived"),
    ],
)
def test_fault(server: SlackServer, fault: Fault, seen: str, accepted: int) -> None:
    """What the client sees, and whether the message stands in the channel."""
    server.emulator.script(fault)

    async def use(client: AsyncWebClient) -> None:
        assert await outcome(client.chat_postMessage(**POST)) == seen

    with_client(server, use, timeout_s=IMPATIENT_S if seen == "TimeoutError" else PATIENT_S)
    assert len(server.messages(OWN)) == accepted
    assert len(server.emulator.accepted) == accepted


def test_refused_connections(server: SlackServer) -> None:
    """The call that meets it is reset; new connections are refused; after a while all is well on the same port."""
    server.emulator.script(Fault(kind=FaultKind.REFUSE, nth=1, seconds=1))

    async def meet(client: AsyncWebClient) -> None:
        assert await outcome(client.chat_postMessage(**POST)) == "ClientOSError"
        assert await outcome(client.chat_postMessage(**POST)) == "ClientConnectorError"

    async def until_well(client: AsyncWebClient) -> None:
        async with asyncio.timeout(10):
            while await outcome(client.chat_postMessage(**POST)) != "200 ok":
                pass

    with_client(server, meet)
    assert server.messages(OWN) == []
    with_client(server, until_well)
    assert len(server.messages(OWN)) == 1


def test_a_server_that_is_away(server: SlackServer) -> None:
    """`refusing` takes the listener away for a block, and gives it back where it was."""

    async def refused(client: AsyncWebClient) -> None:
        assert await outcome(client.auth_test()) == "ClientConnectorError"

    async def well(client: AsyncWebClient) -> None:
        assert await outcome(client.auth_test()) == "200 ok"

    with_client(server, well)
    with server.refusing():
        with_client(server, refused)
    with_client(server, well)


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        pytest.param("30", Fault(kind=FaultKind.RATE_LIMITED, seconds=30), id="with"),
        pytest.param(None, Fault(kind=FaultKind.RATE_LIMITED_BARE), id="without"),
    ],
)
def test_the_header_of_a_429(server: SlackServer, header: str | None, fault: Fault) -> None:
    """Retry-After in whole seconds, or none."""
    server.emulator.script(fault)

    async def use(client: AsyncWebClient) -> None:
        with pytest.raises(SlackApiError) as refused:
            await client.chat_postMessage(**POST)
        assert refused.value.response.headers.get("Retry-After") == header

    with_client(server, use)


def test_a_connection_is_used_again_after_each_fault_of_the_answer(server: SlackServer) -> None:
    """Faults that HTTP can say leave the connection in order."""
    server.emulator.script(Fault(kind=FaultKind.SERVER_ERROR, nth=1), Fault(kind=FaultKind.FATAL_ERROR, nth=2))

    async def use(client: AsyncWebClient) -> None:
        seen = [await outcome(client.chat_postMessage(**POST)) for _ in range(3)]
        assert seen == ["500 None", "200 fatal_error", "200 ok"]

    with_client(server, use)


def test_stopping_does_not_wait_for_a_client_that_hangs(server: SlackServer) -> None:
    """The server resets whoever still waits."""
    server.emulator.script(Fault(kind=FaultKind.HANG))

    async def use(client: AsyncWebClient) -> None:
        assert client.session is not None
        url, headers = f"{server.api_url}auth.test", {"Authorization": f"Bearer {server.token}"}
        waiting = asyncio.ensure_future(
            client.session.post(url, headers=headers, timeout=aiohttp.ClientTimeout(PATIENT_S))
        )
        await asyncio.to_thread(server.wait_for, lambda seen: seen.emulator.calls["auth.test"] == 1)
        await asyncio.to_thread(server.stop)
        with pytest.raises(aiohttp.ClientOSError):
            await waiting

    with_client(server, use)


@pytest.mark.parametrize(
    ("fault", "met"),
    [
        pytest.param(Fault(kind=FaultKind.CLOSE, nth=2), [1], id="nth"),
        pytest.param(Fault(kind=FaultKind.CLOSE, method="chat.update"), [2, 3], id="method"),
        pytest.param(Fault(kind=FaultKind.CLOSE, channel=OTHER), [1, 3], id="channel"),
        pytest.param(Fault(kind=FaultKind.CLOSE, method="chat.update", channel=OTHER, nth=1), [3], id="all three"),
        pytest.param(Fault(kind=FaultKind.CLOSE, probability=0), [], id="never"),
        pytest.param(Fault(kind=FaultKind.CLOSE), [0, 1, 2, 3], id="always"),
    ],
)
def test_which_calls_meet_a_fault(fault: Fault, met: list[int]) -> None:
    """By method, channel, number of the matching call."""
    script = FaultScript([fault])
    calls = [("chat.postMessage", OWN), ("chat.postMessage", OTHER), ("chat.update", OWN), ("chat.update", OTHER)]
    assert [index for index, call in enumerate(calls) if script.meet(*call)] == met


def test_chance_is_repeatable() -> None:
    """The same seed, the same faults; about as many as asked for."""
    runs = []
    for seed in (1, 1, 2):
        script = FaultScript([Fault(kind=FaultKind.CLOSE, probability=0.3)], seed=seed)
        runs.append([script.meet("chat.postMessage", OWN) is not None for _ in range(1_000)])
    assert runs[0] == runs[1] != runs[2]
    assert 250 < sum(runs[0]) < 350
