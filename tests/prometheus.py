"""A real Prometheus, quick: it scrapes and evaluates each second, and tells what it finds to an Alertmanager."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

from tests.programs import eventually, free_port, path_of
from tests.router_process import request

WATCHDOG: Final[Mapping[str, Any]] = {
    "alert": "Watchdog",
    "expr": "vector(1)",
    "labels": {"severity": "none"},
    "annotations": {"summary": "It always fires"},
}


class Gauges:
    """Numbers that Prometheus scrapes, by name; what is set here is what it sees at its next look."""

    def __init__(self, **values: float) -> None:
        self.values = dict(values)
        gauges = self

        class Exposition(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name that http.server calls
                text = "".join(f"{name} {value}\n" for name, value in gauges.values.items()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: pytest shows what matters."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Exposition)
        self._thread = Thread(target=self._server.serve_forever, name="gauges")

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Prometheus:
    """The process. Ready when entered, ended when left; `kill` is SIGKILL, after which it says nothing more."""

    def __init__(
        self, directory: Path, *, target: str, alertmanager_url: str, rules: Sequence[Mapping[str, Any]]
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._url = f"http://127.0.0.1:{free_port()}"
        (directory / "rules.yml").write_text(json.dumps({"groups": [{"name": "rules", "rules": list(rules)}]}))
        (directory / "prometheus.yml").write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(directory / "rules.yml")],
                    "alerting": {
                        "alertmanagers": [{"static_configs": [{"targets": [alertmanager_url.removeprefix("http://")]}]}]
                    },
                    "scrape_configs": [{"job_name": "gauges", "static_configs": [{"targets": [target]}]}],
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    path_of("prometheus"),
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                    # What it told lapses after four times this where it is not told again (rules/alerting.go).
                    "--rules.alert.resend-delay=1s",
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        eventually(self._ready, timeout_s=20, what="a ready Prometheus")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Prometheus ended:\n{(self._directory / 'log').read_text()}"
        try:
            return request(f"{self._url}/-/ready").status == 200
        except OSError:
            return False
