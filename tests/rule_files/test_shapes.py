"""Which alert rules there are in what is valid YAML, with what labels, and where."""

from textwrap import dedent

import pytest

from router.ownership_file.document import Span
from router.rule_files import AlertRule
from router.rule_files.reading import read_rules


def alerts_of(text: str) -> list[AlertRule]:
    """The alert rules of a file that is read to its end."""
    read = read_rules(dedent(text).encode(), file="rules.yaml")
    assert read.unreadable is None
    return list(read.alerts)


GROUP = "{name: g, rules: [{alert: A, expr: up}, {record: r, expr: up}, {alert: B, expr: up}]}"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param(f"groups: [{GROUP}]", "A B", id="a plain file"),
        pytest.param(f"namespace: shop\ngroups: [{GROUP}]", "A B", id="with a namespace, as rulers want it"),
        pytest.param(f"[{GROUP}, {GROUP}]", "A B A B", id="a bare list of groups"),
        pytest.param(f"kind: PrometheusRule\nspec: {{groups: [{GROUP}]}}", "A B", id="a PrometheusRule"),
        pytest.param(
            f"kind: PrometheusRule\nspec: {{groups: [{GROUP}]}}\n---\ngroups: [{GROUP}]\n",
            "A B A B",
            id="several documents",
        ),
        pytest.param(
            f"kind: List\nitems: [{{kind: ConfigMap}}, {{kind: PrometheusRule, spec: {{groups: [{GROUP}]}}}}]",
            "A B",
            id="a List",
        ),
        pytest.param("groups: []", "", id="no group"),
        pytest.param("", "", id="an empty file"),
        pytest.param("# nothing\n---\n---\n", "", id="empty documents"),
        pytest.param("just text", "", id="not a mapping"),
        pytest.param("kind: Deployment\nspec: {template: {spec: {}}}", "", id="another object"),
        pytest.param("groups: {rules: 1}\nspec: text\nitems: 3", "", id="other things of those names"),
        pytest.param("groups: [{rules: [{alert: {a: b}}, {alert: ''}, {alert: ~}, alert, {alert: 7}]}]", "7", id="odd"),
        pytest.param("groups: [{rules: [!reference [x, y], {alert: !vault A}]}]", "A", id="tags are passed over"),
        pytest.param("\ufeffgroups: [{rules: [{alert: A}]}]", "A", id="a byte order mark"),
        pytest.param("groups:\r\n- rules:\r\n  - alert: A\r\n  - alert: B\r\n", "A B", id="CRLF"),
        pytest.param("groups: [{rules: [{alert: A, alert: B}]}]", "A", id="of two equal keys the first"),
    ],
)
def test_which_rules_there_are(text: str, names: str) -> None:
    """Every `alert:` of every shape is one alert rule, in the order in which they are written."""
    assert [alert.name for alert in alerts_of(text)] == names.split()


def test_one_rule() -> None:
    """Its labels are those of its group under its own, as text; each with the place of its value."""
    (alert,) = alerts_of("""\
        groups:
          - name: 決済
            labels: {team: payments, tier: 1, env: prod}
            rules:
              - alert: 支払い  # the name
                expr: up
                labels:
                  env: "lab"
                  severity: yes
                  nothing: ~
                  nested: {a: b}
                annotations: {runbook_url: https://example.com, summary: "{{ $value }}"}
        """)
    assert alert == AlertRule(
        file="rules.yaml",
        line=5,
        column=16,
        end_column=19,
        name="支払い",
        labels={"team": "payments", "tier": "1", "env": "lab", "severity": "yes", "nothing": ""},
        annotations={"runbook_url": "https://example.com", "summary": "{{ $value }}"},
        label_places={
            "team": Span(3, 20, 28),
            "tier": Span(3, 36, 37),
            "env": Span(8, 16, 21),
            "severity": Span(9, 21, 24),
            "nothing": Span(10, 20, 21),
        },
        group="決済",
    )


def test_lines_are_those_of_an_editor() -> None:
    """What YAML 1.1 takes for a line break inside a text moves nothing."""
    (alert,) = alerts_of('groups: [{rules: [{expr: "a\u2028b\x85c",\n alert: A}]}]')
    assert (alert.line, alert.column) == (2, 9)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "groups:\n- rules:\n  - {alert: A, labels: &l {team: x}}\n  - {alert: B, labels: *l}\n",
            [("A", {"team": "x"}, 3), ("B", {"team": "x"}, 4)],
            id="labels by alias",
        ),
        pytest.param(
            "groups:\n- rules:\n  - &a {alert: A, labels: {team: x}}\n  - {<<: *a, alert: B}\n",
            [("A", {"team": "x"}, 3), ("B", {"team": "x"}, 4)],
            id="a rule merged into another",
        ),
        pytest.param(
            "groups:\n- rules:\n  - &a {alert: A, labels: &l {team: x, env: y}}\n"
            "  - {alert: B, labels: {<<: [*l, {env: z, tier: '1'}], team: w}}\n",
            [("A", {"team": "x", "env": "y"}, 3), ("B", {"team": "w", "env": "y", "tier": "1"}, 4)],
            id="the first of several merged wins, its own before all",
        ),
        pytest.param(
            "groups:\n- &g {rules: [{alert: A}]}\n- *g\n",
            [("A", {}, 2), ("A", {}, 2)],
            id="a group twice",
        ),
        pytest.param(
            "groups:\n- rules:\n  - {expr: &n A}\n  - {alert: *n, labels: {'<<': x}}\n",
            [("A", {"<<": "x"}, 4)],
            id="a name by alias; a quoted merge key is none",
        ),
    ],
)
def test_anchors(text: str, expected: list[tuple[str, dict[str, str], int]]) -> None:
    """Aliases and merge keys mean what YAML says; a place is where the value is used, of a merged one where it is."""
    assert [(alert.name, alert.labels, alert.line) for alert in alerts_of(text)] == expected


def test_anchors_end_with_their_document() -> None:
    """Another document's anchor is not known, as in YAML."""
    read = read_rules(b"a: &x 1\n---\ngroups: *x\n", file="rules.yaml")
    assert read.unreadable is not None
    assert (read.unreadable.line, read.unreadable.column) == (3, 9)
