"""`/api/v1/report`: how loud it was, for whom, and what to do about it."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from router.answers import problem
from router.core.ownership import OwnershipMap
from router.core.quoting import did_you_mean, quoted
from router.core.report import NOBODY, Tally, Window, window_of
from router.core.report_forms import as_json
from router.retention import KEPT
from router.store import report
from router.store.database import Connection, Store

WINDOW = "7d"


class ReportApi:
    """The handler. It raises StoreUnavailable."""

    def __init__(self, *, store: Store, ownership: Callable[[], OwnershipMap], clock: Callable[[], datetime]) -> None:
        self._store = store
        self._ownership = ownership
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/report", self.report)]

    async def report(self, request: Request) -> Response:
        asked, ownership, now = request.query_params, self._ownership(), self._clock()
        try:
            window = window_of(asked.get("since", WINDOW), asked.get("until"), now=now, timezone=ownership.timezone)
        except ValueError as exc:
            return problem(400, str(exc))
        team = asked.get("team")
        tally = Tally(ownership=ownership, now=now, team=team)
        await self._count(tally, window, now=now)
        kept_since = now - KEPT
        found = tally.report(window, kept_since=kept_since if window.since < kept_since else None)
        if team not in (None, NOBODY, *ownership.teams) and not found.teams:
            advice = did_you_mean(str(team), ownership.teams)
            return problem(404, f"no team is called {quoted(team)}" + (f"; {advice}" if advice else ""))
        return JSONResponse(as_json(found))

    async def _count(self, tally: Tally, window: Window, *, now: datetime) -> None:
        """In several reads, so that others who read do not wait for all of it.

        What changes meanwhile is counted as it was, or as it is.
        """
        # What comes in by a clock that is ahead is of now too.
        before = report.LAST_EDGE if window.until >= now else report.edge(window.until)
        after: str | None = report.edge(window.since)
        while after is not None:
            after = await self._store.read(partial(_counted, tally=tally, after=after, before=before))


def _counted(connection: Connection, *, tally: Tally, after: str, before: str) -> str | None:
    """Counts the next incidents, in the reading thread; where to go on, None: nowhere."""
    batch = report.incidents(connection, after=after, before=before)
    for told in batch.told:
        tally.add(told)
    return batch.last
