"""Group commit against one commit a request: on this disk, on one whose fsync takes 3 ms longer, and on PostgreSQL."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from tests.bench import servers
from tests.bench.appends import POOL
from tests.bench.bodies import template
from tests.bench.report import Report
from tests.programs import find
from tests.router_process import PROJECT

ROUNDS = 3
SECONDS = 3.0
CALLERS = 64
TOGETHER = 512  # what the store commits at once at most; see router.store.database
SLOWER_US = 3_000
PER_S = 500
OPEN_LOOP_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    rows: int
    commits: int
    seconds: float

    @property
    def per_s(self) -> float:
        return self.rows / self.seconds

    def __str__(self) -> str:
        return f"{self.per_s:8.0f} rows/s  {self.rows / max(1, self.commits):6.1f} rows a commit"


def run(directory: Path, report: Report) -> None:
    directory.mkdir(parents=True)
    ratio = compare(directory / "as-it-is", {}, "this disk's fsync")
    report.goal("group commit / one commit a request, 64 waiting", ratio, at_least=2.5)
    on_postgres(report)
    shim = slow_disk(directory)
    if shim is None:
        report.not_run("group commit with 3 ms added to each fsync", "no C compiler")
        return
    slower = {"LD_PRELOAD": str(shim), "SLOW_DISK_US": str(SLOWER_US)}
    ratio = compare(directory / "slower", slower, "3 ms added to each fsync")
    report.goal("group commit / one commit a request, 64 waiting, +3 ms", ratio, at_least=10)
    open_loop(directory / "open-loop", slower, report)


def compare(directory: Path, disk: Mapping[str, str], what: str) -> float:
    """Rows per second of the one over the other, medians of alternating rounds."""
    directory.mkdir()
    print(f"\n  {what}")
    together: list[Appended] = []
    singly: list[Appended] = []
    for round_ in range(ROUNDS):
        for batch, results in ((TOGETHER, together), (1, singly)):
            results.append(append(f"sqlite:///{directory}/{batch}-{round_}.db", str(batch), disk))
            print(f"    {'group commit        ' if batch > 1 else 'one commit a request'} {results[-1]}", flush=True)
    return median(one.per_s for one in together) / median(one.per_s for one in singly)


def on_postgres(report: Report) -> None:
    what = "group commit / one insert a request, 64 waiting, PostgreSQL"
    with servers.postgres() as postgres:
        if postgres is None:
            report.not_run(what, "PostgreSQL is not installed")
            return
        print("\n  PostgreSQL on this disk and this core")
        # What others do is not one commit after the other, but a transaction for each request on a pool of connections.
        sides = {
            str(TOGETHER): "group commit",
            "1": "one commit a request",
            "pool": f"a pool of {POOL}, one insert a request",
        }
        results: dict[str, list[Appended]] = {batch: [] for batch in sides}
        for _ in range(ROUNDS):
            for batch, name in sides.items():
                results[batch].append(append(postgres.new_database(), batch, {}))
                print(f"    {name:32} {results[batch][-1]}", flush=True)
    together, singly, pooled = (median(one.per_s for one in results[batch]) for batch in sides)
    print(f"    against one commit a request: {together / singly:.1f}")
    report.goal(what, together / pooled, at_least=2.5)


def append(url: str, batch: str, disk: Mapping[str, str]) -> Appended:
    command = [*servers.on_core(servers.SERVER_CORE), sys.executable, "-m", "tests.bench.appends"]
    ended = subprocess.run(
        [*command, url, batch, str(CALLERS), str(SECONDS)],
        cwd=PROJECT,
        env=os.environ | disk,
        check=True,
        capture_output=True,
        text=True,
    )
    return Appended(**json.loads(ended.stdout))


def open_loop(directory: Path, disk: Mapping[str, str], report: Report) -> None:
    """The whole router on the slower disk at a rate that does not care how it feels."""
    templates = [template(team=f"team-{team:03d}", alerts=1) for team in range(servers.TEAMS)]
    p99_ms = []
    print(f"\n  acknowledgement at {PER_S}/s, 3 ms added to each fsync")
    with servers.sink() as sink:
        for round_ in range(ROUNDS):
            with servers.router(directory / str(round_), sink.slack, settings=disk, core=None) as router:
                closed = servers.orders(router.port, templates, first=0, connections=256, seconds=OPEN_LOOP_S)
                measured = servers.measure(replace(closed, rate=PER_S), router.pid)
            load = measured.load
            print(
                f"    p50 {load.p50_ms:6.1f} ms  p99 {load.p99_ms:6.1f} ms  longest {load.max_ms:6.1f} ms", flush=True
            )
            p99_ms.append(load.p99_ms)
    report.goal(f"acknowledged at {PER_S}/s, +3 ms a fsync, p99", median(p99_ms), at_most=25, unit=" ms")


def slow_disk(directory: Path) -> Path | None:
    """The compiled shim; None without a C compiler."""
    compiler = find("cc")
    if compiler is None:
        return None
    library = directory / "slow_disk.so"
    source = Path(__file__).with_name("slow_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
    return library
