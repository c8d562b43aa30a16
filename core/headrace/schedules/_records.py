"""Schedules as plain data, and back.

Only what headrace itself offers is written: a name that is looked up here can never import or run anything else.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import ScheduleError, nearest
from headrace.schedules import adjustments, filters
from headrace.schedules._zones import MICROSECOND, instant_of, plain_local, zone_name, zone_named
from headrace.schedules.clocks import Clock, CronClock, DatesClock, IntervalClock, RRuleClock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headrace.schedules.schedule import Schedule

VERSION: Final = 1
_CLOCKS: Final = {clock.__name__: clock for clock in (CronClock, DatesClock, IntervalClock, RRuleClock)}
_FUNCTIONS: Final = {
    "filters": {name: getattr(filters, name) for name in filters.__all__},
    "or_filters": {name: getattr(filters, name) for name in filters.__all__},
    "not_filters": {name: getattr(filters, name) for name in filters.__all__},
    "adjustments": {name: getattr(adjustments, name) for name in adjustments.__all__},
}


def schedule_record(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as plain data."""
    return {
        "version": VERSION,
        "clocks": [_clock_record(clock) for clock in schedule.clocks],
        **{place: [_function_record(place, entry) for entry in getattr(schedule, place)] for place in _FUNCTIONS},
    }


def schedule_parts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the schedule that a record describes."""
    version = record.get("version")
    if version != VERSION:
        raise ScheduleError(
            f"The record of a schedule has version {version!r}, and {VERSION} was expected.",
            hint="It may come from a newer headrace.",
        )
    try:
        return {
            "clocks": [_clock(entry) for entry in record["clocks"]],
            **{place: [_function(place, entry) for entry in record[place]] for place in _FUNCTIONS},
        }
    except ScheduleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ScheduleError(f"The record of a schedule is damaged: {error!r}.") from error


def _clock_record(clock: Clock) -> dict[str, Any]:
    if not isinstance(clock, CronClock | DatesClock | IntervalClock | RRuleClock):
        raise ScheduleError(f"The clock {clock!r} cannot be serialized: it is not one of headrace's own.")
    # A rule is written as what it says.
    names = ["rule" if item.name == "rrule_obj" else item.name for item in fields(clock) if item.init]
    record = {name: _value_record(getattr(clock, name)) for name in names}
    return {"type": type(clock).__name__, **record, "parameter_defaults": _parameters_record(clock)}


def _clock(record: Mapping[str, Any]) -> Clock:
    as_they_are = {"labels", "parameter_defaults"}
    arguments = {name: value if name in as_they_are else _value(value) for name, value in record.items()}
    make = _known("clock", arguments.pop("type"), _CLOCKS)
    if "rule" in arguments:
        from headrace.schedules._rules import from_description  # noqa: PLC0415 - dateutil, for few clocks

        arguments["rrule_obj"] = from_description(arguments.pop("rule"))
    clock: Clock = make(**arguments)
    return clock


def _parameters_record(clock: Clock) -> object:
    for name, value in clock.parameter_defaults.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ScheduleError(
                f"The default of parameter {name!r} in a {type(clock).__name__} cannot be serialized: {error}.",
                hint="Use numbers, texts, lists and dicts.",
            ) from error
    return dict(clock.parameter_defaults)


def _function_record(place: str, function: Any) -> dict[str, Any]:
    maker = type(function) if is_dataclass(function) else function
    name = getattr(maker, "__name__", "")
    if _FUNCTIONS[place].get(name) is not maker:
        raise ScheduleError(
            f"{function!r} in `{place}` cannot be serialized.",
            hint=f"Only functions of headrace.schedules can: {', '.join(_FUNCTIONS[place])}.",
        )
    if not is_dataclass(function):
        return {"name": name}
    arguments = {item.name: _value_record(getattr(function, item.name)) for item in fields(function)}
    return {"name": name, "arguments": arguments}


def _function(place: str, record: Mapping[str, Any]) -> Any:
    found = _known("function", record["name"], _FUNCTIONS[place])
    if "arguments" not in record:
        return found
    return found(**{name: _value(value) for name, value in record["arguments"].items()})


def _known(kind: str, name: object, known: Mapping[str, Any]) -> Any:
    if name not in known:
        raise ScheduleError(f"There is no {kind} named {name!r} in schedules.", hint=nearest(str(name), known))
    return known[str(name)]


def _value_record(value: object) -> object:
    if isinstance(value, datetime):
        assert value.tzinfo is not None
        name = zone_name(value.tzinfo)
        return {"datetime": plain_local(zone_named(name))(instant_of(value)).isoformat(), "timezone": name}
    if isinstance(value, time):
        return {"time": value.isoformat()}
    if isinstance(value, timedelta):
        return {"microseconds": value // MICROSECOND}
    return [_value_record(item) for item in value] if isinstance(value, tuple) else value


def _value(record: Any) -> Any:
    if isinstance(record, list):
        return [_value(item) for item in record]
    if not isinstance(record, dict):
        return record
    if "datetime" in record:
        instant = instant_of(datetime.fromisoformat(record["datetime"]))
        return plain_local(zone_named(record["timezone"]))(instant)
    if "time" in record:
        return time.fromisoformat(record["time"])
    return timedelta(microseconds=record["microseconds"])
