"""`router who`: what it prints, and its exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from router.who import who
from tests.ownership.maps import HEAD

BODY = """\
services:
  api: {owner: data, also_notify: [payments]}
jobs:
  close:
    owner: payments
    match: {namespace: pay, cronjob: close}
    severity: critical
    runbook: https://runbooks.example.com/close
    rerun: {safety: conditional, when: Only if it is open., how: retry, ask: payments, recover_within: 2d}
rules:
  - {id: heartbeat, match: {alertname: Watchdog}, drop: true, reason: only a heartbeat}
"""

Json = dict[str, Any]  # Any: what json.loads gives


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a map, which is the current one."""
    (tmp_path / "ownership.yaml").write_text(HEAD + BODY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROUTER_OWNERSHIP", raising=False)
    return tmp_path


def ask(*arguments: str, stdin: str | bytes = "", **environment: str) -> Result:
    return CliRunner().invoke(who, arguments, input=stdin, env=environment)


def asked(*arguments: str) -> Json:
    answer = json.loads(ask(*arguments, "--json").stdout)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["team=payments"], 0, id="an owner"),
        pytest.param(["team=billing", "--expect", "payments"], 0, id="the expected one"),
        pytest.param(["team=growth", "--expect", "payments"], 0, id="the expected one, by successor"),
        pytest.param(["team=data", "--expect", "payments"], 1, id="another one"),
        pytest.param(["team=perf"], 1, id="an orphan"),
        pytest.param(["team=perf", "--expect", "payments"], 1, id="an orphan instead"),
        pytest.param(["alertname=Watchdog"], 1, id="dropped"),
        pytest.param([], 2, id="no question"),
        pytest.param(["team"], 2, id="no value"),
        pytest.param(["=x"], 2, id="no label"),
        pytest.param(["a=1", "a=2"], 2, id="a label twice"),
        pytest.param(["a=1", "--annotation", "x"], 2, id="half an annotation"),
        pytest.param(["a=1", "--labels-file", "-"], 2, id="one and many"),
        pytest.param(["--labels-file", "missing.jsonl"], 2, id="no such file"),
        pytest.param(["team=payments", "--ownership", "missing.yaml"], 2, id="no such map"),
    ],
)
@pytest.mark.parametrize("form", [pytest.param([], id="text"), pytest.param(["--json"], id="json")])
def test_exit_codes(arguments: list[str], form: list[str], code: int) -> None:
    """0: there is an owner, the expected one. 1: not. 2: the question or the map cannot be read."""
    result = ask(*arguments, *form)
    assert result.exit_code == code
    assert bool(result.stdout) is (code != 2)
    assert bool(result.stderr) is (code == 2 or (code == 1 and "--expect" in arguments))


def test_the_whole_answer() -> None:
    """Every key is there, as documented."""
    answer = asked("alertname=KubeJobFailed", "namespace=pay", "job_name=close-29384756", "team=perf")
    revision = answer["map"].pop("revision")
    assert answer == {
        "version": 1,
        "labels": {"alertname": "KubeJobFailed", "namespace": "pay", "job_name": "close-29384756", "team": "perf"},
        "owner": "payments",
        "via": {"stage": "job", "entry": "close", "file": "ownership.yaml", "line": 19},
        "dropped": False,
        "severity": "critical",
        "respond_within": "15m",
        "runbook": "https://runbooks.example.com/close",
        "rerun": {
            "safety": "conditional",
            "when": "Only if it is open.",
            "how": "retry",
            "ask": "payments",
            "recover_within": "2d",
        },
        "channels": [{"team": "payments", "name": "pay-critical", "id": "C0PAYCRITI"}],
        "also_notify": [],
        "drift": [
            {
                "stage": "label",
                "entry": "team",
                "says": "perf",
                "file": None,
                "line": None,
                "message": 'unknown team "perf"',
            }
        ],
        "tried": [
            {"stage": "override", "answer": None, "reason": "no override matches"},
            {"stage": "label", "answer": None, "reason": 'team="perf" is not a team'},
            {"stage": "job", "answer": "payments", "reason": 'namespace="pay", cronjob="close"'},
        ],
        "map": {"file": "ownership.yaml"},
    }
    assert len(revision) == 64


def test_an_orphan_and_a_dropped_alert() -> None:
    """An orphan goes to the fallback channel, which is no team's; what is dropped goes nowhere."""
    orphan = asked("alertname=X")
    assert orphan["via"] == {"stage": "fallback", "entry": None, "file": "ownership.yaml", "line": 2}
    assert orphan["channels"] == [{"team": None, "name": "orphans", "id": "C0ORPHANS1"}]
    assert orphan["rerun"] == {"safety": "unknown", "when": None, "how": None, "ask": None, "recover_within": None}
    dropped = asked("alertname=Watchdog")
    assert (dropped["owner"], dropped["dropped"], dropped["channels"]) == (None, True, [])
    assert dropped["via"]["entry"] == "heartbeat"


def test_also_notify_and_annotations() -> None:
    """Those who are informed come after the owner; an annotation counts as it would on the alert."""
    answer = asked("service=api", "--annotation", "runbook_url=https://x.example.com/?a=b")
    assert [channel["team"] for channel in answer["channels"]] == ["data", "payments"]
    assert answer["also_notify"] == ["payments"]
    assert answer["runbook"] == "https://x.example.com/?a=b"


def test_the_map_of_the_environment(here: Path) -> None:
    """ROUTER_OWNERSHIP names the map, --ownership is stronger."""
    (here / "other.yaml").write_text(HEAD.replace("payments", "billers"), encoding="utf-8")
    assert ask("team=billers", ROUTER_OWNERSHIP="other.yaml").exit_code == 0
    assert ask("team=billers", "--ownership", "ownership.yaml", ROUTER_OWNERSHIP="other.yaml").exit_code == 1


def test_a_broken_map(here: Path) -> None:
    """All findings go to stderr, one a line, as file:line:column: CODE message; nothing to stdout."""
    (here / "ownership.yaml").write_text(HEAD + "services:\n  s: {owner: nobody, x: y}\n", encoding="utf-8")
    result = ask("team=payments", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    first, second = result.stderr.splitlines()
    assert first.startswith('ownership.yaml:17:14: OWN101 team "nobody" is not in teams')
    assert second.startswith('ownership.yaml:17:22: OWN004 unknown key "x"')


def test_a_warning_is_no_obstacle(here: Path) -> None:
    """A finding that does not stop the router does not stop `who`, and stays out of stdout."""
    (here / "ownership.yaml").write_text(HEAD + "defaults: {timezone: Mars/Base}\n", encoding="utf-8")
    result = ask("team=payments", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["owner"] == "payments"
    assert "OWN601" in result.stderr


# -- many questions ------------------------------------------------------------------------------------------------


def questions(*lines: str) -> str:
    return "\n".join(lines) + "\n"


GOOD = '{"labels": {"team": "growth"}, "expect": "payments"}'
WRONG = '{"labels": {"team": "data"}, "expect": "payments"}'
NOBODY = '{"labels": {}, "expect": null}'
ORPHAN = '{"labels": {"alertname": "X"}}'


@pytest.mark.parametrize(
    ("text", "code", "fine"),
    [
        pytest.param("", 0, [], id="nothing is asked"),
        pytest.param("\n  \n", 0, [], id="only empty lines"),
        pytest.param(questions(GOOD, NOBODY), 0, [True, True], id="as expected"),
        pytest.param(questions(GOOD, "", WRONG), 1, [True, False], id="not as expected"),
        pytest.param(questions('{"labels": {"team": "data"}}'), 0, [None], id="an owner, nothing expected"),
        pytest.param(questions(ORPHAN), 1, [None], id="no owner, nothing expected"),
        pytest.param(
            questions('{"labels": {"alertname": "Watchdog"}, "expect": null}'), 0, [True], id="dropped: nobody"
        ),
        pytest.param(questions(WRONG, "{", GOOD), 2, [False, None, True], id="a line that is not JSON"),
        pytest.param(GOOD, 0, [True], id="no line feed at the end"),
        pytest.param(questions('{"labels": {"team": "data"}, "x": 1}'), 0, [None], id="a key that is not known"),
    ],
)
def test_many_questions(text: str, code: int, fine: list[bool | None]) -> None:
    """One answer a line, in order, numbered, with `ok` where something was expected."""
    result = ask("--labels-file", "-", "--json", stdin=text)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == code
    assert [answer.get("ok") for answer in answers] == fine
    assert [answer["index"] for answer in answers] == list(range(len(fine)))
    assert all(answer["version"] == 1 for answer in answers)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{", id="not JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{}", id="no labels"),
        pytest.param(b'{"labels": null}', id="labels are null"),
        pytest.param(b'{"labels": {"a": 1}}', id="a label that is a number"),
        pytest.param(b'{"labels": {}, "annotations": []}', id="annotations are a list"),
        pytest.param(b'{"labels": {}, "expect": 1}', id="expect is a number"),
        pytest.param(b'{"labels": {"a": "\xff"}}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested too deep"),
        pytest.param(b"9" * 5_000, id="an endless number"),
    ],
)
def test_a_line_that_cannot_be_read(line: bytes) -> None:
    """It is answered in its place, the others still are, and the exit code tells."""
    result = ask("--labels-file", "-", "--json", stdin=line + b"\n" + GOOD.encode() + b"\n")
    broken, answered = [json.loads(text) for text in result.stdout.splitlines()]
    assert set(broken) == {"version", "index", "error"}
    assert (broken["index"], answered["index"], answered["ok"]) == (0, 1, True)
    assert result.exit_code == 2


def test_a_file_of_questions(here: Path) -> None:
    """FILE is a path too, and people get a line for each question."""
    (here / "questions.jsonl").write_text(questions(GOOD, WRONG, "?"), encoding="utf-8")
    result = ask("--labels-file", "questions.jsonl")
    assert result.exit_code == 2
    first, second, third = result.stdout.splitlines()
    assert first == "0: payments, by label team (ownership.yaml:12)"
    assert second == "1: data, by label team (ownership.yaml:10), expected payments"
    assert third.startswith("2: questions.jsonl:3: not JSON")


@pytest.mark.parametrize("value", ["支払い", "🙂", "a\x00b", "\x9b31m", "\u2028", "\u202e", '"', "\\"])
def test_any_text_is_a_label(value: str) -> None:
    """Labels come back as they were asked, each answer on one line; only JSON's own escapes stand for odd signs."""
    result = ask("--labels-file", "-", "--json", stdin=json.dumps({"labels": {"x": value}}) + "\n")
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["labels"] == {"x": value}


def test_half_a_character() -> None:
    """JSON can spell half a character; it is replaced, as Alertmanager's decoder does."""
    result = ask("--labels-file", "-", "--json", stdin='{"labels": {"x": "a\\ud800"}}\n')
    assert json.loads(result.stdout)["labels"] == {"x": "a\ufffd"}


# -- for people ----------------------------------------------------------------------------------------------------


def test_the_text_of_an_owner() -> None:
    """Owner and reason first, then what somebody needs, then how it was found."""
    result = ask("cronjob=close", "team=perf")
    revision = asked("cronjob=close", "team=perf")["map"]["revision"]
    assert result.stdout.splitlines() == [
        "owner     payments, by job close (ownership.yaml:19)",
        "severity  critical, respond within 15m",
        "channel   #pay-critical",
        "runbook   https://runbooks.example.com/close",
        "rerun     conditional: Only if it is open.",
        "          run retry",
        "          ask payments",
        "          within 2d",
        'drift     unknown team "perf"',
        "asked     override   no override matches",
        '          label      team="perf" is not a team',
        '          job        cronjob="close"',
        f"map       ownership.yaml, revision {revision[:12]}",
    ]


def test_the_text_of_an_orphan() -> None:
    """Nobody, the fallback, what is missing in the same words as everywhere, the nearest entry, a stanza."""
    shown = ask("team=paymets", "alertname=Late").stdout
    for line in (
        "owner     nobody: it goes to the fallback channel (ownership.yaml:2)",
        "severity  normal, respond within 1d, in business hours",
        "channel   #orphans",
        "runbook   no runbook",
        "rerun     not declared",
        'nearest   team payments (ownership.yaml:5): team="paymets" is spelled almost as "payments"',
        "to claim  # below `rules:`",
        "            - id: late",
    ):
        assert line in shown.splitlines()


def test_the_text_moves_no_cursor() -> None:
    """What a terminal would obey is shown as an escape."""
    shown = ask("team=\x1b[31m\u202e").stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\u001b[31m\\u202e" in shown
