"""Alertmanager's configuration file as far as routing goes: the tree of routes, the receivers, and what else is there.

Only matchers and names, never an address or a token of a receiver, is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from router.core.errors import MatcherInvalid, RouterError
from router.core.matchers import Matcher, Operator
from router.mapmaking.classic_matchers import configured_matchers
from router.ownership_file.document import START, Span
from router.ownership_file.loading import displayed
from router.rule_files.nodes import MappingNode, Placed, SequenceNode, read_nodes

_MAX_BYTES: Final = 4 * 1024 * 1024
_MAX_ROUTES: Final = 10_000  # counting those that aliases repeat
_MAX_DEPTH: Final = 64
_TRUE: Final = frozenset({"true", "yes", "on", "y"})  # of YAML 1.1, which Alertmanager reads


class ConfigInvalid(RouterError):
    """The file is not a configuration that Alertmanager would take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that a map does not say, and where it is written."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One node of the tree. Receiver and labels are its own or, where it has none, those above it."""

    receiver: str
    matchers: tuple[Matcher, ...]
    continues: bool
    labels: Mapping[str, str]
    routes: "tuple[Route, ...]"
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    name: str
    channels: tuple[str, ...]  # of its Slack integrations, as written; empty text where one names none
    sends: bool  # False: it has no integration at all, so what is routed there reaches nobody
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerConfig:
    file: str
    root: Route
    receivers: Mapping[str, Receiver]
    notes: tuple[Note, ...]  # what a map does not say, in file order


def read_config(path: Path) -> AlertmanagerConfig:
    """The configuration in `path`. Raises ConfigInvalid with file, line and column."""
    file = displayed(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ConfigInvalid(f"{file}:1:1: larger than 4 MiB")
        text = data.decode("utf-8-sig")
    except OSError as exc:
        raise ConfigInvalid(f"{file}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigInvalid(f"{file}:{line}:1: not UTF-8: byte 0x{data[exc.start]:02x}") from exc
    nodes = read_nodes(text)
    if nodes.stopped is not None:
        line, column, _ = nodes.stopped.span
        raise _invalid(file, Span(min(line, text.rstrip().count("\n") + 1), column, None), nodes.stopped.reason)
    if not nodes.documents or not isinstance(nodes.documents[0].node, MappingNode):
        raise _invalid(file, START, "the file must be a mapping: route, receivers")
    return _Reader(file).read(nodes.documents[0].node)


def _invalid(file: str, span: Span, reason: str) -> ConfigInvalid:
    return ConfigInvalid(f"{file}:{span.line}:{span.column}: {reason}")


# What stays where it is while Alertmanager stands before the router, as it must.
_ROUTE_TIMES: Final = ("group_by", "group_wait", "group_interval", "repeat_interval")
_ROUTE_INTERVALS: Final = ("mute_time_intervals", "active_time_intervals")
_KNOWN: Final = frozenset({"receiver", "match", "match_re", "matchers", "continue", "routes", "labels"})
_ELSEWHERE: Final[Mapping[str, str]] = {
    "global": "addresses and defaults of receivers; the router has settings of its own",
    "templates": "the router writes its messages itself",
    "inhibit_rules": "Alertmanager applies them before it tells the router: keep them there",
    "time_intervals": "Alertmanager applies them before it tells the router: keep them there",
    "mute_time_intervals": "Alertmanager applies them before it tells the router: keep them there",
}


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._notes: list[Note] = []
        self._routes = 0

    def read(self, config: MappingNode) -> AlertmanagerConfig:
        receivers = {receiver.name: receiver for receiver in self._receivers(config.entries.get("receivers"))}
        route = config.entries.get("route")
        if route is None or not isinstance(route.node, MappingNode):
            raise self._invalid(route.span if route is not None else START, '"route" is missing')
        root = self._route(route, receivers, above=None, depth=0)
        for key, (node, span) in config.entries.items():
            if key in ("route", "receivers") or node == "":
                continue
            reason = _ELSEWHERE.get(key, "the map has nothing like it")
            parts = node.entries if key == "inhibit_rules" and isinstance(node, SequenceNode) else [Placed(node, span)]
            for _, part in parts:
                self._note(part, f"{key}: {reason}")
        in_order = sorted(dict.fromkeys(self._notes), key=lambda note: (note.line, note.column))
        return AlertmanagerConfig(file=self._file, root=root, receivers=receivers, notes=tuple(in_order))

    # -- receivers -------------------------------------------------------------------------------------------------

    def _receivers(self, placed: Placed | None) -> Iterator[Receiver]:
        for node, span in self._elements(placed, "receivers"):
            if not isinstance(node, MappingNode) or not self._text(node, "name"):
                raise self._invalid(span, "a receiver needs a name")
            yield self._receiver(node, span)

    def _receiver(self, node: MappingNode, span: Span) -> Receiver:
        name = self._text(node, "name")
        channels: list[str] = []
        sends = False
        for key, placed in node.entries.items():
            integrations = self._elements(placed, key) if key.endswith("_configs") else []
            sends = sends or bool(integrations)
            for integration, place in integrations:
                if key != "slack_configs":
                    self._note(
                        place, f'receiver "{name}": {key} is not taken over, a team of the map has Slack channels'
                    )
                elif isinstance(integration, MappingNode):
                    channels.append(self._slack(name, integration, place, first=not channels))
            if key == "labels":
                self._note(placed.span, f'receiver "{name}": its labels are not taken over')
        return Receiver(name=name, channels=tuple(channels), sends=sends, line=span.line, column=span.column)

    def _slack(self, name: str, integration: MappingNode, span: Span, *, first: bool) -> str:
        channel = self._text(integration, "channel")
        if not first:
            shown = f" ({channel})" if channel else ""
            self._note(span, f'receiver "{name}": a second Slack channel{shown}, and a team has one for each level')
        elif "{{" in channel:
            self._note(span, f'receiver "{name}": the channel is a template, {channel}')
        elif not channel:
            self._note(span, f'receiver "{name}": no channel is named')
        elif channel.startswith("@"):
            self._note(span, f'receiver "{name}": {channel} is a person, and teams own alerts')
        return channel

    # -- routes ----------------------------------------------------------------------------------------------------

    def _route(self, placed: Placed, receivers: Mapping[str, Receiver], *, above: Route | None, depth: int) -> Route:
        node, span = placed
        self._routes += 1
        if not isinstance(node, MappingNode):
            raise self._invalid(span, "a route must be a mapping")
        if depth > _MAX_DEPTH or self._routes > _MAX_ROUTES:
            raise self._invalid(span, f"more than {_MAX_ROUTES:,} routes, or more than {_MAX_DEPTH} deep")
        receiver = self._text(node, "receiver") or (above.receiver if above is not None else "")
        if receiver not in receivers:
            known = f'receiver "{receiver}" is not in receivers' if receiver else "the root route needs a receiver"
            raise self._invalid(node.entries.get("receiver", placed).span, known)
        own = Route(
            receiver=receiver,
            matchers=tuple(self._matchers(node)),
            continues=self._text(node, "continue").lower() in _TRUE,
            labels={**(above.labels if above is not None else {}), **self._texts(node, "labels")},
            routes=(),
            line=span.line,
            column=span.column,
        )
        if above is None and (own.matchers or own.continues):
            raise self._invalid(span, "the root route takes everything: it has no matchers and no continue")
        self._note_rest(node, span)
        routes = self._elements(node.entries.get("routes"), "routes")
        for route in routes[:-1]:
            self._note_continue(route)
        below = tuple(self._route(route, receivers, above=own, depth=depth + 1) for route in routes)
        return Route(
            receiver=own.receiver,
            matchers=own.matchers,
            continues=own.continues,
            labels=own.labels,
            routes=below,
            line=own.line,
            column=own.column,
        )

    def _matchers(self, node: MappingNode) -> Iterator[Matcher]:
        for key, operator in (("match", Operator.EQUAL), ("match_re", Operator.MATCHES)):
            for name, (text, span) in self._placed_texts(node, key):
                try:
                    yield Matcher.of(name, operator, text)
                except MatcherInvalid as exc:
                    raise self._invalid(span, f"{name}: {exc}") from exc
        for written, span in self._elements(node.entries.get("matchers"), "matchers"):
            if not isinstance(written, str):
                raise self._invalid(span, "a matcher must be text")
            try:
                yield from configured_matchers(written)
            except MatcherInvalid as exc:
                raise self._invalid(span, f'matcher "{written}": {exc}') from exc

    def _note_continue(self, route: Placed) -> None:
        """Of a route with others behind it; the last one continues to nothing."""
        if isinstance(route.node, MappingNode) and self._text(route.node, "continue").lower() in _TRUE:
            message = "continue: an alert has one owner, that of a later route where one matches too"
            self._note(route.node.entries["continue"].span, message)

    def _note_rest(self, node: MappingNode, span: Span) -> None:
        times = [key for key in _ROUTE_TIMES if key in node.entries]
        if times:
            self._note(
                span, f"{', '.join(times)}: Alertmanager groups and repeats before it tells the router: keep them there"
            )
        for key in _ROUTE_INTERVALS:
            if key in node.entries:
                self._note(node.entries[key].span, f"{key}: the map owns alerts at all times; keep it in Alertmanager")
        for key in node.entries.keys() - _KNOWN - {*_ROUTE_TIMES, *_ROUTE_INTERVALS}:
            self._note(node.entries[key].span, f"{key}: the map has nothing like it")

    # -- nodes -----------------------------------------------------------------------------------------------------

    def _elements(self, placed: Placed | None, key: str) -> Sequence[Placed]:
        if placed is None or placed.node == "":
            return []
        if not isinstance(placed.node, SequenceNode):
            raise self._invalid(placed.span, f'"{key}" must be a list')
        return placed.node.entries

    def _text(self, node: MappingNode, key: str) -> str:
        placed = node.entries.get(key)
        if placed is not None and not isinstance(placed.node, str):
            raise self._invalid(placed.span, f'"{key}" must be text')
        return str(placed.node) if placed is not None else ""

    def _texts(self, node: MappingNode, key: str) -> dict[str, str]:
        return {name: text for name, (text, _) in self._placed_texts(node, key)}

    def _placed_texts(self, node: MappingNode, key: str) -> Iterator[tuple[str, tuple[str, Span]]]:
        placed = node.entries.get(key)
        if placed is None or placed.node == "":
            return
        if not isinstance(placed.node, MappingNode):
            raise self._invalid(placed.span, f'"{key}" must be a mapping')
        for name, (text, span) in placed.node.entries.items():
            if not isinstance(text, str):
                raise self._invalid(span, f'"{name}" must be text')
            yield name, (text, span)

    def _note(self, span: Span, message: str) -> None:
        self._notes.append(Note(file=self._file, line=span.line, column=span.column, message=message))

    def _invalid(self, span: Span, reason: str) -> ConfigInvalid:
        return _invalid(self._file, span, reason)
