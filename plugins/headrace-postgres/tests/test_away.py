"""Servers that go away and come back: a run goes on meanwhile, and nothing is lost or written twice."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.exceptions import HistoryError
from headrace.history import UNMAPPED, LogQuery, TaskRunQuery
from headrace.testing.history._base import a_run, a_task, shown, succeed
from headrace_postgres.store import PostgresRunStore


def journals(place: Path) -> list[Path]:
    return sorted(place.rglob("*.journal"))


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def links(server: Any, schema: str) -> list[int]:
    """Return the processes of the server that are connected to us, but for the one that asks."""
    with server.connect() as connection:
        found = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (schema,)).fetchall()
    return [pid for (pid,) in found]


def cut(server: Any, name: str) -> int:
    """End all connections of a name, and return how many there were."""
    ended = links(server, name)
    with server.connect() as connection:
        for pid in ended:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    return len(ended)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "as by a power cut"])
def test_a_run_outlives_a_restart_of_the_server(own_server: Any, tmp_path: Path, how: signal.Signals) -> None:
    """What it says meanwhile is in the journal at once, and in the database when the server is there again."""
    url = own_server.url(journals=str(tmp_path))
    with PostgresRunStore(url) as store:
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal, map_index=0)
        journal.flush()
        own_server.stop(how)
        began = time.monotonic()
        for number in range(1, 500):
            succeed(journal, map_index=number)
        journal.logged(0, 3, 1, 10.0, 20, "etl", "while it was away")
        assert journal.cancel_request() is None
        assert time.monotonic() - began < 2
        time.sleep(0.5)
        own_server.start()
        journal.flush()
        assert [index for _, index, _ in shown(store, run.id)] == list(range(500))
        assert [record.text for record in store.logs(run.id, LogQuery())] == ["while it was away"]
        wait_until(lambda: _is_held(own_server))
        assert store.is_alive(run.id) is True
        store.request_cancel(run.id, "enough")
        assert journal.cancel_request() == "enough"
        journal.ended("Cancelled", None, 12.0)
        assert store.run(run.id).counts == {"Success": 500}
        assert journals(tmp_path) == []
        assert store.check() == []


def _is_held(server: Any) -> bool:
    with server.connect() as connection:
        return bool(connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted").fetchone())


def test_a_server_that_is_away_for_too_long_costs_nothing_but_time(own_server: Any, tmp_path: Path) -> None:
    """Whoever waits for it is told where everything is, and the next sweep takes that in: the run ends as it said."""
    url = own_server.url(journals=str(tmp_path))
    with PostgresRunStore(url, patience=1.0) as store:
        run = a_run()
        journal = store.begin(run, [a_task()])
        own_server.stop()
        succeed(journal)
        with pytest.raises(HistoryError, match="could not be written to the history for 1 seconds") as caught:
            journal.flush()
        assert "127.0.0.1" in caught.value.message
        assert "s3cr3t" not in str(caught.value)
        succeed(journal, map_index=1)
        with pytest.raises(HistoryError, match=run.id):
            journal.ended("Success", "done", 12.0)
        (path,) = journals(tmp_path)
        assert str(path) in (caught.value.hint or "")
        with pytest.raises(HistoryError, match="cannot be reached"):
            list(store.runs())
        own_server.start()
        assert store.is_alive(run.id) is False
        (swept,) = store.sweep()
        assert (swept.id, swept.state, swept.message, swept.cause) == (run.id, "Success", "done", None)
        assert shown(store, run.id) == [(0, UNMAPPED, "Success"), (0, 1, "Success")]
        assert journals(tmp_path) == []


def test_links_that_break_all_the_time_lose_nothing_and_write_nothing_twice(server: Any, url_of: Any, tmp_path: Path):
    """Also where the server has committed and its word of that was lost."""
    name = f"unlucky-{tmp_path.name}"
    run, count = a_run(), 0
    with PostgresRunStore(url_of(tmp_path, application_name=name)) as store:
        journal = store.begin(run, [a_task()])
        stop = threading.Event()
        cuts = [0]

        def cut_all_the_time() -> None:
            while not stop.wait(0.03):
                cuts[0] += cut(server, name)

        thread = threading.Thread(target=cut_all_the_time)
        thread.start()
        deadline = time.monotonic() + 30
        while cuts[0] < 12 and time.monotonic() < deadline:
            succeed(journal, map_index=count)
            if count % 10 == 0:
                journal.attempted(0, count, 1, "Failed", None, 10.0, 11.0)
            count += 1
            if count % 200 == 0:
                time.sleep(0.03)
        stop.set()
        thread.join()
        journal.ended("Success", None, 12.0)
        assert cuts[0] >= 12
    with PostgresRunStore(url_of(tmp_path)) as store:
        found = store.task_runs(run.id, TaskRunQuery(children=True))
        assert [each.map_index for each in found] == list(range(count))
        assert store.run(run.id).counts == {"Success": count}
        assert [each.map_index for each in store.attempts_of_run(run.id)] == list(range(0, count, 10))
        assert store.check() == []


def test_an_answer_that_was_lost_is_made_up_for(server: Any, url_of: Any, tmp_path: Path) -> None:
    """A transaction was committed, and before anybody was told the link broke and more was said."""
    run = a_run()
    with PostgresRunStore(url_of(tmp_path)) as store:
        journal: Any = store.begin(run, [a_task()])
        succeed(journal, map_index=0)
        journal.flush()
        recorder = store._writer().recorder
        before = journal.taken
        succeed(journal, map_index=1)
        journal.flush()
        # As if the last transaction had not been answered.
        with recorder._at_work:
            journal.taken = before
            recorder._unsure = True
            succeed(journal, map_index=2)
            journal.attempted(0, 2, 1, "Failed", None, 10.0, 11.0)
        journal.flush()
        # And as if nobody had noticed that the link broke.
        with recorder._at_work:
            journal.taken = before
            succeed(journal, map_index=3)
        journal.ended("Success", None, 12.0)
        assert [index for _, index, _ in shown(store, run.id)] == [0, 1, 2, 3]
        assert len(store.attempts(run.id, 0, 2)) == 1
        assert store.run(run.id).counts == {"Success": 4}


def test_a_run_that_began_before_the_answer_was_lost_is_not_begun_twice(url_of: Any, tmp_path: Path) -> None:
    with PostgresRunStore(url_of(tmp_path)) as store:
        first = a_run()
        store.begin(first, []).ended("Failed", None, 12.0)
        run = a_run(resumed_from=first.id)
        write, said = store._server.write, [0]

        def twice(function: Any) -> Any:
            said[0] += 1
            write(function)
            return write(function)

        store._server.write = twice  # type: ignore[method-assign]
        journal = store.begin(run, [a_task()])
        store._server.write = write  # type: ignore[method-assign]
        assert said == [1]
        succeed(journal)
        journal.ended("Success", None, 12.0)
        assert [each.id for each in store.runs()] == [run.id, first.id]
        assert len(store.tasks(run.id)) == 1


def test_connections_that_were_kept_are_not_used_when_the_server_was_started_anew(
    own_server: Any, tmp_path: Path
) -> None:
    with PostgresRunStore(own_server.url(journals=str(tmp_path))) as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)
        assert len(list(store.runs())) == 1
        own_server.restart()
        assert len(list(store.runs())) == 1
        store.begin(a_run(), []).ended("Success", None, 12.0)


def test_the_lock_of_a_run_is_taken_again_when_the_link_is_there_again(server: Any, url_of: Any, tmp_path: Path):
    """Also while the run says nothing for a long time."""
    name = f"patient-{tmp_path.name}"
    with PostgresRunStore(url_of(tmp_path, application_name=name)) as store:
        run = a_run()
        journal = store.begin(run, [a_task()])
        presence = store._writer().presence
        assert cut(server, name)
        wait_until(lambda: bool(links(server, name)) and presence._runs == {run.id: True})
        assert store.is_alive(run.id) is True
        journal.ended("Success", None, 12.0)


def test_nothing_is_connected_when_a_store_was_closed(server: Any, url_of: Any, tmp_path: Path) -> None:
    name = f"tidy-{tmp_path.name}"
    before = threading.active_count()
    with PostgresRunStore(url_of(tmp_path, application_name=name)) as store:
        store.begin(a_run(), [])
        store.begin(a_run(), []).ended("Success", None, 12.0)
        list(store.runs())
        assert links(server, name)
    wait_until(lambda: not links(server, name))
    assert threading.active_count() == before
