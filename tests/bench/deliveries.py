"""Deliveries where nothing but the router is slow: store, composing and HTTP to the strict emulator, no pacing."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.acceptance.organisation import CHANNELS, channel_of, map_of, write_map
from tests.bench import servers
from tests.bench.report import Report
from tests.router_process import PROJECT
from tests.torture.slack import SlackProcess

MESSAGES = 600
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """All messages of one phase: posts, or edits."""

    messages: int
    seconds: float
    cpu_s: float  # of the router; a PostgreSQL's is not in it

    @property
    def per_s(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_ms(self) -> float:
        return self.cpu_s / self.messages * 1e3

    def __str__(self) -> str:
        return f"{self.per_s:6.0f} a second  {self.cpu_ms:5.2f} ms CPU each"


def run(directory: Path, report: Report) -> None:
    """Every message in a channel of its own; each is posted, and then edited."""
    directory.mkdir(parents=True)
    ownership = write_map(directory, map_of(MESSAGES))
    rounds: dict[str, list[list[Delivered]]] = {"SQLite": [], "PostgreSQL": []}
    print(f"  {MESSAGES} messages, each in a channel of its own")
    with servers.postgres() as postgres:
        for round_ in range(ROUNDS):
            rounds["SQLite"].append(deliver(f"sqlite:///{directory}/{round_}.db", ownership))
            if postgres is not None:
                rounds["PostgreSQL"].append(deliver(postgres.new_database(), ownership))
    if postgres is None:
        report.not_run("deliveries on PostgreSQL", "PostgreSQL is not installed")
    for engine, phases in rounds.items():
        for what, found in zip(("posts", "edits"), zip(*phases, strict=True), strict=False):
            print(f"    {engine:10} {what}  {middle(found)}", flush=True)
        if phases:
            # Ten times what the router allows itself: the rest of the time belongs to the intake.
            report.goal(
                f"posts without pacing, {engine}", median(posts.per_s for posts, _ in phases), at_least=40, unit="/s"
            )


def deliver(url: str, ownership: Path) -> list[Delivered]:
    """With a new Slack each time: what it remembers must not slow down the next round."""
    with SlackProcess() as slack:
        slack.seed_channels([*(channel_of(team) for team in range(MESSAGES)), CHANNELS[None]])
        command = [*servers.on_core(servers.SERVER_CORE), sys.executable, "-m", "tests.bench.deliver"]
        ended = subprocess.run(
            [*command, url, str(ownership), slack.access.api_url, slack.access.token],
            cwd=PROJECT,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # its log
            text=True,
        )
    phases = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
    return [Delivered(**phase) for phase in phases]


def middle(found: tuple[Delivered, ...]) -> Delivered:
    return sorted(found, key=lambda one: one.per_s)[len(found) // 2]
