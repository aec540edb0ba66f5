"""After the map changed: open incidents are resolved again, a batch at a time, and a new owner is told."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from router.core.errors import FAULTS, NotUnderstood
from router.core.incidents import Incident, Move, Tracked, words_of
from router.core.model import Alert, Source
from router.core.ownership import OwnershipMap
from router.core.reassignment import Evidence, Reassignment, reassign
from router.core.routing import Wanted
from router.intake.reading import READ_INLINE_BYTES, read
from router.leadership import Lease
from router.store import inbox, incidents, messages
from router.store.database import Connection, Store
from router.telemetry import Metrics

log = structlog.get_logger()

# One transaction; what arrives meanwhile waits for it. The bytes are those of incidents, and again those of bodies.
BATCH = 32
BATCH_BYTES = 1024 * 1024
# Resolving so many takes milliseconds; more of them are resolved in a thread, beside the requests.
ALERTS_INLINE = 100


class Reassigner:
    """Belongs to the task that decides: nobody else changes incidents, so they may be read before they are written.

    What is not done when the process ends is done by the next one: it is found by the map that decided it last.
    """

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        metrics: Metrics,
        wanted: asyncio.Event,
        lease: Lease,
    ) -> None:
        self._lease = lease
        self._guard = lease.guard()
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._metrics = metrics
        self._wanted = wanted
        # The map for which nothing is left. Not its revision: a map that went and came back may have missed something.
        self._done: OwnershipMap | None = None
        self._doing: OwnershipMap | None = None
        self._after = ""
        self._one_by_one_until = ""

    async def step(self) -> bool:
        """Look at one batch; whether there may be more.

        Raises StoreUnavailable or LeaseLost, and then nothing was changed.
        """
        self._guard = self._lease.guard()
        ownership = self._ownership()
        if ownership is self._done:
            return False
        if ownership is not self._doing:
            self._doing, self._after = ownership, ""
        limit = 1 if self._after < self._one_by_one_until else BATCH
        batch = await self._store.read(partial(_batch, revision=ownership.revision, after=self._after, limit=limit))
        if not batch.incidents:
            self._done, self._one_by_one_until = ownership, ""
            return False
        changes, looked_at, read_bytes = _Changes(batch.siblings), list[Incident](), 0
        while len(looked_at) < len(batch.incidents) and read_bytes < BATCH_BYTES:
            looked_at.append(batch.incidents[len(looked_at)])
            read_bytes += await self._look_at(looked_at[-1], changes, ownership)
        try:
            await self._store.write(
                partial(self._save, changed=changes.saved, wanted=tuple(changes.wanted), now=self._clock())
            )
        except FAULTS as exc:
            # A fault of ours. One incident must not keep the others with whom the map takes them from.
            if len(looked_at) > 1:
                self._one_by_one_until = looked_at[-1].id
                return True
            _not_reassignable(looked_at[0], exc)
            changes.moves.clear()
        self._after = looked_at[-1].id
        self._wanted.set()
        self._tell(changes.moves, revision=ownership.revision)
        return True

    async def _look_at(self, incident: Incident, changes: "_Changes", ownership: OwnershipMap) -> int:
        """Resolve one incident again; how many bytes were read for it."""
        # Changed, perhaps, by what moved into it a moment ago.
        current = changes.current(incident)
        evidence = _Evidence(current)
        try:
            while (needed := evidence.next_needed()) is not None:
                bodies = await self._store.read(partial(inbox.bodies_of, ids=[needed]))
                large = sum(len(body) for _, body in bodies.values()) > READ_INLINE_BYTES
                await asyncio.to_thread(evidence.take, bodies) if large else evidence.take(bodies)
            resolve = partial(
                reassign,
                current,
                siblings=changes.siblings(current),
                evidence=evidence.found,
                ownership=ownership,
                now=self._clock(),
            )
            large = len(current.alerts) > ALERTS_INLINE
            changes.enter(current, await asyncio.to_thread(resolve) if large else resolve())
        except FAULTS as exc:
            _not_reassignable(incident, exc)
        return evidence.read_bytes

    def _save(
        self, connection: Connection, *, changed: Sequence[Incident], wanted: Sequence[Wanted], now: datetime
    ) -> None:
        self._guard(connection)
        incidents.save(connection, changed)
        messages.want(connection, wanted, now=now)

    def _tell(self, moves: Sequence[tuple[Incident, Move]], *, revision: str) -> None:
        for incident, move in moves:
            self._metrics.incidents_moved.inc()
            log.info(
                "incident_moved",
                incident=incident.id,
                to=move.incident,
                before=incident.owner or "nobody",
                owner=move.owner or "nobody",
                channel=move.channel_id,
                alerts=move.alerts,
                revision=revision[:12],
            )


def _not_reassignable(incident: Incident, exc: Exception) -> None:
    """It stays with whom it is, and is kept true there; the next change of the map looks at it again."""
    log.error("incident_not_reassignable", incident=incident.id, error=type(exc).__name__, exc_info=exc)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    incidents: list[Incident]
    siblings: dict[str, list[Incident]]  # the open ones, by group


def _batch(connection: Connection, *, revision: str, after: str, limit: int) -> _Batch:
    found = incidents.of_older_maps(connection, revision=revision, after=after, limit=limit, size=BATCH_BYTES)
    groups = sorted({incident.group for incident in found})
    return _Batch(incidents=found, siblings=incidents.open_of_groups(connection, groups) if groups else {})


class _Changes:
    """What a batch changes, each incident seen as those before it left it."""

    def __init__(self, siblings: Mapping[str, Sequence[Incident]]) -> None:
        self._by_id = {incident.id: incident for group in siblings.values() for incident in group}
        self._changed: dict[str, Incident] = {}
        self.wanted: list[Wanted] = []
        self.moves: list[tuple[Incident, Move]] = []

    def current(self, incident: Incident) -> Incident:
        return self._by_id.get(incident.id, incident)

    def siblings(self, incident: Incident) -> list[Incident]:
        same_group = (other for other in self._by_id.values() if other.group == incident.group)
        return [other for other in same_group if other.id != incident.id]

    def enter(self, before: Incident, result: Reassignment) -> None:
        for incident in result.incidents:
            self._by_id[incident.id] = self._changed[incident.id] = incident
        self.wanted += result.wanted
        self.moves += ((before, move) for move in result.moves)

    @property
    def saved(self) -> tuple[Incident, ...]:
        return tuple(self._changed.values())


class _Evidence:
    """What the firing alerts of an incident were told with, as far as it is still there; gathered body by body.

    Alertmanager tells the whole group each time. So the newest body mostly has all of them, and the many that a growing
    group came in, each larger than the one before, need not be read.
    """

    def __init__(self, incident: Incident) -> None:
        self.found: dict[str, Evidence] = {}
        self.read_bytes = 0
        self._missing = {name: tracked for name, tracked in incident.alerts.items() if tracked.firing}
        self._bodies = sorted({tracked.notification for tracked in self._missing.values()})

    def next_needed(self) -> int | None:
        """The next body to take, the newest first; None if no other has something that is missing."""
        needed = {tracked.notification for tracked in self._missing.values()}
        while self._bodies:
            if (body := self._bodies.pop()) in needed:
                return body
        return None

    def take(self, bodies: Mapping[int, tuple[Source, bytes]]) -> None:
        for identifier, (source, body) in bodies.items():
            self.read_bytes += len(body)
            try:
                notification = read(source, body)
            except NotUnderstood:
                continue
            for alert in notification.alerts:
                tracked = self._missing.get(alert.fingerprint)
                if tracked is not None and _tells(alert, tracked, by=identifier):
                    del self._missing[alert.fingerprint]
                    self.found[alert.fingerprint] = Evidence(alert=alert, route_labels=notification.route_labels)


def _tells(alert: Alert, tracked: Tracked, *, by: int) -> bool:
    """Whether the notification `by` has the words in which the alert is known; its labels are always the same."""
    return tracked.notification == by or words_of(alert) == tracked.words
