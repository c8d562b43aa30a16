"""The history of runs: what is recorded of each, so that it can be looked at later and gone on with after a crash.

`headrace.abc.RunStore` keeps it and `headrace.abc.RunJournal` takes it down while a run goes on; `records` is what they
exchange, `sealing` keeps values from being exchanged for others, and the rest is for those who write a store.
"""

from __future__ import annotations

from headrace.history.records import (
    FINISHED_STATES,
    NO_TASK,
    UNMAPPED,
    AttemptRecord,
    Cause,
    EdgeRecord,
    Finding,
    LimitRecord,
    LogQuery,
    LogRecord,
    NoteRecord,
    Owner,
    RunQuery,
    RunRecord,
    SlotRecord,
    Tally,
    TaskKind,
    TaskRecord,
    TaskRunQuery,
    TaskRunRecord,
    ValueRecord,
)

__all__ = [
    "FINISHED_STATES",
    "NO_TASK",
    "UNMAPPED",
    "AttemptRecord",
    "Cause",
    "EdgeRecord",
    "Finding",
    "LimitRecord",
    "LogQuery",
    "LogRecord",
    "NoteRecord",
    "Owner",
    "RunQuery",
    "RunRecord",
    "SlotRecord",
    "Tally",
    "TaskKind",
    "TaskRecord",
    "TaskRunQuery",
    "TaskRunRecord",
    "ValueRecord",
]
