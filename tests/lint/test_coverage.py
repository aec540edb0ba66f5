"""How much of rule files is owned, and what is found about the rest, at which place."""

import shlex
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from textwrap import indent
from typing import Final

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from router.cli import main
from router.core.findings import Finding, FindingSeverity
from router.core.ownership import OwnershipMap
from router.lint.coverage import Coverage, coverage_of
from router.ownership_file import load_map
from router.ownership_file.document import START
from router.rule_files import AlertRule, RuleFiles, Unreadable, read_rule_files
from router.rule_files.reading import read_rules
from tests.docs.pages import blocks, text_of
from tests.ownership.maps import a_map

TODAY: Final = date(2026, 11, 21)
RULES: Final = Path(__file__).parents[1] / "data" / "rules"

MAP: Final = a_map("""\
    services:
      search: {owner: data, severity: critical}
      docs: {owner: data, runbook: "https://runbooks.example.com/docs"}
    jobs:
      close: {owner: payments}
    rules:
      - {id: lab, match: {env: lab}, drop: true, reason: a lab}
      - {id: named, match: {alertname: Named}, owner: data}
      - {id: templated, match: {alertname: Known}, owner: data, runbook: "https://r.example.com/{alertname|lower}"}
    namespaces:
      etl: data
    overrides:
      - {id: offsite, match: {cluster: eu-1}, owner: data, expires: 2026-11-21, reason: offsite}
      - {id: quiet, match: {cluster: lab}, drop: true, expires: 2026-12-01, reason: rebuilt}
    """)


def rule_files(text: str) -> RuleFiles:
    """One file, r.yaml, of one group with these rules."""
    read = read_rules(("groups:\n- rules:\n" + indent(text, "  ")).encode(), file="r.yaml")
    unreadable = (read.unreadable,) if read.unreadable is not None else ()
    return RuleFiles(alerts=read.alerts, files=1, unreadable=unreadable, unmatched=())


def checked(text: str, ownership_map: OwnershipMap = MAP) -> tuple[Coverage, list[Finding]]:
    return coverage_of(rule_files(text), ownership_map, today=TODAY)


def a_rule(name: str = "A", /, **labels: str) -> AlertRule:
    return AlertRule(
        file="r.yaml", line=1, column=1, end_column=None, name=name, labels=labels, annotations={},
        label_places=dict.fromkeys(labels, START), group="g",
    )  # fmt: skip


def files_with(*rules: AlertRule) -> RuleFiles:
    return RuleFiles(alerts=rules, files=1, unreadable=(), unmatched=())


# -- figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        pytest.param(a_rule(team="data"), "owned by data, label", id="a team's id"),
        pytest.param(a_rule(team="billing"), "owned by payments, label", id="an alias"),
        pytest.param(a_rule(team="growth"), "owned by payments, label", id="a dissolved team's successor"),
        pytest.param(a_rule(team="", owner="data"), "owned by data, label", id="the first that is not empty"),
        pytest.param(a_rule(service="search"), "owned by data, service", id="a service"),
        pytest.param(a_rule(cronjob="close"), "owned by payments, job", id="a job"),
        pytest.param(a_rule("Named"), "owned by data, rule", id="a rule, by alertname"),
        pytest.param(a_rule("A", alertname="Named"), "orphan", id="the name is alertname, whatever a label says"),
        pytest.param(a_rule(namespace="etl"), "owned by data, namespace", id="a namespace"),
        pytest.param(a_rule(cluster="eu-1"), "owned by data, override", id="an override"),
        pytest.param(a_rule(), "orphan", id="nothing"),
        pytest.param(a_rule(team="perf"), "orphan", id="an unknown team"),
        pytest.param(a_rule(env="lab"), "dropped", id="a rule that drops"),
        pytest.param(a_rule(cluster="lab"), "dropped", id="an override that drops"),
        pytest.param(a_rule(team="{{ $labels.team }}"), "templated", id="a template"),
        pytest.param(a_rule(team="{{ .Values.team }}"), "templated", id="a template of Helm"),
        pytest.param(a_rule(team="team-{{ $labels.x }}"), "templated", id="a template inside a value"),
        pytest.param(a_rule(team="", owner="{{ $labels.x }}"), "templated", id="a template, the first not empty"),
        pytest.param(a_rule(team="data", owner="{{ $labels.x }}"), "owned by data, label", id="a template, not asked"),
        pytest.param(a_rule(team="{{ $labels.x }}", owner="data"), "templated", id="a template before a team"),
        pytest.param(a_rule("Named", team="{{ $labels.x }}"), "templated", id="a template before a rule"),
        pytest.param(a_rule(team="{{ $labels.x }}", env="lab"), "templated", id="a template before a rule that drops"),
        pytest.param(a_rule(team="{{ $labels.x }}", cluster="eu-1"), "owned by data, override", id="after an override"),
        pytest.param(a_rule(team="{{ $labels.x }}", cluster="lab"), "dropped", id="after an override that drops"),
        pytest.param(a_rule(service="{{ $labels.service }}"), "templated", id="a template that may name a service"),
        pytest.param(a_rule(pod="{{ $labels.pod }}"), "orphan", id="a template in a label that names nobody"),
        pytest.param(
            a_rule("{{ .Values.x }}", namespace="etl"), "owned by data, namespace", id="a template as the name"
        ),
    ],
)
def test_what_becomes_of_a_rule(rule: AlertRule, outcome: str) -> None:
    """Every alert rule is owned, templated, dropped or an orphan, by the labels that it says itself."""
    coverage, _ = coverage_of(files_with(rule), MAP, today=TODAY)
    told = [f"owned by {team}, {stage}" for team in coverage.by_team for stage in coverage.by_stage]
    told += ["templated"] * coverage.templated + ["dropped"] * coverage.dropped + ["orphan"] * coverage.orphans
    assert told == [outcome]


def test_the_ladder_of_the_map_counts() -> None:
    """Where rules are asked before the label, a rule decides although the label is a template."""
    ladder = a_map("""\
        resolve: [override, rule, label, job, service, namespace]
        rules:
          - {id: named, match: {alertname: Named}, owner: data}
        """)
    coverage, _ = coverage_of(files_with(a_rule("Named", team="{{ $labels.x }}")), ladder, today=TODAY)
    assert (coverage.owned, coverage.templated) == (1, 0)


def test_overrides_count_by_the_day() -> None:
    """An override that has ended owns nothing."""
    coverage, _ = coverage_of(files_with(a_rule(cluster="eu-1")), MAP, today=date(2026, 11, 22))
    assert (coverage.owned, coverage.orphans) == (0, 1)


words = st.sampled_from(["data", "billing", "growth", "perf", "", "{{ x }}", "lab", "eu-1", "search", "close", "etl"])
label_names = st.sampled_from(["team", "owner", "env", "cluster", "service", "cronjob", "namespace", "severity"])


@given(st.lists(st.tuples(st.sampled_from(["A", "Named", "{{ x }}"]), st.dictionaries(label_names, words)), max_size=8))
def test_the_figures_add_up(told: list[tuple[str, Mapping[str, str]]]) -> None:
    """Every alert rule is counted once, and every owned one once by stage and once by team."""
    coverage, findings = coverage_of(files_with(*(a_rule(name, **labels) for name, labels in told)), MAP, today=TODAY)
    assert coverage.alerts == len(told)
    assert coverage.alerts == coverage.owned + coverage.templated + coverage.dropped + coverage.orphans
    assert coverage.owned == sum(coverage.by_stage.values()) == sum(coverage.by_team.values())
    assert len(set(findings)) == len(findings)


# -- findings ------------------------------------------------------------------------------------------------------


def told_of(findings: list[Finding]) -> list[str]:
    return [f"{finding.line}:{finding.column}-{finding.end_column} {finding.code}" for finding in findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("- alert: A", ["3:12-13 OWN701", "3:12-13 OWN704"], id="nobody"),
        pytest.param(
            "- {alert: A, labels: {severity: page}}", ["3:13-14 OWN702", "3:13-14 OWN704"], id="nobody, critical"
        ),
        pytest.param(
            "- {alert: A, labels: {severity: '{{ $labels.s }}'}}",
            ["3:13-14 OWN701", "3:13-14 OWN704"],
            id="nobody, perhaps critical",
        ),
        pytest.param("- {labels: {severity: critical, env: lab}, alert: A}", [], id="dropped, critical"),
        pytest.param(
            "- {alert: A, labels: {severity: critical, team: '{{ $labels.t }}'}}",
            ["3:13-14 OWN704"],
            id="templated, critical",
        ),
        pytest.param("- {alert: A, labels: {team: payments}}", [], id="owned, the team's runbook"),
        pytest.param("- {alert: A, labels: {team: data}}", ["3:13-14 OWN704"], id="owned, no runbook"),
        pytest.param("- {alert: A, labels: {team: data, service: docs}}", [], id="the service's runbook"),
        pytest.param("- {alert: Known}", [], id="the rule's runbook, with the name put in"),
        pytest.param("- {alert: A, labels: {team: data}, annotations: {runbook: https://x.example}}", [], id="its own"),
        pytest.param(
            "- {alert: A, labels: {team: data}, annotations: {runbook_url: '{{ $labels.url }}'}}", [], id="a template"
        ),
        pytest.param(
            "- {alert: A, labels: {team: data}, annotations: {runbook_url: see the wiki}}",
            ["3:13-14 OWN704"],
            id="a runbook that is no address",
        ),
        pytest.param("- {alert: A, labels: {team: billing}}", ["3:31-38 OWN703"], id="an alias"),
        pytest.param("- {alert: A, labels: {team: \"growth\"}}", ["3:31-39 OWN703"], id="dissolved"),
        pytest.param(
            "- {alert: A, labels: {team: perf, env: lab}}", ["3:31-35 OWN703"], id="unknown, although it is dropped"
        ),
        pytest.param(
            "- alert: A\n  labels:\n    team: perf\n    owner: growth\n",
            ["3:12-13 OWN701", "3:12-13 OWN704", "5:13-17 OWN703"],
            id="unknown, and nobody; a label that is not asked says nothing",
        ),
    ],
)  # fmt: skip
def test_places(text: str, expected: list[str]) -> None:
    """A finding stands at the rule's name, and OWN703 at the label's value."""
    _, (summary, *findings) = checked(text)
    assert summary.code == "OWN705"
    assert told_of(findings) == expected


def test_a_label_of_a_group_is_one_finding() -> None:
    """However many rules have it."""
    read = read_rules(b"groups: [{labels: {team: billing}, rules: [{alert: A}, {alert: B}]}]", file="r.yaml")
    _, findings = coverage_of(files_with(*read.alerts), MAP, today=TODAY)
    assert told_of(findings) == ["1:1-None OWN705", "1:26-33 OWN703"]


@pytest.mark.parametrize(
    ("team", "message", "help"),
    [
        pytest.param("perf", 'team="perf" is not a team', "write the id of a team of the map", id="unknown"),
        pytest.param(
            "paymnts", 'team="paymnts" is not a team; did you mean "payments"?', "write team: payments", id="misspelt"
        ),
        pytest.param(
            "bililng",
            'team="bililng" is not a team; did you mean "billing"?',
            "write team: payments",
            id="misspelt alias",
        ),
        pytest.param("billing", 'team="billing" is another name of "payments"', "write team: payments", id="an alias"),
        pytest.param(
            "growth", 'team="growth" is a dissolved team; "payments" took over', "write team: payments", id="dissolved"
        ),
        pytest.param(
            "marketing",
            'team="marketing" means "growth", a dissolved team; "payments" took over',
            "write team: payments",
            id="an alias of a dissolved team",
        ),
    ],
)
def test_what_to_write_instead(team: str, message: str, help: str) -> None:
    """OWN703 says which team is meant, and the id to write."""
    _, findings = coverage_of(files_with(a_rule(team=team)), MAP, today=TODAY)
    (finding,) = (finding for finding in findings if finding.code == "OWN703")
    assert (finding.message, finding.help) == (message, help)


def test_where_the_team_is() -> None:
    """An old name leads to the team in the map."""
    _, findings = coverage_of(files_with(a_rule(team="billing")), MAP, today=TODAY)
    (related,) = next(finding.related for finding in findings if finding.code == "OWN703")
    team = MAP.teams["payments"].place
    assert (related.file, related.line, related.column) == (team.file, team.line, team.column)


@pytest.mark.parametrize(
    ("labels", "claim"),
    [
        pytest.param({"cronjob": "tidy", "namespace": "x"}, 'the job "tidy"', id="a job"),
        pytest.param({"service": "refunds", "namespace": "x"}, 'the service "refunds"', id="a service"),
        pytest.param({"namespace": "x"}, 'the namespace "x"', id="a namespace"),
        pytest.param({}, "it with a rule", id="nothing but its name"),
    ],
)
def test_how_to_claim_an_orphan(labels: Mapping[str, str], claim: str) -> None:
    """By a label on the rule, or by the strongest evidence that it has."""
    _, findings = coverage_of(files_with(a_rule(**labels)), MAP, today=TODAY)
    orphan = next(finding for finding in findings if finding.code == "OWN701")
    assert orphan.message == 'nobody owns the alert rule "A", judging by its labels'
    assert orphan.help == f"give it the label `team` with the id of a team, or claim {claim} in the map"


def test_names_that_are_no_words() -> None:
    """A message is one line, whatever a rule is called."""
    _, findings = coverage_of(files_with(a_rule('a"\n' + "b" * 200, team="x\ny")), MAP, today=TODAY)
    assert all("\n" not in finding.message and len(finding.message) < 250 for finding in findings)


def test_an_unreadable_file() -> None:
    """It is one OWN701, where reading stopped; the rules before it count."""
    coverage, findings = checked("- {alert: A, labels: {team: payments}}\n- alert: {\n")
    assert (coverage.files, coverage.unreadable, coverage.alerts, coverage.owned) == (1, 1, 1, 1)
    (finding,) = (finding for finding in findings if finding.code != "OWN705")
    assert (finding.code, finding.severity, finding.file, finding.line) == (
        "OWN701",
        FindingSeverity.WARNING,
        "r.yaml",
        4,
    )
    assert finding.message.startswith("this rule file cannot be read from here on: ")


def test_no_rules_no_summary() -> None:
    """Files without alert rules are passed over, and figures about nothing are not told."""
    nothing = RuleFiles(alerts=(), files=3, unreadable=(), unmatched=())
    coverage, findings = coverage_of(nothing, MAP, today=TODAY)
    assert (coverage.files, coverage.alerts, coverage.by_stage, coverage.by_team) == (0, 0, {}, {})
    assert findings == []


def test_the_summary() -> None:
    """One line about all, at the start of the map; the teams with the most rules by name."""
    teams = "".join(f"  t{number}:\n    channel: {{name: t{number}, id: C0TEAM{number:04}}}\n" for number in range(7))
    head = f"version: 1\nfallback:\n  channel: {{name: orphans, id: C0ORPHANS1}}\nteams:\n{teams}"
    rules = [a_rule(team=f"t{number}") for number in range(7) for _ in range(number + 1)]
    coverage = a_map(head=head)
    _, (summary, *_) = coverage_of(files_with(*rules, a_rule(), a_rule(team="{{ x }}")), coverage, today=TODAY)
    assert (summary.code, summary.severity, summary.file) == ("OWN705", FindingSeverity.INFO, coverage.file)
    assert summary.message == (
        "alert rules: 30 in 1 file (0 unreadable); owned: 28 by label 28; owner known only when they fire: 1; "
        "dropped: 0; owned by nobody: 1; teams: t6 7, t5 6, t4 5, t3 4, t2 3 and 2 more"
    )


# -- two organisations ---------------------------------------------------------------------------------------------

KUBE: Final = Coverage(
    files=6, unreadable=1, alerts=42, owned=34, templated=2, dropped=2, orphans=4,
    by_stage={"rule": 34}, by_team={"platform": 23, "storage": 7, "observability": 4},
)  # fmt: skip
SHOP: Final = Coverage(
    files=4, unreadable=0, alerts=17, owned=11, templated=2, dropped=1, orphans=3,
    by_stage={"label": 7, "job": 1, "namespace": 1, "override": 1, "service": 1},
    by_team={"payments": 8, "data-platform": 3},
)  # fmt: skip
KUBE_FOUND: Final = """\
charts/etcd.yaml:29:14: OWN702 etcdInsufficientMembers
charts/etcd.yaml:29:14: OWN704 etcdInsufficientMembers
charts/etcd.yaml:39:14: OWN704 etcdHighCommitDurations
charts/ingress.yaml:9:14: OWN701 IngressCertificateExpires
charts/ingress.yaml:9:14: OWN704 IngressCertificateExpires
charts/ingress.yaml:14:21: OWN701
kubernetes-apps.yaml:79:14: OWN704 KubePersistentVolumeErrors
node.yaml:18:16: OWN704 NodeFilesystemSpaceFillingUp
node.yaml:22:16: OWN704 NodeFilesystemSpaceFillingUp
node.yaml:26:16: OWN704 NodeFilesystemAlmostOutOfSpace
node.yaml:30:16: OWN704 NodeRAIDDegraded
prometheus.yaml:9:14: OWN701 TargetDown
prometheus.yaml:9:14: OWN704 TargetDown
prometheus.yaml:45:14: OWN701 ConfigReloaderSidecarErrors
prometheus.yaml:45:14: OWN704 ConfigReloaderSidecarErrors
"""
SHOP_FOUND: Final = """\
checkout.yml:23:20: OWN703 billing
checkout.yml:25:17: OWN704 RefundsStuck
checkout.yml:26:17: OWN704 RefundsLate
growth.yml:9:17: OWN703 growth
growth.yml:16:16: OWN704 BannersMissing
growth.yml:20:17: OWN703 marketing
teams/data.yaml:12:14: OWN704 JobSlow
teams/data.yaml:17:14: OWN704 JobSlowInLab
teams/edge.yaml:4:16: OWN704 EdgeCertificateExpires
teams/edge.yaml:7:16: OWN702 EdgeErrors
teams/edge.yaml:7:16: OWN704 EdgeErrors
teams/edge.yaml:10:17: OWN703 egde
teams/edge.yaml:12:16: OWN701 EdgeLatency
teams/edge.yaml:12:16: OWN704 EdgeLatency
teams/edge.yaml:15:17: OWN703 perf
teams/edge.yaml:20:16: OWN701 DnsSlow
teams/edge.yaml:20:16: OWN704 DnsSlow
"""


@pytest.mark.parametrize(
    ("folder", "figures", "found"),
    [pytest.param("kube", KUBE, KUBE_FOUND, id="kube"), pytest.param("shop", SHOP, SHOP_FOUND, id="shop")],
)
def test_two_organisations(folder: str, figures: Coverage, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures and places over all shapes of rule files; what stands at a place is what the finding is about."""
    monkeypatch.chdir(RULES / folder / "rules")
    coverage, (summary, *findings) = coverage_of(
        read_rule_files(["**/*.y*ml"]), load_map(Path("../ownership.yaml")), today=TODAY
    )
    assert coverage == figures
    assert summary.file.endswith(f"{folder}/ownership.yaml")
    assert "".join(f"{told(finding)}\n" for finding in findings) == found


def told(finding: Finding) -> str:
    """The place and code of a finding, and what stands there."""
    place = f"{finding.file}:{finding.line}:{finding.column}: {finding.code}"
    if finding.end_column is None:
        return place
    line = Path(finding.file).read_text(encoding="utf-8").splitlines()[finding.line - 1]
    return f"{place} {line[finding.column - 1 : finding.end_column - 1]}"


def test_help_for_an_unreadable_file() -> None:
    """Whoever has a template is told what to look at."""
    stopped = Unreadable(file="r.yaml", line=7, column=2, reason="no key")
    _, (finding,) = coverage_of(RuleFiles(alerts=(), files=1, unreadable=(stopped,), unmatched=()), MAP, today=TODAY)
    assert (finding.line, finding.column, finding.help) == (
        7,
        2,
        "repair it; if it is a template, check what it renders",
    )


def test_the_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page shows word for word what its command says about its files."""
    page = text_of("docs/how-to/check-rule-coverage.md")
    for block in blocks(page, "yaml"):
        file = tmp_path / block.split("\n", 1)[0].removeprefix("# ")
        file.parent.mkdir(exist_ok=True)
        file.write_text(block, encoding="utf-8")
    (shown,) = blocks(page, "console")
    command, *printed = shown.splitlines()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, shlex.split(command.removeprefix("$ router ")))
    assert done.stdout.splitlines() == printed
    assert done.exit_code == 1
