"""Whether a map owns what Alertmanager's tree routes: both are asked about label sets that walk every path."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final

from router.core.matchers import Matcher, Operator, all_match
from router.core.ownership import OwnershipMap
from router.mapmaking.alertmanager_config import AlertmanagerConfig, Route
from router.mapmaking.conversion import Converted, Teams
from router.mapmaking.proposal import values_of
from router.mapmaking.regex_samples import samples
from router.mapmaking.tree import receiving

MOST: Final = 20_000
_NEIGHBOURS: Final = 3
_TRIED: Final = 20  # values, to get past a route that comes earlier
_OTHER: Final = "something-else"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    labels: Labels
    told: tuple[str, ...]  # whom Alertmanager tells: team ids, or one of the words below
    owner: str  # what the map says


FALLBACK: Final = "the fallback"
NOBODY: Final = "nobody at all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """`asked` is the sum of `agreeing`, `several` and the disagreements."""

    asked: int
    agreeing: int
    several: int  # Alertmanager tells several, of which the map's owner is one
    disagreements: tuple[Disagreement, ...]
    unwalked: tuple[Route, ...]  # routes that rules were made of, and to which none of the label sets comes


def verified(
    config: AlertmanagerConfig, conversion: Converted, ownership: OwnershipMap, *, today: date
) -> Verification:
    """Ask the tree and the map about every one of `label_sets`, and compare."""
    agreeing = several = asked = 0
    disagreements = []
    walked: set[int] = set()
    for labels in label_sets(config.root):
        asked += 1
        routes = receiving(config.root, labels)
        walked.update(map(id, routes))
        told = {_told(config, conversion.teams, route) for route in routes}
        resolution = ownership.resolve(labels, today=today)
        owner = NOBODY if resolution.dropped else resolution.owner or FALLBACK
        if owner not in told or (owner == NOBODY and len(told) > 1):
            disagreements.append(Disagreement(labels=labels, told=tuple(sorted(told)), owner=owner))
        elif len(told) > 1:
            several += 1
        else:
            agreeing += 1
    return Verification(
        asked=asked,
        agreeing=agreeing,
        several=several,
        disagreements=tuple(disagreements),
        unwalked=tuple(route for route in conversion.routes if id(route) not in walked),
    )


def _told(config: AlertmanagerConfig, teams: Teams, route: Route) -> str:
    if route is config.root:
        return FALLBACK
    team = teams.told_by(route)
    return team.id if team is not None else NOBODY


def _answering(route: Route) -> Iterator[Route]:
    yield route
    for child in route.routes:
        yield from _answering(child)


# -- label sets ----------------------------------------------------------------------------------------------------


def label_sets(root: Route) -> list[Labels]:
    """Label sets that come to every route, and others that miss it by one label; each once, at most `MOST`."""
    found: dict[frozenset[tuple[str, str]], Labels] = {}
    for labels in _Walker(root).sets():
        found.setdefault(frozenset(labels.items()), labels)
        if len(found) == MOST:
            break
    return list(found.values())


class _Walker:
    def __init__(self, root: Route) -> None:
        self._root = root
        pools: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for route in _answering(root):
            for matcher in route.matchers:
                pools[matcher.name] |= dict.fromkeys(_fitting(matcher) or [matcher.values[0]])
        self._pools = {name: (*pool, _OTHER, "") for name, pool in pools.items()}

    def sets(self) -> Iterator[Labels]:
        yield {}
        yield from self._below(self._root, (), ())

    def _below(self, route: Route, above: tuple[Matcher, ...], before: tuple[Route, ...]) -> Iterator[Labels]:
        """`before`: the routes that would take an alert before it comes to `route`."""
        matchers = (*above, *route.matchers)
        base = self._coming(matchers)
        if base is not None:
            yield base
            yield from self._varied(
                base, [*matchers, *(matcher for child in route.routes for matcher in child.matchers)]
            )
            yield self._avoiding((*before, *route.routes), base, matchers)
        for number, child in enumerate(route.routes):
            for later in route.routes[number + 1 : number + 1 + _NEIGHBOURS]:  # which of two comes first
                both = self._coming((*matchers, *child.matchers, *later.matchers))
                if both is not None:
                    yield both
            earlier = tuple(sibling for sibling in route.routes[:number] if not sibling.continues)
            yield from self._below(child, matchers, (*before, *earlier))

    def _avoiding(
        self, routes: Sequence[Route], base: Mapping[str, str], matchers: Sequence[Matcher]
    ) -> dict[str, str]:
        """`base`, changed so that as few as possible of `routes` match, and all of `matchers` still do."""
        labels = dict(base)
        for route in routes:
            if all_match(route.matchers, labels):
                changed = (
                    {**labels, matcher.name: value}
                    for matcher in route.matchers
                    for value in (_OTHER, *self._pools[matcher.name])
                    if not matcher.matches({matcher.name: value})
                )
                fitting = (other for other in changed if all_match(matchers, other))
                labels = _least_matched(islice(fitting, _TRIED), routes) or labels
        return _without_empty(labels)

    def _coming(self, matchers: Sequence[Matcher]) -> dict[str, str] | None:
        """Labels that fit all matchers, as far as some value is known that does."""
        labels = {}
        for name in dict.fromkeys(matcher.name for matcher in matchers):
            own = [matcher for matcher in matchers if matcher.name == name]
            value = next((value for value in self._likely(own) if all_match(own, {name: value})), None)
            if value is None:
                return None
            labels[name] = value
        return _without_empty(labels)

    def _likely(self, matchers: Sequence[Matcher]) -> Iterator[str]:
        for matcher in matchers:
            yield from _fitting(matcher)
        yield from (_OTHER, "")
        yield from self._pools[matchers[0].name]

    def _varied(self, base: Mapping[str, str], matchers: Sequence[Matcher]) -> Iterator[Labels]:
        """`base` with one label changed: to each value that one of the matchers is about, to another one, to none."""
        values: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for matcher in matchers:
            values[matcher.name] |= dict.fromkeys([*_fitting(matcher), matcher.values[0], _OTHER, ""])
        for name, changed in values.items():
            for value in changed:
                yield _without_empty({**base, name: value})


def _least_matched(candidates: Iterable[dict[str, str]], routes: Sequence[Route]) -> dict[str, str] | None:
    """The first that none of the routes matches, else the one that the fewest do."""
    best, fewest = None, len(routes) + 1
    for labels in candidates:
        matching = sum(all_match(route.matchers, labels) for route in routes)
        if matching < fewest:
            best, fewest = labels, matching
        if not matching:
            break
    return best


def _fitting(matcher: Matcher) -> tuple[str, ...]:
    """Values that fit, as far as they can be made."""
    if (listed := values_of(matcher)) or matcher.operator is not Operator.MATCHES:
        return listed
    return tuple(value for value in samples(matcher.values[0]) if matcher.matches({matcher.name: value}))


def _without_empty(labels: Mapping[str, str]) -> dict[str, str]:
    """Alertmanager takes a label whose value is empty away."""
    return {name: value for name, value in labels.items() if value}
