"""The server of the tests, and the emulator as a process of its own."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from router.preview.app import preview_app
from router.preview.emulator import PREVIEW_TOKEN, Emulator
from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, Keep
from tests.preview.workspace import EDIT, NOW, OTHER, OWN, POST, Client
from tests.slack import SlackServer


def test_waiting_ends_when_the_message_is_there(client: Client) -> None:
    """No polling: the waiting thread is woken by the call."""
    poster = threading.Thread(target=client.post)
    poster.start()
    client.server.wait_for(lambda slack: len(slack.roots(OWN)) == 1)
    poster.join()


def test_waiting_in_vain_says_what_slack_knows(client: Client) -> None:
    """A failure a person can read."""
    client.post(text="something else")
    with pytest.raises(pytest.fail.Exception, match="something else"):
        client.server.wait_for(lambda slack: False, timeout_s=0)


def test_reading_a_channel(client: Client) -> None:
    """Roots, threads, notifications and duplicates, each by a name of its own."""
    metadata = {"event_type": "t", "event_payload": {"delivery_id": "d1"}}
    root = client.post(metadata=metadata)
    twin = client.post(metadata=metadata)
    reply = client.post(thread_ts=root, text="<!subteam^S0ONCALL01>")
    server = client.server
    assert [message.ts for message in server.roots(OWN)] == [root, twin]
    assert [message.ts for message in server.thread(OWN, root)] == [reply]
    assert server.posts_of("d1") == [root, twin]
    assert server.notified("S0ONCALL01") == 1
    assert server.messages(OTHER) == []


def test_the_check_fails_a_test_that_broke_a_rule(client: Client) -> None:
    """Unless the test said that it would, and then it must."""
    server = client.server
    server.check()
    client.post(text="<!channel>")
    with pytest.raises(AssertionError, match="notifies a whole channel"):
        server.check()
    server.expect_violations(26)
    server.check()
    server.expect_violations(26, 27)
    with pytest.raises(AssertionError):
        server.check()


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        pytest.param(Keep(roots=2), ["m2", "r2", "m3", "r3"], id="roots with their replies"),
        pytest.param(Keep(replies=0), ["m0", "m1", "m2", "m3"], id="replies"),
        pytest.param(Keep.everything(), ["m0", "r0", "m1", "r1", "m2", "r2", "m3", "r3"], id="everything"),
    ],
)
def test_the_oldest_is_forgotten(keep: Keep, left: list[str]) -> None:
    """A preview that runs for weeks stays small."""
    emulator = Emulator(clock=lambda: NOW, rates=Rates.unlimited(), keep=keep)
    emulator.seed(channels=[ChannelSeed(id=OWN, name="own")])
    client = TestClient(preview_app(emulator, control=False), headers={"Authorization": f"Bearer {emulator.token}"})
    for number in range(4):
        root = client.post("/api/chat.postMessage", json={**POST, "text": f"m{number}"}).json()["ts"]
        reply = client.post("/api/chat.postMessage", json={**POST, "text": f"r{number}", "thread_ts": root})
        assert reply.json()["ok"]
    assert [message.text for message in emulator.messages(OWN)] == left


def test_a_reply_to_a_forgotten_root_is_nobodys_fault() -> None:
    """The emulator's memory is its own affair; Slack's word makes the router post a new root."""
    emulator = Emulator(clock=lambda: NOW, rates=Rates.unlimited(), keep=Keep(roots=1))
    emulator.seed(channels=[ChannelSeed(id=OWN, name="own")])
    client = TestClient(preview_app(emulator, control=False), headers={"Authorization": f"Bearer {emulator.token}"})
    stamps = [client.post("/api/chat.postMessage", json=dict(POST)).json()["ts"] for _ in range(2)]
    reply = client.post("/api/chat.postMessage", json={**POST, "thread_ts": stamps[0]})
    assert reply.json()["error"] == "thread_not_found"
    assert client.post("/api/chat.update", json={**EDIT, "ts": stamps[0]}).json()["error"] == "message_not_found"
    assert emulator.violations == []


def test_the_fixture_has_a_strict_slack_with_a_running_clock(slack: SlackServer) -> None:
    """What every other test gets: nothing seeded, one message a second."""
    slack.emulator.seed(channels=[ChannelSeed(id=OWN, name="own")])
    client = Client(slack)
    client.post()
    assert client.call("chat.postMessage", **POST).status == 429
    slack.emulator.advance(1)
    client.post()


class Process:
    """`python -m router.preview`, and its control paths."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {PREVIEW_TOKEN}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}{path}", data, headers), timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    command = [sys.executable, "-m", "router.preview", "--listen", "127.0.0.1:0", "--rates", "lenient"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = running.stdout.readline()
        assert said.startswith("listening http://127.0.0.1:"), said
        try:
            yield Process(said.removeprefix("listening ").strip())
        finally:
            running.send_signal(signal.SIGTERM)
            out, errors = running.communicate(timeout=10)
    assert (running.returncode, out, errors) == (0, "", "")


def test_a_process_is_driven_from_outside(process: Process) -> None:
    """Seed, post, break, advance, look."""
    process.ask("_emu/seed", {
        "channels": [{"id": OWN, "name": "own"}],
        "usergroups": [{"id": "S0ONCALL01", "handle": "oncall", "users": ["U0ALICE001"]}],
        "users": [{"id": "U0ALICE001", "name": "alice"}],
    })  # fmt: skip
    metadata = {"event_type": "t", "event_payload": {"delivery_id": "d1"}}
    text = "<!subteam^S0ONCALL01>"
    ts = process.ask("api/chat.postMessage", {**POST, "text": text, "metadata": metadata})["ts"]
    process.ask("_emu/faults", {"faults": [{"kind": "close", "method": "chat.update"}], "seed": 1})
    with pytest.raises(http.client.RemoteDisconnected):
        process.ask("api/chat.update", {**EDIT, "ts": ts})
    process.ask("_emu/faults", {"faults": []})
    process.ask("api/chat.postMessage", {**POST, "text": "<!channel>"})

    state = process.ask("_emu/state")
    [message, _] = state["channels"][OWN]["messages"]
    assert [content["text"] for content in message["revisions"]] == [text, "hello again"]
    assert [(entry["method"], entry["delivery_id"]) for entry in state["accepted"]][:2] == [
        ("chat.postMessage", "d1"),
        ("chat.update", "d1"),
    ]
    assert [entry["target"] for entry in state["notified"]] == ["S0ONCALL01", "U0ALICE001"]
    assert state["calls"] == {"chat.postMessage": 2, "chat.update": 1}
    [violation] = process.ask("_emu/violations")
    assert violation == {
        "rule": 26,
        "message": "<!channel> notifies a whole channel",
        "method": "chat.postMessage",
        "channel": OWN,
    }


def test_a_process_has_a_clock_and_a_token(process: Process) -> None:
    """Time is moved, the token is revoked and given back."""
    before = process.ask("_emu/clock")["now"]
    assert process.ask("_emu/clock", {"advance": 3_600})["now"] - before >= 3_600
    process.ask("_emu/seed", {"token": {"state": "revoked"}})
    assert process.ask("api/auth.test", {})["error"] == "token_revoked"
    process.ask("_emu/seed", {"token": {"state": "live", "scopes": []}})
    assert process.ask("api/chat.postMessage", dict(POST))["error"] == "missing_scope"
