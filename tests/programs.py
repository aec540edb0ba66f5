"""The real programs that tests run, where they are installed, and how to wait for them."""

import os
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import pytest

PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),  # Debian renames it
    "amtool": ("amtool",),
    "cc": ("cc", "gcc", "clang"),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "git": ("git",),
    "mount": ("mount",),
    "openssl": ("openssl",),
    "postgres": ("postgres",),  # initdb, pg_basebackup and the others stand beside it
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "strace": ("strace",),
}
# Below Linux's range for outgoing connections (32768 and up): nobody takes the port of a program that restarts.
PORTS: Final = range(20_000, 32_000)
T = TypeVar("T")

_next_port: Final[Iterator[int]] = count(PORTS.start + os.getpid() * 37 % len(PORTS))


def find(program: str) -> str | None:
    """Where the program is installed; None if it is not."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_postgresql()])
    return next((found for name in PROGRAMS[program] if (found := shutil.which(name, path=path))), None)


def _postgresql() -> list[str]:
    """Debian keeps a server's programs off PATH, in a directory for each version; the newest first."""
    directories = Path("/usr/lib/postgresql").glob("*/bin")
    return sorted(
        map(str, directories), key=lambda path: [int(part) for part in re.findall("[0-9]+", path)], reverse=True
    )


def path_of(program: str) -> str:
    """As `find`, for a test that is marked `needs(program)`."""
    path = find(program)
    assert path is not None, f"{program} is not installed; mark the test needs({program!r})"
    return path


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what `needs` a program that is not here. With ROUTER_TESTS_STRICT=1, as in CI, that is a failure."""
    for marker in item.iter_markers("needs"):
        missing = [program for program in marker.args if find(program) is None]
        if not missing:
            continue
        reason = f"{', '.join(missing)} not installed"
        if os.environ.get("ROUTER_TESTS_STRICT") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def free_port() -> int:
    """A loopback port that nobody listens on; no two calls in one process give the same one."""
    for number in _next_port:
        port = PORTS.start + number % len(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("unreachable: count() does not end")


def eventually(check: Callable[[], T | None], *, timeout_s: float, what: str) -> T:
    """What `check` returns once that is neither None nor False. The tests' only polling: other programs do not call us.

    Asks at once, then after 10 ms, 20 ms, … at most every 250 ms.
    """
    never = threading.Event()
    deadline = time.monotonic() + timeout_s
    pause_s = 0.01
    while True:
        result = check()
        if result is not None and result is not False:
            return result
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        never.wait(min(pause_s, remaining_s))
        pause_s = min(pause_s * 2, 0.25)
