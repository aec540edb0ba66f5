"""Checks for what does not belong into a file that everybody reads: secrets, and people's e-mail addresses."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import date
from typing import Final

from router.core.findings import Finding
from router.core.quoting import SECRET
from router.lint.codes import WARNING
from router.ownership_file.document import Document, Path, Span
from router.ownership_file.parts import Parts

_REVOKE: Final = "take it out, and revoke it: whoever can read the file, or its history, has it"
# user:$PASSWORD says where a password comes from.
_VARIABLE: Final = re.compile(r"[^:]*:\$(?:\w+|\{\w+\})")
# Possessive, and from a boundary on: a word of a million letters costs no more than its length. Not git@host:path.
_ADDRESS: Final = re.compile(
    r"(?<![\w.%+-])(?P<who>[\w.%+-]++)@(?:[\w-]++\.)+[a-z]{2,}+(?![\w-]|:\S|/)", re.ASCII | re.IGNORECASE
)
# Mailboxes of many people: those of RFC 2142, and those that teams have.
# fmt: off
_SHARED: Final = frozenset([
    "abuse", "admin", "admins", "alert", "alerts", "all", "call", "contact", "devops", "duty",
    "group", "help", "helpdesk", "hostmaster", "info", "list", "marketing", "noc", "noreply", "oncall",
    "operations", "ops", "postmaster", "sales", "security", "sre", "support", "team", "teams", "webmaster",
])
# fmt: on


def check(parts: Parts, today: date) -> Iterator[Finding]:
    teams = [words for name in parts.team_ids if (words := _words(name))]
    for document in parts.documents:
        yield from _secrets(document)
        yield from _addresses(document, teams)


# -- secrets -------------------------------------------------------------------------------------------------------


def _secrets(document: Document) -> Iterator[Finding]:
    """At the value or key; elsewhere, as in a comment or in a file that is not YAML, at the secret itself."""
    told = {(finding.line, finding.column) for finding in document.findings if finding.code == "OWN801"}
    written = [(path, is_key, text) for path, is_key, text in _texts(document.value) if _secrets_in(text)]
    known = {text[start:end] for _, _, text in written for start, end in _secrets_in(text)}
    places = (document.key(path) if is_key else document.value_at(path) for path, is_key, _ in written)
    spans = sorted(places, key=lambda span: span[:2])
    elsewhere = [
        Span(number, start + 1, end + 1)
        for number, line in enumerate(document.lines, start=1)
        for start, end in _secrets_in(line)
        if line[start:end] not in known and not _within(spans, number, start + 1)
    ]
    for span in (*spans, *elsewhere):
        if span[:2] not in told:
            yield document.finding("OWN801", "a secret", span, help=_REVOKE)


def _within(spans: list[Span], line: int, column: int) -> bool:
    """Whether one of `spans`, which are in order, holds this place."""
    index = bisect_right(spans, (line, column), key=lambda span: span[:2]) - 1
    return index >= 0 and spans[index].line == line and column < (spans[index].end_column or 0)


def _secrets_in(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in SECRET.finditer(text) if not _VARIABLE.fullmatch(match[0])]


def _texts(value: object, path: Path = ()) -> Iterator[tuple[Path, bool, str]]:
    """Every text, with its path and whether it is the key there."""
    if isinstance(value, str):
        yield path, False, value
    elif isinstance(value, dict):
        for key, below in value.items():
            yield (*path, key), True, key
            yield from _texts(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _texts(below, (*path, index))


# -- addresses -----------------------------------------------------------------------------------------------------


def _addresses(document: Document, teams: list[set[str]]) -> Iterator[Finding]:
    told = {(finding.line, finding.column) for finding in document.findings}
    for path, is_key, text in _texts(document.value):
        # A command's user@host is where somebody logs in.
        if is_key or "@" not in text or path[-1:] == ("how",) or not _names_a_person(text, teams):
            continue
        span = document.value_at(path)
        if span[:2] not in told:
            message = "somebody's e-mail address: people move, and everybody can read it here"
            yield document.finding("OWN801", message, span, severity=WARNING, help="name a team, or its mailbox")


def _names_a_person(text: str, teams: list[set[str]]) -> bool:
    return any(
        not _is_shared(match["who"], teams)
        for word in text.split()
        if "://" not in word
        for match in _ADDRESS.finditer(word)
    )


def _is_shared(mailbox: str, teams: list[set[str]]) -> bool:
    words = _words(mailbox)
    return not _SHARED.isdisjoint(words) or any(team <= words for team in teams)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[^\W_]+", name.lower()))
