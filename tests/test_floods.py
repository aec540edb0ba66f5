"""More than Slack takes: what people see of it, in what order, and that nobody waits for somebody else's flood."""

import re
from datetime import timedelta
from functools import partial
from itertools import pairwise

from router.core.actions import Action, ActionKind
from router.core.model import MessageKind, MessageState
from router.preview.workspace import Message
from router.store import incidents, messages
from router.store.digests import MEMBERS
from tests.house import FALLBACK, LEDGER, MAP, ON_SQLITE, PAYMENTS, START, House, Tell, alert, header
from tests.slack import SlackServer

TEAMS = [f"team-{number:02d}" for number in range(40)]
MANY_TEAMS = MAP + "".join(
    f"  {name}:\n    channel: {{name: {name}, id: C0TEAM{number:04d}}}\n" for number, name in enumerate(TEAMS)
)


def channel_of(team: str) -> str:
    return f"C0TEAM{TEAMS.index(team):04d}"


def is_digest(message: Message) -> bool:
    return "DIGEST" in header(message)


def names_in(slack: SlackServer, channel: str) -> list[str]:
    """The alerts that the channel's messages show now, those with a message of their own once more."""
    return [
        name for message in slack.roots(channel) for name in re.findall(r"\bG\d{3,}\b", str(message.content.blocks))
    ]


def test_three_hundred_groups_in_ten_seconds(tell: Tell) -> None:
    """All of them are shown soon, nothing is hidden or refused, and another channel does not wait for them."""

    async def story(house: House) -> None:
        for tenth in range(100):
            for number in range(3):
                await house.tell(alert(f"G{tenth * 3 + number:03d}"), group=f"g{tenth}-{number}")
            if tenth == 50:
                await house.tell(alert("Quiet", team="ledger"), group="quiet")
            await house.live(0.1)
        await house.live(10)
        assert (await house.sums())["pending"] == 0

    slack = tell(story)

    (quiet,) = slack.roots(LEDGER)
    assert 0 <= float(quiet.ts) - (START.timestamp() + 5) < 2
    posted = [float(message.ts) for message in slack.roots(PAYMENTS)]
    assert min(later - earlier for earlier, later in pairwise(posted)) >= 1
    assert posted[-1] - START.timestamp() < 15, "a digest a second keeps up with it"
    assert sorted(set(names_in(slack, PAYMENTS))) == [f"G{number:03d}" for number in range(300)]
    assert not any(message.hidden for message in slack.messages(PAYMENTS))


def test_digest_tells_the_end_of_its_members(tell: Tell) -> None:
    """Its lines end one by one, in edits; when all have, the digest says so."""

    async def story(house: House) -> None:
        for number in range(8):
            await house.tell(alert(f"G{number:03d}"), group=f"g{number}")
        await house.settle()
        (digest,) = house.slack.roots(PAYMENTS)
        assert is_digest(digest)
        for number in range(8):
            await house.tell(alert(f"G{number:03d}", resolved=True), group=f"g{number}")
        await house.settle()

    slack = tell(story)

    (digest,) = slack.roots(PAYMENTS)
    assert len(digest.revisions) == 2
    assert "✅" in header(digest)


def test_member_that_still_fires_gets_its_own_message(tell: Tell) -> None:
    """At its next notice; and its end is told there."""

    async def story(house: House) -> None:
        for number in range(8):
            await house.tell(alert(f"G{number:03d}"), group=f"g{number}")
        await house.settle()
        house.clock.advance(4 * 3600)
        await house.tell(alert("G003"), group="g3")
        await house.settle()
        await house.tell(alert("G003", resolved=True), group="g3")
        await house.settle()

    slack = tell(story)

    digest, own = slack.roots(PAYMENTS)
    assert (is_digest(digest), is_digest(own)) == (True, False)
    assert ("G003" in header(own), "RESOLVED" in header(own)) == (True, True)


def test_what_people_do_about_a_member_calls_nobody(tell: Tell) -> None:
    """One that is acknowledged from a terminal is marked in its line; it gets no message of its own for that."""

    async def story(house: House) -> None:
        for number in range(8):
            await house.tell(alert(f"G{number:03d}"), group=f"g{number}")
        await house.settle()
        (incident,) = await house.store.read(partial(incidents.page, state=None, before=None, limit=1))
        await house.actions.take(
            Action(incident=incident.id, kind=ActionKind.ACK, by="alice", at=house.clock()), press=None
        )
        await house.settle()

    slack = tell(story)

    (digest,) = slack.roots(PAYMENTS)
    assert is_digest(digest)
    assert "acknowledged" in str(digest.content.blocks).lower()


def test_flood_of_orphans_is_a_digest_too(tell: Tell) -> None:
    """What nobody owns floods the fallback channel as little as any other."""

    async def story(house: House) -> None:
        for number in range(12):
            await house.tell(alert(f"G{number:03d}", team=None), group=f"g{number}")
        await house.settle()

    slack = tell(story)

    (digest,) = slack.roots(FALLBACK)
    assert is_digest(digest)
    assert sorted(names_in(slack, FALLBACK)) == [f"G{number:03d}" for number in range(12)]


def test_channels_take_turns(tell: Tell) -> None:
    """Forty channels in a flood: none gets a second message while another waits for its first."""

    async def story(house: House) -> None:
        house.new_map(MANY_TEAMS)
        for team in TEAMS:
            for number in range(3):
                await house.tell(alert(f"G{number:03d}", team=team), group=f"{team}-{number}")
        await house.settle()

    slack = tell(story)

    first_round = max(float(slack.roots(channel_of(team))[0].ts) for team in TEAMS)
    third_round = min(float(slack.roots(channel_of(team))[2].ts) for team in TEAMS)
    assert first_round < third_round


@ON_SQLITE
def test_a_day_without_slack_is_made_up_for(tell: Tell) -> None:
    """50,000 alerts in 24 hours: afterwards the newest and most urgent first, in digests, and each is shown.

    What fired and ended meanwhile is shown as ended, once. Nothing is lost, and no limit of Slack's is exceeded.
    """
    rounds, groups, size = 25, 200, 10
    fired = rounds * groups * size  # alerts

    async def story(house: House) -> None:
        house.new_map(MANY_TEAMS)
        with house.slack.refusing():
            for turn in range(rounds):
                for number in range(groups):
                    team = TEAMS[number % len(TEAMS)]
                    group = f"{turn}-{number}"
                    alerts = [alert(f"G{turn * groups + number:05d}", team=team, instance=f"{i}") for i in range(size)]
                    for index, one in enumerate(alerts):
                        one["fingerprint"] = f"{group}-{index}"
                    await house.tell(*alerts, group=group)
                    if turn < rounds - 3:  # the others still fire when Slack is back
                        ended = [{**one, "status": "resolved", "endsAt": "2026-11-21T11:20:00Z"} for one in alerts]
                        await house.tell(*ended, group=group)
                await house.live(24 * 3600 / rounds)
            sums = await house.sums()
            assert (sums["delivered"], sums["waiting"], sums["pending"]) == (0, 0, rounds * groups)
            assert house.health.state == "connect_failed"
        began = house.clock()
        await house.settle(within=timedelta(hours=1))
        assert house.health.state == "ok"
        assert (await house.sums())["pending"] == 0
        assert house.clock() - began < timedelta(minutes=6)
        listed = await house.store.read(
            lambda connection: incidents.page(connection, state=None, before=None, limit=9999)
        )
        shown = await house.store.read(
            lambda connection: messages.of_incidents(connection, [incident.id for incident in listed])
        )
        assert len(listed) == rounds * groups
        rows = [message for of in shown.values() for message in of]
        assert {row.state for row in rows if row.kind is not MessageKind.REPLY} == {MessageState.DELIVERED}
        # That it ended was told by the first that people saw of it.
        assert {row.state for row in rows if row.kind is MessageKind.REPLY} == {MessageState.SUPERSEDED}

    slack = tell(story)

    assert fired == 50_000
    for team in TEAMS:
        channel = channel_of(team)
        assert all(message.is_root for message in slack.messages(channel))
        assert sorted(set(names_in(slack, channel))) == [
            f"G{turn * groups + number:05d}"
            for turn in range(rounds)
            for number in range(groups)
            if TEAMS[number % len(TEAMS)] == team
        ]
        first = slack.roots(channel)[0]
        shown = re.findall(r"\bG(\d{5})\b", str(first.content.blocks))
        assert len(shown) == min(MEMBERS, rounds * groups // len(TEAMS))
        assert all(int(name) // groups >= rounds - 8 for name in shown), "what still fires first, then the newest"
