"""What a history promises of what task runs log and print."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from headrace.exceptions import RunNotFoundError
from headrace.history import NO_TASK, UNMAPPED, LogQuery, LogRecord
from headrace.testing.history._base import RunStoreTests, a_run, a_task, succeed

if TYPE_CHECKING:
    from headrace.abc import RunJournal, RunStore

__all__ = ["Logs"]

_TEXTS = ("", "plain", "two\nlines", "naïve 日本 🚀", "a\0b", "lone \udc80")
_ESCAPED = str.maketrans({"\0": "\\x00", "\udc80": "\\udc80"})
_LINE = "x" * 1000


def _log(journal: RunJournal, text: str, node: int = 0, map_index: int = UNMAPPED, level: int = logging.INFO) -> None:
    journal.logged(node, map_index, 1, 10.5, level, "etl", text)


def _texts(store: RunStore, run_id: str, **query: Any) -> list[str]:
    return [record.text for record in store.logs(run_id, LogQuery(**query))]


class Logs(RunStoreTests):
    """What was logged is found as it was said, up to what a history has room for."""

    def test_what_was_logged_is_found(self, store: RunStore, other: RunStore) -> None:
        """``logged`` records where, when, how grave and what."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.logged(0, 3, 2, 10.5, logging.ERROR, "etl.extract", "oh no")
        journal.logged(NO_TASK, UNMAPPED, 0, 11.0, logging.INFO, "headrace", "begins")
        journal.flush()
        task, whole = other.logs(run.id)
        assert task == LogRecord(task.position, 0, 3, 2, 10.5, logging.ERROR, "etl.extract", "oh no")
        assert whole == LogRecord(whole.position, NO_TASK, UNMAPPED, 0, 11.0, logging.INFO, "headrace", "begins")
        assert whole.position > task.position

    @pytest.mark.parametrize("text", _TEXTS, ids=range(len(_TEXTS)))
    def test_logs_of_all_sorts_come_back(self, store: RunStore, text: str) -> None:
        """A character that cannot be stored comes back as its escape."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.logged(0, UNMAPPED, 1, 10.5, logging.INFO, text, text)
        journal.ended("Success", None, 12.0)
        (found,) = store.logs(run.id)
        assert found.text in {text, text.translate(_ESCAPED)}
        assert found.logger == found.text

    def test_of_a_long_text_the_middle_is_left_out(self, store: RunStore) -> None:
        """One line cannot fill a history."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        _log(journal, "beginning" + "x" * 10_000_000 + "end")
        journal.flush()
        (text,) = _texts(store, run.id)
        assert text.startswith("beginning")
        assert text.endswith("end")
        assert len(text) < 100_000

    def test_logs_are_found_by_what_they_are(self, store: RunStore) -> None:
        """Each field of a query leaves out the records that do not fit."""
        run = a_run()
        journal = store.begin(run, [a_task(node, mapped=node == 1) for node in range(2)])
        _log(journal, "one", 0)
        _log(journal, "child", 1, 0, logging.WARNING)
        _log(journal, "whole", 1)
        _log(journal, "other child", 1, 1, logging.ERROR)
        _log(journal, "run", NO_TASK)
        store.begin(a_run(), [a_task()]).logged(0, UNMAPPED, 1, 10.5, logging.INFO, "etl", "another run")
        journal.flush()
        records = list(store.logs(run.id))
        assert _texts(store, run.id, node=1) == ["child", "whole", "other child"]
        assert _texts(store, run.id, node=1, map_index=1) == ["other child"]
        assert _texts(store, run.id, node=1, map_index=UNMAPPED) == ["whole"]
        assert _texts(store, run.id, node=NO_TASK) == ["run"]
        assert _texts(store, run.id, level=logging.WARNING) == ["child", "other child"]
        assert _texts(store, run.id, after=records[2].position) == ["other child", "run"]
        assert _texts(store, run.id, after=records[0].position, limit=2) == ["child", "whole"]
        assert _texts(store, run.id, limit=0) == []

    def test_logs_of_an_unknown_run_are_an_error(self, store: RunStore) -> None:
        """Nothing logged and no such run are not the same."""
        run = a_run()
        store.begin(run, [])
        assert list(store.logs(run.id)) == []
        with pytest.raises(RunNotFoundError):
            list(store.logs("nothing"))

    def test_many_threads_may_log_while_the_run_goes_on(self, store: RunStore) -> None:
        """Nothing is lost, and each thread's records are in order."""
        run, count = a_run(), 500
        journal = store.begin(run, [a_task()])

        def log(number: int) -> None:
            for line in range(count):
                _log(journal, f"{line}", map_index=number)

        threads = [threading.Thread(target=log, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for number in range(count):
            succeed(journal, map_index=1000 + number)
        for thread in threads:
            thread.join()
        journal.ended("Success", None, 12.0)
        for number in range(4):
            assert _texts(store, run.id, map_index=number) == [f"{line}" for line in range(count)]
        assert store.run(run.id).counts == {"Success": count}

    def test_a_task_run_that_logs_too_much_keeps_its_beginning_and_its_end(self, store: RunStore) -> None:
        """What is kept is bounded, and it is said that something was left out."""
        run = a_run()
        journal = store.begin(run, [a_task(node) for node in range(2)])
        journal.bound_logs(300_000, 10_000_000)
        for number in range(2000):
            _log(journal, f"{number} {_LINE}")
        _log(journal, "not much", 1)
        journal.finished(0, UNMAPPED, 1, "Success", None, 10.0, 11.0)
        journal.flush()
        texts = _texts(store, run.id, node=0)
        assert texts[0].startswith("0 ")
        assert sum(map(len, texts)) < 350_000
        assert [text.split()[0] for text in texts[-64:]] == [str(number) for number in range(1936, 2000)]
        assert sum(text.startswith("...") for text in texts) == 1
        assert _texts(store, run.id, node=1) == ["not much"]

    def test_a_run_that_logs_too_much_keeps_its_beginning_and_its_end(self, store: RunStore) -> None:
        """Many task runs are bounded together."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        journal.bound_logs(1_000_000, 300_000)
        for number in range(1000):
            _log(journal, f"{number} {_LINE}", map_index=number)
            succeed(journal, map_index=number)
        journal.ended("Success", None, 12.0)
        texts = _texts(store, run.id)
        assert texts[0].startswith("0 ")
        assert sum(map(len, texts)) < 500_000
        assert [text.split()[0] for text in texts[-64:]] == [str(number) for number in range(936, 1000)]
        assert sum(text.startswith("...") for text in texts) == 1

    @pytest.mark.parametrize("count", [10, 3000])
    def test_what_a_killed_process_logged_last_is_there(self, store: RunStore, place: Any, count: int) -> None:
        """At least 64 kB of it, however much there was before."""
        with self.child(place, "log", count=count) as child:
            run_id = child.line()
            child.line()
            child.kill()
        store.sweep()
        kept = min(count, 64)
        last = [text.split()[0] for text in _texts(store, run_id)[-kept:]]
        assert last == [str(number) for number in range(count - kept, count)]

    def test_a_forgotten_run_leaves_no_logs(self, store: RunStore) -> None:
        """What was logged goes with its run."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        _log(journal, "something")
        journal.ended("Success", None, 12.0)
        store.delete(run.id)
        assert list(store.check()) == []
        with pytest.raises(RunNotFoundError):
            list(store.logs(run.id))
