"""A real PostgreSQL for tests: on a free port, in a directory of its own, with everything that can happen to one."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import psycopg
import pytest

from tests.programs import eventually, free_port, path_of

SUPERUSER: Final = "router"
# Nobody else uses this server: connections are taken on trust, but for this role's.
WITH_PASSWORD: Final = "locked"
PASSWORD: Final = "s3cret/of@the:tests"
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "autovacuum_naptime": "5s",
    "deadlock_timeout": "100ms",
    "log_min_messages": "warning",
}


class PostgresServer:
    """One server. `stop`, `kill` and `freeze` leave its data where they are, and `start` and `thaw` bring it back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings: Mapping[str, str] = SETTINGS
        self._numbers = count(1)

    def initialise(self) -> None:
        options = ["-A", "trust", "-U", SUPERUSER, "-E", "UTF8", "--no-locale", "--no-sync"]
        _run("initdb", "-D", str(self.directory), *options)
        hba = self.directory / "pg_hba.conf"
        hba.write_text(
            f"host all {WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n"
            "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n",
            encoding="utf-8",
        )

    def start(self, *, settings: Mapping[str, str] = SETTINGS) -> None:
        """Returns once it answers."""
        assert not self.running
        self._settings = settings
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        log = self.directory / "server.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", str(self.directory), "-p", str(self.port), *options],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                **_as_owner(),
            )
        process = self._process

        def answers() -> bool:
            assert process.poll() is None, f"PostgreSQL ended: {log.read_text(encoding='utf-8')[-2000:]}"
            return self._answers()

        eventually(answers, timeout_s=30, what=f"PostgreSQL on port {self.port} answers")

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """In good order, without waiting for those who are connected."""
        self._end(lambda process: process.send_signal(signal.SIGINT))

    def kill(self) -> None:
        """kill -9 of all its processes at once, as when the machine fails; the disk keeps what was synced."""
        self._end(lambda _: self._signal(signal.SIGKILL))

    def freeze(self) -> None:
        """It answers nobody any more, and nobody is told: connections stay open."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def mend(self) -> None:
        """As it was at the start, whatever a test did."""
        self.thaw()
        if self.running and self._settings is not SETTINGS:
            self.stop()
        if not self.running:
            self.start()

    def url(self, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None) -> str:
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def new_database(self, *, options: str = "") -> str:
        """The URL of an empty database that no other test knows."""
        name = f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" {options}')
        return self.url(name)

    def execute(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _end(self, how: Any) -> None:  # Any: a function of Popen[bytes]
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            processes = self._processes()
            how(process)
            process.wait(timeout=30)
            # Its port and its shared memory are free once all have ended.
            eventually(lambda: not any(map(_runs, processes)), timeout_s=30, what="PostgreSQL ended")
        self._process = None

    def _processes(self) -> list[int]:
        """The server, and what it started, which are in sessions of their own."""
        assert self._process is not None
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())]

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            return
        assert self._process is not None
        # Held still meanwhile, so that it starts no more of them.
        os.kill(self._process.pid, signal.SIGSTOP)
        for pid in reversed(self._processes()):
            with suppress(ProcessLookupError):  # a connection that ended meanwhile
                os.kill(pid, number)


class Pair:
    """A primary and a synchronous standby: what is committed is on both."""

    def __init__(self, directory: Path) -> None:
        self.primary = PostgresServer(_owned(directory / "primary"))
        self.standby = PostgresServer(_owned(directory / "standby"))

    def start(self) -> None:
        self.primary.initialise()
        self.primary.start()
        _run(
            "pg_basebackup",
            *("-h", "127.0.0.1", "-p", str(self.primary.port), "-U", SUPERUSER),
            *("-D", str(self.standby.directory), "-R", "-X", "stream", "-c", "fast", "--no-sync"),
        )
        self.standby.start()
        self.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        eventually(self._synchronous, timeout_s=30, what="the standby is synchronous")

    def stop(self) -> None:
        # The standby last: a primary that waits for it does not stop.
        self.primary.kill()
        self.standby.kill()

    def kill_primary(self) -> None:
        self.primary.kill()

    def promote(self) -> None:
        """The standby takes writes from now on."""
        self.standby.execute("SELECT pg_promote(wait => true)")

    def url(self, database: str = "postgres") -> str:
        """Names both, as an operator writes it."""
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        return f"postgresql://{SUPERUSER}@{hosts}/{database}?target_session_attrs=read-write"

    def new_database(self) -> str:
        return self.url(self.primary.new_database().rpartition("/")[2])

    def _synchronous(self) -> bool:
        with psycopg.connect(self.primary.url()) as connection:
            row = connection.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone()
        return row == (1,)


@contextmanager
def server() -> Iterator[PostgresServer]:
    """A new server, running."""
    with _directory() as directory:
        made = PostgresServer(_owned(directory / "data"))
        made.initialise()
        made.start()
        try:
            made.execute(f"CREATE ROLE {WITH_PASSWORD} LOGIN PASSWORD '{PASSWORD}'")
            yield made
        finally:
            made.kill()


@contextmanager
def pair() -> Iterator[Pair]:
    """A new primary with its standby, running."""
    with _directory() as directory:
        made = Pair(directory)
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with server() as running:
        yield running


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server of this test run. A test may break it: it is mended afterwards."""
    yield postgres_server
    postgres_server.mend()


@contextmanager
def _directory() -> Iterator[Path]:
    # Not below pytest's own, which only its user may enter.
    directory = Path(tempfile.mkdtemp(prefix="router-postgres-"))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _owned(directory: Path) -> Path:
    directory.mkdir(mode=0o700)
    if (owner := _owner()) is not None:
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    return directory


def _runs(pid: int) -> bool:
    """Not one that ended and whose parent did not ask yet how."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return not status.rpartition(")")[2].startswith(" Z")


def _owner() -> pwd.struct_passwd | None:
    """Who runs the server: PostgreSQL refuses root. None: whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    return next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))


def _as_owner() -> dict[str, Any]:  # Any: arguments of Popen
    owner = _owner()
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": "/"}


def _program(name: str) -> str:
    return str(Path(path_of("postgres")).resolve().parent / name)


def _run(name: str, *arguments: str) -> None:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [_program(name), *arguments], capture_output=True, text=True, check=False, timeout=60, **_as_owner()
    )
    assert done.returncode == 0, f"{name}: {done.stderr}"
