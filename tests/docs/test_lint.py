"""The pages about `router lint` say what the command does."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from router.cli import main
from router.lint.command import Format
from router.lint.coverage import Coverage
from router.lint.formats import as_json
from tests.docs.lint_pages import example_of, write
from tests.docs.pages import PROJECT, blocks, code_in, rows, section, text_of
from tests.lint.findings import a_finding, a_report
from tests.lint.maps import HEAD

PAGE, HOW_TO = "docs/reference/lint.md", "docs/how-to/lint-in-ci.md"


def test_the_usage() -> None:
    """The page shows the command's own help."""
    (shown,) = blocks(section(PAGE, "## Usage"), "text")
    assert shown == CliRunner().invoke(main, ["lint", "--help"], prog_name="router", terminal_width=80).output


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows what the command prints for the map of the page about that code."""
    (shown,) = blocks(text_of(PAGE), "console")
    write(example_of("OWN202").wrong, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert shown == "$ router lint\n" + CliRunner().invoke(main, ["lint"]).output


def test_every_format_is_in_the_table() -> None:
    """Each, and no other."""
    assert [code_in(row[0]) for row in rows(section(PAGE, "## Formats"))] == [[form.value] for form in Format]


def test_the_keys_of_the_json() -> None:
    """The example has the keys of an answer, and the tables explain each of them, in order."""
    (example,) = (json.loads(block) for block in blocks(section(PAGE, "## JSON"), "json"))
    answer = json.loads(as_json(a_report(a_finding(end_column=9))))
    assert list(example) == list(answer)
    assert list(example["summary"]) == list(answer["summary"])
    assert sorted(example["findings"][0]) == sorted(answer["findings"][0])
    explained = [key for row in rows(section(PAGE, "## JSON")) for key in code_in(row[0])]
    assert sorted(explained) == sorted(
        [*answer["findings"][0], *answer["summary"], *(field.name for field in fields(Coverage))]
    )


def test_the_suppression(tmp_path: Path) -> None:
    """What the page shows leaves nothing of this check in a map."""
    (shown,) = blocks(section(PAGE, "## Suppress a finding"), "yaml")
    map_file = tmp_path / "ownership.yaml"
    for text, expected in ((shown, False), (shown.replace("# own", "# once"), True)):
        map_file.write_text(HEAD + text.replace("data-platform", "payments"), encoding="utf-8")
        printed = CliRunner().invoke(main, ["lint", str(map_file), "--format", "concise"]).stdout
        assert ("OWN130" in printed) is expected
        assert "OWN004" not in printed


def test_the_workflow_gives_inputs_that_the_action_has() -> None:
    """Every input of the action is shown, with a value of its kind, and no other."""
    action = yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))
    workflow, *_ = blocks(section(HOW_TO, "## GitHub Actions"), "yaml")
    *_, step = yaml.safe_load(workflow)["jobs"]["ownership"]["steps"]
    assert step["with"].keys() == action["inputs"].keys()
    for name, described in action["inputs"].items():
        assert f"`{name}` is `{described['default']}`" in text_of(HOW_TO) or not described["default"]


@pytest.mark.parametrize("number", [0, 1])
def test_the_hook_that_is_named_exists(number: int) -> None:
    """What to paste into .pre-commit-config.yaml names the hook of this repository."""
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    pasted = yaml.safe_load(blocks(section(HOW_TO, "## pre-commit"), "yaml")[number])
    hooks = pasted["repos"][0]["hooks"] if isinstance(pasted, dict) else pasted
    assert [named["id"] for named in hooks] == [hook["id"]]
