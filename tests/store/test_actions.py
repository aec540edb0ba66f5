"""What people did, on both engines: kept as it came, in its order, each press once."""

from datetime import timedelta
from functools import partial

import pytest

from router.core.actions import Action, ActionKind
from router.core.routing import Group, decide
from router.store import actions, incidents
from router.store.actions import ActionState, Appended, Outcome, Waiting
from router.store.database import Connection, Store
from tests.core.factories import NOW, TeamLabelMap, alert, minutes, notification
from tests.store.opened import with_store

ACK = Action(incident="0000000000001-1", kind=ActionKind.ACK, by="U0ALICE", at=NOW)


def fill(connection: Connection) -> None:
    """One open incident."""
    told = decide(
        notification(alert()), id=1, group=Group(telling=None, incidents=()), ownership=TeamLabelMap(), now=NOW
    )
    incidents.save(connection, told.incidents)


def press(connection: Connection, action: Action, name: str | None = None) -> Appended:
    appended = actions.append(connection, action, press=name)
    assert appended is not None
    return appended


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(ACK, id="without facts"),
        pytest.param(Action(incident=ACK.incident, kind=ActionKind.DISOWN, by="母", at=NOW, team="決済"), id="a team"),
        pytest.param(
            Action(incident=ACK.incident, kind=ActionKind.SNOOZE, by="b", at=NOW, lasts=timedelta(hours=2)), id="a time"
        ),
        pytest.param(Action(incident=ACK.incident, kind=ActionKind.WAKE, by='"; --', at=NOW), id="a hostile name"),
    ],
)
def test_it_is_kept_as_it_came(database: str, action: Action) -> None:
    """Nothing of it is lost or changed on its way."""

    async def run(store: Store) -> list[Waiting]:
        await store.write(fill)
        await store.write(partial(press, action=action))
        return await store.read(partial(actions.waiting, limit=10))

    (found,) = with_store(database, run)
    assert found.action == action


def test_a_press_counts_once(database: str) -> None:
    """Sent twice, and again after it was done, it is the same; without a name each one counts."""

    async def run(store: Store) -> None:
        await store.write(fill)
        first = await store.write(partial(press, action=ACK, name="1.2:ack:3"))
        assert not first.known
        assert await store.write(partial(press, action=ACK, name="1.2:ack:3")) == Appended(id=first.id, known=True)
        await store.write(partial(actions.settle, id=first.id, done=True, words="acknowledged", now=NOW))
        assert await store.write(partial(press, action=ACK, name="1.2:ack:3")) == Appended(id=first.id, known=True)
        assert await store.read(partial(actions.waiting, limit=10)) == []
        others = [await store.write(partial(press, action=ACK)) for _ in range(2)]
        assert len({first.id, *(one.id for one in others)}) == 3

    with_store(database, run)


def test_in_its_order_until_it_is_settled(database: str) -> None:
    """The oldest first; what was done or refused waits no more, and says what came of it."""

    async def run(store: Store) -> None:
        await store.write(fill)
        ids = [(await store.write(partial(press, action=ACK))).id for _ in range(4)]
        assert [one.id for one in await store.read(partial(actions.waiting, limit=3))] == ids[:3]
        await store.write(partial(actions.settle, id=ids[0], done=True, words="acknowledged", now=NOW))
        await store.write(partial(actions.settle, id=ids[2], done=False, words="too late", now=NOW + minutes(1)))
        assert [one.id for one in await store.read(partial(actions.waiting, limit=3))] == [ids[1], ids[3]]
        found = [await store.read(partial(actions.outcome, id=one)) for one in (*ids[:3], 999)]
        assert found == [
            Outcome(state=ActionState.DONE, words="acknowledged"),
            Outcome(state=ActionState.WAITING, words=None),
            Outcome(state=ActionState.REFUSED, words="too late"),
            None,
        ]

    with_store(database, run)


def test_nothing_is_kept_of_an_unknown_incident(database: str) -> None:
    """Whatever somebody sends, the table grows only by what can be done."""

    async def run(store: Store) -> None:
        assert await store.write(partial(actions.append, action=ACK)) is None
        assert await store.read(partial(actions.waiting, limit=10)) == []

    with_store(database, run)
