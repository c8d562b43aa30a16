"""What tasks log and print reaches the log of the run: with the outcome, or sooner if the task goes on."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter

import cloudpickle
import pytest
import ray

from headrace import Flow, context, task
from headrace.log import original_stream
from headrace_plugins.sqlite.store import SQLiteRunStore
from headrace_ray import RayExecutor


@pytest.fixture(scope="module", autouse=True)
def _helpers_travel():
    """Let workers have the functions of this file, which they cannot import."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def test_lines_come_with_the_outcome_in_order(desk, caplog):
    def talk():
        for number in range(5):
            logging.getLogger("of.the.test").warning("line %d", number)

    desk.outcomes(talk)
    assert [line for line in caplog.messages if line.startswith("line")] == [f"line {number}" for number in range(5)]


def test_lines_of_a_task_that_goes_on_come_before_it_ends(desk, caplog, tmp_path):
    def talk():
        logging.getLogger("of.the.test").warning("early line")
        deadline = time.monotonic() + 30
        while not (tmp_path / "go").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        logging.getLogger("of.the.test").warning("late line")

    desk.submit(talk)
    deadline = time.monotonic() + 25
    while "early line" not in caplog.messages:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "late line" not in caplog.messages
    (tmp_path / "go").touch()
    desk.collect(1)
    assert [line for line in caplog.messages if line.endswith(" line")] == ["early line", "late line"]


def test_of_a_task_whose_worker_dies_the_lines_of_the_last_second_are_lost(desk, caplog):
    def talk():
        logging.getLogger("of.the.test").warning("early line")
        time.sleep(6)
        logging.getLogger("of.the.test").warning("last words")
        os._exit(1)

    desk.outcomes(talk)
    assert "early line" in caplog.messages
    assert "last words" not in caplog.messages


def test_levels_are_those_of_the_driver(desk, caplog):
    def talk():
        logging.getLogger("of.the.test").info("nobody wants this")
        logging.getLogger("of.the.test").warning("wanted")

    caplog.set_level(logging.WARNING, "of.the.test")
    desk.outcomes(talk)
    assert "wanted" in caplog.messages
    assert "nobody wants this" not in caplog.messages


# -- prints, of runs that are recorded ---------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path):
    """Return what runs a function as a task, mapped over ``values``, and returns the records that were kept of it."""

    def run(function, values, **task_args):
        with Flow("recorded") as flow:
            task(function, name="talk", **task_args).map(values)
        with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
            flow.run(executor=RayExecutor(), record=store)
            return list(store.logs(store.run("latest").id))

    return run


def told(records):
    """Return who said what, with the logger."""
    return [(each.map_index, each.logger, each.text) for each in records]


def test_prints_of_mapped_tasks_are_kept_with_each_of_them(kept):
    records = kept(lambda number: print("nap", number), list(range(20)))
    assert sorted(told(records)) == [(number, "stdout", f"nap {number}") for number in range(20)]
    assert {(each.attempt, each.level) for each in records} == {(1, logging.INFO)}
    assert -1 not in {each.node for each in records}


def test_what_is_said_is_kept_in_order_line_by_line(kept):
    def talk(number):
        print("one\ntwo", number)
        context.logger.warning("three")
        print("four", file=sys.stderr)
        print("five", end="")

    records = kept(talk, [7])
    assert [(logger, text) for _, logger, text in told(records)] == [
        ("stdout", "one"),
        ("stdout", "two 7"),
        ("headrace.talk[0]", "three"),
        ("stderr", "four"),
        ("stdout", "five"),
    ]
    assert [each.level for each in records][2:4] == [logging.WARNING, logging.WARNING]


def test_each_attempt_has_what_it_printed(kept):
    def talk(number):
        print("attempt", context.task_run_count, end="")
        if context.task_run_count == 1:
            raise ValueError(number)

    records = kept(talk, [0], max_retries=1, retry_delay=0.01)
    assert [(each.attempt, each.text) for each in records if each.logger == "stdout"] == [
        (1, "attempt 1"),
        (2, "attempt 2"),
    ]


def test_in_a_batch_each_has_its_own(kept):
    def talk(number):
        print("nap", number, ray.get_runtime_context().get_task_id(), end="")

    records = kept(talk, list(range(600)))
    said = {each.map_index: each.text.split() for each in records}
    assert {number: words[:2] for number, words in said.items()} == {n: ["nap", str(n)] for n in range(600)}
    assert len(records) == 600
    assert len({words[2] for words in said.values()}) < 600


def test_prints_of_threads_are_those_of_the_task_that_runs(kept):
    def talk(number):
        thread = threading.Thread(target=print, args=("from a thread", number))
        thread.start()
        thread.join()

    assert told(kept(talk, [1])) == [(0, "stdout", "from a thread 1")]


def test_prints_of_a_task_that_goes_on_have_the_moment_at_which_they_were_made(kept):
    def talk(number):
        print("early")
        time.sleep(5)
        print("late")

    early, late = kept(talk, [0])
    assert (early.text, late.text) == ("early", "late")
    assert 4.5 < late.at - early.at < 6


def test_with_log_stdout_prints_are_kept_once_as_records(kept, caplog):
    caplog.set_level(logging.INFO, "headrace")

    def talk(number):
        print("logged", number)
        print("printed", number, file=sys.stderr)

    assert told(kept(talk, [3], log_stdout=True)) == [
        (0, "headrace.talk[0]", "logged 3"),
        (0, "stderr", "printed 3"),
    ]


def test_what_a_handler_in_the_worker_writes_is_kept_once(kept):
    def talk(number):
        logger = logging.getLogger("of.the.test")
        logger.addHandler(logging.StreamHandler(sys.stdout))
        logger.warning("record %s", number)
        logger.handlers.clear()

    assert told(kept(talk, [3])) == [(0, "of.the.test", "record 3")]


def has_stand_in(_):
    """Tell whether somebody listens to what is printed here."""
    return original_stream("stdout") is not sys.stdout


def test_in_a_run_that_is_not_recorded_nobody_listens(kept, desk):
    def talk(number):
        print("somebody listens:", has_stand_in(number))

    assert [text for _, _, text in told(kept(talk, [0]))] == ["somebody listens: True"]
    (state,) = desk.outcomes(has_stand_in, _=0)
    assert state.result is False


_SCRIPT = """
import json
from headrace import Flow, task
from headrace_plugins.sqlite.store import SQLiteRunStore
from headrace_ray import RayExecutor

@task
def talk(number):
    print("nap", number)
    if number == 3:
        print("shown too")

with Flow("script") as flow:
    talk.map(list(range(5)))

executor = RayExecutor(num_cpus=2, init_kwargs={"object_store_memory": 80 * 2**20})
with SQLiteRunStore("sqlite:runs.db") as store:
    flow.run(executor=executor, record=store)
    said = [(each.map_index, each.text) for each in store.logs(store.run("latest").id)]
print(json.dumps(said))
"""


def test_what_ray_shows_of_prints_is_not_kept_a_second_time(tmp_path):
    (tmp_path / "script.py").write_text(_SCRIPT)
    command = [sys.executable, "script.py"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    *rest, last = ran.stdout.splitlines()
    assert any("shown too" in line for line in rest)
    said = json.loads(last)
    assert Counter(text for _, text in said) == Counter([*(f"nap {number}" for number in range(5)), "shown too"])
    assert [index for index, text in said if text == "shown too"] == [3]
