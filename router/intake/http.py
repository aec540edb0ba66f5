"""`/webhooks/*`: who may send, how much, and the answer, which is sent once the bytes are on stable storage.

A bare ASGI callable in front of the rest of the application: a framework's request and response objects would cost more
than the durable write. Every refusal that a sender can do something about says so in one line of JSON.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import structlog
from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from router.core.errors import StoreOverloaded, StoreUnavailable
from router.core.model import Source
from router.core.peers import is_local
from router.intake.reading import shape_error, without_secrets
from router.intake.tokens import IntakeTokens
from router.telemetry import Metrics

KIB = 1024
MIB = 1024 * KIB

# Alertmanager has no limit of its own; 10,000 ordinary alerts in one group are 7.4 MB.
MAX_BODY_BYTES = 16 * MIB
# Larger bodies are looked at in a thread, one at a time: 16 MiB would hold up the event loop for 50 ms.
SMALL_BODY_BYTES = 64 * KIB
# Of all bodies that are on their way in. What is above the first figure is kept for small ones, so that a few senders
# of huge bodies cannot shut out the others.
RECEIVING_BYTES_LARGE = 96 * MIB
RECEIVING_BYTES = 128 * MIB
# A sender reads our refusal only if its connection is not reset, so some of what it still sends is taken and dropped.
LINGER_BYTES = 32 * MIB
LOG_AGAIN_AFTER = timedelta(minutes=1)
MAX_KINDS_OF_FAILURE = 1000


class Inbox(Protocol):
    """Where notifications become durable."""

    def accept(self, *, source: Source, body: bytes, error: str | None, now: datetime) -> Awaitable[str]:
        """The notification's id, once its bytes are on stable storage; with an `error` it is quarantined.

        Raises StoreUnavailable or StoreOverloaded, also when the disk hangs, so that a sender is answered within two
        seconds; then it may have been stored even so.
        """

    def refused(self, *, source: Source, error: str, now: datetime) -> None:
        """A body was refused unread: tell the fallback channel. Never blocks, never raises."""


class Intake:
    """Answers `/webhooks/*` and hands everything else, the lifespan too, to `otherwise`."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        tokens: IntakeTokens,
        metrics: Metrics,
        clock: Callable[[], datetime],
        otherwise: ASGIApp,
    ) -> None:
        self._inbox = inbox
        self._tokens = tokens
        self._clock = clock
        self._otherwise = otherwise
        self._unknown = metrics.requests.labels("unknown", "404")
        endpoints = [_endpoint(source, metrics) for source in Source]
        # Both spellings are served: a redirect would make Alertmanager come back with GET and without the body, and it
        # takes the 200 to that as delivered.
        self._endpoints = {f"/webhooks/{at.source}{slash}": at for at in endpoints for slash in ("", "/")}
        self._receiving = _Receiving()
        self._large = ThreadPoolExecutor(max_workers=1, thread_name_prefix="intake-large")
        self._log = structlog.get_logger().bind()
        self._failures = _Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/webhooks/"):
            await self._otherwise(scope, receive, send)
            return
        endpoint = self._endpoints.get(scope["path"])
        try:
            if endpoint is None:
                self._unknown.inc()
                raise _Refusal(404, "no such source; there are " + ", ".join(Source))
            answer = await self._accept(endpoint, scope, receive)
        except _Refusal as refusal:
            self._refused(endpoint, scope, refusal)
            await _refuse(refusal, receive, send)
        except _SenderGone:
            return
        else:
            endpoint.requests[answer.code].inc()
            await _send(answer.code, answer.body, send)

    async def _accept(self, endpoint: "_Endpoint", scope: Scope, receive: Receive) -> "_Answer":
        if scope["method"] not in endpoint.methods:
            raise _Refusal(405, f"only {' and '.join(endpoint.methods)}", headers=endpoint.allow)
        head = _Head.of(scope)
        self._authenticate(endpoint.source, head, scope)
        if head.content_length > MAX_BODY_BYTES:
            raise _too_large(endpoint)
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body") and len(body) <= SMALL_BODY_BYTES:
            return await self._store(endpoint.source, body, encoded=head.encoded)
        with self._receiving.body(endpoint) as whole:
            while message["type"] == "http.request":
                more = message.get("more_body", False)
                whole.append(message.get("body", b""), last=not more)
                if not more:
                    return await self._store(endpoint.source, whole.take(), encoded=head.encoded)
                message = await receive()
        raise _SenderGone

    def _authenticate(self, source: Source, head: "_Head", scope: Scope) -> None:
        if self._tokens:
            if self._tokens.holder(head.authorization, source) is None:
                raise _Refusal(401, f"a token for {source} is needed", headers=_CHALLENGES)
        elif not is_local(scope["client"], scope["headers"]):
            raise _Refusal(403, "only this machine may send until ROUTER_INTAKE_TOKENS is set")

    async def _store(self, source: Source, body: bytes, *, encoded: bool) -> "_Answer":
        now = self._clock()
        try:
            if encoded:
                # Never unpacked: 100 kB can be 100 MB. No known sender compresses.
                error: str | None = "compressed bodies are not read: send it as it is"
            elif len(body) <= SMALL_BODY_BYTES:
                body, error = _look_at(source, body)
            else:
                loop = asyncio.get_running_loop()
                body, error = await loop.run_in_executor(self._large, _look_at, source, body)
            identifier = await self._inbox.accept(source=source, body=body, error=error, now=now)
        except StoreOverloaded as exc:
            return self._not_stored(source, "overloaded, please send again", now=now, cause=str(exc))
        except StoreUnavailable as exc:
            return self._not_stored(source, "could not be stored, please send again", now=now, cause=str(exc))
        if error is None:
            # At debug: a herd would make 6,000 lines a second of it. What became of it is logged when it is decided.
            self._log.debug("notification_accepted", notification=identifier, source=source.value)
            return _Answer(code=200, body=b'{"status":"accepted","id":"%b"}\n' % identifier.encode())
        self._warn("notification_quarantined", source, error, now=now, notification=identifier)
        return _Answer(code=202, body=_line(status="quarantined", id=identifier, error=error))

    def _not_stored(self, source: Source, error: str, *, now: datetime, cause: str = "") -> "_Answer":
        # 503 and nothing else: Alertmanager tries again at once after 5xx, but after 4xx, 429 too, only with its next
        # group_interval. It ignores Retry-After. (prometheus/alertmanager notify/util.go: Retrier)
        self._warn("notification_not_stored", source, cause or error, now=now)
        return _Answer(code=503, body=_line(status="refused", error=error))

    def _refused(self, endpoint: "_Endpoint | None", scope: Scope, refusal: "_Refusal") -> None:
        """Count it, log it, and where it costs a notification, tell people."""
        if endpoint is None:
            return
        endpoint.requests[refusal.code].inc()
        now = self._clock()
        peer = scope["client"][0] if scope["client"] else "unknown"
        match refusal.code:
            case 401 | 403:
                self._warn("sender_not_admitted", endpoint.source, str(refusal), now=now, peer=peer)
            case 413:
                self._warn("body_too_large", endpoint.source, str(refusal), now=now, peer=peer)
                self._inbox.refused(source=endpoint.source, error=str(refusal), now=now)
            case 503:
                self._warn("notification_not_stored", endpoint.source, str(refusal), now=now)

    def _warn(self, event: str, source: Source, error: str, *, now: datetime, peer: str = "", **facts: str) -> None:
        left_out = self._failures.left_out((event, source, error, peer), now)
        if left_out is not None:
            if peer:
                facts["peer"] = peer
            self._log.warning(event, source=source.value, error=error, left_out=left_out, **facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    source: Source
    methods: tuple[str, ...]
    allow: tuple[tuple[bytes, bytes], ...]
    requests: Mapping[int, Counter]  # by answer


def _endpoint(source: Source, metrics: Metrics) -> _Endpoint:
    methods = ("POST", "PUT") if source is Source.GRAFANA else ("POST",)
    return _Endpoint(
        source=source,
        methods=methods,
        allow=((b"allow", ", ".join(methods).encode()),),
        requests={code: metrics.requests.labels(source, str(code)) for code in (200, 202, 401, 403, 405, 413, 503)},
    )


class _Answer(NamedTuple):
    code: int
    body: bytes


class _Refusal(Exception):
    """The body is not taken; `body_ended`: though it was read to its end. The text is for the sender."""

    def __init__(
        self, code: int, error: str, *, headers: tuple[tuple[bytes, bytes], ...] = (), body_ended: bool = False
    ) -> None:
        self.code = code
        self.headers = headers
        self.body_ended = body_ended
        super().__init__(error)


class _SenderGone(Exception):
    """Nobody is there to be answered."""


_CHALLENGES = ((b"www-authenticate", b'Bearer realm="alert-router", Basic realm="alert-router"'),)


def _too_large(endpoint: _Endpoint, *, body_ended: bool = False) -> _Refusal:
    remedy = (
        "" if endpoint.source is Source.HONEYBADGER else ": set max_alerts on the receiver, or group by more labels"
    )
    return _Refusal(413, f"larger than {MAX_BODY_BYTES // MIB} MiB{remedy}", body_ended=body_ended)


class _Head(NamedTuple):
    """What matters here of a request's headers."""

    authorization: bytes
    encoded: bool
    content_length: int  # as claimed; 0 if nothing is claimed

    @classmethod
    def of(cls, scope: Scope) -> Self:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        encoding = headers.get(b"content-encoding", b"")
        return cls(
            authorization=headers.get(b"authorization", b""),
            encoded=encoding.strip().lower() not in (b"", b"identity"),
            content_length=int(length) if length.isdigit() else 0,
        )


def _look_at(source: Source, body: bytes) -> tuple[bytes, str | None]:
    """What to store, and why it goes into quarantine."""
    body = without_secrets(source, body)
    return body, shape_error(source, body)


class _Receiving:
    """How much memory the bodies take that are on their way in."""

    def __init__(self) -> None:
        self.held = 0

    def body(self, endpoint: _Endpoint) -> "_Body":
        return _Body(self, endpoint)


class _Body:
    """One body that arrives in pieces. Its memory counts until it is stored, or given up."""

    def __init__(self, receiving: _Receiving, endpoint: _Endpoint) -> None:
        self._receiving = receiving
        self._endpoint = endpoint
        self._pieces: list[bytes] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._receiving.held -= self._size
        # The traceback of a refusal keeps this object for as long as the rest of the body is dropped.
        self._pieces.clear()

    def append(self, piece: bytes, *, last: bool) -> None:
        """Raises _Refusal when the body is too large, or when there is no memory for it now."""
        self._size += len(piece)
        self._receiving.held += len(piece)
        if self._size > MAX_BODY_BYTES:
            raise _too_large(self._endpoint, body_ended=last)
        room = RECEIVING_BYTES if self._size <= SMALL_BODY_BYTES else RECEIVING_BYTES_LARGE
        if self._receiving.held > room:
            raise _Refusal(503, "too many bodies at once, please send again", body_ended=last)
        self._pieces.append(piece)

    def take(self) -> bytes:
        """The body in one piece, once."""
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole


class _Failures:
    """Which failures were logged lately: of each kind the first, then one a minute."""

    def __init__(self) -> None:
        self._logged_at: dict[tuple[str, ...], datetime] = {}
        self._left_out: dict[tuple[str, ...], int] = {}

    def left_out(self, kind: tuple[str, ...], now: datetime) -> int | None:
        """How many of this kind were not logged since the last that was. None: do not log this one either."""
        logged_at = self._logged_at.get(kind)
        if logged_at is not None and timedelta() <= now - logged_at < LOG_AGAIN_AFTER:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return None
        if len(self._logged_at) >= MAX_KINDS_OF_FAILURE:
            self._logged_at.clear()
            self._left_out.clear()
        self._logged_at[kind] = now
        return self._left_out.pop(kind, 0)


def _line(**facts: str) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


async def _send(code: int, body: bytes, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(refusal: _Refusal, receive: Receive, send: Send) -> None:
    """Answer at once, then close. The body may still be under way, so the connection is closed after it, within bounds.

    Closing with unread bytes resets the connection, and the sender would see an error instead of our answer:
    Alertmanager tries again at once after that, but not after a 413.
    """
    body = _line(status="refused", error=str(refusal))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        *refusal.headers,
    ]
    await send({"type": "http.response.start", "status": refusal.code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    ended = refusal.body_ended
    dropped = 0
    while not ended and dropped < LINGER_BYTES:
        message = await receive()
        if message["type"] != "http.request":
            return
        dropped += len(message.get("body", b""))
        ended = not message.get("more_body")
    await send({"type": "http.response.body", "body": b""})
