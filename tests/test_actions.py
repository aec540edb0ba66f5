"""What people do about incidents, from a terminal: stored, applied in order, shown in Slack, answered in words."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from router.acting import ActionInbox
from router.asking import Json
from router.cli import main
from router.core.actions import Action, ActionKind
from router.core.errors import LeaseLost
from router.core.history import Escalation, EscalationReason, Event
from router.core.incidents import Incident, noted
from router.core.model import IncidentState
from router.leadership import Guard, Lease
from router.store import incidents
from router.store.actions import ActionState, Outcome
from router.store.database import Connection
from tests.docs import pages
from tests.house import HANDED_OVER, LEDGER, MAP, ON_SQLITE, PAYMENTS, House, Tell, alert, header
from tests.operators import ELSEWHERE, Operator
from tests.test_asking import Asked, says

INCIDENTS = "/api/v1/incidents"
HOUR = timedelta(hours=1)


class Desk:
    """Somebody at a terminal, and who decides."""

    def __init__(self, house: House, path: Path, *, lease: Lease | None = None) -> None:
        self.house = house
        self.operator = Operator(house, path / "ownership.yaml")
        self.acting = house.new_acting(lease=lease)

    async def open(self, *names: str, team: str | None = "payments") -> str:
        """An incident with these alerts, told; its id."""
        await self.house.tell(*(alert(name, team=team) for name in names or ("A",)))
        await self.house.settle()
        (found,) = (await self.operator.json(INCIDENTS))["incidents"]
        return str(found["id"])

    async def ask(self, path: str, **question: object) -> httpx2.Response:
        """The answer to a question, while somebody decides; then what has to be shown is shown."""
        task = asyncio.create_task(
            self.operator.ask(f"{INCIDENTS}/{path}", method="POST", body=json.dumps(question).encode())
        )
        while not task.done():
            await self.acting.step()
            await asyncio.wait({task}, timeout=0.01)
        await self.house.settle()
        return await task

    async def store(self, kind: ActionKind, incident: str, **facts: Any) -> int:  # Any: fields of Action
        action = Action(incident=incident, kind=kind, by="alice", at=self.house.clock(), **facts)
        appended = await self.house.actions.take(action)
        assert appended is not None
        return appended.id

    async def outcome(self, id: int) -> Outcome | None:
        return await self.house.actions.outcome(id, within_s=0)

    async def incident(self, id: str) -> Incident:
        return (await self.house.store.read(partial(incidents.by_id, ids=[id])))[id]


def counted(house: House, kind: ActionKind, outcome: str) -> float:
    value = house.metrics.registry.get_sample_value("router_actions_total", {"kind": kind, "outcome": outcome})
    assert value is not None
    return value


def test_acknowledged_from_a_terminal(tell: Tell, tmp_path: Path) -> None:
    """The answer says that it is done, the message and its thread say who has it."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        with capture_logs() as logs:
            answer = await desk.ask(f"{incident}/ack", by="alice")
        assert answer.status_code == 200
        told = answer.json()
        assert (told["version"], told["outcome"]) == (1, "done")
        assert told["incident"]["acknowledged_by"] == "alice"
        assert told["correction"] is None
        found = await desk.operator.json(f"{INCIDENTS}/{incident}")
        assert [(one["number"], one["event"], one["by"]) for one in found["history"]] == [(1, "acknowledged", "alice")]
        (line,) = (one for one in logs if one["event"] == "action_done")
        assert (line["incident"], line["kind"], line["by"]) == (incident, "ack", "alice")
        assert counted(house, ActionKind.ACK, "done") == 1

    slack = tell(story)

    (root,) = slack.roots(PAYMENTS)
    assert "alice" in str(root.content)
    assert ["alice" in str(one.content) for one in slack.messages(PAYMENTS) if one.thread_ts is not None] == [True]


def test_disowned_from_a_terminal(tell: Tell, tmp_path: Path) -> None:
    """The other team hears of it at once; the answer has its incident, and what to change in the map."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open("A", "B")
        told = (await desk.ask(f"{incident}/disown", by="alice", team="ledger")).json()
        assert told["outcome"] == "done"
        assert "overrides:" in told["correction"]
        assert told["opened"] == told["incident"]["moved_to"][0]["incident"]
        new = await desk.operator.json(f"{INCIDENTS}/{told['opened']}")
        assert (new["owner"], new["alerts"]) == ("ledger", {"firing": 2, "resolved": 0})
        assert new["assigned"]["by"] == "alice"
        assert new["assigned"]["instead_of"] == "payments"

        await house.tell(alert("A", resolved=True), alert("B", resolved=True))
        await house.settle()
        assert (await desk.incident(told["opened"])).state is IncidentState.RESOLVED

    slack = tell(story)

    (old,), (new,) = slack.roots(PAYMENTS), slack.roots(LEDGER)
    assert "MOVED" in header(old)
    assert "RESOLVED" in header(new)
    (reply,) = (one for one in slack.messages(PAYMENTS) if one.thread_ts is not None)
    assert "ledger" in str(reply.content)
    assert "the ownership map changed" not in str(reply.content)


@ON_SQLITE
def test_map_is_followed_once_it_says_something_new(tell: Tell, tmp_path: Path) -> None:
    """A reload that says the same leaves it where a person put it; one that agrees ends that it is said."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        told = (await desk.ask(f"{await desk.open()}/disown", by="alice", team="ledger")).json()
        house.new_map("# a comment\n" + MAP)
        await house.settle()
        same = await desk.incident(told["opened"])
        assert (same.owner, same.map_revision) == ("ledger", house.ownership.revision)
        assert same.assigned is not None
        house.new_map(HANDED_OVER)
        await house.settle()
        agreed = await desk.incident(told["opened"])
        assert (agreed.owner, agreed.assigned, agreed.moved_to) == ("ledger", None, ())

    slack = tell(story)

    assert len(slack.roots(LEDGER)) == 1
    assert [one for one in slack.messages(LEDGER) if one.thread_ts is not None] == []


@ON_SQLITE
def test_there_and_back_and_there(tell: Tell, tmp_path: Path) -> None:
    """Each time its team is told anew; nothing turns in circles by itself."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        for team in ("ledger", "payments", "ledger"):
            incident = (await desk.ask(f"{incident}/disown", by="alice", team=team)).json()["opened"]
        assert not await house.reassigner.step()
        await house.tell(alert("A", resolved=True))
        await house.settle()
        assert (await desk.operator.json(INCIDENTS))["incidents"] == []

    slack = tell(story)

    assert ["MOVED" in header(root) for root in slack.roots(PAYMENTS)] == [True, True]
    assert ["RESOLVED" in header(root) for root in slack.roots(LEDGER)] == [False, True]


@ON_SQLITE
def test_snoozed_and_woken_from_a_terminal(tell: Tell, tmp_path: Path) -> None:
    """Timers look at it at once, and know since when."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        told = (await desk.ask(f"{incident}/snooze", **{"by": "alice", "for": "2h"})).json()
        assert told["incident"]["snoozed_until"] is not None
        assert (await desk.ask(f"{incident}/wake", by="bob")).json()["incident"]["snoozed_until"] is None
        refused = await desk.ask(f"{incident}/wake", by="bob")
        assert (refused.status_code, refused.json()) == (409, {"error": "it is not snoozed"})
        assert counted(house, ActionKind.WAKE, "refused") == 1

    tell(story)


@ON_SQLITE
@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        pytest.param("ID/ack", b"{}", 400, '"by" is missing: a text', id="nobody"),
        pytest.param("ID/ack", b'{"by": 7}', 400, '"by" is missing: a text', id="no text"),
        pytest.param("ID/ack", b'{"by": "a\\nb"}', 400, '"by" should be one line of at most 80 characters', id="lines"),
        pytest.param("ID/ack", b'{"by": "a\\u0000b"}', 200, None, id="NUL is shown as no character"),
        pytest.param(
            "ID/ack", b'{"by": "a", "bye": "b"}', 400, 'unknown key "bye"; did you mean "by"?', id="unknown key"
        ),
        pytest.param("ID/ack", b"[]", 400, "should be a JSON object", id="no object"),
        pytest.param("ID/disown", b'{"by": "a"}', 400, '"team" is missing: a text', id="no team"),
        pytest.param(
            "ID/disown",
            b'{"by":"a","team":"ledgr"}',
            409,
            'the map has no team "ledgr"; did you mean "ledger"?',
            id="?",
        ),
        pytest.param(
            "ID/snooze",
            b'{"by": "a", "for": "soon"}',
            400,
            '"for": "soon" is not a duration such as 15m, 1h30m, 2d or 1w',
            id="no duration",
        ),
        pytest.param(
            "ID/snooze", b'{"by": "a", "for": "4m59s"}', 409, "a snooze lasts 5 minutes at least", id="too short"
        ),
        pytest.param("ID/snooze", b'{"by": "a", "for": "7d1s"}', 409, "a snooze lasts 7 days at most", id="too long"),
        pytest.param("0sa3rpvyr3bg3-1/ack", b'{"by": "a"}', 404, "no incident has this id", id="unknown incident"),
        pytest.param("ID/ack", b'{"by": "' + b"a" * 70_000 + b'"}', 413, None, id="too large"),
    ],
)
def test_wrong_questions(tell: Tell, tmp_path: Path, path: str, body: bytes, status: int, error: str | None) -> None:
    """What is wrong is said; nothing is stored, and nothing changes."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        task = asyncio.create_task(
            desk.operator.ask(f"{INCIDENTS}/{path.replace('ID', incident)}", method="POST", body=body)
        )
        while not task.done():
            await desk.acting.step()
            await asyncio.wait({task}, timeout=0.01)
        answer = await task
        assert answer.status_code == status
        assert error is None or answer.json() == {"error": error}
        assert (await desk.incident(incident)).happened == (status == 200)
        await house.settle()

    tell(story)


@ON_SQLITE
def test_reference_of_a_message_names_its_incident(tell: Tell, tmp_path: Path) -> None:
    """What stands at the end of a message is enough; of a notification about several incidents, they are listed."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        reference = await house.tell(alert("A"))
        several = await house.tell(alert("B"), alert("C", team="ledger"), group="h")
        await house.settle()
        answer = await desk.ask(f"{reference}/ack", by="alice")
        assert answer.json()["incident"]["acknowledged_by"] == "alice"
        answer = await desk.ask(f"{several}/ack", by="alice")
        assert answer.status_code == 409
        error = f"this notification is about 2 incidents: name one of {several}-1, {several}-2"
        assert answer.json() == {"error": error}
        assert (await desk.ask("0sa3rpvyr3bg3/ack", by="alice")).status_code == 404

    tell(story)


@ON_SQLITE
def test_only_operators(tell: Tell, tmp_path: Path) -> None:
    """Nobody from elsewhere acknowledges anything without the admin token."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        for path, method in ((incident, "GET"), (f"{incident}/ack", "POST")):
            answer = await desk.operator.ask(f"{INCIDENTS}/{path}", method=method, body=b'{"by": "a"}', peer=ELSEWHERE)
            assert answer.status_code == 403
        assert not await desk.acting.step()

    tell(story)


@ON_SQLITE
def test_stored_where_nobody_decides(tell: Tell, tmp_path: Path) -> None:
    """While no router decides the answer is that it is stored; it is done as soon as one does."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        house.arrived.clear()
        answer = await desk.operator.ask(f"{INCIDENTS}/{incident}/ack", method="POST", body=b'{"by": "alice"}')
        assert answer.status_code == 202
        assert answer.json()["outcome"] == "waiting"
        assert house.arrived.is_set()
        assert await desk.acting.step()
        assert (await desk.incident(incident)).acknowledged is not None

    tell(story)


def test_in_their_order(tell: Tell, tmp_path: Path) -> None:
    """Of several in one batch each sees what those before it did."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        ids = [
            await desk.store(ActionKind.ACK, incident),
            await desk.store(ActionKind.DISOWN, incident, team="ledger"),
            await desk.store(ActionKind.ACK, incident),
            await desk.store(ActionKind.ACK, incident),
        ]
        assert await desk.acting.step()
        assert not await desk.acting.step()
        outcomes = [await desk.outcome(one) for one in ids]
        assert [one.state for one in outcomes if one] == [ActionState.DONE] * 2 + [ActionState.REFUSED] * 2
        assert outcomes[2] is not None
        assert outcomes[2].words == f"it went over to ledger already: that is incident {incident}.1"
        await house.settle()

    tell(story)


class FaultyLease:
    """Its guard goes wrong at these transactions, counted from 1."""

    held = True

    def __init__(self, at: set[int], error: type[Exception]) -> None:
        self._at = at
        self._error = error
        self._count = 0

    def guard(self) -> Guard:
        def check(_connection: Connection) -> None:
            self._count += 1
            if self._count in self._at:
                raise self._error

        return check


@ON_SQLITE
def test_a_fault_of_ours_stops_nobody_else(tell: Tell, tmp_path: Path) -> None:
    """What cannot be written is refused with words, once; what came with it is done."""

    async def story(house: House) -> None:
        # The batch of two, then the first of them alone.
        desk = Desk(house, tmp_path, lease=FaultyLease({1, 2}, ValueError))
        incident = await desk.open()
        ids = [await desk.store(ActionKind.ACK, incident), await desk.store(ActionKind.SNOOZE, incident, lasts=HOUR)]
        with capture_logs() as logs:
            while await desk.acting.step():
                pass
        outcomes = [await desk.outcome(one) for one in ids]
        assert [one.state for one in outcomes if one] == [ActionState.REFUSED, ActionState.DONE]
        assert outcomes[0] is not None
        assert outcomes[0].words == "the router could not do this; its log has the event action_not_applied"
        assert [one["event"] for one in logs].count("action_not_applied") == 1
        after = await desk.incident(incident)
        assert after.acknowledged is None
        assert after.snoozed is not None
        await house.settle()

    tell(story)


@ON_SQLITE
def test_one_that_cannot_be_applied_is_refused(tell: Tell, tmp_path: Path) -> None:
    """A defect that one action meets is told to whoever did it; the next one in the same batch is done."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        ids = [await desk.store(ActionKind.DISOWN, incident, team="ledger"), await desk.store(ActionKind.ACK, incident)]
        whole, house.ownership = house.ownership, None  # type: ignore[assignment]  # the defect
        with capture_logs() as logs:
            assert await desk.acting.step()
        house.ownership = whole
        outcomes = [await desk.outcome(one) for one in ids]
        assert [one.state for one in outcomes if one] == [ActionState.REFUSED, ActionState.DONE]
        assert [one["event"] for one in logs] == ["action_not_applied", "action_refused", "action_done"]
        await house.settle()

    tell(story)


@ON_SQLITE
def test_lost_lease_changes_nothing(tell: Tell, tmp_path: Path) -> None:
    """Another router decides now: it finds the action as it was."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path, lease=FaultyLease({1}, LeaseLost))
        incident = await desk.open()
        action = await desk.store(ActionKind.ACK, incident)
        with pytest.raises(LeaseLost):
            await desk.acting.step()
        assert await desk.outcome(action) == Outcome(state=ActionState.WAITING, words=None)
        assert (await desk.incident(incident)).acknowledged is None
        assert await desk.acting.step()
        assert (await desk.incident(incident)).acknowledged is not None
        await house.settle()

    tell(story)


@ON_SQLITE
def test_incident_that_is_gone(tell: Tell, tmp_path: Path) -> None:
    """Between the press and its turn the incident was deleted: that is said, and those behind it go on."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        action = await desk.store(ActionKind.ACK, incident)
        await house.store.write(lambda connection: _forget(connection, incident))
        assert await desk.acting.step()
        outcome = await desk.outcome(action)
        assert outcome is not None
        assert outcome.state is ActionState.REFUSED

    tell(story)


def _forget(connection: Connection, incident: str) -> None:
    connection.execute("DELETE FROM incidents WHERE id = ?", (incident,))


@ON_SQLITE
def test_many_wait_at_once(tell: Tell, tmp_path: Path) -> None:
    """More than one batch, of one incident: each has its outcome, one is done."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        ids = [await desk.store(ActionKind.WAKE, incident) for _ in range(70)] + [
            await desk.store(ActionKind.ACK, incident)
        ]
        steps = 0
        while await desk.acting.step():
            steps += 1
        assert steps == 3
        states = [(await desk.outcome(one)) for one in ids]
        assert [one.state for one in states if one] == [ActionState.REFUSED] * 70 + [ActionState.DONE]
        await house.settle()

    tell(story)


@ON_SQLITE
def test_two_who_wait_hear_of_it(tell: Tell, tmp_path: Path) -> None:
    """Both askers are answered, though only one event says that something was done."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        incident = await desk.open()
        first, second = await desk.store(ActionKind.ACK, incident), await desk.store(ActionKind.ACK, incident)
        waiting = [asyncio.create_task(_long(house.actions, one)) for one in (first, second)]
        assert await desk.acting.step()
        done, late = await asyncio.wait(waiting, timeout=5)
        assert not late
        assert all(one.result() is not None for one in done)
        await house.settle()

    tell(story)


async def _long(inbox: ActionInbox, id: int) -> Outcome | None:
    return await inbox.outcome(id, within_s=60)


# -- what the API tells, and how the command says it -------------------------------------------------------------------

HTTP_PAGE, PAGE = "docs/reference/http.md", "docs/reference/incident.md"


def example() -> Json:
    """An incident that went to another team, whose lead was called before somebody took it."""
    (text,) = pages.blocks(pages.section(HTTP_PAGE, "### `GET /api/v1/incidents/{id}`"), "json")
    found: Json = json.loads(text)
    return found


def asked(*arguments: str, status: int = 200, answer: Json) -> Result:
    with Asked(says(status, json.dumps(answer).encode())).listening() as server:
        return CliRunner(env={"ROUTER_URL": server.url}).invoke(main, ["incident", *arguments])


def lines_of(answer: Json) -> list[str]:
    result = asked("show", "0sa3rpvyr3bg3-1", answer=answer)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def shape(value: object) -> object:
    """The keys of an answer, and of what stands in it first."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value[:1]] if isinstance(value, list) else None


def test_example_of_the_page_has_the_keys_of_a_real_answer(tell: Tell, tmp_path: Path) -> None:
    """Names of teams and channels stand beside their ids, as people know them."""

    async def story(house: House) -> None:
        desk = Desk(house, tmp_path)
        told = (await desk.ask(f"{await desk.open()}/disown", by="alice", team="ledger")).json()
        new = await desk.incident(told["opened"])
        step = Escalation(
            step=0,
            to="lead",
            team="ledger",
            channel_id=LEDGER,
            reason=EscalationReason.UNACKNOWLEDGED,
            at=house.clock(),
        )
        called = noted(
            replace(new, escalations=(step,)),
            Event.ESCALATED,
            at=step.at,
            team=step.team,
            channel_id=step.channel_id,
            reason=step.reason,
        )
        await house.store.write(partial(incidents.save, incidents=[called]))
        found = await desk.operator.json(f"{INCIDENTS}/{new.id}")
        assert shape(found) == shape(example())
        for place in (found["escalations"][0], found["history"][0]):
            assert (place["team_name"], place["channel_name"]) == ("ledger", "ledger-alerts")
        assert not found["handed_over"]
        old = await desk.operator.json(f"{INCIDENTS}/{told['incident']['id']}")
        assert old["handed_over"]
        assert old["moved_to"][0]["channel_name"] == "ledger-alerts"

    tell(story)


def test_the_page_shows_what_the_command_prints() -> None:
    """Of the example of the API."""
    shown = [block.splitlines() for block in pages.blocks(pages.text_of(PAGE), "console")]
    assert [f"$ router incident show {example()['id']}", *lines_of(example())] in shown


@pytest.mark.parametrize("command", ["ack", "disown", "snooze", "wake", "show"])
def test_the_help_is_the_real_one(command: str) -> None:
    """What the page shows as the usage of a command is that."""
    result = CliRunner().invoke(main, ["incident", command, "--help"], prog_name="router", terminal_width=80)
    assert result.output in pages.blocks(pages.text_of(PAGE), "text")


def test_what_was_handed_over_has_moved() -> None:
    """Nothing is over: it goes on where it says."""
    move = {"incident": "0sa3rpvyr3bg3-1.1", "owner": "ledger", "channel": "C1", "channel_name": "led", "alerts": 1}
    gone = example() | {"state": "resolved", "handed_over": True, "moved_from": [], "moved_to": [move]}
    lines = lines_of(gone)
    assert "state     moved" in lines
    assert "moved to  ledger in #led, incident 0sa3rpvyr3bg3-1.1" in lines
    assert "resolved" not in "".join(line for line in lines if not line.startswith("alerts"))


AT, UNTIL = "2026-11-21T22:48:31.207Z", "2026-11-22T02:48:31.000Z"
COMMERCE = {"team": "commerce", "team_name": "Commerce", "channel": "C2", "channel_name": "commerce-alerts"}
HAPPENINGS = [
    pytest.param(Event.JOINED, {"count": 1, "names": ["A"]}, "1 more alert: A", id="one joined"),
    pytest.param(Event.JOINED, {"count": 3, "names": ["A", "B"]}, "3 more alerts: A, B, …", id="several joined"),
    pytest.param(Event.REPEATED, {"count": 4}, "still firing: notice 4", id="repeated"),
    pytest.param(Event.WORSE, {"severity": "critical"}, "worse: now critical", id="worse"),
    pytest.param(
        Event.FLAPPING,
        {"count": 3},
        "fires again and again, 3 times until then; from there on it is only counted",
        id="flapping",
    ),
    pytest.param(
        Event.ESCALATED,
        {**COMMERCE, "channel": "C1", "reason": "unacknowledged"},
        "escalated to the lead of Commerce: nobody had acknowledged it",
        id="the lead",
    ),
    pytest.param(
        Event.ESCALATED,
        {**COMMERCE, "reason": "repeated", "count": 6},
        "escalated to Commerce in #commerce-alerts: it came again and again",
        id="another team",
    ),
    pytest.param(
        Event.ESCALATED,
        {"team": "commerce", "channel": "C2", "reason": "unacknowledged"},
        "escalated to commerce in C2: nobody had acknowledged it",
        id="one that is not in the map any more",
    ),
    pytest.param(
        Event.ESCALATED,
        {"channel": "C0", "channel_name": "ops", "reason": "orphaned"},
        "escalated to the fallback #ops: it was still nobody's",
        id="the fallback",
    ),
    pytest.param(Event.ACKNOWLEDGED, {"by": "alice"}, "acknowledged by alice", id="acknowledged"),
    pytest.param(
        Event.SNOOZED, {"by": "alice", "until": UNTIL}, "snoozed by alice until 2026-11-22 02:48:31 UTC", id="snoozed"
    ),
    pytest.param(Event.SNOOZE_OVER, {}, "the snooze was over", id="its time came"),
    pytest.param(Event.SNOOZE_OVER, {"by": "bob"}, "bob ended the snooze", id="woken"),
    pytest.param(Event.DISOWNED, {"by": "alice", **COMMERCE}, "alice gave it to Commerce", id="disowned"),
    pytest.param(Event.STALE, {}, "stale: it was not told again when it should have been", id="stale"),
    pytest.param(Event.HEARD_AGAIN, {}, "heard of again", id="heard again"),
    pytest.param(Event.RESOLVED, {}, "resolved", id="resolved"),
    pytest.param(
        Event.SUPERSEDED_RUN,
        {"until": UNTIL},
        "over: a newer run of the job succeeded at 2026-11-22 02:48:31 UTC",
        id="a newer run",
    ),
    pytest.param(
        Event.SUSPECT,
        {"names": ["Watchdog"]},
        "may not be over: it ended shortly before or while the heartbeat Watchdog was lost",
        id="suspect",
    ),
    pytest.param("painted_green", {"by": "bob"}, "painted green", id="of a newer router"),
]


@pytest.mark.parametrize(("event", "facts", "sentence"), HAPPENINGS)
def test_what_happened_is_told_in_sentences(event: str, facts: Json, sentence: str) -> None:
    """Who was told, by the names that people know, and when, in one form of time."""
    lead = {"to": "lead", "channel": "C1"}
    happening = {"number": 1, "event": event, "at": AT, **facts}
    lines = lines_of(example() | {"history": [happening], "escalations": [lead], "correction": None})
    assert lines[-1] == f"2026-11-21 22:48:31 UTC  {sentence}"


def test_every_event_is_told() -> None:
    """None is left to its bare name."""
    assert {row.values[0] for row in HAPPENINGS} >= set(Event)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        pytest.param(409, "a snooze lasts 5 minutes at least", 1, id="too short"),
        pytest.param(400, '"for": "soon" is not a duration such as 15m', 2, id="unreadable"),
        pytest.param(404, "no incident has this id", 1, id="no such incident"),
    ],
)
def test_a_snooze_that_is_refused(status: int, error: str, code: int) -> None:
    """That it cannot be so long is an answer; what cannot be read is wrong usage."""
    result = asked("snooze", "0sa3rpvyr3bg3-1", "--for", "2m", "--by", "alice", status=status, answer={"error": error})
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.strip().endswith(f"says no: {error}")
