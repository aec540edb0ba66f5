"""Disks that fill up and fail while the router runs on them, and are well again when the test says so."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.programs import path_of


class Disk(Protocol):
    """A place for a database, and the environment of the router that uses it."""

    directory: Path
    settings: Mapping[str, str]

    def fill(self) -> None: ...

    def mend(self) -> None: ...


class BadDisk:
    """A sound disk behind a shim that makes it fail; see bad_disk.c. Needs `cc`."""

    def __init__(self, directory: Path) -> None:
        library = directory / "bad_disk.so"
        source = Path(__file__).with_name("bad_disk.c")
        subprocess.run([path_of("cc"), "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)
        self.directory = directory
        self._says = directory / "bad_disk"
        self.settings: Mapping[str, str] = {"LD_PRELOAD": str(library), "BAD_DISK": str(self._says)}

    def fail(self, how: str) -> None:
        """`full`, `io` or `readonly`, from the next call on."""
        written = self._says.with_suffix(".new")
        written.write_text(how)
        written.rename(self._says)  # never half written

    def fill(self) -> None:
        self.fail("full")

    def mend(self) -> None:
        self._says.unlink()


class SmallDisk:
    """A real file system with an end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.settings: Mapping[str, str] = {}
        self._ballast = directory / "ballast"

    def fill(self) -> None:
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while ballast.write(bytes(4096)):
                    pass
            except OSError:  # no space left
                return

    def mend(self) -> None:
        self._ballast.unlink()


@contextmanager
def small_disk(directory: Path) -> Iterator[SmallDisk]:
    """A file system of 8 MB in memory. Where `mount` may not make one the test is skipped; in CI that is a failure."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(directory)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        reason = f"mount may not make a file system here: {mounted.stderr.strip()}"
        if os.environ.get("ROUTER_TESTS_STRICT") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    try:
        yield SmallDisk(directory)
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
