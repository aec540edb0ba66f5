"""What the emulated workspace holds: channels with their messages, people, user groups, and what each call did."""

import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from router.preview.rules import Rule

# Slack's objects are JSON without a fixed type; the rules in blocks.py look into them.
Json = dict[str, Any]

TEAM_ID: Final = "T0PREVIEW1"
BOT_ID: Final = "B0PREVIEW1"
APP_ID: Final = "A0PREVIEW1"
BOT_USER_ID: Final = "U0PREVIEW1"


class TokenState(StrEnum):
    LIVE = "live"
    REVOKED = "revoked"
    INACTIVE = "inactive"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSeed:
    """One channel and what Slack's administrators set about it."""

    id: str
    name: str
    member: bool = True  # whether the bot was invited
    private: bool = False
    archived: bool = False
    read_only: bool = False
    thread_only: bool = False
    non_threadable: bool = False
    shared: bool = False  # with another company: what is posted here leaves the house
    sharing_meant: bool = False  # posting to a shared channel is no violation


@dataclass(frozen=True, slots=True, kw_only=True)
class UsergroupSeed:
    """A user group; a disabled or an empty one notifies nobody."""

    id: str
    handle: str  # without @
    name: str = ""
    users: tuple[str, ...] = (BOT_USER_ID,)
    disabled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UserSeed:
    id: str
    name: str
    deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A call that Slack would take, or refuse, and that a careful client does not make."""

    rule: Rule
    message: str
    method: str
    channel: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A write that took effect, whether or not its answer arrived."""

    method: str
    delivery_id: str | None  # metadata.event_payload.delivery_id
    channel: str
    ts: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    """Somebody's phone rang: `target` is the id of a user group or of a user."""

    target: str
    channel: str
    ts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a message says from `at` on. Never changed once made."""

    at: float
    text: str
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    metadata: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message with every state it had, oldest first. A change makes a new value: what a reader holds stays."""

    channel: str
    ts: str
    author: str
    revisions: tuple[Content, ...]
    thread_ts: str | None = None  # None for a root
    broadcast: bool = False  # a reply that the channel shows too
    hidden: bool = False  # accepted, and shown to nobody (rate limit)
    edits: int = 0  # also those whose revisions were dropped to save memory
    edited_ts: str | None = None  # Slack's own "(edited)" mark
    reactions: tuple[tuple[str, str], ...] = ()  # (name, user)

    @property
    def content(self) -> Content:
        return self.revisions[-1]

    @property
    def text(self) -> str:
        return self.content.text

    @property
    def is_root(self) -> bool:
        return self.thread_ts is None

    @property
    def delivery_id(self) -> str | None:
        found = (self.content.metadata or {}).get("event_payload", {}).get("delivery_id")
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much is remembered. The oldest goes first."""

    roots: int = 500  # per channel
    replies: int = 200  # per thread
    revisions: int = 50  # per message
    records: int = 10_000  # violations, accepted writes, notifications

    @classmethod
    def everything(cls) -> Self:
        return cls(roots=sys.maxsize, replies=sys.maxsize, revisions=sys.maxsize, records=sys.maxsize)


@dataclass(slots=True, kw_only=True)
class Channel:
    """A channel's settings and messages. Messages are in the order of their ts, which only rises."""

    seed: ChannelSeed
    messages: dict[str, Message] = field(default_factory=dict)
    replies: dict[str, list[str]] = field(default_factory=dict)  # root's ts -> ts of its replies; every root has a list
    locked_threads: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)  # deleted: their ts was right once
    last_us: int = 0
    forgotten_ts: str = ""  # the newest root that was dropped to save memory

    def next_ts(self, now: float) -> str:
        """Microseconds as Slack writes them, and never the same or a smaller one twice."""
        self.last_us = max(int(now * 1_000_000), self.last_us + 1)
        return f"{self.last_us // 1_000_000}.{self.last_us % 1_000_000:06d}"

    def add(self, message: Message, keep: Keep) -> None:
        self.messages[message.ts] = message
        if message.thread_ts is not None:
            siblings = self.replies[message.thread_ts]
            siblings.append(message.ts)
            if len(siblings) > keep.replies:
                del self.messages[siblings.pop(0)]
            return
        self.replies[message.ts] = []
        if len(self.replies) > keep.roots:
            self.forgotten_ts = next(iter(self.replies))
            self._drop_thread(self.forgotten_ts)

    def change(self, message: Message, content: Content, keep: Keep, *, edited_ts: str | None) -> Message:
        changed = replace(
            message,
            revisions=(*message.revisions, content)[-keep.revisions :],
            edits=message.edits + 1,
            edited_ts=edited_ts or message.edited_ts,
        )
        self.messages[message.ts] = changed
        return changed

    def delete(self, message: Message) -> None:
        self.gone.add(message.ts)
        if message.thread_ts is None:
            self._drop_thread(message.ts)
        else:
            del self.messages[message.ts]
            self.replies[message.thread_ts].remove(message.ts)

    def _drop_thread(self, root_ts: str) -> None:
        for ts in (root_ts, *self.replies.pop(root_ts)):
            del self.messages[ts]

    def roots(self) -> list[Message]:
        return [self.messages[ts] for ts in self.replies]

    def thread(self, root_ts: str) -> list[Message]:
        return [self.messages[ts] for ts in self.replies.get(root_ts, ())]

    def shown(self) -> Iterator[Message]:
        """What the channel itself shows, oldest first: roots and broadcast replies."""
        return (m for m in self.messages.values() if (m.is_root or m.broadcast) and not m.hidden)


class Workspace:
    """Everything that one emulator knows. Guarded by the emulator's lock."""

    def __init__(self, *, keep: Keep, link_hosts: frozenset[str] | None) -> None:
        self.keep = keep
        self.link_hosts = link_hosts  # None: links may lead anywhere
        self.channels: dict[str, Channel] = {}
        self.usergroups: dict[str, UsergroupSeed] = {}
        self.users: dict[str, UserSeed] = {BOT_USER_ID: UserSeed(id=BOT_USER_ID, name="alert-router")}
        self.plan_has_usergroups = True
        self.violations: deque[Violation] = deque(maxlen=keep.records)
        self.accepted: deque[Accepted] = deque(maxlen=keep.records)
        self.notified: deque[Notified] = deque(maxlen=keep.records)
        self.calls: Counter[str] = Counter()

    def notify(self, target: str, message: Message) -> None:
        """Ring whoever `target` stands for: a group that is enabled and has members, or an active user."""
        group = self.usergroups.get(target)
        if group is None:
            members = [target] if target in self.users else []
        elif group.disabled or not group.users or not self.plan_has_usergroups:
            return
        else:
            self.notified.append(Notified(target=target, channel=message.channel, ts=message.ts))
            members = list(group.users)
        for member in members:
            if not (member in self.users and self.users[member].deleted):
                self.notified.append(Notified(target=member, channel=message.channel, ts=message.ts))
