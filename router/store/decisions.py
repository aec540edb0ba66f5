"""The transactions that take a notification from one state to the next, each complete or not there at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from router.core.heartbeats import Beat, beats_of, is_suspect, suspected
from router.core.identifiers import text_of
from router.core.incidents import Incident, Telling, group_of, superseded_alerts, superseded_by_run
from router.core.model import Cause, Notice, Notification, Source
from router.core.ownership import OwnershipMap
from router.core.routing import Decision, Group, Wanted, decide, messages_of, replies_of
from router.store import heartbeats, inbox, incidents, messages
from router.store.database import Connection
from router.store.heartbeats import Told

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
    beats: tuple[Beat, ...] = ()  # what it says of heartbeats


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
        settled.append(Settled(reading=reading, decision=decision, beats=beats_of(reading.notification)))
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
    wanted = [wanted for _, decision in decided for wanted in decision.wanted]
    _hear(connection, settled, now=now)
    # Behind the beats: what ends in the same batch as a heartbeat is in doubt, whichever of them was told first.
    wanted += _doubt(connection, changed, now=now)
    incidents.save(connection, changed.values())
    wanted += _supersede(connection, settled, told)
    inbox.tell(connection, told)
    if decided:
        inbox.record(connection, decided, revision=revision, now=now)
    messages.want(connection, wanted, now=now)


def _hear(connection: Connection, settled: Sequence[Settled], *, now: datetime) -> None:
    """Also of what is only said again: it is a sign of life all the same."""
    told = [
        Told(beat=beat, at=outcome.reading.received_at, reference=text_of(outcome.reading.id))
        for outcome in settled
        for beat in outcome.beats
    ]
    if told:
        heartbeats.hear(connection, told, now=now)


def _doubt(connection: Connection, changed: dict[str, Incident], *, now: datetime) -> list[Wanted]:
    """Mark those of `changed` whose end may be none, because a heartbeat of who told it is lost."""
    ended = [incident for incident in changed.values() if incident.ended]
    lost = heartbeats.lost(connection) if ended else []
    wanted: list[Wanted] = []
    for incident in ended:
        heartbeat = next((heartbeat for heartbeat in lost if is_suspect(incident, heartbeat)), None)
        if heartbeat is not None:
            after = changed[incident.id] = suspected(incident, heartbeat, now=now)
            wanted += (*messages_of(after), *replies_of(incident, after))
    return wanted


def _supersede(connection: Connection, settled: Sequence[Settled], told: dict[str, Telling]) -> list[Wanted]:
    """End what older runs of jobs left open, in whatever group and source, where a newer run has succeeded.

    Behind the batch, on what it left: what fires since the success stays, so it does not matter which came first.
    Their groups remember it, in `told`: a failed Job is told to fire until somebody deletes it.
    """
    wanted: list[Wanted] = []
    for outcome in settled:
        for job, succeeded_at in outcome.decision.succeeded if outcome.decision is not None else ():
            for before in incidents.of_job(connection, job):
                after = superseded_by_run(before, at=succeeded_at, now=outcome.reading.received_at)
                if after is not before:
                    incidents.save(connection, [after])
                    wanted += (*messages_of(after), *replies_of(before, after))
                    telling = told.get(after.group) or inbox.told(connection, [after.group]).get(after.group)
                    if telling is not None:
                        ended = {**telling.ended, **superseded_alerts(after)}
                        told[after.group] = replace(telling, ended=ended)
    return wanted


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
