"""Work taken apart: what is sent once, and what is not kept."""

from __future__ import annotations

import gc
import threading
import weakref

from headrace import Flow, Task, task
from headrace.engine.worker import Work
from headrace.remote import Courier, Workshop


class Value:
    pass


@task
def take(value):
    return value


def work(called: Task, value: object) -> Work:
    return Work(1, called, "take-1", {"value": value}, -1, 1, None, False, None, None)


def test_what_a_task_is_called_with_is_not_kept():
    courier, value = Courier(), Value()
    courier.parts(work(take, value))
    gone = weakref.ref(value)
    del value
    gc.collect()
    assert gone() is None


def test_what_two_calls_of_a_task_have_in_common_is_sent_once():
    with Flow("twice") as flow:
        take(1)
        take(2)
    courier = Courier()
    first, second = (courier.parts(work(each, 1)) for each in flow.sorted_tasks())
    assert first is second


def test_state_handlers_stay_with_the_driver():
    """They are called there, and may hold what cannot be pickled."""
    lock = threading.Lock()
    handled = take.copy(state_handlers=[lambda _task, _old, new: new if lock.locked() else None])
    courier, workshop = Courier(), Workshop()
    run, part = courier.parts(work(handled, 5))
    workshop.add(run)
    workshop.add(part)
    assert workshop.work(run.id, part.id, courier.call(work(handled, 5)))().state.result == 5
    assert len(handled.state_handlers) == 1


def test_a_workshop_can_forget_a_part():
    courier, workshop = Courier(), Workshop()
    run, part = courier.parts(work(take, 5))
    workshop.add(run)
    workshop.add(part)
    workshop.discard(part.id)
    workshop.discard(part.id)
    assert part.id not in workshop
    assert run.id in workshop
