"""What the driver makes of messages."""

from __future__ import annotations

import errno
import logging
import pickle
import sys
import time

import pytest

from headrace.exceptions import TransferError
from headrace.states import Crashed
from headrace_plugins.processes.answers import call_number, outcome_of, show_record, show_text
from headrace_plugins.processes.channel import Message
from headrace_plugins.processes.protocol import Kind


def outcome(number: int, error: OSError | None = None) -> Message:
    body = pickle.dumps(("Done.", "result", time.time(), time.time(), None))
    return Message(Kind.OUTCOME, pickle.dumps((number, 7, None, "", None)), body, [], error)


def record(text: str) -> Message:
    fields = {"name": "some.logger", "levelno": logging.WARNING, "levelname": "WARNING", "msg": text}
    return Message(Kind.RECORD, b"", pickle.dumps(fields), [])


def test_an_answer_says_which_call_it_is_about():
    assert call_number(outcome(42)) == 42


def test_an_outcome_is_what_the_worker_sent(new_job):
    found = outcome_of(new_job().work, outcome(1))
    assert (found.key, found.state.result) == (7, "result")


def test_an_outcome_that_could_not_be_received_is_a_failure(new_job):
    found = outcome_of(new_job().work, outcome(1, OSError(errno.EMFILE, "no descriptors")))
    assert found.key == 7
    assert isinstance(found.state.result, TransferError)
    assert "no descriptors" in str(found.state.result)


class Exits:
    def __reduce__(self):
        return sys.exit, (3,)


def test_an_outcome_that_exits_when_it_is_read_is_lost_alone(new_job):
    body = pickle.dumps(("Done.", Exits(), time.time(), time.time(), None))
    found = outcome_of(new_job(7).work, outcome(1)._replace(body=body))
    assert found.key == 7
    assert isinstance(found.state, Crashed)
    assert isinstance(found.state.result, SystemExit)


def test_a_record_is_handled_here(caplog):
    show_record(record("from a worker"))
    assert caplog.messages == ["from a worker"]


def test_a_record_that_could_not_be_received_is_dropped(caplog):
    show_record(record("lost")._replace(error=OSError("no memory")))
    assert caplog.messages == []


def test_what_a_filter_raises_is_printed_and_harms_nobody(capsys):
    def refuse(_record: logging.LogRecord) -> bool:
        raise RuntimeError("a broken filter")

    logger = logging.getLogger("some.logger")
    logger.addFilter(refuse)
    try:
        show_record(record("text"))
    finally:
        logger.removeFilter(refuse)
    assert "a broken filter" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_was_printed_is_printed_here(capsys, name):
    show_text(Message(Kind.PRINT, pickle.dumps((name, "hello\n")), b"", []))
    assert getattr(capsys.readouterr(), name[3:]) == "hello\n"
