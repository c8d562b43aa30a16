"""What a task may change for itself, but not for the tasks after it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from headrace import Flow, task
from headrace_plugins.processes.executor import ProcessesExecutor


def ignore_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def mask_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGUSR1})


def set_a_timer():
    signal.signal(signal.SIGALRM, lambda *_: os._exit(9))
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)


def change_folder():
    os.chdir("/")


def change_folder_by_descriptor():
    folder = os.open("/", os.O_RDONLY)
    os.fchdir(folder)
    os.close(folder)


def change_environment():
    os.environ["SET_BY_A_TASK"] = "1"
    os.environ["HOME"] = "/elsewhere"
    del os.environ["PATH"]


def change_file_mode():
    os.umask(0o000)


def replace_streams():
    sys.stdout = sys.stderr


MISDEEDS = [
    *(ignore_signals, mask_signals, set_a_timer, change_folder, change_folder_by_descriptor),
    *(change_environment, change_file_mode, replace_streams),
]


def look():
    mask = os.umask(0)
    os.umask(mask)
    time.sleep(0.06)
    return {
        "process": os.getpid(),
        "folder": os.getcwd(),  # noqa: PTH109 - pathlib asks the same
        "environment": dict(os.environ),
        "file mode": mask,
        "masked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "handlers": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "streams": [sys.stdin.name, sys.stdout.name, sys.stderr.name],
    }


def test_the_next_task_in_the_same_process_finds_everything_as_it_was():
    with Flow("misdeeds") as flow:
        looks, done = [task(look)()], []
        for misdeed in MISDEEDS:
            done.append(task(misdeed)(upstream_tasks=looks[-1:]))
            looks.append(task(look)(upstream_tasks=done[-1:]))
    states = flow.run(executor=ProcessesExecutor(workers=1)).result
    assert [each for each in done if not states[each].is_successful()] == []
    first, *others = [states[each].result for each in looks]
    for misdeed, found in zip(MISDEEDS, others, strict=True):
        assert found == first, f"after {misdeed.__name__}()"


def test_a_task_that_fails_changes_nothing_for_the_next_either():
    def fail():
        os.chdir("/")
        ignore_signals()
        raise ValueError

    with Flow("failing") as flow:
        before = task(look)()
        failed = task(fail)(upstream_tasks=[before])
        after = task(look, trigger=lambda _states: True)(upstream_tasks=[failed])
    states = flow.run(executor=ProcessesExecutor(workers=1)).result
    assert states[after].result == states[before].result


def test_a_folder_that_is_gone_does_not_keep_workers_from_starting(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with Flow("nowhere") as flow:
        one = task(lambda: 1, name="one")()
    assert flow.run(executor=ProcessesExecutor(workers=1)).result[one].result == 1


def test_threads_that_a_task_leaves_do_not_keep_the_run_from_ending():
    def leave_a_thread():
        threading.Thread(target=time.sleep, args=(60,)).start()

    with Flow("thread") as flow:
        task(leave_a_thread)()
    began = time.monotonic()
    flow.run(executor=ProcessesExecutor(workers=1))
    assert time.monotonic() - began < 30
