"""From a value to what its hash is made of, by its type."""

from __future__ import annotations

import os
import sys
from enum import Enum
from types import BuiltinFunctionType, FunctionType, GenericAlias, MappingProxyType, MethodType, ModuleType, UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

from headrace.hashing._code import describe_class, describe_function
from headrace.hashing._encoding import SCALARS, Node, Refusal, flat, framed, leaf, mapping, reference
from headrace.hashing._foreign import FOREIGN
from headrace.hashing._objects import describe_object
from headrace.value_paths import item_step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    _Describe = Callable[[Any], bytes | Node]

__all__ = ["describe"]


def describe(value: Any) -> bytes | Node:
    """Return the encoding of ``value``, or a node if it holds other values; raise `Refusal`."""
    kind = type(value)
    handler = _BY_TYPE.get(kind) or _BY_NAME.get(f"{kind.__module__}.{kind.__qualname__}")
    if handler is not None:
        return handler(value)
    if hasattr(kind, "__headrace_content__"):
        return Node(b"content", (value.__headrace_content__(),), lambda _: ".__headrace_content__()", reference(kind))
    if isinstance(value, type):
        return describe_class(value)
    if isinstance(value, Enum):
        head = reference(kind) + framed(str(value.name).encode())
        return Node(b"enum", (value.value,), lambda _: ".value", head)
    for base in kind.__mro__:
        library = FOREIGN.get(base.__module__.partition(".")[0])
        if library is not None:
            found = library(value)
            if found is not None:
                return found
            break
    return describe_object(value)


def _sequence(tag: bytes) -> Callable[[Sequence[Any]], bytes | Node]:
    def describe_sequence(value: Sequence[Any]) -> bytes | Node:
        data = flat(value)
        return Node(tag, value, item_step) if data is None else leaf(tag, data)

    return describe_sequence


def _set(tag: bytes) -> Callable[[Any], Node]:
    return lambda value: Node(tag, tuple(value), lambda _: "{…}", ordered=False)


def _method(value: MethodType) -> Node:
    steps = (".__func__", ".__self__")
    return Node(b"method", (value.__func__, value.__self__), lambda i: steps[i])


def _builtin(value: Any) -> bytes | Node:
    owner = value.__self__
    if owner is None or isinstance(owner, ModuleType):
        return leaf(b"builtin", reference(value))
    return Node(b"builtin method", (owner,), lambda _: ".__self__", framed(value.__name__.encode()))


def _partial(value: Any) -> Node:
    steps = (".func", ".args", ".keywords")
    return Node(b"partial", (value.func, value.args, value.keywords), lambda i: steps[i])


def _generic(value: Any) -> Node:
    """Describe ``list[int]`` and ``int | None``; the order of a union does not count."""
    origin, arguments = get_origin(value), get_args(value)
    if origin in (Union, UnionType):
        return Node(b"union", arguments, item_step, ordered=False)
    return Node(b"generic", (origin, *arguments), item_step)


def _slice(value: slice) -> Node:
    steps = (".start", ".stop", ".step")
    return Node(b"slice", (value.start, value.stop, value.step), lambda i: steps[i])


def _memory(value: memoryview) -> bytes:
    return leaf(b"memoryview", framed(f"{value.format}{value.shape}".encode()), value.tobytes())


_BY_TYPE: Final[Mapping[Any, _Describe]] = MappingProxyType[Any, "_Describe"](
    {
        Node: lambda value: value,
        list: _sequence(b"list"),
        tuple: _sequence(b"tuple"),
        dict: lambda value: mapping(b"dict", value),
        MappingProxyType: lambda value: mapping(b"mappingproxy", value),
        set: _set(b"set"),
        frozenset: _set(b"frozenset"),
        slice: _slice,
        memoryview: _memory,
        type: describe_class,
        FunctionType: describe_function,
        MethodType: _method,
        BuiltinFunctionType: _builtin,
        ModuleType: lambda value: leaf(b"module", value.__name__.encode()),
        GenericAlias: _generic,
        UnionType: _generic,
    }
)


# -- types of the standard library, by name so that none of their modules is imported here -----------------------------


def _plain(tag: bytes, content: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    """Describe a value by scalars."""

    def describe_plain(value: Any) -> bytes:
        parts = content(value)
        scalars = parts if isinstance(parts, tuple) else (parts,)
        return leaf(tag, b"".join(SCALARS[type(scalar)](scalar) for scalar in scalars))

    return describe_plain


def _time(value: Any) -> tuple[Any, ...]:
    zone = value.tzinfo
    if zone is None:
        return value.isoformat(), value.fold, None
    name = getattr(zone, "key", None) or value.tzname()
    return value.isoformat(), value.fold, name


def _zone(value: Any) -> str:
    if value.key is None:
        raise Refusal("which has no key", "Make it with `ZoneInfo(key)`.")
    return str(value.key)


def _ordered_dict(value: Mapping[Any, Any]) -> Node:
    items = list(value.items())
    return Node(b"collections.OrderedDict", items, lambda i: item_step(items[i][0]))


def _deque(value: Any) -> Node:
    return Node(b"collections.deque", list(value), item_step, SCALARS[type(value.maxlen)](value.maxlen))


def _array(value: Any) -> bytes:
    if sys.byteorder == "big":
        value = value[:]
        value.byteswap()
    return leaf(b"array.array", f"{value.typecode}{value.itemsize};".encode(), value)


def _cached(value: Any) -> Node:
    return Node(b"functools.lru_cache", (value.__wrapped__,), lambda _: ".__wrapped__")


_path: Final = _plain(b"path", lambda value: value.as_posix())

_BY_NAME: Final[Mapping[str, Callable[[Any], bytes | Node]]] = MappingProxyType(
    {
        "array.array": _array,
        "collections.OrderedDict": _ordered_dict,
        "collections.deque": _deque,
        "datetime.date": _plain(b"datetime.date", lambda value: value.isoformat()),
        "datetime.datetime": _plain(b"datetime.datetime", _time),
        "datetime.time": _plain(b"datetime.time", _time),
        "datetime.timedelta": _plain(b"timedelta", lambda value: (value.days, value.seconds, value.microseconds)),
        "datetime.timezone": _plain(
            b"timezone", lambda value: (value.tzname(None), value.utcoffset(None).total_seconds())
        ),
        "decimal.Decimal": _plain(b"decimal.Decimal", str),
        "fractions.Fraction": _plain(b"Fraction", lambda value: (value.numerator, value.denominator)),
        "functools._lru_cache_wrapper": _cached,
        "functools.partial": _partial,
        "re.Pattern": _plain(b"re.Pattern", lambda value: (value.pattern, value.flags)),
        "uuid.UUID": _plain(b"uuid.UUID", lambda value: value.bytes),
        "zoneinfo.ZoneInfo": _plain(b"zoneinfo.ZoneInfo", _zone),
        "typing._GenericAlias": _generic,
        "typing._UnionGenericAlias": _generic,
        "typing.Union": _generic,
    }
    # The pure kinds have rules of their own for what is the same path; the others are those of the machine.
    | {f"{module}.{kind}": _path for module in ("pathlib", "pathlib._local") for kind in ("PosixPath", "WindowsPath")}
    | {
        f"pathlib{inner}.{kind}": _plain(kind.encode(), os.fspath)
        for inner in ("", "._local")
        for kind in ("PurePosixPath", "PureWindowsPath")
    }
)
