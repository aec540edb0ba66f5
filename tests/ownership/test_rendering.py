"""Findings as people see them in a terminal."""

import os
from pathlib import Path

import pytest

from router.core.findings import Finding, FindingSeverity, Related
from router.ownership_file import read_map, render_findings
from tests.ownership.test_places import HEAD


def shown(path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    return render_findings(read_map(path).findings).splitlines()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("ownership.yaml")


def test_the_first_of_two(path: Path) -> None:
    """The other place has its own line, with carets under all of it; line numbers stand in one column."""
    assert shown(path, HEAD + "\n\n\nservices:\n  refunds: {owner: a}\n  refunds: {owner: a}\n") == [
        'error[OWN003]: duplicate key "refunds", which is already in line 9',
        "  --> ownership.yaml:10:3",
        "   |",
        "10 |   refunds: {owner: a}",
        "   |   ^^^^^^^",
        '  ::: ownership.yaml:9:3: the first "refunds"',
        "   |",
        " 9 |   refunds: {owner: a}",
        "   |   ^^^^^^^",
        "   = help: delete one of them, or rename it",
        "   = docs: router lint --explain OWN003",
    ]


def test_a_warning(path: Path) -> None:
    """A severity is told by its word."""
    lines = shown(path, HEAD + "namespaces: {no: a}\n")
    assert lines[0] == "warning[OWN006]: `no` unquoted: YAML 1.1 reads false"
    assert lines[-2:] == ['  = help: write "no"', "  = docs: router lint --explain OWN006"]


def test_an_end_that_is_missing(path: Path) -> None:
    """Where the parser stopped is often far from the cause: that is shown as well."""
    lines = shown(path, "version: 1\nteams:\n  a: {channel: [x,\n  b: c\n")
    assert lines[0] == "error[OWN001]: not YAML: a list that is not closed"
    assert " ::: ownership.yaml:3:16: what is not finished begins here" in lines
    assert "3 |   a: {channel: [x," in lines


def test_a_secret_is_shown_nowhere(path: Path) -> None:
    """Neither in the line of a finding nor in a related one, also where the line is cut within it."""
    secret = "xoxb-" + "very-secret-" * 30
    text = HEAD + f"services: {{s: {{owner: a, aliases: ['{secret}'], x: 1}}, s: {{owner: a}}}}\n"
    lines = "\n".join(shown(path, text))
    assert "OWN003" in lines
    assert "secret" not in lines
    assert "xoxb" not in lines


def test_what_moves_the_cursor_is_not_printed(path: Path) -> None:
    """Not in messages either, which quote what was written."""
    lines = "\n".join(shown(path, HEAD + 'services: {s: {owner: a, "\\e[2J\\u202e": 1}}\n'))
    assert "OWN004" in lines
    assert "\x1b" not in lines
    assert "\u202e" not in lines


def test_a_file_that_is_gone(path: Path) -> None:
    """Then the finding has no line; a pipe is not waited for."""
    os.mkfifo("pipe")
    related = (Related(file="pipe", line=2, column=3, message="the first"),)
    finding = Finding(
        code="OWN104",
        message="twice",
        file="gone.yaml",
        line=1,
        column=2,
        severity=FindingSeverity.ERROR,
        related=related,
    )
    assert render_findings([finding]).splitlines() == [
        "error[OWN104]: twice",
        " --> gone.yaml:1:2",
        " ::: pipe:2:3: the first",
        "  = docs: router lint --explain OWN104",
    ]
