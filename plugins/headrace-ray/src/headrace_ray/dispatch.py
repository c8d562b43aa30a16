"""Work on its way to Ray."""

from __future__ import annotations

import pickle
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import ray
from ray.exceptions import RayError

from headrace.engine.values import approximate_size
from headrace.exceptions import ExecutorError, HeadraceError, ResultError, describe
from headrace.log import get_logger
from headrace.pickling import dump
from headrace.references import ResultReference
from headrace.remote import Courier, Levels, Part
from headrace.remote.pickles import Pickler
from headrace_ray import faults, worker
from headrace_ray.departures import fitting
from headrace_ray.flights import Passenger, Route
from headrace_ray.parcels import pack, size_of
from headrace_ray.references import Cargo, LostObjectError, StoredReference, loading
from headrace_ray.resources import demands, lacking
from headrace_ray.worker import Head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.engine.worker import Outcome, Work
    from headrace_ray.cluster import Connection
    from headrace_ray.parcels import Parcel

__all__ = ["Dispatcher", "Store"]

# What is larger does not travel inside a call, or with each call of a task.
_LARGE: Final = 65_536
_LARGE_PART: Final = 16_384
# How many large arguments of the driver's own are remembered, in case the next call has them too.
_REMEMBERED: Final = 8


class Store:
    """Objects in Ray's store, for references to them."""

    def __init__(self, connection: Connection) -> None:
        self.outlives_run = not connection.own
        self.closed = False
        ours: dict[str, Any] = {"num_cpus": 0, "max_retries": 3, "runtime_env": connection.runtime_env}
        self._cut: Any = ray.remote(**ours)(worker.cut)
        self._read_back: Any = ray.remote(**ours)(worker.read_back)

    def fetch(self, ref: Any, name: str) -> Parcel:
        if self.closed:
            raise ResultError(f"The result of task {name!r} was kept by a Ray that is not connected any more.")
        try:
            data, *buffers = ray.get(ref)
        except RayError as error:
            raise _unfetched(name, error) from error
        # What the values are made of must not be memory that is Ray's.
        return [data, *map(bytearray, buffers)]

    def cut(self, ref: Any, pieces: int, length: int, name: str) -> list[Any]:
        refs = self._cut.options(num_returns=pieces, name=f"cut the result of {name}").remote(ref, length)
        return refs if isinstance(refs, list) else [refs]

    def read_back(self, reload: Callable[[], object], name: str) -> Any:
        return self._read_back.options(name=f"read {name} back").remote(dump(reload), name)


def _unfetched(name: str, error: Exception) -> ResultError:
    lost = faults.lost_object(error)
    if lost is None:
        return ResultError(f"The result of task {name!r} could not be fetched: {describe(error)}")
    return LostObjectError(name, lost, type(faults.inner(error)).__name__)


def _new_mark() -> str:
    return f"[{uuid4().hex[:10]}]"


class Dispatcher:
    """Sends the work of one run. Used by the driver's thread.

    ``prints`` is whether what tasks print is to come here with what they log.
    """

    def __init__(
        self, connection: Connection, store: Store, versions: Mapping[str, str], *, prints: bool = False
    ) -> None:
        self.mailbox = f"headrace-mailbox-{uuid4()}"
        self._connection = connection
        self._store = store
        self._versions = versions
        self._courier = Courier()
        self._pickler = Pickler()
        self._levels = Levels.current()
        self._prints = prints
        self._function: Any = ray.remote(max_retries=0, num_returns=2)(worker.run)
        self._routes: dict[str, Route] = {}
        self._mark = _new_mark()
        self._parts: dict[str, tuple[Part, tuple[Any, ...]]] = {}
        # Values by id, held so that the ids stay theirs.
        self._large: dict[int, tuple[object, StoredReference]] = {}

    def passenger(self, work: Work, deliver: Callable[[Outcome], object]) -> Passenger:
        """Return ``work``, ready to leave.

        Raises `TransferError` for what cannot be sent, and `HeadraceError` for what the task asks for in vain.
        """
        run, task = self._courier.parts(work)
        route = self._routes.get(task.id) or self._new_route(work, run, task)
        call, cargo = self._called(work)
        return Passenger(work, deliver, route, call, cargo)

    def chain_length(self, work: Work) -> int:
        """Return how many pieces of work that follow on each other may fly together, of which ``work`` is the first."""
        with suppress(HeadraceError):
            route = self._routes.get(self._courier.parts(work)[1].id)
            return 1 if route is None or route.timed else route.pace.size
        return 1

    def chain(self, chain: Sequence[Work], deliver: Callable[[Outcome], object]) -> list[Passenger]:
        """Return the first of ``chain``, ready to leave, and what of the rest can leave with it.

        Raises for the first what `passenger` raises.
        """
        first, *others = chain
        passengers = [self.passenger(first, deliver)]
        with suppress(HeadraceError):
            for work in others:
                passenger = self.passenger(work, deliver)
                if passenger.route is not passengers[0].route:
                    break
                passengers.append(passenger)
        return passengers[: fitting(passengers, len(passengers))]

    def begin_anew(self) -> None:
        """Give what is sent from now on another mark, since what was sent before is killed."""
        self._mark = _new_mark()
        self._routes.clear()

    # -- the task ------------------------------------------------------------------------------------------------

    def _new_route(self, work: Work, run: Part, task: Part) -> Route:
        options = self._options(work)
        run, run_beside = self._sent_once(run, "The context of the run")
        task, task_beside = self._sent_once(task, f"Task {work.task.name!r}")
        timed = work.task.timeout is not None
        head = Head(run, task, self._levels, self._versions, self.mailbox, timed, self._prints)
        in_place = {**options, "num_cpus": 0} if self._connection.held and options.get("num_cpus", 1) else None
        route = Route(
            self._function.options(**options),
            None if in_place is None else self._function.options(**in_place),
            worker.joined(head),
            run_beside + task_beside,
            mark=self._mark,
            timed=timed,
            cpus=options.get("num_cpus", 1),
        )
        self._routes[task.id] = route
        return route

    def _options(self, work: Work) -> dict[str, Any]:
        options: dict[str, Any] = demands(work.task.name, work.task.tags, work.task.resources)
        missing = lacking(options, self._connection.nodes()) if options else None
        if missing and self._connection.fixed:
            raise ExecutorError(
                f"Task {work.task.name!r} asks for {missing}, which this Ray does not have.",
                hint="Start it with more: `num_cpus` and `resources` of the executor, or change the task's tags.",
            )
        if missing:
            get_logger().warning(
                "Task %r asks for %s, which no node of the cluster has; it waits for one that does.",
                work.task.name,
                missing,
            )
        if self._connection.runtime_env is not None:
            options["runtime_env"] = self._connection.runtime_env
        # Ray shows the name in its reports, and as the title of the process.
        return {**options, "name": f"{work.task.name} {self._mark}"}

    def _sent_once(self, part: Part, what: str) -> tuple[Part, tuple[Any, ...]]:
        """Return a part as it travels with each call, and what Ray is to bring beside: a large one, put once."""
        if len(part.data) <= _LARGE_PART:
            return part, ()
        if part.id not in self._parts:
            self._parts[part.id] = Part(part.id, b""), (ray.put([pickle.PickleBuffer(part.data)]),)
        return self._parts[part.id]

    # -- the call ------------------------------------------------------------------------------------------------

    def _called(self, work: Work) -> tuple[bytes, Cargo]:
        if self._large:
            self._recall(work)
        call, cargo = self._dumped(work)
        if len(call) > _LARGE:
            self._put_large(work)
            call, cargo = self._dumped(work)
        return call, cargo

    def _dumped(self, work: Work) -> tuple[bytes, Cargo]:
        cargo = Cargo()
        with loading(cargo):
            return self._courier.dump(work), cargo

    def _recall(self, work: Work) -> None:
        """Put references in the place of large arguments that earlier calls had too."""
        known = self._large
        if any(id(value) in known for value in work.arguments.values()):
            work.arguments = {
                name: known[id(value)][1] if id(value) in known else value for name, value in work.arguments.items()
            }

    def _put_large(self, work: Work) -> None:
        """Put each large argument into the object store, so that it does not travel inside the call, nor twice."""
        for name, value in work.arguments.items():
            if not isinstance(value, ResultReference) and approximate_size(value, _LARGE) > _LARGE:
                work.arguments = {**work.arguments, name: self._put(work, name, value)}

    def _put(self, work: Work, name: str, value: object) -> object:
        cargo = Cargo()
        with loading(cargo):
            parcel = pack(self._pickler, value, f"What task {work.name!r} is called with", {name: value})
        if cargo.sources:
            # A list of results of other tasks, which is not as large as what they stand for.
            return value
        reference = StoredReference(f"{work.name} ({name})", ray.put(parcel), size_of(parcel), None, self._store)
        while len(self._large) >= _REMEMBERED:
            del self._large[next(iter(self._large))]
        self._large[id(value)] = value, reference
        return reference
