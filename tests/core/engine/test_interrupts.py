"""Ctrl-C, once and twice, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from textwrap import dedent

import pytest

from headrace import Flow, task
from headrace.engine.interrupts import Interrupts

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGINT to processes")

PATIENCE = 20.0

# Each line a script prints is one event; the observer prints how every run ends.
PRELUDE = """
import os, sys, time
from headrace import Engine, Flow, context, resource_manager, signals, task
from headrace.plugins import hookimpl
from headrace_plugins.threads import ThreadsExecutor

def say(line):
    # Not by print, which a signal handler must not call again while it is at it.
    os.write(1, f"{line}\\n".encode())

class Observer:
    @hookimpl
    def headrace_task_state_changed(self, task_run, new):
        if new.is_finished() or type(new).__name__ == "Cancelling":
            say(f"{task_run.name} {type(new).__name__}")

    @hookimpl
    def headrace_flow_state_changed(self, new):
        say(f"flow {type(new).__name__}")

@resource_manager
class Server:
    def setup(self):
        say("set up")
        return "server"

    def cleanup(self, server):
        say("cleaned up")

@task
def sleep(x=None):
    say("sleeping")
    time.sleep(30)

@task
def ask(x=None):
    say("sleeping")
    while not context.cancel_requested:
        time.sleep(0.01)
    return "stopped by itself"

@task
def after(x=None):
    say("after ran")

def run(flow, executor, **engine):
    from headrace import config
    settings = {**config.current(), "engine": {**config.current()["engine"], **engine}}
    try:
        flow.run(executor=executor, engine=Engine(plugins=[Observer()], config=settings))
    finally:
        say("over")
"""


class Process:
    """A script that runs a flow, and the lines it has printed."""

    def __init__(self, script: str, folder: Path) -> None:
        path = folder / "script.py"
        path.write_text(dedent(PRELUDE) + dedent(script))
        self._process = subprocess.Popen(
            [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder
        )
        self.lines: list[str] = []
        self.errors = ""
        self.returncode: int | None = None

    def wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        while line not in self.lines:
            found = self._process.stdout.readline()
            assert found, f"the process ended without printing {line!r}: {self.lines}{self._process.communicate()}"
            self.lines.append(found.strip())

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    def end(self) -> list[str]:
        """Wait for the end and return what was printed."""
        out, self.errors = self._process.communicate(timeout=PATIENCE)
        self.lines.extend(out.splitlines())
        self.returncode = self._process.returncode
        return self.lines

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Process]]:
    processes: list[Process] = []

    def started(script: str) -> Process:
        processes.append(Process(script, tmp_path))
        return processes[-1]

    yield started
    for process in processes:
        process.stop()


# A sleep in a worker thread cannot be stopped: the run waits for it no longer than the grace period.
EXECUTORS = pytest.mark.parametrize("executor", ['"local"', "ThreadsExecutor(2)"], ids=["local", "threads"])


@EXECUTORS
class TestOnce:
    SCRIPT = """
    with Flow("interrupted") as flow:
        with Server() as server:
            after(sleep(server))
        after(task_args={"name": "other"}, upstream_tasks=[flow.get_tasks(name="sleep")[0]])
    run(flow, EXECUTOR, cancel_grace=0.5)
    """

    @pytest.fixture
    def process(self, start: Callable[[str], Process], executor: str) -> Process:
        process = start(self.SCRIPT.replace("EXECUTOR", executor))
        process.wait_for("sleeping")
        process.interrupt()
        process.end()
        return process

    def test_the_process_ends_as_interrupted(self, process):
        assert process.returncode == -signal.SIGINT
        assert "KeyboardInterrupt" in process.errors

    def test_states_are_recorded_as_cancelled(self, process):
        ends = [line for line in process.lines if line.endswith(" Cancelled")]
        assert ends == ["sleep Cancelled", "after Cancelled", "other Cancelled", "flow Cancelled"]

    def test_resources_are_cleaned_up(self, process):
        assert process.lines.count("cleaned up") == 1

    def test_nothing_new_begins(self, process):
        assert "after ran" not in process.lines

    def test_the_flow_ends_after_everything_else(self, process):
        assert process.lines[-2:] == ["flow Cancelled", "over"]


@EXECUTORS
class TestTwice:
    def test_the_second_ends_the_run_at_once(self, start, executor):
        process = start(
            f"""
            @task
            def stubborn():
                try:
                    say("sleeping")
                    time.sleep(30)
                finally:
                    say("still here")
                    time.sleep(30)

            with Flow("stubborn") as flow:
                after(stubborn())
            run(flow, {executor}, cancel_grace=30)
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        process.wait_for("still here" if "local" in executor else "stubborn Cancelling")
        began = time.monotonic()
        process.interrupt()
        process.end()
        assert time.monotonic() - began < 10
        assert process.returncode == -signal.SIGINT
        assert process.lines[-1] == "over"

    def test_the_second_ends_a_clean_up_that_hangs(self, start, executor):
        process = start(
            f"""
            @resource_manager
            class Slow:
                def setup(self):
                    return "slow"

                def cleanup(self, slow):
                    say("cleaning")
                    time.sleep(30)

            with Flow("slow") as flow:
                with Slow() as slow:
                    ask(slow) if "local" not in {executor!r} else sleep(slow)
            run(flow, {executor}, cancel_grace=30)
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        process.wait_for("cleaning")
        began = time.monotonic()
        process.interrupt()
        process.end()
        assert time.monotonic() - began < 10
        assert process.returncode == -signal.SIGINT


def test_the_second_one_in_a_clean_up_leaves_no_time_for_another(start):
    process = start(
        """
        @resource_manager
        class Slow:
            def __init__(self, name):
                self.name = name

            def setup(self):
                return self.name

            def cleanup(self, name):
                say("cleaning")
                time.sleep(30)

        with Flow("slow") as flow:
            with Slow("a") as a, Slow("b") as b:
                sleep([a, b])
        run(flow, "local", cancel_grace=30)
        """
    )
    process.wait_for("sleeping")
    process.interrupt()
    process.wait_for("cleaning")
    process.interrupt()
    assert process.end().count("cleaning") == 1
    assert process.returncode == -signal.SIGINT


class TestOther:
    def test_a_task_that_catches_the_interrupt_has_its_result_and_the_run_is_cancelled(self, start):
        process = start(
            """
            @task
            def catch():
                try:
                    say("sleeping")
                    time.sleep(30)
                except KeyboardInterrupt:
                    return 1

            with Flow("caught") as flow:
                after(catch())
            run(flow, "local")
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        process.end()
        assert process.lines[-4:] == ["catch Success", "after Cancelled", "flow Cancelled", "over"]
        assert process.returncode == -signal.SIGINT

    def test_a_task_that_is_asked_to_stop_can(self, start):
        process = start(
            """
            with Flow("asked") as flow:
                after(ask())
            run(flow, "threads", cancel_grace=20)
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        assert [line for line in process.end() if " " in line] == [
            "flow Running",
            "ask Cancelling",
            "ask Success",
            "after Cancelled",
            "flow Cancelled",
        ]

    def test_a_run_that_waits_for_a_retry_ends_at_once(self, start):
        process = start(
            """
            @task(max_retries=1, retry_delay=3600)
            def flaky():
                raise ValueError("no")

            class Said:
                @hookimpl
                def headrace_task_state_changed(self, new):
                    if new.is_retrying():
                        say("waiting")

            with Flow("waits") as flow:
                flaky()
            flow.run(executor="local", engine=Engine(plugins=[Observer(), Said()]))
            """
        )
        process.wait_for("waiting")
        time.sleep(0.2)
        process.interrupt()
        assert process.end()[-2:] == ["flaky Cancelled", "flow Cancelled"]

    def test_a_resource_is_not_set_up_after_the_interrupt(self, start):
        process = start(
            """
            with Flow("late") as flow:
                slept = sleep()
                with Server() as server:
                    after(server)
            run(flow, "local")
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        lines = process.end()
        assert not {"set up", "cleaned up"} & set(lines)

    def test_a_map_ends_with_its_finished_children_kept(self, start):
        process = start(
            """
            @task
            def child(x):
                if x == 1:
                    say("sleeping")
                    time.sleep(30)
                return x

            with Flow("map") as flow:
                children = child.map([0, 1, 2, 3])

            class Look:
                @hookimpl
                def headrace_flow_state_changed(self, new):
                    if new.is_finished():
                        say([type(state).__name__ for state in new.result[children].map_states])

            flow.run(executor="local", engine=Engine(plugins=[Look()]))
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        assert process.end()[-1] == "['Success', 'Cancelled', 'Cancelled', 'Cancelled']"

    def test_a_handler_of_the_program_is_left_in_place(self, start):
        process = start(
            """
            import signal
            signal.signal(signal.SIGINT, lambda *_: say("mine"))

            @task
            def nap():
                say("sleeping")
                time.sleep(0.5)

            with Flow("mine") as flow:
                nap()
            run(flow, "local")
            """
        )
        process.wait_for("sleeping")
        process.interrupt()
        assert "mine" in process.end()
        assert process.returncode == 0


class TestOtherSignals:
    """What asks a process to end is heeded as Ctrl-C is, and the exit code says which it was."""

    SCRIPT = """
        with Flow("asked to end") as flow:
            with Server() as server:
                after(sleep(server))
        run(flow, EXECUTOR, cancel_grace=0.5)
        """

    @EXECUTORS
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
    def test_the_run_is_cancelled_in_order(self, start, executor, number):
        process = start(self.SCRIPT.replace("EXECUTOR", executor))
        process.wait_for("sleeping")
        process.interrupt(number)
        lines = process.end()
        assert [line for line in lines if line.endswith(" Cancelled")][-1] == "flow Cancelled"
        assert "after ran" not in lines
        assert lines.count("cleaned up") == 1
        assert process.returncode == 128 + number

    def test_the_second_one_ends_the_run_at_once(self, start):
        process = start(
            """
            with Flow("asked twice") as flow:
                sleep()
            run(flow, "threads", cancel_grace=30)
            """
        )
        process.wait_for("sleeping")
        process.interrupt(signal.SIGTERM)
        process.wait_for("sleep Cancelling")
        process.interrupt(signal.SIGTERM)
        assert process.end()[-1] == "over"
        assert process.returncode == 128 + signal.SIGTERM

    def test_one_that_the_program_ignores_is_ignored(self, start):
        process = start(
            """
            import signal
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

            @task
            def nap():
                say("sleeping")
                time.sleep(0.5)

            with Flow("without a terminal") as flow:
                nap()
            run(flow, "local")
            """
        )
        process.wait_for("sleeping")
        process.interrupt(signal.SIGHUP)
        assert "flow Success" in process.end()
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)], ids=["INT", "TERM"]
)
def test_an_executor_that_is_interrupted_while_it_starts_leaves_a_cancelled_run(start, number, code):
    process = start(
        """
        from headrace.abc import Executor

        class Slow(Executor):
            capacity = 1

            def start(self, context, stack):
                stack.callback(say, "stopped")
                say("starting")
                time.sleep(30)

            def submit(self, work, deliver):
                deliver(work())

        with Flow("interrupted early") as flow:
            with Server() as server:
                after(server)
        run(flow, Slow())
        """
    )
    process.wait_for("starting")
    process.interrupt(number)
    lines = process.end()
    assert lines[-2:] == ["flow Cancelled", "over"]
    assert "after Cancelled" in lines
    assert not {"set up", "cleaned up"} & set(lines)
    assert process.returncode == code


class TestInterrupts:
    """The handler itself, in this process."""

    def test_it_is_installed_inside_the_block_and_taken_away_after_it(self):
        before = signal.getsignal(signal.SIGINT)
        with Interrupts(SimpleQueue()):
            assert signal.getsignal(signal.SIGINT) is not before
        assert signal.getsignal(signal.SIGINT) is before

    def test_the_first_one_wakes_the_driver_and_raises_nothing(self):
        inbox: SimpleQueue[object] = SimpleQueue()
        with Interrupts(inbox) as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert (interrupts.count, interrupts.pending, inbox.get_nowait()) == (1, True, None)

    def test_the_second_one_is_raised(self):
        with pytest.raises(KeyboardInterrupt), Interrupts(SimpleQueue()):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    def test_in_another_thread_it_does_nothing(self):
        before = signal.getsignal(signal.SIGINT)
        seen: list[object] = []

        def enter() -> None:
            with Interrupts(SimpleQueue()):
                seen.append(signal.getsignal(signal.SIGINT))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert seen == [before]

    def test_nested_runs_leave_the_outer_handler_in_charge(self):
        with Interrupts(SimpleQueue()) as outer:
            with Interrupts(SimpleQueue()) as inner:
                signal.raise_signal(signal.SIGINT)
            assert (outer.count, inner.count) == (1, 0)


def test_a_process_that_a_task_forks_has_no_part_in_how_the_run_ends() -> None:
    def in_a_copy() -> int:
        pid = os.fork()
        if pid == 0:
            found = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
            os._exit(0 if found == (signal.SIG_DFL, signal.default_int_handler) else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with Flow("forks") as flow:
        forked = task(in_a_copy)()
    assert flow.run().result[forked].result == 0
