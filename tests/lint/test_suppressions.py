"""`# own: ignore[…]`: what it counts for, and what is said of one that does nothing."""

from pathlib import Path
from textwrap import dedent

import pytest

from router.core.findings import Finding, FindingSeverity
from router.lint.suppressions import Commented, after_suppressions, commented_map, commented_rules
from router.ownership_file.document import read_document
from router.rule_files.reading import read_rules

FILE = "ownership.yaml"


def found(code: str, line: int, *, file: str = FILE) -> Finding:
    return Finding(
        code=code, message="as found", file=file, line=line, column=1, severity=FindingSeverity.WARNING, help=None
    )


def files_of(text: str) -> list[Commented]:
    document = read_document(dedent(text).encode(), file=FILE)
    assert document.findings == []
    return list(commented_map([document]))


def left(
    text: str, *findings: Finding, stopping: frozenset[Finding] = frozenset(), all_checked: bool = True
) -> list[str]:
    """What stays of the findings, and what is said of the comments, as `line:column code message`."""
    after = after_suppressions(findings, files_of(text), stopping=stopping, all_checked=all_checked)
    return [f"{finding.line}:{finding.column} {finding.code} {finding.message}" for finding in after]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("jobs:\n  # own: ignore[OWN130] no\n  a: {owner: x}\n", 3, id="above a key"),
        pytest.param("jobs:\n  a: {owner: x}  # own: ignore[OWN130] no\n", 2, id="at its end"),
        pytest.param("jobs:\n  a:  # own: ignore[OWN130] no\n    owner: x\n", 3, id="at the key's end, for all inside"),
        pytest.param("# own: ignore[OWN130] no\njobs:\n  a:\n    owner: x\n", 4, id="above a whole section"),
        pytest.param("rules:\n  # own: ignore[OWN130] no\n  - id: a\n    owner: x\n", 4, id="above a list element"),
        pytest.param("rules:\n  - id: a # own: ignore[OWN130] no\n    owner: x\n", 3, id="at the `id` of an element"),
        pytest.param("rules:\n  - # own: ignore[OWN130] no\n    id: a\n", 3, id="between the dash and the element"),
        pytest.param("rules: [\n  # own: ignore[OWN130] no\n  {id: a},\n  {id: b}]\n", 3, id="in brackets"),
        pytest.param("jobs:\n  # own: ignore[OWN130] no\n  # more\n\n  a: x\n", 5, id="above other comments"),
        pytest.param("jobs:\n  # own: ignore[OWN131, OWN130 ,OWN130] no\n  a: x\n", 3, id="one of several codes"),
        pytest.param("jobs:\n  #own:ignore [OWN130] no\n  a: x\n", 3, id="with other spaces"),
        pytest.param("jobs:\n  a: |  # own: ignore[OWN130] no\n    text\n", 2, id="behind the sign of a block scalar"),
        pytest.param("a: |\n  text\n# own: ignore[OWN130] no\nb: x\n", 4, id="below a block scalar"),
        pytest.param("a: 'it''s # not'  # own: ignore[OWN130] no\n", 1, id="behind a quoted #"),
        pytest.param('a: "決済 # x"  # own: ignore[OWN130] 理由\n', 1, id="wide characters"),
        pytest.param("jobs:\r\n  # own: ignore[OWN130] no\r\n  a: x\r\n", 3, id="carriage returns"),
    ],
)
def test_it_suppresses(text: str, line: int) -> None:
    """Above an entry, or at the end of its first line, for what is found anywhere in it."""
    told = left(text, found("OWN130", line))
    assert [each for each in told if "OWN131" not in each] == []


MAP = """\
jobs:
  # own: ignore[OWN130] runs once
  a:
    owner: x
  b:
    owner: x
"""


@pytest.mark.parametrize(
    "finding",
    [
        pytest.param(found("OWN130", 5), id="the next entry"),
        pytest.param(found("OWN130", 1), id="what it is part of"),
        pytest.param(found("OWN131", 3), id="another code"),
        pytest.param(found("OWN130", 3, file="other.yaml"), id="another file"),
    ],
)
def test_it_counts_for_its_entry_alone(finding: Finding) -> None:
    """What stands beside the entry is reported, and the comment as one that does nothing."""
    assert left(MAP, finding) == [
        f"{finding.line}:1 {finding.code} as found",
        "2:3 OWN004 OWN130 is not found here: this suppresses nothing",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("a: x # own: ignore[OWN130]\n", "1:6 OWN004 a suppression without a reason", id="no reason"),
        pytest.param("a: x # own: ignore[OWN130] -\n", "1:6 OWN004 a suppression without a reason", id="a dash"),
        pytest.param("a: x # own: ignore OWN130 no\n", "1:6 OWN004 not a suppression", id="no brackets"),
        pytest.param("a: x # own: ignroe[OWN130] no\n", "1:6 OWN004 not a suppression", id="misspelt"),
        pytest.param("a: x # own: ignore[OWN999] no\n", '1:6 OWN004 no check has the code "OWN999"', id="no such code"),
        pytest.param("a: x # own: ignore[] no\n", '1:6 OWN004 no check has the code ""', id="no code"),
        pytest.param(
            "a: {\n  b: x\n  } # own: ignore[OWN130] no\n",
            "3:5 OWN004 a suppression of nothing: no entry begins here",
            id="at the end of an entry",
        ),
        pytest.param(
            "a: x\n# own: ignore[OWN130] no\n",
            "2:1 OWN004 a suppression of nothing: no entry begins here",
            id="above nothing",
        ),
        pytest.param(
            "a: x # own: ignore[OWN101] no\n",
            "1:6 OWN004 OWN101 cannot be suppressed: the map does not load with it",
            id="what stops loading",
        ),
    ],
)
def test_one_that_does_nothing_is_reported(text: str, told: str) -> None:
    """At the comment, and the finding stays."""
    assert sorted(left(text, found("OWN130", 1))) == sorted(["1:1 OWN130 as found", told])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: 'x # own: ignore[OWN130]'\n", id="in single quotes"),
        pytest.param('a: "x # own: ignore[OWN130]"\n', id="in double quotes"),
        pytest.param('a: "x\n  # own: ignore[OWN130]"\n', id="in a second quoted line"),
        pytest.param("a: |\n  # own: ignore[OWN130]\n", id="in a block scalar"),
        pytest.param("a: >-\n  x\n\n  # own: ignore[OWN130]\nb: x\n", id="in a folded one, below an empty line"),
        pytest.param("a: x#own:ignore[OWN130]\n", id="no white space before it"),
        pytest.param("a: x # see # own: ignore[OWN130]\n", id="inside of another comment"),
    ],
)
def test_only_comments_count(text: str) -> None:
    """What looks like a comment and is text, or a remark about one, says nothing to lint."""
    assert left(text, found("OWN130", 1)) == ["1:1 OWN130 as found"]


def test_what_stops_loading_stays() -> None:
    """A check that usually can be suppressed cannot where the map does not load with it."""
    finding = found("OWN110", 1)
    assert left("a: x # own: ignore[OWN110] no\n", finding, stopping=frozenset({finding}), all_checked=False) == [
        "1:1 OWN110 as found",
        "1:6 OWN004 OWN110 cannot be suppressed: the map does not load with it",
    ]


@pytest.mark.parametrize(
    ("text", "all_checked"),
    [
        pytest.param("a: x # own: ignore[OWN130] no\n", False, id="not everything was checked"),
        pytest.param("a: x # own: ignore[OWN401] no\n", True, id="a check of others"),
    ],
)
def test_nobody_can_say_that_it_is_unused(text: str, all_checked: bool) -> None:
    """A check that did not run may find what is suppressed."""
    assert left(text, all_checked=all_checked) == []


def test_two_comments_for_one_finding_are_both_used() -> None:
    """One for a section and one for an entry of it need not know of each other."""
    text = "# own: ignore[OWN130] all of them\njobs:\n  a: x # own: ignore[OWN130] this one too\n"
    assert left(text, found("OWN130", 3)) == []


RULES = """\
groups:
  - name: pay
    rules:
      # own: ignore[OWN701] {reason}
      - alert: RefundsSlow
        expr: |
          up == 0 # own: ignore[OWN704] is PromQL here
        labels: {{team: x}}
      - alert: Other
        expr: up
"""


@pytest.mark.parametrize("reason", ["nobody's", "{{ .Values.reason }} of a template {{- end }}"])
def test_it_suppresses_in_rule_files(reason: str, tmp_path: Path) -> None:
    """An alert rule is an entry, from its `alert:` to the next one's; Helm templates too."""
    text = RULES.format(reason=reason)
    file = tmp_path / "pay.yaml"
    file.write_text(text, encoding="utf-8")
    alerts = read_rules(text.encode(), file=str(file)).alerts
    assert [alert.name for alert in alerts] == ["RefundsSlow", "Other"]
    findings = [found("OWN701", line, file=str(file)) for line in (5, 8, 9)]
    after = after_suppressions(findings, commented_rules(alerts), stopping=(), all_checked=True)
    assert [(finding.code, finding.line) for finding in after] == [("OWN701", 9)]
