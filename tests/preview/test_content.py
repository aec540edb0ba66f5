"""Rules 14 to 27: what a message may hold."""

from typing import Any

import pytest

from tests.preview.workspace import ALICE, EDIT, ONCALL, OWN, POST, Client

HEADER = {"type": "header", "text": {"type": "plain_text", "text": "Header", "emoji": True}}
DIVIDER = {"type": "divider"}


def section(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}, **more}


def fields(*texts: str) -> dict[str, Any]:
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": text} for text in texts]}


def context(*texts: str) -> dict[str, Any]:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text} for text in texts]}


def button(**changes: Any) -> dict[str, Any]:
    return {"type": "button", "text": {"type": "plain_text", "text": "Press"}, "action_id": "press", **changes}


def actions(*elements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements), **more}


def select(count: int = 1, **changes: Any) -> dict[str, Any]:
    return {"type": "static_select", "action_id": "pick", "options": options(count), **changes}


def search(**changes: Any) -> dict[str, Any]:
    return {"type": "external_select", "action_id": "search", **changes}


def overflow(count: int) -> dict[str, Any]:
    return {"type": "overflow", "action_id": "more", "options": options(count)}


def options(count: int) -> list[dict[str, Any]]:
    return [option(value=str(number)) for number in range(count)]


def option(**changes: Any) -> dict[str, Any]:
    return {"text": {"type": "plain_text", "text": "One"}, "value": "1", **changes}


def group(count: int = 1) -> dict[str, Any]:
    return {"label": {"type": "plain_text", "text": "Teams"}, "options": options(count)}


def grouped(*groups: dict[str, Any]) -> dict[str, Any]:
    return {"type": "static_select", "action_id": "pick", "option_groups": list(groups)}


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def numbered(count: int) -> list[dict[str, Any]]:
    return [button(action_id=f"press-{number}") for number in range(count)]


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param([DIVIDER] * 50, id="17-50 blocks"),
        pytest.param([{**HEADER, "text": {"type": "plain_text", "text": "h" * 150}}], id="18-header of 150"),
        pytest.param([section("s" * 3_000)], id="18-section of 3,000"),
        pytest.param([fields(*["f"] * 10)], id="18-10 fields"),
        pytest.param([fields("f" * 2_000)], id="18-field of 2,000"),
        pytest.param([context(*["c"] * 10)], id="18-10 context elements"),
        pytest.param([actions(*numbered(25))], id="18-25 buttons"),
        pytest.param([actions(button(url="https://example.com", style="danger", value="v"))], id="18-link button"),
        pytest.param([actions(select(100))], id="18-100 options"),
        pytest.param([actions(grouped(group(100)))], id="18-group of 100"),
        pytest.param([actions(grouped(*[group()] * 100))], id="18-100 groups"),
        pytest.param([actions(search(min_query_length=0, placeholder=plain("p" * 150)))], id="18-external select"),
        pytest.param([section("s", accessory=overflow(5))], id="18-overflow of 5"),
        pytest.param(
            [actions(select(options=[option(text=plain("o" * 75), value="v" * 150)]))], id="18-longest option"
        ),
        pytest.param([section("s", accessory=button(), block_id="b" * 255, expand=True)], id="18-accessory"),
        pytest.param([section("x" * 2_700) for _ in range(4)], id="21-10,800 characters"),
    ],
)
def test_blocks_at_the_limit_are_taken(client: Client, blocks: list[Any]) -> None:
    """The largest of everything goes through without a violation."""
    client.post(blocks=blocks)
    assert client.emulator.violations == []


@pytest.mark.parametrize(
    ("blocks", "defect"),
    [
        pytest.param([DIVIDER] * 51, "no more than 50 items allowed [json-pointer:/blocks]", id="17-51 blocks"),
        pytest.param(
            [{"type": "header", "text": {"type": "plain_text", "text": "h" * 151}}],
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
            id="18-long header",
        ),
        pytest.param(
            [{"type": "header", "text": {"type": "mrkdwn", "text": "h"}}],
            "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
            id="18-mrkdwn header",
        ),
        pytest.param(
            [HEADER, section("s" * 3_001)],
            "must be less than 3001 characters [json-pointer:/blocks/1/text/text]",
            id="18-long section",
        ),
        pytest.param(
            [section("")], "must be more than 0 characters [json-pointer:/blocks/0/text/text]", id="18-empty text"
        ),
        pytest.param(
            [{"type": "section"}], "missing required field: text [json-pointer:/blocks/0]", id="18-empty section"
        ),
        pytest.param(
            [{"type": "section", "text": "words"}], "must be an object [json-pointer:/blocks/0/text]", id="18-bare text"
        ),
        pytest.param(
            [{"type": "section", "text": {"type": "mrkdwn", "text": 7}}],
            "must be a string [json-pointer:/blocks/0/text/text]",
            id="18-number for text",
        ),
        pytest.param(
            [fields(*["f"] * 11)], "no more than 10 items allowed [json-pointer:/blocks/0/fields]", id="18-11 fields"
        ),
        pytest.param(
            [fields("f" * 2_001)],
            "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
            id="18-long field",
        ),
        pytest.param([context()], "must be more than 0 items [json-pointer:/blocks/0/elements]", id="18-empty context"),
        pytest.param(
            [context(*["c"] * 11)],
            "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
            id="18-11 context elements",
        ),
        pytest.param(
            [actions(*numbered(26))],
            "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
            id="18-26 buttons",
        ),
        pytest.param(
            [actions(button(text={"type": "plain_text", "text": "b" * 76}))],
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
            id="18-long button",
        ),
        pytest.param(
            [actions(button(text={"type": "mrkdwn", "text": "b"}))],
            "unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]",
            id="18-mrkdwn button",
        ),
        pytest.param(
            [actions(button(value="v" * 2_001))],
            "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
            id="18-long value",
        ),
        pytest.param(
            [actions(button(url="https://e.example/" + "u" * 3_000))],
            "must be less than 3001 characters [json-pointer:/blocks/0/elements/0/url]",
            id="18-long url",
        ),
        pytest.param(
            [actions(button(url="javascript:alert(1)"))],
            "must be a valid URL [json-pointer:/blocks/0/elements/0/url]",
            id="18-script url",
        ),
        pytest.param(
            [actions(button(action_id="a" * 256))],
            "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
            id="18-long action_id",
        ),
        pytest.param(
            [section("s", block_id="b" * 256)],
            "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
            id="18-long block_id",
        ),
        pytest.param(
            [actions(button(style="green"))],
            "must be one of primary, danger [json-pointer:/blocks/0/elements/0/style]",
            id="18-unknown style",
        ),
        pytest.param(
            [{"type": "banner"}], "unsupported type: banner [json-pointer:/blocks/0/type]", id="18-unknown block"
        ),
        pytest.param(
            [{"type": ["header"]}],
            "unsupported type: ['header'] [json-pointer:/blocks/0/type]",
            id="18-type not a string",
        ),
        pytest.param(
            [actions(select(101))],
            "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
            id="18-101 options",
        ),
        pytest.param(
            [actions(select(0))],
            "must be more than 0 items [json-pointer:/blocks/0/elements/0/options]",
            id="18-no options",
        ),
        pytest.param(
            [actions(select(option_groups=[group()]))],
            "one of options and option_groups is required [json-pointer:/blocks/0/elements/0]",
            id="18-options and groups",
        ),
        pytest.param(
            [actions(select(options=[option(text=plain("o" * 76))]))],
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/options/0/text/text]",
            id="18-long option",
        ),
        pytest.param(
            [actions(select(options=[option(value="v" * 151)]))],
            "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
            id="18-long option value",
        ),
        pytest.param(
            [actions(select(options=[option(url="https://example.com")]))],
            "invalid additional property: url [json-pointer:/blocks/0/elements/0/options/0]",
            id="18-option with a link",
        ),
        pytest.param(
            [actions(search(placeholder=plain("p" * 151)))],
            "must be less than 151 characters [json-pointer:/blocks/0/elements/0/placeholder/text]",
            id="18-long placeholder",
        ),
        pytest.param(
            [actions(search(min_query_length="0"))],
            "must be an integer of 0 or more [json-pointer:/blocks/0/elements/0/min_query_length]",
            id="18-query length",
        ),
        pytest.param(
            [actions(search(options=options(1)))],
            "invalid additional property: options [json-pointer:/blocks/0/elements/0]",
            id="19-options of an external select",
        ),
        pytest.param(
            [actions(overflow(6))],
            "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]",
            id="18-overflow of 6",
        ),
        pytest.param(
            [actions(select(), search(action_id="pick"))],
            "`action_id` is not unique in this message [json-pointer:/blocks/0/elements/1/action_id]",
            id="20-action_id of selects",
        ),
        pytest.param(
            [actions({"type": "lever"})],
            "unsupported type: lever [json-pointer:/blocks/0/elements/0/type]",
            id="18-unknown element",
        ),
        pytest.param(
            [{**DIVIDER, "colour": "red"}],
            "invalid additional property: colour [json-pointer:/blocks/0]",
            id="19-block",
        ),
        pytest.param(
            [{"type": "header", "text": {"type": "plain_text", "text": "h", "verbatim": True}}],
            "invalid additional property: verbatim [json-pointer:/blocks/0/text]",
            id="19-text",
        ),
        pytest.param(
            [actions(button()), actions(button())],
            "`action_id` is not unique in this message [json-pointer:/blocks/1/elements/0/action_id]",
            id="20-action_id",
        ),
        pytest.param(
            [section("s", block_id="b"), section("s", block_id="b")],
            "`block_id` is not unique in this message [json-pointer:/blocks/1/block_id]",
            id="20-block_id",
        ),
    ],
)
def test_blocks_over_the_limit_are_refused(client: Client, blocks: list[Any], defect: str) -> None:
    """Slack names each defect with a pointer, and nothing is posted."""
    reply = client.call("chat.postMessage", **POST, blocks=blocks)
    assert (reply.error, reply.body["errors"]) == ("invalid_blocks", [defect])
    assert reply.body["response_metadata"]["messages"] == [f"[ERROR] {defect}"]
    assert client.emulator.messages(OWN) == []


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"text": ""}, "no_text", id="14-nothing at all"),
        pytest.param({"text": 7}, "invalid_arguments", id="14-text is a number"),
        pytest.param({"blocks": "[{"}, "invalid_blocks_format", id="18-blocks are no JSON"),
        pytest.param({"blocks": {"type": "divider"}}, "invalid_blocks_format", id="18-blocks are no list"),
        pytest.param({"blocks": [section("x" * 2_800) for _ in range(4)]}, "msg_blocks_too_long", id="21-text"),
        pytest.param(
            {"blocks": [actions(*[button(action_id=f"{number}", value="v" * 1_500) for number in range(11)])]},
            "msg_blocks_too_long",
            id="21-JSON",
        ),
        pytest.param({"attachments": [{"fallback": "f"}] * 101}, "too_many_attachments", id="22-101 attachments"),
        pytest.param({"attachments": [{"color": "reddish"}]}, "invalid_attachments", id="22-colour"),
        pytest.param({"attachments": [{"blocks": [DIVIDER] * 21}]}, "invalid_attachments", id="22-21 blocks"),
        pytest.param({"attachments": [{"blocks": [section("")]}]}, "invalid_attachments", id="22-bad block"),
        pytest.param({"attachments": [{"text": 1}]}, "invalid_attachments", id="22-text is a number"),
        pytest.param({"attachments": ["words"]}, "invalid_attachments", id="22-not an object"),
        pytest.param({"metadata": "words"}, "invalid_metadata_format", id="24-not JSON"),
        pytest.param({"metadata": {"event_type": 1, "event_payload": {}}}, "invalid_metadata_format", id="24-type"),
        pytest.param({"metadata": {"event_type": "t"}}, "invalid_metadata_format", id="24-no payload"),
        pytest.param(
            {"metadata": {"event_type": "t", "event_payload": {"x": "y" * 8_192}}}, "metadata_too_large", id="24-large"
        ),
    ],
)
def test_refused(client: Client, changes: dict[str, Any], error: str) -> None:
    """What Slack does not take leaves no message."""
    assert client.call("chat.postMessage", **{**POST, **changes}).error == error
    assert client.emulator.messages(OWN) == []
    assert client.emulator.accepted == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param({"text": "", "blocks": [DIVIDER]}, 14, id="14-no text beside blocks"),
        pytest.param({"blocks": [{"type": "markdown", "text": "x"}]}, 23, id="23-markdown"),
        pytest.param({"blocks": [{"type": "input"}]}, 23, id="23-input"),
        pytest.param({"blocks": [actions({"type": "datepicker"})]}, 23, id="23-datepicker"),
        pytest.param({"text": "<!channel>"}, 26, id="26-channel"),
        pytest.param({"text": "<!here|here>"}, 26, id="26-here"),
        pytest.param({"blocks": [section("<!everyone>")]}, 26, id="26-everyone in a block"),
        pytest.param({"attachments": [{"blocks": [section("<!channel>")]}]}, 26, id="26-in an attachment"),
        pytest.param({"attachments": [{"fallback": "f", "text": "`<!channel>`"}]}, 26, id="26-in code"),
        pytest.param({"text": "<@U0NOBODY1>"}, 26, id="26-unknown user"),
        pytest.param({"text": "<!subteam^S0NOBODY1>"}, 26, id="26-unknown group"),
        pytest.param({"text": "<#C0NOTHERE1>"}, 26, id="26-unknown channel"),
        pytest.param({"text": "5 < 6"}, 26, id="26-raw less than"),
        pytest.param({"text": "<b>bold</b"}, 26, id="26-tag"),
        pytest.param({"text": "<javascript:alert(1)|runbook>"}, 26, id="26-script link"),
        pytest.param({"text": "<https://evil.example/|runbook>"}, 26, id="26-unlisted host"),
        pytest.param({"text": "<https://[evil/|runbook>"}, 26, id="26-not a URL"),
        pytest.param({"text": "<!date^1763722980^{time}>"}, 26, id="26-date without fallback"),
        pytest.param({"link_names": True}, 27, id="27-link_names"),
        pytest.param({"parse": "full"}, 27, id="27-parse full"),
        pytest.param({"unfurl_links": True}, 27, id="27-unfurl links"),
        pytest.param({"unfurl_media": None}, 27, id="27-unfurl media by default"),
    ],
)
def test_taken_and_a_violation(client: Client, changes: dict[str, Any], rule: int) -> None:
    """Slack takes it; a careful client does not send it."""
    client.emulator.set_link_hosts(frozenset({"runbooks.example.com"}))
    client.post(**changes)
    assert {violation.rule for violation in client.emulator.violations} == {rule}


def test_26_what_the_map_knows_may_be_mentioned(client: Client) -> None:
    """Seeded groups, users and channels, dates, listed hosts and escaped text are no violation."""
    client.emulator.set_link_hosts(frozenset({"runbooks.example.com"}))
    client.post(
        text=f"<!subteam^{ONCALL}> <@{ALICE}> <#{OWN}> 5 &lt; 6 &amp; 7 &gt; 6 <https://runbooks.example.com/a?b=1&amp;c=2|x>"
        " <!date^1763722980^{date_short_pretty} {time}|2025-11-21 11:03 UTC>"
    )
    assert client.emulator.violations == []


def test_15_a_long_text_is_cut_into_several_messages(client: Client) -> None:
    """As people saw Slack do above 4,000 characters."""
    client.post(text="a" * 4_000 + "b")
    assert [message.text for message in client.emulator.messages(OWN)] == ["a" * 4_000, "b"]
    assert [violation.rule for violation in client.emulator.violations] == [15]


def test_15_a_long_text_beside_blocks_repeats_the_message(client: Client) -> None:
    """The whole message, blocks and all, once per piece."""
    client.post(text="a" * 4_001, blocks=[DIVIDER])
    assert [message.content.blocks for message in client.emulator.messages(OWN)] == [(DIVIDER,), (DIVIDER,)]
    assert [violation.rule for violation in client.emulator.violations] == [15]


def test_16_a_long_text_is_refused_on_update(client: Client) -> None:
    """4,000 characters go, one more does not."""
    ts = client.post()
    assert client.call("chat.update", **{**EDIT, "text": "a" * 4_001}, ts=ts).error == "msg_too_long"
    client.ok("chat.update", **{**EDIT, "text": "a" * 4_000}, ts=ts)


def test_24_metadata_at_the_limit(client: Client) -> None:
    """8 KB of JSON go."""
    payload = {"delivery_id": "d1", "x": "y" * 8_000}
    client.post(metadata={"event_type": "t", "event_payload": payload})
    assert client.emulator.messages(OWN)[0].delivery_id == "d1"


def test_25_the_payload_comes_back_only_when_asked_for(client: Client) -> None:
    """History without include_all_metadata tells only the type."""
    client.post(metadata={"event_type": "t", "event_payload": {"delivery_id": "d1"}})
    [plain] = client.read("conversations.history", channel=OWN).body["messages"]
    assert plain["metadata"] == {"event_type": "t"}
    [full] = client.read("conversations.history", channel=OWN, include_all_metadata="true").body["messages"]
    assert full["metadata"] == {"event_type": "t", "event_payload": {"delivery_id": "d1"}}


@pytest.mark.parametrize("parse", [pytest.param(None, id="27-none given"), pytest.param("client", id="27-client")])
def test_an_update_says_parse_none(client: Client, parse: str | None) -> None:
    """chat.update parses names and links by default, unlike chat.postMessage."""
    client.ok("chat.update", **{**EDIT, "parse": parse}, ts=client.post())
    assert [violation.rule for violation in client.emulator.violations] == [27]
