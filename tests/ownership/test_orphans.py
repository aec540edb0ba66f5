"""What an orphan's message offers: the nearest entries, and a stanza that claims it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router.core.orphans import nearest, stanza
from router.core.ownership import OwnershipMap
from router.ownership_file import load_map
from tests.ownership.maps import HEAD, TODAY, a_map

BODY = """\
services:
    refund-api: {owner: payments, aliases: [refunds], match: {namespace: [refunds, refunds-eu]}}
jobs:
  close: {owner: payments, match: {namespace: pay, cronjob: close}}
rules:
- {id: nodes, match: ['alertname=~"KubeNode.+"', 'cluster="prod"'], owner: data}
namespaces:
  ledger: data
"""
MAP = a_map(BODY)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"team": "paymnts"}, [("team", "payments")], id="team"),
        pytest.param({"team": "billling"}, [("team", "payments")], id="an alias of a team"),
        pytest.param({"service": "refund_api"}, [("service", "refund-api")], id="service"),
        pytest.param({"cronjob": "closed"}, [("job", "close")], id="job"),
        pytest.param({"cronjob": "close", "namespace": "etl"}, [("job", "close")], id="a job of another namespace"),
        pytest.param({"namespace": "ledgers"}, [("namespace", "ledger")], id="namespace"),
        pytest.param({"namespace": "refund-eu"}, [("service", "refund-api")], id="the namespace of a service"),
        pytest.param({"alertname": "KubeNodeDown"}, [("rule", "nodes")], id="a rule that lacks one label"),
        pytest.param({"alertname": "KubeNodeDown", "cluster": "lab"}, [("rule", "nodes")], id="or has another value"),
        pytest.param({"alertname": "X"}, [], id="nothing is near"),
        pytest.param({}, [], id="no label"),
    ],
)
def test_nearest(labels: dict[str, str], expected: list[tuple[str, str]]) -> None:
    """An entry is near if it is spelled almost so, or if one label only is in the way."""
    found = nearest(MAP, labels)
    assert [(candidate.kind, candidate.entry) for candidate in found] == expected
    assert all(candidate.why and candidate.line > 0 for candidate in found)


def test_at_most_three_the_closest_first() -> None:
    """The closest spelling stands first."""
    many = a_map(
        "services:\n" + "".join(f"  checkout-{n}: {{owner: data}}\n" for n in ("a", "api", "apis", "apx", "b"))
    )
    first, *others = nearest(many, {"service": "checkout-apii"})
    assert first.entry == "checkout-api"
    assert len(others) == 2


def claimed(body: str, labels: dict[str, str], path: Path) -> tuple[OwnershipMap, str]:
    """The map of `body` after the stanza for `labels` was pasted as it says."""
    path.write_text(HEAD + body, encoding="utf-8")
    pasted = stanza(load_map(path), labels, team="data")
    head, _, rest = pasted.partition("\n")
    text = HEAD + body
    if head.startswith("# below `"):
        section = head.removeprefix("# below `").removesuffix("`")
        text = text.replace(f"\n{section}\n", f"\n{section}\n{rest}\n") if f"\n{section}\n" in text else text
        assert rest in text
    else:
        text += pasted + "\n"
    path.write_text(text, encoding="utf-8")
    return load_map(path), pasted


@pytest.mark.parametrize(
    "body", [pytest.param("", id="a map without entries"), pytest.param(BODY, id="one with all kinds")]
)
@pytest.mark.parametrize(
    ("labels", "via"),
    [
        pytest.param({"cronjob": "tidy", "namespace": "etl", "service": "x"}, "job", id="job"),
        pytest.param({"job_name": "tidy-29384756", "namespace": "etl"}, "job", id="a run of a job"),
        pytest.param({"job_name": "tidy-29384756", "exported_namespace": "etl"}, "job", id="another label"),
        pytest.param({"checkin": "AbC 123"}, "job", id="a check-in that is no id"),
        pytest.param({"service": "unknown-api", "namespace": "x"}, "service", id="service"),
        pytest.param({"service": "支払い"}, "service", id="a service that is no id"),
        pytest.param({"app": "null"}, "service", id="a word of YAML"),
        pytest.param({"app": 'a"b\\c\u2028\x07: #'}, "service", id="every sign that YAML minds"),
        pytest.param({"namespace": "404"}, "namespace", id="namespace"),
        pytest.param({"alertname": "OrphanAlert", "job": "kube-state-metrics"}, "rule", id="alertname"),
        pytest.param({"instance": "a:9100"}, "rule", id="any label"),
    ],
)
def test_a_stanza_claims_the_orphan(body: str, labels: dict[str, str], via: str, tmp_path: Path) -> None:
    """Pasted where it says, with a team that exists, the map loads and the alert has this owner by this evidence."""
    ownership_map, pasted = claimed(body, labels, tmp_path / "ownership.yaml")
    resolution = ownership_map.resolve(labels, today=TODAY)
    assert (resolution.owner, resolution.via.stage) == ("data", via), pasted


def test_a_stanza_for_another_namespace(tmp_path: Path) -> None:
    """A job that exists in another namespace keeps its owner; the new one is fenced by its namespace."""
    ownership_map, _ = claimed(BODY, {"cronjob": "close", "namespace": "etl"}, tmp_path / "ownership.yaml")
    owners = [
        ownership_map.resolve({"cronjob": "close", "namespace": namespace}, today=TODAY).owner
        for namespace in ("etl", "pay", "other")
    ]
    assert owners == ["data", "payments", None]


def test_a_stanza_names_no_team() -> None:
    """Who claims it fills in the name; nobody is guessed."""
    assert yaml.safe_load(stanza(a_map(), {"service": "x"})) == {"services": {"x": {"owner": "your-team"}}}


def test_nothing_to_claim_it_by() -> None:
    """An alert without labels cannot be claimed, and the stanza is a comment that says so."""
    assert stanza(MAP, {}).startswith("#")


labels = st.dictionaries(
    st.sampled_from(["cronjob", "job_name", "service", "namespace", "alertname", "x y"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    min_size=1,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=labels)
@example(labels={"namespace": "a*b"})
@example(labels={"alertname": "-" * 100})
def test_every_stanza_is_valid(labels: dict[str, str], tmp_path: Path) -> None:
    """Whatever the labels hold, the stanza is YAML of the map's shape, and claims the alert."""
    ownership_map, pasted = claimed("", labels, tmp_path / "ownership.yaml")
    assert ownership_map.resolve(labels, today=TODAY).owner == "data", pasted
