from __future__ import annotations

import inspect
import pickle
import warnings
from datetime import timedelta
from typing import Any

import cloudpickle
import pytest

from headrace import Flow, Parameter, Task, task


@task
def echo(x):
    return x


class Scale(Task):
    """What it says."""

    def __init__(self, factor: Any, **options: Any) -> None:
        self.factor = factor
        super().__init__(**options)

    def run(self, x):
        return x * self.factor


class Twice(Scale):
    def __init__(self, factor: Any) -> None:
        super().__init__(factor)


class TestTasksForConstructors:
    @pytest.mark.parametrize("make", [Scale, lambda one: Scale(factor=one)])
    def test_a_task_given_to_a_constructor_is_warned_of_where_that_happens(self, make):
        with Flow("f"):
            one = echo(1)
            with pytest.warns(UserWarning, match=r"Scale was given <Task: echo>.*Scale\(\.\.\.\)\(\.\.\.\)") as caught:
                make(one)
        assert caught[0].filename == __file__

    def test_it_is_warned_of_once_whatever_the_class_derives_from(self):
        with pytest.warns(UserWarning, match="Twice was given") as caught:
            Twice(Task())
        assert len(caught) == 1

    def test_a_class_without_a_constructor_of_its_own_warns_as_well(self):
        class Plain(Scale):
            pass

        with pytest.warns(UserWarning, match="Plain was given"):
            Plain(Task())

    def test_other_values_are_not_warned_of(self):
        assert Scale([Task()], name="s").name == "s"
        assert Parameter("n", default=Flow("f")).name == "n"

    def test_the_constructor_keeps_its_signature(self):
        assert list(inspect.signature(Scale).parameters) == ["factor", "options"]

    @pytest.mark.parametrize("module", [pickle, cloudpickle])
    def test_the_tasks_can_be_pickled(self, module):
        assert module.loads(module.dumps(Scale(3))).run(2) == 6

    def test_a_class_of_a_script_can_be_pickled(self):
        class Local(Scale):
            def __init__(self, factor):
                super().__init__(factor)

        Local.__module__ = "__main__"
        new = cloudpickle.loads(cloudpickle.dumps(Local(3)))
        assert new.run(2) == 6
        with pytest.warns(UserWarning, match="Local was given"):
            type(new)(Task())


class TestPresetOptions:
    @pytest.mark.parametrize(
        ("name", "value", "now"),
        [
            ("max_retries", 3, 0),
            ("name", "pre", "Pre"),
            ("tags", ["a"], set()),
            ("target", "report.txt", None),
            ("result", 5, None),
            ("cache_for", "a day", None),
        ],
    )
    def test_an_option_that_is_set_before_the_constructor_is_overwritten_with_a_warning(self, name, value, now):
        class Pre(Task):
            def __init__(self) -> None:
                setattr(self, name, value)
                super().__init__()

        with pytest.warns(UserWarning, match=rf"Pre sets `{name}` to .*super\(\).__init__\({name}=\.\.\.\)") as caught:
            made = Pre()
        assert getattr(made, name) == now
        assert caught[0].filename == __file__

    def test_an_option_that_is_an_attribute_of_the_class_is_warned_of(self):
        class OfClass(Task):
            max_retries = 3

        class Below(OfClass):
            pass

        for cls in (OfClass, Below):
            with pytest.warns(UserWarning, match="sets `max_retries` to 3"):
                assert cls().max_retries == 0

    def test_an_option_that_is_passed_on_is_not(self):
        class Passed(Task):
            max_retries = 3
            target = "report.txt"

            def __init__(self) -> None:
                self.name = "passed"
                self.retry_delay = timedelta(seconds=1)
                super().__init__(
                    self.name, max_retries=self.max_retries, retry_delay=self.retry_delay, target=self.target
                )

        made = Passed()
        assert (made.name, made.max_retries, made.target) == ("passed", 3, "report.txt")

    def test_an_option_that_is_set_afterwards_is_not(self):
        class After(Task):
            def __init__(self) -> None:
                super().__init__()
                self.max_retries = 3

        assert After().max_retries == 3


class TestCopies:
    @pytest.fixture
    def scale(self) -> Scale:
        return Scale(2)

    @pytest.mark.parametrize("connect", ["upstream", "downstream"])
    @pytest.mark.parametrize(
        "copied", [lambda t: t(1), lambda t: t(1, task_args={"name": "n"}), lambda t: t.map([1]), lambda t: t.copy()]
    )
    def test_a_copy_of_a_task_with_dependencies_is_warned_of(self, connect, copied, scale):
        with Flow("daily"):
            (scale.set_upstream if connect == "upstream" else scale.set_downstream)(Task())
            with pytest.warns(UserWarning, match=r"<Task: Scale> has none of the dependencies .* 'daily'") as caught:
                copied(scale)
        assert len(caught) == 1
        assert caught[0].filename == __file__

    def test_a_copy_of_a_task_without_dependencies_is_not(self, scale):
        with Flow("f") as flow:
            scale.bind(1)
            scale(2)
        assert len(flow.tasks) == 2

    def test_a_copy_for_another_flow_is_not(self, scale):
        with Flow("f"):
            scale.set_upstream(Task())
        with Flow("g"):
            scale(1)

    def test_a_parameter_under_another_name_is_not(self):
        with Flow("f"):
            parameter = Parameter("n")
            echo(parameter)
            assert parameter.copy("m").name == "m"


def test_usual_flows_are_built_without_a_warning():
    with warnings.catch_warnings(), Flow("f"):
        warnings.simplefilter("error")
        one = echo(1)
        Scale(3)(one + 1)
        echo.map([one["a"], (one,)])
