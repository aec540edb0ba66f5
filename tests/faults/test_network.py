"""Ways to the database and to Slack that lose packets, refuse, or are slow. The numbers are the rows of the fault
table in docs.
"""

import asyncio
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass
from router.notify.slack import SlackSender
from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed
from router.telemetry import Metrics
from tests.acceptance.organisation import CHANNELS, alert, body, write_map
from tests.faults.wires import Loss, Wire
from tests.postgres import PostgresServer
from tests.programs import eventually, path_of
from tests.router_process import RouterProcess, SlackAccess, drained
from tests.slack import SlackServer

WEBHOOK: Final = "/webhooks/alertmanager"
PAYMENTS: Final = CHANNELS["payments"]
TOKEN: Final = "xoxb-of-the-tests"
# On two busy cores nothing is on time; a sender that gets no answer gives up after ten seconds.
QUICKLY_S: Final = 4.0


@pytest.fixture
def workspace(slack: SlackServer) -> SlackServer:
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
    return slack


@pytest.fixture
def wire(postgres: PostgresServer) -> Iterator[Wire]:
    with Wire(postgres.port) as wire:
        yield wire


def router_over(wire: Wire, postgres: PostgresServer, slack: SlackServer, directory: Path) -> RouterProcess:
    url = postgres.new_database().replace(f":{postgres.port}/", f":{wire.port}/")
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    return RouterProcess(directory, ownership=write_map(directory), slack=access, database_url=url)


def taken(router: RouterProcess, sent: bytes) -> bool:
    """As a sender that comes again: whether this attempt was answered 200; it is answered in time in any case."""
    answer = router.post(WEBHOOK, sent)
    assert answer.status in (200, 503)
    assert answer.took_s < QUICKLY_S, f"{answer.status} after {answer.took_s:.1f} s"
    return answer.status == 200


@pytest.mark.needs("postgres")
@pytest.mark.parametrize(
    ("loss", "duplicates"),
    [
        # An attempt that is given up while the router connects anew may be written all the same.
        pytest.param(Loss.EVERYTHING, 0, id="27 packets dropped in the transaction"),
        pytest.param(Loss.ANSWER, 1, id="28 answer to COMMIT lost"),
    ],
)
def test_27_28_what_the_way_to_postgresql_loses_is_told_once(
    wire: Wire, postgres: PostgresServer, workspace: SlackServer, tmp_path: Path, loss: Loss, duplicates: int
) -> None:
    """503, the sender comes again, and people get one message; a row that was committed all the same is a duplicate."""
    sent = body(alert("WireLost", team="payments"), group="wire")
    with router_over(wire, postgres, workspace, tmp_path) as router:
        eventually(lambda: router.get("/-/ready").status == 200, timeout_s=20, what="a router that is ready")
        wire.lose(loss, after=b"WireLost")
        assert not taken(router, sent)
        wire.wait_for_the_loss()
        eventually(lambda: taken(router, sent), timeout_s=30, what="the notification is taken")
        notifications = router.wait_until(drained, 40)["notifications"]
    assert notifications["decided"] == 1
    assert notifications["deduplicated"] >= duplicates
    assert len(workspace.roots(PAYMENTS)) == 1


async def _refused(api_url: str, *, proxy: str | None = None) -> DeliveryFailed:
    sender = await SlackSender.open(token=TOKEN, metrics=Metrics(), api_url=api_url, proxy=proxy)
    try:
        with pytest.raises(DeliveryFailed) as caught:
            await sender.probe()
    finally:
        await sender.close()
    return caught.value


def test_48_the_library_sends_nothing_twice() -> None:
    """slack-sdk's own retry repeats a call whose connection broke, and Slack may have taken it: it is off."""
    requests = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        writer.close()

    async def run() -> DeliveryFailed:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        async with server:
            return await _refused(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/")

    failed = asyncio.run(run())
    assert (failed.failure, failed.reason) == (FailureClass.AMBIGUOUS, "disconnected")
    assert requests == 1


def test_52_proxy_that_wants_a_password() -> None:
    """407: the request did not get to Slack, so it may be sent again, and nothing of it is in doubt."""

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async def run() -> DeliveryFailed:
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await _refused("https://slack.invalid/api/", proxy=f"http://127.0.0.1:{port}")

    failed = asyncio.run(run())
    assert (failed.failure, failed.reason) == (FailureClass.NOT_SENT, "connect_failed")


@pytest.mark.needs("openssl")
def test_52_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    """Nothing is said to who is not known to be Slack, the token least of all."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(path_of("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    told = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        told.extend(await reader.read())
        writer.close()

    async def run() -> DeliveryFailed:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        server = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
        async with server:
            return await _refused(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/")

    failed = asyncio.run(run())
    assert (failed.failure, failed.reason) == (FailureClass.NOT_SENT, "connect_failed")
    assert not told


def test_52_the_way_out_is_a_proxy(workspace: SlackServer, tmp_path: Path) -> None:
    """The proxy of the environment is used for Slack, where no name is known but to the proxy."""
    access = SlackAccess(api_url="http://slack.invalid/api/", token=workspace.token)
    settings = {"HTTP_PROXY": workspace.url, "http_proxy": workspace.url, "NO_PROXY": "", "no_proxy": ""}
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), slack=access, settings=settings) as router:
        assert taken(router, body(alert("ByProxy", team="payments"), group="proxy"))
        router.wait_until(drained)
    assert len(workspace.roots(PAYMENTS)) == 1


def test_53_slow_slack_keeps_no_sender_waiting(workspace: SlackServer, tmp_path: Path) -> None:
    """While Slack takes its time with each call, notifications are stored and answered as ever."""
    workspace.emulator.script(Fault(kind=FaultKind.SLOW, method="chat.postMessage", seconds=9.9))
    access = SlackAccess(api_url=workspace.api_url, token=workspace.token)
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), slack=access) as router:
        assert taken(router, body(alert("First", team="payments"), group="first"))
        workspace.wait_for(lambda slack: len(slack.roots(PAYMENTS)) == 1)
        for number in range(50):
            assert taken(router, body(alert("More", team="ledger", instance=f"i{number}"), group=f"more-{number}"))
        assert router.status()["messages"]["delivered"] == 0
