"""The figures of one part of the torture, and their table."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.router_process import Json
from tests.torture.load import Ledger
from tests.torture.verdict import Verdict

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Of one part, or of one of those that ran beside each other."""

    cycles: int
    seconds: float
    alerts: int  # acknowledged
    unanswered: int
    refused: int
    notifications: Counter[str]
    messages: Counter[str]
    in_digests: int
    lost: int
    duplicates: Counter[str]
    looks: int  # at the sums
    failures: Sequence[str]


def outcome(
    ledger: Ledger, verdict: Verdict, status: Json, *, cycles: int, seconds: float, looks: int, wrong: Sequence[str]
) -> Outcome:
    return Outcome(
        cycles=cycles,
        seconds=seconds,
        alerts=len(ledger.acknowledged),
        unanswered=ledger.unanswered,
        refused=ledger.refused,
        notifications=Counter(status["notifications"]),
        messages=Counter({name: value for name, value in status["messages"].items() if isinstance(value, int)}),
        in_digests=verdict.in_digests,
        lost=len(verdict.lost),
        duplicates=Counter(verdict.duplicates),
        looks=looks,
        failures=[*verdict.failures, *wrong],
    )


def together(outcomes: Iterable[Outcome], *, seconds: float) -> Outcome:
    """Of what ran beside each other."""
    found = list(outcomes)
    return Outcome(
        cycles=sum(one.cycles for one in found),
        seconds=seconds,
        alerts=sum(one.alerts for one in found),
        unanswered=sum(one.unanswered for one in found),
        refused=sum(one.refused for one in found),
        notifications=sum((one.notifications for one in found), Counter()),
        messages=sum((one.messages for one in found), Counter()),
        in_digests=sum(one.in_digests for one in found),
        lost=sum(one.lost for one in found),
        duplicates=sum((one.duplicates for one in found), Counter()),
        looks=sum(one.looks for one in found),
        failures=[failure for one in found for failure in one.failures],
    )


def table(parts: Sequence[tuple[str, Outcome]]) -> str:
    """In Markdown, one column a part."""
    rows: list[tuple[str, Callable[[Outcome], int | str]]] = [
        ("times", lambda one: one.cycles),
        ("seconds", lambda one: round(one.seconds)),
        ("alerts acknowledged", lambda one: one.alerts),
        ("posts whose answer was cut off", lambda one: one.unanswered),
        ("posts answered 503", lambda one: one.refused),
        ("notifications accepted", lambda one: one.notifications["accepted"]),
        ("= decided", lambda one: one.notifications["decided"]),
        ("+ deduplicated", lambda one: one.notifications["deduplicated"]),
        ("+ quarantined", lambda one: one.notifications["quarantined"]),
        ("+ waiting", lambda one: one.notifications["waiting"]),
        ("states of messages wanted", lambda one: one.messages["wanted"]),
        ("= delivered", lambda one: one.messages["delivered"]),
        ("+ superseded", lambda one: one.messages["superseded"]),
        ("+ dead", lambda one: one.messages["dead"]),
        ("+ pending", lambda one: one.messages["pending"]),
        ("looks at both sums, all balanced", lambda one: one.looks),
        ("alerts that only a digest shows", lambda one: one.in_digests),
        ("posts made twice", lambda one: one.duplicates.total()),
        ("other rules broken", lambda one: len(one.failures) - one.lost),
        ("**acknowledged alerts lost**", lambda one: f"**{one.lost}**"),
    ]
    lines = [
        f"| | {' | '.join(name for name, _ in parts)} |",
        f"| --- |{' ---: |' * len(parts)}",
        *(f"| {name} | {' | '.join(_figure(of(one)) for _, one in parts)} |" for name, of in rows),
    ]
    whys = [f"- {name}: {count} times, {why}." for name, one in parts for why, count in sorted(one.duplicates.items())]
    return "\n".join([*lines, *(["", "Posted twice:", "", *whys] if whys else [])])


def complaints(name: str, found: Sequence[str]) -> list[str]:
    rest = len(found) - _SHOWN
    return [f"! {name}: {one}" for one in found[:_SHOWN]] + ([f"! {name}: and {rest} more"] if rest > 0 else [])


def _figure(value: int | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"
