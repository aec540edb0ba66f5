"""Dead letters on both engines: handled by one of several at once, and counted so."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest

from router.core.model import FailureClass, MessageKind, MessageState, NotificationState, Source, Urgency
from router.core.routing import Wanted
from router.store import channels, dead_letters, inbox, messages, sending
from router.store.database import Connection, Store
from router.store.dead_letters import GivenUp, Quarantined
from router.telemetry import Metrics
from tests.core.factories import FALLBACK, NOW, minutes
from tests.store.opened import opened, with_store

PAYMENTS = "C0PAYMENTS"
MANY = 60


def fill(connection: Connection, *, count: int = 3) -> None:
    """So many notifications that cannot be read, and deliveries that were given up, each of an incident of its own."""
    rows = [
        inbox.row(id=number, source=Source.GRAFANA, received_at=NOW + minutes(number), error="no", body=b"x" * number)
        for number in range(1, count + 1)
    ]
    inbox.append(connection, rows)
    for number in range(1, count + 1):
        root = Wanted(incident=f"i-{number}", kind=MessageKind.ROOT, channel_id=PAYMENTS, urgency=Urgency.FIRING)
        at = NOW + minutes(number)
        messages.want(connection, [root], now=at)
        (claimed,) = sending.claim(
            connection,
            now=at,
            lease=timedelta(seconds=20),
            posts=1,
            edits=0,
            limit=1,
            blocked=(),
            fallback=FALLBACK.id,
        )
        assert sending.give_up(
            connection, claimed, failure=FailureClass.CHANNEL, error="is_archived", undelivered=None, now=at
        )
    channels.refuse(connection, PAYMENTS, reason="is_archived", now=NOW, probe_at=NOW + minutes(15))


def letters(connection: Connection) -> tuple[list[Quarantined], list[GivenUp]]:
    return (
        dead_letters.quarantined(connection, before=1 << 62, limit=1000),
        dead_letters.given_up(connection, before=1 << 62, reason=None, limit=1000),
    )


def sums(connection: Connection) -> dict[str, int]:
    return {**inbox.sums(connection), "pending": messages.pending(connection)[0]}


def test_back_to_where_they_failed(database: str) -> None:
    """A notification waits, a delivery is due as if never tried, and its channel is tried again."""

    async def run(store: Store) -> None:
        await store.write(partial(fill, count=3))
        quarantined, given_up = await store.read(letters)
        assert [(letter.id, letter.size, letter.dead) for letter in quarantined] == [
            (3, 3, True),
            (2, 2, True),
            (1, 1, True),
        ]
        assert [(one.incident, one.failure, one.error) for one in given_up] == [
            (f"i-{number}", FailureClass.CHANNEL, "is_archived") for number in (3, 2, 1)
        ]
        assert await store.write(partial(dead_letters.requeue_notifications, ids=[1, 2, 99], replay="r1")) == {1, 2}
        requeue = partial(dead_letters.requeue_deliveries, ids=[one.id for one in given_up[1:]], replay="r1", now=NOW)
        assert await store.write(requeue) == {one.id for one in given_up[1:]}
        assert await store.write(requeue) == set()
        left = await store.read(letters)
        assert (left[0], left[1]) == (quarantined[:1], given_up[:1])
        found = await store.read(sums)
        assert (found["quarantined"], found["waiting"], found["dead"], found["pending"]) == (1, 2, 1, 2)
        assert await store.read(channels.refused) == {}
        (again,) = await store.read(partial(dead_letters.deliveries, ids=[given_up[2].id]))
        assert (again.state, again.attempts, again.error, again.failure, again.replay) == (
            MessageState.PENDING,
            0,
            "",
            None,
            "r1",
        )
        (waiting,) = await store.read(partial(dead_letters.notifications, ids=[1]))
        assert (waiting.state, waiting.error, waiting.replay) == (NotificationState.WAITING, "", "r1")

    with_store(database, run)


def test_without_its_body_it_stays(database: str) -> None:
    """What cannot be read again would wait for ever."""

    def forget(connection: Connection) -> None:
        connection.execute("DELETE FROM bodies WHERE id = ?", (1,))

    async def run(store: Store) -> None:
        await store.write(fill)
        await store.write(forget)
        assert await store.write(partial(dead_letters.requeue_notifications, ids=[1, 2], replay="r1")) == {2}

    with_store(database, run)


def test_dropped_and_kept(database: str) -> None:
    """They leave the list with the time, and no sum changes."""

    async def run(store: Store) -> None:
        await store.write(fill)
        before = await store.read(sums)
        quarantined, given_up = await store.read(letters)
        drop = partial(dead_letters.drop_notifications, ids=[1, 2], now=NOW)
        assert (await store.write(drop), await store.write(drop)) == ({1, 2}, set())
        with_replay = partial(dead_letters.drop_deliveries, ids=[given_up[0].id], now=NOW, replay="r1")
        assert await store.write(with_replay) == {given_up[0].id}
        assert await store.read(letters) == (quarantined[:1], given_up[1:])
        assert await store.read(sums) == before
        (dropped,) = await store.read(partial(dead_letters.deliveries, ids=[given_up[0].id]))
        assert (dropped.handled_at, dropped.replay, dropped.dead) == (NOW, "r1", False)

    with_store(database, run)


@pytest.mark.parametrize(
    ("after", "reason", "before", "expected"),
    [
        pytest.param(0, None, None, [1, 2, 3], id="all"),
        pytest.param(1, None, None, [2, 3], id="from where it ended"),
        pytest.param(0, "is_archived", None, [1, 2, 3], id="of this reason"),
        pytest.param(0, "other", None, [], id="of another"),
        pytest.param(0, None, minutes(3), [1, 2], id="from before a time"),
    ],
)
def test_the_oldest_first(
    database: str, after: int, reason: str | None, before: timedelta | None, expected: list[int]
) -> None:
    """In the order in which they came, which is the order in which they must be decided."""
    until = None if before is None else NOW + before

    async def run(store: Store) -> None:
        await store.write(fill)
        given_up = await store.read(
            partial(dead_letters.next_given_up, after=after, reason=reason, before=until, limit=9)
        )
        assert [one.incident for one in given_up] == [f"i-{number}" for number in expected]
        if reason is None:
            quarantined = await store.read(partial(dead_letters.next_quarantined, after=after, before=until, limit=9))
            assert [letter.id for letter in quarantined] == expected

    with_store(database, run)


def test_of_several_at_once_one_does_it(database: str) -> None:
    """Two routers on one database, where the engine takes two, and several of each: every dead letter once."""

    async def run() -> None:
        async with opened(database, Metrics()) as one:
            await one.write(partial(fill, count=MANY))
            if not one.shared:
                await race([one])
                return
            async with opened(database, Metrics()) as other:
                await race([one, other])

    asyncio.run(run())


async def race(stores: list[Store]) -> None:
    quarantined, given_up = await stores[0].read(letters)
    rising = sorted(letter.id for letter in quarantined), sorted(one.id for one in given_up)
    falling = rising[0][::-1], rising[1][::-1]

    def work(ids: tuple[list[int], list[int]]) -> Callable[[Connection], list[set[int]]]:
        return lambda connection: [
            dead_letters.requeue_notifications(connection, ids[0], replay="r1"),
            dead_letters.requeue_deliveries(connection, ids[1], replay="r1", now=NOW),
        ]

    done = await asyncio.gather(
        *(store.write(work(ids)) for _ in range(3) for store in stores for ids in (rising, falling))
    )
    assert sorted(id_ for notifications, _ in done for id_ in notifications) == rising[0]
    assert sorted(id_ for _, deliveries in done for id_ in deliveries) == rising[1]
    found = await stores[0].read(sums)
    assert (found["quarantined"], found["waiting"], found["dead"], found["pending"]) == (0, MANY, 0, MANY)
