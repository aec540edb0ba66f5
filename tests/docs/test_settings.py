"""docs/reference/settings.md says what `router serve` is told, and nothing else."""

import re
from collections.abc import Iterator, Mapping

import click
import pytest
from click.testing import CliRunner

from router.cli import main
from router.config import settings
from tests.docs.pages import PROJECT, blocks, code_in, rows, section, text_of

PAGE = "docs/reference/settings.md"
VARIABLE = re.compile(r"\bROUTER_[A-Z_]*[A-Z]\b")


class Asked(Mapping[str, str]):
    """An environment in which nothing is set, and that remembers what it was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.names.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the settings are asked for by name")

    def __len__(self) -> int:
        return 0


def serve() -> click.Command:
    assert isinstance(main, click.Group)
    return main.commands["serve"]


def options() -> dict[str, click.Option]:
    return {option.opts[0]: option for option in serve().params if isinstance(option, click.Option)}


def variables() -> set[str]:
    """All that the program looks for: those of the options of its commands, and those that it reads by itself."""
    asked = Asked()
    settings(ownership="o", database="d", listen="127.0.0.1:0", environment=asked, on_terminal=False)
    return asked.names | {str(option.envvar) for option in all_options(main) if option.envvar}


def all_options(command: click.Command) -> Iterator[click.Option]:
    yield from (option for option in command.params if isinstance(option, click.Option))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            assert part is not None
            yield from all_options(part)


def test_every_variable_is_documented_and_no_other() -> None:
    """The page names exactly the variables that the program reads, the files of secrets too."""
    assert set(VARIABLE.findall(text_of(PAGE))) == variables()


def test_no_variable_is_read_elsewhere() -> None:
    """What any module of the router calls a variable is one that the settings read."""
    named = {
        variable
        for module in (PROJECT / "router").rglob("*.py")
        for variable in VARIABLE.findall(module.read_text(encoding="utf-8"))
    }
    assert named <= variables()


def test_every_option_stands_in_the_table_with_its_variable_and_default() -> None:
    """One row an option, and no row for an option that is not there."""
    table = {code_in(row[0])[0].split(" ")[0]: row for row in rows(section(PAGE, "## All settings")) if code_in(row[0])}
    assert set(table) == set(options())
    for name, option in options().items():
        written, variable, default, _ = table[name]
        assert code_in(written) == [f"{name} {option.metavar}"]
        assert code_in(variable) == [str(option.envvar)]
        assert code_in(default) == [str(option.default)]


def test_the_help_is_the_real_one() -> None:
    """What the page shows as the output of `router serve --help` is that."""
    result = CliRunner().invoke(main, ["serve", "--help"], prog_name="router", terminal_width=80)
    (shown,) = blocks(section(PAGE, "## `router serve --help`"), "text")
    assert [line.rstrip() for line in shown.splitlines()] == [line.rstrip() for line in result.output.splitlines()]


@pytest.mark.parametrize(
    ("argument", "code"),
    [
        pytest.param("--unknown", 2, id="wrong usage"),
        pytest.param("--listen=nowhere", 3, id="setting that cannot be used"),
    ],
)
def test_exit_codes(argument: str, code: int) -> None:
    """The codes of failed starts are those of the page's table."""
    assert CliRunner().invoke(main, ["serve", argument]).exit_code == code
    assert str(code) in {row[0] for row in rows(section(PAGE, "## Exit codes"))}
