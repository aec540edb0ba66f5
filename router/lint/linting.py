"""Everything that is wrong with a map, in one pass over its files."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from router.core.errors import OwnershipFileInvalid
from router.core.findings import Finding, FindingSeverity
from router.core.map_tests import test_findings
from router.lint import (
    entries,
    escalation,
    placeholders,
    references,
    reviews,
    schedules,
    secrets,
    severities,
    teams,
)
from router.lint import rules as rule_checks
from router.lint.coverage import Coverage, coverage_of
from router.lint.suppressions import after_suppressions, commented_map, commented_rules
from router.ownership_file import Parts, parts_of, read_map
from router.ownership_file.loading import in_order
from router.rule_files import read_rule_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one run found, by file, line, column and code."""

    files: tuple[str, ...]  # of the map, the root first
    findings: tuple[Finding, ...]
    coverage: Coverage | None  # None without rule files, and where the map does not load
    unmatched: tuple[str, ...]  # globs of rule files that find none

    def count(self, severity: FindingSeverity) -> int:
        return sum(finding.severity is severity for finding in self.findings)


def lint(path: Path, *, today: date, rules: Sequence[str] = (), review_errors: bool = True) -> Report:
    """Check the map that begins with the file `path`; with globs of Prometheus rule files, also what it owns of those.

    Raises OwnershipFileInvalid where that file itself cannot be opened: what is not YAML is a finding.
    """
    read = read_map(path)
    if read.documents[0].text is None:
        raise OwnershipFileInvalid(list(read.findings))
    parts = parts_of(read.documents)
    findings = [*read.findings]
    commented = [*commented_map(read.documents)]
    coverage: Coverage | None = None
    unmatched: tuple[str, ...] = ()
    if read.map is not None:
        findings += test_findings(read.map, today)
        if rules:
            rule_files = read_rule_files(rules)
            coverage, uncovered = coverage_of(rule_files, read.map, today=today)
            findings += uncovered
            commented += commented_rules(rule_files.alerts)
            unmatched = rule_files.unmatched
    by_label = coverage.by_team if coverage is not None else ()
    findings += _written(parts, today=today, review_errors=review_errors, by_label=by_label)
    stopping = [each for each in read.findings if read.map is None and each.severity is FindingSeverity.ERROR]
    left = after_suppressions(findings, commented, stopping=frozenset(stopping), all_checked=read.map is not None)
    return Report(
        files=tuple(document.file for document in read.documents),
        findings=tuple(in_order(left)),
        coverage=coverage,
        unmatched=unmatched,
    )


def _written(parts: Parts, *, today: date, review_errors: bool, by_label: Collection[str]) -> Iterator[Finding]:
    """The checks that look at what is written, also where the map does not load."""
    yield from references.check(parts, today, by_label=by_label)
    yield from teams.check(parts, today)
    yield from entries.check(parts, today)
    yield from placeholders.check(parts, today)
    yield from rule_checks.check(parts, today)
    yield from escalation.check(parts, today)
    yield from severities.check(parts, today)
    yield from schedules.check(parts, today)
    yield from secrets.check(parts, today)
    for finding in reviews.check(parts, today):
        lenient = finding.code == "OWN301" and not review_errors
        yield replace(finding, severity=FindingSeverity.WARNING) if lenient else finding
