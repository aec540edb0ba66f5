"""Remembering answers about words that come from outside, in bounded memory."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

_MOST: Final = 4096  # the words asked last
_LONGEST: Final = 256  # characters: nobody limits a label's value, and long ones do not come again

A = TypeVar("A")


def remembered(answer: Callable[[str], A]) -> Callable[[str], A]:
    """`answer`, which must depend on the word alone."""
    cached = lru_cache(maxsize=_MOST)(answer)

    def ask(word: str) -> A:
        return cached(word) if len(word) <= _LONGEST else answer(word)

    return ask
