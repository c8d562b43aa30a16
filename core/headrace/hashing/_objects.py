"""Objects of other classes: by their fields if they have some, otherwise by what `pickle` would keep of them."""

from __future__ import annotations

import copyreg
from functools import cached_property
from inspect import getattr_static
from typing import Any, Final

from headrace.hashing._encoding import Node, Raw, Refusal, as_child, attributes, reference
from headrace.value_paths import item_step

__all__ = ["describe_object"]

_MISSING: Final = Raw(b"?")


def describe_object(value: Any) -> bytes | Node:
    """Describe an instance of any class."""
    kind: Any = type(value)
    if kind is object:
        raise Refusal("which has nothing to tell it from others but its identity")
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _fields(value, kind._fields)
    if hasattr(kind, "__dataclass_fields__"):
        from dataclasses import fields  # noqa: PLC0415 - there is a dataclass, so it is loaded

        return _fields(value, [field.name for field in fields(kind)])
    if hasattr(kind, "__attrs_attrs__"):
        return _fields(value, [field.name for field in kind.__attrs_attrs__])
    if isinstance(value, set | frozenset):
        return _set(value)
    return _reduced(value)


def _fields(value: Any, names: Any) -> bytes | Node:
    # A field without a value is one that `__init__` does not set, or a slot that was deleted.
    found = {name: getattr(value, name, _MISSING) for name in names}
    return attributes(b"fields", found, reference(type(value)))


def _set(value: Any) -> Node:
    elements = Node(b"elements", tuple(value), lambda _: "{…}", ordered=False)
    state = vars(value) if hasattr(value, "__dict__") else None
    return Node(b"set subclass", (elements, state), lambda _: "", reference(type(value)))


def _reduced(value: Any) -> bytes | Node:
    """Describe ``value`` by the parts that pickle would put it together from."""
    reduce = copyreg.dispatch_table.get(type(value))
    try:
        reduced: Any = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception as error:  # a foreign __reduce__ may raise anything
        raise Refusal(f"and its state is out of reach ({error})") from error
    if isinstance(reduced, str):
        module = getattr(value, "__module__", None) or type(value).__module__
        return Node(b"global", (module, reduced), lambda _: "")
    padded: tuple[Any, ...] = (*reduced, None, None, None)
    make, arguments, state, elements, items = padded[:5]
    if getattr(make, "__module__", None) == "copyreg":
        # What all classes without a `__reduce__` of their own are made by; the first argument is the class.
        made, arguments = reference(arguments[0]), arguments[1:]
    else:
        made = _maker(make)
    parts = (
        arguments or (),
        _state(value, state),
        None if elements is None else Node(b"elements", list(elements), item_step),
        None if items is None else dict(items),
    )
    return Node(b"object", parts, lambda _: "", made)


def _maker(make: Any) -> bytes:
    owner = getattr(make, "__self__", None)
    name = reference(make)
    return name + reference(owner) if isinstance(owner, type) else name


def _state(value: Any, state: Any) -> Any:
    """Return the state with steps that read as attributes, without what cached properties have left in it."""
    if isinstance(state, tuple) and len(state) == 2 and all(isinstance(part, dict | None) for part in state):
        state = {**(state[0] or {}), **(state[1] or {})}
    if not (isinstance(state, dict) and all(isinstance(name, str) for name in state)):
        return state
    kept = {n: v for n, v in state.items() if not isinstance(getattr_static(type(value), n, None), cached_property)}
    return as_child(attributes(b"attributes", kept))
