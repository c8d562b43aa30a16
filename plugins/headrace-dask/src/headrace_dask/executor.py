"""The executor ``dask``."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Final

from distributed import Client, performance_report

from headrace.abc import Capability, Executor
from headrace.claims import Claim
from headrace.engine.worker import Outcome
from headrace.exceptions import ExecutorError, PluginOptionError, TaskDefinitionError, describe
from headrace.log import get_logger
from headrace.states import Failed
from headrace_dask.clusters import ClusterOptions, check_environments, open_client
from headrace_dask.names import plugin_name, topic_name
from headrace_dask.packing import Packer
from headrace_dask.provision import Provision
from headrace_dask.scheduler_side import RunGuard, finish, kill, withdraw, workers
from headrace_dask.session import Session
from headrace_dask.site import ask_to_stop
from headrace_dask.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import ExitStack

    from headrace.abc import ExecutorContext
    from headrace.engine.worker import Work

__all__ = ["DaskExecutor"]

# Seconds that the cluster gets to answer what is asked of it on the way out.
_PATIENCE: Final = 15.0
_SMALLEST_WINDOW: Final = 1000
# Seconds for which a client gathers messages to the scheduler; Dask's own 0.01 would hold up every link of a chain.
_INTERVAL: Final = 0.002


class DaskExecutor(Executor):
    """Runs tasks on a Dask cluster.

    Results stay on the cluster and travel between its workers; the process that drives the run gets small ones only,
    and others when somebody asks for them. Without options it makes a cluster of this machine for each run, and in a
    task that runs on Dask it uses the cluster of that.

    Work that a lost worker had begun is Crashed, and tried again if its retries say so; work that had not begun goes
    to another worker. Timeouts are soft, as with ``threads``: Dask's threads cannot be stopped. A run that is cancelled
    kills the workers that do not end, if they have work and data of nobody else.

    Args:
        address: of a scheduler that is there already, such as ``"tcp://10.0.0.1:8786"``.
        client: a Dask client to use, which stays open.
        cluster_class: what makes a cluster for each run, or its full name; by default ``distributed.LocalCluster``.
        cluster_kwargs: what to call ``cluster_class`` with.
        adapt_kwargs: what to call the cluster's ``adapt`` with, so that it grows and shrinks with the work.
        client_kwargs: what to make the client with, such as ``{"timeout": 60}``, in seconds, or ``{"security": ...}``.
        debug: let a cluster of this machine, and the end of a lost link, show what Dask logs.
        performance_report_path: where Dask's performance report of the run goes, an HTML file.
        window: how many pieces of work are on the cluster at once; by default 16 for each thread, and at least 1000.
        max_worker_deaths: how many workers a task may be lost with before it is not tried any more.
        worker_timeout: how long work may wait for a worker that can take it, in seconds.
        link_timeout: how long the scheduler may be silent, in seconds.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {Capability.REMOTE, Capability.CANCEL, Capability.KEEPS_RESULTS}
    )

    def __init__(
        self,
        address: str | None = None,
        cluster_class: str | Callable[..., Any] | None = None,
        cluster_kwargs: dict[str, Any] | None = None,
        adapt_kwargs: dict[str, Any] | None = None,
        client_kwargs: dict[str, Any] | None = None,
        debug: bool | None = None,
        performance_report_path: str | None = None,
        *,
        client: Client | None = None,
        window: int | None = None,
        max_worker_deaths: int = 3,
        worker_timeout: float = 300.0,
        link_timeout: float = 60.0,
    ) -> None:
        self._options = ClusterOptions(
            address=address,
            client=client,
            cluster_class=cluster_class,
            cluster_kwargs=cluster_kwargs or {},
            adapt_kwargs=adapt_kwargs or {},
            client_kwargs=client_kwargs or {},
            debug=bool(debug),
        )
        for name, value in (("window", window), ("max_worker_deaths", max_worker_deaths)):
            if value is not None and value < 1:
                raise PluginOptionError(f"Executor 'dask' needs {name} to be at least 1, and got {value}.")
        self.performance_report_path = performance_report_path
        self.max_worker_deaths = max_worker_deaths
        self.worker_timeout = worker_timeout
        self.link_timeout = link_timeout
        self._asked_window = window
        self._window = window or _SMALLEST_WINDOW
        self._token = ""
        self._claim = Claim()
        self._session: Session | None = None
        self._depth_of: Callable[[str], int] = _no_depth

    def __repr__(self) -> str:
        options = self._options
        where = options.address or options.client or options.cluster_class or "a cluster of this machine"
        return f"<{type(self).__name__}: {where}>"

    def __getstate__(self) -> dict[str, Any]:
        options = self._options
        if options.client is not None:
            # A client is of one process; another one finds the same cluster.
            options = ClusterOptions(address=options.client.scheduler.address, debug=options.debug)
        return {**self.__dict__, "_options": options, "_claim": Claim(), "_session": None, "_depth_of": _no_depth}

    @property
    def capacity(self) -> int:
        """Return the window: more would only wait in the scheduler's memory."""
        return self._window

    @property
    def client(self) -> Client | None:
        """The Dask client, while a run goes on."""
        return None if self._session is None else self._session.client

    # -- starting and stopping -----------------------------------------------------------------------------------

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        """Connect, and see to it that scheduler and workers can work for this run; raise ExecutorError if not."""
        self._claim.take(stack)
        client = open_client(self._options, stack)
        stack.enter_context(_prompt(client))
        if self.performance_report_path is not None:
            stack.enter_context(_report(client, self.performance_report_path))
        if not self._options.adapt_kwargs:
            self._wait_for_a_worker(client)
        environment = check_environments(client, context.plugins)
        threads = sum(client.nthreads().values())
        if self._asked_window is None:
            self._window = max(_SMALLEST_WINDOW, 16 * threads)
        self._depth_of = context.depth_of
        self._token = uuid.uuid4().hex
        self._session = self._open_session(client, environment, threads, stack)

    def _wait_for_a_worker(self, client: Client) -> None:
        try:
            client.wait_for_workers(1, timeout=self.worker_timeout)
        except TimeoutError as error:
            raise ExecutorError(
                f"The Dask cluster at {client.scheduler.address} has had no worker for {self.worker_timeout:g} s.",
                hint="Start one: `dask worker ADDRESS`.",
            ) from error

    def _open_session(
        self, client: Client, environment: dict[str, str | None], threads: int, stack: ExitStack
    ) -> Session:
        token, topic = self._token, topic_name(self._token)
        provision = Provision(client, token)
        session = Session(
            client,
            token,
            Packer(token, topic, environment, provision.upload),
            provision,
            most_deaths=self.max_worker_deaths,
            outlives_run=self._options.client is not None,
            enough=8 * threads,
        )
        client.subscribe_topic(topic, session.on_event)
        guard = RunGuard(token, topic, client.id, owner=self._options.own_cluster)
        client.register_plugin(guard, name=plugin_name(token))
        # Asked for, and not told: whoever is told may not be heard yet.
        session.workers.update(client.run_on_scheduler(workers, token))
        watch = Watch(session, self.link_timeout, self.worker_timeout)
        watch.start()
        stack.callback(self._close_session, session, watch)
        return session

    def _close_session(self, session: Session, watch: Watch) -> None:
        watch.stop()
        if session.broken is None:
            with suppress(Exception):  # what cannot be tidied up on the cluster must not undo a run that is over
                session.client.run_on_scheduler(finish, self._token, callback_timeout=_PATIENCE)
        session.close()
        # The scheduler has forgotten the topic by now; Dask has no way to make a client that stays open do so.
        getattr(session.client, "_event_handlers", {}).pop(topic_name(self._token), None)
        self._session = None
        self._depth_of = _no_depth

    # -- work ----------------------------------------------------------------------------------------------------

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        session = self._session
        assert session is not None
        try:
            session.submit(work, deliver, self._depth_of(work.slug))
        except TaskDefinitionError as error:
            deliver(Outcome(work.key, Failed(describe(error), error)))

    def withdraw(self) -> list[Work]:
        session = self._session
        if session is None or session.broken is not None:
            return []
        tickets = session.unsent()
        session.cancel()
        with suppress(Exception):  # a scheduler that does not answer is another's worry: the work is delivered then
            tickets += session.client.run_on_scheduler(withdraw, self._token, callback_timeout=_PATIENCE)
        return session.take_back(tickets)

    def cancel(self, *, force: bool) -> None:
        session = self._session
        if session is None or session.broken is not None:
            return
        # What is submitted from now on, to clean up, is not cancelled.
        ticket, sent = session.cancel(), session.pending
        coroutine = self._kill(session, sent) if force else self._ask_to_stop(session, ticket)
        asyncio.run_coroutine_threadsafe(coroutine, session.client.loop.asyncio_loop)

    async def _ask_to_stop(self, session: Session, ticket: int) -> None:
        with suppress(Exception):  # those that do not hear it are killed later
            asking = session.client.run(ask_to_stop, self._token, ticket, on_error="ignore")
            await asyncio.wait_for(asking, timeout=_PATIENCE)

    async def _kill(self, session: Session, sent: Sequence[int]) -> None:
        dying: list[int] = []
        with suppress(Exception):  # what cannot be killed is given up
            dying = await asyncio.wait_for(session.client.run_on_scheduler(kill, self._token), timeout=_PATIENCE)
        session.give_up("Was cancelled; if it had begun it may go on where it runs.", set(sent).difference(dying))


def _no_depth(_slug: str) -> int:
    return 0


@contextmanager
def _prompt(client: Client) -> Iterator[None]:
    """Have ``client`` send what it has to say without delay inside the block."""
    stream = client.scheduler_comm
    before, stream.interval = stream.interval, _INTERVAL
    try:
        yield
    finally:
        stream.interval = before


@contextmanager
def _report(client: Client, path: str) -> Iterator[None]:
    """Have Dask write a report of what happens inside the block."""
    if find_spec("bokeh") is None:
        raise PluginOptionError(
            "Executor 'dask' cannot write a performance report: the library 'bokeh' is not installed.",
            hint="Run `pip install bokeh`, or leave `performance_report_path` out.",
        )
    with client.as_current():
        report = performance_report(filename=path)
        report.__enter__()
        try:
            yield
        finally:
            try:
                report.__exit__(None, None, None)
            except Exception as error:  # noqa: BLE001 - the run is over, and well or not without its report
                get_logger("dask").warning("The performance report could not be written: %s", describe(error))
