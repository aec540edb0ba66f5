"""A report for people at a terminal, and for programs as JSON."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

import click

from router.core.findings import Finding, FindingSeverity
from router.lint.linting import Report

VERSION: Final = 1

Json = dict[str, Any]  # Any: what json.dumps takes

_COLOURS: Final = {FindingSeverity.ERROR: "red", FindingSeverity.WARNING: "yellow", FindingSeverity.INFO: "cyan"}
_HEAD: Final = re.compile(rf"^({'|'.join(FindingSeverity)})\[OWN\d+\](?=:)", re.MULTILINE)


def coloured(text: str) -> str:
    """Rendered findings with the head of each in the colour of its severity."""
    return _HEAD.sub(lambda head: click.style(head[0], fg=_COLOURS[FindingSeverity(head[1])], bold=True), text)


def concise(findings: Sequence[Finding]) -> str:
    """`file:line:column: CODE message`, a line each."""
    return "\n".join(on_one_line(str(finding)) for finding in findings)


def on_one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


def as_json(report: Report) -> str:
    """The report for programs; stable, versioned."""
    answer: Json = {
        "version": VERSION,
        "findings": [_finding(finding) for finding in report.findings],
        "summary": {
            "errors": report.count(FindingSeverity.ERROR),
            "warnings": report.count(FindingSeverity.WARNING),
            "infos": report.count(FindingSeverity.INFO),
            "files": len(report.files),
            "coverage": report.coverage and asdict(report.coverage),
        },
    }
    return json.dumps(answer, ensure_ascii=False, indent=2)


def _finding(finding: Finding) -> Json:
    answer: Json = {
        "code": finding.code,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
    }
    if finding.end_column is not None:
        answer |= {"end_line": finding.line, "end_column": finding.end_column}
    return answer | {
        "message": finding.message,
        "help": finding.help,
        "related": [
            {"file": related.file, "line": related.line, "column": related.column, "message": related.message}
            for related in finding.related
        ],
    }


def summary(report: Report) -> str:
    """One line: how much was found, in how many files."""
    files = _counted(len(report.files), "file")
    if report.coverage is not None:
        files = f"{files} of the map and {_counted(report.coverage.files, 'rule file')}"
    if not report.findings:
        return f"{report.files[0]}: {files}, no findings"
    return f"{', '.join(_severities(report))} in {files}"


def _severities(report: Report) -> Iterator[str]:
    for severity in FindingSeverity:
        number = report.count(severity)
        if number:
            yield _counted(number, severity)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
