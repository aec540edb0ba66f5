"""`ownership.yaml` and the files that it includes -> OwnershipMap, or every defect that was found."""

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from router.core.errors import OwnershipFileInvalid
from router.core.findings import Finding
from router.core.ownership import OwnershipMap
from router.ownership_file.building import build_map
from router.ownership_file.defects import has_errors, read_shape, the_first, trap_findings
from router.ownership_file.document import MAX_BYTES, START, Document, read_document
from router.ownership_file.including import MapFile, included_files, root_file
from router.ownership_file.including import displayed as displayed
from router.ownership_file.names import name_findings
from router.ownership_file.shape import RootShape, TeamFileShape


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRead:
    """The files of a map, what is wrong with them, and the map, if nothing is so wrong that it cannot be used."""

    documents: tuple[Document, ...]  # the root first
    findings: tuple[Finding, ...]  # in file order
    map: OwnershipMap | None  # None if one of the findings is an error, but for OWN601, which alerts can wait for


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
    file = root_file(path)
    root = _read(file, digest)
    documents = [root]
    findings: list[Finding] = []
    for included in included_files(file, root, findings):
        digest.update(b"\0")
        documents.append(_read(included, digest))

    findings += the_first(name_findings(documents))
    wanted = not has_errors(findings)
    root_shape = read_shape(root, RootShape, wanted=wanted)
    team_shapes = [(document, read_shape(document, TeamFileShape, wanted=wanted)) for document in documents[1:]]
    findings += [finding for document in documents for finding in document.findings]
    findings += [trap for document in documents for trap in trap_findings(document, findings)]
    built = None
    if root_shape is not None and not has_errors(findings):
        try:
            built = build_map(
                (root, root_shape),
                [(document, shape) for document, shape in team_shapes if shape is not None],
                revision=digest.hexdigest(),
                commit=commit,
            )
            findings += built.warnings
        except OwnershipFileInvalid as exc:  # fine in itself, and too dear to be asked
            findings += exc.findings
    return MapRead(documents=tuple(documents), findings=tuple(in_order(findings)), map=built)


def _read(file: MapFile, digest: "hashlib._Hash") -> Document:
    try:
        if not stat.S_ISREG(file.real.stat().st_mode):  # opening a pipe would wait for whoever writes to it
            raise OSError(0, "not a file")
        with file.real.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        document = Document(file.shown)
        document.refuse("OWN001", f"cannot be read: {getattr(exc, 'strerror', None) or exc}", START)
        return document
    digest.update(data)
    return read_document(data, file=file.shown)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By place and code, none twice."""
    return sorted(
        dict.fromkeys(findings), key=lambda finding: (finding.file, finding.line, finding.column, finding.code)
    )
