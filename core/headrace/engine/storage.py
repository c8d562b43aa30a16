"""Where the results of one run go: the run's own store, what single tasks say otherwise, and the cache."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.engine.opening import Opener
from headrace.exceptions import FlowDefinitionError, ResultError, TaskDefinitionError
from headrace.locations import NotedLocation, located
from headrace.results import ResultKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from headrace.abc import ResultStore, Serializer
    from headrace.caching._store import CacheStore
    from headrace.engine import Engine
    from headrace.engine.cached_work import CacheMemory
    from headrace.engine.plan import Node, Plan
    from headrace.engine.remembering import TargetMemory
    from headrace.engine.worker import Work
    from headrace.flows import Flow
    from headrace.history.taken_values import Shelf
    from headrace.results import Result
    from headrace.states import State

__all__ = ["RunStorage"]


class RunStorage:
    """Makes the stores that one run needs, each once.

    ``results`` is what the run itself was told; it overrides the flow's and the configured store.
    """

    def __init__(self, flow: Flow, engine: Engine, results: str | ResultStore | Result | None) -> None:
        self._flow = flow
        self._engine = engine
        self._settings: Mapping[str, Any] = engine.config["results"]
        self._where = results or flow.results or self._settings["store"] or None
        self._opener = Opener(engine.registry)
        self._cache: CacheStore | None = None

    def keeper(self) -> ResultKeeper | None:
        """Return what keeps the results of tasks that say nothing of their own, or None if nothing does."""
        store = self._opener.store(self._where)
        return None if store is None else self._keeper(store, self._serializer(None))

    def shelf(self, kind: str, node: Node | None) -> Shelf | None:
        """Return what reads results of earlier runs, or None if there is no such thing.

        ``kind`` is ``store`` for the store of the run, or else what ``node`` says of its own: ``own``, ``target`` or
        ``cache``.
        """
        if kind == "store":
            return self.keeper()
        if node is None or node.task.storage is None:
            return None
        if kind == "target":
            return self._target(node)
        if kind == "own":
            return self._own_keeper(node)
        return self._cache_memory(node, ()) if node.task.storage.is_cached else None

    def _cache_memory(self, node: Node, states: tuple[State, ...]) -> CacheMemory:
        from headrace.engine.cached_work import CacheMemory  # noqa: PLC0415 - only for tasks that ask for it

        serializer = self._serializer(node.task.storage)
        return CacheMemory(node.task, self._open_cache(), serializer, self._engine.clock, states)

    def _keeper(self, store: ResultStore, serializer: Serializer) -> ResultKeeper:
        return ResultKeeper(store, serializer, self._flow.name, self._settings["location"])

    def arrangements(self, plan: Plan, cached: Mapping[int, State]) -> dict[int, Callable[[Work], Work]]:
        """Return, by node, what makes work of the tasks that say something of their own heed it.

        ``cached`` are the Cached states that the run was given for such tasks. Raises FlowDefinitionError or
        TaskDefinitionError for what cannot work, before anything runs.
        """
        return {node.index: self._arrangement(node, cached.get(node.index)) for node in plan.nodes_with_storage}

    def _arrangement(self, node: Node, brought: State | None) -> Callable[[Work], Work]:
        steps = list(self._steps(node, brought))

        def arrange(work: Work) -> Work:
            for step in steps:
                work = step(work)
            return work

        return arrange

    def _steps(self, node: Node, brought: State | None) -> Iterator[Callable[[Work], Work]]:
        from headrace.engine.remembering import RememberingWork  # noqa: PLC0415 - only for tasks that ask for it

        options = node.task.storage
        assert options is not None
        target = self._target(node)
        if target is not None:
            yield partial(_kept_by, None)
            yield partial(RememberingWork, memory=target)
        elif options.result is not None or options.serializer is not None:
            yield partial(_kept_by, self._own_keeper(node))
        if options.is_cached:
            memory = self._cache_memory(node, () if brought is None else (brought,))
            yield partial(RememberingWork, memory=memory)

    def tidy(self, states: Iterable[State]) -> None:
        """Keep the cache within its limits, now that the tasks that are cached have ended in ``states``."""
        if self._cache is None:
            return
        from headrace.caching._pruning import Limits, keep_within  # noqa: PLC0415 - only for tasks that ask for it

        limits = Limits.of(self._engine.config["cache"])
        if not limits:
            return
        ended = [(state.location, state.is_cached()) for state in states if state.location is not None]
        if all(found for _, found in ended):
            return
        # A state of this run may still read its value where it lies.
        keep = {location for location, _ in ended}
        try:
            keep_within(self._cache, limits, self._engine.clock.now(), self._cache.written.total, keep)
        except ResultError as error:
            from headrace.log import get_logger  # noqa: PLC0415 - only when something is wrong

            get_logger().warning("The cache could not be kept within its limits: %s", error.message)

    # -- tasks ---------------------------------------------------------------------------------------------------

    def _own_keeper(self, node: Node) -> ResultKeeper | None:
        options = node.task.storage
        assert options is not None
        store = self._opener.store(options.result) or self._opener.store(self._where)
        if store is None or node.task.checkpoint is False:
            return None
        return _OwnKeeper(store, self._serializer(options), self._flow.name, self._settings["location"])

    def _target(self, node: Node) -> TargetMemory | None:
        """Return the memory of a task that says where its result goes, by a target or by the location of a result."""
        options = node.task.storage
        assert options is not None
        template = options.target or getattr(options.result, "location", None)
        if template is None:
            return None
        from headrace.engine.remembering import TargetMemory  # noqa: PLC0415 - only for tasks that ask for it

        word = "location" if options.target is None else "target"
        store = self._opener.store(options.result) or self._opener.store(self._where)
        if store is None:
            raise FlowDefinitionError(
                f"Task {node.task.name!r} has a {word}, and nothing says which store it is in.",
                hint='Say `result="file:folder"` for the task, or `results="file:folder"` for the flow.',
            )
        _check_children(node, word, template)
        what = f"The {word} of task {node.task.name!r}"
        return TargetMemory(what, template, store, self._serializer(options), looks=options.target is not None)

    # -- plugins -------------------------------------------------------------------------------------------------

    def _serializer(self, options: Any) -> Serializer:
        """Return the serializer of a task, its result, the flow, the flow's result, or the configuration."""
        candidates = (options, getattr(options, "result", None), self._flow, self._where)
        found = (getattr(candidate, "serializer", None) for candidate in candidates)
        return self._opener.serializer(next((one for one in found if one is not None), self._settings["serializer"]))

    def _open_cache(self) -> CacheStore:
        if self._cache is None:
            from headrace.caching._store import open_cache  # noqa: PLC0415 - only for flows with cached tasks

            make_store = partial(self._engine.registry.create_from_url, "store")
            self._cache = open_cache(self._engine.config, make_store)
        return self._cache


class _OwnKeeper(ResultKeeper):
    """Keeps the results of one task, which the run's own keeper could not read back."""

    def keep(self, work: Work, value: object) -> str | None:
        location = super().keep(work, value)
        if not isinstance(location, NotedLocation):
            return location
        return located(location, self, location, kind="own", digest=location.digest)

    reload = ResultKeeper.load


def _kept_by(keeper: ResultKeeper | None, work: Work) -> Work:
    work.keeper = keeper
    return work


# What differs between the children of a map.
_APART = frozenset({"map_index", "task_full_name", "task_run_id", "task_run_name"})


def _check_children(node: Node, word: str, template: object) -> None:
    """Refuse a location at which every child of a map would find the result of the first."""
    if not node.mapped or not isinstance(template, str):
        return
    from headrace.templates import placeholders  # noqa: PLC0415 - only for tasks that have one

    if placeholders(template).isdisjoint(_APART | {edge.key for edge in node.edges if edge.mapped and edge.key}):
        raise TaskDefinitionError(
            f"The {word} {template!r} of the mapped task {node.task.name!r} is the same for each child.",
            hint="Put `{map_index}` or a mapped argument into it.",
        )
