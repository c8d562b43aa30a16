"""Targets, results of single tasks, serializers and locations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, task
from headrace.abc import Serializer
from headrace.exceptions import (
    DefinitionTypeError,
    FlowDefinitionError,
    PluginNotFoundError,
    ResultError,
    ResultLocationError,
    TaskDefinitionError,
)
from headrace.results import LocalResult, Result
from headrace.states import Cached, State, Success
from headrace.templates import placeholders
from headrace_plugins.file import FileStore


class Json(Serializer):
    def serialize(self, value: object) -> bytes:
        return json.dumps(value).encode()

    def deserialize(self, data: bytes) -> object:
        return json.loads(data)


class Calls:
    def __init__(self, value: Any = "made", **options: Any) -> None:
        self.count = 0
        self.value = value
        self.task = task(self.call, **{"name": "report", "serializer": Json(), **options})

    def call(self, x: Any = None) -> Any:
        self.count += 1
        return self.value


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(work: Task, *args: Any, **options: Any) -> State:
    with Flow("f") as flow:
        result = work(*args)
    state: State = flow.run(**options).result[result]
    return state


class TestTargets:
    def test_the_result_is_written_as_the_serializer_makes_it(self, folder):
        state = run(Calls({"a": 1}, target="out/report.json", result="file:results").task)
        assert (type(state), state.location) == (Success, "out/report.json")
        assert json.loads((folder / "results" / "out" / "report.json").read_text()) == {"a": 1}

    def test_what_is_there_is_the_result_and_the_task_does_not_run(self, folder):
        (folder / "results").mkdir()
        (folder / "results" / "report.json").write_text('"from elsewhere"')
        calls = Calls(target="report.json", result="file:results")
        state = run(calls.task)
        assert (type(state), state.result, calls.count) == (Cached, "from elsewhere", 0)
        assert "report.json" in (state.message or "")

    def test_none_is_written_too(self):
        calls = Calls(None, target="report.json", result="file:results")
        assert [type(run(calls.task)) for _ in range(2)] == [Success, Cached]

    def test_a_target_takes_the_place_of_the_cache(self, folder):
        run(Calls(target="report.json", result="file:results", cache_for=60).task)
        assert not (folder / ".headrace").exists()

    def test_a_hit_never_expires(self):
        state: Any = [run(Calls(target="r", result="file:results").task) for _ in range(2)][1]
        assert state.cached_result_expiration is None

    def test_the_store_of_the_run_serves_as_well(self, folder):
        run(Calls(target="report.json").task, results="file:results")
        assert (folder / "results" / "report.json").is_file()
        assert len(list((folder / "results").iterdir())) == 1

    def test_a_failure_writes_nothing(self, folder):
        @task(target="report.json", result="file:results")
        def fails() -> None:
            raise ValueError

        assert run(fails).is_failed()
        assert not (folder / "results").exists()

    def test_without_checkpoints_it_is_read_and_not_written(self, folder):
        run(Calls(target="report.json", result="file:results", checkpoint=False).task)
        assert not (folder / "results").exists()

    def test_what_cannot_be_read_fails_the_task_and_says_what_to_do(self, folder):
        (folder / "results").mkdir()
        (folder / "results" / "report.json").write_text("{")
        state = run(Calls(target="report.json", result="file:results").task)
        assert isinstance(state.result, ResultError)
        assert "report.json" in str(state.result)
        assert "Remove it" in str(state.result)

    def test_what_cannot_be_serialized_fails_the_task(self, folder):
        state = run(Calls({1, 2}, target="report.json", result="file:results").task)
        assert isinstance(state.result, TypeError)
        assert not (folder / "results").exists()

    def test_a_released_value_is_read_back_and_checked(self, folder):
        with Flow("f") as flow:
            result = Calls(["long"], target="report.json", result="file:results").task()
            task(lambda x: None, name="reader")(result)
        state = flow.run(keep_results="none").result[result]
        assert state.result == ["long"]
        (folder / "results" / "report.json").write_text('["changed"]')
        with pytest.raises(ResultError, match="digest"):
            _ = state.result

    def test_a_coroutine_may_have_one(self):
        count = 0

        @task(target="report", result="file:results")
        async def report() -> int:
            nonlocal count
            count += 1
            return 5

        assert [run(report).result for _ in range(2)] == [5, 5]
        assert count == 1

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may")
    def test_a_disk_that_refuses_fails_the_task_and_names_the_path(self):
        state = run(Calls(target="report.json", result="file:/proc/headrace").task)
        assert isinstance(state.result, ResultError)
        assert "/proc/headrace/report.json" in str(state.result)


class TestTemplates:
    def located(self, target: Any, x: Any = None, **options: Any) -> State:
        with Flow("f") as flow:
            flow.add_task(Parameter("day", default="mon"))
            flow.add_task(Parameter("x", default="parameter"))
            result = Calls(target=target, result="file:results").task(x)
        state: State = flow.run(**options).result[result]
        return state

    def test_arguments_win_over_context_and_context_over_parameters(self):
        assert self.located("{x}", "argument", context={"x": "context"}).location == "argument"
        assert self.located("{day}-{flow_name}-{task_name}", day="tue").location == "tue-f-report"
        assert self.located("{day}", context={"day": "context"}).location == "context"

    def test_formats_and_items_are_understood(self):
        assert self.located("{x[a]:03d}.json", {"a": 7}).location == "007.json"

    def test_a_function_gets_what_it_names(self):
        assert self.located(lambda x, day, task_name: f"{x}/{day}/{task_name}", "a").location == "a/mon/report"

    def test_a_function_with_keywords_gets_everything(self):
        assert (
            self.located(lambda **names: f"{names['x']}/{names['flow_name']}/{names['day']}", 1).location == "1/f/mon"
        )

    def test_a_missing_key_fails_the_task_and_is_named_with_the_nearest(self):
        state = self.located("{dya}.json")
        assert isinstance(state.result, ResultLocationError)
        assert "'dya'" in str(state.result)
        assert "Did you mean 'day'?" in str(state.result)

    @pytest.mark.parametrize("x", ["../../outside", "/etc/passwd", "a/../../b"])
    def test_a_location_that_leaves_the_store_fails_the_task_and_is_named(self, x, folder):
        state = self.located("{x}", x)
        assert isinstance(state.result, ResultLocationError)
        assert state.result.message == (
            f"The target of task 'report' is '{{x}}', which makes {x!r}, and that is not inside of its store."
        )
        assert "relative path" in str(state.result.hint)
        assert list(folder.iterdir()) == []

    @pytest.mark.parametrize(("target", "said"), [("{x.no}", "AttributeError"), ("{x[9]}", "IndexError")])
    def test_a_value_without_the_part_that_is_asked_for_is_not_called_missing(self, target, said):
        state = self.located(target, "abc")
        assert isinstance(state.result, ResultLocationError)
        assert f"is {target!r}, which cannot be filled in: {said}" in str(state.result)

    @pytest.mark.parametrize("target", [lambda: None, lambda: 5])
    def test_a_function_that_gives_no_text_fails_the_task(self, target):
        assert isinstance(self.located(target).result, ResultLocationError)

    def test_a_function_that_raises_fails_the_task(self):
        def broken(**names: Any) -> str:
            raise ZeroDivisionError

        assert isinstance(self.located(broken).result, ZeroDivisionError)

    @pytest.mark.parametrize("target", ["{", "a}b", "{}", "{0}", ""])
    def test_what_is_no_template_is_refused_at_once(self, target):
        with pytest.raises(TaskDefinitionError, match="target"):
            Task(target=target)

    def test_placeholders_are_found_in_formats_too(self):
        assert placeholders("{a.b}-{c[d]}-{e:{f}}-{{g}}") == {"a", "c", "e", "f"}


class TestMapped:
    def test_each_child_has_a_target_of_its_own(self, folder):
        with Flow("f") as flow:
            Calls(target="{x}/{map_index}.json", result="file:results").task.map(["a", "b"])
        flow.run()
        assert sorted(p.relative_to(folder / "results").as_posix() for p in folder.rglob("*.json")) == [
            "a/0.json",
            "b/1.json",
        ]

    def test_a_target_that_does_not_tell_children_apart_is_refused_before_anything_runs(self):
        calls = Calls(target="{day}/{task_name}.json", result="file:results")
        with Flow("f") as flow:
            flow.add_task(Parameter("day", default=1))
            calls.task.map(["a", "b"])
        with pytest.raises(TaskDefinitionError, match="map_index"):
            flow.run()
        assert calls.count == 0


class TestResults:
    def test_without_a_store_a_target_is_refused_before_anything_runs(self):
        calls = Calls(target="report.json")
        with pytest.raises(FlowDefinitionError, match="'report' has a target"):
            run(calls.task)
        assert calls.count == 0

    @pytest.mark.parametrize(
        "make",
        [
            lambda: "file:own",
            lambda: FileStore("file:own"),
            lambda: LocalResult("own"),
            lambda: Result(store="file:own"),
        ],
    )
    def test_a_task_may_have_a_store_of_its_own(self, make, folder):
        with Flow("f", results="file:shared") as flow:
            result = Calls(result=make()).task()
            task(lambda x: x, name="other")(result)
        state = flow.run(keep_results="none")
        assert (folder / "own" / state.result[result].location).is_file()
        assert state.result[result].result == "made"
        assert len([p for p in (folder / "shared").rglob("*") if p.is_file()]) == 1

    def test_the_location_of_a_result_is_written_and_never_read(self, folder):
        calls = Calls(result=LocalResult("own", location="{task_name}.json"))
        assert [type(run(calls.task)) for _ in range(2)] == [Success, Success]
        assert (folder / "own" / "report.json").read_text() == '"made"'

    def test_a_target_wins_over_the_location_of_a_result_with_a_warning(self, folder):
        with pytest.warns(UserWarning, match="target counts"):
            calls = Calls(target="a", result=LocalResult("own", location="b"))
        run(calls.task)
        assert [path.name for path in (folder / "own").iterdir()] == ["a"]

    def test_a_local_result_without_a_folder_is_in_the_project(self, folder):
        run(Calls(target="report.json", result=LocalResult()).task)
        assert (folder / ".headrace" / "results" / "report.json").is_file()

    def test_a_folder_with_odd_characters_is_taken_literally(self, folder):
        run(Calls(target="r", result=LocalResult("a b#c?d%20")).task)
        assert (folder / "a b#c?d%20" / "r").is_file()

    def test_a_flow_takes_a_store_a_result_and_the_classic_name(self, folder):
        flows = {"one": Flow("f", results=FileStore("file:one")), "two": Flow("f", result=LocalResult("two"))}
        for name, flow in flows.items():
            with flow:
                task(lambda: 1, name="t")()
            flow.run()
            assert (folder / name).is_dir()

    def test_both_names_at_once_are_refused(self):
        with pytest.raises(FlowDefinitionError, match="both"):
            Flow("f", results="file:a", result="file:b")

    @pytest.mark.parametrize("options", [{"result": 5}, {"serializer": 5}, {"target": 5}])
    def test_a_wrong_type_is_refused(self, options):
        with pytest.raises(DefinitionTypeError, match=next(iter(options))):
            Task(**options)

    def test_an_unknown_serializer_is_an_error_before_anything_runs(self):
        with pytest.raises(PluginNotFoundError, match="nosuch"):
            run(Calls(serializer="nosuch", target="r", result="file:results").task)


class TestSerializers:
    def written(self, folder: Path, **options: Any) -> bytes:
        flow_options = {key.removeprefix("flow_"): options.pop(key) for key in list(options) if key.startswith("flow_")}
        with Flow("f", **flow_options) as flow:
            task(lambda: [1], name="t", target="t", **options)()
        flow.run(results="file:results")
        return (folder / "results" / "t").read_bytes()

    def test_pickle_is_what_there_is_without_a_choice(self, folder):
        assert self.written(folder).startswith(b"\x80")

    def test_the_task_has_the_first_say_then_its_result_then_the_flow(self, folder):
        class Marked(Json):
            def __init__(self, mark: bytes) -> None:
                self.mark = mark

            def serialize(self, value: object) -> bytes:
                return self.mark

        ways: list[dict[str, Any]] = [
            {"serializer": Marked(b"task")},
            {"result": Result(serializer=Marked(b"result"))},
            {"flow_serializer": Marked(b"flow")},
        ]
        found = []
        for count in range(3):
            merged: dict[str, Any] = {}
            for way in ways[count:]:
                merged |= way
            found.append(self.written(folder, **merged))
            (folder / "results" / "t").unlink()
        assert found == [b"task", b"result", b"flow"]

    def test_the_configured_one_serves_otherwise(self, folder, monkeypatch):
        from headrace import Engine, config

        with config.set_temporary_config({"results.serializer": "nosuch"}), pytest.raises(PluginNotFoundError):
            with Flow("f") as flow:
                task(lambda: 1, target="t", result="file:results", name="t")()
            flow.run(engine=Engine())

    def test_the_configured_location_is_a_folder_for_each_run(self, folder):
        from headrace import Engine, config

        with config.set_temporary_config({"results.location": "{flow_name}/{day}", "results.store": "file:results"}):
            with Flow("f") as flow:
                flow.add_task(Parameter("day", default="mon"))
                task(lambda: 1, name="t")()
                task(lambda x: 1, name="m").map([1, 2])
            flow.run(engine=Engine())
        assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.result")) == [
            "results/f/mon/m-1/0.result",
            "results/f/mon/m-1/1.result",
            "results/f/mon/t-1.result",
        ]
