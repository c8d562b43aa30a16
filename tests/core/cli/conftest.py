"""The command line in this process and in others, with pipes and with a terminal."""

from __future__ import annotations

import fcntl
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from headrace.cli import main
from headrace.flow_files import MODULE_PREFIX
from headrace.hooks.scan import refresh

PATIENCE = 20.0
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Done(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


class Commands:
    """Runs ``headrace`` with arguments."""

    def __init__(self, capture: pytest.CaptureFixture[str], folder: Path) -> None:
        self._capture = capture
        self.folder = folder

    def file(self, text: str, name: str = "flow.py") -> str:
        """Write a flow file and return its name; what most files import is added on top."""
        path = self.folder / name
        path.write_text("from headrace import Flow, Parameter, context, task, unmapped\n" + dedent(text))
        return name

    def here(self, *arguments: str) -> Done:
        """Run in this process."""
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = self._capture.readouterr()
        code = ended.value.code
        return Done(code if isinstance(code, int) else 0, out, err)

    def environment(self, **variables: str) -> dict[str, str]:
        """Return an environment in which nothing but ``variables`` says how output should look."""
        left_out = {"CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM"}
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return kept | {"PYTHONPATH": os.pathsep.join([str(self.folder), *sys.path]), **variables}

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a process of its own, with pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "headrace", *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apart(self, *arguments: str, **variables: str) -> Done:
        """Run in a process of its own, with pipes."""
        with self.start(*arguments, **variables) as process:
            out, err = process.communicate(timeout=PATIENCE)
            return Done(process.returncode, out, err)

    def on_terminal(self, *arguments: str, size: tuple[int, int] = (80, 24), **variables: str) -> Terminal:
        """Start a process of its own on a terminal."""
        return Terminal(
            [sys.executable, "-m", "headrace", *arguments],
            self.folder,
            self.environment(**{"TERM": "xterm-256color", **variables}),
            size,
        )

    def distribution(self, name: str, entry_points: str, **modules: str) -> None:
        """Install a distribution with modules into the folder."""
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: About {name}.\n")
        (info / "entry_points.txt").write_text(dedent(entry_points))
        for module, text in modules.items():
            (self.folder / f"{module}.py").write_text(dedent(text))


class Terminal:
    """A process on a pseudo-terminal, and everything it has written to it."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], size: tuple[int, int]) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.written = ""

    @property
    def text(self) -> str:
        """What was written, without escape sequences."""
        return ESCAPE.sub("", self.written)

    def wait_for(self, text: str) -> None:
        """Read until ``text`` was written."""
        self._read(lambda: text in self.text)
        assert text in self.text, self.written

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def type(self, text: str) -> None:
        """Type something."""
        os.write(self._master, text.encode())

    def end(self) -> int:
        """Read to the end and return the exit code."""
        self._read(lambda: False)
        os.close(self._master)
        return self.process.wait(PATIENCE)

    def _read(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not enough() and time.monotonic() < deadline:
            if not select.select([self._master], [], [], 0.05)[0]:
                if self.process.poll() is not None:
                    return
                continue
            try:
                chunk = os.read(self._master, 65536)
            except OSError:  # what a terminal without a process reads as
                return
            if not chunk:
                return
            self.written += chunk.decode(errors="replace")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Commands]:
    """Yield the command line, with an empty folder as the current one."""
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    path, logger = list(sys.path), logging.getLogger("headrace")
    handlers, level = list(logger.handlers), logger.level
    yield Commands(capsys, tmp_path)
    logger.handlers[:] = handlers
    logger.setLevel(level)
    sys.path[:] = path
    refresh()
    for name in [name for name in sys.modules if name.startswith(MODULE_PREFIX)]:
        del sys.modules[name]
