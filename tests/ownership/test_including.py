"""Which files a map is made of: links, a ConfigMap's mount, hidden files."""

from pathlib import Path

import pytest

from router.ownership_file import load_map, read_map, render_findings
from tests.ownership.test_places import HEAD

TEAM = "teams:\n  {}: {{channel: {{name: {}, id: C0BBBBBBBB}}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "map").mkdir()
    return tmp_path / "map"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_link_that_stays_in_the_folder(folder: Path) -> None:
    """It is followed, and the file has the name under which it was found."""
    written(folder / "shared" / "b.yaml", TEAM.format("b", "b"))
    (folder / "teams").mkdir()
    (folder / "teams" / "b.yaml").symlink_to(Path("..") / "shared" / "b.yaml")
    found = load_map(written(folder / "ownership.yaml", HEAD + "include: [teams/*.yaml]\n"))
    assert found.teams["b"].place.file == (folder / "teams" / "b.yaml").as_posix()


def test_two_names_of_one_file(folder: Path) -> None:
    """A link to a file that is included already is the same file again."""
    written(folder / "b.yaml", TEAM.format("b", "b"))
    (folder / "c.yaml").symlink_to("b.yaml")
    (folder / "root.yaml").symlink_to("ownership.yaml")
    read = read_map(written(folder / "ownership.yaml", HEAD + "include: ['?.yaml', root.yaml]\n"))
    assert [finding.code for finding in read.findings] == ["OWN007", "OWN007"]
    assert 'c.yaml again, after "?.yaml"' in read.findings[0].message
    assert "root.yaml again, after this file itself" in read.findings[1].message


def test_hidden_files_are_named_to_be_found(folder: Path) -> None:
    """As in a shell, * leaves out what begins with a dot: editors' copies and version control."""
    written(folder / ".b.yaml", TEAM.format("b", "b"))
    written(folder / ".hidden" / "c.yaml", TEAM.format("c", "c"))
    read = read_map(written(folder / "ownership.yaml", HEAD + "include: ['*/*.yaml', '.b.yaml']\n"))
    assert [finding.message for finding in read.findings] == ['include "*/*.yaml" matches no file']
    assert [Path(document.file).name for document in read.documents] == ["ownership.yaml", ".b.yaml"]


def test_an_included_file_cannot_include(folder: Path) -> None:
    """So files cannot include each other in a circle."""
    written(folder / "b.yaml", "include: [ownership.yaml]\n" + TEAM.format("b", "b"))
    read = read_map(written(folder / "ownership.yaml", HEAD + "include: [b.yaml]\n"))
    assert [(f.code, Path(f.file).name, f.line, f.column) for f in read.findings] == [("OWN007", "b.yaml", 1, 1)]


def config_map(folder: Path, version: str, team: str) -> None:
    """What kubelet's atomic writer makes of a ConfigMap with two keys: the files, `..data`, and the links."""
    written(folder / version / "ownership.yaml", HEAD + "include: [team-*.yaml]\n")
    written(folder / version / "team-b.yaml", TEAM.format(team, team))
    new = folder / "..data_tmp"
    new.symlink_to(version)
    new.rename(folder / "..data")
    for key in ("ownership.yaml", "team-b.yaml"):
        if not (folder / key).is_symlink():
            (folder / key).symlink_to(Path("..data") / key)


def test_a_config_map(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loads, also after it was swapped, and its files have the names that people know."""
    monkeypatch.chdir(folder)
    config_map(folder, "..2026_11_21_10_00_00.1", "b")
    first = load_map(Path("ownership.yaml"))
    assert (first.file, first.teams["b"].place.file) == ("ownership.yaml", "team-b.yaml")
    config_map(folder, "..2026_11_21_11_00_00.2", "c")
    second = load_map(Path("ownership.yaml"))
    assert sorted(second.teams) == ["a", "c"]
    assert second.revision != first.revision


def test_a_config_map_is_read_from_one_version(folder: Path) -> None:
    """A key that the version lacks is not looked for elsewhere; the findings name the links."""
    config_map(folder, "..1", "b")
    written(folder / "team-z.yaml", "not: [of this version\n")
    assert sorted(load_map(folder / "ownership.yaml").teams) == ["a", "b"]
    written(folder / "..1" / "team-b.yaml", "teams: [b\n")
    findings = read_map(folder / "ownership.yaml").findings
    assert [(Path(f.file).parent, Path(f.file).name, f.code) for f in findings] == [(folder, "team-b.yaml", "OWN001")]
    assert "teams: [b" in render_findings(findings)


def test_a_link_to_the_root_file(folder: Path, tmp_path: Path) -> None:
    """Whoever names a link means it: the files are looked for beside the link."""
    written(tmp_path / "elsewhere" / "map.yaml", HEAD + "include: [team.yaml]\n")
    written(folder / "team.yaml", TEAM.format("b", "b"))
    (folder / "ownership.yaml").symlink_to(tmp_path / "elsewhere" / "map.yaml")
    assert sorted(load_map(folder / "ownership.yaml").teams) == ["a", "b"]
