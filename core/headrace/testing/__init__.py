"""For tests of flows: runs in virtual time, with the tasks of your choice replaced.

For example::

    from headrace import testing

    record = testing.run(flow, parameters={"day": "2026-01-31"}, overrides={fetch: ConnectionError("down")})
    record.assert_ran(fetch, times=4)
    record.assert_not_ran(load)

A retry delay of an hour, or a task that takes one, costs no time.

For authors of plugins there are `ExecutorConformance`, `RunStoreConformance` and `SerializerConformance`, tests to
inherit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.testing.clocks import VirtualClock
from headrace.testing.observers import RecordingObserver
from headrace.testing.runs import FlowRunRecord, Takes, run, takes

if TYPE_CHECKING:
    from headrace.testing.executors import ExecutorConformance
    from headrace.testing.history import RunStoreConformance
    from headrace.testing.serializers import SerializerConformance

__all__ = [
    "ExecutorConformance",
    "FlowRunRecord",
    "RecordingObserver",
    "RunStoreConformance",
    "SerializerConformance",
    "Takes",
    "VirtualClock",
    "run",
    "takes",
]

_KITS: Final = {
    "ExecutorConformance": "executors",
    "RunStoreConformance": "history",
    "SerializerConformance": "serializers",
}


def __getattr__(name: str) -> object:
    if name not in _KITS:
        raise AttributeError(f"module 'headrace.testing' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - tests of flows need neither the kits nor pytest

    return getattr(import_module(f"{__name__}.{_KITS[name]}"), name)
