"""`/api/v1/dead-letters`: the list, one of them, and what may be done about them."""

import heapq
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from router.answers import WRONG_LIMIT, limit_of, problem, rfc3339, rfc3339_or_none
from router.core.identifiers import HIGHEST, identifier_of, text_of
from router.core.model import Source
from router.core.ownership import OwnershipMap
from router.core.quoting import did_you_mean, masked, quoted
from router.handling import (
    MOST_AT_ONCE,
    NOT_UNDERSTOOD,
    Done,
    Handling,
    LetterKind,
    Outcome,
    Position,
    Selection,
    delivery_id,
    message_of,
)
from router.intake.json_body import explain
from router.store import dead_letters, inbox
from router.store.database import Connection, Store
from router.store.dead_letters import GivenUp, Quarantined, Whereabouts

Json = dict[str, Any]  # Any: what json.dumps takes

# Twice what the longest list of ids takes.
LARGEST_QUESTION: Final = 64 * 1024
SHOWN_BYTES: Final = 64 * 1024
# Honeybadger puts the project's key and people's addresses into every body. What could be read has lost them.
_MAY_HOLD_SECRETS: Final = frozenset({Source.HONEYBADGER})
# The value of a key that is named like a secret, also in JSON within JSON. Bounded: a body is hostile text.
_NAMED_SECRET: Final = re.compile(
    r'("[\w.-]{0,40}(?:token|secret|passw|authorization|api[_-]?key|credential)[\w.-]{0,40}'
    r'\\{0,3}"\s{0,20}:\s{0,20}\\{0,3}")'
    r'(?:[^"\\]|\\.)+',
    re.IGNORECASE,
)
_CUT_CREDENTIALS: Final = re.compile(r"://[^/\s@]*\Z")


class Question(BaseModel):
    """Which dead letters, as a request says it; unknown keys are refused."""

    model_config = ConfigDict(strict=True, extra="forbid")

    ids: list[str] | None = Field(default=None, min_length=1, max_length=MOST_AT_ONCE)
    all: bool = False
    kind: LetterKind | None = None
    reason: str | None = None
    before: AwareDatetime | None = None
    cursor: str | None = None
    dry_run: bool = False


class ReplayQuestion(Question):
    outdated: bool = False


Q = TypeVar("Q", bound=Question)


class _WrongQuestionError(ValueError):
    """The text says what is wrong with the body of a request."""


class DeadLetterApi:
    """The handlers."""

    def __init__(self, *, store: Store, ownership: Callable[[], OwnershipMap], handling: Handling) -> None:
        self._store = store
        self._ownership = ownership
        self._handling = handling

    def routes(self) -> list[Route]:
        path = "/api/v1/dead-letters"
        return [
            Route(path, self.page),
            Route(f"{path}/replay", self.replay, methods=["POST"], max_body_size=LARGEST_QUESTION),
            Route(f"{path}/drop", self.drop, methods=["POST"], max_body_size=LARGEST_QUESTION),
            Route(f"{path}/{{id}}", self.one),
        ]

    async def page(self, request: Request) -> Response:
        limit = limit_of(request)
        if limit is None:
            return problem(400, WRONG_LIMIT)
        position = _place(request.query_params.get("cursor"))
        if position is None:
            return problem(400, "cursor is what an earlier answer gave as next")
        kind, reason = request.query_params.get("kind"), request.query_params.get("reason")
        if kind is not None and kind not in [*LetterKind]:
            return problem(400, f"kind is one of {', '.join(LetterKind)}")
        before_notification, before_message = position

        def read(connection: Connection) -> tuple[list[Quarantined], list[GivenUp]]:
            of_notifications = kind != LetterKind.DELIVERY and reason in (None, NOT_UNDERSTOOD)
            return (
                dead_letters.quarantined(connection, before=before_notification, limit=limit + 1)
                if of_notifications
                else [],
                dead_letters.given_up(connection, before=before_message, reason=reason, limit=limit + 1)
                if kind != LetterKind.NOTIFICATION
                else [],
            )

        quarantined, given_up = await self._store.read(read)
        names = self._channel_names()
        # Merged and not sorted: a page must be the beginning of both lists, or the cursor would skip some of them.
        letters = list(
            heapq.merge(
                [(letter.received_at, letter.id, None, _notification(letter)) for letter in quarantined],
                [(delivery.wanted_at, None, delivery.id, _delivery(delivery, names)) for delivery in given_up],
                key=lambda letter: letter[0],
                reverse=True,
            )
        )
        shown = letters[:limit]
        last_notification = min((row for _, row, _, _ in shown if row is not None), default=before_notification)
        last_message = min((row for _, _, row, _ in shown if row is not None), default=before_message)
        return JSONResponse(
            {
                "version": 1,
                "dead_letters": [letter for _, _, _, letter in shown],
                "next": _place_text(last_notification, last_message) if len(letters) > limit else None,
            }
        )

    async def one(self, request: Request) -> Response:
        """Also of one that was handled since, for as long as it is kept."""
        text = request.path_params["id"]
        notification, message = identifier_of(text), message_of(text)
        if notification is not None:
            found = await self._store.read(lambda connection: _whole_notification(connection, notification))
        elif message is not None:
            names = self._channel_names()
            found = await self._store.read(lambda connection: _whole_delivery(connection, message, names))
        else:
            found = None
        return problem(404, "no dead letter has this id") if found is None else JSONResponse({"version": 1} | found)

    async def replay(self, request: Request) -> Response:
        try:
            question = _asked(ReplayQuestion, await request.body())
            replay, after = _replay_position(question.cursor)
        except _WrongQuestionError as exc:
            return problem(400, str(exc))
        replay = replay or self._handling.new_replay()
        done = await self._handling.replay(
            _selection(question, after), replay=replay, outdated=question.outdated, dry_run=question.dry_run
        )
        cursor = None if done.next is None else f"{replay}.{_place_text(done.next.notification, done.next.message)}"
        return JSONResponse(_done(done, question, cursor) | {"replay": None if question.dry_run else replay})

    async def drop(self, request: Request) -> Response:
        try:
            question = _asked(Question, await request.body())
            after = _position(question.cursor)
        except _WrongQuestionError as exc:
            return problem(400, str(exc))
        done = await self._handling.drop(_selection(question, after), dry_run=question.dry_run)
        cursor = None if done.next is None else _place_text(done.next.notification, done.next.message)
        return JSONResponse(_done(done, question, cursor))

    def _channel_names(self) -> dict[str, str]:
        return {channel.id: channel.name for channel in self._ownership().channels}


# -- questions ---------------------------------------------------------------------------------------------------------


def _asked(shape: type[Q], body: bytes) -> Q:
    """What the body of a request asks for. Raises _WrongQuestionError."""
    try:
        question = shape.model_validate_json(body)
    except ValidationError as exc:
        raise _WrongQuestionError(_unknown_key(exc, shape) or explain(exc)) from exc
    if question.all == (question.ids is not None):
        raise _WrongQuestionError('give either "ids", a list of them, or "all": true')
    if question.ids is not None:
        for name in ("kind", "reason", "before", "cursor"):
            if getattr(question, name) is not None:
                raise _WrongQuestionError(f'"{name}" goes with "all": true, not with "ids"')
    return question


def _unknown_key(exc: ValidationError, shape: type[BaseModel]) -> str | None:
    for error in exc.errors(include_url=False, include_context=False, include_input=False):
        if error["type"] == "extra_forbidden":
            name = str(error["loc"][-1])
            advice = did_you_mean(name, shape.model_fields)
            return f"unknown key {quoted(name)}" + (f"; {advice}" if advice else "")
    return None


def _selection(question: Question, after: Position) -> Selection:
    return Selection(
        ids=None if question.ids is None else tuple(question.ids),
        kind=question.kind,
        reason=question.reason,
        before=question.before,
        after=after,
    )


def _replay_position(cursor: str | None) -> tuple[str | None, Position]:
    """Which replay goes on, and where."""
    if cursor is None:
        return None, Position()
    replay, _, rest = cursor.partition(".")
    if not replay.startswith("r") or identifier_of(replay[1:]) is None:
        raise _WrongQuestionError("cursor is what an earlier answer gave as next")
    return replay, _position(rest)


def _position(cursor: str | None) -> Position:
    if cursor is None:
        return Position()
    place = _place(cursor)
    if place is None:
        raise _WrongQuestionError("cursor is what an earlier answer gave as next")
    return Position(notification=place[0], message=place[1])


def _place(cursor: str | None) -> tuple[int, int] | None:
    """The ids of a notification and of a message; the highest where there is no cursor, None where it is none."""
    if cursor is None:
        return HIGHEST, HIGHEST
    notification, _, message = cursor.partition(".")
    identifier, number = identifier_of(notification), message_of(f"m{message}")
    return None if identifier is None or number is None else (identifier, number)


def _place_text(notification: int, message: int) -> str:
    return f"{text_of(notification)}.{message}"


# -- answers -----------------------------------------------------------------------------------------------------------


def _done(done: Done, question: Question, cursor: str | None) -> Json:
    outcomes = [one.outcome for one in done.handled]
    return {
        "version": 1,
        "dry_run": question.dry_run,
        "counts": {outcome.value: outcomes.count(outcome) for outcome in Outcome},
        "dead_letters": [
            {"id": one.id, "kind": one.kind, "outcome": one.outcome, "detail": one.detail} for one in done.handled
        ],
        "next": cursor,
    }


def _notification(letter: Quarantined) -> Json:
    return {
        "id": text_of(letter.id),
        "kind": LetterKind.NOTIFICATION,
        "at": rfc3339(letter.received_at),
        "reason": NOT_UNDERSTOOD,
        "error": letter.error,
        "attempts": 0,
        "channel": None,
        "channel_name": None,
        "failure": None,
        "incident": None,
        "source": letter.source,
        "replay": letter.replay,
        "summary": f"a notification of {letter.source}",
    }


def _delivery(delivery: GivenUp, names: Mapping[str, str]) -> Json:
    return {
        "id": delivery_id(delivery.id),
        "kind": LetterKind.DELIVERY,
        "at": rfc3339(delivery.wanted_at),
        "reason": delivery.error,
        "error": delivery.error,
        "attempts": delivery.attempts,
        "channel": delivery.channel_id,
        "channel_name": names.get(delivery.channel_id or ""),
        "failure": delivery.failure,
        "incident": delivery.incident,
        "source": None,
        "replay": delivery.replay,
        "summary": f"a {delivery.kind}"
        if delivery.incident is None
        else f"{delivery.kind} message of incident {delivery.incident}",
    }


def _whole_notification(connection: Connection, id: int) -> Json | None:
    found = dead_letters.notifications(connection, [id])
    if not found:
        return None
    (letter,) = found
    secret = letter.source in _MAY_HOLD_SECRETS
    _, body = (letter.source, None) if secret else inbox.bodies_of(connection, [id]).get(id, (letter.source, None))
    return _notification(letter) | {
        "state": letter.state,
        "handled_at": rfc3339_or_none(letter.handled_at),
        "received_at": rfc3339(letter.received_at),
        "size": letter.size,
        "body": None if body is None else _shown(body),
        "body_cut": body is not None and len(body) > SHOWN_BYTES,
        "body_withheld": "it may hold secrets" if secret else None,
    }


def _whole_delivery(connection: Connection, id: int, names: Mapping[str, str]) -> Json | None:
    found = dead_letters.deliveries(connection, [id])
    if not found:
        return None
    (delivery,) = found
    of = [delivery.incident] if delivery.incident is not None else []
    incident = dead_letters.whereabouts(connection, of).get(delivery.incident or "")
    return _delivery(delivery, names) | {
        "state": delivery.state,
        "handled_at": rfc3339_or_none(delivery.handled_at),
        "message": delivery.kind,
        "ts": delivery.ts,
        **_about(incident),
    }


def _about(incident: Whereabouts | None) -> Json:
    if incident is None:
        return {"title": None, "owner": None, "incident_state": None, "moved_to": []}
    return {
        "title": incident.title,
        "owner": incident.owner,
        "incident_state": incident.state,
        "moved_to": [
            {"incident": move.incident, "owner": move.owner, "channel": move.channel_id, "alerts": move.alerts}
            for move in incident.moved_to
        ],
    }


def _shown(body: bytes) -> str:
    """The beginning of a body as text, without what looks like a secret; also without half of one at the cut."""
    text = body[:SHOWN_BYTES].decode("utf-8", "replace")
    text = _NAMED_SECRET.sub(r"\1…", masked(text))
    return _CUT_CREDENTIALS.sub("://…", text) if len(body) > SHOWN_BYTES else text
