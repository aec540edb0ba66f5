"""The pages: a channel as a person would see it in Slack. Plain HTML and CSS.

Roots are newest first, unlike Slack: without a script a page opens at its top, and on a phone at night the newest is
what one came for. Replies are oldest first beneath their root, as they were said.

Nothing of a message becomes markup: templates escape everything, only links that markup.py took for http or https are
links, and the policy in HEADERS forbids scripts, styles and images from elsewhere.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader

from router.preview import markup
from router.preview.emulator import Emulator
from router.preview.markup import Date, Mention, MentionKind
from router.preview.workspace import BOT_USER_ID, ChannelSeed, Json, Message, UsergroupSeed, UserSeed

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
STYLE: Final = files("router.preview").joinpath("templates/style.css").read_text("utf-8")
PAGE: Final = 30  # root messages a page
NEW_FOR: Final = timedelta(minutes=15)  # how long a channel counts as having news
_SLACKS_COLOURS: Final = {"good": "#2eb886", "warning": "#daa038", "danger": "#a30200"}

_templates: Final = Environment(
    loader=PackageLoader("router.preview"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelLine:
    """One channel in the list of all."""

    seed: ChannelSeed
    count: int
    news: int  # roots and replies of the last quarter of an hour
    title: str  # of its newest root
    newest: float  # unix time; 0 if there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    root: Message
    replies: Sequence[Message]


class Names:
    """What ids and times read as on one page."""

    def __init__(self, emulator: Emulator) -> None:
        self.now = datetime.fromtimestamp(emulator.now(), UTC)
        self._channels = {seed.id: seed for seed in emulator.channels}
        self._usergroups: Mapping[str, UsergroupSeed] = emulator.usergroups
        self._users: Mapping[str, UserSeed] = emulator.users

    def mention(self, mention: Mention) -> str:
        match mention.of:
            case MentionKind.CHANNEL:
                return f"#{self._channels[mention.id].name}" if self.known_channel(mention.id) else "#unknown-channel"
            case MentionKind.USERGROUP:
                return f"@{self._usergroups[mention.id].handle}" if mention.id in self._usergroups else "@unknown-group"
            case MentionKind.USER:
                return f"@{self._users[mention.id].name}" if mention.id in self._users else "@unknown-user"
            case MentionKind.BROADCAST:
                return f"@{mention.id}"

    def known_channel(self, channel: str) -> bool:
        return channel in self._channels

    def author(self, message: Message) -> str:
        user = self._users.get(message.author)
        return user.name if user else message.author

    def is_bot(self, message: Message) -> bool:
        return message.author == BOT_USER_ID

    def date(self, date: Date) -> str:
        """The date in UTC, as Slack's pattern asks; the text for older clients where the pattern is not understood."""
        try:
            at = datetime.fromtimestamp(date.unix, UTC)
        except (ValueError, OverflowError, OSError):
            return date.fallback
        parts = {
            "date_num": f"{at:%Y-%m-%d}",
            "date": f"{at:%B} {at.day}, {at.year}",
            "date_short": f"{at:%b} {at.day}, {at.year}",
            "date_long": f"{at:%A, %B} {at.day}, {at.year}",
            "time": f"{at:%H:%M}",
            "time_secs": f"{at:%H:%M:%S}",
        }
        for name in ("date", "date_short", "date_long"):
            parts[f"{name}_pretty"] = self._day(at) or parts[name]
        shown = re.sub(r"\{(\w+)\}", lambda found: parts.get(found[1], found[0]), date.pattern)
        return date.fallback if "{" in shown else f"{shown} UTC"

    def clock(self, unix: float) -> str:
        """When something happened, as short as it can be told apart: the time, and the day unless it is today."""
        at = datetime.fromtimestamp(unix, UTC)
        day = self._day(at) or f"{at:%Y-%m-%d}"
        return f"{at:%H:%M}" if day == "today" else f"{day} {at:%H:%M}"

    def full(self, unix: float) -> str:
        return f"{datetime.fromtimestamp(unix, UTC):%Y-%m-%d %H:%M:%S} UTC"

    def _day(self, at: datetime) -> str | None:
        names = {-1: "yesterday", 0: "today", 1: "tomorrow"}
        return names.get((at.date() - self.now.date()).days)


def index(emulator: Emulator, *, example: str) -> str:
    """All channels; those with messages first, the newest on top."""
    names = Names(emulator)
    lines = [_line(emulator, seed, names.now) for seed in emulator.channels]
    lines.sort(key=lambda line: (-line.newest, line.seed.name))
    return _templates.get_template("index.html").render(
        lines=lines, names=names, example=example, violations=emulator.violations, refresh=True, root="./"
    )


def channel(emulator: Emulator, channel_id: str, *, before: str, paused: bool, example: str) -> str | None:
    """A page of one channel, from the newest root before the ts `before` down; None if there is no such channel."""
    seeds = {seed.id: seed for seed in emulator.channels}
    if channel_id not in seeds:
        return None
    threads = [thread for thread in _threads(emulator.messages(channel_id)) if not before or thread.root.ts < before]
    shown = threads[-PAGE:][::-1]
    return _templates.get_template("channel.html").render(
        seed=seeds[channel_id],
        threads=shown,
        older=shown[-1].root.ts if len(threads) > PAGE else None,
        newest_page=not before,
        names=Names(emulator),
        example=example,
        refresh=not paused and not before,
        paused=paused,
        root="../",
        parse=markup.parse,
        colour=_colour,
        at=lambda message: float(message.ts),
    )


def missing() -> str:
    return _templates.get_template("missing.html").render(refresh=False, root="../")


def post_example(netloc: str, *, channel_id: str, token: str) -> str:
    """A command that puts a first message on these pages. `netloc` comes from the browser."""
    body = {"channel": channel_id, "text": "hello", "unfurl_links": False, "unfurl_media": False}
    return (
        f"curl -H 'Authorization: Bearer {token}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{json.dumps(body, ensure_ascii=False)}' \\\n  http://{_host(netloc)}/api/chat.postMessage"
    )


def webhook_example(netloc: str) -> str:
    """The same through the router that serves these pages."""
    labels = {"alertname": "HelloRouter", "severity": "warning"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "The first alert"},
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": "0123456789abcdef",
    }
    body = {
        "version": "4",
        "groupKey": '{}:{alertname="HelloRouter"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "router",
        "groupLabels": {"alertname": "HelloRouter"},
        "commonLabels": labels,
        "commonAnnotations": alert["annotations"],
        "externalURL": "http://alertmanager.example.com",
        "alerts": [alert],
    }
    return (
        f"curl -H 'Content-Type: application/json' http://{_host(netloc)}/webhooks/alertmanager \\\n"
        f"  -d '{json.dumps(body)}'"
    )


def _host(netloc: str) -> str:
    """What may be pasted into a shell."""
    return netloc if re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9a-f:]+\](:\d+)?", netloc) else "127.0.0.1"


def _line(emulator: Emulator, seed: ChannelSeed, now: datetime) -> ChannelLine:
    messages = [message for message in emulator.messages(seed.id) if not message.hidden]
    roots = [message for message in messages if message.is_root]
    since = (now - NEW_FOR).timestamp()
    return ChannelLine(
        seed=seed,
        count=len(roots),
        news=sum(float(message.ts) >= since for message in messages),
        title=_title(roots[-1]) if roots else "",
        newest=max((float(message.ts) for message in messages), default=0),
    )


def _title(message: Message) -> str:
    for block in message.content.blocks:
        if block["type"] == "header":
            return str(block["text"]["text"])
    return markup.unescape(message.text)


def _threads(messages: Sequence[Message]) -> list[Thread]:
    replies: dict[str, list[Message]] = {}
    for message in messages:
        if message.thread_ts:
            replies.setdefault(message.thread_ts, []).append(message)
    return [Thread(root=root, replies=replies.get(root.ts, ())) for root in messages if root.is_root]


def _colour(attachment: Json) -> str:
    """Checked when it was posted, so it may stand in an attribute."""
    colour = str(attachment.get("color", "#dddddd"))
    return _SLACKS_COLOURS.get(colour, colour if colour.startswith("#") else f"#{colour}")
