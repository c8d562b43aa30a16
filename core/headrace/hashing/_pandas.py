"""pandas frames, series and indexes: by type, labels and content."""

from __future__ import annotations

import sys
from typing import Any

from headrace.hashing._arrays import array_content
from headrace.hashing._encoding import Node, as_child, framed, reference
from headrace.value_paths import item_step

__all__ = ["describe_pandas"]


def describe_pandas(value: Any) -> bytes | Node | None:
    """Describe a frame, a series, an index or an array; return None for other objects."""
    pandas: Any = sys.modules["pandas"]
    if isinstance(value, pandas.DataFrame):
        return _frame(value)
    if isinstance(value, pandas.Series):
        labels = Node(b"labels", (value.index, value.name), lambda i: ".name" if i else ".index")
        parts = (labels, as_child(_array(pandas, value.array)))
        return Node(b"pandas.Series", parts, lambda _: "", reference(type(value)))
    if isinstance(value, pandas.MultiIndex):
        levels = [value.get_level_values(i) for i in range(value.nlevels)]
        return Node(b"pandas.MultiIndex", levels, lambda i: f".levels[{i}]")
    if isinstance(value, pandas.Index):
        parts = (value.name, as_child(_array(pandas, value.array)))
        return Node(b"pandas.Index", parts, lambda i: "" if i else ".name")
    if isinstance(value, pandas.api.extensions.ExtensionArray):
        return _array(pandas, value)
    return None


def _frame(value: Any) -> Node:
    pandas: Any = sys.modules["pandas"]
    names = list(value.columns)
    columns = [as_child(_array(pandas, value.iloc[:, i].array)) for i in range(len(names))]
    steps = (".index", ".columns", *map(item_step, names))
    return Node(b"pandas.DataFrame", (value.index, value.columns, *columns), lambda i: steps[i], reference(type(value)))


def _array(pandas: Any, array: Any) -> bytes | Node:
    numpy: Any = sys.modules["numpy"]
    dtype = array.dtype
    if isinstance(dtype, numpy.dtype) or type(array) is pandas.arrays.NumpyExtensionArray:
        return array_content(numpy.asarray(array))
    parts: list[Any]
    if isinstance(dtype, pandas.CategoricalDtype):
        parts = [numpy.asarray(array.codes), array.categories, array.ordered]
    elif hasattr(array, "asi8"):  # times with a zone, and periods
        parts = [array.asi8]
    elif isinstance(dtype, pandas.IntervalDtype):
        parts = [array.left, array.right]
    elif isinstance(dtype, pandas.SparseDtype):
        parts = [numpy.asarray(array)]
    else:
        # What stands in for a missing value is not content.
        missing = numpy.asarray(array.isna(), dtype=bool)
        present = array[~missing]
        plain = getattr(dtype, "numpy_dtype", None) if hasattr(array, "_mask") else None
        parts = [missing, present.tolist() if plain is None else present.to_numpy(dtype=plain)]
    head = b"category" if isinstance(dtype, pandas.CategoricalDtype) else str(dtype).encode()
    return Node(b"pandas.array", parts, lambda _: "", framed(head))
