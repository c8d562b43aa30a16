"""Whole programs that run flows in processes: how they are written, and what is left of them however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

linux = pytest.mark.skipif(sys.platform != "linux", reason="the system has no subreapers")


@pytest.fixture
def program(tmp_path):
    """Return a function that writes a program and starts it; what is still running in the end is killed."""
    started = []

    def start(text: str, *arguments: str, command: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        path = tmp_path / "program.py"
        path.write_text(text)
        process = subprocess.Popen(
            [sys.executable, *command, str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def output(process: subprocess.Popen[str]) -> str:
    """Return what a program has printed; fail if it failed."""
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return printed


# -- how programs are written --------------------------------------------------------------------------------------

PLAIN = """
import sys
from dataclasses import dataclass
from headrace import Flow, Task, task

print("imported")
FACTOR = 3

@dataclass
class Point:
    x: int

class Scale(Task):
    def run(self, point):
        return Point(point.x * FACTOR)

def helper(number):
    return Point(number + 1)

@task
def make(number):
    return helper(number)

with Flow("plain") as flow:
    points = make.map([1, 2, 3])
    scaled = Scale().map(points)
    scaled = task(lambda found: [point.x for point in found], name="list")(scaled)
"""


def test_a_program_needs_no_main_guard(program):
    """What it defines in ``__main__`` works in workers, which do not run it again."""
    text = PLAIN + 'print(flow.run(executor="processes").result[scaled].result)\n'
    assert output(program(text)) == "imported\n[6, 9, 12]\n"


def test_a_flow_file_needs_nothing_for_the_command_line(program, tmp_path):
    text = PLAIN + 'task(lambda found: print("found", found), name="show")(scaled, flow=flow)\n'
    process = program(text, "--executor", "processes", "-o", "workers=2", command=("-m", "headrace", "run"))
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "found [6, 9, 12]" in printed
    assert printed.count("imported") <= 2


def test_a_notebook_needs_nothing(program):
    """There is no file that defines what the tasks need, and ``sys.stdout`` leads elsewhere."""
    text = f"""
import io, sys
sys.stdout = cell = io.StringIO()
names = {{"__name__": "__main__"}}
exec({PLAIN!r}, names)
exec('result = flow.run(executor="processes").result[scaled].result', names)
task = names["task"]
from headrace import Flow
with Flow("print") as flow:
    task(lambda: print("from a worker"), name="print")()
flow.run(executor="processes")
sys.stdout = sys.__stdout__
print(names["result"], cell.getvalue().splitlines())
"""
    assert output(program(text)) == "[6, 9, 12] ['imported', 'from a worker']\n"


def test_a_program_whose_standard_files_are_closed_works(program, tmp_path):
    text = (
        PLAIN.replace('print("imported")', "")
        + f"""
import os
os.closerange(0, 3)
found = flow.run(executor="processes").result[scaled].result
open({str(tmp_path / "found")!r}, "w").write(str(found))
"""
    )
    output(program(text))
    assert (tmp_path / "found").read_text() == "[6, 9, 12]"


def test_a_machine_without_room_for_large_values_is_a_clear_error(program):
    """As where the disk, or the memory that shared files may use, is full."""
    text = """
import resource
from headrace import Flow, task
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
with Flow("full") as flow:
    sent = task(lambda value: len(value), name="send")(bytes(1_000_000))
    returned = task(lambda: bytes(1_000_000), name="return")()
    good = task(lambda: 1, name="good")()
states = flow.run(executor="processes").result
for each in (sent, returned, good):
    print(type(states[each]).__name__, states[each].message)
"""
    sent, returned, good = output(program(text)).splitlines()
    assert sent.startswith("Crashed")
    assert "'send' could not be sent" in sent
    assert returned.startswith("Failed")
    assert "no memory to send the result" in returned
    assert good.startswith("Success")


# -- how programs end ----------------------------------------------------------------------------------------------

LONG = """
import os, signal, subprocess, sys, time
from pathlib import Path
from headrace import Flow, config, task
from headrace_plugins.processes.executor import ProcessesExecutor

here = Path(sys.argv[1])

def wait(number):
    if STUBBORN:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    (here / f"pid-{number}").write_text(f"{os.getpid()}\\n")
    (here / f"pid-child-{number}").write_text(f"{child.pid}\\n")
    (here / f"pid-supervisor").write_text(f"{os.getppid()}\\n")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        try:
            time.sleep(1)
        except BaseException:
            if not STUBBORN:
                raise

with Flow("long") as flow:
    task(wait).map([1, 2])

if FORK and os.fork() == 0:
    time.sleep(300)

with config.set_temporary_config({"engine.cancel_grace": 60.0}):
    flow.run(executor=ProcessesExecutor(workers=2, kill_grace=0.2))
"""


@pytest.fixture
def long_program(program, tmp_path, pid_in):
    """Return a function that starts a program, and waits until its tasks run; it returns all processes there are."""

    def start(*, stubborn: bool = False, fork: bool = False) -> tuple[subprocess.Popen[str], list[int]]:
        process = program(f"STUBBORN, FORK = {stubborn}, {fork}\n{LONG}", str(tmp_path))
        names = ("1", "2", "child-1", "child-2", "supervisor")
        return process, [pid_in(tmp_path / f"pid-{name}") for name in names]

    return start


def test_nothing_is_left_after_a_ctrl_c(long_program, is_gone):
    process, pids = long_program()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=40)
    assert process.returncode == -signal.SIGINT, errors
    assert all(is_gone(pid, 1) for pid in pids)


def test_nothing_is_left_after_a_second_ctrl_c(long_program, is_gone):
    """The first one asks, and tasks that do not listen would get a minute; the second one does not wait."""
    process, pids = long_program(stubborn=True)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=40)
    assert process.returncode == -signal.SIGINT, errors
    assert time.monotonic() - began < 15
    assert all(is_gone(pid, 1) for pid in pids)


def test_a_ctrl_c_at_a_terminal_reaches_the_driver_alone(long_program, is_gone):
    """The terminal sends it to every process of the program's group; workers hear of it from the driver."""
    process, pids = long_program()
    assert {os.getpgid(pid) for pid in pids}.isdisjoint({os.getpgid(process.pid)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_the_driver_is_asked_to_end(long_program, is_gone, number):
    process, pids = long_program()
    process.send_signal(number)
    process.communicate(timeout=40)
    assert all(is_gone(pid, 1) for pid in pids)


@linux
def test_nothing_is_left_when_the_driver_is_killed(long_program, is_gone):
    process, pids = long_program(stubborn=True)
    process.kill()
    process.communicate(timeout=40)
    assert all(is_gone(pid, 5) for pid in pids)


@linux
def test_nothing_is_left_when_a_driver_is_killed_that_has_been_forked(long_program, is_gone):
    """Its copy holds copies of all connections, so nobody hears them end."""
    process, pids = long_program(stubborn=True, fork=True)
    os.kill(process.pid, signal.SIGKILL)
    assert all(is_gone(pid, 8) for pid in pids)
    os.killpg(process.pid, signal.SIGKILL)


@linux
def test_a_stopped_driver_goes_on_where_it_was(program, tmp_path, pid_in):
    """SIGSTOP and SIGCONT neither lose a task nor make a false crash or timeout of one."""
    text = """
import os, sys, time
from pathlib import Path
from headrace import Flow, task
Path(sys.argv[1], "pid").write_text(f"{os.getpid()}\\n")
with Flow("stopped") as flow:
    found = task(lambda number: (time.sleep(0.01), number)[1], name="work", timeout=1.5).map(list(range(100)))
print(sum(flow.run(executor="processes").result[found].result))
"""
    process = program(text, str(tmp_path))
    pid = pid_in(tmp_path / "pid")
    time.sleep(0.6)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2.0)
    os.kill(pid, signal.SIGCONT)
    assert output(process) == f"{sum(range(100))}\n"


def test_no_zombie_is_left_of_a_run(program):
    text = (
        PLAIN
        + """
from pathlib import Path
flow.run(executor="processes")
me = Path("/proc/self/task")
print(sum(len((each / "children").read_text().split()) for each in me.iterdir()) if me.exists() else 0)
"""
    )
    assert output(program(text)).splitlines()[-1] == "0"


def test_the_folder_of_the_program_is_where_its_tasks_are(program, tmp_path):
    text = """
import os
from headrace import Flow, task
with Flow("folder") as flow:
    found = task(os.getcwd, name="folder")()
print(flow.run(executor="processes").result[found].result)
"""
    assert Path(output(program(text)).strip()) == tmp_path
