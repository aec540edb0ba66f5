"""Services and jobs: OWN120, OWN130, the warning of OWN131."""

import pytest

from router.lint import entries
from tests.lint.marked_maps import ROOT, at_marks, found, told

RERUN = "rerun: {safety: not_needed}"


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("services:\n  §s: {owner: b}\n", "OWN120 warning", id="no runbook"),
        pytest.param("services:\n  §s: {owner: b, tier: 1}\n", "OWN120 error", id="tier 1"),
        pytest.param("services:\n  §s: {owner: b, tier: 2}\n", "OWN120 warning", id="tier 2"),
        pytest.param("services:\n  s: {owner: b, runbook: https://r.example/s}\n", "", id="its own"),
        pytest.param("services:\n  s: {owner: b, runbooks: {X: https://r.example/x}}\n", "", id="by alertname"),
        pytest.param("services:\n  s: {owner: a, tier: 1}\n", "", id="its owner's"),
        pytest.param("services:\n  s: {owner: old}\n", "", id="its owner's successor's"),
        pytest.param("services:\n  s: {owner: nobody-known}\n", "", id="of an unknown owner nothing is known"),
        pytest.param("jobs:\n  j: {owner: b, " + RERUN + "}\n", "", id="a job is no service"),
    ],
)
def test_a_service_without_runbook(body: str, codes: str) -> None:
    """Somebody who is woken by it needs one; the place is the service's key."""
    assert told(entries.check, ROOT + body) == at_marks(codes, ROOT + body)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param("jobs:\n  §j: {owner: a}\n", "OWN130 warning", id="no rerun"),
        pytest.param("jobs:\n  §j: {owner: a, severity: critical}\n", "OWN130 warning", id="none, critical"),
        pytest.param(
            "jobs:\n  j: {owner: a, severity: critical, rerun: {safety: §unknown}}\n",
            "OWN130 warning",
            id="unknown, critical",
        ),
        pytest.param("jobs:\n  j: {owner: a, severity: high, rerun: {safety: unknown}}\n", "", id="unknown, high"),
        pytest.param("jobs:\n  j: {owner: a, rerun: {safety: unknown}}\n", "", id="unknown"),
        pytest.param("jobs:\n  j: {owner: a, severity: critical, " + RERUN + "}\n", "", id="declared"),
        pytest.param("services:\n  s: {owner: a}\n", "", id="a service is no job"),
    ],
)
def test_a_job_without_rerun(body: str, codes: str) -> None:
    """Nobody knows at night whether it may be run again; a critical one must say it."""
    assert told(entries.check, ROOT + body) == at_marks(codes, ROOT + body)


def with_how(how: str) -> str:
    return f"{ROOT}jobs:\n  j:\n    owner: a\n    rerun:\n      safety: safe\n      §how: |\n        {how}\n"


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        pytest.param("kubectl delete job {job-name}", "{job-name}", id="no label's name"),
        pytest.param("kubectl -n {namespace|upper} get jobs", "{namespace|upper}", id="unknown filter"),
        pytest.param("kubectl -n {namespace} delete {job.name-x|lower}", "{job.name-x|lower}", id="the second of two"),
        pytest.param("kubectl -n {名前空間} get jobs", "{名前空間}", id="no ASCII"),
        pytest.param(
            "kubectl -n {{ $labels.namespace }} get", "{{ $labels.namespace }}", id="a template of Prometheus"
        ),
    ],
)
def test_a_placeholder_that_no_label_fills(how: str, shown: str) -> None:
    """Whoever pastes the command would run it with the braces in it."""
    assert told(entries.check, with_how(how)) == at_marks("OWN131 warning", with_how(how))
    (finding,) = found(entries.check, with_how(how))
    assert shown in finding.message


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("kubectl -n {namespace} get {job_name|lower} {app.kubernetes_io}", id="placeholders"),
        pytest.param("kubectl -n {a_label_that_i_do_not_know} get jobs", id="a label may exist"),
        pytest.param('kubectl patch cronjob x -p \'{"spec":{"suspend":false}}\'', id="JSON"),
        pytest.param("echo ${job-name} ${JOB:-x} $(date +%s)", id="shell"),
        pytest.param("rm {a,b}.log {1..3} && awk '{print $1}' x | jq '{a: .b}'", id="braces of programs"),
        pytest.param("kubectl get pods -o jsonpath='{.items[0].metadata.name}'", id="JSONPath"),
        pytest.param("kubectl get pods -o go-template='{{.metadata.name}}'", id="Go template"),
    ],
)
def test_braces_that_are_meant(how: str) -> None:
    """Commands are full of braces, and a label that the map does not name may still be there."""
    assert told(entries.check, with_how(how).replace("§", "")) == []


def test_placeholders_everywhere() -> None:
    """Services and the defaults have commands too; an unsafe job may have none, which is the loader's to tell."""
    text = ROOT.replace("UTC}", "UTC, rerun: {safety: unknown, §how: 'x {a-b}'}}")
    text += "services:\n  s: {owner: a, rerun: {safety: safe, §how: 'x {a-b}'}}\n"
    text += "jobs:\n  j: {owner: a, rerun: {safety: unsafe, when: x, how: 'x {a-b}'}}\n"
    assert told(entries.check, text) == at_marks("OWN131 warning, OWN131 warning", text)
