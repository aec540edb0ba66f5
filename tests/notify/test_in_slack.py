"""Every kind of message in the strict emulator: Slack takes it, and it rings for whom it should and nobody else."""

from collections.abc import Iterator

import pytest

from router.core.model import Cause, Language, Mention
from router.notify.layout import Payload
from router.notify.messages import render
from router.notify.notices import render_notice
from router.notify.replies import render_reply
from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, UsergroupSeed, UserSeed
from tests.notify import cards
from tests.notify.cards import LEAD, NOW, card
from tests.preview.workspace import Client
from tests.slack import SlackServer

CHANNEL = "C0PAYALERT"
GROUPS = ("S0PAYMENTS", "S0PLATFRM", "S0COMMERCE")
NAMES = {"payments": "Payments", "commerce": "Commerce", "ledger": "Ledger"}


@pytest.fixture
def slack() -> Iterator[Client]:
    with SlackServer(clock=NOW.timestamp, rates=Rates.unlimited()) as server:
        server.emulator.seed(
            channels=[ChannelSeed(id=CHANNEL, name="payments-alerts")],
            usergroups=[UsergroupSeed(id=group, handle=group.lower()) for group in GROUPS],
            users=[UserSeed(id=LEAD, name="mika")],
        )
        yield Client(server)
        server.check()


def post(slack: Client, payload: Payload, **thread: object) -> str:
    return slack.post(
        channel=CHANNEL, text=payload.text, blocks=payload.blocks, attachments=payload.attachments, **thread
    )


def edit(slack: Client, ts: str, payload: Payload) -> None:
    slack.ok(
        "chat.update",
        channel=CHANNEL,
        ts=ts,
        text=payload.text,
        blocks=payload.blocks,
        attachments=payload.attachments,
        parse="none",
    )


def rung(slack: Client) -> list[str]:
    return [entry.target for entry in slack.emulator.notified if entry.target in (*GROUPS, LEAD)]


@pytest.mark.parametrize("language", list(Language))
def test_slack_takes_every_kind(slack: Client, language: Language) -> None:
    """Posted, and one edited into the next; an edit rings for nobody, whoever it names."""
    kinds = [render(told) for told in cards.every_kind(language).values()]
    kinds.append(render_notice(cards.notice(cause=Cause.HEARTBEAT), language, Mention(handle="S0PLATFRM")))
    for payload in kinds:
        post(slack, payload)
    before = rung(slack)
    ts = post(slack, render(cards.resolved(language=language)))
    for payload in kinds:
        edit(slack, ts, payload)
    assert rung(slack) == before


@pytest.mark.parametrize("language", list(Language))
def test_a_reply_rings_only_for_whom_it_calls(slack: Client, language: Language) -> None:
    """In the thread; what calls somebody in the channel, too."""
    ts = post(slack, render(card(language=language)))
    for happening in cards.every_happening():
        before = len(rung(slack))
        payload = render_reply(card(language=language), [happening], names=NAMES)
        post(slack, payload, thread_ts=ts, **({"reply_broadcast": True} if payload.broadcast else {}))
        called = rung(slack)[before:]
        assert called == ([payload.mention.strip("<>@!").removeprefix("subteam^")] if happening.calls else [])
