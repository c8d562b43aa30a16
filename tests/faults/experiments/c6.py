"""C6: a task raises what no task should, or changes the process it runs in."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from tests.faults.experiment import Experiment, Trial

from headrace import Flow, task
from headrace.triggers import always_run


class Odd(BaseException):
    pass


def _raise_system_exit() -> NoReturn:
    sys.exit(3)


def _raise_keyboard_interrupt() -> NoReturn:
    raise KeyboardInterrupt


def _raise_generator_exit() -> NoReturn:
    raise GeneratorExit


def _raise_stop_iteration() -> NoReturn:
    raise StopIteration


def _raise_base_exception() -> NoReturn:
    raise Odd("neither an Exception nor known")


def _recurse() -> None:
    _recurse()


def _close_standard_files() -> None:
    for number in range(3):
        os.close(number)


def _close_standard_streams() -> None:
    sys.stdout.close()
    sys.stderr.close()
    sys.stdout = sys.stderr = None


def _close_all_files() -> None:
    os.closerange(0, 1000)


def _replace_standard_output() -> None:
    os.close(1)
    os.open(os.devnull, os.O_RDONLY)


def _change_folder() -> None:
    os.chdir("/")


def _remove_folder() -> None:
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")


def _change_mask() -> None:
    os.umask(0)


def _change_environment() -> None:
    os.environ["FAULT"] = "left"
    del os.environ["PATH"]


def _install_handlers() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def _block_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _set_alarm() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.1)


def _leave_threads() -> None:
    for daemon in (True, False):
        threading.Thread(target=time.sleep, args=(3600,), daemon=daemon).start()


_ENDS: Mapping[Callable[[], object], str] = {
    _raise_system_exit: "Failed",
    _raise_keyboard_interrupt: "Cancelled",
    _raise_generator_exit: "Failed",
    _raise_stop_iteration: "Failed",
    _raise_base_exception: "Failed",
    _recurse: "Failed",
    # Its connection to the rest of the world was among them.
    _close_all_files: "Crashed",
}
_CHANGING = (
    _close_standard_files,
    _close_standard_streams,
    _replace_standard_output,
    _change_folder,
    _remove_folder,
    _change_mask,
    _change_environment,
    _install_handlers,
    _block_signals,
    _set_alarm,
    _leave_threads,
)
_MISDEEDS = {each.__name__.strip("_").replace("_", " "): each for each in (*_ENDS, *_CHANGING)}


def look() -> dict[str, Any]:
    """Return what tasks in this process find."""
    # An alarm that was left behind goes off meanwhile.
    time.sleep(0.3)
    mask = os.umask(0o022)
    os.umask(mask)
    print("still printed")
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD)
    return {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "file mode": mask,
        "handlers": [str(getattr(signal.getsignal(number), "__name__", None)) for number in numbers],
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "standard files": [_is_open(number) for number in range(3)],
    }


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def misbehave(misdeed: str) -> None:
    _MISDEEDS[misdeed]()


class Misdeeds(Experiment):
    name = "C6"
    title = (
        "a task raises what is no Exception, or changes folder, environment, signals, files or threads of its process"
    )

    def inside(self, trial: Trial) -> None:
        misdeed = trial.choose(list(_MISDEEDS))
        with Flow("misdeeds") as flow:
            before = task(look)()
            odd = task(misbehave)(misdeed, upstream_tasks=[before])
            after = task(look, trigger=always_run)(upstream_tasks=[odd])
        states = trial.run(flow, trial.make_executor(workers=1)).result
        found = type(states[odd]).__name__
        expected = _ENDS.get(_MISDEEDS[misdeed], "Success")
        findings = trial.findings
        findings.none_of("wrong verdicts", [] if found == expected else [f"{misdeed} ended as {states[odd]!r}"])
        if expected == "Cancelled":
            return
        findings.none_of("lost", [] if states[after].is_successful() else [f"after {misdeed}: {states[after]!r}"])
        if states[after].is_successful():
            clean, now = states[before].result, states[after].result
            findings.none_of(
                "not clean", [f"{misdeed}: {name} is {now[name]}" for name in clean if clean[name] != now[name]]
            )
