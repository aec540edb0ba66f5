"""Regular expressions of the map: Go's RE2 in linear time, one alone or all of one label at once, and what they cost.

An expression fits a text as a whole, as Alertmanager's do. This is the only module that knows google-re2.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final

import re2

from router.core.errors import MatcherInvalid
from router.core.memory import remembered

_OPTIONS: Final = re2.Options()
_OPTIONS.log_errors = False  # it would write to stderr by itself
_OPTIONS.never_capture = True


_ANY_BEGINNING: Final = re.compile(r"(?:\((?:\?[a-zA-Z]*:)?|\(\?[a-zA-Z]+\))*\.[*+]")


class Regex:
    """One expression. It is compiled when it is first needed: most are only ever asked as members of a RegexSet."""

    __slots__ = ("_program", "pattern", "word")

    def __init__(self, pattern: str) -> None:
        """Raises MatcherInvalid, with the code OWN207, where `pattern` is not Go's RE2."""
        _check(pattern)
        self.pattern = pattern
        self.word = _WORD_SOMEWHERE.fullmatch(pattern)
        self._program: re2._Regexp | None = None

    def fits(self, text: str) -> bool:
        program = self._compiled()
        return program is not None and program.search(_bytes(text)) is not None

    @property
    def instructions(self) -> int | None:
        """The size of its program, 0 if it needs none; None where it is more than RE2 compiles."""
        if self.word is not None:
            return 0
        program = self._compiled()
        return program.programsize if program is not None else None

    @property
    def counts(self) -> bool:
        """Whether it repeats something many times, as in `.{20}`: then very many states can follow each other."""
        return _REPETITION.search(self.pattern) is not None and (self.instructions or 0) > 8 * len(self.pattern)

    @property
    def anywhere(self) -> bool:
        """Whether it may begin with any text, as `.*x` does: then it has to be thought of at every character."""
        return _ANY_BEGINNING.match(self.pattern) is not None

    @property
    def beginning(self) -> bytes:
        """What every text that fits begins with, as far as RE2 can tell; at most 16 bytes."""
        program = self._compiled()
        try:
            lowest, highest = program.possiblematchrange(16) if program is not None else (b"", b"")
        except re2.error:  # it can tell nothing
            return b""
        return bytes(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(lowest, highest, strict=False)))

    def _compiled(self) -> "re2._Regexp | None":
        """None where RE2 says "pattern too large": it fits nothing, and no map loads that has it; see lookup_cost."""
        if self._program is None:
            try:
                self._program = re2.compile(_anchored(self.pattern), _OPTIONS)
            except re2.error:
                return None
        return self._program


_REPETITION: Final = re.compile(r"\{[0-9]")


def _anchored(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _bytes(text: str) -> bytes:
    # Bytes, because the binding spends three times as long on translating the offsets of a str. A lone surrogate,
    # which JSON can spell and UTF-8 cannot, is replaced as Go's decoder does.
    return text.encode(errors="replace")


def _check(pattern: str) -> None:
    if _has_byte_class(pattern):
        raise MatcherInvalid(r"regular expression: \C is not supported by Go's RE2", code="OWN207")
    try:
        # A set parses without compiling, in a tenth of the time; why it refuses, only the compiler says.
        re2.Set.FullMatchSet(_OPTIONS).Add(_anchored(pattern))
    except re2.error:
        _explain(pattern)
    except UnicodeEncodeError as exc:
        raise MatcherInvalid("regular expression: not UTF-8", code="OWN207") from exc


def _explain(pattern: str) -> None:
    try:
        re2.compile(_anchored(pattern), _OPTIONS)
    except re2.error as exc:
        reason = exc.args[0].decode(errors="replace") if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        reason = reason.replace(_anchored(pattern), pattern)  # people do not know our wrapping
        raise MatcherInvalid(f"regular expression: {reason}", code="OWN207") from exc


_ESCAPED_OR_LITERAL: Final = re.compile(r"\\Q.*?(?:\\E|\Z)|\\(.)", re.DOTALL)


def _has_byte_class(pattern: str) -> bool:
    r"""Whether `\C` stands in `pattern`. RE2 in C++ takes it, Go's, which is Alertmanager's, does not."""
    return any(match[1] == "C" for match in _ESCAPED_OR_LITERAL.finditer(pattern))


# -- many at once --------------------------------------------------------------------------------------------------

SET_BYTES: Final = 64 << 20  # what the automaton of one set may grow to; RE2 then begins it anew

# `.*word`, `.*word.*` and so on. An automaton that has to keep in mind which of a thousand such words it has seen takes
# a millisecond; one that looks whether there is any takes a microsecond, and Python's own search then finds which.
_WORD_SOMEWHERE: Final = re.compile(
    r"\.(?P<head>[*+])(?P<word>(?:[^\\.+*?()|\[\]{}^$\n]|\\[!-/:-@\[-`{-~])+)(?:\.(?P<tail>[*+]))?"
)


class RegexSet:
    """Expressions that are asked together. Asking a thousand costs little more than asking one."""

    def __init__(self, regexes: Iterable[Regex], *, set_bytes: int = SET_BYTES) -> None:
        self.failures = 0  # how often RE2 gave up and each expression was asked by itself
        self._words: dict[tuple[bool, bool | None], list[tuple[str, str]]] = defaultdict(list)
        self._others: list[Regex] = []
        any_word: list[str] = []
        for regex in regexes:
            if regex.word is None:
                self._others.append(regex)
            else:
                head, word, tail = regex.word.group("head", "word", "tail")
                ends = (head == "+", None if tail is None else tail == "+")
                self._words[ends].append((re.sub(r"\\(.)", r"\1", word), regex.pattern))
                any_word.append(word)
        with_any_word = [f"(?s:.*)(?:{'|'.join(any_word)})(?s:.*)"] if any_word else []
        self._ask = _set_of([*(regex.pattern for regex in self._others), *with_any_word, _ANYTHING], set_bytes)
        # The patterns that fit a text, in no order.
        self.fitting: Callable[[str], Sequence[str]] = remembered(self._fitting)

    def _fitting(self, text: str) -> Sequence[str]:
        encoded = _bytes(text)
        found = self._ask(encoded) if self._ask is not None else None
        # RE2 answers alike where nothing fits and where its automaton ran out of memory (google/re2 issue 136). So each
        # set has a last member that always fits: an answer without it is none.
        if not found:
            self.failures += 1
            alone = [regex.pattern for regex in self._others if regex.fits(text)]
            return (*alone, *self._with_word(encoded.decode()))
        others = len(self._others)
        fitting = [self._others[number].pattern for number in found if number < others]
        if self._words and others in found:
            fitting += self._with_word(encoded.decode())
        return tuple(fitting)

    def _with_word(self, text: str) -> list[str]:
        found: list[str] = []
        if "\n" in text:  # which no dot matches
            return found
        for (head, tail), words in self._words.items():
            if tail is None:
                end = text[head:]
                found += [pattern for word, pattern in words if end.endswith(word)]
            else:
                middle = text[head : len(text) - tail]
                found += [pattern for word, pattern in words if word in middle]
        return found


_ANYTHING: Final = "(?s).*"


def _set_of(patterns: Sequence[str], set_bytes: int) -> Callable[[bytes], list[int] | None] | None:
    """What answers with the numbers of those `patterns` that fit a text; None where there is not memory enough."""
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.max_mem = set_bytes
    together = re2.Set.FullMatchSet(options)
    for pattern in patterns:
        _add(together, pattern)
    try:
        together.Compile()
    except re2.error:
        return None
    ask: Callable[[bytes], list[int] | None] = together.Match
    return ask


def _add(together: "re2.Set", pattern: str) -> None:
    try:
        together.Add(pattern)
    except re2.error:  # `a)|(b`, which is whole only between the anchors
        together.Add(f"(?s:.*)(?:{_anchored(pattern)})(?s:.*)")
