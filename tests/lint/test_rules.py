"""What rules, overrides, services and jobs take from each other: OWN201 to OWN205, OWN209, OWN211 to OWN214."""

import pytest

from router.lint import rules
from tests.lint.marked_maps import ROOT, at_marks, found, told


def ordered(*entries: str, section: str = "rules") -> str:
    """A map of entries such as "§one: a: env=x, host=y until 2026-12-31": id, owner or "drop", matchers, last day."""
    lines = [ROOT + f"{section}:"]
    for entry in entries:
        name, owner, rest = (part.strip() for part in entry.split(":", 2))
        match, _, expires = rest.partition(" until ")
        lines.append(f"  - id: {name}")
        lines.append(f"    match: ['{match}']")
        lines.append("    drop: true" if owner == "drop" else f"    owner: {owner}")
        lines.append("    reason: known")
        lines += [f"    expires: {expires}"] if expires else []
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(["§x: a: env=a, env=b"], "OWN201 error", id="two values"),
        pytest.param(['§x: a: env=prod, env=~"dev.*"'], "OWN201 error", id="an expression excludes the value"),
        pytest.param(["§x: a: env=a, env!=a"], "OWN201 error", id="a value and not"),
        pytest.param(["§x: a: env=a, env=b until 2026-01-01"], "OWN201 error", id="also after its end"),
        pytest.param(["§x: a: env=a, env=b", "y: b: env=a"], "OWN201 error", id="takes nothing from others"),
        pytest.param(["x: a: env=a, env!=b"], "", id="a value and not another"),
    ],
)
def test_what_can_never_match(entries: list[str], codes: str) -> None:
    """Matchers that exclude each other."""
    text = ordered(*entries)
    assert told(rules.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(["¤x: a: env=a", "§y: b: env=a, host=h"], "OWN202 error ~", id="one condition more"),
        pytest.param(["¤x: a: env=a", "§y: a: env=a, host=h"], "OWN202 error ~", id="of the same owner"),
        pytest.param(["¤x: drop: env=a", "§y: a: env=a, host=h"], "OWN202 error ~", id="by one that drops"),
        pytest.param(['¤x: a: env=~"a.*"', '§y: b: env=~"ab.*"'], "OWN202 error ~", id="by an expression"),
        pytest.param(["w: a: host=h", "¤x: a: env=a", "§y: b: env=a"], "OWN202 error ~", id="the same, another owner"),
        pytest.param(["¤x: a: env=a", "§y: drop: env=a"], "OWN202 error ~", id="the same, dropped"),
        pytest.param(['¤x: a: env=~"(?i)a.*"', "§y: b: env=ab"], "OWN202 error ~", id="RE2 knows, whatever the syntax"),
        pytest.param(["x: a: env=a, host=h", "y: a: env=a"], "", id="the narrower first"),
        pytest.param(["x: a: env=a", "y: b: host=h"], "", id="nothing to do with each other"),
        pytest.param(['x: a: env=~"(?i)a.*"', 'y: a: env=~"ab.*"'], "", id="no proof, no word"),
    ],
)
def test_what_one_takes_from_another(entries: list[str], codes: str) -> None:
    """The first that fits takes an alert; what is left with nothing is an error that names the taker."""
    text = ordered(*entries)
    assert told(rules.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(["¤x: a: env=a", "§y: a: env=a"], "OWN204 warning ~", id="word for word"),
        pytest.param(["¤x: a: env=a", '§y: old: env=~"a"'], "OWN204 warning ~", id="an alias, written otherwise"),
        pytest.param(["¤x: drop: env=a", "§y: drop: env=a"], "OWN204 warning ~", id="both dropped"),
        pytest.param(['¤x: a: env=~"(a|b)+"', '§y: a: env=~"[ab]+"'], "OWN204 warning ~", id="the same expression"),
    ],
)
def test_what_is_there_twice(entries: list[str], codes: str) -> None:
    """The same matchers with the same answer: harmless, and only that is told."""
    text = ordered(*entries)
    assert told(rules.check, text) == at_marks(codes, text)


def test_rules_without_an_answer_give_none_twice() -> None:
    """What a rule without owner and `drop` was to say is not known: only that it is missing is told."""
    rule = "  - {id: %s, match: {env: a}}\n"
    assert told(rules.check, ROOT + "rules:\n" + rule % "x" + rule % "y") == []


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(["¤x: a: env=a", "¤y: a: env=b", '§z: b: env=~"a|b"'], "OWN203 warning ~ ~", id="two values"),
        pytest.param(
            ["¤x: a: env=a, t=t", "¤y: a: env!=a, t=t", "§z: b: t=t"], "OWN203 warning ~ ~", id="one value, all others"
        ),
        pytest.param(
            ['¤x: a: env=~"a.*", t=t', '¤y: a: env!~"a.*", t=t', "§z: b: t=t, host=h"],
            "OWN203 warning ~ ~",
            id="an expression, all others",
        ),
        pytest.param(
            ['¤x: a: env="", t=t', '¤y: a: env=~"a.*", t=t', '¤w: a: env!~"a.*", env!="", t=t', "§z: b: t=t"],
            "OWN203 warning ~ ~ ~",
            id="missing, an expression, all others",
        ),
        pytest.param(
            ["¤x: a: host=h", "w: a: env=c, t=t", "¤y: a: host=i", '§z: b: host=~"h|i"'],
            "OWN203 warning ~ ~",
            id="with one between that takes little",
        ),
        pytest.param(["x: a: env=a, host=h", "y: a: env=b", 'z: a: env=~"a|b"'], "", id="one takes too little"),
        pytest.param(["x: a: env=a", "y: a: env=b", 'z: a: env=~"a|b|c"'], "", id="a value is left"),
        pytest.param(['x: a: env=~".+"', 'y: a: env=""', "z: a: t=t"], "", id="a line feed is left"),
    ],
)
def test_what_several_take_together(entries: list[str], codes: str) -> None:
    """Each takes some values of one label; all of them are named."""
    text = ordered(*entries)
    assert told(rules.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(
            ["¤x: a: env=a until 2026-12-31", "§y: b: env=a, host=h until 2026-12-31"],
            "OWN202 error ~",
            id="for all of its time",
        ),
        pytest.param(["x: a: env=a until 2026-12-30", "y: b: env=a, host=h until 2026-12-31"], "", id="not for all"),
        pytest.param(["x: a: env=a until 2026-11-21", "y: b: env=a, host=h until 2026-12-31"], "", id="it has ended"),
        pytest.param(
            ["x: a: env=a until 2026-12-31", "y: b: env=a, host=h until 2026-11-21"], "", id="both, one ended"
        ),
    ],
)
def test_overrides(entries: list[str], codes: str) -> None:
    """Overrides only meet overrides, and those that are in force."""
    text = ordered(*entries, section="overrides") + "rules:\n  - {id: r, match: {env: a}, owner: b}\n"
    assert told(rules.check, text) == at_marks(codes, text)


def test_a_rule_that_ends_shadows_only_until_then() -> None:
    """What it hides comes to light by itself."""
    assert told(rules.check, ordered("x: a: env=a until 2026-12-31", "y: b: env=a, host=h")) == []


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(['¤x: a: env=~"p|q"', '§y: b: env=~"q|r"'], "OWN205 warning ~", id="lists"),
        pytest.param(
            ['¤x: a: env=~"p|q"', '§y: b: env=~"q|r", host=h'], "OWN205 warning ~", id="the later one also asks more"
        ),
        pytest.param(['¤x: a: env=~"pay-.*-eu"', '§y: b: env=~"pay-x.*"'], "OWN205 warning ~", id="expressions"),
        pytest.param(['¤x: a: env=~"(p|q)-.*"', '§y: b: env=~"(q|r)-.*"'], "OWN205 warning ~", id="groups"),
        pytest.param(['¤x: a: env=~"p-.*"', '§y: b: env=~"p-1|q-1"'], "OWN205 warning ~", id="an expression, a list"),
        pytest.param(["¤x: a: env!=p, t=t", "§y: b: env!=q, t=t"], "OWN205 warning ~", id="all but different ones"),
        pytest.param(
            ['¤w: a: env=~"p|r"', '¤x: a: env=~"p|q"', '§y: b: env=~"q|r|s"'], "OWN205 warning ~ ~", id="with two"
        ),
        pytest.param(['x: a: env=~"p|q"', 'y: a: env=~"q|r"'], "", id="of one owner"),
        pytest.param(["x: a: env=p, host=h", "y: b: env=p"], "", id="specific first, then general"),
        pytest.param(['x: a: env=~"p-1|q-1"', 'y: b: env=~"p-.*"'], "", id="a list first, then an expression"),
        pytest.param(['x: a: env=~"p-.*", t=t', "y: b: env!=p-1, t=t"], "", id="an expression first, then all but one"),
        pytest.param(['x: a: env=~"p|q", host=h', "y: b: env=p"], "", id="the earlier one asks more"),
        pytest.param(["x: a: env=p", "y: b: host=h"], "", id="different labels: only people can settle it"),
        pytest.param(['x: drop: env=~"p|q"', 'y: b: env=~"q|r"'], "", id="to drop first is meant"),
        pytest.param(['x: a: host=~"db-.*"', 'y: b: host=~".*-tokyo"'], "", id="meets in names that nobody may have"),
        pytest.param(['x: a: env=~"p|q"', 'y: b: env=~"r|s"'], "", id="nothing shared"),
    ],
)
def test_what_the_order_decides(entries: list[str], codes: str) -> None:
    """Two teams, the same alerts, and neither rule the exception of the other."""
    text = ordered(*entries)
    assert told(rules.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(["§x: a: ", "y: a: env=a"], "OWN211 warning", id="no matcher"),
        pytest.param(["§x: a: {}", "y: a: env=a"], "OWN211 warning", id="braces"),
        pytest.param(['§x: a: env=~".*"', "y: a: host=h"], "OWN211 warning", id="any value"),
        pytest.param(["y: a: env=a", "x: a: "], "", id="at the end"),
        pytest.param(["§x: drop: "], "OWN214 warning", id="drops, no matcher"),
        pytest.param(["y: a: env=a", "§x: drop: env!=dev"], "OWN214 warning", id="drops all but some"),
        pytest.param(['§x: drop: env=""'], "OWN214 warning", id="drops what lacks a label"),
        pytest.param(["x: drop: env=dev"], "", id="drops some"),
        pytest.param(['x: drop: env=~".+", host!=h'], "", id="drops what has a label"),
    ],
)
def test_what_takes_everything(entries: list[str], codes: str) -> None:
    """A rule for everything before others; a rule that drops what it does not name, wherever it stands."""
    text = ordered(*entries)
    assert [finding for finding in told(rules.check, text) if "OWN202" not in finding] == at_marks(codes, text)


def test_what_stands_below_a_rule_for_everything_is_told_too() -> None:
    """The rule is in the wrong place, and each of the others is out of reach."""
    text = ordered("§¤x: a: ", "§y: a: env=a")
    assert told(rules.check, text) == at_marks("OWN211 warning, OWN202 error ~", text)


@pytest.mark.parametrize(
    ("match", "codes"),
    [
        pytest.param("[§'env!=dev']", "OWN209 warning", id="not a value"),
        pytest.param("[§'env!~\"dev.*\"']", "OWN209 warning", id="not an expression"),
        pytest.param("[§'env=~\".*\"']", "OWN209 warning", id="any value"),
        pytest.param("[§'env!=dev', §'host!=h']", "OWN209 warning, OWN209 warning", id="each of them"),
        pytest.param("['env!=dev', 'alertname=X']", "", id="beside a value"),
        pytest.param("['env!=dev', 'env=~\".+\"']", "", id="and present"),
        pytest.param("['env!=dev', 'env!=\"\"']", "", id="and not missing"),
        pytest.param("['team=\"\"']", "", id="missing, and said so"),
        pytest.param("['']", "", id="everything, and said so"),
    ],
)
@pytest.mark.parametrize("section", ["rules", "services", "jobs"])
def test_what_alerts_without_the_label_fit(section: str, match: str, codes: str) -> None:
    """Conditions that say only what is not meant, with nothing else to go by."""
    entry = f"  - {{id: x, match: {match}, owner: a}}" if section == "rules" else f"  x: {{owner: a, match: {match}}}"
    text = f"{ROOT}{section}:\n{entry}\n"
    assert told(rules.check, text) == at_marks(codes, text)


@pytest.mark.parametrize(
    ("entries", "codes"),
    [
        pytest.param(["¤x: {owner: a, match: {env: [p, q]}}", "§y: {owner: b, match: {env: q}}"],
                     "OWN212 warning ~", id="one value"),
        pytest.param(["¤x: {owner: a, match: {env: p, host: h}}", "§y: {owner: b, match: {env: p}}"],
                     "OWN212 warning ~", id="one asks more, the earlier"),
        pytest.param(["¤x: {owner: a, match: {env: p}}", "§y: {owner: b, match: {env: p, host: h}}"],
                     "OWN212 warning ~", id="one asks more, the later"),
        pytest.param(["¤x: {owner: a, match: ['env=~\"p-.*\"']}", "§y: {owner: b, match: {env: p-1}}"],
                     "OWN212 warning ~", id="an expression"),
        pytest.param(["§x: {owner: a, match: ['env=p,env=q']}", "y: {owner: b, match: {env: q}}"],
                     "OWN201 error", id="a match that nothing fits"),
        pytest.param(["x: {owner: a, match: {env: p}}", "y: {owner: old, match: {env: p}}"], "", id="of one owner"),
        pytest.param(["x: {owner: a, match: {env: p}}", "y: {owner: b, match: {env: q}}"], "", id="nothing shared"),
        pytest.param(["x: {owner: a, match: {env: p}}", "y: {owner: b, match: {host: h}}"], "", id="other labels"),
        pytest.param(["x: {owner: a}", "y: {owner: b, match: {env: p}}"], "", id="no match"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("section", ["services", "jobs"])
def test_what_two_claim(section: str, entries: list[str], codes: str) -> None:
    """Services, or jobs, of two owners that fit the same alerts; the later one is named."""
    text = "\n".join([f"{ROOT}{section}:", *(f"  {entry}" for entry in entries)]) + "\n"
    assert told(rules.check, text) == at_marks(codes, text)


def test_a_service_and_a_job_do_not_dispute() -> None:
    """They are asked one after the other."""
    text = f"{ROOT}services:\n  x: {{owner: a, match: {{env: p}}}}\njobs:\n  x: {{owner: b, match: {{env: p}}}}\n"
    assert told(rules.check, text) == []


@pytest.mark.parametrize(
    ("scope", "body", "codes"),
    [
        pytest.param("{namespace: [pay, pay-eu]}", "rules:\n  - {id: §x, match: {namespace: etl}, owner: a}",
                     "OWN213 error", id="another value"),
        pytest.param("{namespace: [pay, pay-eu]}", "rules:\n  - {id: §x, match: {alertname: X}, owner: a}",
                     "OWN213 error", id="without the label"),
        pytest.param("{namespace: [pay, pay-eu]}", "rules:\n  - {id: §x, match: ['namespace=~\"pay.*\"'], owner: a}",
                     "OWN213 error", id="a wider expression"),
        pytest.param("['namespace=~\"pay.*\"']", "rules:\n  - {id: x, match: ['namespace=~\"pay-e.*\"'], owner: a}",
                     "", id="a narrower expression"),
        pytest.param("['namespace!=\"kube-system\"']", "rules:\n  - {id: x, match: {namespace: pay}, owner: a}",
                     "", id="all but some"),
        pytest.param("['namespace=~\".+\"']", "rules:\n  - {id: x, match: ['namespace!=\"\"'], owner: a}",
                     "", id="nobody has line feeds"),
        pytest.param("['namespace=~\"(?i)pay.*\"']", "rules:\n  - {id: x, match: ['namespace=~\"pay-.*\"'], owner: a}",
                     "", id="no proof, no word"),
        pytest.param("{namespace: pay}", "services:\n  x: {owner: a}\n  §y: {owner: a, match: {namespace: etl}}",
                     "OWN213 error", id="a service; without match it is a name"),
        pytest.param("{namespace: pay}", "jobs:\n  §y: {owner: a, match: {cronjob: close}}",
                     "OWN213 error", id="a job"),
        pytest.param("{namespace: pay}", "jobs:\n  y: {owner: a, match: {namespace: pay, cronjob: close}}",
                     "", id="a job within"),
        pytest.param("['namespace=~\"pay.*\"']", "namespaces: {pay: a, pay-eu: a, pay-*: a, 'pay?': a, §etl: a}",
                     "OWN213 error", id="namespaces"),
        pytest.param("{namespace: [pay, pay-eu]}", "namespaces: {§pay*: a}", "OWN213 error", id="a wider glob"),
        pytest.param("{exported_namespace: pay}", "namespaces: {pay: a}", "", id="any namespace label"),
        pytest.param("{team: pay}", "namespaces: {§pay: a}", "OWN213 error", id="a scope without namespace"),
    ],
)  # fmt: skip
def test_what_is_outside_of_its_files_scope(scope: str, body: str, codes: str) -> None:
    """A team's file may say only what its scope allows."""
    text = "include: [team.yaml]\n" + ROOT
    team = f"scope: {scope}\n{body}\n"
    assert told(rules.check, text, team=team) == at_marks(codes, text, team=team)


def test_the_order_goes_on_in_the_next_file() -> None:
    """A rule of the root takes from those of included files; it cannot be moved, only narrowed."""
    text = "include: [team.yaml]\n" + ordered("¤x: a: env=a")
    team = "rules:\n  - {id: §y, match: {env: a, host: h}, owner: b}\n"
    assert told(rules.check, text, team=team) == at_marks("OWN202 error ~", text, team=team)
    (finding,) = found(rules.check, text, team=team)
    assert finding.help == 'narrow "x", or delete it'


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        pytest.param(
            ordered(
                'kube-nodes: a: alertname=~"KubeNode.+"', "kube-nodes-eu: b: alertname=KubeNodeNotReady, cluster=eu"
            ),
            'rule "kube-nodes-eu" can never match: every alert it matches is taken by "kube-nodes"',
            'move it above "kube-nodes", or delete it',
            id="OWN202",
        ),
        pytest.param(
            ordered("x: a: env=a", "y: b: env=b", 'z: b: env=~"a|b"'),
            'rule "z" can never match: every alert it matches is taken by "x" and "y"',
            "move it above them, or delete it",
            id="OWN203",
        ),
        pytest.param(
            ordered('x: a: env=~"p|q"', 'y: b: env=~"q|r", host=h'),
            'rule "y" of "b" overlaps with "x" of "a", which stands above it and takes env="q", host="h"',
            "let only one of them match these",
            id="OWN205",
        ),
        pytest.param(
            ordered("x: a: env=a, env!=a"),
            'rule "x" can never match: no value of "env" fits env="a" and env!="a"',
            "all matchers must hold; to let one of several values fit, write env: [one, other]",
            id="OWN201",
        ),
    ],
)
def test_what_is_said(text: str, message: str, advice: str) -> None:
    """What is wrong, with the names that a person needs, and what to do."""
    (finding,) = found(rules.check, text)
    assert (finding.message, finding.help) == (message, advice)


KUBERNETES = """
services:
  refund-api: {owner: a, match: {namespace: [refunds, refunds-eu], container: api}}
  refund-export: {owner: b, match: {namespace: [refunds, refunds-eu], container: export}}
jobs:
  billing-close: {owner: a, match: {namespace: pay, cronjob: billing-close}}
  exports: {owner: b, match: ['namespace="pay"', 'cronjob=~"export-(jp|eu)-.*"']}
rules:
  - {id: watchdog, match: {alertname: [Watchdog, InfoInhibitor]}, drop: true, reason: heartbeats}
  - {id: pay-disks, match: ['alertname="KubePersistentVolumeFillingUp"', 'namespace=~"pay|pay-.+"'], owner: a}
  - {id: storage, match: ['alertname=~"KubePersistentVolume.+"'], owner: b}
  - {id: nodes, match: ['alertname=~"KubeNode.+|NodeFilesystem.+"', 'cluster!="lab"'], owner: b}
  - {id: lab-nodes, match: ['alertname=~"KubeNode.+|NodeFilesystem.+"'], owner: a}
  - {id: apiserver, match: ['alertname=~"Kube(API|Apiserver).*"', 'job="apiserver"'], owner: b}
  - {id: ingress, match: ['namespace="ingress-nginx"', 'severity=~"critical|warning"'], owner: a}
  - {id: the-rest, match: ['namespace=~"kube-.*|monitoring"'], owner: b}
namespaces: {pay*: a, etl: b}
"""
HOSTS = """
rules:
  - {id: raid, match: ['alertname=~"Raid.+|Smart.+"'], owner: b}
  - {id: databases, match: ['host=~"db[0-9]+\\\\.(tokyo|osaka)\\\\.example\\\\.com"'], owner: a}
  - {id: web, match: ['host=~"(web|lb)[0-9]{2}\\\\..+"', 'env!~"dev|staging"'], owner: b}
  - {id: web-tests, match: ['host=~"(web|lb)[0-9]{2}\\\\..+"'], owner: a}
  - {id: tokyo, match: ['host=~".+\\\\.tokyo\\\\.example\\\\.com"'], owner: b}
  - {id: osaka, match: ['host=~".+\\\\.osaka\\\\.example\\\\.com"'], owner: a}
  - {id: network, match: {job: [snmp, blackbox]}, owner: b}
  - {id: others, match: ['host=~".+"'], owner: a}
"""
SEVERITY_AS_ROUTE = """
rules:
  - {id: batch-pages, match: {severity: page, job: [etl, exports]}, owner: b}
  - {id: pages, match: {severity: [page, critical]}, owner: a}
  - {id: data, match: {severity: [data-task, data-page]}, owner: b}
  - {id: web, match: ['severity=~"web-.+"'], owner: a}
  - {id: releases, match: ['severity="task"', 'alertname=~"Release.*"'], owner: b}
  - {id: tasks, match: {severity: [task, ticket]}, owner: a}
  - {id: nobody-said, match: ['severity=""', 'job!="test"'], owner: a}
  - {id: everything-else, match: [''], owner: b}
overrides:
  - {id: offsite, match: {severity: data-page}, owner: a, expires: 2026-12-31, reason: offsite}
  - {id: freeze, match: {job: exports}, owner: b, expires: 2026-12-01, reason: freeze}
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(KUBERNETES, id="a tree for Kubernetes"),
        pytest.param(HOSTS, id="hosts and sites"),
        pytest.param(SEVERITY_AS_ROUTE, id="severity as the route"),
    ],
)
def test_a_map_in_order(text: str) -> None:
    """Maps as people write them, with their exceptions, expressions and catch-alls at the end, have no finding."""
    assert [f"{finding}" for finding in found(rules.check, ROOT + text)] == []
