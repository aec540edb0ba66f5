"""One call: its arguments, out of query and body by Slack's rules of what is read where, and what it works on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from router.preview.rules import Rule
from router.preview.workspace import Json, Violation, Workspace


class SlackError(Exception):
    """Slack's answer is `ok: false` with this code and these further keys."""

    def __init__(self, code: str, **extra: Any) -> None:
        self.code = code
        self.extra = extra
        super().__init__(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request to `/api/<method>`."""

    method: str
    verb: str
    content_type: str
    query: str
    body: bytes
    authorization: str
    url: str  # of the workspace, by which it was called; ends in /


class Arguments:
    """Values as JSON has them, or as strings where a form or the query carried them."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str):
            raise SlackError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {name} must be a string"]})
        return value

    def flag(self, name: str) -> bool | None:
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        return str(value).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        try:
            return int(self._values.get(name, default))
        except (TypeError, ValueError):
            raise SlackError("invalid_arguments") from None

    def objects(self, name: str, *, otherwise: str) -> tuple[Json, ...] | None:
        """A list of objects; None if not given. Raises SlackError(otherwise) if it is anything else."""
        value = self.json(name, otherwise=otherwise)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise SlackError(otherwise)
        return tuple(value)

    def json(self, name: str, *, otherwise: str) -> Any:
        """The value, also where it was sent as a string of JSON, as forms do."""
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return _loads(value)
        except (ValueError, RecursionError):
            raise SlackError(otherwise) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authorised call, and the workspace it works on."""

    method: str
    arguments: Arguments
    workspace: Workspace
    scopes: frozenset[str]
    now: float
    url: str  # of the workspace; ends in /
    hidden: bool = False  # over the rate limit: taken, and shown to nobody
    marketplace_history: bool = False

    def violation(self, rule: Rule, message: str) -> None:
        channel = self.arguments.text("channel") or None
        self.workspace.violations.append(Violation(rule=rule, message=message, method=self.method, channel=channel))


def read_arguments(request: Request, *, json_input: bool) -> Arguments:
    """Query and body together. Raises SlackError where Slack cannot read the body."""
    values: dict[str, Any] = dict(parse_qsl(request.query, keep_blank_values=True))
    if request.body:
        values |= _body(request, json_input=json_input)
    return Arguments(values)


def _body(request: Request, *, json_input: bool) -> dict[str, Any]:
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    if media_type != "application/json":
        raise SlackError("invalid_post_type" if media_type else "missing_post_type")
    try:
        read = _loads(request.body)
    except (ValueError, RecursionError):
        raise SlackError("invalid_json") from None
    if not isinstance(read, dict):
        raise SlackError("json_not_object")
    return read if json_input else {}


def _loads(text: str | bytes) -> Any:
    """JSON as others understand it: no NaN, and no half of a surrogate pair. Raises ValueError or RecursionError."""
    read = json.loads(text, parse_constant=_no_constant)
    json.dumps(read, ensure_ascii=False).encode()
    return read


def _no_constant(name: str) -> None:
    raise ValueError(name)
