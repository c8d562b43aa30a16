"""B3: is the process that drives a run alive? Running, stopped, dead, not buried yet, or somebody else with its id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.experiment import Experiment, Trial
from tests.faults.recorded import Recorded
from tests.faults.sidelog import wait_until

_KINDS = ("running", "stopped", "dead", "not buried", "id in use again")
_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


class Liveness(Experiment):
    name = "B3"
    title = "a run whose process is running, stopped, dead, a zombie, or whose process id is in use again is resumed"
    executors = ("local",)
    seconds = 120.0

    def inside(self, trial: Trial) -> None:
        kind, recorded = trial.choose(_KINDS), Recorded(trial)
        recorded.seconds = 0.006
        with recorded.running() as process:
            wait_until(lambda: len(trial.log.read()) > 20, 60)
            if kind in {"running", "stopped"}:
                self._alive(trial, recorded, process, stopped=kind == "stopped")
            else:
                self._dead(trial, recorded, process, kind)

    def _alive(self, trial: Trial, recorded: Recorded, process: subprocess.Popen[bytes], *, stopped: bool) -> None:
        if stopped:
            process.send_signal(signal.SIGSTOP)
        with recorded.resuming() as rival:
            code = rival.wait(60)
        process.send_signal(signal.SIGCONT)
        trial.findings.none_of("owners that were robbed", [] if code else [f"exit code {code}"])
        trial.findings.none_of("owners that did not end well", [] if process.wait(100) == 0 else [process.returncode])
        recorded.judge()

    def _dead(self, trial: Trial, recorded: Recorded, process: subprocess.Popen[bytes], kind: str) -> None:
        os.kill(process.pid, signal.SIGKILL)
        other = None
        if kind == "not buried":
            wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").split()[2] == "Z", 10)
        else:
            process.wait()
        if kind == "id in use again":
            other = _process_with_id(process.pid)
            trial.findings.count("ids in use again", other is not None)
        began = time.monotonic()
        with recorded.store() as store:
            swept = [run.state for run in store.sweep()]
        trial.findings.time("known to be dead after", time.monotonic() - began)
        trial.findings.none_of("dead owners taken for alive", [] if swept == ["Crashed"] else [swept])
        if other is not None:
            other.kill()
            other.wait()


def _process_with_id(pid: int) -> subprocess.Popen[bytes] | None:
    """Start a process that has this id, or return None if that cannot be had; only root may ask for it."""
    for _ in range(50):
        with suppress(OSError):
            _LAST_PID.write_text(str(pid - 1), encoding="ascii")
            found = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            if found.pid == pid:
                return found
            found.kill()
            found.wait()
    return None
