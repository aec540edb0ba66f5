"""Helm templates are read without Helm: as far as it goes, with every place where it is in the file."""

from textwrap import dedent

import pytest

from router.rule_files import templates
from router.rule_files.reading import FileRead, read_rules


def read(text: str) -> FileRead:
    return read_rules(dedent(text).encode(), file="chart/rules.yaml")


def labels_of(text: str) -> dict[str, str]:
    """The labels of the only alert rule, in a file that is read to its end."""
    told = read(text)
    assert told.unreadable is None
    (alert,) = told.alerts
    return dict(alert.labels)


RULE = """\
{{- if .Values.enabled }}
groups:
- name: g
  rules:
  - alert: A
    labels:
      %s
{{- end }}
"""


@pytest.mark.parametrize(
    ("label", "value"),
    [
        pytest.param("team: {{ .Values.team }}", "{{ .Values.team }}", id="unquoted"),
        pytest.param('team: "{{ .Values.team }}"', "{{ .Values.team }}", id="quoted"),
        pytest.param(
            'team: "{{ .Values.team | default "x" }}"', '{{ .Values.team | default "x" }}', id="quotes in quotes"
        ),
        pytest.param(
            'team: {{ dig "a" "b: c" .Values.team | quote }}', '{{ dig "a" "b: c" .Values.team | quote }}', id="piped"
        ),
        pytest.param("team: a-{{ .Values.env }}-b", "a-{{ .Values.env }}-b", id="inside a value"),
        pytest.param("team: {{- .Values.team -}}", "{{- .Values.team -}}", id="trimming"),
        pytest.param("team: {{`{{ $labels.team }}`}}", "{{ $labels.team }}", id="escaped for Prometheus"),
        pytest.param("team: '{{`{{`}} $labels.team {{`}}`}}'", "{{ $labels.team }}", id="braces escaped"),
        pytest.param('team: {{ "{{" }} $labels.team {{ "}}" }}', "{{ $labels.team }}", id="braces escaped as strings"),
        pytest.param("team: {{ `payments` }}", "payments", id="an escape of plain text"),
        pytest.param("team: '{{ $labels.team }}'", "{{ $labels.team }}", id="Prometheus' own"),
        pytest.param("team: payments # {{ .Values.team }}", "payments", id="in a comment"),
        pytest.param("team: {{/* }} */}}payments", "{{/* }} */}}payments", id="braces in a template's comment"),
    ],
)
def test_values(label: str, value: str) -> None:
    """A value has the text that Helm would leave as it is, and the action where Helm would put something."""
    assert labels_of(RULE % label) == {"team": value}


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        pytest.param(
            "{{- with .Values.more }}\n{{ toYaml . | indent 6 }}\n{{- end }}\n      a: b", {"a": "b"}, id="with"
        ),
        pytest.param('a: b\n{{ include "labels" . | nindent 6 }}', {"a": "b"}, id="include"),
        pytest.param("{{/*\n  a: x\n*/}}\n      a: b", {"a": "b"}, id="a comment over several lines"),
        pytest.param(
            "{{- if .x }}\n      a: b\n{{- else }}\n      a: c\n{{- end }}", {"a": "b"}, id="the first branch"
        ),
        pytest.param("{{ .Values.key }}: b", {"{{ .Values.key }}": "b"}, id="a key"),
        pytest.param("a: {{ .x }}\n      b: {{ .y }}", {"a": "{{ .x }}", "b": "{{ .y }}"}, id="two"),
    ],
)
def test_lines(lines: str, labels: dict[str, str]) -> None:
    """Lines of nothing but actions are passed over: what they write is not known."""
    assert labels_of(RULE % lines) == labels


def test_labels_that_another_template_begins() -> None:
    """An action that writes lines of its own after a key leaves the lines below it to the key."""
    text = 'groups:\n- rules:\n  - alert: A\n    labels: {{- include "labels" . | nindent 6 }}\n      team: payments\n'
    assert labels_of(text) == {"team": "payments"}


def test_places_stay() -> None:
    """A line and a column are those of the file, whatever stands before them."""
    told = read("""\
        {{- /* two
        lines */}}
        groups:
        - name: {{ .Release.Name }}
          rules:
          - {labels: {x: {{ .Values.x }}, team: {{ .Values.team }}}, alert: "{{ .p }}Slow"}
        """)
    assert told.unreadable is None
    (alert,) = told.alerts
    assert (alert.line, alert.column, alert.end_column, alert.name) == (6, 69, 83, "{{ .p }}Slow")
    assert alert.label_places["team"][:2] == (6, 41)
    assert alert.group == "{{ .Release.Name }}"


def test_no_template() -> None:
    """A valid rule file is not touched, although Prometheus has actions in its texts too."""
    text = """\
        groups:
        - rules:
          - alert: A
            labels: {team: "{{ `x` }}"}
            annotations:
              description: |
                {{ $labels.pod }}
        """
    (alert,) = read(text).alerts
    assert alert.labels == {"team": "{{ `x` }}"}
    assert alert.annotations == {"description": "{{ $labels.pod }}\n"}


@pytest.mark.parametrize(
    ("text", "names", "stopped"),
    [
        pytest.param("{{ range .Values.x }}\n- alert: {{ . }}: b\n{{ end }}\n", [], (2, 17), id="a second colon"),
        pytest.param(
            "groups:\n- rules:\n  - {alert: A}\n  - alert: B\n    labels:\n      team: {{ .x }}: a\n  - alert: C\n",
            ["A"],
            (6, 21),
            id="inside of a rule: it does not count, those before it do",
        ),
        pytest.param("groups:\n- {rules: [{alert: A}]}\n- {{ .Values.unclosed\n", ["A"], (3, 22), id="not closed"),
        pytest.param("groups:\n- {rules: [{alert: A}]}\n- {{/* unclosed\n", ["A"], (3, 16), id="comment not closed"),
    ],
)
def test_where_reading_stops(text: str, names: list[str], stopped: tuple[int, int]) -> None:
    """What cannot be read is told with its line; the rules that are complete before it count."""
    told = read(text)
    assert [alert.name for alert in told.alerts] == names
    assert told.unreadable is not None
    assert (told.unreadable.line, told.unreadable.column) == stopped


def test_masking_moves_nothing() -> None:
    """The masked text has the length and the lines of the template, and comes back as it was."""
    text = "a: {{ .x | quote }} b\n{{ include\n  . }}\n{{ range }}{{ . }}\nc: '{{ \"}}\" }}' {{ open"
    masked = templates.masked(text)
    assert [len(line) for line in masked.split("\n")] == [len(line) for line in text.split("\n")]
    assert "{{" not in masked.replace("{{ open", "")
    assert templates.restored(masked.split("\n")[0]) == "a: {{ .x | quote }} b"
