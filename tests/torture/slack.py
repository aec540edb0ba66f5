"""The strict emulator as a process of its own: it lives on while the router is killed."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from router.preview.emulator import PREVIEW_TOKEN
from tests.router_process import PROJECT, Json, SlackAccess, request


class SlackProcess:
    """`python -m router.preview`, listening when entered."""

    def __init__(self, *, rates: str = "unlimited") -> None:
        """Without rates where many kills are counted: they would be what takes the time."""
        self._rates = rates
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router.preview", "--listen", "127.0.0.1:0", "--rates", self._rates],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said, _, self._url = self._process.stdout.readline().strip().partition(" ")
        assert said == "listening", f"the emulator said {said!r}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.terminate()
        self._process.wait()
        self._process.stdout.close()

    @property
    def access(self) -> SlackAccess:
        return SlackAccess(api_url=f"{self._url}api/", token=PREVIEW_TOKEN)

    def seed_channels(self, ids: Sequence[str]) -> None:
        self._tell("seed", {"channels": [{"id": channel, "name": channel.lower()} for channel in ids]})

    def make_token_live(self) -> None:
        """After a fault that revoked it."""
        self._tell("seed", {"token": {"state": "live"}})

    def answer_after(self, seconds: float) -> None:
        """Take every call at once, answer it later: as the real one, and so that calls are under way at a kill."""
        self.script({"kind": "slow", "seconds": seconds})

    def script(self, *faults: Mapping[str, Any], seed: int = 0) -> None:
        """Of `router.preview.faults`, in its words, in the place of those before."""
        self._tell("faults", {"faults": faults, "seed": seed})

    def state(self) -> Json:
        """Everything that it shows and remembers; see `Emulator.state`."""
        return request(f"{self._url}_emu/state", timeout_s=60).json()

    def _tell(self, what: str, told: Mapping[str, Any]) -> None:  # Any: JSON
        answer = request(f"{self._url}_emu/{what}", "POST", json.dumps(told).encode())
        assert answer.status == 200, answer.body
