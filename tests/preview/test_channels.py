"""Rules 8 to 13: which channels take a message, and in which words the others refuse."""

from typing import Any

import pytest

from router.preview.emulator import SCOPES
from router.preview.workspace import TokenState
from tests.preview.workspace import (
    ARCHIVED,
    CHANNELS,
    NO_THREADS,
    OWN,
    POST,
    PRIVATE,
    PUBLIC,
    READ_ONLY,
    SHARED,
    SHARED_ON_PURPOSE,
    THREAD_ONLY,
    Client,
)


@pytest.mark.parametrize(
    ("method", "arguments", "error", "rules"),
    [
        pytest.param("chat.postMessage", {"channel": "C0NOTHERE1"}, "channel_not_found", [], id="8-unknown id"),
        pytest.param("chat.postMessage", {"channel": "#own"}, "channel_not_found", [8], id="8-name with a hash"),
        pytest.param("chat.postMessage", {"channel": "own"}, "channel_not_found", [8], id="8-name"),
        pytest.param("chat.postMessage", {"channel": PRIVATE}, "channel_not_found", [], id="9-post"),
        pytest.param("chat.postMessage", {"channel": PUBLIC}, "not_in_channel", [], id="10-post"),
        pytest.param("chat.postMessage", {"channel": ARCHIVED}, "is_archived", [], id="11-post"),
        pytest.param(
            "chat.postMessage", {"channel": ARCHIVED, "thread_ts": "1.000000"}, "is_archived", [], id="11-reply"
        ),
        pytest.param("chat.update", {"channel": ARCHIVED, "ts": "1.000000"}, "is_inactive", [], id="11-update"),
        pytest.param(
            "chat.postMessage", {"channel": READ_ONLY}, "restricted_action_read_only_channel", [], id="12-read-only"
        ),
        pytest.param(
            "chat.postMessage", {"channel": THREAD_ONLY}, "restricted_action_thread_only_channel", [], id="12-thread"
        ),
        pytest.param(
            "chat.postMessage",
            {"channel": NO_THREADS, "thread_ts": "1.000000"},
            "restricted_action_non_threadable_channel",
            [],
            id="12-non-threadable",
        ),
        pytest.param("chat.postMessage", {"channel": SHARED}, None, [13], id="13-shared"),
        pytest.param("chat.postMessage", {"channel": SHARED_ON_PURPOSE}, None, [], id="13-shared on purpose"),
        pytest.param("chat.postMessage", {"channel": NO_THREADS}, None, [], id="12-root in non-threadable"),
    ],
)
def test_channel(client: Client, method: str, arguments: dict[str, Any], error: str | None, rules: list[int]) -> None:
    """A channel answers for what it is."""
    reply = client.call(method, **{**POST, **arguments})
    assert reply.error == error
    assert [violation.rule for violation in client.emulator.violations] == rules


def test_9_info_of_a_private_channel_is_not_found(client: Client) -> None:
    """What the bot may not see does not exist for it."""
    assert client.read("conversations.info", channel=PRIVATE).error == "channel_not_found"


def test_10_chat_write_public_posts_without_joining(client: Client) -> None:
    """The optional scope makes membership unnecessary for posting, not for reading."""
    client.emulator.set_token(TokenState.LIVE, scopes=SCOPES | {"chat:write.public"})
    client.post(channel=PUBLIC)
    assert client.read("conversations.history", channel=PUBLIC).error == "not_in_channel"


def test_10_joining_helps(client: Client) -> None:
    """conversations.join makes the bot a member of a public channel."""
    client.emulator.set_token(TokenState.LIVE, scopes=SCOPES | {"channels:join"})
    assert client.call("conversations.join", channel=PUBLIC).body["channel"]["is_member"]
    client.post(channel=PUBLIC)


def test_11_a_reaction_in_an_archived_channel(client: Client) -> None:
    """Nothing can be added there."""
    client.emulator.set_token(TokenState.LIVE, scopes=SCOPES | {"reactions:write"})
    reply = client.call("reactions.add", channel=ARCHIVED, timestamp="1.000000", name="eyes")
    assert reply.error == "is_archived"


def test_12_a_locked_thread(client: Client) -> None:
    """Only the thread is closed, not its channel."""
    root = client.post()
    client.emulator.lock_thread(OWN, root)
    assert client.call("chat.postMessage", **POST, thread_ts=root).error == "restricted_action_thread_locked"
    client.post()


def test_info_tells_what_a_channel_is(client: Client) -> None:
    """conversations.info shows every property that the rules above decide on."""
    told = client.read("conversations.info", channel=SHARED).body["channel"]
    assert (told["id"], told["name"], told["is_ext_shared"], told["is_member"]) == (SHARED, "shared", True, True)
    assert client.read("conversations.info", channel=ARCHIVED).body["channel"]["is_archived"]
    assert client.read("conversations.info", channel=READ_ONLY).body["channel"]["is_read_only"]


def test_seeding_again_changes_a_channel_and_keeps_its_messages(client: Client) -> None:
    """An administrator archives a channel; what was said stays."""
    ts = client.post()
    archived = [seed for seed in CHANNELS if seed.id == ARCHIVED]
    client.emulator.seed(channels=[type(archived[0])(id=OWN, name="own", archived=True)])
    assert [message.ts for message in client.emulator.messages(OWN)] == [ts]
    assert client.call("chat.postMessage", **POST).error == "is_archived"
