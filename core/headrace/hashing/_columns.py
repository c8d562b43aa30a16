"""polars frames and series, Arrow tables and arrays: by type and content, however they are cut into chunks."""

from __future__ import annotations

import sys
from array import array
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from headrace.hashing._encoding import Node, Raw, Refusal, framed, leaf, leaf_of
from headrace.value_paths import item_step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["describe_arrow", "describe_polars"]

_NO_NULLS: Final = Raw(b"0")


def _column(kind: bytes, nulls: Raw, values: Any) -> Node:
    """Describe a column by where it has nulls and by its other values; what lies under a null is not content."""
    return Node(b"column", (nulls, values), lambda _: "", framed(kind))


def _table(tag: bytes, names: list[str], height: int, columns: list[Node]) -> Node:
    head = b"".join(framed(name.encode("utf-8", "surrogatepass")) for name in names) + b"%d;" % height
    return Node(tag, columns, lambda i: item_step(names[i]), head)


# -- polars ------------------------------------------------------------------------------------------------------------

# Type of a column to the type code of `array.array` that has its physical values.
_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Int8": "b",
        "Int16": "h",
        "Int32": "i",
        "Int64": "q",
        "UInt8": "B",
        "UInt16": "H",
        "UInt32": "I",
        "UInt64": "Q",
        "Float32": "f",
        "Float64": "d",
        "Date": "i",
        "Datetime": "q",
        "Duration": "q",
        "Time": "q",
    }
)


def describe_polars(value: Any) -> bytes | Node | None:
    """Describe a frame, a series or a data type; return None for other objects."""
    polars: Any = sys.modules["polars"]
    if isinstance(value, polars.DataFrame):
        columns = [_series(polars, column) for column in value.get_columns()]
        return _table(b"polars.DataFrame", value.columns, value.height, columns)
    if isinstance(value, polars.Series):
        return _table(b"polars.Series", [value.name], len(value), [_series(polars, value)])
    if isinstance(value, polars.LazyFrame):
        raise Refusal("which is a query and not its result", "Call `.collect()` first.")
    if isinstance(value, polars.DataType):
        return leaf(b"polars.DataType", str(value).encode())
    return None


def _series(polars: Any, series: Any) -> Node:
    nulls = _NO_NULLS
    if series.null_count():
        positions = ",".join(map(str, series.is_null().arg_true().to_list()))
        nulls = Raw(leaf(b"nulls", positions.encode()))
        series = series.drop_nulls()
    kind = series.dtype.base_type().__name__
    code = _CODES.get(kind)
    if code is not None:
        values: Any = Raw(leaf(b"numbers", _physical(code, series.to_physical())))
    elif kind in {"Categorical", "Enum"}:
        values = series.cast(polars.String).to_list()
    else:
        values = series.to_list()
    return _column(str(series.dtype).encode(), nulls, values)


def _physical(code: str, series: Any) -> Any:
    """Return the numbers, little-endian; the same bytes whether NumPy is there to give them quickly or not."""
    if "numpy" in sys.modules and sys.byteorder == "little":
        return sys.modules["numpy"].ascontiguousarray(series.to_numpy()).view("u1")
    numbers = array(code, series.to_list())
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


# -- Arrow -------------------------------------------------------------------------------------------------------------


def describe_arrow(value: Any) -> bytes | Node | None:
    """Describe a table, a batch, an array, a scalar or a type; return None for other objects."""
    pyarrow: Any = sys.modules["pyarrow"]
    if isinstance(value, pyarrow.Table | pyarrow.RecordBatch):
        columns = [_arrow_column(pyarrow, column) for column in value.columns]
        return _table(b"pyarrow.Table", value.schema.names, value.num_rows, columns)
    if isinstance(value, pyarrow.ChunkedArray | pyarrow.Array):
        return _arrow_column(pyarrow, value)
    if isinstance(value, pyarrow.Scalar):
        return Node(b"pyarrow.Scalar", (value.as_py(),), lambda _: ".as_py()", framed(str(value.type).encode()))
    if isinstance(value, pyarrow.DataType | pyarrow.Field | pyarrow.Schema):
        return leaf(b"pyarrow.type", str(value).encode())
    return None


def _arrow_column(pyarrow: Any, column: Any) -> Node:
    kind = column.type
    chunks = column.chunks if isinstance(column, pyarrow.ChunkedArray) else [column]
    nulls = _NO_NULLS
    if column.null_count:
        nulls = Raw(leaf_of(b"nulls", (bytes(chunk.is_null().to_pylist()) for chunk in chunks)))
        chunks = [chunk.drop_null() for chunk in chunks]
    if pyarrow.types.is_dictionary(kind):
        chunks = [chunk.dictionary_decode() for chunk in chunks]
    if _is_fixed_width(pyarrow, chunks[0].type if chunks else kind):
        values: Any = Raw(leaf_of(b"numbers", map(_buffer, chunks)))
    else:
        values = list(chain.from_iterable(_objects(chunk) for chunk in chunks))
    return _column(str(kind).encode(), nulls, values)


def _is_fixed_width(pyarrow: Any, kind: Any) -> bool:
    types = pyarrow.types
    known = (types.is_integer, types.is_floating, types.is_temporal, types.is_decimal)
    return any(is_of(kind) for is_of in known)


def _buffer(chunk: Any) -> memoryview:
    width = chunk.type.bit_width // 8
    return memoryview(chunk.buffers()[1])[chunk.offset * width : (chunk.offset + len(chunk)) * width]


def _objects(chunk: Any) -> Iterator[Any]:
    yield from chunk.to_pylist()
