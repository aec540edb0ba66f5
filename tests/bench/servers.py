"""The processes of a benchmark: floor, sink and router, each on the core that it is given."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.acceptance.organisation import map_of, write_map
from tests.bench.load import Orders, Result
from tests.bench.sink import Call
from tests.postgres import PostgresServer
from tests.postgres import server as postgres_server
from tests.programs import eventually, find, free_port
from tests.router_process import INTAKE_TOKEN, PROJECT, RouterProcess, SlackAccess, cpu_s_of, request

# As in the reference measurements: what is measured has one core to itself, what measures it has the other.
CORES: Final = sorted(os.sched_getaffinity(0))
SERVER_CORE: Final = CORES[0]
CLIENT_CORE: Final = CORES[-1]
TEAMS: Final = 32
WEBHOOK: Final = "/webhooks/alertmanager"


def on_core(core: int) -> list[str]:
    """A prefix that pins the command after it, and what that starts."""
    pin = f"import os, sys; os.sched_setaffinity(0, {{{core}}}); os.execvp(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", pin]


class Sink:
    """The running `tests.bench.sink`."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.slack = SlackAccess(api_url=f"{self._url}/api/", token="xoxb-token-of-the-benchmark")

    def calls(self, since: int = 0) -> list[Call]:
        lines = request(f"{self._url}/calls?since={since}").body.splitlines()
        return [Call(**json.loads(line)) for line in lines]


@contextmanager
def _server(module: str, port: int, core: int) -> Iterator[int]:
    """`python -m module port` until left; gives its process id."""
    command = [*on_core(core), sys.executable, "-m", module, str(port)]
    process = subprocess.Popen(command, cwd=PROJECT)

    def listens() -> bool:
        assert process.poll() is None, f"{module} ended with {process.returncode}"
        try:
            return request(f"http://127.0.0.1:{port}/").status > 0
        except OSError:
            return False

    try:
        eventually(listens, timeout_s=15, what=f"{module} listening")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def sink() -> Iterator[Sink]:
    port = free_port()
    with _server("tests.bench.sink", port, CLIENT_CORE):
        yield Sink(port)


@contextmanager
def floor() -> Iterator[tuple[int, int]]:
    """Port and process id of the bare endpoint."""
    port = free_port()
    with _server("tests.bench.floor", port, SERVER_CORE) as pid:
        yield port, pid


def router(
    directory: Path,
    slack: SlackAccess,
    *,
    teams: int = TEAMS,
    settings: Mapping[str, str] | None = None,
    core: int | None = SERVER_CORE,
    database_url: str | None = None,
) -> RouterProcess:
    """A router with an empty database, an SQLite file in `directory` unless another is named.

    `core=None` leaves it to the scheduler.
    """
    directory.mkdir(parents=True, exist_ok=True)
    prefix: Sequence[str] = () if core is None else on_core(core)
    ownership = write_map(directory, map_of(teams))
    return RouterProcess(
        directory,
        ownership=ownership,
        slack=slack,
        settings=settings,
        prefix=prefix,
        prefix_stays=False,
        database_url=database_url,
    )


@contextmanager
def postgres() -> Iterator[PostgresServer | None]:
    """A PostgreSQL on the core of what is measured, as its work is part of it; None where it is not installed."""
    if find("postgres") is None:
        yield None
        return
    with ExitStack() as stack:
        everywhere = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {SERVER_CORE})  # what is started now inherits it
        try:
            running = stack.enter_context(postgres_server())
        finally:
            os.sched_setaffinity(0, everywhere)
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the load saw, and what the server spent meanwhile."""

    load: Result
    server_cpu_s: float

    @property
    def per_s(self) -> float:
        return self.load.answered / self.load.seconds

    @property
    def cpu_us(self) -> float:
        """Server CPU per answered request, of all its threads."""
        return self.server_cpu_s / max(1, self.load.answered) * 1e6


def measure(orders: Orders, server_pid: int, *, cpu_s: Callable[[], float] = float) -> Measured:
    """Run the load against the server. Anything but 200 is an error of the benchmark's subject and ends it.

    `cpu_s`: what other processes that work for the server have spent so far.
    """
    process = subprocess.Popen(
        [*on_core(CLIENT_CORE), sys.executable, "-m", "tests.bench.load"],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write(json.dumps(asdict(orders)))
        process.stdin.close()
        spent_s = []
        for expected in ("measuring", "measured"):
            line = process.stdout.readline().strip()
            assert line == expected, f"the load generator said {line!r}"
            spent_s.append(cpu_s_of(server_pid) + cpu_s())
        load = Result(**json.loads(process.stdout.readline()))
    assert load.statuses.keys() == {"200"}, f"not every request was answered 200: {load.statuses}"
    return Measured(load=load, server_cpu_s=spent_s[1] - spent_s[0])


def orders(port: int, templates: Sequence[bytes], *, first: int, connections: int, seconds: float) -> Orders:
    return Orders(
        port=port,
        path=WEBHOOK,
        token=INTAKE_TOKEN,
        templates=[template.decode() for template in templates],
        connections=connections,
        seconds=seconds,
        first=first,
    )
