"""The index answers as the plain reading of the map does, whatever the map and the alert."""

import random
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.core.enrichment import parse_business_hours
from router.core.matchers import Matcher, Operator
from router.core.model import Channel, Language, Level, Place, Rerun, Stage
from router.core.ownership import LADDER, Entry, Fallback, Identity, Namespace, OwnershipMap, Rule, Team
from router.ownership_file import load_map
from tests.ownership.large import dressed, large_map
from tests.ownership.maps import TODAY, a_map
from tests.ownership.naive import NaiveMap

VALUES = ["a", "b", "c", "ab", "a-1", "a-2", "ba-12", "a\nb", "支払", "a?", "a[b]c", ""]
# Read alike by RE2 and by Python. Words, beginnings, ends, choices, the empty text, line feeds, other alphabets.
PATTERNS = ["a|b", "a|", "|", ".*", ".+", "a.*", "(a|b)-[0-9]+", "[ab]+", ".*a.*", ".+a", ".*-1", ".+b.+", "a.+|c",
            "[^a]*", "(?i)A.?", "(?s)a.*", "a\\?", ".*\\?", "支.*", ".*払", "a{1,2}b?", "(a|ab)(-.*)?"]  # fmt: skip
LABELS = ["team", "service", "cronjob", "job_name", "namespace", "exported_namespace", "alertname", "pod"]
PLACE = Place(file="ownership.yaml", line=1, column=1)
IDS = ["a", "b", "c", "ab", "a-1"]

labels_of_matchers = st.sampled_from(LABELS)
matchers = st.one_of(
    st.builds(
        Matcher.one_of, labels_of_matchers, st.lists(st.sampled_from(VALUES), min_size=1, max_size=3, unique=True)
    ),
    st.builds(Matcher.of, labels_of_matchers, st.just(Operator.NOT_EQUAL), st.sampled_from(VALUES)),
    st.builds(
        Matcher.of,
        labels_of_matchers,
        st.sampled_from([Operator.MATCHES, Operator.NOT_MATCHES]),
        st.sampled_from(PATTERNS),
    ),
)
matches = st.lists(matchers, max_size=3).map(tuple)
teams = st.sampled_from(["a", "b", "old", "nick"])


def entries(section: str) -> st.SearchStrategy[dict[str, Entry]]:
    entry = st.tuples(teams, st.none() | matches)
    return st.dictionaries(st.sampled_from(IDS), entry, max_size=5).map(
        lambda told: {
            name: Entry(id=name, place=PLACE, owner=owner, match=match, aliases=(f"{section}-{name}",))
            for name, (owner, match) in told.items()
        }
    )


def rules(prefix: str) -> st.SearchStrategy[tuple[Rule, ...]]:
    expires = st.none() | st.sampled_from([date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)])
    rule = st.tuples(matches, st.none() | teams, expires)
    return st.lists(rule, max_size=25).map(
        lambda told: tuple(
            Rule(id=f"{prefix}{index}", place=PLACE, begins=PLACE, match=match, owner=owner, expires=end, reason="r")
            for index, (match, owner, end) in enumerate(told)
        )
    )


namespaces = st.dictionaries(
    st.sampled_from(["a", "ab", "a*", "*", "?b", "a-?", "*-1", "支?", "a[b]*", "*b*"]), teams, max_size=6
).map(lambda told: tuple(Namespace(key=key, place=PLACE, owner=owner) for key, owner in told.items()))
label_sets = st.dictionaries(st.sampled_from(LABELS), st.sampled_from([*VALUES, "nick", "old", "jobs-a", "x"]))
ladders = st.just(LADDER) | st.permutations(LADDER).map(tuple)


def the_map(jobs: dict[str, Entry], services: dict[str, Entry], overrides: tuple[Rule, ...], ruled: tuple[Rule, ...],
            spaces: tuple[Namespace, ...], ladder: tuple[Stage, ...]) -> OwnershipMap:  # fmt: skip
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
        jobs=jobs, services=services, overrides=overrides, rules=ruled, namespaces=spaces, ladder=ladder,
    )  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    jobs=entries("jobs"),
    services=entries("services"),
    overrides=rules("o"),
    ruled=rules("r"),
    spaces=namespaces,
    ladder=ladders,
    asked=st.lists(label_sets, min_size=1, max_size=6),
)
def test_the_index_answers_as_the_plain_reading(
    jobs: dict[str, Entry],
    services: dict[str, Entry],
    overrides: tuple[Rule, ...],
    ruled: tuple[Rule, ...],
    spaces: tuple[Namespace, ...],
    ladder: tuple[Stage, ...],
    asked: list[dict[str, str]],
) -> None:
    """Every map gives every label set the owner, stage and entry that the ladder gives it, and some level."""
    ownership_map = the_map(jobs, services, overrides, ruled, spaces, ladder)
    naive = NaiveMap(ownership_map)
    for labels in asked:
        resolution = ownership_map.resolve(labels, today=TODAY)
        told = naive.resolve(labels, today=TODAY)
        assert (resolution.via.stage, resolution.via.entry, resolution.owner) == (told.stage, told.entry, told.owner)
        assert resolution.hints.severity is Level.NORMAL
        assert resolution.dropped == (resolution.owner is None and resolution.via.stage != "fallback")
        assert bool(resolution.destinations) is not resolution.dropped


def test_a_large_map_answers_as_the_plain_reading(tmp_path: Path) -> None:
    """So do two thousand entries of all kinds, asked with an alert for each and with alerts that nobody owns."""
    large = large_map(2_000)
    path = tmp_path / "ownership.yaml"
    path.write_text(large.text, encoding="utf-8")
    ownership_map = load_map(path)
    naive = NaiveMap(ownership_map)
    chance = random.Random(5)  # noqa: S311
    asked = [dressed(alert, n) for n, alert in enumerate(chance.sample(large.alerts, 250))]
    asked += [{**one, **other} for one, other in zip(asked[::2], asked[1::2], strict=True)]  # two opinions and more
    asked += [dressed({"alertname": f"Nobody{n}", "namespace": "none"}, n) for n in range(25)]
    stages = set()
    for labels in asked:
        resolution = ownership_map.resolve(labels, today=TODAY)
        told = naive.resolve(labels, today=TODAY)
        assert (resolution.via.stage, resolution.via.entry, resolution.owner) == (told.stage, told.entry, told.owner)
        stages.add(told.stage)
    assert stages == {"job", "service", "rule", "namespace", "fallback"}


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\ud800", id="half a character"),
        pytest.param("a" * 100_000, id="a long one"),
        pytest.param("\x00", id="a null"),
        pytest.param("a\n", id="a line feed at the end"),
    ],
)
def test_odd_values(value: str) -> None:
    """Whatever the value, an expression answers in the index as it does alone."""
    for pattern in [*PATTERNS, "a)|(b"]:
        matcher = Matcher.of("pod", Operator.MATCHES, pattern)
        rule = Rule(id="r", place=PLACE, begins=PLACE, match=(matcher,), owner="a")
        resolution = the_map({}, {}, (), (rule,), (), LADDER).resolve({"pod": value}, today=TODAY)
        assert (resolution.owner == "a") is matcher.matches({"pod": value}), pattern
