from __future__ import annotations

from typing import Any

import pytest

from headrace import Flow, Parameter, case, resource_manager, task
from headrace.exceptions import FlowDefinitionError, NoActiveFlowError
from headrace.resources import ResourceManager
from headrace.signals import SKIP


@task
def echo(x):
    return x


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
def desk(log):
    """A resource that writes down what happens to it."""

    @resource_manager
    class Desk:
        def __init__(self, *names, fail=None, **options):
            log.append(("init", names, options))
            self.fail = fail

        def setup(self):
            if self.fail is not None:
                raise self.fail
            log.append("setup")
            return "desk"

        def cleanup(self, resource):
            log.append(("cleanup", resource))

    return Desk


class TestMaking:
    def test_it_works_bare_and_with_arguments(self):
        class Plain:
            def cleanup(self, resource): ...

        assert isinstance(resource_manager(Plain), ResourceManager)
        made = resource_manager(name="Other")(Plain)
        assert made.name == "Other"

    def test_it_is_named_after_the_class(self, desk):
        assert desk.name == "Desk"

    def test_a_class_without_cleanup_is_a_value_error(self):
        with pytest.raises(FlowDefinitionError, match="cleanup"):

            @resource_manager
            class Careless:
                def setup(self): ...

    def test_the_documentation_of_the_class_stays(self):
        @resource_manager
        class Documented:
            """What it is for."""

            def cleanup(self, resource): ...

        assert Documented.__doc__ == "What it is for."

    def test_use_outside_a_flow_is_a_value_error(self, desk):
        with pytest.raises(NoActiveFlowError, match="Desk"):
            desk()

    def test_task_arguments_reach_the_tasks(self):
        class Plain:
            def cleanup(self, resource): ...

        manager = resource_manager(
            Plain,
            init_task_kwargs={"name": "make"},
            setup_task_kwargs={"tags": ["s"], "max_retries": 2, "retry_delay": 0},
            cleanup_task_kwargs={"timeout": 3},
        )
        with Flow("f") as flow, manager():
            pass
        init, setup, cleanup = flow.sorted_tasks()
        assert (init.name, setup.tags, setup.max_retries, cleanup.timeout) == ("make", {"s"}, 2, 3.0)


class TestGraph:
    def test_it_makes_three_tasks(self, desk):
        with Flow("f") as flow, desk() as resource:
            inside = echo(1)
        assert [t.name for t in flow.sorted_tasks()] == ["Desk", "Desk.setup", "echo", "Desk.cleanup"]
        assert resource.name == "Desk.setup"
        assert flow.upstream_tasks(inside) == {resource}

    def test_the_flow_can_be_named(self, desk):
        flow = Flow("f")
        with desk(flow=flow):
            echo(1)
        assert len(flow.tasks) == 4

    def test_the_first_tasks_of_the_block_wait_for_setup_and_cleanup_for_the_last(self, desk):
        with Flow("f") as flow, desk() as resource:
            first = echo(1)
            last = echo(first)
        (cleanup,) = flow.get_tasks(name="Desk.cleanup")
        assert resource in flow.upstream_tasks(first)
        assert resource not in flow.upstream_tasks(last)
        assert last in flow.upstream_tasks(cleanup)
        assert first not in flow.upstream_tasks(cleanup)

    def test_a_task_that_uses_the_resource_is_connected_once(self, desk):
        with Flow("f") as flow, desk() as resource:
            user = echo(resource)
        assert [edge.key for edge in flow.edges_to(user)] == ["x"]

    def test_tasks_outside_are_left_alone(self, desk):
        with Flow("f") as flow:
            before = echo(1)
            with desk():
                echo(before)
            after = echo(2)
        assert flow.upstream_tasks(before) == set()
        assert flow.upstream_tasks(after) == set()

    def test_setting_up_and_cleaning_up_are_not_checkpointed(self, desk):
        with Flow("f") as flow, desk():
            echo(1)
        assert [t.checkpoint for t in flow.tasks if t.name.startswith("Desk")] == [False] * 3

    def test_parameters_do_not_wait_for_setup(self, desk):
        with Flow("f") as flow, desk():
            number = Parameter("n")
            echo(number)
        assert flow.upstream_tasks(number) == set()

    def test_tasks_of_another_flow_inside_the_block_are_a_value_error(self, desk):
        with Flow("f"), desk(), pytest.raises(FlowDefinitionError, match="one flow"):
            echo(1, flow=Flow("other"))

    def test_an_error_inside_the_block_comes_out(self, desk):
        with pytest.raises(ZeroDivisionError), Flow("f"), desk():
            _ = 1 // 0


class TestRun:
    def test_setup_runs_before_and_cleanup_after_the_block(self, desk, log):
        note = task(lambda: log.append("work"))
        with Flow("f") as flow, desk("oak", size=2):
            note()
        assert flow.run().is_successful()
        assert log == [("init", ("oak",), {"size": 2}), "setup", "work", ("cleanup", "desk")]

    def test_the_block_gets_what_setup_returns(self, desk):
        with Flow("f") as flow, desk() as resource:
            result = echo(resource)
        assert flow.run().result[result].result == "desk"

    def test_arguments_may_be_tasks(self, desk, log):
        with Flow("f") as flow, desk(echo("oak"), size=Parameter("n")):
            pass
        flow.run(n=4)
        assert log[0] == ("init", ("oak",), {"size": 4})

    def test_without_setup_the_resource_is_none(self, log):
        class Bare:
            def cleanup(self, resource):
                log.append(resource)

        with Flow("f") as flow, resource_manager(Bare)() as resource:
            result = echo(resource)
        assert flow.run().result[result].result is None
        assert log == [None]

    def test_cleanup_runs_if_the_block_failed(self, desk, log):
        with Flow("f") as flow, desk():
            task(lambda: 1 // 0, name="fail")()
        assert flow.run().is_failed()
        assert log[-1] == ("cleanup", "desk")

    def test_cleanup_runs_if_the_block_was_skipped(self, desk, log):
        def skip():
            raise SKIP("no")

        with Flow("f") as flow, desk():
            echo(task(skip)())
        flow.run()
        assert log[-1] == ("cleanup", "desk")

    @pytest.mark.parametrize("error", [ValueError("no"), SKIP("no")])
    def test_cleanup_is_skipped_if_nothing_was_set_up(self, desk, log, error):
        with Flow("f") as flow, desk(fail=error):
            echo(1)
        state = flow.run()
        (cleanup,) = flow.get_tasks(name="Desk.cleanup")
        assert state.result[cleanup].is_skipped()
        assert log == [("init", (), {})]

    def test_cleanup_is_skipped_if_the_manager_could_not_be_made(self):
        class Broken:
            def __init__(self):
                raise ValueError("no")

            def cleanup(self, resource): ...

        with Flow("f") as flow, resource_manager(Broken)():
            inside = echo(1)
        state = flow.run()
        (cleanup,) = flow.get_tasks(name="Broken.cleanup")
        assert state.result[cleanup].is_skipped()
        assert state.result[inside].is_failed()
        assert state.is_failed()

    def test_a_failed_cleanup_does_not_fail_the_run(self):
        class Stuck:
            def cleanup(self, resource):
                raise ValueError("no")

        with Flow("f") as flow, resource_manager(Stuck)():
            echo(1)
        state = flow.run()
        (cleanup,) = flow.get_tasks(name="Stuck.cleanup")
        assert state.result[cleanup].is_failed()
        assert state.is_successful()

    def test_mapped_tasks_are_done_before_cleanup(self, desk, log):
        with Flow("f") as flow, desk() as resource:
            task(lambda x, desk: log.append(x)).map([1, 2], [resource, resource])
        flow.run()
        assert log[-3:] == [1, 2, ("cleanup", "desk")]

    def test_an_empty_block_sets_up_and_cleans_up(self, desk, log):
        with Flow("f") as flow, desk():
            pass
        assert flow.run().is_successful()
        assert log[1:] == ["setup", ("cleanup", "desk")]

    def test_blocks_nest(self, log):
        def make(name):
            class Named:
                def setup(self):
                    log.append(f"setup {name}")

                def cleanup(self, resource):
                    log.append(f"cleanup {name}")

            return resource_manager(Named, name=name)

        with Flow("f") as flow, make("outer")(), make("inner")():
            task(lambda: log.append("work"))()
        assert flow.run().is_successful()
        assert log.index("setup outer") < log.index("work")
        assert log.index("setup inner") < log.index("work") < log.index("cleanup inner")
        assert log[-1] == "cleanup outer"

    def test_a_branch_that_is_not_taken_sets_nothing_up(self, desk, log):
        with Flow("f") as flow, case(echo(1), 2), desk():
            echo(1)
        assert flow.run().is_successful()
        assert log == []
