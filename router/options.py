"""Options that several commands have."""

from collections.abc import Callable
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
