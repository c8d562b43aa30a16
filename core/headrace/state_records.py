"""States as plain data that JSON can hold. A result stays where it is: its type and its location are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import headrace
from headrace.documents import FORMAT, Missing, check_format, plain_or_opaque, value_or_missing
from headrace.exceptions import ResultReleasedError, SerializationError, nearest
from headrace.plain_data import from_plain, opaque, to_plain
from headrace.references import ReleasedValue
from headrace.states import Mapped, State
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["state_from", "state_record"]

# Said in a way of its own, or not at all.
_SPECIAL: Final = frozenset({"_result", "_context", "attempts", "cached_inputs", "map_states"})


def state_record(state: State) -> dict[str, Any]:
    """Return ``state`` as plain data; see `State.serialize`."""
    own = state._values()  # noqa: SLF001 - all of its slots
    values = {name: value for name, value in own.items() if name not in _SPECIAL}
    return {
        "headrace": headrace.__version__,
        "format": FORMAT,
        "type": type(state).__name__,
        "context": to_plain(state.context, "context"),
        "cached_inputs": None if state.cached_inputs is None else _types(state.cached_inputs),
        "result": _result_record(state),
        "attempts": [state_record(attempt) for attempt in state.attempts],
        **{name: _field(name, value) for name, value in values.items()},
    }


def _types(values: Mapping[str, object]) -> dict[str, Any]:
    return {name: value.record if isinstance(value, Missing) else opaque(value) for name, value in values.items()}


def _result_record(state: State) -> dict[str, Any] | None:
    value = state._result  # noqa: SLF001 - without reading back what was released
    if isinstance(value, ReleasedValue):
        return {"type": getattr(value.load, "type", None), "location": state.location}
    return None if value is None else {"type": type_name(type(value)), "location": state.location}


def _field(name: str, value: object) -> Any:
    if name == "cached_parameters" and isinstance(value, dict):
        return {key: plain_or_opaque(item) for key, item in value.items()}
    # A location may know how to read what is there.
    return to_plain(str(value) if name == "location" and value is not None else value, name)


def state_from(record: Mapping[str, Any]) -> State:
    """Return the state that ``record`` describes; see `State.deserialize`."""
    check_format(record, "state")
    kinds: dict[str, type[State]] = {kind.__name__: kind for kind in State.children(include_self=True)}
    kind = kinds.get(record.get("type", ""))
    if kind is None:
        raise SerializationError(
            f"There is no state {record.get('type')!r}.", hint=nearest(str(record.get("type")), kinds)
        )
    try:
        return _state(kind, record)
    except (AttributeError, KeyError, TypeError) as error:
        raise SerializationError(f"The record of a {kind.__name__} state is damaged: {error!r}.") from error


def _value(name: str, record: Any) -> Any:
    if name == "cached_parameters" and isinstance(record, dict):
        return {key: value_or_missing(item) for key, item in record.items()}
    return from_plain(record)


def _state(kind: type[State], record: Mapping[str, Any]) -> State:
    known = {"headrace", "format", "type", "attempts", "context", "cached_inputs", "result"}
    values = {name: _value(name, value) for name, value in record.items() if name not in known}
    result = record["result"]
    state = object.__new__(kind)
    state.__setstate__(
        {
            "attempts": tuple(state_from(attempt) for attempt in record["attempts"]),
            "_context": from_plain(record["context"]) or None,
            "cached_inputs": _missing(record["cached_inputs"]),
            "_result": None if result is None else ReleasedValue(_Elsewhere(result)),
            **values,
        }
    )
    if isinstance(state, Mapped):
        state.result = None
        state.map_states = [None] * state.n_map_states
    return state


def _missing(records: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if records is None else {name: value_or_missing(record) for name, record in records.items()}


class _Elsewhere:
    """What reading the result of a deserialized state comes to."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.type = record["type"]
        self._location = record["location"]

    def __call__(self) -> NoReturn:
        place = f"at {self._location!r} in the result store of its run" if self._location else "gone"
        raise ResultReleasedError(
            f"The record of a state does not hold the result, a value of type {self.type}: it is {place}.",
            hint="Run the task again, or read it from there.",
        )
