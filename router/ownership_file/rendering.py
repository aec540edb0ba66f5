"""Findings for people: what is wrong, the line of the file with a caret under the place, and what to do."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final
from unicodedata import category, east_asian_width

from router.core.findings import Finding
from router.ownership_file.defects import SECRET
from router.ownership_file.document import LINE_BREAK, MAX_BYTES

_WIDTH: Final = 120
_BEFORE: Final = 60  # of a longer line, so many characters before the place are shown


def render_findings(findings: Iterable[Finding]) -> str:
    """The findings in full, with an empty line between them. Reads the files that they name once more."""
    lines: dict[str, list[str]] = {}
    for finding in findings:
        if finding.file not in lines:
            lines[finding.file] = _lines(finding.file)
    return "\n\n".join(_rendered(finding, lines[finding.file]) for finding in findings)


def _lines(file: str) -> list[str]:
    try:
        with Path(file).open("rb") as stream:
            return LINE_BREAK.split(stream.read(MAX_BYTES).decode(errors="replace"))
    except (OSError, ValueError):
        return []


def _rendered(finding: Finding, lines: list[str]) -> str:
    number = str(finding.line)
    margin = " " * len(number)
    shown = [f"error[{finding.code}]: {finding.message}", f"{margin}--> {finding.file}:{finding.line}:{finding.column}"]
    if 0 < finding.line <= len(lines):
        source, start, end = _window(lines[finding.line - 1], finding.column - 1, finding.end_column)
        caret = " " * _columns(source[:start]) + "^" * max(1, _columns(source[start:end]))
        shown += [f"{margin} |", f"{number} | {source}", f"{margin} | {caret}"]
    if finding.help is not None:
        shown.append(f"{margin} = help: {finding.help}")
    return "\n".join(shown)


def _window(line: str, start: int, end_column: int | None) -> tuple[str, int, int]:
    """The line as it can be shown, and where in it the place begins and ends."""
    end = end_column - 1 if end_column is not None else start + 1
    safe = "".join(map(_printable, SECRET.sub(lambda secret: "*" * len(secret[0]), line)))
    first = max(0, start - _BEFORE) if len(safe) > _WIDTH else 0
    return safe[first : first + _WIDTH], start - first, min(end - first, _WIDTH)


def _printable(character: str) -> str:
    """A tab is one column here; what moves the cursor or turns the direction of writing is not shown."""
    if character == "\t":
        return " "
    return "\ufffd" if category(character) in ("Cc", "Cf", "Zl", "Zp") else character


def _columns(text: str) -> int:
    """How many columns of a terminal `text` takes: East Asian characters are wide, marks stand on others."""
    return sum(
        0 if category(character) in ("Mn", "Me") else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )
