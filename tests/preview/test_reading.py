"""Rules 40 to 44: history, cursors, reactions, people."""

from typing import Any

import pytest

from router.preview.emulator import SCOPES
from router.preview.rates import Rates
from router.preview.workspace import BOT_ID, BOT_USER_ID, ChannelSeed, TokenState
from tests.preview.workspace import ALICE, ARCHIVED, DISABLED_GROUP, GONE, NOW, ONCALL, OWN, PRIVATE, PUBLIC, Client


def told(reply: dict[str, Any]) -> list[str]:
    return [message["ts"] for message in reply["messages"]]


def spaced(client: Client, count: int) -> list[str]:
    """So many root messages, ten seconds apart, the first at NOW."""
    stamps = []
    for _ in range(count):
        stamps.append(client.post())
        client.emulator.advance(10)
    return stamps


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        pytest.param({}, [3, 2, 1, 0], id="40-newest first"),
        pytest.param({"oldest": f"{NOW + 10:.6f}"}, [3, 2], id="40-oldest"),
        pytest.param({"oldest": f"{NOW + 10:.6f}", "inclusive": "1"}, [3, 2, 1], id="40-oldest inclusive"),
        pytest.param({"latest": f"{NOW + 20:.6f}"}, [1, 0], id="40-latest"),
        pytest.param({"latest": f"{NOW + 20:.6f}", "inclusive": "true"}, [2, 1, 0], id="40-latest inclusive"),
        pytest.param({"limit": "1"}, [3], id="40-limit"),
    ],
)
def test_history(client: Client, bounds: dict[str, str], expected: list[int]) -> None:
    """The roots of a channel within bounds that are exclusive by default."""
    stamps = spaced(client, 4)
    reply = client.read("conversations.history", channel=OWN, **bounds).body
    assert told(reply) == [stamps[index] for index in expected]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param({"channel": PUBLIC}, "not_in_channel", id="40-not a member"),
        pytest.param({"channel": PRIVATE}, "channel_not_found", id="40-private"),
        pytest.param({"channel": OWN, "cursor": "made up"}, "invalid_cursor", id="40-cursor"),
        pytest.param({"channel": OWN, "cursor": "bmV4dDo5OQ=="}, "invalid_cursor", id="40-cursor past the end"),
        pytest.param({"channel": OWN, "oldest": "yesterday"}, "invalid_ts_oldest", id="40-oldest"),
    ],
)
def test_history_refuses(client: Client, arguments: dict[str, str], error: str) -> None:
    """Slack says why."""
    assert client.read("conversations.history", **arguments).error == error


def test_40_history_needs_its_scope(client: Client) -> None:
    """The optional scope is the way to find a message whose answer was lost."""
    client.emulator.set_token(TokenState.LIVE, scopes=SCOPES - {"channels:history", "groups:history"})
    reply = client.read("conversations.history", channel=OWN)
    assert (reply.error, reply.body["needed"]) == ("missing_scope", "channels:history")


def test_40_replies_begin_with_their_root(client: Client) -> None:
    """Oldest first, whichever message of the thread was asked for."""
    root = client.post()
    replies = [client.post(thread_ts=root) for _ in range(3)]
    for asked in (root, replies[1]):
        assert told(client.read("conversations.replies", channel=OWN, ts=asked).body) == [root, *replies]
    assert client.read("conversations.replies", channel=OWN, ts="1.000000").error == "thread_not_found"


def test_40_marketplace_apps_read_once_a_minute(client: Client) -> None:
    """And 15 messages a page."""
    client.emulator.set_rates(Rates(posts_per_second=float("inf"), marketplace_history=True))
    stamps = spaced(client, 16)
    assert told(client.read("conversations.history", channel=OWN).body) == stamps[:0:-1]
    assert client.read("conversations.history", channel=OWN).status == 429


def test_41_a_cursor_leads_to_the_end(client: Client) -> None:
    """Every message once, and an empty cursor with the last page."""
    stamps = spaced(client, 5)
    found: list[str] = []
    cursors = [""]
    while len(cursors) == 1 or cursors[-1]:
        reply = client.read("conversations.history", channel=OWN, limit=2, cursor=cursors[-1]).body
        found += told(reply)
        cursors.append(reply["response_metadata"]["next_cursor"])
        assert reply["has_more"] == bool(cursors[-1])
    assert found == stamps[::-1]
    assert len(cursors) == 4


def test_41_a_page_may_be_empty_before_the_end(client: Client) -> None:
    """Channels are filtered after the page was cut; only the cursor says that there is more."""
    client.emulator.seed(channels=[ChannelSeed(id="C0LAST0001", name="last")])
    pages: list[list[str]] = []
    cursor = ""
    while not pages or cursor:
        reply = client.read("conversations.list", limit=1, cursor=cursor, exclude_archived="true").body
        pages.append([channel["id"] for channel in reply["channels"]])
        cursor = reply["response_metadata"]["next_cursor"]
    assert [] in pages[:-1]
    assert pages[-1] == ["C0LAST0001"]
    listed = [channel for page in pages for channel in page]
    assert ARCHIVED not in listed
    assert PRIVATE not in listed
    assert OWN in listed


def test_42_reacting_twice(client: Client) -> None:
    """The second time says so, and nothing changes."""
    client.emulator.set_token(TokenState.LIVE, scopes=SCOPES | {"reactions:write"})
    ts = client.post()
    client.ok("reactions.add", channel=OWN, timestamp=ts, name="eyes")
    assert client.call("reactions.add", channel=OWN, timestamp=ts, name="eyes").error == "already_reacted"
    assert client.call("reactions.add", channel=OWN, timestamp="1.000000", name="eyes").error == "message_not_found"
    assert client.emulator.messages(OWN)[0].reactions == (("eyes", BOT_USER_ID),)


def test_43_groups(client: Client) -> None:
    """Disabled ones only when asked for, members and counts too."""
    plain = client.read("usergroups.list").body["usergroups"]
    assert DISABLED_GROUP not in [group["id"] for group in plain]
    full = client.read("usergroups.list", include_disabled="1", include_users="1", include_count="1").body["usergroups"]
    by_id = {group["id"]: group for group in full}
    assert by_id[DISABLED_GROUP]["date_delete"] > 0
    assert (by_id[ONCALL]["date_delete"], by_id[ONCALL]["user_count"]) == (0, 2)
    assert by_id[ONCALL]["users"] == [ALICE, GONE]


def test_43_a_plan_without_groups(client: Client) -> None:
    """They cannot be listed, and a mention rings nobody."""
    client.emulator.set_plan(usergroups=False)
    assert client.read("usergroups.list").error == "plan_upgrade_required"
    client.post(text=f"<!subteam^{ONCALL}>")
    assert client.emulator.notified == []


def test_43_users(client: Client) -> None:
    """A deactivated account is still told about."""
    assert client.read("users.info", user=ALICE).body["user"]["deleted"] is False
    assert client.read("users.info", user=GONE).body["user"]["deleted"] is True
    assert client.read("users.info", user="U0NOBODY1").error == "user_not_found"


def test_44_auth_test(client: Client) -> None:
    """Where links lead and who we are."""
    told_us = client.call("auth.test").body
    assert (told_us["user_id"], told_us["bot_id"]) == (BOT_USER_ID, BOT_ID)
    assert told_us["url"].endswith("/")
    assert told_us["team"]
