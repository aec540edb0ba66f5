"""The catalogue: the same words in every language, and durations a person can read."""

import dataclasses
import string
from datetime import timedelta

import pytest

from router.core.model import Language
from router.notify.words import ENGLISH, JAPANESE, words_in


def _leaves(value: object) -> dict[object, str]:
    if isinstance(value, str):
        return {"": value}
    if isinstance(value, tuple):
        return dict(enumerate(value))
    assert isinstance(value, dict)
    return value


WORDS = [
    pytest.param(english, japanese, id=f"{field.name} {key}".strip())
    for field in dataclasses.fields(ENGLISH)
    for (key, english), (other, japanese) in zip(
        _leaves(getattr(ENGLISH, field.name)).items(), _leaves(getattr(JAPANESE, field.name)).items(), strict=True
    )
    if key == other
]


def _parts(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name} - {"s"}


@pytest.mark.parametrize(("english", "japanese"), WORDS)
def test_both_languages_say_the_same(english: str, japanese: str) -> None:
    """Neither is empty, and both name the same parts; only English has a plural."""
    assert english.strip()
    assert japanese.strip()
    assert _parts(english) == _parts(japanese)


def test_no_key_is_in_one_language_only() -> None:
    """The table above compares every word there is."""
    leaves = [
        len(_leaves(getattr(language, f.name)))
        for language in (ENGLISH, JAPANESE)
        for f in dataclasses.fields(language)
    ]
    assert sum(leaves) == 2 * len(WORDS)


def test_what_is_missing_is_said_in_the_promised_words() -> None:
    """People search for these; they are the same in every message."""
    assert (ENGLISH.no_deadline, ENGLISH.no_runbook, ENGLISH.not_declared) == (
        "no deadline",
        "no runbook",
        "not declared",
    )


@pytest.mark.parametrize(
    ("span", "english", "japanese"),
    [
        pytest.param(timedelta(minutes=30), "30 min", "30 分間", id="minutes"),
        pytest.param(timedelta(hours=3), "3 h", "3 時間", id="hours, whose word has it already"),
        pytest.param(timedelta(days=1), "1 d", "1 日間", id="a day"),
    ],
)
def test_how_long_something_goes_on(span: timedelta, english: str, japanese: str) -> None:
    """In Japanese with 間, once."""
    assert (ENGLISH.lasting(span), JAPANESE.lasting(span)) == (english, japanese)


def test_whose_something_is() -> None:
    """A name that ends in s gets no second one."""
    assert [ENGLISH.of_whom(name) for name in ("Ledger", "Payments", "SRES")] == ["Ledger's", "Payments'", "SRES'"]
    assert JAPANESE.of_whom("Payments") == "Payments"


def test_every_language_has_words() -> None:
    """A language that the map may name is in the catalogue."""
    assert [words_in(language) for language in Language] == [ENGLISH, JAPANESE]


@pytest.mark.parametrize(
    ("span", "english", "japanese"),
    [
        pytest.param(timedelta(0), "0 s", "0 秒", id="nothing"),
        pytest.param(timedelta(seconds=59.9), "59 s", "59 秒", id="seconds"),
        pytest.param(timedelta(seconds=119), "1 min", "1 分", id="a minute"),
        pytest.param(timedelta(minutes=42), "42 min", "42 分", id="minutes"),
        pytest.param(timedelta(hours=5, minutes=2), "5 h 2 min", "5 時間 2 分", id="hours and minutes"),
        pytest.param(timedelta(hours=5, seconds=30), "5 h", "5 時間", id="whole hours"),
        pytest.param(timedelta(days=3, hours=4, minutes=5), "3 d 4 h", "3 日 4 時間", id="two units are enough"),
        pytest.param(timedelta(seconds=-5), "0 s", "0 秒", id="clocks disagree"),
    ],
)
def test_duration(span: timedelta, english: str, japanese: str) -> None:
    """The two largest units."""
    assert (ENGLISH.duration(span), JAPANESE.duration(span)) == (english, japanese)
