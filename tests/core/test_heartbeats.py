"""What is a heartbeat, when one is lost, and what its silence says of others."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce

import pytest

from router.core.heartbeats import (
    HEARTBEAT_ANNOTATION,
    Beat,
    Change,
    Heartbeat,
    Why,
    beats_of,
    due_at,
    fallen_silent,
    heard,
    is_suspect,
    notice_of,
    overdue_at,
    suspected,
)
from router.core.history import Event
from router.core.incidents import Incident
from router.core.model import DRILL_ANNOTATION, Alert, Source
from router.core.routing import Group, decide
from tests.core.factories import NOW, TeamLabelMap, alert, minutes, notification

A, B = "http://am-0", "http://am-1"


def watchdog(*, resolved: bool = False, since: datetime = NOW, until: datetime | None = None, **labels: str) -> Alert:
    return alert("Watchdog", team=None, resolved=resolved, since=since, until=until, **labels)


def declared(text: str, *, name: str = "PipelineAlive") -> Alert:
    return replace(alert(name), annotations={HEARTBEAT_ANNOTATION: text})


def beat(told: Alert, *, sender: str = A) -> Beat:
    (found,) = beats_of(notification(told, sender=sender))
    return found


def beaten(*at: float, told: Alert | None = None, sender: str = A) -> Heartbeat:
    """A heartbeat that was heard at these minutes."""
    known, _ = heard(None, beat(told or watchdog(), sender=sender), now=NOW + minutes(at[0]))
    return reduce(lambda known, at: again(known, at, sender=sender), at[1:], known)


def again(known: Heartbeat, at: float, *, sender: str = A) -> Heartbeat:
    after, _ = heard(known, replace(beat(watchdog(), sender=sender), within=known.within), now=NOW + minutes(at))
    return after


EVERY_5 = beaten(0, 5, 10, 15)


@pytest.mark.parametrize(
    ("told", "found"),
    [
        pytest.param(alert("Watchdog"), True, id="of kube-prometheus"),
        pytest.param(alert("watchDog"), True, id="without case"),
        pytest.param(alert("DeadMansSwitch"), True, id="its older name"),
        pytest.param(alert("DeadMansSnitch"), True, id="as the service"),
        pytest.param(alert("PrometheusAlwaysFiring"), True, id="always firing"),
        pytest.param(alert("WatchdogMissing"), False, id="only like one"),
        pytest.param(alert("Heartbeat"), False, id="fires when one is missing, mostly"),
        pytest.param(alert(""), False, id="without a name"),
        pytest.param(declared("15m"), True, id="declared with its time"),
        pytest.param(declared("yes"), True, id="declared"),
        pytest.param(declared("TRUE "), True, id="declared, in other letters"),
        pytest.param(declared("quarter of an hour"), True, id="declared, with a time that is none"),
        pytest.param(declared("no", name="Watchdog"), False, id="declared to be none"),
        pytest.param(
            replace(alert("Watchdog"), annotations={DRILL_ANNOTATION: "Watchdog"}), False, id="a drill is never one"
        ),
    ],
)
def test_what_is_a_heartbeat(told: Alert, found: bool) -> None:
    """By its usual names, or because the rule's author says so; firing or resolved alike."""
    assert bool(beats_of(notification(told))) is found


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        pytest.param({}, "Watchdog", id="nothing but its name"),
        pytest.param({"severity": "none"}, "Watchdog", id="what they all have"),
        pytest.param(
            {"cluster": "eu", "prometheus": "monitoring/k8s"},
            "Watchdog (cluster=eu, prometheus=monitoring/k8s)",
            id="two",
        ),
        pytest.param({"cluster": "a\nb\x00"}, "Watchdog (cluster=a b )", id="one line"),
        pytest.param({"cluster": "x" * 200}, f"Watchdog (cluster={'x' * 101}…", id="cut"),
    ],
)
def test_its_name(labels: dict[str, str], name: str) -> None:
    """People see by which labels it differs from others of the same name."""
    told = replace(watchdog(), labels={"alertname": "Watchdog", **labels})
    assert beat(told).name == name


def test_two_prometheis_are_two() -> None:
    """Their alerts differ in a label, so in the fingerprint; and the same fingerprint of another source is another."""
    eu = replace(watchdog(cluster="eu"), fingerprint="1")
    us = replace(watchdog(cluster="us"), fingerprint="2")
    grafana = replace(notification(eu), source=Source.GRAFANA)
    assert len({told.id for told in (*beats_of(notification(eu, us)), *beats_of(grafana))}) == 3


@pytest.mark.parametrize(
    ("known", "overdue_after"),
    [
        pytest.param(beaten(0), None, id="heard once"),
        pytest.param(beaten(0, 5, 10), None, id="two gaps say nothing"),
        pytest.param(EVERY_5, 10, id="three do: twice the gap"),
        pytest.param(beaten(0, 1, 2, 3), 3, id="a short one: two minutes more"),
        pytest.param(beaten(0, 20 / 60, 45 / 60, 65 / 60), 25 / 60 + 2, id="one flush missed now and then"),
        pytest.param(beaten(0, 5, 65, 70), 120, id="of a few gaps the longest"),
        pytest.param(beaten(0, 5, 10, 15, 195, 200), 10, id="of five one is forgiven: the router was down"),
        pytest.param(beaten(0, 10, 240, 250, 480, 490), 460, id="a pair that is cut in two tells in turn"),
        pytest.param(beaten(*range(0, 60, 5), *range(60, 360, 30)), 60, id="it was made slower"),
        pytest.param(beaten(0, told=declared("15m")), 30, id="declared: twice that, from the first time"),
        pytest.param(beaten(0, 1, 2, 3, told=declared("15m")), 30, id="declared, whatever its rhythm"),
        pytest.param(beaten(0, told=declared("0s")), None, id="declared never: learned"),
    ],
)
def test_overdue(known: Heartbeat, overdue_after: float | None) -> None:
    """Declared or learned; while neither is known its silence says nothing."""
    assert overdue_at(known) == (None if overdue_after is None else known.heard_at + minutes(overdue_after))


def test_nobody_listened() -> None:
    """What was told while the router was down cannot have been heard: its time begins anew."""
    assert overdue_at(EVERY_5, listening_since=NOW + minutes(180)) == NOW + minutes(190)
    assert overdue_at(EVERY_5, listening_since=NOW - minutes(180)) == NOW + minutes(25)


def test_a_retry_is_a_sign_of_life_and_no_gap() -> None:
    """Neither the same bytes once more, nor the other of a pair: the rhythm is what one of them keeps."""
    known = EVERY_5
    for at in (15.1, 15.14):
        known = again(known, at)
        assert (known.heard_at, known.gaps) == (NOW + minutes(at), EVERY_5.gaps)
    pair = beaten(0)
    for at in (5, 10, 15, 20):
        pair = again(again(pair, at - 4.75, sender=B), at)
    assert pair.gaps == (minutes(5),) * 4
    assert overdue_at(pair) == NOW + minutes(30)


def test_news_of_others_is_no_rhythm() -> None:
    """In a group with others it is told whenever something happens to them: that these hours are over is no loss."""
    known = beaten(0)
    for at in range(5, 100, 5):
        told = notification(watchdog(), alert(f"other-{at}"), sender=A)
        known, _ = heard(known, beats_of(told)[0], now=NOW + minutes(at))
    assert (known.heard_at, known.gaps) == (NOW + minutes(95), ())
    known = reduce(again, (96, 336, 576, 816), known)
    assert overdue_at(known) == NOW + minutes(816 + 480)


def test_the_other_of_a_pair_takes_over() -> None:
    """One Alertmanager stops: nothing is lost, and the rhythm stays what it was."""
    known = EVERY_5
    for at in range(20, 120, 5):
        known, change = heard(known, beat(watchdog(), sender=B), now=NOW + minutes(at + 0.25))
        assert change is None
    assert overdue_at(known) == known.heard_at + minutes(10)


def test_resolved_is_lost() -> None:
    """When Prometheus dies its heartbeat resolves: once, whoever of a pair tells it how often; and it comes back."""
    ended = watchdog(resolved=True, until=NOW + minutes(17))
    known, change = heard(EVERY_5, beat(ended), now=NOW + minutes(18))
    assert change is Change.LOST
    assert known.lost is not None
    assert known.lost.why is Why.RESOLVED
    assert overdue_at(known) is None
    for sender, at in ((B, 18.3), (A, 23), (B, 23.3)):
        known, change = heard(known, beat(ended, sender=sender), now=NOW + minutes(at))
        assert change is None
    known, change = heard(known, beat(watchdog(since=NOW + minutes(30))), now=NOW + minutes(31))
    assert change is Change.BACK
    assert known.lost is None
    known, change = heard(known, beat(ended, sender=B), now=NOW + minutes(31.2))
    assert (known.lost, change) == (None, None), "the old end once more"


def test_the_same_end_once_more() -> None:
    """Prometheus was cut off, and goes on with the same episode: the twin's late word is no new end."""
    ended = watchdog(resolved=True, until=NOW + minutes(17))
    known, _ = heard(EVERY_5, beat(ended), now=NOW + minutes(18))
    known, change = heard(known, beat(watchdog()), now=NOW + minutes(19))
    assert change is Change.BACK
    assert heard(known, beat(ended, sender=B), now=NOW + minutes(19.2))[1] is None


def test_the_first_word_is_that_it_ended() -> None:
    """A router that is younger than the heartbeat is told that the alarm is broken: it says so."""
    assert heard(None, beat(watchdog(resolved=True)), now=NOW)[1] is Change.LOST


@pytest.mark.parametrize(
    ("told", "at", "change"),
    [
        pytest.param(watchdog(), 20, None, id="the other of the pair did not hear of it yet"),
        pytest.param(watchdog(), 28, Change.BACK, id="it does not hear of it: it fires"),
        pytest.param(watchdog(since=NOW + minutes(19)), 20, Change.BACK, id="a new episode"),
        pytest.param(replace(watchdog(), starts_at=None), 20, Change.BACK, id="of no known time"),
    ],
)
def test_late_firing(told: Alert, at: float, change: Change | None) -> None:
    """What another sender says of the episode that ended is not believed at once."""
    ended, _ = heard(EVERY_5, beat(watchdog(resolved=True, until=NOW + minutes(17))), now=NOW + minutes(18))
    assert heard(ended, beat(told, sender=B), now=NOW + minutes(at))[1] is change


@pytest.mark.parametrize(
    ("until", "sender", "change"),
    [
        pytest.param(25, B, None, id="of another sender: an episode before"),
        pytest.param(25, A, Change.LOST, id="one sender is always believed"),
        pytest.param(31, B, Change.LOST, id="of this episode"),
    ],
)
def test_late_end(until: float, sender: str, change: Change | None) -> None:
    """An end that is older than the present episode is old news."""
    fires, _ = heard(EVERY_5, beat(watchdog(since=NOW + minutes(30))), now=NOW + minutes(30))
    ended = watchdog(resolved=True, until=NOW + minutes(until))
    assert heard(fires, beat(ended, sender=sender), now=NOW + minutes(32))[1] is change


def test_silence_is_lost_and_any_word_brings_it_back() -> None:
    """Also the same episode, by whoever tells it; that it is told resolved meanwhile is no further loss."""
    lost = fallen_silent(EVERY_5, now=NOW + minutes(25))
    assert due_at(lost) is not None, "somebody looks at what ended with it"
    assert heard(lost, beat(watchdog(), sender=B), now=NOW + minutes(26))[1] is Change.BACK
    assert heard(lost, beat(watchdog(resolved=True)), now=NOW + minutes(26))[1] is None


def test_an_outage_is_no_rhythm() -> None:
    """After three hours of silence, and after three hours resolved, it is missed as soon as before."""
    silent = again(fallen_silent(again(EVERY_5, 20), now=NOW + minutes(30)), 200)
    assert overdue_at(silent) == NOW + minutes(210)
    ended, _ = heard(EVERY_5, beat(watchdog(resolved=True)), now=NOW + minutes(18))
    assert overdue_at(again(ended, 200)) == NOW + minutes(210)


def test_a_clock_that_goes_back() -> None:
    """A beat before the last one changes nothing but that it was heard."""
    assert again(EVERY_5, 3) == EVERY_5


def test_what_the_notice_says() -> None:
    """Why, and since when."""
    ended, _ = heard(EVERY_5, beat(watchdog(resolved=True, until=NOW + minutes(17))), now=NOW + minutes(18))
    assert notice_of(ended, now=NOW).error == "resolved at 2026-11-21T11:20:00Z"
    silent = notice_of(fallen_silent(EVERY_5, now=NOW + minutes(25)), now=NOW + minutes(26), reference=None)
    assert silent.error == "silent since 2026-11-21T11:18:00Z"
    assert (silent.subject, silent.source, silent.first_at) == ("Watchdog", Source.ALERTMANAGER, NOW + minutes(26))


# -- what ended with it ------------------------------------------------------------------------------------------------

LOST, _ = heard(EVERY_5, beat(watchdog(resolved=True)), now=NOW + minutes(60))


def ended(*, at: float = 60, by: str = A, name: str = "a", resolved: bool = True) -> Incident:
    """An incident that was told resolved at that minute."""
    ownership = TeamLabelMap()
    group = Group(telling=None, incidents=())
    opened = decide(notification(alert(name)), id=1, group=group, ownership=ownership, now=NOW)
    group = Group(telling=opened.telling, incidents=opened.incidents)
    closing = notification(alert(name, resolved=resolved, summary="" if resolved else "changed"), sender=by)
    closed = decide(closing, id=2, group=group, ownership=ownership, now=NOW + minutes(at))
    (incident,) = closed.incidents
    return incident


@pytest.mark.parametrize(
    ("incident", "doubted"),
    [
        pytest.param(ended(), True, id="at the same time"),
        pytest.param(ended(at=55), True, id="shortly before"),
        pytest.param(ended(at=54), False, id="long before"),
        pytest.param(ended(at=119), True, id="while it is lost"),
        pytest.param(ended(at=121), False, id="much later: who tells it is alive"),
        pytest.param(ended(by=B), False, id="told by an Alertmanager that never told the heartbeat"),
        pytest.param(ended(resolved=False), False, id="still open"),
        pytest.param(ended(name="Watchdog"), False, id="its own"),
        pytest.param(replace(ended(), handed_over=True), False, id="its alerts went to another owner"),
        pytest.param(replace(ended(), source=Source.HONEYBADGER), False, id="of another source"),
        pytest.param(suspected(ended(), LOST, now=NOW), False, id="once is enough"),
    ],
)
def test_what_is_in_doubt(incident: Incident, doubted: bool) -> None:
    """What ended when the heartbeat of its sender was lost."""
    assert is_suspect(incident, LOST) is doubted


def test_nothing_is_in_doubt_while_it_beats() -> None:
    """Only one that is lost says something."""
    assert not is_suspect(ended(), EVERY_5)


def test_a_doubt_is_told() -> None:
    """By name, and since when; a new revision for the messages, a happening for the thread."""
    before = ended()
    after = suspected(before, LOST, now=NOW + timedelta(hours=2))
    assert after.suspect is not None
    assert (after.suspect.heartbeat, after.suspect.lost_at) == ("Watchdog", NOW + minutes(60))
    assert (after.revision, after.closed_at) == (before.revision + 1, before.closed_at)
    told = after.history[-1]
    assert (told.event, told.names, told.at) == (Event.SUSPECT, ("Watchdog",), NOW + timedelta(hours=2))
    assert not told.calls
