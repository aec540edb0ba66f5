"""Maps with the places of their defects marked: § where a finding must point, ¤ where its related place must."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from router.core.findings import Finding
from router.ownership_file import Parts, parts_of, read_map

TODAY = date(2026, 11, 22)

# `teams` is last, so that what follows may be further teams.
ROOT = """\
version: 1
defaults: {timezone: UTC}
fallback: {channel: {name: f, id: C0FFFFFFFF}, mention: "@duty"}
teams:
  a: {channel: {name: a, id: C0AAAAAAAA}, mention: "@a", lead: {slack: U0LEAD0001}, runbook: https://runbooks.example/a}
  b: {channel: {name: b, id: C0BBBBBBBB}, mention: "@b", lead: {slack: U0LEAD0001}, parent: a}
  gone: {dissolved: 2026-03-31, successor: a, aliases: [old]}
"""

Check = Callable[[Parts, date], Iterator[Finding]]


def found(check: Check, text: str, *, today: date = TODAY, **files: str) -> list[Finding]:
    """What `check` says of the map `text` and of the files beside it, by name without .yaml."""
    with TemporaryDirectory() as directory:
        for name, written in {"ownership": text, **files}.items():
            unmarked = written.replace("§", "").replace("¤", "")
            (Path(directory) / f"{name}.yaml").write_text(unmarked, encoding="utf-8")
        return list(check(parts_of(read_map(Path(directory) / "ownership.yaml").documents), today))


def told(check: Check, text: str, *, today: date = TODAY, **files: str) -> list[str]:
    """The findings of `check` in short: file:line:column code severity, and ~file:line:column of each related place."""
    return sorted(
        " ".join(
            [
                f"{Path(finding.file).stem}:{finding.line}:{finding.column} {finding.code} {finding.severity}",
                *(f"~{Path(other.file).stem}:{other.line}:{other.column}" for other in finding.related),
            ]
        )
        for finding in found(check, text, today=today, **files)
    )


def at_marks(codes: str, text: str, **files: str) -> list[str]:
    """`codes`, such as "OWN102 warning, OWN113 error ~", each at the next mark, as `told` tells them."""
    places = [place for name, written in {"ownership": text, **files}.items() for place in _marks(name, written)]
    findings = iter([place for sign, place in places if sign == "§"])
    related = iter([place for sign, place in places if sign == "¤"])
    expected = []
    for code in filter(None, codes.split(", ")):
        words = [f"~{next(related)}" if word == "~" else word for word in code.split()]
        expected.append(" ".join([next(findings), *words]))
    assert [*findings, *related] == [], "a mark without a code"
    return sorted(expected)


def _marks(name: str, text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        before = 0
        for column, sign in enumerate(line, start=1):
            if sign in "§¤":
                yield sign, f"{name}:{number}:{column - before}"
                before += 1
