"""The table of plugin kinds: everything that differs between an executor and a notifier is a row here."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["GROUPS", "KINDS", "OBSERVER", "OBSERVER_GROUP", "Kind"]


class Kind(NamedTuple):
    """A kind of plugin.

    ``spec`` is the name of a class in `headrace.plugins`, and ``interface`` of one in `headrace.abc`: names, so that
    reading this table imports neither. ``by_url`` tells that a URL, whose scheme is the plugin's name, selects it.
    """

    name: str
    group: str
    hook: str
    spec: str
    interface: str | None = None
    by_url: bool = False


KINDS: Final = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("executor", "headrace.executors", "headrace_executors", "ExecutorSpec", "Executor"),
            Kind("store", "headrace.stores", "headrace_result_stores", "ResultStoreSpec", "ResultStore", by_url=True),
            Kind("history", "headrace.history", "headrace_run_stores", "RunStoreSpec", "RunStore", by_url=True),
            Kind("notifier", "headrace.notifiers", "headrace_notifiers", "NotifierSpec", "Notifier", by_url=True),
            Kind("serializer", "headrace.serializers", "headrace_serializers", "SerializerSpec", "Serializer"),
            Kind(
                "secret-provider",
                "headrace.secrets",
                "headrace_secret_providers",
                "SecretProviderSpec",
                "SecretProvider",
            ),
            Kind("task", "headrace.tasks", "headrace_tasks", "TaskSpec"),
            Kind("command", "headrace.commands", "headrace_commands", "CommandSpec"),
        )
    }
)

OBSERVER: Final = "observer"
"""The kind of a plugin that is always on: it has no spec, and nobody asks for it by name."""

OBSERVER_GROUP: Final = "headrace.hooks"

GROUPS: Final = MappingProxyType({kind.group: kind.name for kind in KINDS.values()} | {OBSERVER_GROUP: OBSERVER})
"""Entry-point group to kind."""
