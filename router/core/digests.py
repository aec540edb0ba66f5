"""What one message says that stands for many: a line for each incident, from what its row holds. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from router.core.cards import card
from router.core.incidents import Incident
from router.core.message_card import Card
from router.core.model import (
    LEVELS_BY_URGENCY,
    IncidentState,
    Language,
    Level,
    MessageKind,
    Rerun,
    RerunSafety,
    Undelivered,
)
from router.core.ownership import OwnershipMap

_CAREFULLEST_FIRST = (
    RerunSafety.UNSAFE,
    RerunSafety.CONDITIONAL,
    RerunSafety.UNKNOWN,
    RerunSafety.SAFE,
    RerunSafety.NOT_NEEDED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestMember:
    """A message that did not get a post of its own."""

    incident: Incident
    kind: MessageKind  # ROOT, COPY or UNDELIVERED
    own_ts: str | None  # None: the digest alone shows it
    undelivered: Undelivered | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestLine:
    """One incident. Of its alerts the card knows no label but the name: no body is read for a digest."""

    card: Card
    rerun: Rerun  # of its alerts the one to be most careful with
    own_message: bool

    @property
    def open(self) -> bool:
        return self.card.state is IncidentState.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestCard:
    """Everything that a digest says. `notify.digests` renders it."""

    language: Language
    lines: tuple[DigestLine, ...]  # those that fire first, by urgency, the newest first; then those that ended
    wanted_at: datetime

    @property
    def open(self) -> tuple[DigestLine, ...]:
        return tuple(line for line in self.lines if line.open)

    @property
    def firing(self) -> int:
        """How many alerts fire."""
        return sum(line.card.firing for line in self.open)

    @property
    def levels(self) -> Mapping[Level, int]:
        """How many incidents are open of each severity, the most urgent first."""
        found = Counter(line.card.severity for line in self.open)
        return {level: found[level] for level in LEVELS_BY_URGENCY if found[level]}


def digest_card(members: Sequence[DigestMember], *, ownership: OwnershipMap, wanted_at: datetime) -> DigestCard:
    """What a digest of these messages says. Each line calls whom a message of its own would have called."""
    cards = [
        card(member.incident, kind=member.kind, told={}, ownership=ownership, undelivered=member.undelivered)
        for member in members
    ]
    language = _language(cards, ownership)
    lines = [
        DigestLine(
            card=replace(shown, language=language),
            rerun=_most_careful(member.incident),
            own_message=member.own_ts is not None,
        )
        for member, shown in zip(members, cards, strict=True)
    ]
    return DigestCard(language=language, lines=tuple(sorted(lines, key=_urgency)), wanted_at=wanted_at)


def _urgency(line: DigestLine) -> tuple[bool, int, float]:
    return not line.open, LEVELS_BY_URGENCY[line.card.severity], -line.card.opened_at.timestamp()


def _language(cards: Sequence[Card], ownership: OwnershipMap) -> Language:
    """That of the team whose messages these are; of the fallback channel, and between several, the map's."""
    spoken = {ownership.language if shown.kind is MessageKind.UNDELIVERED else shown.language for shown in cards}
    return spoken.pop() if len(spoken) == 1 else ownership.language


def _most_careful(incident: Incident) -> Rerun:
    """One sign speaks for all alerts that fire, also for those that the sender left out."""
    firing = [tracked for tracked in incident.alerts.values() if tracked.firing] or list(incident.alerts.values())
    reruns = [tracked.explanation.hints.rerun for tracked in firing]
    if incident.truncated:
        reruns.append(Rerun())
    return min(reruns, key=lambda rerun: _CAREFULLEST_FIRST.index(rerun.safety))
