"""Alertmanager's webhook ("version 4"), as 0.25 to 0.35 send it with the default payload.

Keys that older versions do not send have a default, and unknown ones are ignored: 2026 brought two within five months.

The group's `status` is not read, because it lies: it is computed after truncation and muting, so a group of which ten
alerts still fire can arrive as `resolved`. (prometheus/alertmanager notify/webhook/webhook.go, template/template.go)
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field, OnErrorOmit, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticUseDefault
from typing_extensions import TypedDict  # pydantic refuses the standard library's before Python 3.12

from router.core.errors import NotUnderstood
from router.core.model import Alert, AlertStatus, Notification, Source, UnreadableAlert
from router.intake.json_body import explain, json_object

# An ordinary alert takes 740 bytes of a body, so 16 MiB hold some 22,000. Nobody can act on a group of that size.
MAX_ALERTS = 20_000
MANY = 64  # more capital letters of a kind than an ordinary body holds
MAX_TRUNCATED = 2**31 - 1  # what a database's integer takes


def shape_error(body: bytes) -> str | None:
    """Why these bytes are no Alertmanager notification, or None. Looks at nothing inside the alerts.

    On the answering path: some 5 µs for one alert, since no Python objects are made of what is inside.
    """
    return shallow_error(_Shape, body)


def read(body: bytes) -> Notification:
    """The notification in full. Raises NotUnderstood; an alert that is not of shape costs only itself."""
    return read_group(Source.ALERTMANAGER, json_object(body))


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's: 64-bit FNV-1a over the labels, sorted. (prometheus/common model/signature.go)"""
    hashed = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in b"%b\xff%b\xff" % (name.encode(), labels[name].encode()):
            hashed = ((hashed ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{hashed:016x}"


def instant(value: object) -> datetime | None:
    """RFC 3339 in UTC, to the microsecond; None for Go's zero time and for what is no such time.

    An alert without a time still has to reach its owner, so a bad one is never an error.
    """
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or moment.year == 1:
            return None
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def shallow_error(shape: type[BaseModel], body: bytes) -> str | None:
    """Why the body is no JSON of this shape, or None."""
    try:
        shape.model_validate_json(body)
        # pydantic reads these two as numbers, which JSON does not know. Inside of a text they are fine.
        if _may_hold(body, b"NaN") or _may_hold(body, b"Infinity"):
            json_object(body)
    except ValidationError as exc:
        return explain(exc)
    except NotUnderstood as exc:
        return str(exc)
    return None


def _may_hold(body: bytes, word: bytes) -> bool:
    """Whether the body holds the word. To look for one letter is many times faster than to look for three."""
    first = word[:1]
    at = body.find(first)
    for _ in range(MANY):
        if at < 0:
            return False
        if body.startswith(word, at):
            return True
        at = body.find(first, at + 1)
    return word in body


class AnyObject(TypedDict):
    """A JSON object whose keys are not looked at."""


class _Shape(BaseModel):
    receiver: str
    group_key: str = Field(alias="groupKey")
    alerts: Annotated[list[OnErrorOmit[AnyObject]], Field(min_length=1)]


def _or_default(value: object, read_value: ValidatorFunctionWrapHandler) -> Any:  # whatever the field holds
    try:
        return read_value(value)
    except ValidationError as exc:
        raise PydanticUseDefault from exc


# Says more about alerts but is not needed to route them: in an unexpected form it counts as absent, and costs no alert.
_Extra = WrapValidator(_or_default)


class _Envelope(BaseModel):
    receiver: str
    group_key: str = Field(alias="groupKey")
    alerts: Annotated[list[object], Field(min_length=1)]
    external_url: Annotated[str, _Extra] = Field("", alias="externalURL")
    truncated: Annotated[int, Field(ge=0, le=MAX_TRUNCATED), _Extra] = Field(0, alias="truncatedAlerts")
    reason: Annotated[str | None, _Extra] = Field(None, alias="notification_reason")
    route_labels: Annotated[dict[str, str], _Extra] = Field({}, alias="routeLabels")


class _Alert(BaseModel):
    status: AlertStatus
    labels: dict[str, str]
    annotations: dict[str, str] | None = None
    starts_at: object = Field(None, alias="startsAt")
    ends_at: object = Field(None, alias="endsAt")
    generator_url: Annotated[str, _Extra] = Field("", alias="generatorURL")
    # Longer or other than Alertmanager's is not taken: it is a key of the database.
    fingerprint: Annotated[str, Field(pattern=r"\A[0-9a-f]{16}\z"), _Extra] = ""
    # The three of Grafana.
    dashboard_url: Annotated[str, _Extra] = Field("", alias="dashboardURL")
    panel_url: Annotated[str, _Extra] = Field("", alias="panelURL")
    silence_url: Annotated[str, _Extra] = Field("", alias="silenceURL")


def read_group(source: Source, tree: dict[str, object]) -> Notification:
    """A group of alerts as Alertmanager and Grafana send it. Raises NotUnderstood."""
    try:
        envelope = _Envelope.model_validate(tree)
    except ValidationError as exc:
        raise NotUnderstood(explain(exc)) from exc
    if len(envelope.alerts) > MAX_ALERTS:
        raise NotUnderstood(
            f"{len(envelope.alerts)} alerts in one notification, {MAX_ALERTS} can be read: group by more labels"
        )
    alerts: list[Alert] = []
    unreadable: list[UnreadableAlert] = []
    for index, value in enumerate(envelope.alerts):
        try:
            alerts.append(_alert(_Alert.model_validate(value)))
        except ValidationError as exc:
            unreadable.append(UnreadableAlert(index=index, error=explain(exc, at=f"alerts[{index}]")))
    if not alerts:
        raise NotUnderstood(f"none of {len(unreadable)} alerts can be read; {unreadable[0].error}")
    return Notification(
        source=source,
        receiver=envelope.receiver,
        group_key=envelope.group_key,
        alerts=tuple(alerts),
        sender=envelope.external_url,
        truncated=envelope.truncated,
        reason=envelope.reason,
        route_labels=envelope.route_labels,
        unreadable=tuple(unreadable),
    )


def _alert(told: _Alert) -> Alert:
    # An empty label is no label, for Prometheus and for Alertmanager's matchers.
    labels = {name: value for name, value in told.labels.items() if value}
    return Alert(
        fingerprint=told.fingerprint or fingerprint(labels),
        status=told.status,
        labels=labels,
        annotations=told.annotations or {},
        starts_at=instant(told.starts_at),
        ends_at=instant(told.ends_at) if told.status is AlertStatus.RESOLVED else None,
        generator_url=told.generator_url,
        dashboard_url=told.panel_url or told.dashboard_url,
        silence_url=told.silence_url,
    )
