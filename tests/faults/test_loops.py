"""Loops in which something breaks that nobody thought of. The number is the row of the fault table in docs."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from router.preview.workspace import ChannelSeed
from tests.acceptance.organisation import CHANNELS, alert, body, write_map
from tests.programs import eventually
from tests.router_process import RouterProcess, SlackAccess, drained
from tests.slack import SlackServer

# Whatever delivery claims is refused by the database itself: an error that no line of the router foresees.
BREAKS: Final = "CREATE TRIGGER broken BEFORE UPDATE ON messages BEGIN SELECT RAISE(ABORT, 'broken'); END"


def run_beside(router: RouterProcess, statement: str) -> None:
    with closing(sqlite3.connect(router.database, isolation_level=None)) as database:
        database.execute(statement)


def failures(router: RouterProcess, loop: str) -> float:
    prefix = f'router_loop_failures_total{{loop="{loop}"}} '
    lines = router.get("/metrics").body.decode().splitlines()
    return next(float(line.removeprefix(prefix)) for line in lines if line.startswith(prefix))


def test_80_loop_that_fails_goes_on(slack: SlackServer, tmp_path: Path) -> None:
    """Each failed round is counted and said; senders are answered meanwhile, and when it works again all goes out."""
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), slack=access) as router:
        run_beside(router, BREAKS)
        sent = body(alert("Broken", team="payments"), group="broken")
        assert router.post("/webhooks/alertmanager", sent).status == 200
        eventually(lambda: failures(router, "delivery") >= 2, timeout_s=20, what="two rounds that failed")
        assert router.get("/-/healthy").status == 200
        assert len(slack.roots(CHANNELS["payments"])) == 0
        run_beside(router, "DROP TRIGGER broken")
        router.wait_until(drained)
        assert {line["loop"] for line in router.named("loop_failed")} == {"delivery"}
    assert len(slack.roots(CHANNELS["payments"])) == 1
