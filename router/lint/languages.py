r"""Regular expressions as sets of texts: which text fits all of these and none of those, or that there is none.

A part of RE2's syntax, read exactly as Go's RE2 reads it between `^(?:` and `)$`; of all else nothing is claimed.
Written here because no library answers within a budget, with RE2's meaning: in greenery 4.2 `.` takes a line feed and
`\s` a vertical tab, anchors are literal characters, and `(a|b)*a(a|b){10}` takes it more than half a minute;
interegular, with its last release in January 2024, reads Python's dialect.
"""

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import accumulate, product, takewhile
from operator import or_, xor
from typing import Final


class Undecided(Exception):
    """The question is beyond the syntax that is understood, or dearer than may be paid."""


class Effort:
    """How much thinking is left. One unit is one step of an automaton, about a microsecond."""

    def __init__(self, units: int) -> None:
        self.left = units

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise Undecided


# -- syntax --------------------------------------------------------------------------------------------------------

_Range = tuple[int, int]  # of code points, both included
_Characters = tuple[_Range, ...]  # in order, none touching another


@dataclass(frozen=True, slots=True)
class _One:
    """One character of these."""

    of: _Characters


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    parts: tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    part: "_Node"
    least: int
    most: int | None  # None: without end


_Node = _One | _Sequence | _Choice | _Repeat

_LAST_CHARACTER: Final = 0x10FFFF
_SURROGATES: Final = (0xD800, 0xDFFF)  # no text has them
_LINE_FEED: Final = ord("\n")
_QUANTIFIER: Final = re.compile(r"(?:([*+?])|\{([0-9]{1,4})(,?)([0-9]{0,4})\})\??")
_QUANTIFIERS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_ESCAPED_PUNCTUATION: Final = frozenset(r"""!"#$%&'()*+,-./:;<=>?@[\]^`{|}~""")
_ESCAPED_CONTROLS: Final = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
# Perl's classes, which in RE2 are ASCII alone; \s has no vertical tab. (github.com/google/re2/wiki/Syntax)
_CLASSES: Final[dict[str, _Characters]] = {
    "d": ((0x30, 0x39),),
    "s": ((0x09, 0x0A), (0x0C, 0x0D), (0x20, 0x20)),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
}
_ANY: Final[_Characters] = ((0, _LINE_FEED - 1), (_LINE_FEED + 1, _LAST_CHARACTER))  # the dot
_MAX_GROUPS: Final = 30  # inside each other
_MAX_LENGTH: Final = 20_000


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._groups = 0

    def parse(self) -> _Node:
        if len(self._text) > _MAX_LENGTH:
            raise Undecided
        node = self._choice()
        if self._at < len(self._text):
            raise Undecided
        return node

    def _choice(self) -> _Node:
        branches = [self._branch()]
        while self._take("|"):
            branches.append(self._branch())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _branch(self) -> _Node:
        # At the ends of a whole branch an anchor repeats what `^(?:` and `)$` say.
        if self._groups == 0:
            self._take("^")
        parts = []
        while self._next() not in ("", "|", ")"):
            if self._groups == 0 and self._next() == "$" and self._text[self._at + 1 : self._at + 2] in ("", "|"):
                self._at += 1
                break
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _repeated(self, node: _Node) -> _Node:
        found = _QUANTIFIER.match(self._text, self._at)
        if found is None:
            return node
        self._at = found.end()
        if _QUANTIFIER.match(self._text, self._at):
            raise Undecided
        if found[1]:
            return _Repeat(node, *_QUANTIFIERS[found[1]])
        least = int(found[2])
        return _Repeat(node, least, (int(found[4]) if found[4] else None) if found[3] else least)

    def _atom(self) -> _Node:
        character = self._any()
        if character == "(":
            return self._group()
        if character == "[":
            return _One(self._class())
        if character == ".":
            return _One(_ANY)
        if character == "\\":
            return _One(self._escaped())
        if character in "^$*+?{":
            raise Undecided
        return _One(((ord(character), ord(character)),))

    def _group(self) -> _Node:
        if self._next() == "?" and not self._take("?:"):
            raise Undecided
        self._groups += 1
        if self._groups > _MAX_GROUPS:
            raise Undecided
        node = self._choice()
        self._groups -= 1
        if not self._take(")"):
            raise Undecided
        return node

    def _class(self) -> _Characters:
        negated = self._take("^")
        found: list[_Range] = []
        first = True
        while first or self._next() != "]":
            first = False
            low = self._class_item()
            if self._next() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._class_item()
                if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
                    raise Undecided
                low = ((low[0][0], high[0][0]),)
            found += low
        self._at += 1
        characters = _joined(found)
        return _without(characters) if negated else characters

    def _class_item(self) -> _Characters:
        character = self._any()
        if character == "[" and self._next() == ":":
            raise Undecided
        return self._escaped() if character == "\\" else ((ord(character), ord(character)),)

    def _escaped(self) -> _Characters:
        character = self._any()
        if character.lower() in _CLASSES:
            characters = _CLASSES[character.lower()]
            return characters if character.islower() else _without(characters)
        character = _ESCAPED_CONTROLS.get(character, character)
        if character.isalnum() or character not in _ESCAPED_PUNCTUATION | set(_ESCAPED_CONTROLS.values()):
            raise Undecided
        return ((ord(character), ord(character)),)

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _any(self) -> str:
        character = self._next()
        if not character or _SURROGATES[0] <= ord(character) <= _SURROGATES[1]:
            raise Undecided
        self._at += 1
        return character

    def _take(self, wanted: str) -> bool:
        taken = self._text.startswith(wanted, self._at)
        self._at += len(wanted) if taken else 0
        return taken


def _joined(ranges: Iterable[_Range]) -> _Characters:
    joined: list[_Range] = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = joined[-1][0], max(joined[-1][1], high)
        else:
            joined.append((low, high))
    return tuple(joined)


def _without(ranges: _Characters) -> _Characters:
    found = []
    start = 0
    for low, high in ranges:
        if start < low:
            found.append((start, low - 1))
        start = high + 1
    return (*found, (start, _LAST_CHARACTER)) if start <= _LAST_CHARACTER else tuple(found)


# -- what a pattern says of itself ---------------------------------------------------------------------------------

_MAX_TEXTS: Final = 1000  # that a pattern may stand for, to be listed
_MAX_OPTIONAL: Final = 20  # repetitions


@dataclass(frozen=True)
class Language:
    """A set of texts."""

    _node: _Node

    @cached_property
    def texts(self) -> frozenset[str] | None:
        """All its texts, where they are few."""
        found = _texts(self._node)
        return frozenset(found) if found is not None else None

    @cached_property
    def example(self) -> str | None:
        """A short one of its texts; None if that is not to be seen at once."""
        return _example(self._node)

    @cached_property
    def beginnings(self) -> frozenset[str]:
        """What its texts begin with: each with one of these, which may be the empty one."""
        return frozenset(text for text, _ in _beginnings(self._node))

    @cached_property
    def prefix(self) -> str:
        """What all of its texts begin with; perhaps not all of it."""
        begun = sorted(self.beginnings)
        same = takewhile(lambda pair: pair[0] == pair[1], zip(begun[0], begun[-1], strict=False)) if begun else ()
        return "".join(one for one, _ in same)

    @property
    def automaton(self) -> "_Automaton":
        """Raises Undecided if it would be too large."""
        if self._built is None:
            raise Undecided
        return self._built

    @cached_property
    def _built(self) -> "_Automaton | None":
        try:
            return _Automaton(self._node)
        except Undecided:
            return None


def language(pattern: str) -> Language:
    """The texts that fit `pattern` as a whole. Raises Undecided for syntax that is not understood here."""
    found = _language(pattern)
    if found is None:
        raise Undecided
    return found


@lru_cache(maxsize=20_000)
def _language(pattern: str) -> Language | None:
    try:
        return Language(_Parser(pattern).parse())
    except Undecided:
        return None


@lru_cache(maxsize=1000)
def these_texts(texts: frozenset[str]) -> Language:
    """Exactly these texts."""
    return Language(
        _Choice(tuple(_Sequence(tuple(_One(((ord(one), ord(one)),)) for one in text)) for text in sorted(texts)))
    )


def _texts(node: _Node) -> list[str] | None:
    if isinstance(node, _One):
        size = sum(high - low + 1 for low, high in node.of)
        return [chr(code) for low, high in node.of for code in range(low, high + 1)] if size <= _MAX_TEXTS else None
    if isinstance(node, _Repeat):
        return _repeated_texts(node)
    known: list[list[str]] = []
    listed = 0
    for part in node.parts:
        texts = _texts(part)
        listed += len(texts) if texts is not None and isinstance(node, _Choice) else 0
        if texts is None or listed > _MAX_TEXTS:
            return None
        known.append(texts)
    return [text for texts in known for text in texts] if isinstance(node, _Choice) else _chained(known)


def _repeated_texts(node: _Repeat) -> list[str] | None:
    if node.most is None or node.most - node.least > _MAX_OPTIONAL:
        return None
    part = _texts(node.part)
    found = _chained([part] * node.least) if part is not None else None
    for _ in range(node.least, node.most):
        if part is None or found is None:
            return None
        longer = _chained([found, [*part, ""]])
        found = list(dict.fromkeys(longer)) if longer is not None else None
    return found


def _chained(parts: Sequence[list[str]]) -> list[str] | None:
    """Every text of the first, followed by every text of the second, and so on."""
    size = 1
    for part in parts:
        size *= len(part)
        if size > _MAX_TEXTS:
            return None
    return list(map("".join, product(*parts)))


def _example(node: _Node) -> str | None:
    if isinstance(node, _One):
        return chr(min(_readable(low, high) for low, high in node.of)[1]) if node.of else None
    if isinstance(node, _Repeat):
        part = _example(node.part) if node.least else ""
        return part * node.least if part is not None else None
    parts = [_example(part) for part in node.parts]
    if isinstance(node, _Choice):
        return min((part for part in parts if part is not None), key=len, default=None)
    return "".join(part for part in parts if part is not None) if None not in parts else None


_Beginnings = frozenset[tuple[str, bool]]  # how texts begin, and whether that is all of the text

_NO_BEGINNING: Final[_Beginnings] = frozenset({("", False)})
_MAX_BEGINNINGS: Final = 64
_MAX_COPIES: Final = 4  # of a repetition, that are looked at


def _beginnings(node: _Node) -> _Beginnings:
    if isinstance(node, _One):
        texts = _texts(node)
        if texts is None or len(texts) > _MAX_BEGINNINGS:
            return _NO_BEGINNING
        return frozenset((text, True) for text in texts)
    if isinstance(node, _Choice):
        found = frozenset().union(*map(_beginnings, node.parts))
        return found if len(found) <= _MAX_BEGINNINGS else _NO_BEGINNING
    if isinstance(node, _Sequence):
        return _in_a_row(_beginnings(part) for part in node.parts)
    part = _beginnings(node.part)
    copies = _in_a_row([part] * min(node.least, _MAX_COPIES))
    if node.least <= _MAX_COPIES and node.most == node.least:
        return copies
    if (node.least, node.most) == (0, 1):
        return part | {("", True)}
    return frozenset((text, False) for text, _ in copies)


def _in_a_row(parts: Iterable[_Beginnings]) -> _Beginnings:
    found: _Beginnings = frozenset({("", True)})
    for part in parts:
        longer = frozenset((text + more, ends) for text, whole in found if whole for more, ends in part) | frozenset(
            (text, whole) for text, whole in found if not whole
        )
        if len(longer) > _MAX_BEGINNINGS:
            return frozenset((text, False) for text, _ in found)
        found = longer
        if not any(whole for _, whole in found):
            break
    return found


# -- automata ------------------------------------------------------------------------------------------------------

_MAX_LINKS: Final = 20_000  # between states, while an automaton is built


class _Automaton:
    """Glushkov's: one state for each character of the pattern and one for the start, sets of states as bits.

    What can follow a set of states is worked out when it is first reached: a whole deterministic automaton can be
    exponentially large. (Glushkov 1961; Berry and Sethi 1986)
    """

    def __init__(self, node: _Node) -> None:
        self._states: dict[_Characters, int] = {}  # that are entered with one of these characters
        self._follow = [0]
        self._reach: dict[int, int] = {}
        self._building = Effort(_MAX_LINKS)
        nullable, first, last = self._build(node)
        self._follow[0] = first
        self.accepting = last | (1 if nullable else 0)
        # A state is entered with one set of characters, so that each edge of the set turns it on or off.
        turned = {0: 0}
        for ranges, states in self._states.items():
            for low, high in ranges:
                turned[low] = turned.get(low, 0) ^ states
                turned[high + 1] = turned.get(high + 1, 0) ^ states
        self.edges = sorted(turned)
        self._entered: list[int] = list(accumulate((turned[edge] for edge in self.edges), xor))

    def after(self, text: str, effort: Effort) -> int:
        """The states that it can be in after `text`."""
        states = 1
        for character in text:
            effort.spend(1)
            states = self.reach(states, effort) & self.entered_with(ord(character))
        return states

    def entered_with(self, code: int) -> int:
        """The states that are entered with this character."""
        return self._entered[bisect_right(self.edges, code) - 1]

    def reach(self, states: int, effort: Effort) -> int:
        """The states that can follow one of these."""
        found = self._reach.get(states)
        if found is None:
            found = 0
            rest = states
            effort.spend(rest.bit_count())
            while rest:
                lowest = rest & -rest
                found |= self._follow[lowest.bit_length() - 1]
                rest ^= lowest
            self._reach[states] = found
        return found

    def _build(self, node: _Node) -> tuple[bool, int, int]:
        """Whether it takes the empty text, the states that it can begin with, and those that it can end with."""
        if isinstance(node, _One):
            self._building.spend(len(self._follow) // 64 + 1)
            state = 1 << len(self._follow)
            self._follow.append(0)
            self._states[node.of] = self._states.get(node.of, 0) | state
            return False, state, state
        if isinstance(node, _Choice):
            built = [self._build(part) for part in node.parts]
            return (
                any(nullable for nullable, _, _ in built),
                reduce(or_, (first for _, first, _ in built), 0),
                reduce(or_, (last for _, _, last in built), 0),
            )
        if isinstance(node, _Sequence):
            sequence = True, 0, 0
            for part in node.parts:
                sequence = self._chain(sequence, self._build(part))
            return sequence
        return self._build_repeat(node)

    def _build_repeat(self, node: _Repeat) -> tuple[bool, int, int]:
        required = True, 0, 0
        for _ in range(node.least):
            required = self._chain(required, self._build(node.part))
        if node.most is None:
            _, first, last = self._build(node.part)
            self._link(last, first)
            return self._chain(required, (True, first, last))
        # x{0,3} as (x(x(x)?)?)?, from the inside: each copy can only be followed by the next.
        optional = True, 0, 0
        for _ in range(node.most - node.least):
            _, first, last = self._chain(self._build(node.part), optional)
            optional = True, first, last
        return self._chain(required, optional)

    def _chain(self, one: tuple[bool, int, int], two: tuple[bool, int, int]) -> tuple[bool, int, int]:
        self._link(one[2], two[1])
        return (
            one[0] and two[0],
            one[1] | two[1] if one[0] else one[1],
            one[2] | two[2] if two[0] else two[2],
        )

    def _link(self, last: int, first: int) -> None:
        self._building.spend(last.bit_count())
        while last:
            lowest = last & -last
            self._follow[lowest.bit_length() - 1] |= first
            last ^= lowest


# -- search --------------------------------------------------------------------------------------------------------


def find_text(
    fits: Sequence[Language], fits_not: Sequence[Language], effort: Effort, *, line_feeds: bool = True
) -> str | None:
    """A shortest text that fits all of `fits` and none of `fits_not`; None if there is provably none.

    Without `line_feeds`, none that has one. Raises Undecided when the effort is spent.
    """
    automata = [one.automaton for one in (*fits, *fits_not)]
    wanted = len(fits)
    begins = max((one.prefix for one in fits), key=len, default="")
    start = tuple(automaton.after(begins, effort) for automaton in automata)
    if not all(start[:wanted]) or ("\n" in begins and not line_feeds):
        return None
    alphabet = list(_alphabet(automata, effort, line_feeds=line_feeds))
    came_from: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {}
    seen = {start}
    waiting = deque([start])
    while waiting:
        states = waiting.popleft()
        if all(
            (states[index] & automaton.accepting != 0) is (index < wanted) for index, automaton in enumerate(automata)
        ):
            return begins + _spelled(states, start, came_from)
        reached = [automaton.reach(state, effort) for automaton, state in zip(automata, states, strict=True)]
        effort.spend(len(alphabet) * len(automata))
        for code, entered in alphabet:
            if wanted and not reached[0] & entered[0]:
                continue
            following = tuple([one & other for one, other in zip(reached, entered, strict=True)])
            if following not in seen and all(following[:wanted]):
                seen.add(following)
                came_from[following] = states, code
                waiting.append(following)
    return None


def _alphabet(
    automata: Sequence[_Automaton], effort: Effort, *, line_feeds: bool
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """One character for all that the automata cannot tell apart, the most readable one, and what is entered with it."""
    edges = sorted({_LINE_FEED, _LINE_FEED + 1, _SURROGATES[0], _SURROGATES[1] + 1}.union(*(a.edges for a in automata)))
    effort.spend(len(edges) * len(automata))
    found: dict[tuple[int, ...], tuple[int, int]] = {}
    for low, following in zip(edges, [*edges[1:], _LAST_CHARACTER + 1], strict=True):
        if low == _SURROGATES[0] or low > _LAST_CHARACTER or (low == _LINE_FEED and not line_feeds):
            continue
        entered = tuple([automaton.entered_with(low) for automaton in automata])
        readable = _readable(low, following - 1)
        if entered not in found or readable < found[entered]:
            found[entered] = readable
    for entered, (_, code) in sorted(found.items(), key=lambda item: item[1]):
        yield code, entered


_READABLE: Final = (("a", "z"), ("0", "9"), ("A", "Z"), ("-", "/"), ("!", "~"), (" ", "\U0010ffff"))


def _readable(low: int, high: int) -> tuple[int, int]:
    """How readable the best of these characters is, the best first, and which."""
    for rank, (first, last) in enumerate(_READABLE):
        code = max(low, ord(first))
        if code <= min(high, ord(last)):
            return rank, code
    return len(_READABLE), low


def _spelled(
    states: tuple[int, ...], start: tuple[int, ...], came_from: dict[tuple[int, ...], tuple[tuple[int, ...], int]]
) -> str:
    codes = []
    while states != start:
        states, code = came_from[states]
        codes.append(code)
    return "".join(map(chr, reversed(codes)))
