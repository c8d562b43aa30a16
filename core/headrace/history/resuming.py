"""What a resumed run takes over from the one before, task run by task run, and why the rest runs again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace import states
from headrace.history.choices import Choices, Found, is_good
from headrace.history.deciding import decide
from headrace.history.records import UNMAPPED, RunRecord, TaskRecord, TaskRunQuery, TaskRunRecord
from headrace.history.staying import Before, Staying, parts_that_may_stay
from headrace.history.undecided import MAY_STAY, collect_undecided
from headrace.states import Mapped, Pending, State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from headrace.abc import RunStore
    from headrace.history.taken_values import TakenValues

__all__ = ["Decision", "Question", "Resumption", "prepare_resumption"]

_NOTHING_ASKED_FOR = Choices()


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What becomes of a task.

    Attributes:
        slug: the task.
        known: how many task runs of it there are; None if that is not known.
        reused: how many of them are taken over.
        runs: how many run; None if that is not known.
        may_stay: how many of those that run stay after all if they are called with what they were called with before.
        skipped: how many are skipped although they failed or were under way.
        left_out: how many are left for another time.
        why: why not all are taken over; empty if they are.
    """

    slug: str
    known: int | None
    reused: int
    runs: int | None
    may_stay: int = 0
    skipped: int = 0
    left_out: int = 0
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """Something that whoever resumes a run has to decide: whether a task that had begun runs again."""

    slug: str
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumption:
    """What a run goes on from: ``states`` are by slug, ``taken_over`` what the history is told of them.

    ``changed`` are the slugs of tasks that had finished, wholly or in part, and whose code is not what it was;
    ``in_doubt`` of those that had failed or were under way and are about to run, or to be skipped. ``staying`` decides
    later about what may stay, if anything may.
    """

    run: RunRecord
    states: Mapping[str, State]
    taken_over: Sequence[TaskRunRecord]
    decisions: Sequence[Decision]
    changed: Sequence[str] = ()
    questions: Sequence[Question] = ()
    in_doubt: Collection[str] = ()
    staying: Staying | None = None

    def details(self) -> dict[str, object]:
        """Return what is to be known of the run that goes on, besides what is known of every run."""
        return {} if self.staying is None else {MAY_STAY: self.staying.slugs}


def prepare_resumption(
    store: RunStore,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    *,
    values: TakenValues,
    choices: Choices = _NOTHING_ASKED_FOR,
    resolved: Collection[str] = (),
    anew: Collection[str] = (),
) -> Resumption:
    """Work out what a run of ``tasks``, the flow as it is now, takes over from ``run``.

    ``resolved`` are the slugs of tasks that have a value without running, and ``anew`` of those whose value belongs to
    one run. A fan-out whose upstream task never ran is unknown and not empty: it runs. Raises HistoryError.
    """
    found = _found(store, run, tasks, resolved, anew)
    decide(found, choices, values.problem, run_died=run.cause is not None)
    before = Before(run.id)
    may_stay = {task.now.node: parts for task in found if (parts := parts_that_may_stay(task, before))}
    return Resumption(
        run=run,
        states={slug: state for task in found for slug, state in _state_of(task, values)},
        taken_over=list(_rows(found, run)),
        decisions=[_decision(task, len(may_stay.get(task.now.node, ()))) for task in found],
        changed=[task.now.slug for task in found if task.changed and any(map(is_good, task.parts.values()))],
        questions=[Question(slug=task.now.slug, what=task.question) for task in found if task.question],
        in_doubt={task.now.slug for task in found if task.in_doubt},
        staying=Staying(found, may_stay, values, run.id, partial(_load, values=values)) if may_stay else None,
    )


def _found(
    store: RunStore,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    resolved: Collection[str],
    anew: Collection[str],
) -> list[Found]:
    earlier = store.tasks(run.id)
    before = {task.slug: task for task in earlier}
    read = {edge.upstream for task in tasks for edge in task.upstream if edge.key is not None}
    found = []
    for task in tasks:
        was = before.get(task.slug)
        each = Found(now=task, before=was, resolved=task.slug in resolved, anew=task.slug in anew)
        if was is not None:
            # The value of a parameter is that of the earlier run, whatever its default is now.
            each.changed = was.source_digest != task.source_digest and task.kind != "parameter"
            each.same_edges = _edges(was, earlier) == _edges(task, tasks)
        each.is_read = task.node in read
        found.append(each)
    _collect(store, run, found)
    if MAY_STAY in run.details:
        collect_undecided(store, run, found)
    return found


def _collect(store: RunStore, run: RunRecord, found: Sequence[Found]) -> None:
    by_node = {task.before.node: task for task in found if task.before is not None}
    for record in store.task_runs(run.id, TaskRunQuery(data=True)):
        task = by_node.get(record.node)
        if task is None or task.resolved:
            continue
        if record.map_index == UNMAPPED:
            task.whole = record
        else:
            task.children[record.map_index] = record


def _edges(task: TaskRecord, tasks: Sequence[TaskRecord]) -> list[tuple[Any, ...]]:
    return [(tasks[edge.upstream].slug, *edge[1:]) for edge in task.upstream]


def _decision(task: Found, may_stay: int) -> Decision:
    known = task.count
    left = 1 if task.now.mapped and UNMAPPED in task.left else len(task.left)
    others = len(task.kept) + len(task.skipped) + left
    runs = None if known is None or (task.open and task.now.mapped) else known - others
    return Decision(
        slug=task.now.slug,
        known=known,
        reused=1 if task.resolved and not task.why else len(task.kept),
        runs=runs if task.runs else 0,
        may_stay=may_stay,
        skipped=len(task.skipped),
        left_out=left,
        why=task.question or task.why,
    )


# What the run that goes on starts from


def _state_of(task: Found, values: TakenValues) -> Iterator[tuple[str, State]]:
    """Yield the slug of ``task`` with the state that it starts from, if that is not Pending."""
    parts = {**task.kept, **task.skipped, **task.left}
    if task.resolved or (not parts and task.runs):
        return
    if not task.now.mapped or UNMAPPED in parts:
        yield task.now.slug, _load(task, parts[UNMAPPED], values)
        return
    # If there is no telling how many there are, one more that is to run makes it a map to be expanded.
    count = max(parts) + 2 if task.count is None else task.count
    children: list[State | None] = [_load(task, parts[i], values) if i in parts else Pending() for i in range(count)]
    yield task.now.slug, Mapped("Taken over from an earlier run.", map_states=children)


def _load(task: Found, record: TaskRunRecord, values: TakenValues) -> State:
    state: State = getattr(states, record.state)(record.message)
    state.started, state.timestamp = record.started, record.entered
    state.result = values.stand_in(task, record)
    return state


def _rows(found: Sequence[Found], run: RunRecord) -> Iterator[TaskRunRecord]:
    for task in found:
        if task.resolved:
            continue
        parts = {**task.kept, **task.skipped, **task.left}
        if task.now.mapped and not task.runs and UNMAPPED not in parts and task.whole is not None:
            parts[UNMAPPED] = task.whole._replace(state="Mapped", message="All mapped children have finished.")
        for index in sorted(parts):
            record = parts[index]
            yield record._replace(node=task.now.node, taken_from=record.taken_from or run.id)
