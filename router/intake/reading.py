"""Which module reads which source."""

from collections.abc import Callable, Mapping

from router.core.errors import NotUnderstood
from router.core.model import Notification, Source
from router.intake import alertmanager, grafana, honeybadger

# Bodies beyond this are read in a thread: ten thousand alerts would stall the event loop for a third of a second.
READ_INLINE_BYTES = 64 * 1024

_READ: Mapping[Source, Callable[[bytes], Notification]] = {
    Source.ALERTMANAGER: alertmanager.read,
    Source.GRAFANA: grafana.read,
    Source.HONEYBADGER: honeybadger.read,
}
_SHAPE_ERROR: Mapping[Source, Callable[[bytes], str | None]] = {
    Source.ALERTMANAGER: alertmanager.shape_error,
    Source.GRAFANA: grafana.shape_error,
    Source.HONEYBADGER: honeybadger.shape_error,
}


def read(source: Source, body: bytes) -> Notification:
    """The stored bytes, understood. Raises NotUnderstood, and nothing else whatever the bytes are."""
    return _READ[source](body)


def shape_error(source: Source, body: bytes) -> str | None:
    """Why a body is not of its source's shape, or None: the shallow check before the answer."""
    return _SHAPE_ERROR[source](body)


def without_secrets(source: Source, body: bytes) -> bytes:
    """The bytes to store. A body that cannot be read stays as it is, and must never be shown."""
    if source is not Source.HONEYBADGER:
        return body
    try:
        return honeybadger.redact(body)
    except NotUnderstood:
        return body
