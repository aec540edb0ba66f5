"""What claims alerts by matchers, asked all at once.

A set of claims is a number whose bit n stands for claim n. Each label has one such number for each of its values: the
claims that this value leaves standing. The claims that fit an alert are those that every label leaves standing, so ten
thousand of them cost a few operations on 1,250 bytes, however common the values are that they name.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from router.core.matchers import Matcher
from router.core.regexes import Regex, RegexSet

# What the automata of all labels may grow to together, and one at least; RE2 begins a full one anew. They are small
# unless somebody counts, as in `.*[ab].{20}`.
_ALL_SETS_BYTES: Final = 128 << 20
_LEAST_SET_BYTES: Final = 8 << 20


class Claim(Protocol):
    @property
    def match(self) -> tuple[Matcher, ...] | None: ...


C_co = TypeVar("C_co", bound=Claim, covariant=True)


class Section(Generic[C_co]):
    """Claims of one kind in their order, as a part of an index. What has no `match` claims nothing."""

    def __init__(self, claims: Iterable[C_co]) -> None:
        self.claims: Sequence[C_co] = [claim for claim in claims if claim.match is not None]
        self.begin_at(0)

    def begin_at(self, number: int) -> None:
        """Called by the index: the numbers of these claims begin with this one."""
        self._start = number
        self._mine = ((1 << len(self.claims)) - 1) << number

    def among(self, standing: int) -> Iterable[C_co]:
        """Those that stand, in order."""
        mine = standing & self._mine
        return self._in_order(mine) if mine else ()

    def _in_order(self, left: int) -> Iterator[C_co]:
        while left:
            first = left & -left
            yield self.claims[first.bit_length() - 1 - self._start]
            left ^= first


class ClaimIndex:
    """The claims of all `sections`, numbered through."""

    def __init__(self, sections: Iterable[Section[Claim]]) -> None:
        claims: list[Claim] = []
        for section in sections:
            section.begin_at(len(claims))
            claims += section.claims
        self._everything = (1 << len(claims)) - 1
        conditions: dict[tuple[str, int], dict[int, Matcher]] = defaultdict(dict)
        regexes: dict[str, dict[str, Regex]] = defaultdict(dict)
        for number, claim in enumerate(claims):
            of_label: dict[str, int] = defaultdict(int)  # a claim's second condition on a label counts as another label
            for matcher in dict.fromkeys(claim.match or ()):
                conditions[matcher.name, of_label[matcher.name]][number] = matcher
                of_label[matcher.name] += 1
                if matcher.regex is not None:
                    regexes[matcher.name].setdefault(matcher.regex.pattern, matcher.regex)
        set_bytes = max(_LEAST_SET_BYTES, _ALL_SETS_BYTES // max(1, len(regexes)))
        self._sets = {name: RegexSet(list(told.values()), set_bytes=set_bytes) for name, told in regexes.items()}
        self._columns = [
            _Column(name, told, self._everything, self._sets.get(name)) for (name, _), told in conditions.items()
        ]

        self._asked = [(column.name, column.standing, column.standing_without) for column in self._columns]

    @property
    def set_failures(self) -> int:
        """How often RE2 gave up on all expressions of a label together, and each was asked by itself."""
        return sum(together.failures for together in self._sets.values())

    def fitting(self, labels: Mapping[str, str]) -> int:
        """The claims that fit `labels`."""
        fitting = self._everything
        for name, standing, standing_without in self._asked:
            value = labels.get(name)
            fitting &= standing(value) if value else standing_without
        return fitting

    def almost_fitting(self, labels: Mapping[str, str]) -> int:
        """The claims that one condition only keeps from fitting, and that another claims by a value of `labels`."""
        fitting, almost, by_value = self._everything, 0, 0
        for column in self._columns:
            value = labels.get(column.name)
            standing = column.standing(value) if value else column.standing_without
            almost = almost & standing | fitting & ~standing
            fitting &= standing
            if value:
                by_value |= standing & column.positive
        return almost & by_value


class _Column:
    """One condition on one label, of each claim that has one.

    A claim's bit turns at the values that its condition lists, or at the texts that its expression fits: on if it is
    positive, off if it is negative. So only what turns at a value is looked up.
    """

    __slots__ = (
        "_at_regex",
        "_at_value",
        "_fitting",
        "_otherwise",
        "indifferent",
        "name",
        "positive",
        "standing_without",
    )

    def __init__(self, name: str, conditions: Mapping[int, Matcher], everything: int, regexes: RegexSet | None) -> None:
        self.name = name
        conditional = _bits(conditions)
        negative = _bits(number for number, matcher in conditions.items() if matcher.negative)
        self.positive = conditional ^ negative
        self._otherwise = everything ^ self.positive
        at_value: dict[str, list[int]] = defaultdict(list)
        at_regex: dict[str, list[int]] = defaultdict(list)
        for number, matcher in conditions.items():
            for value in matcher.listed or ():
                at_value[value].append(number)
            if matcher.regex is not None:
                at_regex[matcher.regex.pattern].append(number)
        self._at_value = {value: _turning(numbers) for value, numbers in at_value.items()}
        self._at_regex = {pattern: _turning(numbers) for pattern, numbers in at_regex.items()}
        self._fitting = regexes.fitting if regexes is not None and at_regex else None
        self.standing_without = self.standing("")  # a label that is missing is an empty one

    def standing(self, value: str) -> int:
        """The claims that are left if the label has `value`."""
        standing = self._otherwise
        if (turning := self._at_value.get(value)) is not None:
            standing = _turned(standing, turning)
        if self._fitting is not None:
            for pattern in self._fitting(value):
                if (turning := self._at_regex.get(pattern)) is not None:
                    standing = _turned(standing, turning)
        return standing


_FEW: Final = 16

# A few bits are kept by their numbers, because one alone of ten thousand would fill a kilobyte.
_Turning = int | tuple[int, ...]


def _turning(numbers: Sequence[int]) -> _Turning:
    return tuple(numbers) if len(numbers) <= _FEW else _bits(numbers)


def _turned(standing: int, turning: _Turning) -> int:
    if isinstance(turning, int):
        return standing ^ turning
    for number in turning:
        standing ^= 1 << number
    return standing


def _bits(numbers: Iterable[int]) -> int:
    numbers = list(numbers)
    buffer = bytearray(max(numbers, default=0) // 8 + 1)
    for number in numbers:
        buffer[number >> 3] |= 1 << (number & 7)
    return int.from_bytes(buffer, "little")
