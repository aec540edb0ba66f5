"""The reference pages of the map and of `router who` say what the code does."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from router.cli import main
from router.core.model import Level, RerunSafety
from router.ownership_file import load_map
from router.ownership_file.shape import IdentityShape, keys_at
from tests.docs.pages import PROJECT, blocks, code_in, rows, section, text_of

MAP_PAGE, WHO_PAGE = "docs/reference/ownership-map.md", "docs/reference/who.md"
SMALLEST, *SNIPPETS = blocks(text_of(MAP_PAGE), "yaml")


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: str(snippet).partition(":")[0])
def test_every_snippet_loads(snippet: str, tmp_path: Path) -> None:
    """What the page shows loads, put into the smallest map."""
    path = tmp_path / "ownership.yaml"
    text = SMALLEST + snippet.removeprefix("teams:\n") if snippet.startswith("teams:") else SMALLEST + snippet
    path.write_text(text, encoding="utf-8")
    assert load_map(path).warnings == ()


def test_every_key_of_the_map_is_on_the_page() -> None:
    """A key that can be written is explained."""
    prose = re.sub(r"```.*?```", "", text_of(MAP_PAGE), flags=re.DOTALL)
    words = set(re.findall(r"[a-z_]+", " ".join([*code_in(prose), *SNIPPETS, SMALLEST])))
    paths: list[tuple[str | int, ...]] = [
        (),
        ("teams", "t"),
        ("services", "s"),
        ("rules", 0),
        ("fallback",),
        ("defaults",),
    ]
    assert {key for path in paths for key in keys_at(path)} - words == set()


def test_the_usual_severities(tmp_path: Path) -> None:
    """The table is what a map without `severities` has."""
    path = tmp_path / "ownership.yaml"
    path.write_text(SMALLEST, encoding="utf-8")
    severities = load_map(path).severities
    told = rows(section(MAP_PAGE, "### `severities`"))
    assert [row[0].strip("`") for row in told] == list(Level)
    for name, words, within, hours in told:
        level = Level(name.strip("`"))
        assert {word for word, known in severities.words.items() if known is level} == set(words.split(", "))
        response = severities.responses[level]
        assert (response.within or "none", response.hours) == (within, hours)


def test_the_usual_labels() -> None:
    """The table is what a map without `identity` has."""
    told = {name.strip("`"): labels.split(", ") for name, labels in rows(section(MAP_PAGE, "### `identity`"))}
    assert told == IdentityShape().model_dump()


def test_the_rerun_words() -> None:
    """Each word is explained, and no other."""
    assert [row[0].strip("`") for row in rows(section(MAP_PAGE, "### Rerun"))] == list(RerunSafety)


def test_the_usage_of_who() -> None:
    """The page shows the command's own help."""
    (shown,) = blocks(section(WHO_PAGE, "## Usage"), "text")
    assert shown == CliRunner().invoke(main, ["who", "--help"], prog_name="router", terminal_width=80).output


def test_the_example_of_who() -> None:
    """The page shows what the command prints for the example map, but for the revision."""
    (block,) = blocks(text_of(WHO_PAGE), "console")
    command, *expected = block.splitlines()
    arguments = [*command.removeprefix("$ router ").split(), "--ownership", str(PROJECT / "ownership.yaml")]
    printed = CliRunner().invoke(main, arguments).stdout.splitlines()
    assert [_without_place(line) for line in printed[:-1]] == [_without_place(line) for line in expected[:-1]]


def _without_place(line: str) -> str:
    """`line` without the directory of the map, which is another one wherever the tests run."""
    return line.replace(f"{PROJECT.as_posix()}/", "")


def test_the_keys_of_the_json() -> None:
    """Every key of an answer is explained, in its order."""

    arguments = ["who", "a=b", "--json", "--ownership", str(PROJECT / "ownership.yaml")]
    answer = json.loads(CliRunner().invoke(main, arguments).stdout)
    told = [key for row in rows(section(WHO_PAGE, "## JSON")) for key in code_in(row[0])]
    assert told == list(answer)
