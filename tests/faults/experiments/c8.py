"""C8: signals to the process that drives a run, at any moment of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from tests.faults.experiment import Experiment, Trial
from tests.faults.leftovers import is_running
from tests.faults.platforms import options
from tests.faults.sidelog import SideLog, wait_until

from headrace import Flow, Parameter, task
from headrace.states import State

_TASKS = 40
_WORKERS = 4
_GRACE = 2.0
_SLACK = 1.0


def nap(folder: str, number: int) -> int:
    log = SideLog(Path(folder) / "side.log")
    log.write("begin", "nap", number)
    time.sleep(0.1)
    log.write("end", "nap", number)
    return number


def _note(event: str) -> Callable[[object, State, State], State]:
    """Return a state handler that writes what it is told to the side log; it is called where the run is driven."""

    def handler(_: object, __: State, new: State) -> State:
        # The folder of the trial is that of the process that drives it.
        SideLog(Path("side.log")).write(event, type(new).__name__)
        return new

    return handler


def _flow() -> Flow:
    with Flow("signals", state_handlers=[_note("flow")]) as made:
        folder = Parameter("folder")
        for number in range(_TASKS):
            task(nap, name=f"nap {number}", state_handlers=[_note("task")])(folder, number)
    return made


flow = _flow()


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    # As a terminal does: to the whole group.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)


def _interrupt_twice(process: subprocess.Popen[bytes]) -> None:
    _interrupt(process)
    time.sleep(0.2)
    _interrupt(process)


def _terminate(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGHUP)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()


def _stop_for_a_while(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)


def _stop_what_runs_a_task(process: subprocess.Popen[bytes]) -> None:
    log = SideLog(Path(str(process.args[-1])) / "side.log")  # type: ignore[index]
    wait_until(lambda: bool(_running(log)), 5)
    for pid in _running(log):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(2)
            os.kill(pid, signal.SIGCONT)


def _running(log: SideLog) -> list[int]:
    entries = log.read()
    begun = {entry.pid: entry.event for entry in entries if entry.task == "nap"}
    return [pid for pid, event in begun.items() if event == "begin" and is_running(pid)][:1]


_SIGNALS: Mapping[str, Callable[[subprocess.Popen[bytes]], None]] = {
    "Ctrl-C": _interrupt,
    "Ctrl-C twice": _interrupt_twice,
    "SIGTERM": _terminate,
    "SIGHUP": _hang_up,
    "SIGKILL": _kill,
    "SIGSTOP and SIGCONT": _stop_for_a_while,
    "SIGSTOP and SIGCONT to a worker": _stop_what_runs_a_task,
}
_WAYS = ("script", "headrace run")


class Signals(Experiment):
    name = "C8"
    title = "Ctrl-C once and twice, SIGTERM, SIGHUP, SIGKILL, SIGSTOP to the process that drives a run"
    executors = ("processes", "threads", "dask", "ray")
    # What the run had on a cluster of its own notices by itself that the process that drove the run was killed.
    settle: ClassVar[Mapping[str, float]] = {"processes": 3.0, "dask": 20.0, "ray": 20.0}

    def inside(self, trial: Trial) -> None:
        os.environ["HEADRACE__ENGINE__CANCEL_GRACE"] = str(_GRACE)
        _, way, _ = _kind(trial)
        if way == "script":
            flow.run(folder=str(trial.folder), executor=trial.make_executor(workers=_WORKERS))
            return
        target = ["-m", f"{__name__}:flow", "-p", f"folder={trial.folder}"]
        executor = ["--executor", trial.executor]
        for option, value in options(trial.executor, _WORKERS).items():
            executor += ["-o", f"{option}={json.dumps(value)}"]
        os.execv(sys.executable, [sys.executable, "-m", "headrace", "run", *target, *executor])

    def outside(self, trial: Trial, process: subprocess.Popen[bytes]) -> int:
        name, way, delay = _kind(trial)
        wait_until(lambda: bool(trial.log.count("flow")) or process.poll() is not None, self.seconds)
        time.sleep(delay)
        if trial.log.count("flow", "Success"):
            trial.findings.count("too late")
            return super().outside(trial, process)
        began = time.monotonic()
        _SIGNALS[name](process)
        code = process.wait(self.seconds)
        seconds = time.monotonic() - began
        _judge(trial, f"{name} to {way}", code)
        if "SIGSTOP" not in name:
            trial.findings.time("over after", seconds, _GRACE + _SLACK)
        return code


def _kind(trial: Trial) -> tuple[str, str, float]:
    """Return the signal, what drives the run, and how many seconds after its beginning the signal comes."""
    return trial.choose(list(_SIGNALS)), _WAYS[trial.seed % 2], trial.random().uniform(0, 1.2)


def _judge(trial: Trial, what: str, code: int) -> None:
    findings, log = trial.findings, trial.log
    ended = {name for name, _ in log.count("flow")} - {"Running"}
    wrong = [name for name, _ in log.count("task") if name in {"Failed", "Crashed", "TimedOut"}]
    findings.none_of("false crashes", [f"{what}: {name}" for name in wrong])
    findings.none_of("run twice", [each for each, times in log.count("begin").items() if times > 1])
    if "SIGSTOP" in what:
        findings.none_of("lost", [] if (ended, code) == ({"Success"}, 0) else [f"{what}: {ended}, exit code {code}"])
    elif "SIGKILL" in what or "twice" in what:
        findings.none_of("untrue exit codes", [] if code else [f"{what}: {code}"])
    else:
        findings.none_of("not cancelled", [] if ended == {"Cancelled"} else [f"{what}: {ended or 'nothing'}"])
        findings.none_of("untrue exit codes", [] if code else [f"{what}: {code}"])
