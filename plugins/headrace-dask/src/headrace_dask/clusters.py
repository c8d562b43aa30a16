"""Clusters to work on: somebody's address or client, or one of our own."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from distributed import Client, LocalCluster
from distributed.comm.addressing import parse_address, parse_host_port
from distributed.comm.registry import get_backend

from headrace.exceptions import ExecutorError, PluginOptionError, describe
from headrace_dask.environments import differences, environment, question
from headrace_dask.machine import MachineCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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

    @property
    def own_cluster(self) -> bool:
        """Whether the cluster is made for the run."""
        return self.address is None and self.client is None


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


def open_client(options: ClusterOptions, stack: ExitStack) -> Client:
    """Return a connected client; whatever is made for it is closed with ``stack``. Raises ExecutorError."""
    if options.client is not None:
        return _usable(options.client)
    if options.address is not None:
        return _connected(options.address, options, stack)
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


def _connected(where: Any, options: ClusterOptions, stack: ExitStack) -> Client:
    from time import monotonic

    began = monotonic()
    settings = {"set_as_default": False, **options.client_kwargs}
    try:
        client = Client(where, **settings)
    except (OSError, ValueError) as error:
        # A cluster of our own is there: it is a scheduler elsewhere that does not answer.
        name = where if isinstance(where, str) else getattr(where, "scheduler_address", where)
        raise ExecutorError(
            f"The Dask scheduler at {name} cannot be reached; it was tried for {monotonic() - began:.1f} s: "
            f"{describe(error)}.",
            hint="Check the address, and that `dask scheduler` runs there and lets this machine in; "
            "`client_kwargs={'timeout': seconds}` waits longer.",
        ) from error
    stack.callback(_close_client, client)
    return client


def _close_client(client: Client) -> None:
    # Whatever is wrong with the link, the run is over.
    try:
        client.close(timeout=_PATIENCE)
    except Exception as error:  # noqa: BLE001 - as above
        logging.getLogger("headrace.dask").debug("The client did not close: %s", describe(error))


def _make_cluster(options: ClusterOptions, stack: ExitStack) -> Any:
    make = _cluster_class(options.cluster_class or _LOCAL)
    settings = dict(options.cluster_kwargs)
    if options.cluster_class is None:
        # Any free port: another run of this machine may have Dask's own choice.
        settings.setdefault("dashboard_address", ":0")
        settings.setdefault("silence_logs", logging.WARNING if options.debug else logging.CRITICAL)
    try:
        cluster = make(**settings)
    except Exception as error:  # a class of anybody's
        raise ExecutorError(f"The Dask cluster could not be made by {make!r}: {describe(error)}.") from error
    stack.callback(cluster.close)
    if options.adapt_kwargs:
        cluster.adapt(**options.adapt_kwargs)
    return cluster


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
