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
    """What was decided about one notification."""

    reading: Reading
    decision: Decision | None  # None: quarantined
    error: str | None = None


@dataclass(slots=True, kw_only=True)
class Known:
    """What alert groups are known for, brought forward from decision to decision."""

    tellings: dict[str, Telling]
    incidents: dict[str, list[Incident]]

    def group(self, key: str) -> Group:
        return Group(telling=self.tellings.get(key), incidents=tuple(self.incidents.get(key, ())))

    def enter(self, decision: Decision) -> None:
        if decision.telling is not None:
            self.tellings[decision.group] = decision.telling
        if decision.incidents:
            after = {incident.id: incident for incident in self.incidents.get(decision.group, ())}
            after.update((incident.id, incident) for incident in decision.incidents)
            self.incidents[decision.group] = list(after.values())


def accept_quarantined(connection: Connection, row: tuple[Any, ...], notice: Notice) -> None:
    """Store a body that is not of its source's shape, and tell the fallback channel: both or neither."""
    inbox.append(connection, [row])
    messages.notify(connection, notice)


def known_of(connection: Connection, readings: Sequence[Reading]) -> Known:
    """What is known of the alert groups of these notifications."""
    groups = sorted({group_of(reading.notification) for reading in readings if reading.notification is not None})
    if not groups:
        return Known(tellings={}, incidents={})
    closed_after = min(reading.received_at for reading in readings) - REMEMBERED
    return Known(
        tellings=inbox.told(connection, groups),
        incidents=incidents.of_groups(connection, groups, closed_after=closed_after),
    )


def decide_all(readings: Sequence[Reading], known: Known, *, ownership: OwnershipMap) -> list[Settled]:
    """Decide notifications in their order, each knowing what those before it changed. Pure, but for `known`."""
    settled = []
    for reading in readings:
        if reading.notification is None:
            error = reading.error or "cannot be read"
            settled.append(Settled(reading=reading, decision=None, error=error))
            continue
        decision = decide(
            reading.notification,
            id=reading.id,
            group=known.group(group_of(reading.notification)),
            ownership=ownership,
            # When it came in, not when we got to it: so it is decided the same after a crash, or out of a backlog.
            now=reading.received_at,
        )
        known.enter(decision)
        settled.append(Settled(reading=reading, decision=decision))
    return settled


def settle(connection: Connection, settled: Sequence[Settled], *, revision: str, now: datetime) -> None:
    """Write everything that notifications changed, and that they are decided: all of it or nothing."""
    changed: dict[str, Incident] = {}
    told: dict[str, Telling] = {}
    decided: list[tuple[int, Decision]] = []
    for outcome in settled:
        reading, decision = outcome.reading, outcome.decision
        if decision is None:
            error = outcome.error or "cannot be read"
            inbox.quarantine(connection, reading.id, error=error, revision=revision, now=now)
            messages.notify(connection, _notice(Cause.QUARANTINED, reading, error, now=now))
            continue
        decided.append((reading.id, decision))
        changed.update((incident.id, incident) for incident in decision.incidents)
        if decision.telling is not None:
            told[decision.group] = decision.telling
        if reading.notification is not None and reading.notification.unreadable:
            unreadable = reading.notification.unreadable
            error = f"alerts[{unreadable[0].index}]: {unreadable[0].error}"
            notice = _notice(Cause.UNREADABLE_ALERTS, reading, error, now=now, count=len(unreadable))
            messages.notify(connection, notice)
    incidents.save(connection, changed.values())
    inbox.tell(connection, told)
    if decided:
        inbox.record(connection, decided, revision=revision, now=now)
        messages.want(connection, [wanted for _, decision in decided for wanted in decision.wanted], now=now)


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
