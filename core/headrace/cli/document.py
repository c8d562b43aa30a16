"""A run as one JSON document: ``headrace run --json``."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from headrace.cli.progress import Progress
from headrace.states import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from headrace.cli.outcome import Failure, Outcome
    from headrace.cli.progress import TaskProgress
    from headrace.flows import Flow

__all__ = ["SilentReport", "document"]

_FAILURES: Final = 100


class SilentReport:
    """Counts and shows nothing while the run goes on."""

    def __init__(self, flow: Flow) -> None:
        self.progress = Progress(flow)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Leave the terminal to a question, which goes to standard error."""
        yield

    def interrupted(self) -> None:
        """Say nothing."""

    def abandon(self) -> None:
        """Have nothing to clean up."""


def document(outcome: Outcome) -> str:
    """Return the run as JSON text. Times are ISO 8601 in UTC, durations in seconds; at most 100 failures are listed."""
    progress = outcome.progress
    run = progress.run
    whole: dict[str, Any] = {
        "run_id": None if run is None else run.id,
        "run_name": None if run is None else run.name,
        "flow": progress.flow.name,
        "state": "Cancelled" if outcome.state is None else type(outcome.state).__name__,
        "message": outcome.last_line(),
        "exit_code": outcome.exit_code,
        "started": _moment(progress.started),
        "ended": _moment(progress.ended),
        "duration": round(outcome.seconds, 6),
        "tasks": [_task(task) for task in progress.tasks.values() if not task.hidden or issubclass(task.kind, Failed)],
        "failures": [_failure(failure) for failure in islice(outcome.failures(), _FAILURES)],
    }
    text = json.dumps(whole, indent=2, ensure_ascii=False)
    # Half a surrogate pair, which no encoding has, becomes the escape that JSON has for it.
    return text.encode(errors="backslashreplace").decode()


def _task(task: TaskProgress) -> dict[str, Any]:
    seconds = None if task.started is None or task.ended is None else task.ended - task.started
    found: dict[str, Any] = {
        "name": task.name,
        "slug": task.slug,
        "state": task.kind.__name__,
        "message": task.state.message,
        "attempts": task.attempt,
        "started": _moment(task.started),
        "duration": None if seconds is None else round(seconds, 6),
    }
    if task.taken_over:
        found["taken_over"] = True
    if task.total is not None:
        counts: Counter[str] = Counter()
        for cls, number in task.children.items():
            counts[cls.__name__] += max(0, number)
        found["children"] = {"total": task.total, "states": {name: n for name, n in sorted(counts.items()) if n}}
    return found


def _failure(failure: Failure) -> dict[str, Any]:
    error, where = failure.state.result, failure.where
    return {
        "task": failure.task.slug,
        "map_index": failure.map_index,
        "state": type(failure.state).__name__,
        "error": type(error).__name__ if isinstance(error, BaseException) else None,
        "message": failure.text,
        "where": None if where is None else str(where),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
