"""What was acknowledged survives the power: on the real router's own writes, by a simulation that is seen to fail."""

import asyncio
import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.house import Clock, alert, house
from tests.router_process import PROJECT
from tests.slack import SlackServer
from tests.torture.disk import Cut, Disk, cuts_of
from tests.torture.history import Create, Event, History, Remove, Resize, Sync, Write, events_of, tracing
from tests.torture.power_cuts import run
from tests.torture.stored import Verdict, judge


@pytest.mark.needs("strace")
def test_05_no_acknowledged_notification_is_lost_with_the_power() -> None:
    """At any moment, checkpoints and the first start included: nothing lost, torn or corrupt, and all is delivered."""
    outcome = run(cuts=40, seed=1)
    assert outcome.ok, f"\n{outcome}"
    assert outcome.cuts == 40
    assert outcome.checkpoints >= 4
    assert outcome.restarts >= 2
    assert outcome.rows_checked > 1_000


@pytest.mark.needs("strace")
@pytest.mark.parametrize(
    ("synchronous", "loses"),
    [
        pytest.param("OFF", True, id="never synced"),
        pytest.param("NORMAL", True, id="synced at checkpoints only"),
        pytest.param("FULL", False, id="synced at every commit"),
    ],
)
def test_the_simulation_tells_who_syncs(tmp_path: Path, synchronous: str, loses: bool) -> None:
    """Rows that were only written, not synced, are lost in some of the cuts; synced ones in none."""
    recorded = little_writer(tmp_path, synchronous)
    chance = random.Random(1)  # noqa: S311 - repeatable, not secret
    outcomes = [surviving(tmp_path / "image.db", cut) for cut in cuts_of(recorded, 40, chance)]
    assert (max(outcomes) > 0) is loses


def little_writer(directory: Path, synchronous: str) -> History:
    log, database = directory / "strace.log", directory / "rows.db"
    command = [*tracing(log), sys.executable, "-m", "tests.torture.little_writer", str(database), synchronous]
    subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, timeout=60)
    events = events_of(log, database, answered=re.compile(rb"stored (\d+)"))
    return History(database=database, before={}, events=events)


def surviving(database: Path, cut: Cut) -> int:
    """How many acknowledged rows are missing; all of them where the database cannot be read any more."""
    for suffix in ("", "-wal", "-journal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    for name, content in cut.image.items():
        database.with_name(name.replace("rows.db", database.name)).write_bytes(content)
    try:
        with closing(sqlite3.connect(database)) as connection:
            held = {str(identifier) for (identifier,) in connection.execute("SELECT id FROM rows")}
    except sqlite3.DatabaseError:
        held = set()
    return len(cut.acknowledged - held)


# -- the disk ----------------------------------------------------------------------------------------------------------

OLD: Final = b"old" * 512
NEW: Final = b"new" * 512


def write(began: int, ended: int | None = None) -> Write:
    return Write(began=began, ended=ended or began, name="f", offset=0, data=NEW)


def sync(began: int, name: str | None = "f") -> Sync:
    return Sync(began=began, ended=began + 1, name=name)


@pytest.mark.parametrize(
    ("events", "kept", "certain"),
    [
        pytest.param([write(1)], True, False, id="written, not synced"),
        pytest.param([write(1), sync(2)], True, True, id="written, then synced"),
        pytest.param([sync(1), write(3)], True, False, id="synced, then written"),
        pytest.param([write(1, ended=3), sync(2)], True, False, id="the write ended after the sync began"),
        pytest.param([write(1), sync(2, name=None)], True, False, id="only the directory was synced"),
        pytest.param([Resize(began=1, ended=1, name="f", size=0)], False, False, id="truncated, not synced"),
    ],
)
def test_what_is_not_synced_is_not_sure(events: list[Event], kept: bool, certain: bool) -> None:
    """Over many cuts the old and the new content are both seen, unless a sync lies between."""
    found = {cut(events, seed) for seed in range(60)}
    assert NEW in found or not kept
    assert (OLD not in found) is certain
    assert (len(found) > 3) is (kept and not certain), "of a write that was not synced, any part may be there"


@pytest.mark.parametrize(
    ("events", "possible"),
    [
        pytest.param([Create(began=1, ended=1, name="g")], {True, False}, id="created"),
        pytest.param([Create(began=1, ended=1, name="g"), sync(2, name="g")], {True, False}, id="its content synced"),
        pytest.param([Create(began=1, ended=1, name="g"), sync(2, name=None)], {True}, id="its directory synced"),
        pytest.param(
            [
                Create(began=1, ended=1, name="g"),
                sync(2, name=None),
                Remove(began=4, ended=4, name="g"),
            ],
            {True, False},
            id="removed, the directory not synced since",
        ),
    ],
)
def test_a_name_is_as_sure_as_its_directory(events: list[Event], possible: set[bool]) -> None:
    """A file that was created may be gone, and one that was removed may be back, until the directory is synced."""
    assert {"g" in image(events, seed) for seed in range(60)} == possible


def cut(events: list[Event], seed: int) -> bytes:
    return image(events, seed)["f"]


def image(events: list[Event], seed: int) -> dict[str, bytes]:
    disk = Disk({"f": OLD})
    for event in events:
        disk.follow(event)
    return dict(disk.cut(random.Random(seed)))  # noqa: S311


# -- the judge ---------------------------------------------------------------------------------------------------------


async def one_message(directory: Path) -> None:
    """A database of a router that delivered one alert."""
    clock = Clock()
    with SlackServer(clock=clock.monotonic) as slack:
        async with house(directory, slack, clock=clock) as opened:
            await opened.tell(alert())
            await opened.settle()


def sql(statement: str) -> Callable[[Path], None]:
    def damage(database: Path) -> None:
        with closing(sqlite3.connect(database)) as connection, connection:
            assert connection.execute(statement).rowcount > 0, "nothing was damaged"

    return damage


def overwrite(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        pytest.param(sql("UPDATE totals SET value = value"), "sound", id="nothing"),
        pytest.param(sql("DELETE FROM notifications"), "lost", id="a notification is missing"),
        pytest.param(sql("DELETE FROM bodies"), "lost", id="a body is missing"),
        pytest.param(sql("UPDATE bodies SET body = x'00'"), "lost", id="a body is another"),
        pytest.param(sql("DELETE FROM incidents"), "torn", id="decided without its incident"),
        pytest.param(sql("DELETE FROM messages"), "torn", id="incident without its message"),
        pytest.param(sql("UPDATE messages SET state = 'pending'"), "torn", id="messages do not balance"),
        pytest.param(sql("UPDATE notifications SET state = 'waiting'"), "torn", id="notifications do not balance"),
        pytest.param(sql("UPDATE totals SET value = value + 1 WHERE name = 'accepted'"), "torn", id="total ahead"),
        pytest.param(overwrite, "corrupt", id="pages are overwritten"),
    ],
)
def test_the_judge_sees_what_is_wrong(tmp_path: Path, damage: Callable[[Path], None], what: str) -> None:
    """One damage of each kind is seen, and none where there is none."""
    asyncio.run(one_message(tmp_path))
    database = tmp_path / "router.db"
    with closing(sqlite3.connect(database)) as connection:
        bodies = dict(connection.execute("SELECT id, body FROM bodies"))
    damage(database)
    verdict: Verdict = judge(database, bodies)
    assert {kind for kind in ("lost", "torn", "corrupt", "sound") if getattr(verdict, kind)} >= {what}
    assert verdict.sound is (what == "sound")
