"""The serializers ``arrow`` and ``parquet``: pandas and polars frames and Arrow tables, as files others can read."""

from __future__ import annotations

import sys
from abc import abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final

from headrace.abc import Serializer
from headrace.plugins import SerializerSpec, hookimpl
from headrace.value_paths import type_name
from headrace_plugins._libraries import library

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ArrowSerializer", "ParquetSerializer"]

_MARK: Final = b"headrace"


class _TableSerializer(Serializer):
    """Writes a frame as an Arrow table that remembers which library it came from."""

    name: ClassVar[str]

    def serialize(self, value: object) -> bytes:
        """Return ``value`` as a file.

        Raises TypeError for anything but a frame, and for one with a column that Arrow has no type for.
        """
        arrow = _library(self.name, "pyarrow")
        kind = _kind(value)
        if kind is None:
            raise TypeError(
                f"The serializer {self.name!r} takes a pandas or polars DataFrame or a pyarrow Table, "
                f"and got {type_name(type(value))}{_advice(value)}."
            )
        try:
            table = _MAKERS[kind](arrow, value)
            sink = arrow.BufferOutputStream()
            self._write(table.replace_schema_metadata({**(table.schema.metadata or {}), _MARK: kind.encode()}), sink)
        except (arrow.ArrowException, TypeError, ValueError) as error:
            raise TypeError(f"This {kind} table cannot be written: {'; '.join(map(str, error.args))}") from error
        return bytes(sink.getvalue())

    def deserialize(self, data: bytes) -> object:
        """Return a frame of the library that wrote it; raise ValueError if ``data`` is damaged."""
        arrow = _library(self.name, "pyarrow")
        try:
            table = self._read(arrow.BufferReader(data))
        except (arrow.ArrowException, OSError) as error:
            raise ValueError(f"This is not {self.name} data, or it is damaged: {error}") from error
        metadata = dict(table.schema.metadata or {})
        kind = metadata.pop(_MARK, b"pyarrow").decode()
        table = table.replace_schema_metadata(metadata or None)
        if kind == "pandas":
            _library(self.name, "pandas")
            return table.to_pandas()
        return _library(self.name, "polars").from_arrow(table) if kind == "polars" else table

    @abstractmethod
    def _write(self, table: Any, sink: Any) -> None: ...

    @abstractmethod
    def _read(self, source: Any) -> Any: ...


@dataclass(frozen=True)
class ArrowSerializer(_TableSerializer):
    """Writes Arrow files, also known as Feather: fastest, and keeps every Arrow type."""

    name = "arrow"

    def _write(self, table: Any, sink: Any) -> None:
        ipc = import_module("pyarrow.ipc")
        with ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)

    def _read(self, source: Any) -> Any:
        return import_module("pyarrow.ipc").open_file(source).read_all()


@dataclass(frozen=True)
class ParquetSerializer(_TableSerializer):
    """Writes Parquet files: smaller, and read by everything that reads tables."""

    name = "parquet"

    def _write(self, table: Any, sink: Any) -> None:
        # The names that Parquet recommends for the elements of lists are not those of the table.
        import_module("pyarrow.parquet").write_table(table, sink, use_compliant_nested_type=False)

    def _read(self, source: Any) -> Any:
        return import_module("pyarrow.parquet").read_table(source)


_MAKERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "pandas": lambda arrow, value: arrow.Table.from_pandas(value),
    "polars": lambda _, value: value.to_arrow(),
    "pyarrow": lambda _, value: value,
}
_CLASSES: Final = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "Table"}


def _kind(value: object) -> str | None:
    """Return the library that ``value`` is a table of; a subclass would not come back as what it was."""
    for library_name, class_name in _CLASSES.items():
        module = sys.modules.get(library_name)
        if module is not None and type(value) is getattr(module, class_name, None):
            return library_name
    return None


def _advice(value: object) -> str:
    return "; `value.to_frame()` makes one" if hasattr(value, "to_frame") else ""


def _library(serializer: str, module: str) -> Any:
    with library(f"The serializer {serializer!r}", module, "arrow" if module == "pyarrow" else module):
        return import_module(module)


@hookimpl
def headrace_serializers() -> list[SerializerSpec]:
    """Offer both serializers."""
    return [
        SerializerSpec(
            name="arrow",
            factory="headrace_plugins.arrow:ArrowSerializer",
            summary="pandas and polars frames and Arrow tables as Arrow files.",
        ),
        SerializerSpec(
            name="parquet",
            factory="headrace_plugins.arrow:ParquetSerializer",
            summary="pandas and polars frames and Arrow tables as Parquet files.",
        ),
    ]
