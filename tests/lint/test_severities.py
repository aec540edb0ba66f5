"""Severity words (OWN501) and critical alerts that wake nobody (OWN502)."""

import pytest

from router.lint import severities
from tests.lint.marked_maps import ROOT, at_marks, found, told

QUIET = "channel: {name: c, id: C0CCCCCCCC}"  # nobody is mentioned


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param(
            "severities:\n  critical: {from: [¤page]}\n  high: {from: [p2, §page]}\n", "OWN501 warning ~", id="a word"
        ),
        pytest.param(
            "severities:\n  critical: {from: [¤PAGE]}\n  high: {from: [§page]}\n", "OWN501 warning ~", id="in capitals"
        ),
        pytest.param(
            "severities:\n  low: {from: [¤page]}\n  critical: {from: [§page]}\n", "OWN501 warning ~", id="file order"
        ),
        pytest.param("severities:\n  critical: {from: [page, Page, PAGE]}\n", "", id="of one level"),
        pytest.param("severities:\n  high: {from: [page]}\n", "", id="taken from the usual words"),
        pytest.param(
            "services:\n  s: {owner: a, severity_map: {¤Warning: high, §warning: low}}\n",
            "OWN501 warning ~",
            id="a service",
        ),
        pytest.param(
            "jobs:\n  j: {owner: a, severity_map: {¤Warning: high, §WARNING: low}}\n", "OWN501 warning ~", id="a job"
        ),
        pytest.param(
            "rules:\n  - {id: r, match: {a: b}, owner: a, severity_map: {¤x: low, y: low, §X: high}}\n",
            "OWN501 warning ~",
            id="a rule",
        ),
        pytest.param("services:\n  s: {owner: a, severity_map: {Warning: high, warning: high}}\n", "", id="the same"),
        pytest.param(
            "severities: {low: {from: [warning]}}\nservices:\n  s: {owner: a, severity_map: {warning: high}}\n",
            "",
            id="an entry may differ from the organisation",
        ),
    ],
)
def test_words_of_two_levels(body: str, codes: str) -> None:
    """Within one mapping a word means one thing, however it is spelt; the later one is told, and the first."""
    assert told(severities.check, ROOT + body) == at_marks(codes, ROOT + body)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("severities: {high: {from: [error, §a]}}\n", id="of the organisation"),
        pytest.param("severities: {high: {from: [error, §old]}}\n", id="an alias"),
        pytest.param("services:\n  s: {owner: a, severity_map: {§b: high}}\n", id="of a service"),
        pytest.param("rules:\n  - {id: r, match: {x: y}, owner: a, severity_map: {§b: high}}\n", id="of a rule"),
    ],
)
def test_words_that_are_teams(body: str) -> None:
    """A `severity` that names a team is a route, and says nothing about how much an alert matters."""
    (finding,) = found(severities.check, ROOT + body)
    place = f"ownership:{finding.line}:{finding.column} {finding.code} {finding.severity}"
    assert [place] == at_marks("OWN501 warning", ROOT + body)
    assert [other.message.startswith('team "') for other in finding.related] == [True]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("severities: {critical: {hours: §business}}\n", "OWN502 warning", id="critical"),
        pytest.param("severities: {critical: {hours: always}, high: {hours: business}}\n", "", id="high"),
    ],
)
def test_critical_alerts_wait_for_no_morning(body: str, codes: str) -> None:
    """What may wait until the office opens is not critical."""
    assert told(severities.check, ROOT + body) == at_marks(codes, ROOT + body)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param(
            "  §c: {" + QUIET + "}\njobs:\n  j: {owner: c, severity: critical}\n", "OWN502 warning", id="a job"
        ),
        pytest.param(
            "  §c: {" + QUIET + "}\nservices:\n  s: {owner: c, severity_map: {x: critical}}\n",
            "OWN502 warning",
            id="a severity map",
        ),
        pytest.param(
            "  §c: {" + QUIET + "}\nrules:\n  - {id: r, match: {a: b}, owner: c, severity_map: {x: critical}}\n",
            "OWN502 warning",
            id="a rule",
        ),
        pytest.param(
            "  §c: {" + QUIET + ", channels: {critical: {name: d, id: C0DDDDDDDD}}}\n",
            "OWN502 warning",
            id="a channel",
        ),
        pytest.param(
            "  §c: {" + QUIET + ", channels: {critical: {name: d, id: C0DDDDDDDD}}}\n"
            "jobs:\n  j: {owner: c, severity: critical}\n",
            "OWN502 warning",
            id="told once",
        ),
        pytest.param(
            "  §c: {" + QUIET + "}\n  past: {dissolved: 2026-01-01, successor: c}\n"
            "jobs:\n  j: {owner: past, severity: critical}\n",
            "OWN502 warning",
            id="of its predecessor",
        ),
        pytest.param("  c: {" + QUIET + "}\njobs:\n  j: {owner: c, severity: high}\n", "", id="high"),
        pytest.param("  c: {" + QUIET + "}\njobs:\n  j: {owner: a, severity: critical}\n", "", id="another team's"),
        pytest.param(
            "  c: {" + QUIET + "}\njobs:\n  j: {owner: a, also_notify: [c], severity: critical}\n",
            "",
            id="for information",
        ),
        pytest.param(
            "rules:\n  - {id: r, match: {a: b}, drop: true, reason: x, severity_map: {x: critical}}\n",
            "",
            id="dropped",
        ),
    ],
)
def test_critical_alerts_call_somebody(body: str, codes: str) -> None:
    """Whoever owns something critical has a mention; the place is the team's key."""
    assert told(severities.check, ROOT + body) == at_marks(codes, ROOT + body)


def test_why_somebody_must_be_called() -> None:
    """The message names the entry that is critical."""
    body = "  c: {" + QUIET + "}\njobs:\n  j: {owner: c, severity: critical}\n"
    (finding,) = found(severities.check, ROOT + body)
    assert finding.message == 'team "c" has no mention, so critical alerts call nobody: job "j" is critical'


NO_ZONE = ROOT.replace("defaults: {timezone: UTC}", "defaults: {language: en}")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(
            NO_ZONE.replace("  a:", "  §a:").replace("  b:", "  §b:"), "OWN502 warning, OWN502 warning", id="none"
        ),
        pytest.param(
            NO_ZONE.replace("  a:", "  §a:").replace("parent: a", "timezone: Asia/Tokyo"), "OWN502 warning", id="one"
        ),
        pytest.param(ROOT, "", id="UTC, as it says"),
    ],
)
def test_a_team_without_a_time_zone(text: str, codes: str) -> None:
    """A day in UTC is nobody's day unless somebody chose it."""
    assert told(severities.check, text) == at_marks(codes, text)
