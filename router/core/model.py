"""The values that the router thinks with. Words as in docs/reference/words.md, one meaning each.

Everything is frozen: a value that was decided on cannot change under the feet of who reads it later. All datetimes are
aware and in UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum


class Source(StrEnum):
    """Who sends to us, by the webhook it speaks; also the last segment of `/webhooks/…`."""

    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    HONEYBADGER = "honeybadger"


# They tell of jobs that report, or do not. They say so once, and do not repeat it.
CHECK_IN_SOURCES = frozenset({Source.HONEYBADGER})


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class NotificationState(StrEnum):
    """`accepted` is the sum of these four (the conservation law)."""

    WAITING = "waiting"
    DECIDED = "decided"
    DEDUPLICATED = "deduplicated"
    QUARANTINED = "quarantined"


class IncidentState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    STALE = "stale"


class MessageState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    DEAD = "dead"


class MessageKind(StrEnum):
    ROOT = "root"  # in the owner's channel; for an orphan in the fallback channel
    COPY = "copy"  # `also_notify`: for information, mentions nobody
    UNDELIVERED = "undelivered"  # in the fallback channel, because the owner's channel refused
    MOVED = "moved"  # a reply below the message of who owned it before the map changed
    NOTICE = "notice"  # about the router's own input: quarantined or refused bodies, a refused map
    DIGEST = "digest"  # stands for many that wait for the same channel, one line each
    REPLY = "reply"  # below the root message: what happened since its last reply; each is posted, none is edited
    ESCALATED = "escalated"  # in the channel of a parent team or the fallback: nobody took it, or it keeps coming


class Urgency(IntEnum):
    """What goes out first where not everything can; a state that waits takes the urgency of the newest one."""

    ALARM_BROKEN = -1  # what fires now is told by nobody
    CRITICAL = 0  # a critical alert fires
    NOTICE = 1  # something went wrong that nobody else tells
    FIRING = 2
    ENDED = 3
    REPEATED = 4  # nothing is new but that it is told again
    NOTED = 5  # nothing is new of its alerts: what people and timers did is edited in
    REPLY = 6


class Cause(StrEnum):
    """What a notice is about."""

    QUARANTINED = "quarantined"  # a body that is not of its source's shape
    UNREADABLE_ALERTS = "unreadable_alerts"  # single alerts of a group, the others went on
    TOO_LARGE = "too_large"  # a body beyond the limit, refused unread
    MAP_REJECTED = "map_rejected"  # a new map is broken, the old one stays
    UNDELIVERABLE = "undeliverable"  # an incident that could be shown in no channel, not in the fallback either
    RESTORED = "restored"  # the database is an older state of itself
    HEARTBEAT = "heartbeat"  # an alert that always fires has stopped: the alarm itself is broken


class Level(StrEnum):
    """Severity levels, most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"
    IGNORE = "ignore"


LEVELS_BY_URGENCY: Mapping[Level, int] = {level: rank for rank, level in enumerate(Level)}


class RerunSafety(StrEnum):
    SAFE = "safe"
    CONDITIONAL = "conditional"
    UNSAFE = "unsafe"
    NOT_NEEDED = "not_needed"
    UNKNOWN = "unknown"


class Stage(StrEnum):
    """The evidence ladder of the map, strongest first; `fallback` is always last."""

    OVERRIDE = "override"
    LABEL = "label"
    JOB = "job"
    SERVICE = "service"
    RULE = "rule"
    NAMESPACE = "namespace"
    FALLBACK = "fallback"


class Language(StrEnum):
    """Of the words around an alert; its own text is never translated."""

    ENGLISH = "en"
    JAPANESE = "ja"


class Hours(StrEnum):
    """When a deadline's clock runs."""

    ALWAYS = "always"
    BUSINESS = "business"


class FailureClass(StrEnum):
    """What a refusal of Slack is about, which decides what happens next."""

    TRANSIENT = "transient"  # surely not done; wait, then the same again
    WORKSPACE = "workspace"  # the workspace takes nothing for now
    AMBIGUOUS = "ambiguous"  # may have been done
    NOT_SENT = "not_sent"  # the network refused before anything was sent
    CONTENT = "content"  # this content never passes
    CHANNEL = "channel"  # this channel never takes it
    ROOT_GONE = "root_gone"  # the message to edit is not there any more
    APP = "app"  # the token or the app is refused
    UNKNOWN = "unknown"  # a word that Slack does not document; see core.retry.treated_as


# Not a label: labels decide who the owner is, and a drill has to find the one that a real alert would find.
DRILL_ANNOTATION = "router_drill"
# The receiver of its notification, whose group key is `drill` and the fingerprint of its only alert.
DRILL_RECEIVER = "router drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One label set with its annotations, as one notification told it."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime | None  # None where the sender gave nothing that can be read
    ends_at: datetime | None  # None while firing; Alertmanager sends 0001-01-01
    generator_url: str = ""
    dashboard_url: str = ""
    silence_url: str = ""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def title(self) -> str:
        """Its name where nothing else of it is shown, as in lists and digests."""
        return f"🧪 DRILL {self.name}" if self.is_drill else self.name

    @property
    def is_drill(self) -> bool:
        """Whether `router drill` made it. No rule can say so of a real alert: that would have to name its own hash."""
        return self.annotations.get(DRILL_ANNOTATION) == self.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableAlert:
    """One alert of a group that is not of the source's shape; the others of its group go on without it."""

    index: int  # its place in the body's list
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One request body, read. For Alertmanager: one group of alerts."""

    source: Source
    receiver: str
    group_key: str
    alerts: tuple[Alert, ...]
    sender: str = ""  # which member of a pair: its external URL
    truncated: int = 0  # alerts that the sender left out (max_alerts)
    reason: str | None = None  # notification_reason, Alertmanager >= 0.32
    route_labels: Mapping[str, str] = field(default_factory=dict)  # Alertmanager >= 0.34
    unreadable: tuple[UnreadableAlert, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A Slack channel: the name is for people, the id for the API."""

    name: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in the map. Line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MapVersion:
    """One state of the map, and since when it was in force."""

    revision: str  # SHA-256 over all files, hexadecimal
    commit: str | None  # of the git working tree, where there is one
    loaded_at: datetime

    @property
    def name(self) -> str:
        """Short, for people: abc1234/4f1c0a2b9e12."""
        return f"{self.commit[:7]}/{self.revision[:12]}" if self.commit else self.revision[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """Which stage and entry of the map chose the owner. `entry` is None for the fallback."""

    stage: Stage
    entry: str | None
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """An opinion other than the answer: a lower stage that names another team, a word that is not understood."""

    stage: Stage | None  # None for a severity word, which belongs to no stage
    entry: str | None
    says: str
    message: str
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One stage that was asked, in order, and why it had this answer or none."""

    stage: Stage
    answer: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """Whether a job may be run again, as declared for that very job; `unknown` where nobody declared it."""

    safety: RerunSafety = RerunSafety.UNKNOWN
    when: str | None = None
    how: str | None = None
    ask: str | None = None  # team id
    recover_within: str | None = None  # as written: 2d


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What somebody needs to act. Looked up apart from the owner."""

    severity: Level
    respond_within: str | None  # as written in the map: 15m. None: no deadline
    hours: Hours
    runbook: str | None
    rerun: Rerun


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A channel that gets the message; `team` is None for the fallback channel."""

    team: str | None
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The map's whole answer about one label set."""

    owner: str | None  # an active team's id. None: orphan, or dropped
    via: Via
    hints: Hints
    destinations: tuple[Destination, ...]  # the owner's channel first, then those of also_notify; empty if dropped
    also_notify: tuple[str, ...] = ()
    dropped: bool = False
    drop_reason: str | None = None
    drift: tuple[Drift, ...] = ()
    tried: tuple[Tried, ...] = ()
    job: str | None = None  # the entry of `jobs` that fits, whoever owns it

    @property
    def orphan(self) -> bool:
        return self.owner is None and not self.dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """Who is called. Only ever from the map. An id pings through the API, a handle is only text in Slack."""

    handle: str  # @pay-oncall, the group id S…, or a person's U… or W…

    @property
    def group_id(self) -> str | None:
        return self.handle if self.handle.startswith("S") else None

    @property
    def person_id(self) -> str | None:
        return self.handle if self.handle.startswith(("U", "W")) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """An entry of the map that almost fits an orphan."""

    kind: str  # team, job, service, rule, namespace
    entry: str
    why: str  # label team="paymnts" is one letter off
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanHelp:
    """What a person needs to claim an orphan."""

    tried: tuple[Tried, ...]
    nearest: tuple[Nearest, ...]  # at most three, closest first
    stanza: str  # YAML to paste into the map


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """Why a message of an owner stands in the fallback channel."""

    channel: Channel
    reason: str  # Slack's word: is_archived
    team: str = ""  # the owner's name, set where the message is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A line to the fallback channel about the router's own input, told once per cause and counted."""

    cause: Cause
    source: Source | None  # None: it is not about a source
    error: str
    count: int
    first_at: datetime
    last_at: datetime
    reference: str | None  # id of the last notification of this cause, where it was stored
    ended_at: datetime | None = None  # since when it is not so any more
    subject: str = ""  # what of several it is about, such as a heartbeat; told once per cause and subject
