"""Honeybadger's webhook ("v2"): a check-in that is missing or reports again becomes one alert.

Honeybadger puts the project's ingestion key and its people's addresses into every body. So what is stored is not the
body but the few keys of it that are read here.
"""

import json
import math
import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from router.core.errors import NotUnderstood
from router.core.model import Alert, AlertStatus, Notification, Source
from router.intake.alertmanager import fingerprint, instant
from router.intake.json_body import explain, json_object

REMOVED = "[removed]"
MISSING = "check_in_missing"
REPORTING = "check_in_reporting"

_KEPT = ("event", "message")
_KEPT_OF = {
    "project": ("id", "name"),
    # Without `url`: whoever has it can report the check-in.
    "check_in": (
        "id", "name", "slug", "state", "schedule_type", "reported_at", "expected_at", "missed_count", "grace_period",
        "report_period", "details_url", "cron_schedule", "cron_timezone",
    ),
}  # fmt: skip
_ADDRESS = re.compile(r"\S+@\S+")
_SHORTEST_TOKEN = 8  # a shorter "token" is none, and taking it out of every text would leave no text


def redact(body: bytes) -> bytes:
    """The body with only what is read of it: no token, no e-mail address. Raises NotUnderstood if it is no object."""
    tree = json_object(body)
    token = _object(tree.get("project")).get("token")
    secret = token if isinstance(token, str) and len(token) >= _SHORTEST_TOKEN else None
    kept = _kept(tree, _KEPT, secret)
    for name, keys in _KEPT_OF.items():
        if name in tree:
            kept[name] = _kept(_object(tree[name]), keys, secret)
    return json.dumps(kept, ensure_ascii=False).encode()


def shape_error(body: bytes) -> str | None:
    """Why these bytes are no notification of Honeybadger, or None."""
    try:
        read(body)
    except NotUnderstood as exc:
        return str(exc)
    return None


def read(body: bytes) -> Notification:
    """One alert for a check-in's event, no alert for any other event. Raises NotUnderstood."""
    try:
        told = _Event.model_validate(json_object(body))
    except ValidationError as exc:
        raise NotUnderstood(explain(exc)) from exc
    # `event` alone decides: check_in_reporting is documented with check_in.state = "missing".
    if told.event not in (MISSING, REPORTING):
        return Notification(
            source=Source.HONEYBADGER, receiver=Source.HONEYBADGER.value, group_key=f"event/{told.event}", alerts=()
        )
    if not told.check_in.id:
        raise NotUnderstood("check_in.id: is missing")
    return Notification(
        source=Source.HONEYBADGER,
        receiver=Source.HONEYBADGER.value,
        group_key=f"check-in/{told.project.id}/{told.check_in.id}",
        alerts=(_alert(told),),
    )


def _text(value: object) -> object:
    """Ids and counts come as numbers or as strings; null is nothing."""
    match value:
        case None:
            return ""
        case bool():
            return value
        case int():
            return str(value)
        case _:
            return value


Text = Annotated[str, BeforeValidator(_text)]


class _Project(BaseModel):
    id: Text = ""
    name: Text = ""


class _CheckIn(BaseModel):
    id: Text = ""
    name: Text = ""
    slug: Text = ""
    reported_at: Text = ""
    expected_at: Text = ""
    missed_count: Text = ""
    details_url: Text = ""


class _Event(BaseModel):
    event: str
    message: Text = ""
    project: _Project = Field(default_factory=_Project)
    check_in: _CheckIn = Field(default_factory=_CheckIn)


def _alert(told: _Event) -> Alert:
    check_in = told.check_in
    missing = told.event == MISSING
    # The name of an event's alert is the same for both events: reporting resolves what missing fired.
    labels = {
        "alertname": "CheckInMissing",
        "source": Source.HONEYBADGER.value,
        "checkin": check_in.slug or check_in.id,
        "checkin_id": check_in.id,
        "checkin_name": check_in.name,
        "project": told.project.name or told.project.id,
    }
    annotations = {
        "summary": told.message,
        "expected_at": check_in.expected_at,
        "missed_count": check_in.missed_count,
        "link": check_in.details_url,
    }
    return Alert(
        # Of what never changes: somebody may rename the check-in while it is missing.
        fingerprint=fingerprint({name: labels[name] for name in ("alertname", "source", "checkin_id")}),
        status=AlertStatus.FIRING if missing else AlertStatus.RESOLVED,
        labels={name: value for name, value in labels.items() if value},
        annotations={name: value for name, value in annotations.items() if value},
        # In check_in_reporting expected_at is the next time, not the missed one.
        starts_at=instant(check_in.expected_at) if missing else None,
        ends_at=None if missing else instant(check_in.reported_at),
        generator_url=check_in.details_url,
    )


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _kept(tree: dict[str, object], keys: tuple[str, ...], secret: str | None) -> dict[str, object]:
    return {key: _clean(tree[key], secret) for key in keys if key in tree}


def _clean(value: object, secret: str | None) -> object:
    match value:
        case None | bool() | int():
            return value
        case float() if math.isfinite(value):
            return value
        case str():
            return _ADDRESS.sub(REMOVED, value.replace(secret, REMOVED) if secret else value)
        case _:  # nothing that is read is a list or an object
            return None
