"""Clusters to work on: somebody's address or client, or one of our own."""

from __future__ import annotations

import inspect
import logging
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from distributed import Client, LocalCluster, get_worker, rejoin, secede
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.comm.registry import get_backend
from distributed.worker import thread_state

from headrace.exceptions import ExecutorError, PluginOptionError, describe, nearest
from headrace_dask.environments import differences, environment, question
from headrace_dask.machine import MachineCluster
from headrace_dask.reach import find_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import ExitStack

__all__ = ["ClusterOptions", "check_environments", "open_client"]

_LOCAL: Final = "distributed.LocalCluster"
# Seconds that is waited for answers that the run does not depend on.
_PATIENCE: Final = 10.0
_MOST_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterOptions:
    """The options of `headrace_dask.DaskExecutor` that say which cluster to use."""

    address: str | None = None
    client: Client | None = None
    cluster_class: str | Callable[..., Any] | None = None
    cluster_kwargs: Mapping[str, Any] = field(default_factory=dict)
    adapt_kwargs: Mapping[str, Any] = field(default_factory=dict)
    client_kwargs: Mapping[str, Any] = field(default_factory=dict)
    debug: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("address", "client", "cluster_class") if getattr(self, name) is not None]
        if len(given) > 1:
            raise PluginOptionError(f"Executor 'dask' got {' and '.join(given)}; these exclude each other.")
        foreign = [name for name in given if name != "cluster_class"]
        for name in ("cluster_kwargs", "adapt_kwargs"):
            if foreign and getattr(self, name):
                raise PluginOptionError(
                    f"Executor 'dask' got {foreign[0]} and {name}; the latter is for a cluster that it makes itself.",
                    hint=f"Leave out one of them, or name a `cluster_class` instead of {foreign[0]}.",
                )
        if self.address is not None:
            _check_address(self.address)
        if self.client is not None and not isinstance(self.client, Client):
            raise PluginOptionError(f"Option 'client' of executor 'dask' is {self.client!r}, which is no Dask client.")
        _check_client_kwargs(self.client_kwargs)

    @property
    def names_none(self) -> bool:
        """Whether nothing is said of any cluster."""
        named = (self.address, self.client, self.cluster_class, self.cluster_kwargs, self.adapt_kwargs)
        return not any(named) and not self.client_kwargs

    @property
    def own_cluster(self) -> bool:
        """Whether the cluster is made for the run."""
        return self.address is None and self.client is None and not (self.names_none and _in_a_task())


def _check_address(address: str) -> None:
    """Raise PluginOptionError for what is no address; a Dask client that gets one takes a minute to go away."""
    try:
        scheme, location = parse_address(address)
        get_backend(scheme)
        if scheme != "inproc":
            parse_host_port(location)
    except ValueError as error:
        raise PluginOptionError(
            f"Executor 'dask' got {address!r} as the address of a scheduler: {error}.",
            hint="Expected HOST:PORT or tcp://HOST:PORT, as `dask scheduler` prints it.",
        ) from error


def _check_client_kwargs(given: Mapping[str, Any]) -> None:
    known = inspect.signature(Client).parameters.keys() - {"address", "kwargs"}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise PluginOptionError(
            f"Option `client_kwargs` of executor 'dask': distributed.Client does not know {unknown[0]!r}.",
            hint=nearest(unknown[0], known),
        )


def open_client(options: ClusterOptions, stack: ExitStack) -> Client:
    """Return a connected client; whatever is made for it is closed with ``stack``. Raises ExecutorError."""
    if options.client is not None:
        return _usable(options.client)
    if options.address is not None:
        return _connected(options.address, options, stack)
    if not options.own_cluster:
        return _client_of_the_task(options, stack)
    cluster = _make_cluster(options, stack)
    return _connected(cluster, options, stack)


def _usable(client: Client) -> Client:
    if client.asynchronous:
        raise ExecutorError(
            "The Dask client that executor 'dask' was given is an asynchronous one.",
            hint="Make it with `asynchronous=False`, outside of a coroutine.",
        )
    if client.status != "running":
        raise ExecutorError(
            f"The Dask client that executor 'dask' was given is {client.status}.",
            hint="Make another one, or give the executor the `address` of the scheduler.",
        )
    return client


def _in_a_task() -> bool:
    try:
        get_worker()
    except ValueError:
        return False
    return True


def _client_of_the_task(options: ClusterOptions, stack: ExitStack) -> Client:
    """Return a client of the cluster that this task runs on, and let that have this thread while the task waits."""
    if not hasattr(thread_state, "start_time"):
        raise ExecutorError(
            "A flow cannot run on the Dask cluster of the task that runs it from here, a thread that is not Dask's: "
            "the task would keep its worker from the flow.",
            hint="Take the `timeout` off the task, or run the flow on another executor, such as 'threads'.",
        )
    # Not the worker's own client: all tasks of the worker share that, also while it is being made.
    worker = get_worker()
    with suppress(KeyError):  # the task has done so itself
        secede()
        stack.callback(rejoin)
    return _connected(worker.scheduler.address, replace(options, client_kwargs={"security": worker.security}), stack)


def _connected(where: Any, options: ClusterOptions, stack: ExitStack) -> Client:
    began = monotonic()
    try:
        if isinstance(where, str):
            find_scheduler(where, options.client_kwargs)
        client = Client(where, **{"set_as_default": False, **options.client_kwargs})
    except OSError as error:
        # A cluster of our own is there: it is a scheduler elsewhere that does not answer.
        name = where if isinstance(where, str) else getattr(where, "scheduler_address", where)
        reason = str(error) or describe(error)
        raise ExecutorError(
            f"The Dask scheduler at {name} cannot be reached; it was tried for {monotonic() - began:.1f} s: {reason}.",
            hint="Check the address, with `tls://` where links are encrypted, and that `dask scheduler` runs there and "
            "lets this machine in; `client_kwargs={'timeout': seconds}` waits longer.",
        ) from error
    except (TypeError, ValueError, KeyError) as error:
        raise PluginOptionError(
            f"Option `client_kwargs` of executor 'dask' cannot be used: {describe(error)}.",
            hint="It is what to call `distributed.Client` with.",
        ) from error
    stack.callback(_close_client, client, debug=options.debug)
    return client


def _close_client(client: Client, *, debug: bool) -> None:
    # Whatever is wrong with the link, the run is over.
    try:
        with nullcontext() if debug else _silent("distributed.client"):
            client.close(timeout=_PATIENCE)
    except Exception as error:  # noqa: BLE001 - as above
        logging.getLogger("headrace.dask").debug("The client did not close: %s", describe(error))


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Let a logger say nothing inside the block."""
    logger = logging.getLogger(name)

    # A filter, and not a level, since other runs of this process may do the same at the same time.
    def nothing(_record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(nothing)
    try:
        yield
    finally:
        logger.removeFilter(nothing)


def _make_cluster(options: ClusterOptions, stack: ExitStack) -> Any:
    make = _cluster_class(options.cluster_class or _LOCAL)
    name = _name_of(make)
    settings = dict(options.cluster_kwargs)
    if options.cluster_class is None:
        # Any free port: another run of this machine may have Dask's own choice.
        settings.setdefault("dashboard_address", ":0")
        settings.setdefault("silence_logs", logging.WARNING if options.debug else logging.CRITICAL)
    try:
        cluster = make(**settings)
    except Exception as error:  # a class of anybody's
        raise ExecutorError(
            f"The Dask cluster could not be made by {name}: {describe(_root(error))}.",
            hint=f"Look at `cluster_kwargs`: it is what {name} is called with." if options.cluster_kwargs else None,
        ) from error
    if not isinstance(getattr(cluster, "scheduler_address", None), str):
        raise PluginOptionError(
            f"Option `cluster_class` of executor 'dask' is {name}, "
            f"which made a {type(cluster).__name__}, and that is no Dask cluster.",
            hint=f"Name a class such as {_LOCAL!r}.",
        )
    stack.callback(cluster.close)
    if options.adapt_kwargs:
        _adapt(cluster, name, options.adapt_kwargs)
    return cluster


def _adapt(cluster: Any, name: str, settings: Mapping[str, Any]) -> None:
    try:
        cluster.adapt(**settings)
    except Exception as error:  # a class of anybody's
        raise ExecutorError(
            f"The Dask cluster made by {name} cannot adapt: {describe(_root(error))}.",
            hint="Look at `adapt_kwargs`: it is what its `adapt` is called with.",
        ) from error


def _name_of(make: Callable[..., Any]) -> str:
    if make is MachineCluster:
        return _LOCAL
    name = getattr(make, "__qualname__", None)
    return repr(make) if name is None else f"{make.__module__}.{name}"


def _root(error: BaseException) -> BaseException:
    """Return the first of the errors that led to ``error``."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _cluster_class(named: str | Callable[..., Any]) -> Callable[..., Any]:
    found: Callable[..., Any] = _imported(named) if isinstance(named, str) else named
    return MachineCluster if found is LocalCluster else found


def _imported(named: str) -> Any:
    module, _, name = named.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginOptionError(
            f"Option 'cluster_class' of executor 'dask' is {named!r}, which cannot be imported: {describe(error)}.",
            hint=f"Write the full name, as in {_LOCAL!r}, and install what brings it.",
        ) from error


def check_environments(client: Client, plugins: Mapping[str, str]) -> dict[str, str | None]:
    """Return what this environment is; raise ExecutorError if the scheduler or a worker has another."""
    here = {**environment(plugins), **plugins}
    asked = question(plugins)
    there = {"scheduler": client.run_on_scheduler(eval, asked)}
    # One that does not answer now, because it is just dying or busy, is looked at when it gets its first work.
    with suppress(TimeoutError):
        there.update(client.run(eval, asked, on_error="ignore", callback_timeout=_PATIENCE))
    found = {where: differences(here, each) for where, each in there.items()}
    wrong = {where: phrases for where, phrases in found.items() if phrases}
    if wrong:
        told = "; ".join(f"{_named(where)}: {', '.join(phrases)}" for where, phrases in [*wrong.items()][:_MOST_NAMED])
        more = len(wrong) - _MOST_NAMED
        raise ExecutorError(
            f"The Dask cluster at {client.scheduler.address} cannot work for this run. {told}"
            f"{f'; and {more} more' if more > 0 else ''}.",
            hint="Install the same versions here and there.",
        )
    return here


def _named(where: str) -> str:
    return "The scheduler" if where == "scheduler" else f"Worker {where}"
