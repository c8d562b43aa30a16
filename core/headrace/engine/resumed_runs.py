"""Going on with a recorded run: what it has finished is taken over, the rest runs."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headrace.engine.garbage import collector_paused
from headrace.engine.kept_settings import KeptSettings
from headrace.engine.recorded_parameters import recorded_parameters
from headrace.engine.recorded_runs import open_history, open_results, task_records
from headrace.engine.recorded_values import Shelves
from headrace.engine.runs import RunOptions
from headrace.engine.wishes import Wishes
from headrace.exceptions import HistoryError, OpenQuestionError
from headrace.history.records import RunQuery
from headrace.history.resuming import prepare_resumption
from headrace.history.sealing import Sealer, project_key
from headrace.history.taken_values import TakenValues
from headrace.log import get_logger
from headrace.project import project_folder
from headrace.results import ResultFiles
from headrace.serializers import PickleSerializer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.abc import Executor, ResultStore, RunStore
    from headrace.engine import Engine
    from headrace.engine.plan import Plan
    from headrace.flows import Flow
    from headrace.history.choices import Choices
    from headrace.history.records import RunRecord
    from headrace.history.resuming import Resumption
    from headrace.results import Result
    from headrace.states import State

__all__ = ["Resume", "find_run", "next_name", "prepare_resume", "resume_flow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resume:
    """A run that is about to be resumed: its values of the flow's parameters, its settings, and what it takes over."""

    store: RunStore
    parameters: Mapping[str, Any]
    settings: KeptSettings
    resumption: Resumption

    def executor(self, engine: Engine) -> str | Executor | None:
        """Return the executor that the run before was given, or None."""
        name, options = self.settings.executor, self.settings.executor_options
        if name is None or not options:
            return name
        configured = engine.config["engine"].get("executors", {}).get(name, {})
        found: Executor = engine.registry.create("executor", name, **{**configured, **options})
        return found

    def options(self, flow: Flow, options: RunOptions) -> RunOptions:
        """Return ``options`` with what makes the next run of ``flow`` the one that goes on.

        What they say themselves holds; the rest is as in the run before.
        """
        tasks = {slug: task for task, slug in flow.slugs.items()}
        states = {tasks[slug]: state for slug, state in self.resumption.states.items()}
        kept, run = self.settings, self.resumption.run
        # The day that tasks are told stays what it was.
        began = datetime.fromtimestamp(run.created, UTC)
        origin: Any = run.details.get("origin")
        return replace(
            options,
            record=self.store,
            resumption=self.resumption,
            task_states=states,
            context={"date": began.isoformat(), **kept.context, **options.context},
            results=options.results or kept.results,
            scheduled_start_time=options.scheduled_start_time or kept.scheduled_start_time or began,
            timeout=kept.timeout if options.timeout is None else options.timeout,
            run_name=options.run_name or next_name(run.name),
            origin=options.origin or (dict(origin) if isinstance(origin, dict) else {}),
        )


def next_name(name: str) -> str:
    """Return what the run that goes on from one of that name is called: its name with the next number."""
    stem, dot, number = name.rpartition(".")
    return f"{stem}.{int(number) + 1}" if dot and stem and number.isdecimal() else f"{name}.2"


def find_run(engine: Engine, name: str) -> tuple[RunStore, RunRecord]:
    """Return the configured history and the run called ``name`` in it; runs whose process has died are over by then.

    Raises HistoryError.
    """
    store = open_history(True, engine)
    store.sweep()
    return store, store.run(name)


def resume_flow(
    flow: Flow,
    name: str,
    wishes: Wishes,
    parameters: Mapping[str, Any],
    *,
    executor: str | Executor | None = None,
    engine: Engine | None = None,
    record: bool | str | RunStore = True,
    **options: Any,
) -> State:
    """Go on with a run of ``flow``; see `Flow.resume`."""
    from headrace.engine import Engine  # noqa: PLC0415 - it imports this module's neighbours

    engine = engine or Engine()
    store = open_history(record, engine)
    # One that was given is for whoever gave it to close.
    with nullcontext() if store is record else store:
        store.sweep()
        run = _last_run(store, flow) if name == "latest" else store.run(name)
        prepared = prepare_resume(
            flow, store, run, engine, wishes=wishes, results=options.get("results"), parameters=parameters
        )
        for remark in prepared.settings.remarks(*(["executor"] if executor else []), *options):
            get_logger(flow.name).warning("%s", remark)
        given = RunOptions(**{"run_on_schedule": False, **options})
        return flow.run(
            prepared.parameters,
            executor=executor or prepared.executor(engine),
            engine=engine,
            options=prepared.options(flow, given),
        )


def _last_run(store: RunStore, flow: Flow) -> RunRecord:
    for run in store.runs(RunQuery(flow_name=flow.name, nested=True, limit=1)):
        return run
    raise HistoryError(
        f"The history has no run of flow {flow.name!r}.", hint="Record one: `flow.run(record=True)` or `headrace run`."
    )


def prepare_resume(
    flow: Flow,
    store: RunStore,
    run: RunRecord,
    engine: Engine,
    *,
    wishes: Wishes | None = None,
    results: str | ResultStore | Result | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Resume:
    """Work out how ``flow`` goes on from ``run``.

    ``results`` is the result store that it is given now, if any, and ``parameters`` are those that were not kept.
    Raises HistoryError if one of these is missing, or given although it is known; if ``wishes`` names a task that there
    is not or that it does not fit; and, unless ``wishes`` only looks, if the code of tasks that have finished is not
    what it was and that is not accepted, or if a task that had begun wants to be asked and was not.
    """
    if run.flow_name != flow.name:
        raise HistoryError(
            f"Run {run.name!r} is one of flow {run.flow_name!r}, and not of {flow.name!r}.",
            hint="A flow that has another name now is run anew.",
        )
    wishes = wishes or Wishes()
    plan = flow.plan()
    folder = project_folder()
    sealer = Sealer(project_key(folder / "history", make=False))
    project = ResultFiles(open_results(engine, folder), PickleSerializer())
    shelves = Shelves(flow, plan, engine, store, run, project, results)
    choices = wishes.choices(flow)
    with collector_paused(sum(run.counts.values())):
        resumption = prepare_resumption(
            store,
            run,
            task_records(plan),
            values=TakenValues(sealer, run.id, shelves),
            choices=choices,
            resolved=[node.slug for node in plan.nodes if node.resolve is not None],
            anew=[node.slug for node in plan.nodes if node.task.ephemeral or node.task.housekeeping],
        )
    _refuse_idle_answers(resumption, choices)
    if not wishes.only_looks:
        _refuse_to_run_nothing(resumption, choices)
        _refuse_changes(resumption, wishes)
        _refuse_open_questions(resumption)
    return Resume(
        store=store,
        parameters={} if wishes.only_looks else _parameters(plan, run, sealer, parameters or {}),
        settings=KeptSettings.of(run),
        resumption=resumption,
    )


def _parameters(plan: Plan, run: RunRecord, sealer: Sealer, given: Mapping[str, Any]) -> dict[str, Any]:
    return recorded_parameters(run, sealer, {parameter.name for parameter in plan.parameters}, given)


def _refuse_idle_answers(resumption: Resumption, choices: Choices) -> None:
    for slug in sorted({*choices.rerun, *choices.skip}):
        if slug not in resumption.in_doubt:
            raise HistoryError(
                f"Task {slug!r} had not failed and was not under way when run {resumption.run.name!r} ended.",
                hint=f"To run it again, with what depends on it: `--from {slug}`.",
            )


def _refuse_to_run_nothing(resumption: Resumption, choices: Choices) -> None:
    if choices.rerun_failed and all(decision.runs == 0 for decision in resumption.decisions):
        raise HistoryError(
            f"No task of run {resumption.run.name!r} failed by itself, so there is nothing to run.",
            hint="What was under way or had not begun runs with plain `headrace resume`.",
        )


def _refuse_changes(resumption: Resumption, wishes: Wishes) -> None:
    if resumption.changed and not wishes.accept_changes:
        raise HistoryError(
            f"The code of {', '.join(map(repr, resumption.changed))} has changed since run {resumption.run.name!r}.",
            hint="Run these again, and what depends on them: `--accept-changes`. `--dry-run` shows what that means.",
        )


def _refuse_open_questions(resumption: Resumption) -> None:
    for question in resumption.questions:
        raise OpenQuestionError(
            [each.slug for each in resumption.questions],
            f"Task {question.slug!r} wants to be asked before it runs again: {question.what} when run "
            f"{resumption.run.name!r} ended.",
            hint=f"Run it again: `--rerun {question.slug}`; or go on without it: `--skip {question.slug}`.",
        )
