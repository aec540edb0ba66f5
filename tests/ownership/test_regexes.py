"""Expressions that are asked together answer as each does alone, also when RE2 gives up on all of them at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.regexes import Regex, RegexSet

PATTERNS = [
    "pay-.*", ".*pay.*", ".+pay.+", ".*pay.+", ".+pay", ".*pay", ".*p\\.y.*", ".*支払.*", ".*a|b", ".*", ".+", "a|",
    "(a|ab)(c|bcd)?", "(?i)PAY.*", "(?s).*y", "(?m)^a$", "[^p]*", "a{2,3}", ".*[ab].{3}c.*", "a)|(b", ".*\\?", "x*",
]  # fmt: skip
TEXTS = [
    "", "pay", "pay-", "xpay", "payx", "xpayx", "p.y", "支払", "a支払b", "a", "b", "ab", "abbcd", "PAY-1", "a\nb",
    "pay\n", "\npay", "aaa", "xxaxxxcx", "axxxc", "?", "a\ud800", "\ud800pay", "\x00", "x" * 5_000, "b" + "a" * 999,
]  # fmt: skip


class GivesUp(RegexSet):
    """A set whose automaton is out of memory at every text: RE2 then answers that nothing fits."""

    def __init__(self, regexes: list[Regex]) -> None:
        super().__init__(regexes)
        self._ask = lambda _: None


def alone(text: str) -> set[str]:
    return {pattern for pattern in PATTERNS if Regex(pattern).fits(text)}


@pytest.mark.parametrize("text", TEXTS)
def test_together_as_alone(text: str) -> None:
    """No expression answers otherwise for being one of many."""
    together = RegexSet(map(Regex, PATTERNS))
    assert set(together.fitting(text)) == alone(text)
    assert together.failures == 0


@given(st.text("pay-xab.\n?支A", max_size=8))
def test_together_as_alone_on_any_text(text: str) -> None:
    """So it is for texts that nobody thought of."""
    assert set(TOGETHER.fitting(text)) == alone(text)


TOGETHER = RegexSet(map(Regex, PATTERNS))


@pytest.mark.parametrize("text", ["", "xpayx", "a\ud800", "nothing of it"])
@pytest.mark.parametrize(
    "together",
    [
        pytest.param(RegexSet(map(Regex, PATTERNS), set_bytes=2_000), id="too little memory to compile"),
        pytest.param(GivesUp(list(map(Regex, PATTERNS))), id="too little memory to search"),
    ],
)
def test_when_re2_gives_up(together: RegexSet, text: str) -> None:
    """Then each is asked by itself, and that is counted: RE2 says nothing, and says it as if nothing fitted."""
    before = together.failures
    assert set(together.fitting(text)) == alone(text)
    assert together.failures == before + 1


def test_a_program_beyond_re2() -> None:
    """What RE2 does not compile fits nothing; that its map is refused is tested elsewhere."""
    huge = Regex(r"\pL{1000}")
    assert huge.instructions is None
    assert not huge.fits("a" * 1_000)
