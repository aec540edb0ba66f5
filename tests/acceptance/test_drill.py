"""`router drill` through a running router: what it shows, what it says where nothing arrives, and how it ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.preview.faults import Fault, FaultKind
from tests.acceptance.organisation import CHANNELS, MAP, alert, body, write_map
from tests.docs import pages
from tests.programs import free_port
from tests.router_process import INTAKE_TOKEN, PROJECT, RouterProcess, drained, environment
from tests.slack import SlackServer

PAYMENTS, LEDGER, FALLBACK = CHANNELS["payments"], CHANNELS["ledger"], CHANNELS[None]
TOKENS = f"grafana:another-token,alertmanager:{INTAKE_TOKEN}"
MEANS = "Sent by `router drill`; nothing is broken."


def drill(router: RouterProcess, *arguments: str, tokens: str = TOKENS) -> Result:
    env = {"ROUTER_URL": router.url, "ROUTER_INTAKE_TOKENS": tokens}
    return CliRunner(env=env).invoke(main, ["drill", "--timeout", "20s", *arguments])


def told(result: Result) -> dict[str, str]:
    """The rows of its table; of several with one name the last."""
    return {line[:9].strip(): line[10:] for line in result.stdout.splitlines()}


def blocks_of(slack: SlackServer, channel: str) -> str:
    (message,) = slack.roots(channel)
    return json.dumps(message.content.blocks, ensure_ascii=False)


def firing(router: RouterProcess) -> int:
    return sum(incident["alerts"]["firing"] for incident in router.incidents())


# -- delivered ---------------------------------------------------------------------------------------------------------


def test_from_the_alert_to_its_end(router: RouterProcess, slack: SlackServer) -> None:
    """It arrives as a real alert of these labels would, the owner is called, it says what it is, and it ends."""
    result = drill(router, "alertname=KubeJobFailed", "team=payments", "severity=critical", "--expect", "payments")
    assert result.exit_code == 0, result.output
    rows = told(result)
    (message,) = slack.roots(PAYMENTS)
    assert rows["owner"].startswith("payments, by label team (")
    assert rows["owner"].endswith("ownership.yaml:3)")
    assert rows["severity"] == "critical"
    assert rows["message"] == f"root in #pay-alerts (C0PAYALERT): delivered, ts {message.ts}"
    assert rows["result"].startswith("delivered after ")
    assert rows["end"].startswith("shown after ")
    assert router.get(f"/api/v1/notifications/{rows['ref']}").json()["state"] == "decided"

    fired, ended = message.revisions[0], message.content
    for content in (fired, ended):
        head = content.blocks[0]["text"]["text"]
        assert head.startswith("🧪 DRILL · ")
        assert "KubeJobFailed" in head
        assert MEANS in content.blocks[1]["text"]["text"]
        assert content.text.startswith(f"DRILL: {MEANS} ")
    assert "CRITICAL" in fired.blocks[0]["text"]["text"]
    assert "@pay-oncall" in str(fired.blocks)
    assert "RESOLVED" in ended.blocks[0]["text"]["text"]
    assert firing(router) == 0
    assert [one["title"] for one in router.incidents()] == ["🧪 DRILL KubeJobFailed"]


def test_for_programs(router: RouterProcess) -> None:
    """With --json standard output is one versioned object, also of what went to the fallback channel."""
    result = drill(router, "--json", "--expect", "ledger")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["version"], answer["delivered"], answer["why_not"]) == (1, 1, True, None)
    assert (answer["owner"], answer["expect"], answer["via"]["stage"]) == (None, "ledger", "fallback")
    assert [(one["channel"], one["kind"], one["state"]) for one in answer["messages"]] == [
        (FALLBACK, "root", "delivered")
    ]
    assert (answer["end"]["shown"], answer["end"]["seconds"] >= 0, answer["seconds"] > 0) == (True, True, True)
    assert set(answer) == {row for line in table("## JSON") for row in pages.code_in(line[0])}


def test_nobody_owns_it(router: RouterProcess, slack: SlackServer) -> None:
    """That is said; the fallback channel has it, so it was delivered."""
    result = drill(router)
    assert (result.exit_code, told(result)["owner"].startswith("nobody: it goes to the fallback channel (")) == (
        0,
        True,
    )
    assert told(result)["message"].startswith("root in #ops-orphans (C0ORPHANS1): delivered")
    assert "🧪 DRILL · ✅ RESOLVED · Drill" in blocks_of(slack, FALLBACK)


def test_another_owner_than_expected(router: RouterProcess) -> None:
    """It was delivered, and the answer is no all the same."""
    result = drill(router, "team=ledger", "--expect", "payments")
    assert (result.exit_code, told(result)["result"].startswith("delivered")) == (1, True)
    assert "expected payments, found ledger" in result.stderr


def test_it_never_joins_what_is_real(router: RouterProcess, slack: SlackServer) -> None:
    """A real alert of the same labels keeps its own message, without a word of a drill, and fires on."""
    real = alert("HighErrorRate", team="payments", router_drill="0123456789abcdef")
    router.post("/webhooks/alertmanager", body(real, group="HighErrorRate"))
    slack.wait_for(lambda server: len(server.roots(PAYMENTS)) == 1)
    for _ in range(2):
        assert drill(router, "alertname=HighErrorRate", "team=payments", "instance=a").exit_code == 0
    router.wait_until(drained)
    heads = [message.content.blocks[0]["text"]["text"] for message in slack.roots(PAYMENTS)]
    assert [head.startswith("🧪 DRILL · ✅") for head in heads] == [False, True, True]
    assert "nothing is broken" not in str(slack.roots(PAYMENTS)[0].content)
    assert firing(router) == 1


def test_in_a_flood_it_is_a_line_of_a_digest(router: RouterProcess, slack: SlackServer) -> None:
    """A line of a digest that was delivered is delivered; it says that it is a drill, and ends."""
    slack.emulator.script(Fault(kind=FaultKind.SLOW, channel=PAYMENTS, nth=1, seconds=3))  # meanwhile a crowd waits
    for number in range(10):
        sent = body(alert(f"Flood{number}", team="payments"), group=f"Flood{number}")
        assert router.post("/webhooks/alertmanager", sent).status == 200
    result = drill(router, "team=payments")
    assert result.exit_code == 0, result.output
    assert told(result)["message"].startswith("digest in #pay-alerts (C0PAYALERT): delivered, ts ")
    router.wait_until(drained)
    (line,) = [
        line
        for message in slack.roots(PAYMENTS)
        for block in message.content.blocks
        for line in block.get("text", {}).get("text", "").splitlines()
        if "🧪 DRILL Drill" in line
    ]
    assert line.startswith("✅")


# -- not delivered -----------------------------------------------------------------------------------------------------


def test_a_channel_that_refuses(router: RouterProcess, slack: SlackServer) -> None:
    """The owner could not be reached: exit 1, with Slack's word; the fallback channel has it, and sees its end."""
    slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
    for _ in range(2):  # refused by Slack, then left alone by the router
        result = drill(router, "team=payments", "severity=critical")
        assert result.exit_code == 1, result.output
        assert told(result)["result"] == (
            "not delivered: #pay-alerts (C0PAYALERT) refuses it: is_archived; the fallback channel has it instead"
        )
        assert told(result)["end"].startswith("shown after ")
    assert len(slack.roots(FALLBACK)) == 2
    for message in slack.roots(FALLBACK):
        assert message.content.blocks[0]["text"]["text"].startswith("🧪 DRILL · 📭")


def test_slack_is_away(router: RouterProcess, slack: SlackServer) -> None:
    """It waits no longer than it was told to, says why, and leaves nothing firing behind."""
    with slack.refusing():
        result = drill(router, "team=payments", "--timeout", "5s")
        assert result.exit_code == 1, result.output
        assert told(result)["result"] == (
            "not delivered: #pay-alerts (C0PAYALERT) does not show it yet; Slack: connect_failed"
        )
        assert told(result)["end"] == "told to the router, and not shown yet"
    router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
    assert firing(router) == 0


def test_a_rule_that_drops_it(tmp_path: Path) -> None:
    """Nobody is told of such an alert: that is the answer, with the rule's place."""
    rules = 'rules:\n  - {id: info, match: [severity="info"], drop: true, reason: only recorded}\n'
    with RouterProcess(tmp_path, ownership=write_map(tmp_path, MAP + rules)) as router:
        result = drill(router, "severity=info")
        assert result.exit_code == 1, result.output
        assert told(result)["owner"].startswith("nobody: dropped by rule info (")
        assert told(result)["result"] == "not delivered: nobody is told: dropped by a rule of the map: only recorded"


# -- how it ends -------------------------------------------------------------------------------------------------------


def test_it_is_ended_later(router: RouterProcess, slack: SlackServer) -> None:
    """With --keep-firing it fires until --end; to end it twice is no harm, and what never was is told."""
    result = drill(router, "team=payments", "--keep-firing", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["end"], firing(router)) == (0, None, 1)
    for _ in range(2):
        ended = drill(router, "--end", answer["drill"])
        assert (ended.exit_code, told(ended)["end"].startswith("shown after ")) == (0, True)
    assert "🧪 DRILL · ✅ RESOLVED" in blocks_of(slack, PAYMENTS)
    unknown = drill(router, "--end", "0123456789abcdef")
    assert (unknown.exit_code, told(unknown)["end"]) == (1, "nothing to end: no message of it was wanted")


def test_ctrl_c_ends_it(router: RouterProcess, slack: SlackServer) -> None:
    """A drill that nobody watches any more does not go on firing."""
    with slack.refusing():
        process = subprocess.Popen(
            [sys.executable, "-m", "router", "drill", "team=payments", "--url", router.url],
            cwd=PROJECT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            router.wait_until(lambda status: status["notifications"]["decided"] == 1)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, stdout, "told to end" in stderr) == (1, "", True)
    router.wait_until(lambda status: status["notifications"]["decided"] == 2)
    assert firing(router) == 0


# -- wrong usage, and no answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param("alertmanager:wrong", "it refuses this intake token: set ROUTER_INTAKE_TOKENS", id="wrong"),
        pytest.param("grafana:other", "it wants its intake token: set ROUTER_INTAKE_TOKENS", id="of another source"),
        pytest.param("no-colon", "expected source:token", id="not an entry"),
    ],
)
def test_an_intake_token_that_opens_nothing(preview_router: RouterProcess, tokens: str, expected: str) -> None:
    """It names the variable, never the token, and exits 2; nothing was sent that would have to end."""
    result = drill(preview_router, tokens=tokens)
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr
    assert "--end" not in result.stderr
    assert "no-colon" not in result.stderr


def test_nobody_answers() -> None:
    """One line says where nobody answers and what to do, and the exit code is 2."""
    url = f"http://127.0.0.1:{free_port()}"
    result = CliRunner(env={"ROUTER_URL": url}).invoke(main, ["drill", "team=payments"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"router: no router answers at {url}: Connection refused. Start it, or name another with --url or ROUTER_URL\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["payments"], "'payments' is not LABEL=VALUE.", id="no label"),
        pytest.param(["a=b", "a=c"], "'a' is given twice.", id="twice"),
        pytest.param(["--timeout", "soon"], '"soon" is not a duration', id="no duration"),
        pytest.param(["--end", "../status"], "is not the id of a drill", id="no id"),
        pytest.param(["--end", "0123456789abcdef", "a=b"], "--end only ends a drill", id="end and labels"),
        pytest.param(["--end", "0123456789abcdef", "--keep-firing"], "--end only ends a drill", id="end and no end"),
    ],
)
def test_wrong_usage(arguments: list[str], expected: str) -> None:
    """It is said without asking a router, and exits 2."""
    result = CliRunner(env={"ROUTER_URL": f"http://127.0.0.1:{free_port()}"}).invoke(main, ["drill", *arguments])
    assert (result.exit_code, result.stdout, expected in result.stderr) == (2, "", True), result.stderr


# -- its page ----------------------------------------------------------------------------------------------------------

PAGE = "docs/reference/drill.md"


def table(heading: str) -> list[list[str]]:
    return pages.rows(pages.section(PAGE, heading))


def test_the_page_shows_the_help() -> None:
    """What docs/reference/drill.md shows as the help is that."""
    shown = CliRunner().invoke(main, ["drill", "--help"], prog_name="router", terminal_width=80).output
    assert pages.blocks(pages.section(PAGE, "## Usage"), "text") == [shown]
