"""The supervisor: a small process between the one that drives a run and its workers.

It forks workers, which takes milliseconds, because it has imported what they need; it alone may kill them, because as
their parent it knows which process a number still means; and whatever a dead worker has left behind becomes its child,
where the system can do that (Linux), so that nothing stays. It has one thread and runs no task.

It ends when the driver closes the control socket or is gone, and takes all workers with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace_plugins.processes.channel import Channel
from headrace_plugins.processes.children import children
from headrace_plugins.processes.protocol import END, ORDER, Command, End, Page, receive_record, send_record
from headrace_plugins.processes.worker import serve

if TYPE_CHECKING:
    from headrace.remote import Levels

__all__ = ["Setup", "main"]

_SET_PARENT_DEATH_SIGNAL: Final = 1
_SET_CHILD_SUBREAPER: Final = 36
_SECONDS_TO_EXIT: Final = 0.5
_SECONDS_TO_KILL: Final = 5.0


class Setup(NamedTuple):
    """What supervisor and workers need to know from the beginning.

    ``driver`` is the number of the process that drives the run; ``streams`` names the standard streams whose text
    workers send to it. ``token`` is what marks in the output of workers begin with, if that goes through pipes.
    """

    driver: int
    levels: Levels
    preload: tuple[str, ...] = ()
    memory_limit: int | None = None
    streams: tuple[str, ...] = ()
    token: bytes = b""


def main(control_file: int, setup_file: int) -> None:
    """Supervise until the other end of the control socket is closed."""
    os.set_inheritable(control_file, False)
    with open(setup_file, "rb") as stream:
        setup: Setup = pickle.load(stream)  # noqa: S301 - the driver made it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in setup.preload:
        # One that cannot be imported fails the tasks that need it, with a better message.
        with contextlib.suppress(Exception, SystemExit):
            importlib.import_module(module)
    _control_process(_SET_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()
    _Supervisor(socket.socket(fileno=control_file), setup).run()


class _Worker(NamedTuple):
    id: int
    kills_before: int


class _Supervisor:
    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._setup = setup
        self._pid = os.getpid()
        # By the numbers of their processes.
        self._workers: dict[int, _Worker] = {}
        # Other children that stay: what modules that were imported before have started, and what nobody may kill.
        self._others = set(children())
        self._wakeup, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._wakeup.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._stop)
        self._stopping = False

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def run(self) -> None:
        while not self._stopping and os.getppid() == self._setup.driver:
            # The driver may be gone although something it forked still holds the socket.
            if self._wait([self._control], 1.0) and not self._obey():
                break
        self._end()

    def _wait(self, sockets: list[socket.socket], seconds: float) -> bool:
        """Wait for one of ``sockets``, and tell whether it is ready; note which workers have ended."""
        ready, _, _ = select.select([*sockets, self._wakeup], [], [], seconds)
        if self._wakeup in ready:
            with contextlib.suppress(BlockingIOError):
                self._wakeup.recv(4096)
            self._reap()
        return any(one in ready for one in sockets)

    # -- orders --------------------------------------------------------------------------------------------------

    def _obey(self) -> bool:
        found = receive_record(self._control, ORDER)
        if found is None:
            return False
        (command, worker_id, number), files = found
        if command == Command.START:
            self._start(worker_id, files)
            return True
        for pid, worker in self._workers.items():
            if worker.id == worker_id:
                _signal_group(pid, number if command == Command.SIGNAL else signal.SIGKILL)
        return True

    def _start(self, worker_id: int, files: list[int]) -> None:
        try:
            connection, page, output = self._for_a_worker(files)
            pid = os.fork()
        except ValueError:  # this process can have no more descriptors
            self._refuse(worker_id, errno.EMFILE)
        except OSError as error:
            self._refuse(worker_id, error.errno or errno.EAGAIN)
        else:
            if pid == 0:
                self._become_worker(connection, page, output)
            self._workers[pid] = _Worker(worker_id, _out_of_memory_kills())
        finally:
            for file in files:
                os.close(file)

    def _for_a_worker(self, files: list[int]) -> tuple[int, int, list[int]]:
        """Return the connection, the page, and the pipes for its output; raise ValueError if some were lost."""
        wanted = 4 if self._setup.token else 2
        if len(files) != wanted:
            raise ValueError(f"{len(files)} files instead of {wanted}.")
        return files[0], files[1], files[2:]

    def _refuse(self, worker_id: int, reason: int) -> None:
        self._report(End(worker_id, -1, reason, 0))

    def _become_worker(self, connection: int, page: int, output: list[int]) -> None:
        code = 1
        try:
            os.setsid()
            _control_process(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            _control_process(_SET_CHILD_SUBREAPER, 1)
            if os.getppid() != self._pid:  # the supervisor died before its death was to be told
                os._exit(code)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            self._control.close()
            self._wakeup.close()
            self._waker.close()
            serve(Channel(socket.socket(fileno=connection)), Page(page), self._setup, output)
            code = 0
        except (BrokenPipeError, ConnectionError):  # nobody wants the answer any more
            code = 0
        except BaseException as error:  # noqa: BLE001 - the last thing this process can do is to say why it ends
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            # Not by the way of sys.exit: what the task has left in other threads must not keep the process.
            os._exit(code)

    # -- ends ----------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        """Report the workers that have ended, and kill what they have left behind."""
        ended = False
        while (found := _ended_child()) is not None:
            pid, status, peak = found
            worker = self._workers.pop(pid, None)
            if worker is not None:
                ended = True
                self._report(End(worker.id, status, peak, _out_of_memory_kills() - worker.kills_before))
        if ended:
            self._kill_orphans()

    def _report(self, end: End) -> None:
        with contextlib.suppress(OSError):  # the driver is gone, which the next look at the socket will tell
            send_record(self._control, END, end)

    def _kill_orphans(self) -> None:
        """Kill the children that dead workers have left behind."""
        give_up_at = time.monotonic() + _SECONDS_TO_KILL
        while time.monotonic() < give_up_at:
            orphans = [pid for pid in children() if pid not in self._workers and pid not in self._others]
            if not orphans:
                return
            self._others.update(pid for pid in orphans if not _kill(pid))
            # What they have left behind in turn are children now.
            if not [pid for pid in orphans if _has_ended(pid)]:
                time.sleep(0.001)

    def _end(self) -> None:
        """Let workers that are idle end by themselves, and kill what is left."""
        give_up_at = time.monotonic() + _SECONDS_TO_EXIT
        while self._workers and (left := give_up_at - time.monotonic()) > 0:
            self._wait([], left)
        for pid in self._workers:
            _signal_group(pid, signal.SIGKILL)
        self._workers.clear()
        self._others.clear()
        self._kill_orphans()


def _ended_child() -> tuple[int, int, int] | None:
    """Return the number, status and peak memory in bytes of a child that has ended, or None."""
    try:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    peak = usage.ru_maxrss if sys.platform == "darwin" else usage.ru_maxrss * 1024
    return (pid, status, peak) if pid else None


def _kill(pid: int) -> bool:
    """Kill a child; return False if this process is not allowed to."""
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def _has_ended(pid: int) -> bool:
    """Tell whether a child has ended, without waiting for it; one that belongs to somebody else may go on."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _signal_group(pid: int, number: int) -> None:
    """Send a signal to the group that ``pid`` leads, or to it alone if it does not lead one yet."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # or something in the group belongs to somebody else
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since the machine started."""
    try:
        counts = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counts if line.startswith("oom_kill ")), 0)


def _control_process(option: int, value: int) -> None:
    """Call prctl(2), which is Linux's."""
    if sys.platform == "linux":
        library: Any = ctypes.CDLL(None)
        library.prctl(option, value, 0, 0, 0)
