"""SqlLoad: all rows or none, and names that are only names."""

from __future__ import annotations

import datetime
import gc
import sqlite3
import threading
import time
import warnings

import pytest
import sqlalchemy

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError
from headrace_tasklib.sql import SqlError, SqlLoad, SqlQuery

COLUMNS = {"day": "TEXT", "rain": "REAL"}
ROWS = [{"day": "2012-01-01", "rain": 0.0}, {"day": "2012-01-02", "rain": 10.9}]


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/weather.db"


def load(url, rows=ROWS, table="weather", columns=COLUMNS, **options):
    return SqlLoad(rows, table, columns, url, **options).run()


def stored(url, table="weather"):
    return SqlQuery(f'SELECT * FROM "{table}"', url=url).run()


def tables(url):
    return [row["name"] for row in SqlQuery("SELECT name FROM sqlite_master", url=url).run()]


class TestRows:
    def test_as_dictionaries_are_loaded_and_counted(self, url):
        assert load(url) == 2
        assert stored(url) == ROWS

    def test_as_tuples_are_loaded(self, url):
        assert load(url, [("2012-01-01", 0.0), ["2012-01-02", 10.9]]) == 2
        assert stored(url) == ROWS

    def test_as_a_generator_are_loaded(self, url):
        assert load(url, (row for row in ROWS)) == 2

    def test_of_keys_in_another_order_are_loaded(self, url):
        load(url, [{"rain": 0.0, "day": "2012-01-01"}])
        assert stored(url) == ROWS[:1]

    def test_none_at_all_still_make_the_table(self, url):
        assert load(url, []) == 0
        assert tables(url) == ["weather"]

    def test_none_at_all_for_a_table_that_does_not_exist_is_an_error(self, url):
        with pytest.raises(SqlError, match="no table 'weather'"):
            load(url, [], columns=None)

    def test_none_at_all_for_a_table_that_exists_is_fine(self, url):
        load(url)
        assert load(url, [], columns=None) == 0

    def test_with_none_store_null(self, url):
        load(url, [{"day": None, "rain": None}])
        assert stored(url) == [{"day": None, "rain": None}]

    def test_of_texts_get_the_columns_type(self, url):
        load(url, [{"day": "2012-01-01", "rain": "12.8"}])
        assert stored(url)[0]["rain"] == 12.8

    def test_of_the_call_win(self, url):
        task = SqlLoad(ROWS, "weather", COLUMNS, url)
        assert task.run([("x", 1.0)], table="other") == 1
        assert tables(url) == ["other"]

    @pytest.mark.parametrize("chunk_size", [1, 2, 3, 1000])
    def test_are_all_loaded_whatever_the_chunk_size(self, url, chunk_size):
        assert load(url, [(str(i), i) for i in range(7)], chunk_size=chunk_size) == 7
        assert [row["rain"] for row in stored(url)] == [0, 1, 2, 3, 4, 5, 6]

    def test_with_dates_are_stored_as_iso_text(self, url):
        rows = [{"day": None}, {"day": datetime.date(2012, 1, 1)}]
        load(url, rows, columns={"day": datetime.date})
        assert stored(url) == [{"day": None}, {"day": "2012-01-01"}]

    def test_with_moments_are_stored_as_iso_text(self, url):
        load(url, [(datetime.datetime.fromisoformat("2012-01-01T12:30"),)], columns={"at": "TEXT"})
        assert stored(url) == [{"at": "2012-01-01 12:30:00.000000"}]

    def test_100000_are_loaded_in_seconds(self, url):
        started = time.monotonic()
        assert load(url, ((str(i), i) for i in range(100_000))) == 100_000
        assert time.monotonic() - started < 10
        assert SqlQuery("SELECT count(*) FROM weather", url=url, fetch="value").run() == 100_000


class TestUnequalRows:
    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"day": "x"}, "Row 3 has the columns day, and every row must have the 2 columns day, rain"),
            ({"day": "x", "rain": 1, "snow": 2}, "Row 3 has the columns day, rain, snow"),
            (("x",), "Row 3 has 1 values"),
            (("x", 1, 2), "Row 3 has 3 values"),
        ],
    )
    @pytest.mark.parametrize("chunk_size", [1, 1000])
    def test_are_refused_and_nothing_is_loaded(self, url, row, message, chunk_size):
        with pytest.raises(TaskDefinitionError, match=message):
            load(url, [*ROWS, row], chunk_size=chunk_size)
        assert tables(url) == []

    def test_are_compared_with_the_first_without_columns(self, url):
        load(url)
        with pytest.raises(TaskDefinitionError, match="Row 2"):
            load(url, [ROWS[0], {"day": "x"}], columns=None)
        assert stored(url) == ROWS

    @pytest.mark.parametrize("row", ["ab", 3, None, {1, 2}])
    def test_a_row_of_another_kind_is_named(self, url, row):
        with pytest.raises(DefinitionTypeError, match=r"`rows\[2\]`"):
            load(url, [*ROWS, row])
        assert tables(url) == []


class TestAllOrNothing:
    def test_a_refused_row_undoes_the_others_and_the_table(self, url):
        with pytest.raises(SqlError, match=r"Loading rows 1 to 3 into 'weather' failed: NOT NULL"):
            load(url, [*ROWS, (None, 1)], columns={"day": "TEXT NOT NULL", "rain": float})
        assert tables(url) == []

    def test_a_refused_row_in_a_later_chunk_undoes_the_earlier_ones(self, url):
        load(url, [ROWS[0]], columns={"day": "TEXT PRIMARY KEY", "rain": float})
        with pytest.raises(SqlError, match="rows 2 to 2"):
            load(url, [("new", 1), ("2012-01-01", 2)], chunk_size=1)
        assert stored(url) == ROWS[:1]

    def test_a_failed_replacement_keeps_the_old_table(self, url):
        load(url)
        with pytest.raises(SqlError):
            load(url, [(None,)], columns={"x": "TEXT NOT NULL"}, if_exists="replace")
        assert stored(url) == ROWS

    def test_rows_that_raise_on_the_way_undo_everything(self, url):
        def rows():
            yield from ROWS
            raise RuntimeError("source went away")

        with pytest.raises(RuntimeError, match="source went away"):
            load(url, rows(), chunk_size=1)
        assert tables(url) == []

    def test_a_value_the_driver_does_not_know_undoes_everything(self, url):
        with pytest.raises(SqlError, match="weather"):
            load(url, [*ROWS, ("x", object())], chunk_size=1)
        assert tables(url) == []

    def test_values_do_not_show_in_the_error(self, url):
        with pytest.raises(SqlError) as caught:
            load(url, [("hunter2", 1), (None, 1)], columns={"day": "TEXT NOT NULL", "rain": float})
        assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)


class TestIfExists:
    def test_append_adds(self, url):
        load(url)
        load(url, columns=["day", "rain"])
        assert stored(url) == ROWS * 2

    def test_replace_starts_again_with_other_columns(self, url):
        load(url)
        load(url, [(1,)], columns={"x": int}, if_exists="replace")
        assert stored(url) == [{"x": 1}]

    def test_replace_makes_a_table_that_is_not_there(self, url):
        assert load(url, if_exists="replace") == 2

    def test_replace_needs_types(self, url):
        load(url)
        with pytest.raises(SqlError, match="gives no types"):
            load(url, columns=["day", "rain"], if_exists="replace")
        assert stored(url) == ROWS

    def test_fail_raises(self, url):
        load(url)
        with pytest.raises(SqlError, match="already is a table 'weather'"):
            load(url, if_exists="fail")
        assert stored(url) == ROWS

    def test_append_to_a_missing_table_without_types_names_the_nearest(self, url):
        load(url)
        with pytest.raises(SqlError, match=r"no table 'wether'.* Did you mean 'weather'\?"):
            load(url, table="wether", columns=None)

    def test_append_of_an_unknown_column_is_an_error(self, url):
        load(url)
        with pytest.raises(SqlError, match="no column named snow"):
            load(url, [{"snow": 1}], columns=None)


class TestNames:
    @pytest.mark.parametrize(
        "name",
        ["weather; DROP TABLE keep; --", 'we"ather', "select", "a.b", "two words", "ünï", "100%", "x'y", "a:b", "[a]"],
    )
    def test_odd_ones_are_only_names(self, url, name):
        load(url, table="keep")
        load(url, [{name: 1}], table=name, columns={name: int})
        assert SqlQuery("SELECT count(*) AS n FROM keep", url=url, fetch="value").run() == 2
        assert sorted(tables(url)) == sorted(["keep", name])
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        quoted = '"' + name.replace('"', '""') + '"'
        cursor = connection.execute(f"SELECT * FROM {quoted}")
        assert (cursor.description[0][0], cursor.fetchall()) == (name, [(1,)])
        connection.close()

    @pytest.mark.parametrize(
        "type_", ["TEXT); DROP TABLE keep; --", "TEXT, x TEXT", "", "TEXT DEFAULT 'x'", "9", list, None, 3]
    )
    def test_a_type_that_is_no_type_is_refused(self, url, type_):
        with pytest.raises(TaskDefinitionError, match="'day' with the type"):
            load(url, columns={"day": type_, "rain": float})
        assert tables(url) == []

    @pytest.mark.parametrize(
        "type_", ["NUMERIC(10, 2)", "TEXT NOT NULL", "integer primary key", "TIMESTAMP(3) NOT NULL"]
    )
    def test_a_type_in_sql_is_taken(self, url, type_):
        assert load(url, [(1,)], columns={"x": type_}) == 1

    def test_a_type_of_sqlalchemy_is_taken(self, url):
        assert load(url, columns={"day": sqlalchemy.String(10), "rain": sqlalchemy.Float}) == 2

    def test_a_schema_is_respected(self, url):
        load(url, schema="main")
        assert stored(url) == ROWS


class TestBadArguments:
    @pytest.mark.parametrize("rows", [None, 3, "rows", {"day": 1}])
    def test_rows_that_are_no_rows_are_refused(self, url, rows):
        with pytest.raises(DefinitionTypeError, match="`rows`"):
            load(url, rows)

    @pytest.mark.parametrize("columns", ["day", 3])
    def test_columns_that_are_no_columns_are_refused(self, url, columns):
        with pytest.raises(DefinitionTypeError, match="`columns`"):
            load(url, columns=columns)

    @pytest.mark.parametrize("columns", [[], {}, ["a", "a"], [""], [1]])
    def test_names_that_are_no_names_are_refused(self, url, columns):
        with pytest.raises(TaskDefinitionError, match="`columns`"):
            load(url, columns=columns)

    def test_tuples_without_columns_are_refused(self, url):
        load(url)
        with pytest.raises(DefinitionTypeError, match="not dictionaries"):
            load(url, [("x", 1)], columns=None)

    @pytest.mark.parametrize("table", [None, 3])
    def test_a_table_that_is_no_text_is_refused(self, url, table):
        with pytest.raises(DefinitionTypeError, match="`table`"):
            load(url, table=table)

    def test_an_unknown_if_exists_is_refused_when_the_task_is_made(self):
        with pytest.raises(TaskDefinitionError, match="append, fail, replace"):
            SqlLoad(if_exists="overwrite")

    @pytest.mark.parametrize(("size", "error"), [(0, TaskDefinitionError), (2.5, DefinitionTypeError)])
    def test_a_bad_chunk_size_is_refused_when_the_task_is_made(self, size, error):
        with pytest.raises(error, match="chunk_size"):
            SqlLoad(chunk_size=size)


def test_loads_from_threads_take_turns(url):
    threads = [threading.Thread(target=load, args=(url, [(f"{i}", i)] * 50)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stored(url)) == 400


def test_nothing_stays_open(url):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        load(url)
        stored(url)
        with pytest.raises(SqlError):
            load(url, if_exists="fail")
        gc.collect()
    assert [w for w in caught if "sqlite" in str(w.message)] == []
