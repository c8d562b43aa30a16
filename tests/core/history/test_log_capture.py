from __future__ import annotations

import io
import logging
import sys
import threading
from typing import Any

import pytest

from headrace.exceptions import HistoryError
from headrace.history.log_capture import RunLogs, TaskPrints
from headrace.log import capture_stdout
from headrace.masking import masker
from headrace.run_context import RunFrame, current_frame
from headrace.whereabouts import Place, speaking_of


class Journal:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.records: list[tuple[Any, ...]] = []

    def logged(self, *said: Any) -> None:
        self.records.append(said)

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(said[5], said[6]) for said in self.records]


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def logs(journal):
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0) as made:
        yield made


@pytest.fixture
def in_the_run():
    token = current_frame.set(RunFrame({"flow_run_id": "run"}))
    yield
    current_frame.reset(token)


@pytest.fixture
def logger():
    made = logging.getLogger("captured")
    made.setLevel(logging.INFO)
    yield made
    made.setLevel(logging.NOTSET)


TASK = Place("run", "load-1", 3, 2)


def test_a_record_is_taken_down_where_it_was_made(logs, journal, logger):
    with speaking_of(TASK):
        logger.warning("oh %s", "no")
        logger.debug("nobody wants this")
    ((node, map_index, attempt, at, level, name, text),) = journal.records
    assert (node, map_index, attempt, level, name, text) == (4, 3, 2, logging.WARNING, "captured", "oh no")
    assert at > 1e9


def test_a_traceback_comes_along(logs, journal, logger):
    with speaking_of(TASK):
        try:
            raise KeyError("missing")
        except KeyError:
            logger.exception("failed")
    assert journal.shown[0][1].startswith("failed\nTraceback")
    assert journal.shown[0][1].endswith("KeyError: 'missing'")


def test_it_does_not_matter_who_handles_it(logs, journal, logger):
    """Neither the absence of handlers nor a logger that keeps its records to itself."""
    logger.propagate = False
    try:
        with speaking_of(TASK):
            logger.error("still here")
    finally:
        logger.propagate = True
    assert journal.shown == [("captured", "still here")]


def test_handlers_see_what_they_saw_before(logs, logger, caplog):
    with speaking_of(TASK):
        logger.warning("seen")
    assert caplog.messages == ["seen"]
    assert not any("headrace.history" in type(handler).__module__ for handler in logging.root.handlers)


def test_prints_are_taken_down_line_by_line_and_shown(journal, capsys):
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0) as logs, speaking_of(TASK):
        print("one", 1)
        print("two\nthree")
        print("err", file=sys.stderr)
        print("unfinished", end="")
        said = [("stdout", "one 1"), ("stdout", "two"), ("stdout", "three"), ("stderr", "err")]
        assert journal.shown == said
        logs.finish_task_run("load-1", 3)
    assert journal.shown[-1] == ("stdout", "unfinished")
    assert [said[4] for said in journal.records] == [20, 20, 20, 30, 20]
    assert capsys.readouterr() == ("one 1\ntwo\nthree\nunfinished", "err\n")


def test_streams_are_given_back(journal):
    before = sys.stdout, sys.stderr, logging.Logger.callHandlers
    with RunLogs(journal, "run", {}, lambda: 10.0):
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, logging.Logger.callHandlers) == before


def test_what_a_handler_prints_is_not_taken_down_twice(logs, journal, logger):
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    try:
        with speaking_of(TASK):
            logger.warning("once")
    finally:
        logger.removeHandler(handler)
    assert journal.shown == [("captured", "once")]


def test_a_handler_that_logs_itself_does_no_harm(logs, journal, logger):
    class Chatty(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name != "inner":
                logging.getLogger("inner").error("handling")

    handler = Chatty()
    logger.addHandler(handler)
    try:
        with speaking_of(TASK):
            logger.warning("outer")
    finally:
        logger.removeHandler(handler)
    assert journal.shown == [("captured", "outer")]


def test_what_is_logged_with_log_stdout_is_taken_down_as_a_record(logs, journal, logger):
    with speaking_of(TASK), capture_stdout(logger):
        print("a line")
    assert journal.shown == [("captured", "a line")]


def test_what_threads_without_a_context_say_is_the_runs(journal, logger):
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0), speaking_of(TASK):
        thread = threading.Thread(target=lambda: (logger.warning("thread"), print("printed")))
        thread.start()
        thread.join()
    assert [said[:3] for said in journal.records] == [(-1, -1, 0), (-1, -1, 0)]


def test_what_libraries_say_to_themselves_is_left_out(logs, journal, logger):
    own = logging.getLogger("headrace.captured")
    own.setLevel(logging.INFO)
    for each in (own, logger):
        for level in (logging.INFO, logging.WARNING):
            each.log(level, "nowhere")
            with speaking_of(Place("run")):
                each.log(level, "in the run")
    own.setLevel(logging.NOTSET)
    everything = [(level, text) for level in (20, 30) for text in ("nowhere", "in the run")]
    found = [(said[5], said[4], said[6]) for said in journal.records]
    assert found == [
        *(("headrace.captured", *each) for each in everything),
        *(("captured", *each) for each in everything[2:]),
    ]


def test_of_two_runs_each_has_its_own(journal, logger):
    other = Journal()
    with RunLogs(journal, "run", {}, lambda: 10.0), RunLogs(other, "other", {}, lambda: 10.0):  # type: ignore[arg-type]
        with speaking_of(Place("other")):
            logger.warning("other")
        with speaking_of(Place("run")):
            logger.warning("run")
        with speaking_of(Place("neither"), Place("other")):
            print("inside of it")
        with speaking_of():
            logger.warning("nobody's")
    assert journal.shown == [("captured", "run")]
    assert other.shown == [("captured", "other"), ("stdout", "inside of it")]


def test_the_context_of_a_run_is_enough(logs, journal, logger, in_the_run):
    logger.warning("begins")
    assert [said[:3] for said in journal.records] == [(-1, -1, 0)]


def test_secrets_are_masked(journal, logger):
    masker.add("hunter2hunter2")
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0), speaking_of(TASK):
        logger.info("with hunter2hunter2")
        print("hunter2", end="")
        print("hunter2")
    assert journal.shown == [("captured", "with ********"), ("stdout", "********")]


def test_much_at_once_is_split_where_lines_end(journal):
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0), speaking_of(TASK):
        print("x" * 99 + "\n", end="")
        print(("y" * 99 + "\n") * 1000, end="")
    assert [len(text) for _, text in journal.shown[:2]] == [99, 16299]
    assert "".join(text + "\n" for _, text in journal.shown[1:]) == ("y" * 99 + "\n") * 1000


@pytest.mark.timeout(30)
def test_a_hundred_megabytes_are_looked_at_in_part_only(logs, journal):
    with speaking_of(TASK):
        logs.print(TASK, "stdout", "x" * 100_000_000 + "\n")
    assert sum(len(text) for _, text in journal.shown) < 2_100_000
    assert any("characters are left out" in text for _, text in journal.shown)


@pytest.mark.parametrize("message", ["lone \udc80", "a\0b", "%s %s %s"], ids=["surrogate", "nul", "percent"])
def test_any_text_will_do(logs, journal, logger, message, monkeypatch):
    # What shows the log of a failed test cannot write all of them.
    monkeypatch.setattr(logger, "propagate", False)
    with speaking_of(TASK):
        logger.info(message)
        print(message, file=io.StringIO())
    assert journal.shown == [("captured", message)]


def test_a_record_that_cannot_be_written_out_is_left_out(logs, journal, logger, caplog):
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    with speaking_of(TASK):
        logging.raiseExceptions = False
        try:
            logger.handle(logging.LogRecord("captured", 20, "", 0, Rude(), None, None))
        except RuntimeError:
            pass
        finally:
            logging.raiseExceptions = True
        logger.info("next")
    assert journal.shown == [("captured", "next")]


def test_a_journal_that_takes_nothing_is_nobodys_trouble(logger, capsys):
    class Broken:
        def logged(self, *_: object) -> None:
            raise HistoryError("The disk is full.")

    journal: Any = Broken()
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0), speaking_of(TASK):
        logger.info("lost")
        print("shown")
    assert capsys.readouterr().out == "shown\n"


def test_a_stream_that_is_gone_fails_as_before_and_is_taken_down(journal, monkeypatch):
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0), speaking_of(TASK), pytest.raises(BrokenPipeError):
        sys.stdout.write("said\n")
    assert journal.shown == [("stdout", "said")]


def test_without_a_standard_output_prints_are_taken_down(journal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0), speaking_of(TASK):
        print("nobody sees this")
    assert journal.shown == [("stdout", "nobody sees this")]
    assert sys.stdout is None


def test_what_comes_late_has_the_moment_at_which_it_was_printed(logs, journal):
    logs.print(TASK, "stdout", "early\n", at=3.0)
    logs.print(TASK, "stdout", "now\n")
    assert [(said[3], said[6]) for said in journal.records] == [(3.0, "early"), (10.0, "now")]


class TestWhatOneTaskRunPrints:
    @pytest.fixture
    def taken(self):
        return []

    @pytest.fixture
    def prints(self, taken):
        return TaskPrints(TASK, lambda *printed: taken.append(printed))

    def test_is_handed_on_line_by_line_and_shown(self, prints, taken, capsys):
        with prints:
            print("one\ntwo")
            print("three", file=sys.stderr)
        assert taken == [(TASK, "stdout", "one\n"), (TASK, "stdout", "two\n"), (TASK, "stderr", "three\n")]
        assert capsys.readouterr().out == "one\ntwo\n"

    def test_is_split_where_lines_end_and_nowhere_else(self, prints, taken):
        with prints:
            sys.stdout.write("one\ntwo\rthree\x0cfour\n")
        assert [text for _, _, text in taken] == ["one\n", "two\rthree\x0cfour\n"]

    def test_is_complete_when_it_is_finished(self, prints, taken):
        with prints:
            print("half a", end="")
            assert taken == []
            prints.finish()
        assert taken == [(TASK, "stdout", "half a")]

    def test_is_joined_again_where_it_is_taken_down(self, journal, prints, taken):
        line = "x" * 50_000
        with prints:
            print(line)
        assert len(taken) > 1
        logs = RunLogs(journal, "run", {"load-1": 4}, lambda: 10.0)
        for place, stream, text in taken:
            logs.print(place, stream, text)
        assert "".join(text for _, text in journal.shown) == line

    def test_leaves_out_what_handlers_of_log_records_write(self, prints, taken, logger):
        with prints:
            logger.addHandler(handler := logging.StreamHandler(sys.stdout))
            logger.warning("a record")
            logger.removeHandler(handler)
            print("a line")
        assert [text for _, _, text in taken] == ["a line\n"]

    def test_leaves_out_what_a_run_inside_takes_down(self, prints, taken, journal):
        inside = RunLogs(journal, "inside", {"load-1": 4}, lambda: 10.0)
        with prints, inside, speaking_of(Place("inside", "load-1"), TASK):
            print("inside")
        assert taken == []
        assert journal.shown == [("stdout", "inside")]

    def test_is_not_looked_at_any_more_when_it_is_over(self, prints, taken):
        before = sys.stdout
        with prints:
            assert sys.stdout is not before
        assert sys.stdout is before
