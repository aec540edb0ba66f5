"""A script of what goes wrong, and when: by method, channel, the nth call or a seeded chance."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FaultKind(StrEnum):
    # The connection.
    REFUSE = "refuse"  # reset; then nobody listens for `seconds`
    CLOSE = "close"  # closed without an answer
    RESET = "reset"  # RST
    HANG = "hang"  # silence until the client leaves
    HALF_BODY = "half_body"  # accepted, then half of the answer's body
    SLOW = "slow"  # accepted, answered after `seconds`
    # The answer.
    SERVER_ERROR = "server_error"  # 500 with an HTML page
    HTML = "html"  # 200 with an HTML page, as a captive portal
    WRONG_TYPE = "wrong_type"  # 200 with text/plain
    FATAL_ERROR = "fatal_error"
    INTERNAL_ERROR = "internal_error"
    UNAVAILABLE = "unavailable"  # 503 with JSON, never accepted
    RATE_LIMITED = "rate_limited"  # 429 with Retry-After of `seconds`, never accepted
    RATE_LIMITED_BARE = "rate_limited_bare"  # 429 without the header, never accepted
    SLACK_ERROR = "slack_error"  # 200 with `code` for the error, never accepted
    # The workspace changes just before the call.
    REVOKE_TOKEN = "revoke_token"  # noqa: S105 - the name of a fault
    ARCHIVE_CHANNEL = "archive_channel"


_NEVER: Final = (
    FaultKind.REFUSE,
    FaultKind.UNAVAILABLE,
    FaultKind.RATE_LIMITED,
    FaultKind.RATE_LIMITED_BARE,
    FaultKind.SLACK_ERROR,
)
_ALWAYS: Final = (FaultKind.HALF_BODY, FaultKind.SLOW, FaultKind.REVOKE_TOKEN, FaultKind.ARCHIVE_CHANNEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One line of the script. What is None matches everything."""

    kind: FaultKind
    method: str | None = None
    channel: str | None = None
    nth: int | None = None  # only the nth matching call, from 1
    probability: float = 1
    accepted: bool = True  # whether the call takes effect, for the kinds that do not say
    seconds: float = 1
    code: str = "fatal_error"  # of SLACK_ERROR

    @property
    def takes_effect(self) -> bool:
        """Whether the call is carried out before things go wrong."""
        if self.kind in _NEVER:
            return False
        return self.accepted or self.kind in _ALWAYS

    def matches(self, method: str, channel: str) -> bool:
        return self.method in (None, method) and self.channel in (None, channel)


class FaultScript:
    """The faults in their order; the first that fits a call is the one it meets."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self._faults = list(faults)
        self._matched = [0] * len(self._faults)
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def meet(self, method: str, channel: str) -> Fault | None:
        met: Fault | None = None
        for index, fault in enumerate(self._faults):
            if not fault.matches(method, channel):
                continue
            self._matched[index] += 1
            due = fault.nth in (None, self._matched[index]) and self._chance.random() < fault.probability
            if due and met is None:
                met = fault
        return met
