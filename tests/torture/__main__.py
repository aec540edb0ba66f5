"""`kill -9` under load, again and again, until nothing was lost: `python -m tests.torture [--cycles 200] [--seed 1]`.

Posters send notifications with an alert more each time, and retries of the last. The router is killed at a random
moment of the first third of a second, and started again on the same data. Slack is the emulator in a process of its
own, which survives. At the end the router may finish; all that was acknowledged must then stand in a message.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from router.delivery import IN_FLIGHT
from tests.acceptance.organisation import CHANNELS, alert, body, channel_of, map_of, write_map
from tests.router_process import Json, RouterProcess, drained
from tests.torture.slack import SlackProcess

TEAMS: Final = 200
POSTERS: Final = 4
LATEST_KILL_S: Final = 0.3
# Few enough that a message shows each of them by its labels.
ALERTS_A_GROUP: Final = 8
# Of each poster. The router allows itself four posts a second: more messages would only make the end take longer.
GROUPS_A_LIFE: Final = 2
DRAIN_S: Final = 1_200
# A lease lasts 20 s, and a channel or the workspace is never paced for longer than some seconds.
STALLED_S: Final = 60
# What Slack takes to answer, so that calls are under way when the router is killed.
SLACK_S: Final = 0.05
# Slack is given ten seconds to answer; a copy that is older was not under way at the kill.
UNDER_WAY_S: Final = 10
# By then the emulator has read what a killed router had sent; the next router takes longer to send anything.
ARRIVAL_S: Final = 0.3


@dataclass(slots=True)
class Ledger:
    """What the posters know, outside the router's process."""

    acknowledged: set[str] = field(default_factory=set)  # the instance label of each alert whose POST was answered 200
    unanswered: int = 0
    other_answers: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, instance: str, status: int | None) -> None:
        with self.lock:
            if status == 200:
                self.acknowledged.add(instance)
            elif status is None:
                self.unanswered += 1
            else:
                self.other_answers[status] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The checker's verdict; all but the counts must be empty."""

    lost: Sequence[str]
    roots: int
    duplicates: int
    unexplained: Sequence[str]  # duplicates that no kill explains
    violations: Sequence[str]


class Poster(threading.Thread):
    """Sends until nobody listens: groups of its own that grow alert by alert, then its last body again and again."""

    def __init__(self, router: RouterProcess, ledger: Ledger, *, name: str, teams: Sequence[int]) -> None:
        super().__init__(name=name)
        self._router = router
        self._ledger = ledger
        self._teams = teams

    def run(self) -> None:
        for instance, sent in self._bodies():
            try:
                status = self._router.post("/webhooks/alertmanager", sent).status
            except OSError:
                self._ledger.record(instance, None)
                return
            self._ledger.record(instance, status)

    def _bodies(self) -> Iterator[tuple[str, bytes]]:
        """Each body with the instance label of the alert that it is the first to hold."""
        for number, team in enumerate(self._teams):
            group = f"Torture{self.name}n{number}"
            alerts: list[Json] = []
            for index in range(ALERTS_A_GROUP):
                instance = f"{group}i{index}"
                alerts.append(alert(group, team=f"team-{team:03d}", instance=instance))
                sent = body(*alerts, group=group)
                yield instance, sent
        while True:
            yield instance, sent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__.partition("\n")[0])
    parser.add_argument("--cycles", type=int, default=200, help="how often the router is killed (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills (default: %(default)s)")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)  # noqa: S311 - repeatable, not secret
    with tempfile.TemporaryDirectory(prefix="router-torture-") as directory, SlackProcess() as slack:
        slack.seed_channels([channel_of(team) for team in range(TEAMS)] + [CHANNELS[None]])
        slack.answer_after(SLACK_S)
        return torture(Path(directory), slack, cycles=arguments.cycles, chance=chance)


def torture(directory: Path, slack: SlackProcess, *, cycles: int, chance: random.Random) -> int:
    ledger = Ledger()
    router = RouterProcess(directory, ownership=write_map(directory, map_of(TEAMS)), slack=slack.access)
    kills: list[float] = []
    started = time.monotonic()
    with router:
        for cycle in range(cycles):
            if cycle > 0:
                router.start()
            kills.append(kill_under_load(router, ledger, cycle=cycle, chance=chance))
            if (cycle + 1) % 10 == 0:
                print(
                    f"{cycle + 1:5} kills  {time.monotonic() - started:6.0f} s  "
                    f"{len(ledger.acknowledged)} alerts acknowledged, {ledger.unanswered} posts cut off",
                    flush=True,
                )
        router.start()
        status = drain(router)
    findings = check(ledger, slack.state(), kills)
    print(report(ledger, findings, status, kills, seconds=time.monotonic() - started))
    return int(bool(findings.lost or findings.unexplained or findings.violations or ledger.other_answers))


def kill_under_load(router: RouterProcess, ledger: Ledger, *, cycle: int, chance: random.Random) -> float:
    """When it was killed, by the clock of the emulator."""
    if chance.random() < 0.5:
        # Every other time not while it starts, but while it sends what the kills before left behind.
        router.logged("message_delivered", timeout_s=3)
    posters = [
        Poster(router, ledger, name=f"c{cycle:04d}p{poster}", teams=chance.sample(range(TEAMS), GROUPS_A_LIFE))
        for poster in range(POSTERS)
    ]
    for poster in posters:
        poster.start()
    threading.Event().wait(chance.uniform(0, LATEST_KILL_S))
    router.kill()
    killed_at = time.time()
    for poster in posters:
        poster.join()
    return killed_at


def drain(router: RouterProcess) -> Json:
    """Let the router finish, saying every ten seconds how far it is. Every status on the way balances."""
    said = moved = time.monotonic()
    left = (0, 0)

    def done(status: Json) -> bool:
        nonlocal said, moved, left
        now = time.monotonic()
        found = (status["notifications"]["waiting"], status["messages"]["pending"])
        if found != left:
            left, moved = found, now
        assert now - moved < STALLED_S, f"nothing has moved for {STALLED_S} s: {status}"
        if now - said >= 10:
            said = now
            print(f"  draining: {left[0]} notifications waiting, {left[1]} messages pending", flush=True)
        return drained(status)

    return router.wait_until(done, DRAIN_S)


def check(ledger: Ledger, slack: Json, kills: Sequence[float]) -> Findings:
    """Compare what was acknowledged with what the emulator shows."""
    roots = [
        message for channel in slack["channels"].values() for message in channel["messages"] if not message["thread_ts"]
    ]
    shown = "\n".join(json.dumps(message["revisions"][-1], ensure_ascii=False) for message in roots)
    posts: dict[str, list[float]] = defaultdict(list)
    for accepted in slack["accepted"]:
        if accepted["method"] == "chat.postMessage":
            posts[accepted["delivery_id"]].append(accepted["at"])
    return Findings(
        lost=sorted(instance for instance in ledger.acknowledged if instance not in shown),
        roots=len(roots),
        duplicates=sum(len(times) - 1 for times in posts.values()),
        unexplained=unexplained(posts, kills),
        violations=[f"{violation['rule']}: {violation['message']}" for violation in slack["violations"]],
    )


def unexplained(posts: Mapping[str, Sequence[float]], kills: Sequence[float]) -> list[str]:
    """Second posts that no kill explains: the post before must have been under way when its router was killed."""
    ends = [kill + ARRIVAL_S for kill in kills]
    found = []
    repeated: Counter[int] = Counter()
    for delivery, times in posts.items():
        for first, second in pairwise(times):
            life = bisect_left(ends, first)
            if life == bisect_left(ends, second) or ends[life] - first > UNDER_WAY_S:
                found.append(f"{delivery} posted at {first:.3f} and {second:.3f}")
            repeated[life] += 1
    found += [
        f"kill {life}: {count} messages were posted again, {IN_FLIGHT} can be in flight"
        for life, count in repeated.items()
        if count > IN_FLIGHT
    ]
    return found


def report(ledger: Ledger, findings: Findings, status: Json, kills: Sequence[float], *, seconds: float) -> str:
    rows = {
        "kills": len(kills),
        "seconds": round(seconds),
        "alerts acknowledged": len(ledger.acknowledged),
        "posts cut off by a kill": ledger.unanswered,
        "posts answered otherwise": dict(ledger.other_answers) or 0,
        "messages in Slack": findings.roots,
        f"posted twice (up to {IN_FLIGHT} are in flight at a kill)": findings.duplicates,
        "posted twice without a kill to explain it": len(findings.unexplained),
        "rules of Slack violated": len(findings.violations),
        "acknowledged alerts LOST": len(findings.lost),
    }
    lines = ["", *(f"  {name:45} {figure}" for name, figure in rows.items())]
    lines.append(f"  notifications {status['notifications']}")
    lines.append(f"  messages      {status['messages']}")
    for wrong in (findings.lost, findings.unexplained, sorted(set(findings.violations))):
        lines += [f"  ! {one}" for one in wrong[:20]]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
