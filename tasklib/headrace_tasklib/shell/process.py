"""Runs one script in a process group of its own and hands over its output as it comes."""

from __future__ import annotations

import atexit
import math
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from headrace.exceptions import TaskRunError, TaskTimeoutError
from headrace.run_context import context
from headrace.signals import ENDRUN
from headrace.states import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_CHUNK_BYTES: Final = 64 * 1024
_TAIL_LINES: Final = 10
_TAIL_LINE_BYTES: Final = 500
_POLL_SECONDS: Final = 0.1
"""How often a waiting task returns to Python code, where an exception raised into its thread can reach it."""
_GRACE_SECONDS: Final = 2.0
"""How long an interrupted command has between SIGTERM and SIGKILL."""


class Output:
    """What is kept of a command's output: the last line of standard output, or all of them, and a short tail.

    Memory does not grow with the output unless ``keep_lines`` is true. ``log`` gets each line of both streams.
    """

    def __init__(self, *, keep_lines: bool = False, log: Callable[[str], object] | None = None) -> None:
        self.lines: list[str] = []
        self._keep_lines = keep_lines
        self._log = log
        self._last: bytes | None = None
        self._tail: deque[bytes] = deque(maxlen=_TAIL_LINES)

    @property
    def last_line(self) -> str | None:
        """The last line of standard output; None if there was none."""
        return None if self._last is None else _decode(self._last)

    @property
    def tail(self) -> list[str]:
        """The last few lines of both streams, in the order they came, long ones cut off."""
        return [_decode(line) for line in self._tail]

    def take_stdout(self, lines: list[bytes]) -> None:
        """Note complete lines of standard output."""
        self._last = lines[-1]
        if self._keep_lines:
            self.lines.extend(map(_decode, lines))
        self.take_stderr(lines)

    def take_stderr(self, lines: list[bytes]) -> None:
        """Note complete lines of standard error."""
        self._tail.extend(line[:_TAIL_LINE_BYTES] for line in lines[-_TAIL_LINES:])
        if self._log is not None:
            for line in lines:
                self._log(_decode(line))


def _decode(line: bytes) -> str:
    return line.decode(errors="replace").rstrip()


class _LineCutter:
    """Cuts a stream of bytes into lines and hands them over in batches."""

    def __init__(self, take: Callable[[list[bytes]], object]) -> None:
        self._take = take
        self._partial = bytearray()

    def feed(self, chunk: bytes) -> None:
        lines = chunk.split(b"\n")
        self._partial += lines[0]
        if len(lines) > 1:
            lines[0] = bytes(self._partial)
            self._partial = bytearray(lines.pop())
            self._take(lines)

    def finish(self) -> None:
        if self._partial:
            self._take([bytes(self._partial)])


def run_script(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str | None,
    output: Output,
    timeout: float | None = None,
) -> int:
    """Run a program to its end, and return its status: an exit code, or minus the number of the signal that killed it.

    The program has ended when it has exited and nothing it started still holds its output open. Any exception that
    interrupts the wait, and the TaskTimeoutError raised after ``timeout`` seconds, first stops the whole process group:
    SIGTERM, then SIGKILL for what is left of it.
    """
    # An interrupt that lands in here, between the fork and the moment the process is known, would leave it running; in
    # another thread none lands.
    begun: Future[_Begun] = Future()
    starter = Thread(target=_begin, args=(begun, arguments, environment, folder), name="headrace-shell", daemon=False)
    try:
        starter.start()
        return _run(begun.result(), output, timeout)
    except BaseException:
        if not begun.cancel() and begun.exception() is None:
            process, kill = begun.result()
            if process.returncode is None:
                with process:
                    _stop_group(process)
            atexit.unregister(kill)
        raise


class _Begun(NamedTuple):
    """A program that runs, and what kills it when the interpreter ends."""

    process: subprocess.Popen[bytes]
    kill: Callable[[], object]


def _run(begun: _Begun, output: Output, timeout: float | None) -> int:
    process, kill = begun
    with process:
        try:
            polls = _polls(timeout)
            _read(process, output, polls)
            return _wait(process, polls)
        except BaseException:
            _stop_group(process)
            raise
        finally:
            atexit.unregister(kill)


def _begin(begun: Future[_Begun], arguments: Sequence[str], environment: Mapping[str, str], folder: str | None) -> None:
    """Start the program, unless nobody wants it any more; the interpreter does not end meanwhile."""
    if begun.set_running_or_notify_cancel():
        try:
            process = _start(arguments, environment, folder)
            # The thread that waits for it may be one that ends with the interpreter, and runs no clean-up then.
            kill = atexit.register(partial(_signal_group, process, signal.SIGKILL))
            begun.set_result(_Begun(process, kill))
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that waits
            begun.set_exception(error)


def _start(arguments: Sequence[str], environment: Mapping[str, str], folder: str | None) -> subprocess.Popen[bytes]:
    if not hasattr(os, "killpg"):
        raise TaskRunError("ShellTask needs process groups, which this operating system does not have.")
    try:
        return subprocess.Popen(  # noqa: S603 - running what it is given is what the task is for
            arguments,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        # What the system refuses: a script or environment that is too long, or one with null characters.
        raise TaskRunError(f"The shell {arguments[0]!r} could not be started: {error}.") from error


def _polls(timeout: float | None) -> Iterator[float]:
    """Yield how long to wait before looking around again, until the time is up or the run is being cancelled."""
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        if context.get("cancel_requested"):
            raise ENDRUN(Cancelled("The run was cancelled, and the command stopped."))
        yield min(_POLL_SECONDS, left)
    raise TaskTimeoutError(f"The command took longer than its task's timeout of {timeout:g} s, and was stopped.")


def _read(process: subprocess.Popen[bytes], output: Output, polls: Iterator[float]) -> None:
    with selectors.DefaultSelector() as selector:
        for stream, take in ((process.stdout, output.take_stdout), (process.stderr, output.take_stderr)):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, _LineCutter(take))
        while selector.get_map():
            for key, _ in selector.select(next(polls)):
                chunk = os.read(key.fd, _CHUNK_BYTES)
                if chunk:
                    key.data.feed(chunk)
                else:
                    key.data.finish()
                    selector.unregister(key.fileobj)


def _wait(process: subprocess.Popen[bytes], polls: Iterator[float]) -> int:
    for seconds in polls:
        with suppress(subprocess.TimeoutExpired):
            return process.wait(seconds)
    raise AssertionError("polling ends by an error only")


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    try:
        deadline = time.monotonic() + _GRACE_SECONDS
        _signal_group(process, signal.SIGTERM)
        while _group_exists(process) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 10)
    finally:
        # Also when a second interrupt ends the grace: nothing may be left running.
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # the latter is what macOS says of a group of zombies
        return False
    return True


def _group_exists(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a child that nobody has waited for counts as a member
    return _signal_group(process, 0)
