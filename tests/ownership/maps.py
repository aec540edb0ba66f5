"""Maps for the tests of this folder, written as a person writes them."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

from router.core.errors import OwnershipFileInvalid
from router.core.findings import Finding
from router.core.model import Resolution
from router.core.ownership import OwnershipMap
from router.ownership_file import load_map

TODAY = date(2026, 11, 21)

HEAD = """\
version: 1
fallback:
  channel: {name: orphans, id: C0ORPHANS1}
teams:
  payments:
    channel: {name: pay, id: C0PAYALERT}
    channels: {critical: {name: pay-critical, id: C0PAYCRITI}}
    aliases: [billing]
    runbook: https://runbooks.example.com/team/payments
  data:
    channel: {name: data, id: C0DATAALRT}
  growth:
    dissolved: 2026-03-31
    successor: payments
    aliases: [marketing]
"""


def a_map(body: str = "", *, head: str = HEAD, **files: str) -> OwnershipMap:
    """The map of `head` and `body`; `files` are further ones, by name without .yaml."""
    with TemporaryDirectory() as directory:
        root = Path(directory) / "ownership.yaml"
        root.write_text(head + dedent(body), encoding="utf-8")
        for name, text in files.items():
            (Path(directory) / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
        return load_map(root)


def findings_of(path: Path) -> list[Finding]:
    """All defects of the map at `path`; none if it loads."""
    try:
        load_map(path)
    except OwnershipFileInvalid as exc:
        return exc.findings
    return []


def ask(ownership_map: OwnershipMap, /, *annotations: dict[str, str], **labels: str) -> Resolution:
    return ownership_map.resolve(labels, *annotations, today=TODAY)
