"""`# own: ignore[OWN302] reason`: a finding that somebody has looked at, and why it may stay.

The comment stands above an entry, or at the end of its first line, and counts for that entry and all inside it.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as File
from typing import Final

import yaml

from router.core.findings import Finding
from router.core.quoting import quoted
from router.lint.codes import CODES
from router.ownership_file.document import LINE_BREAK, Document, Path, Span
from router.rule_files import AlertRule, templates

# A map with one of these does not load, whatever a comment says.
_STOPS_LOADING: Final = frozenset(
    f"OWN{number}" for number in ("001", "002", "003", "004", "005", "007", "101", "103", "104", "206", "207")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commented:
    """A file in which `own:` stands somewhere, and what begins on each of its lines."""

    file: str
    lines: Sequence[str]
    text: str  # the same as YAML
    starts: Mapping[int, Path]


def commented_map(documents: Iterable[Document]) -> Iterator[Commented]:
    """The map's files that may have suppressions. What cannot be read whole has no finding to suppress."""
    for document in documents:
        if document.usable and document.text is not None and "own:" in document.text:
            yield Commented(file=document.file, lines=document.lines, text=document.text, starts=_starts(document))


def commented_rules(alerts: Iterable[AlertRule]) -> Iterator[Commented]:
    """The rule files that may have suppressions: an entry is an alert rule, from its `alert:` to the next one's."""
    starts: defaultdict[str, dict[int, Path]] = defaultdict(dict)
    for index, alert in enumerate(alerts):
        starts[alert.file].setdefault(alert.line, (index,))
    for file, of_file in starts.items():
        try:
            text = LINE_BREAK.sub("\n", File(file).read_bytes().decode(errors="replace"))
        except OSError:  # it was there a moment ago
            continue
        if "own:" in text:
            yield Commented(file=file, lines=text.split("\n"), text=templates.masked(text), starts=of_file)


def after_suppressions(
    findings: Iterable[Finding], files: Iterable[Commented], *, stopping: Collection[Finding], all_checked: bool
) -> Iterator[Finding]:
    """The findings that no comment suppresses, and what is wrong with the comments.

    `stopping` are those that keep the map from loading: no comment changes that. Unless everything was checked, nobody
    can say which comments suppress nothing.
    """
    suppressions: defaultdict[tuple[str, str], list[_Suppression]] = defaultdict(list)
    for file in files:
        for read in _read(file):
            if isinstance(read, Finding):
                yield read
            else:
                suppressions[read.comment.file.file, read.code].append(read)

    used: set[_Suppression] = set()
    refused: set[_Suppression] = set()
    for finding in findings:
        covering = [each for each in suppressions.get((finding.file, finding.code), ()) if finding.line in each.lines]
        (refused if finding in stopping else used).update(covering)
        if finding in stopping or not covering:
            yield finding
    for suppression in (each for of_code in suppressions.values() for each in of_code):
        code = suppression.code
        if code in _STOPS_LOADING or suppression in refused:
            yield suppression.comment.fault(f"{code} cannot be suppressed: the map does not load with it", "delete it")
        elif all_checked and suppression not in used and CODES[code].offline:
            yield suppression.comment.fault(f"{code} is not found here: this suppresses nothing", "delete it")


# -- the comments --------------------------------------------------------------------------------------------------

_MARK: Final = re.compile(r"#\s*own:")
_IGNORE: Final = re.compile(r"#\s*own:\s*ignore\s*\[(?P<codes>[^\]]*)\](?P<reason>.*)")
_FORM: Final = "write # own: ignore[OWN302] and the reason"


@dataclass(frozen=True, slots=True, eq=False)
class _Comment:
    """A comment that begins with `own:`."""

    file: Commented
    span: Span

    def fault(self, message: str, advice: str) -> Finding:
        line, column, end_column = self.span
        return Finding(
            code="OWN004",
            message=message,
            file=self.file.file,
            line=line,
            column=column,
            end_column=end_column,
            help=advice,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Suppression:
    """One code of one comment, and the lines that it counts for."""

    comment: _Comment
    code: str
    lines: range


def _read(file: Commented) -> Iterator[_Suppression | Finding]:
    """Every suppression of a file, and a finding for each that cannot be one."""
    for comment in _comments(file):
        line, column, _ = comment.span
        written = _IGNORE.fullmatch(file.lines[line - 1][column - 1 :].rstrip())
        if written is None:
            yield comment.fault("not a suppression", _FORM)
            continue
        if not re.search(r"\w", written["reason"]):
            yield comment.fault("a suppression without a reason", "say why the finding may stay")
            continue
        lines = _entry_at(comment)
        if lines is None:
            yield comment.fault("a suppression of nothing: no entry begins here", _PLACE)
            continue
        for code in dict.fromkeys(code.strip() for code in written["codes"].split(",")):
            if code in CODES:
                yield _Suppression(comment, code, lines)
            else:
                close = get_close_matches(code.upper(), CODES, n=1, cutoff=0.8)
                yield comment.fault(
                    f"no check has the code {quoted(code)}", f'did you mean "{close[0]}"?' if close else _FORM
                )


def _comments(file: Commented) -> Iterator[_Comment]:
    scalars = _scalars(file.text)
    for number, line in enumerate(file.lines):
        if _MARK.search(line) is None:
            continue
        # YAML 1.2, 6.6: outside of scalars a # begins a comment if it begins the line or follows white space.
        signs = (sign.start() for sign in re.finditer(r"(?<!\S)#", line))
        start = next((column for column in signs if not _inside(scalars, (number, column))), None)
        if start is not None and _MARK.match(line, start):
            yield _Comment(file, Span(number + 1, start + 1, len(line.rstrip()) + 1))


_Position = tuple[int, int]  # line and column, from 0


def _scalars(text: str) -> list[tuple[_Position, _Position]]:
    """Where each scalar begins and ends, in order, as far as `text` can be read. The parser drops comments."""
    found = []
    try:
        for token in yaml.scan(text, Loader=yaml.CSafeLoader):
            if isinstance(token, yaml.ScalarToken):
                start, end = token.start_mark, token.end_mark
                # Behind the | or > of a block scalar a comment may stand: its text begins in the next line.
                begin = (start.line + 1, 0) if token.style in ("|", ">") else (start.line, start.column)
                found.append((begin, (end.line, end.column)))
    except yaml.YAMLError:  # a rule file; those after it have been left out as well
        pass
    return found


def _inside(scalars: list[tuple[_Position, _Position]], position: _Position) -> bool:
    before = bisect_right(scalars, position, key=lambda scalar: scalar[0])
    return before > 0 and position < scalars[before - 1][1]


# -- what they count for -------------------------------------------------------------------------------------------

_PLACE: Final = "put it above an entry, or at the end of its first line"


def _starts(document: Document) -> dict[int, Path]:
    """What begins on each line: of several keys and list elements the leftmost."""
    leftmost: dict[int, tuple[int, int, Path]] = {}
    elements = ((path, span) for path, span in document.values.items() if path and isinstance(path[-1], int))
    for path, span in (*document.keys.items(), *elements):
        start = (span.column, len(path), path)
        if span.line not in leftmost or start[:2] < leftmost[span.line][:2]:
            leftmost[span.line] = start
    return {line: path for line, (*_, path) in leftmost.items()}


def _entry_at(comment: _Comment) -> range | None:
    """The lines of the entry at which a comment stands: all up to what begins next and is not part of it."""
    file, line = comment.file, comment.span.line
    if not file.lines[line - 1][: comment.span.column - 1].strip(" -"):  # nothing, or the dash of a list
        texts = enumerate(file.lines[line:], start=line + 1)
        line = next((number for number, text in texts if text.strip() and not text.lstrip().startswith("#")), 0)
    path = file.starts.get(line)
    if path is None:
        return None
    end = line + 1
    while end <= len(file.lines) and file.starts.get(end, path)[: len(path)] == path:
        end += 1
    return range(line, end)
