"""Each check has its page, and each page is of one form."""

import re

import pytest

from router.lint.codes import CODES, Code
from tests.docs.lint_pages import FOLDER, text_of_page, under
from tests.docs.pages import code_in, rows, text_of

OFFLINE = [code for code in CODES.values() if code.offline]
ELSEWHERE = [code for code in CODES.values() if not code.offline]


def by_id(code: Code) -> str:
    return code.id


def test_every_code_has_its_page_and_no_other() -> None:
    """Whoever looks a code up finds it, by its name."""
    assert {page.stem for page in FOLDER.glob("OWN*.md")} == set(CODES)


def test_the_list_has_every_code() -> None:
    """The list names each check once, with its title, its severities and what it needs."""
    listed = [(row[0], *row[1:]) for row in rows(text_of("docs/reference/lint/README.md"))]
    assert listed == [
        (f"[{code.id}]({code.id}.md)", code.title, ", ".join(code.severities), code.needs) for code in CODES.values()
    ]


@pytest.mark.parametrize("code", CODES.values(), ids=by_id)
def test_a_page_begins_with_the_facts(code: Code) -> None:
    """The title is that of the check; severity and needs follow, in one line."""
    title, _, facts, *_ = text_of_page(code.id).splitlines()
    assert title == f"# {code.id}: {code.title}"
    assert facts == f"Severity: {', sometimes '.join(code.severities)}. Needs: {code.needs}."


@pytest.mark.parametrize("code", OFFLINE, ids=by_id)
def test_a_page_shows_the_defect_and_its_remedy(code: Code) -> None:
    """Wrong, right, and what to do about a finding that is meant. What only informs has nothing to be put right."""
    headings = re.findall(r"^## (.+)$", text_of_page(code.id), re.MULTILINE)
    wanted = ["Wrong", "Right", "To leave it as it is"]
    assert headings == wanted or (code.id == "OWN705" and headings == [wanted[0], wanted[2]])
    assert under(code.id, "To leave it as it is").strip()


@pytest.mark.parametrize("code", ELSEWHERE, ids=by_id)
def test_a_page_says_what_lint_does_not_check(code: Code) -> None:
    """Nobody relies on a check that is not there."""
    assert "\n`router lint` does not check it today.\n" in text_of_page(code.id)
    assert under(code.id, "What to look at by hand").strip()


@pytest.mark.parametrize("code", CODES.values(), ids=by_id)
def test_a_suppression_names_its_page(code: Code) -> None:
    """A comment to paste suppresses this very check, with a reason."""
    for comment in re.findall(r"^ *# own: .*$", text_of_page(code.id), re.MULTILINE):
        assert re.fullmatch(rf" *# own: ignore\[{code.id}\] \w.+", comment)


def test_the_map_page_leads_to_the_checks() -> None:
    """What is refused when a map is loaded is listed there with links to the pages."""
    table = rows(text_of("docs/reference/ownership-map.md").partition("## What is refused")[2])
    named = [re.findall(r"\[(OWN\d+)\]\(lint/(OWN\d+)\.md\)", row[0]) for row in table]
    assert all(pairs and all(code == page for code, page in pairs) for pairs in named)
    assert code_in("".join(row[0] for row in table)) == []
