"""Everything a plugin imports from headrace, besides the interfaces in `headrace.abc`.

A plugin is a module that an entry point of a ``headrace.*`` group points to. It implements one registration hook per
kind it offers, marked with `hookimpl`, and returns specs; a spec names the class behind it by an import string that
is resolved when somebody asks for the plugin, so a plugin that nobody named costs nobody anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import pluggy

from headrace.abc import Capability
from headrace.exceptions import (
    PluginConflictError,
    PluginError,
    PluginLoadError,
    PluginNotFoundError,
    PluginOptionError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.states import State

__all__ = [
    "API_VERSION",
    "Capability",
    "CommandSpec",
    "EngineInfo",
    "ExecutorSpec",
    "FlowRunInfo",
    "NotifierSpec",
    "PluginConflictError",
    "PluginError",
    "PluginLoadError",
    "PluginNotFoundError",
    "PluginOptionError",
    "ResultStoreSpec",
    "RunStoreSpec",
    "SecretProviderSpec",
    "SerializerSpec",
    "StateChange",
    "TaskRunInfo",
    "TaskSpec",
    "hookimpl",
]

API_VERSION = 1
"""The number of the plugin interface. A plugin module may state ``HEADRACE_API = 1``; absent means 1."""

hookimpl = pluggy.HookimplMarker("headrace")
"""Marks a function of a plugin as the implementation of the hook that has its name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutorSpec:
    """An executor that ``executor="NAME"`` selects; ``factory(**options)`` makes a `headrace.abc.Executor`."""

    name: str
    factory: str
    summary: str
    capabilities: frozenset[Capability] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultStoreSpec:
    """A result store for one URL scheme; ``factory(url)`` makes a `headrace.abc.ResultStore`."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStoreSpec:
    """A history of runs for one URL scheme; ``factory(url)`` makes a `headrace.abc.RunStore`."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NotifierSpec:
    """A notifier for one URL scheme; ``factory(url)`` makes a `headrace.abc.Notifier`."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SerializerSpec:
    """A serializer, stored by name with every result it made; ``factory()`` makes a `headrace.abc.Serializer`."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretProviderSpec:
    """A provider for ``[secrets] providers``; ``factory(**options)`` makes a `headrace.abc.SecretProvider`."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskSpec:
    """A prebuilt task for the catalogue; ``factory`` is a `headrace.Task` class or a task object."""

    name: str
    factory: str
    summary: str
    extra: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandSpec:
    """A command line verb ``headrace NAME``; ``factory`` is a ``click.Command``."""

    name: str
    factory: str
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineInfo:
    """What an observer is told about the engine."""

    version: str
    pid: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowRunInfo:
    """What an observer is told about a flow run. Picklable."""

    id: str
    name: str
    flow_name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    task_count: int = 0


class TaskRunInfo(NamedTuple):
    """What an observer is told about a task run. Picklable.

    ``map_index`` is None for a task that is not a mapped child; ``attempt`` counts from 1.
    """

    task_name: str
    task_slug: str
    map_index: int | None = None
    attempt: int = 1
    tags: frozenset[str] = frozenset()
    child_count: int | None = None

    @property
    def name(self) -> str:
        """The task's name, with the map index of a child in brackets."""
        return self.task_name if self.map_index is None else f"{self.task_name}[{self.map_index}]"


@dataclass(frozen=True, kw_only=True, slots=True)
class StateChange:
    """One change of state, of a task run or, where ``task_run`` is None, of the flow run itself."""

    run: FlowRunInfo
    task_run: TaskRunInfo | None
    old: State
    new: State
