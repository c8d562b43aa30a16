"""Task runs that stay although something before them runs again: what they are called with turns out to be the same."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.history.choices import is_good
from headrace.history.records import UNMAPPED
from headrace.remote.pickles import Pickler, load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from headrace.history.choices import Found
    from headrace.history.records import EdgeRecord, TaskRunRecord, ValueRecord
    from headrace.history.taken_values import TakenValues
    from headrace.states import State

__all__ = ["Before", "Part", "Staying", "parts_that_may_stay"]

_SUCCESSFUL: Final = frozenset({"Success", "Cached"})


@dataclass(frozen=True, slots=True)
class Part:
    """A task run that has finished well: what is on record of it, and of what it was called with."""

    record: TaskRunRecord
    before: Before


class Before:
    """What was on record, beside a task run that had finished, of the tasks that it depends on.

    ``run_id`` is the run that has the records: the one that is gone on with, unless ``parts`` and ``counts`` have those
    of an earlier one, by the slugs of tasks.
    """

    def __init__(
        self,
        run_id: str,
        parts: Mapping[str, Mapping[int, TaskRunRecord]] | None = None,
        counts: Mapping[str, int | None] = MappingProxyType({}),
    ) -> None:
        self.run_id = run_id
        self._parts = parts
        self._counts = counts

    def part(self, task: Found, index: int) -> TaskRunRecord | None:
        """Return what was on record of a part of ``task``; ``taken_from`` tells which run did the work."""
        parts = task.parts if self._parts is None else self._parts.get(task.now.slug, {})
        record = parts.get(index)
        return None if record is None else record._replace(taken_from=record.taken_from or self.run_id)

    def count(self, task: Found) -> int | None:
        """Return how many parts there were, or None if nobody knew."""
        return task.count if self._parts is None else self._counts.get(task.now.slug)


def parts_that_may_stay(task: Found, before: Before) -> dict[int, Part]:
    """Return the parts of ``task`` that run for no other reason than that something before them runs again.

    What was asked for runs, and so does what depends on it, whatever comes of it. What the run before might have let
    stay, had it come so far, may stay as well.
    """
    if task.resolved or task.anew or task.forced or not task.runs:
        return {}
    decided = {*task.kept, *task.skipped, *task.left, *task.lost}
    found = {index: Part(part, before) for index, part in task.parts.items() if index not in decided and is_good(part)}
    return {**{index: part for index, part in task.undecided.items() if index not in decided}, **found}


class Staying:
    """Decides, while a resumed run goes on, which finished task runs stay after all.

    ``found`` are all tasks in the order of the plan, and ``parts`` what may stay of each, by node and map index. Values
    are compared by what was recorded of them; where nothing was, or they are elsewhere, they count as different.
    ``make`` makes the state that a part stays in. Whoever is in ``listeners`` is told of each task that stays, by its
    slug, but not of mapped children. Used by the thread that drives the run.
    """

    def __init__(
        self,
        found: Sequence[Found],
        parts: Mapping[int, dict[int, Part]],
        values: TakenValues,
        run_id: str,
        make: Callable[[Found, TaskRunRecord], State],
    ) -> None:
        self._found = found
        self._parts = parts
        self._values = values
        self._run_id = run_id
        self._make = make
        self.slugs = [found[node].now.slug for node in parts]
        self.listeners: list[Callable[[Mapping[str, State]], None]] = []
        # What is to be recorded of those that stay, by node and map index.
        self.taken_over: dict[tuple[int, int], TaskRunRecord] = {}
        # Of tasks before those that may stay: what task runs came to in this run, and how many children there are.
        self._watched = {edge.upstream for node in parts for edge in found[node].now.upstream}
        self._came_to: dict[tuple[int, int], _End] = {}
        self._counts: dict[int, int] = {}
        self._same_wholes: dict[tuple[int, Before, bool, bool], bool] = {}
        self._lists: dict[tuple[int, int, Before], _Lists] = {}

    def expanded(self, node: int, count: int) -> None:
        """Take note of how many children a mapped task has in this run."""
        self._counts[node] = count

    def finished(
        self, node: int, map_index: int, state: str, value: ValueRecord | None, origin: str | None = None
    ) -> None:
        """Take note of what a task run came to in this run, or in an earlier one, ``origin``."""
        if node in self._watched:
            self._came_to[node, map_index] = _End(state, value, origin)

    def drop(self, node: int, map_index: int) -> None:
        """Take note that a task run has another fate, and may not stay any more."""
        if node in self._parts:
            self._parts[node].pop(map_index, None)

    def decides(self, node: int) -> bool:
        """Tell whether a task run of ``node`` may still stay."""
        return bool(self._parts.get(node))

    def state_of(self, node: int, map_index: int, lists: Mapping[int, Sequence[Any]]) -> State | None:
        """Return the state that a task run stays in, or None if it is to run; called when it is about to.

        ``lists`` are what a child is an element of, by the position of the edge.
        """
        part = self._parts[node].pop(map_index, None) if node in self._parts else None
        if part is None:
            return None
        task, before = self._found[node], part.before
        for k, edge in enumerate(task.now.upstream):
            if not self._is_same(task, map_index, edge, before, lists.get(k)):
                return None
        if self._values.problem(task, part.record, is_read=task.is_read):
            return None
        record = part.record._replace(node=node, taken_from=part.record.taken_from or before.run_id)
        self.taken_over[node, map_index] = record
        state = self._make(task, part.record)
        if map_index == UNMAPPED:
            for listener in self.listeners:
                listener({task.now.slug: state})
        return state

    # -- comparing -----------------------------------------------------------------------------------------------

    def _is_same(
        self, task: Found, map_index: int, edge: EdgeRecord, before: Before, now: Sequence[Any] | None
    ) -> bool:
        """Tell whether what comes along ``edge`` is what it was; ``now`` is the list that the child comes from."""
        upstream = self._found[edge.upstream]
        if upstream.resolved or upstream.anew:
            return True
        # A trigger of somebody's own may look at the value, and at which good end it was.
        strict = task.now.trigger is not None
        reads = strict or edge.key is not None
        if map_index == UNMAPPED or not edge.mapped or edge.flattened:
            return self._is_same_whole(upstream, before, reads=reads, strict=strict)
        if upstream.now.mapped:
            return self._is_same_part(upstream, map_index, before, reads=reads, strict=strict)
        if self._is_same_whole(upstream, before, reads=reads, strict=strict):
            return True
        same_end = self._is_same_part(upstream, UNMAPPED, before, reads=False, strict=strict)
        return same_end and now is not None and self._lists_of(task, edge, before, now).agree(map_index)

    def _is_same_whole(self, upstream: Found, before: Before, *, reads: bool, strict: bool) -> bool:
        if not upstream.now.mapped:
            return self._is_same_part(upstream, UNMAPPED, before, reads=reads, strict=strict)
        node, count = upstream.now.node, before.count(upstream)
        key = node, before, reads, strict
        if key not in self._same_wholes:
            now = upstream.count if upstream.stands else self._counts.get(node)
            self._same_wholes[key] = (
                count is not None
                and now == count
                and all(self._is_same_part(upstream, i, before, reads=reads, strict=strict) for i in range(count))
            )
        return self._same_wholes[key]

    def _is_same_part(self, upstream: Found, index: int, before: Before, *, reads: bool, strict: bool) -> bool:
        was, now = before.part(upstream, index), self._end_of(upstream, index)
        if was is None or now is None or not is_good(was):
            return False
        if was.taken_from == now.origin:
            # It is the very same one.
            return True
        if was.state != now.state and (strict or not {was.state, now.state} <= _SUCCESSFUL):
            return False
        return not reads or _is_same_value(was.value, now.value)

    def _end_of(self, upstream: Found, index: int) -> _End | None:
        kept = upstream.kept.get(index)
        if kept is None:
            return self._came_to.get((upstream.now.node, index))
        return _End(kept.state, kept.value, kept.taken_from or self._run_id)

    def _lists_of(self, task: Found, edge: EdgeRecord, before: Before, now: Sequence[Any]) -> _Lists:
        key = task.now.node, edge.upstream, before
        if key not in self._lists:
            self._lists[key] = _Lists(self._read(self._found[edge.upstream], before), now)
        return self._lists[key]

    def _read(self, upstream: Found, before: Before) -> object:
        """Return the list that ``upstream`` had returned, or None if it cannot be had."""
        record = before.part(upstream, UNMAPPED)
        try:
            return None if record is None else self._values.stand_in(upstream, record).load()
        except Exception:  # noqa: BLE001 - a store is a plugin, and pickles call constructors; then all children run
            return None


class _End(NamedTuple):
    """What a task run came to, and the run that did the work, if it was an earlier one."""

    state: str
    value: ValueRecord | None
    origin: str | None


class _Lists:
    """The list that a map was made of, and the one that it is made of now."""

    def __init__(self, before: object, now: Sequence[Any]) -> None:
        self._pickler = Pickler()
        self._before: Sequence[Any] = ()
        self._now: Sequence[Any] = ()
        # What an executor keeps elsewhere is not looked at.
        if not isinstance(now, list | tuple | range | str):
            return
        try:
            self._before = list(before)  # type: ignore[call-overload]
            # What was pickled as a whole and read back has the same parts in common as what was recorded.
            self._now = load(self._pickler.dump(list(now), "The list"), "The list")
        except Exception:  # noqa: BLE001 - iterating, pickling and unpickling are anybody's code; then all children run
            self._before = ()

    def agree(self, index: int) -> bool:
        """Tell whether an element is the same in both."""
        if index >= min(len(self._before), len(self._now)):
            return False
        try:
            before, now = (self._pickler.dump(each[index], "The element") for each in (self._before, self._now))
        except Exception:  # noqa: BLE001 - as above
            return False
        return before == now


def _is_same_value(before: ValueRecord | None, now: ValueRecord | None) -> bool:
    """Tell whether the same bytes were recorded of both; the seal of a project is the same on the same bytes."""
    if before is None or now is None or before.is_exception or now.is_exception:
        return False
    if before.data is not None:
        return before.data == now.data
    return before.digest is not None and before.digest == now.digest
