"""Matchers of a configuration file as Alertmanager reads them: by its classic parser first.

Since 0.27 it reads them with both of its parsers. Where they disagree, and where only the classic one understands, the
classic one counts (alertmanager matcher/compat: FallbackMatchersParser). The map itself takes the newer syntax only.
"""

import re
from collections.abc import Iterator
from typing import Final

from router.core.errors import MatcherInvalid
from router.core.matchers import Matcher, Operator, parse_matchers

_MATCHER: Final = re.compile(r"\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|=|!=|!~)\s*(.*?)\s*", re.DOTALL)


def configured_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of one string of `matchers:`. Raises MatcherInvalid where neither parser understands it."""
    try:
        return tuple(_classic(part) for part in _parts(text))
    except MatcherInvalid:
        return parse_matchers(text)


def _parts(text: str) -> Iterator[str]:
    """`text` without its braces, cut at the commas outside of quotes (alertmanager pkg/labels: ParseMatchers)."""
    text = text.removeprefix("{").removesuffix("}")
    start, quoted, escaped = 0, False, False
    for position, character in enumerate(text):
        if character == "," and not quoted:
            yield text[start:position]
            start = position + 1
        elif character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
    if text[start:].strip():
        yield text[start:]


def _classic(text: str) -> Matcher:
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise MatcherInvalid(f"bad matcher format: {text}")
    return Matcher.of(found[1], Operator(found[2]), _unescaped(found[3]))


def _unescaped(raw: str) -> str:
    """A value in quotes or not, in which a backslash that escapes nothing stands for itself (ParseMatcher)."""
    quoted = raw.startswith('"')
    inner = raw[1:] if quoted else raw
    if quoted and not _ends_quoted(inner):
        raise MatcherInvalid(f"matcher value contains unescaped double quote: {raw}")
    inner = inner[:-1] if quoted else inner
    if re.search(r'(?<!\\)(?:\\\\)*"', inner):
        raise MatcherInvalid(f"matcher value contains unescaped double quote: {raw}")
    return re.sub(r'\\(["\\n])', lambda escape: "\n" if escape[1] == "n" else escape[1], inner)


def _ends_quoted(inner: str) -> bool:
    backslashes = len(inner[:-1]) - len(inner[:-1].rstrip("\\"))
    return inner.endswith('"') and backslashes % 2 == 0
