"""What people and timers do to an incident, by their effect: something more in its history, and who has to be told."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from router.core.history import Event
from router.core.incidents import Incident, noted
from router.core.routing import messages_of, replies_of
from router.store import incidents, messages
from router.store.database import Connection
from tests.house import House

# What each test notes as it pleases: the one calls nobody, and the other does.
QUIET, CALLING = Event.FLAPPING, Event.SNOOZE_OVER

Change = Callable[[Incident], Incident]


def note(connection: Connection, before: Incident, *events: Event, now: datetime, **facts: Any) -> None:
    """Facts are fields of a Happening, or `and_then`: a change of the incident besides."""
    and_then: Change | None = facts.pop("and_then", None)
    after = before
    for event in events:
        after = noted(after, event, at=now, **facts)
    after = after if and_then is None else and_then(after)
    after = replace(after, revision=after.revision + 1)
    incidents.save(connection, [after])
    messages.want(connection, [*messages_of(after), *replies_of(before, after)], now=now)


async def happens(house: House, *events: Event, name: str = "A", **facts: Any) -> None:
    """To the newest incident of that name: noted and wanted, not delivered."""

    def work(connection: Connection) -> None:
        found = incidents.page(connection, state=None, before=None, limit=1000)
        before = next(incident for incident in found if incident.title == name)
        note(connection, before, *events, now=house.clock(), **facts)

    await house.store.write(work)


async def happens_to_open(house: House, number: int, *events: Event) -> None:
    """To one of those that are open; nothing where there is none."""

    def work(connection: Connection) -> None:
        found = [one for one in incidents.page(connection, state=None, before=None, limit=9999) if not one.ended]
        if found:
            note(connection, found[number % len(found)], *events, now=house.clock(), count=101)

    await house.store.write(work)
