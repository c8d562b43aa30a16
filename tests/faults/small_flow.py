"""A flow of a dozen task runs, run and resumed in this process, and what must hold when something goes wrong in it."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.findings import Findings

from headrace import Engine, Flow, context, task
from headrace.engine.resumed_runs import find_run, prepare_resume
from headrace.engine.runs import RunOptions
from headrace.exceptions import HeadraceError, HistoryError
from headrace.states import State
from headrace_plugins.sqlite.store import SQLiteRunStore

_LARGE = 50_000
EXPECTED = sum(number * number for number in range(4)) + _LARGE


class Small:
    """One run of the flow in ``folder``, and what its tasks did: ``ended`` counts by name."""

    def __init__(self, folder: Path, findings: Findings) -> None:
        self.folder = folder
        self.findings = findings
        self.ended: Counter[str] = Counter()
        self.flow = self._make()

    def _make(self) -> Flow:
        ended = self.ended

        @task
        def numbers() -> list[int]:
            ended["numbers"] += 1
            return list(range(4))

        @task(max_retries=1, retry_delay=0)
        def square(number: int) -> int:
            if number == 1 and context.task_run_count == 1:
                raise ConnectionError("not at once")
            ended[f"square[{number}]"] += 1
            return number * number

        @task
        def large() -> bytes:
            ended["large"] += 1
            return b"x" * _LARGE

        @task
        def total(squares: list[int], data: bytes) -> int:
            ended["total"] += 1
            return sum(squares) + len(data)

        with Flow("small") as flow:
            total(square.map(numbers()), large())
        return flow

    def run(self) -> State | None:
        """Run it and return what it came to, or None if it was stopped because it could not be recorded."""
        with self._here():
            try:
                return self.flow.run(record=True)
            except HeadraceError:
                return None

    def judge(self, state: State | None) -> bool:
        """Check the history after a run in which something went wrong, then resume it and check the end.

        Tell whether the run was in the history.
        """
        with self._here():
            before, kept = Counter(self.ended), self._look(state)
            if kept is None:
                self.findings.count("not recorded")
                self.findings.none_of("lost without a word", [] if state is None or self._is_right(state) else [state])
                return False
            engine = Engine()
            store, run = find_run(engine, "latest")
            prepared = prepare_resume(self.flow, store, run, engine)
            ended = self.flow.run(engine=engine, options=prepared.options(self.flow, RunOptions()))
            self.findings.none_of("wrong results", [] if self._is_right(ended) else [ended])
            again = {name for name, times in self.ended.items() if times > before[name] and name in kept}
            self.findings.none_of("finished run again", again)
            return True

    def _look(self, state: State | None) -> set[str] | None:
        """Return what the history has as successful, or None if it has no run."""
        with SQLiteRunStore("sqlite:") as store:
            store.sweep()
            self.findings.none_of("corrupted", [found for found in store.check() if ".tmp" not in found.place])
            try:
                run = store.run("latest")
            except HistoryError:
                return None
            names = {each.node: each.name for each in store.tasks(run.id)}
            good = [each for each in store.task_runs(run.id) if each.state == "Success"]
            kept = {names[each.node] + (f"[{each.map_index}]" if each.map_index >= 0 else "") for each in good}
            self.findings.none_of("false successes", kept - set(self.ended))
            untrue = run.state == "Success" and (state is None or not state.is_successful()) and len(kept) < 7
            self.findings.none_of("untrue states", [run.state] if untrue or run.ended is None else [])
            return kept

    def _is_right(self, state: State) -> bool:
        last = self.flow.get_tasks(name="total")[0]
        return state.is_successful() and state.result[last].result == EXPECTED

    @contextmanager
    def _here(self) -> Iterator[None]:
        before = Path.cwd()
        os.chdir(self.folder)
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            os.chdir(before)
