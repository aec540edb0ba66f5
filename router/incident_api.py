"""What the API says about incidents, and takes from people who answer from a terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from router.answers import WRONG_LIMIT, limit_of, problem, rfc3339, rfc3339_or_none
from router.core.history import Escalation
from router.core.incidents import Incident, Move
from router.core.model import IncidentState, MessageKind
from router.core.ownership import OwnershipMap
from router.store import incidents, messages
from router.store.database import Connection, Store
from router.store.messages import Listed


class IncidentApi:
    """The handlers of `/api/v1/incidents`. They raise StoreUnavailable."""

    def __init__(self, *, store: Store, ownership: Callable[[], OwnershipMap]) -> None:
        self._store = store
        self._ownership = ownership

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/v1/incidents", self.incidents)]

    async def incidents(self, request: Request) -> Response:
        state = request.query_params.get("state", "open")
        if state not in (*IncidentState, "all"):
            return problem(400, "state is one of open, resolved, stale, all")
        limit = limit_of(request)
        if limit is None:
            return problem(400, WRONG_LIMIT)

        def page(connection: Connection) -> tuple[list[Incident], dict[str, list[Listed]]]:
            found = incidents.page(
                connection,
                state=None if state == "all" else IncidentState(state),
                before=request.query_params.get("cursor"),
                limit=limit + 1,
            )
            return found, messages.of_incidents(connection, [incident.id for incident in found])

        found, shown = await self._store.read(page)
        ownership = self._ownership()
        names = {channel.id: channel.name for channel in ownership.channels}
        fallback = ownership.fallback.channel.id
        return JSONResponse(
            {
                "version": 1,
                "incidents": [
                    _incident(incident, shown.get(incident.id, []), fallback, names) for incident in found[:limit]
                ],
                "next": found[limit - 1].id if len(found) > limit else None,
            }
        )


def _incident(incident: Incident, shown: Sequence[Listed], fallback: str, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": incident.id,
        "state": incident.state,
        "source": incident.source,
        "owner": incident.owner,
        "orphan": incident.owner is None,
        "severity": incident.severity,
        "title": incident.title,
        "opened_at": rfc3339(incident.opened_at),
        "updated_at": rfc3339(incident.updated_at),
        "closed_at": rfc3339_or_none(incident.closed_at),
        "alerts": {"firing": incident.firing, "resolved": incident.resolved},
        "repeats": incident.repeats,
        "escalations": [_escalation(escalation) for escalation in incident.escalations],
        "acknowledged_by": None if incident.acknowledged is None else incident.acknowledged.by,
        "acknowledged_at": None if incident.acknowledged is None else rfc3339(incident.acknowledged.at),
        "snoozed_until": None if incident.snoozed is None else rfc3339(incident.snoozed.until),
        "flaps": incident.flaps,
        "suspect": None if incident.suspect is None else incident.suspect.heartbeat,
        "partial": not incident.ended and incident.truncated > 0,
        "map_revision": incident.map_revision,
        "moved_to": [_move(move) for move in incident.moved_to],
        "moved_from": [_move(move) for move in incident.moved_from],
        "messages": [
            {
                "channel": message.channel_id or fallback,
                "channel_name": names.get(message.channel_id or fallback),
                "ts": message.ts,
                "kind": message.kind,
                "state": message.state,
                "error": message.error,
            }
            for message in shown
            if message.kind is not MessageKind.REPLY  # what happened, not what is so
        ],
    }


def _move(move: Move) -> dict[str, Any]:
    return {"incident": move.incident, "owner": move.owner, "channel": move.channel_id, "alerts": move.alerts}


def _escalation(escalation: Escalation) -> dict[str, Any]:
    return {
        "step": escalation.step,
        "to": escalation.to,
        "team": escalation.team,
        "channel": escalation.channel_id,
        "reason": escalation.reason,
        "at": rfc3339(escalation.at),
    }
