"""Helm templates read as if they were YAML: their actions `{{ … }}` put out of YAML's way, and back afterwards.

No template is executed. A line of nothing but actions becomes an empty line; any other action stays as text, so that
`team: {{ .Values.team }}` is a label whose value is not known before Helm has run. Nothing moves: every place that is
found in the masked text is the same place in the file.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

MAX_ACTIONS: Final = 500_000  # further ones stay as they are, and reading stops there

# Each ASCII character has a stand-in that means nothing to YAML, at the end of the last private plane of Unicode.
_FIRST: Final = 0x10FF00
_MASK: Final = {code: _FIRST + code for code in range(128) if chr(code) != "\n"}
_UNMASK: Final = {masked: code for code, masked in _MASK.items()}
_MASKED: Final = f"{chr(_FIRST)}-{chr(_FIRST + 127)}"
_LINE_OF_ACTIONS: Final = re.compile(f"^[ \t{_MASKED}]+$", re.MULTILINE)

_COMMENT: Final = re.compile(r"\{\{-?\s*/\*")
_STRING_OR_END: Final = re.compile(r'"[^"\n]*+"|`[^`]*+`|(?P<end>\}\})')
_WRITES_LINES: Final = re.compile(r"\bn?indent\b")  # {{ include "labels" . | nindent 8 }}: whole lines of YAML
_LITERAL: Final = re.compile(r'\{\{-?\s*(?:`([^`]*)`|"([^"\n]*)")\s*-?\}\}')


def masked(text: str) -> str:
    """`text` with its actions out of YAML's way, every other character where it was."""
    parts = []
    rest = 0
    for start, end in islice(_actions(text), MAX_ACTIONS):
        action = text[start:end]
        parts.append(text[rest:start])
        parts.append(_blank(action) if _WRITES_LINES.search(action) else action.translate(_MASK))
        rest = end
    parts.append(text[rest:])
    return _LINE_OF_ACTIONS.sub(lambda line: " " * len(line[0]), "".join(parts))


def restored(value: str) -> str:
    """A scalar of the masked text as its author wrote it, and as Helm writes it where that is plain text.

    {{`{{ $labels.pod }}`}} is how a Helm template says {{ $labels.pod }} to Prometheus.
    """
    if value.isascii():
        return value
    return _LITERAL.sub(lambda literal: literal[1] or literal[2] or "", value.translate(_UNMASK))


def _blank(action: str) -> str:
    return "".join("\n" if character == "\n" else " " for character in action)


def _actions(text: str) -> Iterator[tuple[int, int]]:
    """Where each action begins and ends, up to the first that does not end: every character is looked at once."""
    start = text.find("{{")
    while start != -1:
        end = _end_of_action(text, start)
        if end is None:
            return
        yield start, end
        start = text.find("{{", end)


def _end_of_action(text: str, start: int) -> int | None:
    comment = _COMMENT.match(text, start)
    position = comment.end() if comment is not None else start + 2
    if comment is not None:
        position = text.find("*/", position)
        if position == -1:
            return None
    for token in _STRING_OR_END.finditer(text, position):
        if token["end"]:
            return token.end()
    return None
