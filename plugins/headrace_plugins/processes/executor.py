"""The executor ``processes``: tasks in worker processes of this machine."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from headrace.abc import Capability, Executor
from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, PluginOptionError, describe, nearest
from headrace.states import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import ExitStack

    from headrace.abc import ExecutorContext
    from headrace.engine.worker import Work
    from headrace.remote import Courier
    from headrace_plugins.processes.pool import Pool

__all__ = ["ProcessesExecutor"]

# So that jobs that wait for a resource do not keep others from being submitted.
_ROOM_FOR_WAITING: Final = 1000


class ProcessesExecutor(Executor):
    """Runs up to ``workers`` tasks at the same time, each in a process of its own.

    For Python code that computes, and for tasks that must not take others with them: a task whose process dies is
    Crashed, alone, and its worker is replaced. What tasks are called with and what they return is pickled; large arrays
    go through shared memory. What a task prints and logs reaches the driver's streams and handlers.

    Timeouts are hard. The time of a task begins when all that it is called with has been read, and ends with its
    result: when it is over, the task gets the usual exception and what it has started SIGTERM, and ``kill_grace``
    seconds later all of it is killed. A task may change its folder, environment, file mode, signals and standard files;
    the next task in the same process finds them as they were.

    Needs POSIX; all of this is in effect on Linux, while other systems let a process that a task has moved out of its
    process group stay.

    Args:
        workers: how many processes; by default one per core that this process may use.
        memory_limit: bytes of address space that a worker may use; more raises MemoryError in the task.
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
        _check("memory_limit", memory_limit, 1)
        _check("max_tasks_per_worker", max_tasks_per_worker, 1)
        _check("kill_grace", kill_grace, 0, whole=False)
        for name, amount in (resources or {}).items():
            _check(f"resources[{name!r}]", amount, 0, whole=False)
        self.workers = workers or _cores()
        self.memory_limit = memory_limit
        self.max_tasks_per_worker = max_tasks_per_worker
        self.kill_grace = kill_grace
        self.preload = tuple([preload] if isinstance(preload, str) else preload)
        self.resources = dict(resources or {})
        self._pool: Pool | None = None
        self._courier: Courier | None = None

    def __getstate__(self) -> dict[str, object]:
        # A flow inside of a task may name the executor that runs the task: there it is one that has not been started.
        return self.__dict__ | {"_pool": None, "_courier": None}

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
        if self._pool is not None:
            raise ExecutorError("This executor serves another run already.", hint="Make one for each of them.")
        from headrace.remote import Courier, Levels
        from headrace_plugins.processes.output import new_token
        from headrace_plugins.processes.pool import Pool
        from headrace_plugins.processes.streams import replaced_streams
        from headrace_plugins.processes.supervisor import Setup

        # With pipes for their output, nothing that workers print needs another way.
        token, streams = (b"", replaced_streams()) if context.take_output is None else (new_token(), ())
        setup = Setup(os.getpid(), Levels.current(), self.preload, self.memory_limit, streams, token)
        self._courier = Courier()
        self._pool = Pool(
            setup,
            self.workers,
            amounts=self.resources,
            most_calls=self.max_tasks_per_worker,
            kill_grace=self.kill_grace,
            take_output=context.take_output,
        )
        stack.callback(self._close)
        self._pool.start(context.task_count)

    def _close(self) -> None:
        if self._pool is not None:
            try:
                self._pool.close()
            finally:
                self._pool = self._courier = None

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
        buffers: list[object] = []
        parts = self._courier.parts(work)
        data = self._courier.dump(work, buffers)
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


def _check(option: str, value: float | None, least: int, *, whole: bool = True) -> None:
    if value is None:
        return
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or value < least:
        what = "a whole number" if whole else "a number"
        raise PluginOptionError(
            f"Executor 'processes' needs {what} of at least {least} for {option}, and got {value!r}."
        )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
