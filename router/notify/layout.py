"""What a message is made of in Slack, and how large it may be. Pure.

Every size stays below Slack's limits with room to spare.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from router.core.model import Language, Level
from router.notify import markup
from router.notify.words import words_in

Json = dict[str, Any]  # as slack-sdk takes it

BLOCKS_TEXT_CEILING = 8_000  # msg_blocks_too_long is undocumented: seen at 11,341 characters, or 17,694 of JSON
BLOCKS_JSON_CEILING = 12_000
HEADER_CEILING = 140
SECTION_CEILING = 2_800
FIELD_CEILING = 500
CONTEXT_CEILING = 300

LEVEL_ICONS: Mapping[Level, str] = {
    Level.CRITICAL: "🔴",
    Level.HIGH: "🔶",
    Level.NORMAL: "🟨",
    Level.LOW: "🔵",
    Level.IGNORE: "⚪",
}
DOT = "  ·  "


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One message state. `blocks` and `attachments` are Slack's JSON; `mention` is for `plain` alone."""

    kind: str  # for the metadata: firing, resolved, …
    text: str
    blocks: tuple[Json, ...] = ()
    attachments: tuple[Json, ...] = ()
    mention: str = ""
    broadcast: bool = False  # a reply that the channel sees too, because it calls somebody


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How much each part may take, in units. Tried from the widest on until the whole message fits."""

    lines: int
    line: int
    summary: int
    field: int
    word: int
    url: int
    block: int
    several: int = 3  # of what is told one by one, the last ones; the others are counted


def plain(payload: Payload) -> Payload:
    """The same facts as text alone, for a workspace that refuses the blocks. Here the mention has to be in the text."""
    return Payload(kind=payload.kind, text=spaced(payload.mention, payload.text), broadcast=payload.broadcast)


def resent(payload: Payload, language: Language) -> Payload:
    """The same message, posted once more because it cannot be known whether Slack took it: it says so.

    The ceilings leave Slack's limits the room for this line.
    """
    words = words_in(language)
    shown = (*payload.blocks, context(words.resent)) if payload.blocks else ()
    return replace(payload, text=f"{words.resent} {payload.text}", blocks=shown)


def fits(payload: Payload) -> bool:
    """Whether the blocks and attachments stay below our ceilings."""
    whole = [*payload.blocks, *payload.attachments]
    texts = list(_texts(whole))
    return (
        sum(markup.units(text) for text in texts) <= BLOCKS_TEXT_CEILING
        and max(map(markup.units, texts), default=0) <= SECTION_CEILING
        and len(json.dumps(whole)) <= BLOCKS_JSON_CEILING  # as it goes over the wire, six bytes for each non-ASCII unit
        and all(markup.units(field["text"]) <= FIELD_CEILING for block in whole for field in block.get("fields", ()))
        and all(
            markup.units(element["text"]) <= CONTEXT_CEILING
            for block in whole
            if block.get("type") == "context"
            for element in block["elements"]
        )
    )


def _texts(node: object) -> Iterable[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"text", "fallback"} and isinstance(value, str):
                yield value
            else:
                yield from _texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value)


def header_block(text: str) -> Json:
    return {"type": "header", "text": {"type": "plain_text", "text": text, "emoji": True}}


def section(text: str) -> Json:
    return {"type": "section", "text": _mrkdwn(text)}


def fields_block(fields: Iterable[tuple[str, str]]) -> Json:
    return {"type": "section", "fields": [_mrkdwn(f"*{label}*\n{value}") for label, value in fields]}


def context(*texts: str) -> Json:
    return {"type": "context", "elements": [_mrkdwn(text) for text in texts]}


def _mrkdwn(text: str) -> Json:
    # verbatim: no channel name, user name or bare URL in somebody's label becomes live. Our own tokens still do.
    # (https://docs.slack.dev/reference/block-kit/composition-objects/text-object)
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def reference_of(reference: str) -> str:
    return f"ref {markup.code(reference, 60)}"


def spaced(*parts: str) -> str:
    return "  ".join(part for part in parts if part)
