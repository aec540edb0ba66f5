"""Who is called for whom, and when: an organisation and its words on escalation, drawn by a seed, and its map."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from types import MappingProxyType
from typing import Final

from router.core.ownership import OwnershipMap
from tests.ownership.maps import a_map

FALLBACK_CHANNEL: Final = "C0ORPHANS1"
LEVELS: Final = ("critical", "normal", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A time as a map writes it: working days, or hours and minutes."""

    days: int = 0
    minutes: int = 0

    @property
    def written(self) -> str:
        return f"{self.days}d" if self.days else f"{self.minutes}m"

    @property
    def total(self) -> timedelta:
        return timedelta(days=self.days, minutes=self.minutes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unacked:
    """So many times the level's deadline, or a time of its own; neither: never."""

    times: int = 0
    wait: Wait | None = None

    @property
    def written(self) -> str:
        if self.wait is not None:
            return self.wait.written
        return f"{self.times}x" if self.times else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """So often within so many hours; 0: never."""

    count: int = 0
    hours: int = 0

    @property
    def written(self) -> str:
        return f"{self.count} in {self.hours}h" if self.count else "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What one place of the map says; None: nothing."""

    unacked: Unacked | None = None
    again: Again | None = None
    then: tuple[str, ...] | None = None

    @property
    def written(self) -> str:
        said = {
            "if_unacked": self.unacked and self.unacked.written,
            "if_repeats": self.again and self.again.written,
            "then": None if self.then is None else f"[{', '.join(self.then)}]",
        }
        return f"{{{', '.join(f'{key}: {word}' for key, word in said.items() if word is not None)}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """Of a level."""

    wait: Wait | None
    business: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team whose channel is called after it."""

    lead: bool = False
    parent: str | None = None
    zone: str | None = None
    aliases: tuple[str, ...] = ()
    successor: str | None = None
    channels: tuple[str, ...] = ()  # levels that have one of their own
    words: Words = field(default_factory=Words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """An organisation. Where nothing is said nobody is ever called."""

    teams: Mapping[str, Team] = field(default_factory=lambda: MappingProxyType({}))
    defaults: Words = field(default_factory=lambda: Words(again=Again()))
    of_level: Mapping[str, Words] = field(default_factory=lambda: MappingProxyType({}))
    deadlines: Mapping[str, Deadline] = field(default_factory=lambda: MappingProxyType({}))
    zone: str = "UTC"
    opens: int = 9  # o'clock, Monday to Friday
    closes: int = 17
    triage: Wait | None = None


def channel_of(team: str, level: str = "") -> str:
    return f"C0{team.upper()}{level[:4].upper()}".ljust(11, "0")


def map_of(chart: Chart) -> OwnershipMap:
    """The map that says what the chart does."""
    return a_map("\n".join(_lines(chart)), head="version: 1\n")


def _lines(chart: Chart) -> list[str]:
    triage = f", triage_within: {chart.triage.written}" if chart.triage else ""
    hours = f"Mon-Fri {chart.opens:02}:00-{chart.closes:02}:00"
    defaults = f"timezone: {chart.zone}, business_hours: '{hours}', escalate: {chart.defaults.written}"
    lines = [
        f"fallback: {{channel: {{name: orphans, id: {FALLBACK_CHANNEL}}}{triage}}}",
        f"defaults: {{{defaults}}}",
        "severities:" if chart.deadlines else "severities: {}",
    ]
    for level, deadline in chart.deadlines.items():
        within = "none" if deadline.wait is None else deadline.wait.written
        words = chart.of_level.get(level, Words()).written
        hours = "business" if deadline.business else "always"
        lines.append(f"  {level}: {{respond_within: {within}, hours: {hours}, escalate: {words}}}")
    lines.append("teams:" if chart.teams else "teams: {}")
    lines += [f"  {name}: {{{', '.join(_team(name, team))}}}" for name, team in chart.teams.items()]
    return lines


def _team(name: str, team: Team) -> list[str]:
    if team.successor is not None:
        return ["dissolved: 2026-01-01", f"successor: {team.successor}"]
    said = [f"channel: {{name: {name}, id: {channel_of(name)}}}", f"escalate: {team.words.written}"]
    if team.channels:
        own = ", ".join(f"{level}: {{name: x, id: {channel_of(name, level)}}}" for level in team.channels)
        said.append(f"channels: {{{own}}}")
    if team.lead:
        said.append(f"lead: {{slack: U0LEAD{name[:4].upper()}}}")
    if team.parent is not None:
        said.append(f"parent: {team.parent}")
    if team.zone is not None:
        said.append(f"timezone: {team.zone}")
    if team.aliases:
        said.append(f"aliases: [{', '.join(team.aliases)}]")
    return said


# -- drawn -------------------------------------------------------------------------------------------------------------

_ZONES: Final = (None, "Asia/Tokyo", "Europe/Berlin", "America/New_York")
_UNACKED: Final = (
    None,
    Unacked(),
    Unacked(times=1),
    Unacked(times=2),
    Unacked(times=3),
    Unacked(wait=Wait(minutes=2)),
    Unacked(wait=Wait(minutes=45)),
    Unacked(wait=Wait(days=1)),
)
_AGAIN: Final = (
    None,
    None,
    Again(),
    Again(count=1, hours=2),
    Again(count=2, hours=6),
    Again(count=3, hours=24),
    Again(count=4, hours=168),
)
_THEN: Final = (
    None,
    None,
    ("lead", "fallback"),
    ("parent", "finance", "fallback"),
    ("helpers", "lead", "parent"),
    ("old", "payments", "ledger"),
    ("fallback", "lead", "lead", "platform"),
    (),
)
_DEADLINES: Final = {
    "critical": (Deadline(wait=Wait(minutes=5), business=False), Deadline(wait=Wait(minutes=15), business=False)),
    "normal": (
        Deadline(wait=Wait(minutes=60), business=False),
        Deadline(wait=Wait(minutes=240), business=True),
        Deadline(wait=Wait(days=1), business=True),
    ),
    "low": (Deadline(wait=None, business=True), Deadline(wait=Wait(days=2), business=True)),
}


def chart_of(chance: Random) -> Chart:
    def words(often: float) -> Words:
        if chance.random() >= often:
            return Words()
        return Words(unacked=chance.choice(_UNACKED), again=chance.choice(_AGAIN), then=chance.choice(_THEN))

    def owner() -> Team:
        return Team(
            lead=chance.random() < 0.7,
            parent=chance.choice((None, "finance", "finance", "old", "platform")),
            zone=chance.choice(_ZONES),
            words=words(0.3),
        )

    return Chart(
        teams={
            "payments": owner(),
            "ledger": owner(),
            "finance": Team(parent="platform", channels=chance.choice(((), ("critical",)))),
            "platform": Team(aliases=("helpers",), channels=chance.choice(((), ("critical", "low")))),
            "old": Team(successor=chance.choice(("platform", "payments"))),
        },
        defaults=words(0.8),
        of_level={level: words(0.3) for level in LEVELS},
        deadlines={level: chance.choice(_DEADLINES[level]) for level in LEVELS},
        zone=chance.choice(_ZONES) or "UTC",
        opens=chance.choice((8, 9)),
        closes=chance.choice((12, 17)),
        triage=chance.choice((None, Wait(minutes=30), Wait(minutes=240), Wait(days=1))),
    )
