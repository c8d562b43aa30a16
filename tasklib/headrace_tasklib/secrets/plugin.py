"""Lists the tasks that return secrets in the catalogue of prebuilt tasks."""

from __future__ import annotations

from headrace.plugins import TaskSpec, hookimpl


@hookimpl
def headrace_tasks() -> list[TaskSpec]:
    """Return the tasks of this family."""
    return [
        TaskSpec(
            name="secrets",
            factory="headrace_tasklib.secrets:NamedSecret",
            summary="Look up a secret where the task runs.",
        ),
        TaskSpec(
            name="secrets.env",
            factory="headrace_tasklib.secrets:EnvVarSecret",
            summary="Read a secret from an environment variable.",
        ),
    ]
