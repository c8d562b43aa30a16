"""Runs that are recorded: what the history is told of the run as a whole, and where its results go."""

from __future__ import annotations

import platform
from dataclasses import replace
from typing import TYPE_CHECKING

import headrace
from headrace.abc import RunStore
from headrace.caching._facts import code_of
from headrace.engine.recording import Recorder
from headrace.exceptions import DefinitionTypeError, HistoryError, RunOwnedError, UnhashableArgumentError
from headrace.hashing import digest, digest_arguments
from headrace.history.keeping import RecordingKeeper
from headrace.history.records import EdgeRecord, RunRecord, TaskRecord, TaskRunRecord
from headrace.history.sealing import Sealer, project_key
from headrace.pickling import dump
from headrace.project import make_private, project_folder
from headrace.serializers import PickleSerializer
from headrace.value_paths import callable_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    from headrace.abc import RunJournal
    from headrace.engine import Engine
    from headrace.engine.plan import Node, Plan
    from headrace.results import ResultKeeper
    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["Recording", "begin_recording", "open_history", "task_records"]


class Recording:
    """A run as the history sees it. Used by the thread that drives the run.

    ``recorder`` is for the driver, and ``keeper`` keeps the results of tasks that say nothing of their own.
    """

    def __init__(self, store: RunStore, journal: RunJournal, recorder: Recorder, keeper: ResultKeeper) -> None:
        self.recorder = recorder
        self.keeper = keeper
        self._store = store
        self._journal = journal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.abandon()
        self._store.close()

    def ended(self, state: State) -> None:
        """Say how the run ended; when this returns it is there for everybody."""
        self._journal.ended(type(state).__name__, state.message, state.timestamp)


def begin_recording(
    run: RunRecord,
    values: Mapping[str, object],
    plan: Plan,
    engine: Engine,
    wanted: bool | str | RunStore,
    taken_over: Sequence[TaskRunRecord] = (),
) -> Recording | None:
    """Begin to record ``run``, or return None, having warned, if the history cannot be written.

    ``wanted`` is True for the configured history, a URL, or a store. Raises RunOwnedError if the run to go on from is
    somebody else's, and whatever is wrong with ``wanted``.
    """
    folder = project_folder()
    try:
        for name in ("history", "results"):
            make_private(folder / name)
        sealer = Sealer(project_key(folder / "history"))
        store = open_history(wanted, engine)
        journal = store.begin(_with_parameters(run, values, sealer), task_records(plan), taken_over=taken_over)
    except RunOwnedError:
        raise
    except (HistoryError, OSError) as error:
        from headrace.log import get_logger  # noqa: PLC0415 - only where something is wrong

        get_logger(run.flow_name).warning("This run is not recorded: %s", error)
        return None
    files = engine.registry.create_from_url("store", f"file:{folder / 'results'}")
    keeper = RecordingKeeper(files, PickleSerializer(), run.flow_name)
    return Recording(store, journal, Recorder(journal, sealer, engine.clock.now), keeper)


def open_history(wanted: bool | str | RunStore, engine: Engine) -> RunStore:
    """Return the configured history for True, the one at a URL, or ``wanted`` itself."""
    if isinstance(wanted, RunStore):
        return wanted
    if not isinstance(wanted, bool | str):
        raise DefinitionTypeError(f"`record` of a run must be True, a URL or a RunStore, and is {wanted!r}.")
    url: str = engine.config["history"]["store"] if isinstance(wanted, bool) else wanted
    found: RunStore = engine.registry.create_from_url("history", url)
    return found


def _with_parameters(run: RunRecord, values: Mapping[str, object], sealer: Sealer) -> RunRecord:
    """Return ``run`` with the values of its parameters, for whoever resumes it, and with what made it."""
    details = {
        "headrace": headrace.__version__,
        "python": platform.python_version(),
        **run.details,
    }
    try:
        parameters = sealer.seal(dump(dict(values)))
    except Exception as error:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        details["parameters"] = f"not kept: {error}"
        parameters = None
    return replace(run, parameters=parameters, details=details)


def task_records(plan: Plan) -> list[TaskRecord]:
    """Return what the history is told of the tasks of a flow."""
    codes: dict[int, str | None] = {}
    return [_task_record(node, codes) for node in plan.nodes]


def _task_record(node: Node, codes: dict[int, str | None]) -> TaskRecord:
    task = node.task
    # Copies of a task run the same code.
    if id(task.run) not in codes or node.resolve is not None:
        codes[id(task.run)] = source_digest(task)
    code = codes[id(task.run)]
    return TaskRecord(
        node=node.index,
        slug=node.slug,
        name=task.name,
        mapped=node.mapped,
        source_digest=_with_constants(code, node.constants) if node.constants else code,
        trigger=None if node.default_trigger else callable_name(task.trigger),
        tags=tuple(sorted(task.tags)),
        upstream=tuple(_edges(node)),
    )


def _with_constants(code: str | None, constants: Mapping[str, object]) -> str | None:
    """Return a digest of code and of the constants that it is called with."""
    try:
        return digest((code, digest_arguments(constants)), "constants")
    except UnhashableArgumentError:
        return code


def _edges(node: Node) -> Iterator[EdgeRecord]:
    for edge, source in zip(node.edges, node.sources, strict=True):
        yield EdgeRecord(source, edge.key, bool(edge.mapped), bool(edge.flattened))


def source_digest(task: Task) -> str | None:
    """Return a digest of the code of ``task``, or None if that cannot be told."""
    try:
        return digest(tuple(sorted(code_of(task).items())), "code")
    except UnhashableArgumentError:
        return None
