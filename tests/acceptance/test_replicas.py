"""Several routers on one PostgreSQL: all take notifications, one decides and delivers, and any of them may die.

Numbers in names are the rows of the fault table in docs.
"""

import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Final

import psycopg
import pytest

from router.preview.faults import Fault, FaultKind
from router.preview.workspace import ChannelSeed
from tests.acceptance.organisation import CHANNELS, alert, body, channel_of, map_of, write_map
from tests.postgres import PostgresServer
from tests.programs import eventually
from tests.router_process import Json, RouterProcess, SlackAccess, drained
from tests.slack import SlackServer
from tests.torture.load import Ledger, Poster, posting, watching
from tests.torture.verdict import incidents_of, judge

TEAMS: Final = 12
# A lease lasts 15 s; the next router then looks for it within a few seconds.
TAKEN_OVER_WITHIN_S: Final = 25
# An answer that takes longer is of no use to an Alertmanager that has others to tell.
QUICK_S: Final = 2.5

pytestmark = pytest.mark.needs("postgres")


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def make(tmp_path: Path, slack: SlackServer, url: str) -> Iterator[Callable[[], RouterProcess]]:
    """Routers of one database, not started yet; killed at the end."""
    ids = [*(channel_of(team) for team in range(TEAMS)), CHANNELS[None]]
    slack.emulator.seed(channels=[ChannelSeed(id=id_, name=id_.lower()) for id_ in ids])
    access = SlackAccess(api_url=slack.api_url, token=slack.token)
    ownership = write_map(tmp_path, map_of(TEAMS))
    made: list[RouterProcess] = []

    def new() -> RouterProcess:
        made.append(RouterProcess(tmp_path, ownership=ownership, slack=access, database_url=url))
        return made[-1]

    yield new
    for router in made:
        router.__exit__(None, None, None)


@pytest.fixture
def two(make: Callable[[], RouterProcess], url: str) -> list[RouterProcess]:
    """Running, and one of them decides and delivers."""
    routers = [make(), make()]
    for router in routers:
        router.start()
    eventually(lambda: holder(url, routers), timeout_s=10, what="one of the two has the leases")
    return routers


def holder(url: str, routers: Sequence[RouterProcess], lease: str = "delivering") -> RouterProcess | None:
    """Who has the lease, by the database."""
    with closing(psycopg.connect(url)) as connection:
        row = connection.execute("SELECT holder FROM leases WHERE name = %s AND ends_at > 0", (lease,)).fetchone()
    ports = {router.port: router for router in routers}
    return None if row is None else ports.get(int(row[0].split(":")[1]))


def others(routers: Sequence[RouterProcess], one: RouterProcess) -> RouterProcess:
    (other,) = (router for router in routers if router is not one)
    return other


def tell(router: RouterProcess, name: str, *, team: int = 0) -> int:
    sent = body(alert(name, team=f"team-{team:03d}", instance=name), group=name)
    return router.post("/webhooks/alertmanager", sent).status


def posts_of(slack: SlackServer, team: int) -> int:
    return len(slack.roots(channel_of(team)))


@contextmanager
def load(routers: Sequence[RouterProcess], ledger: Ledger) -> Iterator[None]:
    """Four groups that grow, told to any of the routers."""
    stop = threading.Event()
    posters = [
        Poster(routers, ledger, stop, name=f"Tp{number}", teams=[number], seed=number, pause_s=0.05)
        for number in range(4)
    ]
    with posting(posters, stop):
        yield


def judged_fine(ledger: Ledger, slack: SlackServer, router: RouterProcess, routers: Sequence[RouterProcess]) -> None:
    """All is drained: nothing is lost, nothing doubled, no rule broken, and the counts fit."""
    status = router.wait_until(drained, 45)
    logs = [line for one in routers for line in one.events]
    verdict = judge(ledger, slack.emulator.state(), incidents_of(router), logs, status=status)
    assert verdict.failures == []
    assert verdict.duplicates == {}


# -- one of them goes --------------------------------------------------------------------------------------------------


def test_31_both_take_and_what_is_left_takes_over(two: list[RouterProcess], slack: SlackServer, url: str) -> None:
    """kill -9 of the one that delivers, under load: the other goes on by itself; nothing is lost, nothing doubled."""
    ledger = Ledger()
    with watching(two) as watcher:
        with load(two, ledger):
            slack.wait_for(lambda slack: len(slack.emulator.accepted) >= 2)
            killed = holder(url, two)
            assert killed is not None
            killed.kill()
            killed_at, before = time.monotonic(), len(slack.emulator.accepted)
        left = others(two, killed)
        assert tell(left, "Tlatei0", team=5) == 200
        slack.wait_for(lambda slack: len(slack.emulator.accepted) > before + 1, timeout_s=TAKEN_OVER_WITHIN_S)
        assert time.monotonic() - killed_at < TAKEN_OVER_WITHIN_S
        ledger.record("Tlatei0", 200)
        judged_fine(ledger, slack, left, two)
    assert watcher.wrong == []
    assert watcher.looks > 10


def test_a_stop_hands_over_at_once(two: list[RouterProcess], slack: SlackServer, url: str) -> None:
    """SIGTERM gives the leases back: nobody waits until they end."""
    going = holder(url, two)
    assert going is not None
    staying = others(two, going)
    going.send_signal(signal.SIGTERM)
    assert tell(staying, "AfterTheStop") == 200
    slack.wait_for(lambda slack: posts_of(slack, 0) == 1, timeout_s=8)
    assert going.wait(10) == 0


def test_17_32_33_what_a_stopped_holder_says_late_changes_nothing(
    two: list[RouterProcess], slack: SlackServer, url: str
) -> None:
    """Stopped in the middle of a post until the other took over: there is one message, recorded by the other."""
    slack.emulator.script(Fault(kind=FaultKind.SLOW, method="chat.postMessage", nth=1, seconds=2))
    old = holder(url, two)
    assert old is not None
    new = others(two, old)
    assert tell(new, "UnderWay", team=0) == 200
    slack.wait_for(lambda slack: posts_of(slack, 0) == 1)
    old.send_signal(signal.SIGSTOP)
    try:
        let_end(url)
        assert tell(new, "WhileItStands", team=1) == 200
        status = new.wait_until(lambda status: drained(status) and status["messages"]["delivered"] == 2, 20)
        assert posts_of(slack, 1) == 1
    finally:
        old.send_signal(signal.SIGCONT)
    # It still believes that it holds the leases. What was posted by it and found by the other is recorded once.
    eventually(lambda: stale_records(old) > 0, timeout_s=10, what="the late record is refused")
    assert sums(new.status()) == sums(status)
    assert tell(old, "Afterwards", team=2) == 200
    slack.wait_for(lambda slack: posts_of(slack, 2) == 1)
    assert old.logged("lease_lost", timeout_s=10) is not None
    assert (holder(url, two), holder(url, two, "deciding")) == (new, new)
    assert [posts_of(slack, team) for team in range(3)] == [1, 1, 1]
    assert new.wait_until(drained)["messages"]["wanted"] == 3


def let_end(url: str) -> None:
    """The time of all leases and claims, so that nobody has to wait for it."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("UPDATE leases SET ends_at = 1")
        connection.execute("UPDATE messages SET due_at = 1 WHERE state = 'pending'")


def sums(status: Json) -> tuple[Json, Json]:
    return status["notifications"], {**status["messages"], "oldest_pending_seconds": 0}


def stale_records(router: RouterProcess) -> float:
    text = router.get("/metrics").body.decode()
    return sum(
        float(value) for value in re.findall(r"^router_\w*stale\w*_total(?:\{[^}]*\})? (\S+)$", text, re.MULTILINE)
    )


def test_both_start_at_once_on_an_empty_database(make: Callable[[], RouterProcess], url: str) -> None:
    """The tables are made once, and both are ready."""
    routers = [make(), make()]
    starting = [threading.Thread(target=router.start) for router in routers]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    for number, router in enumerate(routers):
        assert router.get("/-/ready").status == 200
        assert tell(router, f"Start{number}") == 200
    assert routers[0].status()["notifications"]["accepted"] == 2


# -- the database goes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("away", "back"),
    [
        pytest.param(PostgresServer.kill, PostgresServer.start, id="killed"),
        pytest.param(PostgresServer.freeze, PostgresServer.thaw, id="27 frozen"),
    ],
)
def test_a_database_that_is_away_is_an_answer(
    make: Callable[[], RouterProcess],
    postgres: PostgresServer,
    slack: SlackServer,
    away: Callable[[PostgresServer], None],
    back: Callable[[PostgresServer], None],
) -> None:
    """503, quickly, and not ready; alive all the while; once it is back, so is the router, without a restart."""
    router = make()
    router.start()
    assert tell(router, "Before", team=0) == 200
    away(postgres)
    names = (f"Away{number}" for number in count())
    for _ in range(3):
        refused = router.post("/webhooks/alertmanager", body(alert(next(names), team=None), group="away"))
        assert (refused.status, refused.took_s < QUICK_S) == (503, True), refused
        ready = router.get("/-/ready")
        assert (ready.status, ready.took_s < QUICK_S) == (503, True), ready
        assert router.get("/-/healthy").status == 200
    back(postgres)
    eventually(lambda: router.get("/-/ready").status == 200, timeout_s=10, what="ready again")
    eventually(lambda: tell(router, "Behind", team=1) == 200, timeout_s=5, what="taken again")
    slack.wait_for(lambda slack: posts_of(slack, 0) == posts_of(slack, 1) == 1, timeout_s=30)
    router.wait_until(drained, 10)


def test_26_a_database_that_is_away_at_the_start(
    make: Callable[[], RouterProcess], postgres: PostgresServer, slack: SlackServer
) -> None:
    """The router starts, alive and not ready, and takes nothing; once the database is there all is well."""
    postgres.kill()
    router = make()
    router.start()
    assert router.get("/-/healthy").status == 200
    assert router.get("/-/ready").status == 503
    refused = router.post("/webhooks/alertmanager", body(alert("Early", team=None), group="early"))
    assert (refused.status, refused.took_s < QUICK_S) == (503, True), refused
    postgres.start()
    eventually(lambda: tell(router, "InTime") == 200, timeout_s=10, what="a notification is taken")
    assert router.get("/-/ready").status == 200
    slack.wait_for(lambda slack: posts_of(slack, 0) == 1)
