"""Where the flow of a recorded run came from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.history.records import RunRecord

__all__ = ["origin_of"]


def origin_of(run: RunRecord) -> tuple[str, bool]:
    """Return the file or module that the flow of ``run`` came from; raise HistoryError if that is not known."""
    from headrace.exceptions import HistoryError  # noqa: PLC0415 - only when a command runs
    from headrace.flow_files import split_target  # noqa: PLC0415

    origin = run.details.get("origin")
    if not isinstance(origin, dict) or not origin.get("target"):
        raise HistoryError(
            f"Run {run.name!r} was not started by `headrace run`, so its flow cannot be found.",
            hint=f"In Python, `flow.resume({run.name!r})` goes on with it; `headrace run FILE` begins anew.",
        )
    target = str(origin["target"])
    if origin.get("module"):
        return target, True
    # An absolute path stays what it is.
    target = str(Path(str(origin.get("folder") or "")) / target)
    file = split_target(target)[0]
    if not Path(file).exists():
        raise HistoryError(
            f"The flow of run {run.name!r} came from {file}, and there is no such file any more.",
            hint="Put it back, or run the flow anew: `headrace run FILE`.",
        )
    return target, False
