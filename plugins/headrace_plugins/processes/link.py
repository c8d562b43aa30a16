"""The driver's end of the connection to its supervisor."""

from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.exceptions import ExecutorError
from headrace_plugins.processes.descriptors import nameless_file
from headrace_plugins.processes.protocol import END, ORDER, Command, End, Order, receive_record, send_record

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

    from headrace_plugins.processes.supervisor import Setup

__all__ = ["Supervisor"]

_PROGRAM: Final = """\
import json, sys
sys.path[:] = json.loads(sys.argv[3])
from headrace_plugins.processes.supervisor import main
main(int(sys.argv[1]), int(sys.argv[2]))
"""
_SECONDS_TO_END: Final = 10.0


class Supervisor:
    """A supervisor process, started in the background. Orders may be given from any thread, one at a time."""

    def __init__(self, setup: Setup) -> None:
        """Start it; raise ExecutorError if that cannot be done."""
        try:
            self.control, self._process = _started(setup)
        except OSError as error:
            raise ExecutorError(f"Executor 'processes' could not start its supervisor: {error}.") from error

    def start(self, worker: int, connection: socket.socket, page: int, output: Sequence[int] = ()) -> None:
        """Have a worker started at the other end of ``connection``; raise OSError if the supervisor is gone.

        ``output`` are what it is to have as standard output and error, if not those of this process.
        """
        send_record(self.control, ORDER, Order(Command.START, worker), [connection.fileno(), page, *output])

    def signal(self, worker: int, number: signal.Signals) -> None:
        """Have the worker's process group sent a signal, if it is still there."""
        self._tell(Order(Command.SIGNAL, worker, number))

    def kill(self, worker: int) -> None:
        """Have the worker and all that it has started killed, if it is still there."""
        self._tell(Order(Command.KILL, worker))

    def _tell(self, order: Order) -> None:
        with suppress(OSError):  # it is gone, and its workers with it
            send_record(self.control, ORDER, order)

    def receive(self) -> End | None:
        """Return the next word of a worker's end, or None when the supervisor is gone."""
        found = receive_record(self.control, END)
        return None if found is None else End(*found[0])

    @property
    def ending(self) -> str:
        """How it has ended, for people; waits until it has."""
        code = self._wait()
        return f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"

    def close(self) -> None:
        """Have it end with all its workers, and wait for it."""
        with suppress(OSError):  # it has ended
            # Closing would not be enough where this process has been forked meanwhile.
            self.control.shutdown(socket.SHUT_RDWR)
        self.control.close()
        self._wait()

    def _wait(self) -> int:
        try:
            return self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _started(setup: Setup) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return the control socket and the process."""
    ours, theirs = socket.socketpair()
    try:
        return ours, _start(theirs.fileno(), setup)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def _start(control: int, setup: Setup) -> subprocess.Popen[bytes]:
    path = [entry or str(Path.cwd()) for entry in sys.path if isinstance(entry, str)]
    options = [*(f"-W{option}" for option in sys.warnoptions), *("-O" for _ in range(sys.flags.optimize))]
    file = nameless_file()
    try:
        os.write(file, pickle.dumps(setup))
        os.lseek(file, 0, os.SEEK_SET)
        return subprocess.Popen(  # noqa: S603 - this Python, and a program of ours
            # Without `-P`, it would take a json.py in the current folder for Python's.
            [sys.executable, "-P", *options, "-c", _PROGRAM, str(control), str(file), json.dumps(path)],
            stdin=subprocess.DEVNULL,
            pass_fds=(control, file),
            # Ctrl-C at the terminal is for the driver, which knows what to do about its workers.
            start_new_session=True,
        )
    finally:
        os.close(file)
