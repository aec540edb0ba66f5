"""What matchers admit together, and proofs about it: one entry takes all of another, some of it, or none.

Every value is text without lone surrogates; a missing label is an empty one. Matchers of different labels have nothing
to do with each other, so that each question is asked label by label. Whatever text is found, RE2 has the last word on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from router.core.matchers import Matcher, Operator
from router.core.regexes import Regex
from router.lint.languages import Effort, Language, Undecided, find_text, language, these_texts


@dataclass(frozen=True, slots=True)
class Values:
    """Values of one label: those that fit all of these conditions."""

    any_of: frozenset[str] | None = None  # all of them, where they can be listed; there are no other conditions then
    none_of: frozenset[str] = frozenset()
    regexes: frozenset[Matcher] = frozenset()  # those of =~ and !~ that cannot be listed

    def fit(self, value: str) -> bool:
        if self.any_of is not None:
            return value in self.any_of
        return value not in self.none_of and all(matcher.matches({matcher.name: value}) for matcher in self.regexes)

    def negations(self) -> Iterator["Values"]:
        """The values that are not among these, condition by condition."""
        if self.any_of is not None:
            yield Values(none_of=self.any_of)
        if self.none_of:
            yield Values(any_of=self.none_of)
        for matcher in sorted(self.regexes, key=str):
            yield Values(regexes=frozenset({_opposite(matcher)}))

    @property
    def openness(self) -> int:
        """0 where they are listed, 1 where an expression tells them, 2 where only those are told that are not meant."""
        if self.any_of is not None:
            return 0
        return 2 if self.only_exclude else 1

    @property
    def only_exclude(self) -> bool:
        """Whether these are all values but some."""
        return self.any_of is None and all(matcher.negative for matcher in self.regexes)

    @property
    def single_regex(self) -> Regex | None:
        """The expression that is all of what these must fit, if it is."""
        matcher = next(iter(self.regexes), None)
        if matcher is None or matcher.negative or self.none_of or len(self.regexes) > 1:
            return None
        return matcher.regex

    def languages(self) -> list[Language]:
        """What the expressions stand for that these must fit, as far as their syntax is understood."""
        positive = sorted((matcher for matcher in self.regexes if not matcher.negative), key=str)
        found = map(language_of, positive)
        return [spoken for spoken in found if spoken is not None]


ALL_VALUES: Final = Values()

Conditions = Mapping[str, Values]  # by label; every other label may have any value


def conditions(matchers: Iterable[Matcher]) -> Conditions:
    """What `matchers` ask of each label."""
    found: dict[str, Values] = {}
    for matcher in matchers:
        found[matcher.name] = both(found.get(matcher.name, ALL_VALUES), _values(matcher))
    return found


def both(one: Values, other: Values) -> Values:
    """The values that are among the ones and the others."""
    if one.any_of is not None:
        return Values(any_of=frozenset(filter(other.fit, one.any_of)))
    if other.any_of is not None:
        return Values(any_of=frozenset(filter(one.fit, other.any_of)))
    return Values(none_of=one.none_of | other.none_of, regexes=one.regexes | other.regexes)


def language_of(matcher: Matcher) -> Language | None:
    """The texts of a =~ or !~, where its syntax is understood."""
    try:
        return language(matcher.values[0])
    except Undecided:
        return None


def _values(matcher: Matcher) -> Values:
    listed = matcher.listed
    if listed is None and (found := language_of(matcher)) is not None:
        listed = found.texts
    if listed is None:
        return Values(regexes=frozenset({matcher}))
    return Values(none_of=listed) if matcher.negative else Values(any_of=listed)


@lru_cache(maxsize=4096)
def _opposite(matcher: Matcher) -> Matcher:
    operator = Operator.MATCHES if matcher.negative else Operator.NOT_MATCHES
    return Matcher(matcher.name, operator, matcher.values)


# -- proofs --------------------------------------------------------------------------------------------------------

# A question about common patterns costs tens to hundreds of steps, at about two million a second.
_ONE_QUESTION: Final = 40_000
_ALL_QUESTIONS: Final = 5_000_000


class Proofs:
    """Answers that are proven; where a proof is too dear there is none. Each is remembered."""

    def __init__(self, steps: int = _ALL_QUESTIONS) -> None:
        self.effort = Effort(steps)
        self._answers: dict[tuple[Values, bool], tuple[str | None] | None] = {}  # None: undecided

    def contradiction(self, claim: Conditions) -> str | None:
        """The label of which no value fits, so that nothing fits `claim`."""
        return next((label for label, values in claim.items() if self._surely_none(values)), None)

    def covers(self, earlier: Conditions, later: Conditions) -> bool:
        """Whether every label set that fits `later` fits `earlier`, proven."""
        return all(self.within(later.get(label, ALL_VALUES), values) for label, values in earlier.items())

    def within(self, inner: Values, outer: Values) -> bool:
        """Whether each of `inner` is among `outer`, proven."""
        if inner.any_of is not None:
            return all(map(outer.fit, inner.any_of))
        if inner == outer:
            return True
        if outer.any_of is not None or any(map(inner.fit, outer.none_of)):
            return False
        return all(
            self._surely_none(both(inner, negated))
            for negated in Values(regexes=outer.regexes - inner.regexes).negations()
        )

    def takes_everything(self, claim: Conditions) -> bool:
        """Whether every alert fits, proven; a value with a line feed, which no dot fits, does not count."""
        return all(
            values.fit("") and all(self._surely_none(negated, line_feeds=False) for negated in values.negations())
            for values in claim.values()
        )

    def example(self, claim: Conditions) -> Mapping[str, str] | None:
        """A label set that fits."""
        try:
            found = {label: self.value(values) for label, values in claim.items()}
        except Undecided:
            return None
        labels = {label: value for label, value in found.items() if value is not None}
        return labels if len(labels) == len(found) else None

    def shared(self, one: Conditions, other: Conditions) -> Mapping[str, str] | None:
        """A label set that fits both."""
        return self.example(
            {
                label: both(one.get(label, ALL_VALUES), other.get(label, ALL_VALUES))
                for label in dict.fromkeys((*one, *other))
            }
        )

    def meet(self, one: Values, other: Values) -> bool:
        """Whether a value is among both, proven."""
        try:
            return self.value(both(one, other)) is not None
        except Undecided:
            return False

    def outside(self, claim: Conditions, scope: Conditions) -> tuple[str, str] | None:
        """A label and a value of it with which something fits `claim` that does not fit `scope`."""
        for label, values in scope.items():
            for negated in values.negations():
                beyond = both(claim.get(label, ALL_VALUES), negated)
                if self.example({**claim, label: beyond}) is not None:
                    return label, self.value(beyond) or ""
        return None

    def value(self, values: Values, *, line_feeds: bool = False) -> str | None:
        """One of these, a short one; None if there is provably none.

        Without `line_feeds`, none that has one: those are possible, and nobody has them. Raises Undecided.
        """
        question = values, line_feeds
        if question not in self._answers:
            self._answers[question] = self._answer(values, line_feeds=line_feeds)
        answer = self._answers[question]
        if answer is None:
            raise Undecided
        return answer[0]

    def _surely_none(self, values: Values, *, line_feeds: bool = True) -> bool:
        try:
            return self.value(values, line_feeds=line_feeds) is None
        except Undecided:
            return False

    def _answer(self, values: Values, *, line_feeds: bool) -> tuple[str | None] | None:
        try:
            return (self._searched(values, line_feeds=line_feeds),)
        except Undecided:
            return None

    def _searched(self, values: Values, *, line_feeds: bool) -> str | None:
        if values.any_of is not None:
            self.effort.spend(2)
            return min((value for value in values.any_of if line_feeds or "\n" not in value), default=None)
        guessed = self._guessed(values, line_feeds=line_feeds)
        if guessed is not None:
            return guessed
        fits = sorted(matcher.values[0] for matcher in values.regexes if not matcher.negative)
        fits_not = sorted(matcher.values[0] for matcher in values.regexes if matcher.negative)
        if not set(fits).isdisjoint(fits_not):
            return None
        found = self._found(
            [language(pattern) for pattern in fits],
            [*(language(pattern) for pattern in fits_not), *([these_texts(values.none_of)] if values.none_of else [])],
            line_feeds=line_feeds,
        )
        if found is not None and not values.fit(found):
            raise Undecided
        return found

    def _guessed(self, values: Values, *, line_feeds: bool) -> str | None:
        """One of these where it is easily found: `pay-.*` and `.*-prod` have the shortest texts of both in a row."""
        examples = [spoken.example or "" for spoken in values.languages()]
        for guess in dict.fromkeys(("", *examples, "".join(examples), "".join(reversed(examples)))):
            self.effort.spend(10)
            if values.fit(guess) and (line_feeds or "\n" not in guess):
                return guess
        return None

    def _found(self, fits: list[Language], fits_not: list[Language], *, line_feeds: bool) -> str | None:
        allowed = max(0, min(_ONE_QUESTION, self.effort.left))
        effort = Effort(allowed)
        try:
            return find_text(fits, fits_not, effort, line_feeds=line_feeds)
        finally:
            self.effort.left -= allowed - max(0, effort.left)
