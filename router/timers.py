"""When time passes: incidents that are due are looked at, a batch at a time, and who has to know it is told."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from router.core.errors import FAULTS
from router.core.escalation import GRACE, Look, Since, look, policy_for
from router.core.escalation_policy import STEPS
from router.core.incidents import Incident
from router.core.ownership import OwnershipMap
from router.leadership import Lease
from router.store import incidents, messages, timers
from router.store.database import Connection, Store
from router.store.timers import Due
from router.telemetry import Metrics

log = structlog.get_logger()

# One transaction; what arrives meanwhile waits for it. The bytes are those of incidents: of a large group, one or two.
BATCH = 32
BATCH_BYTES = 1024 * 1024
# After a fault of ours: the next look at that incident, or the next try to write what came of one.
NOT_LOOKED_AT_FOR = timedelta(hours=1)
STUCK_S = 60.0
# Longer than any look takes: so late is only a process that stood still, and so far off only a clock that was set.
GAP = timedelta(minutes=5)


class Timers:
    """Belongs to the task that decides: nobody else changes incidents, so they may be read before they are written.

    What is due stands in the database, so what one process leaves undone the next one does.
    """

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        metrics: Metrics,
        wanted: asyncio.Event,
        lease: Lease,
        listening_since: datetime,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._monotonic = monotonic
        self._metrics = metrics
        self._wanted = wanted
        self._lease = lease
        self._guard = lease.guard()
        self._since = Since(listening=listening_since, judging=listening_since)
        self._revision: str | None = None  # of the map by which it was set when each incident is due
        self._waits: object = None  # what that map says of how long to wait
        self._last: _Step | None = None

    async def step(self) -> float | None:
        """Look at one batch; the seconds until the next look, 0.0 if it is due now, None if none ever is.

        Raises StoreUnavailable or LeaseLost, and then nothing was changed.
        """
        self._guard = self._lease.guard()
        now, ownership = self._clock(), self._ownership()
        await self._judge_by(ownership, now)
        batch = await self._store.read(partial(_batch, ownership=ownership, now=now))
        if batch.due:
            got_on = await self._look_at(batch.due, ownership=ownership, now=now)
            wait_s: float | None = 0.0 if got_on else STUCK_S
        else:
            wait_s = _seconds(batch.next_at, now)
        self._last = _Step(at=now, monotonic_s=self._monotonic(), wait_s=wait_s)
        return wait_s

    async def _judge_by(self, ownership: OwnershipMap, now: datetime) -> None:
        """After a gap, or by another map, everything that is open is looked at: when it is due may be wrong."""
        gap = timedelta() if self._last is None else self._last.gap(now, self._monotonic())
        if ownership.revision == self._revision and gap <= GAP:
            return
        try:
            await self._store.write(partial(self._all_due, now=now))
        except FAULTS as exc:
            log.exception("incidents_not_scheduled", error=type(exc).__name__)
        if gap > GAP:
            log.warning("clock_gap", seconds=round(gap.total_seconds()))
            self._since = Since(listening=now, judging=now)
        elif self._revision is not None and ownership.waits != self._waits and now - self._since.judging >= GRACE:
            # Not for each of many maps that follow each other: nobody would ever be called.
            self._since = Since(listening=self._since.listening, judging=now)
        self._revision, self._waits = ownership.revision, ownership.waits
        self._last = None

    async def _look_at(self, due: Sequence[Due], *, ownership: OwnershipMap, now: datetime) -> bool:
        """Whether any of them is due at another time now."""
        looks, unseen = list[Look](), list[str]()
        for one in due:
            try:
                looks.append(look(one.incident, facts=one.facts, ownership=ownership, since=self._since, now=now))
            except FAULTS as exc:
                _not_looked_at(one.incident, exc)
                unseen.append(one.incident.id)
        try:
            await self._store.write(partial(self._save, looks=looks, unseen=unseen, now=now))
        except FAULTS as exc:
            # A fault of ours. One incident must not keep the others from going further.
            if len(due) > 1:
                return any([await self._look_at([one], ownership=ownership, now=now) for one in due])
            _not_looked_at(due[0].incident, exc)
            return False
        if any(found.wanted for found in looks):
            self._wanted.set()
        for found in looks:
            self._tell(found)
        return True

    def _save(self, connection: Connection, *, looks: Sequence[Look], unseen: Sequence[str], now: datetime) -> None:
        self._guard(connection)
        incidents.save(connection, [found.incident for found in looks if found.changed])
        due_at = {found.incident.id: found.incident.due_at for found in looks if not found.changed}
        incidents.schedule(connection, {**due_at, **dict.fromkeys(unseen, now + NOT_LOOKED_AT_FOR)})
        messages.want(connection, [wanted for found in looks for wanted in found.wanted], now=now)

    def _all_due(self, connection: Connection, *, now: datetime) -> None:
        self._guard(connection)
        timers.all_due(connection, now=now)

    def _tell(self, found: Look) -> None:
        incident = found.incident
        for escalation in found.taken:
            step = escalation.to if escalation.to in STEPS else "team"
            self._metrics.escalations.labels(escalation.reason, step).inc()
            log.info(
                "incident_escalated",
                incident=incident.id,
                owner=incident.owner or "nobody",
                to=escalation.to,
                team=escalation.team,
                channel=escalation.channel_id,
                reason=escalation.reason,
                count=escalation.count,
            )
        if found.went_stale:
            heard_at = incident.heard_at.isoformat() if incident.heard_at is not None else None
            log.info("incident_stale", incident=incident.id, owner=incident.owner or "nobody", heard_at=heard_at)


def _not_looked_at(incident: Incident, exc: Exception) -> None:
    """It goes on without timers for a while; what is told of it is decided all the same."""
    log.error("incident_not_looked_at", incident=incident.id, error=type(exc).__name__, exc_info=exc)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """When it was, and what it promised."""

    at: datetime
    monotonic_s: float
    wait_s: float | None

    def gap(self, now: datetime, monotonic_s: float) -> timedelta:
        """By how much the clock is elsewhere than it should be: it was set, or this process came back too late."""
        elapsed_s = monotonic_s - self.monotonic_s
        if self.wait_s is not None:
            elapsed_s = min(elapsed_s, self.wait_s)
        return abs(now - self.at - timedelta(seconds=elapsed_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    due: list[Due]
    next_at: datetime | None  # asked for only if none is due


def _batch(connection: Connection, *, ownership: OwnershipMap, now: datetime) -> _Batch:
    found = timers.due(
        connection,
        policy_of=lambda incident: policy_for(ownership, incident.owner, incident.severity),
        fallback_channel=ownership.fallback.channel.id,
        now=now,
        limit=BATCH,
        size=BATCH_BYTES,
    )
    return _Batch(due=found, next_at=None if found else incidents.next_due(connection))


def _seconds(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max((at - now).total_seconds(), 0.0)
