"""The ownership map at ten thousand entries: how long it takes to load, to check, and to say who owns an alert."""

import gc
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time_ns

from router.core.matchers import parse_matchers
from router.core.orphans import nearest
from router.core.ownership import OwnershipMap
from router.lint.linting import lint
from router.ownership_file import load_map
from tests.bench.report import Report
from tests.ownership.large import dressed, large_map
from tests.ownership.maps import TODAY
from tests.ownership.naive import NaiveMap
from tests.router_process import PROJECT

ALERTS = 3_000
NAIVELY = 40  # it takes that long
ROUNDS = 5

Labels = dict[str, str]


def run(directory: Path, report: Report) -> None:
    directory.mkdir(parents=True)
    large = large_map()
    path = directory / "ownership.yaml"
    path.write_text(large.text, encoding="utf-8")
    ownership_map, seconds = loaded(path)
    print(
        f"  {len(large.text) / 1e6:.2f} MB, 10,000 entries: 70 % equality, 20 % and an expression, 10 % an expression"
    )
    report.goal("load 10,000 entries", seconds, at_most=3, unit=" s")
    began = process_time_ns()
    found = lint(path, today=TODAY)
    print(f"  lint found {len(found.findings):,} things to say of it")
    report.goal("lint 10,000 entries", (process_time_ns() - began) / 1e9, at_most=10, unit=" s")

    chance = random.Random(1)  # noqa: S311
    owned = [dressed(chance.choice(large.alerts), n) for n in range(ALERTS)]
    unowned = [dressed({"alertname": f"Nobody{n % 50}", "namespace": f"none-{n % 100}"}, n) for n in range(ALERTS)]
    mixed = [labels for pair in zip(owned, unowned, strict=True) for labels in pair]
    # No answer as a whole is remembered by the router. What is: which expressions fit a label's value, and what a team
    # or namespace label says. At first every value is new; later only those that every alert brings anew, as its pod.
    first = median(each(resolving(ownership_map), mixed))
    print(f"  a resolution whose values were never seen: {first:.1f} µs (median)")
    # The medians of rounds in turn, so that a busy moment of the machine hits both.
    rounds = [
        (
            median(each(naively(ownership_map), mixed[:NAIVELY])),
            median(each(resolving(ownership_map), renewed(mixed, n))),
        )
        for n in range(ROUNDS)
    ]
    naive, indexed = (median(figures) for figures in zip(*rounds, strict=True))
    print(f"  the naive resolver: {naive:,.0f} µs")
    for what, alerts in (("owned", owned), ("nobody's", unowned)):
        print(f"  {what}: {median(each(resolving(ownership_map), renewed(alerts, ROUNDS))):.1f} µs")
    report.goal("resolve among 10,000 entries, hints included", indexed, at_most=20, unit=" µs")
    report.goal("naive resolver / this one", naive / indexed, at_least=100)
    report.goal("RE2 gave up on a set", ownership_map.set_failures, at_most=0)
    nearest(ownership_map, mixed[0])  # makes its index
    orphans = [labels | {"service": f"servce-{n}", "team": f"taem-{n % 300}"} for n, labels in enumerate(unowned[:50])]
    report.goal(
        "nearest entries of an orphan", median(each(nearest_of(ownership_map), orphans)) / 1e3, at_most=2, unit=" ms"
    )

    example = load_map(PROJECT / "ownership.yaml")
    asked = [dict(test.labels) for test in example.tests] * 300
    report.goal("resolve in the example map", median(each(resolving(example), asked)), at_most=20, unit=" µs")
    (hostile,) = parse_matchers('pod=~"(a+)+$"')
    report.goal(
        '"(a+)+$" on hostile labels of 60 characters',
        median(each(lambda labels: hostile.matches(labels), [{"pod": "a" * 59 + "!" * (n % 2)} for n in range(1_000)])),
        at_most=20,
        unit=" µs",
    )


def loaded(path: Path) -> tuple[OwnershipMap, float]:
    began = process_time_ns()
    ownership_map = load_map(path)
    return ownership_map, (process_time_ns() - began) / 1e9


def resolving(ownership_map: OwnershipMap) -> Callable[[Labels], object]:
    return lambda labels: ownership_map.resolve(labels, today=TODAY)


def naively(ownership_map: OwnershipMap) -> Callable[[Labels], object]:
    naive = NaiveMap(ownership_map)
    return lambda labels: naive.resolve(labels, today=TODAY)


def nearest_of(ownership_map: OwnershipMap) -> Callable[[Labels], object]:
    return lambda labels: nearest(ownership_map, labels)


def renewed(alerts: Sequence[Labels], round_: int) -> list[Labels]:
    """The same alerts of other pods on other machines."""
    return [labels | {name: f"{labels[name]}.{round_}" for name in ("pod", "instance")} for labels in alerts]


def each(ask: Callable[[Labels], object], alerts: Sequence[Labels]) -> list[float]:
    """Microseconds of CPU for each of `alerts`."""
    gc.collect()
    figures = []
    for labels in alerts:
        began = process_time_ns()
        ask(labels)
        figures.append((process_time_ns() - began) / 1e3)
    return figures
