"""Flows from files."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from headrace import context
from headrace.exceptions import FlowFileError, NoActiveFlowError
from headrace.flow_files import MODULE_PREFIX, find_flow, import_flow, load_flow, load_flows, split_target

Write = Callable[..., Path]
ONE_FLOW = 'from headrace import Flow\nflow = Flow("daily")\n'


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Forget the modules and the folders that loading leaves behind."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(MODULE_PREFIX)]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes a file in an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes, name: str = "weather.py") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return path

    return write


def refused(path: str | Path, name: str | None = None) -> FlowFileError:
    with pytest.raises(FlowFileError) as caught:
        load_flow(path, name)
    return caught.value


# Finding the flow


def test_the_only_flow_of_a_file_is_found(write: Write) -> None:
    assert load_flow(write(ONE_FLOW)).name == "daily"


def test_a_flow_is_found_by_its_variable(write: Write) -> None:
    path = write('from headrace import Flow\na = Flow("A")\nb = Flow("B b")\n')
    assert load_flow(path, "b").name == "B b"


def test_a_flow_is_found_by_its_name(write: Write) -> None:
    path = write('from headrace import Flow\na = Flow("A")\nb = Flow("B b")\n')
    assert load_flow(path, "B b").name == "B b"


def test_a_variable_wins_over_the_name_of_another_flow(write: Write) -> None:
    path = write('from headrace import Flow\na = Flow("b")\nb = Flow("other")\n')
    assert load_flow(path, "b").name == "other"


def test_one_flow_with_two_variables_is_one_flow(write: Write) -> None:
    path = write(ONE_FLOW + "same = flow\n")
    assert load_flow(path).name == "daily"
    assert list(load_flows(path)) == ["flow"]


def test_either_variable_of_a_flow_may_be_asked_for(write: Write) -> None:
    assert load_flow(write(ONE_FLOW + "same = flow\n"), "same").name == "daily"


def test_several_flows_need_a_name(write: Write) -> None:
    error = refused(write('from headrace import Flow\na = Flow("A")\nb = Flow("b")\n'))
    assert error.message.endswith("weather.py defines 2 flows: a ('A'), b.")
    assert error.hint is not None
    assert error.hint.endswith("weather.py:a")


def test_two_flows_of_one_name_need_a_variable(write: Write) -> None:
    error = refused(write('from headrace import Flow\na = Flow("x")\nb = Flow("x")\n'), "x")
    assert "defines 2 flows named 'x'" in error.message
    assert error.hint == "Say which by variable: a, b."


def test_an_unknown_flow_lists_the_known_ones_nearest_first(write: Write) -> None:
    assert refused(write(ONE_FLOW), "dayly").hint == "Did you mean 'daily'? Known: daily, flow."


def test_a_file_without_a_flow_says_what_it_holds_instead(write: Write) -> None:
    error = refused(
        write("""
        from headrace import Flow, task

        @task
        def load(): ...

        def build(): ...
        """)
    )
    assert error.message.endswith("defines no flow at module level; found task load, function build.")
    assert "at the top level" in (error.hint or "")


def test_a_flow_under_the_guard_for_scripts_is_explained(write: Write) -> None:
    error = refused(write('if __name__ == "__main__":\n    flow = 1\n'))
    assert "outside of `if __name__" in (error.hint or "")


def test_a_file_full_of_tasks_is_summed_up(write: Write) -> None:
    text = "from headrace import task\n" + "\n".join(f"@task\ndef t{i}(): ..." for i in range(20))
    assert "task t7, 12 more." in refused(write(text)).message


# Executing the file


def test_a_file_is_executed_once(write: Write) -> None:
    path = write(ONE_FLOW + 'with open("ran", "a") as file:\n    file.write("x")\n')
    load_flow(path)
    assert Path("ran").read_text() == "x"


def test_a_file_is_not_the_main_module(write: Write) -> None:
    path = write('from headrace import Flow\nflow = Flow(__name__)\nassert __name__ != "__main__"\n')
    assert load_flow(path).name.startswith(f"{MODULE_PREFIX}weather_")


def test_a_file_may_have_the_name_of_a_module_of_the_standard_library(write: Write) -> None:
    assert load_flow(write("import json\nassert json.dumps\n" + ONE_FLOW, "json.py")).name == "daily"


def test_files_of_one_name_in_two_folders_do_not_meet(write: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, two = load_flow(write(ONE_FLOW)), load_flow(write(ONE_FLOW.replace("daily", "weekly"), "other/weather.py"))
    assert (one.name, two.name) == ("daily", "weekly")


def test_neighbours_of_a_file_can_be_imported(write: Write) -> None:
    write('NAME = "shared"\n', "neighbour_of_weather.py")
    path = write("from neighbour_of_weather import NAME\nfrom headrace import Flow\nflow = Flow(NAME)\n")
    assert load_flow(path).name == "shared"
    del sys.modules["neighbour_of_weather"]


def test_a_file_knows_its_own_path(write: Write) -> None:
    path = write("from headrace import Flow\nflow = Flow(__file__)\n")
    assert load_flow(path).name == str(path)


def test_what_a_file_defines_can_be_pickled_and_resolved_by_name(write: Write) -> None:
    path = write(
        """
        from __future__ import annotations
        from dataclasses import dataclass
        from headrace import Flow

        @dataclass
        class Row:
            year: int

        flow = Flow("daily")
        flow.row = Row(2012)
        """
    )
    row = vars(load_flow(path))["row"]
    assert pickle.loads(pickle.dumps(row)) == row
    assert [field.name for field in dataclasses.fields(row)] == ["year"]


def test_a_changed_file_is_read_again(write: Write) -> None:
    load_flow(write(ONE_FLOW))
    assert load_flow(write(ONE_FLOW.replace("daily", "hourl"))).name == "hourl"


def test_loading_leaves_nothing_beside_the_file(write: Write, tmp_path: Path) -> None:
    load_flow(write(ONE_FLOW))
    assert [path.name for path in tmp_path.iterdir()] == ["weather.py"]


def test_a_file_without_the_usual_suffix_is_taken(write: Write) -> None:
    assert load_flow(write(ONE_FLOW, "weather")).name == "daily"


# What can be wrong with it


def test_a_missing_file_names_the_nearest_one(write: Write) -> None:
    write(ONE_FLOW)
    error = refused("wether.py")
    assert error.message == "There is no file 'wether.py'."
    assert error.hint == "Did you mean 'weather.py'?"


def test_a_missing_folder_is_said(write: Write) -> None:
    write(ONE_FLOW)
    assert refused("flows/weather.py").hint == "There is no folder 'flows' either."


def test_a_folder_is_no_flow_file(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path).message


@pytest.mark.parametrize("text", ["x = (1\n", b"a\0b", b"\xff\xfe\x00"])
def test_what_is_not_python_is_said_to_be_not_python(write: Write, text: str | bytes) -> None:
    error = refused(write(text))
    assert "weather.py is not" in error.message
    assert "None" not in error.message


def test_a_syntax_error_names_its_line(write: Write) -> None:
    assert "weather.py:2: `y = (2`." in refused(write("x = 1\ny = (2\n")).message


def test_an_error_of_the_file_names_its_line_and_is_the_cause(write: Write) -> None:
    error = refused(write("def f():\n    return 1 / 0\n\nf()\n"))
    assert (
        "could not be loaded: ZeroDivisionError: division by zero\n  at weather.py:2 in f: return 1 / 0"
        in error.message
    )
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_an_error_inside_headrace_names_the_line_of_the_file(write: Write) -> None:
    error = refused(write("from headrace import task\n\n@task\ndef f(): ...\n\nf()\n"))
    assert error.message.endswith("at weather.py:6: f()")
    assert isinstance(error.__cause__, NoActiveFlowError)
    assert "with Flow(...)" in (error.hint or "")


def test_a_missing_module_is_to_be_installed(write: Write) -> None:
    error = refused(write("import surely_not_installed.part\n"))
    assert error.hint == "Install 'surely_not_installed' into the environment that headrace runs in."


def test_a_file_that_exits_is_an_error_not_an_exit(write: Write) -> None:
    error = refused(write("import sys\nsys.exit(3)\n"))
    assert "sys.exit(3)" in error.message
    assert "__main__" in (error.hint or "")


def test_a_broken_file_leaves_no_module_behind(write: Write) -> None:
    refused(write("1 / 0\n"))
    assert not [name for name in sys.modules if name.startswith(MODULE_PREFIX)]


def test_an_interrupt_while_a_file_is_loaded_goes_through(write: Write) -> None:
    with pytest.raises(KeyboardInterrupt):
        load_flow(write("raise KeyboardInterrupt\n"))


# Targets


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("weather.py", ("weather.py", None)),
        ("weather.py:", ("weather.py", None)),
        ("weather.py:daily", ("weather.py", "daily")),
        ("flows/weather.py:My flow: daily", ("flows/weather.py", "My flow: daily")),
        ("weather:daily", ("weather", "daily")),
        ("C:\\flows\\weather.py", ("C:\\flows\\weather.py", None)),
        ("C:\\flows\\weather.py:daily", ("C:\\flows\\weather.py", "daily")),
    ],
)
def test_a_target_is_a_file_and_maybe_a_flow(target: str, expected: tuple[str, str | None]) -> None:
    assert split_target(target) == expected


def test_a_file_with_a_colon_in_its_name_is_taken_as_it_is(write: Write) -> None:
    write(ONE_FLOW, "a:b")
    assert split_target("a:b") == ("a:b", None)


def test_a_file_without_suffix_may_be_followed_by_a_flow(write: Write) -> None:
    write(ONE_FLOW, "weather")
    assert split_target("weather:daily:x") == ("weather", "daily:x")


# Running while loading


def test_a_file_that_runs_its_flow_is_told_and_runs_nothing(write: Write) -> None:
    path = write(
        """
        from headrace import Flow, task

        @task
        def leave_a_trace():
            open("trace", "w").close()

        with Flow("daily") as flow:
            leave_a_trace()
        state = flow.run()
        """
    )
    with pytest.warns(UserWarning, match="'daily' is not run while its file is loaded.*__main__"):
        flow = load_flow(path)
    assert not Path("trace").exists()
    assert flow.run().is_successful()
    assert Path("trace").exists()


def test_a_file_can_ask_whether_it_is_being_loaded(write: Write) -> None:
    path = write('from headrace import Flow, context\nflow = Flow(str(context.get("loading_flow")))\n')
    assert load_flow(path).name == "True"
    assert "loading_flow" not in context


# Modules


@pytest.fixture
def modules(write: Write) -> Iterator[Write]:
    """Return what writes modules into the current folder; they are forgotten again."""
    before = set(sys.modules)
    Path("acme_flows").mkdir()
    write("", "acme_flows/__init__.py")
    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def not_imported(module: str, name: str | None = None) -> FlowFileError:
    with pytest.raises(FlowFileError) as caught:
        import_flow(module, name)
    return caught.value


def test_a_module_is_imported_under_its_own_name_from_the_current_folder(modules: Write) -> None:
    modules(
        """
        from headrace import Flow, task
        from acme_flows.steps import step

        with Flow(__name__) as flow:
            step()
        """,
        "acme_flows/daily.py",
    )
    modules("from headrace import task\n\n@task\ndef step(): ...\n", "acme_flows/steps.py")
    flow = import_flow("acme_flows.daily")
    assert flow.name == "acme_flows.daily"
    assert flow is sys.modules["acme_flows.daily"].flow
    assert flow.run().is_successful()


def test_a_package_is_a_module_too(modules: Write) -> None:
    modules(ONE_FLOW, "acme_flows/__init__.py")
    assert import_flow("acme_flows").name == "daily"


def test_a_target_names_a_file_or_a_module_and_one_of_its_flows(modules: Write) -> None:
    modules('from headrace import Flow\na = Flow("A")\nb = Flow("B b")\n', "acme_flows/two.py")
    assert find_flow("acme_flows.two:b", module=True).name == "B b"
    assert find_flow("acme_flows/two.py:B b").name == "B b"
    assert not_imported("acme_flows.two").hint == "Say which: acme_flows.two:a"


@pytest.mark.parametrize(
    ("name", "missing"), [("acme_flow", "acme_flow"), ("acme_flows.no", "acme_flows.no"), ("no.such", "no")]
)
def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for(modules: Write, name, missing) -> None:
    error = not_imported(name)
    assert error.message == f"There is no module {missing!r}."
    assert str(Path.cwd()) in str(error.hint)


@pytest.mark.parametrize("name", ["flow.py", "acme_flows/daily", "", ".daily", "acme_flows."])
def test_what_is_no_name_of_a_module_is_refused_before_anything_is_imported(modules: Write, name: str) -> None:
    modules("raise SystemExit", "flow.py")
    assert "is not the name of a module" in not_imported(name).message


def test_a_library_that_a_module_needs_is_not_taken_for_the_module(modules: Write) -> None:
    modules("import no_such_library\n", "acme_flows/needy.py")
    error = not_imported("acme_flows.needy")
    assert error.message.startswith("acme_flows.needy could not be loaded: ModuleNotFoundError")
    assert error.hint == "Install 'no_such_library' into the environment that headrace runs in."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero\n  at acme_flows/bad.py:1: 1 / 0"),
        ("x = (", "SyntaxError"),
        ("raise SystemExit(3)", "ended the process while it was loaded: sys.exit(3)"),
        ("x = 1", "acme_flows.bad defines no flow at module level"),
    ],
)
def test_what_goes_wrong_in_a_module_is_said_as_for_a_file(modules: Write, text: str, said: str) -> None:
    modules(text, "acme_flows/bad.py")
    assert said in not_imported("acme_flows.bad").message
