"""Everything that one message says, in no vendor's format: `core.cards` fills it, `notify.messages` renders it."""

from dataclasses import dataclass
from datetime import datetime

from router.core.history import Acknowledgement, Assignment, Escalation, Snooze, Suspicion
from router.core.model import (
    Alert,
    Channel,
    Hints,
    IncidentState,
    Language,
    Level,
    Mention,
    MessageKind,
    OrphanHelp,
    Source,
    Undelivered,
    Via,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The other side of a change of owner: who has it now, or who had it."""

    team: str | None  # its name. None: nobody, it was or became an orphan
    channel: Channel
    alerts: int  # how many went over


@dataclass(frozen=True, slots=True, kw_only=True)
class CardAlert:
    """One alert as a message shows it: the words are those of when it last fired."""

    alert: Alert
    hints: Hints
    firing: bool
    since: datetime | None
    until: datetime | None  # None while firing


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEscalation:
    """A step that was taken, with names for people."""

    escalation: Escalation
    team: str | None  # its name; None: the fallback
    channel: Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything that one message says, in no vendor's format. `notify.messages` renders it.

    `alerts` holds only those worth showing in full, the most urgent first; the counts are of all.
    """

    kind: MessageKind
    source: Source
    language: Language
    state: IncidentState
    severity: Level
    owner: str | None  # the team's name for people. None: orphan
    mention: Mention | None
    via: Via
    map_revision: str  # short: the git commit where known, and the content hash
    alerts: tuple[CardAlert, ...]
    firing: int
    resolved: int
    truncated: int
    repeats: int
    opened_at: datetime
    closed_at: datetime | None
    respond_until: datetime | None  # None: no deadline
    timezone: str  # IANA name; the team's
    reference: str  # id of the notification, for /api/v1/notifications/{id}
    drift: tuple[str, ...] = ()  # sentences
    orphan: OrphanHelp | None = None
    undelivered: Undelivered | None = None
    map_since: datetime | None = None  # when that map came into force
    handed_to: tuple[Handover, ...] = ()  # alerts that the map gives to somebody else since
    handed_over: bool = False  # that were all of them
    taken_from: tuple[Handover, ...] = ()  # alerts that somebody else had before the map changed
    sender: str = ""  # the Alertmanager's external URL, for the link to a new silence
    incident: str = ""  # its id: what buttons and `router incident` name
    buttons: bool = False  # people can answer in Slack
    acknowledged: Acknowledgement | None = None
    snoozed: Snooze | None = None
    assigned: Assignment | None = None
    assigned_instead_of: str = ""  # the name of the team that said it is not theirs
    flaps: int = 0
    unheard: int = 0  # alerts that fire, and were left out of the last word: silenced or inhibited
    suspect: Suspicion | None = None
    escalations: tuple[CardEscalation, ...] = ()
    escalation: CardEscalation | None = None  # of an ESCALATED message: the step that it is
    steps_left: bool = False  # somebody else is told unless it is acknowledged
    newer_run_at: datetime | None = None  # a newer run of the job succeeded then, and so ended it
    first_message: str | None = None  # the address of the root message, where Slack has it
    first_channel: Channel | None = None  # of the root message
    correction: str | None = None  # YAML: what to change in the map, where a person said whose it is
    about_job: bool = False  # something that can be run again
    heard_at: datetime | None = None  # when it was last told; None: before this was noted
