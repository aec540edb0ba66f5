"""The ladder once more, written as slowly and plainly as the specification reads."""

import re
from datetime import date
from fnmatch import fnmatchcase

from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.enrichment import parse_business_hours
from router.core.matchers import Matcher, Operator
from router.core.model import Channel, Language, Level, Place, Rerun
from router.core.ownership import (
    Entry,
    Fallback,
    Identity,
    Namespace,
    OwnershipMap,
    Rule,
    Team,
)
from tests.ownership.maps import TODAY, a_map

VALUES = ["a", "b", "c", "ab", "a-1", "a-2", ""]
LABELS = ["team", "service", "cronjob", "job_name", "namespace", "exported_namespace", "alertname"]
PLACE = Place(file="ownership.yaml", line=1, column=1)
IDS = ["a", "b", "c", "ab", "a-1"]

matchers = st.builds(
    lambda name, operator, values: (
        Matcher.one_of(name, values)
        if operator is Operator.EQUAL
        else Matcher.of(name, operator, "|".join(values) + (".*" if len(values) > 1 else ""))
    ),
    st.sampled_from(LABELS),
    st.sampled_from(list(Operator)),
    st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True),
)
matches = st.lists(matchers, max_size=3).map(tuple)
teams = st.sampled_from(["a", "b", "old", "nick"])


def entries(section: str) -> st.SearchStrategy[dict[str, Entry]]:
    entry = st.tuples(teams, st.none() | matches)
    return st.dictionaries(st.sampled_from(IDS), entry, max_size=4).map(
        lambda told: {
            name: Entry(id=name, place=PLACE, owner=owner, match=match, aliases=(f"{section}-{name}",))
            for name, (owner, match) in told.items()
        }
    )


def rules(prefix: str) -> st.SearchStrategy[tuple[Rule, ...]]:
    expires = st.none() | st.sampled_from([date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)])
    rule = st.tuples(matches, st.none() | teams, expires)
    return st.lists(rule, max_size=4).map(
        lambda told: tuple(
            Rule(id=f"{prefix}{index}", place=PLACE, begins=PLACE, match=match, owner=owner, expires=end, reason="r")
            for index, (match, owner, end) in enumerate(told)
        )
    )


namespaces = st.dictionaries(st.sampled_from(["a", "ab", "a*", "*", "?b", "a-?"]), teams, max_size=4).map(
    lambda told: tuple(Namespace(key=key, place=PLACE, owner=owner) for key, owner in told.items())
)
label_sets = st.dictionaries(st.sampled_from(LABELS), st.sampled_from([*VALUES, "nick", "old", "jobs-a", "x"]))


def the_map(jobs: dict[str, Entry], services: dict[str, Entry], overrides: tuple[Rule, ...], ruled: tuple[Rule, ...],
            spaces: tuple[Namespace, ...]) -> OwnershipMap:  # fmt: skip
    usual = a_map()
    hours = parse_business_hours("Mon-Fri 09:00-17:00")

    def team(name: str, aliases: tuple[str, ...] = (), successor: str | None = None) -> Team:
        gone = date(2026, 1, 1) if successor else None
        return Team(
            id=name, place=PLACE, name=name, channel=None if gone else Channel(name=name, id=f"C{name}"),
            aliases=aliases, timezone="UTC", business_hours=hours, language=Language.ENGLISH,
            dissolved=gone, successor=successor,
        )  # fmt: skip

    return OwnershipMap(
        file="ownership.yaml", revision="0",
        teams={"a": team("a", ("nick",)), "b": team("b"), "old": team("old", (), "nick")},
        fallback=Fallback(place=PLACE, channel=Channel(name="f", id="CF"), mention=None, triage_within=None),
        identity=Identity(
            owner_labels=("team",), service_labels=("service",), job_labels=("cronjob",), job_name_labels=("job_name",),
            namespace_labels=("namespace", "exported_namespace"), cluster_labels=(),
        ),
        severities=usual.severities, timezone="UTC", business_hours=hours, language=Language.ENGLISH, rerun=Rerun(),
        jobs=jobs, services=services, overrides=overrides, rules=ruled, namespaces=spaces,
    )  # fmt: skip


# -- the naive one -------------------------------------------------------------------------------------------------


def holds(matcher: Matcher, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.operator is Operator.EQUAL:
        return value in matcher.values
    if matcher.operator is Operator.NOT_EQUAL:
        return value != matcher.values[0]
    return (re.fullmatch(matcher.values[0], value) is not None) is (matcher.operator is Operator.MATCHES)


def fits(match: tuple[Matcher, ...] | None, labels: dict[str, str]) -> bool:
    return match is not None and all(holds(matcher, labels) for matcher in match)


def best(found: list[Entry]) -> Entry | None:
    order = sorted(found, key=lambda entry: entry.id)
    return max(order, key=lambda e: sum(m.operator is Operator.EQUAL for m in e.match or ()), default=None)


def naive(ownership_map: OwnershipMap, labels: dict[str, str]) -> tuple[str, str | None, str | None]:
    """(stage, entry, owner) by the ladder, read line by line."""
    active = {"a": "a", "nick": "a", "old": "a", "b": "b"}
    for rule in ownership_map.overrides:
        if fits(rule.match, labels) and (rule.expires is None or rule.expires >= TODAY):
            return "override", rule.id, active[rule.owner] if rule.owner else None
    if labels.get("team") in active:
        return "label", "team", active[labels["team"]]
    entry = naive_job(ownership_map, labels)
    if entry is not None:
        return "job", entry.id, active[entry.owner]
    services = ownership_map.services
    named = next((e for e in services.values() if labels.get("service") in (e.id, *e.aliases)), None)
    entry = named or best([e for e in services.values() if fits(e.match, labels)])
    if entry is not None:
        return "service", entry.id, active[entry.owner]
    for rule in ownership_map.rules:
        if fits(rule.match, labels) and (rule.expires is None or rule.expires >= TODAY):
            return "rule", rule.id, active[rule.owner] if rule.owner else None
    space = labels.get("namespace") or labels.get("exported_namespace") or ""
    keys = [
        n for n in ownership_map.namespaces if space and (n.key == space or (n.is_glob and fnmatchcase(space, n.key)))
    ]
    if keys:
        chosen = min(keys, key=lambda n: (n.key != space, -len(n.key), n.key))
        return "namespace", chosen.key, active[chosen.owner]
    return "fallback", None, None


def naive_job(ownership_map: OwnershipMap, labels: dict[str, str]) -> Entry | None:
    jobs = ownership_map.jobs
    names = {name: entry for entry in jobs.values() for name in (entry.id, *entry.aliases)}
    name = labels.get("cronjob") or ""
    if not name:
        run = labels.get("job_name") or ""
        name = run if run in names else re.sub(r"-\d+$", "", run)
    told = dict(labels)
    if name:
        told["cronjob"] = told.get("cronjob") or name
    told["namespace"] = labels.get("namespace") or labels.get("exported_namespace") or ""
    entry = names.get(name)
    if entry is not None:
        elsewhere = [m for m in entry.match or () if m.name not in ("cronjob", "job_name") and told.get(m.name)]
        if all(holds(matcher, told) for matcher in elsewhere):
            return entry
    return best([e for e in jobs.values() if fits(e.match, told)])


@settings(max_examples=400, deadline=None)
@given(
    jobs=entries("jobs"),
    services=entries("services"),
    overrides=rules("o"),
    ruled=rules("r"),
    spaces=namespaces,
    asked=st.lists(label_sets, min_size=1, max_size=6),
)
def test_the_index_answers_as_the_plain_reading(
    jobs: dict[str, Entry],
    services: dict[str, Entry],
    overrides: tuple[Rule, ...],
    ruled: tuple[Rule, ...],
    spaces: tuple[Namespace, ...],
    asked: list[dict[str, str]],
) -> None:
    """Every map gives every label set the owner, stage and entry that the ladder gives it, and some level."""
    ownership_map = the_map(jobs, services, overrides, ruled, spaces)
    for labels in asked:
        resolution = ownership_map.resolve(labels, today=TODAY)
        assert (resolution.via.stage.value, resolution.via.entry, resolution.owner) == naive(ownership_map, labels)
        assert resolution.hints.severity is Level.NORMAL
        assert resolution.dropped == (resolution.owner is None and resolution.via.stage != "fallback")
        assert bool(resolution.destinations) is not resolution.dropped
