"""The large flow, run and resumed by processes of its own that record it, and what must hold when these are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import large_flow
from tests.faults.experiment import Trial
from tests.faults.platforms import options
from tests.faults.sidelog import wait_until

from headrace.exceptions import HistoryError
from headrace.fault_points import VARIABLE
from headrace.history import Finding, RunRecord
from headrace_plugins.sqlite.store import SQLiteRunStore

_PATIENCE = 120.0
Run = tuple[str, int]


@dataclass(slots=True)
class Moment:
    """What was known when a process had been killed: how long the side log was, and what the history had."""

    length: int
    finished: set[Run] = field(default_factory=set)


class Recorded:
    """Runs of the large flow in the folder of a trial, the history of which is in ``.headrace`` there."""

    def __init__(self, trial: Trial, workers: int = 4) -> None:
        os.environ["HOME"] = str(trial.folder)
        self.trial = trial
        self.workers = 1 if trial.executor == "local" else workers
        self.moments: list[Moment] = []
        self.seconds = 0.001 * self.workers
        # What goes wrong in the processes, see `headrace.fault_points`.
        self.faults = ""
        # What a run may have come to whose process was killed.
        self.ends = {"Crashed", "Success"}

    # -- processes -----------------------------------------------------------------------------------------------

    @contextmanager
    def running(
        self, target: str = f"{large_flow.__name__}:flow", output: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a flow in a process, by default the large one; ``output`` gets what that says."""
        parameters = ["-p", f"folder={self.trial.folder}", "-p", f"seconds={self.seconds}"]
        with self._process("run", "-m", target, *parameters, output=output) as process:
            yield process

    @contextmanager
    def resuming(self, run: str = "latest", *more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Resume a run in a process."""
        with self._process("resume", run, *more) as process:
            yield process

    @contextmanager
    def _process(self, *arguments: str, output: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
        chosen = ["--executor", self.trial.executor]
        for option, value in options(self.trial.executor, self.workers).items():
            chosen += ["-o", f"{option}={json.dumps(value)}"]
        command = [sys.executable, "-X", "faulthandler", "-m", "headrace", *arguments, *chosen]
        environment = {**os.environ, VARIABLE: self.faults}
        with ExitStack() as stack:
            stream = None if output is None else stack.enter_context(output.open("wb"))
            process = subprocess.Popen(
                command, cwd=self.trial.folder, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def kill_after(self, process: subprocess.Popen[bytes], seconds: float, *, from_start: bool = False) -> bool:
        """Kill a process so many seconds after its first task began; tell whether it was still there."""
        before = len(self.trial.log.read())
        if not from_start:
            wait_until(lambda: process.poll() is not None or len(self.trial.log.read()) > before, _PATIENCE)
        wait_until(lambda: process.poll() is not None, seconds)
        alive = process.poll() is None
        process.kill()
        process.wait()
        self._take_stock()
        return alive

    def wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until a process has ended by itself; tell whether a signal ended it."""
        code = process.wait(_PATIENCE)
        self._take_stock()
        return code < 0

    def finish(self, process: subprocess.Popen[bytes], began: float) -> None:
        """Wait until a process that resumes the run has ended, which it does with success."""
        try:
            code = process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            # Where it hangs stands in the output then.
            process.send_signal(signal.SIGABRT)
            code = process.wait()
        self.trial.findings.none_of("resumes that failed", [] if code == 0 else [f"exit code {code}"])
        length = self.moments[-1].length if self.moments else 0
        later = [entry.moment for entry in self.trial.log.read()[length:] if entry.event == "begin"]
        if later:
            self.trial.findings.time("first task after", min(later) - began)

    # -- the history ---------------------------------------------------------------------------------------------

    @contextmanager
    def store(self) -> Iterator[SQLiteRunStore]:
        """Open the history."""
        with SQLiteRunStore(f"sqlite:{self.trial.folder}/.headrace/history/runs.db") as store:
            yield store

    def last_run(self, store: SQLiteRunStore) -> RunRecord | None:
        """Return the last run, or None if there is none."""
        try:
            return store.run("latest")
        except HistoryError:
            return None

    def finished(self, store: SQLiteRunStore, run: RunRecord) -> set[Run]:
        """Return what the history has as successful, as the side log names it."""
        names = {task.node: task.name for task in store.tasks(run.id)}
        return {(names[each.node], each.map_index) for each in store.task_runs(run.id) if each.state == "Success"}

    def _take_stock(self) -> None:
        findings, log = self.trial.findings, self.trial.log
        moment = Moment(len(log.read()))
        self.moments.append(moment)
        with self.store() as store:
            store.sweep()
            run = self.last_run(store)
            if run is None:
                findings.count("killed before it was recorded")
                return
            findings.none_of("corrupted", _damage(store))
            moment.finished = self.finished(store, run)
            ended = {(entry.task, entry.number) for entry in log.read() if entry.event == "end"}
            findings.none_of("false successes", (moment.finished & large_flow.every_run()) - ended)
            untrue = [] if run.state in self.ends else [run.state]
            findings.none_of("dead runs that are not over", untrue)

    # -- what must hold ------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """Compare the side log with what the history said when processes were killed, and the result with itself."""
        findings, entries = self.trial.findings, self.trial.log.read()
        begun = [(entry.task, entry.number) if entry.event == "begin" else None for entry in entries]
        ended = {(entry.task, entry.number) for entry in entries if entry.event == "end"}
        findings.none_of("lost", large_flow.every_run() - ended)
        results = {entry.number for entry in entries if entry.event == "result"}
        findings.none_of("wrong results", results ^ {large_flow.EXPECTED})
        for moment in self.moments:
            later = set(filter(None, begun[moment.length :]))
            findings.none_of("finished run again", later & moment.finished)
            twice = (later & set(filter(None, begun[: moment.length]))) - moment.finished
            # What a task had done of which nobody had heard yet when all was killed.
            unheard = {(each.task, each.number) for each in entries[: moment.length] if each.event == "end"} & twice
            under_way = twice - unheard
            findings.count("under way run again", len(under_way))
            findings.count("done and not recorded run again", len(unheard))
            limit = self._at_most(under_way)
            findings.expect(len(under_way) <= limit, f"{len(under_way)} were under way at once: {sorted(under_way)}")
        self._judge_history()

    def _at_most(self, twice: Collection[Run]) -> int:
        # A flow inside a task has tasks of its own, which run again with it.
        return self.workers + sum(name.startswith("inner") for name, _ in twice)

    def _judge_history(self) -> None:
        findings = self.trial.findings
        with self.store() as store:
            run = self.last_run(store)
            findings.none_of("corrupted", _damage(store))
            state = run.state if run is not None else "none"
            findings.none_of("untrue states", [] if state == "Success" else [state])
            if run is not None:
                missing = {each for each in large_flow.every_run() if not each[0].startswith("inner ")}
                findings.none_of("not in the history", missing - self.finished(store, run))
        live = self.trial.folder / ".headrace" / "history" / "runs.db.live"
        findings.none_of("journals left", [path.name for path in live.iterdir()])
        findings.count("temporary files left", len(list((self.trial.folder / ".headrace").rglob("*.tmp"))))


def _damage(store: SQLiteRunStore) -> list[Finding]:
    """Return what is wrong with a history, apart from files that were not complete when their writer was killed."""
    return [found for found in store.check() if ".tmp" not in found.place]


def now() -> float:
    """Return the moment by the clock of the side log."""
    return time.monotonic()
