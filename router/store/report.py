"""What a report counts of each incident, read in the order in which they came."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from router.core.history import EscalationReason
from router.core.identifiers import HIGHEST, next_identifier, text_of
from router.core.model import LEVELS_BY_URGENCY, Hours, IncidentState, Level
from router.core.report import Told
from router.store.database import Connection
from router.store.instants import instant, instant_or_none, micros

# One read, for which others wait: some tens of milliseconds.
BATCH_ROWS: Final = 500
BATCH_CHARACTERS: Final = 1024 * 1024  # of documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    told: tuple[Told, ...]
    last: str | None  # the id to go on behind; None: that was all


def edge(at: datetime) -> str:
    """Between the ids of the incidents from before `at`, and of those since.

    Both begin with the id of the notification that opened them, which begins with when it came in. That holds also for
    one that was made later by a change of owner: it is of the time at which its alerts were first told.
    """
    return text_of(next_identifier(now_ms=micros(at) // 1000, last=0, drawn=0))


LAST_EDGE: Final = text_of(HIGHEST)


def incidents(connection: Connection, *, after: str, before: str) -> Batch:
    """The next incidents behind the id or edge `after`, up to the edge `before`."""
    rows = connection.execute(
        """
        SELECT id, alert_group, owner, channel, state, title, opened_at, closed_at, repeats, document, EXISTS (
            SELECT 1 FROM messages m WHERE m.incident = i.id
                AND (m.kind = 'undelivered' OR (m.kind = 'root' AND m.state = 'dead'))
        )
        FROM incidents i WHERE id > ? AND id < ? ORDER BY id LIMIT ?
        """,
        (after, before, BATCH_ROWS),
    )
    told, last, held = list[Told](), "", 0
    for incident, group, owner, channel, state, title, opened_at, closed_at, repeats, document, undeliverable in rows:
        facts: dict[str, Any] = json.loads(document)
        respond_within, hours, runbook = _hints(facts)
        acknowledged = facts.get("acknowledged")
        told.append(
            Told(
                group=group,
                fingerprints=tuple(facts["alerts"]),
                owner=owner,
                channel_id=channel,
                state=IncidentState(state),
                title=title,
                opened_at=instant(opened_at),
                closed_at=instant_or_none(closed_at),
                ended_at=_ended(facts, closed_at),
                repeats=repeats,
                flaps=facts.get("flaps", 0),
                respond_within=respond_within,
                hours=Hours(hours),
                runbook=runbook is not None,
                acknowledged_at=None if acknowledged is None else instant(acknowledged["at"]),
                escalated=frozenset(EscalationReason(one["reason"]) for one in facts.get("escalations", ())),
                orphaned=owner is None or _began_with_nobody(incident, facts),
                undeliverable=bool(undeliverable),
                suspect="suspect" in facts,
                handed_over=facts.get("handed_over", False),
            )
        )
        last, held = incident, held + len(document)
        if held >= BATCH_CHARACTERS:
            return Batch(told=tuple(told), last=last)
    return Batch(told=tuple(told), last=last if len(told) == BATCH_ROWS else None)


def _began_with_nobody(id: str, facts: Mapping[str, Any]) -> bool:
    """Whether it was opened for what was taken from nobody. One that was there before may take something in too."""
    opened_by_a_move = "." in id
    return opened_by_a_move and facts["moved_from"][0]["owner"] is None


def _hints(facts: Mapping[str, Any]) -> tuple[str | None, str, str | None]:
    """Deadline, hours and runbook of the alert that its message shows first, as `core.cards` orders them."""
    hints = [told[1] for told in facts["explanations"]]
    ranks = [LEVELS_BY_URGENCY[Level(severity)] for severity, *_ in hints]

    def order(item: tuple[str, list[Any]]) -> tuple[bool, int, int, str]:
        fingerprint, (firing, since, _, _, place, *_) = item
        return not firing, ranks[place], since or 0, fingerprint

    _, (_, _, _, _, place, *_) = min(facts["alerts"].items(), key=order)
    _, respond_within, hours, runbook = hints[place]
    return respond_within, hours, runbook


def _ended(facts: Mapping[str, Any], closed_at: int | None) -> datetime | None:
    """When its last alert ended by its sender's word, as `core.cards` shows it."""
    if closed_at is None:
        return None
    ends = [until for _, _, until, *_ in facts["alerts"].values() if until is not None]
    return instant(min(max(ends, default=closed_at), closed_at))
