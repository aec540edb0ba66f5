"""Globs -> the alert rules of every file they find. Whatever the files hold, the others are still read."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from router.ownership_file.document import Span
from router.ownership_file.loading import displayed
from router.rule_files import templates
from router.rule_files.alert_rules import AlertRule, alert_rules
from router.rule_files.nodes import Budget, Nodes, ReadingStopped, read_nodes

MAX_BYTES: Final = 16 * 1024 * 1024

_MAGIC: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """Where reading a file stopped, and why."""

    file: str
    line: int
    column: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFiles:
    """What the files that some globs find hold."""

    alerts: tuple[AlertRule, ...]  # by file, in the order in which they are written
    files: int  # all that were found, also those without alert rules and those that cannot be read
    unreadable: tuple[Unreadable, ...]  # at most one of each file; the alert rules before it are in `alerts`
    unmatched: tuple[str, ...]  # globs that find no file


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRead:
    """What one file holds, as far as it can be read."""

    alerts: tuple[AlertRule, ...] = ()
    unreadable: Unreadable | None = None


def read_rule_files(globs: Sequence[str]) -> RuleFiles:
    """The alert rules of the files that `globs` find, each file once, in the order of their names. Never raises.

    `**` is any number of folders. Files and folders whose names begin with a dot are found only by a dot.
    """
    found = {glob: list(_files(glob)) for glob in globs}
    by_file: dict[str, Path] = {}  # by where links lead
    for path in sorted((path for paths in found.values() for path in paths), key=displayed):
        by_file.setdefault(os.path.realpath(path), path)
    reads = [_read(path) for path in by_file.values()]
    return RuleFiles(
        alerts=tuple(alert for read in reads for alert in read.alerts),
        files=len(reads),
        unreadable=tuple(read.unreadable for read in reads if read.unreadable is not None),
        unmatched=tuple(glob for glob, paths in found.items() if not paths),
    )


# -- globs ---------------------------------------------------------------------------------------------------------


def _files(glob: str) -> Iterator[Path]:
    """What `glob` finds and is no folder. Unlike the standard library's, it is not led in circles by links."""
    pattern = Path(glob)
    segments = pattern.parts[1:] if pattern.anchor else pattern.parts
    return _below(Path(pattern.anchor), segments)


def _below(folder: Path, segments: Sequence[str]) -> Iterator[Path]:
    if not segments:
        return
    segment, *rest = segments
    if segment == "**":
        for inside, folders, _ in os.walk(folder):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from _below(Path(inside), rest or ["*"])
        return
    for path in _named(folder, segment):
        if os.path.isdir(path):  # noqa: PTH112  (is_dir() raises where a folder above is not for us)
            yield from _below(path, rest)
        elif not rest and os.path.lexists(path):
            yield path


def _named(folder: Path, segment: str) -> Iterator[Path]:
    """What `segment` stands for in `folder`."""
    if not _MAGIC.search(segment):
        yield folder / segment
        return
    try:
        paths = list(folder.iterdir())
    except OSError:  # not a folder, or not for us
        return
    for path in paths:
        if fnmatchcase(path.name, segment) and (segment.startswith(".") or not path.name.startswith(".")):
            yield path


# -- one file ------------------------------------------------------------------------------------------------------


def _read(path: Path) -> FileRead:
    file = displayed(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes to it
            raise OSError(0, "not a file")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        reason = f"cannot be opened: {getattr(exc, 'strerror', None) or exc}"
        return FileRead(unreadable=Unreadable(file=file, line=1, column=1, reason=reason))
    return read_rules(data, file=file)


def read_rules(data: bytes, *, file: str) -> FileRead:
    """The alert rules in `data`, and where reading stopped if it did. Never raises."""
    text, cut = _text(data)
    nodes = _nodes(text, whole=cut is None)
    stopped = nodes.stopped or cut
    alerts: list[AlertRule] = []
    budget = Budget()
    try:
        for document in nodes.documents:
            alerts.extend(alert_rules(document, file=file, budget=budget))
    except ReadingStopped as exc:
        stopped = stopped or exc
    return FileRead(alerts=tuple(alerts), unreadable=_unreadable(stopped, text, file) if stopped is not None else None)


def _nodes(text: str, *, whole: bool) -> Nodes:
    """Those of `text` as YAML; where it is none, but has actions of a template in it, with these out of the way."""
    nodes = read_nodes(text, whole=whole)
    if "{{" in text and (nodes.stopped is not None or nodes.collection_as_key):
        return read_nodes(templates.masked(text), whole=whole, restored=templates.restored)
    return nodes


def _unreadable(stopped: ReadingStopped, text: str, file: str) -> Unreadable:
    """Where `stopped` is, on a line that the file has: at its end a parser stands on the line after the last one."""
    line, column, _ = stopped.span
    lines = text.rstrip().split("\n")
    if line > len(lines):
        line, column = len(lines), len(lines[-1]) + 1
    return Unreadable(file=file, line=line, column=column, reason=stopped.reason)


# -- bytes -> text -------------------------------------------------------------------------------------------------

_LINE_BREAK: Final = re.compile("\r\n|\r")
_NOT_ALLOWED: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
# YAML 1.1 ends a line here, where no editor does: read as blanks, so that lines are counted as people count them.
_UNSEEN_LINE_BREAK: Final = re.compile("[\x85\u2028\u2029]")


def _text(data: bytes) -> tuple[str, ReadingStopped | None]:
    """`data` as text up to what cannot be read, with plain line feeds."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    reason = None
    if len(data) > MAX_BYTES:
        data, reason = data[: data.rfind(b"\n", 0, MAX_BYTES) + 1], f"larger than {MAX_BYTES // 1024**2} MiB"
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        text, reason = data[: exc.start].decode(), f"not UTF-8: byte 0x{data[exc.start]:02x}"
    character = _NOT_ALLOWED.search(text)
    if character is not None:
        text, reason = text[: character.start()], f"character U+{ord(character[0]):04X} is not allowed"
    text = _UNSEEN_LINE_BREAK.sub(" ", _LINE_BREAK.sub("\n", text))
    if reason is None:
        return text, None
    return text, ReadingStopped(reason, Span(text.count("\n") + 1, len(text) - text.rfind("\n"), None))
