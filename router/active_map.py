"""The map in force: loaded at start, replaced as a whole, and kept when a new one is broken."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from router.core.errors import OwnershipFileInvalid
from router.core.ownership import OwnershipMap
from router.ownership_file import load_map

log = structlog.get_logger()


class ActiveMap:
    """Holds one reference. Whoever decides takes it once per unit of work, so that one map decides all of it."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime]) -> None:
        """Raises OwnershipFileInvalid."""
        self._path = path
        self._clock = clock
        self._reloading = asyncio.Lock()
        self.error: str | None = None
        self.listeners: list[Callable[[OwnershipMap], None]] = []
        self._take(load_map(path))

    def __call__(self) -> OwnershipMap:
        return self._current

    async def reload(self) -> None:
        """Load and check the file off the event loop, then swap. Raises OwnershipFileInvalid; the old map stays."""
        async with self._reloading:
            try:
                loaded = await asyncio.to_thread(load_map, self._path)
            except OwnershipFileInvalid as exc:
                self.error = str(exc)
                log.error("map_reload_failed", file=str(self._path), error=self.error, kept=self._current.revision[:12])
                raise
            self._take(loaded)
        log.info("map_loaded", file=str(self._path), revision=loaded.revision[:12], teams=len(loaded.teams))

    def _take(self, loaded: OwnershipMap) -> None:
        self._current = loaded
        self.loaded_at = self._clock()
        self.error = None
        for warning in loaded.warnings:
            log.warning("map_warning", finding=str(warning), help=warning.help)
        for listener in self.listeners:
            listener(loaded)
