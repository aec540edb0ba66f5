"""Incidents: which alerts one owner has to deal with, and what is only said again.

Facts about the sender are from Alertmanager's source and from captured traffic (docs/explanation/alertmanager.md): a
group's status lies, resolved alerts are repeated for 15 minutes, pairs tell everything twice, and retries send the same
bytes. So everything here is decided per alert, by fingerprint.
"""

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

from router.core.history import Acknowledgement, Assignment, Escalation, Event, Happening, Snooze, Suspicion
from router.core.model import (
    CHECK_IN_SOURCES,
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

# notification_reason, Alertmanager >= 0.32. It is found before max_alerts cuts the list (notify/notify.go).
REPEATED = "repeat interval elapsed"
ALL_RESOLVED = "all alerts resolved"

# What ended so many times within this time and fires again is not another incident each time: it flaps.
FLAP_WINDOW = timedelta(hours=1)
FLAPS_AFTER = 2

# A group whose repeats are not known yet may be repeated once a day, with an hour for its group_interval, and another.
UNKNOWN_RHYTHM = timedelta(hours=26)
# Shorter than that nothing is stale: a flush may take its group_interval, and the router may be restarted meanwhile.
LEAST_SILENCE = timedelta(minutes=15)

# Prometheus ends an alert and begins the next at the time of one evaluation. Other senders round to seconds.
SAME_INSTANT = timedelta(seconds=1)

# As the sender of an alert that a newer run of its job ended: what is told on of that episode is old, whoever says it.
SUPERSEDED: Final = -1
# For so long: a failed run is told on until somebody deletes it, and each notification may be a repeat_interval late.
SUPERSEDED_WINDOW = timedelta(days=7)

# What is remembered of the untold at most: a group of ten thousand may come and go between two flushes.
UNTOLD: Final = 500

# As the revision of the map that decided an incident, until it is looked at again: a moment after a map changed.
SEVERAL_MAPS = ""


class Reason(StrEnum):
    """Why an alert of a notification had the effect that it had; told in `/api/v1/notifications/{id}`."""

    FIRST = "first notification"
    JOINED = "new alert added"
    OTHER_VALUE = "fires on under another value"
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
    sender: int  # checksum of the member of a pair that told its status, or SUPERSEDED
    stem: int = 0  # checksum of its labels but for those that hold a measured value; 0: none does
    value_since: datetime | None = None  # the start of its present value, where `since` is that of an earlier one

    @property
    def firing(self) -> bool:
        return self.status is AlertStatus.FIRING

    @property
    def started_at(self) -> datetime | None:
        """The start that its sender tells of it."""
        return self.value_since or self.since


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
    waiting_since: datetime | None = None  # for somebody to acknowledge it; None: since it opened
    history: tuple[Happening, ...] = ()  # the last ones, oldest first
    happened: int = 0  # how many there ever were: the number of the last one
    escalations: tuple[Escalation, ...] = ()
    acknowledged: Acknowledgement | None = None
    snoozed: Snooze | None = None
    assigned: Assignment | None = None
    flaps: int = 0  # how often it fired again after it was found to flap; it was not told anew for these
    suspect: Suspicion | None = None
    unheard: int = 0  # alerts that fire, and that its group's last word left out: silenced or inhibited
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


# A measured value has a fraction, or a unit that is no time span such as the 5m of a window. Go's humanize functions
# write 1.234k, 1.5Gi and 12.35%.
_MEASURED: Final = re.compile(
    r"[-+]?\d+(?:\.\d+(?:[eE][-+]?\d+)?\s?[^\d.\s]{0,8}|\s?(?:%|[mµunk]?s|[kKMGTP]i?B?|B|bytes))"
)
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_VALUE_NAMES: Final = frozenset({"value", "val", "current", "current_value", "currentvalue", "actual", "measured"})
_BEGINS_NUMBER: Final = frozenset("0123456789+-")
# Numbers that name something: the bound of a bucket, a percentile, a release.
_CONSTANT_NAMES: Final = frozenset({"le", "quantile", "version"})


def stem_of(alert: Alert) -> int:
    """Equal for the alerts that a rule makes of one series by its value in a label; 0 where no label holds one."""
    measured = {
        name for name, value in alert.labels.items() if value[:1] in _BEGINS_NUMBER and _is_measured(name, value)
    }
    if not measured:
        return 0
    labels = [(name, "" if name in measured else value) for name, value in sorted(alert.labels.items())]
    return crc32(repr(labels).encode("utf-8", "surrogatepass")) or 1


def _is_measured(name: str, value: str) -> bool:
    if name in _CONSTANT_NAMES:
        return False
    return _MEASURED.fullmatch(value) is not None or (
        name.lower() in _VALUE_NAMES and _NUMBER.fullmatch(value) is not None
    )


def is_duplicate(*, last: Telling | None, content: str, sender: int, reason: str | None, now: datetime) -> bool:
    """Whether this only says again what the group was told: a retry, or the other member of a pair.

    A true repeat has the same content too. It is told apart by its reason, where there is one, else by its age.
    """
    if last is None or last.content != content:
        return False
    if reason == REPEATED and last.reason != REPEATED:
        return False
    return is_soon(last, sender=sender, now=now)


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
    if last is None or is_soon(last, sender=sender, now=now):
        return False
    return last.content == content or told <= STILL


def is_soon(last: Telling, *, sender: int, now: datetime) -> bool:
    return now - last.at < (RETRY_WINDOW if sender == last.sender else TWIN_WINDOW)


def is_late(tracked: Tracked, alert: Alert, *, sender: int, closed_at: datetime | None, now: datetime) -> bool:
    """Whether a firing alert is old news of an episode that another sender has told resolved.

    One sender's notifications of a group are strictly serial, so its own word is always believed.
    """
    if tracked.firing or tracked.sender == sender:
        return False
    if tracked.sender == SUPERSEDED:
        return alert.starts_at is not None and tracked.until is not None and alert.starts_at < tracked.until
    ended_at = closed_at or tracked.until
    if ended_at is not None and now - ended_at >= LATE_WINDOW:
        return False
    return alert.starts_at is not None and tracked.until is not None and alert.starts_at < tracked.until


def is_late_of_untold(ended: Ended, alert: Alert, *, sender: int, now: datetime) -> bool:
    """The same of an episode of which only the end was told."""
    if ended.sender == sender or not is_remembered(ended, now=now):
        return False
    return alert.starts_at is not None and alert.starts_at < ended.until


def is_remembered(ended: Ended, *, now: datetime) -> bool:
    return now - ended.until < (SUPERSEDED_WINDOW if ended.sender == SUPERSEDED else LATE_WINDOW)


def is_outdated(tracked: Tracked, alert: Alert, *, sender: int) -> bool:
    """Whether a resolved alert is old news of an episode before the one that another sender has told firing."""
    if tracked.sender == sender or alert.ends_at is None or tracked.started_at is None:
        return False
    return alert.ends_at < tracked.started_at


def later_start(tracked: Tracked, alert: Alert) -> datetime | None:
    """Since when it fires: of an alert that resolved and fired again between two flushes, only the start moves."""
    known = tracked.started_at
    if known is None or alert.starts_at is None:
        return known or alert.starts_at
    return max(known, alert.starts_at)


def rhythm_after(last: Telling, *, opened_at: datetime, repeats: int, certain: bool, now: datetime) -> timedelta | None:
    """The repeat rhythm of a group, now that an incident that opened then was told again so many times.

    What comes within the time of one flush may be a retry. `certain`: it says of itself that it is a repeat. Else a
    restart and the end of a silence look like one too, so it takes two or more that are evenly apart. A longer rhythm
    is forgotten slowly: it may have been a gap.
    """
    gap = now - last.at
    if gap < TWIN_WINDOW:
        return last.rhythm
    if not certain and (repeats < 2 or abs(gap - (now - opened_at) / repeats) > gap / 8):
        return last.rhythm
    return gap if last.rhythm is None else max(gap, last.rhythm - last.rhythm / 8)


def stale_at(incident: Incident, *, rhythm: timedelta | None) -> datetime | None:
    """When nobody knows any more whether it still fires, if nothing more is heard of it; None: never.

    `rhythm` is its group's; None while no repeat was heard. A check-in is said once, and never repeated.
    """
    if incident.state is not IncidentState.OPEN or incident.source in CHECK_IN_SOURCES:
        return None
    heard_at = incident.heard_at or incident.updated_at
    return heard_at + (UNKNOWN_RHYTHM if rhythm is None else max(2 * rhythm, LEAST_SILENCE))


def superseded_by_run(incident: Incident, *, at: datetime, now: datetime) -> Incident:
    """The incident after a run of its job succeeded at `at`: what fires since before is over, whatever is told of it.

    The same object if nothing of it fires since before.
    """
    alerts = {
        fingerprint: replace(tracked, status=AlertStatus.RESOLVED, until=at, sender=SUPERSEDED)
        if tracked.firing and tracked.since is not None and tracked.since < at
        else tracked
        for fingerprint, tracked in incident.alerts.items()
    }
    if incident.ended or alerts == incident.alerts:
        return incident
    left = replace(incident, alerts=alerts, updated_at=now, revision=incident.revision + 1)
    firing = [tracked for tracked in alerts.values() if tracked.firing]
    if firing:
        return replace(left, severity=most_urgent([tracked.explanation.hints.severity for tracked in firing]))
    ended = replace(left, state=IncidentState.RESOLVED, closed_at=now, due_at=None)
    return noted(ended, Event.SUPERSEDED_RUN, at=now, until=at)


def superseded_alerts(incident: Incident) -> dict[str, Ended]:
    """What a newer run ended of it, for its group's telling: the incident is known to decisions for a while only."""
    return {
        fingerprint: Ended(since=tracked.since, until=tracked.until, sender=SUPERSEDED)
        for fingerprint, tracked in incident.alerts.items()
        if tracked.sender == SUPERSEDED and tracked.until is not None
    }


def most_urgent(levels: list[Level]) -> Level:
    return min(levels, key=LEVELS_BY_URGENCY.__getitem__)
