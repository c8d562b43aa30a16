"""How a history is made, and what is said of servers that cannot be used."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headrace.exceptions import HistoryDamagedError, HistoryError, HistoryVersionError
from headrace.testing.history._base import a_run, a_task, succeed
from headrace_postgres.addresses import address_of
from headrace_postgres.schema import FORMS, TABLES
from headrace_postgres.server import NoHistoryError, Server
from headrace_postgres.store import PostgresRunStore

Url = Callable[..., str]


@pytest.fixture
def url(url_of: Url, tmp_path: Path) -> str:
    return url_of(tmp_path)


@pytest.fixture
def everything(server: Any) -> Iterator[psycopg.Connection]:
    """A connection of the one who may do everything."""
    with server.connect() as connection:
        yield connection


def schema_of(url: str) -> str:
    return address_of(url).schema


def tables(connection: psycopg.Connection, url: str) -> set[str]:
    found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema_of(url),))
    return {name for (name,) in found}


def refused(url: str) -> HistoryError:
    """Return what is said to a run that begins; it never tells the password."""
    with PostgresRunStore(url) as store, pytest.raises(HistoryError) as caught:
        store.begin(a_run(), [])
    told = f"{caught.value} {caught.value.__cause__}"
    assert "s3cr3t" not in told
    return caught.value


# A server that cannot be used


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        began = time.monotonic()
        error = refused(f"postgresql://me:s3cr3t@127.0.0.1:{port}/team?journals={tmp_path}")
    assert time.monotonic() - began < 5
    assert f"127.0.0.1:{port}/team" in error.message
    assert "tried for 0." in error.message
    assert "refused" in error.message
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """Nobody waits for longer than the URL says."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        began = time.monotonic()
        error = refused(f"postgresql://me:s3cr3t@127.0.0.1:{port}/team?connect_timeout=2&journals={tmp_path}")
    assert 1 < time.monotonic() - began < 8
    assert "tried for 2" in error.message


def test_a_wrong_password(server: Any, tmp_path: Path) -> None:
    error = refused(server.url(password="s3cr3t-guess", journals=str(tmp_path)))
    assert "password authentication failed" in error.message
    assert "PGPASSWORD" in (error.hint or "")


def test_no_password(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    error = refused(server.url(password="", journals=str(tmp_path)))
    assert "wants a password" in error.message
    assert ".pgpass" in (error.hint or "")


def test_a_password_in_the_environment(server: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "s3cr3t/pass word")
    with PostgresRunStore(url.replace(":s3cr3t%2Fpass%20word", "")) as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)


def test_a_database_that_does_not_exist(server: Any, tmp_path: Path) -> None:
    error = refused(server.url(database="nowhere", journals=str(tmp_path)))
    assert '"nowhere" does not exist' in error.message
    assert "createdb" in (error.hint or "")


def test_a_user_who_may_not_make_a_schema(everything: psycopg.Connection, server: Any, tmp_path: Path) -> None:
    everything.execute("DROP ROLE IF EXISTS guest")
    everything.execute("CREATE ROLE guest LOGIN PASSWORD 's3cr3t'")
    error = refused(server.url(user="guest", password="s3cr3t", schema="guests", journals=str(tmp_path)))
    assert "permission denied" in error.message
    assert "CREATE on the database" in (error.hint or "")


def test_a_user_who_may_not_look(everything: psycopg.Connection, url: str, server: Any, tmp_path: Path) -> None:
    everything.execute("DROP ROLE IF EXISTS visitor")
    everything.execute("CREATE ROLE visitor LOGIN PASSWORD 's3cr3t'")
    with PostgresRunStore(url) as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)
    schema = schema_of(url)
    hers = server.url(user="visitor", password="s3cr3t", schema=schema, journals=str(tmp_path))
    with PostgresRunStore(hers) as store, pytest.raises(HistoryError, match="permission denied") as caught:
        list(store.runs())
    assert f"USAGE on the schema {schema}" in (caught.value.hint or "")
    everything.execute(f"GRANT USAGE ON SCHEMA {schema} TO visitor".encode())
    everything.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO visitor".encode())
    with PostgresRunStore(hers) as store:
        assert len(list(store.runs())) == 1
        with pytest.raises(HistoryError, match="permission denied"):
            store.begin(a_run(), [])
        assert list(store.runs())
        with pytest.raises(HistoryError, match="only by the user who made it"):
            store.compact()
    assert not list(tmp_path.rglob("*.journal"))
    everything.execute("DROP OWNED BY visitor")


def test_a_database_in_another_encoding(everything: psycopg.Connection, server: Any, tmp_path: Path) -> None:
    everything.execute("DROP DATABASE IF EXISTS latin")
    everything.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    assert "LATIN1" in refused(server.url(database="latin", journals=str(tmp_path))).message


def test_a_server_that_takes_no_changes(everything: psycopg.Connection, url: str) -> None:
    with PostgresRunStore(url) as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)
    options = "-c%20default_transaction_read_only%3Don"
    with PostgresRunStore(f"{url}&options={options}") as store:
        store._server._is_made = True
        assert len(list(store.runs())) == 1
        store._server.insist = lambda function: function()  # type: ignore[assignment, method-assign]
        with pytest.raises(HistoryError, match="cannot be written") as caught:
            store.set_limit("api", 1)
    assert "standby" in (caught.value.hint or "")


# Making it


def test_looking_makes_nothing(everything: psycopg.Connection, url: str) -> None:
    with PostgresRunStore(url) as store:
        assert list(store.runs()) == []
    assert tables(everything, url) == set()


def test_many_who_begin_at_once_make_it_once(url: str) -> None:
    stores = [PostgresRunStore(url) for _ in range(6)]
    failures: list[BaseException] = []

    def begin(store: PostgresRunStore) -> None:
        try:
            store.begin(a_run(), [a_task()]).ended("Success", None, 12.0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=begin, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(list(stores[0].runs())) == 6
    for store in stores:
        store.close()


def test_it_is_made_as_a_whole_or_not_at_all(everything: psycopg.Connection, url: str) -> None:
    broken = {1: (*FORMS[1], "CREATE TABLE oh no")}
    with pytest.raises(HistoryError, match="syntax error"):
        Server(address_of(url), broken).make()
    assert tables(everything, url) == set()
    with pytest.raises(NoHistoryError), Server(address_of(url)).lease():
        pass


def test_an_older_one_gets_the_new_form_and_keeps_what_it_has(everything: psycopg.Connection, url: str) -> None:
    with PostgresRunStore(url) as store:
        store.begin(a_run(name="old"), []).ended("Success", None, 12.0)
    schema = schema_of(url)
    later = {**FORMS, 2: ("ALTER TABLE runs ADD COLUMN mood text DEFAULT 'fine'", "ALTER TABLE runs ADD oh, no")}
    with pytest.raises(HistoryError, match="syntax error"), Server(address_of(url), later).lease():
        pass
    later[2] = later[2][:1]
    with closing(Server(address_of(url), later)) as server, server.lease() as connection:
        assert connection.execute("SELECT name, mood FROM runs").fetchall() == [("old", "fine")]
    with PostgresRunStore(url) as store, pytest.raises(HistoryVersionError, match="form 2"):
        list(store.runs())
    assert refused(url).message.endswith("knows forms up to 1.")
    found = everything.execute(f"SELECT form FROM {schema}.headrace_history ORDER BY form".encode()).fetchall()
    assert found == [(1,), (2,)]


def test_a_later_one_is_left_alone(everything: psycopg.Connection, url: str) -> None:
    with PostgresRunStore(url) as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)
    everything.execute(f"INSERT INTO {schema_of(url)}.headrace_history VALUES (99)".encode())
    assert "form 99" in refused(url).message
    with PostgresRunStore(url) as store:
        (finding,) = store.check()
        assert "form 99" in finding.what
        assert not finding.repairable


def test_tables_of_another_program_are_left_alone(everything: psycopg.Connection, url: str) -> None:
    schema = schema_of(url)
    everything.execute(f"CREATE SCHEMA {schema}".encode())
    everything.execute(f"CREATE TABLE {schema}.runs (distance int)".encode())
    assert "of some other program" in refused(url).message
    assert tables(everything, url) == {"runs"}


def test_a_schema_that_is_there_already_is_used(everything: psycopg.Connection, url: str, server: Any) -> None:
    """Whoever may not make one can be given one; its name may be anything."""
    everything.execute('CREATE SCHEMA "Team; history"')
    name = "Team%3B%20history"
    with PostgresRunStore(url.replace(f"schema={schema_of(url)}", f"schema={name}")) as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)
        assert len(list(store.runs())) == 1
    everything.execute('DROP SCHEMA "Team; history" CASCADE')


@pytest.mark.parametrize("table", TABLES[:4])
def test_a_table_that_is_missing_is_damage(everything: psycopg.Connection, url: str, table: str) -> None:
    with PostgresRunStore(url) as store:
        journal = store.begin(a_run(), [a_task()])
        succeed(journal)
        journal.ended("Success", None, 12.0)
    everything.execute(f"DROP TABLE {schema_of(url)}.{table}".encode())
    with PostgresRunStore(url) as store:
        (finding,) = store.check()
        assert table in finding.what
    with PostgresRunStore(url) as store, pytest.raises(HistoryDamagedError, match=table):
        journal = store.begin(a_run(), [a_task()])
        succeed(journal)
        journal.flush()
        store.tasks(store.run("latest").id)


# What is told


def test_facts_say_where_it_is_and_no_password(url: str) -> None:
    with PostgresRunStore(url) as store:
        found = dict(store.facts())
    assert found["history"] == address_of(url).where
    assert found["PostgreSQL"].split(".")[0].isdigit()
    assert found["server"].endswith("without TLS")
    assert "s3cr3t" not in str(found)


def test_facts_of_a_server_that_is_not_there_say_so() -> None:
    with PostgresRunStore("postgresql://me:s3cr3t@127.0.0.1:1/team") as store:
        assert "cannot be reached" in store.facts()["server"]


def test_what_was_committed_outlives_a_power_cut_whatever_others_want(url: str) -> None:
    for said, used in (("off", "on"), ("remote_apply", "remote_apply")):
        with Server(address_of(f"{url}&options=-c%20synchronous_commit%3D{said}")).connect() as connection:
            assert connection.execute("SHOW synchronous_commit").fetchone() == (used,)
