"""YAML as rule files use it: text -> nodes, each with the place where it is used, as far as it can be read.

Anchors, aliases and merge keys are fine here: an alias is the same node once more, so nothing is copied but the keys
that a merge brings, and those are counted. Tags are passed over. As for the map, only the events of PyYAML's C parser
are used: its loader crashes the interpreter on deep nesting.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

import yaml

from router.ownership_file.document import MAX_DEPTH, START, Span

MAX_VALUES: Final = 500_000  # of one file: some 40,000 alert rules, and a few seconds
MAX_DIRECTIVES: Final = 64  # libyaml compares each with all before it: 100,000 of them cost half a minute

_DIRECTIVE: Final = re.compile("^%", re.MULTILINE)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})


class ReadingStopped(Exception):
    """Nothing more is to be read of this file; what was read before stays."""

    def __init__(self, reason: str, span: Span) -> None:
        self.reason = reason
        self.span = span
        super().__init__(reason)


class Budget:
    """How much may be made of one file. Aliases cost nothing to write, and multiply what they name."""

    def __init__(self) -> None:
        self._left = MAX_VALUES

    def spend(self, amount: int, span: Span) -> None:
        self._left -= amount
        if self._left < 0:
            raise ReadingStopped(f"more than {MAX_VALUES:,} values, counting what aliases repeat", span)


@dataclass(slots=True)
class MappingNode:
    """Of two equal keys the first stays: where a template chooses between two, the one that it names first."""

    entries: "dict[str, Placed]" = field(default_factory=dict)
    complete: bool = False  # stays False where reading stopped inside of it


@dataclass(slots=True)
class SequenceNode:
    entries: "list[Placed]" = field(default_factory=list)


# A scalar is its text as written, as Prometheus takes `severity: 1` for "1"; an unquoted null is the empty text.
Node: TypeAlias = str | MappingNode | SequenceNode


class Placed(NamedTuple):
    """A node and where it is used; if that is by an alias, the place of the alias."""

    node: Node
    span: Span


@dataclass(slots=True)
class Nodes:
    """The root of every document of one file."""

    documents: list[Placed] = field(default_factory=list)
    collection_as_key: bool = False  # no rule file has that, but an unquoted `{{ .Values.team }}` reads so
    stopped: ReadingStopped | None = None


def read_nodes(text: str, *, whole: bool = True, restored: Callable[[str], str] = str) -> Nodes:
    """The nodes of `text` up to where reading stops. Every scalar goes through `restored`. Never raises.

    If `text` is not `whole`, what ends only with it is not complete: nobody knows how it goes on.
    """
    builder = _Builder(restored)
    try:
        for event in _events(text):
            if not whole and isinstance(event, yaml.CollectionEndEvent) and _index(event) >= len(text):
                break
            builder.take(event)
    except ReadingStopped as exc:
        builder.nodes.stopped = exc
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        span = Span(mark.line + 1, mark.column + 1, None) if mark is not None else START
        builder.nodes.stopped = ReadingStopped(", ".join(filter(None, (exc.problem, exc.context))), span)
    except yaml.YAMLError as exc:
        builder.nodes.stopped = ReadingStopped(str(exc), START)
    return builder.nodes


def _events(text: str) -> Iterator[yaml.Event]:
    if len(_DIRECTIVE.findall(text)) > MAX_DIRECTIVES:
        raise ReadingStopped(f"more than {MAX_DIRECTIVES} lines begin with %", START)
    yield from yaml.parse(text, Loader=yaml.CSafeLoader)


class _Frame:
    """A collection that is being filled. `key` is what the next value of a mapping is for, None if of no use."""

    __slots__ = ("anchor", "awaits_key", "key", "merged", "merges", "node")

    def __init__(self, node: MappingNode | SequenceNode, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.awaits_key = isinstance(node, MappingNode)
        self.key: str | None = None
        self.merges = False  # the next value is what `<<` names
        self.merged: list[Placed] = []


class _Builder:
    """Builds nodes from events with a stack of its own: nesting costs no recursion."""

    def __init__(self, restored: Callable[[str], str]) -> None:
        self.nodes = Nodes()
        self._budget = Budget()
        self._restored = restored
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        plain = not event.style
        text = "" if plain and event.value in _NULLS else self._restored(event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = text
        if self._awaits_key():
            self._take_key(text, merges=plain and text == "<<")
        else:
            self._place(text, _span(event))

    def _alias(self, event: yaml.AliasEvent) -> None:
        # An anchor counts once its node is complete, so no node is inside of itself.
        node = self._anchors.get(event.anchor or "")
        if node is None:
            raise ReadingStopped(f"nothing before it is called *{event.anchor}", _span(event))
        if self._awaits_key():
            self._take_key(node if isinstance(node, str) else None)
        else:
            self._place(node, _span(event))

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        span = _span(event)._replace(end_column=None)
        if len(self._stack) >= MAX_DEPTH:
            raise ReadingStopped(f"nested more than {MAX_DEPTH} deep", span)
        node = MappingNode() if isinstance(event, yaml.MappingStartEvent) else SequenceNode()
        if self._awaits_key():
            self._take_key(None)
        else:
            self._place(node, span)
        self._stack.append(_Frame(node, event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        if isinstance(frame.node, MappingNode):
            for source, span in frame.merged:
                self._merge(frame.node, source, span)
            frame.node.complete = True
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.node

    def _merge(self, node: MappingNode, source: Node, span: Span) -> None:
        """The keys of the mapping, or of each of the mappings, that `<<` names; what is there already stays."""
        for merged in source.entries if isinstance(source, SequenceNode) else [Placed(source, span)]:
            self._budget.spend(1, span)
            if isinstance(merged.node, MappingNode):
                self._budget.spend(len(merged.node.entries), span)
                for key, placed in merged.node.entries.items():
                    node.entries.setdefault(key, placed)

    def _awaits_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].awaits_key

    def _take_key(self, key: str | None, *, merges: bool = False) -> None:
        frame = self._stack[-1]
        frame.key, frame.merges, frame.awaits_key = key, merges, False
        self.nodes.collection_as_key |= key is None

    def _place(self, node: Node, span: Span) -> None:
        self._budget.spend(1, span)
        placed = Placed(node, span)
        if not self._stack:
            self.nodes.documents.append(placed)
            return
        frame = self._stack[-1]
        if isinstance(frame.node, SequenceNode):
            frame.node.entries.append(placed)
            return
        frame.awaits_key = True
        if frame.merges:
            frame.merged.append(placed)
        elif frame.key is not None:
            frame.node.entries.setdefault(frame.key, placed)


def _index(event: yaml.Event) -> int:
    """The number of characters before it."""
    return event.start_mark.index if event.start_mark is not None else 0


def _span(event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:  # the stubs allow it, no parser does it
        return START
    return Span(start.line + 1, start.column + 1, end.column + 1 if end.line == start.line else None)
