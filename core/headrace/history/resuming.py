"""What a resumed run takes over from the one before, task run by task run, and why the rest runs again."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from headrace import states
from headrace.exceptions import HistoryError
from headrace.history.records import UNMAPPED, RunRecord, TaskRecord, TaskRunQuery, TaskRunRecord
from headrace.references import ReleasedValue
from headrace.states import Mapped, Pending, State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.history.sealing import Sealer
    from headrace.results import ResultFiles

__all__ = ["Decision", "Resumption", "prepare_resumption"]

_REUSED: Final = frozenset({"Success", "Cached", "Skipped"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What becomes of a task: ``reused`` of its task runs are taken over, out of ``known``; ``why`` some run again."""

    slug: str
    reused: int
    known: int | None
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumption:
    """What a run goes on from: ``states`` are by slug, ``taken_over`` what the history is told of them.

    ``changed`` are the slugs of tasks whose code is not what it was; they run again.
    """

    run: RunRecord
    states: Mapping[str, State]
    taken_over: Sequence[TaskRunRecord]
    decisions: Sequence[Decision]
    changed: Sequence[str] = ()


@dataclass(kw_only=True, slots=True)
class _Task:
    """A task of the flow as it is now, and what the earlier run left of it.

    A ``resolved`` one, such as a parameter, has a value without running.
    """

    now: TaskRecord
    before: TaskRecord | None
    resolved: bool = False
    same_edges: bool = True
    whole: TaskRunRecord | None = None
    children: dict[int, TaskRunRecord] = field(default_factory=dict)
    why: str = ""
    kept: dict[int, TaskRunRecord] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """Whether nothing of it runs again."""
        return not self.why


def prepare_resumption(
    store: RunStore,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    *,
    sealer: Sealer,
    files: ResultFiles | None,
    rerun: Collection[str] = (),
    resolved: Collection[str] = (),
) -> Resumption:
    """Work out what a run of ``tasks``, the flow as it is now, takes over from ``run``.

    ``rerun`` are slugs of tasks that are to run again, with all that depend on them, and ``resolved`` of those that
    have a value without running. Values are read when they are
    needed, from the history or from ``files``. A fan-out whose upstream task never ran is unknown and not empty: it
    runs. Raises HistoryError.
    """
    earlier = store.tasks(run.id)
    before = {task.slug: task for task in earlier}
    found = [_Task(now=task, before=before.get(task.slug), resolved=task.slug in resolved) for task in tasks]
    for task in found:
        task.same_edges = task.before is None or _edges(task.before, earlier) == _edges(task.now, tasks)
    _collect(store, run, found)
    for task in found:
        _decide(task, found, rerun)
    loader = _Loader(store, run.id, sealer, files)
    return Resumption(
        run=run,
        states=dict(_states(found, loader)),
        taken_over=[
            record._replace(node=task.now.node, taken_from=record.taken_from or run.id)
            for task in found
            for record in ([task.whole] if task.is_kept and task.whole else []) + list(task.kept.values())
            if not task.resolved
        ],
        decisions=[_decision(task) for task in found],
        changed=[task.now.slug for task in found if _is_changed(task)],
    )


def _collect(store: RunStore, run: RunRecord, found: Sequence[_Task]) -> None:
    by_node = {task.before.node: task for task in found if task.before is not None}
    for record in store.task_runs(run.id, TaskRunQuery(data=True)):
        task = by_node.get(record.node)
        if task is None:
            continue
        if record.map_index == UNMAPPED:
            task.whole = record
        else:
            task.children[record.map_index] = record


def _is_changed(task: _Task) -> bool:
    return task.before is not None and task.before.source_digest != task.now.source_digest


def _decide(task: _Task, found: Sequence[_Task], rerun: Collection[str]) -> None:
    """Say why ``task`` runs again, or part of it, or leave that empty; those before it have been decided."""
    task.why = _reason(task, found, rerun)
    if not task.now.mapped or not task.children:
        return
    if task.why and not task.why.startswith(_PARTLY):
        return
    task.kept = {i: child for i, child in task.children.items() if _may_stay(child) and _feeds_stay(task, found, i)}
    count = (task.whole.child_count or 0) if task.whole else 0
    missing = count - len(task.kept)
    if missing and not task.why:
        task.why = f"{missing} of {count} children had not succeeded"


_PARTLY: Final = "some of "


def _reason(task: _Task, found: Sequence[_Task], rerun: Collection[str]) -> str:
    reason = _own_reason(task, rerun)
    if reason:
        return reason
    for edge in task.now.upstream:
        upstream = found[edge.upstream]
        if not upstream.is_kept:
            pairwise = edge.mapped and upstream.kept and not edge.flattened
            return f"{_PARTLY if pairwise else ''}{upstream.now.slug} runs again"
    if task.resolved:
        return ""
    if task.whole is None:
        return "it had not begun"
    if task.now.mapped:
        return "" if task.whole.child_count is not None else "how many children it has is not known"
    return "" if _may_stay(task.whole) else _unfit(task.whole)


def _own_reason(task: _Task, rerun: Collection[str]) -> str:
    if task.now.slug in rerun:
        return "asked for"
    if task.before is None:
        return "it is new"
    if task.before.mapped != task.now.mapped or not task.same_edges:
        return "what it depends on has changed"
    return "its code has changed" if _is_changed(task) else ""


def _edges(task: TaskRecord, tasks: Sequence[TaskRecord]) -> list[tuple[Any, ...]]:
    return [(tasks[edge.upstream].slug, *edge[1:]) for edge in task.upstream]


def _unfit(record: TaskRunRecord) -> str:
    return "its result was not kept" if record.state in _REUSED else f"it was {record.state}"


def _may_stay(record: TaskRunRecord) -> bool:
    if record.state not in _REUSED:
        return False
    value = record.value
    return record.state == "Skipped" or value is None or value.data is not None or value.location is not None


def _feeds_stay(task: _Task, found: Sequence[_Task], index: int) -> bool:
    """Tell whether what child ``index`` was called with is what it would be called with now."""
    for edge in task.now.upstream:
        upstream = found[edge.upstream]
        if not upstream.is_kept and not (edge.mapped and index in upstream.kept):
            return False
    return True


def _decision(task: _Task) -> Decision:
    if task.now.mapped:
        known = None if task.whole is None else task.whole.child_count
        return Decision(slug=task.now.slug, reused=len(task.kept), known=known, why=task.why)
    return Decision(slug=task.now.slug, reused=int(task.is_kept), known=1, why=task.why)


# States


def _states(found: Sequence[_Task], loader: _Loader) -> Iterator[tuple[str, State]]:
    for task in found:
        if task.resolved:
            continue
        if task.now.mapped:
            if task.kept or (task.is_kept and task.whole is not None):
                count = task.whole.child_count if task.whole and task.whole.child_count is not None else 0
                children = [loader.state(task.kept[i]) if i in task.kept else Pending() for i in range(count)]
                yield task.now.slug, Mapped("Taken over from an earlier run.", map_states=list(children))
        elif task.is_kept and task.whole is not None:
            yield task.now.slug, loader.state(task.whole)


class _Loader:
    """Makes states of records; the values are read when somebody asks for them."""

    def __init__(self, store: RunStore, run_id: str, sealer: Sealer, files: ResultFiles | None) -> None:
        self._store = store
        self._run_id = run_id
        self._sealer = sealer
        self._files = files

    def state(self, record: TaskRunRecord) -> State:
        """Return the state that ``record`` is of."""
        state: State = getattr(states, record.state)(record.message)
        state.started, state.timestamp = record.started, record.entered
        state.result = self._value(record)
        return state

    def _value(self, record: TaskRunRecord) -> Any:
        value = record.value
        if value is None:
            return None
        if value.data is not None:
            return ReleasedValue(self._inline(value.data))
        if value.location is not None:
            return ReleasedValue(self._stored(value.location))
        return None

    def _inline(self, sealed: bytes) -> Callable[[], object]:
        def load() -> object:
            return pickle.loads(self._sealer.unseal(sealed, "A recorded result"))  # noqa: S301 - under our own seal

        return load

    def _stored(self, location: str) -> Callable[[], object]:
        def load() -> object:
            if self._files is None:
                raise HistoryError(f"The result at {location!r} is in a result store that this run does not have.")
            return self._files.load(location)

        return load
