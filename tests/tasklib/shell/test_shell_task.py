"""ShellTask: what it returns, how it fails, and that it leaves nothing running."""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError, TaskRunError, TaskTimeoutError
from headrace_tasklib.shell import ShellCommandError, ShellTask
from headrace_tasklib.shell.process import Output, run_script


def failure_of(command, **options) -> ShellCommandError:
    with pytest.raises(ShellCommandError) as caught:
        ShellTask(command, **options).run()
    return caught.value


def is_running(pid) -> bool:
    """Tell whether the process exists and is not just waiting to be reaped by init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds=5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class TestResult:
    def test_is_the_last_line_of_standard_output(self):
        assert ShellTask("echo first; echo last; echo noise >&2").run() == "last"

    def test_is_none_without_output(self):
        assert ShellTask("true").run() is None

    def test_is_the_last_line_also_without_a_line_end(self):
        assert ShellTask("echo first; printf last").run() == "last"

    def test_is_an_empty_text_for_an_empty_last_line(self):
        assert ShellTask("echo first; echo").run() == ""

    def test_is_the_list_of_all_lines_with_return_all(self):
        assert ShellTask("echo a; echo; echo b", return_all=True).run() == ["a", "", "b"]

    def test_is_an_empty_list_with_return_all_and_no_output(self):
        assert ShellTask("true", return_all=True).run() == []

    def test_replaces_bytes_that_are_not_utf8(self):
        assert ShellTask(r"printf 'caf\xe9'").run() == "caf\N{REPLACEMENT CHARACTER}"

    def test_keeps_a_character_that_is_cut_by_the_size_of_a_read(self):
        padding = 64 * 1024 - 1
        assert ShellTask(f"head -c {padding} /dev/zero | tr '\\0' x; echo é").run() == "x" * padding + "é"


class TestArguments:
    def test_of_the_call_win_over_those_of_the_constructor(self):
        task = ShellTask("echo constructor $A", env={"A": "1"})
        assert task.run() == "constructor 1"
        assert task.run(command="echo call $A", env={"A": "2"}) == "call 2"

    def test_env_adds_to_the_environment_of_this_process(self, monkeypatch):
        monkeypatch.setenv("INHERITED", "yes")
        assert ShellTask('echo "$INHERITED $ADDED"', env={"ADDED": "too"}).run() == "yes too"

    def test_env_leaves_the_environment_of_this_process_alone(self):
        ShellTask("true", env={"ADDED_BY_TASK": "1"}).run()
        assert "ADDED_BY_TASK" not in os.environ

    def test_cwd_is_where_the_command_runs(self, tmp_path):
        assert ShellTask("pwd -P", cwd=tmp_path).run() == str(tmp_path.resolve())

    def test_helper_script_runs_first_in_the_same_shell(self):
        assert ShellTask("greet you", helper_script='greet() { echo "hello $1"; }').run() == "hello you"

    def test_helper_script_can_make_the_command_strict(self):
        assert failure_of("false\necho not reached", helper_script="set -e").exit_code == 1

    def test_shell_names_the_program(self):
        assert ShellTask("print(6 * 7)", shell="python3").run() == "42"

    def test_shell_as_a_relative_path_is_looked_up_from_here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "shout").write_text('#!/bin/sh\necho "$2!"\n')
        (tmp_path / "shout").chmod(0o755)
        (tmp_path / "elsewhere").mkdir()
        assert ShellTask("hey", shell="./shout", cwd="elsewhere").run() == "hey!"

    def test_standard_input_is_empty(self):
        assert ShellTask("cat; echo done").run() == "done"

    def test_task_options_are_taken(self):
        task = ShellTask("true", name="sync", tags=["disk"], timeout=2)
        assert (task.name, task.tags, task.timeout) == ("sync", {"disk"}, 2.0)

    def test_no_script_file_is_left_behind(self, tmp_path):
        ShellTask("true", helper_script="true", env={"TMPDIR": str(tmp_path)}, cwd=tmp_path).run()
        assert list(tmp_path.iterdir()) == []


class TestBadArguments:
    @pytest.mark.parametrize("command", ["", "  \n"])
    def test_a_blank_command_is_refused(self, command):
        with pytest.raises(TaskDefinitionError, match="`command`"):
            ShellTask(command).run()

    @pytest.mark.parametrize("command", [None, 3, ["echo", "hi"]])
    def test_a_command_that_is_no_text_is_refused(self, command):
        with pytest.raises(DefinitionTypeError, match="`command` to be a text"):
            ShellTask(command).run()

    @pytest.mark.parametrize("env", ["A=1", [("A", "1")]])
    def test_an_env_that_is_no_dictionary_is_refused(self, env):
        with pytest.raises(DefinitionTypeError, match="`env`"):
            ShellTask("true", env=env).run()

    def test_a_variable_that_is_no_text_is_named(self):
        with pytest.raises(DefinitionTypeError, match=r"env\['N'\].* of type int"):
            ShellTask("true").run(env={"N": 1})

    def test_an_unknown_level_is_refused_when_the_task_is_made(self):
        with pytest.raises(TaskDefinitionError, match="'LOUD'"):
            ShellTask("true", stream_output="LOUD")

    def test_a_missing_shell_is_named(self):
        with pytest.raises(TaskRunError, match="'no-such-shell' is not installed"):
            ShellTask("true", shell="no-such-shell").run()

    def test_a_missing_folder_is_named(self, tmp_path):
        with pytest.raises(TaskRunError, match=r"'.*absent', does not exist"):
            ShellTask("true", cwd=tmp_path / "absent").run()

    def test_a_file_as_folder_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(TaskRunError, match=r"'.*file', is a file"):
            ShellTask("true", cwd=tmp_path / "file").run()

    def test_a_null_character_is_refused(self):
        with pytest.raises(TaskRunError, match="null byte"):
            ShellTask("echo \0").run()

    def test_a_command_that_the_system_finds_too_long_is_refused(self):
        with pytest.raises(TaskRunError, match="could not be started"):
            ShellTask("true #" + "x" * 4_000_000).run()


class TestFailure:
    def test_names_command_exit_code_and_last_lines(self):
        error = failure_of("for i in $(seq 20); do echo line $i; done; echo broken >&2; exit 3")
        assert error.exit_code == 3
        assert error.signal_name is None
        assert str(error).startswith("The command `for i in $(seq 20); do echo line $i; done; ")
        assert "failed with exit code 3" in str(error)
        assert len(error.output) == 10
        assert error.output[-1] in {"line 20", "broken"}
        assert "line 1\n" not in str(error)

    def test_shows_standard_error(self):
        assert failure_of("echo cause >&2; exit 1").output == ("cause",)

    def test_says_that_nothing_was_written(self):
        assert "wrote nothing" in str(failure_of("exit 1"))

    def test_ends_with_what_to_do_next(self):
        assert "PATH" in str(failure_of("no-such-program")).splitlines()[-1]

    def test_shortens_a_long_command_and_long_lines(self):
        message = str(failure_of("true " + "x" * 5000 + "; head -c 50000 /dev/zero | tr '\\0' y; exit 1"))
        assert len(message) < 1500

    def test_names_the_signal_that_killed_the_shell(self):
        error = failure_of("kill -KILL $$")
        assert error.exit_code is None
        assert "was killed by SIGKILL" in str(error)

    def test_names_the_signal_that_killed_a_program_of_the_script(self):
        error = failure_of("sh -c 'kill -TERM $$'; exit $?")
        assert (error.exit_code, error.signal_name) == (143, "SIGTERM")

    def test_of_a_syntax_error_shows_the_shells_words(self):
        assert any("syntax error" in line for line in failure_of("if then").output)

    def test_survives_pickling(self):
        error = pickle.loads(pickle.dumps(failure_of("echo x; exit 4")))
        assert (error.exit_code, error.output, "exit code 4" in str(error)) == (4, ("x",), True)


class TestLogging:
    @pytest.mark.parametrize(("stream_output", "level"), [(True, "INFO"), ("WARNING", "WARNING"), (35, "Level 35")])
    def test_stream_output_logs_each_line(self, caplog, stream_output, level):
        with caplog.at_level(logging.DEBUG, "headrace"):
            ShellTask("echo a; echo b", stream_output=stream_output).run()
        assert [(r.levelname, r.getMessage()) for r in caplog.records] == [(level, "a"), (level, "b")]

    def test_lines_arrive_while_the_command_runs(self, caplog, tmp_path):
        gate = tmp_path / "gate"
        task = ShellTask(f"echo started; while [ ! -e {gate} ]; do sleep 0.01; done", stream_output=True)
        with caplog.at_level(logging.INFO, "headrace"):
            thread = threading.Thread(target=task.run)
            thread.start()
            arrived = wait_until(lambda: "started" in caplog.messages)
            gate.touch()
            thread.join()
        assert arrived

    def test_lines_are_debug_by_default(self, caplog):
        with caplog.at_level(logging.DEBUG, "headrace"):
            ShellTask("echo a").run()
        assert [r.levelname for r in caplog.records] == ["DEBUG"]

    def test_log_stderr_logs_the_last_lines_of_a_failure(self, caplog):
        with caplog.at_level(logging.INFO, "headrace"):
            failure_of("echo cause >&2; exit 1", log_stderr=True)
        assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("ERROR", "cause")]

    def test_a_percent_sign_is_no_placeholder(self, caplog):
        with caplog.at_level(logging.INFO, "headrace"):
            ShellTask("echo 100%s", stream_output=True).run()
        assert caplog.messages == ["100%s"]


class TestInterruption:
    def interrupt(self, task, ready):
        """Run the task in this, the main thread, and press Ctrl-C when the file ``ready`` has been written."""

        def press():
            wait_until(lambda: ready.exists() and ready.read_text().endswith("\n"))
            os.kill(os.getpid(), signal.SIGINT)

        presser = threading.Thread(target=press)
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            task.run()
        presser.join()

    def test_stops_the_whole_process_group(self, tmp_path):
        ready = tmp_path / "pids"
        self.interrupt(ShellTask(f"sleep 60 & sleep 60 & echo $$ $! > {ready}; wait"), ready)
        assert not any(is_running(pid) for pid in ready.read_text().split())

    def test_gives_the_command_a_chance_to_clean_up(self, tmp_path):
        ready = tmp_path / "ready"
        self.interrupt(ShellTask(f"trap 'rm {ready}; exit' TERM; echo > {ready}; while :; do sleep 0.05; done"), ready)
        assert not ready.exists()

    def test_kills_a_command_that_ignores_sigterm(self, tmp_path):
        ready = tmp_path / "pid"
        self.interrupt(ShellTask(f"trap '' TERM; echo $$ > {ready}; while :; do sleep 0.05; done"), ready)
        assert not is_running(ready.read_text().strip())

    def test_reaches_a_command_that_is_just_being_started(self):
        class Environment(dict):
            def items(self):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.2)
                return super().items()

        duration = f"60.{os.getpid()}"
        with pytest.raises(KeyboardInterrupt):
            run_script(["/bin/sleep", duration], Environment(os.environ), None, Output())
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert duration not in listed.stdout

    def test_reaches_a_command_that_has_closed_its_output(self, tmp_path):
        ready = tmp_path / "pid"
        self.interrupt(ShellTask(f"exec >&- 2>&-; echo $$ > {ready}; exec sleep 60"), ready)
        assert not is_running(ready.read_text().strip())

    def test_by_an_exception_raised_into_another_thread_stops_the_command(self, tmp_path):
        """A soft timeout reaches a task that way."""
        ready, caught = tmp_path / "pid", []

        def run():
            try:
                ShellTask(f"echo $$ > {ready}; exec sleep 60").run()
            except BaseException as error:
                caught.append(type(error))

        thread = threading.Thread(target=run)
        thread.start()
        assert wait_until(lambda: ready.exists() and ready.read_text().endswith("\n"))
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeoutError))
        thread.join(5)
        assert caught == [TimeoutError]
        assert not is_running(ready.read_text().strip())


class TestTimeout:
    def test_stops_the_command_in_any_thread(self, tmp_path):
        """The engine cannot stop code in a thread, so the task watches its timeout itself."""
        ready, caught = tmp_path / "pids", []

        def run():
            try:
                ShellTask(f"sleep 60 & echo $$ $! > {ready}; wait", timeout=0.3).run()
            except TaskTimeoutError as error:
                caught.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(5)
        assert caught == ["The command took longer than its task's timeout of 0.3 s, and was stopped."]
        assert not any(is_running(pid) for pid in ready.read_text().split())

    def test_stops_a_command_that_has_closed_its_output(self):
        with pytest.raises(TaskTimeoutError):
            ShellTask("exec >&- 2>&-; exec sleep 60", timeout=0.2).run()

    def test_stops_a_command_that_never_stops_writing(self):
        with pytest.raises(TaskTimeoutError):
            ShellTask("yes", timeout=0.2).run()


def test_nothing_outlives_the_interpreter(tmp_path):
    """The task runs in a thread that nobody waits for."""
    ready = tmp_path / "pids"
    program = f"""
import pathlib, threading, time
from headrace_tasklib.shell import ShellTask
threading.Thread(target=ShellTask("sleep 60 & echo $$ $! > {ready}; wait").run, daemon=True).start()
while not (pathlib.Path({str(ready)!r}).exists() and pathlib.Path({str(ready)!r}).read_text().endswith("\\n")):
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
    assert wait_until(lambda: not any(is_running(pid) for pid in ready.read_text().split()))


class TestResources:
    def test_a_long_output_is_not_held(self):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert (
            ShellTask("yes 0123456789012345678901234567890123456789 | head -c 100000000; echo; echo end").run() == "end"
        )
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000

    def test_one_long_line_takes_linear_time(self):
        line = ShellTask("head -c 30000000 /dev/zero | tr '\\0' x").run()
        assert line is not None
        assert len(line) == 30_000_000

    def test_both_streams_are_read_at_once(self):
        """A command that fills the pipe of one stream first must not wait for ever."""
        assert ShellTask("head -c 500000 /dev/zero >&2; echo out; head -c 500000 /dev/zero >&2").run() == "out"

    def test_no_file_descriptor_stays_open(self):
        ShellTask("true").run()
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            ShellTask("true").run()
            failure_of("false")
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    def test_many_can_run_in_threads(self):
        results = {}
        threads = [
            threading.Thread(target=lambda i=i: results.update({i: ShellTask(f"echo {i}").run()})) for i in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == {i: str(i) for i in range(10)}
