"""The map that `make run` uses."""

from datetime import date
from pathlib import Path

import pytest

from router.core.model import Language, RerunSafety, Stage
from router.ownership_file import load_map
from tests.ownership.maps import TODAY, ask

EXAMPLE = load_map(Path(__file__).parents[2] / "ownership.yaml")


def test_it_has_no_warnings() -> None:
    """The example is without a fault."""
    assert EXAMPLE.warnings == ()


@pytest.mark.parametrize("case", EXAMPLE.tests, ids=lambda case: f"line {case.place.line}")
def test_its_own_tests_hold(case: object) -> None:
    """Each of its `tests` is true."""
    test = next(known for known in EXAMPLE.tests if known is case)
    resolution = EXAMPLE.resolve(test.labels, test.annotations, today=TODAY)
    entry = resolution.via.entry
    found = {
        "owner": resolution.owner,
        "via": f"{resolution.via.stage}/{entry}" if entry is not None else str(resolution.via.stage),
        "severity": resolution.hints.severity,
        "rerun": resolution.hints.rerun.safety,
    }
    assert {key: found[key] for key in test.expect} == dict(test.expect)


@pytest.mark.parametrize("today", [date(2026, 1, 1), date(2036, 1, 1)])
def test_the_newcomers_alerts(today: date) -> None:
    """Alerts as people have them find their teams, on any day; one service is nobody's."""
    for labels, owner in [
        ({"alertname": "KubeJobFailed", "cronjob": "nightly-export", "namespace": "batch"}, "data-platform"),
        ({"alertname": "ProbeDown", "team": "edge"}, "edge"),
        ({"alertname": "MixedOwners", "team": "ledger", "service": "ledger-api"}, "ledger"),
        ({"alertname": "MixedOwners", "service": "unknown-api"}, None),
        ({"alertname": "支払いバッチ遅延", "team": "決済チーム"}, "settlement"),
        ({"alertname": "AnyOld", "team": "growth"}, "payments"),
        ({"alertname": "CheckInMissing", "checkin": "billing-invoice"}, "payments"),
    ]:
        assert EXAMPLE.resolve(labels, today=today).owner == owner


def test_it_shows_each_kind_of_entry() -> None:
    """A newcomer sees every kind of evidence, a tombstone, another language and a job that must not run twice."""
    assert all((EXAMPLE.services, EXAMPLE.jobs, EXAMPLE.rules, EXAMPLE.namespaces, EXAMPLE.tests))
    assert [team.id for team in EXAMPLE.teams.values() if not team.active] == ["growth"]
    assert Language.JAPANESE in {team.language for team in EXAMPLE.teams.values()}
    invoice = ask(EXAMPLE, checkin="billing-invoice")
    assert (invoice.via.stage, invoice.hints.rerun.safety) == (Stage.JOB, RerunSafety.UNSAFE)
