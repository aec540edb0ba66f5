"""Findings and reports that show only what matters to a test."""

from router.core.findings import Finding, FindingSeverity, Related
from router.lint.coverage import Coverage
from router.lint.linting import Report

ERROR, WARNING, INFO = FindingSeverity


def a_finding(
    line: int = 1,
    *,
    code: str = "OWN202",
    file: str = "ownership.yaml",
    severity: FindingSeverity = ERROR,
    message: str = "it can never match",
    help: str | None = None,
    end_column: int | None = None,
    related: tuple[Related, ...] = (),
) -> Finding:
    return Finding(
        code=code,
        message=message,
        file=file,
        line=line,
        column=5,
        end_column=end_column,
        severity=severity,
        help=help,
        related=related,
    )


def a_report(*findings: Finding, coverage: Coverage | None = None, files: int = 1) -> Report:
    names = ("ownership.yaml", *(f"teams/{number}.yaml" for number in range(1, files)))
    return Report(files=names, findings=findings, coverage=coverage, unmatched=())
