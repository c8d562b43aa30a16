"""Runs that are recorded: what the history is told of the run as a whole, and where its results go."""

from __future__ import annotations

import atexit
import os
import platform
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import headrace
from headrace.abc import RunStore
from headrace.caching._facts import code_of
from headrace.engine.garbage import collector_paused
from headrace.engine.histories import open_history
from headrace.engine.recorded_parameters import kept_parameters
from headrace.engine.recording import Recorder
from headrace.exceptions import HistoryError, UnhashableArgumentError, describe
from headrace.fault_points import reached
from headrace.hashing import digest, digest_arguments
from headrace.history.keeping import RecordingKeeper, folder_of
from headrace.history.log_capture import RunLogs
from headrace.history.records import UNMAPPED, EdgeRecord, RunQuery, RunRecord, TaskRecord
from headrace.history.sealing import KEY_FILE, KEY_VARIABLE, Sealer, has_key, project_key
from headrace.masking import mask, masker
from headrace.parameters import Parameter
from headrace.project import make_private, project_folder
from headrace.serializers import PickleSerializer
from headrace.tasks import FunctionTask
from headrace.value_paths import callable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from headrace.abc import ResultStore, RunJournal
    from headrace.engine import Engine
    from headrace.engine.plan import Node, Plan
    from headrace.history.records import TaskKind
    from headrace.history.resuming import Resumption
    from headrace.results import ResultKeeper
    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["Recording", "begin_recording", "kind_of", "open_history", "open_results", "task_records"]


class Recording:
    """A run as the history sees it. Used by the thread that drives the run.

    ``recorder`` is for the driver, and ``keeper`` keeps the results of tasks that say nothing of their own. ``logs``
    take down what is logged and printed between entering and leaving this. ``tidy`` is called once the run has ended.
    ``store`` is closed in the end; None is for one that somebody else closes.
    """

    def __init__(
        self,
        store: RunStore | None,
        journal: RunJournal,
        recorder: Recorder,
        keeper: ResultKeeper,
        logs: RunLogs,
        tidy: Callable[[], None] | None = None,
    ) -> None:
        self.recorder = recorder
        self.keeper = keeper
        self.logs = logs
        self._store = store
        self._journal = journal
        self._tidy = tidy
        self._why_left: Callable[[], str] | None = None

    def __enter__(self) -> Self:
        self.logs.__enter__()
        # A second interrupt may end the process while this thread is stuck.
        atexit.register(self._leave)
        return self

    def watch(self, why_left: Callable[[], str]) -> None:
        """Ask ``why_left`` what to say of the run if the process ends, or is interrupted, before it has ended."""
        self._why_left = why_left

    def _leave(self) -> None:
        """Let the run go, in whatever thread: the process does not wait for it."""
        self._journal.abandon(None if self._why_left is None else self._why_left())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        atexit.unregister(self._leave)
        self.logs.__exit__()
        self.logs.finish()
        if kind is not None and not issubclass(kind, Exception):
            self._leave()
        self._journal.abandon()
        try:
            if kind is None and self._tidy is not None:
                self._tidy()
        finally:
            if self._store is not None:
                self._store.close()

    def ended(self, state: State) -> None:
        """Say how the run ended; when this returns it is there for everybody."""
        self.logs.finish()
        reached("run.ending")
        self._journal.ended(type(state).__name__, state.message, state.timestamp)
        reached("run.ended")

    def never_began(self, error: Exception, at: float) -> None:
        """Say that nothing of the run could begin, and why."""
        self.logs.finish()
        # The error is what the user has to hear of.
        with suppress(HistoryError):
            self._journal.ended("Failed", mask(describe(error)), at)


def begin_recording(
    run: RunRecord,
    values: Mapping[str, object],
    plan: Plan,
    engine: Engine,
    wanted: bool | str | RunStore,
    resumption: Resumption | None = None,
) -> Recording | None:
    """Begin to record ``run``, or return None, having warned, if the history cannot be written.

    ``wanted`` is True for the configured history, a URL, or a store. Raises whatever is wrong with ``wanted``, and
    HistoryError if a run is to be gone on with that is somebody else's or gone, or cannot be claimed.
    """
    folder = project_folder()
    try:
        _make_folders(folder)
        _mask_configured_secrets(engine)
        is_new = not has_key(folder / "history")
        sealer = Sealer(project_key(folder / "history"))
        store = open_history(wanted, engine)
        if is_new and any(store.runs(RunQuery(limit=1, nested=True))):
            _warn_of_new_key(run.flow_name, folder / "history" / KEY_FILE)
        tasks = task_records(plan)
        secret = {each.name for each in plan.parameters if each.secret}
        count = sum(task.kind == "task" for task in tasks)
        run = replace(_with_parameters(run, values, sealer, secret), task_count=count)
        reached("run.begin")
        journal = store.begin(run, tasks, taken_over=() if resumption is None else resumption.taken_over)
    except HistoryError as error:
        if run.resumed_from is not None:
            # Without a record of it, somebody else could go on with the same run at the same time.
            raise
        from headrace.log import get_logger  # noqa: PLC0415 - only where something is wrong

        get_logger(run.flow_name).warning("This run is not recorded: %s", error)
        return None
    reached("run.begun")
    try:
        return _begun(store, journal, run, tasks, engine, sealer, wanted, resumption)
    except BaseException:
        journal.abandon()
        raise


def _warn_of_new_key(flow_name: str, path: Path) -> None:
    from headrace.log import get_logger  # noqa: PLC0415 - only where something is wrong

    get_logger(flow_name).warning(
        "The key of the history, %s, was missing, and there is a new one now. What runs recorded before is sealed with "
        "the old key: it cannot be read any more, and these runs cannot be resumed. Put the old file back, or set the "
        "variable %s to what was in it.",
        path,
        KEY_VARIABLE,
    )


def _begun(
    store: RunStore,
    journal: RunJournal,
    run: RunRecord,
    tasks: Sequence[TaskRecord],
    engine: Engine,
    sealer: Sealer,
    wanted: bool | str | RunStore,
    resumption: Resumption | None,
) -> Recording:
    """Return what takes ``run`` down, which has begun in ``store``."""
    folder = project_folder()
    keeper = RecordingKeeper(
        open_results(engine, folder), PickleSerializer(), run.flow_name, folder_of(store.place(folder))
    )
    logs = _logs(journal, run, tasks, engine)
    if resumption is not None:
        _note_reasons(journal, tasks, resumption)
    resumes = resumption is not None
    recorder = Recorder(_listening(journal, resumption), sealer, engine.clock.now, logs, resumes=resumes)
    if isinstance(wanted, RunStore):
        return Recording(None, journal, recorder, keeper, logs)
    tidy = partial(_tidy, store, folder, engine) if wanted is True else None
    return Recording(store, journal, recorder, keeper, logs, tidy)


def _listening(journal: RunJournal, resumption: Resumption | None) -> RunJournal:
    """Return ``journal``, and let what may stay hear what is said to it."""
    if resumption is None or resumption.staying is None:
        return journal
    from headrace.engine.staying import StayingJournal  # noqa: PLC0415 - few runs are resumed

    return cast("RunJournal", StayingJournal(journal, resumption.staying))


def _logs(journal: RunJournal, run: RunRecord, tasks: Sequence[TaskRecord], engine: Engine) -> RunLogs:
    """Return what takes down the logs of ``run``, within the configured bounds."""
    settings = engine.config["history"]
    journal.bound_logs(settings["log_bytes_per_task"], settings["log_bytes_per_run"])
    return RunLogs(journal, run.id, {task.slug: task.node for task in tasks}, engine.clock.now)


def _note_reasons(journal: RunJournal, tasks: Sequence[TaskRecord], resumption: Resumption) -> None:
    """Take down why tasks run again that an earlier run knew."""
    nodes = {task.slug: task.node for task in tasks}
    for decision in resumption.decisions:
        if decision.why:
            journal.noted(nodes[decision.slug], UNMAPPED, "resume", decision.why)


def _make_folders(folder: Path) -> None:
    for name in ("history", "results"):
        try:
            make_private(folder / name)
        except OSError as error:
            in_the_way = next((each for each in (folder / name, folder) if each.is_file()), None)
            reason = error.strerror or error if in_the_way is None else f"{in_the_way} is a file"
            raise HistoryError(
                f"The folder {folder / name} cannot be made: {reason}.",
                hint="Check the permissions, or name another folder for the project with HEADRACE_HOME.",
            ) from error


def _tidy(store: RunStore, folder: Path, engine: Engine) -> None:
    """Keep the configured history within its limits, now and then."""
    from headrace.history.retention import Limits, collect_if_due  # noqa: PLC0415 - without limits there is no need

    limits = Limits.of(engine.config["history"])
    if limits:
        collect_if_due(store, folder, limits, engine.clock.now())


def open_results(engine: Engine, folder: Path) -> ResultStore:
    """Return the store with large results of recorded runs, in the project's ``folder``."""
    found: ResultStore = engine.registry.create_from_url(
        "store", f"file:{quote(os.fsencode((folder / 'results').as_posix()))}"
    )
    return found


def _mask_configured_secrets(engine: Engine) -> None:
    """Keep what is configured as a secret out of the history, before any task has asked for it."""
    for value in engine.config["context"]["secrets"].values():
        masker.add(value)


def _with_parameters(
    run: RunRecord, values: Mapping[str, object], sealer: Sealer, secret: Collection[str]
) -> RunRecord:
    """Return ``run`` with the values of its parameters, for whoever resumes it, and with what made it."""
    details = {
        "headrace": headrace.__version__,
        "python": platform.python_version(),
        **run.details,
    }
    parameters, lost = kept_parameters(values, sealer, secret)
    if lost:
        details["parameters_not_kept"] = lost
    return replace(run, parameters=parameters, details=details)


def task_records(plan: Plan) -> list[TaskRecord]:
    """Return what the history is told of the tasks of a flow."""
    codes: dict[object, str | None] = {}
    known: dict[object, dict[str, str]] = {}
    with collector_paused(len(plan.nodes)):
        return [_task_record(node, codes, known) for node in plan.nodes]


def _task_record(node: Node, codes: dict[object, str | None], known: dict[object, dict[str, str]]) -> TaskRecord:
    task = node.task
    # Copies of a function's task run the same code; the method of another one is made anew each time it is looked up.
    key = id(task.run) if isinstance(task, FunctionTask) else task
    if key not in codes:
        codes[key] = source_digest(task, known)
    code = codes[key]
    return TaskRecord(
        node=node.index,
        slug=node.slug,
        name=task.name,
        kind=kind_of(task),
        mapped=node.mapped,
        source_digest=_with_constants(code, node.constants) if node.constants else code,
        trigger=None if node.default_trigger else callable_name(task.trigger),
        resume=task.resume,
        tags=tuple(sorted(task.tags)) if task.tags else (),
        upstream=tuple(_edges(node)) if node.edges else (),
    )


def kind_of(task: Task) -> TaskKind:
    """Return what the history calls a task of this kind."""
    if isinstance(task, Parameter):
        return "parameter"
    if not task.auto_generated:
        return "task"
    return "adapter" if getattr(task, "resolve", None) is None else "constant"


def _with_constants(code: str | None, constants: Mapping[str, object]) -> str | None:
    """Return a digest of code and of the constants that it is called with."""
    try:
        return digest((code, digest_arguments(constants)), "constants")
    except UnhashableArgumentError:
        return code


def _edges(node: Node) -> Iterator[EdgeRecord]:
    for edge, source in zip(node.edges, node.sources, strict=True):
        yield EdgeRecord(source, edge.key, bool(edge.mapped), bool(edge.flattened))


def source_digest(task: Task, known: dict[object, dict[str, str]] | None = None) -> str | None:
    """Return a digest of the code of ``task``, or None if that cannot be told; ``known`` is that of `code_of`."""
    try:
        return digest(tuple(sorted(code_of(task, known).items())), "code")
    except UnhashableArgumentError:
        return None
