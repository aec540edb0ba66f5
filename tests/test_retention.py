"""What is pruned and what never is; that a crash leaves it consistent, and that no sender waits for it."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.core.actions import Action, ActionKind
from router.core.cards import card
from router.core.identifiers import next_identifier
from router.core.incidents import Incident
from router.core.model import Cause, Channel, IncidentState, MessageKind, Notice, Source, Undelivered
from router.core.ownership import OwnershipMap
from router.dispatcher import Dispatcher
from router.heartbeats import Heartbeats
from router.inbox import DurableInbox
from router.intake.reading import read
from router.leadership import SoleLease
from router.ownership_file import load_map
from router.reassigner import Reassigner
from router.retention import EVERY, KEPT, PAUSE_S, Retention
from router.store import actions, dead_letters, inbox, incidents, messages, retention, sending
from router.store.database import Connection, Store
from router.store.instants import micros
from router.store.retention import TABLES
from router.telemetry import Metrics
from tests.house import FALLBACK, MAP, START, Clock, alert
from tests.postgres import PostgresServer
from tests.router_process import PROJECT
from tests.store.opened import opened

DAY: Final = timedelta(days=1)
TO_LEDGER: Final = (
    MAP + "overrides:\n  - {id: all, match: ['alertname!=\"\"'], owner: ledger, expires: 2028-12-01, reason: test}\n"
)


@dataclass
class Life:
    """A router without Slack: what it is told is decided, and its messages are sent or refused as the test says."""

    store: Store
    directory: Path
    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.ownership = self._load(MAP)
        wanted = asyncio.Event()
        self.inbox = DurableInbox(store=self.store, last_id=0, drawn=lambda: 0, arrived=asyncio.Event(), wanted=wanted)
        self.dispatcher = Dispatcher(
            store=self.store,
            ownership=lambda: self.ownership,
            clock=self.clock,
            metrics=self.metrics,
            wanted=wanted,
            arrivals=lambda: 0,
            cpu_clock=lambda: 0.0,
            lease=SoleLease(),
        )
        self.reassigner = Reassigner(
            store=self.store,
            ownership=lambda: self.ownership,
            clock=self.clock,
            metrics=self.metrics,
            wanted=wanted,
            lease=SoleLease(),
        )
        self.retention = Retention(store=self.store, clock=self.clock, metrics=self.metrics)

    def _load(self, body: str) -> OwnershipMap:
        file = self.directory / "ownership.yaml"
        file.write_text(body, encoding="utf-8")
        return load_map(file)

    async def new_map(self, body: str) -> None:
        self.ownership = self._load(body)
        while await self.reassigner.step():
            pass

    async def tell(self, *alerts: Mapping[str, Any], group: str = "g") -> str:
        body = {"version": "4", "receiver": "router", "groupKey": group, "status": "firing", "alerts": alerts}
        return await self.accept(json.dumps(body | {"externalURL": "http://am"}).encode())

    async def accept(self, body: bytes, *, error: str | None = None) -> str:
        return await self.inbox.accept(source=Source.ALERTMANAGER, body=body, error=error, now=self.clock())

    async def decide(self) -> None:
        while (await self.dispatcher.step()).more:
            pass

    async def send(self, *, refuse: bool = False, limit: int = 1000) -> None:
        """Everything that waits reaches Slack, or is given up; digests are made where many wait for one channel."""
        for number in range(limit):
            claimed = await self.store.write(
                partial(
                    sending.claim,
                    now=self.clock(),
                    lease=timedelta(seconds=20),
                    posts=1,
                    edits=1,
                    limit=1,
                    blocked=(),
                    fallback=FALLBACK,
                )
            )
            if not claimed:
                return
            (message,) = claimed
            if refuse and message.kind is not MessageKind.NOTICE:
                where = Undelivered(
                    channel=Channel(name="gone", id=message.channel_id or FALLBACK), reason="is_archived"
                )
                work: Callable[[Connection], object] = partial(
                    sending.give_up,
                    claimed=message,
                    failure=None,
                    error="is_archived",
                    undelivered=where,
                    now=self.clock(),
                )
            else:
                ts = message.ts or f"{self.clock().timestamp():.0f}.{number:06d}"
                work = partial(sending.delivered, claimed=message, ts=ts, revision=message.revision, now=self.clock())
            await self.store.write(work)

    async def live(self) -> None:
        await self.decide()
        await self.send()

    async def prune(self) -> None:
        """One whole round, whenever the last one was."""
        self.clock.advance(EVERY.total_seconds())
        while await self.retention.step() < EVERY.total_seconds():
            self.clock.advance(PAUSE_S)

    async def rows(self, table: str, where: str = "1 = 1") -> list[dict[str, Any]]:
        return await self.store.read(partial(_rows, table=table, where=where))

    async def sums(self) -> dict[str, int]:
        """Both sums of the promise, which must balance."""
        found = await self.store.read(inbox.sums)
        found["pending"], _ = await self.store.read(messages.pending)
        assert found["wanted"] == sum(found[state] for state in ("delivered", "pending", "superseded", "dead"))
        assert found["accepted"] == sum(found[state] for state in ("deduplicated", "quarantined", "decided", "waiting"))
        return found


COLUMNS: Final = {
    "notifications": "id source received_at state error duplicate_of verdicts decided_at handled_at replay",
    "bodies": "id body",
    "incidents": "id alert_group state closed_at first_notification last_notification revision document",
    "messages": "id incident kind channel ts state wanted shown wanted_at error cause notice digest handled_at replay",
    "tellings": "alert_group content notification at",
    "actions": "id state",
    "heartbeats": "id lost heard_at due_at",
}


def _rows(connection: Connection, *, table: str, where: str) -> list[dict[str, Any]]:
    columns = COLUMNS[table].split()
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY {columns[0]}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def lives(database: str, directory: Path, story: Callable[[Life], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opened(database, Metrics()) as store:
            await story(Life(store=store, directory=directory, clock=Clock()))

    asyncio.run(run())


async def counted(life: Life, *tables: str) -> tuple[int, ...]:
    return tuple([len(await life.rows(table)) for table in tables])


async def words(life: Life, id: str) -> dict[str, str]:
    """What a message of the incident says of each of its alerts; empty where it is not known any more."""
    shown = await life.store.read(partial(incidents.with_bodies, id=id, needed=_told_in))
    told = {number: read(source, body) for number, (source, body) in shown.bodies.items()}
    shows = card(shown.incident, kind=MessageKind.ROOT, told=told, ownership=life.ownership)
    return {one.alert.name: one.alert.annotations.get("summary", "") for one in shows.alerts}


def _told_in(incident: Incident) -> set[int]:
    return {tracked.notification for tracked in incident.alerts.values()}


ALL: Final = ("notifications", "bodies", "incidents", "messages", "tellings")


def test_what_ended_thirty_days_ago_goes(database: str, tmp_path: Path) -> None:
    """A day before nothing goes, a day after all of it, and the totals are of all time."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        await life.tell(alert("A", resolved=True))
        await life.live()
        sums = await life.sums()
        before = await counted(life, *ALL)
        assert before == (2, 2, 1, 2, 1), "its message, and a reply that tells its end"

        life.clock.advance((KEPT - DAY).total_seconds())
        await life.prune()
        assert await counted(life, *ALL) == before

        life.clock.advance((2 * DAY).total_seconds())
        await life.prune()
        assert await counted(life, *ALL) == (0, 0, 0, 0, 0)
        assert await life.sums() == sums
        gone = {
            table: life.metrics.registry.get_sample_value("router_pruned_rows_total", {"table": table}) for table in ALL
        }
        assert tuple(gone.values()) == before

    lives(database, tmp_path, story)


def test_an_open_incident_keeps_what_it_needs(database: str, tmp_path: Path) -> None:
    """However long it is open: its words, its last notification for who follows the link, and its message."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        life.clock.advance(600)
        await life.tell(alert("A"), alert("B", team="ledger"))
        await life.live()
        life.clock.advance(600)
        await life.tell(alert("A"), alert("B", team="ledger", resolved=True))
        await life.live()
        for _ in range(2):
            life.clock.advance(4 * 3600)
            await life.tell(alert("A"))  # the second says nothing new, and is counted
            await life.live()
        life.clock.advance((3 * KEPT).total_seconds())
        await life.prune()

        (incident,) = await life.rows("incidents")
        assert incident["state"] == "open"
        assert incident["last_notification"] != incident["first_notification"]
        assert await words(life, incident["id"]) == {"A": "A is not as it should be"}
        assert len(await life.rows("notifications", f"id = {incident['last_notification']}")) == 1
        assert await counted(life, "messages", "tellings", "bodies") == (1, 1, 2)

    lives(database, tmp_path, story)


def test_an_alert_that_moved_keeps_its_words(database: str, tmp_path: Path) -> None:
    """A changed map gives it to an incident that is younger than the body in which it fired."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        life.clock.advance((KEPT - DAY).total_seconds())
        await life.tell(alert("A"), alert("B", team="ledger"))
        await life.live()
        await life.new_map(TO_LEDGER)
        await life.send()
        life.clock.advance((2 * DAY).total_seconds())
        await life.prune()

        (incident,) = await life.rows("incidents", "state = 'open'")
        assert set(await words(life, incident["id"])) == {"A", "B"}
        assert all((await words(life, incident["id"])).values())

    lives(database, tmp_path, story)


def test_a_dead_letter_stays_until_it_was_handled(database: str, tmp_path: Path) -> None:
    """A body that was not understood and a message that was refused: kept for a year, and 30 days after the drop."""

    async def story(life: Life) -> None:
        await life.accept(b"{", error="not JSON")
        await life.tell(alert("A"))
        await life.decide()
        await life.send(refuse=True)
        await life.tell(alert("A", resolved=True))
        await life.decide()
        await life.send(refuse=True)
        life.clock.advance((12 * KEPT).total_seconds())
        await life.prune()
        assert len(await life.rows("notifications", "state = 'quarantined'")) == 1
        (incident,) = await life.rows("incidents")
        assert all((await words(life, incident["id"])).values())

        dropped_at = life.clock()
        await drop_all(life)
        await life.prune()
        assert len(await life.rows("messages", "state = 'dead'")) > 0
        life.clock.now = dropped_at + KEPT + DAY
        await life.prune()
        assert await counted(life, *ALL) == (0, 0, 0, 0, 0)
        sums = await life.sums()
        assert (sums["quarantined"], sums["decided"]) == (1, 2)

    lives(database, tmp_path, story)


async def drop_all(life: Life) -> None:
    for table, drop in (("notifications", dead_letters.drop_notifications), ("messages", dead_letters.drop_deliveries)):
        state = "quarantined" if table == "notifications" else "dead"
        ids = [row["id"] for row in await life.rows(table, f"state = '{state}'")]
        await life.store.write(partial(drop, ids=ids, now=life.clock()))


def test_a_notice_that_is_still_so_stays(database: str, tmp_path: Path) -> None:
    """A map that is refused for months: its line is edited when that is over, and goes 30 days later."""

    async def story(life: Life) -> None:
        for cause in (Cause.MAP_REJECTED, Cause.TOO_LARGE):
            await life.store.write(partial(messages.notify, notice=_notice(cause, life.clock())))
        await life.send()
        life.clock.advance((2 * KEPT).total_seconds())
        await life.prune()
        (left,) = await life.rows("messages")
        assert left["cause"].startswith("map_rejected")
        notice = _notice(Cause.MAP_REJECTED, life.clock())
        await life.store.write(partial(messages.end_notices, notice=notice, now=life.clock()))
        await life.send()
        life.clock.advance((KEPT + DAY).total_seconds())
        await life.prune()
        assert await life.rows("messages") == []

    lives(database, tmp_path, story)


def _notice(cause: Cause, now: datetime) -> Notice:
    return Notice(cause=cause, source=None, error="e", count=1, first_at=now, last_at=now, reference=None)


def test_a_digest_goes_with_the_last_that_it_stands_for(database: str, tmp_path: Path) -> None:
    """While one of its incidents is open the others stay too: an edit of the digest shows all of its lines."""

    async def story(life: Life) -> None:
        for number in range(8):
            await life.tell(alert(f"A{number}"), group=f"g{number}")
        await life.live()
        (digest,) = await life.rows("messages", "kind = 'digest'")
        members = await life.rows("messages", f"digest = {digest['id']}")
        assert len(members) > 5
        for number in range(1, 8):
            await life.tell(alert(f"A{number}", resolved=True), group=f"g{number}")
        await life.live()
        life.clock.advance((2 * KEPT).total_seconds())
        await life.prune()
        assert len(await life.rows("messages", f"digest = {digest['id']}")) == len(members)
        await life.tell(alert("A0", resolved=True), group="g0")
        await life.live()
        life.clock.advance((KEPT + DAY).total_seconds())
        await life.prune()
        assert await counted(life, "messages", "incidents") == (0, 0)

    lives(database, tmp_path, story)


def test_a_digest_of_nothing_goes_too(database: str, tmp_path: Path) -> None:
    """All that it stood for was told again in a newer one."""

    async def story(life: Life) -> None:
        for _ in range(2):
            for number in range(8):
                await life.tell(alert(f"A{number}"), group=f"g{number}")
            await life.live()
            life.clock.advance(DAY.total_seconds())
        first, newer = await life.rows("messages", "kind = 'digest'")
        assert await life.rows("messages", f"digest = {first['id']}") == []
        assert len(await life.rows("messages", f"digest = {newer['id']}")) > 5
        for number in range(8):
            await life.tell(alert(f"A{number}", resolved=True), group=f"g{number}")
        await life.live()
        life.clock.advance((KEPT + DAY).total_seconds())
        await life.prune()
        assert await counted(life, "messages", "incidents") == (0, 0)

    lives(database, tmp_path, story)


def test_a_dead_letter_stays_outdated(database: str, tmp_path: Path) -> None:
    """However long ago its alert group was told again: a replay must not open what ended then."""

    async def story(life: Life) -> None:
        await life.accept(b"{}", error="an older router's word")
        life.clock.advance(60)
        for resolved in (False, True):
            await life.tell(alert("A", resolved=resolved))
            await life.live()
        life.clock.advance((KEPT + DAY).total_seconds())
        await life.prune()
        assert await counted(life, "incidents", "tellings") == (0, 1)
        (letter,) = await life.rows("notifications", "state = 'quarantined'")
        drop = partial(dead_letters.drop_notifications, ids=[letter["id"]], now=life.clock())
        await life.store.write(drop)
        await life.prune()
        assert await counted(life, "tellings") == (0,)

    lives(database, tmp_path, story)


def test_what_is_replayed_during_a_round_is_told(database: str, tmp_path: Path) -> None:
    """Its incident began and ended before the round's limit, and the round's survey knows nothing of it."""

    async def story(life: Life) -> None:
        for resolved in (False, True):
            body = {
                "version": "4",
                "receiver": "router",
                "groupKey": "g",
                "status": "firing",
                "externalURL": "http://am",
            }
            body_bytes = json.dumps({**body, "alerts": [alert("A", resolved=resolved)]}).encode()
            await life.accept(body_bytes, error="an older router's word")
            life.clock.advance(60)
        await life.send()
        life.clock.advance((KEPT + DAY).total_seconds())
        survey = await life.store.read(partial(retention.survey, before=life.clock() - KEPT))
        letters = await life.rows("notifications", "state = 'quarantined'")
        replay = partial(dead_letters.requeue_notifications, ids=[letter["id"] for letter in letters], replay="r")
        assert len(await life.store.write(replay)) == 2
        await life.decide()

        incidents_table = retention.TABLES[0]
        found = await life.store.read(lambda connection: incidents_table.find(connection, survey, ""))
        gone = await life.store.write(lambda connection: incidents_table.delete(connection, found.keys))

        assert (len(found.keys), gone) == (1, {"incidents": 0, "messages": 0})
        assert len(await life.rows("messages", "kind = 'root' AND state = 'pending'")) == 1

    lives(database, tmp_path, story)


def test_a_digest_that_waits_keeps_what_it_stands_for(database: str, tmp_path: Path) -> None:
    """Slack was away for months. If it refuses the digest then, each of its incidents is told in its own words."""

    async def story(life: Life) -> None:
        for number in range(8):
            await life.tell(alert(f"A{number}"), group=f"g{number}")
        await life.live()
        for number in range(8):
            await life.tell(alert(f"A{number}", resolved=True), group=f"g{number}")
        await life.decide()
        (digest,) = await life.rows("messages", "kind = 'digest' AND state = 'pending'")
        life.clock.advance((2 * KEPT).total_seconds())
        await life.prune()
        members = await life.rows("messages", f"digest = {digest['id']}")
        assert len(members) > 5
        assert all([all((await words(life, member["incident"])).values()) for member in members])

    lives(database, tmp_path, story)


async def goes_stale(life: Life) -> None:
    """As timers do it when nothing was heard of what is open for long."""
    for row in await life.rows("incidents", "state = 'open'"):
        known = (await life.store.read(partial(incidents.by_id, ids=[row["id"]])))[row["id"]]
        stale = replace(known, state=IncidentState.STALE, updated_at=life.clock())
        await life.store.write(partial(incidents.save, incidents=[stale]))


def test_what_nothing_was_heard_of_goes_too(database: str, tmp_path: Path) -> None:
    """A stale incident did not end, and is kept with its words as long as one that did; then it goes with them."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        life.clock.advance((KEPT + DAY).total_seconds())
        await goes_stale(life)
        await life.prune()
        (incident,) = await life.rows("incidents")
        assert all((await words(life, incident["id"])).values()), "told again, it is open again"
        life.clock.advance((KEPT - DAY).total_seconds())
        await life.prune()
        assert await counted(life, *ALL) == (1, 1, 1, 1, 1)
        life.clock.advance((2 * DAY).total_seconds())
        await life.prune()
        assert await counted(life, *ALL) == (0, 0, 0, 0, 0)

    lives(database, tmp_path, story)


def test_a_stale_incident_that_is_told_again_stays(database: str, tmp_path: Path) -> None:
    """Also when that happens between the look at it and the deletion."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        await goes_stale(life)
        life.clock.advance((KEPT + DAY).total_seconds())
        survey = await life.store.read(partial(retention.survey, before=life.clock() - KEPT))
        batch = await life.store.read(lambda connection: TABLES[0].find(connection, survey, ""))
        assert len(batch.keys) == 1
        await life.tell(alert("A"), alert("B"))
        await life.live()
        gone = await life.store.write(lambda connection: TABLES[0].delete(connection, batch.keys))
        assert gone == {"incidents": 0, "messages": 0}
        assert len(await life.rows("incidents", "state = 'open'")) == 1

    lives(database, tmp_path, story)


def test_what_people_did_goes(database: str, tmp_path: Path) -> None:
    """Thirty days after it was applied; what still waits is done first, however old it is."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        (incident,) = await life.rows("incidents")
        for by in ("U1", "U2"):
            action = Action(kind=ActionKind.ACK, incident=incident["id"], by=by, at=life.clock())
            await life.store.write(partial(actions.append, action=action))
        (first, _) = await life.rows("actions")
        await life.store.write(partial(actions.settle, id=first["id"], done=True, words="", now=life.clock()))
        life.clock.advance((KEPT - DAY).total_seconds())
        await life.prune()
        assert len(await life.rows("actions")) == 2
        life.clock.advance((2 * DAY).total_seconds())
        await life.prune()
        assert [row["state"] for row in await life.rows("actions")] == ["waiting"]

    lives(database, tmp_path, story)


def test_a_heartbeat_is_forgotten(database: str, tmp_path: Path) -> None:
    """What was lost for thirty days, or heard too seldom to be missed; not what may be missed any moment."""

    async def story(life: Life) -> None:
        declared = alert("Declared") | {"annotations": {"router_heartbeat": "15m"}}
        await life.tell(alert("Watchdog", team=None), group="once")
        await life.tell(declared, group="declared")
        await life.tell(
            alert("Watchdog", team=None, resolved=True, cluster="gone") | {"fingerprint": "gone"}, group="lost"
        )
        await life.live()
        watch = Heartbeats(
            store=life.store,
            clock=life.clock,
            monotonic=life.clock.monotonic,
            wanted=asyncio.Event(),
            lease=SoleLease(),
        )
        while await watch.step() == 0.0:
            pass
        assert sorted(row["lost"] for row in await life.rows("heartbeats")) == [0, 0, 1]
        life.clock.advance((KEPT - DAY).total_seconds())
        await life.prune()
        assert len(await life.rows("heartbeats")) == 3
        life.clock.advance((2 * DAY).total_seconds())
        await life.prune()
        (left,) = await life.rows("heartbeats")
        assert left["due_at"] is not None

    lives(database, tmp_path, story)


def test_what_waits_is_decided_by_what_was_known(database: str, tmp_path: Path) -> None:
    """A router that was down for months goes on as if it had not been: the incident of then is still known."""

    async def story(life: Life) -> None:
        await life.tell(alert("A"))
        await life.live()
        await life.tell(alert("A", resolved=True))
        await life.live()
        await life.tell(alert("A", resolved=True), alert("B"))
        life.clock.advance((3 * KEPT).total_seconds())
        await life.prune()
        assert await counted(life, "notifications", "bodies", "incidents", "tellings") == (3, 3, 1, 1)
        await life.live()
        verdicts = [row["verdicts"] or "" for row in await life.rows("notifications")]
        assert "already resolved" in verdicts[-1]

    lives(database, tmp_path, story)


def test_what_is_decided_during_a_round_stays(database: str, tmp_path: Path) -> None:
    """A dead letter of last year that is replayed between two batches: its incident has its words."""

    async def story(life: Life) -> None:
        body = json.dumps({"version": "4", "groupKey": "g", "receiver": "router", "alerts": [alert("A")]}).encode()
        await life.accept(body, error="an older router could not read it")
        life.clock.advance((12 * KEPT).total_seconds())
        assert await life.retention.step() == PAUSE_S
        (letter,) = await life.rows("notifications")
        await life.store.write(partial(dead_letters.requeue_notifications, ids=[letter["id"]], replay="r"))
        await life.live()
        while await life.retention.step() == PAUSE_S:
            pass
        (incident,) = await life.rows("incidents")
        assert all((await words(life, incident["id"])).values())

    lives(database, tmp_path, story)


def test_a_round_an_hour(database: str, tmp_path: Path) -> None:
    """It rests where nothing is left, also when asked before its time; a clock that goes back holds up nothing."""

    async def story(life: Life) -> None:
        assert await life.retention.step() == PAUSE_S
        await life.prune()
        life.clock.advance(600)
        assert await life.retention.step() == EVERY.total_seconds() - 600
        life.clock.advance(-86_400)
        assert await life.retention.step() == PAUSE_S

    lives(database, tmp_path, story)


# -- any history -------------------------------------------------------------------------------------------------------

GROUPS: Final = ("g1", "g2", "g3")
OPERATIONS: Final = st.one_of(
    st.tuples(
        st.just("tell"),
        st.sampled_from(GROUPS),
        st.lists(
            st.tuples(st.sampled_from("ABC"), st.booleans()), min_size=1, max_size=3, unique_by=lambda one: one[0]
        ),
    ),
    st.tuples(st.just("crowd"), st.sampled_from(GROUPS), st.booleans()),
    st.tuples(st.sampled_from(["decide", "send", "refuse", "send one", "garbage", "drop", "replay", "prune"])),
    st.tuples(st.just("map"), st.sampled_from([MAP, TO_LEDGER])),
    st.tuples(st.just("wait"), st.sampled_from([1, 600, 86_400, 20 * 86_400, 31 * 86_400, 70 * 86_400])),
)


HISTORIES: Final = st.lists(OPERATIONS, min_size=5, max_size=40)
SLOW: Final = [HealthCheck.too_slow]


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(HISTORIES)
def test_no_history_loses_what_is_needed(history: list[tuple[Any, ...]]) -> None:
    """Whatever happened: what is open, waits, or is a dead letter stays with its words, and the sums do not change."""
    with tempfile.TemporaryDirectory() as directory:
        lives(f"sqlite:///{directory}/router.db", Path(directory), partial(_lived, history=history))


@pytest.mark.needs("postgres")
@settings(max_examples=8, deadline=None, suppress_health_check=SLOW)
@given(history=HISTORIES)
def test_no_history_loses_what_is_needed_on_postgresql(
    postgres_server: PostgresServer, history: list[tuple[Any, ...]]
) -> None:
    """The same statements."""
    with tempfile.TemporaryDirectory() as directory:
        lives(postgres_server.new_database(), Path(directory), partial(_lived, history=history))


async def _lived(life: Life, *, history: list[tuple[Any, ...]]) -> None:
    for operation in history:
        await _do(life, *operation)
    await _prune_and_compare(life)
    life.clock.advance((KEPT + DAY).total_seconds())
    await life.live()
    await _prune_and_compare(life)


async def _do(life: Life, what: str, *details: Any) -> None:
    if what == "tell":
        group, alerts = details
        await life.tell(*(alert(name, resolved=resolved) for name, resolved in alerts), group=group)
    elif what == "crowd":
        group, resolved = details
        for number in range(7):
            await life.tell(alert(f"D{number}", resolved=resolved), group=f"{group}.{number}")
    elif what == "map":
        await life.new_map(*details)
    elif what == "wait":
        life.clock.advance(*details)
    elif what == "garbage":
        await life.accept(b"{", error="not JSON")
    elif what == "drop":
        await drop_all(life)
    elif what == "replay":
        ids = [row["id"] for row in await life.rows("messages", "state = 'dead' AND handled_at IS NULL")]
        requeue = partial(dead_letters.requeue_deliveries, ids=ids, replay="r", now=life.clock())
        await life.store.write(requeue)
    elif what == "prune":
        await _prune_and_compare(life)
    else:
        await (
            life.decide() if what == "decide" else life.send(refuse=what == "refuse", limit=1 if "one" in what else 99)
        )


async def _prune_and_compare(life: Life) -> None:
    sums, kept, told = await life.sums(), await _needed(life), await _told(life)
    await life.prune()
    assert await life.sums() == sums
    assert await _needed(life) == kept
    assert await _told(life) == told
    assert await _ended(life, before=life.clock() - KEPT - 2 * EVERY) == []


async def _needed(life: Life) -> dict[str, list[dict[str, Any]]]:
    """Every row that somebody may still ask for, whole."""
    waiting = "state = 'waiting' OR (state = 'quarantined' AND handled_at IS NULL)"
    return {
        "notifications": await life.rows("notifications", waiting),
        "bodies": await life.rows("bodies", f"id IN (SELECT id FROM notifications WHERE {waiting})"),
        "incidents": await life.rows("incidents", "state = 'open'"),
        "messages": await life.rows(
            "messages",
            "state = 'pending' OR (state = 'dead' AND handled_at IS NULL) "
            "OR incident IN (SELECT id FROM incidents WHERE state = 'open')",
        ),
    }


async def _told(life: Life) -> dict[str, dict[str, str]]:
    """The words of every incident of which something may still be told, by its own message or by a digest's line."""
    all_messages = {row["id"]: row for row in await life.rows("messages")}
    opened = {row["id"] for row in await life.rows("incidents", "state = 'open'")}
    waits = {
        number
        for number, row in all_messages.items()
        if row["state"] == "pending"
        or (row["state"] == "dead" and row["handled_at"] is None)
        or row["incident"] in opened
    }
    waits |= {row["digest"] for row in all_messages.values() if row["incident"] in opened}
    told = {
        row["incident"] for number, row in all_messages.items() if number in waits or row["digest"] in waits - {None}
    }
    found = {incident: await words(life, incident) for incident in told if incident is not None}
    assert all(all(said.values()) for said in found.values())
    return found


async def _ended(life: Life, *, before: datetime) -> list[dict[str, Any]]:
    """What ended before that time and has nothing to do with what is needed: it should have gone."""
    if await life.rows("notifications", "state = 'waiting'"):
        return []
    told = await _told(life)
    documents = "".join(row["document"] for row in await life.rows("incidents"))
    last = {row["last_notification"] for row in await life.rows("incidents")}
    last |= {row["first_notification"] for row in await life.rows("incidents")}
    at = micros(before)
    lately = {row["incident"] for row in await life.rows("messages", f"handled_at >= {at}")}
    digests = {row["id"] for row in await life.rows("messages", f"kind = 'digest' AND handled_at >= {at}")}
    lately |= {row["incident"] for row in await life.rows("messages") if row["digest"] in digests}
    return [
        *(row for row in await life.rows("incidents", f"closed_at < {at}") if row["id"] not in {*told, *lately}),
        *(
            row
            for row in await life.rows("notifications", f"decided_at < {at} AND state <> 'quarantined'")
            if str(row["id"]) not in documents and row["id"] not in last
        ),
        *await life.rows("notifications", f"handled_at < {at}"),
        *await life.rows("bodies", "id NOT IN (SELECT id FROM notifications)"),
        *await life.rows(
            "messages",
            # One whose lines were told again a moment ago was edited then; one that is dead waits for somebody.
            f"kind = 'digest' AND wanted_at < {at} AND (state <> 'dead' OR handled_at IS NOT NULL) "
            "AND id NOT IN (SELECT digest FROM messages WHERE digest > 0)",
        ),
    ]


# -- crashes and load --------------------------------------------------------------------------------------------------

PRUNER: Final = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from router.retention import EVERY, Retention
from router.telemetry import Metrics
from tests.store.opened import opened

async def prune():
    metrics = Metrics()
    async with opened(Path(sys.argv[1]), metrics) as store:
        retention = Retention(store=store, clock=lambda: datetime(2027, 6, 1, tzinfo=UTC), metrics=metrics)
        while await retention.step() < EVERY.total_seconds():
            print("batch", flush=True)

asyncio.run(prune())
"""


def fill(path: Path, *, notifications: int, body_bytes: int) -> None:
    """A store of a busy month, long ago: notifications with bodies, every tenth with an incident and its message."""

    async def create() -> None:
        async with opened(path, Metrics()):
            pass

    asyncio.run(create())
    first = next_identifier(now_ms=int(START.timestamp() * 1000), last=0, drawn=0)
    at = micros(START)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        more = f"SELECT n + 1 FROM numbers WHERE n < {notifications - 1}"
        numbers = f"WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL {more})"
        connection.execute(
            f"INSERT INTO notifications (id, source, received_at, state, decided_at, verdicts) {numbers} "
            f"SELECT {first} + n, 'alertmanager', {at}, 'decided', {at}, '[]' FROM numbers"
        )
        connection.execute(
            f"INSERT INTO bodies (id, body) {numbers} SELECT {first} + n, randomblob({body_bytes}) FROM numbers"
        )
        connection.execute(
            "INSERT INTO incidents (id, alert_group, source, channel, state, severity, title, opened_at, updated_at, "
            "closed_at, first_notification, last_notification, truncated, repeats, revision, map_revision, document) "
            f"{numbers} SELECT '0s9' || printf('%010d', n) || '-1', 'g' || n, 'alertmanager', 'C', 'resolved', 'high', "
            f"'A', {at}, {at}, {at}, {first} + n, {first} + n, 0, 0, 1, 'm', '{{}}' FROM numbers WHERE n % 10 = 0"
        )
        connection.execute(
            "INSERT INTO messages (incident, kind, channel, ts, state, wanted, shown, wanted_at, due_at, attempts) "
            f"SELECT id, 'root', 'C', '1.0', 'delivered', 1, 1, {at}, {at}, 0 FROM incidents"
        )
        connection.execute(f"UPDATE totals SET value = {notifications} WHERE name IN ('accepted', 'decided')")
        connection.execute(
            "UPDATE totals SET value = (SELECT count(*) FROM messages) WHERE name IN ('wanted', 'delivered')"
        )


@pytest.mark.parametrize("batches", [1, 7, 20])
def test_fault_13_crash_while_pruning(tmp_path: Path, batches: int) -> None:
    """kill -9 between or within batches: what is left is whole, and the next round takes it."""
    path = tmp_path / "router.db"
    fill(path, notifications=10_000, body_bytes=500)
    with subprocess.Popen(
        [sys.executable, "-c", PRUNER, str(path)], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    ) as pruner:
        assert pruner.stdout is not None
        for _ in range(batches):
            assert pruner.stdout.readline() == "batch\n"
        os.kill(pruner.pid, signal.SIGKILL)

    async def story(life: Life) -> None:
        left = await counted(life, *ALL)
        assert 0 < left[0] == left[1] <= 10_000
        assert left[2] == left[3] < 1000
        sums = await life.sums()
        life.clock.advance(365 * 86_400)
        await life.prune()
        assert await counted(life, *ALL) == (0, 0, 0, 0, 0)
        assert await life.sums() == sums

    lives(f"sqlite:///{path}", tmp_path, story)


def test_fault_89_no_sender_waits_for_pruning(tmp_path: Path) -> None:
    """200,000 old notifications: the slowest append while they are pruned without a pause is no slower than a disk is.

    All of it in one transaction takes seconds, and fails this.
    """
    path = tmp_path / "router.db"
    fill(path, notifications=200_000, body_bytes=300)

    async def story(life: Life) -> None:
        life.clock.advance(365 * 86_400)
        alone = await slowest_append(life, until=_appended(200))
        pruned = life.metrics.registry
        while_pruning = asyncio.create_task(_prune_until(life, rows=40_000))
        beside = await slowest_append(life, until=lambda _: while_pruning.done())
        await while_pruning
        assert (pruned.get_sample_value("router_pruned_rows_total", {"table": "notifications"}) or 0) >= 40_000
        assert beside < max(0.25, 5 * alone), (beside, alone)

    lives(f"sqlite:///{path}", tmp_path, story)


def _appended(times: int) -> Callable[[int], bool]:
    return lambda number: number >= times


async def _prune_until(life: Life, *, rows: int) -> None:
    gone = 0.0
    while gone < rows:
        await life.retention.step()
        gone = life.metrics.registry.get_sample_value("router_pruned_rows_total", {"table": "notifications"}) or 0


async def slowest_append(life: Life, *, until: Callable[[int], bool]) -> float:
    slowest, number = 0.0, 0
    while not until(number):
        began = time.perf_counter()
        await life.tell(alert("A"))
        slowest, number = max(slowest, time.perf_counter() - began), number + 1
    return slowest
