"""The git commit that a map was checked out from, read from the files of git: images need not have git itself."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_COMMIT: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1 and SHA-256 repositories
_LONGEST_LINE: Final = 4096


def git_commit_of(path: Path) -> str | None:
    """The commit that is checked out where the file `path` stands; None outside of a working tree, or before any.

    It names what the files were checked out from. Whether they were changed since, the content hash of the map tells.
    Raises nothing.
    """
    directory = Path(os.path.realpath(path)).parent
    for parent in (directory, *directory.parents):
        git = _git_directory(parent)
        if git is not None:
            return _head(git)
    return None


def _git_directory(tree: Path) -> Path | None:
    """Of a linked working tree, of a submodule and of git-sync's checkouts, `.git` is a file that says where it is."""
    git = tree / ".git"
    if git.is_dir():
        return git
    line = next(_lines(git), "")
    return tree / line.removeprefix("gitdir:").strip() if line.startswith("gitdir:") else None


def _head(git: Path) -> str | None:
    head = next(_lines(git / "HEAD"), "")
    if not head.startswith("ref:"):
        return _commit(head)
    name = head.removeprefix("ref:").strip()
    # Linked working trees have a HEAD of their own and share the branches (gitrepository-layout, commondir).
    common = git / next(_lines(git / "commondir"), ".")
    loose = _commit(next(_lines(common / name), "")) if name.startswith("refs/") and ".." not in name else None
    return loose or next(
        (_commit(line.split(" ")[0]) for line in _lines(common / "packed-refs") if line.endswith(f" {name}")), None
    )


def _commit(text: str) -> str | None:
    return text if _COMMIT.fullmatch(text) else None


def _lines(path: Path) -> Iterator[str]:
    """The lines of a small file; none where there is no such file, or where it is no text."""
    try:
        if path.is_file():  # opening a pipe would wait
            with path.open(encoding="utf-8") as stream:
                while line := stream.readline(_LONGEST_LINE):
                    yield line.rstrip("\n")
    except (OSError, ValueError):
        return
