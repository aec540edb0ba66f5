"""Which files a map is made of: the root file, and those that its `include` finds beside it."""

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Final

from router.core.findings import Finding
from router.core.quoting import quoted
from router.ownership_file.document import Document

_LONGEST: Final = 4096  # PATH_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFile:
    """One file: as somebody names it, and where it is read. Both absolute."""

    named: Path
    real: Path

    @property
    def shown(self) -> str:
        """As messages name it: relative to the current directory, absolute outside of it."""
        return displayed(self.named)


def displayed(path: Path) -> str:
    """`path` as messages name it: relative to the current directory, absolute outside of it."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would name a ConfigMap's hidden directories)
    shown = (absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute).as_posix()
    # A name in another encoding holds lone surrogates here, which no database, answer or log takes (PEP 383).
    return shown.encode(errors="replace").decode()


def root_file(path: Path) -> MapFile:
    """The file `path`, in the directory that its name leads to now: all files are read from that one.

    Kubernetes shows the keys of a ConfigMap as links into `..data`, itself a link that it swaps to another directory
    at once (pkg/volume/util/atomic_writer.go). Following it once for each file could mix an old map with a new one.
    """
    named = path.absolute()
    directory = _real(named.parent)
    try:
        linked = (directory / named.name).readlink().as_posix()
    except OSError:  # not a link
        linked = ""
    if linked.startswith("..data/"):
        return MapFile(named=named, real=_real(directory / "..data") / linked.removeprefix("..data/"))
    return MapFile(named=named, real=directory / named.name)


def included_files(root: MapFile, document: Document, findings: list[Finding]) -> Iterator[MapFile]:
    """The files that the root's `include` names, each once, in the order of their names under each glob."""
    patterns = document.value.get("include") if isinstance(document.value, dict) else None
    if not document.usable or not isinstance(patterns, list):
        return
    folder = _real(root.named.parent)
    taken = {_real(root.real): "this file itself"}
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            continue
        span = document.value_at(("include", index))
        reason = _not_a_glob(pattern)
        if reason is not None:
            findings.append(document.finding("OWN007", f"include {quoted(pattern)}: {reason}", span))
            continue
        found = list(_found(pattern, root.real.parent))
        if not found:
            findings.append(document.finding("OWN007", f"include {quoted(pattern)} matches no file", span))
        for name in found:
            file = MapFile(named=root.named.parent / name, real=root.real.parent / name)
            problem = _problem(file.real, folder, taken)
            if problem is None:
                taken[_real(file.real)] = quoted(pattern)
                yield file
            else:
                findings.append(
                    document.finding("OWN007", f"include {quoted(pattern)} finds {file.shown}{problem}", span)
                )


def _not_a_glob(pattern: str) -> str | None:
    if len(pattern) > _LONGEST:
        return "no path is as long"
    if "://" in pattern:
        return "only files beside this one can be included"
    if pattern.startswith(("/", "~")) or "\\" in pattern:
        return "write a path relative to this file, with /"
    if ".." in pattern.split("/"):
        return "a path must not contain .."
    if "**" in pattern or "\0" in pattern or not pattern.strip("./"):
        return "only * and ? and [...] within one path segment"
    return None


def _found(pattern: str, directory: Path) -> Iterator[Path]:
    """What the glob finds, in the order of the names; folders only where it names one and nothing else."""
    # Not Path.glob, whose * also finds hidden files: editors' copies, and a ConfigMap's directories.
    found = sorted({Path(name) for name in glob(pattern, root_dir=directory)})  # noqa: PTH207
    files = [name for name in found if not (directory / name).is_dir()]
    yield from files or (found if found == [Path(pattern)] else ())


def _problem(file: Path, folder: Path, taken: Mapping[Path, str]) -> str | None:
    """Why `file` cannot be included, as the end of a sentence; None if it can."""
    try:
        behind = Path(os.path.realpath(file, strict=True))
        mode = behind.stat().st_mode
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            return ", a symbolic link that leads back to itself"
        return ", a symbolic link that leads to no file" if exc.errno == errno.ENOENT else f": {exc.strerror}"
    if not behind.is_relative_to(folder):
        return ", a symbolic link that leads out of the folder"
    if stat.S_ISDIR(mode):
        return f", a folder: write {file.name}/*.yaml"
    if not stat.S_ISREG(mode):
        return ", which is not a file but a pipe, a socket or a device"
    return f" again, after {taken[behind]}" if behind in taken else None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
