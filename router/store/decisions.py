"""The transactions that take a notification from one state to the next, each complete or not there at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from router.core.identifiers import text_of
from router.core.incidents import Incident, Telling, group_of
from router.core.model import Cause, Notice, Notification, Source
from router.core.ownership import OwnershipMap
from router.core.routing import Decision, Group, decide
from router.store import inbox, incidents, messages
from router.store.database import Connection

# Prometheus tells resolved alerts again for 15 minutes (resolvedRetention): what closed lately is still known by name.
REMEMBERED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A stored notification after it was read: either what it says, or why it cannot be read."""

    id: int
    source: Source
    received_at: datetime
    notification: Notification | None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """One notification's way through a transaction, for the log."""

    id: int
    source: Source
    decision: Decision | None  # None: quarantined
    error: str | None = None


def accept_quarantined(connection: Connection, row: tuple[Any, ...], notice: Notice) -> None:
    """Store a body that is not of its source's shape, and tell the fallback channel: both or neither."""
    inbox.append(connection, [row])
    messages.notify(connection, notice)


def settle(
    connection: Connection, readings: Sequence[Reading], *, ownership: OwnershipMap, now: datetime
) -> list[Settled]:
    """Decide notifications in their order and write what they change, and that they are decided at `now`."""
    groups = {reading.id: group_of(reading.notification) for reading in readings if reading.notification is not None}
    books = _Books(
        connection,
        sorted(set(groups.values())),
        closed_after=min((reading.received_at for reading in readings), default=now) - REMEMBERED,
    )
    settled, decided = [], []
    for reading in readings:
        if reading.notification is None:
            error = reading.error or "cannot be read"
            inbox.quarantine(connection, reading.id, error=error, revision=ownership.revision, now=now)
            messages.notify(connection, _notice(Cause.QUARANTINED, reading, error, now=now))
            settled.append(Settled(id=reading.id, source=reading.source, decision=None, error=error))
            continue
        decision = decide(
            reading.notification,
            id=reading.id,
            group=books.group(groups[reading.id]),
            ownership=ownership,
            # When it came in, not when we got to it: so it is decided the same after a crash, or out of a backlog.
            now=reading.received_at,
        )
        books.enter(decision)
        decided.append((reading.id, decision))
        settled.append(Settled(id=reading.id, source=reading.source, decision=decision))
        if reading.notification.unreadable:
            first = reading.notification.unreadable[0]
            error = f"alerts[{first.index}]: {first.error}"
            messages.notify(
                connection,
                _notice(Cause.UNREADABLE_ALERTS, reading, error, now=now, count=len(reading.notification.unreadable)),
            )
    books.close()
    if decided:
        inbox.record(connection, decided, revision=ownership.revision, now=now)
        messages.want(connection, [wanted for _, decision in decided for wanted in decision.wanted], now=now)
    return settled


def _notice(cause: Cause, reading: Reading, error: str, *, now: datetime, count: int = 1) -> Notice:
    return Notice(
        cause=cause,
        source=reading.source,
        error=error,
        count=count,
        first_at=now,
        last_at=now,
        reference=text_of(reading.id),
    )


class _Books:
    """What the groups of one transaction are known for, brought forward from decision to decision."""

    def __init__(self, connection: Connection, groups: Sequence[str], *, closed_after: datetime) -> None:
        self._connection = connection
        self._tellings = inbox.told(connection, groups)
        self._incidents = incidents.of_groups(connection, groups, closed_after=closed_after)
        self._told: dict[str, Telling] = {}
        self._changed: dict[str, Incident] = {}

    def group(self, key: str) -> Group:
        return Group(
            telling=self._told.get(key) or self._tellings.get(key), incidents=tuple(self._incidents.get(key, ()))
        )

    def enter(self, decision: Decision) -> None:
        if decision.telling is not None:
            self._told[decision.group] = decision.telling
        if decision.incidents:
            after = {incident.id: incident for incident in self._incidents.get(decision.group, ())}
            after.update((incident.id, incident) for incident in decision.incidents)
            self._incidents[decision.group] = list(after.values())
            self._changed.update((incident.id, incident) for incident in decision.incidents)

    def close(self) -> None:
        incidents.save(self._connection, self._changed.values())
        inbox.tell(self._connection, self._told)
