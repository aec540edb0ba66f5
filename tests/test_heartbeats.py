"""Watchdogs of real routers: learned, lost once, back; and what ended with one is in doubt."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from router.core.errors import LeaseLost
from router.core.history import Event
from router.core.incidents import Incident
from router.core.model import IncidentState, Source
from router.heartbeats import EVERY_S, SUSPECTS_TOGETHER, Heartbeats
from router.leadership import Guard
from router.store import heartbeats, incidents
from router.store.database import Connection
from tests.house import FALLBACK, MAP, ON_SQLITE, PAYMENTS, House, Tell, alert, header
from tests.operators import Operator

# As most maps do.
WATCHED = MAP + "rules:\n  - {id: watchdog, match: {alertname: Watchdog}, drop: true, reason: a heartbeat}\n"
A, B = "http://alertmanager-0:9093", "http://alertmanager-1:9093"
MINUTE, HOUR = 60.0, 3600.0


def watchdog(*, cluster: str = "eu", ended_at: datetime | None = None, **annotations: str) -> dict[str, Any]:
    told = alert("Watchdog", team=None, cluster=cluster)
    if ended_at is not None:
        told |= {"status": "resolved", "endsAt": ended_at.isoformat()}
    return told | {"fingerprint": f"watchdog-{cluster}", "annotations": annotations}


Step = Callable[[], Awaitable[object]]


async def beat(house: House, *, cluster: str = "eu", sender: str = A) -> None:
    await house.tell(watchdog(cluster=cluster), group=f"watchdog-{cluster}", externalURL=sender)


async def end(house: House, *, sender: str = A) -> None:
    ended_at = house.clock() - timedelta(seconds=30)
    await house.tell(watchdog(ended_at=ended_at), group="watchdog-eu", externalURL=sender)


async def beats(house: House, times: int, *, every_s: float = 5 * MINUTE, cluster: str = "eu") -> None:
    for _ in range(times):
        await beat(house, cluster=cluster)
        await house.live(every_s)


def told(house: House) -> list[str]:
    """The headers of what the fallback channel shows, oldest first."""
    return [header(message) for message in house.slack.roots(FALLBACK)]


async def every(house: House) -> list[Incident]:
    return await house.store.read(partial(incidents.page, state=None, before=None, limit=1000))


LOST = "🚨 ALARM BROKEN · Watchdog (cluster=eu)"
BACK = "✅ OVER: ALARM BROKEN · Watchdog (cluster=eu)"


def test_a_watchdog_falls_silent(tell: Tell) -> None:
    """Its rhythm is learned, though the map drops it; its silence is told once, and so is that it is over."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 5)
        await house.live(4 * MINUTE)
        assert told(house) == []
        with capture_logs() as logged:
            await house.live(2 * MINUTE)
            assert told(house) == [LOST]
            await house.live(5 * HOUR)
            assert told(house) == [LOST]
            await beats(house, 6)
        assert told(house) == [BACK]
        assert [line["event"] for line in logged if line["event"].startswith("heartbeat")] == [
            "heartbeat_lost",
            "heartbeat_back",
        ]
        await house.live(12 * MINUTE)
        assert told(house) == [BACK, LOST]
        assert await every(house) == []

    tell(story)


@ON_SQLITE
def test_nothing_is_more_urgent(tell: Tell) -> None:
    """Critical orphans wait for the same channel: that the alarm itself is broken is told before them."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 1)
        for number in range(4):
            await house.tell(alert(f"Down{number}", team=None, severity="critical"), group=f"down-{number}")
        await end(house)
        await house.live(MINUTE)
        assert (told(house)[0], len(told(house))) == (LOST, 5)

    tell(story)


def test_a_watchdog_resolves(tell: Tell) -> None:
    """What looks like good news is that Prometheus died: told at once, though its rhythm is not known yet."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 1)
        for sender in (A, B):
            await end(house, sender=sender)
            await house.live(15)
        assert told(house) == [LOST]
        await house.live(3 * HOUR)
        await house.tell(watchdog() | {"startsAt": house.clock().isoformat()}, group="watchdog-eu", externalURL=A)
        await house.live(MINUTE)
        assert told(house) == [BACK]

    tell(story)


def test_a_declared_one(tell: Tell) -> None:
    """The rule's author says how often it must be heard: nothing has to be learned."""

    async def story(house: House) -> None:
        declared = alert("PipelineAlive") | {"annotations": {"router_heartbeat": "15m"}}
        await house.tell(declared)
        await house.live(29 * MINUTE)
        assert told(house) == []
        await house.live(2 * MINUTE)
        assert told(house) == ["🚨 ALARM BROKEN · PipelineAlive (team=payments)"]
        (incident,) = await every(house)
        assert incident.state is IncidentState.OPEN, "that nothing is heard of it ends nothing"

    tell(story)


def test_two_prometheis(tell: Tell) -> None:
    """One dies, the other goes on: only the one is lost, and the API says which."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        for _ in range(5):
            await beat(house, cluster="us")
            await beats(house, 1)
        await beats(house, 5, cluster="us")
        assert told(house) == [LOST]
        operator = Operator(house, house.map_file)
        status = await operator.json("/api/v1/status")
        assert [(one["name"], one["state"]) for one in status["heartbeats"]] == [
            ("Watchdog (cluster=eu)", "lost"),
            ("Watchdog (cluster=us)", "ok"),
        ]
        assert status["heartbeats"][0]["heard_at"] == "2026-11-21T11:23:00.000Z"
        await operator.ask("/metrics")
        gauge = partial(house.metrics.registry.get_sample_value, "router_heartbeats")
        assert (gauge({"state": "ok"}), gauge({"state": "lost"})) == (1, 1)

    tell(story)


def test_a_pair_with_retries(tell: Tell) -> None:
    """Each beat comes up to four times, then one of the pair dies, then the other: one loss."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        for _ in range(5):
            for sender, pause_s in ((A, 3), (A, 12), (B, 2), (B, 5 * MINUTE - 17)):
                await beat(house, sender=sender)
                await house.live(pause_s)
        for _ in range(4):
            await beat(house, sender=B)
            await house.live(5 * MINUTE)
        assert told(house) == []
        await house.live(4 * MINUTE)
        assert told(house) == []
        await house.live(2 * MINUTE)
        assert told(house) == [LOST]

    tell(story)


# -- the router itself -------------------------------------------------------------------------------------------------


def test_the_router_was_down(tell: Tell) -> None:
    """For three hours nobody listened: nothing is lost for that, but what stays silent from then on is."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 5)
        house.clock.advance(3 * HOUR)
        house.heartbeats = house.new_heartbeats()
        await house.live(4 * MINUTE)
        await beats(house, 2)
        assert told(house) == []
        house.clock.advance(3 * HOUR)
        house.heartbeats = house.new_heartbeats()
        await house.live(9 * MINUTE)
        assert told(house) == []
        await house.live(2 * MINUTE)
        assert told(house) == [LOST]

    tell(story)


def test_the_machine_slept(tell: Tell) -> None:
    """No restart, and yet nobody listened."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 5)
        house.clock.advance(3 * HOUR)
        await house.live(9 * MINUTE)
        assert told(house) == []
        await house.live(2 * MINUTE)
        assert told(house) == [LOST]

    tell(story)


def test_a_restart_between_any_two_steps(tell: Tell) -> None:
    """What is known is in the database: it is lost once, logged, and its doubts are told, whoever goes on."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await house.tell(alert("Down"), externalURL=A)
        await beats(house, 4)
        await house.tell(alert("Down", resolved=True), externalURL=A)
        await house.live(MINUTE)
        await end(house)
        while (await house.dispatcher.step()).more:
            pass
        with capture_logs() as logged:
            for _ in range(5):
                house.heartbeats = house.new_heartbeats()
                await house.heartbeats.step()
        assert [line["suspect"] for line in logged if line["event"] == "heartbeat_lost"] == [1]
        (incident,) = await every(house)
        assert incident.suspect is not None
        await house.live(20 * MINUTE)
        assert told(house) == [LOST]

    tell(story)


class Contested:
    """A lease that another router holds while the test says so."""

    held = True
    lost = False

    def guard(self) -> Guard:
        return self._require

    def _require(self, _connection: Connection) -> None:
        if self.lost:
            raise LeaseLost("another router holds it")


@ON_SQLITE
def test_what_cannot_be_written_is_not_lost(tell: Tell) -> None:
    """While its looks fail nobody can say what was told: its time begins anew, and then it is told once."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 5)
        lease = Contested()
        house.heartbeats = Heartbeats(
            store=house.store,
            clock=house.clock,
            monotonic=house.clock.monotonic,
            wanted=asyncio.Event(),
            lease=lease,
        )
        await house.heartbeats.step()
        lease.lost = True
        failed = 0
        for _ in range(int(20 * MINUTE / EVERY_S)):
            house.clock.advance(EVERY_S)
            try:
                await house.heartbeats.step()
            except LeaseLost:
                failed += 1
        assert failed > 10
        lease.lost = False
        await house.live(9 * MINUTE)
        assert told(house) == []
        await house.live(2 * MINUTE)
        assert told(house) == [LOST]

    tell(story)


@ON_SQLITE
def test_it_may_be_heard_in_what_waits(tell: Tell) -> None:
    """In a flood decisions come late: silence is judged by what is decided."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await beats(house, 5)
        await beat(house)
        for _ in range(int(30 * MINUTE / EVERY_S)):
            house.clock.advance(EVERY_S)
            await house.heartbeats.step()
        assert await house.store.read(heartbeats.lost) == []
        await beat(house)
        await house.live(MINUTE)
        assert told(house) == []

    tell(story)


# -- what ends with it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one after the other"])
@pytest.mark.parametrize("first", [True, False], ids=["the watchdog first", "the watchdog last"])
def test_everything_resolves_at_once(tell: Tell, first: bool, together: bool) -> None:
    """Prometheus is dead: what seems to be over is in doubt, in its message, its thread and the list."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await house.tell(alert("Other", team="ledger"), group="other", externalURL="http://elsewhere")
        for name in ("Disk", "Memory"):
            await house.tell(alert(name), group=name, externalURL=A)
        await beats(house, 2)
        steps: list[Step] = [
            partial(house.tell, alert(name, resolved=True), group=name, externalURL=A) for name in ("Disk", "Memory")
        ]
        steps.insert(0 if first else len(steps), partial(end, house))
        for step in steps:
            await step()
            if not together:
                await house.live(20)
        await house.tell(alert("Other", team="ledger", resolved=True), group="other", externalURL="http://elsewhere")
        if together:
            await house.dispatcher.step()
            assert sum(incident.suspect is not None for incident in await every(house)) == 2, "shown so from the first"
        await house.live(2 * MINUTE)

        found = {incident.title: incident for incident in await every(house)}
        assert {name: incident.suspect is not None for name, incident in found.items()} == {
            "Disk": True,
            "Memory": True,
            "Other": False,
        }
        for name in ("Disk", "Memory"):
            assert found[name].state is IncidentState.RESOLVED
            assert [one.event for one in found[name].history].count(Event.SUSPECT) == 1
        assert [("MAY NOT BE OVER" in header(root)) for root in house.slack.roots(PAYMENTS)] == [True, True]
        assert told(house) == [LOST]

    tell(story)


def test_what_ends_while_it_is_lost(tell: Tell) -> None:
    """Each group tells so at its own next flush; and when the heartbeat is back that stays said."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        for name in ("Early", "Late", "Sound"):
            await house.tell(alert(name), group=name, externalURL=A)
        await house.live(MINUTE)
        await house.tell(alert("Early", resolved=True), group="Early", externalURL=A)
        await house.live(20 * MINUTE)
        await end(house)
        await house.live(5 * MINUTE)
        await house.tell(alert("Late", resolved=True), group="Late", externalURL=A)
        await house.live(5 * MINUTE)
        await house.tell(watchdog() | {"startsAt": house.clock().isoformat()}, group="watchdog-eu", externalURL=A)
        await house.live(5 * MINUTE)
        await house.tell(alert("Sound", resolved=True), group="Sound", externalURL=A)
        await house.live(5 * MINUTE)
        doubted = {incident.title: incident.suspect for incident in await every(house)}
        assert {name for name, suspect in doubted.items() if suspect is not None} == {"Late"}
        assert told(house) == [BACK]

    tell(story)


@ON_SQLITE
def test_many_end_at_once(tell: Tell) -> None:
    """Hundreds are looked at a page at a time, so that what arrives does not wait for all of them."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        number = 2 * SUSPECTS_TOGETHER + 20
        for resolved in (False, True):
            for one in range(number):
                await house.tell(alert(f"A{one}", resolved=resolved), group=f"g{one}", externalURL=A)
            await house.decide()
            house.clock.advance(MINUTE)
        await end(house)
        while (await house.dispatcher.step()).more:
            pass
        pages = []
        while await house.heartbeats.step() == 0.0:
            found = await every(house)
            pages.append(sum(incident.suspect is not None for incident in found))
        assert pages == [SUSPECTS_TOGETHER, 2 * SUSPECTS_TOGETHER, number]

    tell(story)


@ON_SQLITE
def test_a_fault_over_one(tell: Tell) -> None:
    """What ended with one heartbeat cannot be read: the other is watched, and what is told is told."""

    async def story(house: House) -> None:
        house.new_map(WATCHED)
        await house.tell(alert("Down"), group="down", externalURL=A)
        await beats(house, 5, cluster="us")
        await house.tell(alert("Down", resolved=True), group="down", externalURL=A)
        await house.live(MINUTE)
        await house.store.write(lambda connection: connection.execute("UPDATE incidents SET document = '{'"))
        await end(house)
        with capture_logs() as logged:
            await house.live(30 * MINUTE)
        assert [line["event"] for line in logged if line["event"].startswith("heartbeat")] == [
            "heartbeat_not_looked_at",
            "heartbeat_not_looked_at",
        ]
        assert told(house) == [LOST, LOST.replace("eu", "us")]

    tell(story)


# -- a newer run of the job --------------------------------------------------------------------------------------------

JOB = (
    MAP
    + """
jobs:
  billing-invoice:
    owner: payments
    match: {cronjob: billing-invoice}
"""
)


async def report(house: House, *, at: datetime) -> None:
    """Honeybadger tells that the check-in of the job reported."""
    check_in = {"id": "AbC123", "name": "invoice nightly", "slug": "billing-invoice", "reported_at": at.isoformat()}
    body = {"event": "check_in_reporting", "project": {"id": 1, "name": "Billing"}, "check_in": check_in}
    await house.inbox.accept(source=Source.HONEYBADGER, body=json.dumps(body).encode(), error=None, now=house.clock())


def failed(name: str, *, job: str = "billing-invoice", since: datetime | None = None) -> dict[str, Any]:
    told = alert(name, cronjob=job)
    return told if since is None else told | {"startsAt": since.isoformat()}


@pytest.mark.parametrize("first", [True, False], ids=["the report first", "the report last"])
def test_a_newer_run_ends_what_an_older_one_left(tell: Tell, first: bool) -> None:
    """In whatever group and source; also when the failure is told once more in the same batch, and afterwards."""

    async def story(house: House) -> None:
        house.new_map(JOB)
        await house.tell(failed("KubeJobFailed"), group="failed")
        await house.tell(failed("KubeJobSlow"), group="slow")
        await house.tell(failed("KubeJobFailedToo", job="another"), group="another")
        await house.live(HOUR)
        steps: list[Step] = [
            partial(report, house, at=house.clock()),
            partial(house.tell, failed("KubeJobFailed") | {"annotations": {"summary": "new"}}, group="failed"),
        ]
        for step in steps if first else reversed(steps):
            await step()
        await house.live(MINUTE)
        found = {incident.title: incident for incident in await every(house)}
        states = {name: incident.state.value for name, incident in found.items()}
        assert states == {"KubeJobFailed": "resolved", "KubeJobSlow": "resolved", "KubeJobFailedToo": "open"}
        for name in ("KubeJobFailed", "KubeJobSlow"):
            assert found[name].history[-1].event is Event.SUPERSEDED_RUN
        shown = [header(root)[0] for root in house.slack.roots(PAYMENTS)]
        assert shown.count("✅") == 2
        await house.tell(failed("KubeJobFailed"), group="failed", externalURL=B)
        await house.live(MINUTE)
        assert len(await every(house)) == 3
        for hours in (4, 48):  # the failed Job is there until somebody deletes it, and Alertmanager tells it on
            await house.live(hours * HOUR)
            await house.tell(failed("KubeJobFailed"), group="failed")
            await house.live(MINUTE)
            assert len(await every(house)) == 3

    tell(story)


def test_what_failed_since_the_report_stays(tell: Tell) -> None:
    """A report is about the run that made it: the next one failed after it."""

    async def story(house: House) -> None:
        house.new_map(JOB)
        reported_at = house.clock()
        house.clock.advance(HOUR)
        await house.tell(failed("KubeJobFailed", since=house.clock()), group="failed")
        await house.live(MINUTE)
        await report(house, at=reported_at)
        await house.live(MINUTE)
        (incident,) = await every(house)
        assert incident.state is IncidentState.OPEN

    tell(story)
