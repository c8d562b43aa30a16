"""Lists the HTTP tasks in the catalogue of prebuilt tasks."""

from __future__ import annotations

from headrace.plugins import TaskSpec, hookimpl


@hookimpl
def headrace_tasks() -> list[TaskSpec]:
    """Return the tasks of this family."""
    return [
        TaskSpec(
            name="http",
            factory="headrace_tasklib.http:HttpTask",
            summary="Make an HTTP request and return the answer as text, JSON or bytes.",
            extra="http",
        ),
        TaskSpec(
            name="http.download",
            factory="headrace_tasklib.http:HttpDownload",
            summary="Download a URL into a file, which appears only when it is complete.",
            extra="http",
        ),
    ]
