"""docs/reference/slack-outcomes.md has every word that a call to Slack can end with, in the class of the code."""

from router.core.model import FailureClass
from router.core.retry import FAILURES, FINE, HTTP_STATUS, REPLIES_REFUSED, SHARING_BLOCKED, SILENCES
from tests.docs.pages import code_in, rows, section

PAGE = "docs/reference/slack-outcomes.md"


def test_every_class_is_explained() -> None:
    """Each class once, in the order of the code, with its meaning and what is done about it."""
    table = rows(section(PAGE, "## Classes"))
    assert [code_in(row[0]) for row in table] == [[failure.value] for failure in FailureClass]
    assert all(meaning and action for _, meaning, action in table)


def test_every_word_of_slack_stands_under_its_class() -> None:
    """No word is missing, none is there twice, and none that the code does not know."""
    listed = [(code, code_in(row[0])[0]) for row in rows(section(PAGE, "## Slack's words")) for code in code_in(row[1])]
    assert len(listed) == len(dict(listed))
    assert dict(listed) == {**FAILURES, SHARING_BLOCKED: FailureClass.CONTENT}


def test_every_word_of_the_router_stands_with_its_class() -> None:
    """And with what happened."""
    table = rows(section(PAGE, "## The router's own words"))
    listed = {code_in(word)[0]: code_in(failure)[0] for word, failure, _ in table}
    assert len(table) == len(listed)
    assert listed == {**SILENCES, HTTP_STATUS: FailureClass.AMBIGUOUS}


def test_every_fine_refusal_is_listed() -> None:
    """By the method that it is fine for."""
    listed = {
        (code_in(row[0])[0], code)
        for row in rows(section(PAGE, "## Refusals that are fine"))
        for code in code_in(row[1])
    }
    assert listed == {(method, code) for method, codes in FINE.items() for code in codes}


def test_every_word_about_replies_is_listed() -> None:
    """Those that say nothing about the channel."""
    assert set(code_in(section(PAGE, "## Words about replies"))) == REPLIES_REFUSED
