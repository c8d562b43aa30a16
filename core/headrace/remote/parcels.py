"""Work taken apart for the journey: what all runs of a task share, and the one call."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.engine.worker import Work
from headrace.remote.pickles import Pickler, is_plain, load
from headrace.run_context import RunFrame, run_around

if TYPE_CHECKING:
    from headrace.engine.remembering import Memory
    from headrace.results import ResultKeeper
    from headrace.run_context import Frame
    from headrace.states import Looped
    from headrace.tasks import Task

__all__ = ["Call", "Courier", "Part", "Workshop"]


class Part(NamedTuple):
    """What a worker process needs once, as a pickle; ``id`` is unique among what one `Courier` sends."""

    id: str
    data: bytes | memoryview


class Call(NamedTuple):
    """What is particular to one piece of work; the fields are those of `Work`."""

    key: int
    slug: str
    arguments: dict[str, Any]
    map_index: int
    attempt: int
    loop: Looped | None
    resumed: bool


class _Blueprint(NamedTuple):
    """What all runs of one task in one flow run have in common."""

    task: Task
    keeper: ResultKeeper | None
    memory: Memory | None


class Courier:
    """Takes the work of one run apart. Used by the driver's thread, or by one thread at a time."""

    def __init__(self) -> None:
        self._pickler = Pickler()
        self._runs: dict[int, Part] = {}
        self._by_task: dict[tuple[int, int], tuple[Part, Part]] = {}
        self._by_content: dict[object, tuple[Part, Part]] = {}
        # What the keys above are the ids of.
        self._alive: list[object] = []

    def parts(self, work: Work) -> tuple[Part, Part]:
        """Return what a worker must have been given before it can make ``work``: the run and the task.

        Pickled when first asked for. Raises `TransferError` naming what cannot be pickled.
        """
        found = self._by_task.get((id(work.parent), id(work.task)))
        if found is None:
            held = (work.parent, work.keeper, getattr(work, "memory", None), *work.task.__dict__.values())
            # Not the work itself: what it is called with may be large.
            self._alive.append((work.task, held))
            content = _content(work.task, held)
            found = self._by_content.get(content)
            if found is None:
                found = self._by_content[content] = self._run(work.parent), self._task(work)
            self._by_task[id(work.parent), id(work.task)] = found
        return found

    def _task(self, work: Work) -> Part:
        blueprint = _Blueprint(_without_handlers(work.task), work.keeper, getattr(work, "memory", None))
        data = self._pickler.dump(blueprint, f"Task {work.task.name!r}", parts=blueprint._asdict())
        return Part(f"{id(self)}/{len(self._by_content)}", data)

    def _run(self, frame: Frame | None) -> Part:
        if id(frame) not in self._runs:
            id_ = frame.lookup("flow_run_id") if frame is not None else "none"
            snapshot = _snapshot(frame)
            data = self._pickler.dump(snapshot, "The context of the run", parts={"context": snapshot.values})
            self._runs[id(frame)] = Part(str(id_), data)
        return self._runs[id(frame)]

    def call(self, work: Work) -> Call:
        """Return what is particular to ``work``, not pickled."""
        return Call(work.key, work.slug, work.arguments, work.map_index, work.attempt, work.loop, work.resumed)

    def dump(self, work: Work, buffers: list[Any] | None = None) -> bytes:
        """Return `call` as a pickle; where ``buffers`` is given, large buffers go there instead.

        Raises `TransferError` naming the argument that cannot be pickled.
        """
        if work.loop is None and all(map(is_plain, work.arguments.values())):
            return pickle.dumps(tuple(self.call(work)), pickle.HIGHEST_PROTOCOL)
        what = f"What task {work.name!r} is called with"
        return self._pickler.dump(tuple(self.call(work)), what, buffers, work.arguments)


class Workshop:
    """Puts work together again, in a worker process. Used by one thread at a time."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def __contains__(self, part_id: str) -> bool:
        return part_id in self._parts

    def add(self, part: Part) -> None:
        """Take in a part; raise `TransferError` if it cannot be read here, as where a module is missing."""
        self._parts[part.id] = load(part.data, "What was sent to the worker")

    def discard(self, part_id: str) -> None:
        """Forget a part, if it is there: of a task that runs once, nothing need be kept."""
        self._parts.pop(part_id, None)

    def work(self, run_id: str, task_id: str, call: Call) -> Work:
        """Return the work that the parts and ``call`` were made of."""
        frame, blueprint = self._parts[run_id], self._parts[task_id]
        work = Work(
            call.key,
            blueprint.task,
            call.slug,
            call.arguments,
            call.map_index,
            call.attempt,
            call.loop,
            call.resumed,
            frame,
            blueprint.keeper,
        )
        if blueprint.memory is None:
            return work
        from headrace.engine.remembering import RememberingWork  # noqa: PLC0415 - only for tasks that ask for it

        return RememberingWork(work, blueprint.memory)


def _content(task: Task, held: tuple[object, ...]) -> object:
    """Return what is equal for two copies of a task that hold the very same things, as calling it twice makes them."""
    return type(task), tuple(task.__dict__), tuple(map(id, held))


def _without_handlers(task: Task) -> Task:
    """Return the task without what only the driver calls: a state handler may hold a connection, or a lock."""
    if not task.state_handlers:
        return task
    new = task._clone()
    new.state_handlers = []
    return new


def _snapshot(frame: Frame | None) -> RunFrame:
    """Return the values of the run around the work, without what only the driver can use."""
    values: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    began = 0.0
    run = run_around(frame)
    while frame is not None:
        # A run inside a task of another: of the task around it, its work's own names say nothing about this one.
        if not isinstance(frame, Work):
            values = {**getattr(frame, "values", {}), **values}
        if isinstance(frame, RunFrame):
            began = began or frame.began
            secrets = {**frame.secrets, **secrets}
        frame = frame.parent
    found = RunFrame(values, None, began, None, secrets)
    found.recorded = run is not None and run.recorded
    return found
