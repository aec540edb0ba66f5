"""What a changed map does to open incidents, through the store and real HTTP to Slack."""

from datetime import timedelta
from functools import partial

from router.core.incidents import Incident
from router.core.model import IncidentState
from router.preview.faults import Fault, FaultKind
from router.store import incidents
from tests.house import FALLBACK, LEDGER, MAP, PAYMENTS, House, Tell, alert, header
from tests.slack import SlackServer

# The label of payments means ledger now.
HANDED_OVER = f"""
version: 1
fallback:
  channel: {{name: ops-orphans, id: {FALLBACK}}}
teams:
  payments: {{dissolved: 2026-11-20, successor: ledger}}
  ledger:
    name: Ledger
    channel: {{name: ledger-alerts, id: {LEDGER}}}
"""
CLAIMED = MAP + "services:\n  mailer: {owner: ledger}\n"
WITH_RUNBOOK = MAP.replace(
    f"channel: {{name: pay-alerts, id: {PAYMENTS}}}",
    f"channel: {{name: pay-alerts, id: {PAYMENTS}}}\n    runbook: https://runbooks.example.com/pay",
)
ONE_OF_TWO = MAP + "overrides:\n  - {id: b, match: {alertname: B}, owner: ledger, expires: 2026-12-01, reason: test}\n"
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
    assert replies(slack, LEDGER) == []
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
        await house.settle(within=timedelta(hours=2))
        house.new_map(HANDED_OVER)
        assert await house.reassigner.step()
        house.__post_init__()  # a new process: the first batch of 32 is committed, the rest is not looked at yet
        await house.settle(within=timedelta(hours=4))

    slack = tell(story)

    assert len(slack.roots(LEDGER)) == 40
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
