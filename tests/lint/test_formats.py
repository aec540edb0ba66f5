"""The forms in which `router lint` shows what it found, for people, GitHub and other programs."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from router.core.findings import Finding, Related
from router.lint.coverage import Coverage
from router.lint.formats import as_json, coloured, concise, summary
from router.lint.github import annotated, annotation, changed_lines, step_summary
from router.lint.linting import Report
from router.lint.sarif import MAX_RESULTS, as_sarif
from router.ownership_file import render_findings
from tests.lint.findings import ERROR, INFO, WARNING, a_finding, a_report

SHADOWED = a_finding(
    41,
    file="teams/infra.yaml",
    end_column=18,
    help="move it up",
    related=(Related(file="ownership.yaml", line=88, column=11, message="`kube-nodes`"),),
)


# -- for people ----------------------------------------------------------------------------------------------------


def test_concise() -> None:
    """A finding is one line, whatever its message holds."""
    findings = [SHADOWED, a_finding(2, message="the test fails:\n  label: no\n  fallback")]
    assert concise(findings).split("\n") == [
        "teams/infra.yaml:41:5: OWN202 it can never match",
        "ownership.yaml:2:5: OWN202 the test fails: label: no fallback",
    ]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        pytest.param(a_report(files=3), "ownership.yaml: 3 files, no findings", id="nothing"),
        pytest.param(a_report(a_finding()), "1 error in 1 file", id="one"),
        pytest.param(
            a_report(a_finding(), a_finding(), a_finding(severity=WARNING), files=3),
            "2 errors, 1 warning in 3 files",
            id="several",
        ),
        pytest.param(a_report(a_finding(severity=INFO), a_finding(severity=INFO)), "2 infos in 1 file", id="infos"),
    ],
)
def test_the_last_line(report: Report, expected: str) -> None:
    """How much was found, and in how many files."""
    assert summary(report) == expected


def test_colours_are_put_on_heads_alone() -> None:
    """A severity keeps its colour, and what the file holds keeps none."""
    text = 'warning[OWN205]: "error[OWN202]: x"\n 1 | error[OWN202]: y\n\nerror[OWN202]: z'
    shown = coloured(text)
    assert shown.count("\x1b[0m") == 2
    assert shown.startswith("\x1b[33m\x1b[1mwarning[OWN205]\x1b[0m: ")
    assert "\n\n\x1b[31m\x1b[1merror[OWN202]\x1b[0m: z" in shown


def test_a_rendered_finding_says_its_severity() -> None:
    """Only an error is called so."""
    shown = render_findings([a_finding(severity=WARNING, file="missing.yaml")])
    assert shown.startswith("warning[OWN202]: it can never match\n")


def test_a_rendered_finding_shows_the_other_place() -> None:
    """What shadows, or came first, is named with its place."""
    assert "ownership.yaml:88:11" in render_findings([SHADOWED])


# -- JSON ----------------------------------------------------------------------------------------------------------

COVERAGE = Coverage(
    files=2,
    unreadable=0,
    alerts=4,
    owned=1,
    templated=1,
    dropped=1,
    orphans=1,
    by_stage={"label": 1},
    by_team={"payments": 1},
)


def test_json() -> None:
    """The documented keys, in their order."""
    answer = json.loads(as_json(a_report(SHADOWED, a_finding(severity=INFO), files=3)))
    assert answer == {
        "version": 1,
        "findings": [
            {
                "code": "OWN202",
                "severity": "error",
                "file": "teams/infra.yaml",
                "line": 41,
                "column": 5,
                "end_line": 41,
                "end_column": 18,
                "message": "it can never match",
                "help": "move it up",
                "related": [{"file": "ownership.yaml", "line": 88, "column": 11, "message": "`kube-nodes`"}],
            },
            {
                "code": "OWN202",
                "severity": "info",
                "file": "ownership.yaml",
                "line": 1,
                "column": 5,
                "message": "it can never match",
                "help": None,
                "related": [],
            },
        ],
        "summary": {"errors": 1, "warnings": 0, "infos": 1, "files": 3, "coverage": None},
    }


def test_json_has_the_coverage() -> None:
    """With rule files the figures are there, under the documented names."""
    assert json.loads(as_json(a_report(coverage=COVERAGE)))["summary"]["coverage"] == {
        "files": 2,
        "unreadable": 0,
        "alerts": 4,
        "owned": 1,
        "templated": 1,
        "dropped": 1,
        "orphans": 1,
        "by_stage": {"label": 1},
        "by_team": {"payments": 1},
    }


# -- GitHub --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        pytest.param(
            SHADOWED,
            "::error file=teams/infra.yaml,line=41,col=5,endColumn=18,title=OWN202::it can never match%0Amove it up",
            id="an error with its end and help",
        ),
        pytest.param(
            a_finding(severity=WARNING),
            "::warning file=ownership.yaml,line=1,col=5,title=OWN202::it can never match",
            id="a warning",
        ),
        pytest.param(
            a_finding(severity=INFO),
            "::notice file=ownership.yaml,line=1,col=5,title=OWN202::it can never match",
            id="an info is a notice",
        ),
        pytest.param(
            a_finding(file="a,b:c%.yaml", message="100 %\r\n::set-output name=x::y"),
            "::error file=a%2Cb%3Ac%25.yaml,line=1,col=5,title=OWN202::100 %25%0D%0A::set-output name=x::y",
            id="no second command",
        ),
    ],
)
def test_an_annotation(finding: Finding, expected: str) -> None:
    """One workflow command on one line; what would end it or begin another is escaped."""
    assert annotation(finding) == expected


def test_ten_annotations_of_each_type() -> None:
    """GitHub would drop the others; those on changed lines come first, then the order of the report."""
    findings = [a_finding(line, severity=severity) for severity in (ERROR, WARNING) for line in range(1, 21)]
    shown = annotated(findings, {"ownership.yaml": frozenset({3, 19}), "other.yaml": frozenset({5})})
    assert [finding.line for finding in shown if finding.severity is ERROR] == [3, 19, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [finding.line for finding in shown if finding.severity is WARNING] == [3, 19, 1, 2, 4, 5, 6, 7, 8, 9]


def test_the_summary_is_a_table() -> None:
    """Every finding is a row; what is in it is text, whatever it looks like."""
    hostile = a_finding(2, severity=WARNING, message="| `b` <img>\n[c](d) @e", help="x\\")
    assert step_summary([SHADOWED, hostile], "1 error, 1 warning in 2 files").splitlines() == [
        "### router lint",
        "",
        "1 error, 1 warning in 2 files",
        "",
        "| severity | code | place | finding |",
        "| --- | --- | --- | --- |",
        "| error | OWN202 | teams/infra.yaml:41:5 | it can never match (move it up) |",
        "| warning | OWN202 | ownership.yaml:2:5 | &#124; &#96;b&#96; &#60;img&#62; &#91;c&#93;(d) &#64;e (x&#92;) |",
    ]


def test_the_summary_without_findings() -> None:
    """No table of nothing."""
    assert step_summary([], "no findings") == "### router lint\n\nno findings\n"


@pytest.mark.parametrize("max_bytes", [300, 1000, 10_000])
def test_a_large_summary_is_cut(max_bytes: int) -> None:
    """It stays within GitHub's limit, counted in bytes, and says how much is missing."""
    text = step_summary(
        [a_finding(line, message="決済") for line in range(1, 1001)], "1000 errors", max_bytes=max_bytes
    )
    rows = sum(line.startswith("| error") for line in text.splitlines())
    assert max_bytes - 100 < len(text.encode()) <= max_bytes
    assert text.endswith(f"\n{1000 - rows} more findings do not fit in here.\n")


def git(*arguments: str) -> None:
    named = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
    subprocess.run(["git", *named, *arguments], check=True, capture_output=True, timeout=20)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git repository with a change on a branch; the branch it left has moved on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git("init", "--quiet", "--initial-branch=main")
    (tmp_path / "teams").mkdir()
    for name in ("ownership.yaml", "teams/決済 pay.yaml"):
        (tmp_path / name).write_text("".join(f"line {number}\n" for number in range(1, 11)), encoding="utf-8")
    git("add", ".")
    git("commit", "--quiet", "--message=first")
    git("checkout", "--quiet", "-b", "change")
    changed = (tmp_path / "ownership.yaml").read_text(encoding="utf-8").replace("line 3\n", "+++ b/x\n@@ -1 +1 @@\n")
    (tmp_path / "ownership.yaml").write_text(changed.replace("line 9\n", "") + "last", encoding="utf-8")
    (tmp_path / "teams/決済 pay.yaml").write_text("new\nline 1\n", encoding="utf-8")
    git("commit", "--quiet", "--all", "--message=second")
    git("checkout", "--quiet", "main")
    (tmp_path / "ownership.yaml").write_text("other\n", encoding="utf-8")
    git("commit", "--quiet", "--all", "--message=elsewhere")
    git("checkout", "--quiet", "change")
    return tmp_path


@pytest.mark.needs("git")
def test_changed_lines(repository: Path) -> None:
    """Those that the branch itself adds or alters, by the names that findings have."""
    assert changed_lines("main") == {"ownership.yaml": {3, 4, 11}, "teams/決済 pay.yaml": {1}}


@pytest.mark.needs("git")
def test_changed_lines_of_a_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings are named from the current directory, and so are these."""
    monkeypatch.chdir(repository / "teams")
    assert changed_lines("main") == {"決済 pay.yaml": {1}}


def test_no_lines_where_git_cannot_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a repository, in a shallow clone or without git, the annotations come in order."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert changed_lines("main") == {}
    monkeypatch.setenv("PATH", str(tmp_path))
    assert changed_lines("main") == {}


@pytest.mark.needs("git")
def test_no_lines_of_an_unknown_branch(repository: Path) -> None:
    """A checkout of depth 1 has no other branch."""
    assert changed_lines("origin/main") == {}


# -- SARIF ---------------------------------------------------------------------------------------------------------

Json = dict[str, Any]  # Any: what json.loads gives


def run_of(*findings: Finding) -> Json:
    log = json.loads(as_sarif(findings, version="1.2.3"))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def test_a_result() -> None:
    """Every member that SARIF requires, and those that code scanning shows."""
    (result,) = run_of(SHADOWED)["results"]
    fingerprints = result.pop("partialFingerprints")
    assert result == {
        "ruleId": "OWN202",
        "ruleIndex": 0,
        "level": "error",
        "message": {"text": "it can never match\nmove it up"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "teams/infra.yaml", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 41, "startColumn": 5, "endColumn": 18},
                }
            }
        ],
        "relatedLocations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "ownership.yaml", "uriBaseId": "%SRCROOT%"},
                    "region": {"startLine": 88, "startColumn": 11},
                },
                "message": {"text": "`kube-nodes`"},
            }
        ],
    }
    assert list(fingerprints) == ["primaryLocationLineHash"]


def test_the_rules_of_a_run() -> None:
    """Each code that was found is described once, with its page, and each result leads to its own."""
    run = run_of(a_finding(code="OWN901"), a_finding(code="OWN105", severity=INFO), a_finding(2, code="OWN901"))
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("router lint", "1.2.3")
    assert [rule["id"] for rule in driver["rules"]] == ["OWN105", "OWN901"]
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["markdown"].startswith(f"# {rule['id']}: ")
        assert rule["help"]["text"]
    assert [driver["rules"][result["ruleIndex"]]["id"] for result in run["results"]] == [
        result["ruleId"] for result in run["results"]
    ]
    assert run["columnKind"] == "unicodeCodePoints"
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_levels() -> None:
    """An info is a note."""
    findings = [a_finding(severity=severity) for severity in (ERROR, WARNING, INFO)]
    assert [result["level"] for result in run_of(*findings)["results"]] == ["error", "warning", "note"]


@pytest.mark.parametrize(
    ("file", "artifact"),
    [
        pytest.param("a b%.yaml", {"uri": "a%20b%25.yaml", "uriBaseId": "%SRCROOT%"}, id="a name with signs"),
        pytest.param("/etc/own.yaml", {"uri": "file:///etc/own.yaml"}, id="outside of the current directory"),
    ],
)
def test_the_address_of_a_file(file: str, artifact: Json) -> None:
    """A URI, relative to the repository where it can be."""
    (result,) = run_of(a_finding(file=file))["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == artifact


def test_fingerprints() -> None:
    """A finding is the same one when its line moves, and two equal ones of a file are two."""

    def prints(*findings: Finding) -> list[str]:
        return [result["partialFingerprints"]["primaryLocationLineHash"] for result in run_of(*findings)["results"]]

    before = prints(a_finding(1), a_finding(2), a_finding(3, message="another"))
    assert len(set(before)) == 3
    assert prints(a_finding(11), a_finding(12), a_finding(13, message="another")) == before


def test_too_many_results() -> None:
    """GitHub refuses more than 25,000: the most severe ones stay, and the run says what is missing."""
    infos = [a_finding(line, severity=INFO) for line in range(1, MAX_RESULTS + 1)]
    run = run_of(*infos, a_finding(severity=WARNING), a_finding())
    assert len(run["results"]) == MAX_RESULTS == 25_000
    assert [result["level"] for result in run["results"][:3]] == ["error", "warning", "note"]
    assert run["invocations"][0]["toolExecutionNotifications"] == [
        {"level": "warning", "message": {"text": "2 more findings are left out"}}
    ]
