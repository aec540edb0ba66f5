"""What people do about what they are told: acknowledge it, let it rest, end its rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from router.core.actions import ActionKind
from tests.streams.senders import Arrival, World, owner_of

MINUTE, HOUR = 60.0, 3600.0
OFTEN = 0.12  # of the words that are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """Somebody does this about what is open of this owner, if anything is."""

    at: float
    owner: str | None
    kind: ActionKind
    lasts: timedelta = timedelta()  # a snooze


def presses_of(world: World, stream: Sequence[Arrival], chance: Random) -> list[Press]:
    """Now and then somebody reacts to a word: soon, after a while, or the next day."""
    presses = []
    for arrival in stream:
        if chance.random() >= OFTEN:
            continue
        after_s = chance.choice(
            (chance.uniform(5, 5 * MINUTE), chance.uniform(5 * MINUTE, 2 * HOUR), chance.uniform(2, 24) * HOUR)
        )
        presses.append(
            Press(
                at=arrival.at + after_s,
                owner=owner_of(world, chance.choice(arrival.told).alert),
                kind=chance.choice((ActionKind.ACK, ActionKind.SNOOZE, ActionKind.SNOOZE, ActionKind.WAKE)),
                lasts=timedelta(minutes=chance.choice((5, 30, 120, 1440))),
            )
        )
    return sorted(presses, key=lambda press: press.at)
