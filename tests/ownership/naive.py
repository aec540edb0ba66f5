"""The evidence ladder, written as slowly and plainly as the specification reads, with Python's own expressions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import lru_cache

from router.core.matchers import Matcher, Operator
from router.core.ownership import Entry, OwnershipMap, Rule

compiled = lru_cache(maxsize=None)(re.compile)


@dataclass(frozen=True, slots=True)
class Verdict:
    stage: str
    entry: str | None
    owner: str | None
    job: str | None = None  # the entries whose hints count
    service: str | None = None


def holds(matcher: Matcher, labels: Mapping[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.operator is Operator.EQUAL:
        return value in matcher.values
    if matcher.operator is Operator.NOT_EQUAL:
        return value != matcher.values[0]
    return (compiled(matcher.values[0]).fullmatch(value) is not None) is (matcher.operator is Operator.MATCHES)


def fits(match: tuple[Matcher, ...] | None, labels: Mapping[str, str]) -> bool:
    return match is not None and all(holds(matcher, labels) for matcher in match)


def best(found: list[Entry]) -> Entry | None:
    order = sorted(found, key=lambda entry: entry.id)
    return max(order, key=lambda e: sum(m.operator is Operator.EQUAL for m in e.match or ()), default=None)


def first(names: Iterable[str], labels: Mapping[str, str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


class NaiveMap:
    """The same map; every entry is compared with every alert."""

    def __init__(self, ownership_map: OwnershipMap) -> None:
        self._map = ownership_map
        self._active = {
            name: ownership_map.team(name) for team in ownership_map.teams.values() for name in (team.id, *team.aliases)
        }
        self._jobs = {name: job for job in ownership_map.jobs.values() for name in (*job.aliases, job.id)}
        self._services = {
            name: entry for entry in ownership_map.services.values() for name in (*entry.aliases, entry.id)
        }

    def resolve(self, labels: Mapping[str, str], *, today: date) -> Verdict:
        job, service = self._job(labels), self._service(labels)
        stage, entry, owner = self._owner(labels, job, service, today)
        return Verdict(stage, entry, owner, job.id if job else None, service.id if service else None)

    def _owner(
        self, labels: Mapping[str, str], job: Entry | None, service: Entry | None, today: date
    ) -> tuple[str, str | None, str | None]:
        identity = self._map.identity
        told = {
            "override": self._rule(self._map.overrides, labels, today),
            "job": job,
            "service": service,
            "rule": self._rule(self._map.rules, labels, today),
        }
        for stage in self._map.ladder:
            entry = told.get(stage.value)
            if entry is not None:
                return stage.value, entry.id, self._team(entry.owner)
            if stage == "label":
                value = first(identity.owner_labels, labels)
                if value in self._active:
                    label = next(name for name in identity.owner_labels if labels.get(name))
                    return "label", label, self._team(value)
            if stage == "namespace":
                space = first(identity.namespace_labels, labels)
                keys = [n for n in self._map.namespaces if space and (n.key == space or self._glob(n.key, space))]
                if keys:
                    chosen = min(keys, key=lambda n: (n.key != space, -len(n.key), n.key))
                    return "namespace", chosen.key, self._team(chosen.owner)
        return "fallback", None, None

    def _team(self, name: str | None) -> str | None:
        team = self._active[name] if name is not None else None
        return team.id if team is not None else None

    @staticmethod
    def _glob(key: str, space: str) -> bool:
        return ("*" in key or "?" in key) and fnmatchcase(space, key.replace("[", "[[]"))  # no classes in the map

    @staticmethod
    def _rule(rules: Iterable[Rule], labels: Mapping[str, str], today: date) -> Rule | None:
        for rule in rules:
            if fits(rule.match, labels) and (rule.expires is None or rule.expires >= today):
                return rule
        return None

    def _service(self, labels: Mapping[str, str]) -> Entry | None:
        named = self._services.get(first(self._map.identity.service_labels, labels))
        return named or best([entry for entry in self._map.services.values() if fits(entry.match, labels)])

    def _job(self, labels: Mapping[str, str]) -> Entry | None:
        identity = self._map.identity
        name = first(identity.job_labels, labels)
        if not name:
            run = first(identity.job_name_labels, labels)
            name = run if run in self._jobs else re.sub(r"-[0-9]+$", "", run)
        told = dict(labels)
        for names, value in (
            (identity.job_labels, name),
            (identity.namespace_labels, first(identity.namespace_labels, labels)),
        ):
            if value and not told.get(names[0]):
                told[names[0]] = value
        entry = self._jobs.get(name)
        if entry is not None:
            naming = (*identity.job_labels, *identity.job_name_labels)
            elsewhere = [m for m in entry.match or () if m.name not in naming and told.get(m.name)]
            if all(holds(matcher, told) for matcher in elsewhere):
                return entry
        return best([entry for entry in self._map.jobs.values() if fits(entry.match, told)])
