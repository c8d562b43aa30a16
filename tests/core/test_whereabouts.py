from __future__ import annotations

import logging
import pickle
from typing import Any

import pytest

from headrace.engine.worker import Work
from headrace.remote import RecordForwarder, replay
from headrace.run_context import RunFrame, ValuesFrame, current_frame
from headrace.tasks import Task
from headrace.whereabouts import NOWHERE, Place, place_in, place_of, places, speaking_of


@pytest.fixture
def enter():
    """Return what makes a layer of the context the innermost one until the test ends."""
    tokens = []
    yield lambda frame: tokens.append(current_frame.set(frame))
    for token in reversed(tokens):
        current_frame.reset(token)


def work(parent: Any, slug: str = "load-1") -> Work:
    return Work(1, Task(name="load"), slug, {}, 3, 2, None, False, parent, None)


def test_outside_of_runs_there_is_no_place():
    assert places() == ()
    assert place_in({"run"}) is NOWHERE


def test_in_a_run_it_is_the_run(enter):
    enter(ValuesFrame({}, RunFrame({"flow_run_id": "run"})))
    assert places() == (Place("run"),)
    assert place_in({"run"}) == Place("run")


def test_in_a_task_run_it_is_that(enter):
    enter(ValuesFrame({}, work(RunFrame({"flow_run_id": "run"}))))
    assert places() == (Place("run", "load-1", 3, 2),)
    assert place_in({"run"}) == Place("run", "load-1", 3, 2)
    assert place_in({"other"}) is None


def test_inside_of_other_runs_it_is_in_all_of_them(enter):
    outer = work(RunFrame({"flow_run_id": "outer"}), "outer-1")
    enter(work(RunFrame({"flow_run_id": "inner"}, outer), "inner-1"))
    assert places() == (Place("inner", "inner-1", 3, 2), Place("outer", "outer-1", 3, 2))
    assert place_in({"outer"}) == Place("outer", "outer-1", 3, 2)
    assert place_in({"outer", "inner"}) == Place("inner", "inner-1", 3, 2)


def test_between_two_task_runs_it_is_the_inner_run(enter):
    """A state handler of a run inside of a task does not speak for that task in its own run."""
    enter(RunFrame({"flow_run_id": "inner"}, work(RunFrame({"flow_run_id": "outer"}))))
    assert places() == (Place("inner"), Place("outer", "load-1", 3, 2))


def test_work_knows_where_it_is_going_to_be(enter):
    made = work(RunFrame({"flow_run_id": "run"}))
    assert place_of(made) == Place("run", "load-1", 3, 2)
    assert place_of(work(None)) is None


def test_others_may_speak_for_it():
    with speaking_of(Place("run", "a"), Place("other", "b")):
        assert places() == (Place("run", "a"), Place("other", "b"))
        assert place_in({"other"}) == Place("other", "b")
        assert place_in({"third"}) is None
    with speaking_of():
        assert place_in({"other"}) is NOWHERE
    assert places() == ()


class Places(logging.Handler):
    """Remembers where records came from."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[Place, ...]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((record.getMessage(), places()))


@pytest.mark.parametrize(
    ("place", "own"),
    [(None, Place("run", "load-1", 3, 2)), (Place("run", "load-1", 3, 2), None)],
    ids=["of the context", "of the worker"],
)
def test_a_record_of_another_process_keeps_its_place(place, own):
    sent: list[bytes] = []
    forwarder = RecordForwarder(lambda fields: sent.append(pickle.dumps(fields)))
    forwarder.place = place
    record = logging.LogRecord("far.away", logging.WARNING, "", 0, "said", None, None)
    if own is None:
        forwarder.handle(record)
    else:
        with speaking_of(own):
            forwarder.handle(record)
    handler, logger = Places(), logging.getLogger("far.away")
    logger.addHandler(handler)
    try:
        replay(pickle.loads(sent[0]))
    finally:
        logger.removeHandler(handler)
    assert handler.found == [("said", (Place("run", "load-1", 3, 2),))]
