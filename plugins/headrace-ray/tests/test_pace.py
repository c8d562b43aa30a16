"""How much work of one task leaves together, and when."""

from __future__ import annotations

import pytest

from headrace_ray.departures import Departures
from headrace_ray.flights import Pace, Passenger, Route
from headrace_ray.references import Cargo


def test_work_leaves_alone_until_it_has_proved_to_be_short():
    pace = Pace()
    assert pace.size == 1
    sizes = []
    for _ in range(8):
        pace.note(0.0001)
        sizes.append(pace.size)
    assert sizes == [2, 4, 8, 16, 32, 64, 64, 64]


def test_what_leaves_together_takes_a_moment():
    pace = Pace()
    for _ in range(10):
        pace.note(0.002)
    assert pace.size == 10


def test_one_that_was_long_makes_the_next_leave_alone_for_a_while():
    pace = Pace()
    for _ in range(10):
        pace.note(0.0001)
    pace.note(1.0)
    assert pace.size == 1
    pace.note(0.0001)
    assert pace.size == 1
    for _ in range(10):
        pace.note(0.0001)
    assert pace.size > 1


def test_after_a_death_all_leave_alone():
    pace = Pace()
    pace.note(0.0001)
    pace.never()
    assert pace.size == 1
    pace.note(0.0001)
    assert pace.size == 1


class Airport:
    """Departures without Ray: what has left, by the numbers of the passengers."""

    def __init__(self, cpus=2, held=0):
        self.left = []
        self.refused = []
        self.fails = False
        self.departures = Departures(
            lambda: cpus, held, self.left.append, lambda flight, error: self.refused.append(flight)
        )
        self.route = Route(self, self if held else None, b"", (), mark="", timed=False, cpus=1)

    def remote(self, *_arguments):
        if self.fails:
            raise RuntimeError("refused")
        return object(), object()

    def passenger(self, number, call=b""):
        return Passenger(number, print, self.route, call, Cargo())

    def send(self, *numbers, call=b""):
        for number in numbers:
            self.departures.join(self.passenger(number, call))

    def land(self, index):
        if self.departures.landed(self.left[index]):
            self.departures.go(self.route)

    @property
    def groups(self):
        return [[passenger.work for passenger in flight.passengers] for flight in self.left]


@pytest.fixture
def airport():
    return Airport()


def test_of_unknown_work_all_leaves_at_once(airport):
    airport.send(*range(5))
    assert airport.groups == [[0], [1], [2], [3], [4]]


def test_while_nothing_is_under_way_nobody_waits(airport):
    airport.route.pace.size = 8
    airport.send(0)
    assert airport.groups == [[0]]


def test_who_comes_meanwhile_leaves_when_one_lands_in_order_and_on_as_many_flights_as_there_are_cpus(airport):
    airport.route.pace.size = 8
    airport.send(*range(7))
    assert airport.groups == [[0]]
    airport.land(0)
    assert airport.groups == [[0], [1, 2, 3], [4, 5, 6]]


def test_a_full_flight_leaves_if_a_cpu_is_free(airport):
    airport.route.pace.size = 3
    airport.send(*range(7))
    assert airport.groups == [[0], [1, 2, 3]]


def test_who_waits_for_one_that_takes_long_leaves_alone(airport):
    airport.route.pace.size = 8
    airport.send(*range(4))
    airport.departures.hurry()
    assert airport.groups == [[0]]
    airport.route.moved -= 1
    airport.departures.hurry()
    assert airport.groups == [[0], [1], [2], [3]]
    assert airport.route.pace.size == 1


def test_much_to_carry_takes_more_flights(airport):
    airport.route.pace.size = 8
    airport.send(*range(5), call=b"x" * 40_000)
    airport.land(0)
    assert airport.groups == [[0], [1], [2]]


def test_who_has_not_left_is_given_back_by_a_cancellation(airport):
    airport.route.pace.size = 8
    passengers = [airport.passenger(number) for number in range(4)]
    for passenger in passengers:
        airport.departures.join(passenger)
    assert airport.departures.cancel(passengers) == passengers[1:]
    assert airport.left[0].cancelled
    assert not airport.departures.join_again(passengers[0])


def test_what_ray_refuses_is_said_of_its_flight(airport):
    airport.fails = True
    airport.send(0)
    assert airport.left == []
    assert [flight.refused.args for flight in airport.refused] == [("refused",)]


def test_as_many_flights_as_a_task_that_waits_holds_cpus_take_its_place():
    airport = Airport(held=1)
    airport.send(0, 1)
    assert [flight.in_place for flight in airport.left] == [True, False]
    airport.land(0)
    airport.send(2)
    assert [flight.in_place for flight in airport.left] == [True, False, True]
