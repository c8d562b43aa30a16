"""Lists the SQL tasks in the catalogue of prebuilt tasks."""

from __future__ import annotations

from headrace.plugins import TaskSpec, hookimpl

_SUMMARIES = {
    "sql": ("SqlQuery", "Run one SQL statement and return its rows."),
    "sql.execute": ("SqlExecute", "Run one SQL statement and return how many rows it changed."),
    "sql.load": ("SqlLoad", "Insert rows into a table, all of them or none."),
    "sql.script": ("SqlScript", "Run several SQL statements in one transaction."),
}


@hookimpl
def headrace_tasks() -> list[TaskSpec]:
    """Return the tasks of this family."""
    return [
        TaskSpec(name=name, factory=f"headrace_tasklib.sql:{cls}", summary=summary, extra="sql")
        for name, (cls, summary) in _SUMMARIES.items()
    ]
