"""OWN208 and OWN209: matchers that fit something else than their author thought."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from router.core.errors import MatcherInvalid
from router.core.findings import Finding
from router.core.matchers import Matcher, Operator, parse_matchers
from router.lint.claims import Claim, written_matchers
from router.lint.codes import WARNING
from router.ownership_file.document import Document, Span
from router.ownership_file.parts import Parts

# -- OWN208 --------------------------------------------------------------------------------------------------------


def misleading_patterns(parts: Parts, claims: Iterable[Claim]) -> Iterator[Finding]:
    for claim in claims:
        for matcher, span in claim.places:
            yield from _misleading(claim.document, matcher, span)
    for document in parts.documents:
        if document.file in parts.scopes:
            for matcher, span in _scope(document):
                yield from _misleading(document, matcher, span)


def _scope(document: Document) -> Iterator[tuple[Matcher, Span]]:
    scope = document.value.get("scope") if isinstance(document.value, dict) else None
    texts = scope if isinstance(scope, list) else []
    return written_matchers(document, ("scope",), [parse_matchers(text) for text in texts])


_OPERATORS: Final = ("=~", "!~", "!=", "=")


def _literal(document: Document, matcher: Matcher, span: Span) -> Iterator[Finding]:
    """A value that was meant as a pattern: `{env: "=~prod-.*"}`, `{host: "*.corp"}`."""
    value = next((value for value in matcher.values if value.startswith(_OPERATORS) or "*" in value), None)
    if value is None:
        return
    operator = next((operator for operator in _OPERATORS if value.startswith(operator)), None)
    if operator is not None:
        what, better = f"it asks for a value that begins with {operator}", f'{operator}"{value[len(operator) :]}"'
    else:
        what, better = "here * stands for itself", f'=~"{re.sub(r"[*]+", ".*", value.replace(".", chr(92) * 2 + "."))}"'
    yield document.finding(
        "OWN208", f"{matcher}: {what}", span, severity=WARNING, help=f"write ['{matcher.name}{better}']"
    )


def _misleading(document: Document, matcher: Matcher, span: Span) -> Iterator[Finding]:
    if matcher.operator is Operator.EQUAL:
        yield from _literal(document, matcher, span)
    if matcher.operator not in (Operator.MATCHES, Operator.NOT_MATCHES):
        return
    reading = _read(matcher.values[0], matcher.name)
    if reading is None or not reading.problems:
        return
    yield document.finding(
        "OWN208",
        f"{matcher}: {'; '.join(reading.problems)}",
        span,
        severity=WARNING,
        help=_better(matcher, reading),
    )


def _better(matcher: Matcher, reading: "_Reading") -> str:
    if reading.pattern == matcher.values[0]:
        return "name the values, or keep the end that is fixed"
    try:
        return f"write {Matcher.of(matcher.name, matcher.operator, reading.pattern)}"
    except MatcherInvalid:
        return "say which values are meant"


class _Reading(NamedTuple):
    """What is wrong with a pattern, and how to write it instead."""

    problems: list[str]
    pattern: str


_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{[0-9,]+\}\??|[*+?]\??|.", re.DOTALL)
_Branch = list[str]  # the tokens between two bars that stand in no group


def _read(pattern: str, label: str) -> _Reading | None:
    """None for what changes the meaning of all that follows: flags, and quotation with \\Q."""
    if re.search(r"\(\?[^:]|\\Q", pattern):
        return None
    branches = _branches(_TOKEN.findall(pattern))
    problems = []

    inner = [_without_anchors(branch) for branch in branches]
    if inner != branches:
        problems.append("a regular expression fits whole values, ^ and $ add nothing")
    if len(inner) > 1 and [] in inner:
        problems.append(f'the empty alternative fits what has no "{label}"')
        inner = [branch for branch in inner if branch]
    dotted = [_with_dots_escaped(branch) for branch in inner]
    if dotted != inner:
        hosts = next(name for branch in inner for name in _host_names(branch))
        problems.append(f'a dot in "{hosts}" fits any character')
    if any(_contains(branch) for branch in dotted):
        problems.append('".*" at both ends fits whatever contains the rest')
    return _Reading(problems, "|".join("".join(branch) for branch in dotted))


def _branches(tokens: list[str]) -> list[_Branch]:
    branches: list[_Branch] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if (token, depth) == ("|", 0):
            branches.append([])
        else:
            branches[-1].append(token)
    return branches


def _without_anchors(branch: _Branch) -> _Branch:
    if branch == ["^", "$"]:  # somebody says: or empty
        return branch
    branch = branch[1:] if branch[:1] == ["^"] else branch
    return branch[:-1] if branch[-1:] == ["$"] else branch


def _contains(branch: _Branch) -> bool:
    return len(branch) > 4 and branch[:2] == [".", "*"] and branch[-2:] == [".", "*"]


# -- dots in names of hosts ----------------------------------------------------------------------------------------

_QUANTIFIER: Final = re.compile(r"[*+?{]")
_LETTER: Final = re.compile(r"[\w-]")
# After one dot only these make a name of a host: `Kube.Pod` may well ask for any character.
_TOP_LEVEL: Final = frozenset(["com", "net", "org", "io", "dev", "local", "internal", "lan", "corp", "example", "jp"])


class _Name(NamedTuple):
    """A run of letters and dots in a branch."""

    start: int
    tokens: list[str]

    @property
    def bare_dots(self) -> list[int]:
        return [self.start + index for index, one in enumerate(self.tokens) if one == "."]

    @property
    def text(self) -> str:
        return "".join(self.tokens).replace("\\", "")

    def is_host(self, following: str) -> bool:
        words = self.text.split(".")
        if "" in words[1:-1] or not any(words):
            return False
        return len(words) > 2 or (words[-1] in _TOP_LEVEL and following in ("", "|", ")", ":", "$"))


def _with_dots_escaped(branch: _Branch) -> _Branch:
    escaped = list(branch)
    for name in _names_of_hosts(branch):
        for index in name.bare_dots:
            escaped[index] = r"\."
    return escaped


def _host_names(branch: _Branch) -> Iterator[str]:
    return (name.text for name in _names_of_hosts(branch))


def _names_of_hosts(branch: _Branch) -> Iterator[_Name]:
    for name in _names(branch):
        following = branch[name.start + len(name.tokens) :]
        if name.bare_dots and name.is_host(following[0] if following else ""):
            yield name


def _names(branch: _Branch) -> Iterator[_Name]:
    start = 0
    for index in range(len(branch) + 1):
        if index < len(branch) and _in_name(branch, index):
            continue
        if index > start:
            yield _Name(start, branch[start:index])
        start = index + 1


def _in_name(branch: _Branch, index: int) -> bool:
    """Whether the token is one letter or dot of a name: not one that is repeated."""
    repeated = index + 1 < len(branch) and _QUANTIFIER.match(branch[index + 1]) is not None
    return not repeated and (branch[index] in (".", r"\.") or _LETTER.fullmatch(branch[index]) is not None)


# -- OWN209 --------------------------------------------------------------------------------------------------------


def open_to_missing_labels(claims: Iterable[Claim]) -> Iterator[Finding]:
    """Where no matcher asks for something to be there, an entry takes what everybody else forgot to name.

    Beside a matcher that does, `env!="dev"` is how everybody writes an exception; and `team=""` says what it means.
    """
    for claim in claims:
        if any(matcher.operator is Operator.EQUAL or not matcher.matches({}) for matcher in claim.matchers):
            continue
        for matcher, span in claim.places:
            if matcher.operator is not Operator.MATCHES or matcher.alternatives is None:
                yield _open_to_missing_label(claim, matcher, span)


def _open_to_missing_label(claim: Claim, matcher: Matcher, span: Span) -> Finding:
    present = Matcher.of(matcher.name, Operator.MATCHES, ".+")
    return claim.document.finding(
        "OWN209",
        f'{matcher} also fits alerts without "{matcher.name}", and nothing else says what {claim.called} is about',
        span,
        severity=WARNING,
        help=f"name the values that are meant, or add {present}",
    )
