"""The map that is in force: what replaces it, what does not, and who hears of it."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from router.active_map import ActiveMap
from router.core.errors import OwnershipFileInvalid
from router.core.model import Cause, Notice
from router.ownership_file.watching import signature
from router.store import maps, sending
from router.store.database import Connection, Store
from router.telemetry import Metrics
from tests.house import MAP, START, Clock
from tests.store.opened import opened

OTHER = MAP + "services:\n  mailer: {owner: ledger}\n"
BROKEN = MAP + "services:\n  mailer: {onwer: ledger}\n"
OTHERWISE_BROKEN = MAP + "services:\n  mailer: {owner: nobody-we-know}\n"
FAILING = MAP + "tests:\n  - labels: {team: payments}\n    expect: {owner: ledger}\n"


@dataclass
class Scene:
    """A map file, what is in force of it, and a store to tell it to."""

    file: Path
    store: Store
    clock: Clock
    active: ActiveMap
    metrics: Metrics

    def write(self, text: str) -> None:
        """As an editor does it: a new file takes the place of the old one."""
        new = self.file.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(self.file)

    async def refused(self) -> str:
        with pytest.raises(OwnershipFileInvalid):
            await self.active.reload()
        return self.active.error or ""

    async def notices(self) -> list[Notice]:
        """The lines to the fallback channel, oldest first."""

        def found(connection: Connection) -> list[Notice]:
            claimed = sending.claim(
                connection,
                now=self.clock() + timedelta(days=1),
                lease=timedelta(),
                posts=100,
                edits=100,
                limit=100,
                blocked=(),
                fallback="C0ORPHANS1",
            )
            return [message.notice for message in claimed if message.notice is not None]

        return await self.store.write(found)

    def reloads(self, outcome: str) -> float:
        return self.metrics.registry.get_sample_value("router_map_reloads_total", {"outcome": outcome}) or 0.0


Act = Callable[[Callable[[Scene], Awaitable[None]]], None]


@pytest.fixture
def act(tmp_path: Path) -> Act:
    """Plays a scene that begins with MAP in force, or with what the file holds already."""

    def play(scene: Callable[[Scene], Awaitable[None]]) -> None:
        async def live() -> None:
            file, clock, metrics = tmp_path / "ownership.yaml", Clock(), Metrics()
            if not file.exists():
                file.write_text(MAP, encoding="utf-8")
            async with opened(tmp_path / "router.db", metrics) as store:
                active = ActiveMap(file, clock=clock, metrics=metrics)
                await active.keep_in(store)
                await scene(Scene(file=file, store=store, clock=clock, active=active, metrics=metrics))

        asyncio.run(live())

    return play


def test_good_map_takes_over(act: Act) -> None:
    """It decides from then on, and its age begins."""

    async def scene(scene: Scene) -> None:
        before = scene.active()
        scene.write(OTHER)
        scene.clock.advance(60)
        await scene.active.reload()
        assert scene.active().services["mailer"].owner == "ledger"
        assert before.services == {}
        assert scene.active.version.loaded_at == START + timedelta(minutes=1)
        assert scene.reloads("accepted") == 1
        assert await scene.notices() == []

    act(scene)


def test_unchanged_map_keeps_its_age(act: Act) -> None:
    """A reload of the same bytes changes nothing, and no incident is looked at again."""

    async def scene(scene: Scene) -> None:
        scene.clock.advance(60)
        scene.write(MAP)
        await scene.active.reload()
        assert scene.active.version.loaded_at == START
        assert (scene.reloads("unchanged"), scene.reloads("accepted")) == (1, 0)

    act(scene)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(BROKEN, ":11:12: OWN004", id="unknown key"),
        pytest.param(OTHERWISE_BROKEN, ":11:19: OWN101", id="unknown team"),
        pytest.param(FAILING, ":11:5: OWN901", id="a test that fails"),
        pytest.param(MAP[:70], "OWN", id="cut off"),
        pytest.param("", "OWN005", id="empty"),
        pytest.param("[" * 100_000, "OWN002", id="too deep"),
    ],
)
def test_broken_map_changes_nothing_and_is_told_once(act: Act, text: str, says: str) -> None:
    """The old one decides on; the fallback channel hears it once, however often it is tried, and when it is over."""

    async def scene(scene: Scene) -> None:
        in_force = scene.active()
        scene.write(text)
        assert says in await scene.refused()
        await scene.refused()
        assert scene.active() is in_force
        assert scene.reloads("rejected") == 2
        (notice,) = await scene.notices()
        assert (notice.cause, notice.count, notice.ended_at) == (Cause.MAP_REJECTED, 1, None)
        assert says in notice.error
        scene.clock.advance(60)
        scene.write(OTHER)
        await scene.active.reload()
        assert scene.active.error is None
        (notice,) = await scene.notices()
        assert notice.ended_at == START + timedelta(minutes=1)

    act(scene)


def test_another_defect_is_told_too(act: Act) -> None:
    """Within the hour it is counted in the same line, with the newest words."""

    async def scene(scene: Scene) -> None:
        scene.write(BROKEN)
        await scene.refused()
        scene.write(OTHERWISE_BROKEN)
        await scene.refused()
        (notice,) = await scene.notices()
        assert notice.count == 2
        assert "OWN101" in notice.error

    act(scene)


def test_failing_tests_do_not_keep_the_router_from_starting(act: Act, tmp_path: Path) -> None:
    """A restart at night must not leave alerts to nobody because an override ended: it serves, and it says so."""
    (tmp_path / "ownership.yaml").write_text(FAILING, encoding="utf-8")

    async def scene(scene: Scene) -> None:
        assert "OWN901" in (scene.active.error or "")
        assert len(scene.active.failing_tests) == 1
        (notice,) = await scene.notices()
        assert "OWN901" in notice.error
        scene.write(MAP)
        await scene.active.reload()
        assert scene.active.error is None
        assert not scene.active.failing_tests

    act(scene)


def test_changed_file_is_taken_up_when_it_holds_still(act: Act) -> None:
    """Two looks must see the same state: what is being written is not a map yet."""

    async def scene(scene: Scene) -> None:
        assert not await scene.active.look()
        with scene.file.open("w", encoding="utf-8") as half:
            half.write(OTHER[:80])
            half.flush()
            assert not await scene.active.look()
            half.write(OTHER[80:])
        assert not await scene.active.look()
        assert await scene.active.look()
        assert "mailer" in scene.active().services
        assert not await scene.active.look()
        assert await scene.notices() == []

    act(scene)


def test_broken_file_is_looked_at_once(act: Act) -> None:
    """It is refused once and not every two seconds; repairing it is a change again."""

    async def scene(scene: Scene) -> None:
        scene.write(BROKEN)
        looks = [await scene.active.look() for _ in range(6)]
        assert looks == [False, True, False, False, False, False]
        scene.write(OTHER)
        assert [await scene.active.look() for _ in range(3)] == [False, True, False]

    act(scene)


def test_file_that_is_gone_is_a_broken_map(act: Act) -> None:
    """An unmounted volume leaves the map in force, and is told."""

    async def scene(scene: Scene) -> None:
        in_force = scene.active()
        scene.file.unlink()
        assert [await scene.active.look() for _ in range(3)] == [False, True, False]
        assert scene.active() is in_force
        assert "cannot be read" in (scene.active.error or "")

    act(scene)


def test_included_files_are_watched(act: Act, tmp_path: Path) -> None:
    """A file that appears under a glob of `include`, changes, or goes, is a change of the map."""
    (tmp_path / "ownership.yaml").write_text(MAP + "include: [teams/*.yaml]\n", encoding="utf-8")
    (tmp_path / "teams").mkdir()
    first = tmp_path / "teams" / "a.yaml"
    first.write_text("services:\n  a: {owner: ledger}\n", encoding="utf-8")

    async def changed(scene: Scene) -> bool:
        return [await scene.active.look() for _ in range(3)] == [False, True, False]

    async def scene(scene: Scene) -> None:
        assert not await scene.active.look()
        (tmp_path / "teams" / "b.yaml").write_text("services:\n  b: {owner: ledger}\n", encoding="utf-8")
        assert await changed(scene)
        assert set(scene.active().services) == {"a", "b"}
        first.write_text("services:\n  c: {owner: ledger}\n", encoding="utf-8")
        assert await changed(scene)
        first.unlink()
        assert await changed(scene)
        assert set(scene.active().services) == {"b"}

    act(scene)


def test_swapped_config_map(act: Act, tmp_path: Path) -> None:
    """Kubernetes swaps the symbolic link `..data`: the file's own link does not change, its content does."""
    for name, text in (("..first", MAP), ("..second", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ownership.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "ownership.yaml").symlink_to("..data/ownership.yaml")

    async def scene(scene: Scene) -> None:
        assert "mailer" not in scene.active().services
        (tmp_path / "..data_tmp").symlink_to("..second")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        assert [await scene.active.look() for _ in range(3)] == [False, True, False]
        assert "mailer" in scene.active().services

    act(scene)


def test_map_that_comes_back_keeps_its_first_time(act: Act) -> None:
    """What it decided the first time says so, also when it is in force again."""

    async def scene(scene: Scene) -> None:
        for minute, text in enumerate((OTHER, MAP), start=1):
            scene.clock.advance(60)
            scene.write(text)
            await scene.active.reload()
            assert scene.active.version.loaded_at == START + timedelta(minutes=minute)

        async def since(at: datetime) -> datetime | None:
            revision = scene.active().revision
            found = await scene.store.read(partial(maps.in_force, revision=revision, at=at))
            return None if found is None else found.loaded_at

        assert await since(START + timedelta(seconds=30)) == START
        assert await since(START + timedelta(minutes=5)) == START + timedelta(minutes=2)
        assert await since(START - timedelta(days=1)) == START

    act(scene)


def test_age_survives_a_restart(act: Act, tmp_path: Path) -> None:
    """The map did not become younger because the router was restarted; another one did."""

    async def first(scene: Scene) -> None:
        found = await scene.store.read(partial(maps.in_force, revision=scene.active().revision, at=scene.clock()))
        assert found == scene.active.version

    async def second(scene: Scene) -> None:
        scene.clock.advance(3600)
        again = ActiveMap(scene.file, clock=scene.clock, metrics=Metrics())
        assert again.version.loaded_at == START + timedelta(hours=1)
        await again.keep_in(scene.store)
        assert again.version.loaded_at == START
        scene.write(OTHER)
        other = ActiveMap(scene.file, clock=scene.clock, metrics=Metrics())
        await other.keep_in(scene.store)
        assert other.version.loaded_at == START + timedelta(hours=1)

    act(first)
    act(second)


class Restless(type(Path())):  # type: ignore[misc]  # the class of this system's paths is chosen at run time
    """A file that is written just before it is looked at for the third time."""

    looks = 0

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        Restless.looks += 1
        if Restless.looks == 3:
            Path(self).write_text(OTHER, encoding="utf-8")
        found: os.stat_result = super().stat(follow_symlinks=follow_symlinks)
        return found


def test_what_is_written_after_it_was_read_is_not_missed(tmp_path: Path) -> None:
    """A pull request is merged while the tests of the one before still run: the next looks take it up."""
    file = tmp_path / "ownership.yaml"
    file.write_text(MAP, encoding="utf-8")

    async def scene() -> None:
        active = ActiveMap(Restless(file), clock=Clock(), metrics=Metrics())
        assert "mailer" not in active().services
        looks = [await active.look() for _ in range(3)]
        assert looks == [False, True, False]
        assert "mailer" in active().services

    asyncio.run(scene())


def test_mended_permissions_are_a_change(tmp_path: Path) -> None:
    """A file that could not be read is repaired by chmod, which changes neither its size nor when it was written."""
    file = tmp_path / "ownership.yaml"
    file.write_text(MAP, encoding="utf-8")
    before = signature(file)

    def mended() -> bool:
        file.chmod(0o600)
        return signature(file) != before

    assert any(mended() for _ in range(100_000)), "a file system's clock may tick every few milliseconds only"


def test_glob_that_the_loader_refuses_walks_no_tree(tmp_path: Path) -> None:
    """`**` in `include` is a finding; looking for it every two seconds would read the whole directory tree."""
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "x.yaml").write_text("", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("", encoding="utf-8")
    looked_at = [state[0] for state in signature(tmp_path / "ownership.yaml", ("**/x.yaml", "*.yaml", "\0", "[z-a]"))]
    assert looked_at == [str(tmp_path / "ownership.yaml")]


def test_restart_with_a_repaired_map_says_that_it_is_over(act: Act) -> None:
    """The process that told of the refusal is gone; the line in the fallback channel must not stay for ever."""

    async def first(scene: Scene) -> None:
        scene.write(BROKEN)
        await scene.refused()
        assert len(await scene.notices()) == 1
        scene.write(OTHER)

    async def second(scene: Scene) -> None:
        (notice,) = await scene.notices()
        assert notice.ended_at == START

    act(first)
    act(second)


@pytest.mark.xfail(strict=True, reason="any router that finds its own files good ends the notices of all")
def test_refusal_goes_on_while_another_router_has_a_good_map(act: Act, tmp_path: Path) -> None:
    """Two routers on one database, of which one has not got the repaired files yet: it is not over."""

    async def scene(at: Scene) -> None:
        at.write(BROKEN)
        await at.refused()
        other = tmp_path / "other.yaml"
        other.write_text(MAP, encoding="utf-8")
        await ActiveMap(other, clock=at.clock, metrics=Metrics()).keep_in(at.store)
        await at.refused()
        (notice,) = await at.notices()
        assert notice.ended_at is None

    act(scene)


def test_refusal_is_told_once_the_disk_takes_it(act: Act, tmp_path: Path) -> None:
    """The store is away while a map is refused: the notice is kept in mind, and a later look writes it, once."""

    async def scene(scene: Scene) -> None:
        scene.write(BROKEN)
        with closing(sqlite3.connect(tmp_path / "router.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await scene.refused()
            other.execute("ROLLBACK")
        assert await scene.notices() == []
        for _ in range(3):
            await scene.active.look()
        (notice,) = await scene.notices()
        assert notice.count == 1

    act(scene)


def test_map_is_recorded_once_the_disk_takes_it(act: Act, tmp_path: Path) -> None:
    """What it decided meanwhile can then say since when it is in force."""

    async def scene(scene: Scene) -> None:
        scene.write(OTHER)
        with closing(sqlite3.connect(tmp_path / "router.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await scene.active.reload()
            other.execute("ROLLBACK")
        await scene.active.look()
        found = await scene.store.read(partial(maps.in_force, revision=scene.active().revision, at=scene.clock()))
        assert found == scene.active.version

    act(scene)


def test_failing_tests_and_a_refused_file_are_told_apart(act: Act, tmp_path: Path) -> None:
    """The map in force fails a test, and its files are broken since: two things, each in its own words."""
    (tmp_path / "ownership.yaml").write_text(FAILING, encoding="utf-8")

    async def scene(scene: Scene) -> None:
        scene.write(BROKEN)
        assert "OWN004" in await scene.refused()
        assert ["OWN901" in str(finding) for finding in scene.active.failing_tests] == [True]
        scene.write(FAILING)
        assert "OWN901" in await scene.refused()
        assert scene.active.refused is None, "the files are those of the map in force again"

    act(scene)


def test_file_whose_name_is_no_text_is_told_too(act: Act, tmp_path: Path) -> None:
    """A name in another encoding than UTF-8, which no database takes, is told with a question mark in its place."""
    (tmp_path / "ownership.yaml").write_text(MAP + "include: [teams/*.yaml]\n", encoding="utf-8")
    (tmp_path / "teams").mkdir()
    (tmp_path / "teams" / "a.yaml").write_text("{}\n", encoding="utf-8")

    async def scene(scene: Scene) -> None:
        (tmp_path / "teams" / os.fsdecode(b"\xff.yaml")).write_text("onwer: x\n", encoding="utf-8")
        await scene.refused()
        (notice,) = await scene.notices()
        assert "teams/?.yaml:1:1" in notice.error

    act(scene)
