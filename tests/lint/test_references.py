"""Where the map names teams: dissolved ones (OWN102), idle ones (OWN105), those of another file (OWN132)."""

import pytest

from router.lint import references
from tests.lint.marked_maps import ROOT, at_marks, found, told

TEAM = "{channel: {name: c, id: C0CCCCCCCC}"
# Everybody owns something, so that only what a test is about is told.
BUSY = ROOT + "namespaces: {x: a, y: b}\n"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("services:\n  s: {owner: §gone}\n", id="service"),
        pytest.param("services:\n  s: {owner: §old}\n", id="by its alias"),
        pytest.param("services:\n  s: {owner: a, also_notify: [b, §gone]}\n", id="also_notify"),
        pytest.param("jobs:\n  j:\n    owner: §gone\n", id="job"),
        pytest.param("jobs:\n  j: {owner: a, rerun: {safety: safe, ask: §gone}}\n", id="ask"),
        pytest.param("rules:\n  - {id: r, match: {a: b}, owner: §gone}\n", id="rule"),
        pytest.param(
            "overrides:\n  - {id: o, match: {a: b}, owner: §gone, expires: 2026-12-01, reason: x}\n", id="override"
        ),
    ],
)
def test_a_dissolved_team_is_told_where_it_is_named(body: str) -> None:
    """Whatever names it, the place is its name, and the remedy the team that succeeded it."""
    assert told(references.check, BUSY + body) == at_marks("OWN102 warning", BUSY + body)
    (finding,) = found(references.check, BUSY + body)
    assert finding.help == 'write "a"'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(BUSY.replace("y: b", "y: §gone, z: b"), id="namespace"),
        pytest.param(BUSY.replace("parent: a", "parent: §gone"), id="parent"),
        pytest.param(BUSY.replace("UTC}", "UTC, rerun: {safety: unknown, ask: §gone}}"), id="ask of the defaults"),
        pytest.param(BUSY.replace("UTC}", "UTC, escalate: {then: [lead, §gone]}}"), id="escalation of the defaults"),
        pytest.param(BUSY + "severities: {high: {escalate: {then: [§gone, fallback]}}}\n", id="escalation of a level"),
        pytest.param(BUSY.replace("parent: a", "escalate: {then: [§old, fallback]}"), id="escalation of a team"),
    ],
)
def test_a_dissolved_team_is_told_in_the_head_too(text: str) -> None:
    """Namespaces, parents, who is asked by default, and escalations."""
    assert told(references.check, text) == at_marks("OWN102 warning", text)


def test_successors_of_successors() -> None:
    """The remedy is the team that is there today; without one there is no remedy."""
    chain = BUSY + "services: {s: {owner: gone}}\n"
    chain = chain.replace("successor: a, ", "successor: later, ").replace(
        "  gone:", "  later: {dissolved: 2026-05-31, successor: b}\n  gone:"
    )
    (finding,) = found(references.check, chain)
    assert finding.help == 'write "b"'
    circle = chain.replace("successor: b", "successor: gone")
    assert [finding.help for finding in found(references.check, circle)] == [None]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("services:\n  s: {owner: a, aliases: [gone]}\n", id="a service called so"),
        pytest.param("rules:\n  - {id: gone, match: {team: gone}, owner: a}\n", id="its labels"),
        pytest.param("services:\n  s: {owner: nobody-known}\n", id="an unknown team is the loader's"),
    ],
)
def test_what_is_no_use_of_a_dissolved_team(body: str) -> None:
    """Its name elsewhere, its own parent and its successor are of no harm."""
    assert told(references.check, BUSY + body) == []


def test_a_tombstone_may_name_a_tombstone() -> None:
    """What a dissolved team says of itself is history."""
    text = BUSY.replace("  gone:", "  past: {dissolved: 2026-05-31, successor: gone, parent: gone}\n  gone:")
    assert told(references.check, text) == []


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("  §c: " + TEAM + "}\nnamespaces: {x: b}\n", "OWN105 info", id="idle"),
        pytest.param(
            "  §c: " + TEAM + "}\nservices: {s: {owner: b, also_notify: [c]}}\n", "OWN105 info", id="only informed"
        ),
        pytest.param("  c: " + TEAM + "}\nservices: {s: {owner: b}, t: {owner: c}}\n", "", id="a service"),
        pytest.param("  c: " + TEAM + ", aliases: [see]}\njobs: {j: {owner: see}, k: {owner: b}}\n", "", id="an alias"),
        pytest.param("  c: " + TEAM + "}\n  d: " + TEAM + ", parent: c}\nnamespaces: {x: d, y: b}\n", "", id="parent"),
    ],
)
def test_idle_teams(body: str, codes: str) -> None:
    """A team without entry and child is told at its key; `a` is a parent, and the tombstone owns nothing by right."""
    assert told(references.check, ROOT + body) == at_marks(codes, ROOT + body)


def test_a_successor_owns_what_its_predecessor_does() -> None:
    """Its alerts go to it."""
    text = BUSY.replace("x: a", "x: gone").replace("parent: a", "parent: b")
    assert [finding.code for finding in found(references.check, text)] == ["OWN102"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("services: {s: {onwer: c}}\n", id="a misspelt owner"),
        pytest.param("servces: {s: {owner: c}}\n", id="a misspelt section"),
        pytest.param("namespaces: {x: b, y: c, y: b}\n", id="of two of one key only one is read"),
    ],
)
def test_nothing_is_idle_in_a_broken_map(body: str) -> None:
    """What cannot be read may be what the team owns."""
    assert told(references.check, ROOT + "  c: " + TEAM + "}\n" + body) == []


# -- handed over ---------------------------------------------------------------------------------------------------

INCLUDING = "include: ['team_*.yaml']\n" + BUSY
SHOP = "teams:\n  ¤shop: {channel: {name: s, id: C0SSSSSSSS}}\nservices:\n  cart: {owner: shop}\n"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("services:\n  s: {owner: §shop}\n", id="service"),
        pytest.param("jobs:\n  j: {owner: §shop}\n", id="job"),
        pytest.param("rules:\n  - {id: r, match: {a: b}, owner: §shop}\n", id="rule"),
        pytest.param("namespaces: {z: §shop}\n", id="namespace"),
    ],
)
def test_an_entry_of_another_files_team(other: str) -> None:
    """It is told where the team is named; the other place is the team."""
    expected = at_marks("OWN132 warning ~", INCLUDING, team_other=other, team_shop=SHOP)
    assert told(references.check, INCLUDING, team_other=other, team_shop=SHOP) == expected


@pytest.mark.parametrize(
    ("root", "other"),
    [
        pytest.param("", "services:\n  s: {owner: a}\n", id="a team of the root"),
        pytest.param("services:\n  s: {owner: shop}\n", "", id="an entry of the root"),
        pytest.param("", "services:\n  s: {owner: a, also_notify: [shop]}\n", id="for information"),
        pytest.param("", "jobs:\n  j: {owner: a, rerun: {safety: safe, ask: shop}}\n", id="who is asked"),
    ],
)
def test_what_is_no_handover(root: str, other: str) -> None:
    """The root file is everybody's, and a duty is only what is owned."""
    assert told(references.check, INCLUDING + root, team_other=other, team_shop=SHOP) == []
