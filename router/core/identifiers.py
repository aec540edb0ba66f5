"""Identifiers of notifications: 63-bit integers that sort by arrival, written as 13 letters and digits.

41 bits of milliseconds since 2020 and 22 bits, of which 20 are drawn, so that replicas on one database do not meet.
Crockford's base 32: no I, L, O, U, so that somebody can read an id aloud.
"""

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_EPOCH_MS = 1_577_836_800_000  # 2020-01-01
_LENGTH = 13
_DRAWN_BITS = 22
HIGHEST = (1 << 63) - 1


def text_of(identifier: int) -> str:
    # Two letters at a time: every answer to a sender carries one.
    pairs = _PAIRS
    return (
        _ALPHABET[identifier >> 60]
        + pairs[identifier >> 50 & 1023]
        + pairs[identifier >> 40 & 1023]
        + pairs[identifier >> 30 & 1023]
        + pairs[identifier >> 20 & 1023]
        + pairs[identifier >> 10 & 1023]
        + pairs[identifier & 1023]
    )


def identifier_of(text: str) -> int | None:
    """None for anything that `text_of` cannot have written."""
    if len(text) != _LENGTH:
        return None
    identifier = 0
    for letter in text:
        value = _VALUES.get(letter)
        if value is None:
            return None
        identifier = identifier << 5 | value
    return identifier if identifier <= HIGHEST else None


def next_identifier(*, now_ms: int, last: int, drawn: int) -> int:
    """The id after `last`, also when the clock went backwards: ids of one process rise strictly.

    `drawn` is a random number below 2**20, so that an identifier is not the first to overflow its millisecond.
    """
    return max((now_ms - _EPOCH_MS) << _DRAWN_BITS | drawn, last + 1)
