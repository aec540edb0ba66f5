"""Help for whoever wants to claim an orphan: the entries of the map that almost fit, and YAML to paste."""

import re
from collections.abc import Container, Mapping
from dataclasses import replace
from typing import Final

from router.core.entries import Entry
from router.core.model import Nearest, Place
from router.core.ownership import OwnershipMap

PLACEHOLDER: Final = "your-team"
_NAMESPACE: Final = re.compile(r"[^\s*?\[\]]+")


def nearest(ownership_map: OwnershipMap, labels: Mapping[str, str]) -> tuple[Nearest, ...]:
    """At most three entries that almost fit `labels`, the closest first."""
    return ownership_map.nearest(labels)


def stanza(ownership_map: OwnershipMap, labels: Mapping[str, str], *, team: str = PLACEHOLDER) -> str:
    """YAML for the map's root file that gives alerts like this orphan to `team`, by the strongest evidence it has.

    The first line is the section; a comment where the file has it already, below which the rest is then pasted.
    """
    evidence = ownership_map.evidence(labels)
    if evidence.job[1]:
        return _job_stanza(ownership_map, evidence.job[1], evidence.namespace[1], team)
    if evidence.service[1]:
        return _service_stanza(ownership_map, evidence.service[1], team)
    if _NAMESPACE.fullmatch(evidence.namespace[1]):
        places = [namespace.place for namespace in ownership_map.namespaces]
        return _section(ownership_map, "namespaces", [f"{_yaml(evidence.namespace[1])}: {team}"], places)
    return _rule_stanza(ownership_map, labels, team)


# -- stanza --------------------------------------------------------------------------------------------------------


def _job_stanza(ownership_map: OwnershipMap, name: str, namespace: str, team: str) -> str:
    """A job of this name in this namespace: another team may have one of the same name elsewhere."""
    identity = ownership_map.identity
    taken = _names(ownership_map.jobs)
    entry_id = _free_id(f"{namespace}-{name}" if name in taken else name, taken=taken)
    lines = [f"{_yaml(entry_id)}:", f"  owner: {team}"]
    if namespace and identity.job_labels:
        labels = {identity.namespace_labels[0]: namespace, identity.job_labels[0]: name}
        lines.append(f"  match: {_flow(labels)}")
    elif entry_id != name:
        lines.append(f"  aliases: [{_yaml(name)}]")
    return _section(ownership_map, "jobs", lines, [job.place for job in ownership_map.jobs.values()])


def _service_stanza(ownership_map: OwnershipMap, name: str, team: str) -> str:
    entry_id = _free_id(name, taken=_names(ownership_map.services))
    lines = [f"{_yaml(entry_id)}:", f"  owner: {team}"]
    if entry_id != name:
        lines.append(f"  aliases: [{_yaml(name)}]")
    return _section(ownership_map, "services", lines, [service.place for service in ownership_map.services.values()])


def _rule_stanza(ownership_map: OwnershipMap, labels: Mapping[str, str], team: str) -> str:
    name = labels.get("alertname")
    match = (
        {"alertname": name} if name else {label: labels[label] for label in sorted(labels) if label and labels[label]}
    )
    if not match:
        return "# this alert has no label by which it could be claimed"
    entry_id = _free_id(name or "unnamed", taken={rule.id for rule in ownership_map.rules})
    lines = [f"- id: {_yaml(entry_id)}", f"  match: {_flow(match)}", f"  owner: {team}"]
    # An element begins two columns after its dash.
    dashes = [replace(rule.begins, column=max(1, rule.begins.column - 2)) for rule in ownership_map.rules]
    return _section(ownership_map, "rules", lines, dashes)


def _section(ownership_map: OwnershipMap, section: str, lines: list[str], places: list[Place]) -> str:
    """`lines` as part of `section`, indented as what stands there already."""
    column = next((place.column for place in places if place.file == ownership_map.file), None)
    indent = " " * (column - 1 if column is not None else 2)
    head = f"{section}:" if column is None else f"# below `{section}:`"
    return "\n".join([head, *(indent + line for line in lines)])


def _names(entries: Mapping[str, Entry]) -> set[str]:
    return {name for entry in entries.values() for name in (entry.id, *entry.aliases)}


_NOT_IN_ID: Final = re.compile(r"[^a-z0-9._:/-]+")
_NEW_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _free_id(name: str, *, taken: Container[str]) -> str:
    """An id as much like `name` as an id can be, which nothing is called yet."""
    wanted = _NOT_IN_ID.sub("-", _NEW_WORD.sub("-", name).lower()).lstrip("._:/-")[:56].rstrip("-") or "unnamed"
    free, number = wanted, 1
    while free in taken:
        number += 1
        free = f"{wanted}-{number}"
    return free


_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_READ_OTHERWISE: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_ESCAPED: Final = re.compile('["\\\\\x00-\x1f\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]')


def _yaml(text: str) -> str:
    """`text` as a YAML scalar that every YAML reads as this text."""
    if _PLAIN.fullmatch(text) and text.lower() not in _READ_OTHERWISE:
        return text
    return '"' + _ESCAPED.sub(_escape, text) + '"'


def _escape(match: re.Match[str]) -> str:
    if match[0] in '"\\':
        return "\\" + match[0]
    if "\ud800" <= match[0] <= "\udfff":
        return "\ufffd"  # half a character: no text has it
    return f"\\u{ord(match[0]):04x}"


def _flow(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{_yaml(name)}: {_yaml(value)}" for name, value in labels.items()) + "}"
