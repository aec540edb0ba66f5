"""Heartbeats that are not heard any more are lost; and what ended when one was lost is in doubt."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from router.core.errors import FAULTS
from router.core.heartbeats import (
    SUSPECT_BEFORE,
    Change,
    Heartbeat,
    fallen_silent,
    is_suspect,
    notice_of,
    overdue_at,
    suspected,
)
from router.core.incidents import Incident
from router.core.routing import messages_of, replies_of
from router.leadership import Guard, Lease
from router.store import heartbeats, incidents, messages
from router.store.database import Connection, Store
from router.store.heartbeats import Mark

log = structlog.get_logger()

LOOKED_AT_TOGETHER: Final = 100
# Ended incidents in one transaction, for which what arrives waits.
SUSPECTS_TOGETHER: Final = 50
# It looks so often where there is something to watch. Where it could not for a minute the store was away and senders
# were refused, the machine slept, or another router decided: what was told meanwhile may not have been heard.
EVERY_S: Final = 30.0
STALLED_S: Final = 60.0
NOT_LOOKED_AT_FOR: Final = timedelta(hours=1)


class Heartbeats:
    """Belongs to the task that decides, behind the dispatcher: what came in is decided before silence is judged."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        wanted: asyncio.Event,
        lease: Lease,
    ) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._wanted = wanted
        self._lease = lease
        self._listening_since = clock()
        self._looked_at: _Look | None = None  # when it last could
        # Where each search for what ended with a lost heartbeat goes on; one that was cut short begins anew.
        self._searches: dict[str, _Search] = {}

    async def step(self) -> float | None:
        """Look at what is due; the seconds until something is again. None: nothing is.

        Raises StoreUnavailable or LeaseLost; what was not written by then is looked at again.
        """
        look = _Look(self._clock(), self._monotonic())
        now = look.at
        if self._looked_at is None or look.seconds_after(self._looked_at) > STALLED_S:
            self._listening_since = now
        guard = self._lease.guard()
        due = await self._store.read(partial(heartbeats.due, now=now, limit=LOOKED_AT_TOGETHER))
        more = False
        for heartbeat in due.heartbeats:
            try:
                more |= await self._look_at(heartbeat, heard_until=due.heard_until, guard=guard, now=now)
            except FAULTS as exc:
                # A fault of ours. What is told of it is heard all the same, and the others are watched.
                log.error("heartbeat_not_looked_at", heartbeat=heartbeat.name, error=type(exc).__name__, exc_info=exc)
                until = now + NOT_LOOKED_AT_FOR
                await self._store.write(partial(_postpone, heartbeat=heartbeat, until=until, guard=guard))
        self._looked_at = look
        if more:
            return 0.0
        return None if due.next_at is None else min((due.next_at - now).total_seconds(), EVERY_S)

    async def _look_at(self, heartbeat: Heartbeat, *, heard_until: datetime, guard: Guard, now: datetime) -> bool:
        """Whether anything changed."""
        if heartbeat.untold is Change.LOST:
            await self._search(heartbeat, guard=guard, now=now)
            return True
        if heartbeat.untold is Change.BACK:
            self._searches.pop(heartbeat.id, None)
            await self._store.write(partial(_save, heartbeat=replace(heartbeat, untold=None), guard=guard))
            log.info("heartbeat_back", heartbeat=heartbeat.name, source=heartbeat.source)
            return True
        return await self._judge(heartbeat, heard_until=heard_until, guard=guard, now=now)

    async def _judge(self, heartbeat: Heartbeat, *, heard_until: datetime, guard: Guard, now: datetime) -> bool:
        """One that was not heard in time; whether anything changed."""
        overdue = overdue_at(heartbeat, listening_since=self._listening_since)
        if overdue is not None and overdue <= heard_until:
            lost = fallen_silent(heartbeat, now=heard_until)
            await self._store.write(partial(_lose, heartbeat=lost, guard=guard, now=now))
            self._wanted.set()
            return True
        if overdue is not None and overdue > now:
            await self._store.write(partial(_postpone, heartbeat=heartbeat, until=overdue, guard=guard))
            return True
        return False  # it may be heard in what waits to be decided

    async def _search(self, heartbeat: Heartbeat, *, guard: Guard, now: datetime) -> None:
        """One more page of the incidents that ended shortly before the heartbeat was lost."""
        search = self._searches.get(heartbeat.id) or _Search(heartbeat)
        page = await self._store.read(partial(heartbeats.ended_behind, mark=search.mark, limit=SUSPECTS_TOGETHER))
        doubted = [
            (incident, suspected(incident, heartbeat, now=now)) for incident in page if is_suspect(incident, heartbeat)
        ]
        done = len(page) < SUSPECTS_TOGETHER
        after = replace(heartbeat, untold=None if done else Change.LOST)
        await self._store.write(partial(_doubt, doubted=doubted, heartbeat=after, guard=guard, now=now))
        self._wanted.set()
        search.found += len(doubted)
        if not done:
            search.mark = page[-1].closed_at or search.mark[0], page[-1].id
            self._searches[heartbeat.id] = search
            return
        self._searches.pop(heartbeat.id, None)
        log.error(
            "heartbeat_lost",
            heartbeat=heartbeat.name,
            source=heartbeat.source,
            why=None if heartbeat.lost is None else heartbeat.lost.why,
            heard_at=heartbeat.heard_at.isoformat(timespec="seconds"),
            suspect=search.found,
        )


@dataclass(frozen=True, slots=True)
class _Look:
    at: datetime
    monotonic_s: float

    def seconds_after(self, other: "_Look") -> float:
        """By the clock that went further: the one may be set back, the other stands still while the machine sleeps."""
        return max((self.at - other.at).total_seconds(), self.monotonic_s - other.monotonic_s)


class _Search:
    def __init__(self, heartbeat: Heartbeat) -> None:
        lost_at = heartbeat.heard_at if heartbeat.lost is None else heartbeat.lost.at
        self.mark: Mark = (lost_at - SUSPECT_BEFORE, "")
        self.found = 0


def _save(connection: Connection, *, heartbeat: Heartbeat, guard: Guard) -> None:
    guard(connection)
    heartbeats.save(connection, [heartbeat])


def _lose(connection: Connection, *, heartbeat: Heartbeat, guard: Guard, now: datetime) -> None:
    guard(connection)
    heartbeats.save(connection, [heartbeat])
    messages.notify(connection, notice_of(heartbeat, now=now))


def _postpone(connection: Connection, *, heartbeat: Heartbeat, until: datetime, guard: Guard) -> None:
    guard(connection)
    heartbeats.postpone(connection, heartbeat, until=until)


def _doubt(
    connection: Connection,
    *,
    doubted: Sequence[tuple[Incident, Incident]],
    heartbeat: Heartbeat,
    guard: Guard,
    now: datetime,
) -> None:
    guard(connection)
    incidents.save(connection, [after for _, after in doubted])
    wanted = [one for before, after in doubted for one in (*messages_of(after), *replies_of(before, after))]
    messages.want(connection, wanted, now=now)
    heartbeats.save(connection, [heartbeat])
