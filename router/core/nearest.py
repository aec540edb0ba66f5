"""The entries of the map that almost fit an alert: spelled almost so, or with one label only in the way."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from typing import Final

from router.core.claims import ClaimIndex, Section
from router.core.entries import Entry, Evidence, Identity, Namespace, Rule, Team
from router.core.model import Nearest, Place
from router.core.spelling import Spellings

_AT_MOST: Final = 3
_CLOSE: Final = 0.7

_Scored = tuple[float, Nearest]


class NearestEntries:
    """Looks for them among everything that a map has, in bounded time: it is asked for every orphan."""

    def __init__(
        self,
        *,
        teams: Mapping[str, Team],
        jobs: Mapping[str, Entry],
        services: Mapping[str, Entry],
        namespaces: Iterable[Namespace],
        identity: Identity,
        index: ClaimIndex,
        sections: Mapping[str, Section[Entry | Rule]],
    ) -> None:
        self._teams = teams
        self._jobs = jobs
        self._services = services
        self._namespaces = namespaces
        self._identity = identity
        self._index = index
        self._sections = sections

    def to(self, evidence: Evidence, labels: Mapping[str, str]) -> tuple[Nearest, ...]:
        """At most three, the closest first."""
        almost = [*self._spelled_almost(evidence), *self._matching_almost(labels)]
        by_entry: dict[tuple[str, str], Nearest] = {}
        for _, candidate in sorted(almost, key=lambda scored: -scored[0]):
            by_entry.setdefault((candidate.kind, candidate.entry), candidate)
        return tuple(by_entry.values())[:_AT_MOST]

    def _spelled_almost(self, evidence: Evidence) -> Iterator[_Scored]:
        yield from self._team_names.like(evidence.owner)
        yield from self._job_names.like(evidence.job)
        yield from self._service_names.like(evidence.service)
        for named in self._namespace_names:
            yield from named.like(evidence.namespace)

    @cached_property
    def _team_names(self) -> "_Named":
        teams = self._teams.values()
        return _Named("team", {name: (team.id, team.place) for team in teams for name in (team.id, *team.aliases)})

    @cached_property
    def _job_names(self) -> "_Named":
        return _Named("job", _by_name(self._jobs))

    @cached_property
    def _service_names(self) -> "_Named":
        return _Named("service", _by_name(self._services))

    @cached_property
    def _namespace_names(self) -> tuple["_Named", ...]:
        """Those of `namespaces`, and those in the matches of jobs and services."""
        keys = {namespace.key: (namespace.key, namespace.place) for namespace in self._namespaces}
        labels = frozenset(self._identity.namespace_labels)
        of_entries = (("job", self._jobs), ("service", self._services))
        return (
            _Named("namespace", keys),
            *(_Named(kind, _by_namespace(entries, labels)) for kind, entries in of_entries),
        )

    def _matching_almost(self, labels: Mapping[str, str]) -> Iterator[_Scored]:
        """What one label only keeps from matching, where another label does match by its value."""
        almost = self._index.almost_fitting(labels)
        for kind, section in self._sections.items():
            for claim in islice(section.among(almost), _AT_MOST):
                (failing,) = dict.fromkeys(m for m in claim.match or () if not m.matches(labels))
                found = labels.get(failing.name)
                why = f"needs {failing}, " + (f'and it is "{found}"' if found else "which is missing")
                yield _CLOSE, _nearest(kind, claim.id, claim.place, why)


class _Named:
    """Names, and which entry of which kind has each."""

    def __init__(self, kind: str, names: Mapping[str, tuple[str, Place]]) -> None:
        self._kind = kind
        self._names = names
        self._spellings = Spellings(names)

    def like(self, evidence: tuple[str, str]) -> Iterator[_Scored]:
        label, value = evidence
        for score, name in self._spellings.closest(value, at_most=_AT_MOST, at_least=_CLOSE):
            why = f'{label}="{value}" is spelled almost as "{name}"'
            if name == value:
                why = f'{label}="{value}" fits, and another label does not'
            entry, place = self._names[name]
            yield score, _nearest(self._kind, entry, place, why)


def _by_name(entries: Mapping[str, Entry]) -> dict[str, tuple[str, Place]]:
    return {name: (entry.id, entry.place) for entry in entries.values() for name in (entry.id, *entry.aliases)}


def _by_namespace(entries: Mapping[str, Entry], namespace_labels: frozenset[str]) -> dict[str, tuple[str, Place]]:
    return {
        name: (entry.id, entry.place)
        for entry in entries.values()
        for matcher in entry.match or ()
        if matcher.name in namespace_labels
        for name in matcher.alternatives or ()
    }


def _nearest(kind: str, entry: str, place: Place, why: str) -> Nearest:
    return Nearest(kind=kind, entry=entry, why=why, file=place.file, line=place.line)
