"""What ended thirty days ago goes, a batch at a time, so that the disk does not fill and no sender waits."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog

from router.store import retention
from router.store.database import Store
from router.store.retention import TABLES, Key, Survey
from router.telemetry import Metrics

log = structlog.get_logger()

KEPT: Final = timedelta(days=30)
EVERY: Final = timedelta(hours=1)
# The writer is left alone so long after each batch, which takes it a few milliseconds.
PAUSE_S: Final = 0.05


@dataclass(slots=True)
class _Round:
    """Through all tables once, by one survey."""

    survey: Survey
    table: int = 0
    after: Key = TABLES[0].start
    gone: Counter[str] = field(default_factory=Counter)


class Retention:
    """Deletes what nobody needs any more. It may run on several routers of one database: they share the work."""

    def __init__(self, *, store: Store, clock: Callable[[], datetime], metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._round: _Round | None = None
        self._next_at: datetime | None = None  # None: now

    async def step(self) -> float:
        """Delete one batch; the seconds until the next. Raises StoreUnavailable, and then nothing was deleted."""
        now = self._clock()
        if self._round is None:
            # A clock that went back must not keep it waiting.
            if self._next_at is not None and now < self._next_at <= now + EVERY:
                return (self._next_at - now).total_seconds()
            self._round = _Round(await self._store.read(partial(retention.survey, before=now - KEPT)))
        if await self._delete(self._round):
            return PAUSE_S
        if self._round.gone:
            log.info("pruned", before=self._round.survey.before.isoformat(timespec="seconds"), **self._round.gone)
        self._round, self._next_at = None, now + EVERY
        return EVERY.total_seconds()

    async def _delete(self, round: _Round) -> bool:
        """One batch; whether there may be more."""
        table = TABLES[round.table]
        batch = await self._store.read(lambda connection: table.find(connection, round.survey, round.after))
        if batch.keys:
            gone = await self._store.write(lambda connection: table.delete(connection, batch.keys))
            round.gone.update(gone)
            for name, rows in gone.items():
                self._metrics.pruned_rows.labels(name).inc(rows)
        if batch.last is not None:
            round.after = batch.last
            return True
        round.table += 1
        if round.table == len(TABLES):
            return False
        round.after = TABLES[round.table].start
        return True
