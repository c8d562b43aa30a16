"""What a worker process does: takes calls, runs them one after the other, and answers.

A worker does not import the engine's driver. It runs tasks in its main thread, so that a timeout is raised where the
task is, and leaves the process as the task found it: see `surroundings`.
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
from typing import TYPE_CHECKING, Any, NoReturn

from headrace.engine.worker import Outcome, state_of
from headrace.exceptions import TransferError, describe
from headrace.forked_signals import reset_in_forks
from headrace.masking import masker
from headrace.remote import Call, PackedOutcome, Part, RecordForwarder, Workshop, pack_outcome
from headrace.remote.pickles import Pickler, load
from headrace.states import Failed
from headrace.whereabouts import place_of
from headrace_plugins.processes.children import end_sessions
from headrace_plugins.processes.output import Marks
from headrace_plugins.processes.protocol import Kind
from headrace_plugins.processes.streams import ForwardedStream
from headrace_plugins.processes.surroundings import Surroundings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.engine.worker import Work
    from headrace_plugins.processes.channel import Channel, Message
    from headrace_plugins.processes.protocol import Page
    from headrace_plugins.processes.supervisor import Setup

__all__ = ["serve"]


def serve(channel: Channel, page: Page, setup: Setup, output: Sequence[int] = ()) -> None:
    """Serve the other end of ``channel`` until it is closed.

    ``output`` are pipes for standard output and error, if somebody wants to know what is written there.
    """
    page.sign()
    _Worker(channel, page, setup, output).serve()


class _Worker:
    def __init__(self, channel: Channel, page: Page, setup: Setup, output: Sequence[int]) -> None:
        self._channel = channel
        self._page = page
        self._workshop = Workshop()
        self._pickler = Pickler()
        self._parts: dict[str, Message] = {}
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._deadline: float | None = None
        self._running = False
        self._interrupted = False
        self._retired = False
        _limit_memory(setup.memory_limit)
        _seed_again()
        self._levels = setup.levels
        self._forwarder = RecordForwarder(self._send_record)
        self._marks = Marks(list(output), setup.token) if output else None
        if output:
            masker.tell = self._send_secrets
        for name in setup.streams:
            setattr(sys, name, ForwardedStream(self._send_text, name))
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._terminate)
        reset_in_forks({signal.SIGTERM: signal.SIG_DFL}, lambda handler: handler == self._terminate)
        with contextlib.suppress(Exception):  # there may be no standard error to write to
            faulthandler.enable()
        self._surroundings = Surroundings()

    def serve(self) -> None:
        while self._channel.read():
            self._keep_forwarding()
            while (message := self._channel.take()) is not None:
                if message.kind == Kind.PART:
                    self._parts[message.head.decode()] = message
                elif message.kind == Kind.RETIRE:
                    self._outlive_children()
                    return
                else:
                    calls = [message]
                    del message
                    self._answer(calls)
                    self._surroundings.restore()

    def _keep_forwarding(self) -> None:
        """Have log records forwarded, also when a task has configured logging anew."""
        if self._forwarder not in logging.root.handlers:
            self._levels.apply()
            logging.root.addHandler(self._forwarder)

    def _outlive_children(self) -> None:
        """Stay until what tasks have started has ended; the driver has all of it killed if that takes too long.

        What was told to end is the group of this process. What has left that is told here.
        """
        self._retired = True
        asked: set[int] = set()
        with contextlib.suppress(ChildProcessError):
            while True:
                # No signal for the group has reached them; some become children when their parent ends.
                end_sessions(self._pid, asked)
                os.wait()

    # -- one call ------------------------------------------------------------------------------------------------

    def _answer(self, calls: list[Message]) -> None:
        """Answer the call that is in ``calls``, and take it out: what it holds may be large."""
        message = calls.pop()
        number, key, name, run_id, task_id = pickle.loads(message.head)  # noqa: S301 - the driver made it
        if not self._page.begin(number):
            self._send(Kind.PASSED, pickle.dumps((number,)))
            return
        try:
            work = self._work(name, run_id, task_id, message)
        except TransferError as error:
            packed = _refusal(key, error, self._pickler)
        else:
            del message
            if self._marks is not None:
                self._marks.begin(number)
            self._forwarder.place = place_of(work)
            packed = self._packed(work, self._run(work))
        _flush()
        if self._marks is not None:
            self._marks.flush()
        self._send_outcome(number, packed)

    def _work(self, name: str, run_id: str, task_id: str, message: Message) -> Work:
        for part_id in (run_id, task_id):
            if part_id not in self._workshop:
                part = _readable(self._parts[part_id], f"What task {name!r} needs")
                self._workshop.add(Part(part_id, part.body))
                del self._parts[part_id]
        what = f"What task {name!r} is called with"
        call = _readable(message, what)
        return self._workshop.work(run_id, task_id, Call(*load(call.body, what, call.buffers)))

    def _run(self, work: Work) -> Outcome:
        timeout = work.task.timeout
        self._page.start()
        self._deadline = None if timeout is None else time.monotonic() + timeout
        try:
            self._running = True
            outcome = _interrupt() if self._interrupted else work()
        except BaseException as error:  # noqa: BLE001 - a signal may come in the middle of what catches it in `work`
            outcome = Outcome(work.key, state_of(error))
        finally:
            self._running = False
        if os.getpid() != self._pid:
            # The task has forked, and this is not the process that the driver knows.
            _flush()
            os._exit(0)
        self._surroundings.restore_signals()
        # It is not needed any more, and may be as large as the result that is about to be pickled.
        work.arguments = {}
        return outcome

    def _packed(self, work: Work, outcome: Outcome) -> PackedOutcome:
        try:
            return pack_outcome(work, outcome, self._pickler, out_of_band=True)
        except MemoryError as error:
            refused = TransferError(f"There was not enough memory to send what task {work.name!r} returned.")
            refused.__cause__ = error
            return _refusal(work.key, refused, self._pickler)

    # -- what is sent --------------------------------------------------------------------------------------------

    def _send_outcome(self, number: int, packed: PackedOutcome) -> None:
        try:
            self._send(Kind.OUTCOME, _head(number, packed), packed.data, packed.buffers)
        except OSError as error:
            if isinstance(error, BrokenPipeError | ConnectionError):
                raise
            refused = TransferError(f"There was no memory to send the result in: {describe(error)}.")
            packed = _refusal(packed.key, refused, self._pickler)
            self._send(Kind.OUTCOME, _head(number, packed), packed.data)

    def _send_record(self, fields: dict[str, Any]) -> None:
        # What a task forks has this handler too, and must not write into the middle of a message.
        if os.getpid() == self._pid:
            self._send(Kind.RECORD, b"", pickle.dumps(fields))

    def _send_secrets(self, texts: list[str]) -> None:
        if os.getpid() == self._pid:
            self._send(Kind.SECRETS, b"", pickle.dumps(texts))

    def _send_text(self, text: bytes) -> None:
        self._send(Kind.PRINT, text)

    def _send(self, kind: Kind, head: bytes, body: bytes | memoryview = b"", buffers: Any = ()) -> None:
        with self._sending:
            self._channel.send(kind, head, body, buffers)

    # -- signals -------------------------------------------------------------------------------------------------

    def _interrupt(self, *_: object) -> None:
        """Stop the task, if one is running: the run is being cancelled."""
        self._interrupted = True
        if self._running:
            raise KeyboardInterrupt

    def _terminate(self, *_: object) -> None:
        """Die, unless the signal is meant for what a task has started that was stopped."""
        late = self._deadline is not None and time.monotonic() >= self._deadline
        if os.getpid() != self._pid or not (late or self._interrupted or self._retired):
            _die_from(signal.SIGTERM)


def _readable(message: Message, what: str) -> Message:
    if message.error is None:
        return message
    raise TransferError(f"{what} could not be received: {describe(message.error)}.") from message.error


def _head(number: int, packed: PackedOutcome) -> bytes:
    return pickle.dumps((number, packed.key, packed.error, packed.traceback, packed.location))


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
