"""Which files the globs find."""

import os
from pathlib import Path

import pytest

from router.rule_files import read_rule_files

RULE = "groups: [{name: g, rules: [{alert: %s, expr: up}]}]\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rule files, which is the current one; the alert of each is called after the file."""
    for name in ("top.yml", "rules/b.yaml", "rules/a.yaml", "rules/deep/er/c.yaml", "rules/.hidden.yaml", ".git/d.yaml",
                 "rules/notes.txt"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(RULE % Path(name).stem, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("globs", "files"),
    [
        pytest.param(["rules/*.yaml"], ["rules/a.yaml", "rules/b.yaml"], id="in the order of names"),
        pytest.param(
            ["rules/**/*.yaml"], ["rules/a.yaml", "rules/b.yaml", "rules/deep/er/c.yaml"], id="across folders"
        ),
        pytest.param(
            ["**/*.y*ml"],
            ["rules/a.yaml", "rules/b.yaml", "rules/deep/er/c.yaml", "top.yml"],
            id="from here, not hidden",
        ),
        pytest.param(["**/c.yaml"], ["rules/deep/er/c.yaml"], id="a name across folders"),
        pytest.param(
            ["rules/**"], ["rules/a.yaml", "rules/b.yaml", "rules/deep/er/c.yaml", "rules/notes.txt"], id="all"
        ),
        pytest.param(["rules/.*.yaml"], ["rules/.hidden.yaml"], id="hidden ones by a dot"),
        pytest.param([".git/*.yaml"], [".git/d.yaml"], id="a hidden folder by its name"),
        pytest.param(["rules/[a].yaml", "rules/?.yaml"], ["rules/a.yaml", "rules/b.yaml"], id="each file once"),
        pytest.param(["./rules/../rules//a.yaml"], ["rules/a.yaml"], id="another way to write it"),
        pytest.param(["*/*/er/*"], ["rules/deep/er/c.yaml"], id="folders by glob"),
    ],
)
def test_what_is_found(tree: Path, globs: list[str], files: list[str]) -> None:
    """Globs mean what they mean in a shell with `**`, whatever their order."""
    read = read_rule_files(globs)
    assert [alert.file for alert in read.alerts] == files
    assert (read.files, read.unreadable, read.unmatched) == (len(files), (), ())


def test_outside_of_the_current_directory(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is not below it is named in full."""
    monkeypatch.chdir(tree / "rules")
    assert [alert.file for alert in read_rule_files([f"{tree}/*.yml"]).alerts] == [f"{tree}/top.yml"]
    assert [alert.file for alert in read_rule_files([f"{tree}/rules/a.yaml"]).alerts] == ["a.yaml"]


@pytest.mark.parametrize("glob", ["", "rules", "nowhere/*.yaml", "**/*.json", "rules/a.yaml/*", "*\0", "a\0b"])
def test_what_finds_nothing_is_told(tree: Path, glob: str) -> None:
    """A glob that finds no file is a mistake of whoever wrote it; the others still count."""
    read = read_rule_files([glob, "top.yml"])
    assert (read.unmatched, [alert.name for alert in read.alerts]) == ((glob,), ["top"])


def test_links(tree: Path) -> None:
    """A link to a file is that file, once; links to folders lead `**` nowhere, and so not in circles."""
    (tree / "rules/z.yaml").symlink_to(tree / "rules/a.yaml")
    (tree / "rules/circle").symlink_to(tree / "rules")
    (tree / "rules/deep/circle").symlink_to(tree)
    assert [alert.file for alert in read_rule_files(["rules/**/*.yaml"]).alerts] == [
        "rules/a.yaml",
        "rules/b.yaml",
        "rules/deep/er/c.yaml",
    ]
    (tree / "linked.yaml").symlink_to(tree / ".git/d.yaml")
    assert [alert.file for alert in read_rule_files(["linked.yaml"]).alerts] == ["linked.yaml"]


def test_what_is_no_file(tree: Path) -> None:
    """What cannot be opened is unreadable; a pipe is not waited for; the other files are read."""
    os.mkfifo(tree / "rules/pipe.yaml")
    (tree / "rules/broken.yaml").symlink_to("nowhere")
    read = read_rule_files(["rules/*.yaml"])
    assert [alert.name for alert in read.alerts] == ["a", "b"]
    assert [(file.file, file.line, file.column, file.reason) for file in read.unreadable] == [
        ("rules/broken.yaml", 1, 1, "cannot be opened: No such file or directory"),
        ("rules/pipe.yaml", 1, 1, "cannot be opened: not a file"),
    ]
    assert read.files == 4
