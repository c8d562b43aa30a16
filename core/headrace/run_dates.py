"""The dates that `headrace.context` shows during a run, all in UTC, worked out when somebody reads one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from headrace.exceptions import ParameterError

__all__ = ["date_value"]

_OFFSETS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}


def date_value(key: str, given: Any, began: float) -> Any:
    """Return what ``key``, one of `headrace.run_context.DATE_KEYS`, stands for.

    ``given`` is the ``date`` somebody put in the context, or None; ``began`` the beginning of the run in seconds since
    the epoch. ``date`` and ``scheduled_start_time`` are ``pendulum.DateTime``; the others texts such as 2026-01-31.
    """
    if key == "scheduled_start_time":
        given = None
    moment = datetime.fromtimestamp(began, UTC) if given is None else _parsed(given)
    if key in {"date", "scheduled_start_time"}:
        import pendulum  # noqa: PLC0415 - slow to import, and most tasks ask for a text

        return pendulum.instance(moment)
    name = key.removesuffix("_nodash")
    day = moment + timedelta(days=_OFFSETS[name])
    return day.strftime("%Y-%m-%d" if name == key else "%Y%m%d")


def _parsed(given: Any) -> datetime:
    if isinstance(given, str):
        import pendulum  # noqa: PLC0415 - as above

        try:
            given = pendulum.parse(given)
        except ValueError as error:
            raise ParameterError(
                f"`date` in the context is {given!r}, which is no date.", hint="Write it as 2026-01-31."
            ) from error
    if not isinstance(given, datetime):
        raise ParameterError(f"`date` in the context is {given!r}, and must be a datetime or a text.")
    return given
