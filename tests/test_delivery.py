"""From a stored notification to what people see in Slack, through real HTTP, with everything that Slack may answer."""

import asyncio
import json
import urllib.request
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise

import pytest

from router.composing import Composer, Outgoing
from router.delivery import IN_FLIGHT, LEASE
from router.dispatcher import Step
from router.preview.emulator import SCOPES
from router.preview.faults import Fault, FaultKind
from router.preview.workspace import TokenState
from router.store import sending
from router.store.database import Connection
from router.store.sending import Claimed
from tests.house import FALLBACK, LEDGER, MAP, PAYMENTS, START, House, Tell, alert, header
from tests.slack import SlackServer


def test_life_of_a_message(tell: Tell) -> None:
    """Firing, joined, resolved: one message of one owner, edited; its thread tells it, and nobody is called again."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        await house.tell(alert("A"), alert("B"))
        await house.settle()
        await house.tell(alert("A", resolved=True), alert("B", resolved=True))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert len(message.revisions) == 3
    assert "RESOLVED" in header(message)
    assert slack.emulator.calls == {"chat.postMessage": 3, "chat.update": 2}
    joined, resolved = slack.thread(PAYMENTS, message.ts)
    assert ("B" in joined.text, "Resolved" in str(resolved.content.blocks)) == (True, True)
    assert not any(reply.broadcast for reply in (joined, resolved))


def test_orphan_goes_to_the_fallback(tell: Tell) -> None:
    """What nobody owns is one message in the fallback channel, with a stanza to paste."""

    async def story(house: House) -> None:
        await house.tell(alert("A", team=None, service="mailer"))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(FALLBACK)
    assert "NO OWNER" in header(message)
    assert "mailer" in str(message.content.blocks)


def test_refused_channel_reaches_people_in_the_fallback(tell: Tell) -> None:
    """An archived channel: the fallback channel shows the incident with the reason, and later its end."""

    async def story(house: House) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
        await house.tell(alert("A"))
        await house.settle()
        assert await house.refused() == {PAYMENTS}
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(FALLBACK)
    assert slack.roots(PAYMENTS) == []
    assert "is_archived" in str(message.revisions[0].blocks)
    assert "RESOLVED" in header(message)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(kind=FaultKind.RATE_LIMITED, nth=1, seconds=7), id="429 with Retry-After"),
        pytest.param(Fault(kind=FaultKind.RATE_LIMITED_BARE, nth=1), id="429 without"),
        pytest.param(Fault(kind=FaultKind.UNAVAILABLE, nth=1), id="503"),
        pytest.param(Fault(kind=FaultKind.SERVER_ERROR, nth=1, accepted=False), id="500 with a page"),
        pytest.param(Fault(kind=FaultKind.CLOSE, nth=1, accepted=False), id="closed without an answer"),
        pytest.param(Fault(kind=FaultKind.RESET, nth=1, accepted=False), id="reset"),
        pytest.param(Fault(kind=FaultKind.HTML, nth=1, accepted=False), id="a captive portal"),
        pytest.param(Fault(kind=FaultKind.WRONG_TYPE, nth=1, accepted=False), id="text"),
        pytest.param(Fault(kind=FaultKind.FATAL_ERROR, nth=1, accepted=False), id="fatal_error"),
    ],
)
def test_passing_fault_is_retried(tell: Tell, fault: Fault) -> None:
    """Whatever goes wrong once, the message is there in the end, once."""

    async def story(house: House) -> None:
        house.slack.emulator.script(fault)
        await house.tell(alert("A"))
        await house.settle()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 1


def test_refused_token_keeps_everything(tell: Tell) -> None:
    """A revoked token loses nothing: the messages wait, and go out when the token lives again."""

    async def story(house: House) -> None:
        house.slack.emulator.set_token(TokenState.REVOKED)
        await house.tell(alert("A"), alert("B", team="ledger"))
        await house.settle(within=timedelta(seconds=10))
        assert house.health.state == "token_revoked"
        assert (await house.sums())["pending"] == 2
        house.slack.emulator.set_token(TokenState.LIVE)
        await house.settle()
        assert house.health.state == "ok"

    slack = tell(story)

    assert (len(slack.roots(PAYMENTS)), len(slack.roots(LEDGER))) == (1, 1)


def test_deleted_message_is_posted_anew(tell: Tell) -> None:
    """Somebody deleted the message: the next state is a new post, and edits go there."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        (message,) = house.slack.roots(PAYMENTS)
        await asyncio.to_thread(_delete, house.slack, PAYMENTS, message.ts)
        await house.tell(alert("A"), alert("B"))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert len(message.revisions) == 1


def _delete(slack: SlackServer, channel: str, ts: str) -> None:
    request = urllib.request.Request(
        f"{slack.api_url}chat.delete",
        data=json.dumps({"channel": channel, "ts": ts}).encode(),
        headers={"Authorization": f"Bearer {slack.token}", "Content-Type": "application/json; charset=utf-8"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert json.load(answer)["ok"]


def test_burst_is_paced(tell: Tell) -> None:
    """Many groups for one channel go out one a second; another channel does not wait for them."""

    async def story(house: House) -> None:
        for number in range(5):
            await house.tell(alert(f"A{number}"), group=f"g{number}")
        await house.tell(alert("L", team="ledger"), group="other")
        await house.settle()

    slack = tell(story)

    posted = [float(message.ts) for message in slack.roots(PAYMENTS)]
    assert len(posted) == 5
    assert min(later - earlier for earlier, later in pairwise(posted)) >= 1
    assert float(slack.roots(LEDGER)[0].ts) - posted[0] < 1


def test_post_whose_answer_was_lost_is_found(tell: Tell) -> None:
    """Slack took it and nobody heard so: it is found in the channel's history, and its end is an edit there."""

    async def story(house: House) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.CLOSE, nth=1, accepted=True))
        await house.tell(alert("A"))
        await house.settle()
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert (len(message.revisions), "RESOLVED" in header(message)) == (2, True)


def test_without_the_history_a_lost_answer_is_one_more_post(tell: Tell) -> None:
    """An app that may not read the channel posts again, says so, and edits the newer one from then on."""

    async def story(house: House) -> None:
        scopes = SCOPES - {"channels:history", "groups:history"}
        house.slack.emulator.set_token(TokenState.LIVE, scopes=scopes)
        house.slack.emulator.script(Fault(kind=FaultKind.CLOSE, nth=1, accepted=True))
        await house.tell(alert("A"))
        await house.settle()
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    first, second = slack.roots(PAYMENTS)
    assert "(resend)" not in str(first.revisions[0].blocks)
    assert "(resend)" in str(second.revisions[0].blocks)
    assert (len(first.revisions), "RESOLVED" in header(second)) == (1, True)


@pytest.mark.parametrize("posted", [True, False], ids=["after Slack took it", "before it was sent"])
def test_crash_in_flight_posts_nothing_twice(tell: Tell, posted: bool) -> None:
    """Killed while a post was under way: the next process looks for it before it posts."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.dispatcher.step()
        (claimed,) = await house.store.write(partial(_claim, now=house.clock()))
        if posted:
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
            )
        house.delivery = house.new_delivery()
        await house.settle()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 1


def _claim(connection: Connection, *, now: datetime) -> list[Claimed]:
    return sending.claim(connection, now=now, lease=LEASE, posts=5, edits=5, limit=5, blocked=(), fallback=FALLBACK)


def test_changes_that_are_decided_together_are_one_message(tell: Tell) -> None:
    """Firing, joined and resolved, all waiting when the router looks: one post, with the last state."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.tell(alert("A"), alert("B"))
        await house.tell(alert("A", resolved=True), alert("B", resolved=True))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert (len(message.revisions), "RESOLVED" in header(message)) == (1, True)


def test_duplicate_changes_nothing(tell: Tell) -> None:
    """The other member of a pair tells the same: counted, and Slack is not called."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        await house.tell(alert("A"), externalURL="http://other-member.example.com")
        await house.settle()
        assert (await house.sums())["deduplicated"] == 1

    slack = tell(story)

    assert slack.emulator.calls == {"chat.postMessage": 1}


def test_unreadable_alert_does_not_sink_its_group(tell: Tell) -> None:
    """One alert of a group has no labels that can be read: the others are delivered, and the fallback hears of it."""

    async def story(house: House) -> None:
        await house.tell(alert("A"), {"status": "firing", "labels": ["not", "labels"]})
        await house.settle()

    slack = tell(story)

    assert (len(slack.roots(PAYMENTS)), len(slack.roots(FALLBACK))) == (1, 1)


@pytest.mark.parametrize(
    ("arrived", "waited", "rest_s"),
    [
        pytest.param(0, timedelta(), 0.0, id="nobody sends"),
        pytest.param(1, timedelta(), 0.06, id="somebody sends: senders first"),
        pytest.param(22, timedelta(), 0.06, id="as many come as can be decided in a seventh of the time"),
        pytest.param(23, timedelta(), 0.29, id="more come than that: a flood"),
        pytest.param(23, timedelta(seconds=5), 0.29, id="exactly five seconds"),
        pytest.param(23, timedelta(seconds=6), 0.01, id="the oldest has waited too long: half and half"),
    ],
)
def test_decisions_stand_back_for_senders(arrived: int, waited: timedelta, rest_s: float) -> None:
    """Requests come first, and what was accepted does not wait for the end of a flood."""
    step = Step(more=True, oldest=START, decided=16, arrived=arrived, elapsed_s=0.1, cpu_s=0.01)
    assert step.rest_s(now=START + waited) == pytest.approx(rest_s)


@pytest.mark.parametrize("waited", [timedelta(), timedelta(seconds=6)], ids=["at once", "overdue"])
def test_what_comes_after_a_huge_notification_does_not_wait_for_it(waited: timedelta) -> None:
    """One body of 10,000 alerts takes a second to decide: the rest after it is not thirty of them."""
    step = Step(more=True, oldest=START, decided=1, arrived=10, elapsed_s=0.2, cpu_s=1.2)
    assert step.rest_s(now=START + waited) == 1.0


def test_no_more_calls_than_are_allowed_at_once(tell: Tell) -> None:
    """Posts and edits share the places: with all of them taken nothing more is claimed."""

    teams = [f"team-{number}" for number in range(24)]

    async def story(house: House) -> None:
        house.new_map(
            MAP + "".join(f"  {name}:\n    channel: {{name: {name}, id: C0{name[5:]:0>8}}}\n" for name in teams)
        )
        for number, team in enumerate(teams[:12]):
            await house.tell(alert(f"A{number}", team=team), group=f"g{number}")
        await house.settle()
        for number, team in enumerate(teams):
            await house.tell(alert(f"A{number}", team=team), alert(f"B{number}", team=team), group=f"g{number}")
        await house.dispatcher.step()
        house.clock.advance(60)
        most = 0
        while await house.delivery.step() == 0.0:
            most = max(most, house.delivery.under_way)
            if house.delivery.under_way == IN_FLIGHT:
                break
        assert most == IN_FLIGHT
        await house.settle()

    slack = tell(story)

    assert sum(len(slack.roots(channel.id)) for channel in slack.emulator.channels) == len(teams)


def test_a_message_that_cannot_be_rendered_is_a_dead_letter(tell: Tell) -> None:
    """A fault of the renderer is seen as a dead letter, not repeated every twenty seconds."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.dispatcher.step()
        house.ownership = replace(house.ownership, timezone=None)  # type: ignore[arg-type]  # the fault
        house.ownership = replace(house.ownership, teams={})
        await house.settle()
        sums = await house.sums()
        assert (sums["pending"], sums["dead"], sums["delivered"]) == (0, 2, 1)

    slack = tell(story)

    (notice,) = slack.roots(FALLBACK)
    assert "NOT SHOWN" in header(notice)


def test_call_under_way_is_not_repeated_when_the_clock_jumps(tell: Tell) -> None:
    """A lease that ends by a clock that jumped does not send what is being sent."""

    async def story(house: House) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.SLOW, nth=1, seconds=0.3))
        await house.tell(alert("A"))
        await house.dispatcher.step()
        await house.delivery.step()
        house.clock.advance(3600)
        await house.delivery.step()
        await house.delivery.finish()
        await house.settle()

    slack = tell(story)

    assert slack.emulator.calls["chat.postMessage"] == 1


def test_large_bodies_are_decided_one_by_one(tell: Tell) -> None:
    """What is decided together is bounded in bytes, so that several huge bodies do not sit in memory at once."""

    async def story(house: House) -> None:
        for number in range(3):
            await house.tell(alert(f"A{number}", filler="x" * 600_000), group=f"g{number}")
        steps = [await house.dispatcher.step() for _ in range(3)]
        assert [step.more for step in steps] == [True, True, False]
        await house.settle()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 3
