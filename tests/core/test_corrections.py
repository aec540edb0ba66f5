"""What is offered to be changed in the map: pasted, it gives the alert to the team that somebody named."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.core.corrections import correction
from router.core.model import Stage
from router.core.ownership import OwnershipMap
from router.notify.markup import code_block
from router.ownership_file import load_map
from tests.ownership.maps import HEAD, TODAY, a_map

BODY = """\
services:
  refund-api: {owner: payments}
  search: {owner: payments, channel: {name: pay-search, id: C0PAYSEARC}}
jobs:
  close: {owner: payments, match: {namespace: pay, cronjob: close}}
rules:
- {id: nodes, match: ['alertname=~"KubeNode.+"'], owner: payments}
overrides:
- {id: moving, match: {alertname: Moving}, owner: payments, expires: 2026-12-31, reason: test}
namespaces:
  ledger: payments
  "kube-*": payments
"""
Labels = dict[str, str]

CASES: dict[str, tuple[Labels, Stage]] = {
    "override": ({"alertname": "Moving", "team": "data"}, Stage.OVERRIDE),
    "label": ({"alertname": "X", "team": "billing", "service": "refund-api"}, Stage.LABEL),
    "a label alone": ({"team": "payments"}, Stage.LABEL),
    "job": ({"alertname": "X", "namespace": "pay", "cronjob": "close"}, Stage.JOB),
    "a run of a job": ({"alertname": "X", "namespace": "pay", "job_name": "close-29384756"}, Stage.JOB),
    "service": ({"alertname": "X", "service": "refund-api"}, Stage.SERVICE),
    "with a channel of its own": ({"alertname": "X", "service": "search"}, Stage.SERVICE),
    "rule": ({"alertname": "KubeNodeDown"}, Stage.RULE),
    "namespace": ({"alertname": "X", "namespace": "ledger"}, Stage.NAMESPACE),
    "glob": ({"alertname": "X", "namespace": "kube-system"}, Stage.NAMESPACE),
    "orphan": ({"alertname": "X", "service": "mailer"}, Stage.FALLBACK),
    "a label that is no team": ({"alertname": "Z", "team": "nobody-knows"}, Stage.FALLBACK),
}
LABELS = [pytest.param(labels, stage, id=name) for name, (labels, stage) in CASES.items()]


def corrected(body: str, labels: Mapping[str, str], path: Path) -> tuple[OwnershipMap, str]:
    """The map after somebody did what the correction for `labels` says; and what it says."""
    path.write_text(HEAD + body, encoding="utf-8")
    before = load_map(path)
    via = before.resolve(labels, today=TODAY).via
    told = correction(before, labels, via=via, owner="data", said_on=TODAY)
    written = yaml.safe_load(HEAD + body)
    _merge(written, _sections(told))
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    return load_map(path), told


def _sections(told: str) -> dict[str, Any]:  # Any: YAML
    """What stands below the name of a section that the file has already is part of it."""
    text = "\n".join(
        line.removeprefix("# below `").removesuffix("`") if line.startswith("# below `") else line
        for line in told.splitlines()
    )
    sections: dict[str, Any] = yaml.safe_load(text) or {}
    return sections


def _merge(written: dict[str, Any], told: dict[str, Any]) -> None:
    for name, value in told.items():
        if isinstance(value, dict) and isinstance(written.get(name), dict):
            _merge(written[name], value)
        elif isinstance(value, list):
            entries = {entry["id"]: entry for entry in written.get(name) or ()}
            for entry in value:
                entries[entry["id"]] = {**entries.get(entry["id"], {}), **entry}
            written[name] = list(entries.values())
        else:
            written[name] = value


@pytest.mark.parametrize(("labels", "stage"), LABELS)
def test_corrected_map_gives_it_to_the_team(labels: dict[str, str], stage: Stage, tmp_path: Path) -> None:
    """At each stage of the ladder; in that team's own channel."""
    assert a_map(BODY).resolve(labels, today=TODAY).via.stage is stage
    after, _ = corrected(BODY, labels, tmp_path / "ownership.yaml")
    answer = after.resolve(labels, today=TODAY)
    assert answer.owner == "data"
    assert answer.destinations[0].channel.id == "C0DATAALRT"


@pytest.mark.parametrize(("labels", "stage"), LABELS)
def test_of_the_others_nothing_changes(labels: dict[str, str], stage: Stage, tmp_path: Path) -> None:
    """What the same entry does not answer stays with whom it is."""
    before = a_map(BODY)
    after, _ = corrected(BODY, labels, tmp_path / "ownership.yaml")
    others = [told for told, answered in CASES.values() if told is not labels and answered is not stage]
    others += [{"alertname": "X", "namespace": "kube-public"}, {"alertname": "Y", "team": "billing"}]
    for other in others:
        if labels == {"team": "payments"} and "alertname" in other and other.get("team"):
            continue  # told by its label alone, an alert is every alert with that label
        assert after.resolve(other, today=TODAY).owner == before.resolve(other, today=TODAY).owner, other


def test_entry_is_named_with_its_place() -> None:
    """Whoever opens the file finds the line, what stands there, and what should."""
    ownership = a_map(BODY)
    labels = {"alertname": "X", "service": "search"}
    via = ownership.resolve(labels, today=TODAY).via
    line = (HEAD + BODY).splitlines().index("  search: {owner: payments, channel: {name: pay-search, id: C0PAYSEARC}}")
    assert correction(ownership, labels, via=via, owner="data", said_on=TODAY) == (
        f"# {via.file}:{line + 1}\n"
        "services:\n"
        "  search:\n"
        "    # owner: payments\n"
        "    owner: data\n"
        "    # channel: {name: pay-search, id: C0PAYSEARC}\n"
        "    channel: {name: data, id: C0DATAALRT}"
    )


def test_override_for_a_label_ends() -> None:
    """A label is corrected where it is set; what stands in for that holds two weeks, and not a day longer."""
    ownership = a_map(BODY)
    labels = {"alertname": "X", "team": "billing", "namespace": "pay", "instance": "db-1"}
    via = ownership.resolve(labels, today=TODAY).via
    told = correction(ownership, labels, via=via, owner="data", said_on=TODAY)
    assert told.splitlines()[0] == ("# The label team: billing names the owner. Correct it where the alert is defined.")
    (entry,) = _sections(told)["overrides"]
    assert entry["expires"] == TODAY + timedelta(days=14)
    assert entry["match"] == {"alertname": "X", "team": "billing", "namespace": "pay"}


def test_override_claims_no_more_than_this_kind() -> None:
    """Without an alert's name its label alone would give away everything that is the team's."""
    ownership = a_map(BODY)
    labels = {"team": "billing", "instance": "db-1", "note": "a: b # c\n- d", "empty": ""}
    via = ownership.resolve(labels, today=TODAY).via
    told = correction(ownership, labels, via=via, owner="data", said_on=TODAY)
    (entry,) = _sections(told)["overrides"]
    assert entry["match"] == {"team": "billing", "instance": "db-1", "note": "a: b # c\n- d"}


def test_what_slack_shows_claims_the_same_alert() -> None:
    """Where a message leaves out what cannot be seen, the text to paste names it: the alert without it is another."""
    ownership = a_map(BODY)
    names = [
        "Close\u202eFailed",
        "\u2066Close\u2069Failed\u200e",
        'Close\u061c"Failed',
        "Close\x00\x1b[31m\u2028 Failed",
    ]
    for name in names:
        labels = {"alertname": name, "team": "billing"}
        told = correction(
            ownership, labels, via=ownership.resolve(labels, today=TODAY).via, owner="data", said_on=TODAY
        )
        assert all(letter.isprintable() or letter == "\n" for letter in told)
        (entry,) = _sections((code_block(told, 3000) or "").strip("`"))["overrides"]
        assert entry["match"] == labels


def test_where_labels_outrank_overrides_only_the_label_helps() -> None:
    """An entry that would change nothing is not offered."""
    ownership = a_map("resolve: [label, override, job, service, rule, namespace]\n" + BODY)
    labels = {"alertname": "X", "team": "payments"}
    via = ownership.resolve(labels, today=TODAY).via
    told = correction(ownership, labels, via=via, owner="data", said_on=TODAY)
    assert told.startswith("#")
    assert yaml.safe_load(told) is None


def test_entry_that_is_gone_is_not_named() -> None:
    """The map changed since: what is offered is for the map as it is."""
    labels = {"alertname": "X", "service": "refund-api"}
    via = a_map(BODY).resolve(labels, today=TODAY).via
    told = correction(a_map("services:\n  other: {owner: payments}\n"), labels, via=via, owner="data", said_on=TODAY)
    assert _sections(told) == {"services": {"refund-api": {"owner": "data"}}}


TEXT = st.text(min_size=1, max_size=12)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    labels=st.fixed_dictionaries(
        {"alertname": TEXT},
        optional=dict.fromkeys(("namespace", "service", "cronjob", "job_name", "team", "host"), TEXT),
    ),
    team=st.sampled_from(["", "payments"]),
)
def test_hostile_labels(labels: dict[str, str], team: str, tmp_path: Path) -> None:
    """Whatever the labels are, what is offered is YAML that a map can have, and it gives the alert to the team."""
    labels = {**labels, **({"team": team} if team else {})}
    if any("\ud800" <= letter <= "\udfff" for value in labels.values() for letter in value):
        return  # half a character never comes in: a body with one is no JSON for us
    after, told = corrected(BODY, labels, tmp_path / "ownership.yaml")
    assert yaml.safe_load(told) is None or after.resolve(labels, today=date(2026, 11, 22)).owner == "data"
