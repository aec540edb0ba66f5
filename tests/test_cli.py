"""The command line as a whole: every command is there, and none costs what another one needs."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from router.cli import main
from tests.ownership.maps import HEAD

COMMANDS = (
    "backup",
    "dead",
    "drill",
    "import",
    "incident",
    "init",
    "lint",
    "report",
    "restore",
    "schema",
    "serve",
    "who",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_for_itself(name: str) -> None:
    """`router NAME --help` begins with its own usage, and `router --help` has a line about it."""
    shown = CliRunner().invoke(main, [name, "--help"], prog_name="router")
    assert (shown.exit_code, shown.stdout.splitlines()[0].split()[:3]) == (0, ["Usage:", "router", name])
    listed = CliRunner().invoke(main, ["--help"], prog_name="router").stdout.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)
    assert all(len(line.split()) > 3 for line in listed.splitlines())


def test_a_command_that_there_is_not() -> None:
    """It is wrong usage."""
    result = CliRunner().invoke(main, ["whoo"])
    assert (result.exit_code, "No such command 'whoo'" in result.stderr) == (2, True)
    assert main.get_command(click.Context(main), "whoo") is None


def test_who_is_quick(tmp_path: Path) -> None:
    """A question about the map imports nothing of the server, nor of the other commands."""
    (tmp_path / "ownership.yaml").write_text(HEAD, encoding="utf-8")
    script = (
        "import sys; from router.cli import main\n"
        "main(['who', 'team=payments', '--ownership', sys.argv[1]], standalone_mode=False)\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "ownership.yaml")],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    imported = set(ran.stdout.splitlines()[-1].split())
    assert "router.who" in imported
    assert imported & {"structlog", "prometheus_client", "uvicorn", "sqlite3", "router.lint", "router.serve"} == set()
