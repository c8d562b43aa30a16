from __future__ import annotations

import datetime
from importlib import import_module
from typing import ClassVar

import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pandas = pytest.importorskip("pandas", reason="pandas is not installed")
polars = pytest.importorskip("polars", reason="polars is not installed")

from headrace.testing.serializers import SerializerConformance  # noqa: E402
from headrace_plugins.arrow import ArrowSerializer, ParquetSerializer, headrace_serializers  # noqa: E402

Frame = type("Frame", (pandas.DataFrame,), {})


class Tables(SerializerConformance):
    values: ClassVar = (
        pandas.DataFrame({"a": [1, 2], "b": ["x", None], "c": pandas.to_datetime(["2026-01-01", None])}),
        pandas.DataFrame({"a": [1.5]}, index=pandas.Index(["x"], name="i")),
        pandas.DataFrame({"a": [1, 2]}, index=pandas.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["p", "q"])),
        pandas.DataFrame({"kind": pandas.Categorical(["x", "y", "x"]), "n": pandas.array([1, None, 3], dtype="Int64")}),
        pandas.DataFrame({0: [1], 1: [2]}),
        pandas.DataFrame(),
        polars.DataFrame({"a": [1, None], "b": ["x", "y"], "c": [[1], []], "d": [{"e": 1}, {"e": 2}]}),
        polars.DataFrame({"t": [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)]}).with_columns(
            k=polars.lit("x").cast(polars.Categorical), e=polars.lit("x").cast(polars.Enum(["x", "y"]))
        ),
        polars.DataFrame(),
        pyarrow.table({"a": [1, 2], "b": [["x"], None]}),
        pyarrow.table({"a": [1]}).replace_schema_metadata({"mine": "kept"}),
    )
    refused: ClassVar = {
        "got list.": [1],
        "got pandas.Series; `value.to_frame()` makes one": pandas.Series([1]).rename("a"),
        "`value.to_frame()`": polars.Series([1]),
        "Frame": Frame({"a": [1]}),
        "column a": pandas.DataFrame({"a": [1, object()]}),
    }
    damaged = (b"nonsense",)

    def same(self, value, found) -> bool:
        if type(value) is not type(found):
            return False
        if isinstance(value, pandas.DataFrame):
            pandas.testing.assert_frame_equal(found, value)
            return True
        if isinstance(value, polars.DataFrame):
            return found.equals(value) and found.schema == value.schema
        return found.equals(value, check_metadata=True)


class TestArrow(Tables):
    serializer = ArrowSerializer()


class TestParquet(Tables):
    serializer = ParquetSerializer()


def test_other_programs_can_read_the_files(tmp_path) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(ParquetSerializer().serialize(pandas.DataFrame({"a": [1, 2]})))
    assert polars.read_parquet(path)["a"].to_list() == [1, 2]


def test_a_file_of_another_program_is_read_as_a_table() -> None:
    sink = pyarrow.BufferOutputStream()
    import_module("pyarrow.parquet").write_table(pyarrow.table({"a": [1]}), sink)
    found = ParquetSerializer().deserialize(sink.getvalue().to_pybytes())
    assert pyarrow.table({"a": [1]}).equals(found)


def test_the_plugin_offers_both() -> None:
    assert [spec.name for spec in headrace_serializers()] == ["arrow", "parquet"]
