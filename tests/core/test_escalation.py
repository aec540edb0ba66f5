"""What time does to an incident: who is called, when, each once; and when nobody is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.escalation import GRACE, Facts, Look, Since, Step, chain, look
from router.core.escalation_policy import EscalationPolicy, Repeats
from router.core.history import Acknowledgement, EscalationReason, Event, Snooze
from router.core.incidents import Incident, noted
from router.core.model import Hours, IncidentState, Level, MessageKind, Source, Urgency
from router.core.ownership import OwnershipMap
from tests.core.factories import NOW, minutes
from tests.ownership.maps import a_map

OWN, PARENT, FALLBACK, AIDE = "C0PAYALERT", "C0FINANCE1", "C0ORPHANS1", "C0AIDEALRT"
HEAD = f"""\
version: 1
fallback: {{channel: {{name: ops, id: {FALLBACK}}}, mention: S0OPSDUTY1, triage_within: 1d}}
"""
# Times are critical ones where a test says nothing: 15 minutes, always.
MAP = f"""\
defaults: {{timezone: Europe/Berlin, escalate: {{if_unacked: 2x}}}}
teams:
  payments:
    channel: {{name: pay, id: {OWN}}}
    mention: S0PAYONCALL
    lead: {{slack: U0LEADPAY1}}
    parent: finance
  finance: {{channel: {{name: fin, id: {PARENT}}}, mention: S0FINANCE1}}
  aide: {{channel: {{name: aide, id: {AIDE}}}, aliases: [helpers]}}
"""
NEVER_STALE = Facts(rhythm=timedelta(days=3650))
LEAD_STEP = Step(to="lead", team="payments", channel_id=OWN, mention="U0LEADPAY1")
PARENT_STEP = Step(to="parent", team="finance", channel_id=PARENT, mention="S0FINANCE1")
FALLBACK_STEP = Step(to="fallback", team=None, channel_id=FALLBACK, mention="S0OPSDUTY1")


def the_map(body: str = MAP) -> OwnershipMap:
    return a_map(body, head=HEAD)


def incident(**fields: object) -> Incident:
    told: dict[str, object] = {
        "id": "i",
        "group": "g",
        "source": Source.ALERTMANAGER,
        "owner": "payments",
        "channel_id": OWN,
        "copies": (),
        "state": IncidentState.OPEN,
        "severity": Level.CRITICAL,
        "title": "HighErrorRate",
        "opened_at": NOW,
        "updated_at": NOW,
        "closed_at": None,
        "first_notification": 1,
        "last_notification": 1,
        "alerts": {},
        "truncated": 0,
        "repeats": 0,
        "revision": 1,
        "map_revision": "r",
        "heard_at": NOW,
    }
    return Incident(**{**told, **fields})  # type: ignore[arg-type]  # the fields of an Incident


def looked(
    one: Incident,
    at: datetime,
    *,
    ownership: OwnershipMap | None = None,
    facts: Facts | None = None,
    listening: datetime = NOW,
    judging: datetime | None = None,
) -> Look:
    return look(
        one,
        facts=facts or NEVER_STALE,
        ownership=ownership or the_map(),
        since=Since(listening=listening, judging=judging or listening),
        now=at,
    )


def lived(
    one: Incident, *, until: datetime, ownership: OwnershipMap | None = None, begins: datetime | None = None
) -> Incident:
    """The incident after it was looked at whenever it was due, from its opening on."""
    now: datetime | None = begins or one.opened_at
    while now is not None and now <= until:
        seen = looked(one, now, ownership=ownership, listening=one.opened_at)
        assert seen.incident.due_at is None or seen.incident.due_at > now
        one, now = seen.incident, seen.incident.due_at
    return one


def called(one: Incident) -> list[tuple[str, datetime]]:
    return [(escalation.to, escalation.at) for escalation in one.escalations]


def at(zone: str, *wall_clock: int) -> datetime:
    return datetime(*wall_clock, tzinfo=ZoneInfo(zone)).astimezone(UTC)  # type: ignore[misc,arg-type]  # year, month, day, hour


# -- the chain -----------------------------------------------------------------------------------------------------


def test_the_chain_is_lead_parent_fallback() -> None:
    """Each with whom it calls; the lead in the owner's own channel."""
    assert chain(the_map(), "payments", Level.CRITICAL, channel_id=OWN) == (LEAD_STEP, PARENT_STEP, FALLBACK_STEP)


def then(steps: str, teams: str = "", *, more: str = "") -> str:
    """A map in which payments calls `steps`."""
    return f"""\
teams:
  payments: {{channel: {{name: pay, id: {OWN}}}, escalate: {{then: {steps}}}{more}}}
  finance: {{channel: {{name: fin, id: {PARENT}}}, parent: aide}}
  aide: {{channel: {{name: aide, id: {AIDE}}}, aliases: [helpers]}}
{teams}"""


GONE = "  past: {dissolved: 2026-01-01, successor: finance}\n"
BACK = "  past: {dissolved: 2026-01-01, successor: payments}\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(then("[lead, fallback]"), ["fallback"], id="no lead"),
        pytest.param(then("[lead]", more=", lead: {mail: a@b.example}"), [], id="a lead without an id in Slack"),
        pytest.param(then("[parent, fallback]"), ["fallback"], id="no parent"),
        pytest.param(then("[parent]", more=", parent: finance"), ["parent"], id="the parent's parent is not implied"),
        pytest.param(then("[parent]", GONE, more=", parent: past"), ["parent"], id="a dissolved parent's successor"),
        pytest.param(then("[parent]", BACK, more=", parent: past"), [], id="its successor is the owner"),
        pytest.param(then("[past, finance]", GONE), ["past"], id="two names of one team"),
        pytest.param(
            then("[finance, parent]", more=", parent: finance"), ["finance"], id="the parent by its id before"
        ),
        pytest.param(then("[helpers]"), ["helpers"], id="an alias"),
        pytest.param(then("[payments, finance]"), ["finance"], id="never the owner itself"),
        pytest.param(then("[fallback, fallback]"), ["fallback"], id="never twice"),
        pytest.param(then("[nobody, fallback]"), ["fallback"], id="a name that is no team"),
        pytest.param(then("[]"), [], id="empty"),
    ],
)
def test_who_is_in_the_chain(body: str, expected: list[str]) -> None:
    """What leads to nobody, or where somebody was told already, is passed over."""
    assert [step.to for step in chain(the_map(body), "payments", Level.CRITICAL, channel_id=OWN)] == expected


def test_a_level_may_have_its_own_channel() -> None:
    """A team is called in the channel that it has for the level."""
    critical = then("[finance]").replace(
        f"id: {PARENT}}}", f"id: {PARENT}}}, channels: {{critical: {{name: x, id: C0CRITICAL}}}}"
    )
    steps = {level: chain(the_map(critical), "payments", level, channel_id=OWN)[0].channel_id for level in Level}
    assert steps[Level.CRITICAL] == "C0CRITICAL"
    assert steps[Level.HIGH] == PARENT


def test_not_where_it_stands_already() -> None:
    """Where the owner's channel refused, the fallback channel has its message; and an orphan is there anyway."""
    ownership = the_map()
    assert chain(ownership, "payments", Level.CRITICAL, channel_id=OWN, stand_in=FALLBACK) == (LEAD_STEP, PARENT_STEP)
    assert chain(ownership, "payments", Level.CRITICAL, channel_id=PARENT) == (
        replace(LEAD_STEP, channel_id=PARENT),
        FALLBACK_STEP,
    )
    assert chain(ownership, None, Level.CRITICAL, channel_id=FALLBACK) == ()


def test_of_a_team_that_is_gone() -> None:
    """By the successor's chain; of one that the map does not know at all, the fallback hears."""
    ownership = the_map(MAP + "  old: {dissolved: 2026-01-01, successor: payments}\n")
    assert chain(ownership, "old", Level.CRITICAL, channel_id="C0OLDALERT")[1:] == (PARENT_STEP, FALLBACK_STEP)
    assert chain(ownership, "forgotten", Level.CRITICAL, channel_id="C0OLDALERT") == (FALLBACK_STEP,)


# -- the policy ----------------------------------------------------------------------------------------------------

USUAL = EscalationPolicy(
    within=None,
    hours=Hours.ALWAYS,
    repeats=Repeats(count=3, window=timedelta(days=1)),
    then=("lead", "parent", "fallback"),
)
SEVERAL = """\
defaults: {escalate: {if_unacked: 2x, if_repeats: 9 in 7d, then: [fallback]}}
severities:
  high: {escalate: {if_unacked: 45m}}
  low: {respond_within: 3d, escalate: {if_unacked: 1x}}
teams:
  a: {channel: {name: a, id: C0AAAAAAAA}}
  b: {channel: {name: b, id: C0BBBBBBBB}, escalate: {if_unacked: none, then: [a]}}
  c: {channel: {name: c, id: C0CCCCCCCC}, escalate: {if_repeats: none}}
"""


@pytest.mark.parametrize(
    ("body", "team", "level", "expected"),
    [
        pytest.param("teams: {a: {channel: {name: a, id: C0AAAAAAAA}}}", "a", Level.CRITICAL, USUAL, id="nothing said"),
        pytest.param(
            "teams: {a: {channel: {name: a, id: C0AAAAAAAA}}}",
            "a",
            Level.LOW,
            replace(USUAL, hours=Hours.BUSINESS, repeats=None),
            id="nothing said, low",
        ),
        pytest.param(
            SEVERAL,
            "a",
            Level.CRITICAL,
            EscalationPolicy(
                within="15m", times=2, repeats=Repeats(count=9, window=timedelta(days=7)), then=("fallback",)
            ),
            id="the defaults",
        ),
        pytest.param(
            SEVERAL,
            "a",
            Level.HIGH,
            EscalationPolicy(within="45m", repeats=Repeats(count=9, window=timedelta(days=7)), then=("fallback",)),
            id="the level before the defaults",
        ),
        pytest.param(
            SEVERAL,
            "b",
            Level.HIGH,
            EscalationPolicy(within=None, repeats=Repeats(count=9, window=timedelta(days=7)), then=("a",)),
            id="the team before the level",
        ),
        pytest.param(
            SEVERAL,
            "c",
            Level.CRITICAL,
            EscalationPolicy(within="15m", times=2, then=("fallback",)),
            id="key by key",
        ),
        pytest.param(
            SEVERAL,
            "a",
            Level.LOW,
            EscalationPolicy(within="3d", hours=Hours.BUSINESS, then=("fallback",)),
            id="low, of which its level says something",
        ),
        pytest.param(
            SEVERAL,
            "b",
            Level.IGNORE,
            EscalationPolicy(within=None, hours=Hours.BUSINESS, then=("a",)),
            id="ignore, whose team says none",
        ),
        pytest.param(
            "defaults: {escalate: {if_unacked: 2x}}\nseverities: {high: {respond_within: none}}\n"
            "teams: {a: {channel: {name: a, id: C0AAAAAAAA}}}",
            "a",
            Level.HIGH,
            USUAL,
            id="no deadline, no multiple of it",
        ),
    ],
)
def test_policy(body: str, team: str, level: Level, expected: EscalationPolicy) -> None:
    """Key by key the most local word of the map holds; `low` and `ignore` need one of their own, or the team's."""
    ownership = the_map(body)
    assert ownership.escalation_of(team, level) == expected
    assert ownership.escalation_of(team, level) is ownership.escalation_of(team, level)


# -- nobody acknowledges -------------------------------------------------------------------------------------------


def test_steps_come_one_wait_after_the_other() -> None:
    """At twice the response time the lead, at four times the parent, at six times the fallback; then nobody."""
    one = lived(incident(), until=NOW + timedelta(days=30))
    assert called(one) == [("lead", NOW + minutes(30)), ("parent", NOW + minutes(60)), ("fallback", NOW + minutes(90))]
    assert {escalation.reason for escalation in one.escalations} == {EscalationReason.UNACKNOWLEDGED}


def test_what_a_step_tells() -> None:
    """A lead is called by a reply; others by a message of their own, and the thread says so and calls nobody."""
    first = looked(incident(), NOW + minutes(30))
    lead = first.incident.history[-1]
    assert (lead.event, lead.mention, lead.channel_id) == (Event.ESCALATED, "U0LEADPAY1", OWN)
    assert [(wanted.kind, wanted.urgency) for wanted in first.wanted] == [
        (MessageKind.ROOT, Urgency.NOTED),
        (MessageKind.REPLY, Urgency.NOTICE),
    ]
    second = looked(first.incident, NOW + minutes(60))
    parent = second.incident.history[-1]
    assert (parent.team, parent.mention, parent.channel_id) == ("finance", None, PARENT)
    assert [(wanted.kind, wanted.channel_id, wanted.urgency) for wanted in second.wanted] == [
        (MessageKind.ROOT, OWN, Urgency.NOTED),
        (MessageKind.ESCALATED, PARENT, Urgency.CRITICAL),
        (MessageKind.REPLY, OWN, Urgency.REPLY),
    ]
    assert second.incident.revision == 3


def in_zone(zone: str, hours: str = "Mon-Fri 09:00-17:00", *, wait: str = "2x") -> OwnershipMap:
    """A map in which payments works there, and normal alerts are to be answered within two hours of work."""
    return the_map(
        "severities: {normal: {respond_within: 2h}}\n"
        + MAP.replace(
            "    parent: finance\n", f'    parent: finance\n    timezone: {zone}\n    business_hours: "{hours}"\n'
        ).replace("2x", wait)
    )


@pytest.mark.parametrize(
    ("zone", "opened", "expected"),
    [
        pytest.param("Asia/Tokyo", (2026, 11, 24, 10), [(24, 14), (25, 10), (25, 14)], id="Tokyo, a Tuesday"),
        pytest.param("Asia/Tokyo", (2026, 11, 20, 16), [(23, 12), (23, 16), (24, 12)], id="Tokyo, over a weekend"),
        pytest.param("Europe/Berlin", (2026, 11, 21, 3), [(23, 13), (23, 17), (24, 13)], id="Berlin, a Saturday night"),
        pytest.param(
            "Pacific/Kiritimati", (2026, 11, 23, 9), [(23, 13), (23, 17), (24, 13)], id="Kiritimati: UTC's Sunday"
        ),
    ],
)
def test_business_hours(zone: str, opened: tuple[int, ...], expected: list[tuple[int, int]]) -> None:
    """Waits are counted where the owner works, and only then: two times two hours for each step."""
    begins = at(zone, *opened)
    one = lived(
        incident(severity=Level.NORMAL, opened_at=begins), until=begins + timedelta(days=30), ownership=in_zone(zone)
    )
    assert [moment for _, moment in called(one)] == [at(zone, 2026, 11, day, hour) for day, hour in expected]


@pytest.mark.parametrize(
    ("zone", "opened", "expected"),
    [
        pytest.param("Europe/Berlin", (2026, 3, 28, 23), (2026, 3, 29, 4), id="Berlin, March"),
        pytest.param("Europe/Berlin", (2026, 10, 25, 0), (2026, 10, 25, 3), id="Berlin, October"),
        pytest.param("America/New_York", (2026, 3, 7, 23), (2026, 3, 8, 4), id="New York, March"),
        pytest.param("America/New_York", (2026, 10, 31, 23), (2026, 11, 1, 2), id="New York, November"),
    ],
)
def test_clock_changes(zone: str, opened: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Two times two hours are four real hours, also in the night in which the clock is changed."""
    ownership = in_zone(zone, "Mon-Sun 22:00-06:00")
    begins = at(zone, *opened)
    one = lived(
        incident(severity=Level.NORMAL, opened_at=begins), until=begins + timedelta(hours=5), ownership=ownership
    )
    assert called(one) == [("lead", begins + timedelta(hours=4))]
    assert one.escalations[0].at == at(zone, *expected)


def test_working_days_over_a_clock_change() -> None:
    """A working day from Friday noon is Monday noon on the wall, although the weekend had an hour more or less."""
    ownership = the_map(MAP.replace("2x", "1d"))
    for friday, monday in (((2026, 3, 27, 12), (2026, 3, 30, 12)), ((2026, 10, 23, 12), (2026, 10, 26, 12))):
        begins = at("Europe/Berlin", *friday)
        one = lived(
            incident(severity=Level.NORMAL, opened_at=begins),
            until=begins + timedelta(days=3, hours=2),
            ownership=ownership,
        )
        assert called(one) == [("lead", at("Europe/Berlin", *monday))]


ACKNOWLEDGED = Acknowledgement(by="U1", at=NOW + minutes(35))


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        pytest.param({}, 3, id="nothing"),
        pytest.param({"acknowledged": ACKNOWLEDGED}, 1, id="acknowledged"),
        pytest.param({"snoozed": Snooze(by="U1", at=NOW, until=NOW + timedelta(days=90))}, 1, id="snoozed"),
        pytest.param({"state": IncidentState.RESOLVED}, 1, id="resolved"),
        pytest.param({"state": IncidentState.STALE}, 1, id="stale"),
        pytest.param({"severity": Level.LOW}, 1, id="it is not urgent any more"),
    ],
)
def test_what_stops_it(changes: dict[str, object], steps: int) -> None:
    """Steps that were taken stay; no further one, also not because it comes again."""
    one = lived(incident(), until=NOW + minutes(35))
    one = replace(one, repeats=100 if changes else 0, **changes)  # type: ignore[arg-type]  # the fields of an Incident
    assert len(lived(one, begins=NOW + minutes(35), until=NOW + timedelta(days=30)).escalations) == steps


# -- it comes again ------------------------------------------------------------------------------------------------

WITHOUT_WAIT = MAP.replace("2x", "none")


@pytest.mark.parametrize(
    ("repeats", "flaps", "opened", "expected"),
    [
        pytest.param(2, 0, 1, None, id="told again twice"),
        pytest.param(3, 0, 1, 3, id="told again three times"),
        pytest.param(0, 0, 3, None, id="fired again twice"),
        pytest.param(0, 0, 4, 3, id="fired again three times"),
        pytest.param(0, 1, 3, 3, id="fired again three times, once without a word"),
        pytest.param(2, 0, 3, None, id="neither of them three times"),
        pytest.param(2, 1, 1, None, id="two kinds are not added up"),
    ],
)
def test_it_comes_again(repeats: int, flaps: int, opened: int, expected: int | None) -> None:
    """After the third time the lead is called at once, with how often it was."""
    seen = looked(
        incident(repeats=repeats, flaps=flaps),
        NOW,
        ownership=the_map(WITHOUT_WAIT),
        facts=Facts(opened_in_window=opened),
    )
    assert [(step.to, step.count, step.reason) for step in seen.taken] == (
        [("lead", expected, EscalationReason.REPEATED)] if expected else []
    )


def test_what_flaps_waits_for_nobody() -> None:
    """The next time of what flaps called nobody: a step for it is taken at once, however short each time is."""
    flaps = incident(flaps=3, opened_at=NOW - timedelta(hours=1), waiting_since=NOW)
    assert [step.to for step in looked(flaps, NOW, ownership=the_map(WITHOUT_WAIT)).taken] == ["lead"]
    worse = noted(flaps, Event.WORSE, at=NOW, level=Level.CRITICAL)
    assert looked(worse, NOW, ownership=the_map(WITHOUT_WAIT)).incident.due_at == NOW + GRACE


def test_each_so_many_times_one_step_further() -> None:
    """Six times: the parent; and never two steps at once, however often it was meanwhile."""
    ownership, now, one = the_map(WITHOUT_WAIT), NOW, incident()
    for repeats in range(1, 30):
        now += timedelta(hours=1)
        one = looked(replace(one, repeats=repeats), now, ownership=ownership).incident
    hours = [timedelta(hours=count) for count in (3, 6, 9)]
    assert called(one) == [(to, NOW + after) for to, after in zip(("lead", "parent", "fallback"), hours, strict=True)]

    often = incident(repeats=30)
    first = looked(often, NOW, ownership=ownership)
    assert [step.to for step in first.taken] == ["lead"]
    assert first.incident.due_at == NOW + GRACE
    assert [step.to for step in looked(first.incident, NOW + GRACE, ownership=ownership).taken] == ["parent"]


def test_episodes_before_called_already() -> None:
    """What fires again every hour calls the lead once in the window, not at each episode after the third."""
    ownership = the_map(WITHOUT_WAIT)
    facts = Facts(opened_in_window=5, called=frozenset({OWN}))
    assert looked(incident(), NOW, ownership=ownership, facts=facts).taken == ()
    facts = replace(facts, opened_in_window=7)
    assert [step.to for step in looked(incident(), NOW, ownership=ownership, facts=facts).taken] == ["parent"]


def test_both_reasons_share_one_chain() -> None:
    """Whom repeats called is not called again because nobody acknowledged: the next one is, at its own time."""
    repeated = looked(incident(repeats=3), NOW).incident
    assert [step.to for step in repeated.escalations] == ["lead"]
    assert repeated.due_at == NOW + minutes(60)
    assert [step.to for step in looked(repeated, NOW + minutes(60)).taken] == ["parent"]


# -- snooze, stale, triage -----------------------------------------------------------------------------------------


def test_a_snooze_ends() -> None:
    """Its owner is called again, once, and has the whole time to answer again."""
    until = NOW + timedelta(hours=2)
    snoozed = incident(snoozed=Snooze(by="U1", at=NOW, until=until))
    before = looked(snoozed, NOW)
    assert (before.changed, before.incident.due_at) == (False, until)
    over = looked(snoozed, until)
    assert (over.incident.snoozed, over.incident.due_at) == (None, until + minutes(30))
    assert [(told.event, told.mention) for told in over.incident.history] == [(Event.SNOOZE_OVER, "S0PAYONCALL")]
    assert called(lived(over.incident, begins=until, until=until + minutes(60))) == [
        ("lead", until + minutes(30)),
        ("parent", until + minutes(60)),
    ]


def test_nobody_else_is_called_with_the_owner() -> None:
    """Who is called because a snooze ends gets a moment, however often it came again meanwhile."""
    until = NOW + timedelta(hours=2)
    over = looked(incident(snoozed=Snooze(by="U1", at=NOW, until=until), repeats=3), until)
    assert (over.taken, over.incident.due_at) == ((), until + GRACE)
    assert [step.to for step in looked(over.incident, until + GRACE).taken] == ["lead"]


@pytest.mark.parametrize("event", [Event.WORSE, Event.HEARD_AGAIN])
def test_the_wait_begins_anew(event: Event) -> None:
    """Somebody was called again, or nothing was known of it: what was waited before counts no more."""
    later = NOW + timedelta(days=2)
    one = noted(incident(), event, at=later)
    seen = looked(one, later)
    assert (seen.taken, seen.incident.due_at) == ((), later + minutes(30))
    assert seen.incident.waiting_since == later
    forgotten = replace(seen.incident, history=())  # of a history only the end is kept
    assert looked(forgotten, later + minutes(29)).taken == ()


def test_it_becomes_stale() -> None:
    """After twice its rhythm nobody knows; it is told, calls nobody, and nothing is due any more."""
    one = incident(heard_at=NOW)
    facts = Facts(rhythm=timedelta(hours=4))
    assert looked(one, NOW, facts=facts, ownership=the_map(WITHOUT_WAIT)).incident.due_at == NOW + timedelta(hours=8)
    seen = looked(one, NOW + timedelta(hours=8), facts=facts)
    assert seen.went_stale
    assert (seen.incident.state, seen.incident.closed_at, seen.incident.due_at) == (IncidentState.STALE, None, None)
    assert [told.event for told in seen.incident.history] == [Event.STALE]
    assert not looked(seen.incident, NOW + timedelta(days=9), facts=facts).changed


def test_a_snooze_of_what_is_stale_calls_nobody() -> None:
    """Nobody is told that something still fires of which nothing was heard."""
    one = incident(heard_at=NOW, snoozed=Snooze(by="U1", at=NOW, until=NOW + timedelta(hours=8)))
    seen = looked(one, NOW + timedelta(hours=8), facts=Facts(rhythm=timedelta(hours=4)))
    assert [told.event for told in seen.incident.history] == [Event.STALE]


def test_a_router_that_did_not_listen_finds_nothing_stale() -> None:
    """The silence may have been its own: the time counts from when it listened again."""
    one, back = incident(heard_at=NOW, acknowledged=ACKNOWLEDGED), NOW + timedelta(days=3)
    facts = Facts(rhythm=timedelta(hours=4))
    seen = looked(one, back, facts=facts, listening=back)
    assert (seen.went_stale, seen.incident.due_at) == (False, back + timedelta(hours=8))
    assert looked(one, back + timedelta(hours=8), facts=facts, listening=back).went_stale


def test_an_orphan_is_told_of_once_more() -> None:
    """After a working day of the defaults, in its own thread, with the fallback's mention; then never again."""
    saturday = at("Europe/Berlin", 2026, 11, 21, 12)
    orphan = incident(owner=None, channel_id=FALLBACK, opened_at=saturday, severity=Level.NORMAL, repeats=50)
    one = lived(orphan, until=saturday + timedelta(days=30))
    assert called(one) == [("fallback", at("Europe/Berlin", 2026, 11, 24, 9))]
    (told,) = one.history
    assert (told.reason, told.mention, told.channel_id) == (EscalationReason.ORPHANED, "S0OPSDUTY1", FALLBACK)


@pytest.mark.parametrize("level", [Level.LOW, Level.IGNORE])
def test_quiet_orphans(level: Level) -> None:
    """Nobody is called for an orphan for information."""
    orphan = incident(owner=None, channel_id=FALLBACK, severity=level)
    assert lived(orphan, until=NOW + timedelta(days=30)).escalations == ()


# -- clocks and maps -----------------------------------------------------------------------------------------------


def test_after_a_long_stop() -> None:
    """People could not answer: they get five minutes, then one step at a time."""
    back = NOW + timedelta(days=3)
    one, now, steps = incident(), back, list[tuple[str, timedelta]]()
    while now < back + timedelta(hours=1):
        seen = looked(one, now, listening=back)
        steps += [(step.to, step.at - back) for step in seen.taken]
        one, now = seen.incident, seen.incident.due_at or back + timedelta(days=1)
    assert steps == [("lead", minutes(5)), ("parent", minutes(10)), ("fallback", minutes(15))]


def test_another_map_calls_nobody_at_once() -> None:
    """A map that begins to wait for acknowledgements does not call everybody for what is open since yesterday."""
    reloaded = NOW + timedelta(days=1)
    seen = looked(incident(), reloaded, judging=reloaded)
    assert (seen.taken, seen.incident.due_at) == ((), reloaded + GRACE)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=365)])
def test_a_clock_that_was_set_back(jump: timedelta) -> None:
    """What seems to come from the future is waited for from now on."""
    back = NOW - jump
    seen = looked(incident(), back, listening=back)
    assert (seen.taken, seen.went_stale, seen.incident.due_at) == ((), False, back + minutes(30))


def test_steps_that_seem_to_come_from_the_future() -> None:
    """What was taken by a clock that was a year ahead keeps nobody from being called for a year."""
    one = lived(incident(), until=NOW + minutes(30))
    back = NOW - timedelta(days=365)
    seen = looked(one, back, listening=back)
    assert seen.incident.due_at is not None
    assert seen.incident.due_at <= back + minutes(60)


def test_a_fast_map_is_not_slowed_down() -> None:
    """Where the map waits a minute, the steps come a minute after each other."""
    one = lived(incident(), until=NOW + minutes(10), ownership=the_map(MAP.replace("2x", "1m")))
    assert [moment - NOW for _, moment in called(one)] == [minutes(1), minutes(2), minutes(3)]


def test_no_time_to_answer() -> None:
    """Where the deadline is at once the steps come one a minute, not all of them together."""
    ownership = the_map("severities: {critical: {respond_within: 0m}}\n" + MAP)
    one = lived(incident(), until=NOW + minutes(10), ownership=ownership)
    assert [moment - NOW for _, moment in called(one)] == [minutes(0), minutes(1), minutes(2)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(MAP.replace("    parent: finance\n", ""), ["lead", "fallback"], id="the chain is shorter"),
        pytest.param(
            then("[aide, lead, fallback]").replace("teams:", "defaults: {escalate: {if_unacked: 2x}}\nteams:"),
            ["lead", "aide", "fallback"],
            id="it is another one",
        ),
        pytest.param(MAP.replace("U0LEADPAY1", "U0LEADNEW1"), ["lead", "parent", "fallback"], id="another lead"),
        pytest.param(MAP.replace("  payments:", "  payed:"), ["lead", "fallback"], id="the team is gone"),
    ],
)
def test_the_map_changes_between_two_steps(body: str, expected: list[str]) -> None:
    """Steps that were taken stay taken; the rest is the new map's; nobody twice."""
    one = lived(incident(), until=NOW + minutes(30))
    after = lived(one, begins=NOW + minutes(40), until=NOW + timedelta(days=1), ownership=the_map(body))
    assert [to for to, _ in called(after)] == expected
    assert len({escalation.channel_id for escalation in after.escalations}) == len(expected)


def test_an_acknowledgement_holds_until_the_end() -> None:
    """Whoever has it hears with the others that it got worse; nobody is called further."""
    worse = noted(incident(acknowledged=ACKNOWLEDGED), Event.WORSE, at=NOW + minutes(20), level=Level.CRITICAL)
    assert called(lived(worse, until=NOW + timedelta(days=1))) == []


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(MAP.replace("parent: finance", "parent: aide"), id="another parent"),
        pytest.param(
            MAP.replace("mention: S0FINANCE1}", "channels: {critical: {name: now, id: C0FINNOWAL}}}"),
            id="another channel",
        ),
    ],
)
def test_a_parent_that_was_called_stays_called(body: str) -> None:
    """Another parent is called for the next incident, as another lead is: for this one that step was taken."""
    one = lived(incident(), until=NOW + minutes(60))
    after = lived(one, begins=NOW + minutes(70), until=NOW + timedelta(days=1), ownership=the_map(body))
    assert [(step.to, step.channel_id) for step in after.escalations] == [
        ("lead", OWN),
        ("parent", PARENT),
        ("fallback", FALLBACK),
    ]


def test_a_deadline_of_years_is_no_hurry() -> None:
    """Ninety-nine times ten years are further than a calendar reaches; it is asked again in time."""
    ownership = the_map("severities: {critical: {respond_within: 520w, hours: business}}\n" + MAP.replace("2x", "99x"))
    due_at = looked(incident(), NOW, ownership=ownership).incident.due_at
    assert due_at is not None
    assert due_at > NOW + timedelta(days=365)


# -- any map -------------------------------------------------------------------------------------------------------

TEAMS = ("a", "b", "c", "d")
A_TEAM = st.sampled_from(TEAMS)


@st.composite
def maps(draw: st.DrawFn) -> str:
    """Teams with any parents, some dissolved, some with a channel in common, and any steps."""
    lines = ["defaults: {escalate: {if_unacked: 1x, if_repeats: 2 in 24h}}", "teams:"]
    for index, team in enumerate(TEAMS):
        parents = list(TEAMS[index + 1 :])
        if index and parents and draw(st.integers(0, 1)):
            lines.append(f"  {team}: {{dissolved: 2026-01-01, successor: {draw(st.sampled_from(parents))}}}")
            continue
        channel = draw(st.sampled_from(["C0AAAAAAAA", "C0BBBBBBBB", "C0CCCCCCCC", FALLBACK]))
        above = draw(st.sampled_from(["", *parents]))
        parent = f", parent: {above}" if above else ""
        lead = ", lead: {slack: U0LEADLEAD}" if draw(st.booleans()) else ""
        steps = draw(st.lists(st.sampled_from([*TEAMS, "lead", "parent", "fallback", "nobody"]), max_size=6))
        lines.append(
            f"  {team}: {{channel: {{name: {team}, id: {channel}}}{parent}{lead}, "
            f"escalate: {{then: [{', '.join(steps)}]}}}}"
        )
    return "\n".join(lines) + "\n"


@given(
    body=maps(),
    later=maps(),
    owner=st.sampled_from(["a", "gone"]),
    stand_in=st.sampled_from([None, FALLBACK]),
    hours=st.lists(st.floats(0.1, 50), max_size=12),
    repeats=st.integers(0, 20),
)
def test_any_chain_ends(
    body: str, later: str, owner: str, stand_in: str | None, hours: list[float], repeats: int
) -> None:
    """Whatever the maps say: no channel twice, nowhere where it stands, and a second look changes nothing."""
    one = incident(owner=owner, channel_id="C0AAAAAAAA", repeats=repeats)
    facts = replace(NEVER_STALE, stand_in=stand_in)
    now = NOW
    for number, passed in enumerate(hours):
        ownership = the_map(body if number % 2 else later)
        now += timedelta(hours=passed)
        seen = looked(one, now, ownership=ownership, facts=facts)
        again = looked(seen.incident, now, ownership=ownership, facts=facts)
        assert (again.changed, again.incident) == (False, seen.incident)
        one = seen.incident
    channels = [escalation.channel_id for escalation in one.escalations]
    assert len(channels) == len(set(channels))
    for escalation in one.escalations:
        assert escalation.to == "lead" or escalation.channel_id not in ("C0AAAAAAAA", stand_in)
