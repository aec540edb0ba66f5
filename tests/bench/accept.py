"""Durable accepts of the router against a bare endpoint that reads the body and answers 200."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench import servers
from tests.bench.bodies import template
from tests.bench.report import Report
from tests.bench.servers import Measured

ROUNDS = 3
SECONDS = 4.0
RUN = 10_000_000  # ids of one run; runs must not repeat each other's notifications


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    alerts: int
    connections: int
    goal: float

    def __str__(self) -> str:
        return f"{self.alerts} alert{'s' * (self.alerts > 1)} a body, {self.connections} connections"


CASES = (
    Case(alerts=1, connections=16, goal=0.6),
    Case(alerts=1, connections=64, goal=0.6),
    Case(alerts=10, connections=64, goal=0.4),
)


def run(directory: Path, report: Report) -> None:
    """Both sides in turn, the same load, the same core, the same server settings; medians of the rounds."""
    with servers.floor() as (floor_port, floor_pid), servers.sink() as sink:
        first = 0
        for case in CASES:
            templates = [template(team=f"team-{team:03d}", alerts=case.alerts) for team in range(servers.TEAMS)]
            print(f"\n  {case} ({len(templates[0])} bytes)")
            floors: list[Measured] = []
            routers: list[Measured] = []
            for round_ in range(ROUNDS):
                ordered = servers.orders(
                    floor_port, templates, first=first, connections=case.connections, seconds=SECONDS
                )
                floors.append(servers.measure(ordered, floor_pid))
                # A new router each time: the backlog of the round before would be decided beside the floor.
                with servers.router(directory / f"{case.alerts}-{case.connections}-{round_}", sink.slack) as router:
                    ordered = servers.orders(
                        router.port, templates, first=first, connections=case.connections, seconds=SECONDS
                    )
                    routers.append(servers.measure(ordered, router.pid))
                    status = router.status()["notifications"]
                    assert status["accepted"] >= routers[-1].load.answered, f"acknowledged more than accepted: {status}"
                    assert status["quarantined"] == status["deduplicated"] == 0, f"not all were new: {status}"
                first += RUN
                print(f"    floor   {row(floors[-1])}")
                print(f"    router  {row(routers[-1])}; meanwhile decided {status['decided']} of {status['accepted']}")
            rate = median(one.per_s for one in routers) / median(one.per_s for one in floors)
            cpu = median(one.cpu_us for one in floors) / median(one.cpu_us for one in routers)
            print(f"    ratio of requests per server CPU second, decisions counted as cost: {cpu:.2f}")
            report.goal(f"durable accepts / bare endpoint: {case}", rate, at_least=case.goal)


def row(measured: Measured) -> str:
    load = measured.load
    return (
        f"{measured.per_s:8.0f} req/s  {measured.cpu_us:6.0f} us CPU a request  "
        f"p50 {load.p50_ms:6.1f} ms  p99 {load.p99_ms:6.1f} ms"
    )
