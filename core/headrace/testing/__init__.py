"""For tests of flows: runs in virtual time, with the tasks of your choice replaced.

For example::

    from headrace import testing

    record = testing.run(flow, parameters={"day": "2026-01-31"}, overrides={fetch: ConnectionError("down")})
    record.assert_ran(fetch, times=4)
    record.assert_not_ran(load)

A retry delay of an hour, or a task that takes one, costs no time.
"""

from __future__ import annotations

from headrace.testing.clocks import VirtualClock
from headrace.testing.observers import RecordingObserver
from headrace.testing.runs import FlowRunRecord, Takes, run, takes

__all__ = ["FlowRunRecord", "RecordingObserver", "Takes", "VirtualClock", "run", "takes"]
