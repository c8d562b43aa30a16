"""Pickles for the journey, and errors that name what cannot be pickled or read."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import cloudpickle

from headrace.exceptions import TransferError, describe
from headrace.pickling import by_value, has_flow_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Pickler", "is_plain", "load"]

# A buffer that is smaller is copied into the pickle: sending it by itself would cost more.
_LARGE: Final = 65_536


# What pickles the same everywhere, and needs no search for what has to be pickled by value.
_PLAIN: Final = frozenset({bool, bytes, float, int, str, type(None)})


def is_plain(value: object) -> bool:
    """Tell whether `pickle` alone will do."""
    return value.__class__ in _PLAIN


class Pickler:
    """Pickles what a run sends. Whether there are modules to pickle by value is found out once."""

    def __init__(self) -> None:
        self._has_flow_files = has_flow_files()

    def dump(
        self, value: object, what: str, buffers: list[Any] | None = None, parts: Mapping[str, object] | None = None
    ) -> bytes:
        """Return ``value`` as a pickle; large buffers go to ``buffers``, if given, as `pickle.PickleBuffer` objects.

        Raises `TransferError`. Its message calls the value ``what`` and names the one of its ``parts`` that cannot be
        pickled, and the place inside.
        """
        try:
            if is_plain(value):
                return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
            callback = None if buffers is None else _collector(buffers)
            with by_value() if self._has_flow_files else nullcontext():
                data: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL, buffer_callback=callback)
        except Exception as error:  # a foreign __reduce__ may raise anything
            raise _not_picklable(what, parts or {"value": value}, error) from error
        return data


def _collector(buffers: list[Any]) -> Callable[[pickle.PickleBuffer], bool]:
    def collect(buffer: pickle.PickleBuffer) -> bool:
        try:
            size = buffer.raw().nbytes
        except BufferError:  # not contiguous
            return True
        if size < _LARGE:
            return True
        buffers.append(buffer)
        return False

    return collect


def _not_picklable(what: str, parts: Mapping[str, object], error: Exception) -> TransferError:
    if isinstance(error, RecursionError) or isinstance(error.__cause__ or error.__context__, RecursionError):
        return TransferError(f"{what} cannot be sent to another process: it is nested too deeply.")
    from headrace.unpicklable import find_among  # noqa: PLC0415 - only where something went wrong

    found = find_among(parts)
    place = f" because of {found.path} (type {found.type_name}): {found.error}" if found else f": {describe(error)}"
    return TransferError(
        f"{what} cannot be sent to another process{place}.",
        hint="Make it where it is used, inside the task, or choose an executor that stays in this process: `threads`.",
    )


def load(data: bytes | memoryview, what: str, buffers: list[Any] | None = None) -> Any:
    """Return the value of a pickle; raise `TransferError` if it cannot be read here."""
    try:
        return pickle.loads(data, buffers=buffers)  # noqa: S301 - what the other end of the same run has made
    except Exception as error:  # unpickling imports modules and calls constructors, which may raise anything
        raise TransferError(
            f"{what} cannot be read in this process: {describe(error)}.",
            hint="Both processes need the same modules, in the same versions.",
        ) from error
