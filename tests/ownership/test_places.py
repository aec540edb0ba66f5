"""Where a finding of the loader points: code, line, column and the column after, as the reference fixes them."""

from pathlib import Path

import pytest

from router.ownership_file import read_map

HEAD = """\
version: 1
fallback: {channel: {name: f, id: C0FFFFFFFF}}
teams:
  a: {channel: {name: a, id: C0AAAAAAAA}}
"""
LINE = HEAD.count("\n") + 1  # of what follows it
CHANNEL = "channel: {name: a, id: C0AAAAAAAA}"

Place = tuple[str, int, int, int | None]


def places(path: Path, text: str | bytes) -> list[Place]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return [(each.code, each.line, each.column, each.end_column) for each in read_map(path).findings]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ownership.yaml"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("a: 'b\n", ("OWN001", 2, 1, None), id="where the parser stopped"),
        pytest.param("a: [b\nc: d\n", ("OWN001", 2, 2, None), id="in a list that is not closed"),
        pytest.param("a:\n  \tb: c\n", ("OWN001", 2, 3, None), id="the tab"),
        pytest.param(b"\xef\xbb\xbfa: b\n", ("OWN001", 1, 1, None), id="a byte order mark"),
        pytest.param("決: @team\n", ("OWN001", 1, 4, None), id="columns are characters"),
        pytest.param("a: &anchor b\n", ("OWN002", 1, 4, 11), id="the anchor"),
        pytest.param("a: !!str b\n", ("OWN002", 1, 4, 9), id="the tag"),
        pytest.param("a: !t {b: c}\n", ("OWN002", 1, 4, 6), id="the tag of a mapping"),
        pytest.param("%TAG !a! b\n---\na: b\n", ("OWN002", 1, 1, None), id="a tag directive"),
        pytest.param("a:\n  <<: {b: c}\n", ("OWN002", 2, 3, 5), id="the merge key"),
        pytest.param("a: b\n---\nc: d\n", ("OWN002", 2, 1, 4), id="the second document"),
        pytest.param("- " * 70, ("OWN002", 1, 129, None), id="where it is too deep"),
        pytest.param("# 日本\n" * 500_000, ("OWN002", 466_034, 4, None), id="where it is too large"),
    ],
)
def test_files(text: str | bytes, place: Place, path: Path) -> None:
    """A file that is not YAML of ours has one finding, at the place that is wrong."""
    assert places(path, text) == [place]


def test_an_alias(path: Path) -> None:
    """The anchor and each alias, to the end of their names."""
    found = places(path, "a: &x b\nc: [*x, *x]\n")
    assert found == [("OWN002", 1, 4, 6), ("OWN002", 2, 5, 7), ("OWN002", 2, 9, 11)]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param("services:\n  s: {owner: a}\n  s: {owner: a}\n", ("OWN003", 2, 3, 4), id="003 the second key"),
        pytest.param("services:\n  s: {owner: a, onwer: a}\n", ("OWN004", 1, 17, 22), id="004 the key"),
        pytest.param("services:\n  s: {owner: a, tier: 5}\n", ("OWN005", 1, 23, 24), id="005 the value"),
        pytest.param("rules:\n  - id: r\n    owner: a\n", ("OWN005", 1, 9, 10), id="005 missing in a rule: its id"),
        pytest.param("services:\n  s: {tier: 1}\n", ("OWN005", 1, 3, 4), id="005 missing in an entry: its key"),
        pytest.param("rules:\n  - {id: r, match: {a: 10:00}, owner: a}\n", ("OWN006", 1, 24, 29), id="006 the value"),
        pytest.param("namespaces:\n  no: a\n", ("OWN006", 1, 3, 5), id="006 the key"),
        pytest.param("include: [nothing.yaml]\n", ("OWN007", 0, 11, 23), id="007 the include"),
        pytest.param("services:\n  s: {owner: payments}\n", ("OWN101", 1, 14, 22), id="101 the name"),
        pytest.param("services: {s: {owner: a}}\nscope: {b: c}\n", None, id="a map without a defect"),
        pytest.param(
            "services:\n  s: {owner: a, aliases: [t]}\n  t: {owner: a}\n", ("OWN104", 2, 3, 4), id="104 the later id"
        ),
        pytest.param(
            "services:\n  s: {owner: a}\n  t: {owner: a, aliases: [s]}\n", ("OWN104", 2, 27, 28), id="104 the alias"
        ),
        pytest.param(
            "rules:\n  - {id: r, match: {a: b}, owner: a}\n  - {id: r, match: {a: c}, owner: a}\n",
            ("OWN104", 2, 10, 11),
            id="104 the later id of a rule",
        ),
        pytest.param("namespaces:\n  'a-*': a\n  '*-a': a\n", ("OWN104", 2, 3, 8), id="104 the later glob"),
        pytest.param("services:\n  s: {owner: a, channel: 'TBC'}\n", ("OWN111", 1, 26, 31), id="111 the value"),
        pytest.param(
            "jobs:\n  j: {owner: a, rerun: {safety: unsafe, when: x, how: y}}\n",
            ("OWN131", 1, 50, 53),
            id="131 the key how",
        ),
        pytest.param(
            "jobs:\n  j: {owner: a, rerun: {safety: unsafe}}\n", ("OWN131", 1, 17, 22), id="131 the key rerun"
        ),
        pytest.param("rules:\n  - {id: r, match: ['a='], owner: a}\n", ("OWN206", 1, 21, 25), id="206 the string"),
        pytest.param(
            "rules:\n  - {id: r, match: ['a=~\"(\"'], owner: a}\n", ("OWN207", 1, 21, 29), id="207 the string"
        ),
        pytest.param(
            "overrides:\n  - {id: o, match: {a: b}, owner: a, reason: x}\n", ("OWN303", 1, 10, 11), id="303 the id"
        ),
        pytest.param("defaults: {timezone: Asia/Tokio}\n", ("OWN601", 0, 22, 32), id="601 the value"),
        pytest.param("services:\n  s: {owner: xoxb-1-A, tier: 1}\n", ("OWN801", 1, 14, 22), id="801 the value"),
        pytest.param("services:\n  s: {owner: U0ALICE001}\n", ("OWN112", 1, 14, 24), id="112 the owner"),
    ],
)
def test_defects(body: str, place: Place | None, path: Path) -> None:
    """A defect of the map has one finding; lines count here from the one below the head."""
    expected = [] if place is None else [(place[0], LINE + place[1], *place[2:])]
    assert places(path, HEAD + body) == expected


@pytest.mark.parametrize(
    ("teams", "place"),
    [
        pytest.param("  a: {name: x}\n", ("OWN110", 4, 3, 4), id="110 the team's key"),
        pytest.param("  a:\n    channel: #alerts\n", ("OWN111", 5, 14, 21), id="111 what became a comment"),
        pytest.param("  a: {channel: {name: '#a', id: C0AAAAAAAA}}\n", ("OWN111", 4, 23, 27), id="111 the name"),
        pytest.param(f"  a: {{{CHANNEL}, mention: U0ALICE001}}\n", ("OWN112", 4, 52, 62), id="112 the value"),
        pytest.param(f"  a: {{{CHANNEL}, mention: al@example.com}}\n", ("OWN112", 4, 52, 66), id="112 an address"),
        pytest.param(
            f"  a: {{{CHANNEL}, parent: b}}\n  b: {{{CHANNEL}, parent: a}}\n",
            ("OWN103", 4, 51, 52),
            id="103 the parent of the first in the circle",
        ),
        pytest.param(
            f"  x: {{{CHANNEL}, parent: b}}\n  b: {{{CHANNEL}, parent: c}}\n  c: {{{CHANNEL}, parent: b}}\n",
            ("OWN103", 5, 51, 52),
            id="103 not that of a team which only leads into it",
        ),
    ],
)
def test_defects_of_teams(teams: str, place: Place, path: Path) -> None:
    """The same for teams."""
    assert places(path, HEAD[: HEAD.index("  a:")] + teams) == [place]


def test_a_chain_that_ends_with_a_tombstone(path: Path) -> None:
    """Each team whose successors end with it, at its own successor; and the tombstone, which lacks one."""
    teams = "  a: {dissolved: 2026-01-01, successor: b}\n  b: {dissolved: 2026-01-01, successor: c}\n"
    found = places(path, HEAD[: HEAD.index("  a:")] + teams + "  c: {dissolved: 2026-01-01}\n")
    assert found == [("OWN103", 4, 41, 42), ("OWN103", 5, 41, 42), ("OWN005", 6, 3, 4)]


@pytest.mark.parametrize(
    ("body", "related"),
    [
        pytest.param("services:\n  s: {owner: a}\n  s: {owner: a}\n", (1, 3, 4), id="003"),
        pytest.param("services:\n  s: {owner: a, aliases: [t]}\n  t: {owner: a}\n", (1, 27, 28), id="104 an alias"),
        pytest.param("namespaces:\n  'a-*': a\n  '*-a': a\n", (1, 3, 8), id="104 a glob"),
    ],
)
def test_the_first_of_two_is_related(body: str, related: tuple[int, int, int], path: Path) -> None:
    """Whoever gave a name twice sees both places."""
    path.write_text(HEAD + body, encoding="utf-8")
    ((first,),) = [finding.related for finding in read_map(path).findings]
    assert (first.line - LINE, first.column, first.end_column) == related
    assert first.message.startswith(("the first", '"a-*"'))


def test_one_entity_in_two_files(path: Path) -> None:
    """Nothing is merged: the second is a collision that names both files."""
    (path.parent / "team.yaml").write_text(f"teams:\n  a: {{{CHANNEL}}}\n", encoding="utf-8")
    path.write_text(HEAD + "include: [team.yaml]\n", encoding="utf-8")
    (finding,) = read_map(path).findings
    (first,) = finding.related
    assert (finding.code, Path(finding.file).name, finding.line, finding.column) == ("OWN104", "team.yaml", 2, 3)
    assert (Path(first.file).name, first.line, first.column) == ("ownership.yaml", 4, 3)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param("services:\n  s: {owner: a, channel: no}\n", "OWN111", id="111 before 005 and 006"),
        pytest.param("services:\n  s: {owner: a, channel: {name: A, id: 1}}\n", "OWN111 OWN111", id="each its own"),
        pytest.param("jobs:\n  j: {owner: a, rerun: {safety: conditional}}\n", "OWN131", id="131 before 005"),
        pytest.param("rules:\n  - {id: r, match: [a], owner: a}\n", "OWN206", id="206 before 005"),
        pytest.param("overrides:\n  - {id: o, match: {a: b}, owner: a, reason: x}\n", "OWN303", id="303 before 005"),
        pytest.param("services:\n  s: {owner: no}\n", "OWN101", id="101 before 006"),
        pytest.param("services:\n  s: {owner: xoxb-1-abc}\n", "", id="a token is no unknown team: lint says OWN801"),
        pytest.param("services:\n  s: {owner: a, severity: off}\n", "OWN005", id="005 before 006"),
        pytest.param("servces:\n  s: {owner: no}\n", "OWN004", id="nothing below an unknown key"),
        pytest.param("services:\n  s: {owner: a, mention: hooks.slack.com/services/T/B/x}\n", "OWN004", id="004"),
        pytest.param("services:\n  s: {owner: a, runbook: hooks.slack.com/services/T/B/x}\n", "OWN801", id="801"),
    ],
)
def test_the_most_special_code_wins(body: str, code: str, path: Path) -> None:
    """A defect has one code."""
    assert [place[0] for place in places(path, HEAD + body)] == code.split()


def test_only_errors_keep_a_map_from_loading(path: Path) -> None:
    """A map with warnings loads; what is told includes them, also beside errors."""
    path.write_text(HEAD + "namespaces: {no: a}\ndefaults: {timezone: Asia/Tokio}\n", encoding="utf-8")
    read = read_map(path)
    assert [each.code for each in read.findings] == ["OWN006", "OWN601"]
    assert read.map is not None
    assert [each.code for each in read.map.warnings] == ["OWN601"]
    path.write_text(HEAD + "namespaces: {no: a, x: b}\n", encoding="utf-8")
    read = read_map(path)
    assert [each.code for each in read.findings] == ["OWN006", "OWN101"]
    assert read.map is None
