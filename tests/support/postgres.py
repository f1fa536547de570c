"""A throw-away PostgreSQL from local binaries: loopback only, a free port, a direct child that is waited for.

A SIGKILLed postmaster that was started as a daemon would stay a zombie, and the next one would refuse to start.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.processes import children, free_port, stop, until

USER = "test"
_NUMBERS = count(1)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = found[-1] if found else Path(shutil.which("initdb") or "")
    assert initdb.name == "initdb", "PostgreSQL is missing: run tests/support/install_servers.sh"
    return initdb.parent


def _as_postgres(*command: str) -> list[str]:
    """Initdb and postgres refuse to run as root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]


class Postgres:
    """One cluster. Durable (fsync on) unless told otherwise."""

    def __init__(self, *, options: tuple[str, ...] = ()) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="penstock-postgres-"))
        self.port = free_port()
        self.options = options
        self._bin = _binaries()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(self.directory, postgres.pw_uid, postgres.pw_gid)
        initdb = [
            str(self._bin / "initdb"),
            "-D",
            str(self.directory / "data"),
            "-U",
            USER,
            "--auth=trust",
            "--no-sync",
        ]
        subprocess.run(
            _as_postgres(*initdb, "-E", "UTF8", "--locale=C"), check=True, stdout=subprocess.DEVNULL, cwd="/"
        )

    def start(self) -> None:
        """Start it and wait until it takes connections. After a kill, until the old backends are gone."""
        until(self._started, what="PostgreSQL to start")

    def _started(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            settings = (f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.directory}")
            options = [word for setting in (*settings, *self.options) for word in ("-c", setting)]
            command = _as_postgres(str(self._bin / "postgres"), "-D", str(self.directory / "data"), *options)
            with (self.directory / "log").open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        ready = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER]
        return subprocess.run(ready, check=False).returncode == 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def create_database(self, template: str = "template0") -> str:
        """A new database, empty or a copy of another: its name."""
        name = f"registry_{next(_NUMBERS)}"
        self.psql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def psql(self, database: str, statement: str) -> str:
        """Run one statement; what it prints, unaligned."""
        connection = ["-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", database]
        command = [str(self._bin / "psql"), *connection, "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """SIGKILL, as when the power fails: no shutdown checkpoint, no goodbye to clients."""
        os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def pause(self) -> None:
        """SIGSTOP the server and all its backends: connections stay open and nothing answers."""
        for pid in (self.pid, *children(self.pid)):
            os.kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        for pid in (*children(self.pid), self.pid):
            os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Disconnect everybody and end."""
        if self._process is not None:
            stop(self._process, signal.SIGINT)

    def remove(self) -> None:
        if self._process is not None:
            stop(self._process, signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the whole run. Nobody stops this one, so it need not survive that: see doomed_postgres."""
    server = Postgres(options=("fsync=off", "full_page_writes=off"))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def _doomed() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def doomed_postgres(_doomed: Postgres) -> Postgres:
    """A running PostgreSQL that the test may stop, pause and kill. It is durable: fsync on."""
    _doomed.start()
    return _doomed
