"""What hostile and broken senders are answered, and that a normal one does not notice them."""

import base64
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

import pytest

from tests.acceptance.organisation import alert, body, write_map
from tests.router_process import INTAKE_TOKEN, RouterProcess, drained, unbalanced

WEBHOOK: Final = "/webhooks/alertmanager"
LIMIT_BYTES: Final = 16 * 1024 * 1024
# A sender that has not finished a request by then is cut off. (Alertmanager sends its whole request at once.)
RECEIVE_DEADLINE_S: Final = 40


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """One router in preview mode for all of this; at the end everything is accounted for."""
    directory = tmp_path_factory.mktemp("hostile")
    with RouterProcess(directory, ownership=write_map(directory)) as router:
        yield router
        status = router.wait_until(drained, 90)
        letters = router.get("/api/v1/dead-letters?limit=500").json()["dead_letters"]
        unread = [letter for letter in letters if letter["kind"] == "notification"]
        assert len(unread) == status["notifications"]["quarantined"]
        assert all(letter["error"] for letter in unread)
        log = router.log_tail(100_000)
        assert "Traceback" not in log
        assert INTAKE_TOKEN not in log


class NormalSender(threading.Thread):
    """Sends an ordinary notification ten times a second and remembers how each was answered."""

    def __init__(self, router: RouterProcess) -> None:
        super().__init__(name="normal sender")
        self.statuses: list[int] = []
        self.slowest_s = 0.0
        self._router = router
        self._over = threading.Event()

    def run(self) -> None:
        while True:
            number = len(self.statuses)
            sent = body(alert("Normal", team="payments", instance=str(number)), group=f"normal-{number % 2}")
            answer = self._router.post(WEBHOOK, sent)
            self.statuses.append(answer.status)
            self.slowest_s = max(self.slowest_s, answer.took_s)
            if self._over.wait(0.1):
                return

    def __enter__(self) -> "NormalSender":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join(20)

    def was_served(self) -> None:
        assert self.statuses
        assert set(self.statuses) == {200}
        assert self.slowest_s < 1, f"a normal sender waited {self.slowest_s:.2f} s"


@pytest.fixture
def normal_sender(router: RouterProcess) -> Iterator[NormalSender]:
    """Runs beside the test; at the end every one of its requests was answered 200 in under a second."""
    with NormalSender(router) as sender:
        yield sender
    sender.was_served()


GOOD: Final = body(alert("Fine", team="ledger"), group="hostile")


def with_alert_text(text: str) -> bytes:
    """A good notification in which one annotation is this raw JSON text."""
    return body(alert("Fine", team="ledger", summary="@@"), group="hostile").replace(b'"@@"', text.encode("utf-8"))


def with_field(name: str, text: str) -> bytes:
    """A good notification with one more key, of this raw JSON text."""
    return GOOD[:-1] + f', "{name}": {text}}}'.encode()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"", {202}, id="empty"),
        pytest.param(b"alert=1&status=firing", {202}, id="a form"),
        pytest.param(GOOD[: len(GOOD) // 2], {202}, id="cut in half"),
        pytest.param(b"[]", {202}, id="a list"),
        pytest.param(b"null", {202}, id="null"),
        pytest.param(b'"firing"', {202}, id="a string"),
        pytest.param(b'{"hello": "world"}', {202}, id="an object of another shape"),
        pytest.param(b'{"alerts": {}}', {202}, id="alerts that are no list"),
        pytest.param(gzip.compress(GOOD), {202}, id="gzip"),
        pytest.param(GOOD.decode().encode("utf-16"), {202}, id="utf-16"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, {200, 202}, id="byte order mark"),
        pytest.param(GOOD.replace(b"Fine", b"F\xff\xfe"), {202}, id="bad utf-8"),
        pytest.param(GOOD.replace(b"Fine", b"F\x00"), {202}, id="a raw NUL"),
        pytest.param(with_alert_text(r'"\u0000 \u001b[31m"'), {200}, id="escaped NUL and control characters"),
        pytest.param(with_alert_text(r'"\ud800"'), {200, 202}, id="half a surrogate pair"),
        pytest.param(with_alert_text('"\u202egnirif\u2066"'), {200}, id="direction characters"),
        pytest.param(with_field("truncatedAlerts", "NaN"), {202}, id="NaN"),
        pytest.param(with_field("truncatedAlerts", "1e999"), {200, 202}, id="a number beyond range"),
        pytest.param(with_field("truncatedAlerts", "9" * 5_000), {200, 202}, id="a number of 5,000 digits"),
        pytest.param(with_field("status", '"resolved"'), {200, 202}, id="a key twice"),
        pytest.param(with_field("extra", "[" * 100_000 + "]" * 100_000), {200, 202}, id="100,000 deep in a key"),
        pytest.param(b"[" * 100_000, {202}, id="100,000 deep"),
        pytest.param(b'{"alerts":' * 100_000, {202}, id="100,000 deep in alerts"),
        pytest.param(with_field("extra", '"' + "x" * 1_000_000 + '"'), {200}, id="a megabyte nobody needs"),
        pytest.param(
            body(*(alert("Many", team=None, instance=str(number)) for number in range(10_000)), group="many"),
            {200},
            id="10,000 alerts",
        ),
        pytest.param(
            GOOD.replace(b'"alerts": [', b'"alerts": [{"labels": 7}, null, "x", {}, '),
            {200},
            id="bad alerts beside a good one",
        ),
    ],
)
def test_a_strange_body_is_answered(
    router: RouterProcess, normal_sender: NormalSender, sent: bytes, status: set[int]
) -> None:
    """200 or 202 as the interface says, never 500, and every one is accounted for."""
    before = router.status()["notifications"]["quarantined"]
    answer = router.post(WEBHOOK, sent)
    assert answer.status in status, answer.body
    assert set(answer.json()) >= {"status", "id"}
    assert b"\n" not in answer.body.rstrip(b"\n")
    assert INTAKE_TOKEN.encode() not in answer.body
    after = router.status()
    assert unbalanced(after) is None
    if answer.status == 202:
        assert answer.json()["status"] == "quarantined"
        assert answer.json()["error"]
        assert after["notifications"]["quarantined"] > before
        assert router.get(f"/api/v1/notifications/{answer.json()['id']}").json()["state"] == "quarantined"


def test_one_bad_alert_does_not_sink_its_group(router: RouterProcess) -> None:
    """The good alert beside a broken one finds its owner."""
    sent = body(alert("BesideABadOne", team="ledger"), group="beside").replace(
        b'"alerts": [', b'"alerts": [{"labels": 7}, '
    )
    reference = router.post(WEBHOOK, sent).json()["id"]
    router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
    decided = router.get(f"/api/v1/notifications/{reference}").json()
    owners = {alert["labels"].get("alertname"): alert["owner"] for alert in decided["alerts"] if alert.get("labels")}
    assert (decided["state"], owners.get("BesideABadOne")) == ("decided", "ledger")


def basic(credentials: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(credentials).decode()}"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no token"),
        pytest.param({"Authorization": "Bearer wrong"}, 401, id="wrong token"),
        pytest.param({"Authorization": f"Bearer {INTAKE_TOKEN}x"}, 401, id="longer token"),
        pytest.param({"Authorization": "Bearer "}, 401, id="empty token"),
        pytest.param({"Authorization": "Bearer t\xf6ken"}, 401, id="token beyond ASCII"),
        pytest.param({"Authorization": "Basic %%%"}, 401, id="Basic that is no base64"),
        pytest.param(basic(b"no colon"), 401, id="Basic without a password"),
        pytest.param(basic(b"\xff\xfe:\xff"), 401, id="Basic that is no text"),
        pytest.param(basic(b"alertmanager:wrong"), 401, id="Basic with a wrong password"),
        pytest.param({"Authorization": f"Digest {INTAKE_TOKEN}"}, 401, id="another scheme"),
        pytest.param({"Authorization": f"Bearer {INTAKE_TOKEN}"}, 200, id="Bearer"),
        pytest.param({"Authorization": f"bearer {INTAKE_TOKEN}"}, 200, id="scheme in lower case"),
        pytest.param(basic(f"alertmanager:{INTAKE_TOKEN}".encode()), 200, id="Basic with the token as password"),
        pytest.param(basic(f"anybody:{INTAKE_TOKEN}".encode()), 200, id="Basic of any user"),
    ],
)
def test_only_a_token_opens(router: RouterProcess, headers: Mapping[str, str], status: int) -> None:
    """401 for whatever is not the token, also if it cannot be decoded; nothing of it is stored."""
    before = router.status()["notifications"]["accepted"]
    answer = router.post(WEBHOOK, GOOD, None, headers=headers)
    assert answer.status == status, answer.body
    assert router.status()["notifications"]["accepted"] == before + (status == 200)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", WEBHOOK, {405}, id="a browser"),
        pytest.param("PUT", WEBHOOK, {405}, id="PUT is only Grafana's"),
        pytest.param("POST", f"{WEBHOOK}/", {200}, id="a slash more is not redirected"),
        pytest.param("POST", "/webhooks/nobody", {404, 405}, id="an unknown source"),
        pytest.param("POST", "/webhooks/../api/v1/status", {404, 405}, id="a path that climbs"),
        pytest.param("POST", "/webhooks/%00", {404, 405}, id="NUL in the path"),
    ],
)
def test_a_wrong_address_is_said_to_be_wrong(router: RouterProcess, method: str, path: str, status: set[int]) -> None:
    """Never a redirect: Alertmanager would follow it with GET and take the 200 for delivery."""
    connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=10)
    connection.request(method, path, body=GOOD, headers={"Authorization": f"Bearer {INTAKE_TOKEN}"})
    assert connection.getresponse().status in status
    connection.close()


def head(*lines: str, path: str = WEBHOOK, token: str = INTAKE_TOKEN) -> bytes:
    given = [f"POST {path} HTTP/1.1", "Host: router", f"Authorization: Bearer {token}", *lines]
    return "\r\n".join(given).encode() + b"\r\n\r\n"


def chunked(size_bytes: int) -> Iterator[bytes]:
    """A body of that size in chunks of 64 KiB, its length never said beforehand."""
    piece = b"x" * 65_536
    for _ in range(size_bytes // len(piece)):
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    rest = size_bytes % len(piece)
    yield b"%x\r\n%s\r\n0\r\n\r\n" % (rest, piece[:rest]) if rest else b"0\r\n\r\n"


def exchange(port: int, pieces: Iterator[bytes]) -> bytes:
    """Send while listening, as Go's client does; the answer's first line, or nothing if there was none."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:

        def send() -> None:
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except OSError:
                pass  # answered before the end, and closed

        sender = threading.Thread(target=send)
        sender.start()
        received = b""
        while b"\r\n" not in received:
            data = connection.recv(4096)
            if not data:
                break
            received += data
        connection.settimeout(0.1)  # ends a sendall that nobody reads
        sender.join(20)
        return received.partition(b"\r\n")[0]


def pieces(*parts: bytes) -> Iterator[bytes]:
    yield from parts


def after(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def test_the_largest_body_is_taken(router: RouterProcess, normal_sender: NormalSender) -> None:
    """16 MiB to the byte is not too large."""
    start = GOOD[:-1] + b', "extra": "'
    sent = start + b"x" * (LIMIT_BYTES - len(start) - 2) + b'"}'
    assert len(sent) == LIMIT_BYTES
    assert router.post(WEBHOOK, sent).status == 200


def test_a_byte_more_is_refused(router: RouterProcess, normal_sender: NormalSender) -> None:
    """413 for 16 MiB + 1, whether the length is said beforehand or the body comes in chunks."""
    said = after(head(f"Content-Length: {LIMIT_BYTES + 1}"), iter([b"x" * (LIMIT_BYTES + 1)]))
    assert exchange(router.port, said).split()[1:2] == [b"413"]
    unsaid = after(head("Transfer-Encoding: chunked"), chunked(LIMIT_BYTES + 1))
    assert exchange(router.port, unsaid).split()[1:2] == [b"413"]
    status = router.status()
    assert unbalanced(status) is None


def test_an_endless_body_costs_no_memory(router: RouterProcess, normal_sender: NormalSender) -> None:
    """Ten senders of 200 MB each: refused at the limit, or before when they are too many at once; memory is bounded."""
    answers: list[bytes] = []

    def send() -> None:
        endless = after(head("Transfer-Encoding: chunked"), chunked(200_000_000))
        answers.append(exchange(router.port, endless))

    senders = [threading.Thread(target=send) for _ in range(10)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert {answer.split()[1] for answer in answers} <= {b"413", b"503"}
    assert len(answers) == len(senders)
    assert router.resident_mb() < 400


def test_a_stranger_s_body_is_not_read(router: RouterProcess) -> None:
    """Without the token a large body is refused for the token, before it was taken in."""
    large = after(head("Content-Length: 16000000", token="wrong"), iter([b"x" * 16_000_000]))
    assert exchange(router.port, large).split()[1:2] == [b"401"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), id="TLS"),
        pytest.param(b"GET\r\n\r\n", id="half a request line"),
        pytest.param(head("Content-Length: -1"), id="negative length"),
        pytest.param(head("Content-Length: many"), id="length that is no number"),
        pytest.param(head("Content-Length: 5", "Content-Length: 6") + b"12345", id="two lengths"),
        pytest.param(head("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", id="length and chunks"),
        pytest.param(head("Transfer-Encoding: chunked") + b"zz\r\n", id="chunk size that is no number"),
        pytest.param(head("X: " + "y" * 1_000_000), id="a header of a megabyte"),
        pytest.param(head(*(f"X-{n}: y" for n in range(50_000))), id="50,000 headers"),
        pytest.param(b"POST /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n", id="an address of a megabyte"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
    ],
)
def test_what_is_no_http_ends_the_connection(router: RouterProcess, normal_sender: NormalSender, sent: bytes) -> None:
    """4xx or nothing, then closed; never 500, never a 2xx."""
    try:
        first_line = exchange(router.port, pieces(sent))
    except ConnectionError:
        first_line = b""
    assert first_line == b"" or first_line.split()[1].startswith(b"4"), first_line


def closed_after_s(connection: socket.socket, since: float, timeout_s: float) -> float | None:
    """When the other side ended this connection; None if it has not by then."""
    connection.settimeout(max(0.01, since + timeout_s - time.monotonic()))
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return None
    except OSError:
        pass
    return time.monotonic() - since


@pytest.mark.timeout(180)
def test_slow_senders_are_cut_off(router: RouterProcess, normal_sender: NormalSender) -> None:
    """Half headers, trickled headers, idle connections and half bodies end at a deadline; a keep-alive between two
    requests does not, since Alertmanager keeps its own for five minutes."""
    address = ("127.0.0.1", router.port)
    patient = http.client.HTTPConnection(*address, timeout=20)
    patient.request("POST", WEBHOOK, GOOD, {"Authorization": f"Bearer {INTAKE_TOKEN}"})
    assert patient.getresponse().read()
    with ExitStack() as stack:

        def connections(number: int, first: bytes) -> list[socket.socket]:
            opened = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(number)]
            for connection in opened:
                connection.sendall(first)
            return opened

        opened = time.monotonic()
        slow = {
            "idle": connections(300, b""),
            "half a header": connections(100, head("X: y")[:-4]),
            "half a body": connections(100, head(f"Content-Length: {len(GOOD)}") + GOOD[:50]),
            "chunks without an end": connections(50, head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n"),
        }
        (trickling,) = connections(1, head("X: y")[:-4])
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.5):
                try:
                    trickling.sendall(b"z")
                except OSError:
                    return

        trickler = threading.Thread(target=trickle)
        trickler.start()
        ended = {
            kind: [closed_after_s(connection, opened, RECEIVE_DEADLINE_S) for connection in of_kind]
            for kind, of_kind in (slow | {"a trickled header": [trickling]}).items()
        }
        stop.set()
        trickler.join(5)
    assert {kind: sum(after is None for after in of_kind) for kind, of_kind in ended.items()} == dict.fromkeys(ended, 0)

    patient.request("POST", WEBHOOK, GOOD, {"Authorization": f"Bearer {INTAKE_TOKEN}"})
    assert patient.getresponse().status == 200
    patient.close()
