"""Why a task run is in the state it is in: what the history knows of it, down to what it all began with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from headrace.exceptions import RunNotFoundError
from headrace.history.choosing import name_of
from headrace.history.overview import GOOD_STATES, state_of_map
from headrace.history.records import UNMAPPED, TaskRunQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.abc import RunStore
    from headrace.history.records import AttemptRecord, EdgeRecord, RunRecord, Tally, TaskRecord, TaskRunRecord

__all__ = ["Explanation", "Reason", "explain"]

Kind = Literal["state", "trigger", "upstream", "root", "more", "attempt", "cache", "resume", "run", "child", "advice"]

# How many of each kind are named.
_MOST: Final = 10
# In seconds.
_SHORT: Final = 0.1
_SAYS_NOTHING: Final = frozenset({"Task run succeeded.", "Running."})
# Triggers that ask for upstream tasks that did not end well; to all others it is the bad ends that matter.
_WANT_FAILURES: Final = frozenset({"all_failed", "any_failed"})
_BAD_END: Final = frozenset({"Failed", "TimedOut", "Crashed", "ValidationFailed", "Cancelled", "TriggerFailed"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that had a part in it, in words; ``task_run`` names what it is about, if that is another task run."""

    kind: Kind
    text: str
    task_run: str | None = None
    state: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why ``task_run`` is in ``state``, which is None if it has not begun; the nearest reasons first.

    ``cache`` is what the history notes of its look into the cache, if it took one.
    """

    task_run: str
    state: str | None
    summary: str
    reasons: Sequence[Reason]
    cache: str | None = None


def explain(
    store: RunStore, run: RunRecord, tasks: Sequence[TaskRecord], task: TaskRecord, map_index: int
) -> Explanation:
    """Explain the state of one task run of ``run``; ``tasks`` are all of its tasks."""
    return _Inquiry(store, run, tasks).explain(task, map_index)


class _Inquiry:
    def __init__(self, store: RunStore, run: RunRecord, tasks: Sequence[TaskRecord]) -> None:
        self._store = store
        self._run = run
        self._tasks = tasks
        self._records: dict[tuple[int, int], TaskRunRecord | None] = {}
        self._tally: Sequence[Tally] | None = None

    def explain(self, task: TaskRecord, index: int) -> Explanation:
        record = self._record(task.node, index)
        notes = self._store.notes(self._run.id, task.node, index)
        state, summary = self._summary(task, index, record)
        reasons = [*self._reasons(task, index, record)]
        whole_notes = notes if index == UNMAPPED else self._store.notes(self._run.id, task.node, UNMAPPED)
        if record is not None and record.taken_from is not None:
            reasons += [Reason(kind="resume", text=note.text) for note in notes if note.kind == "stayed"]
        else:
            reasons += [
                Reason(kind="resume", text=f"it ran in this run, which goes on from {self._origin()}: {note.text}")
                for note in whole_notes
                if note.kind == "resume"
            ]
        cache = next((note.text for note in reversed(notes) if note.kind == "cache"), None)
        return Explanation(task_run=name_of(task, index), state=state, summary=summary, reasons=reasons, cache=cache)

    def _origin(self) -> str:
        return f"run {self._run.resumed_from[:8]}" if self._run.resumed_from else "another run"

    # -- one task run --------------------------------------------------------------------------------------------

    def _summary(self, task: TaskRecord, index: int, record: TaskRunRecord | None) -> tuple[str | None, str]:
        name = name_of(task, index)
        if record is None:
            return None, f"{name} has not begun." if self._run.ended is None else f"{name} never began."
        if record.taken_from is not None:
            return record.state, f"{name} did not run here: what it came to was taken over."
        if task.kind in {"parameter", "constant"}:
            return record.state, f"{name} is a {task.kind}: it has its value without running."
        if record.state == "Mapped":
            state = state_of_map(self._counts(task))
            why = ", as its children say" if record.child_count else ": it was mapped over nothing"
            return state, f"{name} {_became(state)}{why}."
        return record.state, f"{name} {_became(record.state)}."

    def _reasons(self, task: TaskRecord, index: int, record: TaskRunRecord | None) -> Iterator[Reason]:
        if record is None:
            yield from self._why_not_begun(task, index)
            return
        if record.taken_from is not None:
            yield self._where_it_ran(task, index, record)
            return
        if record.message and record.state != "Mapped" and record.message not in _SAYS_NOTHING:
            yield Reason(kind="state", text=record.message)
        if record.state in {"TriggerFailed", "Skipped"} and record.started is None:
            yield from self._why_not_run(task, index, record)
        elif record.state == "Mapped":
            yield from self._why_map(task)
        elif record.child_count is not None and not record.is_finished:
            yield from self._progress(task, record.child_count)
        yield from _times(record)
        yield from self._attempts(task, index)
        if not record.is_finished:
            yield from self._what_it_waits_for(task, record)
        elif record.state in {"Cancelled", "Crashed"} and self._run.message:
            yield Reason(kind="run", text=f"the run: {self._run.message}")

    def _where_it_ran(self, task: TaskRecord, index: int, record: TaskRunRecord) -> Reason:
        origin = record.taken_from or ""
        try:
            known = self._store.run(origin).name
        except RunNotFoundError:
            return Reason(kind="resume", text=f"it ran in run {origin}, which is in this history no more")
        return Reason(
            kind="resume", text=f"it ran in run {known}: `headrace why {origin[:8]} {_quoted(name_of(task, index))}`"
        )

    def _attempts(self, task: TaskRecord, index: int) -> Iterator[Reason]:
        found = self._store.attempts(self._run.id, task.node, index)
        for each in found[:_MOST]:
            yield Reason(kind="attempt", text=_attempt(each), state=each.state)
        if len(found) > _MOST:
            yield Reason(kind="more", text=f"and {len(found) - _MOST:,} more attempts")

    def _what_it_waits_for(self, task: TaskRecord, record: TaskRunRecord) -> Iterator[Reason]:
        if self._run.ended is not None:
            yield Reason(kind="run", text=f"the run has ended meanwhile, as {self._run.state}: {self._run.message}")
        elif record.state == "Paused":
            yield Reason(kind="advice", text="it goes on when somebody resumes it")
        elif record.state == "Queued" and task.tags:
            yield Reason(
                kind="advice", text=f"its tags are {', '.join(task.tags)}: `headrace limits` shows who has slots"
            )
        elif record.until is not None:
            from datetime import datetime  # noqa: PLC0415 - only for what waits

            until = datetime.fromtimestamp(record.until).astimezone()
            yield Reason(kind="state", text=f"it waits until {until:%Y-%m-%d %H:%M:%S}")

    # -- what did not begin --------------------------------------------------------------------------------------

    def _why_not_begun(self, task: TaskRecord, index: int) -> Iterator[Reason]:
        ended = self._run.ended is not None
        if ended:
            message = f": {self._run.message}" if self._run.message else ""
            yield Reason(kind="run", text=f"the run ended before it could, as {self._run.state}{message}")
        unfinished = [place for place in self._upstream(task, index) if not self._is_finished(*place)]
        for node, child in unfinished[:_MOST]:
            record = self._record(node, child)
            word = "had" if ended else "has"
            text = f"{word} not begun" if record is None else _became(record.state)
            yield self._reason("upstream", node, child, f"it waits for {self._name(node, child)}, which {text}")
        if not unfinished and not ended:
            yield Reason(kind="state", text="nothing is left that it waits for but a worker that is free")

    def _is_finished(self, node: int, index: int) -> bool:
        record = self._record(node, index)
        return record is not None and record.is_finished

    # -- what was not run because of others ----------------------------------------------------------------------

    def _why_not_run(self, task: TaskRecord, index: int, record: TaskRunRecord) -> Iterator[Reason]:
        skipped = record.state == "Skipped"
        if not skipped:
            yield Reason(kind="trigger", text=f"its trigger is {task.trigger or 'all_successful'}")
        if task.trigger in _WANT_FAILURES:
            for node, child in self._upstream(task, index):
                yield self._reason("upstream", node, child, self._told(node, child))
            return
        culprits, roots = self._walk(task, index, skipped=skipped)
        yield from self._named("upstream", culprits)
        yield from self._named("root", [place for place in roots if place not in culprits])

    def _named(self, kind: Literal["upstream", "root"], places: Sequence[tuple[int, int]]) -> Iterator[Reason]:
        for node, index in places[:_MOST]:
            yield self._reason(kind, node, index, self._told(node, index))
        if len(places) > _MOST:
            yield Reason(kind="more", text=f"and {len(places) - _MOST:,} more")

    def _reason(self, kind: Kind, node: int, index: int, text: str) -> Reason:
        record = self._record(node, index)
        return Reason(
            kind=kind, text=text, task_run=self._name(node, index), state=None if record is None else record.state
        )

    def _told(self, node: int, index: int) -> str:
        """Return the name of a task run, what became of it and, if it says more, why."""
        record = self._record(node, index)
        if record is None:
            return f"{self._name(node, index)} had not begun"
        state = state_of_map(self._counts(self._tasks[node])) if record.state == "Mapped" else record.state
        attempts = f" in attempt {record.attempt}" if record.attempt > 1 else ""
        told = f"{self._name(node, index)} {_became(state)}{attempts}"
        if record.state in {"TriggerFailed", "Mapped"} or (record.state == "Skipped" and record.started is None):
            return told
        return f"{told}: {record.message}" if record.message and state != "Success" else told

    def _walk(
        self, task: TaskRecord, index: int, *, skipped: bool
    ) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return what is upstream that kept a task run from running, and what that goes back to."""
        # The way may be long, and to look each of them up would take long.
        wholes = self._store.task_runs(self._run.id, TaskRunQuery(children=False))
        self._records.update({(record.node, record.map_index): record for record in wholes})
        first = list(self._culprits(task, index, skipped=skipped))
        roots: dict[tuple[int, int], None] = {}
        seen = set(first)
        pending = list(reversed(first))
        while pending:
            node, child = pending.pop()
            further = (
                []
                if self._speaks_for_itself(node, child)
                else list(self._culprits(self._tasks[node], child, skipped=skipped))
            )
            if not further:
                roots[node, child] = None
            for place in further:
                if place not in seen:
                    seen.add(place)
                    pending.append(place)
        return first, list(roots)

    def _speaks_for_itself(self, node: int, index: int) -> bool:
        record = self._record(node, index)
        if record is None:
            return True
        return record.state not in {"TriggerFailed", "Skipped"} or record.started is not None

    def _culprits(self, task: TaskRecord, index: int, *, skipped: bool) -> Iterator[tuple[int, int]]:
        wanted = frozenset({"Skipped"}) if skipped else _BAD_END
        for node, child in self._upstream(task, index):
            record = self._record(node, child)
            if record is None:
                continue
            if record.state != "Mapped":
                if record.state in wanted:
                    yield node, child
                continue
            # One more than is ever named, so that it can be told that there are more.
            query = TaskRunQuery(node=node, children=True, states=wanted, limit=_MOST + 1)
            for each in self._store.task_runs(self._run.id, query):
                self._records[node, each.map_index] = each
                yield node, each.map_index

    def _upstream(self, task: TaskRecord, index: int) -> list[tuple[int, int]]:
        """Return what a task run waits for, without what has its value anyway: tasks, or the children it follows."""
        found = dict.fromkeys((edge.upstream, self._child_of(edge, index)) for edge in task.upstream)
        return [(node, child) for node, child in found if self._tasks[node].kind not in {"parameter", "constant"}]

    def _child_of(self, edge: EdgeRecord, index: int) -> int:
        pairwise = index != UNMAPPED and edge.mapped and not edge.flattened and self._tasks[edge.upstream].mapped
        return index if pairwise else UNMAPPED

    # -- maps ----------------------------------------------------------------------------------------------------

    def _why_map(self, task: TaskRecord) -> Iterator[Reason]:
        for state in sorted(self._counts(task)):
            if state in GOOD_STATES:
                continue
            query = TaskRunQuery(node=task.node, children=True, states=frozenset({state}), limit=_MOST)
            for each in self._store.task_runs(self._run.id, query):
                self._records[task.node, each.map_index] = each
                yield self._reason("child", task.node, each.map_index, self._told(task.node, each.map_index))
            left = self._counts(task)[state] - _MOST
            if left > 0:
                yield Reason(kind="more", text=f"and {left:,} more of which each {_became(state)}")

    def _progress(self, task: TaskRecord, total: int) -> Iterator[Reason]:
        counts = self._counts(task)
        left = total - sum(counts.values())
        for state in sorted(counts, key=lambda state: state in GOOD_STATES):
            yield Reason(
                kind="child", text=f"{counts[state]:,} of {total:,} children: each {_became(state)}", state=state
            )
        if left:
            yield Reason(kind="child", text=f"{left:,} of {total:,} children: none has begun")

    def _counts(self, task: TaskRecord) -> dict[str, int]:
        if self._tally is None:
            self._tally = self._store.tally(self._run.id)
        return {each.state: each.children for each in self._tally if each.node == task.node}

    # -- records -------------------------------------------------------------------------------------------------

    def _record(self, node: int, index: int) -> TaskRunRecord | None:
        if (node, index) not in self._records:
            self._records[node, index] = self._store.task_run(self._run.id, node, index)
        return self._records[node, index]

    def _name(self, node: int, index: int) -> str:
        return name_of(self._tasks[node], index)


_BECAME: Final = {
    "Cached": "was found in the cache",
    "Cancelled": "was cancelled",
    "Cancelling": "is stopping",
    "Crashed": "crashed",
    "Failed": "failed",
    "Mapped": "was mapped",
    "Paused": "is paused",
    "Queued": "waits for a slot",
    "Retrying": "waits for its next attempt",
    "Running": "is running",
    "Scheduled": "waits for its time",
    "Skipped": "was skipped",
    "Success": "succeeded",
    "TimedOut": "timed out",
    "TriggerFailed": "was not run",
    "ValidationFailed": "was invalid",
}


def _became(state: str) -> str:
    return _BECAME.get(state, f"is {state}")


def _times(record: TaskRunRecord) -> Iterator[Reason]:
    if record.state == "Success" and record.started is not None:
        number = "its only attempt" if record.attempt == 1 else f"attempt {record.attempt}"
        seconds = record.entered - record.started
        span = f"{seconds:.3g} s" if seconds >= _SHORT else f"{1000 * seconds:.1f} ms"
        yield Reason(kind="state", text=f"{number} took {span}")


def _attempt(each: AttemptRecord) -> str:
    message = f": {each.message}" if each.message else ""
    return f"attempt {each.attempt} {_became(each.state)}{message}"


def _quoted(name: str) -> str:
    return f"'{name}'" if "[" in name else name
