"""Which part of a value cannot be pickled: a search that halves what is left, for a message that helps."""

from __future__ import annotations

import time
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.pickling import dump
from headrace.value_paths import attribute_step, item_step, shortened, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Unpicklable", "find_among", "find_unpicklable"]

_DEEPEST: Final = 50
_SECONDS: Final = 5.0


class Unpicklable(NamedTuple):
    """The innermost part of a value that cannot be pickled, and why."""

    path: str
    type_name: str
    error: Exception


class _Child(NamedTuple):
    step: str
    value: Any


def find_unpicklable(value: object, name: str = "value") -> Unpicklable | None:
    """Return the innermost part of ``value`` that cannot be pickled, or None if there is no part to name.

    Every step costs about as much as pickling it twice; after five seconds, or fifty steps, what has been found by
    then is returned.
    """
    deadline = time.monotonic() + _SECONDS
    way = [_Child(name, value)]
    # All that fails and has been looked into: a class and its methods, for instance, lead to each other.
    seen = {id(value): value}
    for _ in range(_DEEPEST):
        children = list(_children(way[-1].value))
        child = _first_failing([each for each in children if id(each.value) not in seen], deadline)
        if child is None:
            is_innermost = all(id(each.value) not in seen for each in children)
            if len(way) == 1 or is_innermost or time.monotonic() > deadline:
                break
            way.pop()  # it fails because of what leads to it: the culprit is elsewhere
        elif _failure(child.value) is None:  # it cannot be pickled together with its neighbours only
            break
        else:
            way.append(child)
            seen[id(child.value)] = child.value
    found = way[-1].value
    error = _failure(found) if len(way) > 1 else None
    path = shortened("".join(each.step for each in way))
    return None if error is None else Unpicklable(path, type_name(type(found)), error)


def find_among(parts: Mapping[str, object]) -> Unpicklable | None:
    """Return what `find_unpicklable` finds in the first of the named ``parts`` that cannot be pickled, or that part."""
    for name, value in parts.items():
        error = _failure(value)
        if error is not None:
            return find_unpicklable(value, name) or Unpicklable(name, type_name(type(value)), error)
    return None


def _first_failing(children: Sequence[_Child], deadline: float) -> _Child | None:
    if not children or _failure([child.value for child in children]) is None:
        return None
    while len(children) > 1:
        if time.monotonic() > deadline:
            return None
        half = children[: len(children) // 2]
        fails = _failure([child.value for child in half]) is not None
        children = half if fails else children[len(children) // 2 :]
    return children[0]


def _failure(value: object) -> Exception | None:
    try:
        dump(value)
    except Exception as error:  # noqa: BLE001 - a foreign __reduce__ may raise anything
        return error
    return None


def _children(value: Any) -> Iterator[_Child]:
    """Yield what pickling ``value`` would go on to."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield _Child(f"{item_step(key)} (a key)", key)
            yield _Child(item_step(key), item)
    if isinstance(value, list | tuple):
        yield from (_Child(item_step(i), item) for i, item in enumerate(value))
    elif isinstance(value, set | frozenset):
        yield from (_Child("{…}", item) for item in value)
    elif isinstance(value, FunctionType):
        yield from _variables(value)
    elif isinstance(value, MethodType):
        yield _Child(".__self__", value.__self__)
        yield _Child(".__func__", value.__func__)
    elif isinstance(value, staticmethod | classmethod):
        yield _Child(".__func__", value.__func__)
    elif isinstance(value, property):
        yield from (_Child(attribute_step(name), getattr(value, name)) for name in ("fget", "fset", "fdel"))
    elif isinstance(value, type):
        yield from _members(value)
    else:
        yield from _parts(value)


def _variables(function: FunctionType) -> Iterator[_Child]:
    """Yield what a function that is pickled by value takes along."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield _Child(f".<{name}>", cell.cell_contents)
        except ValueError:  # the variable has no value yet
            continue
    for name in dict.fromkeys(_names(function.__code__)):
        if name in function.__globals__:
            yield _Child(f".<{name}>", function.__globals__[name])
    yield _Child(".__defaults__", function.__defaults__)
    yield _Child(".__kwdefaults__", function.__kwdefaults__)


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function uses, and the functions, lambdas and comprehensions inside of it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _members(cls: type) -> Iterator[_Child]:
    """Yield what a class that is pickled by value takes along."""
    for name, member in vars(cls).items():
        # Python makes these anew: those of slots, ``__dict__`` and the registry of an abstract class.
        if not isinstance(member, GetSetDescriptorType | MemberDescriptorType) and name != "_abc_impl":
            yield _Child(attribute_step(name), member)
    yield from (_Child(f".__bases__{item_step(i)}", base) for i, base in enumerate(cls.__bases__))


def _parts(value: Any) -> Iterator[_Child]:
    try:
        reduced = value.__reduce_ex__(4)
    except Exception:  # noqa: BLE001 - what refuses by itself is the culprit
        return
    if not isinstance(reduced, tuple):
        return
    _, arguments, state, elements, items = (*reduced, None, None, None)[:5]
    states = state if isinstance(state, tuple) and len(state) == 2 else (state,)
    for part in states:
        if isinstance(part, dict):
            yield from (_Child(attribute_step(str(name)), item) for name, item in part.items())
        elif part is not None:
            yield _Child(".__getstate__()", part)
    step = ".args" if isinstance(value, BaseException) else ".__reduce_ex__(4)[1]"
    for i, argument in enumerate(arguments or ()):
        if argument is not type(value):
            yield _Child(step + item_step(i), argument)
    yield from (_Child(item_step(i), item) for i, item in enumerate(elements or ()))
    yield from (_Child(item_step(key), item) for key, item in items or ())
    yield _Child(".__class__", type(value))
