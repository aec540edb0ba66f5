"""Rules 28 to 34: threads, edits, notifications, ts."""

import re
from typing import Any

import pytest

from router.preview.workspace import BOT_USER_ID
from tests.preview.workspace import (
    ALICE,
    DISABLED_GROUP,
    EDIT,
    EMPTY_GROUP,
    GONE,
    ONCALL,
    OTHER,
    OWN,
    POST,
    Client,
)

DIVIDER = {"type": "divider"}
RED = {"color": "#B3261E", "fallback": "red"}
METADATA = {"event_type": "t", "event_payload": {"delivery_id": "d1"}}


def test_28_a_reply_to_a_root(client: Client) -> None:
    """The reply stands in the thread and not in the channel."""
    root = client.post()
    reply = client.post(thread_ts=root)
    stored = {message.ts: message for message in client.emulator.messages(OWN)}
    assert stored[reply].thread_ts == root
    assert [m["ts"] for m in client.read("conversations.history", channel=OWN).body["messages"]] == [root]
    assert client.emulator.violations == []


def test_28_a_reply_to_a_reply_goes_to_the_parent(client: Client) -> None:
    """Slack takes it; the ts of a reply is no thread's."""
    root = client.post()
    reply = client.post(thread_ts=root)
    deeper = client.post(thread_ts=reply)
    assert {message.ts: message.thread_ts for message in client.emulator.messages(OWN)}[deeper] == root
    assert [violation.rule for violation in client.emulator.violations] == [28]


@pytest.mark.parametrize(
    "thread_ts",
    [
        pytest.param("1763722980.999999", id="28-never was"),
        pytest.param("1763722980", id="28-without decimals"),
        pytest.param("words", id="28-no ts"),
    ],
)
def test_a_thread_that_never_was(client: Client, thread_ts: str) -> None:
    """Whoever sends it made it up."""
    assert client.call("chat.postMessage", **POST, thread_ts=thread_ts).error == "thread_not_found"
    assert [violation.rule for violation in client.emulator.violations] == [28]


def test_28_a_thread_of_another_channel(client: Client) -> None:
    """A ts is only worth something together with its channel."""
    root = client.post()
    assert client.call("chat.postMessage", **{**POST, "channel": OTHER}, thread_ts=root).error == "thread_not_found"


def test_28_a_reply_to_a_deleted_root_is_nobodys_fault(client: Client) -> None:
    """Somebody may delete a message at any time."""
    root = client.post()
    client.ok("chat.delete", channel=OWN, ts=root)
    assert client.call("chat.postMessage", **POST, thread_ts=root).error == "thread_not_found"
    assert client.emulator.violations == []


def test_29_a_broadcast_reply_stands_in_the_channel_too(client: Client) -> None:
    """And in its thread."""
    root = client.post()
    reply = client.post(thread_ts=root, reply_broadcast=True)
    told = client.read("conversations.history", channel=OWN).body["messages"]
    assert [(message["ts"], message.get("subtype")) for message in told] == [(reply, "thread_broadcast"), (root, None)]
    assert client.emulator.violations == []


def test_29_a_broadcast_without_a_thread_is_a_violation(client: Client) -> None:
    """It is ignored."""
    client.post(reply_broadcast=True)
    assert not client.emulator.messages(OWN)[0].broadcast
    assert [violation.rule for violation in client.emulator.violations] == [29]


@pytest.mark.parametrize(
    ("method", "foreign"),
    [
        pytest.param("chat.update", "cant_update_message", id="30-update"),
        pytest.param("chat.delete", "cant_delete_message", id="30-delete"),
    ],
)
def test_only_own_messages_are_changed(client: Client, method: str, foreign: str) -> None:
    """Not another author's, not one that is not there, not one that is gone."""
    theirs = client.emulator.say(OWN, "a person", user=ALICE)
    assert client.call(method, **EDIT, ts=theirs.ts).error == foreign
    assert client.call(method, **EDIT, ts="1.000000").error == "message_not_found"
    gone = client.post()
    client.ok("chat.delete", channel=OWN, ts=gone)
    assert client.call(method, **EDIT, ts=gone).error == "message_not_found"


@pytest.mark.parametrize(
    ("changes", "blocks", "attachments", "metadata"),
    [
        pytest.param({"blocks": [DIVIDER, DIVIDER]}, (DIVIDER, DIVIDER), (RED,), METADATA, id="31-blocks"),
        pytest.param({}, (), (RED,), METADATA, id="31-text alone removes blocks"),
        pytest.param({"blocks": [DIVIDER], "attachments": []}, (DIVIDER,), (), METADATA, id="31-no attachments"),
        pytest.param({"blocks": [DIVIDER], "metadata": {}}, (DIVIDER,), (RED,), None, id="31-no metadata"),
        pytest.param({"blocks": None}, (), (RED,), METADATA, id="31-null is left out"),
    ],
)
def test_what_an_update_replaces(
    client: Client, changes: dict[str, Any], blocks: tuple[Any, ...], attachments: tuple[Any, ...], metadata: Any
) -> None:
    """Text and blocks always; attachments and metadata only if given."""
    ts = client.post(blocks=[DIVIDER], attachments=[RED], metadata=METADATA)
    client.ok("chat.update", **EDIT, ts=ts, **changes)
    [message] = client.emulator.messages(OWN)
    now = message.content
    assert (now.text, now.blocks, now.attachments, now.metadata) == ("hello again", blocks, attachments, metadata)
    assert [content.text for content in message.revisions] == ["hello", "hello again"]
    assert message.edits == 1


@pytest.mark.parametrize(
    ("blocks", "marked"),
    [pytest.param([], True, id="31-text"), pytest.param([DIVIDER], False, id="31-blocks")],
)
def test_the_edited_mark(client: Client, blocks: list[Any], marked: bool) -> None:
    """An edit of text is marked, one of blocks is not."""
    client.ok("chat.update", **EDIT, ts=client.post(), blocks=blocks)
    assert (client.emulator.messages(OWN)[0].edited_ts is not None) == marked
    [told] = client.read("conversations.history", channel=OWN).body["messages"]
    assert ("edited" in told) == marked


def test_32_a_post_and_a_reply_notify_and_an_update_does_not(client: Client) -> None:
    """Once per message, however often it names the group, and not the one who left."""
    text = f"<!subteam^{ONCALL}> and <!subteam^{ONCALL}>"
    root = client.post(text=text, blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": text}}])
    client.ok("chat.update", **{**EDIT, "text": text}, ts=root)
    reply = client.post(text=text, thread_ts=root)
    rung = [(entry.target, entry.ts) for entry in client.emulator.notified]
    assert rung == [(ONCALL, root), (ALICE, root), (ONCALL, reply), (ALICE, reply)]


@pytest.mark.parametrize("group", [EMPTY_GROUP, DISABLED_GROUP])
def test_43_a_group_of_nobody_notifies_nobody(client: Client, group: str) -> None:
    """The mention is shown and does nothing."""
    client.post(text=f"<!subteam^{group}>")
    assert client.emulator.notified == []


def test_32_users_are_notified_unless_they_left(client: Client) -> None:
    """A deactivated account has no phone."""
    ts = client.post(text=f"<@{ALICE}> <@{GONE}>")
    assert [(entry.target, entry.ts) for entry in client.emulator.notified] == [(ALICE, ts)]


def test_33_ts_rises_even_if_the_clock_stands(client: Client) -> None:
    """Per channel, with six decimals, as a string."""
    stamps = [client.post() for _ in range(5)]
    assert all(re.fullmatch(r"\d{10}\.\d{6}", ts) for ts in stamps)
    assert stamps == sorted(set(stamps))


def test_33_a_ts_as_a_number_is_refused(client: Client) -> None:
    """A float loses the last decimals."""
    ts = client.post()
    assert client.call("chat.update", **EDIT, ts=float(ts)).error == "invalid_arguments"


def test_34_the_answer_is_not_the_message_that_was_sent(client: Client) -> None:
    """Slack adds ids, profiles and keys; who compares for equality finds out here."""
    blocks = [DIVIDER, {**DIVIDER, "block_id": "mine"}]
    told = client.ok("chat.postMessage", **POST, blocks=blocks)["message"]
    assert told["blocks"][0]["block_id"]
    assert told["blocks"][1]["block_id"] == "mine"
    assert told["bot_profile"]["id"] == told["bot_id"]
    assert told["user"] == BOT_USER_ID
    assert set(told) > {"type", "text", "blocks"}


def test_every_write_that_took_effect_is_in_the_ledger(client: Client) -> None:
    """Posts, edits and deletions with their delivery id, in order."""
    ts = client.post(metadata=METADATA)
    client.ok("chat.update", **EDIT, ts=ts)
    client.ok("chat.delete", channel=OWN, ts=ts)
    assert [(entry.method, entry.delivery_id, entry.ts) for entry in client.emulator.accepted] == [
        ("chat.postMessage", "d1", ts),
        ("chat.update", "d1", ts),
        ("chat.delete", "d1", ts),
    ]
    assert client.emulator.calls == {"chat.postMessage": 1, "chat.update": 1, "chat.delete": 1}


def test_a_permalink_leads_to_the_message(client: Client) -> None:
    """Without the dot, and with the thread for a reply."""
    root = client.post()
    reply = client.post(thread_ts=root)
    link = client.read("chat.getPermalink", channel=OWN, message_ts=reply).body["permalink"]
    assert link.endswith(f"/archives/{OWN}/p{reply.replace('.', '')}?thread_ts={root}&cid={OWN}")
