"""The alert rules in the nodes of one file, in every shape in which rule files come."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from router.ownership_file.document import Span
from router.rule_files.nodes import Budget, MappingNode, Placed, SequenceNode


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """One alert rule as written. Line and columns are those of the value of `alert:`."""

    file: str
    line: int
    column: int
    end_column: int | None  # None where the name goes over several lines
    name: str
    labels: Mapping[str, str]  # those of its group too, which Prometheus has since 3.0; without alertname
    annotations: Mapping[str, str]
    label_places: Mapping[str, Span]  # of the values
    group: str  # empty where it has no name


def alert_rules(document: Placed, *, file: str, budget: Budget) -> Iterator[AlertRule]:
    """The alert rules of one document: a file of Prometheus, an object of the Prometheus operator, a list of either.

    A rule inside of which reading stopped is left out. Raises ReadingStopped where aliases repeat beyond the budget.
    """
    for group in _groups(document, budget):
        shared = _texts(group, "labels")
        for rule, span in _elements(group, "rules"):
            budget.spend(1, span)
            if not isinstance(rule, MappingNode) or not rule.complete:
                continue
            name = rule.entries.get("alert")
            if name is None or not isinstance(name.node, str) or not name.node:
                continue
            own, annotations = _texts(rule, "labels"), _texts(rule, "annotations")
            budget.spend(len(rule.entries) + len(shared) + len(own) + len(annotations), span)
            labels = {**shared, **own}
            yield AlertRule(
                file=file,
                line=name.span.line,
                column=name.span.column,
                end_column=name.span.end_column,
                name=name.node,
                labels={label: text for label, (text, _) in labels.items()},
                annotations={annotation: text for annotation, (text, _) in annotations.items()},
                label_places={label: place for label, (_, place) in labels.items()},
                group=_text(group, "name"),
            )


def _groups(document: Placed, budget: Budget) -> Iterator[MappingNode]:
    """The groups below `document`, in order. With a stack of its own: aliases can nest deeper than any recursion."""
    stack = [document]
    while stack:
        node, span = stack.pop()
        found: Sequence[Placed] = ()
        if isinstance(node, SequenceNode):
            found = node.entries
        elif isinstance(node, MappingNode):
            if "rules" in node.entries:
                yield node
            # `groups` of a plain file, `spec` of a PrometheusRule, `items` of a List.
            found = [node.entries[key] for key in ("groups", "spec", "items") if key in node.entries]
        budget.spend(1 + len(found), span)
        stack.extend(reversed(found))


def _elements(node: MappingNode, key: str) -> Sequence[Placed]:
    found = node.entries.get(key)
    return found.node.entries if found is not None and isinstance(found.node, SequenceNode) else ()


def _text(node: MappingNode, key: str) -> str:
    found = node.entries.get(key)
    return found.node if found is not None and isinstance(found.node, str) else ""


def _texts(node: MappingNode, key: str) -> dict[str, tuple[str, Span]]:
    """The texts of a mapping, each with its place; what is no text is left out."""
    found = node.entries.get(key)
    if found is None or not isinstance(found.node, MappingNode):
        return {}
    return {name: (text, span) for name, (text, span) in found.node.entries.items() if isinstance(text, str)}


def is_template(value: str) -> bool:
    """Whether Prometheus fills it in when it fires, or Helm when it is installed."""
    return "{{" in value
