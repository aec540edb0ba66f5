"""What happened to an incident, as part of its document. What is not there is left out: most incidents have none."""

from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from router.core.history import (
    Acknowledgement,
    Assignment,
    Escalation,
    EscalationReason,
    Event,
    Happening,
    Snooze,
    Suspicion,
)
from router.core.incidents import Incident
from router.core.model import Level
from router.store.instants import instant, instant_or_none, micros, micros_or_none

Json = dict[str, Any]  # as json reads and writes it


def dumped(incident: Incident) -> Json:
    """The part of the document that holds it."""
    found: Json = {
        "heard_at": micros_or_none(incident.heard_at),
        "waiting_since": micros_or_none(incident.waiting_since),
        "history": [_dump(happening) for happening in incident.history],
        "happened": incident.happened,
        "escalations": [_dump(escalation) for escalation in incident.escalations],
        "acknowledged": _dump_or_none(incident.acknowledged),
        "snoozed": _dump_or_none(incident.snoozed),
        "assigned": _dump_or_none(incident.assigned),
        "flaps": incident.flaps,
        "unheard": incident.unheard,
        "suspect": _dump_or_none(incident.suspect),
    }
    return {name: value for name, value in found.items() if value}


def loaded(facts: Json) -> Json:
    """The fields of an Incident that the document holds."""
    return {
        "heard_at": instant_or_none(facts.get("heard_at")),
        "waiting_since": instant_or_none(facts.get("waiting_since")),
        "history": tuple(_happening(told) for told in facts.get("history", ())),
        "happened": facts.get("happened", 0),
        "escalations": tuple(_escalation(told) for told in facts.get("escalations", ())),
        "acknowledged": _loaded(Acknowledgement, facts.get("acknowledged"), "at"),
        "snoozed": _loaded(Snooze, facts.get("snoozed"), "at", "until"),
        "assigned": _loaded(Assignment, facts.get("assigned"), "at"),
        "flaps": facts.get("flaps", 0),
        "unheard": facts.get("unheard", 0),
        "suspect": _loaded(Suspicion, facts.get("suspect"), "lost_at"),
    }


def _happening(told: Json) -> Happening:
    level, reason = told.get("level"), told.get("reason")
    return Happening(
        **{
            **told,
            "event": Event(told["event"]),
            "at": instant(told["at"]),
            "until": instant_or_none(told.get("until")),
            "names": tuple(told.get("names", ())),
            "level": None if level is None else Level(level),
            "reason": None if reason is None else EscalationReason(reason),
        }
    )


def _escalation(told: Json) -> Escalation:
    return Escalation(**{**told, "reason": EscalationReason(told["reason"]), "at": instant(told["at"])})


def _loaded(kind: type, told: Json | None, *instants: str) -> Any:  # Any: an instance of `kind`
    if told is None:
        return None
    return kind(**{name: instant(value) if name in instants else value for name, value in told.items()})


def _dump_or_none(value: object) -> Json | None:
    return None if value is None else _dump(value)


def _dump(value: Any) -> Json:  # Any: one of the dataclasses of core.history
    """Its fields that say something; instants in microseconds."""
    found = {one.name: getattr(value, one.name) for one in fields(value)}
    return {name: _plain(told) for name, told in found.items() if told not in (None, (), "")}


def _plain(told: object) -> object:
    if isinstance(told, datetime):
        return micros(told)
    if isinstance(told, StrEnum):
        return told.value
    return told
