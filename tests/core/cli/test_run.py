"""``headrace run``: what it takes, what it refuses, what it ends with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

GREETING = """
    @task
    def greet(name, times):
        print("hello " * times + name)

    with Flow("greeting") as flow:
        greet(Parameter("name", default="world"), Parameter("times", default=1))
"""
NEEDS_A_NAME = """
    @task
    def greet(name): print(name)

    with Flow("greeting") as flow:
        greet(Parameter("name"))
"""
FAILS = """
    @task
    def divide(x): return 1 / x

    with Flow("division") as flow:
        divide(0)
"""


def test_a_successful_run_ends_with_0_and_says_so(cli) -> None:
    done = cli.here("run", cli.file(GREETING))
    assert done.code == 0
    assert "hello world\n" in done.out
    assert done.out.splitlines()[-1].startswith("✓ greeting succeeded in ")


def test_a_failed_run_ends_with_1_and_says_why(cli) -> None:
    done = cli.here("run", cli.file(FAILS))
    assert done.code == 1
    assert "  ZeroDivisionError: division by zero\n  at flow.py:4 in divide: def divide(x): return 1 / x" in done.out
    last = done.out.splitlines()[-1]
    assert last.startswith("✗ division failed after ")
    assert last.endswith(": 'divide' failed")


def test_the_log_names_the_line_that_failed_instead_of_a_traceback(cli) -> None:
    err = cli.apart("run", cli.file(FAILS)).err
    assert (
        "ERROR    headrace.divide: Task 'divide' failed: ZeroDivisionError: division by zero\n    at flow.py:4" in err
    )
    assert "Traceback" not in err


@pytest.mark.parametrize("option", [["--traceback"], ["--log-level", "debug"]])
def test_the_log_shows_the_traceback_on_request(cli, option: list[str]) -> None:
    assert "Traceback (most recent call last)" in cli.apart("run", cli.file(FAILS), *option).err


def test_a_flow_is_chosen_by_name(cli) -> None:
    file = cli.file('a = Flow("A")\nb = Flow("B b")\n')
    assert "B b succeeded" in cli.here("run", f"{file}:B b").out


# Parameters


def test_parameters_are_read_as_their_types(cli) -> None:
    assert "hello hello you\n" in cli.here("run", cli.file(GREETING), "-p", "name=you", "-p", "times=2").out


def test_lists_are_given_as_json(cli) -> None:
    file = cli.file("""
        @task
        def show(years): print([year + 1 for year in years])

        with Flow("years") as flow:
            show(Parameter("years", default=[2014]))
    """)
    assert "[2013, 2014]\n" in cli.here("run", file, "-p", "years=[2012, 2013]").out


def test_a_value_may_hold_equals_signs_and_be_empty(cli) -> None:
    file = cli.file(NEEDS_A_NAME)
    assert "a=b=c\n" in cli.here("run", file, "-p", "name=a=b=c").out
    assert cli.here("run", file, "-p", "name=").code == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("times=two", "Parameter 'times' expects a whole number, and got 'two'."),
        ("tims=2", "Flow 'greeting' has no parameter 'tims'.\nDid you mean 'times'? Known: name, times."),
        ("times", "'times' is not written as NAME=VALUE."),
        ("=2", "'=2' is not written as NAME=VALUE."),
    ],
)
def test_a_wrong_parameter_ends_with_2_and_runs_nothing(cli, value: str, said: str) -> None:
    done = cli.here("run", cli.file(GREETING), "-p", value)
    assert done.code == 2
    assert said in done.err
    assert "hello" not in done.out


def test_a_parameter_given_twice_is_refused(cli) -> None:
    done = cli.here("run", cli.file(GREETING), "-p", "times=2", "-p", "times=3")
    assert done.code == 2
    assert "is given twice" in done.err


def test_a_missing_parameter_is_named_with_the_option_that_gives_it(cli) -> None:
    done = cli.here("run", cli.file(NEEDS_A_NAME))
    assert done.code == 2
    assert "needs a value for parameter 'name'" in done.err
    assert "-p name=..." in done.err


# Parameters from a file


@pytest.mark.parametrize(
    ("name", "text"),
    [("given.json", '{"name": "you", "times": 2}'), ("given.toml", 'name = "you"\ntimes = 2\n')],
)
def test_parameters_may_come_from_a_file_of_json_or_toml(cli, name: str, text: str) -> None:
    (cli.folder / name).write_text(text)
    assert "hello hello you\n" in cli.here("run", cli.file(GREETING), "--param-file", name).out


def test_the_command_line_wins_over_the_parameter_file(cli) -> None:
    (cli.folder / "given.json").write_text('{"name": "you", "times": 2}')
    done = cli.here("run", cli.file(GREETING), "--param-file", "given.json", "--param", "name=me")
    assert "hello hello me\n" in done.out


def test_values_of_a_parameter_file_are_read_as_the_types_of_the_parameters(cli) -> None:
    file = cli.file("""
        from datetime import date
        from pathlib import Path
        from headrace import DateTimeParameter

        @task
        def show(*, days, path, number, at): print(days, path, number, at.isoformat(), sep="|")

        with Flow("typed") as flow:
            show(
                days=Parameter("days", type=list[date]),
                path=Parameter("path", default=Path("x")),
                number=Parameter("number"),
                at=DateTimeParameter("at"),
            )
    """)
    (cli.folder / "given.json").write_text(
        '{"days": ["2026-01-31"], "path": "a/b", "number": "5", "at": "2026-01-31T12:00:00+01:00"}'
    )
    (cli.folder / "given.toml").write_text(
        'days = [2026-01-31]\npath = "a/b"\nnumber = "5"\nat = 2026-01-31T12:00:00+01:00\n'
    )
    for name in ("given.json", "given.toml"):
        out = cli.here("run", file, "--param-file", name).out
        assert "[datetime.date(2026, 1, 31)]|a/b|5|2026-01-31T12:00:00+01:00\n" in out


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("given.json", '{"times": "two"}', "Parameter 'times' expects a whole number, and got 'two'."),
        ("given.json", '{"times": null}', "Parameter 'times' expects a whole number, and got None."),
        ("given.json", '{"tims": 2}', "has no parameter 'tims'.\nDid you mean 'times'?"),
        ("given.json", "{", "The parameter file 'given.json' is not JSON: "),
        ("given.json", "times = 2", "A file whose name ends in .toml is read as TOML"),
        ("given.toml", "{}", "The parameter file 'given.toml' is not TOML: "),
        ("given.json", "[1]", "The parameter file 'given.json' holds a list.\nWrite names of parameters"),
        ("given.json", "5", "holds 5"),
        ("given.json", "\udcff", "is not JSON"),
        ("other.json", "{}", "The parameter file 'given.json' cannot be read: No such file or directory."),
    ],
)
def test_a_wrong_parameter_file_ends_with_2_and_runs_nothing(cli, name: str, text: str, said: str) -> None:
    (cli.folder / name).write_text(text, errors="surrogateescape")
    done = cli.here("run", cli.file(GREETING), "--param-file", "given.toml" if "toml" in name else "given.json")
    assert done.code == 2
    assert said in done.err
    assert "hello" not in done.out


# The context


def test_the_context_is_given_as_json_or_text(cli) -> None:
    file = cli.file("""
        @task
        def show(): print(context.today, context.stage, context.limits["rows"])

        with Flow("show") as flow:
            show()
    """)
    done = cli.here(
        "run", file, "--context", "date=2026-01-31", "--context", "stage=test", "--context", 'limits={"rows": 3}'
    )
    assert "2026-01-31 test 3\n" in done.out


def test_context_is_written_as_name_and_value(cli) -> None:
    done = cli.here("run", cli.file(GREETING), "--context", "stage")
    assert done.code == 2
    assert "'stage' is not written as NAME=VALUE." in done.err


# Modules


@pytest.fixture
def package(cli) -> str:
    """Write a package with a module that defines a flow; return the name of the module."""
    (cli.folder / "acme_nightly").mkdir()
    (cli.folder / "acme_nightly" / "__init__.py").write_text("")
    cli.file("NAME = 'of the package'\n", "acme_nightly/names.py")
    cli.file(
        """
        from acme_nightly.names import NAME

        @task
        def greet(name): print("hello", name, __name__)

        with Flow("greeting") as flow:
            greet(Parameter("name", default=NAME))

        other = Flow("other")
        """,
        "acme_nightly/greeting.py",
    )
    return "acme_nightly.greeting"


def test_a_flow_of_a_module_is_run(cli, package: str) -> None:
    done = cli.apart("run", "-m", f"{package}:flow", "-p", "name=you")
    assert "hello you acme_nightly.greeting\n" in done.out
    assert "hello of the package" in cli.apart("run", f"{package}:greeting", "--module", "--executor", "threads").out


def test_a_module_with_several_flows_lists_them(cli, package: str) -> None:
    done = cli.apart("run", "-m", package)
    assert done.code == 2
    assert "acme_nightly.greeting defines 2 flows: flow ('greeting'), other." in done.err


def test_a_module_that_is_not_there_ends_with_2(cli, package: str) -> None:
    done = cli.apart("run", "-m", "acme_nightly.greting")
    assert done.code == 2
    assert "There is no module 'acme_nightly.greting'." in done.err


def test_a_flow_of_a_module_is_drawn(cli, package: str) -> None:
    assert cli.apart("visualize", "-m", f"{package}:flow").out.startswith("greeting\n")


# A file that runs itself


def test_a_file_that_runs_its_flow_runs_it_once(cli) -> None:
    done = cli.apart("run", cli.file(GREETING + "\n    flow.run()\n"))
    assert done.out.count("hello world") == 1
    assert "UserWarning: Flow 'greeting' is not run while its file is loaded." in done.err


# Executors and other options


def test_an_executor_is_chosen_and_given_options(cli) -> None:
    file = cli.file("""
        import threading

        @task
        def where(): print(threading.current_thread().name)

        with Flow("threads") as flow:
            where()
    """)
    assert "headrace-worker-0\n" in cli.here("run", file, "--executor", "threads", "-o", "workers=1").out


def test_options_of_an_executor_can_be_json(cli) -> None:
    file = cli.file("""
        @task(resources={"gpu": 1})
        def train(): print("trained")

        with Flow("training") as flow:
            train()
    """)
    chosen = ("run", file, "--executor", "processes", "-o", "workers=1", "-o")
    assert cli.here(*chosen, 'resources={"gpu": 1}').code == 0
    assert "needs 1 of 'gpu'" in cli.here(*chosen, 'resources={"cpu": 1}').out
    wrong = cli.here(*chosen, "resources=gpu")
    assert (wrong.code, "'resources' of the executor 'processes'" in wrong.err) == (2, True)


def test_an_unknown_executor_lists_the_installed_ones(cli) -> None:
    done = cli.here("run", cli.file(GREETING), "--executor", "thread")
    assert done.code == 2
    assert "No executor named 'thread' is installed." in done.err
    assert "Did you mean 'threads'? Known: local, processes, threads" in done.err


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("workers=zwei", "expects a whole number or nothing, and got 'zwei'"),
        ("workers=0", "at least one worker"),
        ("worker=2", "has no option 'worker'"),
    ],
)
def test_a_wrong_option_of_an_executor_ends_with_2(cli, option: str, said: str) -> None:
    done = cli.here("run", cli.file(GREETING), "--executor", "threads", "-o", option)
    assert done.code == 2
    assert said in done.err


def test_options_need_an_executor_with_a_name(cli) -> None:
    file = cli.file("""
        from headrace_plugins.local import LocalExecutor

        flow = Flow("own", executor=LocalExecutor())
    """)
    done = cli.here("run", file, "-o", "workers=2")
    assert done.code == 2
    assert "--executor" in done.err


def test_a_run_gets_a_name(cli) -> None:
    assert "run nightly 12" in cli.here("run", cli.file(GREETING), "--run-name", "nightly 12").out


@pytest.mark.parametrize(
    ("name", "said"),
    [("latest", "cannot be called 'latest'"), ("a\nb", "'\\n'"), ("a\x1b[31m", "'\\x1b'"), ("a" * 201, "has 201")],
)
def test_a_name_that_a_run_cannot_be_found_by_ends_with_2_and_runs_nothing(cli, name: str, said: str) -> None:
    done = cli.here("run", cli.file(GREETING), "--run-name", name)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert not (cli.folder / ".headrace").exists()


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
@pytest.mark.parametrize(
    ("option", "home"), [("--record", "home"), ("--no-record", ""), ("--record", "")], ids=["home", "none", "neither"]
)
def test_a_file_may_be_run_where_the_current_folder_was_removed(cli, executor: str, option: str, home: str) -> None:
    """What has no place then is the project, and with it the record, unless somebody says where it is."""
    file = cli.folder / cli.file(GREETING)
    (cli.folder / "gone").mkdir()
    command = f"cd gone && rmdir ../gone && {sys.executable} -m headrace run {file} {option} --executor {executor}"
    variables = {"HEADRACE_HOME": str(cli.folder / home)} if home else {}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=cli.folder,
        env=cli.environment(**variables),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    refused = option == "--record" and not home
    assert done.returncode == (2 if refused else 0), done.stderr
    assert ("The current folder is not there any more" in done.stderr) == refused
    assert "did not expect" not in done.stderr


def test_a_module_is_not_looked_for_where_the_current_folder_was_removed(cli) -> None:
    command = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m headrace run -m flow"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=cli.folder,
        env=cli.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "The current folder is not there any more" in done.stderr


def test_results_go_to_the_store_that_is_named(cli) -> None:
    assert cli.here("run", cli.file(GREETING), "--results", f"file:{cli.folder / 'kept'}").code == 0
    assert list((cli.folder / "kept").rglob("*.result"))


def test_notifiers_are_told(cli) -> None:
    assert "division" in cli.apart("run", cli.file(FAILS), "--notify", "log:").err


def test_plugins_of_others_can_be_left_out(cli) -> None:
    cli.distribution(
        "acme-watch", "[headrace.hooks]\nwatch = acme_watch\n", acme_watch="raise RuntimeError('watching')"
    )
    assert "watching" in cli.apart("run", cli.file(GREETING)).err
    assert "watching" not in cli.apart("run", cli.file(GREETING), "--no-plugins").err


def test_the_level_of_the_log_is_chosen(cli) -> None:
    file = cli.file("""
        @task
        def talk():
            context.logger.debug("a detail")
            context.logger.info("a fact")

        with Flow("talk") as flow:
            talk()
    """)
    usual, quiet, loud = (cli.apart("run", file, *o).err for o in ([], ["--log-level=error"], ["--log-level=DEBUG"]))
    assert ("a fact" in usual, "a detail" in usual) == (True, False)
    assert "a fact" not in quiet
    assert "a detail" in loud


def test_log_lines_can_be_left_out(cli) -> None:
    done = cli.apart("run", cli.file(FAILS), "--no-logs")
    assert (done.code, done.err) == (1, "")
    assert "ZeroDivisionError" in done.out


def test_a_quiet_run_says_nothing_but_what_its_tasks_do(cli) -> None:
    assert cli.apart("run", cli.file(GREETING), "--quiet") == (0, "hello world\n", "")


def test_a_quiet_run_that_fails_says_so(cli) -> None:
    done = cli.apart("run", cli.file(FAILS), "-q")
    assert done.code == 1
    assert "✗ division failed after " in done.out
    assert "ZeroDivisionError" in done.err


def test_a_quiet_run_still_prints_the_document_it_was_asked_for(cli) -> None:
    assert json.loads(cli.here("run", cli.file(GREETING), "-q", "--json").out)["state"] == "Success"


def test_an_exception_that_a_task_logs_itself_keeps_its_traceback(cli) -> None:
    file = cli.file("""
        @task
        def talk():
            try:
                1 / 0
            except ZeroDivisionError:
                context.logger.exception("going on")

        with Flow("talk") as flow:
            talk()
    """)
    assert "going on\nTraceback (most recent call last)" in cli.apart("run", file).err


def test_an_error_of_many_lines_is_one_line_in_the_log_and_its_last_lines_below(cli) -> None:
    file = cli.file("""
        @task
        def talk(): raise ValueError("\\n".join(f"line {i}" for i in range(40)))

        with Flow("talk") as flow:
            talk()
    """)
    done = cli.apart("run", file)
    assert "line 39" not in done.err
    assert "ValueError: line 0 ..." in done.err
    assert "  ValueError: line 0\n    ... 33 lines ...\n  line 34\n" in done.out


def test_text_that_no_encoding_has_does_not_end_the_run(cli) -> None:
    file = cli.file(r"""
        @task
        def shout(): raise ValueError("\ud800")

        with Flow("shout") as flow:
            shout()
    """)
    done = cli.apart("run", file)
    assert done.code == 1
    assert "ValueError: \\ud800" in done.out


def test_a_file_that_configures_logging_gets_each_line_once(cli) -> None:
    file = cli.file("""
        import logging
        logging.basicConfig(level="INFO", format="mine %(message)s")

        @task
        def talk(): context.logger.info("a fact")

        with Flow("talk") as flow:
            talk()
    """)
    err = cli.apart("run", file).err
    assert err.count("a fact") == 1
    assert "mine a fact" in err


# Bad files


@pytest.mark.parametrize(
    "text", ["x = (1", "1 / 0", "import sys; sys.exit(0)", "x = 1", 'a = Flow("A"); b = Flow("B")']
)
def test_a_bad_file_ends_with_2_and_no_traceback(cli, text: str) -> None:
    done = cli.here("run", cli.file(text))
    assert done.code == 2
    assert "Error: flow.py" in done.err
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 5


def test_a_bad_file_shows_its_traceback_on_request(cli) -> None:
    assert "ZeroDivisionError" in cli.here("run", cli.file("1 / 0"), "--traceback").err


def test_a_cycle_ends_with_2(cli) -> None:
    file = cli.file("""
        @task
        def step(x=None): ...

        with Flow("circle") as flow:
            one = step()
            one.set_upstream(step(one))
    """)
    done = cli.here("run", file)
    assert done.code == 2
    assert "has a cycle: step -> step -> step" in done.err


def test_an_executor_that_breaks_down_ends_with_1(cli) -> None:
    file = cli.file("""
        from headrace.exceptions import ExecutorError
        from headrace_plugins.local import LocalExecutor

        class Broken(LocalExecutor):
            def start(self, context, stack):
                raise ExecutorError("The workers are gone.")

        flow = Flow("broken", executor=Broken())
    """)
    done = cli.here("run", file)
    assert done.code == 1
    assert "The workers are gone." in done.err


# JSON


def test_the_document_is_all_of_standard_output(cli) -> None:
    file = cli.file("""
        import subprocess

        @task
        def talk():
            print("printed")
            subprocess.run(["echo", "by a child"])
            context.logger.info("logged")

        with Flow("talk") as flow:
            talk()
    """)
    done = cli.apart("run", file, "--json")
    assert json.loads(done.out)["state"] == "Success"
    for text in ("printed", "by a child", "logged"):
        assert text in done.err


def test_the_document_tells_states_counts_and_errors(cli) -> None:
    file = cli.file("""
        @task
        def part(x): return 6 / x

        @task
        def gather(parts): ...

        with Flow("parts") as flow:
            gather(part.map([1, 0, 2]))
    """)
    done = cli.here("run", file, "--json", "--run-name", "r1")
    found = json.loads(done.out)
    assert done.code == found["exit_code"] == 1
    assert (found["flow"], found["run_name"], found["state"]) == ("parts", "r1", "Failed")
    part, gather = found["tasks"]
    assert part["state"] == "Failed"
    assert part["children"] == {"total": 3, "states": {"Failed": 1, "Success": 2}}
    assert part["duration"] >= 0
    assert gather["state"] == "TriggerFailed"
    assert found["failures"][0] == {
        "task": "part-1",
        "map_index": 1,
        "state": "Failed",
        "error": "ZeroDivisionError",
        "message": "ZeroDivisionError: division by zero",
        "where": "flow.py:4 in part",
    }


def test_the_document_survives_messages_that_json_and_terminals_do_not_like(cli) -> None:
    file = cli.file(r"""
        @task
        def shout(): raise ValueError("\x1b[2Jcleared \ud800")

        with Flow("shout") as flow:
            shout()
    """)
    done = cli.apart("run", file, "--json")
    assert json.loads(done.out)["failures"][0]["message"].startswith("ValueError: cleared ")


# Ctrl-C


def read_until(text: str, process: subprocess.Popen[str]) -> None:
    for line in process.stdout or ():
        if text in line:
            return
    raise AssertionError(f"the process ended without saying {text!r}")


def test_an_interrupt_ends_the_run_in_order_with_130(cli) -> None:
    file = cli.file("""
        import time

        @task
        def wait():
            print("waiting", flush=True)
            time.sleep(60)

        @task
        def later(x): ...

        with Flow("long") as flow:
            later(wait())
    """)
    with cli.start("run", file) as process:
        read_until("waiting", process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "■ long was cancelled after " in out.splitlines()[-1]
    assert "later  cancelled" in out
    assert "Traceback" not in err


def test_a_request_to_end_is_heeded_in_order_and_the_exit_code_says_so(cli) -> None:
    file = cli.file("""
        import time

        @task
        def wait():
            print("waiting", flush=True)
            time.sleep(60)

        with Flow("long") as flow:
            wait()
    """)
    with cli.start("run", file) as process:
        read_until("waiting", process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "■ long was cancelled after " in out.splitlines()[-1]
    assert "Traceback" not in err


def test_a_second_request_to_end_is_heeded_at_once(cli) -> None:
    file = cli.file("""
        import time

        @task
        def wait():
            while True:
                try:
                    print("waiting", flush=True)
                    time.sleep(60)
                except KeyboardInterrupt:
                    print("ignored", flush=True)

        with Flow("stubborn") as flow:
            wait()
    """)
    with cli.start("run", file) as process:
        read_until("waiting", process)
        process.send_signal(signal.SIGTERM)
        read_until("ignored", process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_second_interrupt_ends_the_process_at_once(cli) -> None:
    file = cli.file("""
        import time

        @task
        def wait():
            while True:
                try:
                    print("waiting", flush=True)
                    time.sleep(60)
                except KeyboardInterrupt:
                    print("ignored", flush=True)

        with Flow("stubborn") as flow:
            wait()
    """)
    with cli.start("run", file) as process:
        read_until("waiting", process)
        process.send_signal(signal.SIGINT)
        read_until("ignored", process)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("executor", "number"),
    [
        ("local", signal.SIGINT),
        ("threads", signal.SIGINT),
        ("threads", signal.SIGTERM),
        ("processes", signal.SIGINT),
    ],
)
def test_a_run_that_is_interrupted_twice_is_on_record_as_cancelled_and_can_be_resumed(
    cli, executor: str, number: signal.Signals
) -> None:
    file = cli.file("""
        import os, time

        @task
        def before():
            print("before", flush=True)

        @task
        def wait():
            while not os.path.exists("enough"):
                try:
                    print("waiting", flush=True)
                    time.sleep(60)
                except KeyboardInterrupt:
                    pass

        with Flow("stubborn") as flow:
            wait(upstream_tasks=[before()])
    """)
    with cli.start("run", file, "--executor", executor) as process:
        read_until("waiting", process)
        process.send_signal(number)
        read_until("Stopping", process)
        process.send_signal(number)
        process.communicate(timeout=20)
    assert process.returncode == 128 + number
    (run,) = json.loads(cli.here("runs", "--json").out)
    assert (run["state"], run["cause"]) == ("Cancelled", "interrupted")
    states = {task["slug"]: task["state"] for task in json.loads(cli.here("show", "--json").out)["tasks"]}
    # The first interrupt may have met the task outside of what it ignores interrupts in.
    says = "before it had ended. Under way: wait." if states["wait-1"] == "Crashed" else "before it had ended."
    assert run["message"].endswith(says) or executor == "processes"
    assert states["before-1"] == "Success"
    assert states["wait-1"] in {"Crashed", "Cancelled"}
    (cli.folder / "enough").touch()
    done = cli.apart("resume")
    assert done.code == 0, done.err
    assert "before\n" not in done.out


def test_a_second_interrupt_takes_child_processes_along(cli) -> None:
    file = cli.file("""
        import atexit, os, time

        @task
        def wait():
            atexit.register(lambda: print("cleaned up", flush=True))
            while True:
                try:
                    print("waiting", flush=True)
                    time.sleep(60)
                except KeyboardInterrupt:
                    print("ignored", flush=True)

        with Flow("stubborn") as flow:
            wait()
    """)
    with cli.start("run", file) as process:
        read_until("waiting", process)
        process.send_signal(signal.SIGINT)
        read_until("ignored", process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    assert "cleaned up" in out


def test_an_interrupt_while_the_file_is_loaded_ends_with_130(cli) -> None:
    file = cli.file('print("loading", flush=True)\nimport time\ntime.sleep(60)\n')
    with cli.start("run", file) as process:
        read_until("loading", process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_run_goes_on_when_nobody_reads_what_it_prints(cli, executor: str, unbuffered: str) -> None:
    """As of `headrace run flow.py | head`."""
    file = cli.file("""
        @task
        def say(x):
            print("line", x, "." * 100)
            return x

        with Flow("talkative") as flow:
            say.map(list(range(2000)))
    """)
    with cli.start("run", file, "--executor", executor, PYTHONUNBUFFERED=unbuffered) as process:
        assert process.stdout.readline().startswith("talkative: 1 task")
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=40)
    assert (process.returncode, err) == (0, "")
