"""How a command asks a running router: what it understands, what it says without an answer, what it never does."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from router.asking import LARGEST_ANSWER, RunningRouter, TokenKind
from router.core.errors import NotAnswered
from tests.programs import free_port

TOKEN = "a-token-for-operators"

Reply = Callable[[BaseHTTPRequestHandler], None]


class Asked:
    """A server that answers every request by `reply`, and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[tuple[str, str, str | None, bytes]] = []
        asked = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.requests.append((self.command, self.path, self.headers.get("Authorization"), body))
                reply(self)

            do_POST = do_GET  # noqa: N815 - the names are http.server's

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: the tests' output is for failures."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False  # closing waits for them
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def listening(self) -> Iterator["Asked"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def says(status: int, body: bytes, **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def problem(status: int, error: str) -> Reply:
    return says(status, json.dumps({"error": error}).encode())


def test_asks_with_the_token_and_understands_json() -> None:
    """Parameters that are None are left out, a body is JSON, and the token is sent with each request."""
    with Asked(says(200, b'{"version": 1}')).listening() as server:
        router = RunningRouter(f"{server.url}/", token=TOKEN)
        assert router.get("/api/v1/dead-letters", {"kind": "a b", "cursor": None, "limit": 5}) == {"version": 1}
        assert router.post("/api/v1/dead-letters/drop", {"all": True}) == {"version": 1}
        RunningRouter(server.url, token=None).get("/x")
        RunningRouter(server.url, token=None).get("/y", {"team": b"\xff".decode("utf-8", "surrogateescape")})
    assert server.requests == [
        ("GET", "/api/v1/dead-letters?kind=a+b&limit=5", f"Bearer {TOKEN}", b""),
        ("POST", "/api/v1/dead-letters/drop", f"Bearer {TOKEN}", b'{"all": true}'),
        ("GET", "/x", None, b""),
        ("GET", "/y?team=%3F", None, b""),  # a terminal's bytes that are no text
    ]


def test_keeps_the_path_of_the_address() -> None:
    """A router behind a path of a larger server is asked there."""
    with Asked(says(200, b"{}")).listening() as server:
        RunningRouter(f"{server.url}/router/", token=None).get("/api/v1/status")
    assert [path for _, path, _, _ in server.requests] == ["/router/api/v1/status"]


@pytest.mark.parametrize(
    ("reply", "status", "expected"),
    [
        pytest.param(problem(404, "no dead letter has this id"), 404, "no dead letter has this id", id="says why"),
        pytest.param(problem(401, "give the token"), 401, "refuses this admin token", id="another token"),
        pytest.param(problem(403, "this machine only"), 403, "this machine only", id="no token set there"),
        pytest.param(problem(503, "the store cannot be read"), 503, "cannot be read", id="database away"),
        pytest.param(problem(400, "x" * 100_000), 400, "xxx", id="a long error"),
        pytest.param(says(200, b"<html>"), 200, "another program", id="another program"),
        pytest.param(says(200, b"[]"), 200, "another program", id="JSON of something else"),
        pytest.param(says(200, b"[" * 200_000), 200, "another program", id="nested too deep"),
        pytest.param(says(404, b"Not Found"), 404, "another version", id="no such path"),
        pytest.param(says(200, b" " * (LARGEST_ANSWER + 1)), None, "more than 32 MiB", id="no end"),
        pytest.param(says(200, b"{", **{"Content-Length": "9"}), None, "no router answers", id="cut off"),
    ],
)
def test_an_answer_that_is_none(reply: Reply, status: int | None, expected: str) -> None:
    """Each is one short sentence, with the answer's status and without the token."""
    with Asked(reply).listening() as server, pytest.raises(NotAnswered) as caught:
        RunningRouter(server.url, token=TOKEN).get("/api/v1/status")
    assert expected in str(caught.value)
    assert caught.value.status == status
    assert (TOKEN in str(caught.value), "\n" in str(caught.value), len(str(caught.value)) < 700) == (False, False, True)


def test_without_a_token_it_says_which_variable() -> None:
    """Who forgot the token learns its name."""
    with Asked(problem(401, "give the token")).listening() as server, pytest.raises(NotAnswered) as caught:
        RunningRouter(server.url, token=None).get("/api/v1/status")
    assert "wants its admin token: set ROUTER_ADMIN_TOKEN" in str(caught.value)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param("of-a-sender", "refuses this intake token: set ROUTER_INTAKE_TOKENS or", id="wrong"),
        pytest.param(None, "wants its intake token: set ROUTER_INTAKE_TOKENS or ROUTER_INTAKE_TOKENS_FILE", id="none"),
    ],
)
def test_a_sender_learns_which_token(token: str | None, expected: str) -> None:
    """The tokens of senders are in another variable than that of operators."""
    with Asked(problem(401, "a token is needed")).listening() as server, pytest.raises(NotAnswered) as caught:
        RunningRouter(server.url, token=token, kind=TokenKind.INTAKE).post("/webhooks/alertmanager", {})
    assert expected in str(caught.value)


def test_a_token_beyond_ascii_is_sent_as_utf_8() -> None:
    """As the router reads it."""
    with Asked(says(200, b"{}")).listening() as server:
        RunningRouter(server.url, token="ケ", kind=TokenKind.INTAKE).get("/x")
    ((_, _, authorization, _),) = server.requests
    assert authorization is not None
    assert authorization.encode("latin-1").decode() == "Bearer ケ"


def test_a_redirect_is_not_followed() -> None:
    """The token goes nowhere but to the address that was named."""
    with Asked(says(200, b"{}")).listening() as elsewhere:
        moved = says(302, b"", Location=f"{elsewhere.url}/stolen")
        with Asked(moved).listening() as server, pytest.raises(NotAnswered, match="status 302"):
            RunningRouter(server.url, token=TOKEN).get("/api/v1/status")
        assert elsewhere.requests == []


def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy for the way out of the company is no way to this machine."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with Asked(says(200, b'{"version": 1}')).listening() as server:
        assert RunningRouter(server.url, token=None).get("/api/v1/status") == {"version": 1}


def test_nobody_listens() -> None:
    """It says where it asked, and what to do."""
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(NotAnswered, match=f"no router answers at {url}: Connection refused. Start it, or name another"):
        RunningRouter(url, token=TOKEN).get("/api/v1/status")


def test_a_router_that_hangs() -> None:
    """A command does not wait for ever."""
    over = threading.Event()

    def hang(_handler: BaseHTTPRequestHandler) -> None:
        over.wait(30)

    try:
        with Asked(hang).listening() as server:
            with pytest.raises(NotAnswered, match=r"did not answer within 0\.2 s"):
                RunningRouter(server.url, token=None, timeout_s=0.2).get("/api/v1/status")
            over.set()
    finally:
        over.set()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:9095",
        "ftp://127.0.0.1",
        "http://",
        "http://router:port",
        "http://router:0",
        "http://[::1",
        "http://router/?x=1",
        "http://router/#x",
        "http://rou ter",
        "http://router/\r\nX: y",
    ],
)
def test_what_is_no_address(url: str) -> None:
    """It is quoted, with an example of one that is."""
    with pytest.raises(NotAnswered, match=r"is not an address of a router\. Write http://127\.0\.0\.1:9095"):
        RunningRouter(url, token=None)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://me:hunter2@router:9095", id="as it is written"),
        pytest.param("me:hunter2@router:9095", id="without a scheme"),
        pytest.param("http://me:hunter2]@router", id="that is no address"),
        pytest.param("http://me:hunter2@router:port", id="with a wrong port"),
        pytest.param("http://me:hunter2/x@router", id="with a password that is not encoded"),
    ],
)
def test_an_address_with_a_password(url: str) -> None:
    """It is refused, and not repeated."""
    with pytest.raises(NotAnswered) as caught:
        RunningRouter(url, token=None)
    assert ("hunter2" in str(caught.value), "ROUTER_ADMIN_TOKEN" in str(caught.value)) == (False, True)
