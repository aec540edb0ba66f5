"""Did you mean: among few names as difflib says it, among many nearly so and at once."""

from difflib import get_close_matches

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.spelling import Spellings

words = st.text("abc-1", max_size=8)


def names_of(spellings: Spellings, word: str) -> list[str]:
    return [name for _, name in spellings.closest(word, at_most=3, at_least=0.7)]


@given(words, st.lists(words, max_size=12, unique=True))
def test_among_few(word: str, names: list[str]) -> None:
    """Few names are all compared."""
    assert names_of(Spellings(names), word) == (get_close_matches(word, names, n=3, cutoff=0.7) if word else [])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param("checkout-service-7777", "checkout-service-7777", id="itself"),
        pytest.param("chekout-service-1234", "checkout-service-1234", id="a letter less"),
        pytest.param("checkout-servcie-04321", "checkout-service-4321", id="two letters over, two swapped"),
        pytest.param("payments_api", "payments-api", id="another sign"),
        pytest.param("db", "db1", id="a short one"),
    ],
)
def test_among_many(word: str, expected: str) -> None:
    """Of ten thousand names that are all alike, the one that is most alike comes first."""
    assert names_of(MANY, word)[0] == expected


MANY = Spellings([*(f"checkout-service-{n}" for n in range(10_000)), "payments-api", "db1", "ledger"])


def test_nothing_alike() -> None:
    """A word that is like none has no answer, however long it is."""
    assert names_of(MANY, "zzzzzzzz") == []
    assert names_of(MANY, "z" * 100_000) == []
    assert names_of(MANY, "") == []
