"""Memory at rest and time from start to ready."""

from pathlib import Path
from statistics import median

from tests.bench import servers
from tests.bench.bodies import alert, notification
from tests.bench.report import Report
from tests.bench.servers import WEBHOOK
from tests.router_process import drained

STARTS = 5
MESSAGES = 100


def as_installed(directory: Path) -> dict[str, str]:
    """structlog loads rich where it is, and here it is, with the import linter; what users install does not have it."""
    hidden = directory / "hidden"
    hidden.mkdir(parents=True)
    (hidden / "rich.py").write_text("raise ImportError('not in requirements.lock')\n", encoding="utf-8")
    return {"PYTHONPATH": str(hidden)}


def run(directory: Path, report: Report) -> None:
    settings = as_installed(directory)
    ready_s: list[float] = []
    idle_mb: list[float] = []
    with servers.sink() as sink:
        for number in range(STARTS):
            with servers.router(directory / str(number), sink.slack, settings=settings, core=None) as router:
                ready_s.append(router.ready_after_s)
                idle_mb.append(router.resident_mb())
        print(f"  ready after {', '.join(f'{seconds:.2f}' for seconds in ready_s)} s")
        report.goal("start to ready, median of five", median(ready_s), at_most=1.5, unit=" s")
        report.goal("resident memory after ready, median of five", median(idle_mb), at_most=70, unit=" MB")
        with servers.router(directory / "messages", sink.slack, settings=settings, core=None) as router:
            for number in range(MESSAGES):
                name = f"Footprint{number:03d}"
                team = f"team-{number % servers.TEAMS:03d}"
                body = notification([alert(team=team, instance=f"m-{number:03d}", name=name)], group=name)
                assert router.post(WEBHOOK, body).status == 200
            status = router.wait_until(drained, 120)
            assert status["messages"]["delivered"] == MESSAGES, status
            report.goal(f"resident memory idle after {MESSAGES} messages", router.resident_mb(), at_most=70, unit=" MB")
