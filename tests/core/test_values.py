from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from dataclasses import InitVar, dataclass, field
from typing import Any, NamedTuple

import pytest

from headrace import Flow, Parameter, Task, flatten, mapped, task, unmapped
from headrace.exceptions import FlowDefinitionError
from headrace.values import Constant, DataClass, Dict, List, Set, Tuple, as_task, holds_task


class Pair(NamedTuple):
    left: Any
    right: Any


@task
def echo(x):
    return x


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def arrives(build) -> Any:
    """Return what a task gets for the argument that ``build`` makes inside a flow."""
    with Flow("f") as flow:
        result = echo(build())
    state = flow.run()
    assert state.is_successful(), state.result[result]
    return state.result[result].result


class TestConstant:
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (5, "5"),
            ("ab", "'ab'"),
            ([1, 2], "[1, 2]"),
            ("abcdef", "'abcdef'"),
            ("abcdefg", "Constant[str]"),
            (list(range(100)), "Constant[list]"),
            ({"a": "long value"}, "Constant[dict]"),
            (None, "None"),
            (12345678, "12345678"),
            (123456789, "Constant[int]"),
        ],
    )
    def test_its_name_is_a_short_repr_or_the_type(self, value, name):
        assert Constant(value).name == name

    def test_a_name_can_be_given(self):
        assert Constant(5, name="five").name == "five"

    def test_it_is_made_automatically(self):
        assert Constant(5).auto_generated is True

    def test_run_returns_the_value(self):
        assert Constant(5).run() == 5

    def test_a_value_whose_repr_raises_is_named_after_its_type(self):
        class Shy:
            def __repr__(self):
                raise RuntimeError("no")

        assert Constant(Shy()).name == "Constant[Shy]"

    def test_a_list_nested_50000_levels_deep_is_named_after_its_type(self):
        deep = nested(50_000, 1)
        assert Constant(deep).name == "Constant[list]"

    def test_it_is_successful_without_running(self):
        with Flow("f") as flow:
            constant = flow.add_task(Constant("x" * 20))
        state = flow.run().result[constant]
        assert state.is_successful()
        assert state.result == "x" * 20


class TestHoldsTask:
    a_task = Task()

    @pytest.mark.parametrize(
        "value",
        [
            a_task,
            [a_task],
            (1, a_task),
            {a_task},
            frozenset([a_task]),
            {"a": a_task},
            [[[{"a": (a_task,)}]]],
            [unmapped(a_task)],
            mapped([a_task]),
            OrderedDict(a=a_task),
            defaultdict(list, a=[a_task]),
            Pair(1, a_task),
        ],
    )
    def test_tasks_are_found_at_any_depth(self, value):
        assert holds_task(value)

    @pytest.mark.parametrize("value", [1, "x", [], {}, [1, [2]], {a_task: 1}, Task, deque([1]), unmapped(1)])
    def test_other_values_hold_none(self, value):
        assert not holds_task(value)

    def test_a_list_that_holds_itself_is_looked_at_once(self):
        knot: list[Any] = []
        knot.append(knot)
        assert not holds_task(knot)
        knot.append(self.a_task)
        assert holds_task(knot)

    def test_depth_has_no_limit(self):
        deep = nested(50_000, self.a_task)
        assert holds_task(deep)


class TestAsTask:
    def test_a_task_is_itself(self):
        one = Task()
        assert as_task(one) is one

    def test_an_annotation_is_what_it_wraps(self):
        one = Task()
        assert as_task(mapped(unmapped(one))) is one

    @pytest.mark.parametrize("value", [5, [1, 2], {"a": 1}, None, (), [[1], {2}]])
    def test_what_holds_no_task_is_one_constant(self, value):
        made = as_task(value, Flow("f"))
        assert isinstance(made, Constant)
        assert made.value is value

    @pytest.mark.parametrize(("container", "kind"), [(list, List), (tuple, Tuple), (set, Set)])
    def test_a_collection_with_a_task_gathers(self, container, kind):
        flow = Flow("f")
        one = flow.add_task(echo.copy())
        made = as_task(container([one]), flow)
        assert type(made) is kind
        assert made.name == kind.__name__
        assert made.auto_generated
        assert flow.upstream_tasks(made) == {one}

    def test_a_dictionary_with_a_task_is_a_dict_and_a_list_of_values(self):
        flow = Flow("f")
        one = flow.add_task(Task())
        made = as_task({"a": one}, flow)
        assert isinstance(made, Dict)
        assert [type(t) for t in flow.upstream_tasks(made)] == [List]

    def test_outside_a_flow_it_is_a_value_error(self):
        with pytest.raises(ValueError, match="outside a flow"):
            as_task(5)


class TestArguments:
    def test_lists_keep_their_order_beyond_nine(self):
        assert arrives(lambda: [echo(i) for i in range(12)]) == list(range(12))

    def test_tuples(self):
        assert arrives(lambda: (echo(1), 2)) == (1, 2)

    def test_sets(self):
        assert arrives(lambda: {echo(1), 2}) == {1, 2}

    def test_dictionaries(self):
        assert arrives(lambda: {"a": echo(1), 2: [echo(3)]}) == {"a": 1, 2: [3]}

    def test_the_keys_of_a_dictionary_stay_what_they_are(self):
        keys: list[Any] = []

        def build():
            keys.extend([echo(1), (echo(2),)])
            return {keys[0]: echo("a"), keys[1]: "b"}

        assert arrives(build) == dict(zip(keys, ["a", "b"], strict=True))

    def test_a_dictionary_with_tasks_as_keys_only_is_a_constant(self):
        key = echo.copy()
        assert arrives(lambda: {key: 1}) == {key: 1}

    def test_subclasses_of_collections_are_looked_into(self):
        assert arrives(lambda: OrderedDict(a=echo(1))) == {"a": 1}
        assert arrives(lambda: defaultdict(list, a=[echo(1)])) == {"a": [1]}

    def test_named_tuples_keep_their_type(self):
        assert repr(arrives(lambda: Pair(echo(1), [echo(2)]))) == "Pair(left=1, right=[2])"

    def test_frozen_sets_keep_their_type(self):
        assert arrives(lambda: {frozenset([echo(1), 2]), 3}) == {frozenset([1, 2]), 3}

    def test_annotations_inside_a_collection_are_unwrapped(self):
        assert arrives(lambda: [unmapped(echo(1)), 2]) == [1, 2]

    def test_parameters_count_as_tasks(self):
        with Flow("f") as flow:
            result = echo([Parameter("n"), 2])
        assert flow.run(n=1).result[result].result == [1, 2]

    def test_the_same_task_twice(self):
        def build():
            one = echo(1)
            return [one, one, (one,)]

        assert arrives(build) == [1, 1, (1,)]

    def test_a_list_that_holds_itself_and_a_task_is_refused(self):
        with Flow("f"):
            knot: list[Any] = [echo(1)]
            knot.append(knot)
            with pytest.raises(FlowDefinitionError, match="holds itself"):
                echo(knot)

    def test_a_dictionary_that_holds_itself_and_a_task_is_refused(self):
        with Flow("f"):
            knot: dict[str, Any] = {"x": echo(1)}
            knot["inner"] = [knot]
            with pytest.raises(FlowDefinitionError, match="holds itself"):
                echo(knot)

    def test_a_list_that_holds_itself_beside_a_task_is_a_plain_value(self):
        knot: list[Any] = [1]
        knot.append(knot)
        found = arrives(lambda: [echo(1), knot])
        assert found[0] == 1
        assert found[1] is knot

    def test_a_list_that_is_there_twice_is_gathered_once(self):
        with Flow("f") as flow:
            shared = [echo(1)]
            result = echo([shared, shared])
        assert len([t for t in flow.tasks if isinstance(t, List)]) == 2
        assert flow.run().result[result].result == [[1], [1]]

    def test_two_thousand_levels_around_a_task_are_fine(self):
        found = arrives(lambda: nested(2000, echo(7)))
        for _ in range(2000):
            (found,) = found
        assert found == 7

    def test_annotations_inside_a_nested_collection_are_unwrapped(self):
        assert arrives(lambda: [[unmapped([echo(1)])], flatten([[echo(2)], [3]])]) == [[[1]], [2, 3]]

    def test_a_list_of_a_million_numbers_is_one_constant(self):
        numbers = list(range(1_000_000))
        assert arrives(lambda: numbers) is numbers


@dataclass
class Settings:
    source: Any
    limits: Any = 5
    flow: Any = "a name that tasks give a meaning of their own"
    derived: Any = field(init=False, default=None)

    def __post_init__(self):
        self.derived = ("from", self.source)


@dataclass(frozen=True, slots=True)
class Point:
    x: Any
    y: Any = 0


class TestDataClasses:
    def test_an_instance_is_made_anew_from_results(self):
        found = arrives(lambda: Settings(echo(1), limits=[echo(2), 3]))
        assert found == Settings(1, limits=[2, 3])
        assert found.derived == ("from", 1)

    def test_instances_inside_each_other_and_inside_collections(self):
        assert arrives(lambda: {"a": [Point(Point(echo(1)), 2)]}) == {"a": [Point(Point(1), 2)]}

    def test_a_field_may_have_any_name(self):
        assert arrives(lambda: Settings(0, flow=echo(3))).flow == 3

    def test_the_task_is_named_after_the_class(self):
        with Flow("f") as flow:
            echo(Point(echo(1)))
        (made,) = flow.get_tasks(task_type=DataClass)
        assert (made.name, made.auto_generated) == ("Point", True)

    def test_an_instance_without_tasks_arrives_as_it_is(self):
        point = Point(1, [2])
        assert arrives(lambda: point) is point

    def test_a_class_is_a_plain_value(self):
        assert arrives(lambda: [echo(1), Point]) == [1, Point]

    def test_it_can_be_mapped_over_inside_a_list(self):
        with Flow("f") as flow:
            result = echo.map([Point(echo(1)), Point(2)])
        assert flow.run().result[result].result == [Point(1), Point(2)]

    def test_a_class_with_init_only_variables_is_refused(self):
        @dataclass
        class Odd:
            value: Any
            scale: InitVar[int] = 1

        with Flow("f"), pytest.raises(FlowDefinitionError, match=r"disagree about 'scale'"):
            echo(Odd(echo(1), scale=5))

    def test_only_what_the_constructor_takes_is_looked_into(self):
        settings = Settings(1)
        settings.derived = Task()
        assert not holds_task(settings)


class TestWhereConstantsLive:
    def test_a_keyed_constant_is_no_task(self):
        with Flow("f") as flow:
            result = echo(5)
        assert list(flow.tasks) == [result]
        assert flow.constants[result] == {"x": 5}

    def test_a_task_without_constants_has_an_empty_dictionary(self):
        flow = Flow("f")
        assert flow.constants[flow.add_task(Task())] == {}

    def test_a_mapped_constant_is_a_task_named_after_it(self):
        with Flow("f") as flow:
            echo.map([1, 2])
        assert [(t.name, flow.slugs[t]) for t in flow.tasks if isinstance(t, Constant)] == [("[1, 2]", "[1, 2]-1")]

    def test_an_upstream_constant_is_a_task(self):
        with Flow("f") as flow:
            result = echo(1, upstream_tasks=[2])
        assert [type(t) for t in flow.upstream_tasks(result)] == [Constant]

    def test_keyword_tasks_keep_plain_values_out_of_the_graph(self):
        flow, one = Flow("f"), echo.copy()
        flow.set_dependencies(one, keyword_tasks={"x": 5})
        assert list(flow.tasks) == [one]
        assert flow.constants[one] == {"x": 5}


class TestDict:
    def test_it_puts_keys_and_values_together(self):
        assert Dict().run(keys=["a", "b"], values=[1, 2]) == {"a": 1, "b": 2}

    def test_different_lengths_are_a_value_error(self):
        with pytest.raises(ValueError, match="2 keys got 1 values"):
            Dict().run(keys=["a", "b"], values=[1])


def test_gatherers_order_by_number():
    items = {f"arg_{i}": i for i in (10, 9, 2, 1)}
    assert List().run(**items) == [1, 2, 9, 10]
    assert Tuple().run(**items) == (1, 2, 9, 10)
    assert Set().run(**items) == {1, 2, 9, 10}
