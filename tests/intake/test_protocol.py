"""Connections: who is slow is cut at a deadline, who is idle or waits for an answer is not, and heads are bounded."""

import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Final

import pytest

from router.intake.protocol import MAX_HEAD_BYTES, uvicorn_settings
from tests.intake.bodies import alert, body
from tests.intake.raw import CUT, chunk, chunked, head, is_closed, status_of
from tests.intake.server import FakeInbox, Served, serving

GOOD: Final = body(alert())
GOOD_REQUEST: Final = head(f"Content-Length: {len(GOOD)}") + GOOD
HEAD_TIMEOUT_S: Final = 0.3
BODY_TIMEOUT_S: Final = 0.4


@pytest.fixture(scope="module")
def impatient() -> Iterator[Served]:
    """A server with short deadlines."""
    with serving(head_timeout_s=HEAD_TIMEOUT_S, body_timeout_s=BODY_TIMEOUT_S) as served:
        yield served


@pytest.fixture(scope="module")
def patient() -> Iterator[Served]:
    """A server whose deadlines no test reaches."""
    with serving() as served:
        yield served


def cut(server: Served, reason: str) -> float:
    return server.count("router_connections_cut_total", reason=reason)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\r\n\r\n", id="line ends"),
        pytest.param(b"POST /webhooks/alertmanager HTTP/1.1\r\nHost: ro", id="half a head"),
        pytest.param(head("Content-Length: 100"), id="no body"),
        pytest.param(head("Content-Length: 100") + b"{", id="half a body"),
        pytest.param(head("Transfer-Encoding: chunked") + chunk(b"{"), id="chunks without an end"),
        pytest.param(head("Transfer-Encoding: chunked") + chunk(b"{}") + b"0\r\nTrailer: x", id="half a trailer"),
        pytest.param(GOOD_REQUEST + b"POST /webh", id="half a head after a whole request"),
        pytest.param(head("Content-Length: 100", token="wrong"), id="no body after a refusal"),
    ],
)
def test_a_request_that_is_not_completed_is_cut(impatient: Served, sent: bytes) -> None:
    """Without an answer, for a broken connection is what Alertmanager retries at once; counted."""
    before = cut(impatient, "receive_deadline")
    with impatient.connect() as connection:
        connection.sendall(sent)
        assert is_closed(connection)
    assert cut(impatient, "receive_deadline") == before + 1


@pytest.mark.parametrize(
    ("start", "drip"),
    [
        pytest.param(b"POST /webhooks/alertmanager HTTP/1.1\r\nX: ", b"y", id="head"),
        pytest.param(b"", b"\r\n", id="line ends"),
        pytest.param(GOOD_REQUEST, b"\r\n", id="line ends after a whole request"),
        pytest.param(head("Content-Length: 1000000"), b"y", id="body"),
        pytest.param(head("Transfer-Encoding: chunked"), chunk(b"y"), id="chunks"),
    ],
)
def test_a_drip_does_not_move_the_deadline(impatient: Served, start: bytes, drip: bytes) -> None:
    """A byte now and then keeps no connection."""
    with impatient.connect() as connection:
        connection.sendall(start)
        gone = threading.Event()

        def keep_dripping() -> None:
            while not gone.wait(HEAD_TIMEOUT_S / 5):
                try:
                    connection.sendall(drip)
                except OSError:
                    return

        dripping = threading.Thread(target=keep_dripping)
        dripping.start()
        connection.settimeout(3 * BODY_TIMEOUT_S)
        assert is_closed(connection)
        gone.set()
        dripping.join()


def test_an_idle_connection_is_kept(impatient: Served) -> None:
    """Between two requests no deadline runs: Alertmanager keeps its connections for five minutes."""
    with impatient.connect() as connection:
        for _ in range(2):
            connection.sendall(GOOD_REQUEST)
            assert status_of(connection) == 200
            connection.settimeout(3 * BODY_TIMEOUT_S)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(10)


def test_who_waits_for_an_answer_is_not_cut() -> None:
    """A request that is complete has no deadline of the connection, however long its answer takes."""
    inbox = FakeInbox(waits=True)
    with serving(inbox=inbox, head_timeout_s=0.2, body_timeout_s=0.2) as server, server.connect() as connection:
        connection.sendall(GOOD_REQUEST)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        inbox.may_go_on.set()
        connection.settimeout(10)
        assert status_of(connection) == 200


def test_requests_in_one_piece_are_all_answered(patient: Served) -> None:
    """Pipelined requests, though no sender does it."""
    with patient.connect() as connection:
        connection.sendall(GOOD_REQUEST * 2)
        received = b""
        while received.count(b'"status":"accepted"') < 2:
            received += connection.recv(65536)


def test_slow_connections_do_not_hold_up_a_normal_sender(patient: Served) -> None:
    """A hundred connections that say nothing, and a hundred with half a head."""
    held = [patient.connect() for _ in range(200)]
    for connection in held[100:]:
        connection.sendall(b"POST /webhooks/alertmanager HTTP/1.1\r\nHost: ro")
    answer = patient.post(GOOD)
    for connection in held:
        connection.close()
    assert (answer.status, answer.took_s < 1) == (200, True)


LARGE: Final = b"x" * MAX_HEAD_BYTES
START: Final = b"POST /webhooks/alertmanager HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        pytest.param([START + b"X: " + LARGE + b"\r\n\r\n"], 431, id="one field, in one piece"),
        pytest.param([START + b"X: " + LARGE], 431, id="one field without an end"),
        pytest.param([START + b"X: ", LARGE[:-1000], b"y" * 2000], 431, id="one field, in three pieces"),
        pytest.param([START + b"X: y\r\n" * 10_000 + b"\r\n"], 431, id="many fields"),
        pytest.param([b"POST /" + LARGE + b" HTTP/1.1\r\n\r\n"], 431, id="the path"),
        pytest.param([b"POST /" + LARGE], 431, id="the path without an end"),
        pytest.param([b"\r\n" * MAX_HEAD_BYTES], 431, id="line ends"),
        pytest.param([head("Transfer-Encoding: chunked"), b"0\r\n" + b"X: y\r\n" * 10_000], CUT, id="trailers"),
        pytest.param([head("Transfer-Encoding: chunked"), b"0\r\nX: " + LARGE], CUT, id="a trailer without an end"),
        pytest.param([head("Transfer-Encoding: chunked"), b"5;" + LARGE], CUT, id="a chunk extension"),
        pytest.param([head("Transfer-Encoding: chunked"), chunk(b"x") * 10_000], CUT, id="tiny chunks"),
    ],
)
def test_a_head_that_is_too_large(patient: Served, pieces: list[bytes], status: int) -> None:
    """431 where it can still be said, else cut; what is no body is never collected without bounds."""
    before = cut(patient, "header_too_large")
    with patient.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        assert status_of(connection) in (status, CUT)
        assert is_closed(connection)
    assert cut(patient, "header_too_large") == before + 1


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(
            head("X: " + "y" * (MAX_HEAD_BYTES - 1000), f"Content-Length: {len(GOOD)}") + GOOD, id="large head"
        ),
        pytest.param(
            head("Content-Length: 200000") + b" " * (200_000 - len(GOOD)) + GOOD, id="large body in one piece"
        ),
        pytest.param(
            head("Transfer-Encoding: chunked") + chunked(*[b" " * 100] * 9000, GOOD), id="nine thousand small chunks"
        ),
    ],
)
def test_what_is_within_bounds_is_served(patient: Served, request_: bytes) -> None:
    """The bound is on the head and on the framing, not on what follows."""
    with patient.connect() as connection:
        for _ in range(2):
            connection.sendall(request_)
            assert status_of(connection) == 200


def test_the_keep_alive_outlives_the_sender_s() -> None:
    """Alertmanager drops an idle connection after five minutes; we must not be first."""
    settings = uvicorn_settings()
    assert settings["timeout_keep_alive"] >= 310
    assert (settings["access_log"], settings["proxy_headers"], settings["loop"]) == (False, False, "uvloop")


def test_the_file_limit_is_raised() -> None:
    """One Alertmanager can open 10,000 connections at once; a process often starts with room for 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    program = (
        "import resource; from router.intake.protocol import raise_file_limit; "
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard})); "
        "print(raise_file_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    # In a process of its own: the limit is the process's.
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    expected = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    assert printed.split() == [str(expected)] * 2
