"""Strings that fit a regular expression, so that a route which is guarded by one can be walked.

Not every expression is understood; whoever uses a sample asks the matcher whether it fits.
"""

import re
from typing import Final

_MOST: Final = 4  # samples of one part
_DEEPEST: Final = 40  # parentheses
_CLASSES: Final = {"d": "1", "D": "a", "w": "a", "W": "-", "s": " ", "S": "a", "b": "", "B": "", "A": "", "z": ""}
_CONTROLS: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
_REPEAT: Final = re.compile(r"\{(\d+)(?:,\d*)?\}")
_GROUP: Final = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z]*(?:-[a-zA-Z]+)?(?P<closed>\))?:?))?")
_OTHERS: Final = "xaX7-_ .:/~"


def samples(pattern: str) -> tuple[str, ...]:
    """A few strings that probably fit `pattern`, each alternative of its outermost level once."""
    if pattern.count("(") > _DEEPEST:
        return ()
    sampler = _Sampler(pattern)
    found = sampler.alternatives(every=True)
    return tuple(dict.fromkeys(found)) if sampler.at_end else ()


class _Sampler:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position >= len(self._pattern)

    def alternatives(self, *, every: bool = False) -> list[str]:
        found = self._sequence()
        firsts = found[: 1 if every else _MOST]
        more = found[1:]
        while self._takes("|"):
            sequence = self._sequence()
            firsts += sequence[:1]
            more += sequence[1:]
        return firsts + more if every else (firsts + more)[:_MOST]

    def _sequence(self) -> list[str]:
        """Samples of what stands beside each other; the n-th takes the n-th of each part."""
        parts: list[list[str]] = []
        while not self.at_end and self._pattern[self._position] not in "|)":
            parts.append(self._repeated(self._atom()))
        longest = min(_MOST, max(map(len, parts), default=1))
        return ["".join(part[min(number, len(part) - 1)] for part in parts) for number in range(longest)]

    def _repeated(self, atom: list[str]) -> list[str]:
        if self._takes("*") or self._takes("?"):
            atom = [*atom, ""]
        elif (repeat := _REPEAT.match(self._pattern, self._position)) is not None:
            self._position = repeat.end()
            atom = [sample * min(int(repeat[1]), 1000) for sample in atom]
        elif not self._takes("+"):
            return atom
        self._takes("?")  # as few as possible: the same strings fit
        return atom

    def _atom(self) -> list[str]:
        character = self._pattern[self._position]
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        self._position += 1
        if character == "\\":
            return [self._escape()]
        if character in "^$":
            return [""]
        return ["x", "y"] if character == "." else [character]

    def _group(self) -> list[str]:
        opening = _GROUP.match(self._pattern, self._position)
        if opening is None:  # not a group that RE2 has
            self._position = len(self._pattern)
            return [""]
        self._position = opening.end()
        if opening["closed"]:  # (?i)
            return [""]
        inner = self.alternatives()
        self._takes(")")
        return inner

    def _escape(self) -> str:
        rest = self._pattern[self._position :]
        character = rest[:1]
        if character == "Q":
            literal = rest[1:].partition("\\E")[0]
            self._position += len(literal) + (3 if "\\E" in rest else 1)
            return literal
        if (code := re.match(r"x(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))", rest)) is not None:
            self._position += code.end()
            return chr(min(int(code[1] or code[2], 16), 0x10FFFF))
        if (unicode_class := re.match(r"[pP](?:\{\^?\w+\}|\w)", rest)) is not None:
            self._position += unicode_class.end()
            return "a"
        self._position += 1
        return _CLASSES.get(character, _CONTROLS.get(character, character))

    def _class(self) -> list[str]:
        """Some characters of `[…]`: those that are named or, for `[^…]`, some that are not."""
        self._position += 1
        negated = self._takes("^")
        ranges: list[tuple[str, str]] = []
        while not self.at_end and (not ranges or self._pattern[self._position] != "]"):
            low = self._member()
            high = low
            if self._pattern.startswith("-", self._position) and not self._pattern.startswith("-]", self._position):
                self._position += 1
                high = self._member()
            ranges.append((low, high))
        self._position += 1
        if not negated:
            return [low for low, _ in ranges][:_MOST] or [""]
        return [other for other in _OTHERS if not any(low <= other <= high for low, high in ranges)][:_MOST] or [""]

    def _member(self) -> str:
        named = re.match(r"\[:\^?\w+:\]", self._pattern[self._position :])
        if named is not None:
            self._position += named.end()
            return "1" if "digit" in named[0] else "a"
        character = self._pattern[self._position : self._position + 1]
        self._position += 1
        return self._escape() if character == "\\" else character

    def _takes(self, sign: str) -> bool:
        if self._pattern.startswith(sign, self._position):
            self._position += len(sign)
            return True
        return False
