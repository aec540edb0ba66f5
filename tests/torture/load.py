"""What senders do to a router that is being killed, and what they know of it afterwards."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.acceptance.organisation import alert, body
from tests.router_process import Json, RouterProcess, unbalanced

# Few enough that a message shows each of them by its labels.
ALERTS_A_GROUP: Final = 8
# Every few posts go to this team's channel, so that more wait for it than are told one by one.
CROWDED_TEAM: Final = 0
CROWD_SHARE: Final = 0.2
PAUSE_S: Final = 0.03
LOOK_EVERY_S: Final = 0.3


@dataclass(slots=True)
class Ledger:
    """What the posters know, outside the router's process."""

    acknowledged: set[str] = field(default_factory=set)  # the instance label of each alert whose POST was answered 200
    answered: int = 0  # posts answered 200, retries too
    unanswered: int = 0
    refused: int = 0  # 503: come again
    other_answers: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, instance: str, status: int | None) -> None:
        with self.lock:
            if status == 200:
                self.answered += 1
                self.acknowledged.add(instance)
            elif status is None:
                self.unanswered += 1
            elif status == 503:
                self.refused += 1
            else:
                self.other_answers[status] += 1


class Poster(threading.Thread):
    """Groups of its own that grow alert by alert, each body until some router takes it; then the last again and again.

    A group has an alertname of its own, so that it can be found in a digest, which shows no more of it.
    """

    def __init__(
        self,
        routers: Sequence[RouterProcess],
        ledger: Ledger,
        stop: threading.Event,
        *,
        name: str,
        teams: Sequence[int],
        seed: int,
        pause_s: float = PAUSE_S,
    ) -> None:
        super().__init__(name=name)
        self._routers = routers
        self._ledger = ledger
        self._stop_posting = stop
        self._teams = teams
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._pause_s = pause_s

    def run(self) -> None:
        for instance, sent in self._bodies():
            while not self._taken(instance, sent):
                if self._stop_posting.wait(self._pause_s):
                    return
            if self._stop_posting.wait(self._pause_s):
                return

    def _taken(self, instance: str, sent: bytes) -> bool:
        router = self._chance.choice(self._routers)
        try:
            status = router.post("/webhooks/alertmanager", sent).status
        except OSError:
            self._ledger.record(instance, None)
            return False
        self._ledger.record(instance, status)
        return status == 200

    def _bodies(self) -> Iterator[tuple[str, bytes]]:
        """Each body with the instance label of the alert that it is the first to hold."""
        for number, team in enumerate(self._teams):
            group = f"{self.name}n{number}"
            alerts: list[Json] = []
            for index in range(ALERTS_A_GROUP):
                instance = f"{group}i{index}"
                alerts.append(alert(group, team=f"team-{team:03d}", instance=instance))
                sent = body(*alerts, group=group)
                yield instance, sent
        while True:
            yield instance, sent


def teams_of(chance: random.Random, *, teams: int, groups: int) -> list[int]:
    """So many, most of them anywhere and some of them in the crowd."""
    return [CROWDED_TEAM if chance.random() < CROWD_SHARE else chance.randrange(teams) for _ in range(groups)]


@contextmanager
def posting(posters: Sequence[Poster], stop: threading.Event) -> Iterator[None]:
    """They post meanwhile; at the end they are told to stop, and have."""
    for poster in posters:
        poster.start()
    try:
        yield
    finally:
        stop.set()
        for poster in posters:
            poster.join()


class Watcher(threading.Thread):
    """Looks at the sums of every router all the time, also while others are being killed."""

    def __init__(self, routers: Sequence[RouterProcess]) -> None:
        super().__init__(name="watcher", daemon=True)
        self.looks = 0
        self.wrong: list[str] = []
        self._routers = routers
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(LOOK_EVERY_S):
            for router in self._routers:
                self._look(router)

    def end(self) -> None:
        self._done.set()
        self.join()

    def _look(self, router: RouterProcess) -> None:
        try:
            answer = router.get("/api/v1/status")
        except OSError:
            return  # it is dead at this moment
        if answer.status != 200:
            return  # its database is
        self.looks += 1
        if (wrong := unbalanced(answer.json())) is not None:
            self.wrong.append(f"router on port {router.port}: {wrong}")


@contextmanager
def watching(routers: Sequence[RouterProcess]) -> Iterator[Watcher]:
    watcher = Watcher(routers)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.end()
