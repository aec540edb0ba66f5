"""Channel ids that stand for one that somebody still has to look up: maps that are made from other files have them.

They have the form of an id, so that the map loads and can be tried in preview mode; lint tells every one of them.
"""

from typing import Final

_PREFIX: Final = "C0CHANGEME"


def placeholder_id(number: int) -> str:
    return f"{_PREFIX}{number}"


def is_placeholder(channel_id: str) -> bool:
    return channel_id.startswith(_PREFIX)
