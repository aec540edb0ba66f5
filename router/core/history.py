"""What happened to an incident after it opened, in order: what its thread tells, and what people and timers did."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from router.core.model import Level


class Event(StrEnum):
    """One thing that its thread tells, once."""

    JOINED = "joined"  # alerts that were not in it before; `count`, and the first names in `names`
    REPEATED = "repeated"  # told again without news; at each power of two, `count` notices
    WORSE = "worse"  # a higher severity, `level`
    FLAPPING = "flapping"  # it fires again and again, `count` times until now; from here on only counted
    ESCALATED = "escalated"  # `team` or the fallback in `channel_id`, for `reason`
    ACKNOWLEDGED = "acknowledged"  # `by`
    SNOOZED = "snoozed"  # `by`, `until`
    SNOOZE_OVER = "snooze_over"  # and it still fires
    DISOWNED = "disowned"  # `by`: it is `team`'s
    STALE = "stale"  # nothing was heard of it for longer than its repeat rhythm
    HEARD_AGAIN = "heard_again"  # after it was stale, or suspect
    RESOLVED = "resolved"
    SUPERSEDED_RUN = "superseded_run"  # a newer run of the job succeeded, at `until`
    SUSPECT = "suspect"  # it ended shortly before or while the heartbeat `names[0]` was lost


# These call people: nobody is called by an edit.
CALLING: Final = frozenset({Event.WORSE, Event.SNOOZE_OVER})


class EscalationReason(StrEnum):
    UNACKNOWLEDGED = "unacknowledged"
    REPEATED = "repeated"  # told again so often, or fired again so often
    ORPHANED = "orphaned"  # still without an owner, past the time for triage


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event with its facts. `number` counts from 1 within the incident."""

    number: int
    event: Event
    at: datetime
    count: int = 0
    names: tuple[str, ...] = ()
    by: str | None = None  # a Slack user's id, or a name from the command line
    level: Level | None = None
    team: str | None = None  # its id
    channel_id: str | None = None
    mention: str | None = None  # as in the map: who is called by this
    until: datetime | None = None
    reason: EscalationReason | None = None

    @property
    def calls(self) -> bool:
        """Whether somebody has to hear of it. What a person did on purpose calls nobody."""
        return (self.event in CALLING and self.by is None) or self.mention is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """One step that was taken. Never two to the same place for one incident."""

    step: int  # its place in the chain, from 0
    to: str  # as the chain names it: lead, parent, fallback, or a team's id
    team: str | None = None  # whose people are called; None: whoever watches the fallback channel
    channel_id: str
    reason: EscalationReason
    at: datetime
    count: int = 0  # for REPEATED: how many notices, or times that it fired
    mention: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    by: str  # a Slack user's id, or a name from the command line
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snooze:
    by: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A person said whose it is. It holds until the map's own answer is another one than `instead_of`."""

    by: str
    at: datetime
    instead_of: str | None = None  # the owner by the map: a team's id; None: nobody
    channel_id: str  # that one's channel


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Why its end may be none: the alarm itself was broken then."""

    heartbeat: str  # its name for people
    lost_at: datetime
