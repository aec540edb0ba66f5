"""Which of many names is spelled almost like a word: "did you mean", in bounded time."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import cached_property, lru_cache
from heapq import nlargest
from itertools import pairwise
from typing import Final

# Comparing two words takes up to 100 µs at 20 letters and grows with the square of the length, and the words come from
# outside. So of more than a few names only those are compared that share most pairs of letters with the word.
_LONGEST: Final = 80
_COMPARED: Final = 16
_POSTINGS: Final = 4_000  # looked at to find them, those of the rarest pairs first


class Spellings:
    """Names to compare words with. The index is made when it is first needed."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(dict.fromkeys(names))
        # The same wrong word comes with every alert of a rule.
        self._remembered = lru_cache(maxsize=1024)(self._closest)

    def closest(self, word: str, *, at_most: int, at_least: float) -> Sequence[tuple[float, str]]:
        """Names and how much they are like `word`, from 0 to 1 as difflib measures it, the closest first."""
        return self._remembered(word[:_LONGEST], at_most, at_least) if word else ()

    def _closest(self, word: str, at_most: int, at_least: float) -> Sequence[tuple[float, str]]:
        matcher = SequenceMatcher()
        matcher.set_seq2(word)
        found = []
        for name in self._names if len(self._names) <= _COMPARED else self._likely(word):
            matcher.set_seq1(name)
            if matcher.real_quick_ratio() >= at_least and matcher.quick_ratio() >= at_least:
                found.append((matcher.ratio(), name))
        return nlargest(at_most, (one for one in found if one[0] >= at_least))

    def _likely(self, word: str) -> list[str]:
        """The names that have most pairs of letters in common with `word`."""
        shared: Counter[int] = Counter()
        looked_at = 0
        for numbers in sorted((self._by_pair.get(pair, []) for pair in _pairs(word)), key=len):
            looked_at += len(numbers)
            if looked_at > _POSTINGS and shared:
                break
            shared.update(numbers[:_POSTINGS])
        return [self._names[number] for number, _ in shared.most_common(_COMPARED)]

    @cached_property
    def _by_pair(self) -> dict[str, list[int]]:
        by_pair: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(self._names):
            for pair in _pairs(name):
                by_pair[pair].append(number)
        return dict(by_pair)


def _pairs(word: str) -> set[str]:
    """The ends count as letters, so that short words have pairs; a pair's second occurrence counts as another pair."""
    pairs = [first + second for first, second in pairwise(f"\0{word[:_LONGEST]}\0")]
    different = set(pairs)
    if len(different) == len(pairs):
        return different
    return {pair * (1 + pairs[:number].count(pair)) for number, pair in enumerate(pairs)}
