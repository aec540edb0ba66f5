"""The project's pages as tests read them: their text, code blocks, tables, headings and links."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).parents[2]
DOCS: Final = PROJECT / "docs"
PAGES: Final = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])

_FENCED: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"`([^`]+)`")


def text_of(page: str) -> str:
    """The page's Markdown; `page` is its path from the project's root."""
    return (PROJECT / page).read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    level = heading.split(" ", 1)[0]
    _, _, rest = text_of(page).partition(f"\n{heading}\n")
    assert rest, f"{page} has no heading {heading!r}"
    outside = _FENCED.sub(lambda fenced: " " * len(fenced[0]), rest)  # in code, `# ` begins a comment
    following = re.search(rf"^#{{1,{len(level)}}} ", outside, flags=re.MULTILINE)
    return rest if following is None else rest[: following.start()]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of that language, without their indentation."""
    return [
        "".join(line.removeprefix(indent) for line in code.splitlines(keepends=True))
        for indent, named, code in _FENCED.findall(text)
        if named == language
    ]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row below a table's head."""
    lines = [line.strip() for line in text.splitlines() if line.lstrip().startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    heads = {number - 1 for number, row in enumerate(cells) if set("".join(row)) <= set("-: ")}
    return [row for number, row in enumerate(cells) if number not in heads and number - 1 not in heads]


def code_in(text: str) -> list[str]:
    """What stands between back-ticks."""
    return _CODE.findall(text)


def links(page: Path) -> list[str]:
    """Where the page's links and pictures lead, as written; not those inside code."""
    prose = _CODE.sub("", _FENCED.sub("", page.read_text(encoding="utf-8")))
    return _LINK.findall(prose)


def anchors(page: Path) -> set[str]:
    """The fragments that GitHub gives the page's headings."""
    prose = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return set(_slugs(re.findall(r"^#+ (.+)$", prose, re.MULTILINE)))


def _slugs(headings: list[str]) -> Iterator[str]:
    for heading in headings:
        shown = _LINK.sub(lambda link: link.group(0)[1:].partition("]")[0], heading)
        yield re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
