"""The corpus of seeded defects: `router lint` finds each at its exact place, and nothing else.

Most of it are the pages of docs/reference/lint/. `corpus/` has the further forms that a defect takes; each of its maps
names what must be found in it, by comments `# expect: CODE line:column`. `realistic/` has maps without a defect.
"""

import json
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from router.cli import main
from router.core.findings import Finding, FindingSeverity
from router.lint.codes import CODES
from router.lint.formats import concise
from router.lint.linting import lint
from tests.docs.lint_pages import Files, example_of, write

HERE: Final = Path(__file__).parent
TODAY: Final = date(2026, 11, 22)
OFFLINE: Final = [code.id for code in CODES.values() if code.offline]
CORPUS: Final = sorted(path for path in (HERE / "corpus").iterdir())
REALISTIC: Final = sorted((HERE / "realistic").iterdir())
# A rule that matches everything also takes everything from each rule below it.
FOLLOWS: Final = {"OWN211": {"OWN202"}}
EXPECT: Final = re.compile(rb"# expect: (OWN\d{3}) (\d+):(\d+)")

Places = list[tuple[str, int, int, str]]


def found_in(map_file: Path) -> list[Finding]:
    """What lint finds; the `rules/` beside the map are the rule files, if there are any."""
    rules = map_file.parent / "rules"
    globs = [(rules / "*.yaml").as_posix()] if rules.is_dir() else []
    return list(lint(map_file, today=TODAY, rules=globs).findings)


def found_in_files(files: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What lint finds in `files`, named as the page names them."""
    write(files, folder)
    monkeypatch.chdir(folder)
    return found_in(Path("ownership.yaml"))


def serious(findings: Iterable[Finding]) -> list[str]:
    return [str(finding) for finding in findings if finding.severity is not FindingSeverity.INFO]


# -- the pages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", OFFLINE)
def test_the_defect_of_the_page_is_found(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows word for word what lint says of its example, and that is this check alone."""
    example = example_of(code)
    findings = found_in_files(example.wrong, tmp_path, monkeypatch)
    assert concise(findings).splitlines() == example.printed
    assert code in {finding.code for finding in findings}
    others = {finding.code for finding in findings if finding.severity is not FindingSeverity.INFO} - {code}
    assert others == FOLLOWS.get(code, set())
    assert {finding.severity for finding in findings if finding.code == code} <= set(CODES[code].severities)


@pytest.mark.parametrize("code", [code for code in OFFLINE if example_of(code).right])
def test_the_right_version_has_no_defect(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever follows the page is done."""
    assert serious(found_in_files(example_of(code).right, tmp_path, monkeypatch)) == []


@pytest.mark.parametrize("code", [code for code in OFFLINE if example_of(code).suppressed])
def test_the_comment_of_the_page_suppresses(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comment that a page offers, above the line that it shows, silences the finding and leaves nothing new."""
    findings = found_in_files(example_of(code).suppressed, tmp_path, monkeypatch)
    assert serious(findings) == []
    assert code not in {finding.code for finding in findings}


@pytest.mark.parametrize("code", ["OWN001", "OWN202", "OWN702"])
def test_the_command_says_the_same(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`router lint` prints what the page shows, and its JSON has the same codes and places."""
    example = example_of(code)
    write(example.wrong, tmp_path)
    monkeypatch.chdir(tmp_path)
    rules = ["--rules", "rules/*.yaml"] if "rules/pay.yaml" in example.wrong else []
    shown = CliRunner().invoke(main, ["lint", *rules, "--format", "concise"])
    told = CliRunner().invoke(main, ["lint", *rules, "--format", "json"])
    assert (shown.exit_code, told.exit_code) == (1, 1)
    assert shown.stdout.splitlines()[: len(example.printed)] == example.printed
    findings = json.loads(told.stdout)["findings"]
    places = [f"{each['file']}:{each['line']}:{each['column']}: {each['code']}" for each in findings]
    assert places == [" ".join(line.split(" ")[:2]) for line in example.printed]


# -- further forms -------------------------------------------------------------------------------------------------


def map_of(case: Path) -> Path:
    return case if case.is_file() else case / "ownership.yaml"


def expected_in(case: Path) -> Places:
    files = [case] if case.is_file() else sorted(path for path in case.rglob("*") if path.is_file())
    return sorted(
        (path.relative_to(HERE).as_posix(), int(line), int(column), code.decode())
        for path in files
        for code, line, column in EXPECT.findall(path.read_bytes())
    )


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.stem)
def test_every_seeded_defect_is_found(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each map of the corpus has exactly the findings that its comments name."""
    assert expected_in(case), "a case without a defect belongs into realistic/"
    monkeypatch.chdir(HERE)
    findings = found_in(map_of(case).relative_to(HERE))
    named = {code for *_, code in expected_in(case)}
    told = [each for each in findings if each.severity is not FindingSeverity.INFO or each.code in named]
    assert [(each.file, each.line, each.column, each.code) for each in told] == expected_in(case)


def test_every_severity_is_seeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each offline check is seen with each severity that it can have."""
    seen = set()
    for code in OFFLINE:
        findings = found_in_files(example_of(code).wrong, tmp_path / code, monkeypatch)
        seen |= {(finding.code, finding.severity) for finding in findings}
    for case in CORPUS:
        seen |= {(finding.code, finding.severity) for finding in found_in(map_of(case))}
    assert {(code, severity) for code in OFFLINE for severity in CODES[code].severities} - seen == set()


# -- maps as organisations keep them -------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REALISTIC, ids=lambda case: case.stem)
def test_a_realistic_map_has_no_finding(case: Path) -> None:
    """Lint says nothing at all about a map that is in order: whoever reads it at night has no noise in it."""
    report = lint(map_of(case), today=TODAY, rules=())
    assert [str(finding) for finding in report.findings] == []


@pytest.mark.parametrize("case", REALISTIC, ids=lambda case: case.stem)
def test_a_realistic_map_is_one(case: Path, tmp_path: Path) -> None:
    """It is of a size that people keep, and has tests that are run: with another owner each fails."""
    files = [case] if case.is_file() else sorted(case.rglob("*.yaml"))
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert 60 <= len(text.splitlines()) <= 260
    cases = text.count("\n  - labels: ")
    assert cases >= 3
    root = tmp_path / "ownership.yaml"
    for path in files:
        copy = root if case.is_file() else tmp_path / path.relative_to(case)
        copy.parent.mkdir(parents=True, exist_ok=True)
        changed = re.sub(r"expect: \{owner: [^,}]+", "expect: {owner: nobody-at-all", path.read_text(encoding="utf-8"))
        copy.write_text(changed, encoding="utf-8")
    failing = [finding for finding in lint(root, today=TODAY, rules=()).findings if finding.code == "OWN901"]
    assert len(failing) == cases
