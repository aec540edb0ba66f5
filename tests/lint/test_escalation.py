"""Escalation chains that end nowhere or lead back (OWN503)."""

import pytest

from router.lint import escalation
from tests.lint.marked_maps import ROOT, at_marks, found, told

TEAM = "channel: {name: c, id: C0CCCCCCCC}"


def of_team(then: str, rest: str = "") -> str:
    return f"{ROOT}  c: {{{TEAM}{rest}, escalate: {{if_unacked: 2x, then: {then}}}}}\n"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(of_team("[lead, parent, fallback]"), "", id="the fallback is always there"),
        pytest.param(of_team("[a]"), "", id="another team"),
        pytest.param(of_team("[lead, parent]", ", parent: a"), "", id="a parent"),
        pytest.param(of_team("[lead]", ", lead: {slack: U0LEAD0001}"), "", id="a lead"),
        pytest.param(of_team("§[lead]", ", lead: {mail: a@b.example}"), "OWN503 error", id="a lead without an id"),
        pytest.param(of_team("§[]"), "OWN503 error", id="empty"),
        pytest.param(of_team("§[lead]"), "OWN503 error", id="a lead that there is not"),
        pytest.param(of_team("§[a, parent]"), "OWN503 error", id="a parent that there is not"),
        pytest.param(of_team("§[lead, nobody]"), "OWN503 error", id="no such team"),
        pytest.param(of_team("§[lead, c]"), "OWN503 error", id="itself"),
        pytest.param(of_team("§[c, fallback]"), "OWN503 error", id="itself, on the way"),
        pytest.param(of_team("§[see, fallback]", ", aliases: [see]"), "OWN503 error", id="itself, by an alias"),
        pytest.param(
            ROOT + "  past: {dissolved: 2026-01-01, successor: a, escalate: {then: []}}\n", "", id="of a dissolved team"
        ),
        pytest.param(ROOT + f"  c: {{{TEAM}, escalate: {{if_unacked: 2x}}}}\n", "", id="without steps"),
    ],
)
def test_the_chain_of_a_team(text: str, codes: str) -> None:
    """The last step reaches somebody, and no step is the team itself; the place is the list."""
    assert told(escalation.check, text) == at_marks(codes, text)


def by_default(then: str, more: str = "") -> str:
    return ROOT.replace("UTC}", f"UTC, escalate: {{then: {then}}}}}") + more


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(by_default("[lead, parent, fallback]"), "", id="the fallback"),
        pytest.param(by_default("[lead]"), "", id="every team has a lead"),
        pytest.param(by_default("§[lead]", f"  c: {{{TEAM}}}\n"), "OWN503 error", id="but one"),
        pytest.param(by_default("§[parent]"), "OWN503 error", id="the topmost team has no parent"),
        pytest.param(
            by_default("[lead]", f"  c: {{{TEAM}, escalate: {{then: [fallback]}}}}\n"), "", id="which says otherwise"
        ),
        pytest.param(by_default("§[a]"), "OWN503 error", id="a team that has none of its own"),
        pytest.param(by_default("[a, fallback]"), "", id="which goes on"),
        pytest.param(by_default("§[leed, fallback]"), "OWN503 error", id="a typing error"),
        pytest.param(by_default("[later, fallback]", "  later: {chanel: x}\n"), "", id="a team that cannot be read"),
    ],
)
def test_the_chain_of_the_defaults(text: str, codes: str) -> None:
    """It must end with somebody for every team that has none of its own."""
    assert told(escalation.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(ROOT + "severities: {high: {escalate: {then: [lead]}}}\n", "", id="every team has a lead"),
        pytest.param(ROOT + "severities: {high: {escalate: {then: §[parent]}}}\n", "OWN503 error", id="no parent"),
        pytest.param(ROOT + "severities: {low: {escalate: {then: §[leed, lead]}}}\n", "OWN503 error", id="no team"),
        pytest.param(ROOT + "severities: {low: {escalate: {if_repeats: none}}}\n", "", id="without steps"),
    ],
)
def test_the_chain_of_a_level(text: str, codes: str) -> None:
    """As that of the defaults, whose place it takes at its level."""
    assert told(escalation.check, text) == at_marks(codes, text)


def test_what_is_said() -> None:
    """The teams that are left alone are named, a few of them; a typing error has its remedy."""
    more = "".join(f"  t{number}: {{{TEAM}}}\n" for number in range(5))
    (finding,) = found(escalation.check, by_default("[lead]", more))
    assert finding.message == 'the escalation ends with `lead`, which leads to nobody for "t0", "t1", "t2" and 2 more'
    (finding,) = found(escalation.check, by_default("[leed]"))
    assert finding.help == 'did you mean "lead"?'
