"""The map in force: loaded at start, replaced as a whole when its files change, and kept when the new one is broken."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from router.core.errors import OwnershipFileInvalid, StoreUnavailable
from router.core.findings import Finding
from router.core.map_tests import test_findings
from router.core.model import Cause, MapVersion, Notice
from router.core.ownership import OwnershipMap
from router.ownership_file import git_commit_of, include_of, read_map, signature
from router.ownership_file.watching import Signature
from router.store import maps, messages
from router.store.database import Connection, Store
from router.telemetry import Metrics

log = structlog.get_logger()

T = TypeVar("T")

# Files that change while they are read are read again; whoever writes them without end is told so.
ATTEMPTS = 5
TOLD = 5  # findings, in the fallback channel


class ActiveMap:
    """Holds one reference. Whoever decides takes it once per unit of work, so that one map decides all of it."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime], metrics: Metrics) -> None:
        """Raises OwnershipFileInvalid.

        Tests of the map that fail do not keep the router from starting: alerts would reach nobody, and a test may fail
        only because an override ended. They are told as a refused map is.
        """
        self._path = path
        self._clock = clock
        self._metrics = metrics
        self._reloading = asyncio.Lock()
        self._store: Store | None = None
        self._told: str | None = None  # the refusal that the fallback channel heard of last
        self._unwritten: dict[str, Callable[[Connection], object]] = {}  # what the store did not take yet
        self._settling: Signature | None = None
        self.refused: str | None = None  # what is wrong with the files as they are now
        self.failing_tests: tuple[Finding, ...] = ()
        self.listeners: list[Callable[[OwnershipMap], None]] = []
        loaded = _load(path, today=clock().date())
        if loaded.map is None:
            raise OwnershipFileInvalid(list(loaded.findings))
        self._looked = loaded
        self._current: OwnershipMap = loaded.map
        self._take(loaded.map)
        self._note_tests(loaded)

    def __call__(self) -> OwnershipMap:
        return self._current

    @property
    def version(self) -> MapVersion:
        return MapVersion(revision=self._current.revision, commit=self._current.commit, loaded_at=self.loaded_at)

    @property
    def error(self) -> str | None:
        """What is wrong with the files as they are now, else with the tests of the map in force."""
        return self.refused if self.refused is not None else "\n".join(map(str, self.failing_tests)) or None

    async def keep_in(self, store: Store) -> None:
        """Note in `store` which maps are in force, from this one on, and tell the fallback channel of refused ones."""
        self._store = store
        recorded = await self._write("revision", self._record(restarted=True))
        if recorded is not None:
            self.loaded_at = recorded.loaded_at
        if self.failing_tests:
            await self._tell(self._described(self.failing_tests))
        else:
            await self._repaired()  # the refusal that the process before told of

    async def reload(self) -> None:
        """Load, check and test the files off the event loop, then swap. Raises OwnershipFileInvalid; the old map stays.

        Whoever loads meanwhile waits for that, then loads again.
        """
        async with self._reloading:
            today, include = self._clock().date(), self._looked.include
            loaded = await asyncio.to_thread(_load, self._path, today=today, include=include)
            self._looked = loaded
            refused = loaded.failing if loaded.map is not None else loaded.findings
            if loaded.map is None or refused:
                in_force = loaded.map is not None and loaded.map.revision == self._current.revision
                if in_force:  # since an override ended, perhaps
                    self.failing_tests = loaded.failing
                await self._refuse(refused, in_force=in_force)
                raise OwnershipFileInvalid(list(refused))
            unchanged = loaded.map.revision == self._current.revision
            if unchanged:
                self._current = loaded.map  # its commit may be another
            else:
                self._take(loaded.map)
                await self._write(f"revision {loaded.map.revision[:12]}", self._record(restarted=False))
            self.failing_tests, self.refused = (), None
            self._metrics.map_reloads.labels("unchanged" if unchanged else "accepted").inc()
            await self._repaired()
        log.info(
            "map_loaded",
            file=str(self._path),
            revision=self._current.revision[:12],
            commit=self._current.commit,
            teams=len(self._current.teams),
            changed=not unchanged,
        )

    async def look(self) -> bool:
        """Reload if the files changed and are not being written any more; whether they changed.

        Two looks in a row must see the same state: a file that is half written is not a new map.
        """
        await self._write_again()
        seen = await asyncio.to_thread(signature, self._path, self._looked.include)
        if seen == self._looked.signature:
            self._settling = None
            return False
        if seen != self._settling:
            self._settling = seen
            return False
        self._settling = None
        try:
            await self.reload()
        except OwnershipFileInvalid:
            log.debug("map_change_refused", file=str(self._path))
        return True

    # -- what became of it -------------------------------------------------------------------------------------------

    def _take(self, loaded: OwnershipMap) -> None:
        self._current = loaded
        self.loaded_at = self._clock()
        for warning in loaded.warnings:
            log.warning("map_warning", finding=str(warning), help=warning.help)
        for listener in self.listeners:
            listener(loaded)

    def _note_tests(self, loaded: "_Loaded") -> None:
        self.failing_tests = loaded.failing
        if loaded.failing:
            log.error("map_tests_failed", file=str(self._path), error=self.error)

    async def _refuse(self, findings: tuple[Finding, ...], *, in_force: bool) -> None:
        error = str(OwnershipFileInvalid(list(findings)))
        self.refused = None if in_force else error
        self._metrics.map_reloads.labels("rejected").inc()
        log.error("map_reload_failed", file=str(self._path), error=error, kept=self._current.revision[:12])
        await self._tell(self._described(findings))

    def _described(self, findings: tuple[Finding, ...]) -> str:
        more = len(findings) - TOLD
        return "; ".join(map(str, findings[:TOLD])) + (f"; and {more} more" if more > 0 else "")

    # -- the store ---------------------------------------------------------------------------------------------------

    async def _tell(self, error: str) -> None:
        if error == self._told:
            return
        self._told = error
        await self._write("notice", partial(messages.notify, notice=self._notice(error)))

    async def _repaired(self) -> None:
        self._told = None
        await self._write("notice", partial(messages.end_notices, notice=self._notice(""), now=self._clock()))

    def _record(self, *, restarted: bool) -> Callable[[Connection], MapVersion]:
        return partial(maps.record, version=self.version, file=self._current.file, restarted=restarted)

    async def _write(self, what: str, work: Callable[[Connection], T]) -> T | None:
        """Write it now, or with a later look; of what has the same name only the last is written."""
        if self._store is None:
            return None
        try:
            written = await self._store.write(work)
        except StoreUnavailable as exc:
            if what not in self._unwritten:
                log.warning("map_write_waits", what=what, error=str(exc))
            self._unwritten[what] = work
            return None
        self._unwritten.pop(what, None)
        return written

    async def _write_again(self) -> None:
        if not self._unwritten:
            return
        async with self._reloading:
            for what, work in tuple(self._unwritten.items()):
                await self._write(what, work)

    def _notice(self, error: str) -> Notice:
        now = self._clock()
        return Notice(
            cause=Cause.MAP_REJECTED, source=None, error=error, count=1, first_at=now, last_at=now, reference=None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """What the files held at one look."""

    map: OwnershipMap | None
    findings: tuple[Finding, ...]
    failing: tuple[Finding, ...]  # of the map's own tests
    include: tuple[str, ...]
    signature: Signature


def _load(path: Path, *, today: date, include: tuple[str, ...] = ()) -> _Loaded:
    """Read, check and test the map; all of it from one state of the files, where they hold still for so long.

    `include`: the globs of the root file as it was, to notice a change of what they find.
    """
    for _ in range(ATTEMPTS):
        before = signature(path, include)
        found = read_map(path, commit=git_commit_of(path))
        include = include_of(found)
        if signature(path, include) == before:
            break
    return _Loaded(
        map=found.map,
        findings=found.findings,
        failing=tuple(test_findings(found.map, today=today)) if found.map is not None else (),
        include=include,
        # As they were before they were read: what was written since, also while the tests ran, is for the next look.
        signature=before,
    )
