"""A million alerts through the router: `python -m tests.soak [--alerts 1000000] [--per-second 2500] [--postgresql]`.

Senders tell of groups of 100 alerts at a fixed rate, whatever the router does. Slack is the strict emulator without its
rates; the router keeps its own. At every twentieth of the way it is asked how it is, and at the end it may finish.
Exit code 1: its memory grew, its answers became slower, or what it counted is not what it was sent.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import linear_regression, median
from typing import Final

from tests import postgres
from tests.acceptance.organisation import CHANNELS, channel_of, write_map
from tests.bench.__main__ import machine
from tests.bench.latency import at_rank
from tests.router_process import Json, RouterProcess, cpu_s_of, drained, unbalanced
from tests.soak.traffic import ALERTS, TEAMS, Said, episodes, soaked_map
from tests.torture.slack import SlackProcess
from tests.torture.verdict import incidents_of

SENDERS: Final = 4
# Episodes end a little slower than the 40 edits a minute with which the router shows it.
GROUPS: Final = 20
READINGS: Final = 20
LEAST: Final = 20_000
DECIDED_WITHIN_S: Final = 120
SHOWN_WITHIN_S: Final = 900
# The first fifth fills caches, buffers and the allocator's arenas.
WARM_UP: Final = 0.2
# For 100,000 alerts, by the line that fits best: a kilobyte kept of each notification is 1 MB, ten bytes an alert too.
GROWTH_MB: Final = 1.0
# What comes and goes with the work under way: a run too short to tell it from growth is not judged by its slope.
NOISE_MB: Final = 6.0
# The last fifth against the first, each the median of its readings' p99: one stall of the machine is not the verdict.
# A p99 that nobody feels is no drift.
DRIFT: Final = 2.0
UNFELT_MS: Final = 50.0


@dataclass(slots=True)
class Ledger:
    """What one sender knows, outside the router's process."""

    took_ms: list[float] = field(default_factory=list)  # of each notification in turn, from when it was due
    answers: Counter[int] = field(default_factory=Counter)
    told_before: int = 0
    opened: int = 0
    ended: int = 0

    def record(self, said: Said, *, status: int, took_ms: float) -> None:
        self.took_ms.append(took_ms)
        self.answers[status] += 1
        self.told_before += said.told_before
        self.opened += said.opens
        self.ended += said.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the router is, so far into the run."""

    alerts: int
    seconds: float
    resident_mb: float
    cpu_s: float
    waiting: int
    pending: int
    took_ms: Sequence[float]  # of the answers since the reading before

    @property
    def p99_ms(self) -> float:
        return at_rank(sorted(self.took_ms), 99)

    def __str__(self) -> str:
        return (
            f"{self.alerts:9,} {self.seconds:6.0f} {self.resident_mb:8.1f} {median(self.took_ms):8.1f} "
            f"{self.p99_ms:8.1f} {self.waiting:8} {self.pending:8} {self.cpu_s:8.1f}"
        )


HEADER: Final = "   alerts      s   RSS MB   p50 ms   p99 ms  waiting  pending    CPU s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.partition(":")[0])
    parser.add_argument("--alerts", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--per-second", type=int, default=2_500, help="how many are told of (default: %(default)s)")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL instead of SQLite")
    arguments = parser.parse_args()
    if arguments.alerts < LEAST:
        parser.error(f"--alerts: fewer than {LEAST:,} tell nothing")
    print(f"machine: {machine()}\n$ python -m tests.soak {' '.join(sys.argv[1:])}\n{HEADER}", flush=True)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="router-soak-")))
        url = stack.enter_context(postgres.server()).new_database() if arguments.postgresql else None
        slack = stack.enter_context(SlackProcess())
        slack.seed_channels([*(channel_of(team) for team in range(TEAMS)), CHANNELS[None]])
        router = stack.enter_context(
            RouterProcess(directory, ownership=write_map(directory, soaked_map()), slack=slack.access, database_url=url)
        )
        notifications = arguments.alerts // ALERTS
        return soak(router, slack, notifications=notifications, per_s=arguments.per_second / ALERTS)


def soak(router: RouterProcess, slack: SlackProcess, *, notifications: int, per_s: float) -> int:
    ledgers = [Ledger() for _ in range(SENDERS)]
    each, seconds = notifications // SENDERS, notifications / per_s
    with ThreadPoolExecutor(SENDERS) as pool:
        began = time.monotonic()
        sending = [
            pool.submit(send, router, ledger, number, notifications=each, began=began, every_s=SENDERS / per_s)
            for number, ledger in enumerate(ledgers)
        ]
        readings = list(watch(router, ledgers, sending, began=began, every_s=seconds / READINGS))
        for one in sending:
            one.result()
    status = router.wait_until(lambda status: bool(status["notifications"]["waiting"] == 0), DECIDED_WITHIN_S)
    print(f"all decided {time.monotonic() - began - seconds:.0f} s later, {status['messages']['pending']} to be shown")
    status = router.wait_until(drained, SHOWN_WITHIN_S)
    print(f"all shown {time.monotonic() - began - seconds:.0f} s later; RSS {router.resident_mb():.1f} MB\n")
    happened = happened_to(router)
    faults = [*grown(readings), *drifted(readings), *miscounted(status, ledgers, slack.state(), happened)]
    print("\n".join(faults) or "nothing grew, nothing slowed down, and every count is exact")
    return int(bool(faults))


def send(
    router: RouterProcess, ledger: Ledger, number: int, *, notifications: int, began: float, every_s: float
) -> None:
    """Tell of this sender's groups in turn, each notification at its time. What a group says is strictly serial."""
    never = threading.Event()
    stories = cycle([episodes(group) for group in range(number, GROUPS, SENDERS)])
    began += number * every_s / SENDERS  # the senders take turns
    for turn in range(notifications):
        said = next(next(stories))
        body = json.dumps(said.body, separators=(",", ":")).encode()
        due = began + turn * every_s
        never.wait(max(0.0, due - time.monotonic()))
        answer = router.post("/webhooks/alertmanager", body)
        ledger.record(said, status=answer.status, took_ms=(time.monotonic() - due) * 1e3)


def watch(
    router: RouterProcess, ledgers: Sequence[Ledger], sending: Sequence[Future[None]], *, began: float, every_s: float
) -> Iterator[Reading]:
    never = threading.Event()
    before = [0] * len(ledgers)
    for number in range(1, READINGS + 1):
        never.wait(max(0.0, began + number * every_s - time.monotonic()))
        for one in sending:
            if one.done():
                one.result()  # a sender that failed ends the run
        status = router.status()
        assert unbalanced(status) is None, unbalanced(status)
        sent = [len(ledger.took_ms) for ledger in ledgers]
        reading = Reading(
            alerts=sum(sent) * ALERTS,
            seconds=time.monotonic() - began,
            resident_mb=router.resident_mb(),
            cpu_s=cpu_s_of(router.pid),
            waiting=status["notifications"]["waiting"],
            pending=status["messages"]["pending"],
            took_ms=[
                ms for ledger, start, end in zip(ledgers, before, sent, strict=True) for ms in ledger.took_ms[start:end]
            ],
        )
        before = sent
        print(reading, flush=True)
        yield reading


def grown(readings: Sequence[Reading]) -> Iterator[str]:
    warm = readings[int(len(readings) * WARM_UP) :]
    slope = linear_regression([one.alerts for one in warm], [one.resident_mb for one in warm]).slope
    growth_mb = slope * (warm[-1].alerts - warm[0].alerts)
    first, last = (median(one.resident_mb for one in part) for part in (warm[:4], warm[-4:]))
    print(
        f"RSS after the first fifth: {slope * 1e5:+.2f} MB for 100,000 alerts (bound {GROWTH_MB:g}), "
        f"{growth_mb:+.1f} MB in all; its first quarter {first:.1f} MB, its last {last:.1f} MB"
    )
    if slope * 1e5 > GROWTH_MB and growth_mb > NOISE_MB:
        yield f"FAIL: memory grows by {slope * 1e5:.2f} MB for 100,000 alerts"


def drifted(readings: Sequence[Reading]) -> Iterator[str]:
    fifth = len(readings) // 5
    first, last = (median(one.p99_ms for one in part) for part in (readings[:fifth], readings[-fifth:]))
    print(f"p99 of the answers: first fifth {first:.1f} ms, last fifth {last:.1f} ms (bound: {DRIFT:g} times as long)")
    if last > max(first * DRIFT, UNFELT_MS):
        yield f"FAIL: the p99 of the answers went from {first:.1f} to {last:.1f} ms"


def happened_to(router: RouterProcess) -> dict[str, int]:
    """How many things happened to each incident, by the number of the last one."""
    histories = {
        one["id"]: router.get(f"/api/v1/incidents/{one['id']}").json()["history"] for one in incidents_of(router)
    }
    return {incident: history[-1]["number"] if history else 0 for incident, history in histories.items()}


def told_in(slack: Json) -> Counter[tuple[str, int]]:
    """How often each of these was told in a thread, by incident and number."""
    told: Counter[tuple[str, int]] = Counter()
    for message in (message for channel in slack["channels"].values() for message in channel["messages"]):
        if message["thread_ts"] is not None:
            facts = message["revisions"][0]["metadata"]["event_payload"]
            incident, _, _, first = facts["delivery_id"].rsplit(".", 3)
            told.update((incident, number) for number in range(int(first), facts["rev"] + 1))
    return told


def miscounted(status: Json, ledgers: Sequence[Ledger], slack: Json, happened: Mapping[str, int]) -> Iterator[str]:
    """Every count that can be known from what was sent."""
    answers = sum((ledger.answers for ledger in ledgers), Counter[int]())
    told_before = sum(ledger.told_before for ledger in ledgers)
    opened, ended = sum(ledger.opened for ledger in ledgers), sum(ledger.ended for ledger in ledgers)
    told, shown = status["notifications"], status["messages"]
    roots = [message for channel in slack["channels"].values() for message in channel["messages"]]
    roots = [message for message in roots if message["thread_ts"] is None]
    in_threads = told_in(slack)
    all_of_it = {(incident, number + 1) for incident, numbers in happened.items() for number in range(numbers)}
    rows = {
        "answers other than 200": (0, answers.total() - answers[200]),
        "accepted: answered 200": (answers[200], told["accepted"]),
        "deduplicated: told by the other of a pair": (told_before, told["deduplicated"]),
        "quarantined": (0, told["quarantined"]),
        "decided: all others": (answers[200] - told_before, told["decided"]),
        "waiting": (0, told["waiting"]),
        "states wanted: for each decided and happening": (
            answers[200] - told_before + sum(happened.values()),
            shown["wanted"],
        ),
        "of these delivered or superseded": (shown["wanted"], shown["delivered"] + shown["superseded"]),
        "dead": (0, shown["dead"]),
        "incidents that are open": (opened - ended, status["incidents"]["open"]),
        "messages in Slack: one for each incident": (len(happened), len(roots)),
        "told in a thread twice, or never happened": (0, (in_threads - Counter(all_of_it)).total()),
        "rules of Slack violated": (0, len(slack["violations"])),
    }
    for what, (expected, found) in rows.items():
        print(f"{what:46} {expected:9,} {found:9,}")
        if expected != found:
            yield f"FAIL: {what}: expected {expected}, found {found}"


if __name__ == "__main__":
    sys.exit(main())
