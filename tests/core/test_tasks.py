from __future__ import annotations

import copy
import functools
import inspect
import pickle
from datetime import timedelta
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Parameter, Task, config, context, flatten, mapped, tags, task, unmapped
from headrace.exceptions import DefinitionTypeError, NoActiveFlowError, TaskDefinitionError
from headrace.run_context import building
from headrace.tasks import FunctionTask, defaults_from_attrs
from headrace.triggers import all_failed, all_successful


@task
def add(x, y=1):
    return x + y


@task
def echo(x):
    return x


def nested(depth: int, value: Any) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def handler(tracked, old, new):
    return None


class Scale(Task):
    def __init__(self, factor: int = 2, **task_args: Any) -> None:
        self.factor = factor
        super().__init__(**task_args)

    def run(self, x: int) -> int:
        return x * self.factor


def value_of(flow: Flow, wanted: Task, **parameters: Any) -> Any:
    state = flow.run(**parameters)
    assert state.is_successful(), state.result[wanted]
    return state.result[wanted].result


class TestNew:
    def test_a_task_is_named_after_its_class(self):
        assert Task().name == "Task"
        assert Scale().name == "Scale"

    def test_an_empty_name_is_no_name(self):
        assert Scale(name="").name == "Scale"

    def test_a_name_that_is_no_text_is_refused(self):
        with pytest.raises(TypeError, match="name"):
            Task(name=5)  # type: ignore[arg-type]

    def test_defaults(self):
        new = Task()
        assert new.slug is None
        assert new.tags == set()
        assert (new.max_retries, new.retry_delay, new.retry_on) == (0, None, None)
        assert new.timeout is None
        assert new.trigger is all_successful
        assert new.skip_on_upstream_skip is True
        assert new.checkpoint is None
        assert new.state_handlers == []
        assert new.log_stdout is False
        assert new.task_run_name is None
        assert new.nout is None
        assert new.resources is None
        assert new.auto_generated is False

    def test_options_can_be_given_by_position_in_the_classic_order(self):
        new = Task("n", "s", ["t"], 2, timedelta(seconds=1), ValueError)
        assert (new.name, new.slug, new.tags, new.max_retries) == ("n", "s", {"t"}, 2)
        assert new.retry_delay == timedelta(seconds=1)
        assert new.retry_on == frozenset([ValueError])

    def test_the_repr_shows_the_name(self):
        assert repr(Task(name="load")) == "<Task: load>"

    def test_tasks_compare_and_hash_by_identity(self):
        one, other = Task(name="same"), Task(name="same")
        assert one != other
        assert one == one
        assert len({one, other}) == 2

    def test_a_task_is_always_true(self):
        assert bool(Task()) is True
        assert not hasattr(Task, "__len__")
        assert not hasattr(Task, "__contains__")

    def test_the_logger_is_named_after_the_task(self):
        assert Task(name="load").logger.name == "headrace.load"

    def test_run_of_the_base_class_returns_none(self):
        assert Task().run() is None

    @pytest.mark.parametrize("name", ["größe", "名前", "a b", "{x}", "%s", "a\nb", "x" * 100_000, "../..", "🚰"])
    def test_any_text_is_a_name_that_runs(self, name):
        with Flow("names") as flow:
            result = echo(1, task_args={"name": name})
        assert value_of(flow, result) == 1
        assert flow.slugs[result] == f"{name}-1"

    def test_tags_of_an_open_block_are_added(self):
        with tags("a", "b"):
            assert Task(tags=["c"]).tags == {"a", "b", "c"}


class TestCopy:
    def test_a_copy_is_another_task_with_the_same_options(self):
        original = Task(name="n", tags=["t"], max_retries=1, retry_delay=3)
        new = original.copy()
        assert new is not original
        assert (new.name, new.tags, new.max_retries, new.retry_delay) == ("n", {"t"}, 1, original.retry_delay)

    def test_arguments_replace_attributes(self):
        new = Scale(3).copy(name="triple", factor=4)
        assert (new.name, new.factor) == ("triple", 4)

    def test_an_unknown_attribute_is_refused(self):
        with pytest.raises(AttributeError, match="colour"):
            Task().copy(colour="red")

    def test_a_slug_gets_a_suffix(self):
        assert Task(slug="load").copy().slug == "load-copy"

    def test_a_slug_can_be_replaced(self):
        assert Task(slug="load").copy(slug="other").slug == "other"

    def test_tags_add_up(self):
        with tags("block"):
            assert Task(tags=["own"]).copy(tags=["new"]).tags >= {"own", "new", "block"}

    def test_tags_of_the_copy_are_its_own(self):
        original = Task(tags=["a"])
        original.copy().tags.add("b")
        assert original.tags == {"a"}

    def test_options_of_the_original_stay(self):
        original = Task()
        original.copy(name="other", timeout=3, tags=["x"])
        assert (original.name, original.timeout, original.tags) == ("Task", None, set())

    def test_what_is_replaced_is_kept_in_the_form_the_constructor_keeps(self):
        new = Task().copy(timeout=timedelta(seconds=2), max_retries=1, retry_delay=5, retry_on=KeyError, trigger=None)
        assert (new.timeout, new.max_retries, new.retry_delay) == (2.0, 1, timedelta(seconds=5))
        assert new.retry_on == frozenset([KeyError])
        assert new.trigger is all_successful

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"timeout": -1}, ValueError),
            ({"timeout": "soon"}, TypeError),
            ({"max_retries": -1}, ValueError),
            ({"max_retries": 1}, ValueError),
            ({"retry_delay": 3}, ValueError),
            ({"retry_on": ValueError}, ValueError),
            ({"trigger": "all_failed"}, TypeError),
            ({"state_handlers": handler}, TypeError),
            ({"tags": "abc"}, TypeError),
            ({"nout": -1}, TypeError),
            ({"name": 3}, TypeError),
        ],
    )
    def test_a_replaced_option_is_checked(self, changes, error):
        with pytest.raises(error):
            Task().copy(**changes)

    def test_retries_can_be_switched_off(self):
        new = Task(max_retries=3, retry_delay=1, retry_on=KeyError).copy(max_retries=0)
        assert (new.max_retries, new.retry_delay, new.retry_on) == (0, None, None)


class TestCall:
    def test_a_call_adds_a_copy_to_the_flow(self):
        with Flow("f") as flow:
            result = echo(1)
        assert result is not echo
        assert list(flow.tasks) == [result]

    def test_outside_a_flow_the_error_names_the_task_and_suggests_run(self):
        with pytest.raises(NoActiveFlowError, match=r"'echo'.*echo\.run"):
            echo(1)

    def test_no_active_flow_is_a_value_error(self):
        with pytest.raises(ValueError, match="outside a flow"):
            Task()()

    def test_a_flow_can_be_named(self):
        flow = Flow("f")
        result = echo(1, flow=flow)
        assert list(flow.tasks) == [result]

    def test_a_named_flow_wins_over_the_open_one(self):
        other = Flow("other")
        with Flow("open") as flow:
            result = echo(1, flow=other)
        assert result in other.tasks
        assert not flow.tasks

    def test_task_args_change_the_copy_only(self):
        with Flow("f"):
            result = echo(1, task_args={"name": "renamed", "tags": ["t"]})
        assert (result.name, result.tags) == ("renamed", {"t"})
        assert (echo.name, echo.tags) == ("echo", set())

    def test_upstream_tasks_come_first_and_give_no_data(self):
        order: list[str] = []
        first, second = task(lambda: order.append("first")), task(lambda: order.append("second"))
        with Flow("f") as flow:
            one = first()
            two = second(upstream_tasks=[one])
        flow.run()
        assert order == ["first", "second"]
        assert {edge.key for edge in flow.edges_to(two)} == {None}

    @pytest.mark.parametrize("wrong", [Task(nout=2), "ab", 5])
    def test_upstream_tasks_are_a_list(self, wrong):
        with Flow("f") as flow:
            with pytest.raises(DefinitionTypeError, match="`upstream_tasks` of <Task: echo> must be a list"):
                echo(1, upstream_tasks=wrong)
            assert not flow.tasks

    @pytest.mark.parametrize("wrong", ["f", 5, Flow])
    def test_a_flow_that_is_none_is_a_type_error(self, wrong):
        with pytest.raises(DefinitionTypeError, match="`flow` must be a Flow"):
            echo(1, flow=wrong)

    def test_mapped_runs_once_for_each_element(self):
        with Flow("f") as flow:
            result = echo([1, 2], mapped=True)
        assert value_of(flow, result) == [1, 2]

    def test_collections_may_hold_tasks_at_any_depth(self):
        with Flow("f") as flow:
            one = echo(1)
            result = echo({"a": [one, (2, {one})]})
        assert value_of(flow, result) == {"a": [1, (2, {1})]}

    def test_keyword_arguments_of_run_are_flattened_into_inputs(self):
        gather = task(lambda **items: items)
        with Flow("f") as flow:
            result = gather(a=1, b=echo(2))
        assert value_of(flow, result) == {"a": 1, "b": 2}

    def test_task_args_are_a_dictionary(self):
        with Flow("f"), pytest.raises(DefinitionTypeError, match="`task_args` of <Task: echo>"):
            echo(1, task_args="name")  # type: ignore[arg-type]

    @pytest.mark.parametrize(("args", "kwargs"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
    def test_arguments_that_do_not_fit_are_a_type_error(self, args, kwargs):
        with Flow("f"), pytest.raises(TypeError):
            add(*args, **kwargs)

    def test_a_call_that_does_not_fit_adds_nothing(self):
        with Flow("f") as flow:
            with pytest.raises(TypeError):
                add(1, 2, 3)
            assert not flow.tasks

    def test_defaults_of_run_apply(self):
        with Flow("f") as flow:
            result = add(4)
        assert value_of(flow, result) == 5

    def test_a_generator_arrives_as_it_is(self):
        total = task(lambda numbers: 0 + sum(numbers))
        with Flow("f") as flow:
            result = total(i for i in range(4))
        assert value_of(flow, result) == 6

    def test_a_list_that_holds_itself_arrives_as_it_is(self):
        knot: list[Any] = [1]
        knot.append(knot)
        with Flow("f") as flow:
            result = echo(knot)
        assert value_of(flow, result) is knot

    def test_a_list_nested_50000_levels_deep_arrives_as_it_is(self):
        deep = nested(50_000, 1)
        with Flow("f") as flow:
            result = echo(deep)
        assert value_of(flow, result) is deep

    def test_100000_tags_are_carried(self):
        many = [str(i) for i in range(100_000)]
        with Flow("f") as flow:
            result = echo(1, task_args={"tags": many})
        assert value_of(flow, result) == 1
        assert flow.get_tasks(tags=["99999"]) == [result]

    def test_a_task_may_be_used_in_two_flows(self):
        shared = Scale(10)
        flows = [Flow("one"), Flow("two")]
        for number, flow in enumerate(flows, start=1):
            shared.bind(number, flow=flow)
        assert [value_of(flow, shared) for flow in flows] == [10, 20]


class TestBind:
    def test_bind_adds_the_task_itself(self):
        scale = Scale()
        with Flow("f") as flow:
            assert scale.bind(4) is scale
        assert value_of(flow, scale) == 8

    def test_bind_adds_the_tags_of_an_open_block(self):
        scale = Scale()
        with Flow("f"), tags("t"):
            scale.bind(4)
        assert scale.tags == {"t"}

    def test_bind_needs_a_flow(self):
        with pytest.raises(ValueError, match="outside a flow"):
            Scale().bind(1)

    def test_an_upstream_task_replaces_a_plain_value_that_was_bound_before(self):
        scale = Scale()
        with Flow("f") as flow:
            scale.bind(1)
            scale.bind(echo(5))
        assert value_of(flow, scale) == 10

    def test_a_plain_value_cannot_hide_an_upstream_task(self):
        scale = Scale()
        with Flow("f"):
            scale.bind(echo(5))
            with pytest.raises(ValueError, match="already bound"):
                scale.bind(1)

    def test_what_is_bound_after_a_run_counts_in_the_next(self):
        scale, flow = Scale(), Flow("f")
        flow.add_task(scale)
        assert flow.run().is_failed()
        scale.bind(2, flow=flow)
        assert value_of(flow, scale) == 4

    def test_two_plain_values_the_later_wins(self):
        scale = Scale()
        with Flow("f") as flow:
            scale.bind(1)
            scale.bind(2)
        assert value_of(flow, scale) == 4


class TestMap:
    def test_every_argument_is_mapped(self):
        with Flow("f") as flow:
            result = add.map([1, 2], [10, 20])
        assert value_of(flow, result) == [11, 22]

    def test_map_adds_a_copy(self):
        with Flow("f"):
            assert add.map([1], [2]) is not add

    def test_unmapped_arguments_are_given_whole(self):
        with Flow("f") as flow:
            result = add.map([1, 2], unmapped(10))
        assert value_of(flow, result) == [11, 12]

    def test_one_mapped_argument_leaves_the_others_whole(self):
        with Flow("f") as flow:
            result = add(mapped([1, 2]), 10)
        assert value_of(flow, result) == [11, 12]

    def test_flatten_removes_one_level(self):
        with Flow("f") as flow:
            result = echo.map(flatten([[1], [2, 3]]))
        assert value_of(flow, result) == [1, 2, 3]

    @pytest.mark.parametrize("value", [3, None, object()])
    def test_what_can_never_be_iterated_over_is_refused_by_position(self, value):
        with Flow("f"), pytest.raises(DefinitionTypeError, match="unmapped"):
            echo.map(value)

    def test_keyword_arguments_are_not_looked_at_before_the_run(self):
        with Flow("f") as flow:
            result = echo.map(x=3)
        assert flow.run().result[result].is_failed()

    def test_everything_unmapped_runs_once(self):
        with Flow("f") as flow:
            result = add.map(unmapped(1), unmapped(2))
        assert value_of(flow, result) == 3

    def test_a_task_without_arguments_runs_once(self):
        with Flow("f") as flow:
            result = task(lambda: 7).map()
        assert value_of(flow, result) == 7

    def test_nout_is_dropped_unless_asked_for(self):
        pair = task(lambda x: (x, x), nout=2)
        with Flow("f"):
            assert pair.map([1]).nout is None
            assert pair.map([1], task_args={"nout": 2}).nout == 2

    def test_task_args_change_the_copy(self):
        with Flow("f"):
            assert echo.map([1], task_args={"name": "each"}).name == "each"

    def test_map_needs_a_flow(self):
        with pytest.raises(ValueError, match="outside a flow"):
            echo.map([1])

    @pytest.mark.parametrize("value", ["ab", ("a", "b"), {"a": 1, "b": 2}, iter("ab"), dict.fromkeys("ab").keys()])
    def test_anything_iterable_can_be_mapped(self, value):
        with Flow("f") as flow:
            result = echo.map(value)
        assert value_of(flow, result) == ["a", "b"]

    def test_a_generator_is_mapped_in_every_run(self):
        with Flow("f") as flow:
            result = echo.map(i for i in range(3))
        assert [value_of(flow, result), value_of(flow, result)] == [[0, 1, 2], [0, 1, 2]]

    def test_a_list_nested_50000_levels_deep_can_be_mapped(self):
        deep = nested(50_000, 1)
        with Flow("f") as flow:
            result = echo.map(deep)
        assert value_of(flow, result)[0] is deep[0]


class TestDependencies:
    def test_set_upstream_orders(self):
        one, two, flow = Task(name="one"), Task(name="two"), Flow("f")
        assert two.set_upstream(one, flow=flow) is two
        assert flow.sorted_tasks() == (one, two)

    def test_set_upstream_with_a_key_passes_data(self):
        scale = Scale()
        with Flow("f") as flow:
            scale.set_upstream(echo(4), key="x")
        assert value_of(flow, scale) == 8

    def test_set_upstream_can_map(self):
        scale = Scale()
        with Flow("f") as flow:
            scale.set_upstream(echo([1, 2]), key="x", mapped=True)
        assert value_of(flow, scale) == [2, 4]

    def test_set_downstream_orders(self):
        one, two, flow = Task(name="one"), Task(name="two"), Flow("f")
        assert one.set_downstream(two, flow=flow) is one
        assert flow.sorted_tasks() == (one, two)

    def test_set_downstream_with_a_key_passes_data(self):
        scale = Scale()
        with Flow("f") as flow:
            echo(4).set_downstream(scale, key="x")
        assert value_of(flow, scale) == 8

    def test_set_dependencies_connects_both_ways(self):
        before, scale, after, flow = Task(name="before"), Scale(), Task(name="after"), Flow("f")
        found = scale.set_dependencies(
            flow, upstream_tasks=[before], downstream_tasks=[after], keyword_tasks={"x": 3}, validate=True
        )
        assert found is scale
        assert flow.upstream_tasks(scale) == {before}
        assert flow.downstream_tasks(scale) == {after}
        assert value_of(flow, scale) == 6

    @pytest.mark.parametrize("connect", ["set_upstream", "set_downstream"])
    def test_dependencies_need_a_flow(self, connect):
        with pytest.raises(ValueError, match="outside a flow"):
            getattr(Task(), connect)(Task())

    def test_a_task_cannot_depend_on_itself(self):
        one = Task()
        with Flow("f"), pytest.raises(ValueError, match="itself"):
            one.set_upstream(one)


class TestPipe:
    def test_pipe_calls_its_target_with_the_task(self):
        with Flow("f") as flow:
            result = echo(1).pipe(add, y=4)
        assert value_of(flow, result) == 5

    def test_pipe_takes_annotations(self):
        with Flow("f") as flow:
            result = echo(echo([1, 2]).pipe(mapped))
        assert value_of(flow, result) == [1, 2]

    def test_pipe_refuses_an_argument_named_self(self):
        with Flow("f"), pytest.raises(ValueError, match="self"):
            echo(1).pipe(add, self=1)


class TestInterface:
    def test_inputs_say_type_default_and_whether_required(self):
        @task
        def load(path: str, limit: int = 3, other=None, **rest: float) -> list[str]: ...  # type: ignore[empty-body]

        assert load.inputs() == {
            "path": {"type": "str", "default": None, "required": True},
            "limit": {"type": "int", "default": 3, "required": False},
            "other": {"type": Any, "default": None, "required": False},
            "rest": {"type": "float", "default": None, "required": False},
        }

    def test_outputs_is_the_return_annotation(self):
        def typed():
            return 1

        typed.__annotations__["return"] = int
        assert task(typed).outputs() is int

    def test_outputs_without_an_annotation_is_any(self):
        assert echo.outputs() is Any

    def test_unpacking_gives_a_task_for_each_value(self):
        pair = task(lambda: (1, 2), nout=2)
        with Flow("f") as flow:
            one, two = pair()
        state = flow.run()
        assert (state.result[one].result, state.result[two].result) == (1, 2)

    def test_unpacking_without_nout_is_a_type_error(self):
        with Flow("f"), pytest.raises(TypeError, match="nout"):
            _one, _two = echo(1)

    def test_nout_zero_unpacks_to_nothing(self):
        with Flow("f"):
            assert list(task(lambda: (), nout=0)()) == []


class TestFunctionTask:
    def test_the_decorator_works_bare_and_with_arguments(self):
        assert isinstance(add, FunctionTask)
        made = task(name="other", max_retries=1, retry_delay=0)(lambda x: x)
        assert isinstance(made, FunctionTask)
        assert (made.name, made.max_retries) == ("other", 1)

    def test_the_name_is_that_of_the_function(self):
        assert add.name == "add"
        assert task(lambda: 1).name == "<lambda>"

    def test_run_is_the_function_itself(self):
        def function():
            return 1

        assert task(function).run is function

    def test_metadata_of_the_function_are_copied(self):
        def documented():
            """Say what it does."""

        made: Any = task(documented)
        assert made.__doc__ == "Say what it does."
        assert made.__name__ == "documented"
        assert made.__wrapped__ is documented
        assert made.__module__ == __name__

    def test_what_cannot_be_called_is_refused(self):
        with pytest.raises(TypeError, match="function"):
            task(5)  # type: ignore[call-overload]

    def test_a_task_is_not_made_into_a_task_again(self):
        with pytest.raises(TypeError, match="<Task: add> is a task already"):
            task(add)

    def test_an_unknown_option_is_a_type_error(self):
        with pytest.raises(TypeError):
            task(colour="red")(lambda: 1)

    @pytest.mark.parametrize("function", [max, int, dict])
    def test_what_has_no_readable_signature_is_a_value_error_with_a_hint(self, function):
        with pytest.raises(TaskDefinitionError, match="Wrap it in a Python function"):
            task(function)

    def test_print_takes_any_number_of_values_so_it_is_a_value_error(self):
        with pytest.raises(ValueError, match=r"\*args"):
            task(print)

    @pytest.mark.parametrize("function", [len, abs, sum])
    def test_builtins_that_take_values_by_position_only_are_a_type_error(self, function):
        with pytest.raises(TypeError, match="position"):
            task(function)

    def test_a_bound_method_is_a_task(self):
        class Counter:
            total = 40

            def plus(self, x):
                return self.total + x

        made = task(Counter().plus)
        with Flow("f") as flow:
            result = made(2)
        assert made.name == "plus"
        assert value_of(flow, result) == 42

    def test_a_partial_is_a_task_without_the_arguments_it_has(self):
        made = task(functools.partial(lambda x, y: (x, y), 1), name="partial")
        with Flow("f") as flow:
            result = made(y=2)
        assert value_of(flow, result) == (1, 2)

    def test_a_partial_without_a_name_is_named_after_the_class(self):
        assert task(functools.partial(lambda x: x)).name == "FunctionTask"

    def test_a_callable_object_is_a_task(self):
        class Double:
            def __call__(self, x):
                return 2 * x

        with Flow("f") as flow:
            result = task(Double())(4)
        assert value_of(flow, result) == 8

    def test_a_class_is_a_task_that_makes_instances(self):
        class Point:
            def __init__(self, x, y):
                self.x = x

        with Flow("f") as flow:
            result = task(Point)(1, y=2)
        assert value_of(flow, result).x == 1

    def test_calling_run_bypasses_the_engine(self):
        assert add.run(1, y=2) == 3


class TestSubclass:
    def test_a_class_based_task_runs(self):
        with Flow("f") as flow:
            result = Scale(3)(x=4)
        assert value_of(flow, result) == 12

    def test_star_args_are_refused_when_the_class_is_defined(self):
        with pytest.raises(ValueError, match=r"\*items"):

            class Bad(Task):
                def run(self, *items): ...

    @pytest.mark.parametrize("name", ["upstream_tasks", "mapped", "task_args", "flow"])
    def test_reserved_argument_names_are_refused(self, name):
        namespace: dict[str, Any] = {}
        exec(f"def run(self, {name}): ...", namespace)
        with pytest.raises(ValueError, match=name):
            type("Bad", (Task,), {"run": namespace["run"]})

    def test_positional_only_arguments_are_a_type_error(self):
        with pytest.raises(TypeError, match="position"):

            class Bad(Task):
                def run(self, x, /): ...

    def test_run_may_be_static(self):
        class Static(Task):
            @staticmethod
            def run(x):
                return x

        with Flow("f") as flow:
            result = Static()(5)
        assert value_of(flow, result) == 5

    def test_run_may_be_a_class_method(self):
        class OfClass(Task):
            factor = 3

            @classmethod
            def run(cls, x):
                return cls.factor * x

        with Flow("f") as flow:
            result = OfClass()(5)
        assert value_of(flow, result) == 15

    def test_run_is_inherited_with_its_signature(self):
        class Bigger(Scale):
            pass

        with Flow("f") as flow:
            result = Bigger(10)(x=2)
        assert value_of(flow, result) == 20

    def test_a_mixin_may_bring_another_run(self):
        class Mixin:
            def run(self, y):
                return y

        class Mixed(Mixin, Scale):
            pass

        with Flow("f") as flow:
            result = Mixed()(y=2)
        assert value_of(flow, result) == 2

    def test_a_run_that_is_no_function_is_a_type_error(self):
        with pytest.raises(TypeError, match=r"Bad\.run must be a function, and is 5"):

            class Bad(Task):
                run = 5  # type: ignore[assignment]

    def test_a_run_without_self_is_refused(self):
        with pytest.raises(ValueError, match="signature"):

            class Bad(Task):
                def run(): ...  # type: ignore[misc]


class TestDefaultsFromAttributes:
    class Query(Task):
        def __init__(self, table=None, limit=None, **task_args):
            self.table, self.limit = table, limit
            super().__init__(**task_args)

        @defaults_from_attrs("table", "limit")
        def run(self, table=None, limit=None):
            return table, limit

    def test_missing_arguments_come_from_attributes(self):
        assert self.Query("users", 10).run() == ("users", 10)

    def test_given_arguments_win(self):
        assert self.Query("users", 10).run("orders") == ("orders", 10)
        assert self.Query("users", 10).run(limit=3) == ("users", 3)

    def test_an_explicit_none_stays_none(self):
        assert self.Query("users", 10).run(table=None) == (None, 10)

    def test_it_works_in_a_flow(self):
        with Flow("f") as flow:
            result = self.Query("users", 10)(limit=echo(5))
        assert value_of(flow, result) == ("users", 5)

    def test_the_signature_stays(self):
        assert list(self.Query().inputs()) == ["table", "limit"]


class TestConfiguredDefaults:
    def test_retries_come_from_the_configuration(self):
        with config.set_temporary_config({"tasks.defaults.max_retries": 2, "tasks.defaults.retry_delay": 5}):
            new = Task()
        assert (new.max_retries, new.retry_delay) == (2, timedelta(seconds=5))

    @pytest.mark.parametrize("none", [0, False])
    def test_configured_retries_may_be_none(self, none):
        with config.set_temporary_config({"tasks.defaults.max_retries": none}):
            assert Task().max_retries == 0

    def test_the_configured_delay_is_for_tasks_that_retry(self):
        with config.set_temporary_config({"tasks.defaults.retry_delay": 5}):
            assert Task().retry_delay is None
            assert Task(max_retries=1).retry_delay == timedelta(seconds=5)

    def test_the_timeout_comes_from_the_configuration(self):
        with config.set_temporary_config({"tasks.defaults.timeout": 1.5}):
            assert Task().timeout == 1.5
            assert Task(timeout=3).timeout == 3.0


class TestPickling:
    def test_a_function_task_survives_cloudpickle(self):
        offset = 5
        made = task(lambda x: x + offset, name="shift", trigger=all_failed)
        new = cloudpickle.loads(cloudpickle.dumps(made))
        assert (new.name, new.trigger, new.run(1)) == ("shift", all_failed, 6)

    def test_an_unpickled_task_can_be_used_in_a_flow(self):
        new = cloudpickle.loads(cloudpickle.dumps(add))
        with Flow("f") as flow:
            result = new(1, y=2)
        assert value_of(flow, result) == 3

    def test_a_class_based_task_survives_pickle(self):
        assert pickle.loads(pickle.dumps(Scale(7, name="seven"))).run(2) == 14

    def test_a_parameter_survives_pickle(self):
        new = pickle.loads(pickle.dumps(Parameter("n")))
        assert new.required
        assert new.value_type is Any

    def test_a_task_that_reads_the_context_and_the_configuration_survives_cloudpickle(self):
        def look() -> Any:
            return context.get("task_name"), config.current()["engine"]["executor"]

        # As in a script: by value, with the globals it uses.
        look.__module__ = "__main__"
        with Flow("f") as flow:
            result = cloudpickle.loads(cloudpickle.dumps(task(look)))()
        assert value_of(flow, result) == ("look", "local")

    @pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
    def test_copies_run(self, duplicate):
        original = Scale(3, tags=["t"])
        new = duplicate(original)
        assert new is not original
        with Flow("f") as flow:
            result = new(2)
        assert value_of(flow, result) == 6

    def test_a_deep_copy_shares_nothing_that_can_change(self):
        original = Scale(tags=["t"], state_handlers=[handler])
        new = copy.deepcopy(original)
        new.tags.add("u")
        new.state_handlers.clear()
        assert original.tags == {"t"}
        assert original.state_handlers == [handler]


def test_a_call_at_run_time_is_outside_any_flow():
    def nested() -> Any:
        return add(1)

    with Flow("f") as flow:
        result = task(nested)()
    found = flow.run().result[result].result
    assert isinstance(found, NoActiveFlowError)
    assert building.get().flow is None


def test_a_call_at_run_time_is_outside_the_flow_whose_block_is_open():
    with Flow("inner") as inner:
        result = task(lambda: add(1), name="nested")()
    with Flow("outer") as outer, tags("t"):
        found = inner.run().result[result].result
        after = add(1)
    assert isinstance(found, NoActiveFlowError)
    assert list(outer.tasks) == [after]
    assert after.tags == {"t"}


def test_the_signature_of_a_task_is_that_of_run_and_what_a_call_adds():
    @task
    def load(day: str, *, retries: int = 3, **options: int) -> str:
        return day

    found = inspect.signature(load)
    assert list(found.parameters) == ["day", "retries", "mapped", "task_args", "upstream_tasks", "flow", "options"]
    assert found.parameters["mapped"].kind is inspect.Parameter.KEYWORD_ONLY
    assert found.return_annotation is Task


def test_the_signature_of_a_task_class_is_that_of_its_constructor():
    class Load(Task):
        def __init__(self, url: str) -> None:
            super().__init__()

        def run(self, day):
            return day

    assert list(inspect.signature(Load).parameters) == ["url"]
    assert next(iter(inspect.signature(Load("x")).parameters)) == "day"
