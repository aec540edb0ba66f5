"""Whoever follows a link arrives."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, PAGES, PROJECT, anchors, links, text_of

TEST_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ELSEWHERE = ("http://", "https://", "mailto:")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    """Each relative link names a file that is there, and a heading of it that is there."""
    broken = []
    for link in links(page):
        if link.startswith(ELSEWHERE):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_found_from_the_readme() -> None:
    """No page of the documentation stands alone."""
    reached, ahead = set(), [PROJECT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        ahead.extend(
            (page.parent / link.partition("#")[0]).resolve() for link in links(page) if not link.startswith(ELSEWHERE)
        )
    assert set(DOCS.rglob("*.md")) - reached == set()


def test_every_test_that_is_named_exists() -> None:
    """The promise names the tests that show it, by names that pytest would find."""
    named = TEST_NAMED.findall(text_of("docs/explanation/promise.md"))
    assert len(named) > 20
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (PROJECT / file).is_file()
        or not re.search(rf"^(async )?def {test}\(", (PROJECT / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []
