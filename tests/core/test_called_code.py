"""What a task calls counts as its code: functions of the user's own, however they are reached."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.caching._facts import CALLS, code_of
from headrace.caching._reach import reached_from
from headrace.engine.recorded_runs import task_records
from headrace.flow_files import MODULE_PREFIX, load_flow

TOP = "from headrace import Flow, Task, task\n"


@pytest.fixture
def code(tmp_path: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """Return what writes a flow file, with other files beside it, and returns the code of its only task."""
    path, modules = list(sys.path), set(sys.modules)

    def of(text: str, **others: str) -> dict[str, str]:
        for name in set(sys.modules) - modules:
            if name.startswith(MODULE_PREFIX) or name.partition(".")[0] in {"lib", "pkg"}:
                del sys.modules[name]
        for name, other in others.items():
            file = tmp_path.joinpath(*name.split("__")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(other))
        (tmp_path / "flow.py").write_text(TOP + dedent(text))
        (only,) = load_flow(tmp_path / "flow.py").tasks
        return code_of(only)

    write, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    yield of
    sys.dont_write_bytecode = write
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


CALLS_HELPER = """
    {before}
    @task
    def load(x=1):
        return {call}

    with Flow("loading") as flow:
        load()
"""


@pytest.mark.parametrize(
    ("before", "call"),
    [
        ("def helper(x): return x + {}", "helper(x)"),
        ("def deeper(x): return x + {}\n    def helper(x): return deeper(x)", "helper(x)"),
        ("def helper(x): return x + {}", "[helper(each) for each in [x]]"),
        ("def helper(x): return x + {}", "list(map(lambda each: helper(each), [x]))"),
        ("import functools\n    @functools.lru_cache\n    def helper(x): return x + {}", "helper(x)"),
        (
            "import functools\n    def added(x, y): return x + y * {}\n    helper = functools.partial(added, 1)",
            "helper(x)",
        ),
        ("class Helper:\n        def __call__(self, x): return x + {}", "Helper()(x)"),
        ("def even(x): return x == 0 or odd(x - {})\n    def odd(x): return not even(x)", "even(x)"),
    ],
)
def test_a_function_that_is_called_counts(code, before: str, call: str) -> None:
    one, same, other = (code(CALLS_HELPER.format(before=before.format(n), call=call)) for n in (1, 1, 2))
    assert one == same
    assert one["run"] == other["run"]
    assert one[CALLS] != other[CALLS]


@pytest.mark.parametrize(
    ("imported", "call"),
    [
        ("from lib import helper", "helper(x)"),
        ("import lib", "lib.helper(x)"),
        ("import lib as other", "other.helper(x)"),
    ],
)
def test_a_file_beside_the_flow_s_counts(code, imported: str, call: str) -> None:
    one, other = (
        code(CALLS_HELPER.format(before=imported, call=call), lib=f"def helper(x): return x + {n}") for n in (1, 2)
    )
    assert one[CALLS] != other[CALLS]


def test_a_package_beside_the_flow_s_counts(code) -> None:
    flow = CALLS_HELPER.format(before="import pkg.sub", call="pkg.sub.helper(x)")
    one, other = (code(flow, pkg____init__="", pkg__sub=f"def helper(x): return x + {n}") for n in (1, 2))
    assert one[CALLS] != other[CALLS]


def test_what_is_not_called_does_not_count(code) -> None:
    flow = CALLS_HELPER.format(before="def helper(x): return x\n    def other(x): return {}", call="helper(x)")
    assert code(flow.format(1)) == code(flow.format(2))


def test_what_is_installed_or_comes_with_python_does_not_count() -> None:
    def reads() -> object:
        return dedent, pytest.fixture, code_of

    assert reached_from(reads) == []  # type: ignore[arg-type]


METHODS = """
    class Load(Task):
        def run(self, x=1):
            return self.helper(x) + self.bias

        def helper(self, x):
            return self.deeper(x)

        @staticmethod
        def deeper(x):
            return x + {}

        @property
        def bias(self):
            return {}

    with Flow("loading") as flow:
        Load()()
"""


@pytest.mark.parametrize(("n", "bias"), [(2, 0), (1, 5)])
def test_methods_of_the_same_class_count(code, n: int, bias: int) -> None:
    assert code(METHODS.format(1, 0))[CALLS] != code(METHODS.format(n, bias))[CALLS]


def test_a_method_counts_although_a_global_has_its_name(code) -> None:
    one, other = (code("helper = None\n" + dedent(METHODS.format(n, 0))) for n in (1, 2))
    assert one[CALLS] != other[CALLS]


def test_a_task_that_calls_nothing_of_one_s_own_has_no_such_hash(code) -> None:
    assert list(code(CALLS_HELPER.format(before="", call="len(str(x))"))) == ["run"]


class Proxy:
    """Stands for something else, which is not there yet."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise RuntimeError("nothing bound")


proxy = Proxy()


def test_a_stand_in_that_may_not_be_asked_is_left_alone() -> None:
    def reads() -> object:
        return proxy

    assert reached_from(reads) == []  # type: ignore[arg-type]


def test_each_task_of_a_class_has_its_own_code(tmp_path: Path) -> None:
    """The bound methods of two tasks may have one id, one after the other."""
    text = """
        class One(Task):
            def run(self):
                return 1

        class Two(Task):
            def run(self):
                return 2

        with Flow("two") as flow:
            One()(), Two()()
    """
    (tmp_path / "flow.py").write_text(TOP + dedent(text))
    one, two = task_records(load_flow(tmp_path / "flow.py").plan())
    assert one.source_digest != two.source_digest
