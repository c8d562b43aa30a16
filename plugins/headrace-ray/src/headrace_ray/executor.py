"""The executor ``ray``."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from headrace.abc import Capability, Executor
from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, PluginOptionError, TaskDefinitionError, describe
from headrace.states import Failed
from headrace_ray import environment, worker
from headrace_ray.cluster import Connection, Settings, connect
from headrace_ray.collector import Collector
from headrace_ray.dispatch import Dispatcher, Store
from headrace_ray.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import ExitStack

    from headrace.abc import ExecutorContext
    from headrace.engine.worker import Work

__all__ = ["RayExecutor"]

# Seconds between looks at the size of the cluster, which may grow with what is asked of it.
_LOOK_EVERY: Final = 5.0


class RayExecutor(Executor):
    """Runs each piece of work as a Ray task; results stay in Ray's object store and travel between tasks as references.

    A process is connected to one Ray at a time. Where it is connected already, as by a ``ray.init()`` of the user's,
    that one is used, and left running.

    Args:
        address: ``HOST:PORT`` of a cluster, or ``"auto"`` for the one on this machine or in ``RAY_ADDRESS``, which
            goes on after the run; by default a Ray of the run's own is started on this machine, and stopped.
        num_cpus: how many CPUs a Ray of the run's own has, and so how many tasks it runs at once; by default all.
        resources: what else it has, by name.
        runtime_env: the environment of the workers, as Ray takes it.
        init_kwargs: other arguments of ``ray.init``.
        window: how many tasks are with Ray at once; by default four per CPU, and more where tasks are short.
        connect_timeout: seconds after which a cluster counts as unreachable.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.REMOTE, Capability.CANCEL, Capability.HARD_TIMEOUT, Capability.KEEPS_RESULTS}
    )

    def __init__(
        self,
        address: str | None = None,
        *,
        num_cpus: int | None = None,
        resources: dict[str, float] | None = None,
        runtime_env: dict[str, Any] | None = None,
        init_kwargs: dict[str, Any] | None = None,
        window: int | None = None,
        connect_timeout: float = 30.0,
    ) -> None:
        if address not in (None, "local") and (num_cpus is not None or resources):
            raise PluginOptionError(
                "Executor 'ray' joins a cluster where it is given an `address`, so `num_cpus` and `resources` say nothing.",
                hint="Leave them out, or leave out `address` to start a Ray on this machine.",
            )
        for name, value in (("num_cpus", num_cpus), ("window", window), ("connect_timeout", connect_timeout)):
            if value is not None and value <= 0:
                raise PluginOptionError(f"Option {name!r} of executor 'ray' must be positive, and is {value!r}.")
        self._settings = Settings(
            address=address,
            num_cpus=num_cpus,
            resources=resources,
            runtime_env=runtime_env,
            init_kwargs=init_kwargs or {},
            connect_timeout=connect_timeout,
        )
        self._asked_window = window
        self._window = Window(window)
        self._looked = 0.0
        self._connection: Connection | None = None
        self._dispatcher: Dispatcher | None = None
        self._collector: Collector | None = None

    @property
    def capacity(self) -> int:
        """Return what keeps the cluster busy, as large as it is now."""
        return self._window.size

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Connect to Ray, or start it; on exit, undo that.

        Raises `ExecutorError` for a cluster that cannot be reached, and for one whose workers have other versions of
        Python or headrace, or lack plugins.
        """
        versions = environment.versions(context.plugins)
        connection = connect(self._settings, versions, stack)
        store = Store(connection)
        self._connection = connection
        self._dispatcher = Dispatcher(connection, store, versions)
        self._window = Window(self._asked_window)
        self._window.cpus = connection.cpus()
        self._collector = Collector(
            store, self._window, self._dispatcher.mailbox, each_round=self._look, kill=partial(_kill, connection)
        )
        self._looked = time.monotonic()
        self._collector.start()
        stack.callback(self._stop, store)

    def _stop(self, store: Store) -> None:
        assert self._collector is not None
        self._collector.stop()
        store.closed = not store.outlives_run
        self._connection = self._dispatcher = self._collector = None

    def _look(self) -> None:
        """See how large the cluster is now."""
        connection = self._connection
        if connection is not None and not connection.fixed and time.monotonic() - self._looked > _LOOK_EVERY:
            self._looked = time.monotonic()
            self._window.cpus = connection.cpus()

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Hand ``work`` to Ray."""
        if self._dispatcher is None or self._collector is None:
            raise ExecutorError("Executor 'ray' has not been started.")
        try:
            flight = self._dispatcher.flight(work, deliver)
        except (TaskDefinitionError, ExecutorError) as error:
            # What the task asks for is its own mistake, which no other attempt will mend.
            deliver(Outcome(work.key, Failed(describe(error), error)))
            return
        self._collector.send(flight)

    def cancel(self, *, force: bool) -> None:
        """Interrupt what runs, or kill its processes, and take back the rest."""
        if self._collector is None or self._dispatcher is None:
            return
        if force:
            self._dispatcher.begin_anew()
        self._collector.cancel(force=force)


def _kill(connection: Connection, marks: Iterable[str]) -> None:
    for mark in marks:
        connection.on_each_node(worker.end_processes, mark)
