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
    """What workers need to know from the beginning."""

    levels: Levels
    preload: tuple[str, ...]
    memory_limit: int | None


def main(control_file: int, setup_file: int) -> None:
    """Supervise until the other end of the control socket is closed."""
    with open(setup_file, "rb") as stream:
        setup: Setup = pickle.load(stream)  # noqa: S301 - the driver made it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in setup.preload:
        # One that cannot be imported fails the tasks that need it, with a better message.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    _control_process(_SET_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()
    _Supervisor(socket.socket(fileno=control_file), setup).run()


class _Worker:
    def __init__(self, pid: int, kills_before: int) -> None:
        self.pid = pid
        self.kills_before = kills_before


class _Supervisor:
    def __init__(self, control: socket.socket, setup: Setup) -> None:
        self._control = control
        self._setup = setup
        self._driver = os.getppid()
        self._workers: dict[int, _Worker] = {}
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
        while not self._stopping and os.getppid() == self._driver:
            # The driver may be gone although something it forked still holds the socket.
            ready, _, _ = select.select([self._control, self._wakeup], [], [], 1.0)
            if self._wakeup in ready:
                with contextlib.suppress(BlockingIOError):
                    self._wakeup.recv(4096)
                self._reap()
            if self._control in ready and not self._obey():
                break
        self._end()

    # -- orders --------------------------------------------------------------------------------------------------

    def _obey(self) -> bool:
        found = receive_record(self._control, ORDER)
        if found is None:
            return False
        (command, worker_id, number), files = found
        if command == Command.START:
            self._start(worker_id, *files)
            return True
        worker = self._workers.get(worker_id)
        if worker is not None and command == Command.SIGNAL:
            _signal_group(worker.pid, number)
        elif worker is not None:
            _signal_group(worker.pid, signal.SIGKILL)
        return True

    def _start(self, worker_id: int, connection: int, page: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            os.close(connection)
            os.close(page)
            self._report(End(worker_id, -1, error.errno or errno.EAGAIN, 0))
            return
        if pid == 0:
            self._become_worker(connection, page)
        os.close(connection)
        os.close(page)
        self._workers[worker_id] = _Worker(pid, _out_of_memory_kills())

    def _become_worker(self, connection: int, page: int) -> None:
        code = 1
        try:
            os.setsid()
            _control_process(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
            _control_process(_SET_CHILD_SUBREAPER, 1)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            self._control.close()
            self._wakeup.close()
            self._waker.close()
            serve(Channel(socket.socket(fileno=connection)), Page(page), self._setup.levels, self._setup.memory_limit)
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
        by_pid = {worker.pid: worker_id for worker_id, worker in self._workers.items()}
        orphaned = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            worker_id = by_pid.get(pid)
            if worker_id is None:
                continue
            orphaned = True
            worker = self._workers.pop(worker_id)
            kills = _out_of_memory_kills() - worker.kills_before
            self._report(End(worker_id, status, _bytes(usage.ru_maxrss), kills))
        if orphaned:
            self._kill_orphans()

    def _report(self, end: End) -> None:
        with contextlib.suppress(OSError):  # the driver is gone, which the next look at the socket will tell
            send_record(self._control, END, end)

    def _kill_orphans(self) -> None:
        """Kill the children that are not workers: dead workers have left them behind."""
        workers = {worker.pid for worker in self._workers.values()}
        give_up_at = time.monotonic() + _SECONDS_TO_KILL
        while time.monotonic() < give_up_at:
            orphans = [pid for pid in _children() if pid not in workers]
            if not orphans:
                return
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                # What it has left behind in turn is a child now.
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _end(self) -> None:
        """Let workers that are idle end by themselves, and kill what is left."""
        give_up_at = time.monotonic() + _SECONDS_TO_EXIT
        while self._workers and time.monotonic() < give_up_at:
            select.select([self._wakeup], [], [], 0.02)
            self._reap()
        for worker in self._workers.values():
            _signal_group(worker.pid, signal.SIGKILL)
        self._workers.clear()
        self._kill_orphans()


def _signal_group(pid: int, number: int) -> None:
    """Send a signal to the group that ``pid`` leads, or to it alone if it does not lead one yet."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    except PermissionError:  # something in the group belongs to somebody else
        os.kill(pid, number)


def _children() -> list[int]:
    """Return the children of this process, where the system tells."""
    own = os.getpid()
    listed = Path(f"/proc/{own}/task/{own}/children")
    try:
        return [int(word) for word in listed.read_text(encoding="ascii").split()]
    except OSError:
        return []


def _out_of_memory_kills() -> int:
    """Return how many processes the kernel has killed for want of memory since the machine started."""
    try:
        counts = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in counts if line.startswith("oom_kill ")), 0)


def _bytes(max_rss: int) -> int:
    return max_rss if sys.platform == "darwin" else max_rss * 1024


def _control_process(option: int, value: int) -> None:
    """Call prctl(2), which is Linux's."""
    if sys.platform == "linux":
        library: Any = ctypes.CDLL(None)
        library.prctl(option, value, 0, 0, 0)
