"""The thread that waits for Ray: it delivers what has ended, and kills what is late."""

from __future__ import annotations

import pickle
import time
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError

from headrace.exceptions import ExecutorError, describe
from headrace.log import get_logger
from headrace.remote import replay
from headrace_ray.landing import landed, mended
from headrace_ray.mailbox import BEGUN, LATE, RECORDS, MailReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from headrace_ray.dispatch import Flight, Store
    from headrace_ray.window import Window
    from headrace_ray.worker import Reply

__all__ = ["Collector"]

# Seconds to wait for more outcomes while they come in numbers, and at most before new work is looked for.
_SHORT: Final = 0.008
_LONG: Final = 0.05
# How much of what is with Ray is worth being collected at once.
_SHARE: Final = 4
# Seconds after which a task that runs may have something to say before it ends.
_WHILE: Final = 2.0
_EVERY: Final = 1.0
# Seconds between a deadline, at which the worker itself interrupts Python code, and the end of its process.
_GRACE: Final = 0.5
# Seconds that it takes to die.
_DYING: Final = 1.0
# As many pieces of work are brought by Ray itself, which costs more than looking after many at once, and is faster.
_FEW: Final = 4
_STOPPING: Final = 10.0


class Collector:
    """Waits for the work of one run.

    ``look_around`` is called every second or so while work is out; ``kill`` is given marks of work, and kills the
    processes that do it.
    """

    def __init__(
        self,
        store: Store,
        window: Window,
        mailbox: str,
        *,
        look_around: Callable[[], object],
        kill: Callable[[Iterable[str]], object],
    ) -> None:
        self._store = store
        self._kill = kill
        self._window = window
        self._mailbox = mailbox
        self._look_around = look_around
        self._looked = time.monotonic()
        # What is out, by the key of the work, and as far as the thread has taken it in, by what it waits for.
        self._out: dict[int, Flight] = {}
        self._flights: dict[Any, Flight] = {}
        self._new: SimpleQueue[Flight | None] = SimpleQueue()
        self._stopped = False
        # What was killed, and when it ought to be dead.
        self._doomed: list[Flight] = []
        self._doom = 0.0
        self._pause = _SHORT
        # Work with a timeout, by key.
        self._timed: dict[int, Flight] = {}
        self._mail: MailReader | None = None
        self._mail_failed = False
        self._opening = Lock()
        self._thread = Thread(target=self._run, name="headrace-ray-collector", daemon=True)

    # -- the driver's thread -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def send(self, flight: Flight) -> None:
        """Let a piece of work begin and wait for it."""
        if flight.timed:
            self._open_mailbox()
            self._timed[flight.work.key] = flight
        flight.leave()
        self._window.leave(flight.cpus)
        out = self._out
        out[flight.work.key] = flight
        if flight.timed or len(out) > _FEW:
            self._new.put(flight)
        else:
            flight.ref.future().add_done_callback(partial(self._arrived, flight))

    def cancel(self, *, force: bool) -> None:
        """Stop everything that is with Ray; what has begun is interrupted, or killed."""
        flights = list(self._out.values())
        for flight in flights:
            flight.cancelled = True
            with suppress(RayError):
                ray.cancel(flight.ref, force=force)
            if force:
                self._new.put(flight)
        if force and flights:
            self._doomed, self._doom = flights, time.monotonic() + _DYING

    def stop(self) -> None:
        """Kill what is left, and end."""
        self._stopped = True
        self._new.put(None)
        self._thread.join(_STOPPING)
        self.cancel(force=True)
        self._out.clear()
        self._flights.clear()
        if self._mail is not None:
            with suppress(RayError):
                self._mail.close()

    def _open_mailbox(self) -> None:
        with self._opening:
            if self._mail is None and not self._mail_failed:
                try:
                    self._mail = MailReader(self._mailbox)
                except Exception as error:  # noqa: BLE001 - any of Ray's; what it is for is a comfort
                    self._do_without_mail(error)

    def _do_without_mail(self, error: Exception) -> None:
        self._mail, self._mail_failed = None, True
        get_logger().warning(
            "Tasks that go on cannot tell this process what they log, nor when they began: %s", describe(error)
        )

    # -- the collector's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped:
            self._take_in()
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - without this thread the run would wait for ever
                self._give_up(error)

    def _take_in(self) -> None:
        """Take in what was sent meanwhile; if nothing is out, wait for something."""
        new, flights = self._new, self._flights
        while not (flights and new.empty()):
            try:
                flight = new.get(timeout=_WHILE)
            except Empty:
                self._adopt()
                continue
            if flight is None:
                return
            flights[flight.ref] = flight

    def _adopt(self) -> None:
        """Wait here for what was to come by itself and takes long, since more can be done about it here."""
        now = time.monotonic()
        slow = [flight for flight in list(self._out.values()) if now - flight.since > _WHILE]
        self._flights.update((flight.ref, flight) for flight in slow)
        if slow and self._mail is None:
            self._open_mailbox()

    def _round(self) -> None:
        if not self._flights:
            return
        ready = self._ready(list(self._flights))
        for ref, answer in zip(ready, _answers(ready), strict=True):
            self._land(self._flights.pop(ref), answer)
        now = time.monotonic()
        if self._timed:
            self._kill_what_is_late(now)
        if self._doomed and now > self._doom:
            self._kill_what_is_left()
        if now - self._looked > _EVERY:
            self._looked = now
            self._adopt()
            self._look_around()

    def _ready(self, refs: list[Any]) -> list[Any]:
        """Return what has ended. While much goes on, wait a moment for more of it; while little does, wait longer."""
        count = max(1, len(refs) // _SHARE) if self._pause == _SHORT else 1
        mail = self._mail
        if mail is not None:
            refs.append(mail.ref)
        ready: list[Any]
        ready, _ = ray.wait(refs, num_returns=count, timeout=self._pause, fetch_local=False)
        if mail is not None and mail.ref in ready:
            ready.remove(mail.ref)
            self._take(mail.read)
        self._pause = _SHORT if ready else min(2 * self._pause, _LONG)
        return ready

    def _arrived(self, flight: Flight, future: Future[bytes]) -> None:
        """Deliver what came by itself. Called in a thread of Ray's, for what went when little else was out."""
        answer = future.exception() or future.result()
        reply = pickle.loads(answer) if isinstance(answer, bytes) else None
        if reply is None or reply.mailed:
            self._new.put(flight)
        else:
            self._deliver(flight, reply)

    def _land(self, flight: Flight, answer: bytes | BaseException) -> None:
        try:
            if isinstance(answer, BaseException):
                # Ray complains about errors that nobody looks at, and this is one twice.
                _answer(flight.result)
            if mended(flight, answer):
                flight.leave()
                self._new.put(flight)
                return
            reply: Reply | BaseException = pickle.loads(answer) if isinstance(answer, bytes) else answer
            if self._mail is not None and (flight.timed if isinstance(reply, BaseException) else reply.mailed):
                # What was mailed before comes first: what the task logged, or its outcome, if it was too late.
                self._take(self._mail.flush)
        except Exception as error:  # noqa: BLE001 - whatever happened, the run waits for this outcome
            reply = error
        self._deliver(flight, flight.reply or reply)

    def _deliver(self, flight: Flight, reply: Reply | BaseException) -> None:
        if self._out.pop(flight.work.key, None) is None:
            return
        self._timed.pop(flight.work.key, None)
        self._window.land(flight.cpus)
        try:
            outcome = landed(flight, reply, self._store)
        except Exception as error:  # noqa: BLE001 - whatever happened, the run waits for this outcome
            outcome = flight.work.failed(error)
        flight.deliver(outcome)

    def _give_up(self, error: Exception) -> None:
        """Deliver everything as lost, since Ray cannot be asked about it any more."""
        reason = ExecutorError(f"Ray does not answer: {describe(error)}")
        reason.__cause__ = error
        flights, self._flights = self._flights, {}
        for flight in flights.values():
            self._deliver(flight, reason)

    # -- what workers say meanwhile ------------------------------------------------------------------------------

    def _take(self, letters: Callable[[], Iterable[tuple[str, Any]]]) -> None:
        try:
            for kind, content in letters():
                if kind == RECORDS:
                    for fields in content:
                        replay(fields)
                elif kind == BEGUN and content in self._timed:
                    self._timed[content].begin()
                elif kind == LATE and content[0] in self._timed:
                    flight = self._timed[content[0]]
                    flight.reply = content[1]
                    # It waits for that; what the task has started ends with its process.
                    ray.cancel(flight.ref, force=True)
        except RayError as error:
            self._do_without_mail(error)

    def _kill_what_is_late(self, now: float) -> None:
        for flight in list(self._timed.values()):
            if flight.deadline is not None and now > flight.deadline + _GRACE and not flight.late:
                flight.late = True
                ray.cancel(flight.ref, force=True)

    def _kill_what_is_left(self) -> None:
        """Kill the processes of work that Ray cannot kill.

        Where a task that holds the interpreter was asked to end, Ray's own thread in the worker waits for that, too,
        and does not hear any more that it is to end the process.
        """
        doomed, self._doomed = self._doomed, []
        if any(flight.work.key in self._out for flight in doomed):
            self._kill({flight.mark for flight in doomed})


def _answers(refs: list[Any]) -> list[bytes | BaseException]:
    try:
        found: list[bytes | BaseException] = ray.get(refs)
    except RayError:
        return [_answer(ref) for ref in refs]
    return found


def _answer(ref: Any) -> bytes | BaseException:
    try:
        data: bytes = ray.get(ref)
    except RayError as error:
        return error
    return data
