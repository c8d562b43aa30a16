from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Task, config, context, tags, task
from headrace.exceptions import DefinitionTypeError
from headrace.run_context import Context


def inside(function, **options) -> Any:
    """Return what ``function`` returns when a task runs it."""
    with Flow("the flow") as flow:
        result = task(function, name="the task", **options)()
    state = flow.run().result[result]
    assert state.is_successful(), state
    return state.result


class TestReading:
    def test_by_attribute_by_item_and_by_get(self):
        with context(colour="red"):
            assert context.colour == "red"
            assert context["colour"] == "red"
            assert context.get("colour") == "red"
            assert "colour" in context

    def test_what_is_missing(self):
        assert context.get("colour") is None
        assert context.get("colour", 5) == 5
        assert "colour" not in context
        with pytest.raises(KeyError, match="colour"):
            context["colour"]

    def test_a_missing_attribute_lists_what_there_is(self):
        with context(flavour="sweet"), pytest.raises(AttributeError, match="flavour"):
            context.colour  # noqa: B018

    def test_none_is_a_value(self):
        with context(colour=None):
            assert "colour" in context
            assert context.colour is None

    def test_keys_and_to_dict(self):
        with context(colour="red"):
            assert "colour" in context.keys()  # noqa: SIM118 - the context is no mapping
            assert context.to_dict()["colour"] == "red"
        assert "colour" not in context.to_dict()

    def test_the_configuration_and_a_logger_are_always_there(self):
        assert context.config is config.current()
        assert context.logger.name == "headrace"
        assert {"config", "logger"} <= context.keys()

    def test_the_context_section_of_the_configuration_is_underneath(self):
        with config.set_temporary_config({"context.region": "north"}):
            assert context.region == "north"
            with context(region="south"):
                assert context.region == "south"

    def test_nothing_can_be_assigned(self):
        with pytest.raises(AttributeError):
            context.colour = "red"  # type: ignore[attr-defined]


class TestBlocks:
    def test_values_end_with_the_block(self):
        with context(colour="red"):
            pass
        assert "colour" not in context

    def test_blocks_nest_and_restore(self):
        with context(colour="red", size=1):
            with context(colour="blue"):
                assert (context.colour, context.size) == ("blue", 1)
            assert context.colour == "red"

    def test_an_error_inside_restores_too(self):
        with pytest.raises(ZeroDivisionError), context(colour="red"):
            _ = 1 // 0
        assert "colour" not in context

    def test_the_block_gives_the_context(self):
        with context(colour="red") as found:
            assert found is context

    def test_values_belong_to_the_thread(self):
        seen: list[Any] = []
        with context(colour="red"):
            thread = threading.Thread(target=lambda: seen.append(context.get("colour")))
            thread.start()
            thread.join()
        assert seen == [None]

    def test_values_belong_to_the_asyncio_task(self):
        async def paint(colour: str) -> Any:
            with context(colour=colour):
                await asyncio.sleep(0)
                return context.colour

        async def both() -> Any:
            return await asyncio.gather(paint("red"), paint("blue"))

        assert list(asyncio.run(both())) == ["red", "blue"]


class TestWhileBuilding:
    def test_the_flow_being_built(self):
        with Flow("f") as flow:
            assert context.flow is flow
        assert "flow" not in context

    def test_the_tags_of_open_blocks(self):
        with tags("a"), tags("b"):
            assert context.tags == {"a", "b"}
        assert "tags" not in context


class TestWhileRunning:
    def test_what_a_task_knows_about_its_flow_run(self):
        found = inside(lambda: {key: context[key] for key in ("flow_name", "flow_id", "flow_run_name", "parameters")})
        assert (found["flow_name"], found["flow_id"], found["parameters"]) == ("the flow", "the flow", {})
        assert found["flow_run_name"].startswith("the flow-")

    def test_each_flow_run_has_an_id_of_its_own(self):
        assert inside(lambda: context.flow_run_id) != inside(lambda: context.flow_run_id)

    def test_what_a_task_knows_about_itself(self):
        keys = ("task_name", "task_full_name", "task_slug", "task_id", "task_tags", "task_run_count", "map_index")
        found = inside(lambda: [context[key] for key in keys], tags=["t"])
        assert found == ["the task", "the task", "the task-t-1", "the task-t-1", {"t"}, 1, None]

    def test_a_mapped_child_knows_its_index(self):
        with Flow("f") as flow:
            result = task(lambda x: (context.map_index, context.task_full_name), name="each").map("ab")
        assert flow.run().result[result].result == [(0, "each[0]"), (1, "each[1]")]

    def test_task_runs_have_an_id_of_their_own(self):
        with Flow("f") as flow:
            results = [task(lambda: context.task_run_id)() for _ in range(2)]
        state = flow.run()
        assert len({state.result[result].result for result in results}) == 2

    def test_attempts_are_counted(self):
        def second_time_lucky():
            if context.task_run_count == 1:
                raise ValueError("no")
            return context.task_run_count

        assert inside(second_time_lucky, max_retries=1, retry_delay=0) == 2

    def test_the_logger_is_that_of_the_task(self):
        assert inside(lambda: context.logger.name) == "headrace.the task"

    def test_nothing_of_it_is_left_afterwards(self):
        inside(lambda: 1)
        assert "task_name" not in context
        assert "flow_name" not in context

    def test_a_run_can_be_given_values(self):
        with Flow("f") as flow:
            result = task(lambda: (context.region, context.flow_name))()
        assert flow.run(context={"region": "north"}).result[result].result == ("north", "f")

    def test_the_run_sees_the_context_it_was_started_in(self):
        with Flow("f") as flow:
            result = task(lambda: context.region)()
        with context(region="south"):
            assert flow.run(executor="threads").result[result].result == "south"

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("{task_name}/{x}", "the task/5"),
            (lambda **known: f"{known['x']} in {known['task_name']}", "5 in the task"),
            (None, "the task"),
        ],
    )
    def test_a_task_run_can_be_named(self, name, expected):
        with Flow("f") as flow:
            result = task(lambda x: context.task_run_name, name="the task", task_run_name=name)(5)
        assert flow.run().result[result].result == expected

    def test_a_run_inside_a_task_has_a_context_of_its_own(self):
        with Flow("inner") as inner:
            look = task(lambda: context.flow_name)()

        def outer():
            return inner.run().result[look].result, context.flow_name

        assert inside(outer) == ("inner", "the flow")


class TestTags:
    def test_they_reach_tasks_made_copied_and_bound_inside(self):
        before, flow = Task(), Flow("f")
        with tags("t"):
            assert Task().tags == {"t"}
            assert before.copy().tags == {"t"}
            assert before(flow=flow).tags == {"t"}
            before.bind(flow=flow)
        assert before.tags == {"t"}
        assert Task().tags == set()

    @pytest.mark.parametrize("wrong", [5, ["a", "b"], None, {"a"}])
    def test_they_are_texts(self, wrong):
        with pytest.raises(DefinitionTypeError, match=r"`tags\(\.\.\.\)` takes texts"), tags("a", wrong):
            pass

    def test_nested_blocks_add_up(self):
        with tags("a"), tags("b", "c"):
            assert Task(tags=["d"]).tags == {"a", "b", "c", "d"}

    def test_they_can_decorate_a_function(self):
        @tags("t")
        def make() -> Task:
            return Task()

        assert make().tags == {"t"}


class TestPickling:
    def test_it_is_pickled_by_name_so_that_tasks_which_read_it_can_travel(self):
        assert pickle.loads(pickle.dumps(context)) is context
        assert cloudpickle.loads(cloudpickle.dumps(context)) is context

    def test_it_is_never_copied(self):
        assert copy.copy(context) is context
        assert copy.deepcopy(context) is context

    def test_what_it_holds_does_not_travel(self):
        with context(colour="red"):
            data = pickle.dumps(context)
        assert b"red" not in data
        assert isinstance(pickle.loads(data), Context)
