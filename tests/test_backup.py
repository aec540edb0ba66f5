"""Backups of a router that runs, and what becomes of one that was made from a backup."""

import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from router.cli import main
from router.core.errors import CannotStart, StoreUnavailable
from router.core.model import Cause, Notice, Source
from router.preview.workspace import ChannelSeed
from router.serve import _mark_copy
from router.store import inbox, leases, messages
from router.store.backup import RESTORED, back_up, mark_restored, restore
from router.store.database import Connection, Store
from router.store.dead_letters import requeue_deliveries
from router.store.schema import MIGRATIONS
from tests.acceptance.organisation import CHANNELS, alert, body, write_map
from tests.core.factories import NOW
from tests.docs.pages import blocks, section, text_of
from tests.house import PAYMENTS, House, Tell, header
from tests.house import alert as told
from tests.postgres import PostgresServer
from tests.router_process import PROJECT, RouterProcess, SlackAccess, drained, environment, unbalanced
from tests.slack import SlackServer
from tests.store.opened import with_store

FALLBACK: Final = CHANNELS[None]
OF_A_DATABASE: Final = ("router.db", "router.db.lock", "router.db-wal", "router.db-shm")


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """The command, as an operator runs it."""
    return subprocess.run(
        [sys.executable, "-m", "router", *map(str, arguments)],
        cwd=PROJECT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def url(path: Path) -> str:
    return f"sqlite:///{path}"


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with SlackServer() as server:
        server.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in CHANNELS.values()])
        yield server
        server.check()


@pytest.fixture
def router(tmp_path: Path, slack: SlackServer) -> Iterator[RouterProcess]:
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), slack=access) as router:
        yield router


def post(router: RouterProcess, name: str, *, team: str = "payments") -> str:
    answer = router.post("/webhooks/alertmanager", body(alert(name, team=team), group=name))
    assert answer.status == 200, answer.body
    return str(answer.json()["id"])


def dead_letters(router: RouterProcess) -> list[dict[str, object]]:
    found: list[dict[str, object]] = router.get("/api/v1/dead-letters?limit=1000").json()["dead_letters"]
    return found


# -- with a real router ------------------------------------------------------------------------------------------------


def test_a_backup_under_load_has_all_that_was_answered_before(router: RouterProcess, tmp_path: Path) -> None:
    """Senders never stop; the copy is one instant, and what was accepted before it began is in it, to the last one."""
    accepted: list[str] = []
    stop, many = threading.Event(), threading.Event()

    def keep_posting(poster: int) -> None:
        number = 0
        while not stop.is_set():
            accepted.append(post(router, f"Load{poster}x{number % 3}"))
            number += 1
            if number == 50:
                many.set()

    posters = [threading.Thread(target=keep_posting, args=(poster,)) for poster in range(3)]
    for poster in posters:
        poster.start()
    assert many.wait(30)
    before = list(accepted)
    file = tmp_path / "backup.db"
    done = run("backup", file, "--database", url(router.database))
    stop.set()
    for poster in posters:
        poster.join(20)
    assert done.returncode == 0, done.stderr
    assert f"{file}: " in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [left.name for left in tmp_path.iterdir() if left.name.startswith("backup.db")] == ["backup.db"]
    router.kill()

    restored = run("restore", file, "--database", url(router.database))
    assert restored.returncode == 0, restored.stderr
    router.start()
    status = router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
    assert unbalanced(status) is None
    assert len(before) <= status["notifications"]["accepted"] < len(accepted)
    found = [router.get(f"/api/v1/notifications/{reference}").status for reference in before]
    assert found == [200] * len(before)


def test_fault_88_a_restore_posts_nothing_old(router: RouterProcess, slack: SlackServer, tmp_path: Path) -> None:
    """A backup from the middle of an outage, restored after it: one notice, and dead letters to look at."""
    with slack.refusing():
        for number in range(40):
            post(router, f"Outage{number}", team=("payments", "ledger")[number % 2])
        router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
        file = tmp_path / "backup.db"
        assert run("backup", file, "--database", url(router.database)).returncode == 0
        router.kill()
    posted = slack.emulator.calls.get("chat.postMessage", 0)
    assert posted == 0

    restored = run("restore", file, "--database", url(router.database))
    assert restored.returncode == 0, restored.stderr
    dead = int(restored.stdout.partition("that waited to be posted, dead letters now: ")[2].split()[0])
    assert 0 < dead <= 40  # those of a crowd share a digest
    router.start()
    router.wait_until(drained)
    slack.wait_for(lambda slack: len(slack.messages(FALLBACK)) == 1)
    assert slack.emulator.calls["chat.postMessage"] == 1
    (notice,) = slack.messages(FALLBACK)
    assert "RESTORED · database" in str(notice.content.blocks)
    letters = dead_letters(router)
    assert len(letters) == dead
    assert {letter["reason"] for letter in letters} == {RESTORED}
    assert unbalanced(router.status()) is None


def test_fault_88_a_copy_put_in_place_by_hand_posts_nothing_old(
    router: RouterProcess, slack: SlackServer, tmp_path: Path
) -> None:
    """Whoever has no time to read copies the backup over the database: the router sees what it is, once."""
    with slack.refusing():
        for number in range(10):
            post(router, f"Outage{number}")
        router.wait_until(lambda status: status["notifications"]["waiting"] == 0)
        file = tmp_path / "backup.db"
        assert run("backup", file, "--database", url(router.database)).returncode == 0
        router.kill()
    for left in router.database.parent.glob("router.db*"):
        left.unlink()
    shutil.copy(file, router.database)

    router.start()
    router.wait_until(drained)
    router.kill()
    router.start()
    router.wait_until(drained)

    assert len(router.named("database_restored")) == 1
    assert slack.emulator.calls["chat.postMessage"] == 1
    (notice,) = slack.messages(FALLBACK)
    assert "RESTORED · database" in str(notice.content.blocks)
    assert {letter["reason"] for letter in dead_letters(router)} == {RESTORED}


def test_a_running_router_is_not_restored_over(router: RouterProcess, tmp_path: Path) -> None:
    """Exit 3, it says so, and the router goes on with what it has."""
    post(router, "A")
    file = tmp_path / "backup.db"
    assert run("backup", file, "--database", url(router.database)).returncode == 0
    refused = run("restore", file, "--database", url(router.database))
    assert refused.returncode == 3
    assert "in use" in refused.stderr
    post(router, "B")
    assert router.wait_until(drained)["notifications"]["decided"] == 2


def test_a_backup_changes_nothing_of_the_database(router: RouterProcess, tmp_path: Path) -> None:
    """The router has the one connection that writes and checkpoints: after a kill its files are as they were."""
    for number in range(20):
        post(router, f"A{number}")
    router.kill()
    files = [router.database, router.database.with_name("router.db-wal")]
    before = [file.read_bytes() for file in files]
    assert run("backup", tmp_path / "backup.db", "--database", url(router.database)).returncode == 0
    assert [file.read_bytes() for file in files] == before


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """One notification that waits."""
    path = tmp_path / "router.db"
    row = inbox.row(id=1, source=Source.ALERTMANAGER, received_at=NOW, error=None, body=b"{}")
    with_store(path, lambda store: _append(store, row))
    return path


async def _append(store: Store, row: tuple[object, ...]) -> None:
    await store.append(row, size=2)


def not_a_database(directory: Path) -> Path:
    file = directory / "backup.db"
    file.write_bytes(b"this is no database" * 1000)
    return file


def empty(directory: Path) -> Path:
    file = directory / "backup.db"
    file.write_bytes(b"")
    return file


def of_somebody_else(directory: Path) -> Path:
    file = directory / "backup.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    return file


def copied(directory: Path) -> Path:
    file = directory / "backup.db"
    back_up(url(directory / "router.db"), file, force=False, progress=_unseen)
    return file


def of_a_newer_router(directory: Path) -> Path:
    file = copied(directory)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE router_schema SET version = ?", (len(MIGRATIONS) + 1,))
    return file


def truncated(directory: Path) -> Path:
    file = copied(directory)
    with file.open("r+b") as handle:
        handle.truncate(file.stat().st_size // 2)
    return file


def damaged(directory: Path) -> Path:
    """A page in the middle is full of something else."""
    file = copied(directory)
    with file.open("r+b") as handle:
        handle.seek(5 * 4096)
        handle.write(b"\xa5" * 4096)
    return file


def missing(directory: Path) -> Path:
    return directory / "backup.db"


def the_database_itself(directory: Path) -> Path:
    return directory / "router.db"


@pytest.mark.parametrize(
    ("backup", "says"),
    [
        pytest.param(not_a_database, "not a database", id="not a database"),
        pytest.param(empty, "not one of this router", id="empty file"),
        pytest.param(of_somebody_else, "not one of this router", id="another program's database"),
        pytest.param(of_a_newer_router, f"schema version {len(MIGRATIONS) + 1}", id="a newer router's"),
        pytest.param(truncated, "malformed", id="cut off"),
        pytest.param(damaged, "damaged|malformed", id="damaged page"),
        pytest.param(missing, "no such file", id="not there"),
        pytest.param(the_database_itself, "--in-place", id="the database itself"),
    ],
)
def test_a_restore_refuses_what_it_cannot_use(
    tmp_path: Path, stored: Path, backup: Callable[[Path], Path], says: str
) -> None:
    """Exit 2, with what to do instead, and the present database is as it was."""
    file = backup(tmp_path)
    before = stored.read_bytes()
    refused = run("restore", file, "--database", url(stored))
    assert refused.returncode == 2, refused.stderr
    assert any(word in refused.stderr for word in says.split("|")), refused.stderr
    assert "Traceback" not in refused.stderr
    assert stored.read_bytes() == before
    assert {left.name for left in tmp_path.iterdir()} <= {*OF_A_DATABASE, "backup.db"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        pytest.param(["there.db"], 2, "--force", id="the file is there"),
        pytest.param(["router.db"], 2, "the database itself", id="onto the database"),
        pytest.param(["router.db", "--force"], 2, "the database itself", id="onto the database by force"),
        pytest.param(
            ["new.db", "--database", "sqlite:///nowhere.db"], 2, "nowhere.db: no such database", id="no database"
        ),
        pytest.param(["missing/new.db"], 3, "No such file or directory", id="no directory"),
        pytest.param([], 2, "FILE", id="no file named"),
        pytest.param(
            ["new.dump", "--database", "postgresql://router:s3cret@db.example.com/router"],
            2,
            "pg_dump --format=custom --file=new.dump",
            id="PostgreSQL",
        ),
    ],
)
def test_a_backup_refuses_what_it_cannot_do(stored: Path, arguments: list[str], code: int, says: str) -> None:
    """With what to do instead, without a password, and nothing is written."""
    there = stored.with_name("there.db")
    there.write_bytes(b"mine")
    before = stored.read_bytes()
    refused = subprocess.run(
        [sys.executable, "-m", "router", "backup", *arguments],
        cwd=stored.parent,
        env=environment(PYTHONPATH=str(PROJECT), ROUTER_DATABASE="sqlite:///router.db"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == code, refused.stderr
    assert says in refused.stderr
    assert "s3cret" not in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (there.read_bytes(), stored.read_bytes()) == (b"mine", before)
    assert {left.name for left in stored.parent.iterdir()} <= {*OF_A_DATABASE, "there.db"}


@pytest.mark.parametrize("arguments", [[], ["file.db", "--in-place"]], ids=["neither", "both"])
def test_a_restore_names_a_file_or_none(arguments: list[str]) -> None:
    """Wrong usage is exit 2."""
    assert run("restore", *arguments).returncode == 2


# -- crashes -----------------------------------------------------------------------------------------------------------


def _unseen(_left: int, _pages: int) -> None:
    """Nobody looks."""


class PowerCutError(Exception):
    pass


def _interrupted(_left: int, _pages: int) -> None:
    raise PowerCutError


def test_fault_13_an_interrupted_backup_leaves_the_last_one(stored: Path) -> None:
    """What was there stays whole, nothing is left over, and the next one succeeds."""
    file = stored.with_name("backup.db")
    back_up(url(stored), file, force=False, progress=_unseen)
    before = file.read_bytes()
    with pytest.raises(PowerCutError):
        back_up(url(stored), file, force=True, progress=_interrupted)
    assert file.read_bytes() == before
    assert not file.with_name("backup.db.partial").exists()
    assert back_up(url(stored), file, force=True, progress=_unseen).waiting == 1


def test_fault_13_what_a_killed_backup_left_is_replaced(stored: Path) -> None:
    """Half a copy and its journal, as after kill -9, do not get into the next one."""
    file = stored.with_name("backup.db")
    for suffix in (".partial", ".partial-journal", ".partial-wal"):
        file.with_name(f"backup.db{suffix}").write_bytes(b"half" * 1000)
    assert back_up(url(stored), file, force=False, progress=_unseen).notifications == 1
    assert sorted(left.name for left in stored.parent.glob("backup.db*")) == ["backup.db"]


def test_two_backups_to_one_file_do_not_mix(stored: Path) -> None:
    """The second says that the first is under way."""
    file = stored.with_name("backup.db")

    def second(_left: int, _pages: int) -> None:
        with pytest.raises(StoreUnavailable, match="another backup"):
            back_up(url(stored), file, force=False, progress=_unseen)

    back_up(url(stored), file, force=False, progress=second)
    assert file.exists()


# Replaced from outside, because no step of a restore waits for anything at which a kill could be timed.
KILLED: Final = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from router.store import backup

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(backup, sys.argv[3], killed)
backup.restore(Path(sys.argv[1]), sys.argv[2], now=datetime.now(UTC), progress=lambda *_: None)
"""


@pytest.mark.parametrize("step", ["_copy", "_mark", "_sync", "_keep"])
def test_fault_13_a_killed_restore_leaves_the_old_database(tmp_path: Path, stored: Path, step: str) -> None:
    """kill -9 at each step: the router starts with what it had, and the restore can be done again."""
    file = copied(tmp_path)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(file), url(stored), step], cwd=PROJECT, check=False, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(stored)) as connection:
        assert connection.execute("SELECT count(*) FROM messages").fetchone() == (0,)
    assert restore(file, url(stored), now=NOW, progress=_unseen).marked.waiting == 1
    assert not list(tmp_path.glob("router.db.restoring*"))


# -- what a restore keeps and marks ------------------------------------------------------------------------------------


def test_the_database_of_before_is_kept_whole(tmp_path: Path, stored: Path) -> None:
    """With what stands in its log only, as after a kill; and no log of it is left to the new one."""
    file = copied(tmp_path)
    with closing(sqlite3.connect(stored)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("UPDATE totals SET value = 77 WHERE name = 'accepted'")
        connection.commit()
        log = stored.with_name("router.db-wal").read_bytes()
        only = stored.read_bytes()
    stored.write_bytes(only)
    stored.with_name("router.db-wal").write_bytes(log)

    found = restore(file, url(stored), now=NOW, progress=_unseen)
    assert found.before == stored.with_name("router.db.before-restore-20261121T110300Z")
    for path, accepted in ((found.before, 77), (stored, 1)):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT value FROM totals WHERE name = 'accepted'").fetchone() == (accepted,)


def test_a_damaged_database_can_be_restored_over(tmp_path: Path, stored: Path) -> None:
    """The reason why most restore: the damaged file is kept as it is, and its log does not get into the new one."""
    file = copied(tmp_path)
    stored.write_bytes(b"\xa5" * 8192)
    stored.with_name("router.db-wal").write_bytes(b"of another database")
    found = restore(file, url(stored), now=NOW, progress=_unseen)
    assert found.before is not None
    assert found.before.read_bytes() == b"\xa5" * 8192
    assert with_store(stored, lambda store: store.read(inbox.sums))["waiting"] == 1


def test_a_restore_where_nothing_was(tmp_path: Path, stored: Path) -> None:
    """On a new machine; a log that was left there does not get into it."""
    file = copied(tmp_path)
    elsewhere = tmp_path / "new" / "router.db"
    elsewhere.parent.mkdir()
    elsewhere.with_name("router.db-wal").write_bytes(b"of another database")
    found = restore(file, url(elsewhere), now=NOW, progress=_unseen)
    assert found.before is None
    assert found.contents.notifications == 1
    assert with_store(elsewhere, lambda store: store.read(inbox.sums))["waiting"] == 1


def test_a_backup_of_the_first_version_is_brought_forward(tmp_path: Path) -> None:
    """An old backup, restored by a newer router."""
    file = tmp_path / "backup.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement.replace("{serial}", "INTEGER PRIMARY KEY").replace("{blob}", "BLOB"))
        connection.execute("CREATE TABLE router_schema (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO router_schema VALUES (1)")
        connection.execute(
            "INSERT INTO messages (kind, state, wanted, shown, wanted_at, due_at, attempts, cause, notice) "
            "VALUES ('notice', 'pending', 1, 0, 0, 0, 0, 'too_large:', NULL)"
        )
        connection.execute("UPDATE totals SET value = 1 WHERE name = 'wanted'")
    database = tmp_path / "router.db"
    found = restore(file, url(database), now=NOW, progress=_unseen)
    assert (found.contents.version, found.marked.dead) == (1, 1)
    with_store(database, _balanced)


async def _balanced(store: Store) -> None:
    sums = await store.read(inbox.sums)
    pending, _ = await store.read(messages.pending)
    assert sums["wanted"] == sums["delivered"] + sums["superseded"] + sums["dead"] + pending


def test_marking_twice_is_marking_once(tmp_path: Path) -> None:
    """The notice of the first time is not taken for something old."""

    async def run(store: Store) -> None:
        first = await store.write(partial(mark_restored, now=NOW))
        second = await store.write(partial(mark_restored, now=NOW + timedelta(minutes=1)))
        assert (first.dead, second.dead) == (0, 0)
        pending, _ = await store.read(messages.pending)
        assert pending == 1
        await _balanced(store)

    with_store(tmp_path / "router.db", run)


def test_a_copy_that_cannot_be_marked_is_not_served(tmp_path: Path) -> None:
    """The disk is full, or another program holds the file, for that one moment: what is old would be posted."""
    database, copy = tmp_path / "router.db", tmp_path / "copy.db"
    with_store(database, _nothing)
    back_up(url(database), copy, force=False, progress=lambda _left, _pages: None)

    async def start(store: Store) -> None:
        with closing(sqlite3.connect(copy, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(CannotStart):
                await _mark_copy(store)

    with_store(copy, start)


async def _nothing(_store: Store) -> None: ...


def test_what_is_in_slack_is_kept_true(tell: Tell) -> None:
    """An incident whose message was posted before the backup: after the restore its end is edited in."""

    async def story(house: House) -> None:
        await house.tell(told("A"))
        await house.settle()
        await house.tell(told("A", resolved=True))
        while (await house.dispatcher.step()).more:
            pass
        marked = await house.store.write(partial(mark_restored, now=house.clock()))
        assert (marked.dead, marked.edits, marked.waiting) == (0, 1, 0)
        await house.settle()

    slack = tell(story)
    (message,) = slack.roots(PAYMENTS)
    assert len(message.revisions) == 2
    assert slack.emulator.calls == {"chat.postMessage": 2, "chat.update": 1}  # the second post is the notice


def test_a_replay_looks_in_slack_first(tell: Tell) -> None:
    """Posted after the backup: who replays the dead letter gets the message that is there, and not a second one."""

    async def story(house: House) -> None:
        await house.tell(told("A"))
        await house.settle()
        await house.store.write(_as_before_the_post)
        marked = await house.store.write(partial(mark_restored, now=house.clock()))
        assert marked.dead == 1
        replay = partial(requeue_deliveries, ids=[1], replay="r", now=house.clock())
        assert await house.store.write(replay) == {1}
        house.clock.advance(3600)
        await house.settle()
        await house.tell(told("A", resolved=True))
        await house.settle()

    slack = tell(story)
    (message,) = slack.roots(PAYMENTS)
    assert "RESOLVED" in header(message)


def _as_before_the_post(connection: Connection) -> None:
    connection.execute("UPDATE messages SET state = 'pending', ts = NULL, shown = 0")
    inbox.count(connection, {"delivered": -1})


def test_what_other_tools_restored_is_marked_in_place(database: str) -> None:
    """`--in-place`, on both engines: for pg_restore, and for a snapshot of the file system."""
    with_store(database, _wants_a_post)
    done = run("restore", "--in-place", "--database", database)
    assert done.returncode == 0, done.stderr
    assert "messages that waited to be posted, dead letters now: 1" in done.stdout
    with_store(database, _balanced)


@pytest.mark.needs("postgres")
def test_a_database_in_use_is_not_marked(postgres_server: PostgresServer) -> None:
    """While a router on it holds a lease."""
    database = postgres_server.new_database()

    async def held(store: Store) -> None:
        await _wants_a_post(store)
        now = await store.time()
        assert now is not None
        await store.write(partial(leases.hold, name="delivering", holder="r1", now=now, lasts=timedelta(minutes=5)))

    with_store(database, held)
    refused = run("restore", "--in-place", "--database", database)
    assert (refused.returncode, "in use" in refused.stderr) == (3, True)
    with_store(database, _balanced)


async def _wants_a_post(store: Store) -> None:
    notice = Notice(cause=Cause.TOO_LARGE, source=None, error="e", count=1, first_at=NOW, last_at=NOW, reference=None)
    await store.write(partial(messages.notify, notice=notice))


# -- the pages ---------------------------------------------------------------------------------------------------------

PAGE: Final = "docs/reference/backup.md"


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_the_help_is_the_real_one(command: str) -> None:
    """What the page shows as the output of `--help` is that."""
    shown, _ = blocks(section(PAGE, f"## `router {command}`"), "text")
    result = CliRunner().invoke(main, [command, "--help"], prog_name="router", terminal_width=80)
    assert [line.rstrip() for line in shown.splitlines()] == [line.rstrip() for line in result.output.splitlines()]


def test_what_is_said_is_on_the_page(stored: Path) -> None:
    """The lines that both commands print, but for the figures."""
    file = stored.with_name("backup.db")
    for command, said in (
        ("backup", run("backup", file, "--database", url(stored))),
        ("restore", run("restore", file, "--database", url(stored))),
    ):
        _, shown = blocks(section(PAGE, f"## `router {command}`"), "text")
        words = [line.partition(":")[0] for line in shown.splitlines() if ": " in line and not line.startswith("/")]
        assert [word for word in words if word not in said.stdout] in ([], ["Start the router, and look at them"])


def test_the_reason_is_on_the_page() -> None:
    """By it the dead letters of a restore are found."""
    assert f"`{RESTORED}`" in text_of("docs/how-to/backup.md")
