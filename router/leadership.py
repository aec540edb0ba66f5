"""Of several routers on one database one decides and one delivers; which ones, their leases say.

Deciding is serial by nature, and Slack takes four messages a second whoever sends them: so one router each is enough,
and the others take notifications, and take over within a quarter of a minute.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from router.core.errors import StoreUnavailable
from router.store import leases
from router.store.database import Connection, Store

log = structlog.get_logger()

LASTS: Final = timedelta(seconds=15)
RENEWED_EVERY_S: Final = 4.0
# Before its lease ends in the database a holder stops by itself: its clock may run a little slower.
MARGIN_S: Final = 3.0


Guard = Callable[[Connection], None]


class Lease(Protocol):
    """What a loop asks before it does something that only one router may do."""

    @property
    def held(self) -> bool: ...

    def guard(self) -> Guard:
        """For the transaction of what is written: it raises LeaseLost unless nobody else held the lease since now."""
        ...


class SoleLease:
    """On a database that only this process uses."""

    held: Final = True

    def guard(self) -> Guard:
        """Nobody else is there."""
        return _nobody_else


def _nobody_else(_connection: Connection) -> None: ...


class SharedLease:
    """A lease in the database. `clock` is the database's; `monotonic` in seconds, of this process."""

    def __init__(
        self,
        name: str,
        *,
        store: Store,
        holder: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._name = name
        self._store = store
        self._holder = holder
        self._clock = clock
        self._monotonic = monotonic
        self._term: int | None = None
        self._trusted_until = float("-inf")

    @property
    def held(self) -> bool:
        return self._term is not None and self._monotonic() < self._trusted_until

    def guard(self) -> Guard:
        """However long this process stands still meanwhile, and also if it gets the lease back."""
        return partial(leases.require, name=self._name, term=-1 if self._term is None else self._term)

    async def step(self) -> float:
        """Take it or renew it; the seconds until that is due again. Raises StoreUnavailable; then it runs out."""
        asked_at = self._monotonic()
        before = self._term
        self._term = await self._store.write(
            partial(leases.hold, name=self._name, holder=self._holder, now=self._clock(), lasts=LASTS)
        )
        if self._term is not None:
            self._trusted_until = asked_at + LASTS.total_seconds() - MARGIN_S
        if self._term is not None and self._term != before:
            log.info("lease_taken", lease=self._name, term=self._term)
        if self._term is None and before is not None:
            log.info("lease_lost", lease=self._name)
        return RENEWED_EVERY_S

    async def let_go(self) -> None:
        """When this router stops: another one need not wait until the lease ends."""
        if self._term is None:
            return
        self._term = None
        try:
            await self._store.write(partial(leases.let_go, name=self._name, holder=self._holder))
        except StoreUnavailable as exc:
            log.warning("lease_not_let_go", lease=self._name, error=str(exc))
