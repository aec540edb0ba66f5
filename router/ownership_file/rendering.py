"""Findings for people: what is wrong, the line of the file with a caret under the place, and what to do."""

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from unicodedata import category, east_asian_width

from router.core.findings import Finding, Related
from router.core.quoting import SECRET
from router.ownership_file.document import LINE_BREAK, MAX_BYTES

_WIDTH: Final = 120
_BEFORE: Final = 60  # of a longer line, so many characters before the place are shown

_Lines = Mapping[str, list[str]]  # by file


def render_findings(findings: Iterable[Finding]) -> str:
    """The findings in full, with an empty line between them. Reads the files that they name once more."""
    findings = list(findings)
    files = {place.file for finding in findings for place in _places(finding)}
    lines = {file: _lines(Path(file)) for file in files}
    return "\n\n".join("\n".join(_rendered(finding, lines)) for finding in findings)


def _lines(file: Path) -> list[str]:
    """What can be shown of a file's lines: secrets are masked here, where a line that is cut hides none of them."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # opening a pipe would wait
            return []
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES).decode(errors="replace")
    except (OSError, ValueError):
        return []
    return LINE_BREAK.split(SECRET.sub(lambda secret: "*" * len(secret[0]), text))


def _places(finding: Finding) -> list[Finding | Related]:
    return [finding, *finding.related]


def _rendered(finding: Finding, lines: _Lines) -> Iterator[str]:
    margin = " " * max(len(str(place.line)) for place in _places(finding))
    yield f"{finding.severity.value}[{finding.code}]: {_safe(finding.message)}"
    yield f"{margin}--> {finding.file}:{finding.line}:{finding.column}"
    yield from _source(finding, lines, margin)
    for related in finding.related:
        yield f"{margin}::: {related.file}:{related.line}:{related.column}: {_safe(related.message)}"
        yield from _source(related, lines, margin)
    if finding.help is not None:
        yield f"{margin} = help: {_safe(finding.help)}"
    yield f"{margin} = docs: router lint --explain {finding.code}"


def _source(place: Finding | Related, lines: _Lines, margin: str) -> Iterator[str]:
    """The line of a place, with carets under it."""
    of_file = lines[place.file]
    if 0 < place.line <= len(of_file):
        source, start, end = _window(of_file[place.line - 1], place.column - 1, place.end_column)
        yield f"{margin} |"
        yield f"{str(place.line).rjust(len(margin))} | {source}".rstrip()
        yield f"{margin} | {' ' * _columns(source[:start])}{'^' * max(1, _columns(source[start:end]))}"


def _window(line: str, start: int, end_column: int | None) -> tuple[str, int, int]:
    """The line as it can be shown, and where in it the place begins and ends."""
    end = end_column - 1 if end_column is not None else start + 1
    first = max(0, start - _BEFORE) if len(line) > _WIDTH else 0
    shown = _safe(line[first : first + _WIDTH])
    return shown, start - first, min(end - first, _WIDTH)


def _safe(text: str) -> str:
    return "".join(map(_printable, text))


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
