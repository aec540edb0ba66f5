"""A 2xx is sent only after the notification is on stable storage, seen from outside: by system calls.

Surviving `kill -9` does not show this: what was written but never synced survives a kill, and is lost with the power.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.organisation import alert, body, write_map
from tests.acceptance.strace_log import SystemCall, system_calls
from tests.programs import find
from tests.router_process import RouterProcess

POSTERS: Final = 32
READS: Final = frozenset({"read", "readv", "recvfrom", "recvmsg"})
WRITES: Final = frozenset({"write", "writev", "sendto", "sendmsg"})
SYNCS: Final = frozenset({"fsync", "fdatasync"})

pytestmark = pytest.mark.needs("strace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """One request as the router's system calls show it, in log positions."""

    read: int  # the body had arrived
    logged: int  # the body had been written to the database's write-ahead log
    synced: int  # a sync of that log, begun after, had succeeded
    answered: int  # the answer began to be written


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "strace.log"


@pytest.fixture
def router(tmp_path: Path, log: Path) -> Iterator[RouterProcess]:
    """A router in preview mode under strace."""
    calls = ",".join(sorted(READS | WRITES | SYNCS | {"pwrite64"}))
    prefix = [find("strace") or "strace", "-f", "-y", "-s", "6000", "-e", f"trace={calls}", "-o", str(log), "--"]
    with RouterProcess(tmp_path, ownership=write_map(tmp_path), prefix=prefix) as router:
        yield router


def post(router: RouterProcess, marker: str) -> None:
    answer = router.post("/webhooks/alertmanager", body(alert(marker, team="payments"), group=marker))
    assert answer.status == 200, answer.body


def acknowledged(calls: list[SystemCall], marker: str) -> Acknowledged:
    """How the request whose body holds `marker` went through the router. Fails where a step is missing."""

    def first(what: str, fits: Iterator[SystemCall]) -> SystemCall:
        call = next(fits, None)
        assert call is not None, f"{marker}: no {what}"
        return call

    read = first("read of the body", (call for call in calls if call.name in READS and marker in call.arguments))
    logged = first(
        "write of the body to the write-ahead log",
        (c for c in calls if c.name == "pwrite64" and c.path.endswith("-wal") and marker in c.arguments),
    )
    synced = first(
        "successful sync of the write-ahead log after that",
        (c for c in calls if c.name in SYNCS and c.path.endswith("-wal") and c.began > logged.ended and c.result == 0),
    )
    answered = first(
        "answer",
        (
            call
            for call in calls
            if call.name in WRITES
            and call.descriptor == read.descriptor
            and call.began > read.ended
            and "HTTP/1.1 200" in call.arguments
        ),
    )
    return Acknowledged(read=read.ended, logged=logged.ended, synced=synced.ended, answered=answered.began)


def test_each_answer_follows_its_own_sync(router: RouterProcess, log: Path) -> None:
    """One request at a time: body written to the log, log synced, only then the answer."""
    markers = [f"AloneOnTheDisk{number:03d}" for number in range(10)]
    for marker in markers:
        post(router, marker)
    router.kill()
    calls = list(system_calls(log))
    for marker in markers:
        seen = acknowledged(calls, marker)
        assert seen.read < seen.logged < seen.synced < seen.answered, (marker, seen)


def test_requests_that_wait_together_share_a_sync(router: RouterProcess, log: Path) -> None:
    """Many at once: each answer still follows a sync of its body, and there are far fewer syncs than answers."""
    rounds = 8
    together = threading.Barrier(POSTERS)

    def poster(number: int) -> list[str]:
        markers = [f"SharedSync{number:03d}x{round_:03d}" for round_ in range(rounds)]
        together.wait(30)
        for marker in markers:
            post(router, marker)
        return markers

    with ThreadPoolExecutor(POSTERS) as posters:
        markers = [marker for of_one in posters.map(poster, range(POSTERS)) for marker in of_one]
    router.kill()
    calls = list(system_calls(log))
    seen = [acknowledged(calls, marker) for marker in markers]
    assert all(one.read < one.logged < one.synced < one.answered for one in seen)
    assert len({one.synced for one in seen}) <= len(seen) / 2
