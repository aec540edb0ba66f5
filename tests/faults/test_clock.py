"""Clocks that jump, in the whole router on a virtual clock. The number is the row of the fault table in docs."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from router.preview.faults import Fault, FaultKind
from tests.house import FALLBACK, LEDGER, PAYMENTS, House, alert, house
from tests.house import Clock as WellBehaved
from tests.slack import SlackServer

# A retry, a lease, and some edits at one a second; far from an hour.
SOON = timedelta(minutes=2)
JUMPS = [
    pytest.param(timedelta(hours=-1), id="an hour back"),
    pytest.param(timedelta(hours=1), id="an hour forward"),
    pytest.param(timedelta(days=-365), id="a year back"),
    pytest.param(timedelta(days=365), id="a year forward"),
]


@dataclass
class Clock(WellBehaved):
    """Set forward and back by somebody else, or by NTP. What counts seconds since the start does not notice."""

    set_by: timedelta = timedelta()

    def __call__(self) -> datetime:
        return self.now + self.set_by


Tell = Callable[[Callable[[House, Clock], Awaitable[None]]], SlackServer]


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Tell]:
    """Runs a story in a house of its own; at the end no rule of Slack was violated."""
    clock = Clock()
    with SlackServer(clock=clock.monotonic) as slack:

        def run(story: Callable[[House, Clock], Awaitable[None]]) -> SlackServer:
            async def live() -> None:
                async with house(tmp_path, slack, clock=clock) as opened:
                    await story(opened, clock)

            asyncio.run(live())
            return slack

        yield run
        slack.check()


async def settled(house: House) -> timedelta:
    """Let the router do all that it wants to, however late; how long that took."""
    before = house.clock()
    await house.settle(within=timedelta(days=800))
    assert (await house.sums())["pending"] == 0
    return house.clock() - before


@pytest.mark.parametrize("jump", JUMPS)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(kind=FaultKind.RATE_LIMITED, nth=1, seconds=30), id="Slack asked to wait"),
        pytest.param(Fault(kind=FaultKind.CLOSE, nth=1, accepted=False), id="no answer, not taken"),
        pytest.param(Fault(kind=FaultKind.CLOSE, nth=1, accepted=True), id="no answer, and taken"),
    ],
)
def test_81_what_waits_does_not_wait_for_the_old_clock(tell: Tell, jump: timedelta, fault: Fault) -> None:
    """One post fails, the clock jumps: the message is there within two minutes and once, and Slack is not pestered."""

    async def story(house: House, clock: Clock) -> None:
        house.slack.emulator.script(fault)
        await house.tell(alert("A"))
        assert not (await house.dispatcher.step()).more
        await house.delivery.step()
        await house.delivery.finish()
        clock.set_by = jump
        assert await settled(house) < SOON
        assert house.slack.emulator.calls.total() < 10

    slack = tell(story)
    assert len(slack.roots(PAYMENTS)) == 1


@pytest.mark.parametrize("jump", JUMPS)
def test_81_what_is_done_is_not_done_again(tell: Tell, jump: timedelta) -> None:
    """After the jump the delivered messages stay as they are: no post, no edit, no line in the fallback channel."""

    async def story(house: House, clock: Clock) -> None:
        for number in range(5):
            await house.tell(alert(f"A{number}", team="ledger" if number % 2 else "payments"), group=f"g{number}")
        await house.settle()
        before = house.slack.emulator.calls
        clock.set_by = jump
        await settled(house)
        assert house.slack.emulator.calls == before

    slack = tell(story)
    assert (len(slack.roots(PAYMENTS)), len(slack.roots(LEDGER)), slack.roots(FALLBACK)) == (3, 2, [])


@pytest.mark.parametrize("jump", JUMPS)
def test_81_what_comes_after_the_jump_is_an_edit_of_what_was_there(tell: Tell, jump: timedelta) -> None:
    """An incident that was open before the jump ends after it, in its own message and within two minutes."""

    async def story(house: House, clock: Clock) -> None:
        await house.tell(alert("A"))
        await house.settle()
        clock.set_by = jump
        await house.tell(alert("A", resolved=True))
        assert await settled(house) < SOON

    slack = tell(story)
    (message,) = slack.roots(PAYMENTS)
    assert "RESOLVED" in str(message.content.blocks)
