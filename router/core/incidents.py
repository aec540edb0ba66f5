"""Incidents: which alerts one owner has to deal with, and what is only said again.

Facts about the sender are from Alertmanager's source and from captured traffic (docs/explanation/alertmanager.md): a
group's status lies, resolved alerts are repeated for 15 minutes, pairs tell everything twice, and retries send the same
bytes. So everything here is decided per alert, by fingerprint.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

from router.core.history import Acknowledgement, Assignment, Escalation, Event, Happening, Snooze, Suspicion
from router.core.model import (
    LEVELS_BY_URGENCY,
    Alert,
    AlertStatus,
    Hints,
    IncidentState,
    Level,
    Notification,
    Source,
    Tried,
    Via,
)

# The retry of an answer that was lost on its way comes within seconds (backoff from 0.5 s, times 1.5); a repeat comes
# one repeat_interval later: the fastest heartbeat captured, every 10 s, now and then after 9.99 s. What the same sender
# says again within this time is a retry.
RETRY_WINDOW = timedelta(seconds=9)

# The second member of a pair waits position x peer-timeout (15 s) and may be inside its own flush, whose deadline is
# the group_interval (5 min by default): alertmanager app.timeoutFunc.
TWIN_WINDOW = timedelta(minutes=5, seconds=30)

# How long after an alert resolved another sender's old word that it fires is not believed.
LATE_WINDOW = timedelta(minutes=10)

REPEATED = "repeat interval elapsed"  # notification_reason, Alertmanager >= 0.32

# As the revision of the map that decided an incident, until it is looked at again: a moment after a map changed.
SEVERAL_MAPS = ""


class Reason(StrEnum):
    """Why an alert of a notification had the effect that it had; told in `/api/v1/notifications/{id}`."""

    FIRST = "first notification"
    JOINED = "new alert added"
    FIRES_AGAIN = "fires again"
    CHANGED = "its words changed"
    STILL_FIRING = "still firing"
    REPEATED = "repeated"
    RESOLVED = "resolved"
    ALREADY_RESOLVED = "already resolved"
    NEVER_FIRED = "resolved, but its firing was never told"
    LATE = "late: it has resolved since"
    OUTDATED = "late: it fires again since"
    DROPPED = "dropped by a rule of the map"
    UNREADABLE = "unreadable"


# What somebody is told that he did not know; and what he knew.
NEWS = frozenset({Reason.FIRST, Reason.JOINED, Reason.FIRES_AGAIN, Reason.RESOLVED})
STILL = frozenset({Reason.STILL_FIRING, Reason.CHANGED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What the map said about an alert when it was last told to fire. Shared by all alerts it is equal for."""

    via: Via
    hints: Hints
    drift: tuple[str, ...]
    tried: tuple[Tried, ...]  # kept for orphans only
    job: str | None = None  # the entry of the map's `jobs` that fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One alert inside an incident."""

    status: AlertStatus
    since: datetime | None
    until: datetime | None  # None while firing
    notification: int  # the last one that told it firing: its words are shown, also after it resolved
    explanation: Explanation
    words: int  # checksum of the annotations, to see that they changed
    sender: int  # checksum of the member of a pair that told its status

    @property
    def firing(self) -> bool:
        return self.status is AlertStatus.FIRING


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The other side of a change of owner: where alerts went to, or came from."""

    incident: str
    owner: str | None
    channel_id: str
    alerts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One owner's share of one alert group in one channel, from its first firing alert until none fires."""

    id: str
    group: str
    source: Source
    owner: str | None  # None: orphan
    channel_id: str
    copies: tuple[str, ...]  # channel ids of also_notify
    state: IncidentState
    severity: Level
    title: str
    opened_at: datetime
    updated_at: datetime
    closed_at: datetime | None
    first_notification: int
    last_notification: int
    alerts: Mapping[str, Tracked]  # by fingerprint
    truncated: int
    repeats: int
    revision: int  # of what its messages should show
    map_revision: str  # of the map that decided all of it, or SEVERAL_MAPS
    moved_to: tuple[Move, ...] = ()
    moved_from: tuple[Move, ...] = ()
    handed_over: bool = False  # it ended because its last firing alerts moved; those are kept as they were
    due_at: datetime | None = None  # when timers have to look at it next; None: never
    heard_at: datetime | None = None  # when a notification last told of it; None: before this was noted
    history: tuple[Happening, ...] = ()  # the last ones, oldest first
    happened: int = 0  # how many there ever were: the number of the last one
    escalations: tuple[Escalation, ...] = ()
    acknowledged: Acknowledgement | None = None
    snoozed: Snooze | None = None
    assigned: Assignment | None = None
    flaps: int = 0  # how often it fired again after it was found to flap; it was not told anew for these
    suspect: Suspicion | None = None
    job: str | None = None  # the entry of the map's `jobs` that all of its alerts are of

    @property
    def firing(self) -> int:
        return 0 if self.handed_over else sum(tracked.firing for tracked in self.alerts.values())

    @property
    def resolved(self) -> int:
        return sum(not tracked.firing for tracked in self.alerts.values())

    @property
    def ended(self) -> bool:
        """Whether it is over. One of which nothing is heard is not: nobody knows."""
        return self.state is IncidentState.RESOLVED


# Of what happened so much is kept; a thread that is so long is read by nobody from its beginning.
HISTORY: Final = 50


def noted(incident: Incident, event: Event, *, at: datetime, **facts: Any) -> Incident:  # Any: the fields of Happening
    """The incident with one more happening at the end of its history."""
    number = incident.happened + 1
    happening = Happening(number=number, event=event, at=at, **facts)
    return replace(incident, history=(*incident.history[1 - HISTORY :], happening), happened=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An alert that was told to be over before anybody was told that it fires."""

    since: datetime | None
    until: datetime
    sender: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What a group was last told with effect, by whom and when."""

    content: str
    notification: int
    sender: int
    reason: str | None
    at: datetime
    rhythm: timedelta | None = None  # the longest time between two of its repeats; None: none was heard yet
    ended: Mapping[str, Ended] = field(default_factory=dict)  # lately, by fingerprint


def group_of(notification: Notification) -> str:
    """The identity of an alert group: two sibling routes may send the same groupKey, so the receiver belongs to it."""
    identity = f"{notification.source}\0{notification.receiver}\0{notification.group_key}"
    return blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def content_of(notification: Notification) -> str:
    """Equal for the two notifications of a pair and for a retry: neither externalURL nor the reason are part of it."""
    told = sorted(
        f"{alert.fingerprint} {alert.status} {_micros(alert.starts_at)} {_micros(alert.ends_at)}"
        for alert in notification.alerts
    )
    told.append(str(notification.truncated))
    return blake2b("\n".join(told).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _micros(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp() * 1_000_000)


def sender_of(notification: Notification) -> int:
    return crc32(notification.sender.encode("utf-8", "surrogatepass"))


def words_of(alert: Alert) -> int:
    return crc32(repr(sorted(alert.annotations.items())).encode("utf-8", "surrogatepass"))


def is_duplicate(*, last: Telling | None, content: str, sender: int, reason: str | None, now: datetime) -> bool:
    """Whether this only says again what the group was told: a retry, or the other member of a pair.

    A true repeat has the same content too. It is told apart by its reason, where there is one, else by its age.
    """
    if last is None or last.content != content:
        return False
    if reason == REPEATED and last.reason != REPEATED:
        return False
    return _is_soon(last, sender=sender, now=now)


def is_repeat(
    told: Set[Reason], *, last: Telling | None, content: str, sender: int, reason: str | None, now: datetime
) -> bool:
    """Whether a notification without news, which is no duplicate, tells again that something fires: time has passed.

    `told` is what it was for its alerts. Where its reason is another one, it is a restart, or the flush after
    one whose answers were all lost. Before 0.32 there is no reason, and its content need not be the last one's: the
    first repeat after a resolve comes without the alert that resolved.
    """
    if not told & STILL:
        return False
    if reason is not None:
        return reason == REPEATED
    if last is None or _is_soon(last, sender=sender, now=now):
        return False
    return last.content == content or told <= STILL


def _is_soon(last: Telling, *, sender: int, now: datetime) -> bool:
    return now - last.at < (RETRY_WINDOW if sender == last.sender else TWIN_WINDOW)


def is_late(tracked: Tracked, alert: Alert, *, sender: int, closed_at: datetime | None, now: datetime) -> bool:
    """Whether a firing alert is old news of an episode that another sender has told resolved.

    One sender's notifications of a group are strictly serial, so its own word is always believed.
    """
    if tracked.firing or tracked.sender == sender:
        return False
    ended_at = closed_at or tracked.until
    if ended_at is not None and now - ended_at >= LATE_WINDOW:
        return False
    return alert.starts_at is not None and tracked.until is not None and alert.starts_at < tracked.until


def is_outdated(tracked: Tracked, alert: Alert, *, sender: int) -> bool:
    """Whether a resolved alert is old news of an episode before the one that another sender has told firing."""
    if tracked.sender == sender or alert.ends_at is None or tracked.since is None:
        return False
    return alert.ends_at < tracked.since


def later_start(tracked: Tracked, alert: Alert) -> datetime | None:
    """Since when it fires: of an alert that resolved and fired again between two flushes, only the start moves."""
    if tracked.since is None or alert.starts_at is None:
        return tracked.since or alert.starts_at
    return max(tracked.since, alert.starts_at)


def most_urgent(levels: list[Level]) -> Level:
    return min(levels, key=LEVELS_BY_URGENCY.__getitem__)
