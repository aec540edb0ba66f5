"""A disk that is full, fails, or holds nonsense. The numbers are the rows of the fault table in docs."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed
from tests.acceptance.organisation import CHANNELS, alert, body, write_map
from tests.faults.disks import BadDisk, Disk, small_disk
from tests.programs import eventually, free_port
from tests.router_process import PROJECT, RouterProcess, SlackAccess, drained, environment
from tests.slack import SlackServer

WEBHOOK: Final = "/webhooks/alertmanager"
# A sender that waits longer takes it for a time-out.
QUICKLY_S: Final = 3.0


@pytest.fixture
def bad_disk(tmp_path: Path) -> BadDisk:
    return BadDisk(tmp_path)


@pytest.fixture(
    params=[
        pytest.param("shim", marks=pytest.mark.needs("cc")),
        pytest.param("tmpfs", marks=pytest.mark.needs("mount")),
    ]
)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    if request.param == "shim":
        yield BadDisk(tmp_path)
    else:
        with small_disk(tmp_path) as mounted:
            yield mounted


@pytest.fixture
def workspace(slack: SlackServer) -> SlackServer:
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
    return slack


def router_on(disk: Disk, slack: SlackServer) -> RouterProcess:
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    return RouterProcess(disk.directory, ownership=write_map(disk.directory), slack=access, settings=disk.settings)


def told(router: RouterProcess, number: int) -> int:
    """One more alert of one group: the answer."""
    alerts = [alert("Disk", team="payments", instance=f"i{n}") for n in range(number + 1)]
    answer = router.post(WEBHOOK, body(*alerts[-3:], group="disk"))
    assert answer.took_s < QUICKLY_S, f"{answer.status} after {answer.took_s:.1f} s"
    return answer.status


def refuses_quickly(router: RouterProcess) -> None:
    """503 to senders and to whoever asks whether it is ready; alive all the same."""
    assert [told(router, number) for number in range(5)] == [503] * 5
    assert router.get("/-/ready").status == 503
    assert router.get("/-/healthy").status == 200


def takes_again(router: RouterProcess) -> None:
    eventually(lambda: router.get("/-/ready").status == 200, timeout_s=10, what="a router that is ready again")
    assert told(router, 5) == 200


def test_18_disk_full_is_503_and_recovers(disk: Disk, workspace: SlackServer) -> None:
    """Nothing is answered 200 that was not stored; with space again it goes on by itself, and says so once."""
    with router_on(disk, workspace) as router:
        assert told(router, 0) == 200
        router.wait_until(drained)
        disk.fill()
        refuses_quickly(router)
        disk.mend()
        takes_again(router)
        status = router.wait_until(drained)
        assert status["notifications"]["accepted"] == 2
        assert (len(router.named("store_unavailable")), len(router.named("store_recovered"))) == (1, 1)
        assert "Traceback" not in router.log_tail(1_000)
        assert router.terminate() == 0
    assert len(workspace.roots(CHANNELS["payments"])) == 1


@pytest.mark.needs("cc")
@pytest.mark.parametrize("restarted", [False, True], ids=["mended", "killed meanwhile"])
def test_19_disk_full_at_the_record_posts_once(bad_disk: BadDisk, workspace: SlackServer, restarted: bool) -> None:
    """Slack took the message and the disk not its name: it is kept in mind, or found again, and never posted twice."""
    channel = CHANNELS["payments"]
    workspace.emulator.script(Fault(kind=FaultKind.SLOW, method="chat.postMessage", seconds=1))
    with router_on(bad_disk, workspace) as router:
        assert told(router, 0) == 200
        workspace.wait_for(lambda slack: len(slack.roots(channel)) == 1)
        bad_disk.fill()
        eventually(
            lambda: loop_failures(router, "delivery") >= 3, timeout_s=15, what="three rounds of trying to record it"
        )
        if restarted:
            router.kill()
            bad_disk.mend()
            router.start()
        else:
            bad_disk.mend()
        router.wait_until(drained, 40)
    assert len(workspace.roots(channel)) == 1


def loop_failures(router: RouterProcess, loop: str) -> float:
    found = re.search(rf'^router_loop_failures_total{{loop="{loop}"}} (\S+)$', metrics(router), re.MULTILINE)
    return float(found[1]) if found else 0


def metrics(router: RouterProcess) -> str:
    return router.get("/metrics").body.decode()


@pytest.mark.needs("cc")
@pytest.mark.parametrize("how", ["io", "readonly"])
def test_20_failing_disk_is_503_until_it_is_well(bad_disk: BadDisk, workspace: SlackServer, how: str) -> None:
    """A sync that fails, and a file system that became read-only: refused, and nothing that was refused counts."""
    with router_on(bad_disk, workspace) as router:
        assert told(router, 0) == 200
        router.wait_until(drained)
        bad_disk.fail(how)
        refuses_quickly(router)
        bad_disk.mend()
        takes_again(router)
        status = router.wait_until(drained)
        assert status["notifications"]["accepted"] == 2
    with closing(sqlite3.connect(router.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_21_locked_by_a_backup_tool_is_503_and_recovers(tmp_path: Path) -> None:
    """While another program holds the write lock: refused within the time that a sender waits; then it goes on."""
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        with closing(sqlite3.connect(router.database, isolation_level=None)) as tool:
            tool.execute("BEGIN IMMEDIATE")
            assert told(router, 0) == 503
            assert router.get("/-/ready").status == 503
            tool.execute("ROLLBACK")
        takes_again(router)
        assert router.wait_until(drained)["notifications"]["accepted"] == 1


def header_overwritten(database: Path) -> None:
    with database.open("r+b") as file:
        file.write(b"\xff" * 100)


def page_overwritten(database: Path) -> None:
    """The root page of a table in use."""
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'messages'").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def cut_short(database: Path) -> None:
    os.truncate(database, database.stat().st_size // 2)


@pytest.mark.parametrize("damage", [header_overwritten, page_overwritten, cut_short])
def test_22_damaged_database_is_refused_with_the_way_out(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Exit 3 at the start, with what to do, and the file is left as it is: nothing is accepted that would be lost."""
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        assert told(router, 0) == 200
        router.wait_until(drained)
        assert router.terminate() == 0
    damage(router.database)
    damaged = router.database.read_bytes()
    ended = started(tmp_path)
    assert ended.returncode == 3, ended.stderr
    assert "damaged" in ended.stderr
    assert "router restore" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert router.database.read_bytes() == damaged


def started(directory: Path) -> "subprocess.CompletedProcess[str]":
    """`router serve` on the database in the directory, until it ends by itself."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "router", "serve", "--listen", f"127.0.0.1:{free_port()}"),
            *("--database", f"sqlite:///{directory / 'router.db'}", "--ownership", str(directory / "ownership.yaml")),
        ],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )


def test_25_long_reader_stops_nothing_and_the_log_ends_growing_after_it(tmp_path: Path) -> None:
    """A tool that reads for hours keeps the log from being begun anew; once it has gone, the log is used again."""
    with RouterProcess(tmp_path, ownership=write_map(tmp_path)) as router:
        log = Path(f"{router.database}-wal")
        with closing(sqlite3.connect(router.database, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM notifications").fetchone()
            fill_log(router, megabytes=8)
            held = log.stat().st_size
            assert held > 8_000_000
        fill_log(router, megabytes=12)
        assert log.stat().st_size < held + 8_000_000


def fill_log(router: RouterProcess, *, megabytes: int) -> None:
    large = "x" * 1_000_000
    for number in range(megabytes):
        sent = body(alert("Large", team="payments", instance=str(number), description=large), group="large")
        assert router.post(WEBHOOK, sent).status == 200
    router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
