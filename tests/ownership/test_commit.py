"""The commit that a map was checked out from, compared with what git says."""

import os
import subprocess
from pathlib import Path

import pytest

from router.ownership_file import git_commit_of

pytestmark = pytest.mark.needs("git")


def git(directory: Path, *arguments: str) -> str:
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "protocol.file.allow=always")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=directory, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with one commit, and a map in a folder of it."""
    tree = tmp_path / "tree"
    (tree / "maps").mkdir(parents=True)
    (tree / "maps" / "ownership.yaml").write_text("version: 1\n", encoding="utf-8")
    git(tree, "init", "--quiet", "--initial-branch=main")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "--message=first")
    return tree


def head(tree: Path) -> str:
    return git(tree, "rev-parse", "HEAD").strip()


def test_a_branch(tree: Path) -> None:
    """Of a file in any folder of the tree; a file that was changed since stands on the same commit."""
    path = tree / "maps" / "ownership.yaml"
    assert git_commit_of(path) == head(tree)
    path.write_text("version: 2\n", encoding="utf-8")
    assert git_commit_of(path) == head(tree)


def test_packed_references(tree: Path) -> None:
    """As after a clone, or after git cleaned up."""
    git(tree, "branch", "other")
    git(tree, "pack-refs", "--all")
    assert not (tree / ".git" / "refs" / "heads" / "main").exists()
    assert git_commit_of(tree / "maps" / "ownership.yaml") == head(tree)


def test_a_detached_head(tree: Path) -> None:
    """As CI checks out."""
    git(tree, "checkout", "--quiet", "--detach")
    assert git_commit_of(tree / "maps" / "ownership.yaml") == head(tree)


@pytest.mark.parametrize("packed", [False, True])
def test_a_linked_working_tree(tree: Path, tmp_path: Path, *, packed: bool) -> None:
    """As git-sync makes them, which swaps a link to the newest."""
    git(tree, "worktree", "add", "--quiet", "-b", "next", str(tmp_path / "linked"))
    git(tmp_path / "linked", "commit", "--quiet", "--allow-empty", "--message=second")
    if packed:
        git(tree, "pack-refs", "--all")
    (tmp_path / "current").symlink_to(tmp_path / "linked")
    found = git_commit_of(tmp_path / "current" / "maps" / "ownership.yaml")
    assert found == head(tmp_path / "linked") != head(tree)


def test_a_branch_without_a_commit(tmp_path: Path) -> None:
    """A new repository has a branch and no commit."""
    git(tmp_path, "init", "--quiet")
    assert git_commit_of(tmp_path / "ownership.yaml") is None


@pytest.mark.parametrize(
    "head_of_git",
    [
        pytest.param(b"ref: refs/heads/../../../secret\n", id="a branch that leads out of git"),
        pytest.param(b"ref: /etc/hostname\n", id="no branch"),
        pytest.param(b"not a commit\n", id="other text"),
        pytest.param(b"\xff\xfe\n", id="no text"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_odd_files(head_of_git: bytes, tmp_path: Path) -> None:
    """Nothing is known, and nothing is raised."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_bytes(head_of_git)
    (tmp_path / "secret").write_text("0" * 40, encoding="utf-8")
    assert git_commit_of(tmp_path / "ownership.yaml") is None


def test_outside_of_a_working_tree(tmp_path: Path) -> None:
    """A pipe for HEAD is not waited for, a `.git` that is neither folder nor pointer is passed over."""
    assert git_commit_of(tmp_path / "ownership.yaml") is None
    (tmp_path / ".git").write_text("something\n", encoding="utf-8")
    assert git_commit_of(tmp_path / "ownership.yaml") is None
    (tmp_path / ".git").unlink()
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert git_commit_of(tmp_path / "ownership.yaml") is None
