"""What a changed map does to open incidents, through the store and real HTTP to Slack."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest

from router.core.errors import StoreUnavailable
from router.core.incidents import Incident
from router.core.model import IncidentState
from router.preview.faults import Fault, FaultKind
from router.store import incidents
from router.store.database import Connection
from tests.house import FALLBACK, HANDED_OVER, LEDGER, MAP, ON_SQLITE, PAYMENTS, House, Tell, alert, header
from tests.slack import SlackServer

# The label of payments means ledger now.
CLAIMED = MAP + "services:\n  mailer: {owner: ledger}\n"
WITH_RUNBOOK = MAP.replace(
    f"channel: {{name: pay-alerts, id: {PAYMENTS}}}",
    f"channel: {{name: pay-alerts, id: {PAYMENTS}}}\n    runbook: https://runbooks.example.com/pay",
)
ONE_OF_TWO = MAP + "overrides:\n  - {id: b, match: {alertname: B}, owner: ledger, expires: 2026-12-01, reason: test}\n"
ALL_TO_LEDGER = (
    MAP + "overrides:\n  - {id: all, match: ['alertname!=\"\"'], owner: ledger, expires: 2026-12-01, reason: test}\n"
)
DROPPED = MAP + "overrides:\n  - {id: d, match: {alertname: A}, drop: true, expires: 2026-12-01, reason: test}\n"


def replies(slack: SlackServer, channel: str) -> list[str]:
    """The texts of what stands in threads of that channel."""
    return [message.text for message in slack.messages(channel) if message.thread_ts is not None]


async def every(house: House) -> list[Incident]:
    return await house.store.read(partial(incidents.page, state=None, before=None, limit=100))


def test_changed_owner_is_told_once_in_both_places(tell: Tell) -> None:
    """The old message says where it went, with one reply; the new owner gets a message of its own, and the end."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.settle()
        await house.settle()
        assert "MOVED" in header(house.slack.roots(PAYMENTS)[0])
        await house.tell(alert("A", resolved=True))
        await house.settle()
        moved, took = sorted(await every(house), key=lambda incident: incident.id)
        assert moved.handed_over
        assert moved.map_revision != took.map_revision == house.ownership.revision
        assert (moved.firing, moved.state) == (0, IncidentState.RESOLVED)

    slack = tell(story)

    (old,), (new,) = slack.roots(PAYMENTS), slack.roots(LEDGER)
    assert "1 alert moved to Ledger, #ledger-alerts" in str(old.content.blocks)
    assert f"1 alert taken over from payments, #{PAYMENTS}" in str(new.revisions[0].blocks)
    assert replies(slack, PAYMENTS) == ["1 alert moved to Ledger, #ledger-alerts: the ownership map changed"]
    assert [reply for reply in replies(slack, LEDGER) if "map changed" in reply] == []
    assert "MOVED" in header(old)
    assert "RESOLVED" in header(new)


def test_claimed_orphan_reaches_its_owner(tell: Tell) -> None:
    """Somebody merges the entry that an orphan asked for: its owner hears of it without a new alert."""

    async def story(house: House) -> None:
        await house.tell(alert("A", team=None, service="mailer"))
        await house.settle()
        house.new_map(CLAIMED)
        await house.settle()

    slack = tell(story)

    (orphan,), (owned,) = slack.roots(FALLBACK), slack.roots(LEDGER)
    assert "MOVED" in header(orphan)
    assert "1 alert had no owner" in str(owned.content.blocks)
    assert len(replies(slack, FALLBACK)) == 1


def test_only_what_changed_moves(tell: Tell) -> None:
    """Of two alerts of one incident one gets another owner: the rest stays, and both incidents go on."""

    async def story(house: House) -> None:
        await house.tell(alert("A"), alert("B"))
        await house.settle()
        house.new_map(ONE_OF_TWO)
        await house.settle()
        await house.tell(alert("A"), alert("B", resolved=True))
        await house.settle()

    slack = tell(story)

    (stays,), (moved,) = slack.roots(PAYMENTS), slack.roots(LEDGER)
    assert "MOVED" not in header(stays)
    assert "RESOLVED" not in header(stays)
    assert "1 alert moved to ledger" in str(stays.content.blocks)
    assert "RESOLVED" in header(moved)


def test_two_incidents_of_a_group_become_one(tell: Tell) -> None:
    """What comes to an owner who has the rest of the group already joins it there."""

    async def story(house: House) -> None:
        await house.tell(alert("A"), alert("B", team="ledger"))
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.settle()
        assert [incident.firing for incident in await every(house) if incident.state is IncidentState.OPEN] == [2]

    slack = tell(story)

    assert len(slack.roots(LEDGER)) == 1
    assert "MOVED" in header(slack.roots(PAYMENTS)[0])
    # Its message was only edited, which tells nobody: so there is a reply.
    assert len(replies(slack, LEDGER)) == 1


def test_new_hints_are_shown_without_a_call(tell: Tell) -> None:
    """A runbook that the map has now is in the message, by an edit, which notifies nobody."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(WITH_RUNBOOK)
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert "https://runbooks.example.com/pay" in str(message.content.blocks)
    assert slack.emulator.calls == {"chat.postMessage": 1, "chat.update": 1}


def test_moved_lines_are_not_worth_a_call(tell: Tell) -> None:
    """An entry that only stands elsewhere in the file changes no message: ten thousand edits would take hours."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map("# a comment\n" + MAP)
        await house.settle()
        (incident,) = await every(house)
        assert incident.map_revision == house.ownership.revision

    slack = tell(story)

    assert slack.emulator.calls == {"chat.postMessage": 1}


def test_dropped_alert_is_kept_true_until_its_end(tell: Tell) -> None:
    """People know of it: that the new map would drop it hides nothing."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(DROPPED)
        await house.settle()
        await house.tell(alert("A", resolved=True))
        await house.settle()

    slack = tell(story)

    assert "RESOLVED" in header(slack.roots(PAYMENTS)[0])


def test_refused_channel_is_left_behind(tell: Tell) -> None:
    """The old channel refuses, and the fallback stands for it: that message says where the alert went."""

    async def story(house: House) -> None:
        house.slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.settle()

    slack = tell(story)

    assert "MOVED" in header(slack.roots(FALLBACK)[0])
    assert len(slack.roots(LEDGER)) == 1
    assert replies(slack, FALLBACK) == []


def test_nothing_moves_twice_and_nothing_is_forgotten(tell: Tell) -> None:
    """More incidents than one batch, and a restart in the middle of them: each moves exactly once."""

    async def story(house: House) -> None:
        for number in range(40):
            await house.tell(alert(f"A{number}"), group=f"g{number}")
            await house.settle()
        house.new_map(HANDED_OVER)
        assert await house.reassigner.step()
        house.__post_init__()  # a new process: the first batch of 32 is committed, the rest is not looked at yet
        await house.settle(within=timedelta(hours=4))

    slack = tell(story)

    told = [name for digest in slack.roots(LEDGER) for name in re.findall(r"A\d+", str(digest.content.blocks))]
    assert sorted(told) == sorted(f"A{number}" for number in range(40)), "each in one line of one digest"
    assert len(replies(slack, PAYMENTS)) == 40
    assert all("MOVED" in header(message) for message in slack.roots(PAYMENTS))


def test_map_that_goes_back_and_forth(tell: Tell) -> None:
    """Back to the old map: the alert is with its first owner again, told in both places, and ends there."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.settle()
        house.new_map(MAP)
        await house.settle()
        await house.tell(alert("A", resolved=True))
        await house.settle()
        assert [incident.state for incident in await every(house)] == [IncidentState.RESOLVED] * 3

    slack = tell(story)

    first, second = slack.roots(PAYMENTS)
    assert "MOVED" in header(first)
    assert "RESOLVED" in header(second)
    assert "MOVED" in header(slack.roots(LEDGER)[0])


def test_map_that_came_back_is_asked_again(tell: Tell) -> None:
    """The map changed and changed back while notifications were decided: what the one between decided moves back."""

    async def story(house: House) -> None:
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.tell(alert("A"))
        await house.dispatcher.step()
        house.new_map(MAP)
        await house.settle()
        owners = {incident.owner for incident in await every(house) if incident.state is IncidentState.OPEN}
        assert owners == {"payments"}

    assert len(tell(story).roots(PAYMENTS)) == 1


def test_newest_body_tells_the_whole_group(tell: Tell) -> None:
    """Of a group that grew from body to body the last one is enough: the older ones may be gone by then."""

    async def story(house: House) -> None:
        for number in range(1, 5):
            await house.tell(*(alert(f"A{one}") for one in range(number)))
            house.clock.advance(300)
        await house.settle()
        await house.store.write(lambda connection: _prune(connection, keep=1))
        house.new_map(HANDED_OVER)
        await house.settle()
        (opened,) = [incident for incident in await every(house) if incident.state is IncidentState.OPEN]
        assert (opened.owner, opened.firing) == ("ledger", 4)

    tell(story)


def _prune(connection: Connection, *, keep: int) -> None:
    connection.execute("DELETE FROM bodies WHERE id NOT IN (SELECT id FROM bodies ORDER BY id DESC LIMIT ?)", (keep,))


@ON_SQLITE
def test_what_was_not_written_has_not_moved(tell: Tell) -> None:
    """The disk refuses: no metric and no log tells of a move, and the next step makes it, once."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(HANDED_OVER)
        with closing(sqlite3.connect(house.map_file.with_name("router.db"), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable):
                await house.reassigner.step()
            other.execute("ROLLBACK")
        assert moved(house) == 0
        await house.settle()
        assert moved(house) == 1

    assert len(tell(story).roots(LEDGER)) == 1


def moved(house: House) -> float:
    return house.metrics.registry.get_sample_value("router_incidents_moved_total") or 0.0


@ON_SQLITE
def test_one_that_cannot_be_written_holds_up_nobody(tell: Tell) -> None:
    """A write that is refused for one incident leaves that one where it is; those before and behind it move."""

    async def story(house: House) -> None:
        for number in range(5):
            await house.tell(alert(f"A{number}"), group=f"g{number}")
        await house.settle()
        await house.store.write(_refuse_a2)
        house.new_map(HANDED_OVER)
        await house.settle()
        opened = [incident for incident in await every(house) if incident.state is IncidentState.OPEN]
        assert {incident.title: incident.owner for incident in opened} == {
            **dict.fromkeys(("A0", "A1", "A3", "A4"), "ledger"),
            "A2": "payments",
        }
        assert not await house.reassigner.step()
        assert moved(house) == 4

    tell(story)


def _refuse_a2(connection: Connection) -> None:
    connection.execute(
        "CREATE TRIGGER refusing BEFORE UPDATE ON incidents WHEN new.title = 'A2' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )


def test_several_givers_are_all_named(tell: Tell) -> None:
    """What one owner takes over from two others at once is told of both, in its message and in the reply."""

    async def story(house: House) -> None:
        await house.tell(alert("A"), alert("B", team=None), alert("C", team="ledger"))
        await house.settle()
        house.new_map(ALL_TO_LEDGER)
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(LEDGER)
    (reply,) = replies(slack, LEDGER)
    for told in (str(message.content.blocks), reply):
        assert "taken over from payments" in told
        assert "had no owner" in told


def test_every_new_owner_is_named(tell: Tell) -> None:
    """A group that five teams get is told to have gone to three of them, and to two more."""
    teams = "".join(f"  t{number}: {{channel: {{name: t{number}, id: C0TEAM{number}00}}}}\n" for number in range(5))

    async def story(house: House) -> None:
        await house.tell(*(alert(f"A{number}", service=f"s{number}") for number in range(5)))
        await house.settle()
        overrides = "".join(
            f"  - {{id: o{number}, match: {{service: s{number}}}, owner: t{number},"
            " expires: 2026-12-01, reason: test}\n"
            for number in range(5)
        )
        house.new_map(MAP + teams + "overrides:\n" + overrides)
        await house.settle()

    slack = tell(story)

    (message,) = slack.roots(PAYMENTS)
    assert "+2 more" in str(message.content.blocks)
    assert ["+2 more" in reply for reply in replies(slack, PAYMENTS)] == [True]


def test_large_bodies_are_read_a_few_at_a_time(tell: Tell) -> None:
    """What is looked at together is in memory together, and decisions wait for it: a megabyte of bodies ends a step."""

    async def story(house: House) -> None:
        for number in range(3):
            large = alert(f"A{number}")
            large["annotations"]["description"] = "x" * 700_000
            await house.tell(large, group=f"g{number}")
        await house.settle()
        house.new_map(HANDED_OVER)
        assert await house.reassigner.step()
        assert moved(house) == 2
        await house.settle()
        assert moved(house) == 3

    assert len(tell(story).roots(LEDGER)) == 3


def test_many_alerts_move_as_one(tell: Tell) -> None:
    """Hundreds of alerts of one incident, resolved beside the event loop: one message, one reply."""

    async def story(house: House) -> None:
        await house.tell(*(alert(f"A{number}") for number in range(300)))
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.settle()
        assert sorted(incident.firing for incident in await every(house)) == [0, 300]

    slack = tell(story)

    assert len(slack.roots(LEDGER)) == 1
    assert replies(slack, PAYMENTS) == ["300 alerts moved to Ledger, #ledger-alerts: the ownership map changed"]


def test_late_word_of_a_twin_after_a_move(tell: Tell) -> None:
    """The other member of a pair tells late that it fires: it is not opened again, neither here nor where it was."""

    async def story(house: House) -> None:
        await house.tell(alert("A"))
        await house.settle()
        house.new_map(HANDED_OVER)
        await house.settle()
        await house.tell(alert("A", resolved=True))
        house.clock.advance(20)
        await house.tell(alert("A"), externalURL="http://twin.example.com")
        await house.settle()
        assert [incident.firing for incident in await every(house)] == [0, 0]

    slack = tell(story)

    assert "MOVED" in header(slack.roots(PAYMENTS)[0])
    assert "RESOLVED" in header(slack.roots(LEDGER)[0])
