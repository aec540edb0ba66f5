"""Options and arguments that several commands have."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])  # Any: a command's function takes and returns what it likes


def ownership_option(*, help: str = "The ownership map.") -> Callable[[F], F]:
    """`--ownership PATH`, found as `serve` finds it."""
    return click.option(
        "--ownership",
        metavar="PATH",
        envvar="ROUTER_OWNERSHIP",
        default="ownership.yaml",
        show_default=True,
        show_envvar=True,
        help=help,
    )


def router_option() -> Callable[[F], F]:
    """`--url URL`, of the running router that a command asks."""
    return click.option(
        "--url",
        metavar="URL",
        envvar="ROUTER_URL",
        default="http://127.0.0.1:9095",
        show_default=True,
        show_envvar=True,
        help="The running router.",
    )


def database_option(*, help: str) -> Callable[[F], F]:
    """`--database URL`, found as `serve` finds it."""
    return click.option(
        "--database",
        metavar="URL",
        envvar="ROUTER_DATABASE",
        default="sqlite:///router.db",
        show_default=True,
        show_envvar=True,
        help=help,
    )


def pairs(arguments: Iterable[str], what: str) -> dict[str, str]:
    """The arguments NAME=VALUE by their names; `what` is how the help calls NAME."""
    pairs: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{argument!r} is not {what}=VALUE.")
        if name in pairs:
            raise click.UsageError(f"{name!r} is given twice.")
        try:
            argument.encode()
        except UnicodeEncodeError as exc:
            raise click.UsageError(f"{argument!r} is not UTF-8.") from exc
        pairs[name] = value
    return pairs
