"""This process's connection to Ray, of which there can be one: started or joined for a run, or found."""

from __future__ import annotations

import logging
import math
import os
import socket
import time
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from headrace.exceptions import ExecutorError, PluginOptionError, describe
from headrace_ray import environment
from headrace_ray.shown import unheard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack

__all__ = ["Connection", "Settings", "connect"]

# Seconds that a Ray of our own gets to start.
_START_SECONDS: Final = 90.0
_PAUSE: Final = 0.2
# Seconds that Ray needs to show what was printed last; what has not been shown by the end is lost.
_PRINTING: Final = 0.5
# Nodes whose workers are looked at before the run; those of others look for themselves.
_MOST_NODES_ASKED: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What `RayExecutor` was told about Ray."""

    address: str | None
    num_cpus: int | None
    resources: dict[str, float] | None
    runtime_env: dict[str, Any] | None
    init_kwargs: dict[str, Any] = field(default_factory=dict)
    connect_timeout: float

    def __post_init__(self) -> None:
        if self.address is not None and not self.starts:
            _check_address(self.address)

    @property
    def starts(self) -> bool:
        """Whether a Ray of our own is asked for."""
        return self.address in (None, "local")

    @property
    def where(self) -> str:
        """What messages call the cluster."""
        return "a local Ray" if self.starts else f"Ray at {self.address!r}"


def _check_address(address: str) -> None:
    """Raise `PluginOptionError` for what is no address of a cluster, or of the wrong kind."""
    if address.startswith("ray://"):
        raise PluginOptionError(
            f"{address!r} is an address for Ray's client, which cannot do what executor 'ray' needs.",
            hint="Start the run on a node of the cluster, as with `ray job submit`, and say `address='auto'`.",
        )
    host, _, port = address.rpartition(":")
    if address != "auto" and not (host and port.isdecimal()):
        raise PluginOptionError(
            f"Executor 'ray' got {address!r} as the address of a cluster; expected HOST:PORT or 'auto'."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """What a run knows of the Ray it uses.

    Attributes:
        own: whether the connection ends with the run.
        fixed: whether no nodes will join.
        runtime_env: what each task has to ask for, since the connection was made without it.
        held: how many CPUs the Ray task has that this run is part of, and that does nothing but wait for it.
    """

    own: bool
    fixed: bool
    runtime_env: dict[str, Any] | None = None
    held: int = 0

    def nodes(self) -> list[dict[str, float]]:
        """Return the resources of each node."""
        return [node["Resources"] for node in _nodes()]

    def on_each_node(self, function: Callable[..., object], *args: object) -> list[Any]:
        """Call ``function`` on each node, in a process of its own, and return what to wait for."""
        options: dict[str, Any] = {"max_retries": 0, "num_cpus": 0, "runtime_env": self.runtime_env}
        call: Any = ray.remote(**options)(function)
        return [call.options(scheduling_strategy=_only(node)).remote(*args) for node in _nodes()]

    def cpus(self) -> int:
        """Return how many CPUs the cluster has."""
        return int(sum(node.get("CPU", 0) for node in self.nodes()))


def _nodes() -> list[dict[str, Any]]:
    nodes: Callable[[], list[dict[str, Any]]] = ray.nodes
    return [node for node in nodes() if node["Alive"]]


def _only(node: dict[str, Any]) -> NodeAffinitySchedulingStrategy:
    return NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)


class _Process:
    """What runs of this process share: Ray connects a process once."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.settings: Settings | None = None
        self.users = 0
        self.anchor: _Anchor | None = None


_process: Final = _Process()


def connect(settings: Settings, versions: Mapping[str, str], stack: ExitStack) -> Connection:
    """Connect this process to Ray, unless it is, and disconnect it on exit, if this did.

    Raises `ExecutorError`, also for workers that do not have the ``versions`` of this process.
    """
    with _process.lock:
        if not ray.is_initialized():
            _process.anchor = _begin(settings)
            _process.settings, _process.users = settings, 0
            own = True
        else:
            own = _process.users > 0
            _check_fits(settings, _process.settings if own else None)
        if own:
            _process.users += 1
            stack.callback(_leave)
    connection = Connection(
        own=own,
        fixed=own and settings.starts,
        runtime_env=None if own else settings.runtime_env,
        held=0 if own else _held(),
    )
    if not (connection.fixed and settings.runtime_env is None):
        _check_versions(settings, versions)
    return connection


def _held() -> int:
    context = ray.get_runtime_context()
    if context.get_task_id() is None:
        return 0
    assigned: Callable[[], dict[str, float]] = context.get_assigned_resources
    return math.ceil(assigned().get("CPU", 0))


def _leave() -> None:
    with _process.lock:
        _process.users -= 1
        if _process.users == 0:
            if _process.settings is None or _process.settings.init_kwargs.get("log_to_driver", True):
                time.sleep(_PRINTING)
            with unheard():
                ray.shutdown()
            assert _process.anchor is not None
            _process.anchor.leave()


def _check_fits(settings: Settings, ours: Settings | None) -> None:
    """Refuse to share the connection that there is with who asks for another one."""
    if settings == ours:
        return
    there = ray.get_runtime_context().gcs_address
    hint = "Leave out what says how to connect, to use that one, or call `ray.shutdown()` before the run."
    if settings.address not in (None, "auto") and not _is_at(settings.address, there):
        raise ExecutorError(
            f"This process is connected to Ray at {there} already, and not to {settings.where}.", hint=hint
        )
    asked = {name: getattr(settings, name) for name in ("num_cpus", "resources", "init_kwargs")}
    given = ", ".join(f"`{name}`" for name, value in asked.items() if value)
    if given:
        raise ExecutorError(
            f"This process is connected to Ray at {there} already, so {given} can have no effect.", hint=hint
        )


def _is_at(address: str | None, there: str) -> bool:
    host, _, port = (address or "").rpartition(":")
    known_host, _, known_port = there.rpartition(":")
    if port != known_port:
        return False
    try:
        found = socket.gethostbyname(host)
    except OSError:
        return False
    return found == known_host or found.startswith("127.")


# -- beginning -------------------------------------------------------------------------------------------------------


def _begin(settings: Settings) -> _Anchor:
    given: dict[str, Any] = {"logging_level": logging.ERROR, "runtime_env": settings.runtime_env}
    if settings.starts:
        given |= {"address": "local", "include_dashboard": False}
        given |= {"num_cpus": settings.num_cpus, "resources": settings.resources}
        seconds = _START_SECONDS
    else:
        given |= {"address": settings.address}
        seconds = settings.connect_timeout
    deadline = time.monotonic() + seconds
    if not settings.starts:
        _reach(settings, deadline)
    return _init(settings, given | settings.init_kwargs, deadline)


def _reach(settings: Settings, deadline: float) -> None:
    """Make sure that somebody listens, of which Ray itself takes minutes to despair."""
    address = os.environ.get("RAY_ADDRESS", "auto") if settings.address == "auto" else settings.address or ""
    _check_address(address)
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    began = time.monotonic()
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=max(0.1, deadline - time.monotonic())).close()
        except OSError as error:
            if time.monotonic() + _PAUSE > deadline:
                raise _unreachable(settings, time.monotonic() - began, str(error)) from error
            time.sleep(_PAUSE)
        else:
            return


def _unreachable(settings: Settings, seconds: float, reason: str) -> ExecutorError:
    return ExecutorError(
        f"{settings.where[0].upper()}{settings.where[1:]} could not be reached within {seconds:.1f} s: {reason}.",
        hint="See whether it runs with `ray status --address=HOST:PORT`, or wait longer with `connect_timeout`.",
    )


def _init(settings: Settings, arguments: dict[str, Any], deadline: float) -> _Anchor:
    began = time.monotonic()
    anchor = _Anchor(arguments)
    try:
        anchor.begin(deadline - began)
    except TimeoutError as error:
        raise _unreachable(settings, time.monotonic() - began, "it does not answer as Ray would") from error
    except ConnectionError as error:
        if settings.address == "auto" and "RAY_ADDRESS" not in os.environ:
            raise ExecutorError(
                "There is no Ray on this machine to join, and RAY_ADDRESS names none.",
                hint="Start one with `ray start --head`, say `address='HOST:PORT'`, or leave `address` out, "
                "to start a Ray for the run.",
            ) from error
        reason = str(error.__cause__ or error).strip().partition("\n")[0].rstrip(".")
        raise _unreachable(settings, time.monotonic() - began, reason) from error
    except Exception as error:
        verb = "start" if settings.starts else "connect"
        given = [f"`{name}`" for name in ("init_kwargs", "runtime_env") if getattr(settings, name)]
        hint = f"Look at {' and '.join(given)} of executor 'ray'." if given else None
        raise ExecutorError(f"Ray could not {verb}: {describe(error)}", hint=hint) from error
    return anchor


class _Anchor(Thread):
    """Calls ``ray.init``, and stays for as long as the connection is to last.

    In a thread, since that call can hang, and since it would take over the process's signal handlers in the main one.
    For as long, since the processes of a local Ray are killed when the thread ends that has started them.
    """

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(name="headrace-ray-anchor", daemon=True)
        self._arguments = arguments
        self._error: BaseException | None = None
        self._begun = Event()
        self._over = Event()

    def run(self) -> None:
        """Begin, and wait for the end."""
        try:
            ray.init(**self._arguments)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        self._begun.set()
        if self._error is None:
            self._over.wait()

    def begin(self, seconds: float) -> None:
        """Raise what ``ray.init`` raises, or `TimeoutError`."""
        self.start()
        if not self._begun.wait(max(seconds, 1.0)):
            raise TimeoutError
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """End, now that the connection has."""
        self._over.set()
        self.join()


# -- what the workers have -------------------------------------------------------------------------------------------


def _check_versions(settings: Settings, versions: Mapping[str, str]) -> None:
    """Compare the workers of each node with this process."""
    deadline = time.monotonic() + max(settings.connect_timeout, _START_SECONDS)
    for address, ref in _asked(settings, versions):
        try:
            theirs: Any = ray.get(ref, timeout=max(0.1, deadline - time.monotonic()))
        except GetTimeoutError:
            # It may be busy. Its workers look for themselves when they get their first task.
            ray.cancel(ref, force=True)
            continue
        except RayError as error:
            raise ExecutorError(
                f"Workers of {settings.where} on node {address} cannot start: {describe(error)}"
            ) from error
        found = environment.differences(versions, theirs)
        if found:
            raise environment.mismatch(found, f"{settings.where} on node {address}")


def _asked(settings: Settings, versions: Mapping[str, str]) -> list[tuple[str, Any]]:
    """Ask the workers of each node for their versions."""
    try:
        options: dict[str, Any] = {"max_retries": 1, "num_cpus": 0, "runtime_env": settings.runtime_env}
        probe: Any = ray.remote(**options)(environment.probe())
    except ValueError as error:
        raise ExecutorError(f"The `runtime_env` of executor 'ray' cannot be used: {error}") from error
    return [
        (node["NodeManagerAddress"], probe.options(scheduling_strategy=_only(node)).remote(list(versions)))
        for node in _nodes()[:_MOST_NODES_ASKED]
    ]
