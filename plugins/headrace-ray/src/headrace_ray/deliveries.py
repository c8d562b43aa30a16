"""Work that is out, and how the outcome of each piece reaches the run: once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace_ray.landing import landed, stopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.abc import OutputTaker
    from headrace.engine.worker import Outcome
    from headrace_ray.departures import Departures
    from headrace_ray.dispatch import Store
    from headrace_ray.flights import Flight, Passenger
    from headrace_ray.window import Window
    from headrace_ray.worker import Reply

__all__ = ["Deliveries"]


class Deliveries:
    """Delivers what has become of work. Used from any thread.

    ``out`` is the work of which that is not known, by its key, and ``timed`` that of it which has a timeout.
    """

    def __init__(self, departures: Departures, window: Window, store: Store, take_output: OutputTaker | None) -> None:
        self.out: dict[int, Passenger] = {}
        self.timed: dict[int, Passenger] = {}
        self._departures = departures
        self._window = window
        self._store = store
        self._take_output = take_output

    def expect(self, passenger: Passenger) -> None:
        """Take note of work that is about to leave."""
        key = passenger.work.key
        self.out[key] = passenger
        if passenger.route.timed:
            self.timed[key] = passenger
        self._window.leave(passenger.route.cpus)

    def unload(self, flight: Flight, replies: Iterable[Reply | None]) -> None:
        """Deliver what has come of a flight; what it has not begun leaves anew."""
        for passenger, reply in zip(flight.passengers, replies, strict=True):
            # What was taken away meanwhile flies with another one.
            if passenger.flight is not flight:
                continue
            if reply is None:
                self.send_again(passenger)
            else:
                self.end(passenger, flight, flight.reply or reply)

    def send_again(self, passenger: Passenger) -> None:
        """Send work alone that has not begun, or what is as good as that; what follows on other work is given back."""
        if passenger.follows:
            self._put_back(passenger)
        elif passenger.work.key in self.out and not self._departures.join_again(passenger):
            self.stop_before(passenger)

    def end(self, passenger: Passenger, flight: Flight, reply: Reply | BaseException) -> None:
        """Deliver work of which Ray says ``reply``."""
        if isinstance(reply, BaseException):
            if passenger.follows and flight.lost:
                self._put_back(passenger)
                return
            flight.lost = True
        if self.out.pop(passenger.work.key, None) is None:
            return
        try:
            outcome = landed(passenger, flight, reply, self._store, self._take_output)
        except Exception as error:  # noqa: BLE001 - whatever happened, the run waits for this outcome
            outcome = passenger.work.failed(error)
        self._deliver(passenger, outcome)

    def stop_before(self, passenger: Passenger) -> None:
        """Deliver work as cancelled before it began."""
        if self.out.pop(passenger.work.key, None) is not None:
            self._deliver(passenger, stopped(passenger))

    def _put_back(self, passenger: Passenger) -> None:
        if self.out.pop(passenger.work.key, None) is not None:
            self._deliver(passenger, passenger.work.not_begun())

    def _deliver(self, passenger: Passenger, outcome: Outcome) -> None:
        if self.timed:
            self.timed.pop(passenger.work.key, None)
        self._window.land(passenger.route.cpus)
        passenger.deliver(outcome)
