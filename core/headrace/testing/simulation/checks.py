"""What must hold of a history after every life of the process, whatever happened in it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

from headrace.testing.simulation.scripts import is_free
from headrace.testing.simulation.tasks import described, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.history.records import RunRecord, TaskRecord, TaskRunRecord
    from headrace.history.sealing import Sealer
    from headrace.testing.simulation.lives import Life
    from headrace.testing.simulation.scripts import Link, Script
    from headrace.testing.simulation.tasks import World

__all__ = ["Observer", "Snapshot", "must_stay"]

_GOOD: Final = frozenset({"Success", "Cached", "Skipped"})
Key = tuple[int, int]


class Snapshot:
    """A run as a history has it, by the numbers of the script in place of nodes."""

    def __init__(self, store: Any, run: RunRecord) -> None:
        self.run = run
        self.tasks: Sequence[TaskRecord] = store.tasks(run.id)
        self.numbers = {task.node: number_of(task.slug) for task in self.tasks}
        self.mapped = {self.numbers[task.node] for task in self.tasks if task.mapped}
        from headrace.history.records import TaskRunQuery  # noqa: PLC0415 - beside its only use

        found = store.task_runs(run.id, TaskRunQuery(data=True))
        self.rows: dict[Key, TaskRunRecord] = {(self.numbers[row.node], row.map_index): row for row in found}
        self.attempts = {
            (self.numbers[row.node], row.map_index): store.attempts(run.id, row.node, row.map_index)
            for row in self.rows.values()
            if row.attempt > 1 and row.is_finished
        }


def must_stay(script: Script, found: Snapshot) -> set[Key]:
    """Return the task runs that a resumed run may not run again: they have succeeded, and all that led to them.

    And those that were under way, of tasks that say so.
    """
    judge = _Judge(script, found)
    own = {key for key in found.rows if not (key[0] in found.mapped and key[1] < 0)}
    return {key for key in own if judge.stays(*key) or judge.is_skipped(*key)}


class _Judge:
    def __init__(self, script: Script, found: Snapshot) -> None:
        self._script = script
        self._found = found
        self._known: dict[int, bool] = {}

    def is_whole(self, task: int) -> bool:
        """Tell whether nothing of a task has to run again."""
        if task not in self._known:
            self._known[task] = self._is_whole(task)
        return self._known[task]

    def _is_whole(self, task: int) -> bool:
        row = self._found.rows.get((task, -1))
        if row is None:
            return False
        if task not in self._found.mapped:
            return self.stays(task, -1)
        fed = all(self.is_whole(link.source) for link in self._script[task].links)
        return fed and row.child_count is not None and all(self.stays(task, i) for i in range(row.child_count))

    def stays(self, task: int, index: int) -> bool:
        row = self._found.rows.get((task, index))
        if row is None or row.state not in _GOOD or not _is_kept(row):
            return False
        return all(self._feeds(link, index) for link in self._script[task].links)

    def is_skipped(self, task: int, index: int) -> bool:
        row, role = self._found.rows[task, index], self._script[task]
        if role.resume != "skip" or row.state != "Crashed":
            return False
        return all(self._feeds(link, index) for link in role.links)

    def _feeds(self, link: Link, index: int) -> bool:
        if self.is_whole(link.source):
            return True
        follows = link.mapped and not link.flattened and index >= 0 and link.source in self._found.mapped
        return follows and self.stays(link.source, index)


def _is_kept(row: TaskRunRecord) -> bool:
    value = row.value
    return row.state == "Skipped" or value is None or value.data is not None or value.location is not None


class Observer:
    """Looks at the history after each life, and says what does not hold.

    ``expected`` is, by task and child, what each task returns, where it does not depend on what is lost.
    """

    def __init__(self, world: World, sealer: Sealer, expected: Mapping[Key, str] | None) -> None:
        self._world = world
        self._sealer = sealer
        self._expected = expected
        self._final: dict[str, dict[Key, tuple[Any, ...]]] = {}
        self._staying: set[Key] = set()
        self._seen: set[str] = set()

    def look(self, store: Any, life: Life, *, power_lost: bool) -> Iterator[str]:
        """Yield what is wrong after a life."""
        snapshots = [Snapshot(store, run) for run in store.runs()]
        for each in snapshots:
            yield from self._finished_stays(each)
        yield from self._ran_again()
        yield from (f"damage: {finding}" for finding in store.check())
        if snapshots and snapshots[0].run.id not in self._seen:
            # This life came as far as to begin a run.
            self._seen.add(snapshots[0].run.id)
            yield from self._look_at(snapshots[0])
            if not power_lost:
                yield from _nothing_is_lost(snapshots[0], life)
        elif life.said:
            yield f"lost: the run that {life.said} belongs to"

    def _look_at(self, latest: Snapshot) -> Iterator[str]:
        yield from _is_over(latest)
        yield from self._success_is_true(latest)
        yield from _children_are_counted(latest)
        yield from _attempts_are_told(latest, self._world.script)
        self._staying = must_stay(self._world.script, latest)

    def _finished_stays(self, found: Snapshot) -> Iterator[str]:
        known = self._final.setdefault(found.run.id, {})
        for key, row in found.rows.items():
            shown = row[:6]
            if known.get(key, shown) != shown:
                yield f"I1: {key} was {known[key]} and is {shown}"
            if row.is_finished:
                known[key] = shown
        yield from (f"I1: {key} is gone" for key in known.keys() - found.rows.keys())

    def _ran_again(self) -> Iterator[str]:
        world = self._world
        for call in world.begun:
            if call.life == world.life and call[1:3] in self._staying:
                yield f"I3: {call[1:3]} had finished and ran again in life {world.life}"
        yield from (f"I4: {call} ran {times} times" for call, times in world.calls().items() if times > 1)

    def _success_is_true(self, found: Snapshot) -> Iterator[str]:
        for key, row in found.rows.items():
            if row.state != "Success":
                continue
            value = row.value
            what = None
            if value is not None and value.data is not None:
                what = described(pickle.loads(self._sealer.unseal(value.data, "A result")))  # noqa: S301 - our own
            if row.taken_from is None:
                yield from self._was_done(key, row, what)
            free = is_free(self._world.script, key[0])
            if free and self._expected is not None and what not in {None, self._expected.get(key)}:
                yield f"I5: {key} returned {what}, and should have returned {self._expected.get(key)}"

    def _was_done(self, key: Key, row: TaskRunRecord, what: str | None) -> Iterator[str]:
        returned = [
            text
            for call, text in self._world.returned.items()
            if call.life == self._world.life and call[1:4] == (*key, row.attempt)
        ]
        if not returned or what not in {None, returned[-1]}:
            yield f"I2: {key} is recorded as {what!r} by attempt {row.attempt}, and returned {returned}"


def _is_over(found: Snapshot) -> Iterator[str]:
    if found.run.ended is None:
        yield f"the run has not ended: {found.run.state}"
    yield from (f"{key} is still Running" for key, row in found.rows.items() if row.state == "Running")


def _children_are_counted(found: Snapshot) -> Iterator[str]:
    for (task, index), row in found.rows.items():
        if index < 0 or row.taken_from is not None:
            continue
        parent = found.rows.get((task, -1))
        if parent is None or parent.child_count is None or parent.child_count <= index:
            yield f"I5: child {index} of {task} is there, and its map is {parent}"


def _attempts_are_told(found: Snapshot, script: Script) -> Iterator[str]:
    for key, attempts in found.attempts.items():
        row = found.rows[key]
        loops = any(act.kind == "loop" for act in script[key[0]].acts)
        numbers = [each.attempt for each in attempts]
        if row.state == "Crashed" and numbers[-1:] == [row.attempt]:
            # The process died after it had said how the attempt ended, and before what follows.
            numbers.pop()
        if row.taken_from is None and not loops and numbers != list(range(1, row.attempt)):
            yield f"attempts of {key}: {numbers} before attempt {row.attempt}"


def _nothing_is_lost(found: Snapshot, life: Life) -> Iterator[str]:
    for (node, index), state in life.said.items():
        row = found.rows.get((found.numbers[node], index))
        if row is None or row.state != state:
            yield f"lost: {(found.numbers[node], index)} was acknowledged as {state}, and is {row and row.state}"
