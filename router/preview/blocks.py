"""What Slack refuses in a message's blocks, attachments and metadata, with its words and JSON pointers.

Limits: https://docs.slack.dev/reference/block-kit/blocks/. Slack publishes no schema, so this one is written by hand,
for the blocks that we send (rule 23 keeps the others out).
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from router.preview.workspace import Json

ALLOWED_BLOCKS: Final = ("header", "section", "context", "actions", "divider")
# Slack takes these too; nobody here checks them.
OTHER_BLOCKS: Final = (
    "alert", "call", "card", "carousel", "context_actions", "file", "image", "input", "markdown", "plan", "rich_text",
    "table", "task_card", "video",
)  # fmt: skip
OTHER_ELEMENTS: Final = (
    "channels_select", "checkboxes", "conversations_select", "datepicker", "datetimepicker", "feedback_buttons",
    "icon_button", "image", "multi_channels_select", "multi_conversations_select", "multi_external_select",
    "multi_static_select", "multi_users_select", "radio_buttons", "timepicker", "users_select", "workflow_button",
)  # fmt: skip

MOST_BLOCKS: Final = 50
MOST_ATTACHMENTS: Final = 100
MOST_ATTACHMENT_BLOCKS: Final = 20
MOST_BLOCK_TEXT: Final = 11_000
MOST_BLOCK_JSON: Final = 15_500
MOST_METADATA_BYTES: Final = 8_192
_COLOUR: Final = re.compile(r"#?[0-9A-Fa-f]{6}|good|warning|danger")


@dataclass(slots=True)
class Report:
    """What was found wrong: Slack's refusals, and the types that only we do not allow."""

    defects: list[str] = field(default_factory=list)
    not_allowed: list[str] = field(default_factory=list)
    ids: set[tuple[str, str]] = field(default_factory=set)

    def refuse(self, pointer: str, words: str) -> None:
        self.defects.append(f"{words} [json-pointer:{pointer}]")


# A check looks at the value at a pointer. `Any`: it is whatever the client sent.
Check = Callable[[Any, str, Report], None]


def check_blocks(blocks: Sequence[Any], pointer: str, report: Report, *, most: int = MOST_BLOCKS) -> None:
    if len(blocks) > most:
        report.refuse(pointer, f"no more than {most} items allowed")
    for index, block in enumerate(blocks):
        _block(block, f"{pointer}/{index}", report)


def check_attachments(attachments: Sequence[Any], report: Report) -> None:
    for index, attachment in enumerate(attachments):
        pointer = f"/attachments/{index}"
        if not isinstance(attachment, dict):
            report.refuse(pointer, "must be an object")
            continue
        colour = attachment.get("color")
        if colour is not None and not (isinstance(colour, str) and _COLOUR.fullmatch(colour)):
            report.refuse(f"{pointer}/color", "must be a hex colour, good, warning or danger")
        for name in ("fallback", "pretext", "text", "title"):
            if not isinstance(attachment.get(name, ""), str):
                report.refuse(f"{pointer}/{name}", "must be a string")
        blocks = attachment.get("blocks", [])
        if isinstance(blocks, list):
            check_blocks(blocks, f"{pointer}/blocks", report, most=MOST_ATTACHMENT_BLOCKS)
        else:
            report.refuse(f"{pointer}/blocks", "must be an array")


def blocks_too_long(blocks: Sequence[Json], attachments: Sequence[Json]) -> bool:
    everything = [*blocks, *(block for attachment in attachments for block in attachment.get("blocks", ()))]
    text = sum(len(text) for _, text in texts(everything))
    return text > MOST_BLOCK_TEXT or len(_compact(everything)) > MOST_BLOCK_JSON


def metadata_error(metadata: Any) -> str | None:
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_type"), str):
        return "invalid_metadata_format"
    if not isinstance(metadata.get("event_payload"), dict):
        return "invalid_metadata_format"
    return "metadata_too_large" if len(_compact(metadata).encode()) > MOST_METADATA_BYTES else None


def texts(found: Any) -> Iterator[tuple[str, str]]:
    """(type, text) of every text object, in no order."""
    waiting = [found]  # a stack and not recursion: how deep it is was decided by the client
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if isinstance(value.get("text"), str) and isinstance(value.get("type"), str):
                yield value["type"], value["text"]
            waiting.extend(value.values())


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _string(most: int) -> Check:
    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, str):
            report.refuse(pointer, "must be a string")
        elif not value:
            report.refuse(pointer, "must be more than 0 characters")
        elif len(value) > most:
            report.refuse(pointer, f"must be less than {most + 1} characters")

    return check


def _unique(name: str) -> Check:
    length = _string(255)

    def check(value: Any, pointer: str, report: Report) -> None:
        length(value, pointer, report)
        if not isinstance(value, str):
            return
        if (name, value) in report.ids:
            report.refuse(pointer, f"`{name}` is not unique in this message")
        report.ids.add((name, value))

    return check


def _boolean(value: Any, pointer: str, report: Report) -> None:
    if not isinstance(value, bool):
        report.refuse(pointer, "must be a boolean")


def _number(value: Any, pointer: str, report: Report) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        report.refuse(pointer, "must be an integer of 0 or more")


def _one_of(*words: str) -> Check:
    def check(value: Any, pointer: str, report: Report) -> None:
        if value not in words:
            report.refuse(pointer, f"must be one of {', '.join(words)}")

    return check


def _url(value: Any, pointer: str, report: Report) -> None:
    _string(3_000)(value, pointer, report)
    if isinstance(value, str) and not re.match(r"https?://[^\s<>\"]+\Z", value):
        report.refuse(pointer, "must be a valid URL")


def _items(each: Check, most: int) -> Check:
    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, list):
            report.refuse(pointer, "must be an array")
            return
        if not value:
            report.refuse(pointer, "must be more than 0 items")
        if len(value) > most:
            report.refuse(pointer, f"no more than {most} items allowed")
        for index, item in enumerate(value):
            each(item, f"{pointer}/{index}", report)

    return check


def _shape(properties: Mapping[str, Check], *, required: Sequence[str] = ()) -> Check:
    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, dict):
            report.refuse(pointer, "must be an object")
            return
        for name in required:
            if name not in value:
                report.refuse(pointer, f"missing required field: {name}")
        for name, held in value.items():
            if name in properties:
                properties[name](held, f"{pointer}/{name}", report)
            elif name != "type":
                report.refuse(pointer, f"invalid additional property: {name}")

    return check


def _typed(shapes: Mapping[str, Check], *, others: Sequence[str] = ()) -> Check:
    """One of several shapes, told apart by `type`; `others` are Slack's and not ours."""

    def check(value: Any, pointer: str, report: Report) -> None:
        if not isinstance(value, dict):
            report.refuse(pointer, "must be an object")
            return
        found = value.get("type")
        if isinstance(found, str) and found in shapes:
            shapes[found](value, pointer, report)
        elif found in others:
            report.not_allowed.append(f"{found} at {pointer}")
        else:
            report.refuse(f"{pointer}/type", f"unsupported type: {found}")

    return check


def _plain(most: int) -> Check:
    return _shape({"text": _string(most), "emoji": _boolean}, required=["text"])


def _mrkdwn(most: int) -> Check:
    return _shape({"text": _string(most), "verbatim": _boolean}, required=["text"])


def _text(most: int) -> Check:
    return _typed({"plain_text": _plain(most), "mrkdwn": _mrkdwn(most)})


def _plain_only(most: int) -> Check:
    return _typed({"plain_text": _plain(most)})


_CONFIRM: Final = _shape(
    {
        "title": _plain_only(100),
        "text": _text(300),
        "confirm": _plain_only(30),
        "deny": _plain_only(30),
        "style": _one_of("primary", "danger"),
    },
    required=["title", "text", "confirm", "deny"],
)
# https://docs.slack.dev/reference/block-kit/composition-objects/option-object and …/option-group-object
_OPTION: Final = {"text": _plain_only(75), "value": _string(150), "description": _plain_only(75)}
_option: Final = _shape(_OPTION, required=["text", "value"])
_option_with_url: Final = _shape({**_OPTION, "url": _url}, required=["text", "value"])
_option_group: Final = _shape(
    {"label": _plain_only(75), "options": _items(_option, 100)}, required=["label", "options"]
)
_SELECT: Final = {
    "action_id": _unique("action_id"),
    "placeholder": _plain_only(150),
    "initial_option": _option,
    "confirm": _CONFIRM,
    "focus_on_load": _boolean,
}


def _static_select(value: Any, pointer: str, report: Report) -> None:
    choices = {"options": _items(_option, 100), "option_groups": _items(_option_group, 100)}
    _shape({**_SELECT, **choices})(value, pointer, report)
    if len(choices.keys() & value.keys()) != 1:
        report.refuse(pointer, "one of options and option_groups is required")


_ELEMENT: Final = _typed(
    {
        "static_select": _static_select,
        "external_select": _shape({**_SELECT, "min_query_length": _number}),
        "overflow": _shape(
            {"action_id": _unique("action_id"), "options": _items(_option_with_url, 5), "confirm": _CONFIRM},
            required=["options"],
        ),
        "button": _shape(
            {
                "text": _plain_only(75),
                "action_id": _unique("action_id"),
                "url": _url,
                "value": _string(2_000),
                "style": _one_of("primary", "danger"),
                "confirm": _CONFIRM,
                "accessibility_label": _string(75),
            },
            required=["text"],
        ),
    },
    others=OTHER_ELEMENTS,
)
_BLOCK_ID: Final = {"block_id": _unique("block_id")}


def _section(value: Any, pointer: str, report: Report) -> None:
    properties = {
        "text": _text(3_000),
        "fields": _items(_text(2_000), 10),
        "accessory": _ELEMENT,
        "expand": _boolean,
        **_BLOCK_ID,
    }
    _shape(properties)(value, pointer, report)
    if "text" not in value and "fields" not in value:
        report.refuse(pointer, "missing required field: text")


_block: Final = _typed(
    {
        "header": _shape({"text": _plain_only(150), **_BLOCK_ID}, required=["text"]),
        "section": _section,
        "context": _shape(
            {
                "elements": _items(
                    _typed({"plain_text": _plain(3_000), "mrkdwn": _mrkdwn(3_000)}, others=["image"]), 10
                ),
                **_BLOCK_ID,
            },
            required=["elements"],
        ),
        "actions": _shape({"elements": _items(_ELEMENT, 25), **_BLOCK_ID}, required=["elements"]),
        "divider": _shape(_BLOCK_ID),
    },
    others=OTHER_BLOCKS,
)
