"""Where a flow finds the results that an earlier run of it recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.engine.storage import RunStorage
from headrace.exceptions import HeadraceError, RunNotFoundError

if TYPE_CHECKING:
    from headrace.abc import ResultStore, RunStore
    from headrace.engine import Engine
    from headrace.engine.plan import Plan
    from headrace.flows import Flow
    from headrace.history.records import RunRecord
    from headrace.history.taken_values import Shelf
    from headrace.results import Result, ResultFiles

__all__ = ["Shelves"]

UNNAMED = "unnamed"
"""What a run says of a result store that came as an object, or with a password."""


class Shelves:
    """Opens the stores that the results of earlier runs are in, each once.

    ``project`` are the project's own results, and ``results`` is what the run that goes on was told.
    """

    def __init__(
        self,
        flow: Flow,
        plan: Plan,
        engine: Engine,
        store: RunStore,
        run: RunRecord,
        project: ResultFiles,
        results: str | ResultStore | Result | None = None,
    ) -> None:
        self._flow = flow
        self._nodes = {node.slug: node for node in plan.nodes_with_storage}
        self._engine = engine
        self._store = store
        self._runs: dict[str, RunRecord | None] = {run.id: run}
        self._project = project
        self._results = results
        self._shelves: dict[tuple[str, str, str], Shelf | str] = {}

    def __call__(self, kind: str, slug: str, run_id: str) -> Shelf | str:
        """Return where results of a kind of location are that a task had in a run, or say why that is not known."""
        if not kind:
            return self._project
        key = (kind, "" if kind == "store" else slug, run_id)
        if key not in self._shelves:
            self._shelves[key] = self._open(kind, slug, run_id)
        return self._shelves[key]

    def _open(self, kind: str, slug: str, run_id: str) -> Shelf | str:
        run = self._run(run_id)
        if run is None:
            return f"run {run_id[:8]}, which knew where its result is, is no longer in the history"
        settings: Any = run.details.get("settings")
        unnamed = isinstance(settings, dict) and settings.get("results") == UNNAMED
        if kind in {"store", "own"} and unnamed and self._results is None:
            return "the run does not know the name of the store that its result is in"
        where = self._results if unnamed else run.results
        try:
            shelf = RunStorage(self._flow, self._engine, where).shelf(kind, self._nodes.get(slug))
        except (HeadraceError, OSError) as error:
            return f"its result store cannot be opened: {error}"
        return "its result is in a store that the flow does not have any more" if shelf is None else shelf

    def _run(self, run_id: str) -> RunRecord | None:
        if run_id not in self._runs:
            try:
                self._runs[run_id] = self._store.run(run_id)
            except RunNotFoundError:
                self._runs[run_id] = None
        return self._runs[run_id]
