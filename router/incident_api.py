"""What the API says about incidents, and takes from people who answer from a terminal."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from router.acting import ActionInbox
from router.answers import WRONG_LIMIT, limit_of, problem, rfc3339, rfc3339_or_none
from router.core.actions import Action, ActionKind, snooze_refusal
from router.core.cards import shown
from router.core.corrections import correction
from router.core.enrichment import parse_duration
from router.core.errors import NotUnderstood
from router.core.history import Escalation, Happening
from router.core.identifiers import identifier_of
from router.core.incidents import Incident, Move
from router.core.model import IncidentState, MessageKind
from router.core.ownership import OwnershipMap
from router.core.quoting import did_you_mean, quoted
from router.core.report import NOBODY
from router.intake.json_body import json_object
from router.intake.reading import READ_INLINE_BYTES, read
from router.store import inbox, incidents, messages
from router.store.actions import ActionState
from router.store.database import Connection, Store
from router.store.incidents import Told
from router.store.messages import Listed

Json = dict[str, Any]  # Any: what json.dumps takes

# Somebody waits at a terminal, who is asked to give up after ten seconds.
APPLIED_WITHIN_S: Final = 5.0
LARGEST_QUESTION: Final = 64 * 1024
LONGEST_NAME: Final = 80
NO_SUCH_INCIDENT: Final = "no incident has this id"


class _WrongQuestionError(ValueError):
    """The text says what is wrong with the body of a request."""


class IncidentApi:
    """The handlers of `/api/v1/incidents`. They raise StoreUnavailable."""

    def __init__(
        self,
        *,
        store: Store,
        ownership: Callable[[], OwnershipMap],
        actions: ActionInbox,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._ownership = ownership
        self._actions = actions
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        path = "/api/v1/incidents"
        return [
            Route(path, self.incidents),
            Route(f"{path}/{{id}}", self.incident),
            Route(f"{path}/{{id}}/ack", self.acknowledge, methods=["POST"], max_body_size=LARGEST_QUESTION),
            Route(f"{path}/{{id}}/disown", self.disown, methods=["POST"], max_body_size=LARGEST_QUESTION),
            Route(f"{path}/{{id}}/snooze", self.snooze, methods=["POST"], max_body_size=LARGEST_QUESTION),
            Route(f"{path}/{{id}}/wake", self.wake, methods=["POST"], max_body_size=LARGEST_QUESTION),
        ]

    async def incidents(self, request: Request) -> Response:
        state = request.query_params.get("state", "open")
        if state not in (*IncidentState, "all"):
            return problem(400, "state is one of open, resolved, stale, all")
        limit = limit_of(request)
        if limit is None:
            return problem(400, WRONG_LIMIT)
        team = request.query_params.get("team")

        def page(connection: Connection) -> tuple[list[Incident], dict[str, list[Listed]]]:
            found = incidents.page(
                connection,
                state=None if state == "all" else IncidentState(state),
                before=request.query_params.get("cursor"),
                limit=limit + 1,
                owner="" if team == NOBODY else team,
            )
            return found, messages.of_incidents(connection, [incident.id for incident in found])

        found, listed = await self._store.read(page)
        ownership = self._ownership()
        return JSONResponse(
            {
                "version": 1,
                "incidents": [
                    _incident(incident, listed.get(incident.id, []), ownership) for incident in found[:limit]
                ],
                "next": found[limit - 1].id if len(found) > limit else None,
            }
        )

    async def incident(self, request: Request) -> Response:
        named = await self._named(request)
        if isinstance(named, Response):
            return named
        found = await self._whole(named)
        return problem(404, NO_SUCH_INCIDENT) if found is None else JSONResponse({"version": 1} | found)

    async def acknowledge(self, request: Request) -> Response:
        return await self._act(ActionKind.ACK, request)

    async def disown(self, request: Request) -> Response:
        return await self._act(ActionKind.DISOWN, request)

    async def snooze(self, request: Request) -> Response:
        return await self._act(ActionKind.SNOOZE, request)

    async def wake(self, request: Request) -> Response:
        return await self._act(ActionKind.WAKE, request)

    async def _act(self, kind: ActionKind, request: Request) -> Response:
        incident = await self._named(request)
        if isinstance(incident, Response):
            return incident
        try:
            action = _asked(kind, await request.body(), incident=incident, now=self._clock())
        except _WrongQuestionError as exc:
            return problem(400, str(exc))
        if kind is ActionKind.SNOOZE and (refusal := snooze_refusal(action.lasts)) is not None:
            return problem(409, refusal)
        appended = await self._actions.take(action)
        if appended is None:
            return problem(404, NO_SUCH_INCIDENT)
        outcome = await self._actions.outcome(appended.id, within_s=APPLIED_WITHIN_S)
        if outcome is not None and outcome.state is ActionState.REFUSED:
            return problem(409, outcome.words or "")
        if outcome is None or outcome.state is ActionState.WAITING:
            error = "it is stored, and will be done as soon as a router decides"
            return JSONResponse({"version": 1, "outcome": ActionState.WAITING, "error": error}, status_code=202)
        found = await self._whole(incident)
        # What the map should say stands with the incident that it is about: the one that was opened for its team.
        moved_to = [] if found is None or kind is not ActionKind.DISOWN else found["moved_to"]
        new = await self._whole(moved_to[-1]["incident"]) if moved_to else None
        return JSONResponse(
            {
                "version": 1,
                "outcome": outcome.state,
                "detail": outcome.words,
                "incident": found,
                "opened": None if new is None else new["id"],
                "correction": None if new is None else new["correction"],
            }
        )

    async def _named(self, request: Request) -> str | Response:
        """The incident that the path names: by its id, or by the reference that stands below its message."""
        name: str = request.path_params["id"]
        notification = identifier_of(name)
        if notification is None:
            return name
        outcome = await self._store.read(partial(inbox.outcome, id=notification))
        told = dict.fromkeys(
            verdict.incident
            for verdict in (() if outcome is None else outcome.verdicts)
            if verdict.incident is not None
        )
        if len(told) > 1:
            return problem(409, f"this notification is about {len(told)} incidents: name one of {', '.join(told)}")
        return next(iter(told), name)

    async def _whole(self, id: str) -> Json | None:
        def whole(connection: Connection) -> tuple[Told, list[Listed]] | None:
            if not incidents.by_id(connection, [id]):
                return None
            told = incidents.with_bodies(connection, id=id, needed=_leading)
            return told, messages.of_incidents(connection, [id]).get(id, [])

        found = await self._store.read(whole)
        if found is None:
            return None
        told, listed = found
        ownership = self._ownership()
        large = sum(len(body) for _, body in told.bodies.values()) > READ_INLINE_BYTES
        details = partial(_details, told, ownership)
        return _incident(told.incident, listed, ownership) | (await asyncio.to_thread(details) if large else details())


# -- questions ---------------------------------------------------------------------------------------------------------

_KEYS: Final[Mapping[ActionKind, tuple[str, ...]]] = {
    ActionKind.ACK: ("by",),
    ActionKind.DISOWN: ("by", "team"),
    ActionKind.SNOOZE: ("by", "for"),
    ActionKind.WAKE: ("by",),
}


def _asked(kind: ActionKind, body: bytes, *, incident: str, now: datetime) -> Action:
    """Raises _WrongQuestionError."""
    try:
        question = json_object(body)
    except NotUnderstood as exc:
        raise _WrongQuestionError(str(exc)) from exc
    for name in question:
        if name not in _KEYS[kind]:
            advice = did_you_mean(name, _KEYS[kind])
            raise _WrongQuestionError(f"unknown key {quoted(name)}" + (f"; {advice}" if advice else ""))
    given = {name: _line(name, question.get(name)) for name in _KEYS[kind]}
    lasts = None
    if kind is ActionKind.SNOOZE:
        try:
            lasts = parse_duration(given["for"]).total
        except ValueError as exc:
            raise _WrongQuestionError(f'"for": {exc}') from exc
    return Action(incident=incident, kind=kind, by=given["by"], at=now, team=given.get("team"), lasts=lasts)


def _line(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _WrongQuestionError(f'"{name}" is missing: a text')
    if len(value) > LONGEST_NAME or not value.isprintable():
        raise _WrongQuestionError(f'"{name}" should be one line of at most {LONGEST_NAME} characters')
    return value.strip()


# -- answers -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    """What people call channels and teams, by their ids; of the map in force."""

    channels: Mapping[str, str]
    teams: Mapping[str, str]


def _names(ownership: OwnershipMap) -> _Names:
    return _Names(
        channels={channel.id: channel.name for channel in ownership.channels},
        teams={team.id: team.name for team in ownership.teams.values()},
    )


def _incident(incident: Incident, listed: Sequence[Listed], ownership: OwnershipMap) -> Json:
    names = _names(ownership)
    fallback = ownership.fallback.channel.id
    return {
        "id": incident.id,
        "state": incident.state,
        "source": incident.source,
        "group": incident.group,
        "owner": incident.owner,
        "orphan": incident.owner is None,
        "severity": incident.severity,
        "title": incident.title,
        "opened_at": rfc3339(incident.opened_at),
        "updated_at": rfc3339(incident.updated_at),
        "closed_at": rfc3339_or_none(incident.closed_at),
        "alerts": {"firing": incident.firing, "resolved": incident.resolved},
        "repeats": incident.repeats,
        "escalations": [_escalation(escalation, names) for escalation in incident.escalations],
        "acknowledged_by": None if incident.acknowledged is None else incident.acknowledged.by,
        "acknowledged_at": None if incident.acknowledged is None else rfc3339(incident.acknowledged.at),
        "snoozed_until": None if incident.snoozed is None else rfc3339(incident.snoozed.until),
        "flaps": incident.flaps,
        "suspect": None if incident.suspect is None else incident.suspect.heartbeat,
        "partial": not incident.ended and (incident.truncated > 0 or incident.unheard > 0),
        "map_revision": incident.map_revision,
        "handed_over": incident.handed_over,
        "moved_to": [_move(move, names) for move in incident.moved_to],
        "moved_from": [_move(move, names) for move in incident.moved_from],
        "messages": [
            {
                "channel": message.channel_id or fallback,
                "channel_name": names.channels.get(message.channel_id or fallback),
                "ts": message.ts,
                "kind": message.kind,
                "state": message.state,
                "error": message.error,
            }
            for message in listed
            if message.kind is not MessageKind.REPLY  # what happened, not what is so
        ],
    }


def _details(told: Told, ownership: OwnershipMap) -> Json:
    """What is said of one incident only."""
    incident = told.incident
    assigned, names = incident.assigned, _names(ownership)
    return {
        "assigned": None
        if assigned is None
        else {"by": assigned.by, "at": rfc3339(assigned.at), "instead_of": assigned.instead_of},
        "correction": _correction(told, ownership),
        "history": [_happening(happening, names) for happening in incident.history],
    }


def _leading(incident: Incident) -> list[int]:
    """The notification that told the alert by which a correction is made, where one is."""
    return [] if incident.assigned is None else [shown(incident)[0][1].notification]


def _correction(told: Told, ownership: OwnershipMap) -> str | None:
    """As its message shows it; None also where the words of the alert are not kept any more."""
    incident = told.incident
    if incident.assigned is None or incident.owner is None:
        return None
    fingerprint, tracked = shown(incident)[0]
    source, body = told.bodies.get(tracked.notification, (incident.source, b""))
    try:
        notification = read(source, body)
    except NotUnderstood:
        return None
    labels = next((alert.labels for alert in notification.alerts if alert.fingerprint == fingerprint), None)
    if labels is None:
        return None
    return correction(
        ownership,
        {**notification.route_labels, **labels},
        via=tracked.explanation.via,
        owner=incident.owner,
        said_on=incident.assigned.at.date(),
    )


def _happening(happening: Happening, names: _Names) -> Json:
    """Only what there is to say of it."""
    facts = {
        "count": happening.count,
        "names": list(happening.names),
        "by": happening.by,
        "severity": happening.level,
        "team": happening.team,
        "team_name": names.teams.get(happening.team or ""),
        "channel": happening.channel_id,
        "channel_name": names.channels.get(happening.channel_id or ""),
        "until": rfc3339_or_none(happening.until),
        "reason": happening.reason,
    }
    told = {name: value for name, value in facts.items() if value}
    return {"number": happening.number, "event": happening.event, "at": rfc3339(happening.at)} | told


def _move(move: Move, names: _Names) -> Json:
    return {
        "incident": move.incident,
        "owner": move.owner,
        "channel": move.channel_id,
        "channel_name": names.channels.get(move.channel_id),
        "alerts": move.alerts,
    }


def _escalation(escalation: Escalation, names: _Names) -> Json:
    return {
        "step": escalation.step,
        "to": escalation.to,
        "team": escalation.team,
        "team_name": names.teams.get(escalation.team or ""),
        "channel": escalation.channel_id,
        "channel_name": names.channels.get(escalation.channel_id),
        "reason": escalation.reason,
        "at": rfc3339(escalation.at),
    }
