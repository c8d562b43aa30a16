"""Parameters, constants and collections, section 2 of the classic reference."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pendulum
import pytest

from headrace import DateTimeParameter, Flow, Parameter, Task, case, flatten, signals, task, triggers, unmapped
from headrace.exceptions import MissingParameterError, ParameterError, SerializationError
from headrace.states import Skipped, Success
from headrace.values import Constant, Dict, List, Set, Tuple, as_task


@task
def echo(x=None):
    return x


def arrives(build: Callable[[], Any]) -> Any:
    """Return what a task gets for the argument that ``build`` makes inside a flow."""
    with Flow("f") as flow:
        made = echo(build())
    state = flow.run().result[made]
    assert state.is_successful(), state
    return state.result


def made_of(build: Callable[[], Any]) -> list[tuple[type[Task], str]]:
    """Return the class and the slug of what is wrapped automatically around an argument."""
    with Flow("f") as flow:
        echo(build())
    return [(type(each), flow.slugs[each]) for each in flow.tasks if each.auto_generated]


# Parameters


def test_the_constructor_takes_the_classic_arguments_in_their_order():
    taken = inspect.signature(Parameter).parameters.values()
    by_position = [each.name for each in taken if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert by_position == ["name", "default", "required", "tags", "type"]
    assert list(inspect.signature(DateTimeParameter).parameters) == ["name", "default", "required", "tags"]


@pytest.mark.parametrize(
    ("parameter", "required"),
    [
        (Parameter("n"), True),
        (Parameter("n", default=None), False),
        (Parameter("n", default=0), False),
        (Parameter("n", default=1, required=True), True),
        (Parameter("n", required=False), False),
    ],
)
def test_a_parameter_is_required_if_it_has_no_default_or_says_so(parameter, required):
    assert parameter.required is required


def test_a_default_of_a_required_parameter_is_ignored():
    flow = Flow("f", tasks=[Parameter("n", default=1, required=True)])
    with pytest.raises(ValueError, match="'n'"):
        flow.run()


def test_the_slug_is_the_name_and_stays_it_whatever_the_tags():
    parameter = Parameter("n", tags=["a"])
    assert Flow("f", tasks=[parameter]).slugs[parameter] == "n"


def test_two_parameters_of_one_name_are_a_value_error_when_the_second_comes():
    with Flow("f"):
        echo(Parameter("n"))
        with pytest.raises(ValueError, match="'n'"):
            echo(Parameter("n"))


def test_a_call_adds_the_parameter_itself_and_a_copy_needs_a_name():
    parameter = Parameter("n", default=5)
    with Flow("f") as flow:
        assert parameter() is parameter
        assert parameter.copy("m")().default == 5
    assert {each.name for each in flow.parameters()} == {"n", "m"}


def test_a_value_is_what_the_context_says_or_the_default():
    @task
    def look(x):
        return x

    with Flow("f") as flow:
        found = look([Parameter("given"), Parameter("left", default="default")])
    assert flow.run(given=1).result[found].result == [1, "default"]


@pytest.mark.parametrize(
    "connect",
    [
        lambda flow, parameter, other: flow.add_edge(other, parameter),
        lambda flow, parameter, other: flow.add_edge(other, parameter, key="x"),
        lambda flow, parameter, other: flow.chain(other, parameter),
        lambda flow, parameter, other: flow.set_dependencies(parameter, upstream_tasks=[other]),
        lambda flow, parameter, other: flow.set_dependencies(parameter, keyword_tasks={"x": 5}),
        lambda flow, parameter, other: parameter.set_upstream(other),
        lambda flow, parameter, other: other.set_downstream(parameter),
        lambda flow, parameter, other: parameter.bind(upstream_tasks=[other]),
        lambda flow, parameter, other: other | parameter,
    ],
)
def test_a_parameter_is_never_downstream(connect):
    with Flow("f") as flow:
        other = echo(1)
        with pytest.raises(ValueError, match=r"Parameter 'n' cannot have upstream tasks.*first task.*wait instead"):
            connect(flow, Parameter("n"), other)
        assert not flow.edges


def test_parameters_are_a_set():
    one = Parameter("n")
    assert Flow("f", tasks=[one, Task()]).parameters() == {one}


def test_a_parameter_that_nothing_uses_is_worked_out_all_the_same():
    flow, unused = Flow("f"), Parameter("n", default=3)
    flow.add_task(unused)
    assert flow.run().result[unused].result == 3


def test_a_parameter_inside_a_branch_that_is_not_taken_has_its_value():
    with Flow("f") as flow, case(echo(False), True):
        parameter = Parameter("n", default=3)()
    assert type(flow.run().result[parameter]) is Success


def test_defaults_that_json_cannot_hold_matter_only_when_the_flow_is_serialized():
    flow = Flow("f", tasks=[Parameter("n", default=object())])
    assert flow.run().is_successful()
    with pytest.raises(SerializationError, match="'n'"):
        flow.serialize()


# DateTimeParameter


def test_texts_and_datetimes_become_moments_and_none_stays_none():
    with Flow("f") as flow:
        found = echo([DateTimeParameter("text"), DateTimeParameter("moment"), DateTimeParameter("none")])
    text, moment, none = (
        flow.run(text="2026-01-31", moment=datetime(2026, 1, 31, tzinfo=UTC), none=None).result[found].result
    )
    assert text == moment == pendulum.datetime(2026, 1, 31)
    assert isinstance(text, pendulum.DateTime)
    assert isinstance(moment, pendulum.DateTime)
    assert none is None


def test_a_moment_with_a_default_is_not_required():
    """A departure: the classic engine asks for ``required=False`` too."""
    assert DateTimeParameter("t", default="2026-01-31").required is False
    assert DateTimeParameter("t").required is True
    assert DateTimeParameter("t", default="2026-01-31", required=True).required is True


# Constants


@pytest.mark.parametrize(
    ("value", "name"),
    [(1, "1"), ("abcdef", "'abcdef'"), ("abcdefg", "Constant[str]"), ([1, 2], "[1, 2]"), (None, "None")],
)
def test_a_constant_is_named_by_a_short_repr_or_by_its_type(value, name):
    assert Constant(value).name == name
    assert Constant(value, name="mine").name == "mine"


def test_a_value_by_keyword_is_kept_out_of_the_graph():
    with Flow("f") as flow:
        found = echo([1, {"a": (2,)}])
    assert list(flow.tasks) == [found]
    assert flow.constants[found] == {"x": [1, {"a": (2,)}]}


@pytest.mark.parametrize("call", [lambda: echo.map([1, 2]), lambda: echo(flatten([1, 2]))])
def test_a_value_that_is_mapped_or_flattened_is_a_task_named_by_its_repr(call):
    with Flow("f") as flow:
        found = call()
    assert [(type(each), flow.slugs[each]) for each in flow.upstream_tasks(found)] == [(Constant, "[1, 2]-1")]
    assert flow.constants[found] == {}


def test_a_value_among_upstream_tasks_is_a_task():
    with Flow("f") as flow:
        found = echo(upstream_tasks=["a text"])
    assert [type(each) for each in flow.upstream_tasks(found)] == [Constant]


def test_a_value_that_is_unmapped_is_kept_out_of_the_graph():
    with Flow("f") as flow:
        found = echo(unmapped([1, 2]))
    assert list(flow.tasks) == [found]


def test_constants_take_no_part_in_triggers():
    """A departure: for the classic engine, a constant is one more success."""
    with Flow("f") as flow:
        failed = task(lambda: 1 / 0, name="fail")()
        found = task(lambda x, y: y, name="after")(failed, 5, task_args={"trigger": triggers.all_failed})
    assert flow.run().result[found].result == 5


def test_a_constant_task_is_successful_without_running_even_in_a_branch_that_is_not_taken():
    with Flow("f") as flow, case(echo(False), True):
        found = echo.map([1, 2])
    states = flow.run().result
    (constant,) = flow.get_tasks(task_type=Constant)
    assert (type(states[constant]), states[constant].result) == (Success, [1, 2])
    assert type(states[found]) is Skipped


# Automatic wrapping


def test_a_task_stays_itself_and_an_annotation_stands_for_its_value():
    with Flow("f"):
        one = echo(1)
        assert as_task(one) is one
        assert as_task(unmapped(one)) is one


@pytest.mark.parametrize("value", [[1, [2]], {"a": {"b": 1}}, ({1}, [()]), "text", 5])
def test_what_holds_no_task_anywhere_is_one_constant(value):
    with Flow("f") as flow:
        assert type(as_task(value)) is Constant
    assert not flow.tasks


@pytest.mark.parametrize(
    ("wrap", "kinds"),
    [
        (lambda one: [one, 2], [(List, "List-1")]),
        (lambda one: (one, 2), [(Tuple, "Tuple-1")]),
        (lambda one: {one, 2}, [(Set, "Set-1")]),
        (lambda one: {"a": one, "b": 2}, [(List, "List-1"), (Dict, "Dict-1")]),
        (lambda one: [(one,)], [(Tuple, "Tuple-1"), (List, "List-1")]),
        (lambda one: [[[one]]], [(List, "List-1"), (List, "List-2"), (List, "List-3")]),
    ],
)
def test_collections_with_a_task_inside_are_tasks_level_by_level(wrap, kinds):
    assert made_of(lambda: wrap(echo(1))) == kinds


@pytest.mark.parametrize(
    ("wrap", "value"),
    [
        (lambda one: [one, 2], [1, 2]),
        (lambda one: (one, 2), (1, 2)),
        (lambda one: {one, 2}, {1, 2}),
        (lambda one: {"a": one, "b": [one, {3: one}]}, {"a": 1, "b": [1, {3: 1}]}),
        (lambda one: [], []),
    ],
)
def test_collections_arrive_with_results_in_place_of_tasks(wrap, value):
    found = arrives(lambda: wrap(echo(1)))
    assert found == value
    assert type(found) is type(value)


def test_more_than_nine_items_keep_their_order():
    assert arrives(lambda: [echo(i) for i in range(25)]) == list(range(25))


def test_a_collection_task_takes_numbered_arguments():
    with Flow("f") as flow:
        echo([echo(1), 2])
    (gathered,) = flow.get_tasks(task_type=List)
    assert flow.graph.bound_keys(gathered) | flow.constants[gathered].keys() == {"arg_1", "arg_2"}


def test_keys_of_a_dictionary_are_never_tasks():
    with Flow("f") as flow:
        key = Task(name="key")
        found = echo({key: echo(1)})
    assert key not in flow.tasks
    assert list(flow.run().result[found].result) == [key]


def test_keys_and_values_of_different_lengths_are_a_value_error():
    with pytest.raises(ValueError, match="2 keys got 1 values"):
        Dict().run(keys=["a", "b"], values=[1])


def test_one_failed_item_fails_the_collection_and_one_skipped_item_skips_it():
    @task
    def skip():
        raise signals.SKIP

    with Flow("f") as flow:
        broken = echo([task(lambda: 1 / 0, name="fail")()])
        skipped = echo([skip(), 1])
    states = flow.run().result
    assert states[broken].is_failed()
    assert states[skipped].is_skipped()


def test_named_tuples_keep_their_type():
    """A departure: for the classic engine they become plain tuples."""

    class Point(NamedTuple):
        x: Any
        y: Any

    assert arrives(lambda: Point(echo(1), 2)) == Point(1, 2)
    assert type(arrives(lambda: Point(echo(1), 2))) is Point


@pytest.mark.parametrize("kind", [list, tuple, set])
def test_a_hundred_thousand_plain_items_are_one_constant(kind):
    many = kind(range(100_000))
    assert made_of(lambda: many) == []
    assert arrives(lambda: many) is many


# Bad input


def test_a_missing_value_is_named_and_so_is_the_way_to_give_it():
    flow = Flow("daily", tasks=[Parameter("day")])
    with pytest.raises(MissingParameterError) as caught:
        flow.run()
    for part in ("'daily'", "'day'", "parameters={'day': ...}", "-p day=..."):
        assert part in str(caught.value)


@pytest.mark.parametrize("value", ["soon", 5, []])
def test_what_is_no_moment_is_named_with_an_example_before_anything_runs(value):
    calls: list[int] = []
    with Flow("f") as flow:
        DateTimeParameter("start")()
        task(lambda: calls.append(1), name="t")()
    with pytest.raises(ParameterError) as caught:
        flow.run(start=value)
    assert calls == []
    for part in ("'start'", repr(value), "2026-01-31T"):
        assert part in str(caught.value)
