"""When nothing but a probe is sent, and for how long."""

from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass
from router.notify.breaker import OPENS_AFTER, Breaker

START = 1_000.0
APP, WORKSPACE = FailureClass.APP, FailureClass.WORKSPACE
NOT_SENT, AMBIGUOUS = FailureClass.NOT_SENT, FailureClass.AMBIGUOUS
TRANSIENT, CHANNEL = FailureClass.TRANSIENT, FailureClass.CHANNEL


def failure(kind: FailureClass, *, retry_after_s: float | None = None) -> DeliveryFailed:
    wait = None if retry_after_s is None else timedelta(seconds=retry_after_s)
    return DeliveryFailed(failure=kind, reason=f"because_{kind}", retry_after=wait)


def opened(kind: FailureClass) -> Breaker:
    breaker = Breaker()
    while not breaker.failed(failure(kind), START, jitter=0):
        pass
    return breaker


@pytest.mark.parametrize(
    ("failures", "opens"),
    [
        pytest.param([APP], True, id="the app is refused"),
        pytest.param([WORKSPACE], True, id="the workspace takes nothing"),
        pytest.param([NOT_SENT], False, id="one connection"),
        pytest.param([NOT_SENT, AMBIGUOUS], False, id="two"),
        pytest.param([NOT_SENT, AMBIGUOUS, NOT_SENT], True, id="three in a row"),
        pytest.param([NOT_SENT, NOT_SENT, None, NOT_SENT, NOT_SENT], False, id="a success in between"),
        pytest.param([NOT_SENT, NOT_SENT, CHANNEL, NOT_SENT, NOT_SENT], False, id="an answer in between"),
        pytest.param([NOT_SENT, NOT_SENT, TRANSIENT, NOT_SENT], True, id="a 429 in between is nobody's answer"),
        *(
            pytest.param([kind] * 9, False, id=f"{kind} is about one message")
            for kind in FailureClass
            if kind not in (APP, WORKSPACE, NOT_SENT, AMBIGUOUS)
        ),
    ],
)
def test_what_opens_it(failures: list[FailureClass | None], opens: bool) -> None:
    """Refusals of all of us at once, silence only the third time, and it is told once."""
    breaker = Breaker()
    told = []
    for kind in failures:
        told.append(breaker.succeeded() if kind is None else breaker.failed(failure(kind), START, jitter=0))
    assert told == [False] * (len(failures) - 1) + [opens]
    assert breaker.is_open == opens
    assert (breaker.failure, breaker.since) == ((failures[-1], START) if opens else (None, None))


@pytest.mark.parametrize(
    ("kind", "waits"),
    [
        pytest.param(NOT_SENT, [1, 2, 5, 10, 30, 60, 60, 60], id="away"),
        pytest.param(AMBIGUOUS, [1, 2, 5, 10, 30, 60, 60, 60], id="answers with errors"),
        pytest.param(APP, [30] * 8, id="refuses the app"),
        pytest.param(WORKSPACE, [300] * 8, id="refuses the workspace"),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["told", "nobody tells what became of the probe"])
def test_how_often_it_is_probed(kind: FailureClass, waits: list[int], told: bool) -> None:
    """From each failed probe to the next one."""
    breaker, now, waited = opened(kind), START, []
    for _ in waits:
        assert breaker.probe_at is not None
        assert not breaker.probe_due(breaker.probe_at - 0.001)
        assert breaker.probe_due(breaker.probe_at)
        waited.append(breaker.probe_at - now)
        now = breaker.probe_at
        breaker.probe_started(now, jitter=0)
        assert not breaker.probe_due(now)
        if told:
            breaker.probe_failed(failure(kind), now, jitter=0)
    assert waited == waits
    assert breaker.since == START


def test_a_probe_waits_as_long_as_slack_says() -> None:
    """Retry-After and jitter only lengthen."""
    breaker = opened(NOT_SENT)
    breaker.probe_started(START + 1, jitter=0)
    breaker.probe_failed(failure(TRANSIENT, retry_after_s=90), START + 1, jitter=1)
    assert breaker.probe_at == START + 1 + 90.5
    assert (breaker.failure, breaker.reason) == (TRANSIENT, "because_transient")
    breaker.failed(failure(APP), START + 2, jitter=0)
    assert (breaker.failure, breaker.probe_at) == (APP, START + 1 + 90.5)


def test_a_refusal_says_more_than_silence() -> None:
    """Messages under way when it opened may tell why; their silence tells nothing new."""
    breaker = opened(NOT_SENT)
    assert not breaker.failed(failure(APP), START + 0.5, jitter=0)
    assert (breaker.failure, breaker.probe_at) == (APP, START + 30.5)
    assert not breaker.failed(failure(NOT_SENT), START + 5, jitter=0)
    assert (breaker.failure, breaker.probe_at, breaker.since) == (APP, START + 30.5, START)


def test_after_a_probe_one_message_decides() -> None:
    """auth.test does not say whether posts are taken: one failure opens it again, with the next longer wait."""
    breaker = opened(NOT_SENT)
    for _ in range(3):
        breaker.probe_started(START, jitter=0)
    assert breaker.probe_succeeded()
    assert (breaker.is_open, breaker.trial, breaker.probe_at) == (False, True, None)
    assert not breaker.failed(failure(TRANSIENT), START + 100, jitter=0)
    assert breaker.trial
    assert breaker.failed(failure(AMBIGUOUS), START + 100, jitter=0)
    assert (breaker.probe_at, breaker.since, breaker.trial) == (START + 110, START + 100, False)


@pytest.mark.parametrize("answer", [None, CHANNEL], ids=["taken", "refused for itself"])
def test_slacks_answer_to_a_message_ends_the_trial(answer: FailureClass | None) -> None:
    """Then it takes three failures again, and the waits begin anew."""
    breaker = opened(NOT_SENT)
    breaker.probe_started(START + 1, jitter=0)
    breaker.probe_succeeded()
    told = breaker.succeeded() if answer is None else breaker.failed(failure(answer), START + 2, jitter=0)
    assert (told, breaker.trial, breaker.attempts) == (False, False, 0)
    assert [breaker.failed(failure(NOT_SENT), START + 3, jitter=0) for _ in range(3)] == [False, False, True]
    assert breaker.probe_at == START + 4


def test_what_is_closed_is_not_probed() -> None:
    """A probe's outcome that comes late changes nothing."""
    breaker = Breaker()
    breaker.probe_started(START, jitter=0)
    breaker.probe_failed(failure(APP), START, jitter=0)
    assert not breaker.probe_succeeded()
    assert not breaker.is_open
    assert not breaker.trial
    assert not breaker.probe_due(START + 1e9)


SHORTEST_S = {APP: 30, WORKSPACE: 300}
ROUNDING_S = 1e-6


class Outages(RuleBasedStateMachine):
    """Anything may happen to messages and probes, in any order and at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now = START
        self.failed_in_a_row = 0
        self.refused = False
        self.after_probe = False
        self.probed_at: float | None = None

    @rule(seconds=st.floats(min_value=0, max_value=400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(kind=st.sampled_from(FailureClass), jitter=st.floats(min_value=0, max_value=1))
    def a_message_fails(self, kind: FailureClass, jitter: float) -> None:
        was_open = self.breaker.is_open
        just_opened = self.breaker.failed(failure(kind), self.now, jitter=jitter)
        assert just_opened == (self.breaker.is_open and not was_open)
        if kind in (APP, WORKSPACE):
            self.refused = True
            assert self.breaker.is_open
        elif kind in (NOT_SENT, AMBIGUOUS):
            self.failed_in_a_row += 1
        elif kind is not TRANSIENT and not was_open:
            self.failed_in_a_row, self.after_probe = 0, False

    @rule()
    def a_message_goes_through(self) -> None:
        was_open = self.breaker.is_open
        assert self.breaker.succeeded() == was_open
        assert not self.breaker.is_open
        self.failed_in_a_row, self.refused, self.after_probe, self.probed_at = 0, False, False, None

    @precondition(lambda self: self.breaker.is_open and self.breaker.probe_due(self.now))
    @rule(jitter=st.floats(min_value=0, max_value=1))
    def a_probe_starts(self, jitter: float) -> None:
        held_by = self.breaker.failure
        assert held_by is not None
        if self.probed_at is not None:
            assert self.now - self.probed_at >= 1 - ROUNDING_S
        self.breaker.probe_started(self.now, jitter=jitter)
        self.probed_at = self.now
        assert self.breaker.probe_at is not None
        assert self.breaker.probe_at - self.now >= SHORTEST_S.get(held_by, 1) - ROUNDING_S

    @rule(kind=st.sampled_from(FailureClass), jitter=st.floats(min_value=0, max_value=1))
    def a_probe_fails(self, kind: FailureClass, jitter: float) -> None:
        was_open = self.breaker.is_open
        self.breaker.probe_failed(failure(kind), self.now, jitter=jitter)
        assert self.breaker.is_open == was_open
        if was_open:
            assert self.breaker.probe_at is not None
            assert self.breaker.probe_at - self.now >= SHORTEST_S.get(kind, 1) - ROUNDING_S

    @rule()
    def a_probe_succeeds(self) -> None:
        was_open = self.breaker.is_open
        assert self.breaker.probe_succeeded() == was_open
        assert not self.breaker.is_open
        if was_open:
            self.failed_in_a_row, self.refused, self.after_probe = 0, False, True

    @invariant()
    def it_is_open_for_a_reason(self) -> None:
        if self.breaker.is_open:
            enough = 1 if self.after_probe else OPENS_AFTER
            assert self.refused or self.failed_in_a_row >= enough
        else:
            assert self.breaker.probe_at is None
            assert self.breaker.since is None

    @invariant()
    def an_outage_is_probed_again_within_its_longest_wait(self) -> None:
        if self.breaker.is_open:
            assert self.breaker.since is not None
            assert self.breaker.probe_at is not None
            assert self.breaker.probe_at - self.now <= 330 + ROUNDING_S
            assert self.breaker.since <= self.now


TestOutages = Outages.TestCase
TestOutages.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
