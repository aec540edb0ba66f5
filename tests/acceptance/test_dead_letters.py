"""`router dead` against a running router: from a refused body, or channel, to nothing being dead any more."""

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.core.identifiers import next_identifier, text_of
from router.core.model import Source
from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed
from router.store import inbox
from router.store.database import Store
from router.telemetry import Metrics
from tests.acceptance.organisation import CHANNELS, alert, body, write_map
from tests.docs import pages
from tests.programs import free_port
from tests.router_process import Answer, RouterProcess, drained, unbalanced
from tests.slack import SlackServer

PAYMENTS, FALLBACK = CHANNELS["payments"], CHANNELS[None]
CROWD = 1000
BEFORE = datetime.now(UTC) - timedelta(hours=1)


def dead(router: RouterProcess, *arguments: str, answer: str | None = None) -> Result:
    """`router dead …`, with what is typed at its question."""
    return CliRunner(env={"ROUTER_URL": router.url}).invoke(main, ["dead", *arguments], input=answer)


def listed(router: RouterProcess) -> list[str]:
    shown = dead(router, "list", "--json", "--limit", "5000")
    assert shown.exit_code == 0, shown.output
    return [letter["id"] for letter in json.loads(shown.stdout)["dead_letters"]]


def test_a_body_that_cannot_be_read(tmp_path: Path) -> None:
    """It is listed, shown, replayed, dead again, and dropped after a question; the sums balance all the way."""
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        assert dead(router, "list").stderr == "no dead letters\n"
        assert dead(router, "replay", "--all").exit_code == 0
        identifier = router.post("/webhooks/alertmanager", b'{"receiver": "r", "token": "s3cret"}').json()["id"]

        shown = dead(router, "list")
        assert (shown.exit_code, shown.stderr) == (0, "1 dead letter\n")
        heads, line = shown.stdout.splitlines()
        assert heads.split() == ["ID", "SINCE", "(UTC)", "REASON", "WHERE", "WHAT"]
        assert line.startswith(identifier)
        assert "not understood  from alertmanager  groupKey" in line
        page = dead(router, "show", identifier)
        assert (page.exit_code, '"receiver": "r"' in page.stdout, "s3cret" in page.stdout) == (0, True, False)

        foretold = dead(router, "replay", "--dry-run", identifier)
        assert (foretold.exit_code, "would be quarantined again: " in foretold.stdout) == (0, True)
        replayed = dead(router, "replay", identifier)
        assert (replayed.exit_code, "1 replayed; replay r" in replayed.stderr) == (0, True)
        router.wait_until(lambda status: status["notifications"]["quarantined"] == 1 and drained(status))
        assert listed(router) == [identifier]
        assert len(router.named("dead_letter_replayed")) == 1

        kept = dead(router, "drop", "--all", answer="n\n")
        assert (kept.exit_code, listed(router)) == (1, [identifier])
        assert "Drop 1 dead letter for good?" in kept.stderr
        dropped = dead(router, "drop", identifier, answer="y\n")
        assert (dropped.exit_code, listed(router)) == (0, [])
        again = dead(router, "drop", "--yes", identifier)
        assert (again.exit_code, "not a dead letter any more" in again.stdout) == (1, True)
        assert "off the list since" in dead(router, "show", identifier).stdout
        assert router.wait_until(drained)["notifications"]["quarantined"] == 1


def test_a_channel_that_refuses_and_is_repaired(router: RouterProcess, slack: SlackServer) -> None:
    """The delivery that was given up is replayed once the channel takes messages, and is in it once."""
    slack.emulator.script(Fault(kind=FaultKind.ARCHIVE_CHANNEL, channel=PAYMENTS, nth=1))
    router.post("/webhooks/alertmanager", body(alert("A", team="payments"), group="A"))
    router.wait_until(lambda status: status["messages"]["dead"] == 1 and drained(status))
    slack.wait_for(lambda server: len(server.roots(FALLBACK)) == 1)
    (identifier,) = listed(router)
    shown = dead(router, "show", identifier).stdout
    assert "channel   #pay-alerts (C0PAYALERT)" in shown
    assert "reason    is_archived" in shown

    slack.emulator.seed(channels=[ChannelSeed(id=PAYMENTS, name="pay-alerts")])
    replayed = dead(router, "replay", "--all", "--reason", "is_archived", "--json")
    assert replayed.exit_code == 0
    told = json.loads(replayed.stdout)
    assert (told["version"], told["counts"]["replayed"], told["dead_letters"][0]["id"]) == (1, 1, identifier)
    slack.wait_for(lambda server: len(server.roots(PAYMENTS)) == 1)
    router.wait_until(lambda status: status["messages"]["dead"] == 0 and drained(status))
    assert dead(router, "replay", identifier).exit_code == 1
    assert (len(slack.roots(PAYMENTS)), len(slack.roots(FALLBACK))) == (1, 1)


def quarantined(database: Path, count: int) -> list[str]:
    """Dead letters that today's router understands, each of a group of its own, put into a database; their ids."""
    rows, last = [], 0
    for number in range(count):
        last = next_identifier(now_ms=int(BEFORE.timestamp() * 1000), last=last, drawn=0)
        told = body(alert(f"A{number}", team="payments"), group=f"A{number}")
        rows.append(inbox.row(id=last, source=Source.ALERTMANAGER, received_at=BEFORE, error="an old word", body=told))

    async def fill() -> None:
        store = Store(f"sqlite:///{database}", append=inbox.append, metrics=Metrics())
        store.open(asyncio.get_running_loop())
        await store.write(lambda connection: inbox.append(connection, rows))
        await store.close()

    asyncio.run(fill())
    return [text_of(row[0]) for row in rows]


def test_a_thousand_at_once_keep_nobody_waiting(tmp_path: Path) -> None:
    """While they are replayed and decided, senders are answered as ever."""
    identifiers = quarantined(tmp_path / "router.db", CROWD)
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        replayed: list[Result] = []
        replaying = threading.Thread(target=lambda: replayed.append(dead(router, "replay", "--all")))
        replaying.start()
        answers: list[Answer] = []
        while replaying.is_alive() or router.status()["notifications"]["waiting"]:
            name = f"Meanwhile{len(answers)}"
            answers.append(router.post("/webhooks/alertmanager", body(alert(name, team="ledger"), group=name)))
        replaying.join()
        assert {answer.status for answer in answers} == {200}
        assert max(answer.took_s for answer in answers) < 2
        assert replayed[0].exit_code == 0
        assert {line.split()[0] for line in replayed[0].stdout.splitlines()} == set(identifiers)
        status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
        assert (status["notifications"]["quarantined"], listed(router)) == (0, [])
        assert status["notifications"]["decided"] == CROWD + len(answers)


def test_13_a_crash_in_a_replay(tmp_path: Path) -> None:
    """Killed in the middle of it: each is replayed or dead, none is lost, and none is decided twice."""
    quarantined(tmp_path / "router.db", CROWD)
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        cut_off: list[Result] = []
        replaying = threading.Thread(target=lambda: cut_off.append(dead(router, "replay", "--all")))
        replaying.start()
        assert router.logged("dead_letter_replayed", 20) is not None
        router.kill()
        replaying.join()
        assert cut_off[0].exit_code in (0, 2)  # 2: it was told that there is no answer

        router.start()
        status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
        left = listed(router)
        assert status["notifications"]["quarantined"] == len(left)
        assert len(left) % 200 == 0, "a batch was replayed in part"
        again = json.loads(dead(router, "replay", "--all", "--json").stdout)
        assert again["counts"]["replayed"] == len(left)
        status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
        assert unbalanced(status) is None
        assert status["notifications"]["decided"] == CROWD
        titles = [incident["title"] for incident in router.incidents()]
        assert (len(titles), len(set(titles))) == (CROWD, CROWD)


# -- the command line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["replay"], "Name the dead letters by their ids, or give --all.", id="nothing named"),
        pytest.param(["drop", "--all", "m1"], "Name the dead letters by their ids, or give --all.", id="both"),
        pytest.param(["replay", "m1", "--reason", "x"], "--reason goes with --all, not with ids.", id="unused"),
        pytest.param(["show", "../status"], "'../status' is not an id.", id="not an id"),
        pytest.param(["drop", "m 1"], "'m 1' is not an id.", id="not an id to drop"),
        pytest.param(["list", "--limit", "0"], "'--limit'", id="no list"),
        pytest.param(["list", "--url", "nowhere"], "is not an address of a router", id="no address"),
    ],
)
def test_wrong_usage(arguments: list[str], expected: str) -> None:
    """It is said without asking a router, and exits 2."""
    result = CliRunner(env={"ROUTER_URL": f"http://127.0.0.1:{free_port()}"}).invoke(main, ["dead", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr


@pytest.mark.parametrize("arguments", [["list"], ["show", "m1"], ["replay", "--all"], ["drop", "--all", "--json"]])
def test_nobody_answers(arguments: list[str]) -> None:
    """One line says where nobody answers and what to do, and the exit code is 2."""
    url = f"http://127.0.0.1:{free_port()}"
    result = CliRunner(env={"ROUTER_URL": url}).invoke(main, ["dead", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"router: no router answers at {url}: Connection refused. Start it, or name another with --url or ROUTER_URL\n"
    )


def test_the_admin_token_comes_from_a_variable_or_a_file(tmp_path: Path) -> None:
    """Both at once are refused as the server refuses them."""
    file = tmp_path / "token"
    file.write_text("s3cret", encoding="utf-8")
    env = {"ROUTER_ADMIN_TOKEN": "s3cret", "ROUTER_ADMIN_TOKEN_FILE": str(file)}
    result = CliRunner(env=env).invoke(main, ["dead", "list"])
    assert (result.exit_code, "are both set" in result.stderr, "s3cret" in result.output) == (2, True, False)


def test_a_dead_letter_that_there_is_not(preview_router: RouterProcess) -> None:
    """To show it exits 1, and so does to replay it."""
    shown = dead(preview_router, "show", "m4711")
    assert (shown.exit_code, "no dead letter has this id" in shown.stderr) == (1, True)
    assert dead(preview_router, "replay", "m4711").exit_code == 1
    assert dead(preview_router, "drop", "m4711").exit_code == 1


@pytest.mark.parametrize("command", ["", "list", "show", "replay", "drop"])
def test_the_page_shows_the_help(command: str) -> None:
    """What docs/reference/dead.md shows as the help of a command is that."""
    page = "docs/reference/dead.md"
    text = pages.section(page, f"## `router dead {command}`") if command else pages.text_of(page).partition("\n## ")[0]
    arguments = ["dead", *([command] if command else []), "--help"]
    assert pages.blocks(text, "text") == [
        CliRunner().invoke(main, arguments, prog_name="router", terminal_width=80).output
    ]
