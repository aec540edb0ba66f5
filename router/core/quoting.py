"""Text from outside, and advice about it, as findings may show them."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

# Slack's tokens and webhook addresses, and passwords in addresses: quoted nowhere.
SECRET: Final = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|hooks\.slack\.com/(?:services|workflows|triggers)/\S*|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
)
LONGEST_KEY: Final = 80  # characters


def masked(text: str) -> str:
    """`text` without what is secret."""
    return SECRET.sub("…", text)


def quoted(text: object) -> str:
    """`text` for a message: short, and without what is secret."""
    shown = masked(str(text))
    return f'"{shown if len(shown) <= LONGEST_KEY else shown[: LONGEST_KEY - 1] + "…"}"'


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Advice where one of the known words is nearly `word`."""
    if len(word) > LONGEST_KEY:
        return None
    close = get_close_matches(word, known, n=1)
    return f'did you mean "{close[0]}"?' if close else None
