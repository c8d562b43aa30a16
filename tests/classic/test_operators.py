"""Operators between tasks, section 1.3 of the classic reference."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, task
from headrace.operator_tasks import GetAttr, GetItem
from headrace.results import Result


@task
def echo(x):
    return x


def result_of(build: Callable[[], Task]) -> Any:
    """Run a flow of what ``build`` makes, and return what that returned, or the exception it ended with."""
    with Flow("f") as flow:
        made = build()
    return flow.run().result[made].result


# Arithmetic and comparisons


@pytest.mark.parametrize(
    ("function", "forward", "reflected"),
    [
        (operator.add, "Add", "Add"),
        (operator.sub, "Sub", "Sub"),
        (operator.mul, "Mul", "Mul"),
        (operator.truediv, "Div", "Div"),
        (operator.floordiv, "FloorDiv", "FloorDiv"),
        (operator.mod, "Mod", "Mod"),
        (operator.pow, "Pow", "Pow"),
        (operator.and_, "And", "And"),
        (operator.gt, "GreaterThan", "LessThan"),
        (operator.ge, "GreaterThanOrEqual", "LessThanOrEqual"),
        (operator.lt, "LessThan", "GreaterThan"),
        (operator.le, "LessThanOrEqual", "GreaterThanOrEqual"),
    ],
)
def test_each_operator_makes_a_task_of_the_classic_name_and_reflected_comparisons_swap(function, forward, reflected):
    with Flow("f"):
        assert function(echo(7), 2).name == forward
        assert function(7, echo(2)).name == reflected
    expected = (7 and 2) if function is operator.and_ else function(7, 2)
    assert result_of(lambda: function(7, echo(2))) == expected


def test_and_returns_an_operand_as_python_does():
    assert result_of(lambda: echo([]) & echo("x")) == []
    assert result_of(lambda: echo("x") & 5) == 5


def test_an_operator_outside_a_flow_is_a_value_error():
    with pytest.raises(ValueError, match="outside a flow"):
        echo + 1


def test_of_a_chain_of_comparisons_only_the_last_is_kept():
    with Flow("f") as flow:
        one, two, three = echo(1), echo(9), echo(3)
        last = one < two < three
    assert flow.upstream_tasks(last) == {two, three}
    assert flow.run().result[last].result is False


# a | b


def test_the_bar_is_a_dependency_without_data_and_returns_its_right_side():
    order: list[str] = []
    first, second = (task(lambda name=name: order.append(name), name=name) for name in ("first", "second"))
    with Flow("f") as flow:
        one, two = second(), first()
        assert (two | one) is one
    flow.run()
    assert order == ["first", "second"]
    assert [(edge.key, edge.mapped) for edge in flow.edges] == [(None, False)]


def test_a_value_left_of_the_bar_becomes_a_task_upstream():
    with Flow("f") as flow:
        last = echo(1)
        assert ("a long text" | last) is last
    assert [each.name for each in flow.upstream_tasks(last)] == ["Constant[str]"]


# Items


@pytest.mark.parametrize(("key", "name"), [("a", "echo['a']"), (0, "echo[0]"), (None, "echo[None]"), (-1, "echo[-1]")])
def test_an_item_is_a_task_named_after_the_key(key, name):
    with Flow("f"):
        item = echo({key: 1})[key]
    assert type(item) is GetItem
    assert item.name == name


def test_an_item_inherits_checkpoint_and_where_results_are_kept():
    with Flow("f"):
        item = echo({"a": 1}, task_args={"checkpoint": False, "result": "file:kept"})["a"]
    assert (item.checkpoint, item.result) == (False, "file:kept")


def test_the_location_and_the_serializer_stay_with_the_whole():
    """A departure: for the classic engine an item is written to the location of the whole."""
    whole = Result(store="file:kept", location="whole.json", serializer="json")
    with Flow("f"):
        assert echo({"a": 1}, task_args={"result": whole})["a"].result == "file:kept"


def test_the_key_may_be_a_task_or_a_slice():
    assert result_of(lambda: echo("abc")[echo(1)]) == "b"
    assert result_of(lambda: echo("abc")[1:]) == "bc"


def test_items_of_items():
    assert result_of(lambda: echo({"a": [{"b": 3}]})["a"][0]["b"]) == 3


# Unpacking


def test_iterating_makes_items_one_by_one_as_many_as_outputs():
    with Flow("f") as flow:
        three = echo("abc", task_args={"nout": 3})
        items = iter(three)
        assert isinstance(items, Iterator)
        assert len(flow.tasks) == 1
        assert [item.name for item in items] == ["echo[0]", "echo[1]", "echo[2]"]
    assert len(flow.tasks) == 4


def test_iterating_over_a_task_of_unknown_length_is_a_type_error():
    with Flow("f"), pytest.raises(TypeError, match=r"'echo'.*`nout=`"):
        list(echo("abc"))


def test_star_arguments_unpack_too():
    @task
    def both(x, y):
        return x, y

    assert result_of(lambda: both(*echo("ab", task_args={"nout": 2}))) == ("a", "b")


# What is not overloaded


@pytest.mark.parametrize(
    "use", [lambda t: -t, lambda t: t.column, len, abs, lambda t: t @ t, lambda t: t ^ t, lambda t: "a" in t]
)
def test_what_is_not_overloaded_is_an_error_of_python(use):
    with Flow("f") as flow:
        one = echo(1)
        with pytest.raises((TypeError, AttributeError)):
            use(one)
        assert list(flow.tasks) == [one]


def test_comparing_with_two_equal_signs_makes_no_task():
    with Flow("f") as flow:
        one = echo(1)
        one_as_well: Any = one
        assert (one_as_well == 1) is False
        assert (one_as_well != 1) is True
        assert list(flow.tasks) == [one]


# GetItem and GetAttr


def test_a_default_of_getitem_stands_in_for_a_missing_key_and_never_for_an_index():
    assert result_of(lambda: GetItem(default=5)(echo({}), "a")) == 5
    assert isinstance(result_of(lambda: GetItem(default=5)(echo([]), 0)), IndexError)
    assert isinstance(result_of(lambda: GetItem()(echo({}), "a")), KeyError)


def test_getattr_takes_a_dotted_path_and_a_default():
    assert result_of(lambda: GetAttr()(echo(3), "real.imag")) == 0
    assert result_of(lambda: GetAttr(default="none")(echo(3), "real.nothing")) == "none"
    assert isinstance(result_of(lambda: GetAttr()(echo(3), "nothing")), AttributeError)


def test_operators_work_on_parameters_and_results_alike():
    with Flow("f") as flow:
        n = Parameter("n")
        area = (n + 1) * echo(2) // 3
    assert flow.run(n=5).result[area].result == 4
