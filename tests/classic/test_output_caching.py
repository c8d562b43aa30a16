"""Output caching, section 5.3 of the classic reference."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, caching, context, signals, task
from headrace.engine import Engine
from headrace.states import Cached, State, Success
from headrace.testing import VirtualClock


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose cache is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Calls:
    """A cached task that notes its calls."""

    def __init__(self, **options: Any) -> None:
        self.seen: list[Any] = []
        self.task = task(self.call, **{"name": "calls", "cache_for": 60, "cache_key": "calls", **options})

    def call(self, x: Any = None) -> Any:
        self.seen.append(x)
        return f"{x} of call {len(self.seen)}"

    def run(self, x: Any = None, **options: Any) -> State:
        with Flow("f") as flow:
            made = self.task(x)
        state: State = flow.run(**options).result[made]
        return state


# The bucket


def test_without_a_key_the_name_of_the_task_is_the_bucket():
    @task(cache_for=60)
    def load(x):
        return x

    found = []
    for name in ("one flow", "another flow"):
        with Flow(name) as flow:
            loaded = load(1)
        found.append(type(flow.run().result[loaded]))
    assert found == [Success, Cached]


def test_tasks_that_name_the_same_key_share_a_bucket():
    one, other = Calls(name="one"), Calls(name="other")
    one.run(1)
    assert type(other.run(1)) is Cached
    assert other.seen == []


def test_calling_run_by_hand_neither_reads_nor_fills_the_cache():
    calls = Calls()
    calls.task.run(1)
    assert type(calls.run(1)) is Success
    calls.task.run(1)
    assert calls.seen == [1, 1, 1]


# Reading


def test_a_state_that_is_given_is_looked_at_before_the_bucket():
    calls = Calls(cache_validator=caching.duration_only)
    calls.run(1)
    with Flow("f") as flow:
        made = calls.task(1)
    state = flow.run(task_states={made: Cached(result="given")}).result[made]
    assert (type(state), state.result) == (Cached, "given")


def test_if_that_is_not_valid_the_bucket_is_looked_through():
    calls = Calls(cache_validator=caching.all_inputs)
    calls.run(1)
    with Flow("f") as flow:
        made = calls.task(1)
    state = flow.run(task_states={made: Cached(result="given", hashed_inputs={"x": "other"})}).result[made]
    assert (type(state), state.result) == (Cached, "1 of call 1")


def test_a_first_run_warns_of_nothing(caplog):
    with caplog.at_level(logging.DEBUG, "headrace"):
        Calls().run(1)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_is_found_goes_to_the_tasks_downstream():
    calls = Calls()
    calls.run(1)
    with Flow("f") as flow:
        last = task(lambda x: x.upper(), name="last")(calls.task(1))
    assert flow.run().result[last].result == "1 OF CALL 1"


# Writing


def test_an_entry_holds_hashes_of_the_inputs_the_parameters_and_the_expiration():
    clock = VirtualClock()
    began = clock.now()
    calls = Calls(cache_validator=caching.all_inputs)
    with Flow("f") as flow:
        made = calls.task(Parameter("n"))
    engine = Engine(clock=clock)
    flow.run(n=5, engine=engine)
    state = flow.run(n=5, engine=engine).result[made]
    assert list(state.hashed_inputs) == ["x"]
    assert "5" not in state.hashed_inputs.values()
    assert state.cached_parameters == {"n": 5}
    assert state.cached_result_expiration.timestamp() == began + 60


def test_a_new_result_takes_the_place_of_one_that_has_expired():
    clock = VirtualClock()
    engine = Engine(clock=clock)
    calls = Calls()
    calls.run(1, engine=engine)
    clock.advance(61)
    assert calls.run(1, engine=engine).result == "1 of call 2"
    assert calls.run(1, engine=engine).result == "1 of call 2"


@pytest.mark.parametrize("signal", [signals.SKIP(), signals.FAIL(), signals.ENDRUN(Success(result=5))])
def test_only_what_a_task_computed_is_cached(signal, project):
    def end() -> None:
        raise signal

    with Flow("f") as flow:
        task(end, name="end", cache_for=60)()
    flow.run()
    assert list(project.rglob("*.entry")) == []


# Validators


@pytest.mark.parametrize(
    "name",
    [
        "never_use",
        "duration_only",
        "all_inputs",
        "all_parameters",
        "partial_inputs_only",
        "partial_parameters_only",
    ],
)
def test_every_validator_is_called_with_state_inputs_and_parameters(name):
    validator = getattr(caching, name)
    assert validator(Cached(hashed_inputs={}, cached_parameters={}), {}, {}) is (name != "never_use")


def test_a_validator_of_ones_own_gets_state_inputs_and_parameters():
    seen: list[Any] = []

    def look(state: State, inputs: Any, parameters: Any) -> bool:
        seen.append((state.result, inputs, parameters))
        return True

    calls = Calls(cache_validator=look)
    with Flow("f") as flow:
        calls.task(Parameter("n"))
    flow.run(n=5)
    flow.run(n=6)
    assert seen == [("5 of call 1", {"x": 6}, {"n": 6})]


def test_mapped_siblings_keep_their_own_results_even_if_only_the_duration_counts():
    @task(cache_for=60, cache_validator=caching.duration_only)
    def number(x):
        return x

    with Flow("f") as flow:
        numbers = number.map([1, 2, 3])
    flow.run()
    state = flow.run().result[numbers]
    assert (state.result, [type(child) for child in state.map_states]) == ([1, 2, 3], [Cached] * 3)


# Bad input


def test_an_argument_that_cannot_be_hashed_is_named_with_its_place_and_what_to_do():
    with Flow("f") as flow:
        made = task(lambda rows: rows, name="made", cache_for=60)([{"day": 1, "rows": (row for row in "ab")}])
    state = flow.run().result[made]
    assert state.is_failed()
    assert isinstance(state.result, TypeError)
    message = str(state.message)
    assert 'rows[0]["rows"] is of type generator' in message
    assert "leave the argument out of what the cache compares" in message


def test_a_result_that_cannot_be_cached_fails_its_task_and_says_what_is_in_the_way():
    with Flow("f") as flow:
        made = task(lambda: {"rows": (x for x in "ab")}, name="made", cache_for=60)()
    state = flow.run().result[made]
    assert isinstance(state.result, TypeError)
    message = str(state.result)
    assert "The result of task 'made' cannot be stored" in message
    assert 'value["rows"] (type generator)' in message
    assert "leave out `cache_for`" in message


def test_nothing_of_the_cache_is_in_the_context():
    assert "caches" not in context
