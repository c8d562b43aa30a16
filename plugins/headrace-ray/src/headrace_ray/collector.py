"""The thread that waits for Ray: it delivers what has ended, and kills what is late."""

from __future__ import annotations

import math
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
from headrace_ray import faults
from headrace_ray.deliveries import Deliveries
from headrace_ray.departures import Departures
from headrace_ray.flights import Flight
from headrace_ray.inquiries import Inquiries
from headrace_ray.landing import mended
from headrace_ray.mailbox import BEGUN, LATE, RECORDS, MailReader
from headrace_ray.records import hand_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from headrace.abc import OutputTaker
    from headrace_ray.cluster import Connection
    from headrace_ray.dispatch import Store
    from headrace_ray.flights import Passenger
    from headrace_ray.inquiries import Report
    from headrace_ray.window import Window
    from headrace_ray.worker import Answer, Reply

__all__ = ["Collector"]

# Seconds to wait for more outcomes while they come in numbers, and at most before new work is looked for.
_SHORT: Final = 0.008
_LONG: Final = 0.05
# How much of what is with Ray is worth being collected at once.
_SHARE: Final = 4
# Seconds between looks at what waits or takes long.
_OFTEN: Final = 0.1
# Seconds after which work that left together, and is short, takes long.
_TOO_LONG: Final = 0.5
# Seconds after which a task that runs may have something to say before it ends.
_WHILE: Final = 2.0
_EVERY: Final = 1.0
# Seconds between a deadline, at which the worker itself interrupts Python code, and the end of its process.
_GRACE: Final = 0.5
# Seconds that it takes to die.
_DYING: Final = 1.0
# As many flights are brought by Ray itself, which costs more than looking after many at once, and is faster.
_FEW: Final = 4
_STOPPING: Final = 10.0


class Collector:
    """Waits for the work of one run.

    ``look_around`` is called every second or so while work is out; ``kill`` is given marks of work, and kills the
    processes that do it. ``take_output`` gets what tasks print.
    """

    def __init__(
        self,
        connection: Connection,
        store: Store,
        window: Window,
        mailbox: str,
        *,
        look_around: Callable[[], object],
        kill: Callable[[Iterable[str]], object],
        take_output: OutputTaker | None,
    ) -> None:
        self._take_output = take_output
        self._kill = kill
        self._mailbox = mailbox
        self._look_around = look_around
        self._looked = self._attended = time.monotonic()
        self._departures = Departures(lambda: window.cpus, connection.held, self._left, self._land)
        self._inquiries = Inquiries(connection, lambda reports: self._new.put(partial(self._hear, reports)))
        self._deliveries = Deliveries(self._departures, window, store, take_output)
        # The flights that the thread looks after, by what it waits for.
        self._flights: dict[Any, Flight] = {}
        self._new: SimpleQueue[Flight | Callable[[], object] | None] = SimpleQueue()
        self._stopped = False
        # What was killed, and when it ought to be dead.
        self._doomed: list[Passenger] = []
        self._doom = 0.0
        self._pause = _SHORT
        self._mail: MailReader | None = None
        self._mail_failed = False
        self._opening = Lock()
        self._thread = Thread(target=self._run, name="headrace-ray-collector", daemon=True)

    # -- the driver's thread -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to wait."""
        self._thread.start()

    def send(self, passengers: list[Passenger]) -> None:
        """Let a piece of work begin, or a chain, and wait for it."""
        if passengers[0].route.timed:
            self._open_mailbox()
        for passenger in passengers:
            self._deliveries.expect(passenger)
        if len(passengers) > 1:
            self._departures.join_as_chain(passengers)
        else:
            self._departures.join(passengers[0])

    def cancel(self, *, force: bool) -> None:
        """Stop everything that is with Ray; what has begun is interrupted, or killed."""
        passengers = list(self._deliveries.out.values())
        for passenger in self._departures.cancel(passengers):
            self._deliveries.stop_before(passenger)
        flights = [flight for flight in _flights_of(passengers) if flight.refused is None]
        for flight in flights:
            with suppress(RayError):
                ray.cancel(flight.ref, force=force)
            if force:
                self._new.put(flight)
        if force and flights:
            self._doomed, self._doom = passengers, time.monotonic() + _DYING

    def stop(self) -> None:
        """Kill what is left, and end."""
        self._stopped = True
        self._new.put(None)
        self._thread.join(_STOPPING)
        self._inquiries.close()
        self.cancel(force=True)
        self._deliveries.out.clear()
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

    # -- any thread ----------------------------------------------------------------------------------------------

    def _left(self, flight: Flight) -> None:
        if flight.timed or self._departures.aloft > _FEW:
            self._new.put(flight)
        else:
            flight.ref.future().add_done_callback(partial(self._arrived, flight))

    def _arrived(self, flight: Flight, future: Future[bytes]) -> None:
        """Deliver what came by itself. Called in a thread of Ray's, for what went when little else was out."""
        data = future.exception() or future.result()
        answer: Answer | None = pickle.loads(data) if isinstance(data, bytes) else None
        replies = None if answer is None else _replies(answer)
        if answer is None or replies is None or any(reply is None or reply.mailed for reply in replies):
            self._new.put(partial(self._land, flight, data))
            return
        if self._land_on_time(flight, answer):
            # In a thread of Ray's nothing may leave: that may have to wait for Ray.
            self._new.put(partial(self._departures.go, flight.route))
        self._deliveries.unload(flight, replies)

    def _land_on_time(self, flight: Flight, answer: Answer) -> bool:
        """Take note that a flight has landed and how long it took; tell whether others wait for that."""
        if None in answer.replies and not answer.chain_ended:
            # It was more than could be done in a moment.
            flight.route.pace.note(_TOO_LONG)
        else:
            flight.route.pace.note(answer.longest)
        return self._departures.landed(flight)

    # -- the collector's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped:
            try:
                self._take_in()
                self._round()
            except Exception as error:  # noqa: BLE001 - without this thread the run would wait for ever
                self._give_up(error)

    def _take_in(self) -> None:
        """Take in what was sent meanwhile; if nothing is out, wait for something."""
        new, flights = self._new, self._flights
        while not (flights and new.empty()):
            if time.monotonic() - self._attended > _OFTEN:
                self._attend()
            try:
                item = new.get(timeout=_OFTEN if self._deliveries.out else _WHILE)
            except Empty:
                continue
            if item is None:
                return
            if isinstance(item, Flight):
                flights[item.ref] = item
            else:
                item()

    def _attend(self) -> None:
        """See to what waits or takes long."""
        now = time.monotonic()
        self._attended = now
        self._departures.hurry()
        flights = _flights_of(list(self._deliveries.out.values()))
        for flight in flights:
            # Asked about less and less often: it may be that it waits for its turn.
            if not flight.single and now - flight.asked > max(_TOO_LONG, flight.asked - flight.since):
                flight.asked = now
                self._inquiries.ask(flight)
        # More can be done here about what was to come by itself and takes long.
        slow = [flight for flight in flights if now - flight.since > _WHILE and not flight.landed]
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
        if self._deliveries.timed:
            self._kill_what_is_late(now)
        if self._doomed and now > self._doom:
            self._kill_what_is_left()
        if now - self._attended > _OFTEN:
            self._attend()
        if now - self._looked > _EVERY:
            self._looked = now
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

    def _land(self, flight: Flight, data: bytes | BaseException) -> None:
        if isinstance(data, BaseException):
            self._crash(flight, data)
            return
        try:
            answer: Answer = pickle.loads(data)
            replies = _replies(answer)
        except Exception as error:  # noqa: BLE001 - whatever happened, the run waits for this outcome
            self._crash(flight, error)
            return
        if self._land_on_time(flight, answer):
            self._departures.go(flight.route)
        if self._mail is not None and any(reply is not None and reply.mailed for reply in replies):
            # What was mailed before comes first: what the task logged, or its outcome, if it was too late.
            self._take(self._mail.flush)
        self._deliveries.unload(flight, replies)

    def _crash(self, flight: Flight, error: BaseException) -> None:
        if flight.refused is None:
            # Ray complains about errors that nobody looks at, and this is one twice.
            _answer(flight.result)
        if flight.single and self._leaves_anew(flight, error):
            return
        if self._departures.landed(flight):
            self._departures.go(flight.route)
        if flight.timed and self._mail is not None and flight.refused is None:
            self._take(self._mail.flush)
        if flight.single or flight.cancelled or flight.refused is not None:
            for passenger in flight.passengers:
                if passenger.flight is flight:
                    self._deliveries.end(passenger, flight, flight.reply or error)
        elif faults.own_error(error) or faults.lost_object(error):
            # Nothing of it has begun, and each has to hear of that by itself.
            self._deliveries.unload(flight, [None] * len(flight.passengers))
        else:
            flight.route.pace.never()
            self._inquiries.ask(flight, error)

    def _leaves_anew(self, flight: Flight, error: BaseException) -> bool:
        with suppress(RayError):
            if mended(flight, error):
                flight.leave()
                self._new.put(flight)
                return True
        return False

    def _hear(self, reports: list[Report]) -> None:
        """Take note of how far flights are: what has ended is delivered, and what has not begun leaves anew."""
        for flight, error, findings, certain in reports:
            begun, ended = findings or (set(), {})
            if findings is not None:
                # There is nothing more to find out before it lands.
                flight.asked = math.inf
            elif error is None or not (certain and faults.is_of_one_process(error)):
                # It has not begun yet; or, if it has failed, nobody knows.
                begun = set(range(len(flight.passengers)))
            for place, passenger in enumerate(flight.passengers):
                if passenger.flight is not flight:
                    continue
                data = ended.get(place)
                reply: Reply | None = pickle.loads(data) if data else None
                if reply is not None and not reply.is_elsewhere:
                    self._deliveries.end(passenger, flight, reply)
                elif place not in begun or data == b"":
                    self._deliveries.send_again(passenger)
                elif error is not None:
                    self._deliveries.end(passenger, flight, error)

    def _give_up(self, error: Exception) -> None:
        """Deliver everything as lost, since Ray cannot be asked about it any more."""
        reason = ExecutorError(f"Ray does not answer: {describe(error)}")
        reason.__cause__ = error
        flights, self._flights = self._flights, {}
        for flight in flights.values():
            for passenger in flight.passengers:
                self._deliveries.end(passenger, flight, reason)

    # -- what workers say meanwhile ------------------------------------------------------------------------------

    def _take(self, letters: Callable[[], Iterable[tuple[str, Any]]]) -> None:
        try:
            for kind, content in letters():
                if kind == RECORDS:
                    hand_on(content, self._take_output)
                elif kind == BEGUN and content in self._deliveries.timed:
                    self._flight_of(content).begin()
                elif kind == LATE and content[0] in self._deliveries.timed:
                    flight = self._flight_of(content[0])
                    flight.reply = content[1]
                    # It waits for that; what the task has started ends with its process.
                    ray.cancel(flight.ref, force=True)
        except RayError as error:
            self._do_without_mail(error)

    def _flight_of(self, key: int) -> Flight:
        flight = self._deliveries.timed[key].flight
        assert flight is not None
        return flight

    def _kill_what_is_late(self, now: float) -> None:
        for flight in _flights_of(list(self._deliveries.timed.values())):
            if flight.deadline is not None and now > flight.deadline + _GRACE and not flight.late:
                flight.late = True
                ray.cancel(flight.ref, force=True)

    def _kill_what_is_left(self) -> None:
        """Kill the processes of work that Ray cannot kill.

        Where a task that holds the interpreter was asked to end, Ray's own thread in the worker waits for that, too,
        and does not hear any more that it is to end the process.
        """
        doomed, self._doomed = self._doomed, []
        if any(passenger.work.key in self._deliveries.out for passenger in doomed):
            self._kill({passenger.route.mark for passenger in doomed})


def _flights_of(passengers: Iterable[Passenger]) -> list[Flight]:
    """Return what these are on, each flight once."""
    return list({id(flight): flight for each in passengers if (flight := each.flight) is not None}.values())


def _replies(answer: Answer) -> list[Reply | None]:
    return [None if data is None else pickle.loads(data) for data in answer.replies]


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
