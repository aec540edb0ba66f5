"""After the map changed: open incidents are resolved again, a batch at a time, and a new owner is told."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from router.core.errors import FAULTS, NotUnderstood
from router.core.incidents import Incident
from router.core.model import Source
from router.core.ownership import OwnershipMap
from router.core.reassignment import Evidence, Reassignment, reassign
from router.core.routing import Wanted
from router.intake.reading import READ_INLINE_BYTES, read
from router.store import inbox, incidents, messages
from router.store.database import Connection, Store
from router.telemetry import Metrics

log = structlog.get_logger()

# One transaction; what arrives meanwhile waits for it.
BATCH = 32


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
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock
        self._metrics = metrics
        self._wanted = wanted
        self._done: str | None = None  # the revision for which nothing is left
        self._doing: str | None = None
        self._after = ""

    async def step(self) -> bool:
        """Look at one batch; whether there may be more. Raises StoreUnavailable, and then nothing was changed."""
        ownership = self._ownership()
        if ownership.revision == self._done:
            return False
        if ownership.revision != self._doing:
            self._doing, self._after = ownership.revision, ""
        batch = await self._store.read(partial(_batch, revision=ownership.revision, after=self._after))
        if not batch.incidents:
            self._done = ownership.revision
            return False
        changes = _Changes(batch.siblings)
        for incident in batch.incidents:
            await self._look_at(incident, changes, ownership)
        await self._store.write(partial(_save, changed=changes.saved, wanted=tuple(changes.wanted), now=self._clock()))
        self._after = batch.incidents[-1].id
        self._wanted.set()
        return True

    async def _look_at(self, incident: Incident, changes: "_Changes", ownership: OwnershipMap) -> None:
        # Changed, perhaps, by what moved into it a moment ago.
        current = changes.current(incident)
        ids = sorted({tracked.notification for tracked in current.alerts.values() if tracked.firing})
        bodies = await self._store.read(partial(inbox.bodies_of, ids=ids))
        large = sum(len(body) for _, body in bodies.values()) > READ_INLINE_BYTES
        try:
            evidence = await asyncio.to_thread(_evidence, current, bodies) if large else _evidence(current, bodies)
            result = reassign(
                current, siblings=changes.siblings(current), evidence=evidence, ownership=ownership, now=self._clock()
            )
        except FAULTS as exc:
            # It stays with whom it is, and is kept true there; the next change of the map looks at it again.
            log.exception("incident_not_reassignable", incident=incident.id, error=type(exc).__name__)
            return
        changes.enter(result)
        for move in result.moves:
            self._metrics.incidents_moved.inc()
            log.info(
                "incident_moved",
                incident=incident.id,
                to=move.incident,
                before=incident.owner or "nobody",
                owner=move.owner or "nobody",
                channel=move.channel_id,
                alerts=move.alerts,
                revision=ownership.revision[:12],
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    incidents: list[Incident]
    siblings: dict[str, list[Incident]]  # the open ones, by group


def _batch(connection: Connection, *, revision: str, after: str) -> _Batch:
    found = incidents.of_older_maps(connection, revision=revision, after=after, limit=BATCH)
    groups = sorted({incident.group for incident in found})
    return _Batch(incidents=found, siblings=incidents.open_of_groups(connection, groups) if groups else {})


class _Changes:
    """What a batch changes, each incident seen as those before it left it."""

    def __init__(self, siblings: Mapping[str, Sequence[Incident]]) -> None:
        self._by_id = {incident.id: incident for group in siblings.values() for incident in group}
        self._changed: dict[str, Incident] = {}
        self.wanted: list[Wanted] = []

    def current(self, incident: Incident) -> Incident:
        return self._by_id.get(incident.id, incident)

    def siblings(self, incident: Incident) -> list[Incident]:
        same_group = (other for other in self._by_id.values() if other.group == incident.group)
        return [other for other in same_group if other.id != incident.id]

    def enter(self, result: Reassignment) -> None:
        for incident in result.incidents:
            self._by_id[incident.id] = self._changed[incident.id] = incident
        self.wanted += result.wanted

    @property
    def saved(self) -> tuple[Incident, ...]:
        return tuple(self._changed.values())


def _save(connection: Connection, *, changed: Sequence[Incident], wanted: Sequence[Wanted], now: datetime) -> None:
    incidents.save(connection, changed)
    messages.want(connection, wanted, now=now)


def _evidence(incident: Incident, bodies: Mapping[int, tuple[Source, bytes]]) -> dict[str, Evidence]:
    """What each firing alert was told with, as far as it is still there."""
    found: dict[str, Evidence] = {}
    for identifier, (source, body) in bodies.items():
        try:
            notification = read(source, body)
        except NotUnderstood:
            continue
        for alert in notification.alerts:
            tracked = incident.alerts.get(alert.fingerprint)
            if tracked is not None and tracked.notification == identifier:
                found[alert.fingerprint] = Evidence(alert=alert, route_labels=notification.route_labels)
    return found
