"""The strict emulator as a process of its own: it lives on while the router is killed."""

import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from router.preview.emulator import PREVIEW_TOKEN
from tests.router_process import PROJECT, Json, SlackAccess, request


class SlackProcess:
    """`python -m router.preview`, listening when entered. Its rates are off: they would be what takes the time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "router.preview", "--listen", "127.0.0.1:0", "--rates", "unlimited"],
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
        channels = [{"id": channel, "name": channel.lower()} for channel in ids]
        answer = request(f"{self._url}_emu/seed", "POST", json.dumps({"channels": channels}).encode())
        assert answer.status == 200, answer.body

    def answer_after(self, seconds: float) -> None:
        """Take every call at once, answer it later: as the real one, and so that calls are under way at a kill."""
        slow = {"kind": "slow", "seconds": seconds}
        answer = request(f"{self._url}_emu/faults", "POST", json.dumps({"faults": [slow]}).encode())
        assert answer.status == 200, answer.body

    def state(self) -> Json:
        """Everything that it shows and remembers; see `Emulator.state`."""
        return request(f"{self._url}_emu/state", timeout_s=60).json()
