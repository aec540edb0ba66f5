"""Durable accepts of the router against a bare endpoint that reads the body and answers 200."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import servers
from tests.bench.bodies import template
from tests.bench.report import Report
from tests.bench.servers import Measured, Sink
from tests.postgres import PostgresServer
from tests.router_process import cpu_s_of

ROUNDS = 3
SECONDS = 4.0
RUN = 10_000_000  # ids of one run; runs must not repeat each other's notifications
ENGINES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    alerts: int
    connections: int
    goals: Mapping[str, float]  # of each engine, against the bare endpoint

    def __str__(self) -> str:
        return f"{self.alerts} alert{'s' * (self.alerts > 1)} a body, {self.connections} connections"


CASES = (
    Case(alerts=1, connections=16, goals={"SQLite": 0.6, "PostgreSQL": 0.6}),
    Case(alerts=1, connections=64, goals={"SQLite": 0.6, "PostgreSQL": 0.6}),
    Case(alerts=10, connections=64, goals={"SQLite": 0.4, "PostgreSQL": 0.4}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What one router answered 200, and how much of it was decided meanwhile."""

    measured: Measured
    decided: int
    accepted: int

    def __str__(self) -> str:
        return f"{row(self.measured)}; meanwhile decided {self.decided} of {self.accepted}"


def run(directory: Path, report: Report) -> None:
    """All sides in turn, the same load, the same core, the same server settings; medians of the rounds."""
    with servers.floor() as (floor_port, floor_pid), servers.sink() as sink, servers.postgres() as postgres:
        if postgres is None:
            report.not_run("durable accepts on PostgreSQL", "PostgreSQL is not installed")
        for number, case in enumerate(CASES):
            templates = [template(team=f"team-{team:03d}", alerts=case.alerts) for team in range(servers.TEAMS)]
            print(f"\n  {case} ({len(templates[0])} bytes)")
            floors: list[Measured] = []
            routers: dict[str, list[Measured]] = {}
            for round_ in range(ROUNDS):
                first = (number * ROUNDS + round_) * RUN
                ordered = servers.orders(
                    floor_port, templates, first=first, connections=case.connections, seconds=SECONDS
                )
                floors.append(servers.measure(ordered, floor_pid))
                print(f"    floor       {row(floors[-1])}", flush=True)
                for engine in ENGINES if postgres is not None else ENGINES[:1]:
                    place = directory / f"{engine}-{case.alerts}-{case.connections}-{round_}"
                    with server_of(engine, postgres) as url:
                        accepted = accept(place, url, sink, postgres, case, templates, first=first)
                    routers.setdefault(engine, []).append(accepted.measured)
                    print(f"    {engine:11} {accepted}", flush=True)
            for engine, measured in routers.items():
                rate = rate_of(measured) / rate_of(floors)
                cpu = median(one.cpu_us for one in floors) / median(one.cpu_us for one in measured)
                print(f"    {engine}: requests per server CPU second, decisions counted as cost: {cpu:.2f}")
                report.goal(f"accepts / bare endpoint, {engine}: {case}", rate, at_least=case.goals[engine])
            if len(routers) > 1:
                print(f"    PostgreSQL / SQLite: {rate_of(routers['PostgreSQL']) / rate_of(routers['SQLite']):.2f}")


@contextmanager
def server_of(engine: str, postgres: PostgresServer | None) -> Iterator[str | None]:
    """The URL of a new database; None: a file. It is gone afterwards, or its upkeep would go on beside the others."""
    if engine == "SQLite" or postgres is None:
        yield None
        return
    url = postgres.new_database()
    try:
        yield url
    finally:
        postgres.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')


def accept(
    directory: Path,
    url: str | None,
    sink: Sink,
    postgres: PostgresServer | None,
    case: Case,
    templates: list[bytes],
    *,
    first: int,
) -> Accepted:
    # A new router each time: the backlog of the round before would be decided beside the next.
    with servers.router(directory, sink.slack, database_url=url) as router:
        ordered = servers.orders(router.port, templates, first=first, connections=case.connections, seconds=SECONDS)
        measured = servers.measure(
            ordered, router.pid, cpu_s=lambda: 0.0 if url is None or postgres is None else cpu_s_of_all(postgres)
        )
        status = router.status()["notifications"]
    assert status["accepted"] >= measured.load.answered, f"acknowledged more than accepted: {status}"
    assert status["quarantined"] == status["deduplicated"] == 0, f"not all were new: {status}"
    return Accepted(measured=measured, decided=status["decided"], accepted=status["accepted"])


def cpu_s_of_all(postgres: PostgresServer) -> float:
    """CPU of the server's processes so far, those that ended included."""
    server, *others = postgres._processes()
    ended = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[13:15]
    return sum(map(int, ended)) / os.sysconf("SC_CLK_TCK") + sum(map(_cpu_s_of, (server, *others)))


def _cpu_s_of(pid: int) -> float:
    try:
        return cpu_s_of(pid)
    except OSError:  # it ended meanwhile
        return 0.0


def rate_of(measured: list[Measured]) -> float:
    return median(one.per_s for one in measured)


def row(measured: Measured) -> str:
    load = measured.load
    return (
        f"{measured.per_s:8.0f} req/s  {measured.cpu_us:6.0f} us CPU a request  "
        f"p50 {load.p50_ms:6.1f} ms  p99 {load.p99_ms:6.1f} ms"
    )
