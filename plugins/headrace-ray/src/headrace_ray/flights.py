"""Work that is with Ray: passengers, each one piece of work, and flights, each one Ray task that carries some."""

from __future__ import annotations

import pickle
import time
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from headrace_ray.worker import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.engine.worker import Outcome, Work
    from headrace_ray.references import Cargo
    from headrace_ray.worker import Reply

__all__ = ["Flight", "Pace", "Passenger", "Route"]

# Seconds that the work on one flight takes at most, and seconds from which on a piece of work flies alone.
_MOMENT: Final = 0.02
_SHORT: Final = 0.005
_MOST: Final = 64
# How fast it is forgotten that a piece of work took long.
_FADING: Final = 0.5


class Pace:
    """How much work of one task flies together: one piece, until it has proved to be short, then more and more."""

    def __init__(self) -> None:
        self.size = 1
        self._longest = 0.0
        self._alone = False

    def note(self, longest: float) -> None:
        """Take note of a flight of which the longest piece of work took so many seconds."""
        self._longest = max(longest, _FADING * self._longest)
        short = self._longest <= _SHORT and not self._alone
        self.size = max(1, min(2 * self.size, _MOST, int(_MOMENT / max(self._longest, 1e-6)))) if short else 1

    def never(self) -> None:
        """Let nothing fly together any more: one of the pieces of work has killed its worker."""
        self._alone, self.size = True, 1


class Route:
    """How work of one task goes: the Ray task, what all calls have in common, and what of it waits to fly together.

    ``in_place`` is the same Ray task for work that takes the CPUs of the task which waits for it, if there is one.
    ``aloft`` is how many flights are under way, ``moved`` when the last of them left or landed, and ``due`` whether one
    has landed for which others waited.
    """

    __slots__ = (
        "aloft",
        "cpus",
        "due",
        "function",
        "head",
        "in_place",
        "mark",
        "moved",
        "pace",
        "parts",
        "timed",
        "waiting",
    )

    def __init__(
        self, function: Any, in_place: Any, head: bytes, parts: tuple[Any, ...], *, mark: str, timed: bool, cpus: float
    ) -> None:
        self.function = function
        self.in_place = in_place
        self.head = head
        self.parts = parts
        self.mark = mark
        self.timed = timed
        self.cpus = cpus
        self.pace = Pace()
        self.waiting: list[Passenger] = []
        self.aloft = 0
        self.due = False
        self.moved = 0.0


class Passenger:
    """One piece of work.

    ``alone`` is whether it must not fly with others, and ``follows`` whether it follows on the one before it in a
    chain, and cannot fly without that.
    """

    __slots__ = ("alone", "call", "cargo", "deliver", "flight", "follows", "route", "work")

    def __init__(
        self, work: Work, deliver: Callable[[Outcome], object], route: Route, call: bytes, cargo: Cargo
    ) -> None:
        self.work = work
        self.deliver = deliver
        self.route = route
        self.call = call
        self.cargo = cargo
        self.alone = route.timed
        self.follows = False
        self.flight: Flight | None = None


class Flight:
    """One Ray task, or one after the other, that carries work of one task. What has a timeout flies alone.

    ``ref`` is what is ready when it has ended and ``result`` the object that the result of its last piece of work may
    be. ``started`` is when a task with a timeout began, in seconds since the epoch, and ``deadline`` when it is to be
    killed, as `time.monotonic` counts. ``reply`` is what came back another way. ``asked`` is when it was last asked how
    far it is, and ``refused`` why Ray did not take it. ``lost`` is whether work of it was, so that what follows on that
    in a chain does not count, whatever became of it, and ``in_place`` whether it takes the CPUs of who waits for it.
    """

    __slots__ = (
        *("asked", "cancelled", "deadline", "departures", "in_place", "landed", "late", "lost", "name", "passengers"),
        *("ref", "refused", "reply", "result", "route", "sent", "since", "started"),
    )

    def __init__(self, passengers: list[Passenger]) -> None:
        self.passengers = passengers
        self.route = passengers[0].route
        self.name = uuid4().bytes if len(passengers) > 1 else b""
        self.since = self.asked = time.monotonic()
        self.started: float | None = None
        self.deadline: float | None = None
        self.cancelled = False
        self.late = False
        self.landed = False
        self.lost = False
        self.in_place = False
        self.refused: Exception | None = None
        self.departures = 0
        self.reply: Reply | None = None
        self.sent: tuple[Any, ...] = ()
        self.ref: Any = None
        self.result: Any = None
        for passenger in passengers:
            passenger.flight = self

    @property
    def single(self) -> bool:
        """Whether it was to carry one piece of work, and no more."""
        return not self.name

    @property
    def timed(self) -> bool:
        """Whether the task has a timeout."""
        return self.route.timed

    def begin(self) -> None:
        """Note that the task has begun just now."""
        self.started = time.time()
        self.deadline = time.monotonic() + float(self.passengers[0].work.task.timeout or 0)

    def leave(self) -> None:
        """Begin, or begin anew."""
        route = self.route
        self.departures += 1
        refs: dict[Any, int] = {}
        calls = []
        for passenger in self.passengers:
            sources = passenger.cargo.sources
            places = tuple([refs.setdefault(source.ref, len(refs)) for source in sources]) if sources else ()
            calls.append((passenger.call, places))
        self.sent = tuple(refs)
        batch = pickle.dumps(Batch(self.name, calls, self.passengers[-1].follows), pickle.HIGHEST_PROTOCOL)
        function = route.in_place if self.in_place else route.function
        self.ref, self.result = function.remote(route.head + batch, *route.parts, *self.sent)
