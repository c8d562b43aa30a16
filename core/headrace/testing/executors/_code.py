"""Tasks made of any code: from modules, scripts, notebooks, flow files, functions inside functions."""

from __future__ import annotations

import functools
import sys
import types
from typing import TYPE_CHECKING, Any

from headrace import Flow, Task, task
from headrace.abc import Capability
from headrace.exceptions import TransferError
from headrace.flow_files import MODULE_PREFIX, load_flow
from headrace.testing.executors._base import ExecutorTests

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Code"]

_FLOW_FILE = """
from headrace import Flow, Task, task

FACTOR = 3

class Times(Task):
    def __init__(self, by, **options):
        self.by = by
        super().__init__(**options)

    def run(self, number):
        return helper(number) * self.by

def helper(number):
    return number * FACTOR

@task
def start():
    return 2

with Flow("from a file") as flow:
    last = Times(5, name="times")(start())
"""

_SCRIPT = """
import math

RADIUS = 2

def area(scale):
    return scale * square(RADIUS) * math.floor(math.pi)

def square(number):
    return number * number
"""


class _Shop:
    """Has a method to run as a task."""

    def __init__(self, price: int) -> None:
        self.price = price

    def total(self, count: int) -> int:
        return self.price * count


def _add(x: int, y: int = 0) -> int:
    return x + y


class Code(ExecutorTests):
    """Whatever can be called can be a task."""

    def test_functions_of_modules_and_of_functions_run(self) -> None:
        """Functions of a module, lambdas, closures, methods, partial functions and callable objects."""
        offset = 10

        def closure(x: int) -> int:
            return x + offset

        class Adder:
            def __call__(self, x: int) -> int:
                return x + 1

        calls: list[Any] = [_add, lambda x: x + 2, closure, _Shop(7).total, functools.partial(_add, y=5), Adder()]
        with Flow("calls") as flow:
            tasks = [task(call, name=f"call {i}")(3) for i, call in enumerate(calls)]
        states = self.run(flow).result
        assert [states[each].result for each in tasks] == [3, 5, 13, 21, 8, 4]

    def test_functions_of_a_script_run(self) -> None:
        """What ``__main__``, a script or a notebook, defines need not be importable anywhere."""
        module = types.ModuleType("__main__")
        exec(_SCRIPT, module.__dict__)  # noqa: S102 - the text above
        area: Any = module.__dict__["area"]
        assert self.state_of(area, 10).result == 120

    def test_flows_from_files_run(self, tmp_path: Path) -> None:
        """What a file given to ``headrace run`` defines need not be importable anywhere."""
        path = tmp_path / "flow_of_the_kit.py"
        path.write_text(_FLOW_FILE, encoding="utf-8")
        modules, folders = set(sys.modules), list(sys.path)
        try:
            flow = load_flow(path)
            (last,) = flow.get_tasks(name="times")
            # Where this process could find it, others cannot.
            sys.path[:] = folders
            assert self.run(flow).result[last].result == 30
        finally:
            sys.path[:] = folders
            for name in set(sys.modules) - modules:
                if name.startswith(MODULE_PREFIX):
                    del sys.modules[name]

    def test_tasks_that_are_classes_run_with_what_they_were_given(self) -> None:
        """A subclass of Task keeps its attributes, wherever it is defined."""

        class Scale(Task):
            def __init__(self, factor: int, **options: Any) -> None:
                self.factor = factor
                super().__init__(**options)

            def run(self, number: int) -> int:
                return number * self.factor

        with Flow("classes") as flow:
            twice, thrice = Scale(2)(5), Scale(3, name="thrice")(5)
        states = self.run(flow).result
        assert (states[twice].result, states[thrice].result) == (10, 15)

    def test_code_that_workers_do_not_have_fails_its_task_alone(self) -> None:
        """A function of a module that cannot be imported there is an error that names the module."""
        self.needs(Capability.REMOTE)
        module = types.ModuleType("module_of_this_process_alone")
        exec("def lonely():\n    return 1\n", module.__dict__)  # noqa: S102
        sys.modules[module.__name__] = module
        try:
            lonely, good = self.states_of(module.__dict__["lonely"], lambda: 5)
        finally:
            del sys.modules[module.__name__]
        # An executor whose workers begin as copies of this process has it.
        if not lonely.is_successful():
            assert isinstance(lonely.result, TransferError)
            assert "module_of_this_process_alone" in str(lonely.result)
        assert good.result == 5
