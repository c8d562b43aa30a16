"""Hashes of values of data libraries; each part is skipped where its library is not installed."""

from __future__ import annotations

import pytest

from headrace.exceptions import UnhashableArgumentError
from headrace.hashing import digest


class TestNumpy:
    @pytest.fixture
    def numpy(self):
        return pytest.importorskip("numpy", reason="NumPy is not installed")

    def test_different_arrays_have_different_digests(self, numpy):
        values = [
            numpy.array([1, 2, 3]),
            numpy.array([1, 2, 4]),
            numpy.array([1, 2, 3], dtype="i4"),
            numpy.array([1, 2, 3], dtype="f8"),
            numpy.array([[1, 2, 3]]),
            numpy.array([[1], [2], [3]]),
            numpy.array(1),
            numpy.int64(1),
            numpy.int32(1),
            1,
            numpy.float64(1),
            1.0,
            numpy.bool_(True),
            True,
            numpy.array([0.0]),
            numpy.array([-0.0]),
            numpy.array([1], dtype="M8[s]"),
            numpy.array([1], dtype="M8[ns]"),
            numpy.array([1], dtype="m8[ns]"),
            numpy.array(["a"]),
            numpy.array(["a"], dtype="U2"),
            numpy.array([b"a"]),
            numpy.array(["a"], dtype=object),
            numpy.array([[1], (1,)], dtype=object),
            numpy.array([1, 2, 3], dtype=object),
            numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
            numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("c", "f8")]),
            numpy.zeros((0, 3)),
            numpy.zeros((3, 0)),
            numpy.zeros(0),
            numpy.array([""]),
            numpy.array([1.5], dtype="g"),
            numpy.array([2.5], dtype="g"),
            numpy.array([1, 2, 3]).view(numpy.recarray),
            numpy.ma.array([1, 2, 3], mask=[0, 0, 0]),
            numpy.ma.array([1, 2, 3], mask=[0, 0, 1]),
            numpy.dtype("i4"),
            numpy.dtype("i8"),
            numpy.int32,
            numpy.sin,
            numpy.cos,
            numpy,
            [1, 2, 3],
        ]
        assert len({digest(value) for value in values}) == len(values)

    @pytest.mark.parametrize("shape", [(7,), (3, 4), (2, 3, 4), (0,), (1,)])
    def test_order_in_memory_does_not_count(self, numpy, shape):
        array = numpy.arange(numpy.prod(shape, dtype=int), dtype="f8").reshape(shape)
        wider = numpy.zeros((*shape, 2))
        wider[..., 0] = array
        layouts = [
            numpy.asfortranarray(array),
            wider[..., 0],
            array.astype(">f8"),
            numpy.flip(numpy.flip(array).copy()),
            array.T.copy().T,
        ]
        assert {digest(layout) for layout in layouts} == {digest(array)}

    def test_arrays_that_are_copied_in_blocks_are_the_same(self, numpy, monkeypatch):
        from headrace.hashing import _arrays

        array = numpy.arange(3_000_000, dtype="f8").reshape(3000, 1000)
        assert array.nbytes > _arrays._BLOCK
        assert digest(numpy.asfortranarray(array)) == digest(array)

    def test_bytes_between_fields_do_not_count(self, numpy):
        dtype = numpy.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 16})
        one, other = (numpy.frombuffer(fill * 32, dtype="u1").copy().view(dtype) for fill in (b"\0", b"\1"))
        for array in (one, other):
            array["a"], array["b"] = [1, 2], [0.5, 1.5]
        assert digest(one) == digest(other)

    def test_what_lies_under_a_mask_does_not_count(self, numpy):
        one, other = (numpy.ma.array([1, hidden, 3], mask=[0, 1, 0]) for hidden in (2, 9))
        assert digest(one) == digest(other)

    def test_extended_precision_counts_by_value(self, numpy):
        one, other = numpy.frombuffer(b"\0" * 32, "g").copy(), numpy.frombuffer(b"\1" * 32, "g").copy()
        one[:] = other[:] = 1.5
        assert digest(one) == digest(other)

    def test_texts_of_any_length(self, numpy):
        pytest.importorskip("numpy.dtypes").StringDType  # noqa: B018 - since NumPy 2
        made = [numpy.array(["a", "b" * 100], dtype=numpy.dtypes.StringDType()) for _ in range(2)]
        assert digest(made[0]) == digest(made[1])

    def test_refusal_names_the_element(self, numpy):
        array = numpy.array([[1, 2], [3, object()]], dtype=object)
        with pytest.raises(UnhashableArgumentError, match=r"value\[1, 1\] is of type object"):
            digest(array)

    def test_random_generators_count_by_their_state(self, numpy):
        one, other = numpy.random.default_rng(1), numpy.random.default_rng(1)
        assert digest(one) == digest(other)
        one.random()
        assert digest(one) != digest(other)


class TestPandas:
    @pytest.fixture
    def pandas(self):
        return pytest.importorskip("pandas", reason="pandas is not installed")

    def frame(self, pandas, **replaced):
        columns = {
            "whole": [1, 2, 3],
            "real": [0.5, None, 1.5],
            "text": ["a", "b", None],
            "mixed": [1, "b", None],
            "time": pandas.to_datetime(["2026-01-01", None, "2026-01-03"]),
            "zoned": pandas.to_datetime(["2026-01-01", None, "2026-01-03"]).tz_localize("Europe/Berlin"),
            "span": pandas.to_timedelta([1, 2, None], unit="s"),
            "kind": pandas.Categorical(["x", "y", "x"]),
            "nullable": pandas.array([1, None, 3], dtype="Int64"),
            "flag": pandas.array([True, None, False], dtype="boolean"),
            "period": pandas.period_range("2026-01", periods=3, freq="M"),
            "interval": pandas.interval_range(0, 3),
            "sparse": pandas.arrays.SparseArray([0, 0, 1]),
        }
        return pandas.DataFrame(columns | replaced)

    def test_frames_made_twice_have_one_digest(self, pandas):
        assert digest(self.frame(pandas)) == digest(self.frame(pandas))

    def test_every_value_counts(self, pandas):
        replaced = {
            "whole": [1, 2, 4],
            "real": [0.5, 0.25, 1.5],
            "text": ["a", "b", "c"],
            "mixed": [1, "b", 2],
            "time": pandas.to_datetime(["2026-01-01", None, "2026-01-04"]),
            "zoned": pandas.to_datetime(["2026-01-01", None, "2026-01-03"]).tz_localize("Europe/Paris"),
            "span": pandas.to_timedelta([1, 2, 3], unit="s"),
            "kind": pandas.Categorical(["x", "y", "x"], categories=["y", "x"]),
            "nullable": pandas.array([1, 1, 3], dtype="Int64"),
            "flag": pandas.array([True, True, False], dtype="boolean"),
            "period": pandas.period_range("2026-02", periods=3, freq="M"),
            "interval": pandas.interval_range(1, 4),
            "sparse": pandas.arrays.SparseArray([0, 1, 1]),
        }
        found = {digest(self.frame(pandas, **{name: column})) for name, column in replaced.items()}
        assert len(found | {digest(self.frame(pandas))}) == len(replaced) + 1

    def test_labels_and_types_count(self, pandas):
        frame = pandas.DataFrame({"a": [1, 2], "b": [3, 4]})
        others = [
            frame.rename(columns={"a": "c"}),
            frame[["b", "a"]],
            frame.set_axis([1, 2]),
            frame.set_axis(["x", "y"]),
            frame.rename_axis("i"),
            frame.rename_axis(columns="c"),
            frame.astype("int32"),
            frame.set_index("a"),
            frame.set_index(["a", "b"]),
            frame["a"],
            frame["b"],
            frame["a"].rename("b"),
            frame["a"].to_numpy(),
            frame.iloc[:1],
            frame.index,
            frame.columns,
        ]
        assert len({digest(other) for other in [frame, *others]}) == len(others) + 1

    def test_layout_in_memory_does_not_count(self, pandas):
        frame = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]})
        wide = pandas.DataFrame({"a": [1.0, 9.0, 2.0, 9.0, 3.0], "b": [4.0, 9.0, 5.0, 9.0, 6.0]})
        single = pandas.DataFrame({"a": [1.0, 2.0, 3.0]})
        single["b"] = [4.0, 5.0, 6.0]
        assert digest(wide.iloc[::2].reset_index(drop=True)) == digest(frame) == digest(single)

    def test_unused_levels_do_not_count(self, pandas):
        index = pandas.MultiIndex.from_product([["a", "b"], [1, 2]])
        assert digest(index[:2]) == digest(index[:2].remove_unused_levels())

    def test_texts_count_by_content_however_they_are_stored(self, pandas):
        pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        stored = [pandas.Series(["a", None], dtype=f"string[{kind}]") for kind in ("python", "pyarrow")]
        assert digest(stored[0]) == digest(stored[1])

    def test_columns_of_one_name_all_count(self, pandas):
        one, other = (pandas.DataFrame([[1, last]], columns=["a", "a"]) for last in (2, 3))
        assert digest(one) != digest(other)

    def test_scalars_count(self, pandas):
        values = [
            pandas.NA,
            pandas.NaT,
            pandas.Timestamp("2026-01-01"),
            pandas.Timestamp("2026-01-01", tz="UTC"),
            pandas.Timedelta(1),
            pandas.Interval(0, 1),
            pandas.Period("2026-01"),
        ]
        assert len({digest(value) for value in values}) == len(values)

    def test_refusal_names_column_and_row(self, pandas):
        with pytest.raises(UnhashableArgumentError, match=r'value\["rows"\]\["a"\]\[1\] is of type object'):
            digest({"rows": pandas.DataFrame({"a": [1, object()]})})


class TestPolars:
    @pytest.fixture
    def polars(self):
        return pytest.importorskip("polars", reason="polars is not installed")

    def columns(self, polars):
        from datetime import UTC, date, datetime, time, timedelta
        from decimal import Decimal

        return {
            "whole": polars.Series([1, None, 3], dtype=polars.Int16),
            "real": polars.Series([0.5, None, 1.5]),
            "small": polars.Series([0.5, None, 1.5], dtype=polars.Float32),
            "text": polars.Series(["a", None, "c"]),
            "bytes": polars.Series([b"a", None, b"c"]),
            "flag": polars.Series([True, None, False]),
            "date": polars.Series([date(2026, 1, 1), None, date(2026, 1, 3)]),
            "time": polars.Series([datetime(2026, 1, 1, tzinfo=UTC), None, datetime(2026, 1, 3, tzinfo=UTC)]),
            "clock": polars.Series([time(1), None, time(3)]),
            "span": polars.Series([timedelta(1), None, timedelta(3)]),
            "kind": polars.Series(["x", None, "z"], dtype=polars.Categorical),
            "enum": polars.Series(["x", None, "z"], dtype=polars.Enum(["x", "z"])),
            "list": polars.Series([[1], None, [3]]),
            "struct": polars.Series([{"a": 1}, None, {"a": 3}]),
            "decimal": polars.Series([Decimal("1.1"), None, Decimal("3.3")]),
            "nothing": polars.Series([None, None, None]),
        }

    def test_frames_made_twice_have_one_digest(self, polars):
        assert digest(polars.DataFrame(self.columns(polars))) == digest(polars.DataFrame(self.columns(polars)))

    def test_every_value_counts(self, polars):
        frame = polars.DataFrame(self.columns(polars))
        found = {digest(frame)}
        for name in frame.columns:
            last_dropped = frame.with_columns(polars.Series(name, frame[name].gather([0, 1, 0])))
            found.add(digest(last_dropped))
        assert len(found) == len(frame.columns)  # a column of nothing but nulls stays as it is

    def test_names_types_order_and_nulls_count(self, polars):
        frame = polars.DataFrame({"a": [1, 2], "b": [3, 4]})
        others = [
            frame.rename({"a": "c"}),
            frame[["b", "a"]],
            frame.cast(polars.Int32),
            frame["a"],
            frame["b"],
            frame[:1],
            frame.with_columns(a=polars.Series([1, None])),
            frame.clear(),
            polars.DataFrame(),
        ]
        assert len({digest(other) for other in [frame, *others]}) == len(others) + 1

    def test_chunks_and_what_lies_under_a_null_do_not_count(self, polars):
        whole = polars.DataFrame({"a": [1, None, 3, 4], "b": ["w", "x", None, "z"]})
        pieces = polars.concat([whole[:1], whole[1:]], rechunk=False)
        hidden = polars.DataFrame({"a": [1, 9, 3, 4], "b": ["w", "x", "y", "z"]}).with_columns(
            a=polars.when(polars.col("a") != 9).then("a"), b=polars.when(polars.col("b") != "y").then("b")
        )
        assert digest(pieces) == digest(whole) == digest(hidden)

    def test_numbers_count_the_same_without_numpy(self, polars):
        from headrace.hashing._columns import _physical

        pytest.importorskip("numpy", reason="NumPy is not installed")
        from array import array

        assert bytes(_physical("q", polars.Series([1, 2, 3]))) == array("q", [1, 2, 3]).tobytes()

    def test_a_query_is_refused_with_advice(self, polars):
        with pytest.raises(UnhashableArgumentError, match=r"which is a query and not its result. Call `.collect\(\)`"):
            digest(polars.DataFrame({"a": [1]}).lazy())

    def test_refusal_names_the_column(self, polars):
        with pytest.raises(UnhashableArgumentError, match=r'value\["a"\]\[1\] is of type object'):
            digest(polars.DataFrame({"a": polars.Series([1, object()], dtype=polars.Object)}))


class TestArrow:
    @pytest.fixture
    def arrow(self):
        return pytest.importorskip("pyarrow", reason="pyarrow is not installed")

    def table(self, arrow):
        return arrow.table(
            {
                "whole": arrow.array([1, None, 3, 4], arrow.int16()),
                "real": arrow.array([0.5, None, 1.5, 2.5]),
                "flag": arrow.array([True, None, False, True]),
                "text": arrow.array(["a", None, "c", "d"]),
                "kind": arrow.array(["a", None, "c", "d"]).dictionary_encode(),
                "numbered": arrow.array([7, None, 8, 9]).dictionary_encode(),
                "list": arrow.array([[1], None, [3], []]),
                "struct": arrow.array([{"a": 1}, None, {"a": 3}, {"a": None}]),
                "time": arrow.array([1, None, 3, 4], arrow.timestamp("us", tz="UTC")),
                "decimal": arrow.array([1, None, 3, 4], arrow.decimal128(10)),
            }
        )

    def test_tables_made_twice_have_one_digest(self, arrow):
        assert digest(self.table(arrow)) == digest(self.table(arrow))

    def test_every_value_counts(self, arrow):
        table = self.table(arrow)
        found = {digest(table)}
        for i, name in enumerate(table.column_names):
            found.add(digest(table.set_column(i, name, table.column(i).take(arrow.array([0, 1, 0, 3])))))
        assert len(found) == table.num_columns + 1

    def test_chunks_offsets_and_what_lies_under_a_null_do_not_count(self, arrow):
        table = self.table(arrow)
        longer = arrow.concat_tables([table, table])
        pieces = arrow.concat_tables([table.slice(0, 1), table.slice(1)])
        assert digest(longer.slice(4)) == digest(longer.slice(0, 4)) == digest(pieces) == digest(table)
        hidden = arrow.Array.from_buffers(
            arrow.int64(), 2, [arrow.py_buffer(b"\x01"), arrow.py_buffer(b"\1" + b"\0" * 7 + b"\x09" * 8)]
        )
        assert digest(hidden) == digest(arrow.array([1, None]))

    def test_names_types_and_scalars_count(self, arrow):
        values = [
            arrow.table({"a": [1]}),
            arrow.table({"b": [1]}),
            arrow.table({"a": arrow.array([1], arrow.int8())}),
            arrow.table({"a": arrow.array([1]).dictionary_encode()}),
            arrow.table({"a": [None]}),
            arrow.table({}),
            arrow.table({"a": arrow.array([], arrow.int64())}),
            arrow.scalar(1),
            arrow.scalar(1, arrow.int8()),
            arrow.int8(),
            arrow.schema([("a", arrow.int8())]),
        ]
        assert len({digest(value) for value in values}) == len(values)
