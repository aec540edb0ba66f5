"""The router as its operators run it: a process, driven over HTTP, stopped by signals."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from tests.programs import eventually, free_port

PROJECT: Final = Path(__file__).parent.parent
INTAKE_TOKEN: Final = "intake-token-of-the-tests"

# What /api/v1/ answers is JSON without a fixed type; tests look into it by the names of the interface.
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, read to its end. `took_s` counts from before the connection was opened."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes
    took_s: float

    def json(self) -> Json:
        parsed: Json = json.loads(self.body)
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackAccess:
    """Which Slack the router calls."""

    api_url: str
    token: str


def request(
    url: str,
    method: str = "GET",
    body: bytes | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 15,
) -> Answer:
    """One request on a connection of its own. Raises OSError if nobody listens, or the answer is cut off."""
    parts = urlsplit(url)
    started = time.monotonic()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        payload = response.read()
        return Answer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=payload,
            took_s=time.monotonic() - started,
        )
    except http.client.HTTPException as error:
        raise ConnectionError(f"no whole answer: {error!r}") from error
    finally:
        connection.close()


def environment(slack: SlackAccess | None = None, **settings: str) -> dict[str, str]:
    """The environment of a router under test: this one without any ROUTER_ variable, then what the test sets."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    inherited |= {"ROUTER_LOG_FORMAT": "json", "ROUTER_INTAKE_TOKENS": f"alertmanager:{INTAKE_TOKEN}"}
    if slack is not None:
        inherited |= {"ROUTER_SLACK_TOKEN": slack.token, "ROUTER_SLACK_API_URL": slack.api_url}
    return inherited | settings


def cpu_s_of(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def unbalanced(status: Json) -> str | None:
    """Which of the two sums of the promise does not hold, in words; None if both do."""
    notifications, messages = status["notifications"], status["messages"]
    states = [notifications[state] for state in ("deduplicated", "quarantined", "decided", "waiting")]
    if notifications["accepted"] != sum(states):
        return f"accepted is not the sum of its states: {notifications}"
    states = [messages[state] for state in ("delivered", "pending", "superseded", "dead")]
    if messages["wanted"] != sum(states):
        return f"wanted is not the sum of its states: {messages}"
    return None


def drained(status: Json) -> bool:
    """Nothing waits: every notification is decided and every message is where it should be."""
    return bool(status["notifications"]["waiting"] == 0 and status["messages"]["pending"] == 0)


class RouterProcess:
    """`router serve` with its database in `directory`. After a stop or a kill, `start` goes on from there."""

    def __init__(
        self,
        directory: Path,
        *,
        ownership: Path,
        slack: SlackAccess | None = None,
        settings: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        prefix_stays: bool = True,
        database_url: str | None = None,
    ) -> None:
        """Without `slack`: preview mode. `prefix`, before the command, is `strace -f --` or a like parent, or `env`."""
        self.database = directory / "router.db"
        self.database_url = database_url or f"sqlite:///{self.database}"
        self.ownership = ownership
        self.port = free_port()
        self.events: list[Json] = []
        self.log: list[str] = []
        self.ready_after_s = 0.0
        self._first_event = 0
        self._environment = environment(slack, **(settings or {}))
        self._prefix = tuple(prefix)
        self._is_child = bool(prefix) and prefix_stays
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._logged = threading.Condition()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()

    @property
    def command(self) -> list[str]:
        return [
            *(*self._prefix, sys.executable, "-m", "router", "serve"),
            *("--listen", f"127.0.0.1:{self.port}"),
            *("--database", self.database_url),
            *("--ownership", str(self.ownership)),
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the router itself, also under a `prefix`."""
        assert self._process is not None, "the router is not running"
        started = self._process.pid
        return int(Path(f"/proc/{started}/task/{started}/children").read_text()) if self._is_child else started

    def start(self, timeout_s: float = 20) -> None:
        """Start, and return once the log says `ready`."""
        assert self._process is None, "the router is running already"
        started = time.monotonic()
        self._first_event = len(self.events)
        self._process = subprocess.Popen(
            self.command,
            cwd=PROJECT,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), name="router log")
        self._reader.start()
        if self.logged("ready", timeout_s) is None:
            ended = self._process.poll()
            self.kill()
            what = f"was not ready within {timeout_s:g} s" if ended is None else f"ended with {ended}"
            raise AssertionError(f"the router {what}:\n{self.log_tail()}")
        self.ready_after_s = time.monotonic() - started

    def terminate(self, timeout_s: float = 25) -> int:
        """SIGTERM; the exit code once it has ended."""
        self.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int:
        """The exit code once the process has ended; kills it and fails the test after the timeout."""
        assert self._process is not None, "the router is not running"
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            raise AssertionError(
                f"still running {timeout_s:g} s after it was told to stop:\n{self.log_tail()}"
            ) from None
        finally:
            self._reap()

    def kill(self) -> None:
        """SIGKILL, as a crash: nothing of the router runs after this call."""
        assert self._process is not None, "the router is not running"
        if self._process.poll() is None:
            self.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reap()

    def get(self, path: str) -> Answer:
        return request(self.url + path)

    def post(
        self,
        path: str,
        body: bytes,
        token: str | None = INTAKE_TOKEN,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 15,
    ) -> Answer:
        sent = (
            {"Content-Type": "application/json"}
            | ({"Authorization": f"Bearer {token}"} if token else {})
            | dict(headers or {})
        )
        return request(self.url + path, "POST", body, headers=sent, timeout_s=timeout_s)

    def status(self) -> Json:
        answer = self.get("/api/v1/status")
        assert answer.status == 200, f"/api/v1/status answered {answer.status}: {answer.body[:200]!r}"
        return answer.json()

    def wait_until(self, predicate: Callable[[Json], bool], timeout_s: float = 20) -> Json:
        """The first `/api/v1/status` that fits. Every one that is seen on the way must balance."""
        last: Json = {}

        def look() -> Json | None:
            nonlocal last
            last = self.status()
            assert unbalanced(last) is None, unbalanced(last)
            return last if predicate(last) else None

        try:
            return eventually(look, timeout_s=timeout_s, what="the awaited /api/v1/status")
        except (AssertionError, OSError) as error:
            ended = None if self._process is None else self._process.poll()
            raise AssertionError(f"{error}\nexit code: {ended}\nlast status: {last}\n{self.log_tail()}") from error

    def incidents(self, state: str = "all") -> Iterator[Json]:
        """Every incident in that state, page by page."""
        cursor = ""
        while True:
            page = self.get(f"/api/v1/incidents?state={state}&limit=500{cursor}").json()
            yield from page["incidents"]
            if page["next"] is None:
                return
            cursor = f"&cursor={page['next']}"

    def logged(self, event: str, timeout_s: float) -> Json | None:
        """The first such log line since the last start; None if the router ended without it or the time is up."""

        def seen() -> Json | None:
            return next((line for line in self.events[self._first_event :] if line.get("event") == event), None)

        deadline = time.monotonic() + timeout_s
        while True:
            with self._logged:
                # The timeout is only for noticing that the process ended without a further line.
                found = self._logged.wait_for(seen, timeout=0.1)
            if found is not None:
                return found
            assert self._process is not None, "the router is not running"
            if self._process.poll() is not None or time.monotonic() > deadline:
                return None

    def named(self, event: str) -> list[Json]:
        """The log lines of one event, of all starts."""
        with self._logged:
            return [line for line in self.events if line.get("event") == event]

    def log_tail(self, lines: int = 30) -> str:
        with self._logged:
            return "".join(self.log[-lines:])

    def resident_mb(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS in /proc")

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            event: Json | None = None
            if line.startswith("{"):
                try:
                    event = json.loads(line)
                except ValueError:
                    event = None  # cut by a kill
            with self._logged:
                self.log.append(line)
                if event is not None:
                    self.events.append(event)
                self._logged.notify_all()

    def _reap(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._reader.join(timeout=10)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
