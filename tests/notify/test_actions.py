"""The buttons: where they stand, what they send, and that Slack takes them."""

from datetime import timedelta
from typing import Any

import pytest

from router.core.actions import ActionKind
from router.core.history import Acknowledgement
from router.core.message_card import Card
from router.core.model import IncidentState, Language, MessageKind
from router.notify.actions import SPANS
from router.notify.layout import plain
from router.notify.messages import render
from tests.notify import cards
from tests.notify.cards import ACKNOWLEDGED, NOW, SNOOZED, card, escalated, orphan, step


def block(told: Card) -> dict[str, Any] | None:  # Any: Slack's JSON
    return next((block for block in render(told).blocks if block["type"] == "actions"), None)


def elements(told: Card) -> dict[str, dict[str, Any]]:  # Any: Slack's JSON
    found = block(told)
    assert found is not None
    return {element["action_id"]: element for element in found["elements"]}


def label(element: dict[str, Any]) -> str:  # Any: Slack's JSON
    return str((element.get("text") or element["placeholder"])["text"])


@pytest.mark.parametrize(
    ("told", "labels"),
    [
        pytest.param(card(buttons=True), ["Acknowledge", "Not ours: whose?", "Snooze"], id="firing"),
        pytest.param(card(buttons=True, acknowledged=ACKNOWLEDGED), ["Not ours: whose?", "Snooze"], id="acknowledged"),
        pytest.param(card(buttons=True, snoozed=SNOOZED), ["Acknowledge", "Not ours: whose?", "Snoozed"], id="snoozed"),
        pytest.param(orphan(buttons=True), ["Acknowledge", "Whose is it?", "Snooze"], id="nobody's"),
        pytest.param(
            escalated(step("parent"), buttons=True), ["Acknowledge", "Whose is it?", "Snooze"], id="escalated"
        ),
        pytest.param(
            card(buttons=True, language=Language.JAPANESE),
            ["対応する", "担当外: どのチーム？", "スヌーズ"],
            id="Japanese",
        ),
    ],
)
def test_what_can_be_pressed(told: Card, labels: list[str]) -> None:
    """Only what changes something; in the reader's language."""
    assert [label(element) for element in elements(told).values()] == labels


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(card(), id="nobody can answer"),
        pytest.param(card(buttons=True, state=IncidentState.RESOLVED), id="resolved"),
        pytest.param(card(buttons=True, state=IncidentState.STALE), id="stale"),
    ],
)
def test_where_nothing_can_be_pressed(told: Card) -> None:
    """What does not fire needs nobody."""
    assert block(told) is None


def test_what_is_sent() -> None:
    """The words of `core.actions`, and which incident: in a button's value, and for selects in the block's id."""
    told = elements(card(buttons=True))
    assert list(told) == [ActionKind.ACK, ActionKind.DISOWN, ActionKind.SNOOZE]
    assert told["ack"]["value"] == "0nbrxr3v00a2m-1"
    assert told["ack"]["style"] == "primary"
    assert (told["disown"]["type"], told["disown"]["min_query_length"]) == ("external_select", 0)
    assert [option["value"] for option in told["snooze"]["options"]] == list(SPANS) == ["1h", "4h", "1d"]
    found = block(card(buttons=True))
    assert found is not None
    assert found["block_id"].split(":")[:2] == ["acts", "0nbrxr3v00a2m-1"]


def test_a_snooze_can_be_ended() -> None:
    """Beside the spans, which begin anew."""
    values = [option["value"] for option in elements(card(buttons=True, snoozed=SNOOZED))["snooze"]["options"]]
    assert values == ["1h", "4h", "1d", ActionKind.WAKE]


def test_the_block_is_another_one_whenever_somebody_did_something() -> None:
    """Slack keeps what was picked in a select of the same id; a repeat is no reason to forget it."""
    later = Acknowledgement(by="hana", at=NOW + timedelta(hours=1))
    states = [
        card(buttons=True),
        card(buttons=True, acknowledged=ACKNOWLEDGED),
        card(buttons=True, acknowledged=later),
        card(buttons=True, snoozed=SNOOZED),
        cards.assigned(buttons=True),
    ]
    ids = [found["block_id"] for found in map(block, states) if found is not None]
    assert len(set(ids)) == len(states)
    repeated = block(card(buttons=True, repeats=3))
    assert repeated is not None
    assert repeated["block_id"] == ids[0]


def test_without_blocks_there_is_nothing_to_press() -> None:
    """A workspace that refuses the blocks gets the text."""
    assert plain(render(card(buttons=True))).blocks == ()


def test_every_kind_of_message_has_one_place_for_them() -> None:
    """Above the footer."""
    for told in (card(buttons=True), escalated(step("parent"), buttons=True), orphan(buttons=True)):
        types = [found["type"] for found in render(told).blocks]
        assert types[types.index("actions") + 1] == "context"
    assert render(card(buttons=True, kind=MessageKind.ROOT)).kind == "firing"
