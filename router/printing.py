"""Text for terminals, pipes and logs: UTF-8 always, and nothing in it moves a cursor or turns the writing."""

import unicodedata
from collections.abc import Callable
from typing import Final

import click

# What moves a terminal's cursor or turns its writing, and what some readers of lines take for the end of one.
_ESCAPED: Final = frozenset({"Cc", "Cf", "Zl", "Zp"})


def print_text(text: str, *, style: Callable[[str], str] = str, err: bool = False) -> None:
    """Print `text`, made printable, as UTF-8 whatever the terminal says. `style` may then add colours."""
    click.echo(style(printable(text)).encode(errors="replace"), err=err)


def printable(text: str) -> str:
    """`text` in which all but line feeds is visible; what is escaped is so in a way that JSON reads back."""
    return "".join(
        character if character == "\n" or unicodedata.category(character) not in _ESCAPED else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(character.encode("utf-16-le")).cast("H"))
