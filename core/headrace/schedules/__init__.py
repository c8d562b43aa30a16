"""When flows run: clocks, put together into schedules, thinned by filters and moved by adjustments.

Nothing below this module is imported before it is used; cronsim, dateutil and pendulum still later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.schedules import adjustments as adjustments
    from headrace.schedules import clocks as clocks
    from headrace.schedules import filters as filters
    from headrace.schedules.schedule import CronSchedule as CronSchedule
    from headrace.schedules.schedule import IntervalSchedule as IntervalSchedule
    from headrace.schedules.schedule import RRuleSchedule as RRuleSchedule
    from headrace.schedules.schedule import Schedule as Schedule

__all__ = ["CronSchedule", "IntervalSchedule", "RRuleSchedule", "Schedule", "adjustments", "clocks", "filters"]


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - this module must stay free to import

    if name in {"adjustments", "clocks", "filters"}:
        return import_module(f"headrace.schedules.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'headrace.schedules' has no attribute {name!r}")
    value = getattr(import_module("headrace.schedules.schedule"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
