"""What stands behind `/webhooks/*`: a notification gets its id, becomes durable, and the dispatcher is woken."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from router.core.errors import StoreUnavailable
from router.core.identifiers import next_identifier, text_of
from router.core.model import Cause, Notice, Source
from router.store import inbox, messages
from router.store.database import ANSWER_WITHIN_S, Store
from router.store.decisions import accept_quarantined

log = structlog.get_logger()


class DurableInbox:
    """Implements the Inbox that the intake asks for. `drawn` gives random numbers below 2**20."""

    def __init__(
        self, *, store: Store, last_id: int, drawn: Callable[[], int], arrived: asyncio.Event, wanted: asyncio.Event
    ) -> None:
        self._store = store
        self._last_id = last_id
        self.arrivals = 0  # since start, whatever became of them
        self._drawn = drawn
        self._arrived = arrived
        self._wanted = wanted
        self._refusals: dict[Source, Notice] = {}
        self._telling: asyncio.Task[None] | None = None

    async def accept(self, *, source: Source, body: bytes, error: str | None, now: datetime) -> str:
        """The notification's id, once its bytes are on stable storage. Raises StoreUnavailable."""
        self._last_id = identifier = next_identifier(
            now_ms=int(now.timestamp() * 1000), last=self._last_id, drawn=self._drawn()
        )
        self.arrivals += 1
        row = inbox.row(id=identifier, source=source, received_at=now, error=error, body=body)
        if error is None:
            await self._store.append(row, size=len(body))
            self._arrived.set()
        else:
            notice = Notice(
                cause=Cause.QUARANTINED,
                source=source,
                error=error,
                count=1,
                first_at=now,
                last_at=now,
                reference=text_of(identifier),
            )
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await self._store.write(partial(accept_quarantined, row=row, notice=notice), size=len(body))
            except TimeoutError as exc:
                raise StoreUnavailable("the database does not answer") from exc
            self._wanted.set()
        return text_of(identifier)

    def refused(self, *, source: Source, error: str, now: datetime) -> None:
        """Tell the fallback channel that a body was refused unread. Counted while an earlier telling is under way."""
        before = self._refusals.get(source)
        self._refusals[source] = Notice(
            cause=Cause.TOO_LARGE,
            source=source,
            error=error,
            count=1 if before is None else before.count + 1,
            first_at=now if before is None else before.first_at,
            last_at=now,
            reference=None,
        )
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        while self._refusals:
            _, notice = self._refusals.popitem()
            try:
                await self._store.write(partial(messages.notify, notice=notice))
            except StoreUnavailable as exc:
                # The sender will come again with the same body, and so will this notice.
                log.warning("notice_not_stored", cause=notice.cause, source=notice.source, error=str(exc))
            self._wanted.set()
