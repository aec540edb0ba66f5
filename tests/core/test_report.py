"""What the report counts, what it advises, and how it says so."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.history import EscalationReason
from router.core.model import Hours, IncidentState
from router.core.ownership import OwnershipMap
from router.core.report import (
    LONGEST_TITLE,
    NOBODY,
    TOP,
    Advice,
    Figure,
    Figures,
    Report,
    Tally,
    Told,
    Waits,
    Window,
    window_of,
)
from router.core.report_forms import ADVICE_WORDS, HEADS, as_json, as_markdown, as_text, of_json
from tests.core.factories import minutes
from tests.notify.hostile import texts
from tests.ownership.maps import a_map

NOW = datetime(2026, 11, 21, 11, 3, tzinfo=UTC)  # a Saturday
OPENED = NOW - timedelta(days=2)
WEEK = Window(since=NOW - timedelta(days=7), until=NOW, timezone="UTC")
RESOLVED, OPEN, STALE = IncidentState.RESOLVED, IncidentState.OPEN, IncidentState.STALE
# group_of what `router drill` sends with an alert of the fingerprint 4f0c9d1b7a2e6835.
DRILL_GROUP = "ae5e1152765daf51420a81d0"
TOKYO = """\
version: 1
defaults: {timezone: Europe/Berlin}
fallback:
  channel: {name: orphans, id: C0ORPHANS1}
teams:
  payments:
    channel: {name: pay, id: C0PAYALERT}
  tokyo:
    channel: {name: tokyo, id: C0TOKYO001}
    timezone: Asia/Tokyo
"""


@cache
def the_map() -> OwnershipMap:
    return a_map(head=TOKYO)


def told(**facts: Any) -> Told:  # Any: the fields of Told
    """An incident of payments that fired for an hour, with a runbook and no deadline."""
    opened_at = facts.get("opened_at", OPENED)
    closed_at = facts.get(
        "closed_at", None if facts.get("state", RESOLVED) is not RESOLVED else opened_at + minutes(60)
    )
    plain: dict[str, Any] = {
        "group": "g",
        "fingerprints": ("a",),
        "owner": "payments",
        "channel_id": "C0PAYALERT",
        "state": RESOLVED,
        "title": "HighErrorRate",
        "opened_at": opened_at,
        "closed_at": closed_at,
        "ended_at": closed_at,
        "repeats": 0,
        "flaps": 0,
        "respond_within": None,
        "hours": Hours.ALWAYS,
        "runbook": True,
        "acknowledged_at": None,
        "escalated": frozenset(),
        "orphaned": False,
        "undeliverable": False,
        "suspect": False,
        "handed_over": False,
    }
    return Told(**(plain | facts))


def report_of(*incidents: Told, team: str | None = None, kept_since: datetime | None = None) -> Report:
    tally = Tally(ownership=the_map(), now=NOW, team=team)
    for incident in incidents:
        tally.add(incident)
    return tally.report(WEEK, kept_since=kept_since)


def counted(figures: Figures) -> dict[str, int]:
    """What is not zero, without that they are new."""
    return {figure: count for figure, count in figures.counts.items() if count and figure is not Figure.NEW}


# -- what is counted ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("incidents", "expected"),
    [
        pytest.param([told()], {}, id="fired for an hour"),
        pytest.param([told(state=OPEN)], {"open": 1}, id="still fires"),
        pytest.param([told(state=STALE)], {"stale": 1}, id="nothing is heard of it"),
        pytest.param([told(repeats=3), told(group="h")], {"repeated": 1, "repeats": 3}, id="told again"),
        pytest.param([told(), told(), told()], {"fired_again": 2}, id="fired three times"),
        pytest.param([told(), told(group="h")], {}, id="another group did not fire again"),
        pytest.param([told(), told(channel_id="C0OTHER001")], {}, id="nor another channel's share"),
        pytest.param([told(), told(owner="tokyo")], {}, id="nor another owner's share"),
        pytest.param([told(flaps=4)], {"flapping": 1, "flaps": 4}, id="flaps"),
        pytest.param([told(owner=None, orphaned=True)], {"orphaned": 1}, id="nobody owns it"),
        pytest.param([told(orphaned=True)], {"orphaned": 1}, id="nobody owned it at first"),
        pytest.param([told(undeliverable=True)], {"undeliverable": 1}, id="its channel refused"),
        pytest.param([told(suspect=True)], {"suspect": 1}, id="its end is doubted"),
        pytest.param(
            [told(escalated=frozenset({EscalationReason.REPEATED, EscalationReason.UNACKNOWLEDGED}))],
            {"escalated": 1},
            id="escalated for two reasons is one",
        ),
        pytest.param([told(acknowledged_at=OPENED + minutes(3))], {"acknowledged": 1}, id="acknowledged"),
        pytest.param([told(ended_at=OPENED + minutes(5))], {"auto_resolved": 1}, id="over within 5 minutes"),
        pytest.param([told(ended_at=OPENED - minutes(5))], {"auto_resolved": 1}, id="over before it was told"),
        pytest.param([told(ended_at=OPENED + minutes(5.01))], {}, id="over in a little more"),
        pytest.param(
            [told(ended_at=OPENED + minutes(4), acknowledged_at=OPENED + minutes(3))],
            {"acknowledged": 1},
            id="somebody may have repaired it",
        ),
        pytest.param([told(state=STALE, ended_at=None)], {"stale": 1}, id="stale is not over"),
        pytest.param([told(ended_at=OPENED, suspect=True)], {"suspect": 1}, id="nor is it short if its end is doubted"),
    ],
)
def test_what_is_counted(incidents: list[Told], expected: dict[str, int]) -> None:
    """Each figure counts what the page says of it."""
    total = report_of(*incidents).total
    assert (total.counts[Figure.NEW], counted(total)) == (len(incidents), expected)


def hour(**facts: Any) -> Told:  # Any: as of `told`
    return told(respond_within="1h", **facts)


@pytest.mark.parametrize(
    ("incident", "late"),
    [
        pytest.param(told(state=OPEN), False, id="no deadline"),
        pytest.param(hour(state=OPEN), True, id="it passed"),
        pytest.param(hour(state=STALE), True, id="and nothing is heard since"),
        pytest.param(hour(state=OPEN, opened_at=NOW - minutes(59)), False, id="it is still to come"),
        pytest.param(hour(closed_at=OPENED + minutes(60)), False, id="over at the deadline"),
        pytest.param(hour(closed_at=OPENED + minutes(61)), True, id="over after the deadline"),
        pytest.param(hour(state=OPEN, acknowledged_at=OPENED + minutes(60)), False, id="acknowledged in time"),
        pytest.param(hour(state=OPEN, acknowledged_at=OPENED + minutes(61)), True, id="acknowledged too late"),
        pytest.param(hour(state=OPEN, hours=Hours.BUSINESS, opened_at=NOW - minutes(90)), False, id="on a Saturday"),
        # Friday 09:30 in Berlin, when Tokyo has closed for the week.
        pytest.param(
            hour(hours=Hours.BUSINESS, opened_at=datetime(2026, 11, 20, 8, 30, tzinfo=UTC), state=OPEN),
            True,
            id="a Friday morning in Berlin",
        ),
        pytest.param(
            hour(hours=Hours.BUSINESS, opened_at=datetime(2026, 11, 20, 8, 30, tzinfo=UTC), state=OPEN, owner="tokyo"),
            False,
            id="is a Friday evening in Tokyo",
        ),
        pytest.param(
            hour(hours=Hours.BUSINESS, opened_at=datetime(2026, 11, 20, 8, 30, tzinfo=UTC), state=OPEN, owner="gone"),
            True,
            id="a team that the map does not know any more has the map's hours",
        ),
    ],
)
def test_unacknowledged(incident: Told, late: bool) -> None:
    """It fired past its deadline, by its team's clock, and nobody had acknowledged it by then."""
    assert report_of(incident).total.counts[Figure.UNACKNOWLEDGED] == late


@pytest.mark.parametrize(
    ("waited", "expected"),
    [
        pytest.param([], None, id="nobody acknowledged anything"),
        pytest.param([7], (7, 7), id="one"),
        pytest.param([4, 2], (2, 4), id="of two the faster is half"),
        pytest.param([*range(1, 11)], (5, 9), id="ten"),
        pytest.param([-1], (0, 0), id="by a clock that went back"),
    ],
)
def test_time_to_acknowledge(waited: list[int], expected: tuple[int, int] | None) -> None:
    """Half of them, and nine of ten, were acknowledged within a time that one of them took."""
    waits = report_of(*(told(acknowledged_at=OPENED + minutes(wait)) for wait in waited)).total.waits
    assert waits == (None if expected is None else Waits(median=minutes(expected[0]), p90=minutes(expected[1])))


def test_what_moved_is_new_once() -> None:
    """Where the map or a person gave it to somebody else, it is that one's."""
    report = report_of(
        told(handed_over=True, respond_within="1h", ended_at=OPENED, suspect=True, orphaned=True),
        told(owner="tokyo", channel_id="C0TOKYO001", state=OPEN),
    )
    assert [(one.team, one.counts[Figure.NEW], counted(one)) for one in report.teams] == [
        ("tokyo", 1, {"open": 1}),
        ("payments", 0, {"moved": 1}),
    ]
    assert report.total.counts[Figure.NEW] == 1


def test_what_happened_before_it_moved_stays_with_who_had_it() -> None:
    """Somebody took it, it was repeated and flapped, it went further: none of that is undone by giving it away."""
    before = told(
        handed_over=True,
        repeats=5,
        flaps=4,
        acknowledged_at=OPENED + minutes(3),
        escalated=frozenset({EscalationReason.REPEATED}),
        undeliverable=True,
    )
    after = told(owner="tokyo", channel_id="C0TOKYO001", acknowledged_at=OPENED + minutes(9))
    report = report_of(before, after)
    payments, tokyo = report.teams
    assert counted(payments) == {
        "repeated": 1,
        "repeats": 5,
        "flapping": 1,
        "flaps": 4,
        "moved": 1,
        "undeliverable": 1,
        "escalated": 1,
        "acknowledged": 1,
    }
    assert payments.escalated[EscalationReason.REPEATED] == 1
    assert counted(tokyo) == {"acknowledged": 1}
    assert report.total.waits == Waits(median=minutes(3), p90=minutes(9))
    (one,) = report.top
    assert (one.team, one.incidents, one.times, one.share, one.advice) == ("payments", 0, 9, 1.0, None)


def test_a_team_that_gave_all_away_had_no_quiet_week() -> None:
    """What it did is shown, though nothing of it is its own any more."""
    text = as_text(report_of(told(handed_over=True, acknowledged_at=OPENED + minutes(3)), team="payments"))
    assert text.startswith("No incidents from ")
    assert sections(text)["Who took care of it"] == [
        "TEAM      ACKNOWLEDGED  HALF WITHIN  90% WITHIN",
        "payments             1           3m          3m",
    ]
    assert "Quiet" not in text


def test_only_a_drill_is_a_drill() -> None:
    """Its title may be anybody's; that its group is named after its only alert is not."""
    assert report_of(told(title="🧪 DRILL Disk")).drills == 0
    report = report_of(
        told(group=DRILL_GROUP, fingerprints=("4f0c9d1b7a2e6835",)),
        told(group=DRILL_GROUP, fingerprints=("4f0c9d1b7a2e6835",), handed_over=True),  # it counts where it is now
        told(group=DRILL_GROUP),
        told(group=DRILL_GROUP, fingerprints=("4f0c9d1b7a2e6835", "a")),
    )
    assert (report.drills, report.total.counts[Figure.NEW]) == (1, 2)


def test_the_loudest_team_is_first() -> None:
    """What nobody owns is last, however loud: no team reads it as its own."""
    report = report_of(told(), told(owner="tokyo", repeats=3), told(owner=None, repeats=9), told(owner="data"))
    assert [figures.team for figures in report.teams] == ["tokyo", "data", "payments", None]


def test_of_one_team() -> None:
    """Only its incidents are there, and what they are a share of is its own."""
    incidents = [told(repeats=1), told(owner="tokyo", repeats=9), told(owner=None, repeats=2)]
    report = report_of(*incidents, team="payments")
    assert [figures.team for figures in report.teams] == ["payments"]
    assert [(one.team, one.times, one.share) for one in report.top] == [("payments", 2, 1.0)]
    assert [figures.team for figures in report_of(*incidents, team=NOBODY).teams] == [None]


incidents = st.lists(
    st.builds(
        told,
        group=st.sampled_from("gh"),
        owner=st.sampled_from(["payments", "tokyo", None]),
        title=st.sampled_from(["A", "B", "C"]),
        state=st.sampled_from(IncidentState),
        repeats=st.integers(0, 3),
        flaps=st.integers(0, 2),
        respond_within=st.sampled_from([None, "1h"]),
        acknowledged_at=st.sampled_from([None, OPENED + minutes(1), OPENED + minutes(90)]),
        escalated=st.frozensets(st.sampled_from(EscalationReason)),
        orphaned=st.booleans(),
        undeliverable=st.booleans(),
        suspect=st.booleans(),
        handed_over=st.booleans(),
    ),
    max_size=20,
)


@given(incidents)
def test_the_teams_sum_up_to_the_total(incidents: list[Told]) -> None:
    """Whatever is counted of a team is counted once in all, also by reason; and each team says so alone."""
    report = report_of(*incidents)
    for figure in Figure:
        assert sum(figures.counts[figure] for figures in report.teams) == report.total.counts[figure]
    for reason in EscalationReason:
        assert sum(figures.escalated[reason] for figures in report.teams) == report.total.escalated[reason]
    for figures in report.teams:
        (alone,) = report_of(*incidents, team=figures.team or NOBODY).teams
        assert alone == figures
    total = report.total.counts
    assert total[Figure.NEW] == sum(not incident.handed_over for incident in incidents)
    assert total[Figure.NEW] + total[Figure.MOVED] == len(incidents)
    # Nothing that happened is lost by a change of owner.
    assert total[Figure.REPEATS] == sum(incident.repeats for incident in incidents)
    assert total[Figure.FLAPS] == sum(incident.flaps for incident in incidents)
    assert total[Figure.ACKNOWLEDGED] == sum(incident.acknowledged_at is not None for incident in incidents)
    assert total[Figure.ESCALATED] == sum(bool(incident.escalated) for incident in incidents)


# -- what to do --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("incidents", "advice"),
    [
        pytest.param([told(repeats=1)], None, id="no evidence, no advice"),
        pytest.param([told(owner=None, flaps=3)], Advice.NO_OWNER, id="before all: an owner"),
        pytest.param([told(flaps=1, runbook=False)], Advice.FLAPS, id="flaps"),
        pytest.param([told(), told(ended_at=OPENED + minutes(1))], Advice.SHORT, id="half are over at once"),
        pytest.param([told(), told(), told(ended_at=OPENED)], None, id="a third are"),
        pytest.param([told(ended_at=OPENED, repeats=1)], None, id="once is no habit"),
        pytest.param([hour(state=OPEN), hour()], Advice.IGNORED, id="half are left alone"),
        pytest.param([hour(state=OPEN, repeats=1)], None, id="left alone once is no habit"),
        pytest.param(
            [hour(state=OPEN), hour(), told(handed_over=True, acknowledged_at=OPENED)],
            None,
            id="somebody took one, and gave it away",
        ),
        pytest.param(
            [told(ended_at=OPENED, suspect=True), told(ended_at=OPENED, suspect=True)],
            None,
            id="ends that are doubted are no evidence",
        ),
        pytest.param([told(owner=None, handed_over=True, repeats=2)], None, id="it has an owner now"),
        pytest.param(
            [hour(state=OPEN), hour(acknowledged_at=OPENED + minutes(2))], None, id="somebody does look after it"
        ),
        pytest.param([told(runbook=False), told(runbook=False)], Advice.NO_RUNBOOK, id="no runbook"),
        pytest.param([told(runbook=False), told()], None, id="a runbook for some"),
        pytest.param([told(repeats=3)], Advice.LASTS, id="told again and again"),
        pytest.param([told(repeats=5), told()], None, id="not so often for two"),
    ],
)
def test_what_to_do(incidents: list[Told], advice: Advice | None) -> None:
    """One piece of advice, by evidence only."""
    (one,) = report_of(*incidents).top
    assert one.advice is advice


def test_the_loudest_are_first() -> None:
    """By how often they were told, each repeat and each flap as much as an incident; what was told once is no noise."""
    report = report_of(
        *(told(title=f"T{number:02}", repeats=number) for number in range(12)),
        told(title="Flaps", flaps=7, repeats=3),
        told(title="Again"),
        told(title="Again"),
        told(title="Other", owner="tokyo", repeats=4),
    )
    assert [one.title for one in report.top][:3] == ["T11", "Flaps", "T10"]
    assert len(report.top) == TOP
    assert [(one.times, one.incidents, one.repeats, one.flaps) for one in report.top][1] == (11, 1, 3, 7)
    shares = {one.title: one.share for one in report.top}
    assert (shares["T11"], shares["Other"]) == (round(12 / 91, 3), 1.0)
    assert report_of(told()).top == ()


def test_titles_are_the_same_by_their_beginning() -> None:
    """So a hostile one keeps no more in memory than others."""
    (one,) = report_of(told(title="x" * 10_000), told(title="x" * 9_000)).top
    assert (len(one.title), one.incidents) == (LONGEST_TITLE, 2)


# -- the time ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "until", "begins", "ends"),
    [
        pytest.param("7d", None, "2026-11-14T11:03Z", "2026-11-21T11:03Z", id="a week until now"),
        pytest.param("1w", "2d", "2026-11-14T11:03Z", "2026-11-19T11:03Z", id="until two days ago"),
        pytest.param("1h30m", None, "2026-11-21T09:33Z", "2026-11-21T11:03Z", id="an hour and a half"),
        pytest.param("2026-11-16", "2026-11-20", "2026-11-15T15:00Z", "2026-11-19T15:00Z", id="days of the map's zone"),
        pytest.param(
            "2026-11-16T09:00:00+05:30", None, "2026-11-16T03:30Z", "2026-11-21T11:03Z", id="a zone of its own"
        ),
        pytest.param(
            "2026-11-16T09:00Z", "2099-01-01", "2026-11-16T09:00Z", "2026-11-21T11:03Z", id="now at the latest"
        ),
        # Tokyo's own time, before there were zones.
        pytest.param("0001-01-02", None, "0001-01-01T14:41:01Z", "2026-11-21T11:03Z", id="the beginning of time"),
    ],
)
def test_the_time_that_is_asked_for(since: str, until: str | None, begins: str, ends: str) -> None:
    """A duration ends now, a day begins at midnight where the map is, and a time says its zone."""
    window = window_of(since, until, now=NOW, timezone="Asia/Tokyo")
    assert (window.since, window.until) == (datetime.fromisoformat(begins), datetime.fromisoformat(ends))


def test_days_when_the_clock_changes() -> None:
    """Such a day has 25 hours."""
    window = window_of("2026-10-25", "2026-10-26", now=NOW, timezone="Europe/Berlin")
    assert window.until - window.since == timedelta(hours=25)


WRONG = [
    pytest.param("", id="nothing"),
    pytest.param("week", id="a word"),
    pytest.param("7", id="no unit"),
    pytest.param("7y", id="no such unit"),
    pytest.param("-7d", id="negative"),
    pytest.param("99999w", id="longer than ten years"),
    pytest.param("٧d", id="digits of another script"),
    pytest.param("2026-02-30", id="no such day"),
    pytest.param("2026-11-16T09:00", id="no zone"),
    pytest.param("20261116", id="no dashes"),
    pytest.param("2026-11-16T09:00:00 09:00", id="a plus that was not escaped"),
    pytest.param("0001-01-01T00:00:00+14:00", id="before time"),
    pytest.param("9" * 5000 + "d", id="very long"),
]


@pytest.mark.parametrize("text", WRONG)
def test_wrong_times(text: str) -> None:
    """What is no time is quoted, with what would be one."""
    with pytest.raises(ValueError, match=r"write .*Z|names no time zone|such as 7d") as caught:
        window_of(text, None, now=NOW, timezone="UTC")
    assert str(caught.value).startswith(f'"{text[:80]}" ')


@pytest.mark.parametrize(
    ("since", "until", "error"),
    [
        pytest.param("0d", None, '"0d" is not before now', id="now"),
        pytest.param("2026-12-01", None, '"2026-12-01" is not before now', id="to come"),
        pytest.param("1d", "2d", '"1d" is not before "2d"', id="the wrong way round"),
    ],
)
def test_no_time_at_all(since: str, until: str | None, error: str) -> None:
    """What ends before it begins is refused, and not answered with nothing."""
    with pytest.raises(ValueError, match=re.escape(error)):
        window_of(since, until, now=NOW, timezone="UTC")


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_times_that_the_zone_does_not_have(since: str) -> None:
    """What could not be shown in the zone of the map is refused, where it is asked for."""
    zone = "America/New_York" if since.startswith("0") else "Asia/Tokyo"
    with pytest.raises(ValueError, match="is a time that this time zone does not have"):
        window_of(since, None, now=NOW, timezone=zone)


# -- the forms ---------------------------------------------------------------------------------------------------------


def test_no_incidents() -> None:
    """It says so, for when, and how to see that it is true."""
    assert as_text(report_of()).splitlines() == [
        "No incidents from Sat 2026-11-14 11:03 to Sat 2026-11-21 11:03 (UTC)",
        "",
        "Quiet, or nothing arrives: `router drill` shows which.",
    ]
    assert as_markdown(report_of()).startswith("## No incidents from ")


@given(incidents, st.booleans())
def test_json_is_read_back(incidents: list[Told], cut: bool) -> None:
    """What a router answers is what the command shows."""
    report = report_of(*incidents, kept_since=NOW - timedelta(days=3) if cut else None)
    assert of_json(as_json(report)) == report


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"version": 2, "weeks": []}, id="of another version"),
        pytest.param({**as_json(report_of()), "teams": None}, id="a list that is none"),
        pytest.param({**as_json(report_of()), "since": "yesterday"}, id="a time that is none"),
        pytest.param({**as_json(report_of()), "total": []}, id="figures that are none"),
    ],
)
def test_an_answer_that_is_no_report(answer: dict[str, Any]) -> None:
    """It is not half understood."""
    with pytest.raises(ValueError):
        of_json(answer)


def test_advice_of_a_newer_router() -> None:
    """It is left out."""
    answer = as_json(report_of(told(repeats=3)))
    answer["top"][0]["advice"] = "paint_it_green"
    assert of_json(answer).top[0].advice is None


def cells(line: str) -> list[str]:
    """Of a row of a table as GitHub reads it: a backslash takes the next character with it."""
    return re.findall(r"\|((?:\\.|[^|\\])*)(?=\|)", line)


@given(texts, texts)
def test_hostile_titles_break_no_table(title: str, other: str) -> None:
    """Each is one line of its table, or one cell in code; nothing of it can be seen as anything else."""
    report = report_of(told(title=title, flaps=1), told(title=title), told(title=other), told(title=other))
    text, markdown = as_text(report), as_markdown(report)
    for shown in (text, markdown):
        assert all(character == "\n" or character.isprintable() for character in shown)
        assert max(map(len, shown.splitlines())) < 220
    plain = report_of(told(title="A", flaps=1), told(title="A"), told(title="B"), told(title="B"))
    if len(report.top) == 2:
        assert len(text.splitlines()) == len(as_text(plain).splitlines())
        assert len(markdown.splitlines()) == len(as_markdown(plain).splitlines())
    table = [line for line in markdown.partition("old most often\n")[2].split("\n") if line.startswith("|")]
    assert {len(cells(line)) for line in table} == {8}
    for line in table[2:]:
        shown = cells(line)[6].strip()
        assert re.fullmatch("`[^`|]+`", shown), shown


def test_columns_of_zeros_are_left_out() -> None:
    """What is there is worth a look; what is not is said in one line."""
    text = as_text(report_of(told(repeats=2), told(group="h", owner="tokyo"), told(group="h", owner="tokyo")))
    lines = text.splitlines()
    assert lines[2:7] == [
        "How loud it was",
        "TEAM      NEW  REPEATED  REPEATS  FIRED AGAIN",
        "payments    1         1        2            0",
        "tokyo       2         0        0            1",
        "all         3         1        2            1",
    ]
    (none,) = [line for line in lines if line.startswith("None: ")]
    shown = {"new", "repeated", "repeats", "fired again"}
    assert set(none.removeprefix("None: ").rstrip(".").split(", ")) == {*HEADS.values()} - shown


def test_a_table_of_wide_characters_is_aligned() -> None:
    """A title in Japanese takes two columns a character; what to do stands below it."""
    text = as_text(report_of(told(owner="決済", title="決済の遅延", flaps=2), told(title="A"), told(title="A")))
    lines = text.partition("were told most often\n")[2].splitlines()
    assert lines[0].startswith("TEAM      TIMES")
    assert lines[1].startswith("決済          3")
    assert lines[1].endswith("100%  決済の遅延")
    assert lines[2].strip() == ADVICE_WORDS[Advice.FLAPS]


def test_what_is_not_kept_is_said() -> None:
    """Whoever asks for more than there is is told since when there is all."""
    text = as_text(report_of(told(), kept_since=NOW - timedelta(days=1)))
    assert "What ended before 2026-11-20 11:03 is not kept" in text


@pytest.mark.parametrize(
    ("wait", "shown"),
    [
        pytest.param(timedelta(seconds=40.4), "40s", id="seconds"),
        pytest.param(timedelta(seconds=59.6), "1m", id="nearly a minute"),
        pytest.param(timedelta(minutes=12, seconds=59), "12m", id="minutes"),
        pytest.param(timedelta(hours=3, minutes=5), "3h 05m", id="hours"),
        pytest.param(timedelta(days=2, hours=4), "2d 4h", id="days"),
    ],
)
def test_a_wait_in_words(wait: timedelta, shown: str) -> None:
    """In two units at most, as people say it."""
    assert f"| {shown} | {shown} |" in as_markdown(report_of(told(acknowledged_at=OPENED + wait)))


def test_every_figure_and_advice_has_words() -> None:
    """Nothing is counted that is not shown."""
    assert (set(HEADS), set(ADVICE_WORDS)) == (set(Figure), set(Advice))


def sections(text: str) -> Mapping[str, Sequence[str]]:
    return {part.splitlines()[0]: part.splitlines()[1:] for part in text.split("\n\n")}


def test_reasons_and_drills_are_told_in_lines() -> None:
    """By team, with each reason; a drill is named and counted nowhere."""
    late = frozenset({EscalationReason.UNACKNOWLEDGED})
    report = report_of(
        told(escalated=late),
        told(escalated=late | {EscalationReason.REPEATED}),
        told(owner=None, orphaned=True, escalated=frozenset({EscalationReason.ORPHANED})),
        told(group=DRILL_GROUP, fingerprints=("4f0c9d1b7a2e6835",)),
    )
    text = as_text(report)
    assert "Escalated of payments: 2 unacknowledged, 1 repeated." in text
    assert "Escalated of nobody: 1 orphaned." in text
    assert "Not counted: 1 drill." in text
    assert sections(text)["Who took care of it"] == [
        "TEAM      ORPHANED  ESCALATED",
        "payments         0          2",
        "nobody           1          1",
        "all              1          3",
    ]
