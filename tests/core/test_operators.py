from __future__ import annotations

import operator
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import Flow, Parameter, Task, operator_tasks, task
from headrace.operator_tasks import GetAttr, GetItem
from headrace.results import LocalResult, Result
from headrace_plugins.file import FileStore


@task
def echo(x):
    return x


def run(build) -> Any:
    """Run a flow made of what ``build`` returns and give its result, or the exception it ended with."""
    with Flow("f") as flow:
        made = build()
    return flow.run().result[made].result


ARITHMETIC = [
    (operator.add, "Add"),
    (operator.sub, "Sub"),
    (operator.mul, "Mul"),
    (operator.truediv, "Div"),
    (operator.floordiv, "FloorDiv"),
    (operator.mod, "Mod"),
    (operator.pow, "Pow"),
]
COMPARISONS = [
    (operator.gt, "GreaterThan"),
    (operator.ge, "GreaterThanOrEqual"),
    (operator.lt, "LessThan"),
    (operator.le, "LessThanOrEqual"),
]


@pytest.mark.parametrize(("function", "name"), ARITHMETIC + COMPARISONS)
class TestBinary:
    @pytest.mark.parametrize(("left", "right"), [(7, 2), (2, 7), (3, 3)])
    def test_between_tasks(self, function, name, left, right):
        assert run(lambda: function(echo(left), echo(right))) == function(left, right)

    @pytest.mark.parametrize(("left", "right"), [(7, 2), (2, 7)])
    def test_with_a_plain_value_on_either_side(self, function, name, left, right):
        assert run(lambda: function(echo(left), right)) == function(left, right)
        assert run(lambda: function(left, echo(right))) == function(left, right)

    def test_it_makes_a_task_named_after_the_operator(self, function, name):
        with Flow("f") as flow:
            made = function(echo(7), 2)
        assert type(made).__name__ == name
        assert made.name == name
        assert made in flow.tasks

    def test_between_a_task_and_itself(self, function, name):
        def build():
            one = echo(3)
            return function(one, one)

        assert run(build) == function(3, 3)

    def test_outside_a_flow_it_is_a_value_error(self, function, name):
        with pytest.raises(ValueError, match="outside a flow"):
            function(Task(), 1)


class TestLogic:
    @pytest.mark.parametrize(("left", "right"), [(0, 5), (5, 0), ("", []), (3, 4)])
    def test_and_gives_one_of_the_operands(self, left, right):
        assert run(lambda: echo(left) & echo(right)) == (left and right)
        assert run(lambda: echo(left) & right) == (left and right)
        assert run(lambda: left & echo(right)) == (left and right)

    @pytest.mark.parametrize(("left", "right"), [(0, 5), (5, 0), ("", [])])
    def test_or_gives_one_of_the_operands(self, left, right):
        assert run(lambda: echo(left).or_(right)) == (left or right)

    @pytest.mark.parametrize("value", [0, 1, "", "x"])
    def test_not(self, value):
        assert run(lambda: echo(value).not_()) is (not value)

    def test_is_equal(self):
        assert run(lambda: echo(1).is_equal(1)) is True
        assert run(lambda: echo(1).is_equal(2)) is False

    def test_is_not_equal(self):
        assert run(lambda: echo(1).is_not_equal(1)) is False
        assert run(lambda: echo(1).is_not_equal(2)) is True

    @pytest.mark.parametrize("name", ["And", "Or", "Not", "Equal", "NotEqual"])
    def test_the_tasks_are_named_after_their_class(self, name):
        assert getattr(operator_tasks, name)().name == name


class TestBar:
    def test_the_right_side_runs_after_the_left_and_stands_for_the_expression(self):
        with Flow("f") as flow:
            one, two = echo(1), echo(2)
            assert (one | two) is two
        assert flow.upstream_tasks(two) == {one}
        assert {edge.key for edge in flow.edges_to(two)} == {None}

    def test_it_chains(self):
        one, two, three = (Task(name=name) for name in "abc")
        with Flow("f") as flow:
            assert (one | two | three) is three
        assert flow.sorted_tasks() == (one, two, three)

    def test_a_plain_value_or_a_list_on_the_left_comes_first(self):
        with Flow("f") as flow:
            one, last = echo(1), echo(9)
            assert ([one, 2] | last) is last
            assert (5 | last) is last
        assert {t.name for t in flow.upstream_tasks(last)} == {"List", "5"}

    def test_a_parameter_cannot_be_on_the_right(self):
        with Flow("f"), pytest.raises(ValueError, match="Parameter"):
            echo(1) | Parameter("p")


class TestGetItem:
    def test_a_plain_key(self):
        assert run(lambda: echo({"a": 1})["a"]) == 1

    def test_the_key_may_be_a_task(self):
        assert run(lambda: echo([10, 20])[echo(1)]) == 20

    def test_the_name_shows_the_key(self):
        with Flow("f"):
            assert echo({"a": 1})["a"].name == "echo['a']"
            assert echo([1])[0].name == "echo[0]"

    @pytest.mark.parametrize("checkpoint", [None, True, False])
    def test_it_inherits_whether_to_store(self, checkpoint):
        with Flow("f"):
            made = echo({"a": 1}, task_args={"checkpoint": checkpoint})["a"]
        assert made.checkpoint is checkpoint

    @pytest.mark.parametrize("result", [None, "file:results", FileStore("file:results")])
    def test_it_inherits_where_results_are_kept(self, result):
        with Flow("f"):
            assert echo({"a": 1}, task_args={"result": result})["a"].result is result

    def test_it_does_not_inherit_the_location_nor_the_form_of_the_whole(self):
        whole = Result(store="memory:", location="whole.json", serializer="json")
        with Flow("f"):
            assert echo({"a": 1}, task_args={"result": whole})["a"].result == "memory:"

    def test_an_item_is_kept_beside_the_whole(self, tmp_path):
        with Flow("f") as flow:
            pair = task(lambda: (1, 2), nout=2, result=LocalResult(tmp_path, location="pair"), name="pair")()
            one, two = pair
        states = flow.run().result
        assert (tmp_path / "pair").exists()
        assert len({states[each].location for each in (pair, one, two)}) == 3

    def test_a_missing_key_fails(self):
        assert isinstance(run(lambda: echo({})["a"]), KeyError)

    def test_a_default_stands_in_for_a_missing_key(self):
        assert run(lambda: GetItem(default=5)(echo({}), "a")) == 5
        assert run(lambda: GetItem()(echo({}), "a", default=6)) == 6

    def test_a_default_may_be_none(self):
        assert run(lambda: GetItem(default=None)(echo({}), "a")) is None

    def test_an_index_error_is_never_defaulted(self):
        assert isinstance(run(lambda: GetItem(default=5)(echo([]), 0)), IndexError)

    def test_a_missing_key_still_fails_after_pickling(self):
        assert isinstance(run(lambda: pickle.loads(pickle.dumps(GetItem()))(echo({}), "a")), KeyError)


class TestGetAttr:
    def test_a_dotted_path(self):
        value = SimpleNamespace(inner=SimpleNamespace(leaf=3))
        assert run(lambda: GetAttr()(echo(value), "inner.leaf")) == 3

    def test_a_missing_attribute_fails(self):
        assert isinstance(run(lambda: GetAttr()(echo(1), "nothing")), AttributeError)

    def test_a_default_stands_in_for_a_missing_attribute(self):
        assert run(lambda: GetAttr(default=None)(echo(1), "nothing.below")) is None
        assert run(lambda: GetAttr()(echo(1), "nothing", default=2)) == 2

    def test_other_errors_are_not_defaulted(self):
        class Stubborn:
            @property
            def value(self):
                raise KeyError("no")

        assert isinstance(run(lambda: GetAttr(default=1)(echo(Stubborn()), "value")), KeyError)


class TestNotOverloaded:
    def test_equality_is_identity(self):
        one, other = echo.copy(), echo.copy()
        assert (one == other) is False
        assert (one != other) is True

    def test_negation_is_not(self):
        with Flow("f"), pytest.raises(TypeError):
            -echo(1)  # type: ignore[operator]

    def test_attributes_are_those_of_the_task(self):
        with Flow("f"), pytest.raises(AttributeError):
            echo(1).column  # type: ignore[attr-defined]  # noqa: B018

    def test_length_is_not(self):
        with Flow("f"), pytest.raises(TypeError):
            len(echo(1))  # type: ignore[arg-type]

    def test_membership_is_not(self):
        with Flow("f"), pytest.raises(TypeError):
            1 in echo([1])  # type: ignore[operator]  # noqa: B015


def test_operators_work_on_mapped_tasks_as_a_whole():
    assert run(lambda: echo.map([1, 2]) * 2) == [1, 2, 1, 2]


def test_operators_work_on_parameters():
    with Flow("f") as flow:
        made = Parameter("n") * 2
    assert flow.run(n=4).result[made].result == 8
