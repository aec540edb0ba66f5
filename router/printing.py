"""Text for terminals, pipes and logs: UTF-8 always, and nothing in it moves a cursor or turns the writing."""

import json
import unicodedata
from collections.abc import Callable, Mapping
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


def json_text(answer: Mapping[str, object]) -> str:
    """An answer for programs."""
    return json.dumps(answer, ensure_ascii=False, indent=2)


def fact_lines(facts: Mapping[str, object]) -> list[str]:
    """A line each, by their names; what is None or empty is left out."""
    return [f"{name:<9} {one_line(str(value))}" for name, value in facts.items() if value not in (None, "")]


def second_of(rfc3339: str) -> str:
    """To the second, as people write it; UTC as everything here."""
    return rfc3339[:19].replace("T", " ")


def one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(character: str) -> str:
    return "".join(f"\\u{unit:04x}" for unit in memoryview(character.encode("utf-16-le")).cast("H"))
