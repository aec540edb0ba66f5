"""Which of many entries can have to do with one, without comparing every two of them.

A set of entries is an integer with one bit for each, as in `router.core.claims`: what fits a label set is one `and` for
each label.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from router.core.regexes import RegexSet
from router.lint.inclusion import Conditions, Proofs, Values


class Candidates:
    """Entries by what they ask of each label, in their order."""

    def __init__(self, claims: Sequence[Conditions], proofs: Proofs) -> None:
        self._proofs = proofs
        self._everybody = (1 << len(claims)) - 1
        asked: dict[str, dict[Values, int]] = defaultdict(lambda: defaultdict(int))
        self._by_names: dict[frozenset[str], int] = defaultdict(int)
        for position, claim in enumerate(claims):
            self._by_names[frozenset(claim)] |= 1 << position
            for label, values in claim.items():
                asked[label][values] |= 1 << position
        self._labels = {label: _Label(by_values, self._everybody, proofs) for label, by_values in asked.items()}
        self._among: dict[frozenset[str], int] = {}

    def fitting(self, labels: Mapping[str, str]) -> int:
        """The entries that fit these labels. Raises Undecided."""
        self._proofs.effort.spend(len(self._labels))
        found = self._everybody
        for name, label in self._labels.items():
            found &= label.fitting(labels.get(name, ""))
            if not found:
                break
        return found

    def meeting(self, claim: Conditions) -> int:
        """The entries that ask about no other labels than `claim`, and share a value with it on each of theirs.

        Raises Undecided.
        """
        names = frozenset(claim)
        if names not in self._among:
            self._proofs.effort.spend(len(self._by_names))
            self._among[names] = _union(entries for other, entries in self._by_names.items() if other <= names)
        found = self._among[names]
        for name, values in claim.items():
            if found and name in self._labels:
                found &= self._labels[name].meeting(values)
        self._proofs.effort.spend(len(names))
        return found


class _Label:
    """Who asks what of one label."""

    def __init__(self, asked: Mapping[Values, int], everybody: int, proofs: Proofs) -> None:
        self._proofs = proofs
        self._indifferent = everybody & ~_union(asked.values())
        self._by_value: dict[str, int] = defaultdict(int)
        for values, entries in asked.items():
            for value in values.any_of or ():
                self._by_value[value] |= entries
        # Nearly all that cannot be listed is one expression: RE2 is asked about those together.
        unlisted = [(values, entries) for values, entries in asked.items() if values.any_of is None]
        regexes = [(regex, values) for values, _ in unlisted if (regex := values.single_regex)]
        self._by_pattern = {regex.pattern: values for regex, values in regexes}
        self._set = RegexSet([regex for regex, _ in regexes])
        self._first = Counter(
            text[:1] for _, values in regexes for spoken in values.languages() for text in spoken.beginnings
        )
        self._others = [(values, entries) for values, entries in unlisted if not values.single_regex]
        self._unlisted = dict(unlisted)
        self._alike = _Alike(self._unlisted)
        self._single: dict[str, list[Values]] = {}
        self._fitting: dict[str, int] = {}
        self._meeting: dict[Values, int] = {}

    def fitting(self, value: str) -> int:
        """Who lets the label have this value."""
        found = self._fitting.get(value)
        if found is None:
            self._proofs.effort.spend(len(self._others) + 1)
            found = self._indifferent | self._by_value.get(value, 0)
            found |= _union(self._unlisted[values] for values in self._fitting_single(value))
            found |= _union(entries for values, entries in self._others if values.fit(value))
            self._fitting[value] = found
        return found

    def _fitting_single(self, value: str) -> list[Values]:
        found = self._single.get(value)
        if found is None:
            # RE2 has to think of those that begin with anything, or as the value does.
            self._proofs.effort.spend(20 + (self._first[""] + self._first[value[:1]]) // 8)
            failures = self._set.failures
            found = [self._by_pattern[pattern] for pattern in self._set.fitting(value)]
            # Where it gave up on all together, each was asked by itself.
            self._proofs.effort.spend(10 * len(self._by_pattern) * (self._set.failures - failures))
            self._single[value] = found
        return found

    def meeting(self, values: Values) -> int:
        """Who lets the label have one of these values, as far as that is proven."""
        self._proofs.effort.spend(1)
        if values.any_of is not None:
            return _union(map(self.fitting, values.any_of))
        found = self._meeting.get(values)
        if found is None:
            found = self._indifferent | self._listed_among(values) | self._unlisted_among(values)
            self._meeting[values] = found
        return found

    def _listed_among(self, values: Values) -> int:
        if values in self._listed_by_single:
            return self._listed_by_single[values]
        self._proofs.effort.spend(len(self._by_value))
        return _union(entries for value, entries in self._by_value.items() if values.fit(value))

    @cached_property
    def _listed_by_single(self) -> dict[Values, int]:
        """Who lists a value that fits an expression, by the expression."""
        found = dict.fromkeys(self._by_pattern.values(), 0)
        for value, entries in self._by_value.items():
            for values in self._fitting_single(value):
                found[values] |= entries
        return found

    def _unlisted_among(self, values: Values) -> int:
        alike = self._alike.to(values)
        self._proofs.effort.spend(len(alike))
        return _union(self._unlisted[other] for other in alike if self._proofs.meet(values, other))


class _Alike:
    """Conditions that may be about the same values: two expressions that begin alike.

    `db-.*` and `.*-tokyo` meet as well, as do any two that begin with whatever there is, but perhaps only in values
    that nobody has: to tell of those would be a guess.
    """

    def __init__(self, conditions: Collection[Values]) -> None:
        self._by_beginning: dict[str, list[Values]] = defaultdict(list)
        self._excluding = {values for values in conditions if values.only_exclude}  # they are about all others
        for values in conditions:
            for spoken in values.languages():
                for word in filter(None, spoken.beginnings):
                    self._by_beginning[word].append(values)
        self._in_order = sorted(self._by_beginning)
        self._ranks = {values: rank for rank, values in enumerate(conditions)}

    def to(self, values: Values) -> list[Values]:
        if values.only_exclude:
            return list(self._ranks)
        found = self._excluding | ({values} & self._ranks.keys())
        for spoken in values.languages():
            for word in filter(None, spoken.beginnings):
                found.update(other for related in self._related(word) for other in self._by_beginning[related])
        return sorted(found, key=self._ranks.__getitem__)

    def _related(self, word: str) -> Iterator[str]:
        """The beginnings that `word` begins with, or that begin with it."""
        yield from (word[:length] for length in range(1, len(word)) if word[:length] in self._by_beginning)
        for position in range(bisect_left(self._in_order, word), len(self._in_order)):
            if not self._in_order[position].startswith(word):
                return
            yield self._in_order[position]


def positions(entries: int) -> Iterator[int]:
    """The entries of a set, in their order."""
    while entries:
        lowest = entries & -entries
        yield lowest.bit_length() - 1
        entries ^= lowest


def _union(sets: Iterable[int]) -> int:
    found = 0
    for entries in sets:
        found |= entries
    return found
