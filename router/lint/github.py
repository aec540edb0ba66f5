"""A report as GitHub Actions shows it: annotations on lines of the change, everything in the step's summary."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from router.core.findings import Finding, FindingSeverity
from router.lint.formats import on_one_line

# GitHub shows so many annotations of each type for a step, and drops the others without a word.
# (docs.github.com, REST API "Checks"; github.com/orgs/community/discussions/26680 and 68471)
MAX_ANNOTATIONS: Final = 10
# Of all summaries of a step together. (docs.github.com, "Workflow commands for GitHub Actions", adding a job summary)
MAX_SUMMARY_BYTES: Final = 1024 * 1024

_COMMANDS: Final = {FindingSeverity.ERROR: "error", FindingSeverity.WARNING: "warning", FindingSeverity.INFO: "notice"}
_GIT_TIMEOUT_S: Final = 30

Changed = Mapping[str, frozenset[int]]  # by file, the numbers of the lines that a change adds or alters


def annotated(findings: Sequence[Finding], changed: Changed) -> list[Finding]:
    """The findings that GitHub shows as annotations: those on changed lines come first."""
    shown: list[Finding] = []
    of_type: Counter[FindingSeverity] = Counter()
    for finding in sorted(findings, key=lambda finding: finding.line not in changed.get(finding.file, ())):
        of_type[finding.severity] += 1
        if of_type[finding.severity] <= MAX_ANNOTATIONS:
            shown.append(finding)
    return shown


def annotation(finding: Finding) -> str:
    """The finding as a workflow command."""
    place = {"file": finding.file, "line": str(finding.line), "col": str(finding.column)}
    if finding.end_column is not None:
        place["endColumn"] = str(finding.end_column)
    properties = ",".join(f"{key}={_property(value)}" for key, value in (place | {"title": finding.code}).items())
    message = f"{finding.message}\n{finding.help}" if finding.help else finding.message
    return f"::{_COMMANDS[finding.severity]} {properties}::{_data(message)}"


# As actions/toolkit writes them (packages/core/src/command.ts: escapeData, escapeProperty).
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


# -- the step's summary --------------------------------------------------------------------------------------------

_HEAD: Final = "| severity | code | place | finding |\n| --- | --- | --- | --- |\n"
# What Markdown or HTML would take for its own, in a map that anybody may have proposed.
_MARKUP: Final = re.compile(r"[\\`*_~|<>&\[\]@#]")


def step_summary(findings: Sequence[Finding], summary: str, *, max_bytes: int = MAX_SUMMARY_BYTES) -> str:
    """All findings as a table in Markdown; where it would be too large, a last line says how many are left out."""
    text = f"### router lint\n\n{_escaped(summary)}\n"
    if not findings:
        return text
    rows = [f"| {_row(finding)} |\n" for finding in findings]
    left = max_bytes - len(f"{text}\n{_HEAD}".encode()) - len(_left_out(len(rows)).encode())
    fitting = 0
    for row in rows:
        left -= len(row.encode())
        if left < 0:
            break
        fitting += 1
    table = f"{text}\n{_HEAD}{''.join(rows[:fitting])}"
    return table if fitting == len(rows) else table + _left_out(len(rows) - fitting)


def _left_out(number: int) -> str:
    return f"\n{number} more findings do not fit in here.\n"


def _row(finding: Finding) -> str:
    place = f"{finding.file}:{finding.line}:{finding.column}"
    text = f"{finding.message} ({finding.help})" if finding.help else finding.message
    return " | ".join((finding.severity, finding.code, _escaped(place), _escaped(text)))


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda sign: f"&#{ord(sign[0])};", on_one_line(text))


# -- the lines of a change -----------------------------------------------------------------------------------------

_HUNK: Final = re.compile(r"@@ -\S+ \+(?P<first>\d+)(?:,(?P<count>\d+))? @@")


def changed_lines(base: str) -> Changed:
    """The lines that the checked out commit adds since it left `base`; none where git cannot tell.

    It cannot in a shallow clone, which has no common ancestor.
    """
    command = [
        # Names as they are, relative to here; and no line of a file begins as a line of the diff does.
        *("git", "-c", "core.quotePath=false", "diff", "--unified=0", "--no-color", "--no-ext-diff", "--relative"),
        *("--dst-prefix=b/", "--output-indicator-new=.", "--output-indicator-old=.", f"{base}...HEAD", "--"),
    ]
    try:
        diff = subprocess.run(command, check=True, capture_output=True, timeout=_GIT_TIMEOUT_S).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    lines: dict[str, set[int]] = {}
    for file, first, count in _hunks(diff.decode(errors="replace")):
        lines.setdefault(file, set()).update(range(first, first + count))
    return {file: frozenset(numbers) for file, numbers in lines.items()}


def _hunks(diff: str) -> Iterator[tuple[str, int, int]]:
    file = ""
    for line in diff.split("\n"):
        if line.startswith("+++ "):
            file = line.removeprefix("+++ ").removeprefix("b/").rstrip("\t\r")  # a name with spaces ends with a tab
        elif (hunk := _HUNK.match(line)) is not None:
            yield file, int(hunk["first"]), int(hunk["count"] or 1)
