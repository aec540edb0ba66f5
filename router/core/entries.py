"""What the ownership map is made of: teams, jobs, services, rules, namespaces; and what names an owner in an alert."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from router.core.enrichment import BusinessHours
from router.core.escalation_policy import UNSAID, Escalate
from router.core.matchers import Matcher
from router.core.model import Channel, Language, Level, Mention, Place, Rerun
from router.core.regexes import Regex


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team, or the tombstone of one: those are never deleted, so that old labels still find a successor."""

    id: str
    place: Place
    name: str
    channel: Channel | None  # None only for a tombstone
    channels: Mapping[Level, Channel] = field(default_factory=dict)
    mention: Mention | None = None
    lead: Mapping[str, str] | None = None
    parent: str | None = None
    github_team: str | None = None
    aliases: tuple[str, ...] = ()
    timezone: str
    business_hours: BusinessHours
    language: Language
    runbook: str | None = None
    dissolved: date | None = None
    successor: str | None = None
    note: str | None = None
    escalate: Escalate = UNSAID

    @property
    def active(self) -> bool:
        return self.dissolved is None

    def channel_for(self, level: Level) -> Channel | None:
        return self.channels.get(level, self.channel)

    @property
    def lead_in_slack(self) -> str | None:
        return person_in_slack(self.lead)


def person_in_slack(lead: Mapping[str, str] | None) -> str | None:
    """The id of the person who leads a team, if the map has it: only an id calls somebody."""
    person = lead.get("slack", "") if lead is not None else ""
    return person if _PERSON.fullmatch(person) else None


_PERSON: Final = re.compile(r"[UW][A-Z0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIn:
    """When a job reports; for the timers that watch it."""

    schedule: str
    timezone: str
    grace: str
    max_runtime: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A service or a job."""

    id: str
    place: Place
    owner: str
    aliases: tuple[str, ...] = ()
    match: tuple[Matcher, ...] | None = None  # None: found by id and alias only; empty: fits every alert
    also_notify: tuple[str, ...] = ()
    tier: int | None = None
    severity: Level | None = None
    severity_map: Mapping[str, Level] = field(default_factory=dict)
    runbook: str | None = None
    runbooks: Mapping[str, str] = field(default_factory=dict)
    channel: Channel | None = None
    rerun: Rerun | None = None
    checkin: CheckIn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule, or an override, which is a rule with an end."""

    id: str
    place: Place  # of its `id`
    begins: Place  # the first of its keys
    match: tuple[Matcher, ...]
    owner: str | None  # None: drops
    reason: str | None = None
    expires: date | None = None
    severity_map: Mapping[str, Level] = field(default_factory=dict)
    runbook: str | None = None

    @property
    def drops(self) -> bool:
        return self.owner is None

    def in_force(self, today: date) -> bool:
        """An entry holds through the day on which it expires."""
        return self.expires is None or today <= self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A key of `namespaces`: a name, or a glob of `*` (anything) and `?` (one character)."""

    key: str
    place: Place
    owner: str
    glob: Regex | None = field(init=False, repr=False, compare=False)  # None: a name

    def __post_init__(self) -> None:
        object.__setattr__(self, "glob", _glob(self.key) if self.is_glob else None)

    @property
    def is_glob(self) -> bool:
        return "*" in self.key or "?" in self.key


def _glob(key: str) -> Regex:
    return Regex("(?s)" + re.escape(key).replace(r"\*", ".*").replace(r"\?", "."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """Where orphans and what cannot be delivered go."""

    place: Place
    channel: Channel
    mention: Mention | None
    triage_within: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which labels carry which kind of evidence; of each list the first non-empty one counts."""

    owner_labels: tuple[str, ...]
    service_labels: tuple[str, ...]
    job_labels: tuple[str, ...]
    job_name_labels: tuple[str, ...]
    namespace_labels: tuple[str, ...]
    cluster_labels: tuple[str, ...]

    @property
    def all_job_labels(self) -> tuple[str, ...]:
        return self.job_labels + self.job_name_labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What names an owner in a label set: of each kind its label and value, two empty strings where there is none."""

    owner: tuple[str, str]
    job: tuple[str, str]
    service: tuple[str, str]
    namespace: tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapTest:
    """One case of the map's `tests`; `expect` as written."""

    place: Place
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    expect: Mapping[str, str | None]
