"""Everything that Slack may answer, to a post, an edit and a reply: what people see in the end, and that it is once."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from router.core.model import FailureClass
from router.core.retry import FAILURES
from router.delivery import REFUSED_FOR
from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed, Message, TokenState
from tests.house import FALLBACK, HANDED_OVER, LEDGER, PAYMENTS, House, Tell, alert, header
from tests.slack import SlackServer

POST, EDIT = "chat.postMessage", "chat.update"

Story = Callable[[House], Awaitable[None]]


def lost(kind: FaultKind, *, accepted: bool) -> object:
    """An answer that nobody heard."""
    return pytest.param(Fault(kind=kind, nth=1, accepted=accepted), id=f"{kind} {'after' if accepted else 'before'}")


def passing(kind: FaultKind) -> object:
    return pytest.param(Fault(kind=kind, nth=1, seconds=3), id=kind.value)


LOST = [
    lost(kind, accepted=accepted)
    for kind in (
        FaultKind.CLOSE,
        FaultKind.RESET,
        FaultKind.SERVER_ERROR,
        FaultKind.HTML,
        FaultKind.WRONG_TYPE,
        FaultKind.FATAL_ERROR,
        FaultKind.INTERNAL_ERROR,
    )
    for accepted in (True, False)
]
FAULTS = [
    *LOST,
    lost(FaultKind.HALF_BODY, accepted=True),
    passing(FaultKind.UNAVAILABLE),
    passing(FaultKind.RATE_LIMITED),
    passing(FaultKind.RATE_LIMITED_BARE),
]


def refusal(code: str, method: str, channel: str | None = None) -> Fault:
    return Fault(kind=FaultKind.SLACK_ERROR, code=code, method=method, channel=channel, nth=1)


def one_of_each_class() -> list[object]:
    codes: dict[FailureClass, str] = {}
    for code, failure in FAILURES.items():
        codes.setdefault(failure, code)
    codes[FailureClass.UNKNOWN] = "a_word_that_nobody_documents"
    return [pytest.param(code, failure, id=failure.value) for failure, code in codes.items()]


def at(fault: Fault, method: str, channel: str | None = None) -> Fault:
    return Fault(
        kind=fault.kind,
        nth=fault.nth,
        accepted=fault.accepted,
        seconds=fault.seconds,
        method=method,
        channel=channel,
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_post_is_there_once(tell: Tell, fault: Fault) -> None:
    """Whatever happens to the post, or to its answer, there is one message."""

    async def story(house: House) -> None:
        house.slack.emulator.script(at(fault, POST))
        await house.tell(alert("A"))
        await house.settle()

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_edit_is_shown(tell: Tell, fault: Fault) -> None:
    """Whatever happens to the edit, the message shows the newest state and is the only one."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.slack.emulator.script(at(fault, EDIT))
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert "RESOLVED" in header(message)


async def _handed_over(house: House, fault: Fault) -> None:
    await house.tell(alert("A"))
    await house.settle()
    house.slack.emulator.script(fault)
    house.new_map(HANDED_OVER)
    await house.settle()


@pytest.mark.parametrize("fault", FAULTS)
def test_reply_is_there_once(tell: Tell, fault: Fault) -> None:
    """Whatever happens to the reply, there is one in the thread."""

    async def story(house: House) -> None:
        await _handed_over(house, at(fault, POST, PAYMENTS))

    slack = tell(story)

    (root,) = slack.roots(PAYMENTS)
    assert len(slack.thread(PAYMENTS, root.ts)) == 1
    assert len(slack.roots(LEDGER)) == 1


@pytest.mark.parametrize(
    ("code", "failure"), [pytest.param(code, failure, id=code) for code, failure in FAILURES.items()]
)
def test_every_word_of_slack_ends_in_one_message(tell: Tell, code: str, failure: FailureClass) -> None:
    """A post that is refused with any documented word reaches people once: there, or in the fallback channel."""

    async def story(house: House) -> None:
        house.slack.emulator.script(refusal(code, POST))
        await house.tell(alert("A"))
        await house.settle()
        assert (await house.sums())["pending"] == 0

    slack = tell(story)

    elsewhere = failure is FailureClass.CHANNEL
    assert (len(slack.roots(PAYMENTS)), len(slack.roots(FALLBACK))) == ((0, 1) if elsewhere else (1, 0))
    if elsewhere:
        assert code in str(slack.roots(FALLBACK)[0].content.blocks)
    if failure is FailureClass.CONTENT:
        assert slack.roots(PAYMENTS)[0].content.blocks == ()


@pytest.mark.parametrize(("code", "failure"), one_of_each_class())
def test_every_class_of_refusal_of_an_edit(tell: Tell, code: str, failure: FailureClass) -> None:
    """An edit that is refused: the newest state is shown all the same, there, anew, or in the fallback channel."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.slack.emulator.script(refusal(code, EDIT))
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    newest = _newest(slack, FALLBACK if failure is FailureClass.CHANNEL else PAYMENTS)
    assert "RESOLVED" in newest.content.text.upper()
    assert len(slack.roots(PAYMENTS)) == (2 if failure is FailureClass.ROOT_GONE else 1)


@pytest.mark.parametrize(("code", "failure"), one_of_each_class())
def test_every_class_of_refusal_of_a_reply(tell: Tell, code: str, failure: FailureClass) -> None:
    """A reply that is refused never holds up the message of the new owner."""

    async def story(house: House) -> None:
        await _handed_over(house, refusal(code, POST, PAYMENTS))
        assert (await house.sums())["pending"] == 0

    slack = tell(story)

    (root,) = slack.roots(PAYMENTS)
    told = failure not in (FailureClass.CHANNEL, FailureClass.ROOT_GONE)
    assert len(slack.thread(PAYMENTS, root.ts)) == int(told)
    assert len(slack.roots(LEDGER)) == 1


def _newest(slack: SlackServer, channel: str) -> Message:
    return max(slack.roots(channel), key=lambda message: message.content.at)


def test_refused_channel_is_left_alone_and_asked_again(tell: Tell) -> None:
    """One refusal is enough: what comes next goes to the fallback channel, until the channel takes messages again."""

    async def story(house: House) -> None:
        house.slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts", archived=True)])
        for number in range(4):
            await house.tell(alert(f"A{number}"), group=f"g{number}")
        await house.settle(within=timedelta(minutes=1))
        house.clock.advance(2)
        house.delivery = house.new_delivery()  # a restart does not forget it
        await house.tell(alert("A4"), group="g4")
        await house.settle(within=timedelta(minutes=1))
        assert await house.refused() == {PAYMENTS}
        assert sum(entry.channel == PAYMENTS for entry in house.slack.emulator.accepted) == 0
        house.slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts", archived=False)])
        await house.live(REFUSED_FOR.total_seconds())
        assert await house.refused() == set()
        await house.tell(alert("A5"), group="g5")
        await house.settle()

    slack = tell(story)

    assert [header(message).count("A5") for message in slack.roots(PAYMENTS)] == [1]
    assert len(slack.roots(FALLBACK)) == 5
    assert slack.emulator.calls["conversations.info"] == 1
    # One was refused for five incidents; the others are those in the fallback channel and the one that went through.
    assert slack.emulator.calls[POST] == 1 + 5 + 1


def test_refused_app_is_only_asked(tell: Tell) -> None:
    """A revoked token: nothing is sent but a probe every half a minute, and all of it goes out when the token lives."""

    async def story(house: House) -> None:
        house.slack.emulator.set_token(TokenState.REVOKED)
        for number in range(5):
            await house.tell(alert(f"A{number}"), group=f"g{number}")
        await house.live(300)
        calls = house.slack.emulator.calls
        assert calls[POST] == 1
        assert 9 <= calls["auth.test"] <= 11
        assert house.health.state == "token_revoked"
        house.slack.emulator.set_token(TokenState.LIVE)
        await house.live(40)

    slack = tell(story)

    assert len(slack.roots(PAYMENTS)) == 5


def test_slack_that_is_away_is_not_called_for_each_message(tell: Tell) -> None:
    """Three failures in a row, then only probes; what may have been in flight is looked for afterwards."""

    async def story(house: House) -> None:
        with house.slack.refusing():
            for number in range(5):
                await house.tell(alert(f"A{number}", team=("payments", "ledger")[number % 2]), group=f"g{number}")
            await house.live(3600)
            failed = house.metrics.registry.get_sample_value(
                "router_slack_calls_total", {"method": POST, "outcome": "not_sent"}
            )
            probed = house.metrics.registry.get_sample_value(
                "router_slack_calls_total", {"method": "auth.test", "outcome": "not_sent"}
            )
        assert failed is not None
        assert failed <= 4
        assert probed is not None
        assert 55 <= probed <= 70
        await house.live(70)

    slack = tell(story)

    assert (len(slack.roots(PAYMENTS)), len(slack.roots(LEDGER))) == (3, 2)


def test_refused_fallback_keeps_what_it_gets(tell: Tell) -> None:
    """There is no other place: its messages wait, other channels do not, and nothing is lost when it opens."""

    async def story(house: House) -> None:
        house.slack.emulator.seed(channels=[ChannelSeed(id=FALLBACK, name="ops-orphans", archived=True)])
        for number in range(3):
            await house.tell(alert(f"A{number}", team=None), group=f"g{number}")
        await house.tell(alert("B"), group="b")
        await house.live(600)
        assert (await house.sums())["pending"] == 3
        assert await house.refused() == {FALLBACK}
        assert house.slack.emulator.calls[POST] < 20, "one attempt at a time, not one for each message"
        house.slack.emulator.seed(channels=[ChannelSeed(id=FALLBACK, name="ops-orphans", archived=False)])
        await house.live(300)
        assert await house.refused() == set()

    slack = tell(story)

    assert (len(slack.roots(FALLBACK)), len(slack.roots(PAYMENTS))) == (3, 1)
