"""Channels that refused a message for what they are: nothing more is sent there until they take messages again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from router.store.database import Connection
from router.store.instants import instant, micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Since when a channel refuses, in Slack's word, and when it is asked again."""

    reason: str
    since: datetime
    probe_at: datetime


def refuse(connection: Connection, channel_id: str, *, reason: str, now: datetime, probe_at: datetime) -> None:
    connection.execute(
        """
        INSERT INTO refused_channels (channel, reason, since, probe_at) VALUES (?, ?, ?, ?)
        ON CONFLICT (channel) DO UPDATE SET reason = excluded.reason, probe_at = excluded.probe_at
        """,
        (channel_id, reason, micros(now), micros(probe_at)),
    )


def readmit(connection: Connection, channel_id: str) -> None:
    connection.execute("DELETE FROM refused_channels WHERE channel = ?", (channel_id,))


def refused(connection: Connection) -> Mapping[str, Refused]:
    """By channel id."""
    rows = connection.execute("SELECT channel, reason, since, probe_at FROM refused_channels")
    return {
        channel: Refused(reason=reason, since=instant(since), probe_at=instant(probe_at))
        for channel, reason, since, probe_at in rows
    }
