"""`/slack/interactions`: what people press below a message. Signed by Slack, stored before it is answered.

Slack shows an error to whoever pressed unless it is answered with 200 within 3 s (docs.slack.dev: Handling user
interaction). So only what is not from Slack, or could not be stored, is refused; what came of a press is told by the
message and its thread. Nothing is ever sent to an address that a request names, such as its `response_url`.
"""

import asyncio
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qs

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from router.acting import ActionInbox
from router.answers import problem
from router.core.actions import Action, ActionKind, snooze_refusal
from router.core.enrichment import parse_duration
from router.core.errors import NotUnderstood, StoreUnavailable
from router.core.ownership import OwnershipMap, Team
from router.intake.json_body import json_object
from router.telemetry import Metrics

log = structlog.get_logger()

PATH: Final = "/slack/interactions"
# A press comes with the whole message: 12,000 bytes of JSON, up to three times as long in a form, 3,000 characters of
# text beside it, up to eight bytes each, and what Slack adds. That is close to 64 KiB.
LARGEST_BODY: Final = 128 * 1024
# Slack's own limit is 3 s, and the answer has to reach it.
STORED_WITHIN_S: Final = 2.0
# Slack's window for a request's age (docs.slack.dev: Verifying requests from Slack).
SIGNED_WITHIN: Final = timedelta(minutes=5)
SIGNATURES_KEPT: Final = 10_000
SUGGESTIONS: Final = 100  # more are refused by Slack, as are texts beyond 75 characters
SUGGESTION_LENGTH: Final = 75
LOG_AGAIN_AFTER: Final = timedelta(minutes=1)

_USER: Final = re.compile(r"[UW][A-Z0-9]{1,31}")
_INCIDENT: Final = re.compile(r"[0-9a-z][0-9a-z.-]{0,199}")
_TEAM: Final = re.compile(r"\S{1,150}")
_TIMESTAMP: Final = re.compile(rb"[0-9]{1,12}")

Json = Mapping[str, Any]  # Any: what Slack, or whoever has its secret, sent


class Signatures:
    """Tells what Slack signed, and signed only once. Bound to one signing secret."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._seen: dict[bytes, datetime] = {}  # until when it would be taken again; the oldest first

    def refusal(self, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, now: datetime) -> str | None:
        """`unsigned` or `replayed`; None: it is Slack's, and new. Over bytes: nothing in them can raise an error."""
        given = list(headers)
        timestamp = _single(given, b"x-slack-request-timestamp")
        signature = _single(given, b"x-slack-signature")
        if not _TIMESTAMP.fullmatch(timestamp):
            return "unsigned"
        signed_at = int(timestamp)
        if abs(now.timestamp() - signed_at) > SIGNED_WITHIN.total_seconds():
            return "unsigned"
        expected = b"v0=" + hmac.new(self._secret, b"v0:%b:%b" % (timestamp, body), sha256).hexdigest().encode()
        if not hmac.compare_digest(expected, signature):
            return "unsigned"
        return self._seen_before(expected, now=now)

    def _seen_before(self, signature: bytes, *, now: datetime) -> str | None:
        while self._seen and next(iter(self._seen.values())) < now:
            del self._seen[next(iter(self._seen))]
        if signature in self._seen:
            return "replayed"
        if len(self._seen) >= SIGNATURES_KEPT:
            del self._seen[next(iter(self._seen))]
        # A timestamp may lie as far ahead as behind, so a signature is good for twice the window.
        self._seen[signature] = now + 2 * SIGNED_WITHIN
        return None


def _single(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The value of a header; empty where it is missing, or there are several."""
    values = [value for key, value in headers if key == name]
    return values[0] if len(values) == 1 else b""


class Interactions:
    """The handler. It never raises: whatever comes is refused, ignored, or stored."""

    def __init__(
        self,
        *,
        actions: ActionInbox,
        ownership: Callable[[], OwnershipMap],
        clock: Callable[[], datetime],
        metrics: Metrics,
        signing_secret: str,
    ) -> None:
        self._actions = actions
        self._ownership = ownership
        self._clock = clock
        self._metrics = metrics
        self._signatures = Signatures(signing_secret)
        self._refusal_logged_at: datetime | None = None
        self._left_out = 0  # refusals since

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self.interact, methods=["POST"])]

    async def interact(self, request: Request) -> Response:
        try:
            body = await _body(request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        if body is None:
            self._refused("too_large", request)
            return problem(413, f"larger than {LARGEST_BODY // 1024} KiB")
        refusal = self._signatures.refusal(request.scope["headers"], body, now=self._clock())
        if refusal is not None:
            self._refused(refusal, request)
            return problem(401, "not signed by Slack with this app's signing secret within the last five minutes, once")
        try:
            payload = _payload(body)
        except NotUnderstood as exc:
            return self._ignored(str(exc))
        match payload.get("type"):
            case "block_actions":
                return await self._pressed(payload)
            case "block_suggestion":
                return self._suggested(payload)
            case _:
                return self._ignored("neither a press nor a list to be filled")

    async def _pressed(self, payload: Json) -> Response:
        pressed = _first(payload.get("actions"))
        try:
            kind = ActionKind(_text(pressed.get("action_id")))
        except ValueError:
            return self._ignored("no button of ours")  # a link: Slack tells these too
        action = self._action(kind, pressed, payload)
        if isinstance(action, str):
            return self._ignored(action)
        press = ":".join(
            [
                _text(_object(payload.get("container")).get("message_ts"))[:100],
                kind,
                _text(pressed.get("action_ts"))[:100],
            ]
        )
        try:
            async with asyncio.timeout(STORED_WITHIN_S):
                appended = await self._actions.take(action, press=press)
        except (StoreUnavailable, TimeoutError) as exc:
            self._metrics.interactions.labels("unavailable").inc()
            log.warning("interaction_not_stored", kind=kind, incident=action.incident, error=str(exc) or "no answer")
            return problem(503, "it could not be stored; press again")
        if appended is None:
            self._metrics.interactions.labels("unknown_incident").inc()
            log.warning("interaction_ignored", why="there is no such incident", incident=action.incident, kind=kind)
            return Response()
        self._metrics.interactions.labels("known" if appended.known else "stored").inc()
        return Response()

    def _action(self, kind: ActionKind, pressed: Json, payload: Json) -> Action | str:
        """What was pressed, or why it is none of ours, in words without any that came from outside."""
        by = _text(_object(payload.get("user")).get("id"))
        if not _USER.fullmatch(by):
            return "nobody pressed it"
        incident = _incident_of(pressed)
        if incident is None:
            return "it names no incident"
        chosen = _text(_object(pressed.get("selected_option")).get("value"))
        team, lasts = None, None
        if kind is ActionKind.DISOWN:
            if not _TEAM.fullmatch(chosen):
                return "no team was picked"
            team = chosen
        if kind is ActionKind.SNOOZE and chosen == ActionKind.WAKE:
            kind = ActionKind.WAKE
        if kind is ActionKind.SNOOZE:
            lasts = _lasts(chosen)
            if snooze_refusal(lasts) is not None:
                return "no time was picked for which it can be snoozed"
        return Action(incident=incident, kind=kind, by=by, at=self._clock(), team=team, lasts=lasts)

    def _suggested(self, payload: Json) -> Response:
        self._metrics.interactions.labels("suggested").inc()
        if _text(payload.get("action_id")) != ActionKind.DISOWN:
            return JSONResponse({"options": []})
        found = suggestions(self._ownership(), _text(payload.get("value")))
        return JSONResponse({"options": [_option(team) for team in found]})

    def _ignored(self, why: str) -> Response:
        self._metrics.interactions.labels("ignored").inc()
        log.info("interaction_ignored", why=why)
        return Response()

    def _refused(self, outcome: str, request: Request) -> None:
        """Anybody can cause it as often as he likes: one line a minute."""
        self._metrics.interactions.labels(outcome).inc()
        now = self._clock()
        if self._refusal_logged_at is not None and timedelta() <= now - self._refusal_logged_at < LOG_AGAIN_AFTER:
            self._left_out += 1
            return
        peer = request.client.host if request.client is not None else "unknown"
        log.warning("interaction_refused", why=outcome, peer=peer, left_out=self._left_out)
        self._refusal_logged_at, self._left_out = now, 0


def suggestions(ownership: OwnershipMap, typed: str) -> list[Team]:
    """The active teams that what somebody typed may mean: first those that begin with it."""
    typed = typed.strip().casefold()
    found = []
    for team in ownership.teams.values():
        if not team.active:
            continue
        names = [name.casefold() for name in (team.name, team.id, *team.aliases)]
        if any(typed in name for name in names):
            found.append((not any(name.startswith(typed) for name in names), names[0], team.id, team))
    return [team for *_, team in sorted(found, key=lambda one: one[:3])[:SUGGESTIONS]]


def _option(team: Team) -> dict[str, Any]:
    text = team.name if team.name == team.id else f"{team.name} ({team.id})"
    shown = text if len(text) <= SUGGESTION_LENGTH else text[: SUGGESTION_LENGTH - 1] + "…"
    return {"text": {"type": "plain_text", "text": shown, "emoji": False}, "value": team.id}


# -- what came ---------------------------------------------------------------------------------------------------------


async def _body(request: Request) -> bytes | None:
    """None: it is larger than it may be. Never more of it is kept."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > LARGEST_BODY:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _payload(body: bytes) -> Json:
    """Raises NotUnderstood."""
    try:
        # As text: of bytes, parse_qs gives ASCII back, and raises where somebody typed anything else.
        fields = parse_qs(body.decode(), max_num_fields=10, errors="strict", keep_blank_values=True)
    except ValueError as exc:
        raise NotUnderstood("not a form") from exc
    values = fields.get("payload", [])
    if len(values) != 1:
        raise NotUnderstood("not a form with one payload")
    return json_object(values[0].encode())


def _incident_of(pressed: Json) -> str | None:
    """The incident that the block is about, as `notify.actions` names it: the value of a list is what was picked."""
    _, _, named = _text(pressed.get("block_id")).partition(":")
    incident, _, _ = named.partition(":")
    return incident if _INCIDENT.fullmatch(incident) else None


def _lasts(text: str) -> timedelta | None:
    try:
        return parse_duration(text).total
    except ValueError:
        return None


def _first(value: object) -> Json:
    return _object(value[0]) if isinstance(value, list) and value else {}


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
