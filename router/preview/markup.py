"""Slack's mrkdwn, read into nodes: for the rules about mentions and links, and for the pages.

Source: https://docs.slack.dev/messaging/formatting-message-text/
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final


class MentionKind(StrEnum):
    USER = "user"
    USERGROUP = "usergroup"
    CHANNEL = "channel"
    BROADCAST = "broadcast"


@dataclass(frozen=True, slots=True)
class Text:
    kind: ClassVar = "text"
    text: str


@dataclass(frozen=True, slots=True)
class Break:
    kind: ClassVar = "break"


@dataclass(frozen=True, slots=True)
class Link:
    kind: ClassVar = "link"
    url: str  # http or https
    label: str


@dataclass(frozen=True, slots=True)
class Mention:
    kind: ClassVar = "mention"
    of: MentionKind
    id: str


@dataclass(frozen=True, slots=True)
class Date:
    kind: ClassVar = "date"
    unix: int
    pattern: str
    fallback: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Raw:
    """`<…>` that is no token of Slack's, or one that we do not let through."""

    kind: ClassVar = "raw"
    text: str


@dataclass(frozen=True, slots=True)
class Styled:
    """Nodes inside bold, italic, strike, code, pre or quote."""

    kind: ClassVar = "styled"
    style: str
    nodes: tuple["Node", ...]


Token = Link | Mention | Date | Raw
Node = Text | Break | Styled | Token

_TOKEN: Final = re.compile(r"<([^<>]*)>")
_MENTION: Final = re.compile(
    r"@(?P<user>[UW][A-Z0-9]{6,})|#(?P<channel>[CG][A-Z0-9]{8,})|!subteam\^(?P<usergroup>S[A-Z0-9]{6,})"
    r"|!(?P<broadcast>here|channel|everyone)"
)
_DATE: Final = re.compile(r"!date\^(-?\d{1,12})\^([^\^|]+)(?:\^(https?://[^|]+))?")
_LINK: Final = re.compile(r"https?://[^\s|]+")
_BARE_URL: Final = re.compile(r"https?://[^\s<>|`]*[^\s<>|`.,:;!?)\]}'\"*_~。、]")
_INLINE: Final = re.compile(
    r"`(?P<code>[^`\n]+)`"
    r"|(?P<token><[^<>]*>)"
    rf"|(?P<url>{_BARE_URL.pattern})"
    r"|(?<![\w*])\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?![\w~])"
)
_PRE: Final = re.compile(r"```(.+?)```", re.DOTALL)
_QUOTE: Final = re.compile(r"(?:&gt;|>) ?(.*)")


def tokens(mrkdwn: str) -> Iterator[Token]:
    """Every `<…>` in the text, also inside code, where Slack resolves them too; a `<` that opens none is Raw."""
    end = 0
    for found in _TOKEN.finditer(mrkdwn):
        yield from (Raw("<") for _ in range(mrkdwn.count("<", end, found.start())))
        yield _token(found[1])
        end = found.end()
    yield from (Raw("<") for _ in range(mrkdwn.count("<", end)))


def parse(mrkdwn: str) -> tuple[Node, ...]:
    """The text as Slack would show it."""
    nodes: list[Node] = []
    parts = _PRE.split(mrkdwn)
    for index, part in enumerate(parts):
        if index % 2:
            nodes.append(Styled("pre", tuple(_inside_code(part.strip("\n")))))
            continue
        # A pre begins and ends a line by itself.
        part = part.removeprefix("\n") if index else part
        part = part.removesuffix("\n") if index < len(parts) - 1 else part
        if part:
            nodes.extend(_lines(part))
    return tuple(nodes)


def unescape(text: str) -> str:
    """Slack's three entities, and no others."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _lines(text: str) -> Iterator[Node]:
    own_line = True  # at the start, and after a quote, no line has to be ended
    for line in text.split("\n"):
        if quoted := _QUOTE.fullmatch(line):
            yield Styled("quote", tuple(_inline(quoted[1])))
            own_line = True
            continue
        if not own_line:
            yield Break()
        yield from _inline(line)
        own_line = False


def _inline(text: str) -> Iterator[Node]:
    end = 0
    for found in _INLINE.finditer(text):
        if found.start() > end:
            yield Text(unescape(text[end : found.start()]))
        end = found.end()
        style, inner = str(found.lastgroup), str(found[str(found.lastgroup)])
        if style == "token":
            yield _token(inner[1:-1])
        elif style == "url":
            yield Link(unescape(inner), unescape(inner))
        elif style == "code":
            yield Styled("code", tuple(_inside_code(inner)))
        else:
            yield Styled(style, tuple(_inline(inner)))
    if end < len(text):
        yield Text(unescape(text[end:]))


def _inside_code(text: str) -> Iterator[Node]:
    end = 0
    for found in _TOKEN.finditer(text):
        yield Text(unescape(text[end : found.start()]))
        yield _token(found[1])
        end = found.end()
    yield Text(unescape(text[end:]))


def _token(inside: str) -> Token:
    target, _, label = inside.partition("|")
    if mention := _MENTION.fullmatch(target):
        return Mention(MentionKind(str(mention.lastgroup)), str(mention[str(mention.lastgroup)]))
    if (date := _DATE.fullmatch(target)) and label:
        return Date(int(date[1]), date[2], unescape(label), unescape(date[3]) if date[3] else None)
    if _LINK.fullmatch(target):
        return Link(unescape(target), unescape(label or target))
    return Raw(f"<{inside}>")
