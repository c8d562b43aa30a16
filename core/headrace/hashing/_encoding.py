"""What a walk turns values into: bytes for scalars, a `Node` for what holds other values.

Every encoding tells its own length, so that no two values are encoded the same when they are put one after the other.
"""

from __future__ import annotations

import struct
import sys
from hashlib import blake2b
from types import EllipsisType, MappingProxyType, NoneType, NotImplementedType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.module_names import MODULE_PREFIX
from headrace.value_paths import item_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "SCALARS",
    "SIZE",
    "Node",
    "Raw",
    "Refusal",
    "as_child",
    "attributes",
    "flat",
    "framed",
    "leaf",
    "leaf_of",
    "mapping",
    "reference",
]

SIZE: Final = 20
_LONG: Final = 1024
_MANY: Final = 4096


class Node(NamedTuple):
    """A value that holds others: ``tag`` says what it is, ``head`` what it is made of besides its children.

    ``step`` returns how a path goes on to the child with a number. Without ``ordered`` the order does not count.
    """

    tag: bytes
    children: Sequence[Any]
    step: Callable[[int], str]
    head: bytes = b""
    ordered: bool = True


class Raw(NamedTuple):
    """A child that is encoded already."""

    data: bytes


class Refusal(Exception):  # noqa: N818 - internal: it becomes an UnhashableArgumentError
    """A value cannot be hashed; the text goes on after "it is of type X, "."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        super().__init__(reason)
        self.hint = hint


def as_child(found: bytes | Node) -> Raw | Node:
    """Return a description as a child of another one."""
    return Raw(found) if isinstance(found, bytes) else found


def framed(data: bytes) -> bytes:
    """Return ``data`` after its length."""
    return b"%d:" % len(data) + data


def leaf(tag: bytes, *buffers: Any) -> bytes:
    """Return the hash of large data, encoded as the hash of a container is; the data is not copied."""
    return leaf_of(tag, buffers)


def leaf_of(tag: bytes, buffers: Iterable[Any]) -> bytes:
    """Return what `leaf` returns for buffers that come one after the other."""
    hasher = blake2b(framed(b"leaf " + tag), digest_size=SIZE)
    for buffer in buffers:
        hasher.update(buffer)
    return b"#" + hasher.digest()


def reference(named: Any) -> bytes:
    """Encode a class or function by its name, whatever the name of the module under which its file was run."""
    return framed(f"{_module(named.__module__)}:{named.__qualname__}".encode("utf-8", "surrogatepass"))


def _module(name: str | None) -> str:
    if name is None or not (name == "__main__" or name.startswith(MODULE_PREFIX)):
        return str(name)
    file = getattr(sys.modules.get(name), "__file__", None)
    return file.replace("\\", "/").rpartition("/")[2].removesuffix(".py") if file else name


# -- scalars -----------------------------------------------------------------------------------------------------------


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"s%d:" % len(data) + data if len(data) < _LONG else leaf(b"str", data)


def _bytes(value: bytes) -> bytes:
    return b"b%d:" % len(value) + value if len(value) < _LONG else leaf(b"bytes", value)


_NAN: Final = float("nan")


def _double(value: float) -> bytes:
    return struct.pack("<d", value if value == value else _NAN)  # noqa: PLR0124 - only a NaN differs from itself


SCALARS: Final[Mapping[type, Callable[[Any], bytes]]] = MappingProxyType(
    {
        NoneType: lambda _: b"N",
        EllipsisType: lambda _: b"E",
        NotImplementedType: lambda _: b"M",
        bool: lambda value: b"T" if value else b"F",
        int: lambda value: b"i%x;" % value,
        float: lambda value: b"f" + _double(value),
        complex: lambda value: b"c" + _double(value.real) + _double(value.imag),
        str: _text,
        bytes: _bytes,
        bytearray: lambda value: leaf(b"bytearray", value),
        range: lambda value: b"r%x,%x,%x;" % (value.start, value.stop, value.step),
        Raw: lambda value: value.data,
    }
)


# -- many scalars of one type at once ----------------------------------------------------------------------------------


def _integers(values: Sequence[int]) -> bytes:
    return ",".join(map(hex, values)).encode()  # `str` refuses numbers of more than 4300 digits


def _doubles(values: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(values)}d", *[value if value == value else _NAN for value in values])  # noqa: PLR0124


def _texts(values: Sequence[str]) -> bytes:
    lengths = ",".join(map(str, map(len, values)))
    return f"{lengths};{''.join(values)}".encode("utf-8", "surrogatepass")


def _byte_strings(values: Sequence[bytes]) -> bytes:
    return ",".join(map(str, map(len, values))).encode() + b";" + b"".join(values)


_BULK: Final[Mapping[type, Callable[[Any], bytes]]] = MappingProxyType(
    {
        int: _integers,
        bool: bytes,
        float: _doubles,
        str: _texts,
        bytes: _byte_strings,
        NoneType: lambda values: b"%d" % len(values),
    }
)


_SCALAR_TYPES: Final = frozenset(SCALARS)


def flat(values: Sequence[Any]) -> bytes | None:
    """Return the data of a sequence that is quickly encoded as a whole, or None: walking costs more per element.

    These are sequences of many scalars of one type, and of not too many scalars of several.
    """
    kinds = set(map(type, values))
    if len(values) > 8 and len(kinds) == 1:
        kind = kinds.pop()
        join = _BULK.get(kind)
        return None if join is None else b"%d*" % len(values) + framed(kind.__name__.encode()) + join(values)
    if len(values) > _MANY or not kinds <= _SCALAR_TYPES:
        return None
    return b"%d," % len(values) + b"".join([SCALARS[type(value)](value) for value in values])


# -- mappings and attributes -------------------------------------------------------------------------------------------


def mapping(tag: bytes, value: Mapping[Any, Any], head: bytes = b"") -> bytes | Node:
    """Describe a mapping whose order does not count."""
    if set(map(type, value)) <= {str}:
        return _of_texts(tag, value, head, item_step)
    keys = list(value)
    pairs = [Node(b"pair", (key, value[key]), step=lambda _: "") for key in keys]
    return Node(tag, pairs, lambda i: item_step(keys[i]), head, ordered=False)


def attributes(tag: bytes, value: Mapping[str, Any], head: bytes = b"") -> bytes | Node:
    """Describe an object by its attributes."""
    return _of_texts(tag, value, head, lambda name: f".{name}")


def _of_texts(tag: bytes, value: Mapping[str, Any], head: bytes, step: Callable[[str], str]) -> bytes | Node:
    keys = sorted(value)
    values = [value[key] for key in keys]
    head += framed(_texts(keys))
    data = flat(values)
    return Node(tag, values, lambda i: step(keys[i]), head) if data is None else leaf(tag, framed(head), data)
