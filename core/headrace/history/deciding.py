"""Which task runs of an earlier run stay, and why the others run again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from headrace.history.choices import Choices, Found, has_failed, is_good, was_under_way
from headrace.history.records import UNMAPPED, TaskRunRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.history.records import EdgeRecord

__all__ = ["decide"]

_ANEW: Final = "it is made anew in each run"


class Problem(Protocol):
    """Says why the value of a task run cannot be had, or nothing if it can."""

    def __call__(self, task: Found, record: TaskRunRecord, *, is_read: bool) -> str: ...


def decide(found: Sequence[Found], choices: Choices, problem: Problem, *, run_died: bool) -> None:
    """Decide about each of ``found``, all tasks of a flow in the order of its plan.

    ``problem`` is asked only about values that a task that runs is going to read, and those that no task reads, which
    are what a run is for.
    """
    selection = _Selection(found, choices, run_died)
    while True:
        for task in found:
            task.begin()
            _Decision(task, found, choices, selection).make()
        if not _lose_what_cannot_be_had(found, problem):
            return


def _lose_what_cannot_be_had(found: Sequence[Found], problem: Problem) -> bool:
    """Note what is needed and cannot be had; tell whether there was anything that nobody had noted before."""
    before = sum(len(task.lost) + task.needed for task in found)
    asked: set[int] = set()
    # From the end to the beginning: what has to run again needs values too.
    for task in reversed(found):
        if not (task.is_read or task.resolved or task.anew):
            _lose(task, list(task.kept), problem, is_read=False)
        if not (task.runs or task.lost):
            continue
        for edge in task.now.upstream:
            upstream = found[edge.upstream]
            if edge.key is None or upstream.resolved or edge.upstream in asked:
                continue
            upstream.needed |= upstream.anew and bool(upstream.left)
            indexes = _read(task, edge, upstream)
            if len(indexes) == len(upstream.kept):
                asked.add(edge.upstream)
            _lose(upstream, indexes, problem, is_read=True)
    return sum(len(task.lost) + task.needed for task in found) > before


def _read(task: Found, edge: EdgeRecord, upstream: Found) -> list[int]:
    """Return which parts of ``upstream`` are read by those parts of ``task`` that run."""
    if not _is_pairwise(edge, task, upstream):
        return list(upstream.kept)
    stay = task.kept.keys() | task.skipped.keys() | task.left.keys()
    return [index for index in upstream.kept if index not in stay or index in task.lost]


def _lose(task: Found, indexes: Sequence[int], problem: Problem, *, is_read: bool) -> None:
    for index in indexes:
        if index not in task.lost and (why := problem(task, task.kept[index], is_read=is_read)):
            task.lost[index] = _ANEW if task.anew else why


def _is_pairwise(edge: EdgeRecord, task: Found, upstream: Found) -> bool:
    """Tell whether each part of ``task`` depends on the part of ``upstream`` that has its index, and on no other."""
    return edge.mapped and not edge.flattened and task.now.mapped and upstream.now.mapped


class _Selection:
    """Which tasks may run, of a resume that does not go on with everything."""

    def __init__(self, found: Sequence[Found], choices: Choices, run_died: bool) -> None:
        self.run_died = run_died
        self.failed_only = choices.rerun_failed
        self.active = choices.is_selective
        self.named: set[str] = set(choices.only)
        if choices.rerun_failed:
            self.named = {task.now.slug for task in found if any(map(self.has_failed, task.parts.values()))}
            # A map that could not be made has no children, and failed as a whole.
            self.named |= {t.now.slug for t in found if t.whole is not None and not t.children and self._failed(t)}
        roots = {slug for slug in self.named if choices.only.get(slug, True)}
        self.below: set[str] = set()
        for task in found:
            above = (found[edge.upstream].now.slug for edge in task.now.upstream)
            if any(slug in roots or slug in self.below for slug in above):
                self.below.add(task.now.slug)

    def _failed(self, task: Found) -> bool:
        return task.whole is not None and task.count is None and self.has_failed(task.whole)

    def has_failed(self, record: TaskRunRecord) -> bool:
        return has_failed(record, run_died=self.run_died)

    def admits(self, task: Found, found: Sequence[Found]) -> bool:
        """Tell whether ``task`` may run; the tasks before it have been decided."""
        if not self.active or task.now.slug in self.named or task.lost or task.needed:
            return True
        if task.anew:
            # What was set up is cleaned up.
            return any(found[edge.upstream].anew and found[edge.upstream].runs for edge in task.now.upstream)
        if task.now.slug not in self.below and task.now.kind == "task":
            return False
        return not any(found[edge.upstream].left for edge in task.now.upstream)


class _Decision:
    """The decision about one task; those before it have been made."""

    def __init__(self, task: Found, found: Sequence[Found], choices: Choices, selection: _Selection) -> None:
        self.task = task
        self.found = found
        self.choices = choices
        self.selection = selection
        self.slug = task.now.slug
        # Whether what speaks against the task leaves some of its children alone.
        self.partly = False

    def make(self) -> None:
        task = self.task
        own_reason = self._own_reason()
        task.forced = bool(own_reason) or any(self.found[edge.upstream].forced for edge in task.now.upstream)
        task.why = own_reason or self._upstream_reason()
        if task.resolved:
            return
        task.open = bool(task.why) and not self.partly
        if not task.open:
            task.kept = {i: part for i, part in task.parts.items() if self._stays(i, part)}
            if not task.stands and not task.why:
                task.why = self._missing()
        if not task.stands and not self.selection.admits(task, self.found):
            self._leave_out()
            return
        if self.selection.failed_only and task.now.mapped and self.slug in self.selection.named:
            self._leave_unfinished_children()
        self._heed_what_the_task_says()

    def _own_reason(self) -> str:
        task = self.task
        if self.slug in self.choices.again:
            return "asked for"
        if self.slug in self.choices.only:
            above = (self.found[edge.upstream] for edge in task.now.upstream)
            left = next((upstream.now.slug for upstream in above if upstream.left), None)
            return "asked for" if left is None else f"asked for, although {left} is left out"
        if task.before is None:
            return "" if task.resolved else "it is new"
        if task.before.mapped != task.now.mapped or not task.same_edges:
            return "what it depends on has changed"
        return "its code has changed" if task.changed else ""

    def _upstream_reason(self) -> str:
        """Say what has become of tasks that it depends on, the gravest first."""
        part = ""
        for edge in self.task.now.upstream:
            upstream = self.found[edge.upstream]
            if upstream.stands or (upstream.anew and not self.task.anew):
                continue
            text = f"{upstream.now.slug} {_becomes(upstream)}"
            if not (_is_pairwise(edge, self.task, upstream) and upstream.kept):
                return text
            part = part or text
        self.partly = bool(part)
        return f"some of {part}" if part else ""

    def _stays(self, index: int, record: TaskRunRecord) -> bool:
        if not is_good(record) or index in self.task.lost:
            return False
        for edge in self.task.now.upstream:
            upstream = self.found[edge.upstream]
            if upstream.stands or (upstream.anew and not self.task.anew):
                continue
            if not (_is_pairwise(edge, self.task, upstream) and index in upstream.kept):
                return False
        return True

    def _missing(self) -> str:
        """Say why not all of it stays, of a task that nothing around it speaks against."""
        task = self.task
        if task.whole is None and not task.children:
            return "it had not begun"
        if not task.now.mapped:
            assert task.whole is not None
            return task.lost.get(UNMAPPED) or f"it was {task.whole.state}"
        if task.count is None:
            if task.whole is not None and not task.children:
                return f"it was {task.whole.state}" if has_failed(task.whole, run_died=False) else _UNKNOWN
            # A run that was resumed and killed before it came to this map has the children that it took over.
            return "some of its children had not begun"
        return self._missing_children()

    def _missing_children(self) -> str:
        task = self.task
        missing = (task.count or 0) - len(task.kept)
        if len(task.lost) < missing:
            return f"{missing} of {task.count} children had not succeeded"
        return f"{next(iter(task.lost.values()))}, of {missing} of {task.count} children"

    # -- what does not run although it has not finished well -------------------------------------------------------

    def _leave_out(self) -> None:
        """Leave out what does not stay; what depends on something that runs again is not taken over either."""
        task = self.task
        text = f"Left out of this run: {task.why}."
        if not task.now.mapped or task.count is None or task.open:
            task.left = {UNMAPPED: _left_as(task.whole, task.now.node, UNMAPPED, text)}
        else:
            missing = [i for i in range(task.count) if i not in task.kept]
            task.left = {i: _left_as(task.children.get(i), task.now.node, i, text) for i in missing}
        task.why = f"left out: {task.why}"

    def _leave_unfinished_children(self) -> None:
        task = self.task
        if task.count is None or task.open:
            return
        text = "Left out of this run: it has not failed."
        for i in range(task.count):
            part = task.children.get(i)
            if i not in task.kept and i not in task.lost and not (part and self.selection.has_failed(part)):
                task.left[i] = _left_as(part, task.now.node, i, text)

    def _heed_what_the_task_says(self) -> None:
        """Skip what failed or was under way if the task or the person says so, or have the person asked."""
        task, choices = self.task, self.choices
        begun = [
            i for i, part in task.parts.items() if i not in task.kept and i not in task.left and was_under_way(part)
        ]
        task.in_doubt = bool(begun)
        if not begun or self.slug in {*choices.again, *choices.only, *choices.rerun}:
            return
        told = self.slug in choices.skip
        if not told and task.now.resume == "rerun":
            return
        # Where all children run again, one with the same index may be another one.
        unsure = task.now.mapped and task.open
        if told and unsure:
            task.skipped = {UNMAPPED: _skipped_as(task.parts[begun[0]], task.now.node, UNMAPPED)}
        elif told or (task.now.resume == "skip" and not unsure):
            task.skipped = {i: _skipped_as(task.parts[i], task.now.node, i) for i in begun}
        else:
            states = " or ".join(sorted({task.parts[i].state for i in begun}))
            task.question = f"{len(begun)} of its children were {states}" if task.now.mapped else f"it was {states}"
            return
        skipped = f"skipped: it was {task.parts[begun[0]].state}"
        task.why = f"{task.why}; {len(begun)} {skipped}" if task.runs else skipped


_UNKNOWN: Final = "how many children it has is not known"


def _becomes(upstream: Found) -> str:
    if upstream.resolved:
        return "has changed"
    if upstream.runs:
        return "runs again"
    return "is skipped" if upstream.skipped else "is left out"


def _left_as(record: TaskRunRecord | None, node: int, index: int, text: str) -> TaskRunRecord:
    """Return what a task run that is left out is recorded as: as it was if it failed by itself, else as Cancelled."""
    if record is not None and record.is_finished and was_under_way(record):
        return record
    started = record.started if record is not None and was_under_way(record) else None
    return TaskRunRecord(
        node=node,
        map_index=index,
        attempt=record.attempt if record is not None else 1,
        state="Cancelled",
        message=text,
        started=started,
        entered=record.entered if record is not None else 0.0,
        child_count=record.child_count if record is not None and index == UNMAPPED else None,
    )


def _skipped_as(record: TaskRunRecord, node: int, index: int) -> TaskRunRecord:
    return record._replace(
        node=node,
        map_index=index,
        state="Skipped",
        message=f"Not run again when the run was resumed: it was {record.state}.",
        value=None,
    )
