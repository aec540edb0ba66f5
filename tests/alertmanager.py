"""A real Alertmanager, alone: it gossips with nobody, so two of them are a pair that lost sight of each other."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client.parser import text_string_to_metric_families

from tests.programs import eventually, free_port, path_of
from tests.router_process import request

RECEIVER: Final = "router"


def configuration(
    webhook_url: str,
    token: str,
    *,
    group_by: Sequence[str] = ("alertname",),
    group_wait: str = "200ms",
    group_interval: str = "1s",
    repeat_interval: str = "2s",
    sends: bool = True,
) -> str:
    """A configuration with one route to the router; JSON is YAML. With `sends=False` alerts are only held."""
    webhook = {"url": webhook_url, "http_config": {"authorization": {"type": "Bearer", "credentials": token}}}
    return json.dumps(
        {
            "route": {
                "receiver": RECEIVER if sends else "nobody",
                "group_by": list(group_by),
                "group_wait": group_wait,
                "group_interval": group_interval,
                "repeat_interval": repeat_interval,
            },
            "receivers": [{"name": "nobody"}, {"name": RECEIVER, "webhook_configs": [webhook]}],
        }
    )


class Alertmanager:
    """The process and its API. Ready when entered, ended when left."""

    def __init__(self, directory: Path, config: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._config = directory / "alertmanager.yml"
        self._config.write_text(config)
        self._url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self._url

    def __enter__(self) -> Self:
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    path_of("alertmanager"),
                    f"--config.file={self._config}",
                    f"--storage.path={self._directory / 'data'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                    "--cluster.listen-address=",
                    "--log.level=info",
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        eventually(self._ready, timeout_s=15, what="a ready Alertmanager")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:  # it waits for its own notifications, which may hang on a dead receiver
            self._process.kill()
            self._process.wait()

    def fire(
        self,
        *label_sets: Mapping[str, str],
        starts_at: datetime,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """These alerts fire, or still do: then the earlier start stays."""
        self._push(
            {"labels": dict(labels), "annotations": dict(annotations or {}), "startsAt": starts_at.isoformat()}
            for labels in label_sets
        )

    def resolve(self, *label_sets: Mapping[str, str], ends_at: datetime) -> None:
        """These alerts ended then, which must not be in the future."""
        self._push({"labels": dict(labels), "endsAt": ends_at.isoformat()} for labels in label_sets)

    def silence(self, *, until: datetime, **labels: str) -> str:
        """Nothing is told of alerts with these labels until then, or until it is lifted; its id."""
        body = {
            "matchers": [{"name": name, "value": value, "isRegex": False} for name, value in labels.items()],
            "startsAt": datetime.now(until.tzinfo).isoformat(),
            "endsAt": until.isoformat(),
            "createdBy": "a person",
            "comment": "looking at it",
        }
        answer = request(
            f"{self._url}/api/v2/silences",
            "POST",
            json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status == 200, answer.body
        return str(answer.json()["silenceID"])

    def lift(self, silence: str) -> None:
        answer = request(f"{self._url}/api/v2/silence/{silence}", "DELETE")
        assert answer.status == 200, answer.body

    def reconfigure(self, config: str) -> None:
        """Take a new configuration: every group is created again and its old alerts are sent at once."""
        self._config.write_text(config)
        answer = request(f"{self._url}/-/reload", "POST", b"")
        assert answer.status == 200, answer.body

    def metric(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name with these labels."""
        text = request(f"{self._url}/metrics").body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def log(self) -> str:
        return (self._directory / "log").read_text()

    def _push(self, alerts: Iterable[Mapping[str, Any]]) -> None:
        body = json.dumps(list(alerts)).encode()
        answer = request(f"{self._url}/api/v2/alerts", "POST", body, headers={"Content-Type": "application/json"})
        assert answer.status == 200, answer.body

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Alertmanager ended:\n{self.log()}"
        try:
            return request(f"{self._url}/-/ready").status == 200
        except OSError:
            return False
