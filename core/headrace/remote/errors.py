"""Exceptions for the journey back: remade without their constructors, which may ask for other arguments."""

from __future__ import annotations

import io
import pickle
from typing import Any

import cloudpickle

from headrace.masking import mask
from headrace.pickling import by_value, dump
from headrace.value_paths import type_name

__all__ = ["class_names", "pack_error"]


def pack_error(error: BaseException) -> bytes | None:
    """Return ``error`` as a pickle, or None if it has to be replaced.

    A class that says itself how it is pickled is believed. Of others, arguments and attributes travel; attributes that
    cannot be pickled are left out, and a note names them.
    """
    for leave_out in (False, True):
        file = io.BytesIO()
        try:
            with by_value():
                _Pickler(file, leave_out).dump(error)
        except Exception:  # noqa: BLE001, S112 - a foreign __reduce__ may raise anything
            continue
        return file.getvalue()
    return None


def class_names(error: BaseException) -> tuple[str, ...]:
    """Return the names of the class of ``error`` and those above it, the nearest first."""
    return tuple(map(type_name, type(error).__mro__))


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc] # it has no types
    def __init__(self, file: io.BytesIO, leave_out: bool) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._leave_out = leave_out

    def reducer_override(self, obj: Any) -> Any:
        if issubclass(type(obj), BaseException) and _is_pickled_as_usual(type(obj)):
            return _reduced(obj, self._leave_out)
        return super().reducer_override(obj)


def _is_pickled_as_usual(cls: type[BaseException]) -> bool:
    usual = _built_in(cls)
    return cls.__reduce__ is usual.__reduce__ and cls.__reduce_ex__ is usual.__reduce_ex__


def _built_in(cls: type[BaseException]) -> type[BaseException]:
    """Return the built-in class that decides about the layout of ``cls``: no other can make what is a `cls`."""
    while cls.__module__ != "builtins":
        cls = cls.__base__  # type: ignore[assignment] # what is no exception is never above one
    return cls


def _reduced(error: BaseException, leave_out: bool) -> tuple[Any, ...]:
    _, arguments, state = (*error.__reduce_ex__(pickle.HIGHEST_PROTOCOL), None)[:3]
    if leave_out and isinstance(state, dict):
        state = _picklable_part(state)
    if isinstance(error, BaseExceptionGroup):
        # Its ``args`` are what the class of the user was called with, which need not be what a group is made of.
        arguments = mask(error.message), error.exceptions
    return _made, (type(error), arguments, error.args), state, None, None, _set_state


def _picklable_part(state: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in state.items() if _can_be_pickled(value)}
    lost = [f"attribute {name!r} (type {type_name(type(state[name]))})" for name in state if name not in kept]
    if lost:
        note = f"Left out by headrace, since it cannot be sent between processes: {', '.join(lost)}"
        kept["__notes__"] = [*kept.get("__notes__", ()), note]
    return kept


def _can_be_pickled(value: object) -> bool:
    try:
        dump(value)
    except Exception:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        return False
    return True


def _made(cls: type[BaseException], arguments: tuple[Any, ...], args: tuple[Any, ...]) -> BaseException:
    built_in = _built_in(cls)
    error: BaseException = built_in.__new__(cls, *arguments)
    built_in.__init__(error, *arguments)
    BaseException.__setattr__(error, "args", args)
    return error


def _set_state(error: BaseException, state: dict[str, Any]) -> None:
    if type(error).__setstate__ is not BaseException.__setstate__:
        error.__setstate__(state)
        return
    for name, value in state.items():
        # A class may refuse to have its attributes set, as frozen dataclasses do.
        BaseException.__setattr__(error, name, value)
