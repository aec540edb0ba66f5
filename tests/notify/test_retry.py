"""What each word of Slack is about, and how long to wait after it."""

from datetime import timedelta

import pytest

from router.core.model import FailureClass
from router.core.retry import (
    _SILENCES,
    _WORDS,
    FAILURES,
    FINE,
    REPLIES_REFUSED,
    SILENCES,
    backoff,
    classify,
    is_fine,
    treated_as,
)


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        pytest.param("ratelimited", FailureClass.TRANSIENT, id="too fast"),
        pytest.param("rate_limited", FailureClass.TRANSIENT, id="too fast, older spelling"),
        pytest.param("message_limit_exceeded", FailureClass.WORKSPACE, id="a free workspace is full"),
        pytest.param("fatal_error", FailureClass.AMBIGUOUS, id="some of it may have succeeded"),
        pytest.param("update_failed", FailureClass.AMBIGUOUS, id="an edit that may have happened"),
        pytest.param("invalid_blocks", FailureClass.CONTENT, id="blocks refused"),
        pytest.param("slack_connect_lists_sharing_blocked", FailureClass.CONTENT, id="sharing blocked"),
        pytest.param("slack_connect_next_years_idea_blocked", FailureClass.CONTENT, id="sharing of anything blocked"),
        pytest.param("slack_connect_blocked", FailureClass.UNKNOWN, id="no such word"),
        pytest.param("slack_connect_lists_sharing_blocked_", FailureClass.UNKNOWN, id="not quite that word"),
        pytest.param("is_archived", FailureClass.CHANNEL, id="archived"),
        pytest.param("is_inactive", FailureClass.CHANNEL, id="archived, told to an edit"),
        pytest.param("restricted_action_thread_only_channel", FailureClass.CHANNEL, id="takes only replies"),
        pytest.param("message_not_found", FailureClass.ROOT_GONE, id="deleted"),
        pytest.param("cant_update_message", FailureClass.ROOT_GONE, id="posted by another app"),
        pytest.param("token_revoked", FailureClass.APP, id="token revoked"),
        pytest.param("missing_scope", FailureClass.APP, id="scope missing"),
        pytest.param("something_new", FailureClass.UNKNOWN, id="not documented"),
        pytest.param("", FailureClass.UNKNOWN, id="empty"),
    ],
)
def test_classify(code: str, failure: FailureClass) -> None:
    """Each documented word has one class; anything else is unknown."""
    assert classify(code) is failure


def test_every_code_has_one_class() -> None:
    """No code stands in two classes, where the order of the table would decide."""
    assert len(FAILURES) == sum(len(codes.split()) for codes in _WORDS.values())
    assert len(SILENCES) == sum(len(words.split()) for words in _SILENCES.values())


def test_our_words_are_not_slacks() -> None:
    """In a log line or a metric, one reason has one meaning."""
    assert not SILENCES.keys() & FAILURES.keys()
    assert {classify(word) for word in SILENCES} == {FailureClass.UNKNOWN}


def test_every_class_has_a_word() -> None:
    """But the one for the words that nobody knows."""
    assert {*FAILURES.values(), *SILENCES.values()} == {*FailureClass} - {FailureClass.UNKNOWN}


@pytest.mark.parametrize(
    ("method", "code", "fine"),
    [
        pytest.param("chat.delete", "message_not_found", True, id="gone already"),
        pytest.param("chat.update", "message_not_found", False, id="nothing to edit"),
        pytest.param("chat.delete", "channel_not_found", False, id="no channel"),
        pytest.param("reactions.add", "already_reacted", True, id="there already"),
        pytest.param("reactions.remove", "no_reaction", True, id="away already"),
        pytest.param("reactions.add", "no_reaction", False, id="of another method"),
    ],
)
def test_a_refusal_may_be_fine(method: str, code: str, fine: bool) -> None:
    """Where what was asked for is so already; that depends on what was asked for."""
    assert is_fine(method, code) == fine


def test_what_is_said_of_replies_alone_is_known() -> None:
    """Those codes are in the table too, for who does not ask what kind of message it was."""
    assert {classify(code) for code in REPLIES_REFUSED} == {FailureClass.CHANNEL, FailureClass.CONTENT}
    assert FINE.keys() == {"chat.delete", "reactions.add", "reactions.remove"}


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        pytest.param(1, FailureClass.TRANSIENT, id="first"),
        pytest.param(2, FailureClass.TRANSIENT, id="second"),
        pytest.param(3, FailureClass.CHANNEL, id="third"),
    ],
)
def test_unknown_words_are_retried_twice(attempt: int, expected: FailureClass) -> None:
    """An undocumented refusal is tried twice more, then the fallback channel hears of it."""
    assert treated_as(FailureClass.UNKNOWN, attempt=attempt) is expected


def test_documented_words_do_not_change_with_the_attempts() -> None:
    """Only the unknown depends on the attempt."""
    known = [failure for failure in FailureClass if failure is not FailureClass.UNKNOWN]
    assert [treated_as(failure, attempt=9) for failure in known] == known


TRANSIENT, WORKSPACE, APP = FailureClass.TRANSIENT, FailureClass.WORKSPACE, FailureClass.APP


@pytest.mark.parametrize(
    ("attempt", "failure", "retry_after_s", "jitter", "expected_s"),
    [
        pytest.param(1, TRANSIENT, None, 0.0, 1, id="first"),
        pytest.param(2, TRANSIENT, None, 0.0, 2, id="second"),
        pytest.param(3, TRANSIENT, None, 0.0, 5, id="third"),
        pytest.param(4, TRANSIENT, None, 0.0, 10, id="fourth"),
        pytest.param(5, TRANSIENT, None, 0.0, 30, id="fifth"),
        pytest.param(6, FailureClass.NOT_SENT, None, 0.0, 60, id="sixth"),
        pytest.param(7, FailureClass.AMBIGUOUS, None, 0.0, 120, id="from the seventh on"),
        pytest.param(5_000, TRANSIENT, None, 0.0, 120, id="after a week"),
        pytest.param(4, TRANSIENT, None, 1.0, 11, id="jitter only lengthens"),
        pytest.param(1, TRANSIENT, 30, 0.0, 30, id="Retry-After is a floor"),
        pytest.param(1, TRANSIENT, 30, 1.0, 30.5, id="and never undercut by jitter"),
        pytest.param(7, TRANSIENT, 30, 0.0, 120, id="a longer step stays"),
        pytest.param(1, TRANSIENT, 0, 0.0, 1, id="Retry-After 0"),
        pytest.param(1, TRANSIENT, -5, 0.0, 1, id="Retry-After in the past"),
        pytest.param(1, TRANSIENT, 86_400, 0.0, 600, id="a day is clamped to ten minutes"),
        pytest.param(1, WORKSPACE, None, 0.0, 300, id="workspace"),
        pytest.param(9, WORKSPACE, None, 0.0, 300, id="workspace, later"),
        pytest.param(1, APP, None, 0.0, 30, id="token refused"),
        pytest.param(9, APP, None, 1.0, 33, id="token refused, later"),
    ],
)
def test_backoff(
    attempt: int, failure: FailureClass, retry_after_s: float | None, jitter: float, expected_s: float
) -> None:
    """The wait after a failed attempt."""
    retry_after = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    assert backoff(attempt, failure=failure, retry_after=retry_after, jitter=jitter) == timedelta(seconds=expected_s)
