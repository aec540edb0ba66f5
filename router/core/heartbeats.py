"""Alerts that always fire, so that somebody notices when they stop: what is heard of them, and when one is lost.

A heartbeat that is told *resolved* is as lost as one that is not told any more: when Prometheus is gone, Alertmanager
resolves all of its alerts, the heartbeat included (docs/explanation/alertmanager.md).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from router.core.enrichment import parse_duration
from router.core.history import Event, Suspicion
from router.core.incidents import LATE_WINDOW, RETRY_WINDOW, TWIN_WINDOW, Incident, content_of, noted, sender_of
from router.core.model import Alert, AlertStatus, Cause, Notice, Notification, Source

# By its author: "15m" for an alert that must be heard at least so often; "yes" for one whose rhythm is to be learned;
# "no" for one that is none, whatever its name says.
HEARTBEAT_ANNOTATION: Final = "router_heartbeat"

# Compared without case. Watchdog is kube-prometheus', DeadMansSwitch its older name, the others are those of rule
# collections. Not Heartbeat: what is called so mostly fires when one is missing.
NAMES: Final = frozenset(
    {
        "watchdog",
        "alwaysfiring",
        "deadman",
        "deadmanswitch",
        "deadmansswitch",
        "deadmansnitch",
        "deadmanssnitch",
        "dead_mans_switch",
        "prometheusalwaysfiring",
        "prometheusdeadmanswitch",
        "prometheusdeadmansswitch",
        "prometheusalertmanagere2edeadmanswitch",
    }
)

# A rhythm is known after so many gaps; so many are remembered.
ENOUGH: Final = 3
REMEMBERED: Final = 8
# Of so many gaps the longest may be an outage, of the router or of what the heartbeat watches, and no rhythm.
FORGIVING: Final = 5
# A repeat waits for the next flush, and a flush may be late by its whole deadline.
LEAST_PATIENCE: Final = timedelta(minutes=2)
# Senders are told apart by their external URL, which has a pod's name in it where nobody set one.
SENDERS: Final = 8

# When Prometheus dies, all of its alerts lapse with the heartbeat, and each group tells so at its own next flush.
SUSPECT_BEFORE: Final = TWIN_WINDOW
# What ends later was told by somebody who is alive: by another Prometheus behind the same Alertmanager.
SUSPECT_AFTER: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What one notification says of one heartbeat."""

    id: str
    source: Source
    fingerprint: str
    name: str  # for people
    status: AlertStatus
    starts_at: datetime | None
    ends_at: datetime | None
    sender: int
    content: str  # of the whole notification
    within: timedelta | None  # declared: it must be heard so often


class Why(StrEnum):
    """How a heartbeat was lost."""

    RESOLVED = "resolved"  # told to be over
    SILENT = "silent"  # not told any more


class Change(StrEnum):
    LOST = "lost"
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    at: datetime
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """One alert that always fires, and its rhythm."""

    id: str
    source: Source
    fingerprint: str
    name: str
    senders: tuple[int, ...]  # checksums of who told it, the last one last
    first_at: datetime
    heard_at: datetime  # when it was last told to fire
    beat_at: datetime  # from when the next gap counts: no retry, and no twin's word
    beat_by: int  # who told it then
    content: str  # and what else with it
    gaps: tuple[timedelta, ...] = ()  # the last ones
    within: timedelta | None = None
    since: datetime | None = None  # when its alert began to fire, as told
    until: datetime | None = None  # when it ended, as last told
    lost: Lost | None = None
    untold: Change | None = None  # what is not in the log yet, nor looked at for its consequences


def beats_of(notification: Notification) -> tuple[Beat, ...]:
    """What it says of heartbeats. Whatever the map does with them: a map mostly drops them."""
    return tuple(_beat(alert, notification) for alert in notification.alerts if is_heartbeat(alert))


def is_heartbeat(alert: Alert) -> bool:
    declared = alert.annotations.get(HEARTBEAT_ANNOTATION)
    if declared is None:
        return alert.name.lower() in NAMES and not alert.is_drill
    return declared.strip().lower() not in ("no", "false") and not alert.is_drill


def heard(known: Heartbeat | None, beat: Beat, *, now: datetime) -> tuple[Heartbeat, Change | None]:
    """What is known of the heartbeat after `beat`, and whether that is news."""
    if known is None:
        known = Heartbeat(
            id=beat.id,
            source=beat.source,
            fingerprint=beat.fingerprint,
            name=beat.name,
            senders=(beat.sender,),
            first_at=now,
            heard_at=now,
            beat_at=now,
            beat_by=beat.sender,
            content=beat.content,
            within=beat.within,
        )
    elif beat.status is AlertStatus.FIRING:
        if _is_late(known, beat, now=now):
            return known, None
        known = _beaten(known, beat, now=now)
    if beat.status is AlertStatus.RESOLVED:
        return _resolved(known, beat, now=now)
    since = max((told for told in (known.since, beat.starts_at) if told is not None), default=None)
    known = replace(known, since=since, senders=_senders(known, beat), within=beat.within, name=beat.name)
    if known.lost is None:
        return known, None
    return replace(known, lost=None, untold=Change.BACK), Change.BACK


def overdue_at(heartbeat: Heartbeat, *, listening_since: datetime | None = None) -> datetime | None:
    """When it is lost unless it is heard before; None: its rhythm is not known, or it is lost already.

    A repeat comes after the repeat interval rounded up to whole group intervals, and one of these later if it just
    missed a flush. What was told while nobody was listening cannot have been heard.
    """
    patience = _patience(heartbeat)
    if patience is None or heartbeat.lost is not None:
        return None
    return max(heartbeat.heard_at, listening_since or heartbeat.heard_at) + patience


def due_at(heartbeat: Heartbeat) -> datetime | None:
    """When somebody has to look at it: at once where something is untold."""
    return heartbeat.heard_at if heartbeat.untold is not None else overdue_at(heartbeat)


def fallen_silent(heartbeat: Heartbeat, *, now: datetime) -> Heartbeat:
    return replace(heartbeat, lost=Lost(at=now, why=Why.SILENT), untold=Change.LOST)


def notice_of(heartbeat: Heartbeat, *, now: datetime, reference: str | None = None) -> Notice:
    """What the fallback channel is told of one that is lost; `error` is why, with the instant."""
    silent = heartbeat.lost is not None and heartbeat.lost.why is Why.SILENT
    at = heartbeat.heard_at if silent or heartbeat.until is None else heartbeat.until
    told = at.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Notice(
        cause=Cause.HEARTBEAT,
        source=heartbeat.source,
        error=f"silent since {told}" if silent else f"resolved at {told}",
        count=1,
        first_at=now,
        last_at=now,
        reference=reference,
        subject=heartbeat.name,
    )


def is_suspect(incident: Incident, heartbeat: Heartbeat) -> bool:
    """Whether its end may be none: told by who told of the heartbeat, when that was lost."""
    lost, ended_at = heartbeat.lost, incident.closed_at
    if lost is None or ended_at is None or not lost.at - SUSPECT_BEFORE <= ended_at <= lost.at + SUSPECT_AFTER:
        return False
    if not incident.ended or incident.handed_over or incident.suspect is not None:
        return False
    return incident.source is heartbeat.source and any(
        not tracked.firing and tracked.sender in heartbeat.senders and fingerprint != heartbeat.fingerprint
        for fingerprint, tracked in incident.alerts.items()
    )


def suspected(incident: Incident, heartbeat: Heartbeat, *, now: datetime) -> Incident:
    """The incident with the doubt; `heartbeat` is lost."""
    lost_at = now if heartbeat.lost is None else heartbeat.lost.at
    doubted = replace(
        incident,
        suspect=Suspicion(heartbeat=heartbeat.name, lost_at=lost_at),
        updated_at=now,
        revision=incident.revision + 1,
    )
    return noted(doubted, Event.SUSPECT, at=now, names=(heartbeat.name,))


# -- what is heard -----------------------------------------------------------------------------------------------------


def _beat(alert: Alert, notification: Notification) -> Beat:
    identity = f"{notification.source}\0{alert.fingerprint}"
    return Beat(
        id=blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest(),
        source=notification.source,
        fingerprint=alert.fingerprint,
        name=_name(alert),
        status=alert.status,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        sender=sender_of(notification),
        content=content_of(notification),
        within=_declared(alert),
    )


# What every rule has, and what tells no two heartbeats apart.
_COMMON_LABELS: Final = frozenset({"alertname", "severity", "priority"})
_LONGEST_NAME: Final = 120


def _name(alert: Alert) -> str:
    """`Watchdog (cluster=eu)`: one line, by what tells it apart from other heartbeats of the same name."""
    labels = ", ".join(f"{name}={value}" for name, value in sorted(alert.labels.items()) if name not in _COMMON_LABELS)
    name = f"{alert.name} ({labels})" if labels else alert.name or "heartbeat"
    name = "".join(letter if letter.isprintable() else " " for letter in name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _declared(alert: Alert) -> timedelta | None:
    try:
        within = parse_duration(alert.annotations.get(HEARTBEAT_ANNOTATION, "").strip()).total
    except ValueError:  # "yes", or what nobody can read: it is a heartbeat all the same, and its rhythm is learned
        return None
    return within or None


def _beaten(known: Heartbeat, beat: Beat, *, now: datetime) -> Heartbeat:
    """It was heard again. Only a repeat tells of the rhythm: no retry, no twin's word, no news of its group."""
    known, gap = replace(known, heard_at=max(known.heard_at, now)), now - known.beat_at
    same = beat.content == known.content
    if same and gap < (RETRY_WINDOW if beat.sender == known.beat_by else TWIN_WINDOW):
        return known
    counts = same and (known.lost is None or known.lost.why is Why.SILENT)  # while it was over it had no rhythm
    gaps = (*known.gaps, gap)[-REMEMBERED:] if counts else known.gaps
    return replace(known, beat_at=now, beat_by=beat.sender, content=beat.content, gaps=gaps)


def _resolved(known: Heartbeat, beat: Beat, *, now: datetime) -> tuple[Heartbeat, Change | None]:
    if beat.ends_at is not None:
        if known.until is not None and beat.ends_at <= known.until:
            return known, None  # the same end once more: Prometheus tells it for 15 minutes, to each of a pair
        if known.since is not None and beat.ends_at < known.since and beat.sender != known.senders[-1]:
            return known, None  # of an episode before the one that another sender told: as incidents.is_outdated
    ended = replace(known, until=beat.ends_at or now, senders=_senders(known, beat))
    if ended.lost is not None:
        return ended, None
    return replace(ended, lost=Lost(at=now, why=Why.RESOLVED), untold=Change.LOST), Change.LOST


def _is_late(known: Heartbeat, beat: Beat, *, now: datetime) -> bool:
    """Whether it is another sender's old word of an episode that was told to be over, as incidents.is_late."""
    if known.lost is None or known.lost.why is not Why.RESOLVED or beat.sender == known.senders[-1]:
        return False
    if now - known.lost.at >= LATE_WINDOW:
        return False
    return beat.starts_at is not None and known.until is not None and beat.starts_at < known.until


def _senders(known: Heartbeat, beat: Beat) -> tuple[int, ...]:
    return (*(sender for sender in known.senders if sender != beat.sender), beat.sender)[-SENDERS:]


def _patience(heartbeat: Heartbeat) -> timedelta | None:
    if heartbeat.within is not None:
        return 2 * heartbeat.within
    if len(heartbeat.gaps) < ENOUGH:
        return None
    rhythm = sorted(heartbeat.gaps)[-1 if len(heartbeat.gaps) < FORGIVING else -2]
    return max(2 * rhythm, rhythm + LEAST_PATIENCE)
