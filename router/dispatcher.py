"""From stored bytes to decisions: read, decide, write in one transaction. What is not decided yet is only waiting."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from router.core.errors import FAULTS, NotUnderstood
from router.core.identifiers import text_of
from router.core.model import NotificationState
from router.core.ownership import OwnershipMap
from router.intake.reading import READ_INLINE_BYTES, read
from router.leadership import Lease
from router.store import inbox
from router.store.database import Connection, Store
from router.store.decisions import Reading, Settled, decide_all, known_of, settle
from router.store.inbox import Stored
from router.telemetry import Metrics

log = structlog.get_logger()

T = TypeVar("T")

# Small enough that a request which arrives meanwhile is not held up, large enough to share one commit.
BATCH = 32
# While requests come in, they come first: what is not accepted in 15 s is sent twice by a pair of Alertmanagers, and
# what is accepted only waits. A seventh of the time is enough to decide what comes in on a busy day. In a flood, when
# it is not, decisions take a thirtieth; and half of the time, once the oldest has waited for five seconds. Never is a
# rest longer than a second: after a body of 10,000 alerts, which takes one to decide, the next would wait for thirty.
SENDERS_FIRST = 6.0
FLOOD = 29.0
OVERDUE = timedelta(seconds=5)
LONGEST_REST_S = 1.0
BATCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one batch was."""

    more: bool  # wait behind it
    oldest: datetime | None  # when the first of it came in; None: nothing waited
    decided: int = 0
    arrived: int = 0  # since the batch before began
    elapsed_s: float = 0.0  # since then
    cpu_s: float = 0.0  # computed for it

    def rest_s(self, *, now: datetime) -> float:
        """How long to leave the process to those who send."""
        if self.oldest is None or self.arrived == 0:
            return 0.0
        share = 1.0
        if now - self.oldest <= OVERDUE:
            needed_s = self.arrived * self.cpu_s / self.decided
            share = FLOOD if needed_s * (1 + SENDERS_FIRST) > self.elapsed_s else SENDERS_FIRST
        return min(self.cpu_s * share, LONGEST_REST_S)


class Dispatcher:
    """Decides waiting notifications in the order of their arrival. One per database: who has the lease."""

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        metrics: Metrics,
        wanted: asyncio.Event,
        arrivals: Callable[[], int],
        cpu_clock: Callable[[], float],
        lease: Lease,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._metrics = metrics
        self._wanted = wanted
        self._arrivals = arrivals
        self._cpu_clock = cpu_clock
        self._lease = lease
        self._guard = lease.guard()
        self._began = clock()
        self._arrivals_before = 0

    async def step(self) -> Step:
        """Decide one batch. Raises StoreUnavailable or LeaseLost, and then nothing was decided."""
        self._guard = self._lease.guard()  # what is read from now on is written only if nobody else decided meanwhile
        began, arrivals = self._clock(), self._arrivals()
        arrived, elapsed_s = arrivals - self._arrivals_before, (began - self._began).total_seconds()
        self._began, self._arrivals_before = began, arrivals
        batch = await self._store.read(partial(inbox.waiting, limit=BATCH, size=BATCH_BYTES))
        if not batch.stored:
            return Step(more=False, oldest=None)
        large = sum(len(stored.body) for stored in batch.stored) > READ_INLINE_BYTES
        readings, read_s = await self._computed(partial(_readings, batch.stored), large=large)
        settle_s = await self._settle(readings, large=large)
        self._wanted.set()
        return Step(
            more=batch.more,
            oldest=batch.stored[0].received_at,
            decided=len(batch.stored),
            arrived=arrived,
            elapsed_s=elapsed_s,
            cpu_s=read_s + settle_s,
        )

    async def _computed(self, work: Callable[[], T], *, large: bool) -> tuple[T, float]:
        """What `work` gives, and the seconds computed for it; `large` work in a thread, beside the requests."""
        return await asyncio.to_thread(self._timed, work) if large else self._timed(work)

    def _timed(self, work: Callable[[], T]) -> tuple[T, float]:
        began = self._cpu_clock()
        return work(), self._cpu_clock() - began

    async def _settle(self, readings: Sequence[Reading], *, large: bool) -> float:
        """Decide and write; the seconds that were computed for it.

        Nobody else changes incidents: so what is known of them may be read before the transaction that writes.
        """
        ownership = self._ownership()
        try:
            known = await self._store.read(partial(known_of, readings=readings))
            settled, cpu_s = await self._computed(
                partial(decide_all, readings, known, ownership=ownership), large=large
            )
            await self._store.write(
                partial(self._write, settled=settled, revision=ownership.revision, now=self._clock())
            )
        except FAULTS as exc:
            # A fault of ours. One notification must not sink its neighbours, nor stop those behind it.
            if len(readings) > 1:
                return sum([await self._settle([reading], large=large) for reading in readings])
            (reading,) = readings
            log.exception("notification_undecidable", notification=text_of(reading.id), error=type(exc).__name__)
            return await self._settle([replace(reading, notification=None, error=_fault(exc))], large=False)
        for outcome in settled:
            self._tell(outcome)
        return cpu_s

    def _write(self, connection: Connection, *, settled: Sequence[Settled], revision: str, now: datetime) -> None:
        self._guard(connection)
        settle(connection, settled, revision=revision, now=now)

    def _tell(self, outcome: Settled) -> None:
        identifier = text_of(outcome.reading.id)
        if outcome.decision is None:
            self._metrics.notifications.labels(NotificationState.QUARANTINED).inc()
            log.error(
                "notification_quarantined", notification=identifier, source=outcome.reading.source, error=outcome.error
            )
            return
        decision = outcome.decision
        self._metrics.notifications.labels(decision.state).inc()
        if decision.state is NotificationState.DEDUPLICATED:
            log.info(
                "notification_deduplicated",
                notification=identifier,
                source=outcome.reading.source,
                duplicate_of=text_of(decision.duplicate_of or 0),
            )
            return
        log.info(
            "notification_decided",
            notification=identifier,
            source=outcome.reading.source,
            alerts=len(decision.verdicts),
            incidents=[incident.id for incident in decision.incidents],
            owners=sorted({incident.owner or "nobody" for incident in decision.incidents}),
        )


def _readings(stored: Sequence[Stored]) -> list[Reading]:
    return [_reading(notification) for notification in stored]


def _reading(stored: Stored) -> Reading:
    notification, error = None, None
    try:
        notification = read(stored.source, stored.body)
    except NotUnderstood as exc:
        error = str(exc)
    except FAULTS as exc:
        log.exception("notification_undecidable", notification=text_of(stored.id), error=type(exc).__name__)
        error = _fault(exc)
    else:
        if notification.unreadable and not notification.alerts:
            first = notification.unreadable[0]
            error = (
                f"none of its {len(notification.unreadable)} alerts can be read; alerts[{first.index}]: {first.error}"
            )
    return Reading(
        id=stored.id,
        source=stored.source,
        received_at=stored.received_at,
        notification=notification if error is None else None,
        error=error,
    )


def _fault(exc: Exception) -> str:
    return f"the router failed on it ({type(exc).__name__}); please report this, it is a defect of the router"
