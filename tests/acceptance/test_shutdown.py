"""Stopping loses nothing and takes seconds; a start that cannot work says why and ends."""

import http.client
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.organisation import MAP, alert, body, write_map
from tests.programs import eventually, free_port
from tests.router_process import INTAKE_TOKEN, PROJECT, RouterProcess, drained, environment, request

GRACE_S = 20


def refuses_work(router: RouterProcess) -> bool:
    """Not ready any more, or not even listening."""
    try:
        return router.get("/-/ready").status == 503
    except OSError:
        return True


def test_a_stop_finishes_what_has_begun(tmp_path: Path) -> None:
    """A request whose body is half here at SIGTERM is still answered, and is there after the next start."""
    router = RouterProcess(tmp_path, ownership=write_map(tmp_path))
    sent = body(alert("SentDuringTheStop", team="payments"), group="stop")
    with router:
        connection = http.client.HTTPConnection("127.0.0.1", router.port, timeout=GRACE_S)
        connection.putrequest("POST", "/webhooks/alertmanager")
        connection.putheader("Authorization", f"Bearer {INTAKE_TOKEN}")
        connection.putheader("Content-Length", str(len(sent)))
        connection.endheaders(sent[:100])
        assert router.get("/-/ready").status == 200  # answered after the half request on the same event loop

        router.send_signal(signal.SIGTERM)
        eventually(lambda: refuses_work(router), timeout_s=5, what="a router that takes no new work")
        connection.send(sent[100:])
        answer = connection.getresponse()
        assert (answer.status, b"accepted" in answer.read()) == (200, True)
        connection.close()
        assert router.wait(GRACE_S) == 0

        router.start()
        assert router.wait_until(drained)["notifications"]["decided"] == 1


def test_a_stop_under_load_loses_nothing(tmp_path: Path) -> None:
    """Whatever was answered 2xx before and during a SIGTERM is decided and delivered after the next start."""
    router = RouterProcess(tmp_path, ownership=write_map(tmp_path))
    accepted: list[str] = []
    surprises: list[int] = []
    some_accepted = threading.Event()

    def post_until_refused(poster: int) -> None:
        for number in range(10_000):
            name = f"Load{poster}x{number % 3}"  # few messages, many notifications
            try:
                answer = router.post(
                    "/webhooks/alertmanager", body(alert(name, team="payments", instance=str(number)), group=name)
                )
            except OSError:
                return  # nobody listens any more; Alertmanager comes back
            if answer.status == 200:
                accepted.append(answer.json()["id"])
            elif answer.status == 503:
                return
            else:
                surprises.append(answer.status)
            if number == 10:
                some_accepted.set()

    with router:
        posters = [threading.Thread(target=post_until_refused, args=(poster,)) for poster in range(4)]
        for poster in posters:
            poster.start()
        assert some_accepted.wait(20)
        assert router.terminate(GRACE_S) == 0
        for poster in posters:
            poster.join(GRACE_S)
        assert surprises == []

        router.start()
        status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0, 30)
        assert status["notifications"]["accepted"] >= len(accepted) > 40
        states = {router.get(f"/api/v1/notifications/{reference}").json()["state"] for reference in accepted}
        assert states == {"decided"}


def not_a_map(directory: Path) -> list[str]:
    return ["--ownership", str(write_map(directory, MAP.replace("channel:", "chanel:", 1)))]


def no_map(directory: Path) -> list[str]:
    return ["--ownership", str(directory / "nowhere.yaml")]


def open_to_all(directory: Path) -> list[str]:
    return ["--listen", f"0.0.0.0:{free_port()}"]


def not_a_database(directory: Path) -> list[str]:
    path = directory / "other.db"
    path.write_bytes(b"this is no database" * 1000)
    return ["--database", f"sqlite:///{path}"]


def a_directory(directory: Path) -> list[str]:
    return ["--database", f"sqlite:///{directory}"]


def no_directory(directory: Path) -> list[str]:
    return ["--database", f"sqlite:///{directory}/missing/router.db"]


def unknown_engine(directory: Path) -> list[str]:
    return ["--database", "mysql://user@host/name"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(
            not_a_map,
            r"(?s)ownership\.yaml:4:5\n.*chanel: .*did you mean \"channel\"",
            id="map with a typo: file, line, column",
        ),
        pytest.param(no_map, r"nowhere\.yaml", id="no map"),
        pytest.param(open_to_all, r"ROUTER_INTAKE_TOKENS", id="beyond loopback without a token"),
        pytest.param(not_a_database, r"other\.db", id="database file that is none"),
        pytest.param(a_directory, r"directory|unable to open", id="database that is a directory"),
        pytest.param(no_directory, r"missing/router\.db", id="database in a missing directory"),
        pytest.param(unknown_engine, r"mysql", id="unknown engine"),
    ],
)
def test_a_start_that_cannot_work_says_why(tmp_path: Path, arguments: Callable[[Path], list[str]], says: str) -> None:
    """Exit 3, at once, with what is wrong and where, and without a traceback."""
    ended = start(tmp_path, *arguments(tmp_path))
    assert ended.returncode == 3, ended.stderr
    assert re.search(says, ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_stops_the_start(tmp_path: Path) -> None:
    """Exit 3 with the address, and nothing of the other program is disturbed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = start(tmp_path, "--listen", address)
    assert ended.returncode == 3, ended.stderr
    assert address in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_routers_do_not_share_a_database(tmp_path: Path) -> None:
    """SQLite has one writer: a second router on the same file exits 3, and the first goes on."""
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as first:
        ended = start(tmp_path)
        assert ended.returncode == 3, ended.stderr
        assert "router.db" in ended.stderr
        assert request(f"{first.url}/-/ready").status == 200


def start(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `router serve` with a good map, database and port, changed by `arguments`; it is expected to end."""
    settings = environment()
    del settings["ROUTER_INTAKE_TOKENS"]
    map_file = directory / "ownership.yaml"
    if not map_file.exists():
        write_map(directory)
    return subprocess.run(
        [
            *(sys.executable, "-m", "router", "serve", "--listen", f"127.0.0.1:{free_port()}"),
            *("--database", f"sqlite:///{directory / 'router.db'}", "--ownership", str(map_file)),
            *arguments,
        ],
        cwd=PROJECT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
