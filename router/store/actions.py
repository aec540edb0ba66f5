"""What people did about incidents, durable before it is answered; whoever decides applies it, in its order."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from router.core.actions import Action, ActionKind
from router.store.database import Connection
from router.store.instants import instant, micros


class ActionState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    id: int
    known: bool  # it is the press of a button that was stored before


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    id: int
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    state: ActionState
    words: str | None  # None while it waits


def append(connection: Connection, action: Action, *, press: str | None = None) -> Appended | None:
    """Store what somebody wants done; None: there is no such incident.

    `press` names the press of a button: the same one again changes nothing.
    """
    if connection.execute("SELECT 1 FROM incidents WHERE id = ?", (action.incident,)).fetchone() is None:
        return None
    facts: dict[str, Any] = {}
    if action.team is not None:
        facts["team"] = action.team
    if action.lasts is not None:
        facts["lasts_s"] = action.lasts.total_seconds()
    row = connection.execute(
        """
        INSERT INTO actions (incident, kind, made_by, at, facts, press, state) VALUES (?, ?, ?, ?, ?, ?, 'waiting')
        ON CONFLICT (press) DO NOTHING RETURNING id
        """,
        (action.incident, action.kind.value, action.by, micros(action.at), json.dumps(facts), press),
    ).fetchone()
    if row is not None:
        return Appended(id=row[0], known=False)
    (known,) = connection.execute("SELECT id FROM actions WHERE press = ?", (press,)).fetchone()
    return Appended(id=known, known=True)


def waiting(connection: Connection, *, limit: int) -> list[Waiting]:
    """What nobody applied yet, in its order."""
    rows = connection.execute(
        "SELECT id, incident, kind, made_by, at, facts FROM actions WHERE state = 'waiting' ORDER BY id LIMIT ?",
        (limit,),
    )
    return [
        Waiting(id=identifier, action=_action(incident, kind, by, at, json.loads(facts)))
        for identifier, incident, kind, by, at, facts in rows
    ]


def settle(connection: Connection, id: int, *, done: bool, words: str, now: datetime) -> None:
    """It was applied, or refused; `words` tell who did it."""
    state = ActionState.DONE if done else ActionState.REFUSED
    connection.execute(
        "UPDATE actions SET state = ?, outcome = ?, done_at = ? WHERE id = ?", (state.value, words, micros(now), id)
    )


def outcome(connection: Connection, id: int) -> Outcome | None:
    row = connection.execute("SELECT state, outcome FROM actions WHERE id = ?", (id,)).fetchone()
    return None if row is None else Outcome(state=ActionState(row[0]), words=row[1])


def _action(incident: str, kind: str, by: str, at: int, facts: dict[str, Any]) -> Action:
    lasts_s = facts.get("lasts_s")
    return Action(
        incident=incident,
        kind=ActionKind(kind),
        by=by,
        at=instant(at),
        team=facts.get("team"),
        lasts=None if lasts_s is None else timedelta(seconds=lasts_s),
    )
