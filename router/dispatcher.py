"""From stored bytes to decisions: read, decide, write in one transaction. What is not decided yet is only waiting."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import structlog

from router.core.errors import NotUnderstood
from router.core.identifiers import text_of
from router.core.model import NotificationState
from router.core.ownership import OwnershipMap
from router.intake.reading import read
from router.store import inbox
from router.store.database import Store
from router.store.decisions import Reading, Settled, settle
from router.store.inbox import Stored
from router.telemetry import Metrics

log = structlog.get_logger()

# Small enough that a request which arrives meanwhile is not held up, large enough to share one commit.
BATCH = 32
# Bodies beyond this are read in a thread: ten thousand alerts would stall the event loop for a third of a second.
READ_INLINE_BYTES = 64 * 1024


class Dispatcher:
    """Decides waiting notifications in the order of their arrival. One per database."""

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        metrics: Metrics,
        wanted: asyncio.Event,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._metrics = metrics
        self._wanted = wanted

    async def step(self) -> bool:
        """Decide one batch; False if nothing waits. Raises StoreUnavailable, and then nothing was decided."""
        stored = await self._store.read(partial(inbox.waiting, limit=BATCH))
        if not stored:
            return False
        if sum(len(notification.body) for notification in stored) > READ_INLINE_BYTES:
            readings = await asyncio.to_thread(_readings, stored)
        else:
            readings = _readings(stored)
        await self._settle(readings)
        self._wanted.set()
        return len(stored) == BATCH

    async def _settle(self, readings: Sequence[Reading]) -> None:
        try:
            settled = await self._store.write(
                partial(settle, readings=readings, ownership=self._ownership(), now=self._clock())
            )
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            # A fault of ours. One notification must not sink its neighbours, nor stop those behind it.
            if len(readings) > 1:
                for reading in readings:
                    await self._settle([reading])
                return
            (reading,) = readings
            log.exception("notification_undecidable", notification=text_of(reading.id), error=type(exc).__name__)
            error = f"the router failed on it ({type(exc).__name__}); please report this, it is a defect of the router"
            await self._settle([Reading(id=reading.id, source=reading.source, notification=None, error=error)])
            return
        for outcome in settled:
            self._tell(outcome)

    def _tell(self, outcome: Settled) -> None:
        identifier = text_of(outcome.id)
        if outcome.decision is None:
            self._metrics.notifications.labels(NotificationState.QUARANTINED).inc()
            log.error("notification_quarantined", notification=identifier, source=outcome.source, error=outcome.error)
            return
        decision = outcome.decision
        self._metrics.notifications.labels(decision.state).inc()
        if decision.state is NotificationState.DEDUPLICATED:
            log.info(
                "notification_deduplicated",
                notification=identifier,
                source=outcome.source,
                duplicate_of=text_of(decision.duplicate_of or 0),
            )
            return
        log.info(
            "notification_decided",
            notification=identifier,
            source=outcome.source,
            alerts=len(decision.verdicts),
            incidents=[incident.id for incident in decision.incidents],
            owners=sorted({incident.owner or "nobody" for incident in decision.incidents}),
        )


def _readings(stored: Sequence[Stored]) -> list[Reading]:
    return [_reading(notification) for notification in stored]


def _reading(stored: Stored) -> Reading:
    try:
        notification = read(stored.source, stored.body)
    except NotUnderstood as exc:
        return Reading(id=stored.id, source=stored.source, notification=None, error=str(exc))
    if notification.unreadable and not notification.alerts:
        first = notification.unreadable[0]
        error = f"none of its {len(notification.unreadable)} alerts can be read; alerts[{first.index}]: {first.error}"
        return Reading(id=stored.id, source=stored.source, notification=None, error=error)
    return Reading(id=stored.id, source=stored.source, notification=notification)
