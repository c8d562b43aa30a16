"""Tasks, sections 1.1 and 1.2 of the classic reference: what somebody who wrote them for the classic engine expects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, caching, config, context, flatten, mapped, signals, tags, task, unmapped
from headrace.exceptions import DefinitionTypeError, TaskDefinitionError
from headrace.results import LocalResult
from headrace.states import Skipped
from headrace.tasks import FunctionTask, defaults_from_attrs
from headrace.values import Constant, Dict, List, Set, Tuple


@task
def echo(x):
    return x


@task
def pair() -> tuple[int, str]:
    return 1, "a"


def returned(build: Callable[[], Task], **parameters: Any) -> Any:
    """Run a flow of what ``build`` makes, and return what that returned."""
    with Flow("f") as flow:
        made = build()
    state = flow.run(parameters).result[made]
    assert state.is_successful(), state
    return state.result


def names_and_defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


# 1.1 Constructor

CLASSIC: dict[str, Any] = {
    "name": None,
    "slug": None,
    "tags": None,
    "max_retries": None,
    "retry_delay": None,
    "retry_on": None,
    "timeout": None,
    "trigger": None,
    "skip_on_upstream_skip": True,
    "cache_for": None,
    "cache_validator": None,
    "cache_key": None,
    "checkpoint": None,
    "state_handlers": None,
    "on_failure": None,
    "log_stdout": False,
    "result": None,
    "target": None,
    "task_run_name": None,
    "nout": None,
}


def test_the_constructor_takes_the_classic_arguments_in_their_order_with_their_defaults():
    assert list(names_and_defaults(Task).items())[: len(CLASSIC)] == list(CLASSIC.items())


def test_what_is_new_comes_last():
    assert list(names_and_defaults(Task))[len(CLASSIC) :] == ["serializer", "resources", "resume"]


def test_a_task_gets_its_slug_when_it_joins_a_flow():
    one = Task(name="load", tags=["b", "a"])
    flow = Flow("f", tasks=[one])
    assert one.slug is None
    assert flow.slugs[one] == "load-a-b-1"


def test_configured_retries_of_false_are_none():
    with config.set_temporary_config({"tasks.defaults.max_retries": False}):
        assert Task().max_retries == 0


def test_retry_on_is_kept_as_a_set():
    kept = Task(max_retries=1, retry_delay=timedelta(0), retry_on=[KeyError, OSError]).retry_on
    assert kept is not None
    assert set(kept) == {KeyError, OSError}


def test_fractions_of_a_second_count_in_a_timeout_and_floats_do_too():
    """A departure: the classic engine takes whole seconds."""
    assert Task(timeout=timedelta(seconds=1.5)).timeout == Task(timeout=1.5).timeout == 1.5


def test_an_upstream_skip_is_looked_at_before_the_trigger_is_asked():
    asked: list[Any] = []

    @task
    def skip():
        raise signals.SKIP

    def ask(states: Any) -> bool:
        asked.append(states)
        return True

    with Flow("f") as flow:
        last = echo(skip(), task_args={"trigger": ask})
    assert type(flow.run().result[last]) is Skipped
    assert asked == []


def test_cache_for_alone_switches_caching_on_and_compares_all_inputs(tmp_path, monkeypatch):
    """A departure: the classic engine compares nothing but the time."""
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []

    @task(cache_for=timedelta(hours=1))
    def square(x):
        calls.append(x)
        return x * x

    assert square.cache_validator is caching.all_inputs
    assert [returned(lambda: square(2)), returned(lambda: square(2)), returned(lambda: square(3))] == [4, 4, 9]
    assert calls == [2, 3]


def test_a_validator_without_cache_for_warns_and_nothing_is_cached(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []
    with pytest.warns(UserWarning, match="`cache_for`"):
        count = task(lambda: calls.append(1), name="count", cache_validator=caching.all_inputs)
    returned(count)
    returned(count)
    assert calls == [1, 1]


def test_checkpoint_knows_three_values():
    assert [Task(checkpoint=given).checkpoint for given in (None, True, False)] == [None, True, False]


@pytest.mark.parametrize("target", ["{x}.txt", lambda x, **_: f"{x}.txt"])
def test_a_target_goes_to_the_store_of_the_result_which_stays_as_it_is(tmp_path, target):
    place = LocalResult(tmp_path)
    returned(lambda: echo("june", task_args={"result": place, "target": target}))
    assert [path.name for path in tmp_path.iterdir()] == ["june.txt"]
    assert place.location is None


def test_a_target_beside_a_result_with_another_location_warns():
    with pytest.warns(UserWarning, match="`target`"):
        Task(result=LocalResult(location="a"), target="b")


@pytest.mark.parametrize("name", ["{x} of {n}", lambda **known: f"{known['x']} of {known['n']}"])
def test_the_name_of_a_run_is_formatted_when_it_runs_and_found_in_the_context(name):
    tell = task(lambda x: context.task_run_name, name="tell", task_run_name=name)

    def build() -> Task:
        Parameter("n", default=7)()
        return tell(3)

    assert returned(build) == "3 of 7"


def test_the_number_of_outputs_is_read_from_the_annotation():
    assert pair.nout == 2
    with Flow("f") as flow:
        number, text = pair()
    states = flow.run().result
    assert (states[number].result, states[text].result) == (1, "a")


def test_a_child_of_a_map_is_no_tuple_to_unpack():
    with Flow("f"):
        assert task(lambda x: (x, x), nout=2).map([1]).nout is None


@pytest.mark.parametrize(("value", "kinds"), [([1], [List]), ((1,), [Tuple]), ({1}, [Set]), ({1: 1}, [List, Dict])])
def test_what_is_wrapped_automatically_says_so(value, kinds):
    with Flow("f") as flow:
        one = echo(1)
        for kind in (list, tuple, set):
            if isinstance(value, kind):
                echo(kind([one]))
        if isinstance(value, dict):
            echo({1: one})
        constant = echo.map([5])
    made = [each for each in flow.tasks if each.auto_generated]
    assert [type(each) for each in made] == [*kinds, Constant]
    assert not constant.auto_generated


def test_positional_only_arguments_are_refused_when_the_class_is_defined():
    """A departure: the classic engine refuses them when the task is made."""
    with pytest.raises(TypeError, match="position"):

        class Load(Task):
            def run(self, day, /): ...


@pytest.mark.parametrize("function", [print, max, zip])
def test_a_builtin_that_cannot_be_a_task_is_a_value_error_with_a_hint(function):
    with pytest.raises(ValueError, match="Wrap it in a Python function") as caught:
        task(function)
    assert isinstance(caught.value, TaskDefinitionError)
    assert repr(function.__name__) in str(caught.value)


def test_a_task_given_to_the_constructor_of_another_warns():
    class Load(Task):
        def __init__(self, day: Any) -> None:
            self.day = day
            super().__init__()

    with Flow("f"), pytest.warns(UserWarning, match="Load was given <Task: echo>"):
        Load(day=echo(1))


def test_an_attribute_that_the_constructor_will_overwrite_warns():
    class Load(Task):
        def __init__(self) -> None:
            self.max_retries = 3
            super().__init__()

    with pytest.warns(UserWarning, match="`max_retries`"):
        Load()


def test_python_branches_see_a_task_that_is_always_true():
    with Flow("f"):
        false: Any = echo(False)
        assert bool(false) is True
        assert (false or 5) is false


# 1.2 Methods


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("bind", ["args", "mapped", "upstream_tasks", "flow", "kwargs"]),
        ("__call__", ["args", "mapped", "task_args", "upstream_tasks", "flow", "kwargs"]),
        ("map", ["args", "upstream_tasks", "flow", "task_args", "kwargs"]),
        ("copy", ["task_args"]),
        (
            "set_dependencies",
            ["flow", "upstream_tasks", "downstream_tasks", "keyword_tasks", "mapped", "validate"],
        ),
        ("set_upstream", ["task", "flow", "key", "mapped"]),
        ("set_downstream", ["task", "flow", "key", "mapped"]),
        ("inputs", []),
        ("outputs", []),
        ("serialize", []),
        ("is_equal", ["other"]),
        ("is_not_equal", ["other"]),
        ("not_", []),
        ("or_", ["other"]),
    ],
)
def test_methods_take_the_classic_arguments(method, names):
    assert list(names_and_defaults(getattr(Task(), method))) == names


def test_calling_is_copying_and_binding():
    original = Task(name="load", slug="load", tags=["a"])
    with Flow("f") as flow, tags("b"):
        made = original(task_args={"name": "again"})
    assert (made.name, made.slug, made.tags) == ("again", "load-copy", {"a", "b"})
    assert list(flow.tasks) == [made]
    assert original.tags == {"a"}


def test_tags_of_task_args_never_remove_others():
    assert Task(tags=["a"]).copy(tags=["b"]).tags == {"a", "b"}


def test_a_copy_shares_what_it_does_not_replace():
    class Query(Task):
        def __init__(self) -> None:
            self.rows: list[int] = []
            super().__init__()

    query = Query()
    assert query.copy().rows is query.rows


def test_copying_a_task_with_dependencies_warns():
    with Flow("f"):
        one = Task()
        one.set_upstream(Task())
        with pytest.warns(UserWarning, match="none of the dependencies"):
            one()


def test_options_of_task_args_are_checked_as_in_the_constructor():
    """A departure: the classic engine sets whatever it is given."""
    with Flow("f"), pytest.raises(TaskDefinitionError, match="retry_delay"):
        echo(1, task_args={"max_retries": 3})


def test_mapping_over_what_can_never_be_mapped_is_refused_by_position_only():
    with Flow("f") as flow:
        with pytest.raises(TypeError, match="cannot be mapped over 5"):
            echo.map(5)
        late = echo.map(x=5)
    assert flow.run().result[late].is_failed()


@pytest.mark.parametrize("values", [{1, 2}, {1: "a"}, (i for i in (1, 2)), range(2)])
def test_what_can_be_iterated_over_can_be_mapped(values):
    """A departure: the classic engine asks for ``__getitem__``, and a dictionary brings its flow down."""
    expected = list(values) if not hasattr(values, "__next__") else [1, 2]
    assert returned(lambda: echo.map(values)) == expected


def test_dependencies_return_the_task_itself():
    one, two, flow = Task(), Task(), Flow("f")
    assert one.set_upstream(two, flow=flow) is one
    assert one.set_downstream(Task(), flow=flow) is one
    assert one.set_dependencies(flow, upstream_tasks=[Task()]) is one


def test_inputs_and_outputs_are_read_from_run():
    class Load(Task):
        def run(self, day, limit=3): ...

    assert {name: (found["required"], found["default"]) for name, found in Load().inputs().items()} == {
        "day": (True, None),
        "limit": (False, 3),
    }
    assert Load().outputs() is Any


@pytest.mark.parametrize(("annotation", "found"), [(mapped, [1, 2]), (unmapped, [[1], [2]]), (flatten, [1, 2])])
def test_pipe_takes_the_classes_of_annotations(annotation, found):
    value = [1, 2] if annotation is mapped else [[1], [2]]
    assert returned(lambda: echo(echo(value).pipe(annotation))) == found


def test_pipe_is_a_call_with_the_task_in_front():
    gather = task(lambda a, b, c=0: (a, b, c), name="gather")
    assert returned(lambda: echo(1).pipe(gather, b=2, c=echo(3))) == (1, 2, 3)


def test_the_decorator_works_bare_with_options_and_on_a_function_with_options():
    def load(day):
        return day

    made = [task(load), task(name="other")(load), task(load, name="third", tags=["a"])]
    assert [type(each) for each in made] == [FunctionTask] * 3
    assert [each.name for each in made] == ["load", "other", "third"]
    assert all(each.run is load for each in made)


def test_attributes_fill_in_for_arguments_but_not_for_an_explicit_none():
    class Load(Task):
        def __init__(self, day: str) -> None:
            self.day = day
            super().__init__()

        @defaults_from_attrs("day")
        def run(self, day=None):
            return day

    assert returned(Load("monday")) == "monday"
    assert returned(lambda: Load("monday")(day="friday")) == "friday"
    assert returned(lambda: Load("monday")(day=None)) is None


def test_tags_apply_to_what_is_made_copied_and_bound_inside_and_nested_ones_add_up():
    outside = Task()
    with Flow("f") as flow, tags("a"), tags("b", "c"):
        outside.bind()
        made = Task()()
        copied = outside.copy()
    assert outside.tags == made.tags == copied.tags == {"a", "b", "c"}
    assert flow.get_tasks(tags=["a", "c"]) == [outside, made]


def test_a_call_outside_a_flow_suggests_run():
    with pytest.raises(ValueError, match=r"`echo\.run\(\.\.\.\)`"):
        echo(1)
    assert echo.run(1) == 1


def test_a_class_of_tasks_shows_the_signature_of_its_constructor_and_a_task_that_of_its_call():
    assert list(inspect.signature(Parameter).parameters)[:4] == ["name", "default", "required", "tags"]
    assert list(inspect.signature(echo).parameters) == ["x", "mapped", "task_args", "upstream_tasks", "flow"]


# Bad input


@pytest.mark.parametrize(
    ("make", "parts"),
    [
        (lambda: task(eval("lambda *days: days")), ["'<lambda>'", "`*days`", "take a list"]),
        (lambda: task(eval("lambda day, /: day")), ["'<lambda>'", "'day'", "position", "Remove the `/`"]),
        (lambda: task(eval("lambda flow: flow")), ["'<lambda>'", "'flow'", "Rename it"]),
        (lambda: task(len), ["'len'", "'obj'", "position", "Wrap it in a Python function"]),
        (lambda: task(max), ["'max'", "cannot be read", "Wrap it in a Python function"]),
        (lambda: task(echo), ["<Task: echo>", "a task already", "task_args"]),
    ],
)
def test_a_function_that_cannot_be_a_task_is_named_with_the_reason_and_what_to_do(make, parts):
    with pytest.raises((TaskDefinitionError, DefinitionTypeError)) as caught:
        make()
    assert [part for part in parts if part not in str(caught.value)] == []


def test_nothing_is_written_where_the_flow_is_built(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Flow("f"):
        echo(1, task_args={"cache_for": timedelta(hours=1), "result": "file:results"})
    assert list(tmp_path.iterdir()) == []
