"""Incidents that are due to be looked at, with what a look has to know beside them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from router.core.escalation import Facts
from router.core.escalation_policy import EscalationPolicy
from router.core.history import EscalationReason
from router.core.incidents import Incident
from router.core.model import MessageKind
from router.store import incidents
from router.store.database import Connection, marks
from router.store.instants import instant, micros

# Of one owner's share of one group: as many that called somebody are read, each with all its alerts.
EPISODES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An incident to look at."""

    incident: Incident
    facts: Facts


def due(
    connection: Connection,
    *,
    policy_of: Callable[[Incident], EscalationPolicy],
    fallback_channel: str,
    now: datetime,
    limit: int,
    size: int,
) -> list[Due]:
    """At most `limit` incidents that are due, and of about `size` bytes, the longest due first."""
    found = incidents.due(connection, now=now, limit=limit, size=size)
    if not found:
        return []
    stand_ins = _stand_ins(connection, [incident.id for incident in found], fallback_channel)
    rhythms = _rhythms(connection, sorted({incident.group for incident in found}))
    return [
        Due(
            incident=incident,
            facts=_facts(
                connection,
                incident,
                policy=policy_of(incident),
                stand_in=stand_ins.get(incident.id),
                rhythm=rhythms.get(incident.group),
                now=now,
            ),
        )
        for incident in found
    ]


def _facts(
    connection: Connection,
    incident: Incident,
    *,
    policy: EscalationPolicy,
    stand_in: str | None,
    rhythm: timedelta | None,
    now: datetime,
) -> Facts:
    if policy.repeats is None or incident.owner is None:
        return Facts(stand_in=stand_in, rhythm=rhythm)
    since = now - policy.repeats.window
    opened = incidents.opened_since(connection, incident, since=since)
    return Facts(
        opened_in_window=opened,
        called=_called(connection, incident, since=since) if opened > policy.repeats.count else frozenset(),
        stand_in=stand_in,
        rhythm=rhythm,
    )


def _stand_ins(connection: Connection, ids: Sequence[str], fallback_channel: str) -> dict[str, str]:
    """The channel where another message stands for the owner's, by incident."""
    rows = connection.execute(
        f"""
        SELECT incident, coalesce(posted_in, channel) FROM messages WHERE kind = ? AND incident IN ({marks(ids)})
        """,
        (MessageKind.UNDELIVERED.value, *ids),
    )
    return {incident: channel or fallback_channel for incident, channel in rows}


def _rhythms(connection: Connection, groups: Sequence[str]) -> dict[str, timedelta]:
    rows = connection.execute(
        f"SELECT alert_group, rhythm FROM tellings WHERE rhythm IS NOT NULL AND alert_group IN ({marks(groups)})",
        groups,
    )
    return {group: timedelta(microseconds=rhythm) for group, rhythm in rows}


def _called(connection: Connection, incident: Incident, *, since: datetime) -> frozenset[str]:
    """The channels that were called since then, because it came again, by the incidents of its share before it."""
    rows = connection.execute(
        """
        SELECT document FROM incidents
        WHERE alert_group = ? AND channel = ? AND coalesce(owner, '') = ? AND id <> ?
            AND document LIKE ?
        ORDER BY opened_at DESC LIMIT ?
        """,
        (
            incident.group,
            incident.channel_id,
            incident.owner or "",
            incident.id,
            '%"escalations":%',  # in a text the quotes would be escaped
            EPISODES,
        ),
    )
    return frozenset(
        escalation["channel_id"]
        for (document,) in rows
        for escalation in json.loads(document).get("escalations", ())
        if escalation["reason"] == EscalationReason.REPEATED and instant(escalation["at"]) >= since
    )


def all_due(connection: Connection, *, now: datetime) -> None:
    """Every open incident is looked at now: the map or the clock by which its time was set is another one."""
    connection.execute(
        "UPDATE incidents SET due_at = ? WHERE state = 'open' AND (due_at IS NULL OR due_at > ?)",
        (micros(now), micros(now)),
    )
