"""A small workspace with one channel of each kind, and a client that can also be rude."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from router.preview.rates import Rates
from router.preview.workspace import ChannelSeed, Json, UsergroupSeed, UserSeed
from tests.slack import SlackServer

NOW = 1_763_722_980.0
OWN = "C0OWNCHAN1"
OTHER = "C0OWNCHAN2"
PUBLIC = "C0PUBLIC01"
PRIVATE = "G0PRIVATE1"
ARCHIVED = "C0ARCHIVE1"
READ_ONLY = "C0READONLY"
THREAD_ONLY = "C0THREADS1"
NO_THREADS = "C0NOTHREAD"
SHARED = "C0SHARED01"
SHARED_ON_PURPOSE = "C0SHARED02"

ONCALL = "S0ONCALL01"
EMPTY_GROUP = "S0EMPTY001"
DISABLED_GROUP = "S0DISABLE1"
ALICE = "U0ALICE001"
GONE = "U0GONE0001"

CHANNELS = (
    ChannelSeed(id=OWN, name="own"),
    ChannelSeed(id=OTHER, name="other"),
    ChannelSeed(id=PUBLIC, name="public", member=False),
    ChannelSeed(id=PRIVATE, name="private", member=False, private=True),
    ChannelSeed(id=ARCHIVED, name="archived", archived=True),
    ChannelSeed(id=READ_ONLY, name="read-only", read_only=True),
    ChannelSeed(id=THREAD_ONLY, name="thread-only", thread_only=True),
    ChannelSeed(id=NO_THREADS, name="no-threads", non_threadable=True),
    ChannelSeed(id=SHARED, name="shared", shared=True),
    ChannelSeed(id=SHARED_ON_PURPOSE, name="shared-on-purpose", shared=True, sharing_meant=True),
)
USERGROUPS = (
    UsergroupSeed(id=ONCALL, handle="oncall", users=(ALICE, GONE)),
    UsergroupSeed(id=EMPTY_GROUP, handle="empty", users=()),
    UsergroupSeed(id=DISABLED_GROUP, handle="disabled", users=(ALICE,), disabled=True),
)
USERS = (UserSeed(id=ALICE, name="alice"), UserSeed(id=GONE, name="gone", deleted=True))

POST: Mapping[str, Any] = {"channel": OWN, "text": "hello", "unfurl_links": False, "unfurl_media": False}
EDIT: Mapping[str, Any] = {"channel": OWN, "text": "hello again", "parse": "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: Json

    @property
    def error(self) -> str | None:
        return self.body.get("error")


class Client:
    """Calls the emulator over HTTP, by Slack's rules or against them."""

    def __init__(self, server: SlackServer) -> None:
        self.emulator = server.emulator
        self.server = server
        self.url = server.url

    def call(self, method: str, /, **arguments: Any) -> Reply:
        """A POST of JSON, as slack-sdk sends messages."""
        return self.send(method, body=json.dumps(arguments).encode())

    def ok(self, method: str, /, **arguments: Any) -> Json:
        reply = self.call(method, **arguments)
        assert reply.body["ok"], reply.body
        return reply.body

    def read(self, method: str, /, **arguments: Any) -> Reply:
        """A GET with a query, as slack-sdk reads."""
        return self.send(method, verb="GET", query=urlencode(arguments), body=b"", content_type=None)

    def post(self, **changes: Any) -> str:
        """A root message; its ts."""
        ts = self.ok("chat.postMessage", **{**POST, **changes})["ts"]
        assert isinstance(ts, str)
        return ts

    def send(
        self,
        method: str,
        *,
        verb: str = "POST",
        query: str = "",
        body: bytes,
        content_type: str | None = "application/json",
        authorization: str | None = "",
    ) -> Reply:
        """`authorization` empty: the right one; None: none."""
        headers = {} if content_type is None else {"Content-Type": content_type}
        if authorization is not None:
            headers["Authorization"] = authorization or f"Bearer {self.server.token}"
        connection = http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=10)
        try:
            connection.request(verb, f"/api/{method}?{query}", body, headers)
            answer = connection.getresponse()
            return Reply(
                status=answer.status,
                headers={name.lower(): value for name, value in answer.getheaders()},
                body=json.loads(answer.read()),
            )
        finally:
            connection.close()


def still_server(rates: Rates) -> SlackServer:
    """Its clock stands still, so that only `advance` makes time pass."""
    server = SlackServer(clock=lambda: NOW, rates=rates)
    server.emulator.seed(channels=CHANNELS, usergroups=USERGROUPS, users=USERS)
    return server
