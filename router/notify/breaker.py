"""Whether Slack may be called at all. Pure: `now` is monotonic seconds, an argument; so is `jitter`, in 0..1.

While Slack is away, or refuses the app or the workspace, each message would fail alone and cost an attempt. So nothing
is sent then but a probe, auth.test, and the messages wait. An app that goes on calling "runs the risk of being
permanently disabled". (https://docs.slack.dev/apis/web-api/rate-limits)
"""

from datetime import timedelta

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass
from router.core.retry import backoff

OPENS_AFTER = 3  # failures in a row; one connection that breaks is nobody's outage
_SLOWEST = 6  # of backoff's steps: 60 s. So a Slack that is back is noticed within about a minute

_REFUSED = frozenset({FailureClass.APP, FailureClass.WORKSPACE})
_AWAY = frozenset({FailureClass.NOT_SENT, FailureClass.AMBIGUOUS})


class Breaker:
    """Closed: send. Open: only a probe, when it is due. One per process; not for use from several threads.

    Report what became of posts and edits, and of probes. Not of other methods: a scope that reading lacks says nothing
    about posting.
    """

    def __init__(self) -> None:
        self.failure: FailureClass | None = None  # what holds it open; None while closed, as the next three
        self.reason: str | None = None
        self.since: float | None = None
        self.probe_at: float | None = None  # when the next probe is due
        self.attempts = 0  # probes since Slack last answered a message
        self.trial = False  # closed by a probe, and Slack answered no message yet: send one at a time
        self._in_a_row = 0

    @property
    def is_open(self) -> bool:
        return self.failure is not None

    def failed(self, failed: DeliveryFailed, now: float, *, jitter: float) -> bool:
        """A post or an edit failed. True: it has just opened."""
        if self.is_open:
            # One that was under way. A refusal says more than the silence that opened it.
            if failed.failure in _REFUSED:
                self._wait(failed.failure, failed.reason, failed.retry_after, now, jitter)
            return False
        if failed.failure not in _REFUSED | _AWAY:
            # Slack is there and refuses this message alone. A 429 may come from what stands in front of it.
            if failed.failure is not FailureClass.TRANSIENT:
                self._answered()
            return False
        self._in_a_row += 1
        if failed.failure in _AWAY and self._in_a_row < OPENS_AFTER and not self.trial:
            return False
        self.since = now
        self._wait(failed.failure, failed.reason, failed.retry_after, now, jitter)
        return True

    def succeeded(self) -> bool:
        """A post or an edit went through. True: it was open, and is closed now."""
        was_open = self.is_open
        self._close()
        self._answered()
        return was_open

    def probe_due(self, now: float) -> bool:
        return self.probe_at is not None and self.probe_at <= now

    def probe_started(self, now: float, *, jitter: float) -> None:
        """The next one is due as if this one had failed at once, also where nobody tells what became of it."""
        if self.failure is not None and self.reason is not None:
            self.attempts += 1
            self._wait(self.failure, self.reason, None, now, jitter)

    def probe_succeeded(self) -> bool:
        """auth.test says nothing of posting: closed on trial, and the first failure opens it again. True: it was open.

        The waits go on where they were, until Slack answers a message.
        """
        if not self.is_open:
            return False
        self._close()
        self.trial = True
        return True

    def probe_failed(self, failed: DeliveryFailed, now: float, *, jitter: float) -> None:
        if self.is_open:
            self._wait(failed.failure, failed.reason, failed.retry_after, now, jitter)

    def _wait(
        self, failure: FailureClass, reason: str, retry_after: timedelta | None, now: float, jitter: float
    ) -> None:
        wait = backoff(min(self.attempts + 1, _SLOWEST), failure=failure, retry_after=retry_after, jitter=jitter)
        due = now + wait.total_seconds()
        self.failure, self.reason, self.trial = failure, reason, False
        self.probe_at = due if self.probe_at is None else max(self.probe_at, due)

    def _answered(self) -> None:
        self._in_a_row = self.attempts = 0
        self.trial = False

    def _close(self) -> None:
        self.failure = self.reason = self.since = self.probe_at = None
        self._in_a_row = 0
