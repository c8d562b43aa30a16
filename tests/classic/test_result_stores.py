"""Result stores, section 7.3 of the classic reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, config, task
from headrace.exceptions import ResultLocationError
from headrace.results import LocalResult, Result
from headrace.states import State


@task
def numbers():
    return [1, 2, 3]


@task
def total(xs):
    return sum(xs)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, which is the home folder as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def state_of(result: Any = None, *, flow_result: Any = None, **run_options: Any) -> State:
    """Run one task with a result, in a flow with another, and return its state."""
    with Flow("daily", result=flow_result) as flow:
        made = numbers(task_args={} if result is None else {"result": result})
    state: State = flow.run(**run_options).result[made]
    return state


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# LocalResult


def test_a_local_result_makes_its_folder_and_writes_there(folder):
    state = state_of(LocalResult(dir="a/b"))
    assert len(files(folder / "a" / "b")) == 1
    assert state.result == [1, 2, 3]


def test_the_folder_is_the_first_argument(folder):
    assert LocalResult("kept").dir == "kept"


def test_without_a_folder_results_lie_in_the_project(folder):
    """A departure: the classic folder is in the home folder."""
    state_of(LocalResult())
    assert len([name for name in files(folder / ".headrace" / "results") if name.endswith(".result")]) == 1


def test_a_folder_inside_of_the_home_folder_is_not_replaced(folder):
    """A departure: the classic engine takes the default instead, silently."""
    state_of(LocalResult(str(folder / ".headrace" / "mine")))
    assert len(files(folder / ".headrace" / "mine")) == 1


def test_by_default_a_location_names_flow_run_and_task():
    """A departure: the classic location is a time."""
    flow_name, run_id, name = str(state_of(LocalResult("kept"), run_name="r").location).split("/")
    assert (flow_name, len(run_id), name) == ("daily", 36, "numbers-1.result")


def test_the_location_of_a_state_is_one_inside_of_the_store(folder):
    """A departure: the classic location becomes the whole path."""
    location = state_of(LocalResult("kept", location="{flow_name}/numbers.pickle")).location
    assert location == "daily/numbers.pickle"
    assert files(folder / "kept") == ["daily/numbers.pickle"]


def test_a_result_with_a_location_holds_what_the_serializer_made_and_nothing_else(folder):
    state_of(LocalResult("kept", location="numbers.json", serializer="json"))
    assert json.loads((folder / "kept" / "numbers.json").read_text()) == [1, 2, 3]


# Where a result goes


def test_the_result_of_the_task_wins_over_that_of_the_flow(folder):
    state_of(LocalResult("task"), flow_result=LocalResult("flow"))
    assert (len(files(folder / "task")), (folder / "flow").exists()) == (1, False)


def test_a_task_without_a_result_has_that_of_the_flow(folder):
    state_of(flow_result=LocalResult("flow"))
    assert len(files(folder / "flow")) == 1


def test_one_result_of_a_flow_serves_all_of_its_tasks(folder):
    with Flow("f", result=LocalResult("flow")) as flow:
        total(numbers())
    flow.run()
    assert len(files(folder / "flow")) == 2


def test_without_any_result_values_stay_in_memory(folder):
    state = state_of()
    assert (state.result, state.location, files(folder)) == ([1, 2, 3], None, [])


def test_a_bare_result_says_nothing_about_where_and_leaves_values_in_memory(folder):
    state = state_of(Result())
    assert (state.result, state.location, files(folder)) == ([1, 2, 3], None, [])


def test_the_configuration_can_name_a_store_for_all_flows(folder):
    """A departure: the classic engine has no default for all."""
    with config.set_temporary_config({"results.store": "file:shared"}):
        state_of()
    assert len(files(folder / "shared")) == 1


# Templates


def test_locations_are_filled_in_from_parameters_context_and_inputs_the_later_winning(folder):
    @task(result=LocalResult("kept", location="{name}/{stage}/{day}.pickle"))
    def note(name):
        return name

    with Flow("f") as flow:
        for each in ("name", "stage", "day"):
            flow.add_task(Parameter(each, default="of the parameter"))
        note("of the input")
    flow.run(context={"stage": "of the context", "name": "of the context"})
    assert files(folder / "kept") == ["of the input/of the context/of the parameter.pickle"]


def test_a_location_with_a_key_that_nothing_has_fails_the_task():
    state = state_of(LocalResult("kept", location="{nothing}.pickle"))
    assert state.is_failed()
    assert isinstance(state.result, ResultLocationError)


def test_a_location_may_be_a_function_of_keywords(folder):
    state_of(LocalResult("kept", location=lambda **names: f"{names['task_name']}.pickle"))
    assert files(folder / "kept") == ["numbers.pickle"]


def test_a_location_may_be_a_function_of_the_names_it_needs(folder):
    """A departure: the classic function has to take everything."""
    state_of(LocalResult("kept", location=lambda flow_name: f"{flow_name}.pickle"))
    assert files(folder / "kept") == ["daily.pickle"]


def test_each_child_of_a_map_has_a_location_of_its_own(folder):
    with Flow("f") as flow:
        total.map([[1], [2]], task_args={"result": LocalResult("kept", location="{map_index}.pickle")})
    flow.run()
    assert files(folder / "kept") == ["0.pickle", "1.pickle"]


# Other stores


def test_a_store_is_named_by_a_url_as_well(folder):
    state_of("file:kept")
    assert len(files(folder / "kept")) == 1


def test_a_run_can_be_told_another_store(folder):
    state_of(flow_result=LocalResult("flow"), results="file:run")
    assert (len(files(folder / "run")), (folder / "flow").exists()) == (1, False)


def test_results_in_memory_have_a_location_and_leave_no_file(folder):
    state = state_of("memory:")
    assert state.location is not None
    assert files(folder) == []


def test_a_store_that_no_plugin_offers_is_an_error_before_anything_runs():
    with pytest.raises(LookupError, match="'s3'"):
        state_of("s3://bucket/results")
