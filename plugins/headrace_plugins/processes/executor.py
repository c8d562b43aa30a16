"""The executor ``processes``: tasks in worker processes of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Final

from headrace.abc import Capability, Executor
from headrace.claims import Claim
from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, PluginOptionError, describe, nearest
from headrace.states import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from headrace.abc import ExecutorContext
    from headrace.engine.worker import Work
    from headrace.remote import Courier
    from headrace_plugins.processes.pool import Pool
    from headrace_plugins.processes.sharing import Sharer

__all__ = ["ProcessesExecutor"]

# So that jobs that wait for a resource do not keep others from being submitted.
_ROOM_FOR_WAITING: Final = 1000
# Twice what a worker takes that has imported nothing but its own code.
_LEAST_MEMORY: Final = 64_000_000


class ProcessesExecutor(Executor):
    """Runs up to ``workers`` tasks at the same time, each in a process of its own.

    For Python code that computes, and for tasks that must not take others with them: a task whose process dies is
    Crashed, alone, and its worker is replaced. What tasks are called with and what they return is pickled; large arrays
    go through shared memory, and one that many children of a map are called with is copied about once for all of them:
    it is as it was when it was copied, and what a task writes to it no other task sees. What a task prints and logs
    reaches the driver's streams and handlers.

    Timeouts are hard. The time of a task begins when all that it is called with has been read, and ends with its
    result: when it is over, the task gets the usual exception and what it has started SIGTERM, and ``kill_grace``
    seconds later all of it is killed. What has left the process group of the task gets SIGTERM when the task itself has
    ended. A task may change its folder, environment, file mode, signals and standard files; the next task in the same
    process finds them as they were.

    Needs POSIX; all of this is in effect on Linux, while other systems let a process that a task has moved out of its
    process group stay.

    Args:
        workers: how many processes; by default one per core that this process may use.
        memory_limit: bytes of address space that a worker may use, at least 64 million; more raises MemoryError in the
            task.
        max_tasks_per_worker: after how many tasks a worker is replaced; by default never.
        kill_grace: seconds between asking what is out of time, or cancelled, to end, and killing it.
        preload: names of modules that are imported once, before workers are made.
        resources: amounts that tasks with `resources` share, such as ``{"gpu": 2}``.

    Raises:
        PluginOptionError: a ValueError; an option makes no sense.
    """

    capabilities = frozenset({Capability.REMOTE, Capability.HARD_TIMEOUT, Capability.CANCEL})

    def __init__(
        self,
        workers: int | None = None,
        memory_limit: int | None = None,
        max_tasks_per_worker: int | None = None,
        kill_grace: float = 5.0,
        preload: Sequence[str] = (),
        resources: Mapping[str, float] | None = None,
    ) -> None:
        _check("workers", workers, 1)
        _check(
            "memory_limit",
            memory_limit,
            _LEAST_MEMORY,
            hint="It is in bytes, and the worker itself, without any task, takes about half of that.",
        )
        _check("max_tasks_per_worker", max_tasks_per_worker, 1)
        _check("kill_grace", kill_grace, 0, whole=False)
        self.workers = workers or _cores()
        self.memory_limit = memory_limit
        self.max_tasks_per_worker = max_tasks_per_worker
        self.kill_grace = kill_grace
        self.preload = _modules(preload)
        self.resources = _amounts(resources)
        self._claim = Claim()
        self._pool: Pool | None = None
        self._courier: Courier | None = None
        self._sharer: Sharer | None = None

    def __getstate__(self) -> dict[str, object]:
        # A flow inside of a task may name the executor that runs the task: there it is one that has not been started.
        return self.__dict__ | {"_claim": Claim(), "_pool": None, "_courier": None, "_sharer": None}

    @property
    def capacity(self) -> int:
        """Return twice the workers, so that each finds its next task waiting; more where tasks are short, or wait."""
        if self.resources:
            return 2 * self.workers + _ROOM_FOR_WAITING
        return self.workers * (2 if self._pool is None else self._pool.depth)

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Start workers in the background; on exit, end them and whatever they have started."""
        if sys.platform == "win32":
            raise ExecutorError(
                "Executor 'processes' needs POSIX, and this is Windows.", hint="Use `threads`, or a cluster."
            )
        self._claim.take(stack)
        from headrace.remote import Courier, Levels
        from headrace_plugins.processes.output import new_token
        from headrace_plugins.processes.pool import Pool
        from headrace_plugins.processes.sharing import Sharer
        from headrace_plugins.processes.streams import replaced_streams
        from headrace_plugins.processes.supervisor import Setup

        # With pipes for their output, nothing that workers print needs another way.
        token, streams = (b"", replaced_streams()) if context.take_output is None else (new_token(), ())
        setup = Setup(os.getpid(), Levels.current(), self.preload, self.memory_limit, streams, token)
        self._courier = Courier()
        self._sharer = Sharer()
        self._pool = pool = Pool(
            setup,
            self.workers,
            amounts=self.resources,
            most_calls=self.max_tasks_per_worker,
            kill_grace=self.kill_grace,
            take_output=context.take_output,
        )
        stack.callback(self._close, pool)
        pool.start(context.task_count)

    def _close(self, pool: Pool) -> None:
        try:
            pool.close()
        finally:
            self._pool = self._courier = self._sharer = None

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Send ``work`` to a worker; raise TransferError naming what cannot be pickled."""
        from headrace_plugins.processes.jobs import Job

        assert self._pool is not None
        assert self._courier is not None
        needs = work.task.resources or {}
        refusal = self._refusal(work.name, needs)
        if refusal is not None:
            deliver(Outcome(work.key, Failed(describe(refusal), refusal)))
            return
        assert self._sharer is not None
        buffers: list[Any] = []
        parts = self._courier.parts(work)
        data = self._courier.dump(work, buffers)
        if buffers and work.map_index >= 0:
            buffers = self._sharer.share(work.slug, buffers)
        self._pool.submit(Job(work=work, needs=needs, deliver=deliver, parts=parts, data=data, buffers=buffers))

    def _refusal(self, task: str, needs: Mapping[str, float]) -> PluginOptionError | None:
        """Return why a task with such needs would wait for ever, or None."""
        for name, amount in needs.items():
            if amount > self.resources.get(name, 0):
                known = "" if name in self.resources else nearest(name, self.resources)
                return PluginOptionError(
                    f"Task {task!r} needs {amount:g} of {name!r}, and executor 'processes' has "
                    f"{self.resources.get(name, 0):g}.",
                    hint=f"Make it with `resources={{{name!r}: {amount:g}}}`. {known}".strip(),
                )
        return None

    def withdraw(self) -> list[Work]:
        """Take back what no worker has been sent."""
        return [] if self._pool is None else self._pool.withdraw()

    def cancel(self, *, force: bool) -> None:
        """Raise KeyboardInterrupt in every task that runs, or kill its process and what it has started."""
        if self._pool is not None:
            self._pool.cancel(force=force)


def _check(option: str, value: object, least: int, *, whole: bool = True, hint: str | None = None) -> None:
    """Raise PluginOptionError for what is no number in range; whole ones may be None, for the default."""
    if value is None and whole:
        return
    kinds = (int,) if whole else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool) or not least <= value < inf:
        what = "a whole number" if whole else "a finite number"
        raise PluginOptionError(
            f"Executor 'processes' needs {what} of at least {least} for {option}, and got {value!r}.", hint=hint
        )


def _modules(preload: object) -> tuple[str, ...]:
    given = (preload,) if isinstance(preload, str) else preload
    names = tuple(given) if isinstance(given, Iterable) else ()
    if not isinstance(given, Iterable) or not all(isinstance(name, str) and name for name in names):
        raise PluginOptionError(
            f"Executor 'processes' needs names of modules for preload, and got {preload!r}.",
            hint='Such as `preload=["numpy"]`.',
        )
    return names


def _amounts(resources: object) -> dict[str, float]:
    given = {} if resources is None else resources
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise PluginOptionError(
            f"Executor 'processes' needs names with amounts for resources, and got {resources!r}.",
            hint='Such as `resources={"gpu": 2}`.',
        )
    for name, amount in given.items():
        _check(f'resources["{name}"]', amount, 0, whole=False)
    return dict(given)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
