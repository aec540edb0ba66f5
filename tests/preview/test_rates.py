"""Rules 35 to 39: how much, how fast, and who does not listen."""

import pytest

from router.preview.faults import Fault, FaultKind
from router.preview.rates import OverLimit, Rates
from router.preview.workspace import ChannelSeed
from tests.preview.workspace import EDIT, OTHER, OWN, POST, Client


def limited_posts(client: Client, count: int) -> list[int]:
    """The answers' status, one after the other at the same moment."""
    return [client.call("chat.postMessage", **POST).status for _ in range(count)]


def rules(client: Client) -> list[int]:
    return [violation.rule for violation in client.emulator.violations]


def test_35_one_message_a_second_and_channel(limited: Client) -> None:
    """The second one at the same moment is told to wait; another channel is not; a second later it goes."""
    limited.post()
    reply = limited.call("chat.postMessage", **POST)
    assert (reply.status, reply.error, reply.headers["retry-after"]) == (429, "ratelimited", "1")
    limited.post(channel=OTHER)
    limited.emulator.advance(1)
    limited.post()
    assert rules(limited) == []


def test_35_replies_count_too(limited: Client) -> None:
    """A thread is in its channel."""
    root = limited.post()
    assert limited.call("chat.postMessage", **POST, thread_ts=root).status == 429


def test_35_an_unknown_channel_is_not_limited(limited: Client) -> None:
    """It keeps saying what is wrong."""
    asked = {**POST, "channel": "C0NOTHERE1"}
    assert [limited.call("chat.postMessage", **asked).error for _ in range(3)] == ["channel_not_found"] * 3


def test_35_a_little_early_is_forgiven_and_not_gained(limited: Client) -> None:
    """A client that sends every 0.95 s is let through at first, and limited to one a second in the end."""
    limited.post()
    statuses = []
    for _ in range(10):
        limited.emulator.advance(0.95)
        statuses.append(limited.call("chat.postMessage", **POST).status)
    assert statuses[:2] == [200, 200]
    assert 429 in statuses


@pytest.mark.parametrize(
    ("rates", "let_through"),
    [
        pytest.param(Rates.strict(), 1, id="35-strict"),
        pytest.param(Rates.lenient(), 11, id="35-lenient"),
        pytest.param(Rates(burst=3), 4, id="35-burst of 3"),
        pytest.param(Rates.unlimited(), 15, id="35-unlimited"),
    ],
)
def test_burst(limited: Client, rates: Rates, let_through: int) -> None:
    """How many go at once is a setting."""
    limited.emulator.set_rates(rates)
    assert limited_posts(limited, 15) == [200] * let_through + [429] * (15 - let_through)


def test_36_hide_takes_the_message_and_shows_it_to_nobody(limited: Client) -> None:
    """ok:true, and not in the history; one violation for each message that nobody sees."""
    limited.emulator.set_rates(Rates(over_limit=OverLimit.HIDE))
    shown = limited.post()
    hidden = [limited.post(), limited.post()]
    assert {message.ts for message in limited.emulator.messages(OWN) if message.hidden} == set(hidden)
    assert [m["ts"] for m in limited.read("conversations.history", channel=OWN).body["messages"]] == [shown]
    assert rules(limited) == [36, 36]


def test_37_the_workspace_takes_300_a_minute(limited: Client) -> None:
    """However many channels they go to."""
    channels = [f"C0MANY{number:05d}" for number in range(301)]
    limited.emulator.seed(channels=[ChannelSeed(id=channel, name=channel.lower()) for channel in channels])
    for channel in channels[:300]:
        limited.post(channel=channel)
    reply = limited.call("chat.postMessage", **{**POST, "channel": channels[300]})
    assert (reply.status, reply.headers["retry-after"]) == (429, "60")
    limited.emulator.advance(60)
    limited.post(channel=channels[300])
    assert rules(limited) == []


@pytest.mark.parametrize(
    ("method", "most"),
    [
        pytest.param("conversations.list", 20, id="38-tier 2"),
        pytest.param("conversations.info", 50, id="38-tier 3"),
        pytest.param("users.info", 100, id="38-tier 4"),
        pytest.param("auth.test", 600, id="38-special"),
    ],
)
def test_tiers(limited: Client, method: str, most: int) -> None:
    """So many in any minute, counted per method."""
    statuses = {limited.read(method, channel=OWN).status for _ in range(most)}
    assert statuses == {200}
    assert limited.read(method, channel=OWN).status == 429
    limited.emulator.advance(60)
    assert limited.read(method, channel=OWN).status == 200
    assert rules(limited) == []


def test_38_fifty_updates_a_minute_for_the_whole_workspace(limited: Client) -> None:
    """Edits of all channels share them, and posts are not among them."""
    first, second = limited.post(), limited.post(channel=OTHER)
    for _ in range(25):
        limited.ok("chat.update", **EDIT, ts=first)
        limited.ok("chat.update", **{**EDIT, "channel": OTHER}, ts=second)
    assert limited.call("chat.update", **EDIT, ts=first).status == 429
    limited.emulator.advance(2)
    limited.post()


def test_39_a_call_inside_retry_after_is_a_violation(limited: Client) -> None:
    """It is told to wait again."""
    assert limited_posts(limited, 2) == [200, 429]
    limited.emulator.advance(0.5)
    reply = limited.call("chat.postMessage", **POST)
    assert (reply.status, reply.headers["retry-after"]) == (429, "1")
    assert rules(limited) == [39]


def test_39_calls_that_were_under_way_are_forgiven(limited: Client) -> None:
    """Who sent at the same moment could not know."""
    assert limited_posts(limited, 3) == [200, 429, 429]
    assert rules(limited) == []


def test_39_two_limited_channels_bind_the_method(limited: Client) -> None:
    """A 429 does not say that the workspace is full; a second one in another channel does."""
    limited.emulator.seed(channels=[ChannelSeed(id="C0THIRD001", name="third")])
    for _ in range(2):
        limited.call("chat.postMessage", **POST)
        limited.call("chat.postMessage", **{**POST, "channel": OTHER})
    limited.emulator.advance(0.5)
    assert limited.call("chat.postMessage", **{**POST, "channel": "C0THIRD001"}).status == 429
    assert rules(limited) == [39]


def test_39_the_script_can_ask_to_wait(limited: Client) -> None:
    """A scripted 429 binds like any other, and ends."""
    limited.emulator.script(Fault(kind=FaultKind.RATE_LIMITED, nth=1, seconds=30))
    assert limited.call("chat.update", **EDIT, ts="1.000000").headers["retry-after"] == "30"
    limited.emulator.advance(29)
    assert limited.call("chat.update", **EDIT, ts="1.000000").status == 429
    limited.emulator.advance(1)
    assert limited.call("chat.update", **EDIT, ts="1.000000").error == "message_not_found"
    assert rules(limited) == [39]
