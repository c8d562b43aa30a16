"""What a history holds: runs, their tasks, their task runs, and the values these came to.

A task run is known by its run, its node and its map index: ``node`` is the task's place in the plan of the flow, and
``map_index`` that of a mapped child among its brothers, or `UNMAPPED`. Moments are in seconds since the epoch. States
are named by classes of `headrace.states`; of a class that somebody else wrote, it is the nearest one of these above it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FINISHED_STATES",
    "NO_TASK",
    "UNMAPPED",
    "AttemptRecord",
    "Cause",
    "EdgeRecord",
    "Finding",
    "LimitRecord",
    "LogQuery",
    "LogRecord",
    "NoteRecord",
    "Owner",
    "RunQuery",
    "RunRecord",
    "SlotRecord",
    "Tally",
    "TaskKind",
    "TaskRecord",
    "TaskRunQuery",
    "TaskRunRecord",
    "ValueRecord",
]

UNMAPPED: Final = -1
"""The map index of a task run that is no mapped child."""

NO_TASK: Final = -1
"""The node of what is said of a run as a whole."""

_NO_DETAILS: Final[Mapping[str, object]] = MappingProxyType({})

FINISHED_STATES: Final = frozenset(
    {
        "Cached",
        "Cancelled",
        "Crashed",
        "Failed",
        "Finished",
        "Mapped",
        "Skipped",
        "Success",
        "TimedOut",
        "TriggerFailed",
        "ValidationFailed",
    }
)
"""The states after which nothing more happens to a task run; a Looped one goes on."""

Cause: TypeAlias = Literal["abandoned", "died", "interrupted", "restarted", "unknown"]
"""Why the end of a run is not in its record.

Its process could not record it any further, or gave it up; it died, killed or by itself; it was interrupted, or
ended, and did not wait for the run; its machine was restarted; or nothing is left that could tell. A run that was
interrupted counts as Cancelled, and any other one as Crashed.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """The process that drives a run, in facts that tell it from every other process there ever was.

    Attributes:
        pid: its process id, as it sees it itself.
        started: when it started, in a form that only equality can be asked of; None where that cannot be told.
        boot: the id that its machine has from one restart to the next; None where there is none.
        namespace: what its process ids are counted in, on systems that have several such; None elsewhere.
        host: the name of its machine.
    """

    pid: int
    started: str | None
    boot: str | None
    namespace: str | None
    host: str


class ValueRecord(NamedTuple):
    """A result, or the exception that came in its place, and how to get at it.

    A store keeps ``data`` and gives it back as it is; it never looks inside. What is not in ``data`` is at ``location``
    in the result store of the run; with neither, the value was not kept and only its type is known.

    Attributes:
        data: the serialized value, sealed as `headrace.history.sealing.Sealer` does.
        location: where the run's result store has it.
        digest: of the serialized value at ``location``, sealed.
        serializer: the name of the serializer.
        type_name: the class of the value.
        size: how many bytes were serialized.
        is_exception: whether it is what the task raised.
    """

    data: bytes | None = None
    location: str | None = None
    digest: bytes | None = None
    serializer: str | None = None
    type_name: str | None = None
    size: int | None = None
    is_exception: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One run of a flow.

    Whoever begins a run says the first group of attributes, and the store adds the others.

    Attributes:
        id: a UUID.
        name: what people call it.
        flow_name: the flow.
        created: when it was begun.
        parameters: the values of its parameters, sealed.
        parent: the id of the run around it, of a run inside a task.
        resumed_from: the id of the run that it goes on from.
        results: the result store that its locations are in; never with a password.
        task_count: how many tasks somebody wrote into the flow; a mapped one counts once.
        details: what else is to be known, such as the file the flow came from and the versions in use; JSON holds it.
        owner: who drives it, or drove it.
        state: the state it is in, ``Running`` at first.
        message: what that state says.
        started: when its first task run began, or None.
        ended: when it ended, or None.
        cause: why it ended, of a run whose owner died.
        resumed_by: the id of the run that went on from it; of several, the last one.
        counts: how many task runs are in each state, by its name; a mapped task counts itself and its children.
    """

    id: str
    name: str
    flow_name: str
    created: float
    parameters: bytes | None = None
    parent: str | None = None
    resumed_from: str | None = None
    results: str | None = None
    task_count: int = 0
    details: Mapping[str, object] = field(default_factory=dict)

    owner: Owner | None = None
    state: str = "Running"
    message: str | None = None
    started: float | None = None
    ended: float | None = None
    cause: Cause | None = None
    resumed_by: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


class EdgeRecord(NamedTuple):
    """What a task waits for: the node before it, the argument its result goes to, and how it is handed over."""

    upstream: int
    key: str | None = None
    mapped: bool = False
    flattened: bool = False


TaskKind: TypeAlias = Literal["task", "parameter", "constant", "adapter"]
"""What a task is: one that somebody wrote; a parameter or a constant, which have a value without running; or an adapter
that headrace put between two tasks, such as what gathers results for a list."""


class TaskRecord(NamedTuple):
    """A task of a flow as it was when the run began.

    Attributes:
        node: its place in the plan, counted from 0.
        slug: the name that no other task of the flow has.
        name: its own name.
        kind: what it is; lists show only what somebody wrote as a task.
        mapped: whether it is mapped.
        source_digest: of the code it runs; None if that cannot be told.
        trigger: the name of its trigger, if it is not the default.
        resume: what it says about being resumed.
        tags: its tags, sorted.
        upstream: the edges that lead to it, in the order of the plan.
        details: what else is to be known; JSON holds it.
    """

    node: int
    slug: str
    name: str
    kind: TaskKind = "task"
    mapped: bool = False
    source_digest: str | None = None
    trigger: str | None = None
    resume: str = "rerun"
    tags: tuple[str, ...] = ()
    upstream: tuple[EdgeRecord, ...] = ()
    details: Mapping[str, object] = _NO_DETAILS


class TaskRunRecord(NamedTuple):
    """One run of a task or of a mapped child, as far as it has come.

    Attributes:
        node: the task, see `TaskRecord`.
        map_index: which child it is, or `UNMAPPED`.
        attempt: the number of the attempt, from 1.
        state: the state it is in.
        message: what that state says.
        started: when the attempt began, or None if nothing ran.
        entered: when it came into its state.
        until: the moment it waits for, of one that waits.
        child_count: how many children there are, of a mapped task that has been expanded. None means that nobody
            knows, which is not the same as 0.
        value: its result or its exception; without ``data`` unless that was asked for.
        details: what else its state has to say; a text that the store does not look into.
        taken_from: the id of the earlier run that did the work, of one that a resumed run took over.
    """

    node: int
    map_index: int
    attempt: int
    state: str
    message: str | None = None
    started: float | None = None
    entered: float = 0.0
    until: float | None = None
    child_count: int | None = None
    value: ValueRecord | None = None
    details: str | None = None
    taken_from: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in FINISHED_STATES


class Tally(NamedTuple):
    """How many children of a mapped task are in one state.

    Attributes:
        node: the mapped task.
        state: the state.
        children: how many are in it.
        started: when the first of them began, or None if none of them did.
        entered: when the last of them came into the state.
    """

    node: int
    state: str
    children: int
    started: float | None
    entered: float


class AttemptRecord(NamedTuple):
    """An attempt, or an iteration of a loop, that another one followed."""

    node: int
    map_index: int
    attempt: int
    state: str
    message: str | None
    started: float | None
    ended: float
    value: ValueRecord | None = None


class NoteRecord(NamedTuple):
    """A remark on a task run; ``text`` is for people.

    ``kind`` says what it is about: ``"cache"``, whether the result was found in the cache, and which entry is its own;
    ``"resume"``, why a task runs again in a run that goes on from another one; and ``"stayed"``, why it did not after
    all. Others may have kinds of their own.
    """

    node: int
    map_index: int
    kind: str
    text: str


class LogRecord(NamedTuple):
    """Something that a task run logged or printed.

    Attributes:
        position: a number that is larger for what was said later in the same run.
        node: the task, or `NO_TASK` for what the run as a whole logged.
        map_index: which child it is, or `UNMAPPED`.
        attempt: the number of the attempt, from 1; 0 for what the run as a whole logged.
        at: when that was.
        level: as in `logging`; 20 for what went to standard output, 30 for standard error.
        logger: the name of the logger, or ``stdout`` or ``stderr``.
        text: the message, with the traceback if there was one, without the end of the last line.
    """

    position: int
    node: int
    map_index: int
    attempt: int
    at: float
    level: int
    logger: str
    text: str


class SlotRecord(NamedTuple):
    """A slot of a tag that a task run has.

    Attributes:
        tag: the tag.
        run_id: the run.
        node: the task.
        map_index: which child it is, or `UNMAPPED`.
        since: when it got the slot.
    """

    tag: str
    run_id: str
    node: int
    map_index: int
    since: float


class LimitRecord(NamedTuple):
    """How many task runs with a tag may run at once, and which ones do.

    Attributes:
        tag: the tag.
        slots: how many may.
        holders: who has a slot, the first one first. More than ``slots`` have one after the limit was lowered.
    """

    tag: str
    slots: int
    holders: tuple[SlotRecord, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RunQuery:
    """Which runs to list.

    Attributes:
        flow_name: only those of this flow.
        states: only those in one of these states.
        since: only those created at this moment or later.
        before: only those created before this moment.
        parent: only those inside of tasks of this run.
        nested: whether to list runs inside of tasks of other runs too.
        after: only those that come after the run of this id in the list; for the next page of it.
        limit: at most so many.
    """

    flow_name: str | None = None
    states: frozenset[str] | None = None
    since: float | None = None
    before: float | None = None
    parent: str | None = None
    nested: bool = False
    after: str | None = None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRunQuery:
    """Which task runs of a run to list.

    Attributes:
        node: only those of this task.
        children: True for mapped children only, False for none of them.
        states: only those in one of these states.
        after: only those that come after this node and map index; for the next page.
        limit: at most so many.
        data: whether to bring along ``ValueRecord.data``.
    """

    node: int | None = None
    children: bool | None = None
    states: frozenset[str] | None = None
    after: tuple[int, int] | None = None
    limit: int | None = None
    data: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LogQuery:
    """Which log records of a run to list.

    Attributes:
        node: only those of this task, or of `NO_TASK`.
        map_index: only those of this child; `UNMAPPED` for what comes from no child.
        level: only those of this level or a higher one.
        after: only those with a larger position; for the next page, and for what was added since.
        limit: at most so many.
    """

    node: int | None = None
    map_index: int | None = None
    level: int | None = None
    after: int | None = None
    limit: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that is wrong with a history: where, what was found, and what to do about it.

    ``repairable`` tells whether `RunStore.repair` can put it right.
    """

    place: str
    what: str
    hint: str | None = None
    repairable: bool = False
