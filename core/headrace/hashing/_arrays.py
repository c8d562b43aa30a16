"""NumPy arrays and scalars: by type, shape and content, whatever the order in memory."""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from headrace.hashing._encoding import Node, as_child, attributes, flat, framed, leaf, leaf_of, reference
from headrace.value_paths import item_step

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["array_content", "describe_numpy"]

_BLOCK: Final = 1 << 24
_BYTES_ARE_CONTENT: Final = frozenset("biufcmMSUV")


def describe_numpy(value: Any) -> bytes | Node | None:
    """Describe an array, a scalar, a data type or a universal function; return None for other objects."""
    numpy: Any = sys.modules["numpy"]
    if isinstance(value, numpy.ndarray):
        return _array(numpy, value)
    if isinstance(value, numpy.generic):
        return Node(b"numpy.generic", (as_child(array_content(numpy.asarray(value))),), lambda _: "")
    if isinstance(value, numpy.dtype):
        return leaf(b"numpy.dtype", _type_text(value))
    if isinstance(value, numpy.ufunc):
        return leaf(b"numpy.ufunc", value.__name__.encode())
    return None


def _array(numpy: Any, value: Any) -> bytes | Node:
    kind = type(value)
    if kind is numpy.ndarray:
        return array_content(value)
    if isinstance(value, numpy.ma.MaskedArray):
        # What lies under the mask is not content.
        parts = [
            numpy.ma.getmaskarray(value),
            value.filled(value.dtype.type()) if value.dtype.names is None else value.data,
        ]
        return Node(b"numpy.ma", parts, lambda _: "", reference(kind))
    inner = as_child(array_content(value.view(numpy.ndarray)))
    state = as_child(attributes(b"attributes", getattr(value, "__dict__", {})))
    return Node(b"numpy subclass", (inner, state), lambda _: "", reference(kind))


def array_content(array: Any) -> bytes | Node:
    """Describe a plain array."""
    dtype = array.dtype
    head = _type_text(dtype) + framed(repr(tuple(array.shape)).encode())
    if dtype.names is not None:
        # Field by field: what lies between the fields is not content.
        names = dtype.names
        fields = [as_child(array_content(array[name])) for name in names]
        return Node(b"numpy.ndarray", fields, lambda i: item_step(names[i]), head)
    if dtype.kind in _BYTES_ARE_CONTENT and not _has_gaps(dtype):
        return leaf_of(b"numpy.ndarray", chain([head], _blocks(array)))
    elements = [str(element) for element in array.ravel()] if _has_gaps(dtype) else array.ravel().tolist()
    data = flat(elements)
    if data is not None:
        return leaf(b"numpy.ndarray", head, data)
    return Node(b"numpy.ndarray", elements, lambda i: _index(i, array.shape), head)


def _blocks(array: Any) -> Iterator[Any]:
    """Yield the content in C order and little-endian, piece by piece where it has to be copied."""
    numpy: Any = sys.modules["numpy"]
    if array.nbytes == 0:
        return
    flat = array.astype(array.dtype.newbyteorder("<"), copy=False)
    if flat.flags.c_contiguous:
        yield flat.reshape(-1).view(numpy.uint8)
        return
    rows = max(1, _BLOCK * len(flat) // max(1, flat.nbytes))
    for start in range(0, len(flat), rows):
        yield numpy.ascontiguousarray(flat[start : start + rows]).reshape(-1).view(numpy.uint8)


def _type_text(dtype: Any) -> bytes:
    if dtype.names is not None:
        described = ";".join(f"{name!r}:{_type_text(dtype.fields[name][0]).decode()}" for name in dtype.names)
        return framed(f"{{{described}}}".encode())
    if dtype.subdtype is not None:
        inner, shape = dtype.subdtype
        return framed(f"{shape}".encode()) + _type_text(inner)
    return framed(f"{dtype.newbyteorder('<').str if dtype.kind != 'T' else dtype!s}".encode())


def _has_gaps(dtype: Any) -> bool:
    """Tell whether numbers of a type have bytes without meaning: extended precision on most machines."""
    largest = {"f": 8, "c": 16}.get(dtype.kind)
    return largest is not None and bool(dtype.itemsize > largest)


def _index(number: int, shape: tuple[int, ...]) -> str:
    places: list[int] = []
    for length in reversed(shape):
        number, place = divmod(number, length)
        places.append(place)
    return f"[{', '.join(map(str, reversed(places)))}]"
