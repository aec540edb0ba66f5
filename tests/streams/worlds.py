"""Worlds drawn by a seed: a month of one alert group, with everything that goes wrong around it."""

from random import Random
from typing import Final

from tests.streams.senders import Restart, Watched, World

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0
DAYS: Final = 30


def world_of(seed: int) -> World:
    """Of each seed another world; half of them have a pair, half of these are cut off from each other."""
    chance = Random(seed)  # noqa: S311  # not for secrets
    storms = sorted(chance.uniform(0, (DAYS - 2) * DAY) for _ in range(chance.randint(2, 6)))
    members = chance.choice((1, 2))
    trouble = chance.random() < 0.6
    alerts = tuple(_watched(chance, storms) for _ in range(chance.randint(1, 6)))
    version = chance.randint(25, 34)
    # Of a value in a label whose words are lost or cut off nobody can say that it is still the same.
    valued = chance.random() < 0.15
    values = _values(chance, storms) if valued else ()
    trouble = trouble and not valued
    return World(
        alerts=alerts + values,
        reasons=version >= 32,
        route_labels=version >= 34,
        group_interval_s=chance.choice((MINUTE, 5 * MINUTE)),
        repeat_interval_s=chance.choice((HOUR, 4 * HOUR, 12 * HOUR)),
        members=members,
        gossip=members == 1 or chance.random() < 0.5,
        answer_s=chance.choice((0.05, 0.05, 0.05, 20.0)),
        outages=tuple(_around(chance, storms, MINUTE / 2, 20 * MINUTE) for _ in range(chance.randint(0, 4) * trouble)),
        restarts=_restarts(chance, storms, members) if trouble else (),
        silences=tuple(
            (chance.randrange(len(alerts)), *_around(chance, storms, 10 * MINUTE, 6 * HOUR))
            for _ in range(chance.randint(0, 2))
        ),
        max_alerts=0 if valued else chance.choice((0, 0, 0, 0, 3)),
        lost_answers=chance.choice((0.0, 0.05)),
        lag_s=chance.choice((0.0, 0.0, chance.uniform(1, 60))),
        held_up=chance.choice((0.0, 0.05, 0.3)) if members == 2 else 0.0,
    )


def _watched(chance: Random, storms: list[float]) -> Watched:
    episodes: list[tuple[float, float]] = []
    for storm in storms:
        if chance.random() < 0.3:
            continue
        at = storm + chance.uniform(0, HOUR)
        for _ in range(chance.randint(1, 4)):
            if episodes and at < episodes[-1][1] + MINUTE:
                break
            until = at + chance.choice(
                (chance.uniform(20, 300), chance.uniform(300, 3600), chance.uniform(1, 14) * HOUR)
            )
            episodes.append((at, until))
            at = until + chance.choice(
                (chance.uniform(60, 240), chance.uniform(300, 1200), chance.uniform(1, 3) * HOUR)
            )
    return Watched(
        team=chance.choice(("payments", "ledger", None)),
        episodes=tuple(episodes),
        severity=chance.choice(("critical", "normal", "normal", "low")),
    )


def _values(chance: Random, storms: list[float]) -> tuple[Watched, ...]:
    """One alert with its value in a label, which is another one every minute or every few."""
    team, at, values = chance.choice(("payments", "ledger", None)), 0.0, list[Watched]()
    for storm in storms[:2]:
        at = max(at + 20 * MINUTE, storm + chance.uniform(0, HOUR))
        step_s = chance.choice((MINUTE, 2 * MINUTE, 10 * MINUTE))
        for _ in range(chance.randint(2, 20)):
            value = f"{chance.randint(50, 99)}.{len(values):02}%"
            values.append(Watched(team=team, episodes=((at, at + step_s),), series=0, value=value))
            at += step_s
    return tuple(values)


def _around(chance: Random, storms: list[float], shortest_s: float, longest_s: float) -> tuple[float, float]:
    since = chance.choice(storms) + chance.uniform(0, 5 * HOUR)
    return since, since + chance.uniform(shortest_s, longest_s)


def _restarts(chance: Random, storms: list[float], members: int) -> tuple[Restart, ...]:
    restarts: list[Restart] = []
    for _ in range(chance.randint(0, 3)):
        at, up_at = _around(chance, storms, 5, 30)
        restarts.append(Restart(member=chance.randrange(members), at=at, up_at=up_at, killed=chance.random() < 0.5))
    return tuple(restarts)
