"""Single teams and the fallback: OWN106, OWN107, OWN112, OWN113."""

import pytest

from router.lint import teams
from tests.lint.marked_maps import ROOT, at_marks, found, told

REST = "channel: {name: c, id: C0CCCCCCCC}, lead: {slack: U0LEAD0001}"


CHANNEL = "channel: {name: c, id: C0CCCCCCCC}"


@pytest.mark.parametrize(
    "name",
    [
        "unowned",
        "tbd",
        "none",
        "noteam",
        "no-team",
        "nobody",
        "unknown",
        "unknown-team",
        "reliability_unowned",
        "no.owner",
    ],
)
def test_teams_that_stand_for_nobody(name: str) -> None:
    """Such an owner keeps its alerts from the fallback, where somebody would claim them."""
    text = f"{ROOT}  §{name}: {{{REST}}}\n"
    assert told(teams.check, text) == at_marks("OWN106 warning", text)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("  §c: {" + REST + ", aliases: [see, UNOWNED]}\n", "OWN106 warning", id="alias"),
        pytest.param("  §c: {" + REST + ", name: No team}\n", "OWN106 warning", id="name"),
        pytest.param("  §tbd: {" + REST + ", aliases: [unowned]}\n", "OWN106 warning", id="once a team"),
        pytest.param("  unknown-devices: {" + REST + "}\n", "", id="a team that is about unknown things"),
        pytest.param("  tbd-migration: {" + REST + ", aliases: [nonesuch]}\n", "", id="within a name"),
        pytest.param("  c: {" + REST + "}\nservices: {unknown: {owner: a}}\n", "", id="a service is no team"),
    ],
)
def test_names_of_nobody(body: str, codes: str) -> None:
    """Id, aliases and name are looked at as whole words; the place is the team's key."""
    assert told(teams.check, ROOT + body) == at_marks(codes, ROOT + body)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("  c: {" + REST + ", aliases: [see, §c]}\n", "OWN107 error", id="team"),
        pytest.param("services:\n  s: {owner: a, aliases: [§s]}\n", "OWN107 error", id="service"),
        pytest.param("jobs:\n  j:\n    owner: a\n    aliases:\n      - §j\n", "OWN107 error", id="job"),
        pytest.param("jobs:\n  j: {owner: a, aliases: [s]}\nservices:\n  s: {owner: a}\n", "", id="of another kind"),
        pytest.param("  c: {" + REST + ", aliases: [C]}\n", "", id="another spelling is another label value"),
    ],
)
def test_an_alias_that_is_the_id(body: str, codes: str) -> None:
    """It says nothing, so something else was meant; the place is the alias."""
    assert told(teams.check, ROOT + body) == at_marks(codes, ROOT + body)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param(f"  §c: {{{CHANNEL}, escalate: {{then: [lead]}}}}\n", "OWN112 info", id="none"),
        pytest.param(f"  §c: {{{CHANNEL}, lead: {{}}, escalate: {{then: [lead]}}}}\n", "OWN112 info", id="empty"),
        pytest.param(
            f"  §c: {{{CHANNEL}, lead: {{mail: a@b.example}}, escalate: {{then: [lead]}}}}\n",
            "OWN112 info",
            id="not in Slack",
        ),
        pytest.param(f"  c: {{{CHANNEL}}}\n", "", id="nothing comes to it"),
        pytest.param(f"  c: {{{CHANNEL}, escalate: {{then: [fallback]}}}}\n", "", id="something else comes"),
        pytest.param("  c: {" + REST + "}\n", "", id="one"),
        pytest.param("  c: {dissolved: 2026-01-01, successor: a}\n", "", id="a dissolved team needs none"),
    ],
)
def test_a_team_without_a_lead(body: str, codes: str) -> None:
    """It is told at the key of a team whose escalation comes to its lead, and fails nothing."""
    assert told(teams.check, ROOT + body) == at_marks(codes, ROOT + body)


@pytest.mark.parametrize(
    "usual",
    ["defaults: {escalate: {then: [lead]}}\n", "severities: {critical: {escalate: {then: [lead]}}}\n"],
    ids=["always", "at one level"],
)
def test_every_escalation_comes_to_the_lead(usual: str) -> None:
    """Where the map's own chain names the lead, each team needs one."""
    text = f"{usual}{ROOT}  §c: {{{CHANNEL}}}\n"
    assert [line for line in told(teams.check, text) if "OWN112" in line][-1:] == at_marks("OWN112 info", text)


# -- the fallback --------------------------------------------------------------------------------------------------

FALLBACK = "version: 1\nfallback:\n  channel: §{name: f, id: C0FFFFFFFF}\n  mention: '@duty'\nteams:\n"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(
            FALLBACK + "  c: {channel: ¤{name: other-name, id: C0FFFFFFFF}, lead: {slack: U}}\n",
            "OWN113 error ~",
            id="its channel",
        ),
        pytest.param(
            FALLBACK + "  c: {" + REST + ", channels: {low: ¤{name: f, id: C0FFFFFFFF}}}\n",
            "OWN113 error ~",
            id="one of its channels",
        ),
        pytest.param(
            FALLBACK + "  c: {" + REST.replace("{name: c, id: C0CCCCCCCC}", "¤{name: f, id: C0FFFFFFFF}") + "}\n"
            "  d: {channel: ¤{name: f, id: C0FFFFFFFF}, lead: {slack: U}}\n",
            "OWN113 error ~ ~",
            id="of two teams, told once",
        ),
        pytest.param(
            FALLBACK.replace("§", "") + "  c: {" + REST.replace("name: c", "name: f") + "}\n",
            "",
            id="the id counts, a name is for people",
        ),
        pytest.param(
            FALLBACK.replace("§", "") + "  a: {" + REST + "}\n"
            "  c: {channel: {name: f, id: C0FFFFFFFF}, dissolved: 2026-01-01, successor: a}\n",
            "",
            id="a dissolved team posts nowhere",
        ),
        pytest.param(
            "version: 1\n§fallback: {channel: {name: f, id: C0FFFFFFFF}}\nteams:\n  c: {" + REST + "}\n",
            "OWN113 warning",
            id="no mention",
        ),
    ],
)
def test_the_fallback(text: str, codes: str) -> None:
    """Orphans need a channel of their own, where somebody is called."""
    assert told(teams.check, text) == at_marks(codes, text)


def test_the_fallback_is_told_with_the_team() -> None:
    """The message says whose channel it is."""
    (finding,) = found(teams.check, FALLBACK + "  c: {channel: {name: x, id: C0FFFFFFFF}, lead: {slack: U}}\n")
    assert finding.message == 'the fallback channel "f" is a channel of "c": orphans would look like its alerts'
    assert finding.related[0].message == 'a channel of "c"'
