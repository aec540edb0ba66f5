"""Text as YAML that people keep: scalars that every YAML reads as this very text, and ids made of any words."""

import re
from collections.abc import Container, Mapping, Sequence
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_READ_OTHERWISE: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
# With what turns the writing: people see another order, and Slack's code blocks would leave it out.
_ESCAPED: Final = re.compile(
    '["\\\\\x00-\x1f\x7f-\xa0\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]'
)


def scalar(text: str) -> str:
    """`text` as a YAML scalar that every YAML reads as this text; in single quotes where it has quotes of its own."""
    if _PLAIN.fullmatch(text) and text.lower() not in _READ_OTHERWISE:
        return text
    if {match[0] for match in _ESCAPED.finditer(text)} in ({'"'}, {"\\"}, {'"', "\\"}) and "'" not in text:
        return f"'{text}'"
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    if match[0] in '"\\':
        return "\\" + match[0]
    if "\ud800" <= match[0] <= "\udfff":
        return "\ufffd"  # half a character: no text has it
    return f"\\u{ord(match[0]):04x}"


def flow_list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(scalar, texts)) + "]"


def flow(mapping: Mapping[str, str | Sequence[str]]) -> str:
    """A mapping on one line, of texts and lists of texts."""
    return "{" + ", ".join(f"{scalar(key)}: {_value(value)}" for key, value in mapping.items()) + "}"


def _value(value: str | Sequence[str]) -> str:
    return scalar(value) if isinstance(value, str) else flow_list(value)


_NOT_IN_ID: Final = re.compile(r"[^a-z0-9._:/-]+")
_NEW_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def free_id(name: str, *, taken: Container[str]) -> str:
    """An id of the map as much like `name` as an id can be, which nothing is called yet."""
    wanted = _NOT_IN_ID.sub("-", _NEW_WORD.sub("-", name).lower()).lstrip("._:/-")[:56].rstrip("-") or "unnamed"
    free, number = wanted, 1
    while free in taken:
        number += 1
        free = f"{wanted}-{number}"
    return free
