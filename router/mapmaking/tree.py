"""Alertmanager's tree of routes: who receives a label set, and the same as a list of which the first match counts."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from router.core.matchers import Matcher, all_match
from router.mapmaking.alertmanager_config import Route
from router.mapmaking.proposal import values_of


def receiving(route: Route, labels: Mapping[str, str]) -> list[Route]:
    """The routes that take `labels`, as Alertmanager finds them (dispatch/route.go: Route.Match).

    A route that matches and has no child that does answers itself; its later siblings are not asked then.
    """
    if not all_match(route.matchers, labels):
        return []
    found: list[Route] = []
    for child in route.routes:
        below = receiving(child, labels)
        found += below
        if below and not child.continues:
            break
    return found or [route]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One route, with everything that must hold for an alert to come to it."""

    route: Route
    matchers: tuple[Matcher, ...]
    extra: bool = False  # the route has a step of its own besides this one


def steps(root: Route, *, silent: Container[str] = ()) -> Iterator[Step]:
    """Every route below the root, so that the first one that matches is one that Alertmanager tells.

    Children stand before their parent, which answers only where none of them does. A route with `continue` stands after
    its later siblings: it is told in addition to them, so where one of them matches too, that one is the owner. Unless
    that one tells nobody, because its receiver is one of the `silent`: then it is the route with `continue` after all.
    Of several with `continue` one without matchers, which copies everything, stands last.
    """
    yield from (step for step in _below(root, (), silent) if step.route is not root)


def _below(route: Route, above: tuple[Matcher, ...], silent: Container[str]) -> Iterator[Step]:
    matchers = (*above, *route.matchers)
    copies: list[Route] = []
    for child in route.routes:
        if child.continues:
            copies.append(child)
            continue
        if child.receiver in silent and not child.routes:
            for copy in _all_takers_last(copies):
                yield from (replace(step, extra=True) for step in _below(copy, (*matchers, *child.matchers), silent))
        yield from _below(child, matchers, silent)
    for copy in _all_takers_last(copies):
        yield from _below(copy, matchers, silent)
    yield Step(route=route, matchers=matchers)


def _all_takers_last(copies: Sequence[Route]) -> list[Route]:
    return sorted(copies, key=lambda route: not route.matchers)


def simplified(matchers: Sequence[Matcher]) -> tuple[Matcher, ...] | None:
    """Fewer matchers that fit the same alerts: a label's values where they can be listed. None: nothing fits."""
    found: list[Matcher] = []
    for name in dict.fromkeys(matcher.name for matcher in matchers):
        own = list(dict.fromkeys(matcher for matcher in matchers if matcher.name == name))
        listed = next((matcher for matcher in own if matcher.alternatives is not None), None)
        if listed is None:
            found += own
            continue
        values = [value for value in values_of(listed) if all_match(own, {name: value})]
        if not values:
            return None
        found.append(Matcher.one_of(name, values))
    return tuple(found)


def covers(earlier: Sequence[Matcher], later: Sequence[Matcher]) -> bool:
    """Whether surely every alert that fits `later` fits `earlier` too. Both are `simplified`."""
    return all(any(_implies(given, wanted) for given in later) for wanted in earlier)


def _implies(given: Matcher, wanted: Matcher) -> bool:
    if given == wanted:
        return True
    values = values_of(given)
    return given.name == wanted.name and bool(values) and all(wanted.matches({given.name: value}) for value in values)
