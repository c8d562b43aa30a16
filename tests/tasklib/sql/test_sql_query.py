"""SqlQuery and SqlExecute: rows, parameters, commits and errors."""

from __future__ import annotations

import sqlite3
import sys
import threading

import pytest

from headrace.exceptions import DefinitionTypeError, MissingDependencyError, TaskDefinitionError
from headrace_tasklib.sql import SqlError, SqlExecute, SqlQuery


@pytest.fixture
def file(tmp_path):
    """A SQLite file that holds two stations."""
    path = tmp_path / "stations.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE station (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        connection.executemany("INSERT INTO station VALUES (?, ?)", [(1, "Seattle"), (2, "Spokane")])
    connection.close()
    return path


@pytest.fixture
def url(file):
    return f"sqlite:///{file}"


def names(file):
    """Read the stations with a connection of our own."""
    connection = sqlite3.connect(file)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM station ORDER BY id")]
    finally:
        connection.close()


def failure_of(task, *args, **kwargs) -> SqlError:
    with pytest.raises(SqlError) as caught:
        task.run(*args, **kwargs)
    return caught.value


class TestFetch:
    QUERY = "SELECT * FROM station ORDER BY id"

    def test_all_returns_dictionaries(self, url):
        assert SqlQuery(self.QUERY, url=url).run() == [{"id": 1, "name": "Seattle"}, {"id": 2, "name": "Spokane"}]

    def test_all_returns_plain_dictionaries(self, url):
        assert type(SqlQuery(self.QUERY, url=url).run()[0]) is dict

    def test_all_of_nothing_is_an_empty_list(self, url):
        assert SqlQuery("SELECT * FROM station WHERE id > 9", url=url).run() == []

    def test_one_returns_the_first_row(self, url):
        assert SqlQuery(self.QUERY, url=url, fetch="one").run() == {"id": 1, "name": "Seattle"}

    def test_one_of_nothing_is_none(self, url):
        assert SqlQuery("SELECT * FROM station WHERE id > 9", url=url, fetch="one").run() is None

    def test_value_returns_the_first_value(self, url):
        assert SqlQuery("SELECT count(*) FROM station", url=url, fetch="value").run() == 2

    def test_value_of_nothing_is_none(self, url):
        assert SqlQuery("SELECT id FROM station WHERE id > 9", url=url, fetch="value").run() is None

    def test_none_returns_none(self, url):
        assert SqlQuery(self.QUERY, url=url, fetch="none").run() is None

    def test_two_columns_of_one_name_are_refused(self, url):
        error = failure_of(SqlQuery("SELECT a.id, b.id FROM station a, station b", url=url))
        assert "several columns are named id" in str(error)

    def test_a_statement_without_rows_is_refused_and_rolled_back(self, url, file):
        assert "SqlExecute" in str(failure_of(SqlQuery("DELETE FROM station", url=url)))
        assert names(file) == ["Seattle", "Spokane"]

    def test_an_unknown_fetch_is_refused_when_the_task_is_made(self):
        with pytest.raises(TaskDefinitionError, match="Did you mean 'value'"):
            SqlQuery(fetch="values")


class TestParameters:
    def test_by_name(self, url):
        task = SqlQuery("SELECT name FROM station WHERE id = :id", {"id": 2}, url, fetch="value")
        assert task.run() == "Spokane"
        assert task.run(parameters={"id": 1}) == "Seattle"

    @pytest.mark.parametrize("parameters", [(2,), [2]])
    def test_by_position(self, url, parameters):
        assert SqlQuery("SELECT name FROM station WHERE id = ?", parameters, url, fetch="value").run() == "Spokane"

    def test_never_become_part_of_the_sql(self, url):
        name = "x'; DROP TABLE station; --"
        assert SqlQuery("SELECT :name", {"name": name}, url, fetch="value").run() == name

    def test_that_are_missing_are_named(self, url):
        error = failure_of(SqlQuery("SELECT :low + :high", {"low": 1}, url))
        assert "'high'" in str(error)
        assert "Pass a value for each parameter" in str(error)

    def test_that_were_forgotten_altogether_are_an_error(self, url):
        assert "Pass a value for each parameter" in str(failure_of(SqlQuery("SELECT :low", url=url)))

    def test_are_not_looked_for_in_a_statement_without_any(self, url):
        assert SqlQuery("SELECT ' :x %s'", url=url, fetch="value").run() == " :x %s"

    def test_do_not_show_in_an_error(self, url):
        error = failure_of(SqlExecute("INSERT INTO station VALUES (1, :secret)", {"secret": "hunter2"}, url))
        assert "hunter2" not in str(error)
        assert "hunter2" not in str(error.__cause__)

    def test_of_a_type_the_driver_does_not_know_are_an_error(self, url):
        assert "SELECT :x" in str(failure_of(SqlQuery("SELECT :x", {"x": object()}, url)))

    def test_out_of_the_drivers_range_are_an_error(self, url):
        assert "too large" in str(failure_of(SqlQuery("SELECT :x", {"x": 2**70}, url)))

    @pytest.mark.parametrize("parameters", ["2", 2, {1, 2}])
    def test_that_are_neither_a_dictionary_nor_a_list_are_refused(self, url, parameters):
        with pytest.raises(DefinitionTypeError, match="`parameters`"):
            SqlQuery("SELECT 1", parameters, url).run()


class TestExecute:
    def test_commits_and_returns_the_number_of_rows(self, url, file):
        assert SqlExecute("UPDATE station SET name = upper(name)", url=url).run() == 2
        assert names(file) == ["SEATTLE", "SPOKANE"]

    def test_runs_once_for_each_dictionary(self, url, file):
        rows = [{"id": 3, "name": "Yakima"}, {"id": 4, "name": "Tacoma"}]
        assert SqlExecute("INSERT INTO station VALUES (:id, :name)", rows, url).run() == 2
        assert names(file)[2:] == ["Yakima", "Tacoma"]

    def test_does_nothing_by_halves(self, url, file):
        rows = [{"id": 3, "name": "Yakima"}, {"id": 1, "name": "taken"}]
        failure_of(SqlExecute("INSERT INTO station VALUES (:id, :name)", rows, url))
        assert names(file) == ["Seattle", "Spokane"]

    def test_creates_a_sqlite_file(self, tmp_path):
        SqlExecute("CREATE TABLE t (x)", url=f"sqlite:///{tmp_path}/new.db").run()
        assert SqlQuery("SELECT * FROM t", url=f"sqlite:///{tmp_path}/new.db").run() == []

    def test_a_query_that_writes_commits_too(self, url, file):
        insert = "INSERT INTO station (name) VALUES ('Yakima') RETURNING id"
        assert SqlQuery(insert, url=url, fetch="value").run() == 3
        assert names(file)[2:] == ["Yakima"]

    def test_uses_a_file_in_the_working_directory_by_default(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        SqlExecute("CREATE TABLE t (x)").run()
        assert (tmp_path / "headrace.db").exists()

    def test_writers_take_turns(self, url, file):
        def write(i):
            SqlExecute("INSERT INTO station VALUES (:i, :name)", {"i": i, "name": f"n{i}"}, url).run()

        threads = [threading.Thread(target=write, args=(i,)) for i in range(10, 30)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(names(file)) == 22


class TestErrors:
    def test_a_bad_statement_is_shown_with_a_caret_at_the_place(self, url):
        lines = str(failure_of(SqlQuery("SELECT name,\n  FROM station", url=url))).splitlines()
        assert 'near "FROM": syntax error' in lines[0]
        assert lines[1:3] == ["    FROM station", "    ^"]
        assert "spelling" in lines[3]

    def test_an_unknown_table_is_named_with_the_nearest(self, url):
        error = failure_of(SqlQuery("SELECT * FROM stations", url=url))
        assert "no such table: stations" in str(error)
        assert "Did you mean 'station'?" in str(error)
        assert error.statement == "SELECT * FROM stations"

    def test_an_unknown_table_of_an_empty_database_says_so(self):
        assert "no tables" in str(failure_of(SqlQuery("SELECT * FROM t", url="sqlite://")))

    def test_an_unknown_column_is_named(self, url):
        assert "no such column: nme" in str(failure_of(SqlQuery("SELECT nme FROM station", url=url)))

    def test_a_violated_constraint_says_that_nothing_was_changed(self, url):
        error = failure_of(SqlExecute("INSERT INTO station VALUES (1, 'x')", url=url))
        assert "UNIQUE constraint failed: station.id" in str(error)
        assert "rolled back" in str(error)

    def test_several_statements_point_to_the_script_task(self, url):
        assert "SqlScript" in str(failure_of(SqlQuery("SELECT 1; SELECT 2", url=url)))

    def test_a_long_statement_is_shortened(self, url):
        message = str(failure_of(SqlQuery("SELECT nme, " + "1, " * 5000 + "2 FROM station", url=url)))
        assert len(message) < 1000

    def test_a_locked_database_says_so(self, url, file):
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            error = failure_of(SqlExecute("DELETE FROM station", url=f"{url}?timeout=0.1"))
        finally:
            holder.close()
        assert "locked" in str(error)
        assert "try again" in str(error)

    def test_a_missing_sqlite_file_is_named_and_not_created(self, tmp_path):
        error = failure_of(SqlQuery("SELECT 1", url=f"sqlite:///{tmp_path}/absent.db"))
        assert f"There is no file '{tmp_path}/absent.db'" in str(error)
        assert list(tmp_path.iterdir()) == []

    def test_a_missing_folder_is_named(self, tmp_path):
        error = failure_of(SqlExecute("CREATE TABLE t (x)", url=f"sqlite:///{tmp_path}/absent/a.db"))
        assert f"'{tmp_path}/absent/a.db' is in a folder that exists" in str(error)

    def test_a_file_that_is_no_database_is_named(self, tmp_path):
        (tmp_path / "a.db").write_text("this is a text" * 100)
        assert "not a database" in str(failure_of(SqlExecute("CREATE TABLE t (x)", url=f"sqlite:///{tmp_path}/a.db")))

    def test_an_unreadable_url_shows_no_password(self):
        error = failure_of(SqlQuery("SELECT 1", url="://me:hunter2@host/db"))
        assert "cannot be read" in str(error)
        assert "hunter2" not in str(error)
        assert error.__cause__ is None

    def test_an_unknown_kind_of_database_is_named(self):
        error = failure_of(SqlQuery("SELECT 1", url="sqlight://me:hunter2@host/db"))
        assert "'sqlight'" in str(error)
        assert "hunter2" not in str(error)

    def test_a_missing_driver_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "psycopg2", None)
        error = failure_of(SqlQuery("SELECT 1", url="postgresql+psycopg2://me:hunter2@host/db"))
        assert "pip install psycopg2" in str(error)
        assert "me:***@host/db" in str(error)
        assert "hunter2" not in str(error)

    @pytest.mark.parametrize("option", [{"query": None}, {"query": 3}, {"url": None}])
    def test_an_argument_that_is_no_text_is_named(self, url, option):
        with pytest.raises(DefinitionTypeError, match=next(iter(option))):
            SqlQuery(**{"query": "SELECT 1", "url": url, **option}).run()

    def test_a_blank_statement_is_refused(self, url):
        with pytest.raises(TaskDefinitionError, match="`statement`"):
            SqlExecute("  ", url=url).run()

    def test_a_missing_library_names_the_extra(self, monkeypatch, url):
        monkeypatch.delitem(sys.modules, "headrace_tasklib.sql.database", raising=False)
        monkeypatch.setitem(sys.modules, "sqlalchemy", None)
        with pytest.raises(MissingDependencyError, match=r"SqlQuery needs .*'sqlalchemy'.*headrace\[sql\]"):
            SqlQuery("SELECT 1", url=url).run()
