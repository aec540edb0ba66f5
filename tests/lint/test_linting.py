"""Everything together: which findings a run has, and in what order."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from router.core.errors import OwnershipFileInvalid
from router.core.findings import FindingSeverity
from router.lint.linting import Report, lint
from tests.lint.maps import BROKEN, FAILING, HEAD, IN_ORDER, LONG_DUE, RULES

TODAY = date(2026, 11, 22)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report_on(text: str, *rules: str, review_errors: bool = True, files: Mapping[str, str] | None = None) -> Report:
    """The report on a map of this text; `files` are others, by name."""
    for name, other in {"ownership.yaml": text, **(files or {})}.items():
        Path(name).write_text(other, encoding="utf-8")
    return lint(Path("ownership.yaml"), today=TODAY, rules=rules, review_errors=review_errors)


def told(report: Report) -> list[str]:
    return [f"{each.file}:{each.line}:{each.column} {each.code} {each.severity}" for each in report.findings]


def test_a_map_in_order() -> None:
    """Nothing is found where nothing is wrong."""
    report = report_on(IN_ORDER)
    assert told(report) == []
    assert (report.files, report.coverage) == (("ownership.yaml",), None)


@pytest.mark.parametrize("name", ["missing.yaml", "."], ids=["not there", "a folder"])
def test_a_map_that_cannot_be_opened(name: str) -> None:
    """It has no findings: there is nothing to look at."""
    with pytest.raises(OwnershipFileInvalid, match="cannot be read"):
        lint(Path(name), today=TODAY)


@pytest.mark.parametrize(
    ("data", "place"),
    [
        pytest.param(b"", "1:1 OWN005", id="empty"),
        pytest.param(b"a:\n\tb: 1\n", "2:1 OWN001", id="not YAML"),
        pytest.param(b"\x7fELF\x00\xff", "1:6 OWN001", id="binary"),
        pytest.param("version: 1".encode("utf-16"), "1:1 OWN001", id="UTF-16"),
        pytest.param(b"[" * 100_000, "1:65 OWN002", id="brackets"),
    ],
)
def test_whatever_can_be_opened_has_findings(data: bytes, place: str) -> None:
    """What is not a map is a finding at a place, and no exception."""
    Path("ownership.yaml").write_bytes(data)
    found = told(lint(Path("ownership.yaml"), today=TODAY))
    assert found[0] == f"ownership.yaml:{place} error"


def test_findings_are_in_the_order_of_the_files() -> None:
    """By file, line, column and code, whichever check found them; an error of one does not hide another's."""
    report = report_on(
        BROKEN.replace('mention: "@pay-oncall"', "mention: U0LEADPAY1") + "include: [a.yaml]\n",
        files={"a.yaml": "services: {api: {owner: payments, tier: 1}}\njobs: {close: {owner: nobody}}\n"},
    )
    assert report.files == ("ownership.yaml", "a.yaml")
    places = [(each.file, each.line, each.column, each.code) for each in report.findings]
    assert places == sorted(places)
    assert {("a.yaml", "OWN101"), ("a.yaml", "OWN130"), ("ownership.yaml", "OWN004"), ("ownership.yaml", "OWN112")} <= {
        (file, code) for file, _, _, code in places
    }
    assert len(set(report.findings)) == len(report.findings)


@pytest.mark.parametrize(("review_errors", "severity"), [(True, "error"), (False, "warning")])
def test_a_review_long_due(review_errors: bool, severity: str) -> None:
    """It is an error unless that is not wanted."""
    assert told(report_on(LONG_DUE, review_errors=review_errors)) == [f"ownership.yaml:11:20 OWN301 {severity}"]


def test_a_suppression() -> None:
    """It takes its finding away, and nothing else."""
    jobs = "jobs:\n  # own: ignore[OWN130] it runs once\n  close: {owner: payments}\n  open: {owner: payments}\n"
    assert told(report_on(HEAD + jobs)) == ["ownership.yaml:14:3 OWN130 warning"]


def test_an_unused_suppression() -> None:
    """It is reported where everything was checked, and not where the map is too broken for that."""
    unused = "# own: ignore[OWN130] it runs once\n"
    assert told(report_on(unused + IN_ORDER)) == ["ownership.yaml:1:1 OWN004 error"]
    assert told(report_on(unused + BROKEN)) == ["ownership.yaml:13:1 OWN004 error"]


def test_a_suppression_in_an_included_file() -> None:
    """Each file's comments count for that file."""
    jobs = "jobs:\n  # own: ignore[OWN130] it runs once\n  close: {owner: payments}\n"
    assert told(report_on(IN_ORDER + "include: [a.yaml]\n", files={"a.yaml": jobs})) == []


def test_the_tests_of_the_map() -> None:
    """They are run where the map loads: what would be tested otherwise is another map."""
    assert told(report_on(FAILING)) == ["ownership.yaml:13:5 OWN901 error"]
    assert "OWN901" not in {each.code for each in report_on(FAILING + "wrong: key\n").findings}


def test_rule_files() -> None:
    """Their alert rules are counted, those that nobody owns are found, and their suppressions count."""
    report = report_on(IN_ORDER, "*.rules.yaml", files={"pay.rules.yaml": RULES})
    assert report.coverage is not None
    assert (report.coverage.alerts, report.coverage.orphans) == (2, 2)
    serious = [each for each in report.findings if each.severity is not FindingSeverity.INFO]
    assert [(each.file, each.line, each.code) for each in serious] == [("pay.rules.yaml", 4, "OWN701")]


def test_rule_files_of_a_broken_map() -> None:
    """Nobody knows what it owns: there is no coverage, and the map's own findings are there."""
    report = report_on(BROKEN, "*.rules.yaml", files={"pay.rules.yaml": RULES})
    assert report.coverage is None
    assert told(report) == ["ownership.yaml:12:1 OWN004 error"]


def test_a_glob_that_finds_no_file() -> None:
    """It is told apart: a typing error in it would look like full coverage."""
    assert report_on(IN_ORDER, "rules/*.yaml", "*.yaml").unmatched == ("rules/*.yaml",)
