"""What people do about incidents: taken from handlers, stored, and applied a batch at a time by who decides."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import structlog

from router.core.actions import Action, Result, apply, refused
from router.core.errors import FAULTS
from router.core.incidents import Incident
from router.core.ownership import OwnershipMap
from router.leadership import Lease
from router.store import actions, incidents, messages
from router.store.actions import ActionState, Appended, Outcome, Waiting
from router.store.database import Connection, Store
from router.telemetry import Metrics

log = structlog.get_logger()

BATCH: Final = 32  # one transaction; what arrives meanwhile waits for it
# Another router on the same database may be the one that decides: of what it did nobody here hears.
LOOKED_AGAIN_S: Final = 0.25

_GONE: Final = refused("there is no such incident; it is kept for thirty days after it ended")
_FAULTY: Final = refused("the router could not do this; its log has the event action_not_applied")


class ActionInbox:
    """Takes what people do and is a promise kept once it returns. `wake` wakes who decides."""

    def __init__(self, *, store: Store, wake: Callable[[], None]) -> None:
        self._store = store
        self._wake = wake
        self.settled = asyncio.Event()  # set by Acting after each batch

    async def take(self, action: Action, *, press: str | None = None) -> Appended | None:
        """None: there is no such incident. Raises StoreUnavailable; then it may have been stored even so."""
        appended = await self._store.write(partial(actions.append, action=action, press=press))
        self._wake()
        return appended

    async def outcome(self, id: int, *, within_s: float) -> Outcome | None:
        """What came of it; after so long perhaps that it still waits. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within_s
        while True:
            self.settled.clear()
            found = await self._store.read(partial(actions.outcome, id=id))
            left_s = ends_at - loop.time()
            if found is None or found.state is not ActionState.WAITING or left_s <= 0:
                return found
            try:
                async with asyncio.timeout(min(left_s, LOOKED_AGAIN_S)):
                    await self.settled.wait()
            except TimeoutError:
                continue


class Acting:
    """Belongs to the task that decides: nobody else changes incidents, so they may be read before they are written."""

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        metrics: Metrics,
        wanted: asyncio.Event,
        settled: asyncio.Event,
        lease: Lease,
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._metrics = metrics
        self._wanted = wanted
        self._settled = settled
        self._lease = lease
        self._one_by_one_until = 0  # an action's id

    async def step(self) -> bool:
        """Apply one batch; whether there may be more.

        Raises StoreUnavailable or LeaseLost, and then nothing was changed.
        """
        guard = self._lease.guard()
        batch = await self._store.read(partial(_batch, limit=BATCH))
        waiting = batch.waiting
        if not waiting:
            return False
        if waiting[0].id <= self._one_by_one_until:
            waiting = waiting[:1]
        now = self._clock()
        changes = _Changes(batch.incidents, ownership=self._ownership(), now=now)
        for one in waiting:
            changes.enter(one)
        save = partial(_save, guard=guard, now=now)
        try:
            await self._store.write(partial(save, results=changes.results, changed=changes.changed))
        except FAULTS as exc:
            # A fault of ours. One action must not keep the others from being done.
            if len(waiting) > 1:
                self._one_by_one_until = waiting[-1].id
                return True
            _not_applied(waiting[0], exc)
            changes.results[waiting[0].id] = _FAULTY
            await self._store.write(partial(save, results=changes.results, changed=()))
        self._wanted.set()
        self._settled.set()
        for one in waiting:
            self._tell(one.action, changes.results[one.id])
        return True

    def _tell(self, action: Action, result: Result) -> None:
        outcome = ActionState.DONE if result.done else ActionState.REFUSED
        self._metrics.actions.labels(action.kind, outcome).inc()
        self._metrics.incidents_moved.inc(len(result.moves))
        facts = {"incident": action.incident, "kind": action.kind, "by": action.by, "outcome": result.words}
        if result.done:
            log.info("action_done", **facts)
        else:
            log.info("action_refused", **facts)


class _Changes:
    """What a batch changes, each incident seen as the actions before left it."""

    def __init__(self, found: Mapping[str, Incident], *, ownership: OwnershipMap, now: datetime) -> None:
        self._incidents = dict(found)
        self._ownership = ownership
        self._now = now
        self._changed: dict[str, Incident] = {}
        self.results: dict[int, Result] = {}  # by the action's id

    @property
    def changed(self) -> tuple[Incident, ...]:
        return tuple(self._changed.values())

    def enter(self, waiting: Waiting) -> None:
        incident = self._incidents.get(waiting.action.incident)
        if incident is None:
            self.results[waiting.id] = _GONE
            return
        try:
            result = apply(waiting.action, incident, ownership=self._ownership, now=self._now)
        except FAULTS as exc:
            _not_applied(waiting, exc)
            result = _FAULTY
        self.results[waiting.id] = result
        for one in result.incidents:
            self._incidents[one.id] = self._changed[one.id] = one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    waiting: Sequence[Waiting]
    incidents: Mapping[str, Incident]


def _batch(connection: Connection, *, limit: int) -> _Batch:
    waiting = actions.waiting(connection, limit=limit)
    ids = sorted({one.action.incident for one in waiting})
    return _Batch(waiting=waiting, incidents=incidents.by_id(connection, ids) if ids else {})


def _save(
    connection: Connection,
    *,
    guard: Callable[[Connection], None],
    results: Mapping[int, Result],
    changed: Iterable[Incident],
    now: datetime,
) -> None:
    guard(connection)
    incidents.save(connection, changed)
    messages.want(connection, [message for result in results.values() for message in result.wanted], now=now)
    for identifier, result in results.items():
        actions.settle(connection, identifier, done=result.done, words=result.words, now=now)


def _not_applied(waiting: Waiting, exc: Exception) -> None:
    log.error(
        "action_not_applied",
        incident=waiting.action.incident,
        kind=waiting.action.kind,
        error=type(exc).__name__,
        exc_info=exc,
    )
