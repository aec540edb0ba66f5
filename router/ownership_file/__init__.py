"""The ownership map as files: YAML -> OwnershipMap, keeping file, line and column of everything that is wrong."""

from router.ownership_file.commit import git_commit_of
from router.ownership_file.loading import MapRead, load_map, read_map
from router.ownership_file.parts import Part, Parts, parts_of
from router.ownership_file.rendering import render_findings
from router.ownership_file.watching import Signature, include_of, signature

__all__ = [
    "MapRead",
    "Part",
    "Parts",
    "Signature",
    "git_commit_of",
    "include_of",
    "load_map",
    "parts_of",
    "read_map",
    "render_findings",
    "signature",
]
