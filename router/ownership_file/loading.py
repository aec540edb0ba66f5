"""`ownership.yaml` and the files that it includes -> OwnershipMap, or every defect that was found."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from router.core.errors import OwnershipFileInvalid
from router.core.findings import Finding
from router.core.ownership import OwnershipMap
from router.ownership_file.building import build_map
from router.ownership_file.defects import read_shape
from router.ownership_file.document import MAX_BYTES, START, Document, read_document
from router.ownership_file.names import name_findings
from router.ownership_file.shape import RootShape, TeamFileShape


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRead:
    """The files of a map, what is wrong with them, and the map, if nothing is so wrong that it cannot be used."""

    documents: tuple[Document, ...]  # the root first
    findings: tuple[Finding, ...]  # in file order
    map: OwnershipMap | None


def load_map(path: Path, *, commit: str | None = None) -> OwnershipMap:
    """The map that begins with the file `path`.

    Raises OwnershipFileInvalid with every finding, also where a file cannot be read.
    """
    read = read_map(path, commit=commit)
    if read.map is None:
        raise OwnershipFileInvalid(list(read.findings))
    return read.map


def read_map(path: Path, *, commit: str | None = None) -> MapRead:
    """The map that begins with the file `path`, as far as it can be read. Raises nothing for what the files hold."""
    digest = hashlib.sha256()
    root = _read(path, digest)
    documents = [root]
    findings: list[Finding] = []
    for included in _included(path, root, findings):
        digest.update(b"\0")
        documents.append(_read(included, digest))

    root_shape = read_shape(root, RootShape)
    team_shapes = [(document, read_shape(document, TeamFileShape)) for document in documents[1:]]
    findings += [finding for document in documents for finding in document.findings]
    findings += name_findings(documents)
    built = None
    if root_shape is not None and not findings:
        built = build_map(
            (root, root_shape),
            [(document, shape) for document, shape in team_shapes if shape is not None],
            revision=digest.hexdigest(),
            commit=commit,
        )
        findings += built.warnings
    return MapRead(documents=tuple(documents), findings=tuple(in_order(findings)), map=built)


def displayed(path: Path) -> str:
    """`path` as messages name it: relative to the current directory, absolute outside of it."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100  (resolve() would name a ConfigMap's hidden directories)
    return (absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute).as_posix()


def _read(path: Path, digest: "hashlib._Hash") -> Document:
    file = displayed(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes to it
            raise OSError(0, "not a file")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        document = Document(file)
        document.refuse("OWN001", f"cannot be read: {getattr(exc, 'strerror', None) or exc}", START)
        return document
    digest.update(data)
    return read_document(data, file=file)


# -- include -------------------------------------------------------------------------------------------------------


def _included(path: Path, root: Document, findings: list[Finding]) -> Iterator[Path]:
    """The files that the root's `include` names, each once, in the order of their names under each glob."""
    patterns = root.value.get("include") if isinstance(root.value, dict) else None
    if not root.usable or not isinstance(patterns, list):
        return
    taken = {path.absolute(): "this file itself"}
    for index, pattern in enumerate(patterns):
        if not isinstance(pattern, str):
            continue
        span = root.values["include", index]
        reason = _not_a_glob(pattern)
        if reason is not None:
            findings.append(root.finding("OWN007", f'include "{pattern}": {reason}', span))
            continue
        directory = path.absolute().parent
        found = sorted(file for file in directory.glob(pattern) if file.is_file() or file.is_symlink())
        if not found:
            findings.append(root.finding("OWN007", f'include "{pattern}" matches no file', span))
        for file in found:
            if (link := _link_in(file, directory)) is not None:
                message = f'include "{pattern}" finds {displayed(link)}, which is a symbolic link'
                findings.append(root.finding("OWN007", message, span))
            elif file in taken:
                message = f'include "{pattern}" finds {displayed(file)} again, after {taken[file]}'
                findings.append(root.finding("OWN007", message, span))
            else:
                taken[file] = f'"{pattern}"'
                yield file


def _not_a_glob(pattern: str) -> str | None:
    if "://" in pattern:
        return "only files beside this one can be included"
    if pattern.startswith(("/", "~")) or "\\" in pattern:
        return "write a path relative to this file, with /"
    if ".." in pattern.split("/"):
        return "a path must not contain .."
    if "**" in pattern or "\0" in pattern or not pattern.strip("./"):
        return "only * and ? and [...] within one path segment"
    return None


def _link_in(file: Path, directory: Path) -> Path | None:
    """The first part of the way from `directory` to `file` that is a symbolic link: it could lead anywhere."""
    parts = file.relative_to(directory).parts
    ways = (directory.joinpath(*parts[:length]) for length in range(1, len(parts) + 1))
    return next((way for way in ways if way.is_symlink()), None)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By place and code, none twice."""
    return sorted(
        dict.fromkeys(findings), key=lambda finding: (finding.file, finding.line, finding.column, finding.code)
    )
