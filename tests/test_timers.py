"""Escalation in virtual time, over real stores: each step once, whatever happens to the router meanwhile."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from router.core.errors import LeaseLost
from router.core.history import Acknowledgement, EscalationReason, Event, Snooze
from router.core.incidents import Incident
from router.core.model import IncidentState
from router.leadership import Guard, SharedLease, SoleLease
from router.preview.faults import Fault, FaultKind
from router.store import incidents
from router.store.database import Connection
from router.timers import Timers
from tests.house import FALLBACK, LEDGER, ON_SQLITE, PAYMENTS, House, Tell, alert, header
from tests.slack import SlackServer

FINANCE = "C0FINANCE1"
# Critical: 15 minutes, always. Normal: two hours of the team's work.
MAP = f"""
version: 1
fallback:
  channel: {{name: ops-orphans, id: {FALLBACK}}}
  mention: S0OPSDUTY1
  triage_within: 1d
defaults: {{escalate: {{if_unacked: 2x, if_repeats: none}}}}
severities: {{normal: {{respond_within: 2h}}}}
teams:
  payments:
    channel: {{name: pay-alerts, id: {PAYMENTS}}}
    mention: S0PAYONCALL
    lead: {{slack: U0LEADPAY1}}
    parent: finance
  finance: {{channel: {{name: finance, id: {FINANCE}}}, mention: S0FINANCE1}}
  ledger: {{channel: {{name: ledger-alerts, id: {LEDGER}}}}}
"""


async def only(house: House) -> Incident:
    (found,) = await every(house)
    return found


async def every(house: House) -> list[Incident]:
    return await house.store.read(partial(incidents.page, state=None, before=None, limit=100))


async def change(house: House, **fields: object) -> None:
    """As if somebody had done something about it."""
    changed = replace(await only(house), due_at=house.clock(), **fields)  # type: ignore[arg-type]  # of an Incident
    await house.store.write(partial(incidents.save, incidents=[changed]))


def called(incident: Incident) -> list[tuple[str, timedelta]]:
    return [(escalation.to, escalation.at - incident.opened_at) for escalation in incident.escalations]


def minutes(*counts: float) -> list[timedelta]:
    return [timedelta(minutes=count) for count in counts]


ALL_STEPS = list(zip(("lead", "parent", "fallback"), minutes(30, 60, 90), strict=True))


def threads(slack: SlackServer, channel: str) -> list[str]:
    """What stands below messages of that channel."""
    return [str(message.content.blocks) for message in slack.messages(channel) if message.thread_ts is not None]


def told(slack: SlackServer) -> list[int]:
    """How many messages of their own stand with the owner, its parent and the fallback."""
    return [len(slack.roots(channel)) for channel in (PAYMENTS, FINANCE, FALLBACK)]


def counted(house: House) -> dict[tuple[str, str], float]:
    """The escalations that the metric counts."""
    (family,) = house.metrics.escalations.collect()
    return {(sample.labels["reason"], sample.labels["step"]): sample.value for sample in family.samples if sample.value}


def test_what_people_see(tell: Tell) -> None:
    """The lead is called in the thread, the parent and the fallback by a message of their own; nobody twice."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(6 * 3600)
        assert called(await only(house)) == ALL_STEPS
        assert counted(house) == {("unacknowledged", to): 1 for to in ("lead", "parent", "fallback")}
        await house.tell(alert("A", resolved=True, severity="critical"))
        await house.settle()

    slack = tell(story)

    assert told(slack) == [1, 1, 1]
    calling = [text for text in threads(slack, PAYMENTS) if "U0LEADPAY1" in text]
    assert len(calling) == 1
    for channel in (PAYMENTS, FINANCE, FALLBACK):
        assert "RESOLVED" in header(slack.roots(channel)[0])


# -- where people work ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hours", "opened", "expected"),
    [
        pytest.param(
            "Asia/Tokyo",
            "Mon-Fri 09:00-17:00",
            (2026, 11, 27, 16),
            [(2026, 11, 30, 12), (2026, 11, 30, 16), (2026, 12, 1, 12)],
            id="Tokyo, over a weekend",
        ),
        pytest.param(
            "Pacific/Kiritimati",
            "Mon-Fri 09:00-17:00",
            (2026, 11, 23, 8),
            [(2026, 11, 23, 13), (2026, 11, 23, 17), (2026, 11, 24, 13)],
            id="Kiritimati: a Monday that is UTC's Sunday",
        ),
        pytest.param(
            "Europe/Berlin",
            "Mon-Sun 22:00-06:00",
            (2027, 3, 27, 23),
            [(2027, 3, 28, 4), (2027, 3, 29, 0), (2027, 3, 29, 4)],
            id="Berlin, the night without its third hour",
        ),
        pytest.param(
            "Europe/Berlin",
            "Mon-Sun 22:00-06:00",
            (2027, 10, 31, 0),
            [(2027, 10, 31, 3), (2027, 10, 31, 23), (2027, 11, 1, 3)],
            id="Berlin, the night that has its third hour twice",
        ),
        pytest.param(
            "America/New_York",
            "Mon-Fri 09:00-17:00",
            (2027, 3, 12, 15),
            [(2027, 3, 15, 11), (2027, 3, 15, 15), (2027, 3, 16, 11)],
            id="New York, over the weekend of the change",
        ),
    ],
)
def test_where_people_work(
    tell: Tell, zone: str, hours: str, opened: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    """Two times two hours of the owner's work for each step, while it is told again every four hours."""
    times = [_at(zone, wall_clock) for wall_clock in expected]

    async def story(house: House) -> None:
        house.clock.now = _at(zone, opened)
        house.timers = house.new_timers()
        house.new_map(
            MAP.replace("parent: finance\n", f'parent: finance\n    timezone: {zone}\n    business_hours: "{hours}"\n')
        )
        while house.clock() <= times[-1]:
            await house.tell(alert("A", severity="warning"), notification_reason="repeat interval elapsed")
            await house.live(4 * 3600)
        incident = await only(house)
        assert [escalation.at for escalation in incident.escalations] == times

    assert told(tell(story)) == [1, 1, 1]


def _at(zone: str, wall_clock: tuple[int, ...]) -> datetime:
    year, month, day, hour = wall_clock
    return datetime(year, month, day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)


HOLIDAY = """
overrides:
  - {id: holiday, match: {team: payments}, owner: ledger, expires: 2026-12-01, reason: the team is away}
"""


def test_a_holiday_override(tell: Tell) -> None:
    """While another team stands in, its own chain is called; the team that is away is not, nor its lead."""

    async def story(house: House) -> None:
        house.new_map(MAP.replace("C0LEDGER01}", "C0LEDGER01}, lead: {slack: U0LEADLED1}") + HOLIDAY)
        await house.tell(alert("A", severity="critical"))
        await house.live(6 * 3600)
        assert [escalation.to for escalation in (await only(house)).escalations] == ["lead", "fallback"]

    slack = tell(story)

    assert told(slack) == [0, 0, 1]
    assert [("U0LEADLED1" in text) for text in threads(slack, LEDGER)].count(True) == 1


# -- the router stops ----------------------------------------------------------------------------------------------


class LostAt:
    """A lease that somebody else has taken before the n-th write, and never again."""

    held = True

    def __init__(self, number: int) -> None:
        self._number = number
        self.lost = False

    def guard(self) -> Guard:
        return self._require

    def _require(self, connection: Connection) -> None:
        self._number -= 1
        if self._number == 0:
            self.lost = True
            raise LeaseLost("somebody else decides")


@pytest.mark.parametrize("number", range(1, 8))
def test_a_write_that_is_refused(tell: Tell, number: int) -> None:
    """A router that dies, or is overtaken, in the middle of any look: the next one does it, and each step is one."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        lease = LostAt(number)
        house.timers = house.new_timers(lease=lease)
        await house.tell(alert("A", severity="critical"))
        try:
            await house.live(3 * 3600)
        except LeaseLost:
            house.timers, house.delivery = house.new_timers(), house.new_delivery()
            await house.live(3 * 3600)
        assert lease.lost == (number <= WRITES)
        incident = await only(house)
        assert [escalation.to for escalation in incident.escalations] == ["lead", "parent", "fallback"]

    slack = tell(story)

    assert told(slack) == [1, 1, 1]
    assert len([text for text in threads(slack, PAYMENTS) if "U0LEADPAY1" in text]) == 1


WRITES = 5  # everything due by this map, the first look, and three steps


@pytest.mark.parametrize("minute", [29, 30, 31, 60, 90])
def test_a_restart_between_any_two_steps(tell: Tell, minute: int) -> None:
    """Whenever it restarts, and however often: each step once, at most five minutes late."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(minute * 60)
        for _ in range(2):
            house.timers, house.delivery = house.new_timers(), house.new_delivery()
            await house.live(1)
        await house.live(3 * 3600)
        steps = called(await only(house))
        assert [to for to, _ in steps] == ["lead", "parent", "fallback"]
        for (_, was), (_, planned) in zip(steps, ALL_STEPS, strict=True):
            assert planned <= was <= planned + timedelta(minutes=5, seconds=2)

    assert told(tell(story)) == [1, 1, 1]


@pytest.mark.parametrize("accepted", [True, False], ids=["posted", "not posted"])
def test_a_crash_while_it_is_posted(tell: Tell, accepted: bool) -> None:
    """What the answer of Slack would have said is asked for: one message in the parent's channel."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(45 * 60)
        house.slack.emulator.script(Fault(kind=FaultKind.CLOSE, channel=FINANCE, nth=1, accepted=accepted))
        await house.live(15 * 60)
        house.timers, house.delivery = house.new_timers(), house.new_delivery()
        await house.live(3 * 3600)

    assert told(tell(story)) == [1, 1, 1]


def test_two_routers(tell: Tell) -> None:
    """Of two with one database the one that lost its lease meanwhile writes nothing; the other takes the step."""

    async def story(house: House) -> None:
        ours, theirs = (
            SharedLease(
                "deciding", store=house.store, holder=holder, clock=house.clock, monotonic=house.clock.monotonic
            )
            for holder in ("a", "b")
        )
        house.new_map(MAP)
        await ours.step()
        stood_still, other = house.new_timers(lease=ours), house.new_timers(lease=theirs)
        await house.tell(alert("A", severity="critical"))
        await house.live(60)
        while await stood_still.step() == 0.0:
            pass
        house.clock.advance(29 * 60)  # longer than a lease lasts
        await theirs.step()
        with pytest.raises(LeaseLost):
            await stood_still.step()
        while await other.step() == 0.0:
            await theirs.step()
        assert called(await only(house)) == ALL_STEPS[:1]
        assert await stood_still.step() == 30 * 60

    tell(story)


def test_after_a_long_stop(tell: Tell) -> None:
    """After a night without a router nobody is called at once, and nobody by all steps at once."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(60)
        house.clock.advance(12 * 3600)
        back = house.clock()
        house.timers, house.delivery = house.new_timers(), house.new_delivery()
        await house.live(3 * 3600)
        steps = [(escalation.to, escalation.at - back) for escalation in (await only(house)).escalations]
        assert steps == list(zip(("lead", "parent", "fallback"), minutes(5, 10, 15), strict=True))

    assert told(tell(story)) == [1, 1, 1]


@pytest.mark.parametrize("hours", [1, 24 * 365], ids=["an hour", "a year"])
@pytest.mark.parametrize("way", [1, -1], ids=["on", "back"])
def test_a_clock_that_is_set(tell: Tell, hours: int, way: int) -> None:
    """It is seen that no such time passed: nothing becomes stale, nobody is called at once, and all are in the end."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        house.timers = _with_machine_clock(house, uptime := _Uptime(house))
        await house.tell(alert("A", severity="critical"))
        await house.live(10 * 60)
        house.clock.advance(way * hours * 3600)
        uptime.forget(way * hours * 3600)
        set_at = house.clock()
        await house.live(4 * 60)
        assert ((await only(house)).escalations, (await only(house)).state) == ((), IncidentState.OPEN)
        await house.live(3 * 3600)
        incident = await only(house)
        assert [escalation.to for escalation in incident.escalations] == ["lead", "parent", "fallback"]
        assert incident.escalations[0].at >= set_at + timedelta(minutes=5)
        assert incident.escalations[1].at >= incident.escalations[0].at + timedelta(minutes=5)

    tell(story)


class _Uptime:
    """The machine's own clock, which nobody sets."""

    def __init__(self, house: House) -> None:
        self._clock = house.clock
        self._forgotten_s = 0.0

    def forget(self, seconds: float) -> None:
        self._forgotten_s += seconds

    def __call__(self) -> float:
        return self._clock.monotonic() - self._forgotten_s


def _with_machine_clock(house: House, uptime: _Uptime) -> Timers:
    return Timers(
        store=house.store,
        ownership=lambda: house.ownership,
        clock=house.clock,
        monotonic=uptime,
        metrics=house.metrics,
        wanted=house.wanted,
        lease=SoleLease(),
        listening_since=house.clock(),
    )


# -- what people and maps do ---------------------------------------------------------------------------------------


def test_acknowledged(tell: Tell) -> None:
    """Who takes it is left alone: the steps that were taken stay, and nobody else is called."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(35 * 60)
        await change(house, acknowledged=Acknowledgement(by="U0SOMEBODY", at=house.clock()))
        await house.live(6 * 3600)
        assert called(await only(house)) == ALL_STEPS[:1]

    assert told(tell(story)) == [1, 0, 0]


def test_snoozed(tell: Tell) -> None:
    """Nobody is called until it ends; then its owner again, and who comes next after the same time as at first."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(40 * 60)
        until = house.clock() + timedelta(hours=2)
        await change(house, snoozed=Snooze(by="U0SOMEBODY", at=house.clock(), until=until))
        await house.live(2 * 3600 + 45 * 60)
        incident = await only(house)
        assert [(happening.event, happening.at) for happening in incident.history][1:] == [
            (Event.SNOOZE_OVER, until),
            (Event.ESCALATED, until + timedelta(minutes=30)),
        ]
        assert [escalation.to for escalation in incident.escalations] == ["lead", "parent"]

    slack = tell(story)

    assert told(slack) == [1, 1, 0]
    assert len([text for text in threads(slack, PAYMENTS) if "S0PAYONCALL" in text]) == 1


def test_the_parent_is_dissolved_meanwhile(tell: Tell) -> None:
    """By a new map its successor is called in its place, and what was called before stays called."""
    dissolved = MAP.replace(
        f"  finance: {{channel: {{name: finance, id: {FINANCE}}}, mention: S0FINANCE1}}\n",
        "  finance: {dissolved: 2026-11-20, successor: ledger}\n",
    )

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(40 * 60)
        house.new_map(dissolved)
        await house.live(6 * 3600)
        steps = (await only(house)).escalations
        assert [(step.to, step.channel_id) for step in steps] == [
            ("lead", PAYMENTS),
            ("parent", LEDGER),
            ("fallback", FALLBACK),
        ]

    slack = tell(story)

    assert told(slack) == [1, 0, 1]
    assert len(slack.roots(LEDGER)) == 1


def test_a_map_that_begins_to_wait(tell: Tell) -> None:
    """What was open before gets its steps too, one after the other."""

    async def story(house: House) -> None:
        house.new_map(MAP.replace("if_unacked: 2x", "if_unacked: none"))
        await house.tell(alert("A", severity="critical"))
        await house.live(6 * 3600)
        assert (await only(house)).escalations == ()
        house.new_map(MAP)
        await house.live(600)
        steps = called(await only(house))
        assert steps == [("lead", timedelta(hours=6, minutes=5)), ("parent", timedelta(hours=6, minutes=10))]

    tell(story)


def test_a_map_that_says_nothing_new_of_it(tell: Tell) -> None:
    """A comment delays nobody's call."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(29 * 60)
        house.new_map(f"{MAP}# a comment\n")
        await house.live(2 * 60)
        assert called(await only(house)) == [("lead", timedelta(minutes=30))]

    tell(story)


def test_maps_that_follow_each_other(tell: Tell) -> None:
    """A map that waits otherwise every two minutes keeps nobody from being called."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        for number in range(30):
            house.new_map(MAP.replace("triage_within: 1d", f"triage_within: {number + 1}d"))
            await house.live(2 * 60)
        ((_, lead), (_, parent)) = called(await only(house))
        assert timedelta(minutes=30) <= lead <= timedelta(minutes=36)
        assert timedelta(minutes=60) <= parent

    tell(story)


def test_the_owner_changes(tell: Tell) -> None:
    """A new owner has the whole time to answer, and its own chain."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        await house.tell(alert("A", severity="critical"))
        await house.live(40 * 60)
        house.new_map(MAP + HOLIDAY)
        await house.live(6 * 3600)
        (moved, new) = sorted(await every(house), key=lambda incident: incident.id)
        assert called(moved) == ALL_STEPS[:1]
        assert called(new) == [("fallback", timedelta(minutes=30))]

    tell(story)


def test_its_channel_refuses(tell: Tell) -> None:
    """Where its message stands in the fallback channel already, that one is not called again."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        house.slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
        await house.tell(alert("A", severity="critical"))
        await house.live(6 * 3600)
        assert [to for to, _ in called(await only(house))] == ["lead", "parent"]

    assert told(tell(story))[1:] == [1, 1]


# -- the other reasons ---------------------------------------------------------------------------------------------


def test_an_orphan(tell: Tell) -> None:
    """After the time for triage the fallback is reminded in the thread, once."""

    async def story(house: House) -> None:
        house.new_map(MAP.replace("triage_within: 1d", "triage_within: 1h"))
        house.clock.now = datetime(2026, 11, 23, 10, tzinfo=UTC)  # a Monday
        await house.tell(alert("A", team=None, severity="critical"))
        await house.live(20 * 3600)
        (reminder,) = (await only(house)).escalations
        assert (reminder.reason, reminder.at) == (
            EscalationReason.ORPHANED,
            datetime(2026, 11, 23, 11, tzinfo=UTC),
        )
        assert counted(house) == {("orphaned", "fallback"): 1}

    slack = tell(story)

    assert told(slack) == [0, 0, 1]
    assert len([text for text in threads(slack, FALLBACK) if "S0OPSDUTY1" in text]) == 1


REPEATING = MAP.replace("if_unacked: 2x, if_repeats: none", "if_repeats: 3 in 24h")


def test_told_again_and_again(tell: Tell) -> None:
    """The third repeat calls the lead, the sixth the parent, the ninth the fallback."""

    async def story(house: House) -> None:
        house.new_map(REPEATING)
        for _ in range(14):
            await house.tell(alert("A", severity="critical"), notification_reason="repeat interval elapsed")
            await house.live(4 * 3600)
        steps = called(await only(house))
        assert steps == [(to, timedelta(hours=hours)) for to, hours in (("lead", 12), ("parent", 24), ("fallback", 36))]

    assert told(tell(story)) == [1, 1, 1]


def test_fires_again_and_again(tell: Tell) -> None:
    """Whatever fires again every three hours calls its lead at the fourth time, and not again at each time after."""

    async def story(house: House) -> None:
        house.new_map(REPEATING)
        for _ in range(6):
            await house.tell(alert("A", severity="critical"))
            await house.live(3600)
            await house.tell(alert("A", severity="critical", resolved=True))
            await house.live(2 * 3600)
        steps = [called(incident) for incident in sorted(await every(house), key=lambda incident: incident.id)]
        assert steps == [[], [], [], [("lead", timedelta())], [], []]
        await house.tell(alert("A", severity="critical"))
        await house.settle()
        newest = max(await every(house), key=lambda incident: incident.id)
        assert [(step.to, step.count) for step in newest.escalations] == [("parent", 6)]

    tell(story)


def test_nothing_is_heard_of_it(tell: Tell) -> None:
    """It becomes stale by its rhythm; told again it is open again, the same incident, and has the whole time again."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        for _ in range(3):
            await house.tell(alert("A", severity="warning"), notification_reason="repeat interval elapsed")
            await house.live(3600)
        await house.live(4 * 3600)
        stale = await only(house)
        assert (stale.state, stale.closed_at, stale.due_at) == (IncidentState.STALE, None, None)
        await house.tell(alert("A", severity="warning"), notification_reason="repeat interval elapsed")
        await house.settle()
        assert (await only(house)).state is IncidentState.OPEN

    slack = tell(story)

    assert told(slack) == [1, 0, 0]


# -- faults --------------------------------------------------------------------------------------------------------


@ON_SQLITE
def test_one_that_cannot_be_written_holds_up_nobody(tell: Tell) -> None:
    """Those before and behind it go further; it is tried again without haste."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        for number in range(5):
            await house.tell(alert(f"A{number}", severity="critical"), group=f"g{number}")
        await house.settle()
        await house.store.write(_refuse_a2)
        house.clock.advance(30 * 60)
        house.timers = house.new_timers()
        await house.live(6 * 60)
        steps = {incident.title: len(incident.escalations) for incident in await every(house)}
        assert steps == {"A0": 1, "A1": 1, "A2": 0, "A3": 1, "A4": 1}
        await house.store.write(_relent)
        await house.live(2 * 60)
        assert {len(incident.escalations) for incident in await every(house)} == {1}

    tell(story)


def _refuse_a2(connection: Connection) -> None:
    connection.execute(
        "CREATE TRIGGER refusing BEFORE UPDATE ON incidents WHEN new.title = 'A2' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )


def _relent(connection: Connection) -> None:
    connection.execute("DROP TRIGGER refusing")


def test_many_at_once(tell: Tell) -> None:
    """More than one batch has room for: each is looked at, and nothing is due any more."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        for number in range(70):
            await house.tell(alert(f"A{number}", severity="critical"), group=f"g{number}")
        await house.decide()
        house.clock.advance(30 * 60)
        house.timers = house.new_timers()
        await house.decide()
        house.clock.advance(5 * 60)
        await house.decide()
        assert {len(incident.escalations) for incident in await every(house)} == {1}
        assert counted(house) == {("unacknowledged", "lead"): 70}

    tell(story)


def test_large_ones_take_turns(tell: Tell) -> None:
    """A batch is of so many bytes, and of one incident at least."""

    async def story(house: House) -> None:
        for number in range(3):
            await house.tell(*(alert(f"A{number}-{place}") for place in range(20)), group=f"g{number}")
        await house.dispatcher.step()
        for size, expected in ((1, 1), (1_000_000, 3)):
            found = await house.store.read(partial(incidents.due, now=house.clock(), limit=10, size=size))
            assert len(found) == expected

    tell(story)


def test_what_flaps_had_ended_meanwhile(tell: Tell) -> None:
    """While it did not fire nobody was waited for: opened again it has the whole time."""

    async def story(house: House) -> None:
        house.new_map(MAP)
        for pause_s in (480, 1980, 60):
            fires = alert("A", severity="critical")
            fires["startsAt"] = f"{house.clock():%Y-%m-%dT%H:%M:%SZ}"
            await house.tell(fires)
            await house.live(120)
            if pause_s > 60:
                await house.tell({**fires, "status": "resolved", "endsAt": f"{house.clock():%Y-%m-%dT%H:%M:%SZ}"})
            await house.live(pause_s)
        flapping = max(await every(house), key=lambda incident: incident.id)
        assert (flapping.flaps, called(flapping)) == (1, [])

    tell(story)
