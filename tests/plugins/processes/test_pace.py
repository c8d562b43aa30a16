"""What may wait for what."""

from __future__ import annotations

from headrace_plugins.processes.pace import LONGEST_QUEUE, Pace


def test_nothing_waits_for_a_task_that_has_not_run():
    assert not Pace().is_quick("new")


def test_a_task_is_quick_once_its_runs_are_short():
    pace = Pace()
    pace.note("task", 0.0001)
    assert pace.is_quick("task")


def test_a_task_is_slow_again_when_its_runs_have_become_long():
    pace = Pace()
    for seconds in (0.0001, 0.0001, 0.5):
        pace.note("task", seconds)
    assert not pace.is_quick("task")


def test_a_task_that_others_had_to_wait_for_is_slow_for_a_while():
    pace = Pace()
    pace.note("task", 0.0001)
    pace.note_delay("task")
    pace.note("task", 0.0001)
    assert not pace.is_quick("task")
    for _ in range(50):
        pace.note("task", 0.0001)
    assert pace.is_quick("task")


def test_workers_get_queues_only_where_runs_are_short():
    pace = Pace()
    assert pace.depth == 2
    pace.note("task", 0.0)
    assert pace.depth >= LONGEST_QUEUE
    pace.note("other", 1.0)
    assert pace.depth == 2
