"""Sending to Slack: one call, every outcome a class. Retries are rows of the store, never loops in here."""

import asyncio
import importlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from router.core.errors import DeliveryFailed
from router.core.model import FailureClass
from router.core.retry import SILENCES, classify, is_fine
from router.notify.layout import Payload
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
_DELETE = "chat.delete"
_HISTORY = "conversations.history"
_REPLIES = "conversations.replies"
_INFO = "conversations.info"
_PROBE = "auth.test"

# How far Slack's clock, which makes the `ts`, may be from the one that `since` was read from.
_CLOCK_SKEW = timedelta(minutes=5)
_TAKEN_WITHIN = timedelta(minutes=1)  # Slack was given ten seconds to answer; then it took the post, or never will
_PAGE = 200  # messages; Slack advises at most that many
_PAGES = 5
_TS = re.compile(r"[0-9]{1,11}\.[0-9]{6}")
_WORKSPACE = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,253}/([A-Za-z0-9._-]{1,80}/)*")
_WORD = re.compile(r"[a-z0-9_]{1,64}")  # what Slack's codes look like; anything else was written by somebody else
_SERVER_ERROR = 500
_TOO_MANY = 429

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A message of ours that Slack shows: the oldest of its copies, and the `ts` of the younger ones, by age."""

    ts: str
    revision: int  # that it shows; 0 where it does not say
    younger: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Self:
    """Who we are in Slack."""

    ids: frozenset[str]  # by which Slack names the author of our messages
    workspace: str | None  # its address, ends in /


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    found: tuple[Found, ...]
    next_cursor: str  # empty at the end
    is_last: bool


class SlackSender:
    """Calls Slack over one shared session. `DeliveryFailed` is the only error that its methods raise."""

    def __init__(self, *, client: "AsyncWebClient", session: "aiohttp.ClientSession", metrics: Metrics) -> None:
        self._client = client
        self._session = session
        self._metrics = metrics
        self._own: _Self | None = None

    @classmethod
    async def open(
        cls, *, token: str, metrics: Metrics, api_url: str = API_URL, proxy: str | None = None
    ) -> "SlackSender":
        """A sender that has not called Slack yet. `api_url` ends in `/api/`.

        The Slack client takes 0.4 s to import, which happens here and not when the process starts to listen.
        """
        aiohttp = await asyncio.to_thread(importlib.import_module, "aiohttp")
        await asyncio.to_thread(importlib.import_module, "slack_sdk.web.async_client")
        session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=10, connect=3, sock_read=8),
            # A connection that the server is about to close makes a post ambiguous: do not keep any for long.
            connector=aiohttp.TCPConnector(limit=16, keepalive_timeout=5),
        )
        return cls(client=_client(token, url=api_url, session=session, proxy=proxy), session=session, metrics=metrics)

    async def post(
        self,
        channel_id: str,
        payload: Payload,
        *,
        delivery_id: str,
        group: str,
        revision: int,
        thread_ts: str | None = None,
        broadcast: bool = False,
    ) -> str:
        """Post a new message and return its `ts`, which with the channel identifies it for edits.

        With `thread_ts` it is a reply below that message; with `broadcast` the channel shows that reply too.
        """
        return await self._call(
            _POST,
            self._client.chat_postMessage,
            _ts_of,
            channel=channel_id,
            text=payload.text,
            blocks=list(payload.blocks),
            attachments=list(payload.attachments),
            metadata=_metadata(payload, delivery_id=delivery_id, group=group, revision=revision),
            thread_ts=thread_ts,
            reply_broadcast=True if broadcast else None,
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
            _ts_of,
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

    async def delete(self, channel_id: str, ts: str) -> None:
        """Take an own message away. One that is gone already is fine."""
        await self._call(_DELETE, self._client.chat_delete, _nothing, channel=channel_id, ts=ts)

    async def find(
        self, channel_id: str, *, delivery_id: str, since: datetime, thread_ts: str | None = None
    ) -> Found | None:
        """Our message of this delivery, if Slack took it when it was asked, at `since`; None: it is surely not there.

        With `thread_ts` it is looked for among the replies below that message. Reads up to 1,000 messages, in one to
        five calls; where that is not the end, it fails as ambiguous, `history_too_long`.
        """
        own = self._own or await self._learn_own()
        place = {
            "channel": channel_id,
            "oldest": f"{(since - _CLOCK_SKEW).timestamp():.6f}",
            "latest": f"{(since + _TAKEN_WITHIN + _CLOCK_SKEW).timestamp():.6f}",
        }
        method = _HISTORY
        call: Callable[..., Awaitable[AsyncSlackResponse]] = self._client.conversations_history
        if thread_ts is not None:
            place["ts"] = thread_ts
            method, call = _REPLIES, self._client.conversations_replies
        found: list[Found] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = await self._call(
                method,
                call,
                lambda answer: _page_of(answer, delivery_id, own.ids),
                **place,
                include_all_metadata=True,  # without it Slack keeps event_payload to itself
                limit=_PAGE,
                cursor=cursor,
            )
            found += page.found
            if page.is_last:
                return _oldest(found)
            if not page.next_cursor:
                break
            cursor = page.next_cursor
        raise _silence("history_too_long")

    async def channel_takes(self, channel_id: str) -> str | None:
        """Slack's word for why it would refuse a post to this channel; None where only a post can tell.

        Read-only says nothing about us: "can't be written to by typical users", and the app may be one of the others.
        (https://docs.slack.dev/reference/objects/conversation-object)
        """
        try:
            return await self._call(_INFO, self._client.conversations_info, _refuses, channel=channel_id) or None
        except DeliveryFailed as failed:
            if failed.failure is FailureClass.CHANNEL:
                return failed.reason
            if failed.reason == "missing_scope":
                return None
            raise

    async def address_of(self, channel_id: str, ts: str) -> str | None:
        """Where a browser shows this message; None where Slack does not say."""
        try:
            own = self._own or await self._learn_own()
        except DeliveryFailed:
            return None
        # What chat.getPermalink answers for a message that is no reply, without a call for each.
        return None if own.workspace is None else f"{own.workspace}archives/{channel_id}/p{ts.replace('.', '')}"

    async def probe(self) -> None:
        """Ask Slack whether it is there and takes our token."""
        await self._learn_own()

    def use_token(self, token: str) -> None:
        """The next calls use this token; those under way keep theirs."""
        self._client = _client(token, url=self._client.base_url, session=self._session, proxy=self._client.proxy)
        self._own = None

    async def close(self) -> None:
        await self._session.close()

    async def _learn_own(self) -> _Self:
        client = self._client
        own = await self._call(_PROBE, client.auth_test, _self)
        if client is self._client:
            self._own = own
        return own

    async def _call(
        self,
        method: str,
        call: "Callable[..., Awaitable[AsyncSlackResponse]]",
        read: "Callable[[AsyncSlackResponse], _T | DeliveryFailed]",
        **arguments: Any,  # of that method, passed through
    ) -> _T:
        with self._metrics.slack_seconds.labels(method).time():
            outcome = await self._outcome(method, call, read, arguments)
        if not isinstance(outcome, DeliveryFailed):
            self._metrics.slack_calls.labels(method, "ok").inc()
            return outcome
        self._metrics.slack_calls.labels(method, outcome.failure).inc()
        # Raised here and without a cause: a SlackApiError holds the bearer token (`.response.req_args`).
        raise outcome

    async def _outcome(
        self,
        method: str,
        call: "Callable[..., Awaitable[AsyncSlackResponse]]",
        read: "Callable[[AsyncSlackResponse], _T | DeliveryFailed]",
        arguments: dict[str, Any],
    ) -> _T | DeliveryFailed:
        """What was read from the answer, or why there is nothing."""
        import aiohttp
        from slack_sdk.errors import SlackApiError

        if self._session.closed:
            # The SDK would quietly open a session of its own.
            return _silence("closed")
        try:
            response = await call(**arguments)
        except SlackApiError as exc:
            return _refusal(exc, method, read)
        # The first group surely did not reach Slack. It is tested first: ClientConnectorError is a ClientOSError, and
        # both kinds of timeout are ServerTimeoutErrors.
        except aiohttp.ConnectionTimeoutError:
            return _silence("connect_timed_out")
        except aiohttp.ClientConnectorError:  # also DNS, TLS, and a proxy that does not answer
            return _silence("connect_failed")
        except (aiohttp.ClientHttpProxyError, aiohttp.InvalidURL):
            return _silence("connect_failed")
        except TimeoutError:  # also aiohttp's SocketTimeoutError
            return _silence("timed_out")
        except aiohttp.ClientPayloadError:
            return _silence("half_an_answer")
        except (aiohttp.ClientError, OSError):
            return _silence("disconnected")
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # Out of the SDK: an answer of text/plain, JSON that is no object, bytes that are no UTF-8.
            return _silence("not_json")
        return read(response) if isinstance(response.data, dict) else _silence("not_json")


def _client(token: str, *, url: str, session: "aiohttp.ClientSession", proxy: str | None) -> "AsyncWebClient":
    from slack_sdk.web.async_client import AsyncWebClient

    # The SDK's own retries post again what Slack had already taken when the connection then dropped.
    client = AsyncWebClient(token, base_url=url, session=session, retry_handlers=[])
    # The SDK takes HTTPS_PROXY from the environment and knows no NO_PROXY.
    client.proxy = proxy
    return client


# --- what answers say. They come from the network: no value in them is taken to be of the type that it should be.


def _ts_of(answer: "AsyncSlackResponse") -> str | DeliveryFailed:
    ts = answer.get("ts")
    return ts if isinstance(ts, str) and ts else _silence("not_understood")


def _nothing(_: "AsyncSlackResponse | None") -> None:
    return None


def _self(answer: "AsyncSlackResponse") -> _Self | DeliveryFailed:
    """A bot's messages name it by `bot_id`, those of a classic app or a user token by `user` alone."""
    ids = frozenset(found for name in ("bot_id", "user_id") if isinstance(found := answer.get(name), str) and found)
    url = answer.get("url")
    workspace = url if isinstance(url, str) and _WORKSPACE.fullmatch(url) else None
    return _Self(ids=ids, workspace=workspace) if ids else _silence("not_understood")


def _page_of(answer: "AsyncSlackResponse", delivery_id: str, own: frozenset[str]) -> _Page | DeliveryFailed:
    messages, more = answer.get("messages"), answer.get("response_metadata")
    if not isinstance(messages, list):
        return _silence("not_understood")
    cursor = more.get("next_cursor") if isinstance(more, dict) else None
    next_cursor = cursor if isinstance(cursor, str) else ""
    found = tuple(one for message in messages if (one := _ours(message, delivery_id, own)) is not None)
    return _Page(found=found, next_cursor=next_cursor, is_last=not next_cursor and not answer.get("has_more"))


def _ours(message: object, delivery_id: str, own: frozenset[str]) -> Found | None:
    """Whether this message is our delivery. Another app may write the same metadata: a second router counts like us."""
    if not isinstance(message, dict) or own.isdisjoint(_strings(message.get("bot_id"), message.get("user"))):
        return None
    metadata, ts = message.get("metadata"), message.get("ts")
    if not isinstance(metadata, dict) or metadata.get("event_type") != METADATA_TYPE:
        return None
    payload = metadata.get("event_payload")
    if not isinstance(payload, dict) or payload.get("delivery_id") != delivery_id:
        return None
    if not isinstance(ts, str) or not _TS.fullmatch(ts):
        return None
    revision = payload.get("rev")
    return Found(ts=ts, revision=revision if type(revision) is int else 0)


def _strings(*values: object) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _oldest(found: list[Found]) -> Found | None:
    if not found:
        return None
    by_age = {one.ts: one for one in sorted(found, key=lambda one: float(one.ts))}
    oldest, *younger = by_age
    return Found(ts=oldest, revision=by_age[oldest].revision, younger=tuple(younger))


def _refuses(answer: "AsyncSlackResponse") -> str | DeliveryFailed:
    """Why this channel takes no post of ours; empty where it seems to take them."""
    channel = answer.get("channel")
    if not isinstance(channel, dict):
        return _silence("not_understood")
    if channel.get("is_archived") is True:
        return "is_archived"
    if channel.get("is_member") is False and not _may_post_anywhere(channel, answer.headers):
        return "not_in_channel"
    return ""


def _may_post_anywhere(channel: dict[str, Any], headers: Any) -> bool:  # Any: as in _retry_after
    """Whether the app may post to this channel without being in it; also where the answer does not say what it may."""
    if channel.get("is_private") is True:
        return False
    scopes = headers.get("X-OAuth-Scopes")
    return not isinstance(scopes, str) or "chat:write.public" in scopes.replace(" ", "").split(",")


def _refusal(
    error: "SlackApiError", method: str, read: "Callable[[AsyncSlackResponse], _T | DeliveryFailed]"
) -> _T | DeliveryFailed:
    """What an answer that is not `ok` is about. `.response` is a bare aiohttp response after JSON that breaks off."""
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

    response = error.response
    if not isinstance(response, AsyncSlackResponse):
        return _silence("not_json")
    status: int = response.status_code
    word = response.data.get("error") if isinstance(response.data, dict) else None
    code = word if isinstance(word, str) and _WORD.fullmatch(word) else None
    if status == _TOO_MANY:
        return _failure(FailureClass.TRANSIENT, "ratelimited", retry_after=_retry_after(response.headers))
    if code is None:
        return _silence("not_json") if status == 200 else _failure(FailureClass.AMBIGUOUS, f"http_{status}")
    if status == 200 and is_fine(method, code):
        return read(response)
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


def _silence(word: str) -> DeliveryFailed:
    """A failure in the router's own words: there is none of Slack's."""
    return _failure(SILENCES[word], word)


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
