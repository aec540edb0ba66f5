"""`router lint` as people and other programs call it: what it prints, where, and its exit codes."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from router.cli import main
from router.lint import linting
from router.lint.codes import CODES
from tests.lint.maps import BROKEN, FAILING, HEAD, IN_ORDER, INFORMED, LONG_DUE, RULES, WARNED

PROJECT = Path(__file__).parents[2]
ROUTER = Path(sys.executable).parent / "router"
VARIABLES = ("ROUTER_OWNERSHIP", "GITHUB_BASE_REF", "GITHUB_STEP_SUMMARY", "NO_COLOR")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with nothing in it; no variable says anything."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def run(*arguments: str, text: str | None = IN_ORDER, **environment: str) -> Result:
    """`router lint` where ownership.yaml has this text."""
    if text is not None:
        Path("ownership.yaml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["lint", *arguments], env=environment)


@pytest.mark.parametrize(
    ("text", "arguments", "code"),
    [
        pytest.param(IN_ORDER, [], 0, id="nothing"),
        pytest.param(BROKEN, [], 1, id="an error"),
        pytest.param("a:\n\tb: 1\n", [], 1, id="not YAML"),
        pytest.param(FAILING, [], 1, id="a failing test"),
        pytest.param(WARNED, [], 0, id="a warning"),
        pytest.param(WARNED, ["--fail-on", "warning"], 1, id="a warning that matters"),
        pytest.param(WARNED, ["--fail-on", "info"], 1, id="more than matters"),
        pytest.param(INFORMED, ["--fail-on", "warning"], 0, id="an info"),
        pytest.param(INFORMED, ["--fail-on", "info"], 1, id="an info that matters"),
        pytest.param(LONG_DUE, [], 1, id="a review long due"),
        pytest.param(LONG_DUE, ["--review", "warn"], 0, id="a review long due, as a warning"),
        pytest.param(None, [], 2, id="no map"),
        pytest.param(HEAD, ["missing.yaml"], 2, id="no such map"),
        pytest.param(HEAD, ["."], 2, id="a folder"),
        pytest.param(HEAD, ["--format", "xml"], 2, id="no such format"),
        pytest.param(HEAD, ["--explain", "OWN999"], 2, id="no such code"),
    ],
)
@pytest.mark.parametrize("form", ["full", "concise", "json", "github", "sarif"])
def test_exit_codes(text: str | None, arguments: list[str], code: int, form: str) -> None:
    """0: nothing as severe as --fail-on. 1: something. 2: nothing could be checked, and nothing is on stdout."""
    result = run("--format", form, *arguments, text=text)
    assert (result.exit_code, result.exception is None or isinstance(result.exception, SystemExit)) == (code, True)
    if code == 2:
        assert (result.stdout, bool(result.stderr)) == ("", True)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        pytest.param(["teams/map.yaml"], {}, id="PATH"),
        pytest.param(["--ownership", "teams/map.yaml"], {}, id="--ownership"),
        pytest.param([], {"ROUTER_OWNERSHIP": "teams/map.yaml"}, id="ROUTER_OWNERSHIP"),
        pytest.param(["teams/map.yaml", "--ownership", "x"], {"ROUTER_OWNERSHIP": "y"}, id="PATH first"),
    ],
)
def test_where_the_map_is(arguments: list[str], environment: dict[str, str]) -> None:
    """As for `router serve`, with PATH first; findings name it from the current directory."""
    Path("teams").mkdir()
    Path("teams/map.yaml").write_text(BROKEN, encoding="utf-8")
    shown = run("--format", "concise", *arguments, text=None, **environment).stdout
    assert shown.startswith("teams/map.yaml:12:1: OWN004 ")


def test_full() -> None:
    """The line, a caret under the place, and a last line on stderr."""
    result = run(text=BROKEN)
    assert "12 | wrong: key\n   | ^^^^^\n" in result.stdout
    assert result.stderr == "1 error in 1 file\n"


def test_nothing_found() -> None:
    """One line says what was looked at."""
    result = run()
    assert (result.stdout, result.stderr) == ("", "ownership.yaml: 1 file, no findings\n")


@pytest.mark.parametrize("form", ["json", "sarif"])
def test_programs_get_json_alone(form: str) -> None:
    """Whatever stands in the map comes back as it was written, and moves no cursor on the way."""
    result = run("--format", form, text=IN_ORDER + '"key\\u202e\\u009b決済": x\n')
    assert result.stderr == ""
    assert "key\u202e\u009b決済" in json.dumps(json.loads(result.stdout), ensure_ascii=False)
    assert not {"\u202e", "\u009b"} & set(result.stdout)


def test_people_get_no_control_characters() -> None:
    """A file name, a key or a label can hold what a terminal would act on."""
    Path("a\x1b[31m.yaml").write_text(IN_ORDER + '"key\\e[2J": x\n', encoding="utf-8")
    for form in ("full", "concise", "github"):
        result = run("a\x1b[31m.yaml", "--format", form, text=None)
        assert result.exit_code == 1
        assert "\x1b" not in result.stdout + result.stderr


def test_json_with_rule_files() -> None:
    """The figures, and the findings at their places in the rule files."""
    Path("pay.rules.yaml").write_text(RULES, encoding="utf-8")
    answer = json.loads(run("--rules", "*.rules.yaml", "--format", "json").stdout)
    assert answer["summary"]["coverage"]["alerts"] == 2
    assert [(each["code"], each["file"], each["line"]) for each in answer["findings"] if each["line"] > 1] == [
        ("OWN701", "pay.rules.yaml", 4)
    ]


def test_a_glob_that_finds_no_file() -> None:
    """It is said, beside the JSON, and fails: a misspelt one must not look like rules that are all owned."""
    result = run("--rules", "rules/*.yaml", "--format", "json")
    assert result.exit_code == 2
    assert result.stderr == "--rules rules/*.yaml: finds no file\n"
    assert json.loads(result.stdout)["summary"]["coverage"]["files"] == 0


@pytest.mark.parametrize("code", sorted(CODES))
def test_explain(code: str) -> None:
    """The page of the code, whether there is a map or not."""
    result = run("--explain", code.lower(), text=None)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"# {code}: {CODES[code].title}\n")


def test_a_misspelt_code_is_guessed() -> None:
    """The nearest one is named."""
    assert "Did you mean OWN202?" in run("--explain", "OW202").stderr


def test_a_defect_of_lint_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, exit 2, and where it happened. Patched, because no map is known that brings it about."""

    def failing(*_: object, **__: object) -> linting.Report:
        raise KeyError("teams")

    monkeypatch.setattr(linting, "lint", failing)
    result = run()
    assert result.exit_code == 2
    assert "a defect of it and not of the map: KeyError: 'teams' (test_command.py:" in result.stderr


# -- on a terminal -------------------------------------------------------------------------------------------------


def on_terminal(**environment: str) -> str:
    """What `router lint` writes to a terminal."""
    Path("ownership.yaml").write_text(BROKEN, encoding="utf-8")
    controller, terminal = pty.openpty()
    try:
        subprocess.run([ROUTER, "lint"], stdout=terminal, env=os.environ | environment, check=False, timeout=30)
        return os.read(controller, 65536).decode()
    finally:
        os.close(terminal)
        os.close(controller)


def test_colours() -> None:
    """On a terminal only, and not where somebody set NO_COLOR."""
    assert "\x1b[31m" in on_terminal()
    assert "\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in run(text=BROKEN).stdout


# -- in GitHub Actions ---------------------------------------------------------------------------------------------

MANY = HEAD + "jobs:\n" + "".join(f"  job-{number}: {{owner: payments}}\n" for number in range(1, 16))


def test_annotations_and_the_whole_in_the_summary() -> None:
    """Ten annotations, every finding in the step's summary, which other steps' text stays in."""
    Path("summary.md").write_text("before\n", encoding="utf-8")
    result = run("--format", "github", text=MANY, GITHUB_STEP_SUMMARY="summary.md")
    assert [line.partition(" ")[0] for line in result.stdout.splitlines()] == ["::warning"] * 10
    summary = Path("summary.md").read_text(encoding="utf-8")
    assert summary.startswith("before\n### router lint\n")
    assert summary.count("| warning | OWN130 |") == 15


def test_without_a_summary_nothing_is_lost() -> None:
    """What is no annotation is a line."""
    lines = run("--format", "github", text=MANY).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [""] * 10 + ["ownership.yaml"] * 5


def test_a_summary_that_cannot_be_written() -> None:
    """It is said, and what is no annotation is a line."""
    result = run("--format", "github", text=MANY, GITHUB_STEP_SUMMARY="missing/summary.md")
    assert len(result.stdout.splitlines()) == 15
    assert "missing/summary.md: the step's summary cannot be written" in result.stderr


@pytest.mark.needs("git")
def test_changed_lines_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pull request the annotations are those of its own lines, if git knows them."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
    Path("ownership.yaml").write_text(MANY.replace("  job-15: {owner: payments}\n", ""), encoding="utf-8")
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        [*author, "commit", "--quiet", "--message=first"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run(["git", *command], check=True, timeout=20)
    Path("ownership.yaml").write_text(MANY, encoding="utf-8")
    subprocess.run(["git", *author, "commit", "--quiet", "--all", "--message=second"], check=True, timeout=20)
    first, *_ = run("--format", "github", text=None, GITHUB_BASE_REF="main").stdout.splitlines()
    assert 'job "job-15"' in first


# -- what other repositories use -----------------------------------------------------------------------------------


def program(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(ROUTER.parent), os.environ["PATH"]))
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PATH": path} | environment
    )


def test_the_hook() -> None:
    """pre-commit finds what it needs, and the command runs on the map alone, offline."""
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {"id", "name", "entry", "language", "files"} <= hook.keys()
    assert (hook["id"], hook["language"], hook["pass_filenames"]) == ("router-lint", "python", False)
    Path("ownership.yaml").write_text(BROKEN, encoding="utf-8")
    failed = program(shlex.split(hook["entry"]))
    assert (failed.returncode, "OWN004" in failed.stdout) == (1, True)
    Path("map.yaml").write_text(IN_ORDER, encoding="utf-8")
    assert program([*shlex.split(hook["entry"]), "map.yaml"]).returncode == 0


@pytest.mark.parametrize(
    ("file", "checked"),
    [
        ("ownership.yaml", True),
        ("teams/pay/ownership.yml", True),
        ("ownership.d/pay.yaml", True),
        ("deploy/ownership.d/pay/jobs.yaml", True),
        ("my-ownership.yaml", False),
        ("ownership.yaml.orig", False),
        ("rules/pay.yaml", False),
    ],
)
def test_the_files_of_the_hook(file: str, checked: bool) -> None:
    """It runs when the map or a file with a usual name of an included one is committed."""
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert bool(re.search(hook["files"], file)) is checked


Json = dict[str, Any]  # Any: what YAML gives


@pytest.fixture(scope="module")
def action() -> Json:
    found = yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def test_the_action_is_one(action: Json) -> None:
    """A composite action: each step that runs something names its shell, and each input is described and used."""
    assert {"name", "description", "runs"} <= action.keys()
    assert action["runs"]["using"] == "composite"
    steps = action["runs"]["steps"]
    assert all("uses" in step or {"run", "shell"} <= step.keys() for step in steps)
    used = json.dumps(steps)
    for name, described in action["inputs"].items():
        assert described["description"]
        assert f"inputs.{name} " in used
    assert not any("${{" in step.get("run", "") for step in steps), "text of others would be part of a script"


@pytest.mark.parametrize(
    ("inputs", "code", "shown"),
    [
        pytest.param({"path": "ownership.yaml"}, 0, "", id="a map in order"),
        pytest.param({"path": "broken.yaml"}, 1, "::error file=broken.yaml,line=12,", id="a broken one"),
        pytest.param({"path": "warned.yaml", "fail-on": "warning"}, 1, "::warning ", id="another severity"),
        pytest.param({"rules": "pay*.yaml\n\n  *.rules.yaml\n"}, 0, "::warning file=pay.rules.yaml,", id="two globs"),
        pytest.param({"path": "--help"}, 2, "", id="a path is no option"),
        pytest.param({"path": "$(touch pwned)", "rules": "`touch pwned`\n*"}, 2, "", id="no text is run"),
    ],
)
def test_the_step_of_the_action(action: Json, inputs: Json, code: int, shown: str, tmp_path: Path) -> None:
    """The script runs as GitHub runs it, with the inputs as variables."""
    for name, text in {"ownership": IN_ORDER, "broken": BROKEN, "warned": WARNED, "pay.rules": RULES}.items():
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "runner" / "alert-router").mkdir(parents=True)
    (tmp_path / "runner" / "alert-router" / "bin").symlink_to(ROUTER.parent)
    step = action["runs"]["steps"][-1]
    given = {name: inputs.get(name, described["default"]) for name, described in action["inputs"].items()}
    variables = {
        name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in step["env"].items()
    }
    result = program(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        RUNNER_TEMP=str(tmp_path / "runner"),
        **variables,
    )
    assert result.returncode == code, result.stderr
    assert shown in result.stdout
    assert not Path("pwned").exists()
