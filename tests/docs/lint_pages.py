"""The pages of docs/reference/lint/ as tests read them: the defect, what lint says of it, and the right version."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.pages import DOCS, blocks, text_of

FOLDER: Final = DOCS / "reference" / "lint"
_NAMED: Final = re.compile(r"# (\S+\.yaml)\n")
_SECTION: Final = re.compile(r"^(?=[a-z_]+:)", re.MULTILINE)

Files = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One page's files, by their names."""

    code: str
    wrong: Files
    printed: list[str]  # what `router lint --format concise` says of `wrong`
    right: Files  # the files of `wrong`, mended; empty where the page has no right version
    suppressed: Files  # the files of `wrong` with the comment that the page offers; empty where it offers none


def text_of_page(code: str) -> str:
    return text_of(f"docs/reference/lint/{code}.md")


def under(code: str, heading: str) -> str:
    """What stands under a heading of a page; nothing if it has no such heading."""
    _, _, rest = text_of_page(code).partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


def example_of(code: str) -> Example:
    wrong = _files(under(code, "Wrong"))
    (printed,) = blocks(under(code, "Wrong"), "text")
    changed = _files(under(code, "Right"))
    right = wrong | {name: _merged(wrong.get(name, ""), text) for name, text in changed.items()} if changed else {}
    comments = blocks(under(code, "To leave it as it is"), "yaml")
    suppressed = {name: _with_comment(text, comments[0]) for name, text in wrong.items()} if comments else {}
    assert not comments or suppressed != wrong, f"{code}: the line below the comment is in no file"
    return Example(code=code, wrong=wrong, printed=printed.splitlines(), right=right, suppressed=suppressed)


def write(files: Files, folder: Path) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def _files(text: str) -> Files:
    return {named[1]: block for block in blocks(text, "yaml") if (named := _NAMED.match(block)) is not None}


def _merged(file: str, changed: str) -> str:
    """`file` with the top-level sections of `changed` in place of its own."""
    sections = {part.partition(":")[0]: part for part in _SECTION.split(file)}
    return "".join((sections | {part.partition(":")[0]: part for part in _SECTION.split(changed)}).values())


def _with_comment(file: str, shown: str) -> str:
    """`file` with the comment above the line that the page shows below it."""
    comment, line = shown.splitlines(keepends=True)
    return file.replace(f"\n{line}", f"\n{comment}{line}", 1)
