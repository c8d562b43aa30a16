"""What the scheduler remembers of each task run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.engine.windows import Window
from headrace.exceptions import MappingError
from headrace.references import ResultReference
from headrace.signals import SKIP
from headrace.states import Looped, Mapped, Pending, Resume, Retrying, State
from headrace.values import Constant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.engine.plan import Node
    from headrace.states import Cancelled

__all__ = ["MappedRun", "TaskRun"]

# More than a node can have upstream edges: a run that is ready whatever its upstream tasks do.
_WAITS_FOR_NOTHING = -(10**9)


class TaskRun:
    """One run of one task, or of one mapped child.

    ``waiting`` counts the upstream edges that are not settled yet; ``unsuccessful`` and ``skipped`` the settled ones
    whose source ended so. ``readers`` counts the downstream edges that may still read the result.
    """

    __slots__ = (
        "attempt",
        "attempts",
        "brought",
        "loop",
        "map_index",
        "node",
        "parent",
        "readers",
        "resumed",
        "skipped",
        "state",
        "unsuccessful",
        "waiting",
    )

    def __init__(self, node: Node, state: State, parent: MappedRun | None = None, map_index: int = -1) -> None:
        self.node = node
        self.state = state
        self.parent = parent
        self.map_index = map_index
        self.waiting = len(node.edges)
        self.readers = node.reader_count
        self.unsuccessful = 0
        self.skipped = 0
        self.attempt = 1
        self.attempts: tuple[State, ...] = ()
        self.brought = False
        self.resumed = False
        self.loop: Looped | None = None

    @property
    def name(self) -> str:
        """The task's name, with the map index of a child in brackets."""
        return self.node.task.name if self.map_index < 0 else f"{self.node.task.name}[{self.map_index}]"

    def bring(self, state: State) -> None:
        """Start from ``state`` instead of Pending."""
        self.state = state
        if isinstance(state, Looped):
            self.loop = state
        elif state._finished:
            self.brought = True
            self.waiting = _WAITS_FOR_NOTHING
        else:
            self.attempt = _attempt_after(state)
        self.brought = self.brought or (state.is_scheduled() and not isinstance(state, Resume))
        self.resumed = isinstance(state, Resume)

    def snapshot(self) -> State:
        """Return the state to report."""
        return self.state

    def votes(self, state: State) -> tuple[int, int]:
        """Return whether ``state`` counts as unsuccessful and as skipped for those downstream, as 0 or 1."""
        return (not state._successful), state._skipped

    def arguments(self, runs: Sequence[TaskRun]) -> dict[str, Any]:
        """Return what the task is called with."""
        if self.parent is not None:
            return self.parent.child_arguments(self.map_index, runs)
        node = self.node
        if not node.inputs:
            return node.constants or {}
        found = {key: runs[source].state._handed_on for key, source in node.inputs}
        if node.constants:
            found.update(node.constants)
        if node.flattens:
            for edge in node.edges:
                if edge.flattened and edge.key:
                    found[edge.key] = _flat(found[edge.key])
        return found

    def arguments_awaiting(self, awaited: object, before: int, runs: Sequence[TaskRun]) -> dict[str, Any]:
        """Return what a task in a chain is called with, where ``awaited`` stands for the result of node ``before``."""
        node = self.node
        found = {key: awaited if k == before else runs[k].state._handed_on for key, k in node.inputs}
        return {**found, **(node.constants or {})}

    def upstream_states(self, runs: Sequence[TaskRun]) -> dict[Any, State]:
        """Return the upstream states by edge, as a trigger gets them: without constants, which have no vote."""
        if self.parent is not None:
            return self.parent.child_upstream_states(self.map_index, runs)
        voters = zip(self.node.edges, self.node.sources, strict=True)
        return {edge: runs[source].state for edge, source in voters if not isinstance(edge.upstream_task, Constant)}


def _attempt_after(state: State) -> int:
    """Return the number of the attempt that goes on from ``state``; a pause notes in which attempt it was."""
    if isinstance(state, Retrying):
        return state.run_count + 1
    noted = state._context.get("task_run_count") if state._context else None
    return noted if isinstance(noted, int) else 1


class Feed:
    """The elements that one mapped argument gives to the children; where ``states`` has one, the element's origin."""

    __slots__ = ("states", "values")

    def __init__(self, values: Sequence[Any], states: Sequence[State] | None = None) -> None:
        self.values = values
        self.states = states


class MappedRun(TaskRun):
    """The run of a mapped task: makes a child for each element, as late as possible.

    A finished child leaves nothing but its state in ``states``; ``live`` holds the children in between.
    """

    __slots__ = (
        "brought_children",
        "children_skipped",
        "children_unsuccessful",
        "consumed",
        "cursor",
        "expanded",
        "feeds",
        "length",
        "live",
        "pairs",
        "states",
        "unfinished",
        "window",
    )

    def __init__(self, node: Node, state: State) -> None:
        super().__init__(node, state)
        # States that the children start from instead of Pending.
        self.brought_children: Sequence[State | None] = ()
        self.expanded = False
        self.states: list[State | None] = []
        self.live: dict[int, TaskRun] = {}
        self.feeds: dict[int, Feed] = {}
        self.pairs: dict[int, MappedRun] = {}
        # How many children there are, once `collect` has found out.
        self.length = 0
        self.cursor = 0
        self.unfinished = 0
        self.children_unsuccessful = 0
        self.children_skipped = 0
        limit = node.task.max_in_flight
        self.window = None if limit is None else Window(limit)
        # How many children's results nobody reads any more although the map goes on.
        self.consumed = 0

    def bring(self, state: State) -> None:
        """Start from ``state``: a Mapped one of which children are unfinished or lost is mapped again, for these."""
        super().bring(state)
        children: Sequence[State | None] = getattr(state, "map_states", ())
        missing = getattr(state, "n_map_states", 0) > len(children)
        if missing or any(child is None or not child._finished for child in children):
            self.state, self.brought, self.waiting = _PENDING, False, len(self.node.edges)
            self.brought_children = children

    def votes(self, state: State) -> tuple[int, int]:
        if not state.is_mapped():
            return super().votes(state)
        if self.expanded:
            return self.children_unsuccessful > 0, self.children_skipped > 0
        children = state.map_states  # type: ignore[attr-defined]
        return any(not child._successful for child in children), any(child._skipped for child in children)

    # -- expansion -----------------------------------------------------------------------------------------------

    def collect(self, runs: Sequence[TaskRun]) -> int:
        """Work out what each child gets, and return and keep how many there are; raise MappingError or SKIP."""
        lengths: dict[str, int] = {}
        for k, (edge, source) in enumerate(zip(self.node.edges, self.node.sources, strict=True)):
            if not edge.mapped or (edge.key is None and k not in self.node.pairwise):
                continue
            upstream = runs[source]
            label = edge.key or edge.upstream_task.name
            if k in self.node.pairwise and isinstance(upstream, MappedRun) and upstream.expanded:
                self.pairs[k] = upstream
                lengths[label] = upstream.length
            elif _gives_data(upstream.state) and (edge.key or upstream.state.is_mapped()):
                self.feeds[k] = self._feed(label, upstream, edge.flattened, read=edge.key is not None)
                lengths[label] = len(self.feeds[k].values)
        self.length = self._common_length(lengths)
        return self.length

    def _feed(self, label: str, upstream: TaskRun, flattened: bool, *, read: bool) -> Feed:
        if flattened and upstream.state.is_mapped():
            return _flat_feed(upstream.state.map_states)  # type: ignore[attr-defined]
        if upstream.state.is_mapped():
            states = upstream.state.map_states  # type: ignore[attr-defined]
            # What nobody asks for may not be there any more.
            return Feed(_ChildResults(states) if read else [None] * len(states), states)
        value = upstream.state._handed_on
        if isinstance(value, ResultReference) and not flattened and value.length is not None:
            return Feed(_RemoteElements(value, value.length))
        return Feed(_elements(self.node.task.name, label, _flat(value) if flattened else _here(value)))

    def _common_length(self, lengths: dict[str, int]) -> int:
        name = self.node.task.name
        if not lengths and self.skipped and not self.unsuccessful:
            raise SKIP("There is nothing to map over: all mapped upstream tasks were skipped.")
        if not lengths:
            raise MappingError(f"Task {name!r} has nothing to map over: no mapped upstream task was successful.")
        if len(set(lengths.values())) > 1 and self.node.task.map_strict:
            found = ", ".join(f"{key!r} has {length}" for key, length in lengths.items())
            raise MappingError(
                f"Task {name!r} is mapped over arguments of different lengths: {found}.",
                hint="Give them the same length, wrap one in `unmapped(...)`, or map with `strict=False`.",
            )
        return min(lengths.values())

    def expand(self) -> None:
        """Become a map of as many children as `collect` found."""
        self.states = [None] * self.length
        self.unfinished = self.length
        self.expanded = True

    # -- children ------------------------------------------------------------------------------------------------

    @property
    def has_more_children(self) -> bool:
        """Tell whether `next_child` has more to give."""
        return not self.pairs and self.cursor < self.length

    def next_child(self) -> TaskRun:
        """Make the next child; only if `has_more_children`."""
        self.cursor += 1
        return self._make_child(self.cursor - 1)

    def _make_child(self, index: int) -> TaskRun:
        child = TaskRun(self.node, _PENDING, self, index)
        if index < len(self.brought_children):
            child.bring(self.brought_children[index] or _PENDING)
        child.waiting = 0
        child.unsuccessful = self.unsuccessful
        child.skipped = self.skipped
        for feed in self.feeds.values():
            if feed.states is not None:
                _vote(child, feed.states[index])
        for upstream in self.pairs.values():
            state = upstream.states[index]
            assert state is not None
            _vote(child, state)
        self.live[index] = child
        return child

    def children_ready_at_once(self) -> Iterator[TaskRun]:
        """Make the children whose upstream children have all finished before this map was expanded."""
        sources = list(self.pairs.values())
        if any(source.unfinished < source.length for source in sources):
            for index in range(self.length):
                if all(source.states[index] is not None for source in sources):
                    yield self._make_child(index)

    def upstream_child_finished(self, index: int) -> TaskRun | None:
        """Make child ``index`` if a child that it follows was the last one it waited for."""
        if index >= self.length or self.states[index] is not None or index in self.live:
            return None
        if any(source.states[index] is None for source in self.pairs.values()):
            return None
        return self._make_child(index)

    def child_finished(self, index: int, state: State) -> None:
        """Keep the state of a child and forget the rest of it."""
        self.states[index] = state
        self.live.pop(index, None)
        self.unfinished -= 1
        self.children_unsuccessful += not state._successful
        self.children_skipped += state._skipped

    def abandon(self, state: Cancelled) -> None:
        """End the children that were not made in ``state``."""
        for index, known in enumerate(self.states):
            if known is None and index not in self.live:
                self.child_finished(index, state)
        self.cursor = self.length

    def snapshot(self) -> State:
        """Return the state to report: of a map that is not finished, with the states that its children are in."""
        if not self.expanded or self.state._finished:
            return self.state
        children: list[State | None] = [state or self._unfinished(i) for i, state in enumerate(self.states)]
        return Mapped("Some mapped children are not finished.", map_states=children)

    def _unfinished(self, index: int) -> State:
        return self.live[index].state if index in self.live else _PENDING

    def child_arguments(self, index: int, runs: Sequence[TaskRun]) -> dict[str, Any]:
        """Return what child ``index`` is called with."""
        found = dict(self.node.constants or {})
        for k, (edge, source) in enumerate(zip(self.node.edges, self.node.sources, strict=True)):
            if edge.key is None:
                continue
            if k in self.pairs:
                state = self.pairs[k].states[index]
                found[edge.key] = None if state is None else state._handed_on
            elif k in self.feeds:
                found[edge.key] = self.feeds[k].values[index]
            else:
                value = runs[source].state._handed_on
                found[edge.key] = _flat(value) if edge.flattened and not edge.mapped else value
        return found

    def child_upstream_states(self, index: int, runs: Sequence[TaskRun]) -> dict[Any, State]:
        """Return the upstream states of child ``index`` by edge."""
        found: dict[Any, State] = {}
        for k, (edge, source) in enumerate(zip(self.node.edges, self.node.sources, strict=True)):
            if isinstance(edge.upstream_task, Constant):
                continue
            if k in self.pairs:
                found[edge] = self.pairs[k].states[index] or _PENDING
            elif k in self.feeds:
                feed = self.feeds[k]
                found[edge] = feed.states[index] if feed.states else _element_state(runs[source].state, feed, index)
            else:
                found[edge] = runs[source].state
        return found


_PENDING = Pending()


def _vote(child: TaskRun, state: State) -> None:
    child.unsuccessful += not state._successful
    child.skipped += state._skipped


def _gives_data(state: State) -> bool:
    """Tell whether there is something to map over; a branch that was not taken has nothing to say about that."""
    return state._successful and not (state._skipped and state._result is None)


def _element_state(whole: State, feed: Feed, index: int) -> State:
    """Return the upstream state as one child sees it: the same state with its element as the result."""
    state = type(whole)(whole.message)
    state._result = feed.values[index]
    return state


class _ChildResults(Sequence[Any]):
    """The results of the children of a map, of which those that are elsewhere are read when they are asked for."""

    __slots__ = ("_states",)

    def __init__(self, states: Sequence[State]) -> None:
        self._states = states

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, index: Any) -> Any:
        return self._states[index]._handed_on


class _RemoteElements(Sequence[Any]):
    """The elements of a value that stays elsewhere: what stands for each of them."""

    __slots__ = ("_length", "_reference")

    def __init__(self, reference: ResultReference, length: int) -> None:
        self._reference = reference
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        return self._reference.element(index)


def _here(value: Any) -> Any:
    """Return a value that can be looked at."""
    return value.load() if isinstance(value, ResultReference) else value


def _elements(task: str, label: str, value: Any) -> Sequence[Any]:
    if isinstance(value, list | tuple | range | str):
        return value
    try:
        elements = iter(value)
    except TypeError as error:
        raise MappingError(
            f"Task {task!r} cannot be mapped over {label!r}: it is {_short(value)}, which is not iterable.",
            hint="Return a list, or wrap the argument in `unmapped(...)`.",
        ) from error
    return list(elements)


def _short(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def _nested(value: object) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def _flat(value: Any) -> Any:
    """Remove one level of nesting, if every element is nested."""
    value = _here(value)
    if not _nested(value):
        return value
    items = [_here(item) for item in value]
    return [x for item in items for x in item] if all(map(_nested, items)) else items


def _flat_feed(states: Sequence[State]) -> Feed:
    """Spread the results of successful children; any other child stays one element with its own state."""
    values: list[Any] = []
    origins: list[State] = []
    for state in states:
        whole = state._successful and not state._skipped and _nested(state.result)
        found = list(state.result) if whole else [state.result]
        values.extend(found)
        origins.extend([state] * len(found))
    return Feed(values, origins)
