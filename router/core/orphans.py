"""Help for whoever wants to claim an orphan: the entries of the map that almost fit, and YAML to paste."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from router.core.entries import Entry
from router.core.model import Nearest, Place
from router.core.ownership import OwnershipMap
from router.core.yaml_text import flow, free_id, scalar

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
        return section(ownership_map, "namespaces", [f"{scalar(evidence.namespace[1])}: {team}"], places)
    return _rule_stanza(ownership_map, labels, team)


# -- stanza --------------------------------------------------------------------------------------------------------


def _job_stanza(ownership_map: OwnershipMap, name: str, namespace: str, team: str) -> str:
    """A job of this name in this namespace: another team may have one of the same name elsewhere."""
    identity = ownership_map.identity
    taken = _names(ownership_map.jobs)
    entry_id = free_id(f"{namespace}-{name}" if name in taken else name, taken=taken)
    lines = [f"{scalar(entry_id)}:", f"  owner: {team}"]
    if namespace and identity.job_labels:
        labels = {identity.namespace_labels[0]: namespace, identity.job_labels[0]: name}
        lines.append(f"  match: {flow(labels)}")
    elif entry_id != name:
        lines.append(f"  aliases: [{scalar(name)}]")
    return section(ownership_map, "jobs", lines, [job.place for job in ownership_map.jobs.values()])


def _service_stanza(ownership_map: OwnershipMap, name: str, team: str) -> str:
    entry_id = free_id(name, taken=_names(ownership_map.services))
    lines = [f"{scalar(entry_id)}:", f"  owner: {team}"]
    if entry_id != name:
        lines.append(f"  aliases: [{scalar(name)}]")
    return section(ownership_map, "services", lines, [service.place for service in ownership_map.services.values()])


def _rule_stanza(ownership_map: OwnershipMap, labels: Mapping[str, str], team: str) -> str:
    name = labels.get("alertname")
    match = (
        {"alertname": name} if name else {label: labels[label] for label in sorted(labels) if label and labels[label]}
    )
    if not match:
        return "# this alert has no label by which it could be claimed"
    entry_id = free_id(name or "unnamed", taken={rule.id for rule in ownership_map.rules})
    lines = [f"- id: {scalar(entry_id)}", f"  match: {flow(match)}", f"  owner: {team}"]
    # An element begins two columns after its dash.
    dashes = [replace(rule.begins, column=max(1, rule.begins.column - 2)) for rule in ownership_map.rules]
    return section(ownership_map, "rules", lines, dashes)


def section(ownership_map: OwnershipMap, name: str, lines: list[str], places: list[Place]) -> str:
    """`lines` as part of the section `name` of the root file, indented as what stands there at `places` already."""
    column = next((place.column for place in places if place.file == ownership_map.file), None)
    indent = " " * (column - 1 if column is not None else 2)
    head = f"{name}:" if column is None else f"# below `{name}:`"
    return "\n".join([head, *(indent + line for line in lines)])


def _names(entries: Mapping[str, Entry]) -> set[str]:
    return {name for entry in entries.values() for name in (entry.id, *entry.aliases)}
