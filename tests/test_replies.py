"""What a thread tells of an incident: each thing that happened once, in order, below the message that it is about."""

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from router.composing import Composer, Outgoing
from router.core.history import Escalation, EscalationReason, Event
from router.core.incidents import Incident
from router.core.model import IncidentState, MessageKind, MessageState
from router.core.retry import REPLIES_REFUSED
from router.delivery import LEASE
from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed, Message, UsergroupSeed
from router.store import sending
from router.store.database import Connection
from router.store.sending import Claimed
from tests.happenings import CALLING, QUIET, Change, happens
from tests.house import FALLBACK, LEDGER, ON_SQLITE, PAYMENTS, House, Tell, alert, header
from tests.slack import SlackServer
from tests.test_outcomes import FAULTS

POST = "chat.postMessage"


def flaps(house: House, count: int, *, name: str = "A") -> Any:
    return happens(house, QUIET, name=name, count=count)


def thread(slack: SlackServer, channel: str = PAYMENTS) -> list[str]:
    """What was replied below the only message of the channel, by the blocks of each reply."""
    (root,) = slack.roots(channel)
    return [text_of(reply) for reply in slack.thread(channel, root.ts)]


def text_of(message: Message) -> str:
    return "\n".join(block["text"]["text"] for block in message.content.blocks) or message.text


def told(texts: Sequence[str], counts: Sequence[int]) -> list[list[int]]:
    """Which of these counts each reply tells, in its order."""
    found = [sorted((text.index(f"{count}"), count) for count in counts if f"{count}" in text) for text in texts]
    return [[count for _, count in places] for places in found]


async def opened(house: House) -> None:
    await house.tell(alert("A"))
    await house.settle()


def test_thread_tells_each_once_in_order(tell: Tell) -> None:
    """What happened since the last reply is one reply; none is edited, and none calls the channel."""

    async def story(house: House) -> None:
        await opened(house)
        await flaps(house, 101)
        await house.settle()
        await flaps(house, 102)
        await flaps(house, 103)
        await house.settle()

    slack = tell(story)

    assert told(thread(slack), (101, 102, 103)) == [[101], [102, 103]]
    assert not any(message.broadcast for message in slack.messages(PAYMENTS))
    assert all(len(message.revisions) == 1 for message in slack.messages(PAYMENTS) if not message.is_root)


def test_first_message_tells_what_came_before_it(tell: Tell) -> None:
    """What happened before it was posted is not told again below it."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.dispatcher.step()
        await flaps(house, 101)
        await house.settle()
        await flaps(house, 102)
        await house.settle()

    slack = tell(story)

    assert told(thread(slack), (101, 102)) == [[102]]


def test_call_waits_for_the_first_message(tell: Tell) -> None:
    """Who is to be called is called below it, in the channel too, and not before it is there."""

    async def story(house: House) -> None:
        house.slack.emulator.seed(usergroups=[UsergroupSeed(id="S0LEADS001", handle="pay-leads")])
        await house.tell(alert("A"))
        await house.dispatcher.step()
        house.slack.emulator.script(Fault(kind=FaultKind.RATE_LIMITED, method=POST, nth=1, seconds=7))
        await house.delivery.step()
        await house.delivery.finish()
        await happens(house, CALLING, mention="S0LEADS001")
        await house.settle()

    slack = tell(story)

    (root,) = slack.roots(PAYMENTS)
    (reply,) = slack.thread(PAYMENTS, root.ts)
    assert (reply.broadcast, reply.ts > root.ts) == (True, True)


def test_what_a_digest_shows_has_no_thread(tell: Tell) -> None:
    """Its next news make a message of its own, which tells them; only what comes then is told below that."""

    async def story(house: House) -> None:
        for number in range(8):
            await house.tell(alert(f"G{number}"), group=f"g{number}")
        await house.settle()
        await flaps(house, 101, name="G1")
        await house.settle()
        await happens(house, CALLING, name="G1")
        await happens(house, Event.RESOLVED, name="G2", and_then=ended(house))
        await house.settle()

    slack = tell(story)

    digest, own = slack.roots(PAYMENTS)
    assert ("DIGEST" in header(digest), "G1" in header(own)) == (True, True)
    assert slack.thread(PAYMENTS, digest.ts) == []
    (call,) = slack.thread(PAYMENTS, own.ts)
    assert call.broadcast
    assert "101" not in text_of(call)


def ended(house: House) -> Change:
    return lambda incident: replace(incident, state=IncidentState.RESOLVED, closed_at=house.clock())


@pytest.mark.parametrize("event", [QUIET, CALLING])
@pytest.mark.parametrize("fault", FAULTS)
def test_reply_is_there_once(tell: Tell, fault: Fault, event: Event) -> None:
    """Whatever happens to it, or to its answer; what happens meanwhile is told after it, once."""

    async def story(house: House) -> None:
        await opened(house)
        house.slack.emulator.script(replace(fault, method=POST))
        await happens(house, event, count=101)
        await house.live(1)
        await flaps(house, 102)
        await house.settle()

    slack = tell(story)

    texts = thread(slack)
    assert sum("102" in text for text in texts) == 1
    assert len(texts) in (1, 2)
    assert "102" in texts[-1]


@pytest.mark.parametrize("sent", [True, False], ids=["after Slack took it", "before it was sent"])
@pytest.mark.parametrize("event", [QUIET, CALLING])
def test_crash_in_flight_replies_once(tell: Tell, sent: bool, event: Event) -> None:
    """Killed while a reply was under way: it is found, and what happened since comes in the next one."""

    async def story(house: House) -> None:
        await opened(house)
        await happens(house, event, count=101)
        house.clock.advance(2)
        (claimed,) = [one for one in await claim(house) if one.kind is MessageKind.REPLY]
        if sent:
            await post(house, claimed)
        house.delivery = house.new_delivery()
        await flaps(house, 102)
        house.clock.advance(LEASE.total_seconds())
        await house.settle()

    slack = tell(story)

    texts = thread(slack)
    assert len(texts) == (2 if sent else 1)
    assert [("102" in text) for text in texts] == [False, True][-len(texts) :]


async def claim(house: House) -> list[Claimed]:
    return await house.store.write(
        partial(sending.claim, now=house.clock(), lease=LEASE, posts=5, edits=5, limit=5, blocked=(), fallback=FALLBACK)
    )


async def post(house: House, claimed: Claimed) -> None:
    composer = Composer(
        store=house.store, ownership=lambda: house.ownership, address=house.sender.address_of, buttons=False
    )
    outgoing = await composer.compose(claimed, PAYMENTS)
    assert isinstance(outgoing, Outgoing)
    await house.sender.post(
        PAYMENTS,
        outgoing.payload,
        delivery_id=outgoing.delivery_id,
        group=outgoing.group,
        revision=claimed.revision,
        thread_ts=outgoing.thread_ts,
        broadcast=outgoing.payload.broadcast,
    )


@pytest.mark.parametrize("code", [*sorted(REPLIES_REFUSED), "thread_not_found"])
@pytest.mark.parametrize(("event", "alone"), [(QUIET, 0), (CALLING, 1)])
def test_thread_that_refuses(tell: Tell, code: str, event: Event, alone: int) -> None:
    """Below it nothing more is said; but who is to be called is called in the channel."""

    async def story(house: House) -> None:
        await opened(house)
        house.slack.emulator.script(Fault(kind=FaultKind.SLACK_ERROR, code=code, method=POST, nth=1))
        await happens(house, event)
        await house.settle()

    slack = tell(story)

    root, *others = slack.roots(PAYMENTS)
    assert slack.thread(PAYMENTS, root.ts) == []
    assert len(others) == alone
    assert all("A" in text_of(other) for other in others)


def test_deleted_first_message(tell: Tell) -> None:
    """It is posted anew by its next edit, and what happens from then on is told below the new one."""

    async def story(house: House) -> None:
        await opened(house)
        await flaps(house, 101)
        await house.settle()
        (root,) = house.slack.roots(PAYMENTS)
        await asyncio.to_thread(_delete, house.slack, PAYMENTS, root.ts)
        await house.tell(alert("A"), alert("B"))
        await house.settle()
        await flaps(house, 102)
        await house.settle()

    slack = tell(story)

    assert "102" in thread(slack)[-1]
    assert not any("101" in text for text in thread(slack))


def _delete(slack: SlackServer, channel: str, ts: str) -> None:
    request = urllib.request.Request(
        f"{slack.api_url}chat.delete",
        data=json.dumps({"channel": channel, "ts": ts}).encode(),
        headers={"Authorization": f"Bearer {slack.token}", "Content-Type": "application/json; charset=utf-8"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert json.load(answer)["ok"]


@pytest.mark.parametrize("posted", [False, True], ids=["from the beginning", "from now on"])
@pytest.mark.parametrize("event", [QUIET, CALLING])
def test_channel_that_refuses(tell: Tell, posted: bool, event: Event) -> None:
    """The message that stands for it in the fallback channel has the thread, and no reply is a dead letter."""

    async def story(house: House) -> None:
        if posted:
            await opened(house)
        house.slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts", archived=True)])
        if not posted:
            await opened(house)
        await happens(house, event)
        await house.settle()
        assert await house.store.read(_replies) == [(1, MessageState.DELIVERED, 1)]

    slack = tell(story)

    assert len(thread(slack, FALLBACK)) == 1


@pytest.mark.parametrize(
    ("event", "state", "shown"),
    [(QUIET, MessageState.SUPERSEDED, []), (CALLING, MessageState.DELIVERED, [True])],
)
def test_channel_that_refuses_only_the_reply(tell: Tell, event: Event, state: MessageState, shown: list[bool]) -> None:
    """Archived between the edit and the reply: who is to be called is called in the fallback channel."""

    async def story(house: House) -> None:
        await opened(house)
        house.slack.emulator.script(Fault(kind=FaultKind.SLACK_ERROR, code="is_archived", method=POST, nth=1))
        await happens(house, event)
        await house.settle()
        assert await house.store.read(_replies) == [(1, state, 1)]

    slack = tell(story)

    assert [reply.broadcast for reply in slack.messages(FALLBACK) if not reply.is_root] == shown
    assert len(slack.roots(FALLBACK)) == len(shown)


def _replies(connection: Connection) -> list[tuple[int, str, int]]:
    rows = connection.execute("SELECT wanted, state, shown FROM messages WHERE kind = 'reply' ORDER BY id")
    return [(wanted, state, shown) for wanted, state, shown in rows]


def test_text_only_is_for_one_reply(tell: Tell) -> None:
    """Slack refuses the blocks of one: it goes out as text, and the next one with its blocks again."""

    async def story(house: House) -> None:
        await opened(house)
        house.slack.emulator.script(Fault(kind=FaultKind.SLACK_ERROR, code="invalid_blocks", method=POST, nth=1))
        await flaps(house, 101)
        await house.settle()
        await flaps(house, 102)
        await house.settle()

    slack = tell(story)

    (root,) = slack.roots(PAYMENTS)
    assert [bool(reply.content.blocks) for reply in slack.thread(PAYMENTS, root.ts)] == [False, True]


@ON_SQLITE
def test_given_up_reply_does_not_hold_up_the_next(tell: Tell) -> None:
    """Slack takes it neither with blocks nor as text: a dead letter, and the next one does not tell it again."""

    async def story(house: House) -> None:
        await opened(house)
        refused = Fault(kind=FaultKind.SLACK_ERROR, code="invalid_blocks", method=POST, nth=1)
        house.slack.emulator.script(refused, replace(refused, nth=2))
        await flaps(house, 101)
        await house.settle()
        assert (await house.sums())["dead"] == 1
        await flaps(house, 102)
        await house.settle()

    slack = tell(story)

    assert told(thread(slack), (101, 102)) == [[102]]


@ON_SQLITE
def test_flood_of_replies_delays_no_message(tell: Tell) -> None:
    """Three hundred incidents of one channel end, each with a reply: a new critical one is there within two seconds."""
    groups = 300

    async def story(house: House) -> None:
        for number in range(groups):
            await house.tell(alert(f"G{number:03d}"), group=f"g{number}")
            await house.settle(within=timedelta(seconds=2))
        assert len(house.slack.roots(PAYMENTS)) == groups
        for number in range(groups):
            await happens(
                house,
                Event.RESOLVED,
                name=f"G{number:03d}",
                and_then=ended(house),
            )
        await house.live(3)
        began = house.clock().timestamp()
        await house.tell(alert("Critical", severity="critical"), group="critical")
        await house.tell(alert("Ledgers", team="ledger"), group="ledgers")
        await house.live(3)
        newest = {channel: house.slack.roots(channel)[-1] for channel in (PAYMENTS, LEDGER)}
        assert "Critical" in header(newest[PAYMENTS])
        assert float(newest[PAYMENTS].ts) - began < 2
        assert float(newest[LEDGER].ts) - began < 2
        await house.live(2 * groups)
        assert (await house.sums())["pending"] == 0

    slack = tell(story)

    replies = [message for message in slack.messages(PAYMENTS) if not message.is_root]
    assert len(replies) == groups


# -- escalated ---------------------------------------------------------------------------------------------------------


def escalated(to: str, channel: str, *, mention: str | None = None) -> Change:
    def change(incident: Incident) -> Incident:
        step = Escalation(
            step=len(incident.escalations),
            to=to,
            team=to if to != "fallback" else None,
            channel_id=channel,
            reason=EscalationReason.UNACKNOWLEDGED,
            at=incident.updated_at,
            mention=mention,
        )
        return replace(incident, escalations=(*incident.escalations, step))

    return change


async def escalates(house: House, to: str, channel: str) -> None:
    await happens(
        house,
        Event.ESCALATED,
        and_then=escalated(to, channel),
        team=to if to != "fallback" else None,
        channel_id=channel,
        reason=EscalationReason.UNACKNOWLEDGED,
    )
    await house.settle()


def test_escalated_message_lives_as_long_as_its_incident(tell: Tell) -> None:
    """It stands in the channel of its step, leads to the first message, and is edited to the end."""

    async def story(house: House) -> None:
        await opened(house)
        await escalates(house, "ledger", LEDGER)
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    (root,), (message,) = slack.roots(PAYMENTS), slack.roots(LEDGER)
    address = f"/archives/{PAYMENTS}/p{root.ts.replace('.', '')}"
    assert address in str(message.revisions[0].blocks)
    assert len(message.revisions) == 2
    assert "RESOLVED" in header(message)


def test_escalation_of_what_ended_meanwhile_is_not_told(tell: Tell) -> None:
    """Slack took nothing until it was over: who never heard that it fires hears nothing."""

    async def story(house: House) -> None:
        await opened(house)
        with house.slack.refusing():
            await happens(house, Event.ESCALATED, and_then=escalated("ledger", LEDGER))
            await house.tell(alert("A", resolved=True))
            await house.live(60)
        await house.live(120)
        assert (await house.sums())["pending"] == 0

    slack = tell(story)

    assert slack.roots(LEDGER) == []
    assert "RESOLVED" in header(slack.roots(PAYMENTS)[0])


def test_escalation_to_a_channel_that_refuses_is_told_in_the_fallback(tell: Tell) -> None:
    """The step is not lost: it stands there with the reason, once, and is kept true."""

    async def story(house: House) -> None:
        await opened(house)
        house.slack.emulator.seed(channels=[ChannelSeed(id=LEDGER, name="ledger-alerts", archived=True)])
        await escalates(house, "ledger", LEDGER)
        await escalates(house, "fallback", FALLBACK)
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(FALLBACK)
    assert "RESOLVED" in header(message)


def test_fallback_that_knows_is_not_told_of_a_refused_step(tell: Tell) -> None:
    """The step after it had reached the fallback channel already: one message there."""

    async def story(house: House) -> None:
        await opened(house)
        await escalates(house, "fallback", FALLBACK)
        house.slack.emulator.seed(channels=[ChannelSeed(id=LEDGER, name="ledger-alerts", archived=True)])
        await escalates(house, "ledger", LEDGER)

    slack = tell(story)

    assert len(slack.roots(FALLBACK)) == 1
