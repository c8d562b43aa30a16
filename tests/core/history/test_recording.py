from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.exceptions import HistoryBusyError, HistoryDamagedError, HistoryError
from headrace.history.folding import Batch
from headrace.history.journal_files import JournalFile, make_journal
from headrace.history.owners import this_process
from headrace.history.recording import FileJournal, Recorder, batches


class Store:
    """What a recorder writes to: a list of batches. What is in ``trouble`` is raised instead, one after the other."""

    def __init__(self) -> None:
        self.taken: list[list[Batch]] = []
        self.trouble: list[Exception] = []
        self.threads: set[str] = set()
        self.open = threading.Event()
        self.open.set()

    def take(self, pieces: Sequence[Batch]) -> None:
        self.threads.add(threading.current_thread().name)
        self.open.wait(10)
        if self.trouble:
            raise self.trouble.pop(0)
        self.taken.append(list(pieces))

    def rows(self, run_id: str = "run") -> list[int]:
        return [
            row[1] for piece in self.taken for batch in piece if batch.run_id == run_id for row in batch.rows.values()
        ]


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def recorder(store: Store) -> Iterator[Recorder]:
    recorder = Recorder(store.take, patience=5)
    # A recorder starts when something is asked of it.
    recorder.call(lambda: None)
    yield recorder
    store.open.set()
    recorder.close()


class Alone:
    """A run that has to do with nobody."""

    def cancel_request(self, run_id: str) -> None:
        return None

    def limited_tags(self) -> frozenset[str]:
        return frozenset()

    def take_slots(self, run_id: str, node: int, map_index: int, tags: Collection[str], /) -> bool:
        return True

    def free_slots_of_dead(self, run_id: str, /) -> bool:
        return False


def unique(rows: list[int]) -> list[int]:
    """Leave out repetitions: a task run that began in one piece and ended in the next one is in both."""
    return list(dict.fromkeys(rows))


def begun(recorder: Recorder, folder: Path, run_id: str = "run") -> FileJournal:
    return recorder.journal(make_journal(folder, run_id, this_process()), Alone())


def succeed(journal: FileJournal, index: int) -> None:
    journal.began(0, index, 1, 10.0)
    journal.finished(0, index, 1, "Success", None, 10.0, 11.0)


class TestJournal:
    def test_what_is_said_is_in_the_file_at_once(self, recorder, store, tmp_path):
        store.open.clear()
        journal = begun(recorder, tmp_path)
        succeed(journal, 5)
        ((row,),) = [batch.rows.values() for batch in batches(journal.file, journal.file.start)]
        assert row[:4] == (0, 5, 1, "Success")

    def test_it_comes_to_the_store_by_itself(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        succeed(journal, 5)
        deadline = time.monotonic() + 5
        while store.rows() != [5]:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        assert journal.taken == journal.file.end

    def test_many_entries_are_one_transaction(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        for index in range(1000):
            succeed(journal, index)
        journal.flush()
        assert unique(store.rows()) == list(range(1000))
        assert len(store.taken) < 50

    def test_runs_share_a_transaction(self, recorder, store, tmp_path):
        journals = [begun(recorder, tmp_path, f"run{number}") for number in range(3)]
        store.open.clear()
        for journal in journals:
            succeed(journal, 0)
        time.sleep(0.1)
        for journal in journals:
            succeed(journal, 1)
        store.open.set()
        for journal in journals:
            journal.flush()
        assert any(len(piece) == 3 for piece in store.taken)
        assert [store.rows(f"run{number}") for number in range(3)] == [[0, 1]] * 3

    def test_slots_are_taken_behind_what_was_said_before(self, recorder, store, tmp_path):
        class Sharing(Alone):
            def take_slots(self, *asked: object) -> bool:
                seen.append(store.rows())
                return True

        seen: list[list[int]] = []
        journal = recorder.journal(make_journal(tmp_path, "run", this_process()), Sharing())
        store.open.clear()
        succeed(journal, 5)
        store.trouble.extend([HistoryBusyError("here", 1.0)] * 3)
        store.open.set()
        assert journal.take_slots(0, 6, ["api"])
        assert seen == [[5]]

    def test_slots_are_asked_for_again_when_a_dead_run_was_swept(self, recorder, tmp_path):
        class Sharing(Alone):
            def take_slots(self, *asked: object) -> bool:
                return bool(swept)

            def free_slots_of_dead(self, run_id: str, /) -> bool:
                swept.append(run_id)
                return True

        swept: list[str] = []
        journal = recorder.journal(make_journal(tmp_path, "run", this_process()), Sharing())
        assert journal.take_slots(0, 6, ["api"])
        assert swept == ["run"]

    def test_a_run_that_is_recorded_no_longer_gets_no_slots(self, recorder, tmp_path):
        journal = begun(recorder, tmp_path)
        journal.abandon()
        with pytest.raises(HistoryError, match="no longer"):
            journal.take_slots(0, 6, ["api"])

    def test_one_thread_writes(self, recorder, store, tmp_path):
        for number in range(5):
            journal = begun(recorder, tmp_path, str(number))
            succeed(journal, 0)
            journal.ended("Success", None, 12.0)
        assert len(store.threads) == 1
        assert threading.current_thread().name not in store.threads

    def test_an_entry_longer_than_a_piece_is_taken(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        journal.noted(0, -1, "long", "x" * 5_000_000)
        succeed(journal, 1)
        journal.flush()
        assert [len(note[3]) for piece in store.taken for batch in piece for note in batch.notes] == [5_000_000]
        assert store.rows() == [1]

    def test_the_file_is_there_until_all_of_it_is_in_the_store(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        journal.ended("Success", None, 12.0)
        assert [batch.ended for piece in store.taken for batch in piece] == [("Success", None, 12.0)]
        assert list(tmp_path.iterdir()) == []

    def test_an_abandoned_file_stays(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        succeed(journal, 0)
        journal.abandon()
        journal.abandon()
        assert list(tmp_path.iterdir()) == [journal.file.path]
        with pytest.raises(HistoryError, match="is recorded no longer"):
            succeed(journal, 1)
        with pytest.raises(HistoryError, match="is recorded no longer"):
            journal.flush()

    def test_nothing_is_done_while_nothing_is_said(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        succeed(journal, 0)
        journal.flush()
        before, count = time.process_time(), len(store.taken)
        time.sleep(0.3)
        assert time.process_time() - before < 0.1
        assert len(store.taken) == count


class TestTrouble:
    def test_a_store_that_is_busy_is_tried_again(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        store.trouble = [HistoryBusyError("there", 0.2)] * 3
        succeed(journal, 0)
        journal.flush()
        assert store.rows() == [0]

    def test_one_that_stays_busy_loses_patience(self, store, tmp_path):
        recorder = Recorder(store.take, patience=0.2)
        recorder.call(lambda: None)
        journal = begun(recorder, tmp_path)
        store.trouble = [HistoryBusyError("there", 0.2)] * 10_000_000
        succeed(journal, 0)
        with pytest.raises(HistoryBusyError, match=r"locked by another process for 0\.2 seconds"):
            journal.flush()
        store.trouble = []
        journal.flush()
        assert store.rows() == [0]
        recorder.close()

    def test_what_the_store_cannot_take_is_said_to_who_writes_next(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        store.trouble = [HistoryError("The disk is full.", hint="Free some space.")]
        succeed(journal, 0)
        with pytest.raises(HistoryError, match=r"The disk is full\. Free some space\."):
            journal.flush()
        for _ in range(2):
            with pytest.raises(HistoryError, match=r"The disk is full\."):
                succeed(journal, 1)
        journal.abandon()
        assert list(tmp_path.iterdir()) == [journal.file.path]

    def test_an_end_that_cannot_be_written_stays_in_the_file(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        store.trouble = [HistoryError("The disk is full.")]
        with pytest.raises(HistoryError, match="full"):
            journal.ended("Success", None, 12.0)
        (path,) = tmp_path.iterdir()
        assert b"Success" not in path.read_bytes()
        assert path.stat().st_size > journal.file.start

    def test_other_errors_are_told_with_their_cause(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        store.trouble = [ZeroDivisionError("a mistake")]
        succeed(journal, 0)
        with pytest.raises(HistoryError, match="ZeroDivisionError: a mistake") as caught:
            journal.flush()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        journal.abandon()

    def test_one_run_does_not_hinder_another(self, recorder, store, tmp_path):
        good, bad = begun(recorder, tmp_path, "good"), begun(recorder, tmp_path, "bad")

        def take(pieces: Sequence[Batch]) -> None:
            if any(batch.run_id == "bad" for batch in pieces):
                raise HistoryError("It is bad.")
            Store.take(store, pieces)

        recorder._take = take
        for index in range(200):
            succeed(good, index)
            if index == 0:
                succeed(bad, index)
        good.flush()
        with pytest.raises(HistoryError, match="bad"):
            bad.flush()
        assert store.rows("good") == list(range(200))
        bad.abandon()


class TestCalls:
    def test_a_call_is_made_in_the_thread_that_writes(self, recorder, store, tmp_path):
        assert recorder.call(lambda: threading.current_thread().name) == "headrace-history"
        with pytest.raises(KeyError, match="no"):
            recorder.call(lambda: dict[str, int]()["no"])

    def test_a_busy_one_is_made_again(self, recorder):
        trouble = [HistoryBusyError("there", 0.2)] * 3

        def call() -> str:
            if trouble:
                raise trouble.pop()
            return "done"

        assert recorder.call(call) == "done"

    def test_it_comes_after_what_was_said_before(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        for index in range(50):
            succeed(journal, index)
        assert recorder.call(store.rows) == list(range(50))

    def test_closing_ends_the_thread_and_gives_up_the_runs(self, store, tmp_path):
        recorder = Recorder(store.take)
        recorder.close()
        recorder.call(lambda: None)
        journal = begun(recorder, tmp_path)
        for index in range(3000):
            succeed(journal, index)
        recorder.close()
        recorder.close()
        assert unique(store.rows()) == list(range(3000))
        assert recorder._thread is not None
        assert not recorder._thread.is_alive()
        with pytest.raises(HistoryError):
            succeed(journal, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
class TestForks:
    def test_a_forked_process_cannot_write(self, recorder, store, tmp_path):
        journal = begun(recorder, tmp_path)
        succeed(journal, 0)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            said = []
            for call in (lambda: succeed(journal, 1), journal.flush, lambda: recorder.call(int)):
                try:
                    call()
                except HistoryError as error:
                    said.append("forked" in str(error))
            os.write(write, repr(said).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 100) == b"[True, True, True]"
        succeed(journal, 2)
        journal.flush()
        assert store.rows() == [0, 2]
        os.close(read)
        os.close(write)

    def test_it_is_forked_between_two_transactions(self, recorder, store, tmp_path):
        inside: list[bool] = []

        def take(pieces: Sequence[Batch]) -> None:
            inside.append(True)
            time.sleep(0.02)
            inside.pop()

        recorder._take = take
        journal = begun(recorder, tmp_path)
        for index in range(20):
            succeed(journal, index)
            child = os.fork()
            if child == 0:
                os._exit(len(inside))
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            time.sleep(0.005)
        journal.abandon()


class TestBatches:
    def made(self, folder: Path) -> JournalFile:
        recorder: Any = Recorder(Store().take)
        journal = begun(recorder, folder)
        for index in range(3):
            succeed(journal, index)
        return journal.file

    def test_a_piece_begins_where_the_last_one_ended(self, tmp_path):
        file = self.made(tmp_path)
        (whole,) = batches(file, file.start)
        assert (whole.start, whole.end) == (file.start, file.end)
        assert list(batches(file, file.end)) == []

    def test_an_entry_that_was_cut_short_is_left_out(self, tmp_path):
        file = self.made(tmp_path)
        os.ftruncate(file.descriptor, file.end - 1)
        file.end -= 1
        (piece,) = batches(file, file.start)
        assert [row[3] for row in piece.rows.values()] == ["Success", "Success", "Running"]

    def test_damage_is_told_after_what_comes_before_it(self, tmp_path):
        file = self.made(tmp_path)
        file.close()
        data = bytearray(file.path.read_bytes())
        data[file.end - 5] ^= 1
        file.path.write_bytes(data)
        file.descriptor = os.open(file.path, os.O_RDWR)
        found: list[Any] = []
        with pytest.raises(HistoryDamagedError, match=f"is damaged at byte .* of {file.end}"):
            found.extend(batches(file, file.start))
        assert [row[3] for batch in found for row in batch.rows.values()] == ["Success", "Success", "Running"]
        file.close()
