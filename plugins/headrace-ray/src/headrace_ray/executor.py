"""The executor ``ray``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from headrace.abc import Capability, Executor
from headrace.claims import Claim
from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, PluginOptionError, TaskDefinitionError, describe
from headrace.states import Failed
from headrace_ray import environment, worker
from headrace_ray.cluster import Settings, connect
from headrace_ray.collector import Collector
from headrace_ray.dispatch import Dispatcher, Store
from headrace_ray.shown import leave_to_tasks
from headrace_ray.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import ExitStack

    from headrace.abc import ExecutorContext, OutputTaker
    from headrace.engine.worker import Work
    from headrace_ray.cluster import Connection

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
        {Capability.REMOTE, Capability.CANCEL, Capability.HARD_TIMEOUT, Capability.KEEPS_RESULTS, Capability.CHAINS}
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
                "Executor 'ray' joins a cluster where it has an `address`: `num_cpus` and `resources` say nothing.",
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
        self._window = window
        self._claim = Claim()
        self._run: _Run | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_claim": Claim(), "_run": None}

    @property
    def capacity(self) -> int:
        """Return what keeps the cluster busy, as large as it is now."""
        return (Window(self._window) if self._run is None else self._run.window).size

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Connect to Ray, or start it; on exit, undo that.

        Raises `ExecutorError` for a cluster that cannot be reached, and for one whose workers have other versions of
        Python or headrace, or lack plugins.
        """
        self._claim.take(stack)
        versions = environment.versions(context.plugins)
        connection = connect(self._settings, versions, stack)
        if context.take_output is not None:
            leave_to_tasks()
        self._run = _Run(connection, versions, Window(self._window), context.take_output)
        self._run.collector.start()
        stack.callback(self._stop)

    def _stop(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.stop()

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Hand ``work`` to Ray."""
        self.submit_chain([work], deliver)

    def chain_length(self, work: Work, /) -> int:
        """Return how much of a task flies together, which is one piece until it has proved to be short."""
        return 1 if self._run is None else self._run.dispatcher.chain_length(work)

    def submit_chain(self, chain: Sequence[Work], deliver: Callable[[Outcome], object], /) -> None:
        """Hand work to Ray that follows on each other, as far as it fits into one Ray task."""
        if self._run is None:
            raise ExecutorError("Executor 'ray' has not been started.")
        first, *others = chain
        try:
            passengers = self._run.dispatcher.chain(chain, deliver)
        except (TaskDefinitionError, ExecutorError) as error:
            # What the task asks for is its own mistake.
            deliver(Outcome(first.key, Failed(describe(error), error)))
        else:
            self._run.collector.send(passengers)
            others = others[len(passengers) - 1 :]
        for work in others:
            deliver(work.not_begun())

    def cancel(self, *, force: bool) -> None:
        """Interrupt what runs, or kill its processes, and take back the rest."""
        if self._run is None:
            return
        if force:
            self._run.dispatcher.begin_anew()
        self._run.collector.cancel(force=force)


class _Run:
    """What there is while a run goes on."""

    def __init__(
        self, connection: Connection, versions: Mapping[str, str], window: Window, take_output: OutputTaker | None
    ) -> None:
        self.window = window
        self._connection = connection
        self._store = Store(connection)
        self.dispatcher = Dispatcher(connection, self._store, versions, prints=take_output is not None)
        self.collector = Collector(
            connection,
            self._store,
            window,
            self.dispatcher.mailbox,
            look_around=self._look_around,
            kill=self._kill,
            take_output=take_output,
        )
        window.cpus = connection.cpus()
        self._looked = time.monotonic()

    def stop(self) -> None:
        """End what is left."""
        self.collector.stop()
        self._store.closed = not self._store.outlives_run

    def _look_around(self) -> None:
        """See how large the cluster is now."""
        if not self._connection.fixed and time.monotonic() - self._looked > _LOOK_EVERY:
            self._looked = time.monotonic()
            self.window.cpus = self._connection.cpus()

    def _kill(self, marks: Iterable[str]) -> None:
        for mark in marks:
            self._connection.on_each_node(worker.end_processes, mark)
