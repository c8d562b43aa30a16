"""Going on with a recorded run: what it has finished is taken over, the rest runs."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.engine.recorded_runs import open_history, task_records
from headrace.exceptions import HistoryError, nearest
from headrace.history.resuming import prepare_resumption
from headrace.history.sealing import Sealer, project_key
from headrace.project import project_folder
from headrace.results import ResultFiles
from headrace.serializers import PickleSerializer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.abc import RunStore
    from headrace.engine import Engine
    from headrace.engine.runs import RunOptions
    from headrace.flows import Flow
    from headrace.history.records import RunRecord
    from headrace.history.resuming import Resumption

__all__ = ["Resume", "find_run", "prepare_resume"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """A run that is about to be resumed: its values of the flow's parameters, and what it takes over."""

    store: RunStore
    parameters: Mapping[str, Any]
    resumption: Resumption

    def options(self, flow: Flow, options: RunOptions) -> RunOptions:
        """Return ``options`` with what makes the next run of ``flow`` the one that goes on."""
        tasks = {slug: task for task, slug in flow.slugs.items()}
        states = {tasks[slug]: state for slug, state in self.resumption.states.items()}
        return replace(options, record=self.store, resumption=self.resumption, task_states=states)


def find_run(engine: Engine, name: str) -> tuple[RunStore, RunRecord]:
    """Return the configured history and the run called ``name`` in it; runs whose process has died are over by then.

    Raises HistoryError.
    """
    store = open_history(True, engine)
    store.sweep()
    return store, store.run(name)


def prepare_resume(
    flow: Flow, store: RunStore, run: RunRecord, engine: Engine, *, rerun: Collection[str] = (), accept: bool = False
) -> Resume:
    """Work out how ``flow`` goes on from ``run``; ``rerun`` names tasks that run again, with what depends on them.

    Raises HistoryError if the run's parameters were not kept, if ``rerun`` names no task, and, unless ``accept`` allows
    it, if the code of tasks that have finished is not what it was.
    """
    plan = flow.plan()
    folder = project_folder()
    sealer = Sealer(project_key(folder / "history"))
    files = ResultFiles(engine.registry.create_from_url("store", f"file:{folder / 'results'}"), PickleSerializer())
    resumption = prepare_resumption(
        store,
        run,
        task_records(plan),
        sealer=sealer,
        files=files,
        rerun=_slugs(flow, rerun),
        resolved=[node.slug for node in plan.nodes if node.resolve is not None],
    )
    if resumption.changed and not accept:
        raise HistoryError(
            f"The code of {', '.join(map(repr, resumption.changed))} has changed since run {run.name!r}.",
            hint="Run these again, and what depends on them: `--accept-changes`. `--dry-run` shows what that means.",
        )
    return Resume(store=store, parameters=_parameters(run, sealer), resumption=resumption)


def _slugs(flow: Flow, names: Collection[str]) -> set[str]:
    """Return the slugs of the tasks that are called so, or have such a slug."""
    found: set[str] = set()
    known = set(flow.slugs.values()) | {task.name for task in flow.slugs}
    for name in names:
        slugs = {slug for task, slug in flow.slugs.items() if name in {slug, task.name}}
        if not slugs:
            raise HistoryError(f"Flow {flow.name!r} has no task {name!r}.", hint=nearest(name, known))
        found |= slugs
    return found


def _parameters(run: RunRecord, sealer: Sealer) -> Mapping[str, Any]:
    if run.parameters is None:
        raise HistoryError(f"The parameters of run {run.name!r} were not kept.", hint="Run the flow anew.")
    what = f"What the parameters of run {run.name!r} were"
    found: Mapping[str, Any] = pickle.loads(sealer.unseal(run.parameters, what))  # noqa: S301 - under our own seal
    return found
