"""What other YAML readers take for something else, and what is said about it."""

from pathlib import Path

import pytest

from router.core.findings import FindingSeverity
from router.ownership_file import read_map
from router.ownership_file.traps import taken_for
from tests.ownership.test_places import HEAD, LINE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("10:00", "YAML 1.1 reads 600", id="minutes of base 60"),
        pytest.param("190:20:30.5", "YAML 1.1 reads 685230.5", id="base 60 with a fraction"),
        pytest.param("-1:30", "YAML 1.1 reads -90", id="and negative"),
        pytest.param("no", "YAML 1.1 reads false", id="no"),
        pytest.param("Off", "YAML 1.1 reads false", id="Off"),
        pytest.param("YES", "YAML 1.1 reads true", id="YES"),
        pytest.param("on", "YAML 1.1 reads true", id="on"),
        pytest.param("0123", "YAML 1.1 reads 83", id="octal"),
        pytest.param("0891", "YAML 1.2 reads 891", id="not octal, so only for 1.2"),
        pytest.param("0o17", "YAML 1.2 reads 15", id="octal of 1.2"),
        pytest.param("1_000", "YAML 1.1 reads 1000", id="grouped"),
        pytest.param("0x1F", "YAML 1.1 reads 31", id="hexadecimal"),
        pytest.param("0b101", "YAML 1.1 reads 5", id="binary"),
        pytest.param("1.10", "YAML reads 1.1", id="a version"),
        pytest.param(".5", "YAML reads 0.5", id="a fraction"),
        pytest.param("1e3", "YAML 1.2 reads 1000", id="an exponent"),
        pytest.param("+5", "YAML reads 5", id="a sign"),
        pytest.param(".inf", "YAML reads infinity", id="infinity"),
        pytest.param(".NaN", "YAML reads no number", id="not a number"),
        pytest.param("~", "YAML 1.1 reads nothing", id="tilde"),
        pytest.param("=", "YAML 1.1 gives it a meaning of its own", id="the value of a mapping"),
        pytest.param("2026-07-01T10:00:00Z", "YAML 1.1 reads a time", id="a time"),
        pytest.param("1" * 100, "YAML reads a number", id="a long number"),
        pytest.param("2026-07-01", None, id="dates are usual"),
        pytest.param("09:30", None, id="no base 60 begins with 0"),
        pytest.param("8080:80", None, id="ports are not of base 60"),
        pytest.param("10:00-19:00", None, id="hours"),
        pytest.param("1.2.3", None, id="a longer version"),
        pytest.param("10.0.0.1", None, id="an address"),
        pytest.param("5", None, id="an integer prints as it is written"),
        pytest.param("y", None, id="no reader takes y for a boolean"),
        pytest.param("nO", None, id="nor this"),
        pytest.param("15m", None, id="a duration"),
        pytest.param("-", None, id="a sign alone"),
        pytest.param("0x", None, id="no digits"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_taken_for(text: str, expected: str | None) -> None:
    """What readers of YAML 1.1, or of the core schema of 1.2, read instead of the text."""
    assert taken_for(text) == expected


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param("rules: [{id: r, match: {a: 10:00}, owner: a}]\n", ["10:00"], id="a label value"),
        pytest.param("rules: [{id: r, match: {a: [b, no, c]}, owner: a}]\n", ["no"], id="one of several"),
        pytest.param("rules: [{id: r, match: {0123: b}, owner: a}]\n", ["0123"], id="a label"),
        pytest.param("namespaces: {no: a, ~: a, null: a}\n", ["no", "~", "null"], id="namespaces"),
        pytest.param("services: {s: {owner: a, aliases: [1.10, =]}}\n", ["1.10", "="], id="aliases"),
        pytest.param("services: {on: {owner: a}}\n", ["on"], id="an id"),
        pytest.param("severities: {low: {from: [off]}}\n", ["off"], id="a severity word"),
        pytest.param("tests: [{labels: {a: 1e3}, expect: {owner: a}}]\n", ["1e3"], id="a test"),
        pytest.param("services: {s: {owner: a, severity_map: {1: high, 2: low}}}\n", [], id="integers as keys"),
        pytest.param("services: {s: {owner: a, review: {last: 2026-07-01}}}\n", [], id="a date"),
        pytest.param("rules: [{id: r, match: {a: '10:00', b: \"no\"}, owner: a}]\n", [], id="quoted"),
        pytest.param("rules: [{id: r, match: {no: b, a: true}, owner: a}]\n", ["no"], id="beside a wrong value"),
        pytest.param("services: {s: {owner: a, tier: 2}}\n", [], id="a number where one is meant"),
        pytest.param("rules: [{id: r, match: {a: b}, drop: true, reason: x}]\n", [], id="a boolean where one is meant"),
        pytest.param("tests: [{labels: {a: b}, expect: {owner: null}}]\n", [], id="null where it is meant"),
    ],
)
def test_what_is_told(body: str, told: list[str], tmp_path: Path) -> None:
    """A warning at each value and key that is right here, with what is read elsewhere and what to write."""
    path = tmp_path / "ownership.yaml"
    path.write_text(HEAD + body, encoding="utf-8")
    findings = [finding for finding in read_map(path).findings if finding.code == "OWN006"]
    assert [finding.message for finding in findings] == [f"`{text}` unquoted: {taken_for(text)}" for text in told]
    assert [finding.help for finding in findings] == [f'write "{text}"' for text in told]
    assert {finding.severity for finding in findings} <= {FindingSeverity.WARNING}
    assert {finding.line for finding in findings} <= {LINE}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param("defaults: {business_hours: 10:00}\n", "`10:00` unquoted: YAML 1.1 reads 600", id="hours"),
        pytest.param("services: {s: {owner: a, runbook: no}}\n", "`no` unquoted: YAML 1.1 reads false", id="text"),
        pytest.param("services: {s: {owner: a, severity: off}}\n", "`off` unquoted: YAML 1.1 reads false", id="word"),
        pytest.param("services: {s: {owner: a, tier: 1.0}}\n", "`1.0` unquoted: YAML reads 1", id="number"),
    ],
)
def test_a_wrong_value_names_the_trap(body: str, said: str, tmp_path: Path) -> None:
    """A value that is wrong anyway has one finding, which says why its writer may have meant another one."""
    path = tmp_path / "ownership.yaml"
    path.write_text(HEAD + body, encoding="utf-8")
    (finding,) = read_map(path).findings
    assert finding.code == "OWN005"
    assert f"({said})" in finding.message


def test_a_quoted_value_is_no_trap(tmp_path: Path) -> None:
    """Nothing is said about YAML 1.1 where quotes keep it away."""
    path = tmp_path / "ownership.yaml"
    path.write_text(HEAD + 'defaults: {business_hours: "10:00"}\n', encoding="utf-8")
    (finding,) = read_map(path).findings
    assert "YAML" not in finding.message
