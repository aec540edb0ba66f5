"""`/webhooks/*` over real HTTP: every answer of the interface, and that nobody can spoil it for the others."""

import asyncio
import gzip
import json
import logging
import threading
from collections import deque
from collections.abc import Iterator, MutableMapping
from itertools import repeat
from typing import Any, Final

import pytest
import structlog

from router.core.errors import StoreOverloaded, StoreUnavailable
from router.core.model import Source
from router.intake.http import LINGER_BYTES, MAX_BODY_BYTES, MIB, RECEIVING_BYTES_LARGE
from router.telemetry import INTAKE_CODES, Metrics
from tests.intake.bodies import alert, body, real
from tests.intake.raw import chunk, chunked, head, is_closed, status_of
from tests.intake.server import NOW, TOKEN, Accepted, FakeInbox, Served, app, serving
from tests.router_process import Answer

GOOD: Final = body(alert())
GRAFANA: Final = real("grafana/firing-two-alerts.json")
MISSING: Final = real("honeybadger/check_in_missing.v2.cron.json")
LIMIT: Final = MAX_BODY_BYTES


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """One server for all tests that need nothing special of it."""
    with serving() as served:
        yield served


def stored(server: Served, answer: Answer) -> Accepted:
    return server.inbox.accepted[answer.json()["id"]]


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        pytest.param("alertmanager", GOOD, id="Alertmanager"),
        pytest.param("alertmanager", real("alertmanager/30-group-of-200-firing.json"), id="200 alerts"),
        pytest.param("alertmanager", body(alert(), 5, {"labels": 7}), id="a bad alert beside a good one"),
        pytest.param("grafana", GRAFANA, id="Grafana"),
    ],
)
def test_accepted(server: Served, source: str, sent: bytes) -> None:
    """200 with the id under which exactly these bytes are stored, in one line of JSON."""
    answer = server.post(sent, path=f"/webhooks/{source}", Content_Type="application/json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body == b'{"status":"accepted","id":"%b"}\n' % answer.json()["id"].encode()
    assert stored(server, answer) == Accepted(source=Source(source), body=sent, error=None, now=NOW)


@pytest.mark.parametrize(
    ("source", "sent", "encoding", "error"),
    [
        pytest.param("alertmanager", b"", "", "Invalid JSON: EOF while parsing a value at line 1 column 0", id="empty"),
        pytest.param("alertmanager", b"[]", "", "should be a JSON object", id="a list"),
        pytest.param("alertmanager", b'{"a": 1}', "", "receiver: is missing", id="another shape"),
        pytest.param("alertmanager", body(), "", "alerts: has no object in it", id="no alerts"),
        pytest.param(
            "alertmanager", gzip.compress(GOOD), "gzip", "compressed bodies are not read: send it as it is", id="gzip"
        ),
        pytest.param(
            "alertmanager", GOOD, "zstd, br", "compressed bodies are not read: send it as it is", id="any encoding"
        ),
        pytest.param(
            "alertmanager",
            gzip.compress(GOOD),
            "",
            "Invalid JSON: expected value at line 1 column 1",
            id="gzip, not said",
        ),
        pytest.param("grafana", b"{}", "", "receiver: is missing", id="Grafana"),
        pytest.param("honeybadger", b'{"check_in": {}}', "", "event: is missing", id="Honeybadger"),
        pytest.param(
            "alertmanager",
            b'{"x":' + b"[" * 100_000,
            "",
            "Invalid JSON: recursion limit exceeded at line 1 column 206",
            id="deep",
        ),
    ],
)
def test_quarantined(server: Served, source: str, sent: bytes, encoding: str, error: str) -> None:
    """202 with the id and the reason: stored all the same, and never unpacked."""
    answer = server.post(sent, path=f"/webhooks/{source}", Content_Encoding=encoding)
    assert answer.status == 202
    assert answer.json() == {"status": "quarantined", "id": answer.json()["id"], "error": error}
    assert answer.body.count(b"\n") == 1
    assert (stored(server, answer).error, len(stored(server, answer).body)) == (error, len(sent))


def test_a_check_in_is_stored_without_its_secrets(server: Served) -> None:
    """What reaches the store has neither the project's key nor an address."""
    answer = server.post(MISSING, path="/webhooks/honeybadger")
    assert answer.status == 200
    assert stored(server, answer).error is None
    assert b"billing-invoice" in stored(server, answer).body
    assert b"hbp_" not in stored(server, answer).body


def test_an_identity_encoding_is_none(server: Served) -> None:
    """`Content-Encoding: identity` says that nothing was compressed."""
    assert server.post(GOOD, Content_Encoding="identity").status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", "/webhooks/alertmanager/", 200, id="a slash more is served, not redirected"),
        pytest.param("POST", "/webhooks/alertmanager?team=payments", 200, id="a query is ignored"),
        pytest.param("GET", "/webhooks/alertmanager", 405, id="GET"),
        pytest.param("PUT", "/webhooks/alertmanager", 405, id="PUT"),
        pytest.param("PUT", "/webhooks/grafana", 200, id="PUT for Grafana"),
        pytest.param("DELETE", "/webhooks/grafana", 405, id="DELETE"),
        pytest.param("POST", "/webhooks/", 404, id="no source"),
        pytest.param("POST", "/webhooks/nobody", 404, id="an unknown source"),
        pytest.param("POST", "/webhooks/alertmanager/x", 404, id="a path below"),
        pytest.param("POST", "/webhooks/alertmanager%00", 404, id="NUL in the path"),
        pytest.param("POST", "/webhooks/alertmanager//", 404, id="two slashes"),
    ],
)
def test_methods_and_paths(server: Served, method: str, path: str, status: int) -> None:
    """Never 3xx: Alertmanager follows a redirect with GET, without the body, and takes the 200 as delivered."""
    answer = server.post(GOOD, method=method, path=path)
    assert answer.status == status
    if status == 405:
        assert answer.headers["allow"] == ("POST, PUT" if "grafana" in path else "POST")


@pytest.mark.parametrize("path", ["/", "/metrics", "/webhooks", "/-/healthy"])
def test_everything_else_is_handed_on(server: Served, path: str) -> None:
    """Only /webhooks/* is answered here."""
    assert server.post(b"", method="GET", path=path).body == f"elsewhere: {path}".encode()


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="no header"),
        pytest.param("Bearer wrong", id="wrong token"),
        pytest.param(f"Bearer {TOKEN}é", id="not ASCII"),
        pytest.param("Basic !!!", id="Basic that is no base64"),
        pytest.param(TOKEN, id="no scheme"),
    ],
)
def test_without_a_token_nothing_is_taken(server: Served, authorization: str | None) -> None:
    """401 with how to do it, for every source; nothing is stored."""
    before = len(server.inbox.accepted)
    for source in Source:
        answer = server.post(GOOD, path=f"/webhooks/{source}", authorization=authorization)
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert answer.headers["www-authenticate"] == 'Bearer realm="alert-router", Basic realm="alert-router"'
        assert answer.json() == {"status": "refused", "error": f"a token for {source} is needed"}
    assert len(server.inbox.accepted) == before


@pytest.mark.parametrize(
    ("peer", "status"),
    [
        pytest.param("127.0.0.1", 200, id="IPv4 loopback"),
        pytest.param("127.8.8.8", 200, id="all of 127/8"),
        pytest.param("::1", 200, id="IPv6 loopback"),
        pytest.param("::ffff:127.0.0.1", 200, id="IPv4 loopback as IPv6"),
        pytest.param("10.0.0.7", 403, id="another machine"),
        pytest.param("::ffff:10.0.0.7", 403, id="another machine as IPv6"),
        pytest.param("fe80::1%eth0", 403, id="link-local"),
        pytest.param("", 403, id="no address"),
    ],
)
def test_without_tokens_only_this_machine_may_send(peer: str, status: int) -> None:
    """403 for every other machine while no token is configured."""
    # Asked directly: over HTTP a test only ever comes from this machine.
    inbox = FakeInbox()
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": GOOD, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/webhooks/alertmanager", "headers": [], "client": (peer, 40000)}
    asyncio.run(app(inbox, "", Metrics())(scope, receive, send))
    assert sent[0]["status"] == status
    assert len(inbox.accepted) == (status == 200)


@pytest.mark.parametrize(
    ("fails", "error"),
    [
        pytest.param(
            StoreUnavailable("disk full on /var/lib"), "could not be stored, please send again", id="unavailable"
        ),
        pytest.param(StoreOverloaded("64 MB wait"), "overloaded, please send again", id="overloaded"),
    ],
)
def test_what_is_not_stored_is_not_acknowledged(fails: Exception, error: str) -> None:
    """503, which Alertmanager retries at once, without the store's own words; the next one is taken again."""
    with serving(inbox=FakeInbox(fails=fails)) as server:
        answer = server.post(GOOD)
        assert (answer.status, answer.json()) == (503, {"status": "refused", "error": error})
        server.inbox.fails = None
        assert server.post(GOOD).status == 200


def test_the_largest_body_is_taken(server: Served) -> None:
    """16 MiB to the byte; looked at beside the event loop."""
    sent = GOOD[:-1] + b',"x":"' + b"y" * (LIMIT - len(GOOD) - 7) + b'"}'
    assert len(sent) == LIMIT
    answer = server.post(sent)
    assert (answer.status, stored(server, answer).body == sent) == (200, True)


@pytest.mark.parametrize(
    ("source", "size"),
    [
        pytest.param(Source.ALERTMANAGER, LIMIT + 1, id="Alertmanager"),
        pytest.param(Source.HONEYBADGER, MAX_BODY_BYTES + 1, id="Honeybadger"),
    ],
)
@pytest.mark.parametrize("said", [True, False], ids=["length said", "chunked"])
def test_a_body_that_is_too_large(source: Source, size: int, said: bool) -> None:
    """413, which the sender can read though it sends on; the connection is closed and people are told."""
    with serving() as server, server.connect() as connection:
        path = f"/webhooks/{source}"
        if said:
            connection.sendall(head(f"Content-Length: {size}", path=path))
            # Refused for what it says, before anything of it is read.
            assert status_of(connection) == 413
            connection.sendall(b"x" * size)
        else:
            connection.sendall(head("Transfer-Encoding: chunked", path=path))
            connection.sendall(chunked(*[b"x" * MIB] * (size // MIB), b"x" * (size % MIB)))
            assert status_of(connection) == 413
        assert is_closed(connection)
        assert server.inbox.accepted == {}
        ((told_source, error, now),) = server.inbox.refusals
        assert (told_source, now) == (source, NOW)
        assert error.startswith("larger than 16 MiB")


def test_a_body_without_an_end_is_not_taken_for_ever(server: Served) -> None:
    """After the 413 only so much more is read and dropped, then the connection is cut."""
    with server.connect() as connection:
        connection.sendall(head("Transfer-Encoding: chunked"))
        piece = chunk(b"x" * MIB)
        endless = repeat(piece, 4 * (LIMIT + LINGER_BYTES) // MIB)
        with pytest.raises(ConnectionError):
            deque(map(connection.sendall, endless), maxlen=0)
    assert server.post(GOOD).status == 200


def test_a_lying_length_takes_what_it_says() -> None:
    """A body longer than its Content-Length ends there; the rest is no request."""
    with serving() as server, server.connect() as connection:
        connection.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD + b"and more of it\r\n\r\n")
        assert is_closed(connection)
        server.post(b"")
        assert [accepted.body for accepted in server.inbox.accepted.values()] == [GOOD, b""]


def test_many_huge_bodies_at_once_leave_room_for_small_ones() -> None:
    """Memory for bodies under way is bounded: 503 beyond it, while a normal sender is served as ever."""
    with serving() as server:
        held = [server.connect() for _ in range(RECEIVING_BYTES_LARGE // (15 * MIB) + 1)]
        try:
            for connection in held:
                connection.sendall(head("Transfer-Encoding: chunked") + chunk(b"x" * (15 * MIB)))
            # All but the last are held in memory and wait for more; there is no room for the last.
            assert status_of(held[-1]) == 503
            assert server.post(GOOD).took_s < 1
            with server.connect() as small:
                small.sendall(head("Transfer-Encoding: chunked") + chunk(GOOD[:20]))
                small.sendall(chunk(GOOD[20:]) + chunk(b""))
                assert status_of(small) == 200
        finally:
            for connection in held:
                connection.close()


def test_memory_is_given_back() -> None:
    """A sender that goes away in the middle of its body leaves nothing behind."""
    with serving() as server:
        for _ in range(2 * RECEIVING_BYTES_LARGE // (15 * MIB)):
            with server.connect() as connection:
                connection.sendall(head("Transfer-Encoding: chunked") + chunk(b"x" * (15 * MIB)))
        assert server.post(b" " * MIB + GOOD).status == 200


def test_a_normal_sender_does_not_wait_for_ten_thousand_alerts(server: Served) -> None:
    """Large bodies are looked at beside the event loop."""
    large = body(*(alert(labels={"alertname": "Many", "n": str(n)}) for n in range(10_000)))
    answers: list[Answer] = []
    sender = threading.Thread(target=lambda: answers.extend(server.post(large) for _ in range(3)))
    sender.start()
    slowest_s = max(server.post(GOOD).took_s for _ in range(20))
    sender.join()
    assert [answer.status for answer in answers] == [200] * 3
    assert slowest_s < 1


def test_a_connection_serves_many_requests(server: Served) -> None:
    """300 notifications over one connection, as Alertmanager sends them."""
    with server.connect() as connection:
        for _ in range(300):
            connection.sendall(head(f"Content-Length: {len(GOOD)}") + GOOD)
            assert status_of(connection) == 200


def test_answers_are_counted() -> None:
    """Per source and code; each stands at zero before it happens."""
    with serving() as server:

        def counted() -> dict[str, float]:
            return {
                code: server.count("router_webhook_requests_total", source="alertmanager", code=code)
                for code in INTAKE_CODES
            }

        assert set(counted().values()) == {0}
        server.post(GOOD)
        server.post(GOOD)
        server.post(b"")
        server.post(GOOD, authorization=None)
        server.post(GOOD, method="GET")
        server.post(GOOD, path="/webhooks/nobody")
        assert counted() == dict.fromkeys(INTAKE_CODES, 0) | {"200": 2, "202": 1, "401": 1, "405": 1}
        assert server.count("router_webhook_requests_total", source="unknown", code="404") == 1


def test_a_failure_is_logged_once_and_without_secrets() -> None:
    """The first of its kind with who sent it; a thousand more do not fill the log, and no token ever stands there."""
    with structlog.testing.capture_logs() as log, serving() as server:
        for _ in range(3):
            server.post(GOOD, authorization=f"Bearer x{TOKEN}")
            identifier = server.post(b"{").json()["id"]
        server.post(GOOD)
    assert [(line["event"], line["log_level"]) for line in log] == [
        ("sender_not_admitted", "warning"),
        ("notification_quarantined", "warning"),
        ("notification_accepted", "debug"),
    ]
    assert (log[0]["peer"], log[0]["source"]) == ("127.0.0.1", "alertmanager")
    assert log[1]["notification"] == "N0" != identifier
    assert TOKEN not in json.dumps(log)


def test_no_answer_quotes_the_body(server: Served) -> None:
    """Alertmanager copies our answer into its log."""
    sent = b'{"receiver": ["sekret-1"], "sekret-2": 1, "alerts": "sekret-3"}'
    assert b"sekret" not in server.post(sent).body


def test_uvicorn_has_nothing_to_complain_about(caplog: pytest.LogCaptureFixture) -> None:
    """No refusal leaves an answer half sent or an error in the log."""
    with caplog.at_level(logging.WARNING), serving() as server:
        for sent in (GOOD, b"", b"x" * 300_000):
            for authorization in (f"Bearer {TOKEN}", None):
                for source in ("alertmanager", "honeybadger", "nobody"):
                    server.post(sent, path=f"/webhooks/{source}", authorization=authorization)
        with server.connect() as connection:
            connection.sendall(head("Content-Length: 1000000", token="wrong") + b"x" * 1000)
            assert status_of(connection) == 401
        with server.connect() as connection:
            connection.sendall(head("Content-Length: 1000000") + b"x" * 1000)
    assert caplog.messages == []
