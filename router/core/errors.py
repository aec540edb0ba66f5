"""The errors that somebody decides on.

RouterError
├── CannotStart              exit 3: a setting, a file or a port is not usable
├── OwnershipFileInvalid     the map cannot be loaded; carries every finding
├── MatcherInvalid           a matcher string that Alertmanager would refuse
├── NotUnderstood            a body is not of its source's shape; it is quarantined
├── StoreUnavailable         nothing was written; the sender is answered 503
│   └── StoreOverloaded      too much is waiting for the disk
├── BackupUnusable           exit 2: not a file to back up to, or to restore from
├── StoreConflict            a write contradicts what is stored; a defect of ours, and nothing of it was written
├── LeaseLost                another router does this now; nothing of the write is there
├── NotAnswered              a running router was asked by a command and did not answer, or said no
└── DeliveryFailed           Slack did not take a message; carries class, reason and wait
"""

from datetime import timedelta

from router.core.findings import Finding
from router.core.model import FailureClass


class RouterError(Exception):
    """Base of everything this project raises on purpose. The text is for people: what, where, what to do."""


class CannotStart(RouterError):
    """The process must not serve: `router serve` prints the text and exits 3."""


class OwnershipFileInvalid(RouterError):
    """The map cannot be loaded. `findings` holds all defects found, in file order, never empty."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(f"{finding}{f' ({finding.help})' if finding.help else ''}" for finding in findings))


class MatcherInvalid(RouterError):
    """A matcher that Alertmanager's UTF-8 parser, or RE2, would refuse. `position` counts characters from 0."""

    def __init__(self, message: str, *, position: int = 0, code: str = "OWN206") -> None:
        self.position = position
        self.code = code
        super().__init__(message)


class NotUnderstood(RouterError):
    """The bytes are not a notification of this source. The text never quotes the body."""


class StoreUnavailable(RouterError):
    """The store did not take the write; nothing of it is durable."""


class StoreOverloaded(StoreUnavailable):
    """More waits for the disk than may wait. Senders come back: Alertmanager retries a 503 at once."""


class BackupUnusable(RouterError):
    """A file cannot be backed up to, or restored from: exit 2, and nothing was changed."""


class StoreConflict(RouterError):
    """A write contradicts what is stored. It is a defect: nothing of that write is there, the rest of its batch is."""


class LeaseLost(RouterError):
    """Of several routers on one database another one does this now. Nothing of the write is there."""


# What a defect of ours raises. Caught only where one notification, or one message, must not stop those behind it.
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    StoreConflict,
    TypeError,
    ValueError,
)


class DeliveryFailed(RouterError):
    """One attempt to reach Slack did not succeed; `failure` says what to do about it."""

    def __init__(self, *, failure: FailureClass, reason: str, retry_after: timedelta | None = None) -> None:
        self.failure = failure
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(f"{reason} ({failure.value})")


class NotAnswered(RouterError):
    """No router answered a command's question, or it said no. `status` is that of its answer; None: there was none."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(text)
