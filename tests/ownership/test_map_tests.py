"""The map's own tests: what they may expect, and what is said when they do not hold (OWN901)."""

from datetime import date

import pytest

from router.core import map_tests
from router.core.map_tests import MapTestFailure, failures
from tests.ownership.maps import HEAD, TODAY, a_map

BODY = """\
severities: {low: {respond_within: none}}
services:
  shop: {owner: payments, also_notify: [data]}
jobs:
  close:
    owner: payments
    match: {namespace: pay, cronjob: close}
    severity: critical
    runbook: https://runbooks.example.com/close
    rerun: {safety: conditional, when: x}
rules:
  - {id: watchdog, match: {alertname: Watchdog}, drop: true, reason: heartbeat}
overrides:
  - {id: offsite, match: {alertname: Y}, owner: data, expires: 2026-12-31, reason: x}
"""
KEYS = "owner, via, severity, respond_within, runbook, rerun, dropped, channel, channels, also_notify"
CLOSE = "{namespace: pay, cronjob: close}"


def failing(labels: str, expect: str, *, today: date = TODAY) -> tuple[MapTestFailure, ...]:
    return failures(a_map(f"{BODY}tests:\n  - labels: {labels}\n    expect: {expect}\n"), today=today)


def said(labels: str, expect: str) -> list[str]:
    """Every difference, and its remedy behind a |."""
    return [
        difference.message + (f" | {difference.help}" if difference.help else "")
        for failure in failing(labels, expect)
        for difference in failure.differences
    ]


@pytest.mark.parametrize(
    ("labels", "expect"),
    [
        pytest.param(CLOSE, "{owner: payments, via: job/close}", id="owner and via"),
        pytest.param(CLOSE, "{severity: critical, respond_within: 15m, rerun: conditional}", id="hints"),
        pytest.param(CLOSE, "{runbook: 'https://runbooks.example.com/close'}", id="runbook"),
        pytest.param(CLOSE, "{channel: pay-critical, channels: [pay-critical], also_notify: []}", id="channels"),
        pytest.param("{service: shop}", "{channels: [data, pay], also_notify: [data]}", id="several, in any order"),
        pytest.param("{a: b}", "{owner: null, via: fallback, channel: orphans, runbook: null}", id="orphan"),
        pytest.param("{a: b}", "{rerun: unknown, dropped: false}", id="not declared"),
        pytest.param("{team: data, severity: info}", "{respond_within: none}", id="no deadline, as the map says it"),
        pytest.param("{team: data, severity: info}", "{respond_within: null}", id="no deadline, as null"),
        pytest.param(
            "{alertname: Watchdog}",
            "{owner: null, dropped: true, via: rule/watchdog, channel: null, channels: []}",
            id="dropped",
        ),
        pytest.param("{team: marketing}", "{owner: payments, via: label/team}", id="through a successor"),
    ],
)
def test_what_holds(labels: str, expect: str) -> None:
    """Every part of an answer can be expected."""
    assert failing(labels, expect) == ()


@pytest.mark.parametrize(
    ("labels", "expect", "expected"),
    [
        pytest.param(CLOSE, "{owner: data}", ['owner is "payments", expected "data"'], id="owner"),
        pytest.param(CLOSE, "{owner: null}", ['owner is "payments", expected null'], id="nobody"),
        pytest.param("{a: b}", "{owner: data}", ['owner is null, expected "data"'], id="somebody"),
        pytest.param(CLOSE, "{via: service/close}", ['via is "job/close", expected "service/close"'], id="via"),
        pytest.param(CLOSE, "{severity: high}", ['severity is "critical", expected "high"'], id="severity"),
        pytest.param(CLOSE, "{respond_within: 1h}", ['respond_within is "15m", expected "1h"'], id="deadline"),
        pytest.param(CLOSE, "{respond_within: none}", ['respond_within is "15m", expected "none"'], id="no deadline"),
        pytest.param(CLOSE, "{rerun: safe}", ['rerun is "conditional", expected "safe"'], id="rerun"),
        pytest.param(CLOSE, "{dropped: true}", ["dropped is false, expected true"], id="dropped"),
        pytest.param(
            CLOSE,
            "{runbook: null}",
            ['runbook is "https://runbooks.example.com/close", expected null'],
            id="runbook",
        ),
        pytest.param(CLOSE, "{channel: pay}", ['channel is "pay-critical", expected "pay"'], id="channel"),
        pytest.param(
            "{service: shop}", "{channels: [pay]}", ["channels is [pay, data], expected [pay]"], id="channels"
        ),
        pytest.param(
            CLOSE,
            "{owner: data, severity: high, via: job/close}",
            ['owner is "payments", expected "data"', 'severity is "critical", expected "high"'],
            id="all that differs",
        ),
        pytest.param(
            CLOSE,
            "{owner: billing}",
            ['owner is "payments", expected "billing" | "billing" is an alias: expect "payments"'],
            id="an alias is no answer",
        ),
        pytest.param(
            CLOSE,
            "{owner: growth}",
            ['owner is "payments", expected "growth" | "growth" is dissolved: expect "payments"'],
            id="nor is a dissolved team",
        ),
        pytest.param(
            CLOSE,
            "{owner: paymnts}",
            ['owner is "payments", expected "paymnts" | "paymnts" is no team; did you mean "payments"?'],
            id="a typing error in a team",
        ),
        pytest.param(
            CLOSE,
            "{ownr: payments}",
            ['it expects "ownr", which no answer has | did you mean "owner"?'],
            id="a typing error in a key",
        ),
        pytest.param(
            CLOSE,
            "{zzz: 1}",
            [f'it expects "zzz", which no answer has | there are {KEYS}'],
            id="a key that is no key",
        ),
    ],
)
def test_what_does_not_hold(labels: str, expect: str, expected: list[str]) -> None:
    """Each difference is told with what was found and what was expected, and with a remedy where there is one."""
    assert said(labels, expect) == expected


def test_a_test_that_cannot_fail() -> None:
    """It expects nothing, which is a failure too."""
    ((message),) = said(CLOSE, "{}")
    assert message.startswith("it expects nothing, so it can never fail | expect some of owner, via, severity")


def test_annotations_count() -> None:
    """They are part of the question."""
    test = "tests:\n  - labels: {team: data}\n    annotations: {runbook_url: 'https://r.example/x'}\n"
    assert failures(a_map(f"{test}    expect: {{runbook: 'https://r.example/x'}}\n"), today=TODAY) == ()


def test_today_is_given() -> None:
    """An override counts through its last day."""
    assert failing("{alertname: Y}", "{via: override/offsite}", today=date(2026, 12, 31)) == ()
    assert failing("{alertname: Y}", "{via: override/offsite}", today=date(2027, 1, 1)) != ()


def test_the_finding() -> None:
    """OWN901 points at the first key of the test, and holds the ladder: each stage with its answer and reason."""
    body = f"{BODY}tests:\n  - labels: {{team: data}}\n    expect: {{owner: data}}\n"
    body += "  - labels: {team: nobody, namespace: pay, cronjob: close}\n    expect: {owner: data}\n"
    (finding,) = map_tests.test_findings(a_map(body), TODAY)
    line = (HEAD + body).count("\n") - 1
    assert (finding.code, finding.severity, finding.line, finding.column) == ("OWN901", "error", line, 5)
    assert finding.message == (
        'owner is "payments", expected "data". Asked: override: no override matches; label: team="nobody" is not a '
        'team; job: namespace="pay", cronjob="close" → payments'
    )


def test_the_findings_are_in_order() -> None:
    """One for each test that does not hold."""
    body = "tests:\n" + "".join(f"  - {{labels: {{team: data}}, expect: {{owner: {owner}}}}}\n" for owner in "xyz")
    places = [(finding.line, finding.column) for finding in map_tests.test_findings(a_map(body), TODAY)]
    first = HEAD.count("\n") + 2
    assert places == [(first, 6), (first + 1, 6), (first + 2, 6)]  # the first key, not the brace before it
