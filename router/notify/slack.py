"""Sending to Slack: one call, every outcome a class. Retries are rows of the store, never loops in here."""

import asyncio
import importlib
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass
from router.core.retry import classify
from router.notify.blocks import Payload
from router.telemetry import Metrics

if TYPE_CHECKING:
    import aiohttp
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.async_client import AsyncWebClient
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

API_URL = "https://slack.com/api/"
METADATA_TYPE = "alert_router_notification"

_POST = "chat.postMessage"
_UPDATE = "chat.update"
_WORD = re.compile(r"[a-z0-9_]{1,64}")  # what Slack's codes look like; anything else was written by somebody else
_SERVER_ERROR = 500
_TOO_MANY = 429


class SlackSender:
    """Posts and edits messages over one shared session. `DeliveryFailed` is the only error that its methods raise."""

    def __init__(self, *, client: "AsyncWebClient", session: "aiohttp.ClientSession", metrics: Metrics) -> None:
        self._client = client
        self._session = session
        self._metrics = metrics

    @classmethod
    async def open(
        cls, *, token: str, metrics: Metrics, api_url: str = API_URL, proxy: str | None = None
    ) -> "SlackSender":
        """A sender that has not called Slack yet. `api_url` ends in `/api/`.

        The Slack client takes 0.4 s to import, which happens here and not when the process starts to listen.
        """
        aiohttp = await asyncio.to_thread(importlib.import_module, "aiohttp")
        async_client = await asyncio.to_thread(importlib.import_module, "slack_sdk.web.async_client")
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10, connect=3, sock_read=8),
            # A connection that the server is about to close makes a post ambiguous: do not keep any for long.
            connector=aiohttp.TCPConnector(limit=16, keepalive_timeout=5),
        )
        # The SDK's own retries post again what Slack had already taken when the connection then dropped.
        client = async_client.AsyncWebClient(token, base_url=api_url, session=session, retry_handlers=[])
        # The SDK takes HTTPS_PROXY from the environment and knows no NO_PROXY.
        client.proxy = proxy
        return cls(client=client, session=session, metrics=metrics)

    async def post(
        self,
        channel_id: str,
        payload: Payload,
        *,
        delivery_id: str,
        group: str,
        revision: int,
        thread_ts: str | None = None,
    ) -> str:
        """Post a new message and return its `ts`, which with the channel identifies it for edits.

        With `thread_ts` it is a reply below that message.
        """
        return await self._call(
            _POST,
            self._client.chat_postMessage,
            channel=channel_id,
            text=payload.text,
            blocks=list(payload.blocks),
            attachments=list(payload.attachments),
            metadata=_metadata(payload, delivery_id=delivery_id, group=group, revision=revision),
            thread_ts=thread_ts,
            unfurl_links=False,
            unfurl_media=False,
        )

    async def update(
        self, channel_id: str, ts: str, payload: Payload, *, delivery_id: str, group: str, revision: int
    ) -> None:
        """Make an own message show `payload`. Notifies nobody; doing it twice does no harm."""
        await self._call(
            _UPDATE,
            self._client.chat_update,
            channel=channel_id,
            ts=ts,
            text=payload.text,
            blocks=list(payload.blocks),
            # Left out, the old ones would stay.
            attachments=list(payload.attachments),
            metadata=_metadata(payload, delivery_id=delivery_id, group=group, revision=revision),
            # The default is `client`, which resolves mentions in plain text; that of chat.postMessage is `none`.
            parse="none",
        )

    async def close(self) -> None:
        await self._session.close()

    async def _call(
        self,
        method: str,
        call: "Callable[..., Awaitable[AsyncSlackResponse]]",
        **arguments: Any,  # of that method, passed through
    ) -> str:
        with self._metrics.slack_seconds.labels(method).time():
            outcome = await self._outcome(call, arguments)
        if isinstance(outcome, str):
            self._metrics.slack_calls.labels(method, "ok").inc()
            return outcome
        self._metrics.slack_calls.labels(method, outcome.failure).inc()
        # Raised here and without a cause: a SlackApiError holds the bearer token (`.response.req_args`).
        raise outcome

    async def _outcome(
        self, call: "Callable[..., Awaitable[AsyncSlackResponse]]", arguments: dict[str, Any]
    ) -> str | DeliveryFailed:
        """The message's ts, or why there is none."""
        import aiohttp
        from slack_sdk.errors import SlackApiError

        if self._session.closed:
            # The SDK would quietly open a session of its own.
            return _failure(FailureClass.NOT_SENT, "closed")
        try:
            response = await call(**arguments)
            ts = response["ts"]
        except SlackApiError as exc:
            return _refusal(exc)
        # The first group surely did not reach Slack. It is tested first: ClientConnectorError is a ClientOSError, and
        # both kinds of timeout are ServerTimeoutErrors.
        except aiohttp.ConnectionTimeoutError:
            return _failure(FailureClass.NOT_SENT, "connect_timed_out")
        except aiohttp.ClientConnectorError:  # also DNS, TLS, and a proxy that does not answer
            return _failure(FailureClass.NOT_SENT, "connect_failed")
        except (aiohttp.ClientHttpProxyError, aiohttp.InvalidURL):
            return _failure(FailureClass.NOT_SENT, "connect_failed")
        except TimeoutError:  # also aiohttp's SocketTimeoutError
            return _failure(FailureClass.AMBIGUOUS, "timed_out")
        except aiohttp.ClientPayloadError:
            return _failure(FailureClass.AMBIGUOUS, "half_an_answer")
        except (aiohttp.ClientError, OSError):
            return _failure(FailureClass.AMBIGUOUS, "disconnected")
        except (AttributeError, KeyError, TypeError, ValueError):
            # Out of the SDK: an answer of text/plain, JSON that is no object, bytes that are no UTF-8.
            return _failure(FailureClass.AMBIGUOUS, "not_json")
        return ts if isinstance(ts, str) and ts else _failure(FailureClass.AMBIGUOUS, "no_ts")


def _refusal(error: "SlackApiError") -> DeliveryFailed:
    """What an answer that is not `ok` is about. `.response` is a bare aiohttp response after JSON that breaks off."""
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

    response = error.response
    if not isinstance(response, AsyncSlackResponse):
        return _failure(FailureClass.AMBIGUOUS, "not_json")
    status: int = response.status_code
    word = response.data.get("error") if isinstance(response.data, dict) else None
    code = word if isinstance(word, str) and _WORD.fullmatch(word) else None
    if status == _TOO_MANY:
        return _failure(FailureClass.TRANSIENT, "ratelimited", retry_after=_retry_after(response.headers))
    if code is None:
        return _failure(FailureClass.AMBIGUOUS, "not_json" if status == 200 else f"http_{status}")
    failure = classify(code)
    if failure is FailureClass.UNKNOWN and status >= _SERVER_ERROR:
        failure = FailureClass.AMBIGUOUS
    return _failure(failure, code, retry_after=_retry_after(response.headers))


def _retry_after(headers: Any) -> timedelta | None:  # a case-insensitive mapping; the SDK types it as dict
    """Slack sends whole seconds. A proxy's HTTP date is left to the backoff."""
    value = str(headers.get("Retry-After", ""))
    return timedelta(seconds=int(value)) if re.fullmatch(r"[0-9]{1,7}", value) else None


def _failure(failure: FailureClass, reason: str, *, retry_after: timedelta | None = None) -> DeliveryFailed:
    return DeliveryFailed(failure=failure, reason=reason, retry_after=retry_after)


def _metadata(payload: Payload, *, delivery_id: str, group: str, revision: int) -> dict[str, Any] | None:
    """Under 1 KB and without secrets: every member and app of the workspace may read it.

    None beside text alone: that is what is sent when Slack refused the rest, which may have been the metadata.
    """
    if not payload.blocks:
        return None
    return {
        "event_type": METADATA_TYPE,
        "event_payload": {"v": 1, "delivery_id": delivery_id, "kind": payload.kind, "group": group, "rev": revision},
    }
