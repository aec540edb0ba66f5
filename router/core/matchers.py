"""Alertmanager's matchers: parse, match, print.

The UTF-8 parser only (alertmanager matcher/parse, since 0.27), without its fallback to the classic one: a matcher that
means two things in two parsers is refused. A label that is missing is an empty label (alertmanager pkg/labels).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from router.core.errors import MatcherInvalid
from router.core.regexes import Regex


class Operator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    MATCHES = "=~"
    NOT_MATCHES = "!~"


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. An equality may name several values, of which one must fit."""

    name: str
    operator: Operator
    values: tuple[str, ...]
    # What decides: a set of values where they can be listed, else an expression. If negative, what must not fit.
    listed: frozenset[str] | None = field(init=False, repr=False, compare=False)
    regex: Regex | None = field(init=False, repr=False, compare=False)
    negative: bool = field(init=False, repr=False, compare=False)
    _text: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        listed = _listed(self.operator, self.values)
        object.__setattr__(self, "listed", listed)
        object.__setattr__(self, "regex", Regex(self.values[0]) if listed is None else None)
        object.__setattr__(self, "negative", self.operator in (Operator.NOT_EQUAL, Operator.NOT_MATCHES))
        object.__setattr__(self, "_text", _printed(self.name, self.operator, self.values))

    @classmethod
    def of(cls, name: str, operator: Operator, value: str) -> Self:
        return cls(name, operator, (value,))

    @classmethod
    def one_of(cls, name: str, values: Iterable[str]) -> Self:
        return cls(name, Operator.EQUAL, tuple(values))

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name, "")
        fits = self.regex.fits(value) if self.regex is not None else value in (self.listed or ())
        return fits is not self.negative

    @property
    def alternatives(self) -> frozenset[str] | None:
        """The only values that fit, where they can be listed."""
        return None if self.negative else self.listed

    def __str__(self) -> str:
        """As Alertmanager prints it, so that its parser reads the same matcher again."""
        return self._text


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers that `text` holds: none, one or several, in braces or not.

    Raises MatcherInvalid with Alertmanager's words; OWN207 where a regular expression is not Go's RE2.
    """
    if len(text) > LONGEST:
        raise MatcherInvalid(f"longer than {LONGEST:,} characters")
    return _Parser(text).parse()


# A file may hold a string of a million matchers, which would take a quarter of a minute to read.
LONGEST: Final = 100_000


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    for matcher in matchers:  # noqa: SIM110  (a generator costs more than most of the conditions)
        if not matcher.matches(labels):
            return False
    return True


# A pattern that is only words and bars, as four of five are in real trees, is a set. Bars may leave an empty word.
_ONLY_LITERALS: Final = re.compile(r"[\w /:@%&,;<>~='\"#!-]*(?:\|[\w /:@%&,;<>~='\"#!-]*)*")
_REGEX_METACHARACTER: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def _listed(operator: Operator, values: tuple[str, ...]) -> frozenset[str] | None:
    if operator in (Operator.EQUAL, Operator.NOT_EQUAL):
        return frozenset(values)
    (pattern,) = values
    return frozenset(pattern.split("|")) if _ONLY_LITERALS.fullmatch(pattern) else None


# -- grammar -------------------------------------------------------------------------------------------------------

_RESERVED: Final = frozenset("{}!=~,\\\"'`")
# Go's unicode.IsSpace; str.isspace() would also take the separators U+001C to U+001F.
_SPACE: Final = frozenset("\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000") | frozenset(
    map(chr, range(0x2000, 0x200B))
)


def _is_reserved(character: str) -> bool:
    return character in _RESERVED or character in _SPACE


class _Kind(StrEnum):
    END = "end of input"
    OPEN = "{"
    CLOSE = "}"
    COMMA = ","
    OPERATOR = "operator"
    WORD = "word"
    QUOTED = "quoted"


@dataclass(frozen=True, slots=True)
class _Token:
    kind: _Kind
    text: str
    start: int


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._peeked: _Token | None = None

    def parse(self) -> tuple[Matcher, ...]:
        first = self._peek()
        if first.kind is _Kind.END:
            return ()
        braced = first.kind is _Kind.OPEN
        if braced:
            self._next()
        matchers = []
        if not (self._peek().kind is _Kind.CLOSE or (braced and self._peek().kind is _Kind.END)):
            matchers.append(self._matcher())
            while self._another():
                matchers.append(self._matcher())
        self._close(braced=braced)
        return tuple(matchers)

    def _matcher(self) -> Matcher:
        name = self._expect("expected label name", _Kind.WORD, _Kind.QUOTED)
        label = _unquoted(name)
        operator = self._expect("expected an operator such as '=', '!=', '=~' or '!~'", _Kind.OPERATOR)
        value = self._expect("expected label value", _Kind.WORD, _Kind.QUOTED)
        try:
            return Matcher.of(label, Operator(operator.text), _unquoted(value))
        except MatcherInvalid as exc:
            raise MatcherInvalid(str(exc), position=value.start, code=exc.code) from exc

    def _another(self) -> bool:
        """Whether a matcher follows; takes the comma. A comma may stand before the end."""
        if self._peek("expected a comma or close brace").kind in (_Kind.END, _Kind.CLOSE):
            return False
        self._expect("expected a comma or close brace", _Kind.COMMA)
        if self._peek("expected a matcher or close brace after comma").kind in (_Kind.END, _Kind.CLOSE):
            return False
        if self._peek().kind in (_Kind.WORD, _Kind.QUOTED):
            return True
        raise _unexpected(self._peek(), "expected a matcher or close brace after comma")

    def _close(self, *, braced: bool) -> None:
        token = self._peek()
        if braced:
            self._expect("expected close brace", _Kind.CLOSE)
        elif token.kind is _Kind.CLOSE:
            raise MatcherInvalid("}: expected opening brace", position=token.start)
        rest = self._peek()
        if rest.kind is not _Kind.END:
            raise MatcherInvalid(f"{rest.text}: expected end of input", position=rest.start)

    def _expect(self, wanted: str, *kinds: _Kind) -> _Token:
        token = self._peek(wanted)
        if token.kind not in kinds:
            raise _unexpected(token, wanted)
        return self._next()

    def _peek(self, wanted: str = "") -> _Token:
        if self._peeked is None:
            try:
                self._peeked = self._scan()
            except MatcherInvalid as exc:
                raise MatcherInvalid(f"{exc}: {wanted}" if wanted else str(exc), position=exc.position) from exc
        return self._peeked

    def _next(self) -> _Token:
        token = self._peek()
        self._peeked = None
        return token

    def _scan(self) -> _Token:
        text = self._text
        while self._position < len(text) and text[self._position] in _SPACE:
            self._position += 1
        start = self._position
        if start == len(text):
            return _Token(_Kind.END, "end of input", start)
        character = text[start]
        if character in "{},":
            return self._token(_Kind(character), start, start + 1)
        if character in "=!":
            return self._scan_operator(start)
        if character == '"':
            return self._scan_quoted(start)
        end = start
        while end < len(text) and not _is_reserved(text[end]):
            end += 1
        if end == start:
            raise MatcherInvalid(f"{character}: invalid input", position=start)
        return self._token(_Kind.WORD, start, end)

    def _scan_operator(self, start: int) -> _Token:
        following = self._text[start + 1 : start + 2]
        if self._text[start] == "=":
            return self._token(_Kind.OPERATOR, start, start + 2 if following == "~" else start + 1)
        if following == "":
            raise MatcherInvalid("unexpected end of input, expected one of '=~'", position=start)
        if following not in "=~":
            raise MatcherInvalid(f"{following}: expected one of '=~'", position=start + 1)
        return self._token(_Kind.OPERATOR, start, start + 2)

    def _scan_quoted(self, start: int) -> _Token:
        end = start + 1
        while end < len(self._text) and self._text[end] != '"':
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise MatcherInvalid(f'{self._text[start:]}: missing end "', position=start)
        return self._token(_Kind.QUOTED, start, end + 1)

    def _token(self, kind: _Kind, start: int, end: int) -> _Token:
        self._position = end
        return _Token(kind, self._text[start:end], start)


def _unexpected(token: _Token, wanted: str) -> MatcherInvalid:
    what = token.text if token.kind is _Kind.END else f"unexpected {token.text}"
    return MatcherInvalid(f"{what}: {wanted}", position=token.start)


# -- Go's double-quoted strings ------------------------------------------------------------------------------------

_SIMPLE_ESCAPES: Final = {
    "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v", "\\": b"\\", '"': b'"',
}  # fmt: skip
_ESCAPE: Final = re.compile(
    r"""\\(?:(?P<simple>[abfnrtv\\"])|(?P<octal>[0-3][0-7]{2})|x(?P<byte>[0-9a-fA-F]{2})"""
    r"""|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"""
)


def _unquoted(token: _Token) -> str:
    """The text of a word, or of a string as Go's strconv.Unquote reads it; what is not UTF-8 in the end is refused."""
    if token.kind is _Kind.WORD:
        return token.text
    invalid = MatcherInvalid(f"{token.text}: invalid input", position=token.start)
    inner = token.text[1:-1]
    if "\n" in inner:
        raise invalid
    pieces: list[bytes] = []
    position = 0
    try:
        while (backslash := inner.find("\\", position)) != -1:
            pieces.append(inner[position:backslash].encode())
            escape = _ESCAPE.match(inner, backslash)
            if escape is None:
                raise invalid
            pieces.append(_unescaped(escape))
            position = escape.end()
        pieces.append(inner[position:].encode())
        return b"".join(pieces).decode()
    except (UnicodeError, ValueError, OverflowError) as exc:
        raise invalid from exc


def _unescaped(escape: re.Match[str]) -> bytes:
    if escape["simple"]:
        return _SIMPLE_ESCAPES[escape["simple"]]
    if escape["octal"]:
        return bytes([int(escape["octal"], 8)])
    if escape["byte"]:
        return bytes([int(escape["byte"], 16)])
    return chr(int(escape["short"] or escape["long"], 16)).encode()


def _printed(name: str, operator: Operator, values: tuple[str, ...]) -> str:
    label = _quoted(name) if not name or any(map(_is_reserved, name)) else name
    if len(values) == 1:
        return f"{label}{operator}{_quoted(values[0])}"
    pattern = "|".join(_REGEX_METACHARACTER.sub(r"\\\g<0>", value) for value in values)
    return f"{label}{Operator.MATCHES}{_quoted(pattern)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
