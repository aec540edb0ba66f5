"""What to change in the map, so that it gives alerts like one to the team that a person named. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

from router.core.entries import Entry, Namespace, Rule
from router.core.model import Channel, Place, Stage, Via
from router.core.orphans import section, stanza
from router.core.ownership import OwnershipMap
from router.core.yaml_text import flow, free_id, scalar

# Long enough to correct the rule's label; nobody's memory of why it is there must be longer.
OVERRIDE_LASTS: Final = timedelta(days=14)


def correction(ownership: OwnershipMap, labels: Mapping[str, str], *, via: Via, owner: str, said_on: date) -> str:
    """YAML for the map that gives what `via` answered about `labels` to `owner`.

    It is the entry with its new owner, at its place, in the sections as they are in the file; or a new entry where none
    fitted, or where one of its own is more fitting. A label outranks all entries but an override: it is put right where
    it is set, and an override that begins to run on the day on which somebody said so stands in for that.
    """
    if via.entry is None:
        return stanza(ownership, labels, team=scalar(owner))
    match via.stage:
        case Stage.JOB | Stage.SERVICE:
            entries = ownership.jobs if via.stage is Stage.JOB else ownership.services
            if (entry := entries.get(via.entry)) is not None:
                return _entry(f"{via.stage}s", entry, owner, ownership)
        case Stage.RULE | Stage.OVERRIDE:
            rules = ownership.rules if via.stage is Stage.RULE else ownership.overrides
            rule = next((one for one in rules if one.id == via.entry), None)
            if rule is not None and rule.owner is not None:
                return _rule(f"{via.stage}s", rule, rule.owner, owner)
        case Stage.NAMESPACE:
            namespace = next((one for one in ownership.namespaces if one.key == via.entry), None)
            if namespace is not None:
                return _namespace(namespace, ownership.evidence(labels).namespace[1], owner, ownership)
        case _:
            return _label(via.entry, labels, owner, ownership, expires=said_on + OVERRIDE_LASTS)
    # The entry is not there any more: the map changed since.
    return stanza(ownership, labels, team=scalar(owner))


def _entry(name: str, entry: Entry, owner: str, ownership: OwnershipMap) -> str:
    lines = [f"{scalar(entry.id)}:", *_instead(f"  owner: {scalar(entry.owner)}", f"  owner: {scalar(owner)}")]
    team = ownership.teams.get(owner)
    if entry.channel is not None and team is not None and team.channel is not None:
        # Its own channel is one of the team that had it.
        lines += _instead(f"  channel: {_channel(entry.channel)}", f"  channel: {_channel(team.channel)}")
    return _changed(name, entry.place, lines)


def _rule(name: str, rule: Rule, before: str, owner: str) -> str:
    lines = [f"- id: {scalar(rule.id)}", *_instead(f"  owner: {scalar(before)}", f"  owner: {scalar(owner)}")]
    return _changed(name, rule.place, lines)


def _namespace(namespace: Namespace, value: str, owner: str, ownership: OwnershipMap) -> str:
    """The exact name stands before a glob, which other namespaces have too: they stay with whom they are."""
    if namespace.is_glob and value and not Namespace(key=value, place=namespace.place, owner=owner).is_glob:
        places = [one.place for one in ownership.namespaces]
        place = namespace.place
        told = f"# {scalar(namespace.key)} stays with {scalar(namespace.owner)}: {place.file}:{place.line}"
        return f"{told}\n{section(ownership, 'namespaces', [f'{scalar(value)}: {scalar(owner)}'], places)}"
    key = scalar(namespace.key)
    lines = _instead(f"{key}: {scalar(namespace.owner)}", f"{key}: {scalar(owner)}")
    return _changed("namespaces", namespace.place, lines)


def _label(label: str, labels: Mapping[str, str], owner: str, ownership: OwnershipMap, *, expires: date) -> str:
    value = labels.get(label, "")
    lines = [f"# The label {scalar(label)}: {scalar(value)} names the owner. Correct it where the alert is defined."]
    if ownership.ladder.index(Stage.OVERRIDE) > ownership.ladder.index(Stage.LABEL):
        return lines[0]  # no entry of the map can say otherwise
    taken = {rule.id for rule in (*ownership.overrides, *ownership.rules)}
    entry_id = free_id(f"{owner}-{labels.get('alertname', '')}", taken=taken)
    entry = [
        f"- id: {scalar(entry_id)}",
        f"  match: {flow(_telling(labels, label, ownership))}",
        f"  owner: {scalar(owner)}",
        f"  expires: {expires.isoformat()}",
        f"  reason: {scalar(f'until the label {label} of the alert is right')}",
    ]
    lines.append("# Until then:")
    # An element begins two columns after its dash.
    dashes = [replace(one.begins, column=max(1, one.begins.column - 2)) for one in ownership.overrides]
    return "\n".join([*lines, section(ownership, "overrides", entry, dashes)])


def _telling(labels: Mapping[str, str], label: str, ownership: OwnershipMap) -> dict[str, str]:
    """The labels by which the next alert of this kind is known: not which run, or which machine, it is about."""
    identity, evidence = ownership.identity, ownership.evidence(labels)
    names = ["alertname", label, evidence.service[0], evidence.job[0], evidence.namespace[0]]
    telling = {name: labels[name] for name in names if labels.get(name) and name not in identity.job_name_labels}
    if telling.keys() == {label}:  # what else carries it is not of this kind
        return {name: labels[name] for name in sorted(labels) if name and labels[name]}
    return telling


def _instead(before: str, after: str) -> list[str]:
    indent = after[: len(after) - len(after.lstrip())]
    return [f"{indent}# {before.lstrip()}", after]


def _changed(name: str, place: Place, lines: Sequence[str]) -> str:
    return "\n".join([f"# {place.file}:{place.line}", f"{name}:", *(f"  {line}" for line in lines)])


def _channel(channel: Channel) -> str:
    return flow({"name": channel.name, "id": channel.id})
