"""The report of a router: exact figures from what was told, through the store, the API and the command."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from router.asking import Json, RunningRouter
from router.cli import main
from router.core import cards
from router.core.actions import Action, ActionKind
from router.core.history import Acknowledgement, Escalation, EscalationReason, Suspicion
from router.core.identifiers import next_identifier, text_of
from router.core.incidents import Explanation, Incident, Move, Tracked
from router.core.model import (
    AlertStatus,
    Hints,
    Hours,
    IncidentState,
    Level,
    Rerun,
    Source,
    Stage,
    Via,
)
from router.core.report import Advice, Figure, moment_of
from router.core.report_forms import ADVICE_WORDS, HEADS, as_json, as_markdown, as_text, of_json
from router.drill import _Run
from router.preview.faults import Fault, FaultKind
from router.store import incidents, report
from router.store.database import Connection, Store
from tests.acceptance.organisation import alert as told_alert
from tests.acceptance.organisation import body, write_map
from tests.core.test_report import report_of, told
from tests.docs import pages
from tests.house import HANDED_OVER, LEDGER, ON_SQLITE, PAYMENTS, START, House, Tell, alert
from tests.operators import ELSEWHERE, Operator
from tests.programs import free_port
from tests.router_process import RouterProcess, drained
from tests.store.opened import with_store
from tests.test_asking import Asked, says

REPORT = "/api/v1/report"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


async def figures(house: House, path: Path, query: str = "") -> dict[str | None, dict[str, int]]:
    """By team, what is not zero; `all` is of all."""
    answer = await asked(house, path, query)
    return {
        **{told["team"]: nonzero(told) for told in answer["teams"]},
        "all": nonzero(answer["total"]),
    }


def nonzero(told: Json) -> dict[str, int]:
    return {figure: told[figure] for figure in Figure if told[figure]}


async def asked(house: House, path: Path, query: str = "") -> Json:
    response = await Operator(house, path / "ownership.yaml").ask(f"{REPORT}{query}")
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    assert as_json(of_json(answer)) == answer
    return answer


async def fires(house: House, name: str, *, after: float = MINUTE, resolved: bool = False, **facts: Any) -> str:
    """A group of its own with one alert, settled; the id of its incident. It resolved half a minute ago."""
    house.clock.advance(after)
    one = alert(name, resolved=resolved, **facts)
    if resolved:
        one["endsAt"] = (house.clock() - timedelta(seconds=30)).isoformat()
    identifier = await house.tell(one, group=name)
    await house.settle()
    return f"{identifier}-1"


async def amend(house: House, id: str, **changes: Any) -> None:
    """What people and timers would have done about an incident."""

    def change(connection: Connection) -> None:
        incidents.save(connection, [replace(incidents.by_id(connection, [id])[id], **changes)])

    await house.store.write(change)


def test_exact_figures(tell: Tell, tmp_path: Path) -> None:
    """What was told, fired again, was refused, went to nobody, was acknowledged: each is counted where it belongs."""

    async def story(house: House) -> None:
        # Payments: one that comes and goes within minutes, one that is told again, one that waits for somebody.
        await fires(house, "Brief")
        await fires(house, "Brief", after=2 * MINUTE, resolved=True)
        await fires(house, "Brief", after=HOUR)
        await fires(house, "Brief", after=HOUR, resolved=True)
        long = await fires(house, "Long")
        for _ in range(3):
            await fires(house, "Long", after=HOUR)
        waits = await fires(house, "Waits")
        acknowledged = Acknowledgement(by="U1", at=house.clock())
        await amend(house, long, acknowledged=acknowledged, flaps=2, escalations=())
        step = Escalation(
            step=0, to="lead", channel_id=PAYMENTS, reason=EscalationReason.UNACKNOWLEDGED, at=house.clock()
        )
        await amend(house, waits, escalations=(step,), state=IncidentState.STALE)
        # Ledger: one whose end nobody believes. Nobody: one.
        doubted = await fires(house, "Doubted", team="ledger")
        await fires(house, "Doubted", team="ledger", resolved=True, after=HOUR)
        await amend(house, doubted, suspect=Suspicion(heartbeat="Watchdog", lost_at=house.clock()))
        await fires(house, "Orphan", team=None)
        house.slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=LEDGER, nth=1))
        await fires(house, "Refused", team="ledger")

        found = await figures(house, tmp_path)
        assert found == {
            "payments": {
                "new": 4,
                "repeated": 1,
                "repeats": 3,
                "fired_again": 1,
                "flapping": 1,
                "flaps": 2,
                "auto_resolved": 1,
                "open": 1,
                "stale": 1,
                "escalated": 1,
                "acknowledged": 1,
            },
            "ledger": {"new": 2, "open": 1, "suspect": 1, "undeliverable": 1},
            None: {"new": 1, "open": 1, "orphaned": 1},
            "all": {
                "new": 7,
                "repeated": 1,
                "repeats": 3,
                "fired_again": 1,
                "flapping": 1,
                "flaps": 2,
                "auto_resolved": 1,
                "open": 3,
                "stale": 1,
                "suspect": 1,
                "orphaned": 1,
                "undeliverable": 1,
                "escalated": 1,
                "acknowledged": 1,
            },
        }
        answer = await asked(house, tmp_path)
        assert answer["total"]["time_to_acknowledge"] == {"median_seconds": 10860.0, "p90_seconds": 10860.0}
        assert answer["total"]["escalated_by_reason"] == {"unacknowledged": 1, "repeated": 0, "orphaned": 0}
        assert [(one["team"], one["title"], one["incidents"], one["advice"]) for one in answer["top"]] == [
            ("payments", "Long", 1, "flaps"),
            ("payments", "Brief", 2, "short"),
        ]
        assert [one["share"] for one in answer["top"]] == [0.667, 0.222]
        assert (answer["drills"], answer["kept_since"], answer["timezone"]) == (0, None, "UTC")

    tell(story)


def test_unacknowledged_by_the_deadline_of_the_map(tell: Tell, tmp_path: Path) -> None:
    """What a critical alert is answered within is the map's word, and looked at when somebody asks."""

    async def story(house: House) -> None:
        await fires(house, "Down", severity="critical", after=0)
        for waited, expected in ((14 * MINUTE, 0), (2 * MINUTE, 1)):
            house.clock.advance(waited)
            assert (await asked(house, tmp_path))["total"]["unacknowledged"] == expected

    tell(story)


def test_windows(tell: Tell, tmp_path: Path) -> None:
    """An incident is of the time at which it was first told: of one window only, its beginning included."""

    async def story(house: House) -> None:
        for name in "ABC":
            await fires(house, name, after=DAY)
        for query, expected in (
            ("", 3),
            ("?since=2d", 3),
            ("?since=1d", 2),
            (f"?since={quote('2026-11-23T12:03:00+01:00')}", 2),
            ("?since=2026-11-23T11:03:00.001Z", 1),
            ("?since=3d&until=2026-11-23T11:03:00Z", 1),
            ("?since=2026-11-22&until=2026-11-24", 2),
            ("?since=1m", 1),
            ("?since=2d&until=36h", 1),
        ):
            assert (await asked(house, tmp_path, query))["total"]["new"] == expected, query

    tell(story)


def test_what_a_changed_map_moved_is_new_once(tell: Tell, tmp_path: Path) -> None:
    """For who has it now, and in the window in which it was first told, however late it moved."""

    async def story(house: House) -> None:
        await fires(house, "A", after=0)
        house.clock.advance(3 * DAY)
        house.new_map(HANDED_OVER)
        await house.settle()
        moved = {
            "ledger": {"new": 1, "open": 1},
            "payments": {"moved": 1, "unacknowledged": 1},
            "all": {"new": 1, "open": 1, "moved": 1, "unacknowledged": 1},
        }
        assert await figures(house, tmp_path) == moved
        assert await figures(house, tmp_path, "?since=4d&until=2d") == moved
        assert await figures(house, tmp_path, "?since=2d") == {"all": {}}

    tell(story)


def test_what_was_done_about_it_before_a_person_gave_it_away(tell: Tell, tmp_path: Path) -> None:
    """Who acknowledged it, and how often it flapped, stays with the team that had it then."""

    async def story(house: House) -> None:
        incident = await fires(house, "A")
        await fires(house, "A", after=HOUR)
        await amend(house, incident, flaps=2)
        acting = house.new_acting()
        for action in (
            Action(incident=incident, kind=ActionKind.ACK, by="alice", at=house.clock()),
            Action(incident=incident, kind=ActionKind.DISOWN, by="alice", at=house.clock(), team="ledger"),
        ):
            assert await house.actions.take(action) is not None
            assert await acting.step()
        await house.settle()
        payments = {"repeated": 1, "repeats": 1, "flapping": 1, "flaps": 2, "moved": 1, "acknowledged": 1}
        ledger = {"new": 1, "open": 1}
        assert await figures(house, tmp_path) == {
            "payments": payments,
            "ledger": ledger,
            "all": payments | ledger,
        }
        assert await figures(house, tmp_path, "?team=payments") == {"payments": payments, "all": payments}

    tell(story)


class Overheard(RunningRouter):
    """Takes what a drill sends."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", token=None)
        self.bodies: list[Json] = []

    def post(self, path: str, question: Json) -> Json:
        self.bodies.append(question)
        return {"id": "0sa3rpvzmy433"}


@ON_SQLITE
def test_drills_are_counted_apart(tell: Tell, tmp_path: Path) -> None:
    """What `router drill` sends is no noise; a real alert that is called like one is."""
    overheard = Overheard()
    run = _Run(id="4f0c9d1b7a2e6835", labels={"alertname": "Disk"}, sender=overheard, asker=overheard, timeout_s=1)
    run.send(AlertStatus.FIRING)

    async def story(house: House) -> None:
        (body,) = overheard.bodies
        sent = json.dumps(body, default=str).encode()
        await house.inbox.accept(source=Source.ALERTMANAGER, body=sent, error=None, now=house.clock())
        await house.settle()
        await fires(house, "🧪 DRILL Disk")
        answer = await asked(house, tmp_path)
        assert (answer["drills"], answer["total"]["new"]) == (1, 1)
        assert (await asked(house, tmp_path, "?team=payments"))["drills"] == 0

    tell(story)


@ON_SQLITE
def test_who_was_loud_before_and_is_gone(tell: Tell, tmp_path: Path) -> None:
    """What is older than the router keeps is said, and a team that the map does not know is only found in what was."""

    async def story(house: House) -> None:
        await fires(house, "A")
        house.clock.advance(DAY)
        answer = await asked(house, tmp_path, "?since=60d")
        assert answer["kept_since"] == "2026-10-23T11:04:00.000Z"
        assert (await figures(house, tmp_path, "?team=payments"))["all"]["new"] == 1
        assert (await figures(house, tmp_path, "?team=nobody"))["all"] == {}
        house.new_map(HANDED_OVER.replace("  payments: {dissolved: 2026-11-20, successor: ledger}\n", ""))
        assert (await figures(house, tmp_path, "?team=payments"))["all"]["new"] == 1
        answers = Operator(house, tmp_path / "ownership.yaml")
        unknown = await answers.ask(f"{REPORT}?team=legder")
        assert unknown.status_code == 404
        assert unknown.json() == {"error": 'no team is called "legder"; did you mean "ledger"?'}

    tell(story)


@ON_SQLITE
def test_wrong_questions(tell: Tell, tmp_path: Path) -> None:
    """They are answered 400, with what would be right."""

    async def story(house: House) -> None:
        operator = Operator(house, tmp_path / "ownership.yaml")
        for query, error in (
            ("?since=week", '"week" is neither a duration such as 7d or 12h, nor a day such as 2026-11-14, nor a time'),
            ("?until=2026-11-16T09:00", '"2026-11-16T09:00" names no time zone'),
            ("?since=1d&until=2d", '"1d" is not before "2d"'),
        ):
            answer = await operator.ask(f"{REPORT}{query}")
            assert answer.status_code == 400
            assert answer.json()["error"].startswith(error)

    tell(story)


@ON_SQLITE
def test_only_operators_are_let_in(tell: Tell, tmp_path: Path) -> None:
    """What fires at whom is nobody else's business."""

    async def story(house: House) -> None:
        answer = await Operator(house, tmp_path / "ownership.yaml").ask(REPORT, peer=ELSEWHERE)
        assert answer.status_code == 403

    tell(story)


# -- many of them ------------------------------------------------------------------------------------------------------


VIA = Via(stage=Stage.LABEL, entry="team", file="ownership.yaml", line=5)


def explanation(severity: Level = Level.NORMAL, within: str | None = None, runbook: str | None = None) -> Explanation:
    hints = Hints(severity=severity, respond_within=within, hours=Hours.ALWAYS, runbook=runbook, rerun=Rerun())
    return Explanation(via=VIA, hints=hints, drift=(), tried=())


def tracked(*, firing: bool, since: datetime | None, explained: Explanation) -> Tracked:
    return Tracked(
        status=AlertStatus.FIRING if firing else AlertStatus.RESOLVED,
        since=since,
        until=None if firing else START,
        notification=1,
        explanation=explained,
        words=0,
        sender=0,
    )


def an_incident(identifier: int, alerts: dict[str, Tracked], *, title: str = "A", at: datetime = START) -> Incident:
    return Incident(
        id=f"{text_of(identifier)}-1",
        group=f"{identifier:024x}",
        source=Source.ALERTMANAGER,
        owner="payments",
        channel_id=PAYMENTS,
        copies=(),
        state=IncidentState.OPEN,
        severity=Level.NORMAL,
        title=title,
        opened_at=at,
        updated_at=at,
        closed_at=None,
        first_notification=identifier,
        last_notification=identifier,
        alerts=alerts,
        truncated=0,
        repeats=0,
        revision=1,
        map_revision="r1",
    )


def identifiers(count: int) -> Iterable[int]:
    last = 0
    for _ in range(count):
        last = next_identifier(now_ms=int(START.timestamp() * 1000), last=last, drawn=0)
        yield last


Read = Callable[[list[Incident]], list[report.Batch]]


@pytest.fixture
def read(database: str) -> Read:
    """Puts incidents into a store and reads them as a report does, batch by batch."""

    def batches(known: list[Incident]) -> list[report.Batch]:
        async def run(store: Store) -> list[report.Batch]:
            await store.write(partial(incidents.save, incidents=known))
            found: list[report.Batch] = []
            after: str | None = report.edge(START)
            while after is not None:
                found.append(await store.read(partial(report.incidents, after=after, before=report.LAST_EDGE)))
                after = found[-1].last
            return found

        return with_store(database, run)

    return batches


def test_many_are_read_in_batches(read: Read) -> None:
    """So that others who read need not wait for all of it; each is read once, in the order in which it came."""
    one = {"a": tracked(firing=True, since=START, explained=explanation())}
    numbers = list(identifiers(2 * report.BATCH_ROWS + 1))
    batches = read([an_incident(number, one) for number in reversed(numbers)])
    assert [len(batch.told) for batch in batches] == [report.BATCH_ROWS, report.BATCH_ROWS, 1]
    assert [told.group for batch in batches for told in batch.told] == [f"{number:024x}" for number in numbers]


def test_large_documents_are_read_in_small_batches(read: Read) -> None:
    """Of a herd an incident may be a megabyte: then a few at a time."""
    herd = {f"{number:0100}": tracked(firing=True, since=START, explained=explanation()) for number in range(4000)}
    batches = read([an_incident(number, herd) for number in identifiers(5)])
    assert [len(batch.told) for batch in batches] == [2, 2, 1]


def test_who_was_an_orphan_first(read: Read) -> None:
    """Nobody owned what was opened for alerts of nobody; an owner's incident that took some in was never an orphan."""
    one = {"a": tracked(firing=True, since=START, explained=explanation())}
    (identifier,) = identifiers(1)
    owned = an_incident(identifier, one)
    nobodys = Move(incident="x", owner=None, channel_id="C0ORPHANS1", alerts=1)
    given = replace(owned, id=f"{owned.id}.1", moved_from=(nobodys,))
    taken = replace(owned, id=f"{owned.id}.2", moved_from=(replace(nobodys, owner="ledger"), nobodys))
    (batch,) = read([replace(owned, moved_from=(nobodys,)), given, taken])
    assert [told.orphaned for told in batch.told] == [False, True, False]


levels = st.sampled_from([Level.CRITICAL, Level.HIGH, Level.LOW])
explanations = st.builds(
    explanation, levels, st.sampled_from([None, "15m", "1h"]), st.sampled_from([None, "https://r.example"])
)
since = st.sampled_from([None, START, START - timedelta(days=1), START - timedelta(microseconds=1)])
shares = st.dictionaries(
    st.sampled_from("abcdef"), st.builds(tracked, firing=st.booleans(), since=since, explained=explanations), min_size=1
)


@given(shares)
def test_deadline_and_runbook_are_those_of_the_message(alerts: dict[str, Tracked]) -> None:
    """Where the alerts of an incident differ, the report counts by what people were shown."""
    incident = an_incident(1, alerts)
    hints = cards.shown(incident)[0][1].explanation.hints
    found = report._hints(json.loads(incidents._document(incident)))
    assert found == (hints.respond_within, hints.hours, hints.runbook)


# -- the command -------------------------------------------------------------------------------------------------------


LOUD = report_of(told(title="\x1b[31mDisk\nfull", repeats=2), told(owner=None, orphaned=True, repeats=1))


def ask(*arguments: str, url: str) -> Result:
    return CliRunner(env={"ROUTER_URL": url, "ROUTER_ADMIN_TOKEN": "t"}).invoke(main, ["report", *arguments])


def answered(answer: object, *arguments: str, status: int = 200) -> tuple[Result, Asked]:
    """What the command shows of a router's answer, and what it asked."""
    with Asked(says(status, json.dumps(answer).encode())).listening() as server:
        return ask(*arguments, url=server.url), server


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        pytest.param((), as_text(LOUD), id="text unless said otherwise"),
        pytest.param(("--format", "text"), as_text(LOUD), id="text"),
        pytest.param(("--format", "markdown"), as_markdown(LOUD), id="markdown"),
    ],
)
def test_the_forms_of_the_command(form: tuple[str, ...], shown: str) -> None:
    """They are the core's, of what the router answered; nothing in them moves the cursor."""
    result, _ = answered(as_json(LOUD), *form)
    assert (result.exit_code, result.stdout, result.stderr) == (0, shown + "\n", "")
    assert "\x1b" not in result.stdout


def test_json_is_what_the_router_answered() -> None:
    """Also what this version knows nothing of."""
    answer = {**as_json(LOUD), "weather": "fine"}
    result, _ = answered(answer, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout), "\x1b" in result.stdout) == (0, answer, False)


def test_what_the_router_is_asked() -> None:
    """The window and the team go to the router as they were written, with the admin token."""
    _, server = answered(as_json(LOUD), "--since", "2026-11-16T00:00+09:00", "--until", "1d", "--team", "a&b")
    ((method, path, authorization, _),) = server.requests
    assert (method, authorization) == ("GET", "Bearer t")
    assert path == "/api/v1/report?since=2026-11-16T00%3A00%2B09%3A00&until=1d&team=a%26b"
    _, plain = answered(as_json(LOUD))
    assert [path for _, path, _, _ in plain.requests] == ["/api/v1/report?since=7d"]


@pytest.mark.parametrize(
    ("answer", "status", "code", "error"),
    [
        pytest.param({"error": "no team"}, 404, 1, "says no: no team", id="no such team"),
        pytest.param({"error": '"1d" is not before "2d"'}, 400, 2, "not before", id="no such time"),
        pytest.param({"error": "wants"}, 401, 2, "ROUTER_ADMIN_TOKEN", id="no operator"),
        pytest.param({"error": "the store"}, 503, 2, "the store", id="no store"),
        pytest.param({"version": 1}, 200, 2, "not a report of version 1", id="no report"),
        pytest.param({"detail": "Not Found"}, 404, 1, "another version", id="a router that has no reports yet"),
    ],
)
def test_what_the_router_refuses(answer: Json, status: int, code: int, error: str) -> None:
    """It is said in one line, and decides the exit code."""
    result, _ = answered(answer, status=status)
    assert (result.exit_code, result.stdout) == (code, "")
    assert error in result.stderr
    assert result.stderr.startswith("router: ")


def test_a_router_that_is_away() -> None:
    """Its absence is no answer: nothing is printed that could be taken for a quiet week."""
    result = ask(url=f"http://127.0.0.1:{free_port()}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no router answers at http://127.0.0.1:" in result.stderr


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_wrong_usage(option: str) -> None:
    """No router is asked about a time that is none."""
    result, server = answered(as_json(LOUD), option, "last week")
    assert (result.exit_code, server.requests) == (2, [])
    assert f"Invalid value for '{option}': \"last week\" is neither a duration such as 7d" in result.stderr


def test_a_real_router(tmp_path: Path) -> None:
    """From an alert to the report of it, over HTTP."""
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        assert "No incidents from " in ask(url=router.url).stdout
        router.post("/webhooks/alertmanager", body(told_alert("A", team="payments"), group="A"))
        router.wait_until(drained)
        shown = ask("--since", "1h", "--team", "payments", url=router.url)
        assert (shown.exit_code, shown.stdout.splitlines()[0][:11]) == (0, "1 incident ")
        assert ask("--team", "paymnts", url=router.url).exit_code == 1


# -- the page ----------------------------------------------------------------------------------------------------------

PAGE = "docs/reference/report.md"


def example() -> Json:
    (text,) = pages.blocks(pages.section(PAGE, "## JSON"), "json")
    answer: Json = json.loads(text)
    return answer


def test_the_example_of_the_page() -> None:
    """Its text and its Markdown are what the command shows of its JSON, which has every key."""
    found = of_json(example())
    assert as_json(found) == example()
    (shown,) = pages.blocks(pages.text_of(PAGE), "console")
    assert shown.partition("\n")[2] == as_text(found) + "\n"
    (markdown,) = pages.blocks(pages.text_of(PAGE), "markdown")
    assert as_markdown(found).startswith(markdown)
    assert {one.advice for one in found.top} >= {
        Advice.NO_OWNER,
        Advice.FLAPS,
        Advice.SHORT,
        Advice.IGNORED,
        Advice.NO_RUNBOOK,
    }


def test_the_example_adds_up() -> None:
    """A reader who adds up the columns finds the sums."""
    found = of_json(example())
    for figure in Figure:
        assert sum(figures.counts[figure] for figures in found.teams) == found.total.counts[figure]
    for one in found.top:
        (team,) = [figures for figures in found.teams if figures.team == one.team]
        told_of_team = sum(team.counts[figure] for figure in (Figure.NEW, Figure.REPEATS, Figure.FLAPS))
        assert one.share == round(one.times / told_of_team, 3)


def test_every_column_is_explained() -> None:
    """Each figure has its row, by the key of the JSON and by the head of its column."""
    table = pages.rows(pages.section(PAGE, "## What is counted"))
    assert {pages.code_in(row[0])[0]: row[1] for row in table} == {figure.value: HEADS[figure] for figure in Figure}


def test_every_advice_is_explained() -> None:
    """With its evidence, in the order in which they count, in its own words."""
    table = pages.rows(pages.section(PAGE, "## What was told most often"))
    assert [(pages.code_in(row[0])[0], row[2]) for row in table] == [
        (advice.value, ADVICE_WORDS[advice]) for advice in Advice
    ]


def test_the_help_is_the_real_one() -> None:
    """What the page shows as the usage is that."""
    (shown,) = pages.blocks(pages.section(PAGE, "## Usage"), "text")
    assert shown == CliRunner().invoke(main, ["report", "--help"], prog_name="router", terminal_width=80).output


def test_every_time_of_the_page_is_understood() -> None:
    """Also those of the how-to."""
    told = [text for row in pages.rows(pages.section(PAGE, "## The time")) for text in pages.code_in(row[0])]
    told += re.findall(r"router report.*? --(?:since|until) (\S+)", pages.text_of("docs/how-to/look-at-the-noise.md"))
    assert len(told) > 8
    for text in told:
        moment_of(text)
