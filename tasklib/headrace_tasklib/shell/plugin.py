"""Lists the shell task in the catalogue of prebuilt tasks."""

from __future__ import annotations

from headrace.plugins import TaskSpec, hookimpl


@hookimpl
def headrace_tasks() -> list[TaskSpec]:
    """Return the tasks of this family."""
    return [
        TaskSpec(
            name="shell",
            factory="headrace_tasklib.shell:ShellTask",
            summary="Run a shell command and return what it printed.",
        )
    ]
