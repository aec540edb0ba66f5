"""The evidence ladder: which stage answers, why, and what the others say."""

from datetime import date

import pytest

from router.core.model import Level, RerunSafety, Resolution, Stage
from tests.ownership.maps import HEAD, TODAY, a_map, ask

LADDER = """\
services:
  refund-api: {owner: data, aliases: [refunds], match: {namespace: refunds}}
  old-shop: {owner: growth}
jobs:
  close: {owner: payments, match: {namespace: pay, cronjob: close}}
  tidy: {owner: data, aliases: [tidier], match: {namespace: etl, cronjob: [tidy, tidy-eu]}}
  invoice: {owner: payments, aliases: [invoice-nightly]}
  migrate-2024: {owner: data}
rules:
  - {id: nodes, match: ['alertname=~"KubeNode.+"'], owner: data}
  - {id: heartbeat, match: {alertname: [Watchdog]}, drop: true, reason: only a heartbeat}
  - {id: everything-else-in-lab, match: {env: lab}, owner: payments}
namespaces:
  pay: payments
  pay-*: data
  pay-e*: payments
overrides:
  - {id: offsite, match: {cluster: eu-1}, owner: data, expires: 2026-11-21, reason: offsite}
  - {id: quiet, match: {cluster: lab}, drop: true, expires: 2026-12-01, reason: rebuilt}
"""
MAP = a_map(LADDER)


def via(resolution: Resolution) -> str:
    return f"{resolution.via.stage}/{resolution.via.entry}" if resolution.via.entry else str(resolution.via.stage)


@pytest.mark.parametrize(
    ("labels", "owner", "expected"),
    [
        pytest.param({"team": "data"}, "data", "label/team", id="label: an id"),
        pytest.param({"team": "billing"}, "payments", "label/team", id="label: an alias"),
        pytest.param({"team": "growth"}, "payments", "label/team", id="label: a dissolved team's successor"),
        pytest.param({"team": "marketing"}, "payments", "label/team", id="label: an alias of a dissolved team"),
        pytest.param({"team": "", "owner": "data"}, "data", "label/owner", id="label: the first that is not empty"),
        pytest.param({"team": "perf", "owner": "data"}, None, "fallback", id="label: an unknown word ends the search"),
        pytest.param({"team": "Data"}, None, "fallback", id="label: never guessed"),
        pytest.param({"cluster": "eu-1", "team": "payments"}, "data", "override/offsite", id="override before label"),
        pytest.param({"team": "data", "cronjob": "invoice"}, "data", "label/team", id="label before job"),
        pytest.param({"cronjob": "close", "namespace": "pay"}, "payments", "job/close", id="job: by name"),
        pytest.param({"cronjob": "close"}, "payments", "job/close", id="job: by name, no namespace on the alert"),
        pytest.param({"cronjob": "close", "namespace": "etl"}, None, "fallback", id="job: the same name elsewhere"),
        pytest.param(
            {"cronjob": "close", "exported_namespace": "etl"}, None, "fallback", id="job: elsewhere, by the other label"
        ),
        pytest.param(
            {"job_name": "close-29384756", "namespace": "pay"}, "payments", "job/close", id="job: a run of a CronJob"
        ),
        pytest.param(
            {"job_name": "tidy-eu-29384756", "namespace": "etl"}, "data", "job/tidy", id="job: a run, found by match"
        ),
        pytest.param(
            {"job_name": "tidy-eu-29384756", "exported_namespace": "etl"}, "data", "job/tidy", id="job: a run, by match"
        ),
        pytest.param({"cronjob": "tidier", "namespace": "etl"}, "data", "job/tidy", id="job: match denies no alias"),
        pytest.param({"job_name": "close-x1"}, None, "fallback", id="job: only digits are a scheduled time"),
        pytest.param({"job_name": "migrate-2024"}, "data", "job/migrate-2024", id="job: really called so"),
        pytest.param({"checkin": "invoice-nightly"}, "payments", "job/invoice", id="job: a check-in, by alias"),
        pytest.param({"cronjob": "", "checkin": "invoice"}, "payments", "job/invoice", id="job: a check-in"),
        pytest.param({"service": "refund-api"}, "data", "service/refund-api", id="service: by id"),
        pytest.param({"app": "refunds"}, "data", "service/refund-api", id="service: by alias and another label"),
        pytest.param({"namespace": "refunds"}, "data", "service/refund-api", id="service: by match"),
        pytest.param(
            {"service": "refund-api", "namespace": "pay"}, "data", "service/refund-api", id="service: match is no fence"
        ),
        pytest.param({"service": "old-shop"}, "payments", "service/old-shop", id="service: of a dissolved team"),
        pytest.param({"service": "unknown", "namespace": "pay"}, "payments", "namespace/pay", id="service: unknown"),
        pytest.param({"alertname": "KubeNodeDown", "env": "lab"}, "data", "rule/nodes", id="rule: the first match"),
        pytest.param({"alertname": "X", "namespace": "pay", "env": "lab"}, "payments", "rule/everything-else-in-lab",
                     id="rule before namespace"),
        pytest.param({"namespace": "pay"}, "payments", "namespace/pay", id="namespace: exact"),
        pytest.param({"namespace": "pay-jp"}, "data", "namespace/pay-*", id="namespace: a glob"),
        pytest.param({"namespace": "pay-eu"}, "payments", "namespace/pay-e*", id="namespace: the longest glob"),
        pytest.param({"namespace": "xpay"}, None, "fallback", id="namespace: globs are anchored"),
        pytest.param({"exported_namespace": "pay"}, "payments", "namespace/pay", id="namespace: the other label"),
        pytest.param({}, None, "fallback", id="nothing"),
    ],
)  # fmt: skip
def test_who_owns(labels: dict[str, str], owner: str | None, expected: str) -> None:
    """The strongest evidence that names a team decides."""
    resolution = ask(MAP, **labels)
    assert (resolution.owner, via(resolution)) == (owner, expected)
    assert resolution.orphan == (owner is None)


def test_an_override_ends() -> None:
    """An override holds through the day on which it expires, and is not there from the next day on."""
    labels = {"cluster": "eu-1", "team": "payments"}
    owners = [MAP.resolve(labels, today=date(2026, 11, day)).owner for day in (20, 21, 22)]
    assert owners == ["data", "data", "payments"]


@pytest.mark.parametrize(
    ("labels", "expected", "reason"),
    [
        pytest.param({"alertname": "Watchdog"}, "rule/heartbeat", "only a heartbeat", id="a rule"),
        pytest.param({"cluster": "lab", "team": "data"}, "override/quiet", "rebuilt", id="an override"),
    ],
)
def test_dropped(labels: dict[str, str], expected: str, reason: str) -> None:
    """What is dropped has no owner and no channel, is no orphan, and says why."""
    resolution = ask(MAP, **labels)
    assert (via(resolution), resolution.dropped, resolution.drop_reason) == (expected, True, reason)
    assert (resolution.owner, resolution.destinations, resolution.orphan) == (None, (), False)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"team": "data", "namespace": "pay-jp"}, [], id="a lower stage that agrees"),
        pytest.param({"team": "data", "namespace": "pay"}, [("namespace", "pay", "payments")], id="one that does not"),
        pytest.param({"team": "perf", "namespace": "pay"}, [("label", "team", "perf")], id="an unknown team"),
        pytest.param({"team": "growth"}, [("label", "team", "growth")], id="a dissolved team"),
        pytest.param({"team": "marketing"}, [("label", "team", "growth")], id="a dissolved team, by alias"),
        pytest.param({"service": "old-shop"}, [("service", "old-shop", "growth")], id="an entry of a dissolved team"),
        pytest.param(
            {"team": "data", "service": "old-shop"}, [("service", "old-shop", "growth")], id="both: lower and dissolved"
        ),
        pytest.param(
            {"team": "data", "alertname": "Watchdog"}, [("rule", "heartbeat", "drop")], id="a lower rule drops"
        ),
        pytest.param({"team": "data", "severity": "loud"}, [(None, "severity", "loud")], id="an unknown severity"),
        pytest.param({"team": "data", "priority": "billing"}, [(None, "priority", "billing")], id="a team as severity"),
        pytest.param({"team": "billing", "severity": "page"}, [], id="an alias is fine"),
        pytest.param({"cluster": "eu-1", "team": "payments"}, [("label", "team", "payments")], id="below an override"),
        pytest.param({"cluster": "eu-1", "team": "perf"}, [("label", "team", "perf")], id="unknown, below an override"),
    ],
)
def test_drift(labels: dict[str, str], expected: list[tuple[str | None, str, str]]) -> None:
    """Every other opinion is told, and nothing else."""
    assert [(drift.stage, drift.entry, drift.says) for drift in ask(MAP, **labels).drift] == expected


def test_a_severity_that_is_a_team_is_said_to_be_one() -> None:
    """`severity` abused as the route is told apart from a typing error."""
    (drift,) = ask(MAP, severity="billing").drift
    assert drift.message == 'unknown severity "billing", which names the team "payments"'


def test_did_you_mean() -> None:
    """An unknown owner label gets a suggestion, and no owner by it."""
    resolution = ask(MAP, team="paymnts")
    assert resolution.drift[0].message == 'unknown team "paymnts"; did you mean "payments"?'
    assert resolution.owner is None


TWINS = """\
jobs:
  b-general: {owner: payments, match: ['cronjob=~"close.*"']}
  c-exact: {owner: data, match: {cronjob: close, namespace: [pay, pay-eu]}}
  a-exact: {owner: payments, match: ['namespace="pay"', 'cronjob="close"']}
"""


def test_two_jobs_that_match() -> None:
    """The one with more equality matchers wins, then the first id; a list is one equality; the others are drift."""
    twins = a_map(TWINS)
    resolution = ask(twins, cronjob="close", namespace="pay")
    assert via(resolution) == "job/a-exact"
    assert [(drift.entry, drift.says) for drift in resolution.drift] == [("c-exact", "data"), ("b-general", "payments")]
    assert ask(twins, cronjob="close", namespace="pay") == resolution


def test_an_empty_match_fits_everything() -> None:
    """The empty string is no matcher, so an entry that says only that fits every alert."""
    assert via(ask(a_map("rules:\n  - {id: all, match: [''], owner: data}\n"))) == "rule/all"


def test_the_order_of_the_stages() -> None:
    """`resolve` orders the stages, as a whole."""
    namespace_first = a_map(LADDER + "resolve: [namespace, override, label, job, service, rule]\n")
    resolution = ask(namespace_first, team="data", namespace="pay")
    assert via(resolution) == "namespace/pay"
    assert [(drift.stage, drift.says) for drift in resolution.drift] == [(Stage.LABEL, "data")]


def test_what_was_tried() -> None:
    """The stages are told in order, up to the one that answered, each with its reason."""
    tried = ask(MAP, team="perf", namespace="pay", job_name="close-29384756").tried
    assert [(step.stage.value, step.answer, step.reason) for step in tried] == [
        ("override", None, "no override matches"),
        ("label", None, 'team="perf" is not a team'),
        ("job", "payments", 'namespace="pay", cronjob="close"'),
    ]
    orphan = ask(MAP, alertname="X")
    assert [step.stage for step in orphan.tried] == list(Stage)
    assert all(step.answer is None and step.reason for step in orphan.tried)


def test_where_the_answer_stands() -> None:
    """`via` leads to the entry; for a label to the team that was named, a tombstone too; else to the fallback."""
    lines = (HEAD + LADDER).splitlines()

    def line(resolution: Resolution) -> str:
        assert resolution.via.file.endswith("ownership.yaml")
        return lines[resolution.via.line - 1].strip().split(",")[0]

    assert line(ask(MAP, team="growth")) == "growth:"
    assert line(ask(MAP, cronjob="close")) == "close: {owner: payments"
    assert line(ask(MAP, alertname="KubeNodeX")) == "- {id: nodes"
    assert line(ask(MAP, namespace="pay-jp")) == "pay-*: data"
    assert line(ask(MAP)) == "fallback:"


def test_route_labels_fill_in() -> None:
    """A label of the route counts where the alert has none; the alert's own word is stronger."""
    route = {"team": "data"}
    assert MAP.resolve({}, today=TODAY, route_labels=route).owner == "data"
    assert MAP.resolve({"team": "payments"}, today=TODAY, route_labels=route).owner == "payments"


# -- hints and channels --------------------------------------------------------------------------------------------

HINTS = """\
severities:
  critical: {from: [critical, P1], respond_within: 10m}
services:
  api:
    owner: payments
    severity_map: {warning: high}
    runbook: https://runbooks.example.com/{service}/{alertname|lower}
    runbooks: {Burn: 'https://runbooks.example.com/burn'}
    also_notify: [data, growth, data]
  batch: {owner: payments, rerun: {safety: safe, how: rerun}}
  shop: {owner: payments, channel: {name: shop, id: C0SHOPALER}}
jobs:
  close:
    owner: payments
    severity: critical
    rerun: {safety: conditional, when: if open, how: 'kubectl -n {namespace} retry {cronjob} ${HOME}', ask: data}
  plain: {owner: payments}
rules:
  - {id: r, match: {alertname: Ruled}, owner: data, severity_map: {loud: low},
     runbook: 'https://runbooks.example.com/rule'}
"""
HINTED = a_map(HINTS)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({}, Level.NORMAL, id="missing: the default"),
        pytest.param({"severity": "critical"}, Level.CRITICAL, id="a word"),
        pytest.param({"severity": "P1"}, Level.CRITICAL, id="a word of the map"),
        pytest.param({"severity": "Critical"}, Level.CRITICAL, id="capitals"),
        pytest.param({"severity": "page"}, Level.NORMAL, id="the map's own list replaces the usual words"),
        pytest.param({"severity": "p2"}, Level.HIGH, id="other levels keep the usual words"),
        pytest.param({"priority": "p2"}, Level.HIGH, id="priority"),
        pytest.param({"severity": "", "priority": "p2"}, Level.HIGH, id="an empty label is none"),
        pytest.param({"severity": "none"}, Level.IGNORE, id="none"),
        pytest.param({"service": "api", "severity": "warning"}, Level.HIGH, id="severity_map of the service"),
        pytest.param({"alertname": "Ruled", "severity": "loud"}, Level.LOW, id="severity_map of the rule"),
        pytest.param({"cronjob": "close", "severity": "info"}, Level.CRITICAL, id="severity of the job"),
        pytest.param({"team": "data", "cronjob": "close"}, Level.CRITICAL, id="also if a label decides the owner"),
    ],
)
def test_severity(labels: dict[str, str], expected: Level) -> None:
    """The job's or service's word, else what the alert's word means, else the default."""
    assert ask(HINTED, **labels).hints.severity == expected


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        pytest.param({"service": "api", "alertname": "Burn"}, {"runbook_url": "https://x.example.com"},
                     "https://runbooks.example.com/burn", id="the entry's, for this very alert"),
        pytest.param({"service": "api", "alertname": "X"}, {"runbook_url": "https://x.example.com"},
                     "https://x.example.com", id="the annotation"),
        pytest.param({"service": "api", "alertname": "X"}, {"playbook": "https://p.example.com"},
                     "https://p.example.com", id="the annotation's other names"),
        pytest.param({"service": "api", "alertname": "X"}, {"runbook_url": "javascript:alert(1)"},
                     "https://runbooks.example.com/api/x", id="an annotation is a web address or nothing"),
        pytest.param({"service": "api", "alertname": "A/b c?"}, {},
                     "https://runbooks.example.com/api/a%2Fb%20c%3F", id="placeholders, encoded"),
        pytest.param({"service": "api"}, {}, "https://runbooks.example.com/team/payments", id="a label lacks: next"),
        pytest.param({"alertname": "Ruled"}, {}, "https://runbooks.example.com/rule", id="the rule's"),
        pytest.param({"team": "payments"}, {}, "https://runbooks.example.com/team/payments", id="the team's"),
        pytest.param({"team": "data"}, {}, None, id="none"),
        pytest.param({"team": "data", "service": "api", "alertname": "Burn"}, {},
                     "https://runbooks.example.com/burn", id="also if a label decides the owner"),
    ],
)  # fmt: skip
def test_runbook(labels: dict[str, str], annotations: dict[str, str], expected: str | None) -> None:
    """The most local runbook that can be filled."""
    assert ask(HINTED, annotations, **labels).hints.runbook == expected


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"cronjob": "close"}, RerunSafety.CONDITIONAL, id="declared"),
        pytest.param({"cronjob": "plain"}, RerunSafety.UNKNOWN, id="a job that says nothing"),
        pytest.param({"service": "batch"}, RerunSafety.SAFE, id="declared for a service"),
        pytest.param({"service": "batch", "cronjob": "plain"}, RerunSafety.UNKNOWN, id="a service calms no job"),
        pytest.param({"service": "batch", "job_name": "x-1"}, RerunSafety.UNKNOWN, id="nor one that the map lacks"),
        pytest.param({"team": "data", "cronjob": "close"}, RerunSafety.CONDITIONAL, id="apart from the owner"),
    ],
)
def test_rerun(labels: dict[str, str], expected: RerunSafety) -> None:
    """A job is safe to run again only if it was declared so for that very job."""
    assert ask(HINTED, {"rerun_safe": "true"}, **labels).hints.rerun.safety == expected


def test_no_default_is_safe() -> None:
    """`defaults` may say a cautious word for what nobody declared, and not that it is safe."""
    safe = a_map("defaults: {rerun: {safety: safe, how: again}}\n")
    cautious = a_map("defaults: {rerun: {safety: conditional, when: ask first}}\n")
    assert (ask(safe).hints.rerun.safety, ask(safe).hints.rerun.how) == (RerunSafety.UNKNOWN, None)
    assert ask(cautious).hints.rerun.when == "ask first"


def test_a_command_is_filled_with_plain_words_only() -> None:
    """A label that a shell would read as more than a word stays a placeholder: somebody pastes this."""
    assert ask(HINTED, cronjob="close", namespace="pay").hints.rerun.how == "kubectl -n pay retry close ${HOME}"
    for hostile in ("$(reboot)", "a b", "-rf", "a;b", "`x`", "a\nb"):
        how = ask(HINTED, cronjob="close", namespace=hostile).hints.rerun.how
        assert how == "kubectl -n {namespace} retry close ${HOME}"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param({"team": "payments"}, [("payments", "pay")], id="the owner's"),
        pytest.param({"team": "payments", "severity": "critical"}, [("payments", "pay-critical")], id="of this level"),
        pytest.param({"service": "api"}, [("payments", "pay"), ("data", "data")], id="also_notify, each once"),
        pytest.param({"team": "data", "service": "api"}, [("data", "data"), ("payments", "pay")],
                     id="also_notify through a successor; never the owner"),
        pytest.param({"cronjob": "plain", "service": "api"}, [("payments", "pay")], id="also_notify of the job"),
        pytest.param({"service": "shop"}, [("payments", "shop")], id="an entry's own channel"),
        pytest.param({"team": "data", "service": "shop"}, [("data", "data")], id="which is its owner's"),
        pytest.param({}, [(None, "orphans")], id="an orphan"),
    ],
)  # fmt: skip
def test_channels(labels: dict[str, str], expected: list[tuple[str | None, str]]) -> None:
    """Where it is posted: the owner's channel first, then those who are only informed."""
    destinations = ask(HINTED, **labels).destinations
    assert [(destination.team, destination.channel.name) for destination in destinations] == expected


def test_deadlines_of_the_map() -> None:
    """A level may change one of its promises and keeps the others."""
    critical = ask(HINTED, severity="critical").hints
    assert (critical.respond_within, critical.hours) == ("10m", "always")
    assert ask(HINTED, severity="info").hints.respond_within is None


def test_all_channels() -> None:
    """The channels of a map are listed once each, the fallback first."""
    assert [channel.name for channel in HINTED.channels] == ["orphans", "pay", "pay-critical", "data", "shop"]
