"""Generated months, in which the truth is known, and the smallest streams in which the core once was wrong."""

from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from router.core.actions import ActionKind
from router.core.incidents import Incident, Reason
from router.core.model import Alert, IncidentState
from tests.core.factories import NOW, alert, minutes, notification
from tests.streams.charts import Again, Chart, Deadline, Team, Unacked, Wait, Words, map_of
from tests.streams.checker import check, check_seed, compare
from tests.streams.people import Press
from tests.streams.replay import Replay
from tests.streams.senders import Restart, Watched, World, arrivals, instant
from tests.streams.worlds import HOUR, MINUTE

MEMBER, OTHER = "http://am-0", "http://am-1"
COUNTED = ("incidents", "refires", "repeats", "copies", "flaps", "told", "unacknowledged", "repeated", "woken")
BLOCKS, SEEDS_A_BLOCK = 10, 15


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_month_is_told_as_it_was(block: int) -> None:
    """Incidents, re-fires, repeats, copies and who is called are exactly those of the world, whatever happens."""
    checked = {seed: check_seed(seed) for seed in range(block * SEEDS_A_BLOCK, (block + 1) * SEEDS_A_BLOCK)}

    assert {seed: one.differences for seed, one in checked.items() if one.differences} == {}
    assert all(sum(getattr(one, what) for one in checked.values()) for what in COUNTED)


def of_one(*episodes: tuple[float, float], reasons: bool = True, **changes: Any) -> World:  # fields of World
    """A world of one alert."""
    return World(alerts=(Watched(team="payments", episodes=episodes),), reasons=reasons, **changes)


KILLED = Restart(member=0, at=10 * MINUTE, up_at=11 * MINUTE, killed=True)


@pytest.mark.parametrize(
    ("world", "incidents", "refires", "repeats", "copies"),
    [
        pytest.param(of_one((0, 9 * HOUR)), 1, 0, 2, 0, id="repeats"),
        pytest.param(of_one((0, HOUR), (2 * HOUR, 3 * HOUR)), 2, 1, 0, 0, id="fires again"),
        pytest.param(of_one((0, 400), (420, HOUR)), 1, 0, 0, 0, id="flap between two flushes"),
        pytest.param(of_one((0, HOUR), members=2), 1, 0, 0, 0, id="pair"),
        pytest.param(of_one((0, HOUR), members=2, answer_s=20), 1, 0, 0, 2, id="pair, slow router"),
        pytest.param(of_one((0, 9 * HOUR), members=2, gossip=False), 1, 0, 2, 4, id="pair, cut off"),
        pytest.param(
            of_one((0, 9 * HOUR), members=2, gossip=False, reasons=False), 1, 0, 2, 4, id="pair, cut off, 0.25"
        ),
        pytest.param(of_one((0, HOUR), outages=((0, 2 * HOUR),)), 0, 0, 0, 0, id="over before anybody listens"),
        pytest.param(of_one((0, HOUR), restarts=(KILLED,)), 1, 0, 0, 0, id="first notification again"),
        pytest.param(of_one((0, HOUR), restarts=(KILLED,), reasons=False), 1, 0, 1, 0, id="first again, 0.25"),
    ],
)
def test_the_model_and_its_truth(world: World, incidents: int, refires: int, repeats: int, copies: int) -> None:
    """What a small world holds can be counted by hand, so the model and its truth are seen to be right."""
    checked = check(world, Random(1))  # noqa: S311  # not for secrets

    assert checked.differences == ()
    assert (checked.incidents, checked.refires, checked.repeats, checked.copies) == (
        incidents,
        refires,
        repeats,
        copies,
    )


def of_values(*ends: float) -> World:
    """A world of one alert with its value in a label, another one from each of these times on, until the last."""
    values = [
        Watched(team="payments", episodes=((since, until),), series=0, value=f"{since:.2f}%")
        for since, until in pairwise((0.0, *ends))
    ]
    return World(alerts=tuple(values), reasons=True)


def hidden(*, reasons: bool) -> World:
    """A world of two alerts of which only one is ever told at a time."""
    return World(
        alerts=(
            Watched(team="payments", episodes=((0, 400),)),
            Watched(team="payments", episodes=((0, 2 * HOUR),)),
        ),
        reasons=reasons,
        max_alerts=1,
    )


@pytest.mark.parametrize(
    ("world", "incidents", "values", "flaps", "silences"),
    [
        pytest.param(of_values(MINUTE, HOUR), 1, 1, 0, 0, id="another value"),
        pytest.param(of_values(MINUTE, 400, 460, 520, HOUR), 1, 2, 0, 0, id="values between two flushes"),
        pytest.param(of_one((0, 600), (1200, 1800), (2400, 3000)), 2, 0, 1, 0, id="flaps"),
        pytest.param(of_one((0, 600), (1200, 1800), (6000, 6600)), 3, 0, 0, 0, id="over for an hour"),
        pytest.param(
            of_one((0, HOUR), silences=((0, 600, 2 * HOUR),)), 1, 0, 0, 1, id="silenced until its end is not told again"
        ),
        pytest.param(of_one((0, 9 * HOUR), silences=((0, 600, 8 * HOUR),)), 1, 0, 0, 0, id="silenced for a while"),
        pytest.param(hidden(reasons=True), 1, 0, 0, 0, id="truncated"),
        pytest.param(hidden(reasons=False), 1, 0, 0, 0, id="truncated, 0.25"),
    ],
)
def test_the_model_knows_what_is_one(world: World, incidents: int, values: int, flaps: int, silences: int) -> None:
    """Small worlds again, of what looks like several incidents or like an end, and is not."""
    checked = check(world, Random(1))  # noqa: S311  # not for secrets

    assert checked.differences == ()
    assert (checked.incidents, checked.values, checked.flaps, checked.silences) == (incidents, values, flaps, silences)


@pytest.mark.parametrize(
    ("place", "instead", "difference"),
    [
        pytest.param(-1, 0, "ends none, truly 0", id="a resolve is not heard"),
        pytest.param(0, -1, "starts none, truly 0", id="an alert is not heard"),
        pytest.param(1, 0, "no repeat, truly repeat", id="a repeat is not heard"),
    ],
)
def test_the_checker_sees_what_the_core_does_not_hear(place: int, instead: int, difference: str) -> None:
    """A core that hears another body than was sent, and so decides otherwise, is found out."""
    world = of_one((0, 9 * HOUR))
    stream = arrivals(world, Random(1))  # noqa: S311  # not for secrets
    bodies = [arrival.body for arrival in stream]
    bodies[place] = bodies[instead]

    assert any(difference in found for found in compare(world, stream, bodies).differences)


QUARTER = Wait(minutes=15)


def escalating(
    *,
    unacked: Unacked | None = None,
    again: Again | None = None,
    within: Wait = QUARTER,
    business: bool = False,
    triage: Wait | None = None,
) -> Chart:
    """Payments with its lead, and finance above it."""
    return Chart(
        teams={"payments": Team(lead=True, parent="finance", zone="Asia/Tokyo"), "finance": Team()},
        defaults=Words(unacked=unacked, again=again or Again()),
        deadlines=dict.fromkeys(("critical", "normal"), Deadline(wait=within, business=business)),
        zone="Europe/Berlin",
        triage=triage,
    )


TWICE = escalating(unacked=Unacked(times=2))
COMING = escalating(again=Again(count=1, hours=24))
IN_WORKING_TIME = escalating(unacked=Unacked(times=1), within=Wait(minutes=240), business=True)
WORKDAY = escalating(unacked=Unacked(times=1), within=Wait(days=1), business=True)
TWO_DAYS = escalating(unacked=Unacked(wait=Wait(days=2)))
TRIAGE = escalating(triage=Wait(minutes=60))


def press(kind: ActionKind, at: float, *, lasts: float = 0) -> Press:
    return Press(at=at, owner="payments", kind=kind, lasts=timedelta(seconds=lasts))


GETS_WORSE = World(
    alerts=(
        Watched(team="payments", episodes=((0, 3 * HOUR),)),
        Watched(team="payments", episodes=((20 * MINUTE, 3 * HOUR),), severity="critical"),
    ),
    reasons=True,
)
LONG = of_one((0, 9 * HOUR))
ORPHAN = World(alerts=(Watched(team=None, episodes=((0, 40 * HOUR),)),), reasons=True)
SILENCED = of_one((0, 120 * HOUR), silences=((0, 20 * MINUTE, 50 * HOUR),))


# In minutes after the alert was told, 30 s after it fired; START is a Sunday: Tokyo's Monday morning
# is after 1440 minutes, Berlin's after 1920.
@pytest.mark.parametrize(
    ("world", "chart", "presses", "expected"),
    [
        pytest.param(LONG, escalating(), [], "", id="nobody said so"),
        pytest.param(LONG, TWICE, [], "30 lead, 60 parent, 90 fallback", id="nobody acknowledges"),
        pytest.param(LONG, TWICE, [press(ActionKind.ACK, 40 * MINUTE)], "30 lead", id="somebody does"),
        pytest.param(
            LONG,
            TWICE,
            [press(ActionKind.SNOOZE, 40.5 * MINUTE, lasts=HOUR)],
            "30 lead, 130 parent, 160 fallback",
            id="snoozed",
        ),
        pytest.param(
            LONG,
            TWICE,
            [press(ActionKind.SNOOZE, 10 * MINUTE, lasts=8 * HOUR), press(ActionKind.WAKE, 100.5 * MINUTE)],
            "130 lead, 160 parent, 190 fallback",
            id="woken",
        ),
        pytest.param(of_one((0, 45 * MINUTE)), TWICE, [], "30 lead", id="over"),
        pytest.param(GETS_WORSE, TWICE, [], "50 lead, 80 parent, 110 fallback", id="worse"),
        pytest.param(LONG, COMING, [], "245 lead, 490 parent", id="told again"),
        pytest.param(
            of_one((0, HOUR), (3 * HOUR, 4 * HOUR), (6 * HOUR, 7 * HOUR)),
            COMING,
            [],
            "180 lead, 360 parent",
            id="fired again",
        ),
        pytest.param(of_one((0, 30 * HOUR)), IN_WORKING_TIME, [], "1679 lead", id="in Tokyo's working time"),
        pytest.param(of_one((0, 70 * HOUR)), WORKDAY, [], "2879 lead", id="a working day"),
        pytest.param(ORPHAN, TRIAGE, [], "1979 fallback", id="nobody owns it"),
        pytest.param(SILENCED, TWO_DAYS, [], "5880 lead", id="silent"),
        pytest.param(
            of_one((0, 9 * HOUR), outages=((20 * MINUTE, 80 * MINUTE),)),
            TWICE,
            [],
            "84 lead, 89 parent, 94 fallback",
            id="the router stood still",
        ),
    ],
)
def test_who_is_called(world: World, chart: Chart, presses: list[Press], expected: str) -> None:
    """Small worlds once more, whose calls can be counted by hand."""
    stream = arrivals(world, Random(1))  # noqa: S311  # not for secrets
    checked = compare(world, stream, [arrival.body for arrival in stream], chart=chart, presses=presses)
    told_at = instant(stream[0].at)

    assert checked.differences == ()
    assert (
        ", ".join(
            f"{round((call.at - told_at) / minutes(1))} {call.to}" for fate in checked.fates for call in fate.calls
        )
        == expected
    )


@pytest.mark.parametrize(
    ("world", "chart", "other"),
    [
        pytest.param(LONG, TWICE, escalating(unacked=Unacked(times=3)), id="a wait longer"),
        pytest.param(LONG, COMING, escalating(again=Again(count=2, hours=24)), id="one more"),
        pytest.param(LONG, TWICE, escalating(), id="nobody"),
        pytest.param(
            of_one((0, 30 * HOUR)),
            IN_WORKING_TIME,
            escalating(unacked=Unacked(times=1), within=Wait(minutes=240)),
            id="at any time",
        ),
    ],
)
def test_the_checker_sees_that_somebody_else_is_called(world: World, chart: Chart, other: Chart) -> None:
    """A core that calls by other words than the map's is found out."""
    stream = arrivals(world, Random(1))  # noqa: S311  # not for secrets
    checked = compare(world, stream, [arrival.body for arrival in stream], chart=chart, ownership=map_of(other))

    assert any(" called " in found for found in checked.differences)


def told(
    *words: tuple[float, str, tuple[Alert, ...], str | None], truncated: int = 0
) -> tuple[Replay, list[list[Reason]]]:
    """What the core makes of these words: (minutes from the start, sender, alerts, reason)."""
    replay = Replay()
    reasons = [
        [
            verdict.reason
            for verdict in replay.tell(
                notification(*alerts, sender=sender, reason=reason, truncated=truncated), at=NOW + minutes(at)
            ).verdicts
        ]
        for at, sender, alerts, reason in words
    ]
    return replay, reasons


def only(replay: Replay) -> Incident:
    (incident,) = replay.incidents.values()
    return incident


def fires(name: str = "a", *, at: float = 0) -> Alert:
    return alert(name, since=NOW + minutes(at))


def ends(name: str = "a", *, since: float = 0, at: float) -> Alert:
    return alert(name, resolved=True, since=NOW + minutes(since), until=NOW + minutes(at))


def test_late_resolve_of_an_older_episode_closes_nothing() -> None:
    """The other member's resolve of the last episode, come late, does not end the one that fires now."""
    replay, reasons = told(
        (0, MEMBER, (fires(),), None),
        (5, MEMBER, (ends(at=4),), None),
        (10, MEMBER, (fires(at=7),), None),
        (10.1, OTHER, (ends(at=4),), None),
        (10.2, OTHER, (fires(at=7),), None),
    )

    assert reasons[3:] == [[Reason.OUTDATED], []]
    assert [incident.state for incident in replay.incidents.values()] == [IncidentState.RESOLVED, IncidentState.OPEN]


@pytest.mark.parametrize(
    ("reason", "again", "repeats"),
    [
        pytest.param("first notification", "first notification", 0, id="restart"),
        pytest.param("new alerts added", "new alerts added", 0, id="flush after one whose answers were lost"),
        pytest.param("first notification", "repeat interval elapsed", 1, id="repeat"),
        pytest.param("repeat interval elapsed", "repeat interval elapsed", 1, id="repeat of a repeat"),
        pytest.param(None, None, 1, id="version without reasons"),
    ],
)
def test_only_a_repeat_is_counted_as_one(reason: str | None, again: str | None, repeats: int) -> None:
    """Where the sender says why it tells the same again, only its repeat interval makes it a repeat."""
    replay, _ = told((0, MEMBER, (fires(),), reason), (30, MEMBER, (fires(),), again))

    assert only(replay).repeats == repeats


@pytest.mark.parametrize("minute", [0.1, 5], ids=["at once", "within its flush"])
def test_older_word_of_the_other_member_is_no_repeat(minute: float) -> None:
    """Before 0.32, the other member's flush of before the last alert joined looks like a repeat but for its age."""
    replay, _ = told(
        (0, MEMBER, (fires("a"), fires("b")), None),
        (minute, OTHER, (fires("a"),), None),
    )

    assert only(replay).repeats == 0


def test_resend_of_a_resolve_is_no_repeat_of_what_is_silenced() -> None:
    """A group told resolved again, of which one alert is silenced, says nothing of that one."""
    replay, _ = told(
        (0, MEMBER, (fires("a"), fires("b")), None),
        (5, MEMBER, (ends("a", at=4),), None),
        (10, MEMBER, (ends("a", at=4),), None),
    )

    assert (only(replay).repeats, only(replay).firing) == (0, 1)


def test_repeat_for_one_owner_is_none_for_another() -> None:
    """A repeat of a group counts only for the owners of what is in it: the others' alerts are silenced."""
    ledgers = alert("b", team="ledger")
    replay, _ = told((0, MEMBER, (fires("a"), ledgers), None), (240, MEMBER, (fires("a"),), None))

    assert {incident.owner: incident.repeats for incident in replay.incidents.values()} == {"payments": 1, "ledger": 0}


def test_truncated_group_stays_open() -> None:
    """What is cut off may still fire: the incident stays open, and says that it is partial."""
    replay, _ = told(
        (0, MEMBER, (fires("a"), fires("b")), None),
        (5, MEMBER, (ends("a", at=4), ends("b", at=4)), None),
        truncated=10,
    )

    assert only(replay).state is IncidentState.OPEN


def test_late_firing_of_what_the_other_member_told_over_starts_nothing() -> None:
    """An alert of which one member told only its end is not opened by the other member's older word."""
    replay, reasons = told(
        (0, MEMBER, (fires("a"),), None),
        (5, MEMBER, (fires("a"), ends("b", since=1, at=4)), None),
        (5.1, OTHER, (fires("a"), fires("b", at=1)), None),
    )

    assert set(only(replay).alerts) == {"a"}
    assert reasons[2] == [Reason.STILL_FIRING, Reason.LATE]


def test_late_resolve_of_an_episode_before_a_flap_closes_nothing() -> None:
    """The start of what fires is the newest that was told, so an older end is seen to be older."""
    replay, _ = told(
        (0, MEMBER, (fires(),), None),
        (60, MEMBER, (fires(at=7),), None),  # resolved and fired again between two flushes
        (60.1, OTHER, (ends(at=4),), None),
    )

    assert (only(replay).state, only(replay).alerts["a"].since) == (IncidentState.OPEN, NOW + minutes(7))


def test_late_words_do_not_replace_newer_ones() -> None:
    """An annotation with an older value, from the other member's older flush, is not shown."""

    def worded(summary: str) -> Alert:
        return alert("a", summary=summary)

    replay, _ = told(
        (0, MEMBER, (worded("5 %"),), None),
        (60, MEMBER, (worded("7 %"), fires("b", at=59)), None),
        (60.1, OTHER, (worded("5 %"),), None),
    )

    assert only(replay).alerts["a"].notification == 2
