"""When work leaves for Ray, and what leaves together."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from headrace_ray.flights import Flight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from headrace_ray.flights import Passenger, Route

__all__ = ["Departures", "fitting"]

# How many bytes of calls, and how many objects beside them, one flight takes.
_MOST_BYTES: Final = 65_536
_MOST_OBJECTS: Final = 4
# Seconds after which those who wait for a flight to land wait no longer.
_PATIENCE: Final = 0.25


class Departures:
    """Lets work leave, by itself or, of tasks that have proved to be short, together. Used from any thread.

    What there is flies while fewer flights of its task are under way than the cluster has CPUs; the rest waits for one
    of these to land, and what has come together by then flies together. So work is gathered only while there is more
    than enough of it. ``held`` CPUs are those of a Ray task that waits for all this: as many flights take its place, so
    that something goes on where tasks that wait have all the CPUs there are. ``left`` is called for each flight, and
    ``failed`` for one that Ray refuses, with the reason.
    """

    def __init__(
        self,
        cpus: Callable[[], int],
        held: int,
        left: Callable[[Flight], object],
        failed: Callable[[Flight, Exception], object],
    ) -> None:
        self._cpus = cpus
        self._places = held
        self._left = left
        self._failed = failed
        self._lock = Lock()
        self._aloft = 0
        # Of which tasks work waits to fly together, by the id of the route.
        self._gathering: dict[int, Route] = {}

    @property
    def aloft(self) -> int:
        """How many flights are under way."""
        return self._aloft

    def join(self, passenger: Passenger) -> None:
        """Let work leave, now or soon."""
        route = passenger.route
        with self._lock:
            if passenger.alone or (route.pace.size == 1 and not route.waiting):
                flights = [self._begun([passenger])]
            else:
                route.waiting.append(passenger)
                self._gathering[id(route)] = route
                if not (route.due or route.aloft == 0 or len(route.waiting) >= route.pace.size):
                    return
                flights = self._taken(route)
        self._leave(flights)

    def join_as_chain(self, passengers: list[Passenger]) -> None:
        """Let work leave now, on one flight, each piece of which follows on the one before."""
        for passenger in passengers[1:]:
            passenger.follows = True
        with self._lock:
            flight = self._begun(passengers)
        self._leave([flight])

    def join_again(self, passenger: Passenger) -> bool:
        """Let work leave alone that left with others and did not begin; return False if it was cancelled meanwhile."""
        with self._lock:
            if passenger.flight is not None and passenger.flight.cancelled:
                return False
            passenger.alone = True
            flight = self._begun([passenger])
        self._leave([flight])
        return True

    def landed(self, flight: Flight) -> bool:
        """Take note that a flight has landed; tell whether others wait for that, who leave if `go` is called."""
        with self._lock:
            route = flight.route
            if not flight.landed:
                flight.landed = True
                route.aloft -= 1
                self._aloft -= 1
                self._places += flight.in_place
                route.moved = time.monotonic()
            route.due = bool(route.waiting)
            return route.due

    def go(self, route: Route) -> None:
        """Let those leave who wait for one that has landed."""
        with self._lock:
            flights = self._taken(route)
        self._leave(flights)

    def hurry(self) -> None:
        """Let those leave alone who have waited for a flight that takes long: it was not as short as it seemed."""
        if not self._gathering:
            return
        flights = []
        with self._lock:
            now = time.monotonic()
            for route in list(self._gathering.values()):
                if now - route.moved > _PATIENCE:
                    route.pace.note(now - route.moved)
                    flights += self._taken(route, at_once=True)
        self._leave(flights)

    def cancel(self, passengers: Iterable[Passenger]) -> list[Passenger]:
        """Mark the flights of these passengers as cancelled, and return those who have not left, and will not."""
        with self._lock:
            for passenger in passengers:
                if passenger.flight is not None:
                    passenger.flight.cancelled = True
            waiting = [passenger for route in self._gathering.values() for passenger in route.waiting]
            for route in self._gathering.values():
                route.waiting = []
            self._gathering.clear()
        return waiting

    def _taken(self, route: Route, *, at_once: bool = False) -> list[Flight]:
        flights = []
        free = self._cpus() - route.aloft
        while route.waiting and (free > 0 or at_once):
            share = -(-len(route.waiting) // max(free, 1))
            count = fitting(route.waiting, min(route.pace.size, share))
            passengers, route.waiting = route.waiting[:count], route.waiting[count:]
            flights.append(self._begun(passengers))
            free -= 1
        route.due = False
        if not route.waiting:
            self._gathering.pop(id(route), None)
        return flights

    def _begun(self, passengers: list[Passenger]) -> Flight:
        flight = Flight(passengers)
        flight.route.aloft += 1
        self._aloft += 1
        if self._places and flight.route.in_place is not None:
            self._places -= 1
            flight.in_place = True
        flight.route.moved = flight.since
        try:
            flight.leave()
        except Exception as error:  # noqa: BLE001 - any of Ray's; nobody must wait for what is lost by it
            flight.refused = error
        return flight

    def _leave(self, flights: list[Flight]) -> None:
        # Without the lock: what has landed already is delivered here.
        for flight in flights:
            if flight.refused is None:
                self._left(flight)
            else:
                self._failed(flight, flight.refused)


def fitting(waiting: Sequence[Passenger], size: int) -> int:
    """Return how many of those in front, at most ``size``, fit into one flight."""
    room = _MOST_BYTES
    objects: set[Any] = set()
    for count, passenger in enumerate(waiting[:size]):
        room -= len(passenger.call)
        objects.update(source.ref for source in passenger.cargo.sources)
        if count and (room < 0 or len(objects) > _MOST_OBJECTS):
            return count
    return size
