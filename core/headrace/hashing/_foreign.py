"""Values of libraries that hold data in bulk. Nothing here imports them: who has such a value has loaded them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.hashing._encoding import Node

__all__ = ["FOREIGN"]


def _numpy(value: Any) -> bytes | Node | None:
    from headrace.hashing._arrays import describe_numpy  # noqa: PLC0415 - only for those who use the library

    return describe_numpy(value)


def _pandas(value: Any) -> bytes | Node | None:
    from headrace.hashing._pandas import describe_pandas  # noqa: PLC0415 - only for those who use the library

    return describe_pandas(value)


def _polars(value: Any) -> bytes | Node | None:
    from headrace.hashing._columns import describe_polars  # noqa: PLC0415 - only for those who use the library

    return describe_polars(value)


def _pyarrow(value: Any) -> bytes | Node | None:
    from headrace.hashing._columns import describe_arrow  # noqa: PLC0415 - only for those who use the library

    return describe_arrow(value)


FOREIGN: Final[Mapping[str, Callable[[Any], bytes | Node | None]]] = MappingProxyType(
    {"numpy": _numpy, "pandas": _pandas, "polars": _polars, "pyarrow": _pyarrow}
)
"""By the top-level package of a class: what describes its instances, or returns None for ordinary objects."""
