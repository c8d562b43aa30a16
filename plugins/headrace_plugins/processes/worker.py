"""What a worker process does: takes calls, runs them one after the other, and answers.

A worker imports neither pluggy nor the engine's driver. It runs tasks in its main thread, so that a timeout is raised
where the task is, and leaves the process as the task found it: folder, environment, file mode and signals.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import pickle
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from headrace.engine.worker import Outcome, state_of
from headrace.exceptions import TransferError, describe
from headrace.remote import Call, Levels, PackedOutcome, Part, RecordForwarder, Workshop, pack_outcome
from headrace.remote.pickles import Pickler, load
from headrace.states import Failed
from headrace_plugins.processes.protocol import Kind

if TYPE_CHECKING:
    from headrace.engine.worker import Work
    from headrace_plugins.processes.channel import Channel, Message
    from headrace_plugins.processes.protocol import Page

__all__ = ["serve"]

_KEPT_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_TOUCHING: Final = frozenset({"os.chdir", "os.putenv", "os.unsetenv"})


def serve(channel: Channel, page: Page, levels: Levels, memory_limit: int | None) -> None:
    """Serve the other end of ``channel`` until it is closed."""
    _Worker(channel, page, levels, memory_limit).serve()


class _Worker:
    def __init__(self, channel: Channel, page: Page, levels: Levels, memory_limit: int | None) -> None:
        self._channel = channel
        self._page = page
        self._workshop = Workshop()
        self._pickler = Pickler()
        self._parts: dict[str, Part] = {}
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._deadline: float | None = None
        self._running = False
        self._interrupted = False
        _limit_memory(memory_limit)
        _seed_again()
        levels.apply()
        logging.root.addHandler(RecordForwarder(self._forward))
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._terminate)
        with contextlib.suppress(Exception):  # there may be no standard error to write to
            faulthandler.enable()

    def serve(self) -> None:
        surroundings = _Surroundings()
        while self._channel.read():
            for message in self._channel.messages():
                if message.kind == Kind.PART:
                    part = Part(message.head.decode(), bytes(message.body))
                    self._parts[part.id] = part
                    continue
                self._answer(message)
                del message
                surroundings.restore()

    # -- one call ------------------------------------------------------------------------------------------------

    def _answer(self, message: Message) -> None:
        number, key, name, run_id, task_id = pickle.loads(message.head)  # noqa: S301 - the driver made it
        if not self._page.begin(number):
            with self._sending:
                self._channel.send(Kind.PASSED, pickle.dumps(number))
            return
        try:
            work = self._work(name, run_id, task_id, message)
        except TransferError as error:
            packed = _refusal(key, error, self._pickler)
        else:
            packed = pack_outcome(work, self._run(work), self._pickler, out_of_band=True)
        _flush()
        self._send_outcome(number, packed)

    def _work(self, name: str, run_id: str, task_id: str, message: Message) -> Work:
        for part_id in (run_id, task_id):
            if part_id not in self._workshop:
                self._workshop.add(self._parts.pop(part_id))
        what = f"What task {name!r} is called with"
        return self._workshop.work(run_id, task_id, Call(*load(message.body, what, message.buffers)))

    def _run(self, work: Work) -> Outcome:
        timeout = work.task.timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._running = True
            return _interrupt() if self._interrupted else work()
        except BaseException as error:  # noqa: BLE001 - a signal may come in the middle of what catches it in `work`
            return Outcome(work.key, state_of(error))
        finally:
            self._running = False

    def _send_outcome(self, number: int, packed: PackedOutcome) -> None:
        head = pickle.dumps((number, packed.key, packed.error, packed.traceback, packed.location))
        try:
            with self._sending:
                self._channel.send(Kind.OUTCOME, head, packed.data, packed.buffers)
        except OSError as error:
            if isinstance(error, BrokenPipeError | ConnectionError):
                raise
            refused = TransferError(f"There was no memory to send the result in: {describe(error)}.")
            self._send_outcome(number, _refusal(packed.key, refused, self._pickler))

    def _forward(self, fields: dict[str, Any]) -> None:
        # What a task forks has this handler too, and must not write into the middle of a message.
        if os.getpid() == self._pid:
            with self._sending:
                self._channel.send(Kind.RECORD, pickle.dumps(fields))

    # -- signals -------------------------------------------------------------------------------------------------

    def _interrupt(self, *_: object) -> None:
        """Stop the task, if one is running: the run is being cancelled."""
        self._interrupted = os.getpid() == self._pid
        if self._running and self._interrupted:
            raise KeyboardInterrupt

    def _terminate(self, *_: object) -> None:
        """Die, unless the signal is meant for what a task that is out of time has started."""
        out_of_time = self._deadline is not None and time.monotonic() >= self._deadline
        if not out_of_time or os.getpid() != self._pid:
            _die_from(signal.SIGTERM)


def _refusal(key: int, error: TransferError, pickler: Pickler) -> PackedOutcome:
    work: Any = None
    return pack_outcome(work, Outcome(key, Failed(describe(error), error)), pickler)


def _interrupt() -> NoReturn:
    """Do what a signal does, for one that came just before."""
    raise KeyboardInterrupt


def _die_from(number: signal.Signals) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(1)  # not reached


def _flush() -> None:
    """Write out what was printed: if the process dies, it is not lost."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a task may have closed or replaced it
            stream.flush()


def _limit_memory(limit: int | None) -> None:
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _seed_again() -> None:
    """Let every worker draw random numbers of its own, although all were forked from one process."""
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


class _Surroundings:
    """What a task may change for the tasks after it, as it was in the beginning."""

    def __init__(self) -> None:
        self._folder = Path.cwd()
        self._environment = dict(os.environ)
        self._mask = _file_mode()
        self._handlers = {number: signal.getsignal(number) for number in _KEPT_SIGNALS}
        self._touched = False
        # Comparing the environment takes longer than most small tasks.
        sys.addaudithook(self._notice)

    def _notice(self, event: str, _: object) -> None:
        if event in _TOUCHING:
            self._touched = True

    def restore(self) -> None:
        """Put back what is different."""
        if self._touched:
            with contextlib.suppress(OSError):  # somebody removed it
                os.chdir(self._folder)
            os.environ.clear()
            os.environ.update(self._environment)
            self._touched = False
        if _file_mode() != self._mask:
            os.umask(self._mask)
        for number, handler in self._handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
        if signal.pthread_sigmask(signal.SIG_BLOCK, ()):
            signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _file_mode() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
