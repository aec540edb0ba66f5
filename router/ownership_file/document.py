"""YAML as the map uses it: bytes -> plain values, each with the place where it was written.

PyYAML limits nothing: its constructor follows aliases into billions of values, reads `10:00` as 600 and keeps the last
of two equal keys, and the C loader crashes the interpreter on deep nesting. So only its events are used, one by one.
Scalars are those of YAML 1.2's core schema as far as the map needs them: null, booleans, decimal integers; all else is
the text as written.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import yaml

from router.core.findings import Finding, FindingSeverity, Related

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64
_ENOUGH_FINDINGS: Final = 50  # of one file's YAML; whoever has so many has one cause

Path = tuple[str | int, ...]


class Span(NamedTuple):
    """Where something is written; lines and columns count from 1, columns in characters."""

    line: int
    column: int
    end_column: int | None  # the column after the last character on that line, where that is known


START: Final = Span(1, 1, None)


@dataclass(slots=True)
class Document:
    """One file, read. Not `usable`: what was read is not all of what was written."""

    file: str
    lines: list[str] = field(default_factory=list)
    value: object = None
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    keys: dict[Path, Span] = field(default_factory=dict)
    values: dict[Path, Span] = field(default_factory=dict)

    def key(self, path: Path) -> Span:
        """Where the key at `path` is written; of a list's element, the element; of the whole, the start."""
        return self.keys.get(path) or self.values.get(path) or START

    def value_at(self, path: Path) -> Span:
        """Where the value at `path` is written; where it has none, its key."""
        return self.values.get(path) or self.key(path)

    def name(self, path: Path) -> Span:
        """Where the entry at `path` is named: its key, or the value of its `id`."""
        if not path:
            return START
        return (self.values.get((*path, "id")) if isinstance(path[-1], int) else None) or self.key(path)

    def written(self, span: Span) -> str:
        """The text at `span`, as far as it stands on one line."""
        return self.lines[span.line - 1][span.column - 1 : span.end_column and span.end_column - 1]

    def finding(
        self,
        code: str,
        message: str,
        span: Span,
        *,
        help: str | None = None,
        severity: FindingSeverity = FindingSeverity.ERROR,
        related: Iterable[Related] = (),
    ) -> Finding:
        return Finding(
            code=code,
            message=message,
            file=self.file,
            line=span.line,
            column=span.column,
            end_column=span.end_column,
            help=help,
            severity=severity,
            related=tuple(related),
        )

    def related(self, message: str, span: Span) -> Related:
        return Related(file=self.file, line=span.line, column=span.column, message=message)

    def refuse(self, code: str, message: str, span: Span, *, help: str | None = None) -> None:
        self.usable = False
        self.findings.append(self.finding(code, message, span, help=help))


def read_document(data: bytes, *, file: str) -> Document:
    """Read one file; what is wrong with it is in `findings`. Never raises."""
    document = Document(file)
    text = _decoded(data, document)
    document.lines = LINE_BREAK.split(text)
    if document.usable:
        _Builder(document).build(text)
    return document


# -- bytes -> text -------------------------------------------------------------------------------------------------

LINE_BREAK: Final = re.compile(r"\r\n|\n|\r")
# What YAML does not allow, and what libyaml takes for a line break where an editor shows none.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "the file begins with a byte order mark",
    b"\xff\xfe": "the file is UTF-16, not UTF-8",
    b"\xfe\xff": "the file is UTF-16, not UTF-8",
}


def _decoded(data: bytes, document: Document) -> str:
    for mark, message in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            document.refuse("OWN001", message, START, help="save it as UTF-8 without a byte order mark")
            return data.decode(errors="replace") if mark == b"\xef\xbb\xbf" else ""
    if len(data) > MAX_BYTES:
        text = data[:MAX_BYTES].decode(errors="ignore")
        document.refuse(
            "OWN002", "the file is larger than 4 MiB", _span_at(text, len(text)), help="split it, with `include`"
        )
        return text
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        text = data[: exc.start].decode()
        document.refuse(
            "OWN001", f"not UTF-8: byte 0x{data[exc.start]:02x}", _span_at(text, len(text)), help="save it as UTF-8"
        )
        return text
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        code = f"U+{ord(unprintable[0]):04X}"
        document.refuse(
            "OWN001",
            f"character {code} is not allowed",
            _span_at(text, unprintable.start()),
            help=f'delete it, or write "\\u{ord(unprintable[0]):04x}" in double quotes',
        )
    return text


def _span_at(text: str, offset: int) -> Span:
    lines = LINE_BREAK.split(text[:offset])
    return Span(len(lines), len(lines[-1]) + 1, None)


# -- text -> values ------------------------------------------------------------------------------------------------

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# Without a leading zero (YAML 1.1 and 1.2 read 0123 differently), and never as many digits as would cost time.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")


class _Refused(Exception):
    """Nothing more is to be read of this file."""


class _Frame:
    """A collection that is being filled. `path` is None where nothing of it will be used."""

    __slots__ = ("container", "key", "path")

    def __init__(self, container: dict[str, object] | list[object], path: Path | None) -> None:
        self.container = container
        self.path = path
        self.key: str | None = None  # of a mapping, whose value comes next


class _Builder:
    """Builds values from events with a stack of its own: nesting costs no recursion."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._stack: list[_Frame] = []
        self._documents = 0

    def build(self, text: str) -> None:
        try:
            for event in _events(text):
                self._take(event)
        except _Refused:
            return
        except yaml.MarkedYAMLError as exc:
            self._not_yaml(exc)
        except yaml.YAMLError as exc:
            self._document.refuse("OWN001", f"not YAML: {exc}", START)

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._check_properties(event, event.tag)
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._check_properties(event, event.tag)
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._stack.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._refuse("OWN002", "a second document begins here", _span(event), help="one file, one document")
                raise _Refused

    def _alias(self, event: yaml.AliasEvent) -> None:
        advice = "write the value out, or quote it if it is text"
        self._refuse("OWN002", "aliases are not allowed", _span(event), help=advice)
        if self._awaits_key():
            self._stack[-1].key = ""
        else:
            self._place(None, _span(event))

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        plain = event.style is None or event.style == ""
        if self._awaits_key():
            self._take_key(self._stack[-1], event.value, _span(event), plain=plain)
        else:
            self._place(_scalar_value(event.value) if plain else event.value, _span(event))

    def _take_key(self, frame: _Frame, key: str, span: Span, *, plain: bool) -> None:
        if key == "<<" and plain:
            self._refuse("OWN002", "merge keys are not allowed", span, help="write the keys out")
        frame.key = key
        if frame.path is None or not isinstance(frame.container, dict):
            return
        path = (*frame.path, key)
        if key in frame.container:
            first = self._document.keys[path]
            self._add("OWN003", f'duplicate key "{key}", which is already in line {first.line}', span)
        else:
            self._document.keys[path] = span

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        span = _span(event)._replace(end_column=None)
        if len(self._stack) >= MAX_DEPTH:
            self._refuse("OWN002", f"nested more than {MAX_DEPTH} deep", span)
            raise _Refused
        container: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
        if self._awaits_key():
            self._refuse("OWN005", "a key must be text, not a list or a mapping", span)
            self._stack[-1].key = ""
            path = None
        else:
            path = self._place(container, span)
        self._stack.append(_Frame(container, path))

    def _awaits_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].container, dict) and self._stack[-1].key is None

    def _place(self, value: object, span: Span) -> Path | None:
        """Put `value` where it belongs; its path, or None if it is of no use there."""
        if not self._stack:
            self._document.value = value
            path: Path | None = ()
        else:
            path = self._put(self._stack[-1], value)
        if path is not None:
            self._document.values[path] = span
        return path

    def _put(self, frame: _Frame, value: object) -> Path | None:
        if isinstance(frame.container, list):
            frame.container.append(value)
            return None if frame.path is None else (*frame.path, len(frame.container) - 1)
        key, frame.key = frame.key or "", None
        if key in frame.container:
            return None  # a duplicate: the first one stays
        frame.container[key] = value
        return None if frame.path is None else (*frame.path, key)

    def _check_properties(self, event: yaml.NodeEvent, tag: str | None) -> None:
        if event.anchor is not None:
            self._refuse("OWN002", f"anchors are not allowed: &{event.anchor}", self._at("&", _span(event)))
        if tag is not None:
            advice = "quote the value if it is text"
            self._refuse("OWN002", "tags are not allowed", self._at("!", _span(event)), help=advice)

    def _at(self, sign: str, span: Span) -> Span:
        """Where `sign` stands from `span` on: an anchor and a tag may stand in either order."""
        found = self._document.lines[span.line - 1].find(sign, span.column - 1)
        return Span(span.line, found + 1, None) if found != -1 else span

    def _not_yaml(self, exc: yaml.MarkedYAMLError) -> None:
        mark = exc.problem_mark or exc.context_mark
        if exc.context is not None and exc.context_mark is not None and exc.context.startswith("while scanning a"):
            mark = exc.context_mark if exc.context.endswith(("alias", "anchor")) else mark
        lines = self._document.lines
        line = min(mark.line, len(lines) - 1) if mark is not None else 0
        column = min(mark.column, len(lines[line])) if mark is not None and mark.line == line else len(lines[line])
        indent = re.match(r"[ \t]*", lines[line])
        if indent is not None and "\t" in indent[0]:
            column = indent[0].index("\t")
        message, advice = _explained(exc, lines[line][column : column + 1])
        self._document.refuse("OWN001", f"not YAML: {message}", Span(line + 1, column + 1, None), help=advice)

    def _refuse(self, code: str, message: str, span: Span, *, help: str | None = None) -> None:
        self._document.usable = False
        self._add(code, message, span, help=help)

    def _add(self, code: str, message: str, span: Span, *, help: str | None = None) -> None:
        self._document.findings.append(self._document.finding(code, message, span, help=help))
        if len(self._document.findings) >= _ENOUGH_FINDINGS:
            self._document.usable = False
            raise _Refused


def _events(text: str) -> Iterator[yaml.Event]:
    yield from yaml.parse(text, Loader=yaml.CSafeLoader)


def _scalar_value(text: str) -> object:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    return int(text) if _INTEGER.fullmatch(text) else text


def _span(event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:  # the stubs allow it, no parser does it
        return START
    return Span(start.line + 1, start.column + 1, end.column + 1 if end.line == start.line else None)


def _explained(exc: yaml.MarkedYAMLError, character: str) -> tuple[str, str | None]:
    if character == "\t":
        return "a tab", "indent with spaces"
    if character and character in "@`":
        return f"a value cannot begin with {character}", "put it in quotes"
    if character and character in "*&%":
        return f"{exc.problem or 'unreadable'}, at {character}", "put a value that begins with it in quotes"
    if exc.problem is not None and exc.problem.startswith("mapping values are not allowed"):
        return 'a second ": " in one value, or a wrong indent', "put the value in quotes"
    return ", ".join(filter(None, (exc.problem, exc.context))) or "unreadable", None
