"""What people press in Slack, or type, against a running router: signed as Slack signs it, and seen in Slack."""

import hmac
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.incident import STORED
from router.preview.workspace import ChannelSeed, Message
from tests.acceptance.organisation import CHANNELS, alert, body, write_map
from tests.docs import pages
from tests.programs import free_port
from tests.router_process import Answer, RouterProcess, SlackAccess, drained
from tests.slack import SlackServer
from tests.test_asking import Asked, says

PAYMENTS, LEDGER, FALLBACK = CHANNELS["payments"], CHANNELS["ledger"], CHANNELS[None]
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PATH = "/slack/interactions"

Json = dict[str, Any]  # Any: Slack's


@pytest.fixture
def router(tmp_path: Path, slack: SlackServer) -> Iterator[RouterProcess]:
    """A router with buttons that posts to `slack`, whose channels are those of the map."""
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    settings = {"ROUTER_SLACK_SIGNING_SECRET": SECRET}
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), slack=access, settings=settings) as running:
        yield running


class Person:
    """Somebody who reads a channel, and presses what is there."""

    def __init__(self, router: RouterProcess, slack: SlackServer) -> None:
        self._router = router
        self._slack = slack
        self._presses = 0

    def told(self, channel: str, *, number: int = 0) -> Message:
        """The message of a channel, once it is there."""
        self._slack.wait_for(lambda server: len(server.roots(channel)) > number)
        return self._slack.roots(channel)[number]

    def sees(self, channel: str, words: str, *, number: int = 0) -> Message:
        self._slack.wait_for(
            lambda server: (
                len(server.roots(channel)) > number and words in str(server.roots(channel)[number].content.blocks)
            )
        )
        return self._slack.roots(channel)[number]

    def press(self, message: Message, channel: str, action: str, *, pick: str | None = None) -> Answer:
        """Press a button, or pick from a list that is there now."""
        element = {**element_of(message, action)}
        self._presses += 1
        element["action_ts"] = f"1763721790.{self._presses:06}"
        if pick is not None:
            element["selected_option"] = {"text": {"type": "plain_text", "text": "?"}, "value": pick}
        return self.send(
            {
                "type": "block_actions",
                "user": {"id": "U0ALICE", "username": "alice", "name": "alice"},
                "container": {"type": "message", "message_ts": message.ts, "channel_id": channel},
                "actions": [element],
            }
        )

    def send(self, payload: Json) -> Answer:
        return self.post(*self.signed(payload))

    def signed(self, payload: Json) -> tuple[bytes, dict[str, str]]:
        sent = urlencode({"payload": json.dumps(payload)}).encode()
        at = int(time.time())
        digest = hmac.new(SECRET.encode(), b"v0:%d:" % at + sent, sha256).hexdigest()
        return sent, {
            "X-Slack-Request-Timestamp": str(at),
            "X-Slack-Signature": f"v0={digest}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def post(self, sent: bytes, headers: dict[str, str]) -> Answer:
        # As through the proxy in front: not from this machine, and without any token.
        return self._router.post(PATH, sent, None, headers={**headers, "X-Forwarded-For": "203.0.113.7"})


def element_of(message: Message, action: str) -> Json:
    """What can be pressed below a message, with its block, as Slack tells it back."""
    for block in message.content.blocks:
        for element in block.get("elements", []) if block["type"] == "actions" else []:
            if element["action_id"] == action:
                keys = ("type", "action_id", "value")
                return {"block_id": block["block_id"], **{key: element[key] for key in keys if key in element}}
    raise AssertionError(f"nothing to press called {action} in {message.content.blocks}")


def actions_of(message: Message) -> set[str]:
    blocks = (block for block in message.content.blocks if block["type"] == "actions")
    return {element["action_id"] for block in blocks for element in block["elements"]}


def replies(slack: SlackServer, channel: str) -> list[str]:
    return [str(message.content) for message in slack.messages(channel) if not message.is_root]


def fire(router: RouterProcess, name: str = "A", *, team: str | None = "payments", group: str = "g") -> None:
    assert router.post("/webhooks/alertmanager", body(alert(name, team=team), group=group)).status == 200


def test_acknowledged_in_slack(router: RouterProcess, slack: SlackServer) -> None:
    """Pressed, answered at once and empty; message and thread say who has it, and there is nothing left to take."""
    person = Person(router, slack)
    fire(router)
    message = person.told(PAYMENTS)
    assert actions_of(message) >= {"ack", "disown", "snooze"}

    answer = person.press(message, PAYMENTS, "ack")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.took_s < 2
    after = person.sees(PAYMENTS, "U0ALICE")
    assert "ack" not in actions_of(after)
    slack.wait_for(lambda _: len(replies(slack, PAYMENTS)) == 1)
    assert router.named("action_done")[0]["by"] == "U0ALICE"
    assert next(router.incidents())["acknowledged_by"] == "U0ALICE"


def test_not_ours(router: RouterProcess, slack: SlackServer) -> None:
    """The list is filled as somebody types; who was picked hears of it at once, and reads what to change in the map."""
    person = Person(router, slack)
    fire(router)
    message = person.told(PAYMENTS)
    asked = {**element_of(message, "disown"), "type": "block_suggestion", "value": "led"}
    (option,) = person.send(asked).json()["options"]
    assert option["value"] == "ledger"

    assert person.press(message, PAYMENTS, "disown", pick=option["value"]).status == 200
    new = person.told(LEDGER)
    assert "U0ALICE" in str(new.content.blocks)
    assert "overrides:" in str(new.content)
    person.sees(PAYMENTS, "MOVED")
    slack.wait_for(lambda _: len(replies(slack, PAYMENTS)) == 1)
    assert router.wait_until(drained)["incidents"]["open"] == 1

    # Back: nobody's word is needed for what the map says.
    assert person.press(new, LEDGER, "disown", pick="payments").status == 200
    again = person.told(PAYMENTS, number=1)
    assert "overrides:" not in str(again.content)


def test_orphan_is_claimed_in_slack(router: RouterProcess, slack: SlackServer) -> None:
    """Whoever watches the fallback channel gives it to its team."""
    person = Person(router, slack)
    fire(router, team=None)
    assert person.press(person.told(FALLBACK), FALLBACK, "disown", pick="ledger").status == 200
    person.told(LEDGER)
    person.sees(FALLBACK, "MOVED")


def test_snoozed_and_woken_in_slack(router: RouterProcess, slack: SlackServer) -> None:
    """Until when it rests, and then that it does not any more."""
    person = Person(router, slack)
    fire(router)
    assert person.press(person.told(PAYMENTS), PAYMENTS, "snooze", pick="4h").status == 200
    snoozed = person.sees(PAYMENTS, "U0ALICE")
    assert next(router.incidents())["snoozed_until"] is not None
    assert person.press(snoozed, PAYMENTS, "snooze", pick="wake").status == 200
    slack.wait_for(lambda _: "ended the snooze" in str(replies(slack, PAYMENTS)))
    assert next(router.incidents())["snoozed_until"] is None


def test_pressed_and_killed(router: RouterProcess, slack: SlackServer) -> None:
    """What was answered 200 is done, also if the router ends at that moment; the same press again changes nothing."""
    person = Person(router, slack)
    fire(router)
    message = person.told(PAYMENTS)
    assert person.press(message, PAYMENTS, "ack").status == 200
    router.kill()
    router.start()
    person.sees(PAYMENTS, "U0ALICE")
    again = Person(router, slack)
    assert again.press(message, PAYMENTS, "ack").status == 200
    router.wait_until(drained)
    assert len(replies(slack, PAYMENTS)) == 1


def test_only_what_slack_signed(router: RouterProcess, slack: SlackServer) -> None:
    """Unsigned, signed with something else, changed, or sent again: 401, and nothing happens."""
    person = Person(router, slack)
    fire(router)
    message = person.told(PAYMENTS)
    payload = {"type": "block_actions", "user": {"id": "U0ALICE"}, "actions": [element_of(message, "ack")]}
    sent, headers = person.signed(payload)
    assert person.post(sent, {}).status == 401
    assert person.post(sent + b"&x=1", headers).status == 401
    assert person.post(sent, {**headers, "X-Slack-Signature": "v0=" + "0" * 64}).status == 401
    assert person.post(b"x" * 1024 * 1024, headers).status == 413
    assert next(router.incidents())["acknowledged_by"] is None
    assert person.post(sent, headers).status == 200
    assert person.post(sent, headers).status == 401
    person.sees(PAYMENTS, "U0ALICE")
    assert SECRET not in router.log_tail(1000)


# -- from a terminal ---------------------------------------------------------------------------------------------------


def incident(router: RouterProcess, *arguments: str) -> Result:
    return CliRunner(env={"ROUTER_URL": router.url}).invoke(main, ["incident", *arguments])


def test_without_buttons(preview_router: RouterProcess) -> None:
    """Without a signing secret nothing can be pressed, and the same can be typed."""
    router = preview_router
    assert router.post(PATH, b"payload={}", None).status == 404
    fire(router, group="cli")
    router.wait_until(drained)
    (found,) = router.incidents("open")
    name = found["id"]

    acked = incident(router, "ack", name, "--by", "alice")
    assert (acked.exit_code, acked.stdout) == (0, "acknowledged: it goes no further\n"), acked.output
    other = incident(router, "ack", name, "--by", "bob")
    assert other.exit_code == 1
    assert "alice acknowledged it already" in other.stderr

    snoozed = incident(router, "snooze", name, "--for", "2h", "--json")
    assert snoozed.exit_code == 0, snoozed.output
    assert json.loads(snoozed.stdout)["outcome"] == "done"
    assert incident(router, "wake", name).exit_code == 0
    assert incident(router, "wake", name).exit_code == 1
    assert incident(router, "snooze", name, "--for", "1m").exit_code == 1
    assert incident(router, "snooze", name, "--for", "1 minute").exit_code == 2

    wrong = incident(router, "disown", name, "--team", "ledgr")
    assert (wrong.exit_code, 'did you mean "ledger"?' in wrong.stderr) == (1, True)
    given = incident(router, "disown", name, "--team", "ledger", "--by", "alice")
    assert given.exit_code == 0, given.output
    assert "it is ledger's now" in given.stdout
    assert "overrides:" in given.stdout

    shown = incident(router, "show", name)
    assert shown.exit_code == 0
    assert f"incident {name}.1" in shown.stdout
    assert "acknowledged by alice" in shown.stdout
    new = incident(router, "show", f"{name}.1")
    assert "owner     ledger, by the word of alice; by the map payments" in new.stdout
    assert "What to change in the map:" in new.stdout
    assert json.loads(incident(router, "show", f"{name}.1", "--json").stdout)["version"] == 1


def test_by_whoever_is_logged_in(preview_router: RouterProcess) -> None:
    """Nobody has to say who he is on his own machine."""
    fire(preview_router, group="user")
    preview_router.wait_until(drained)
    (name,) = (one["id"] for one in preview_router.incidents("open") if one["owner"] == "payments")
    acked = CliRunner(env={"ROUTER_URL": preview_router.url, "LOGNAME": "carol"}).invoke(
        main, ["incident", "ack", name]
    )
    assert acked.exit_code == 0, acked.output
    assert "taken by  carol" in incident(preview_router, "show", name).stdout


@pytest.mark.parametrize("command", [["show"], ["ack"], ["disown", "--team", "ledger"], ["snooze"], ["wake"]])
def test_an_incident_that_there_is_not(preview_router: RouterProcess, command: list[str]) -> None:
    """Exit code 1, and it says so; what cannot be an id is wrong usage."""
    gone = incident(preview_router, *command, "0sa3rpvyr3bg3-1")
    assert (gone.exit_code, "no incident has this id" in gone.stderr) == (1, True)
    assert incident(preview_router, *command, "../../x").exit_code == 2


def test_no_router_answers() -> None:
    """Exit code 2, and what to do."""
    result = CliRunner(env={"ROUTER_URL": f"http://127.0.0.1:{free_port()}"}).invoke(
        main, ["incident", "ack", "0sa3rpvyr3bg3-1", "--by", "alice"]
    )
    assert (result.exit_code, "no router answers at" in result.stderr) == (2, True)


def test_stored_and_not_done_yet() -> None:
    """Exit code 2, and not a word that sounds as if it had been refused."""
    with Asked(says(202, b'{"version": 1, "outcome": "waiting", "error": "later"}')).listening() as server:
        result = CliRunner(env={"ROUTER_URL": server.url}).invoke(main, ["incident", "wake", "0sa3rpvyr3bg3-1"])
    assert (result.exit_code, result.stderr) == (2, f"router: {STORED}\n")
    ((method, path, _, sent),) = server.requests
    assert (method, path, list(json.loads(sent))) == ("POST", "/api/v1/incidents/0sa3rpvyr3bg3-1/wake", ["by"])


@pytest.mark.parametrize("command", ["", "ack", "disown", "snooze", "wake", "show"])
def test_the_page_shows_the_help(command: str) -> None:
    """What docs/reference/incident.md shows as the help of a command is that."""
    page = "docs/reference/incident.md"
    text = (
        pages.section(page, f"## `router incident {command}`") if command else pages.text_of(page).partition("\n## ")[0]
    )
    arguments = ["incident", *([command] if command else []), "--help"]
    assert pages.blocks(text, "text") == [
        CliRunner().invoke(main, arguments, prog_name="router", terminal_width=80).output
    ]
