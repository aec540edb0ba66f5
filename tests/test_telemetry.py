"""A log must not stop what it tells of."""

import errno
import io

import structlog

from router.telemetry import configure_logs


class FullDisk(io.StringIO):
    """Takes nothing any more."""

    def write(self, _text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_that_cannot_be_written_is_not_an_error() -> None:
    """On a full disk, or with a reader that is gone, the line is lost and the router goes on."""
    configure_logs(form="json", level="info", stream=FullDisk())
    try:
        structlog.get_logger().error("store_unavailable", error="disk full")
    finally:
        structlog.reset_defaults()
