from __future__ import annotations

import copy
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Parameter, Task, case, config, resource_manager, tags, task, unmapped
from headrace.edges import Edge
from headrace.exceptions import CycleError, DefinitionTypeError, DuplicateKeyError, FlowDefinitionError
from headrace.run_context import building
from headrace.states import Failed, Pending, Queued, Success
from headrace.values import Constant


@task
def echo(x):
    return x


class Two(Task):
    def run(self, x=None, y=None):
        return x, y


def letters(names: str) -> list[Task]:
    return [Two(name=name) for name in names]


def chained(names: str) -> tuple[Flow, list[Task]]:
    flow, tasks = Flow("f"), letters(names)
    flow.chain(*tasks)
    return flow, tasks


class TestNew:
    @pytest.mark.parametrize("name", ["", None, 5])
    def test_it_needs_a_name(self, name):
        with pytest.raises(ValueError, match="name"):
            Flow(name)

    @pytest.mark.parametrize("name", ["größe", "🚰", "a/b", "x" * 100_000, "{}", " "])
    def test_any_text_is_a_name_that_runs(self, name):
        assert Flow(name).run().is_successful()

    def test_the_repr_shows_the_name(self):
        assert repr(Flow("f")) == '<Flow: name="f">'

    def test_a_new_flow_is_empty(self):
        flow = Flow("f")
        assert len(flow.tasks) == 0
        assert len(flow.edges) == 0
        assert (flow.slugs, flow.constants, flow.state_handlers) == ({}, {}, [])
        assert flow.parameters() == set()
        assert flow.executor is None
        assert flow.terminal_state_handler is None

    def test_it_can_start_with_tasks_and_edges(self):
        one, two, three = letters("abc")
        flow = Flow("f", tasks=[three], edges=[Edge(one, two, "x", mapped=True)])
        assert flow.tasks == {one, two, three}
        assert flow.edges == {Edge(one, two, "x", mapped=True)}

    def test_it_can_start_with_reference_tasks(self):
        one, two = letters("ab")
        assert Flow("f", tasks=[one, two], reference_tasks=[one]).reference_tasks() == {one}

    def test_foreign_reference_tasks_are_a_value_error(self):
        with pytest.raises(ValueError, match="not in flow"):
            Flow("f", reference_tasks=letters("a"))

    def test_validate_looks_for_cycles_at_once(self):
        one, two = letters("ab")
        with pytest.raises(CycleError):
            Flow("f", edges=[Edge(one, two), Edge(two, one)], validate=True)

    def test_result_is_another_name_for_results(self):
        flow = Flow("f", result="memory:")
        assert flow.results == flow.result == "memory:"
        flow.result = "file:kept"
        assert flow.results == "file:kept"

    def test_the_logger_is_named_after_the_flow(self):
        assert Flow("daily").logger.name == "headrace.daily"

    def test_state_handlers_are_checked(self):
        with pytest.raises(TypeError, match="state_handlers"):
            Flow("f", state_handlers=lambda *_: None)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"tasks": Task()},
            {"edges": Edge(Task(), Task())},
            {"edges": [5]},
            {"reference_tasks": Task()},
            {"terminal_state_handler": 5},
        ],
    )
    def test_what_is_of_the_wrong_type_is_named(self, wrong):
        (name,) = wrong
        with pytest.raises(DefinitionTypeError, match=f"`{name}` of"):
            Flow("f", **wrong)

    def test_on_failure_joins_the_state_handlers(self):
        assert len(Flow("f", state_handlers=[lambda *_: None], on_failure=lambda *_: None).state_handlers) == 2


class TestBlock:
    def test_it_is_the_flow_of_the_context_inside_only(self):
        with Flow("f") as flow:
            assert building.get().flow is flow
        assert building.get().flow is None

    def test_the_outer_flow_comes_back(self):
        with Flow("outer") as outer:
            with Flow("inner") as inner:
                inside = echo(1)
            after = echo(2)
        assert list(inner.tasks) == [inside]
        assert list(outer.tasks) == [after]

    def test_it_can_be_entered_again_to_add_more(self):
        flow = Flow("f")
        with flow:
            echo(1)
        with flow, flow:
            echo(2)
        assert len(flow.tasks) == 2
        assert building.get().flow is None

    def test_an_error_inside_ends_the_block(self):
        with pytest.raises(ZeroDivisionError), Flow("f"):
            _ = 1 / 0
        assert building.get().flow is None

    def test_running_inside_the_block_is_a_value_error(self):
        with Flow("f") as flow, pytest.raises(FlowDefinitionError, match="inside its own"):
            flow.run()

    def test_tags_of_an_outer_block_reach_the_tasks(self):
        with tags("t"), Flow("f"):
            assert echo(1).tags == {"t"}


class TestAddTask:
    def test_it_returns_the_task(self):
        one = Task()
        assert Flow("f").add_task(one) is one

    def test_adding_twice_changes_nothing(self):
        flow, one = Flow("f"), Task()
        flow.add_task(one)
        flow.add_task(one)
        assert len(flow.tasks) == 1
        assert flow.slugs == {one: "Task-1"}

    @pytest.mark.parametrize("wrong", [5, "task", [1], {}, None, Task, len])
    def test_what_is_no_task_is_a_type_error(self, wrong):
        with pytest.raises(DefinitionTypeError, match="takes tasks"):
            Flow("f").add_task(wrong)

    def test_duplicate_slugs_are_a_value_error(self):
        flow = Flow("f", tasks=[Task(slug="s")])
        with pytest.raises(ValueError, match="'s'"):
            flow.add_task(Task(slug="s"))

    def test_a_slug_that_was_made_counts_as_taken(self):
        flow = Flow("f", tasks=[Task(name="load")])
        with pytest.raises(ValueError, match="load-1"):
            flow.add_task(Task(slug="load-1"))

    def test_a_refused_task_is_not_added(self):
        flow = Flow("f", tasks=[Task(slug="s")])
        with pytest.raises(ValueError):
            flow.add_task(Task(slug="s"))
        assert len(flow.tasks) == 1


class TestSlugs:
    def test_they_count_from_one_for_each_name(self):
        flow = Flow("f", tasks=[Task(name="a"), Task(name="b"), Task(name="a")])
        assert list(flow.slugs.values()) == ["a-1", "b-1", "a-2"]

    def test_they_hold_the_sorted_tags(self):
        flow = Flow("f", tasks=[Task(name="a", tags=["z", "b"]), Task(name="a", tags=["b", "z"])])
        assert list(flow.slugs.values()) == ["a-b-z-1", "a-b-z-2"]

    def test_given_ones_are_kept(self):
        flow = Flow("f", tasks=[Task(slug="own")])
        assert list(flow.slugs.values()) == ["own"]

    def test_a_made_one_steps_aside_for_a_given_one(self):
        flow = Flow("f", tasks=[Task(slug="a-1"), Task(name="a")])
        assert list(flow.slugs.values()) == ["a-1", "a-2"]

    def test_they_are_the_same_in_every_process(self):
        def build():
            with Flow("f") as flow:
                echo.map([echo(1), echo(2)])
            return list(flow.slugs.values())

        assert build() == build() == ["echo-1", "echo-2", "List-1", "echo-3"]


class TestAddEdge:
    def test_it_returns_the_edge_and_adds_both_tasks(self):
        flow, (one, two) = Flow("f"), letters("ab")
        assert flow.add_edge(one, two, "x", True, True) == Edge(one, two, "x", True, True)
        assert list(flow.tasks) == [one, two]

    def test_what_is_no_task_becomes_one(self):
        flow, (one,) = Flow("f"), letters("a")
        edge = flow.add_edge([1, 2], one, "x")
        assert isinstance(edge.upstream_task, Constant)

    def test_a_key_that_run_does_not_take_is_a_type_error(self):
        flow, (one, two) = Flow("f"), letters("ab")
        with pytest.raises(DefinitionTypeError, match="no argument 'z'"):
            flow.add_edge(one, two, "z")

    def test_a_refused_edge_adds_no_task(self):
        flow, (one, two) = Flow("f"), letters("ab")
        with pytest.raises(DefinitionTypeError):
            flow.add_edge(one, two, "z")
        with pytest.raises(FlowDefinitionError):
            flow.add_edge(one, Parameter("n"))
        assert not flow.tasks

    def test_a_key_bound_twice_is_a_value_error(self):
        flow, (one, two, three) = Flow("f"), letters("abc")
        flow.add_edge(one, three, "x")
        with pytest.raises(DuplicateKeyError):
            flow.add_edge(two, three, "x")

    def test_an_edge_replaces_a_constant(self):
        with Flow("f") as flow:
            result = echo(1)
            flow.add_edge(echo(2), result, "x")
        assert flow.run().result[result].result == 2

    def test_a_cycle_is_reported_at_once_on_request(self):
        flow, (one, two) = Flow("f"), letters("ab")
        flow.add_edge(one, two)
        with pytest.raises(CycleError, match=r"(a -> b -> a|b -> a -> b)"):
            flow.add_edge(two, one, validate=True)

    def test_eager_validation_can_be_configured(self):
        flow, (one, two) = Flow("f"), letters("ab")
        flow.add_edge(one, two)
        with config.set_temporary_config({"flows.eager_edge_validation": True}), pytest.raises(CycleError):
            flow.add_edge(two, one)

    def test_a_cycle_is_raised_at_the_start_of_run_at_the_latest(self):
        flow, (one, two) = Flow("f"), letters("ab")
        flow.add_edge(one, two)
        flow.add_edge(two, one)
        with pytest.raises(ValueError, match="cycle"):
            flow.run()


class TestChain:
    def test_each_task_runs_after_the_one_before(self):
        flow, tasks = Flow("f"), letters("abc")
        edges = flow.chain(*tasks)
        assert edges == [Edge(tasks[0], tasks[1]), Edge(tasks[1], tasks[2])]
        assert flow.sorted_tasks() == tuple(tasks)

    def test_fewer_than_two_tasks_make_no_edge(self):
        assert Flow("f").chain() == []
        assert Flow("f").chain(Task()) == []

    def test_validate_is_passed_on(self):
        one, two = letters("ab")
        with pytest.raises(CycleError):
            Flow("f").chain(one, two, one, validate=True)


class TestSetDependencies:
    def test_it_is_the_imperative_way_to_connect(self):
        flow, (before, middle, after, data) = Flow("f"), letters("abcd")
        flow.set_dependencies(
            middle, upstream_tasks=[before], downstream_tasks=[after], keyword_tasks={"x": data, "y": 5}
        )
        assert flow.upstream_tasks(middle) == {before, data}
        assert flow.downstream_tasks(middle) == {after}
        assert flow.constants[middle] == {"y": 5}

    def test_mapped_does_not_concern_downstream_tasks(self):
        flow, (before, middle, after) = Flow("f"), letters("abc")
        flow.set_dependencies(middle, [before], [after], mapped=True)
        assert [e.mapped for e in flow.edges_to(middle)] == [True]
        assert [e.mapped for e in flow.edges_to(after)] == [False]

    def test_a_mapped_constant_becomes_a_task(self):
        flow, (one,) = Flow("f"), letters("a")
        flow.set_dependencies(one, keyword_tasks={"x": [1, 2]}, mapped=True)
        assert flow.run().result[one].result == [(1, None), (2, None)]

    def test_annotations_are_heeded(self):
        flow, (one,) = Flow("f"), letters("a")
        flow.set_dependencies(one, keyword_tasks={"x": [1, 2], "y": unmapped([3])}, mapped=True)
        assert flow.run().result[one].result == [(1, [3]), (2, [3])]

    @pytest.mark.parametrize("option", ["upstream_tasks", "downstream_tasks"])
    @pytest.mark.parametrize("wrong", [Task(nout=2), "ab", 5])
    def test_several_tasks_are_a_list(self, option, wrong):
        with pytest.raises(DefinitionTypeError, match=rf"`{option}` of <Task: a> must be a list"):
            Flow("f").set_dependencies(Two(name="a"), **{option: wrong})

    def test_a_wrong_keyword_is_a_type_error(self):
        flow, (one,) = Flow("f"), letters("a")
        with pytest.raises(TypeError, match="no argument 'z'"):
            flow.set_dependencies(one, keyword_tasks={"z": 5})

    @pytest.mark.parametrize("value", [5, Task()])
    @pytest.mark.parametrize("key", ["a b", "class", ""])
    def test_a_keyword_that_is_no_argument_name_is_a_value_error(self, key, value):
        takes_anything = task(lambda **rest: rest, name="any")
        with pytest.raises(FlowDefinitionError, match="cannot be an argument of task 'any'"):
            Flow("f").set_dependencies(takes_anything, keyword_tasks={key: value})

    @pytest.mark.parametrize("value", [5, Task()])
    def test_a_parameter_takes_no_keywords(self, value):
        with pytest.raises(FlowDefinitionError, match=r"Parameter 'n' cannot have upstream tasks.*wait instead"):
            Flow("f").set_dependencies(Parameter("n"), keyword_tasks={"x": value})

    def test_a_constant_cannot_hide_an_edge(self):
        flow, (one, two) = Flow("f"), letters("ab")
        flow.add_edge(one, two, "x")
        with pytest.raises(DuplicateKeyError):
            flow.set_dependencies(two, keyword_tasks={"x": 5})


class TestQueries:
    def test_neighbours_and_edges(self):
        flow, (one, two, three) = chained("abc")
        assert flow.upstream_tasks(two) == {one}
        assert flow.downstream_tasks(two) == {three}
        assert flow.edges_to(two) == {Edge(one, two)}
        assert flow.edges_from(two) == {Edge(two, three)}
        assert flow.root_tasks() == {one}
        assert flow.terminal_tasks() == {three}

    def test_all_edges_by_task(self):
        flow, (one, two) = chained("ab")
        assert flow.all_upstream_edges() == {one: set(), two: {Edge(one, two)}}
        assert flow.all_downstream_edges() == {one: {Edge(one, two)}, two: set()}

    @pytest.mark.parametrize("ask", ["upstream_tasks", "downstream_tasks", "edges_to", "edges_from"])
    def test_an_unknown_task_is_a_value_error(self, ask):
        with pytest.raises(ValueError, match="not in flow"):
            getattr(Flow("f"), ask)(Task())

    def test_iterating_gives_sorted_tasks(self):
        flow, tasks = chained("abc")
        assert list(flow) == tasks

    def test_sorted_tasks_from_some_roots(self):
        flow, (_, two, three) = chained("abc")
        assert flow.sorted_tasks(root_tasks=[two]) == (two, three)

    def test_sorted_tasks_from_a_foreign_root_is_a_value_error(self):
        with pytest.raises(ValueError, match="not in flow"):
            Flow("f").sorted_tasks(root_tasks=[Task()])

    def test_sorted_tasks_of_a_cycle_is_a_value_error(self):
        flow, (one, two) = chained("ab")
        flow.add_edge(two, one)
        with pytest.raises(CycleError):
            flow.sorted_tasks()
        with pytest.raises(CycleError):
            flow.validate()

    def test_tasks_are_an_ordered_set_like_view(self):
        flow, tasks = chained("cab")
        assert list(flow.tasks) == tasks
        assert flow.tasks == set(tasks)
        assert flow.tasks & {tasks[0]} == {tasks[0]}

    def test_a_flow_of_50000_tasks_in_a_chain_runs(self):
        with Flow("f") as flow:
            last = echo(0)
            for _ in range(50_000):
                last = echo(last)
        state = flow.run()
        assert state.is_successful()
        assert state.result[last].result == 0


class TestGetTasks:
    flow = Flow("f")
    first = flow.add_task(Task(name="a", tags=["x", "y"]))
    second = flow.add_task(Two(name="a", tags=["x"]))
    third = flow.add_task(Two(name="b", slug="own"))

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            ({}, [first, second, third]),
            ({"name": "a"}, [first, second]),
            ({"slug": "own"}, [third]),
            ({"slug": "a-x-1"}, [second]),
            ({"tags": ["x"]}, [first, second]),
            ({"tags": ["x", "y"]}, [first]),
            ({"task_type": Two}, [second, third]),
            ({"name": "a", "task_type": Two, "tags": ["x"]}, [second]),
            ({"name": "c"}, []),
        ],
    )
    def test_filters_add_up(self, filters, found):
        assert self.flow.get_tasks(**filters) == found

    def test_a_bare_text_is_not_taken_for_a_tag_per_letter(self):
        with pytest.raises(DefinitionTypeError, match="`tags`"):
            self.flow.get_tasks(tags="xy")


class TestReferenceTasks:
    def test_they_are_the_last_tasks_by_default(self):
        flow, (_, two) = chained("ab")
        assert flow.reference_tasks() == {two}

    def test_they_can_be_set_and_reset(self):
        flow, (one, two) = chained("ab")
        flow.set_reference_tasks([one])
        assert flow.reference_tasks() == {one}
        flow.set_reference_tasks([])
        assert flow.reference_tasks() == {two}

    def test_foreign_ones_are_a_value_error(self):
        with pytest.raises(ValueError, match="not in flow"):
            Flow("f").set_reference_tasks([Task()])

    def test_they_decide_whether_a_run_succeeds(self):
        fail = task(lambda: 1 / 0, name="fail")
        with Flow("f") as flow:
            fine, broken = echo(1), fail()
        assert flow.run().is_failed()
        flow.set_reference_tasks([fine])
        assert flow.run().is_successful()
        flow.set_reference_tasks([broken])
        assert flow.run().is_failed()

    def test_setting_up_and_cleaning_up_do_not_count(self):
        class Desk:
            def cleanup(self, resource): ...

        with Flow("f") as flow, resource_manager(Desk)():
            inside = echo(1)
        assert flow.reference_tasks() == {inside}


class TestUpdate:
    def test_it_adds_tasks_edges_and_constants(self):
        other, (one, two) = chained("ab")
        with other:
            constant = echo(5)
        flow = Flow("f")
        flow.update(other)
        assert flow.tasks == {one, two, constant}
        assert flow.edges == other.edges
        assert flow.constants[constant] == {"x": 5}
        assert flow.run().is_successful()

    def test_the_other_flow_stays_as_it_was(self):
        other, (one, _) = chained("ab")
        flow = Flow("f")
        flow.update(other)
        flow.add_edge(Task(), one)
        assert len(other.tasks) == 2

    def test_two_parameters_of_one_name_are_a_value_error(self):
        flow, other = Flow("f", tasks=[Parameter("n")]), Flow("g", tasks=[Parameter("n")])
        with pytest.raises(ValueError, match="'n'"):
            flow.update(other)

    def test_parameters_can_be_merged(self):
        own = Parameter("n")
        flow = Flow("f", tasks=[own])
        with Flow("g") as other:
            result = echo(Parameter("n"))
        flow.update(other, merge_parameters=True)
        assert flow.parameters() == {own}
        assert flow.run(n=3).result[result].result == 3

    def test_reference_tasks_are_merged_on_request(self):
        one, two, three = letters("abc")
        flow, other = Flow("f", tasks=[one]), Flow("g", tasks=[two, three], reference_tasks=[three])
        flow.update(other)
        assert flow.reference_tasks() == {one, two, three}
        flow.set_reference_tasks([one])
        flow.update(other, merge_reference_tasks=True)
        assert flow.reference_tasks() == {one, three}

    def test_a_cycle_is_found_on_request(self):
        flow, (one, two) = chained("ab")
        with pytest.raises(CycleError):
            flow.update(Flow("g", edges=[Edge(two, one)]), validate=True)

    def test_updating_a_flow_from_itself_changes_nothing(self):
        flow, tasks = chained("ab")
        flow.update(flow)
        assert list(flow.tasks) == tasks
        assert len(flow.edges) == 1


class TestReplace:
    def test_the_new_task_gets_the_edges(self):
        flow, (one, two, three) = chained("abc")
        new = Two(name="new")
        flow.replace(two, new)
        assert flow.tasks == {one, new, three}
        assert flow.edges == {Edge(one, new), Edge(new, three)}

    def test_the_new_task_gets_the_constants(self):
        with Flow("f") as flow:
            result = echo(5)
        new = Two(name="new")
        flow.replace(result, new)
        assert flow.run().result[new].result == (5, None)

    def test_the_new_task_takes_the_place_among_reference_tasks(self):
        flow, (one, _) = chained("ab")
        flow.set_reference_tasks([one])
        new = Two(name="new")
        flow.replace(one, new)
        assert flow.reference_tasks() == {new}

    def test_a_plain_value_can_replace_a_parameter(self):
        parameter = Parameter("n")
        with Flow("f") as flow:
            result = echo(parameter)
        flow.replace(parameter, [1, 2, 3])
        assert flow.run().result[result].result == [1, 2, 3]

    def test_the_slug_of_the_old_task_is_free_again(self):
        old = Task(slug="s")
        flow = Flow("f", tasks=[old])
        flow.replace(old, Task(slug="s"))
        assert list(flow.slugs.values()) == ["s"]

    def test_a_task_that_is_not_there_is_a_value_error(self):
        with pytest.raises(ValueError, match="not in flow"):
            Flow("f").replace(Task(), Task())

    @pytest.mark.parametrize("kind", ["edge", "constant"])
    def test_a_task_that_does_not_take_the_arguments_is_a_type_error(self, kind):
        with Flow("f") as flow:
            result = echo(echo(1) if kind == "edge" else 1)
        with pytest.raises(TypeError, match="no argument 'x'"):
            flow.replace(result, Task())

    def test_a_parameter_cannot_replace_what_has_upstream_tasks(self):
        flow, (_, two) = chained("ab")
        with pytest.raises(ValueError, match="Parameter"):
            flow.replace(two, Parameter("n"))

    def test_a_neighbour_cannot_replace_its_neighbour(self):
        flow, (one, two) = chained("ab")
        with pytest.raises(ValueError, match="cannot replace"):
            flow.replace(one, two)

    def test_a_refused_replacement_changes_nothing(self):
        flow, (one, two) = chained("ab")
        for wrong in (two, Parameter("n")):
            with pytest.raises(ValueError):
                flow.replace(one if wrong is two else two, wrong)
        assert flow.tasks == {one, two}
        assert flow.edges == {Edge(one, two)}
        assert flow.slugs == {one: "a-1", two: "b-1"}

    def test_a_cycle_is_found(self):
        flow, (first, _, _, last) = chained("abcd")
        with pytest.raises(CycleError):
            flow.replace(first, last)

    def test_a_cycle_is_found_later_on_request(self):
        flow, (first, _, _, last) = chained("abcd")
        flow.replace(first, last, validate=False)
        with pytest.raises(CycleError):
            flow.validate()


class TestCopy:
    def test_a_copy_has_the_same_tasks_and_containers_of_its_own(self):
        flow, tasks = chained("ab")
        new = flow.copy()
        assert list(new.tasks) == tasks
        assert new.edges == flow.edges
        new.add_task(Task())
        new.chain(*letters("xy"))
        assert list(flow.tasks) == tasks
        assert len(flow.edges) == 1

    def test_a_copy_runs(self):
        with Flow("f") as flow:
            result = echo(5)
        new = flow.copy()
        assert new.run().result[result].result == 5

    def test_constants_of_the_copy_are_its_own(self):
        with Flow("f") as flow:
            result = echo(5)
        new = flow.copy()
        new.set_dependencies(result, keyword_tasks={"x": 6})
        assert flow.run().result[result].result == 5
        assert new.run().result[result].result == 6

    def test_new_tasks_of_the_copy_get_new_slugs(self):
        flow = Flow("f", tasks=[Task(name="a")])
        new = flow.copy()
        new.add_task(Task(name="a"))
        assert list(new.slugs.values()) == ["a-1", "a-2"]

    def test_flows_compare_by_identity(self):
        flow = Flow("f")
        assert flow == flow
        assert flow != flow.copy()


def rich_flow() -> tuple[Flow, Task]:
    class Desk:
        def setup(self):
            return "desk"

        def cleanup(self, resource): ...

    with Flow("rich") as flow:
        number = Parameter("n", default=2)
        mapped = echo.map([1, 2, number])
        with resource_manager(Desk)() as desk, case(number, 2):
            last = echo({"desk": desk, "all": mapped})
    return flow, last


class TestPickling:
    def test_a_flow_survives_cloudpickle_and_runs(self):
        flow, _ = rich_flow()
        new: Flow = cloudpickle.loads(cloudpickle.dumps(flow))
        (last,) = [t for t in new.tasks if new.slugs[t] == "echo-2"]
        assert new.run().result[last].result == {"desk": "desk", "all": [1, 2, 2]}
        assert list(new.slugs.values()) == list(flow.slugs.values())

    def test_an_unpickled_flow_can_be_built_further(self):
        flow, _ = rich_flow()
        new: Flow = cloudpickle.loads(cloudpickle.dumps(flow))
        with new:
            more = echo(next(iter(new.parameters())))
        assert new.slugs[more] == "echo-3"
        assert new.run().result[more].result == 2

    def test_a_flow_that_has_run_can_be_pickled(self):
        flow, _ = rich_flow()
        flow.run()
        assert cloudpickle.loads(cloudpickle.dumps(flow)).run().is_successful()

    def test_a_flow_can_be_pickled_inside_its_block(self):
        with Flow("f") as flow:
            echo(1)
            new = cloudpickle.loads(cloudpickle.dumps(flow))
        assert new.run().is_successful()

    def test_a_deep_copy_runs_and_shares_no_task(self):
        flow, last = rich_flow()
        new = copy.deepcopy(flow)
        assert last not in new.tasks
        assert new.run().is_successful()


class TestStateHandlers:
    def test_they_see_each_change_of_the_run(self):
        seen: list[Any] = []
        flow = Flow("f", state_handlers=[lambda *given: seen.append(given)])
        flow.run()
        assert [(f, type(old).__name__, type(new).__name__) for f, old, new in seen] == [
            (flow, "Pending", "Running"),
            (flow, "Running", "Success"),
        ]

    def test_on_failure_is_called_once_with_the_flow_and_the_state(self):
        seen: list[Any] = []
        with Flow("f", on_failure=lambda *given: seen.append(given)) as flow:
            task(lambda: 1 / 0, name="fail")()
        state = flow.run()
        assert seen == [(flow, state)]

    def test_the_terminal_state_handler_may_replace_the_final_state(self):
        seen: list[Any] = []

        def lenient(flow, state, reference):
            seen.append((flow, state, reference))
            return Success("Good enough.", state.result)

        with Flow("f", terminal_state_handler=lenient) as flow:
            broken = task(lambda: 1 / 0, name="fail")()
        state = flow.run()
        assert state.is_successful()
        assert state.result[broken].is_failed()
        ((found, before, reference),) = seen
        assert found is flow
        assert isinstance(before, Failed)
        assert list(reference) == [broken]

    def test_a_replaced_final_state_has_the_task_states_whatever_it_says(self):
        with Flow("f", terminal_state_handler=lambda *_: Success("fine")) as flow:
            result = echo(1)
        assert flow.run().result[result].result == 1

    @pytest.mark.parametrize("wrong", [True, Queued(), Pending()])
    def test_a_terminal_state_handler_that_returns_nothing_to_end_or_wait_in_fails_the_run(self, wrong):
        state = Flow("f", terminal_state_handler=lambda *_: wrong).run()
        assert type(state) is Failed
        assert repr(wrong) in str(state.message)

    @pytest.mark.parametrize("wrong", [True, "Failed", Queued(), Pending()])
    def test_a_handler_that_returns_nothing_to_end_or_wait_in_fails_the_run(self, wrong):
        state = Flow("f", state_handlers=[lambda flow, old, new: wrong if new.is_finished() else None]).run()
        assert type(state) is Failed
        assert repr(wrong) in str(state.message)


def test_an_empty_flow_succeeds_with_no_states():
    state = Flow("f").run()
    assert state.is_successful()
    assert state.result == {}


def test_the_result_holds_the_state_of_every_task_in_the_order_of_adding():
    with Flow("f") as flow:
        tasks = [echo(1), echo(2)]
    assert list(flow.run().result) == tasks


def test_changing_a_flow_after_a_run_changes_the_next_run():
    with Flow("f") as flow:
        one = echo(1)
    flow.run()
    with flow:
        two = echo(one)
    assert flow.run().result[two].result == 1


def test_a_flow_can_run_many_times():
    with Flow("f") as flow:
        result = echo([1])
    assert [flow.run().result[result].result for _ in range(3)] == [[1]] * 3
