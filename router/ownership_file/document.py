"""YAML as the map uses it: bytes -> plain values, each with the place where it was written.

PyYAML limits nothing: its constructor follows aliases into billions of values, reads `10:00` as 600 and keeps the last
of two equal keys, and the C loader crashes the interpreter on deep nesting. So only its events are used, one by one.
Scalars are those of YAML 1.2's core schema as far as the map needs them: null, booleans, decimal integers; all else is
the text as written.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import yaml

from router.core.findings import Finding, FindingSeverity, Related
from router.core.quoting import quoted
from router.ownership_file.traps import NUMBER_STARTS, taken_for

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 64
# PyYAML takes more than a second for a million events. A map of 30,000 entries has half of that.
MAX_EVENTS: Final = 1_100_000
MAX_EVENTS_OF_ENTRY: Final = 50_000  # so that no entry has more defects than fit into memory
_ENOUGH_FINDINGS: Final = 50  # of one file's YAML; whoever has so many has one cause
_ENOUGH_NOTES: Final = 1_000  # of values that are empty, and of those that other readers take for something else
# Their entries count one by one, all that is below another key of the file counts as one.
SECTIONS: Final = frozenset({"teams", "services", "jobs", "rules", "overrides", "namespaces", "tests"})

Path = tuple[str | int, ...]


class Span(NamedTuple):
    """Where something is written; lines and columns count from 1, columns in characters."""

    line: int
    column: int
    end_column: int | None  # the column after the last character on that line, where that is known


START: Final = Span(1, 1, None)

# A place as one integer, a quarter of the memory of a Span: a line, a column, and the column after or 0, each from 0.
# The longest line of a file has as many characters as the file may have bytes.
_BITS: Final = MAX_BYTES.bit_length()
_MASK: Final = (1 << _BITS) - 1
_LINE: Final = 2 * _BITS
_COLUMN: Final = _BITS


def _span(place: int) -> Span:
    end = place & _MASK
    return Span((place >> _LINE) + 1, (place >> _COLUMN & _MASK) + 1, end + 1 if end else None)


class WrittenMapping(dict[str, object]):
    """A mapping of a file, with the places of its keys and values."""

    __slots__ = ("key_places", "value_places")

    def __init__(self) -> None:
        self.key_places: dict[str, int] = {}
        self.value_places: dict[str, int] = {}


class WrittenList(list[object]):
    """A list of a file, with the places of its elements."""

    __slots__ = ("places",)

    def __init__(self) -> None:
        self.places: list[int] = []


NOTHING: Final = object()


def below(value: object, part: str | int) -> object:
    """The value at the key or index `part` of `value`; NOTHING if there is none."""
    if isinstance(value, dict):
        return value.get(part, NOTHING)
    return value[part] if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value) else NOTHING


class Trap(NamedTuple):
    """An unquoted scalar that other YAML readers take for something else."""

    path: Path
    is_key: bool
    text: str


@dataclass(slots=True)
class Document:
    """One file, read. Not `usable`: what was read is not all of what was written."""

    file: str
    text: str | None = field(default=None, repr=False)  # None if it could not be opened
    value: object = None
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    empty: list[Path] = field(default_factory=list)  # where a value is missing: the first thousand
    traps: list[Trap] = field(default_factory=list)  # the first thousand
    _lines: list[str] | None = field(default=None, init=False, repr=False)
    _root: int | None = field(default=None, init=False, repr=False)

    @property
    def lines(self) -> list[str]:
        if self._lines is None:
            self._lines = LINE_BREAK.split(self.text) if self.text is not None else []
        return self._lines

    @property
    def keys(self) -> Mapping[Path, Span]:
        """Where every key is written, by the path of its value."""
        return _Places(self, self._key_place, lists=False)

    @property
    def values(self) -> Mapping[Path, Span]:
        """Where every value is written, by its path; of the whole, ()."""
        return _Places(self, self._value_place, lists=True)

    def key(self, path: Path) -> Span:
        """Where the key at `path` is written; of a list's element, the element; of the whole, the start."""
        place = self._key_place(path)
        if place is None:
            place = self._value_place(path)
        return _span(place) if place is not None else START

    def value_at(self, path: Path) -> Span:
        """Where the value at `path` is written; where it has none, the name of the entry that lacks it."""
        place = self._value_place(path)
        while place is None and path:
            path = path[:-1]
            if self._value_place(path) is not None:
                return self.name(path)
        return _span(place) if place is not None else START

    def name(self, path: Path) -> Span:
        """Where the entry at `path` is named: its key, or the value of its `id`."""
        if not path:
            return START
        place = self._value_place((*path, "id")) if isinstance(path[-1], int) else None
        return _span(place) if place is not None else self.key(path)

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
        return Related(file=self.file, line=span.line, column=span.column, end_column=span.end_column, message=message)

    def refuse(self, code: str, message: str, span: Span, *, help: str | None = None) -> None:
        self.usable = False
        self.findings.append(self.finding(code, message, span, help=help))

    def take_root(self, value: object, place: int) -> None:
        self.value, self._root = value, place

    def _holder(self, path: Path) -> object:
        value = self.value
        for part in path[:-1]:
            value = below(value, part)
        return value

    def _key_place(self, path: Path) -> int | None:
        holder = self._holder(path)
        return holder.key_places.get(str(path[-1])) if path and isinstance(holder, WrittenMapping) else None

    def _value_place(self, path: Path) -> int | None:
        if not path:
            return self._root
        holder, last = self._holder(path), path[-1]
        if isinstance(holder, WrittenMapping) and isinstance(last, str):
            return holder.value_places.get(last)
        if isinstance(holder, WrittenList) and isinstance(last, int) and 0 <= last < len(holder):
            return holder.places[last]
        return None


class _Places(Mapping[Path, Span]):
    """Places by path, looked up where they are kept: a path for each would cost more than all the rest."""

    def __init__(self, document: Document, place: Callable[[Path], int | None], *, lists: bool) -> None:
        self._document = document
        self._place = place
        self._lists = lists

    def __getitem__(self, path: Path) -> Span:
        place = self._place(path)
        if place is None:
            raise KeyError(path)
        return _span(place)

    def __iter__(self) -> Iterator[Path]:
        """In the order in which they are written."""
        if self._lists and () in self:
            yield ()
        waiting: list[Iterator[tuple[Path, object]]] = [_children((), self._document.value, lists=self._lists)]
        while waiting:
            found = next(waiting[-1], None)
            if found is None:
                waiting.pop()
                continue
            path, value = found
            if self._lists or isinstance(path[-1], str):
                yield path
            waiting.append(_children(path, value, lists=self._lists))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _children(path: Path, value: object, *, lists: bool) -> Iterator[tuple[Path, object]]:
    if isinstance(value, WrittenMapping):
        yield from (((*path, key), value.get(key)) for key in (value.value_places if lists else value.key_places))
    elif isinstance(value, WrittenList):
        yield from (((*path, index), element) for index, element in enumerate(value))


def read_document(data: bytes, *, file: str) -> Document:
    """Read one file; what is wrong with it is in `findings`. Never raises."""
    document = Document(file)
    text = document.text = _decoded(data, document)
    if document.usable:
        _Builder(document).build(text)
    return document


# -- bytes -> text -------------------------------------------------------------------------------------------------

LINE_BREAK: Final = re.compile(r"\r\n|\n|\r")
# What YAML does not allow, and what libyaml takes for a line break where an editor shows none.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
# libyaml compares each tag directive with all before it; a map needs none.
_TAG_DIRECTIVE: Final = re.compile(r"(?:\A|(?<=[\r\n]))%[ \t]*TAG[^\r\n]*")
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "the file begins with a byte order mark",
    b"\xff\xfe": "the file is UTF-16, not UTF-8",
    b"\xfe\xff": "the file is UTF-16, not UTF-8",
}


def _decoded(data: bytes, document: Document) -> str:
    for mark, message in _BYTE_ORDER_MARKS.items():
        if data.startswith(mark):
            document.refuse("OWN001", message, START, help="save it as UTF-8 without a byte order mark")
            return data[:MAX_BYTES].decode(errors="replace") if mark == b"\xef\xbb\xbf" else ""
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
        span = _span_at(text, len(text))
        document.refuse("OWN001", f"not UTF-8: byte 0x{data[exc.start]:02x}", span, help="save it as UTF-8")
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
    directive = _TAG_DIRECTIVE.search(text)
    if directive is not None:
        document.refuse("OWN002", "tags are not allowed", _span_at(text, directive.start()), help="delete this line")
    return text


def _span_at(text: str, offset: int) -> Span:
    lines = LINE_BREAK.split(text[:offset])
    return Span(len(lines), len(lines[-1]) + 1, None)


# -- text -> values ------------------------------------------------------------------------------------------------

_CORE: Final[Mapping[str, object]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WORDS: Final = frozenset(_CORE) | {
    form for word in ("yes", "no", "on", "off") for form in (word, word.capitalize(), word.upper())
}
_TRAP_STARTS: Final = NUMBER_STARTS | {"=", "<"}
# Without a leading zero (YAML 1.1 and 1.2 read 0123 differently), and never as many digits as would cost time.
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")


class _Refused(Exception):
    """Nothing more is to be read of this file."""


_Collection = WrittenMapping | WrittenList
_A_COLLECTION: Final = "a collection where a key must be"


class _Builder:
    """Builds values from events with a stack of its own: nesting costs no recursion."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._documents = 0
        self._container: _Collection | None = None  # the innermost that is open
        self._key: str | None = None  # of a mapping, whose value comes next
        self._around: list[tuple[_Collection | None, str | None]] = []  # the same of those around it, outermost first
        self._detached = 0  # how many of the open ones are no part of the document's value
        self._limit = MAX_EVENTS
        self._entry_depth: int | None = None  # where the entry is open whose events are counted

    def build(self, text: str) -> None:
        try:
            self._take(yaml.CSafeLoader(text))
        except _Refused:
            return
        except yaml.MarkedYAMLError as exc:
            self._not_yaml(exc)
        except yaml.YAMLError as exc:
            self._document.refuse("OWN001", f"not YAML: {exc}", START)

    def _take(self, parser: yaml.CSafeLoader) -> None:
        taken = 0
        while (event := parser.get_event()) is not None:
            taken += 1
            if taken > self._limit:
                self._too_many(event)
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event, taken)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self._document_start(event)

    def _document_start(self, event: yaml.DocumentStartEvent) -> None:
        self._documents += 1
        if self._documents > 1:
            self._refuse("OWN002", "a second document begins here", _place(event), help="one file, one document")
            raise _Refused

    # -- scalars

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        place = _place(event)
        if event.anchor is not None or event.tag is not None:
            self._check_properties(event, event.tag, place)
        if self._key is None and isinstance(self._container, WrittenMapping):
            self._take_key(self._container, event.value, place, plain=not event.style)
        elif event.style or (event.value not in _WORDS and event.value[0] not in _TRAP_STARTS):
            self._put(event.value, place)
        else:
            self._put(self._plain(event.value), place)

    def _take_key(self, mapping: WrittenMapping, key: str, place: int, *, plain: bool) -> None:
        self._key = key
        if key not in mapping.key_places:
            mapping.key_places[key] = place
        else:
            first = _span(mapping.key_places[key])
            related = [self._document.related(f"the first {quoted(key)}", first)]
            message = f"duplicate key {quoted(key)}, which is already in line {first.line}"
            self._add("OWN003", message, place, help="delete one of them, or rename it", related=related)
        if plain and (key in _WORDS or key[0] in _TRAP_STARTS):
            if key == "<<":
                self._refuse("OWN002", "merge keys are not allowed", place, help="write the keys out")
            else:
                self._note_trap(key, is_key=True)

    def _plain(self, text: str) -> object:
        if text in _CORE:
            value = _CORE[text]
            if value is None and not self._detached and len(self._document.empty) < _ENOUGH_NOTES:
                self._document.empty.append(self._path())
            return value
        if _INTEGER.fullmatch(text):
            return int(text)
        self._note_trap(text, is_key=False)
        return text

    def _note_trap(self, text: str, *, is_key: bool) -> None:
        traps = self._document.traps
        if len(traps) < _ENOUGH_NOTES and not self._detached and taken_for(text) is not None:
            traps.append(Trap(self._path(), is_key, text))

    # -- collections

    def _open(self, event: yaml.CollectionStartEvent, taken: int) -> None:
        place = _place(event) & ~_MASK
        if event.anchor is not None or event.tag is not None:
            self._check_properties(event, event.tag, place)
        depth = len(self._around)
        if depth >= MAX_DEPTH:
            self._refuse("OWN002", f"nested more than {MAX_DEPTH} deep", place, help="a map needs no more than six")
            raise _Refused
        if self._entry_depth is None and (depth == 2 or (depth == 1 and self._key not in SECTIONS)):
            self._entry_depth = depth
            self._limit = min(taken + MAX_EVENTS_OF_ENTRY, MAX_EVENTS)
        opened = WrittenMapping() if isinstance(event, yaml.MappingStartEvent) else WrittenList()
        key = self._key
        if key is None and isinstance(self._container, WrittenMapping):
            advice = "a value that begins with { or [ is text only in quotes; there are no templates"
            self._refuse("OWN005", "a key must be text, not a list or a mapping", place, help=advice)
            key = _A_COLLECTION
            self._detached += 1
        elif not self._put(opened, place) or self._detached:
            self._detached += 1
        self._around.append((self._container, key))
        self._container, self._key = opened, None

    def _close(self) -> None:
        self._container, key = self._around.pop()
        self._key = "" if key is _A_COLLECTION else None
        if self._detached:
            self._detached -= 1
        if len(self._around) == self._entry_depth:
            self._entry_depth = None
            self._limit = MAX_EVENTS

    def _put(self, value: object, place: int) -> bool:
        """Put `value` where it belongs; False if it is of no use there."""
        container, key = self._container, self._key
        self._key = None
        if isinstance(container, WrittenMapping):
            if key is None or key in container:
                return False  # a duplicate: the first one stays
            container[key] = value
            container.value_places[key] = place
        elif container is not None:
            container.append(value)
            container.places.append(place)
        else:
            self._document.take_root(value, place)
        return True

    def _path(self) -> Path:
        """Of the scalar that is being read, or of the value of the key that is being read."""
        path = [len(each) - 1 if key is None else key for each, key in self._around[1:] if each is not None]
        if self._container is not None:
            path.append(len(self._container) if self._key is None else self._key)
        return tuple(path)

    # -- what is refused

    def _alias(self, event: yaml.AliasEvent) -> None:
        advice = "write the value out, or quote it if it is text"
        self._refuse("OWN002", "aliases are not allowed", _place(event), help=advice)
        if self._key is None and isinstance(self._container, WrittenMapping):
            self._key = ""
        else:
            self._put(None, _place(event))

    def _check_properties(self, event: yaml.NodeEvent, tag: str | None, place: int) -> None:
        line, column, _ = _span(place)
        # An anchor and a tag may stand in either order, before the value that the place is of, or where it begins.
        written = self._document.lines[line - 1]
        if event.anchor is not None:
            found = re.compile(r"&[^\s,\[\]{}]*").search(written, column - 1)
            span = Span(line, found.start() + 1, found.end() + 1) if found else _span(place)
            self._refuse(
                "OWN002", f"anchors are not allowed: {quoted(f'&{event.anchor}')}", span, help="write the value out"
            )
        if tag is not None:
            found = re.compile(r"!\S*").search(written, column - 1)
            span = Span(line, found.start() + 1, found.end() + 1) if found else _span(place)
            self._refuse("OWN002", "tags are not allowed", span, help="quote the value if it is text")

    def _too_many(self, event: yaml.Event) -> None:
        if self._entry_depth is None or self._limit == MAX_EVENTS:
            message, advice = (
                f"more than {MAX_EVENTS:,} keys, values and brackets in a file",
                "split it, with `include`",
            )
        else:
            message = f"more than {MAX_EVENTS_OF_ENTRY:,} keys, values and brackets in an entry"
            advice = "make several entries of it"
        self._refuse("OWN002", message, _place(event), help=advice)
        raise _Refused

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
        begin = exc.context_mark
        related = []
        if begin is not None and begin.line != line:
            related.append(self._document.related("what is not finished begins here", _span_at_mark(begin)))
        self._document.usable = False
        span = Span(line + 1, column + 1, None)
        finding = self._document.finding("OWN001", f"not YAML: {message}", span, help=advice, related=related)
        self._document.findings.append(finding)

    def _refuse(self, code: str, message: str, at: int | Span, *, help: str | None = None) -> None:
        self._document.usable = False
        self._add(code, message, at, help=help)

    def _add(
        self, code: str, message: str, at: int | Span, *, help: str | None = None, related: Iterable[Related] = ()
    ) -> None:
        span = _span(at) if isinstance(at, int) else at
        self._document.findings.append(self._document.finding(code, message, span, help=help, related=related))
        if len(self._document.findings) >= _ENOUGH_FINDINGS:
            self._document.usable = False
            raise _Refused


def _place(event: yaml.Event) -> int:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:  # the stubs allow it, no parser does it
        return 0
    place: int = start.line << _LINE | start.column << _COLUMN
    return place | end.column if end.line == start.line else place


def _span_at_mark(mark: yaml.Mark) -> Span:
    return Span(mark.line + 1, mark.column + 1, None)


# libyaml's words, by how they begin (api.c, parser.c and scanner.c), in those of people.
_PROBLEMS: Final[Mapping[str, tuple[str, str | None]]] = {
    "mapping values are not allowed": ('a second ": " in one value, or a wrong indent', "put the value in quotes"),
    "did not find expected key": (
        "neither a key nor the end of the mapping",
        "indent its keys alike; a value that begins with a quote ends with it",
    ),
    "did not find expected '-' indicator": (
        "a key where the list goes on",
        "indent it as the list's key, or begin with -",
    ),
    "did not find expected ',' or ']'": ("a list that is not closed", "end it with ]"),
    "did not find expected ',' or '}'": ("a mapping that is not closed", "end it with }"),
    "block sequence entries are not allowed": ("a list begins on a line of its own", "put - on the next line"),
    "found unexpected end of stream": ("a quote that is not closed", "end it with the same quote"),
    "found unknown escape character": (r"an unknown escape: \ has a meaning in double quotes", "use single quotes"),
}


def _explained(exc: yaml.MarkedYAMLError, character: str) -> tuple[str, str | None]:
    if character == "\t":
        return "a tab", "indent with spaces"
    if character and character in "@`*&%!":
        return f"a value cannot begin with {character}", "put it in quotes"
    for words, explained in _PROBLEMS.items():
        if exc.problem is not None and exc.problem.startswith(words):
            return explained
    return ", ".join(filter(None, (exc.problem, exc.context))) or "unreadable", None
