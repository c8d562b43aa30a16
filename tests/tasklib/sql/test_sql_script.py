"""SqlScript: where a script is cut, and that it happens as a whole."""

from __future__ import annotations

import pytest

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError
from headrace_tasklib.sql import SqlError, SqlQuery, SqlScript
from headrace_tasklib.sql.statements import split_script


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/script.db"


def statements(script, *, is_sqlite=True):
    return [statement.sql for statement in split_script(script, is_sqlite=is_sqlite)]


def tables(url):
    return [row["name"] for row in SqlQuery("SELECT name FROM sqlite_master ORDER BY name", url=url).run()]


class TestSplitting:
    @pytest.mark.parametrize("is_sqlite", [True, False])
    @pytest.mark.parametrize(
        ("script", "expected"),
        [
            ("a; b", ["a", "b"]),
            ("a;b;", ["a", "b"]),
            (";; a ;;", ["a"]),
            ("", []),
            ("-- only a comment", []),
            ("/* only; a comment */ ;", []),
            ("-- first; a\na; b", ["a", "b"]),
            ("a -- behind; it\n; b", ["a -- behind; it", "b"]),
            ("a 'x;y' b; c", ["a 'x;y' b", "c"]),
            ("a 'it''s;' b; c", ["a 'it''s;' b", "c"]),
            ('a "x;y" b; c', ['a "x;y" b', "c"]),
            ("a `x;y` b; c", ["a `x;y` b", "c"]),
            ("a /* x;y */ b; c", ["a /* x;y */ b", "c"]),
        ],
    )
    def test_is_at_semicolons_outside_of_quotes_and_comments(self, script, expected, is_sqlite):
        assert statements(script, is_sqlite=is_sqlite) == expected

    def test_keeps_a_sqlite_trigger_whole(self):
        trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET x = 1; DELETE FROM b; END"
        assert statements(f"{trigger}; SELECT 1") == [trigger, "SELECT 1"]

    def test_keeps_a_dollar_quoted_body_whole(self):
        function = "CREATE FUNCTION f() RETURNS int AS $body$ BEGIN; RETURN 1; END $body$ LANGUAGE plpgsql"
        assert statements(f"{function}; SELECT 1", is_sqlite=False) == [function, "SELECT 1"]

    def test_counts_lines_of_the_script(self):
        assert [s.line for s in split_script("a;\n\n-- about b\nb;\nc", is_sqlite=True)] == [1, 4, 5]

    def test_of_a_long_script_takes_linear_time(self):
        assert len(statements("INSERT INTO t VALUES ('a;b');\n" * 20_000)) == 20_000


def test_runs_all_statements_and_returns_their_number(url):
    script = """
    -- the stations
    CREATE TABLE station (name TEXT);
    INSERT INTO station VALUES ('Sea;ttle'), ('50% :x ?');
    """
    assert SqlScript(script, url).run() == 2
    assert SqlQuery("SELECT name FROM station", url=url).run() == [{"name": "Sea;ttle"}, {"name": "50% :x ?"}]


def test_a_failing_statement_undoes_the_ones_before(url):
    with pytest.raises(SqlError):
        SqlScript("CREATE TABLE a (x); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);", url).run()
    assert tables(url) == []


def test_a_failing_statement_is_named_by_number_and_line(url):
    with pytest.raises(SqlError, match=r"Statement 2 \(line 3 of the script\) failed: no such table: b") as caught:
        SqlScript("CREATE TABLE a (x);\n\nINSERT INTO b VALUES (1);", url).run()
    assert caught.value.statement == "INSERT INTO b VALUES (1)"


@pytest.mark.parametrize("control", ["BEGIN", "commit", "END TRANSACTION", "ROLLBACK", "Start  Transaction"])
def test_transaction_control_is_refused_before_anything_runs(url, control):
    with pytest.raises(SqlError, match=r"Statement 2 .* controls transactions"):
        SqlScript(f"CREATE TABLE a (x); {control}; CREATE TABLE b (x)", url).run()
    assert tables(url) == []


def test_savepoints_are_fine(url):
    SqlScript("CREATE TABLE a (x); SAVEPOINT s; CREATE TABLE b (x); ROLLBACK TO s; RELEASE s", url).run()
    assert tables(url) == ["a"]


def test_a_statement_that_cannot_run_in_a_transaction_is_an_error(url):
    with pytest.raises(SqlError, match="VACUUM"):
        SqlScript("VACUUM", url).run()


def test_an_unclosed_quote_is_an_error(url):
    with pytest.raises(SqlError, match="Statement 2"):
        SqlScript("CREATE TABLE a (x); INSERT INTO a VALUES ('x);", url).run()
    assert tables(url) == []


def test_arguments_of_the_call_win(url):
    assert SqlScript("not sql", "sqlite://").run("CREATE TABLE a (x)", url) == 1


def test_a_blank_script_is_refused():
    with pytest.raises(TaskDefinitionError, match="`script`"):
        SqlScript(" \n").run()


def test_a_script_that_is_no_text_is_refused():
    with pytest.raises(DefinitionTypeError, match="`script`"):
        SqlScript().run(["SELECT 1"])
