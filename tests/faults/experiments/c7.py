"""C7: a task says millions of lines, one that has no end, or what no terminal should be shown."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from tests.faults import loud_flow
from tests.faults.experiment import Experiment, Trial
from tests.faults.platforms import options

from headrace.history import LogRecord
from headrace_plugins.sqlite.store import SQLiteRunStore

_PATIENCE = 150
# Kilobytes of memory that a process may take at most, and bytes of logs that are kept of one task run.
_MEMORY = 300_000
_KEPT = 2_500_000
_TAIL = 60_000


class Loud(Experiment):
    name = "C7"
    title = (
        "a task logs and prints: 200,000 lines, one of 100 MB, odd bytes, from 50 threads, from C, until it is killed"
    )
    executors = ("threads", "processes")
    seconds = 200.0

    def inside(self, trial: Trial) -> None:
        ways = [way for way in loud_flow.WAYS if trial.executor == "processes" or way != "c_output"]
        way = trial.choose(ways)
        code, _ = _headrace(trial, "run", "-m", f"{loud_flow.__name__}:flow", "-p", f"way={way}", *_executor(trial))
        findings = trial.findings
        expected = 0 if way != "killed" else 1 if trial.executor == "processes" else -9
        findings.expect(code == expected, f"{way}: the run ended with {code}")
        with SQLiteRunStore(f"sqlite:{trial.folder}/.headrace/history/runs.db") as store:
            store.sweep()
            run = store.run("latest")
            records = list(store.logs(run.id))
        texts = [line for each in records for line in each.text.splitlines()]
        kept = sum(len(each.text) for each in records)
        findings.count("kilobytes kept", kept // 1000)
        findings.expect(kept <= _KEPT, f"{way}: {kept} bytes are kept")
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        findings.expect(memory <= _MEMORY, f"{way}: a process took {memory} kB")
        findings.none_of("not kept", _CHECKS[way](records, texts))
        _, shown = _headrace(trial, "logs", "latest")
        findings.none_of("shown as they are", [f"{way}: {each!r}" for each in ("\x1b", "\0", "\a") if each in shown])


def _executor(trial: Trial) -> list[str]:
    chosen = [f"-o{name}={value}" for name, value in options(trial.executor, 1).items()]
    return ["--executor", trial.executor, *chosen]


def _headrace(trial: Trial, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        cwd=trial.folder,
        env={**os.environ, "HOME": str(trial.folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=_PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def _many_lines(_: Sequence[LogRecord], texts: Sequence[str]) -> list[str]:
    numbers = [int(text) for text in texts if text.isdigit()]
    wrong = []
    if not numbers or numbers[0] != 0 or numbers[-1] != loud_flow.LINES - 1:
        wrong.append(f"the ends: {numbers[:1]} and {numbers[-1:]}")
    if numbers != sorted(set(numbers)):
        wrong.append("the order")
    if len(numbers) < loud_flow.LINES and all(text.isdigit() for text in texts):
        wrong.append("that some are left out")
    return wrong


def _long_line(_: Sequence[LogRecord], texts: Sequence[str]) -> list[str]:
    wrong = [] if any(text.startswith("xxx") for text in texts) else ["the beginning"]
    if not any(text.endswith("end") for text in texts):
        wrong.append("the end")
    return wrong


def _odd_text(records: Sequence[LogRecord], _: Sequence[str]) -> list[str]:
    found = [each for each in records if "NUL" in each.text]
    return [] if len(found) >= 2 else [f"{len(found)} of 2 texts"]


def _threads(_: Sequence[LogRecord], texts: Sequence[str]) -> list[str]:
    lines: dict[int, list[int]] = {}
    for text in texts:
        said = re.search(r"thread (\d+) line (\d+)", text)
        if said:
            lines.setdefault(int(said[1]), []).append(int(said[2]))
    expected = {number: list(range(loud_flow.LINES_OF_THREAD)) for number in range(loud_flow.THREADS)}
    return [f"thread {number}: {lines.get(number)}" for number in expected if lines.get(number) != expected[number]]


def _c_output(_: Sequence[LogRecord], texts: Sequence[str]) -> list[str]:
    found = [text for text in texts if text.startswith("c ")]
    expected = [*(f"c {number}" for number in range(loud_flow.LINES_OF_C)), "c end"]
    return [] if found == expected else [f"{len(found)} of {len(expected)} lines, or not their order"]


def _killed(_: Sequence[LogRecord], texts: Sequence[str]) -> list[str]:
    numbers = [int(text[:6]) for text in texts if re.fullmatch(r"\d{6} x+", text)]
    least = _TAIL // len(loud_flow.LINE_BEFORE_KILL.format(0))
    expected = list(range(loud_flow.KILL_AFTER - least, loud_flow.KILL_AFTER))
    return [] if numbers[-least:] == expected else [f"the last 64 kB: {numbers[-1:]}, {len(numbers)} lines"]


_CHECKS: Mapping[str, Callable[[Sequence[LogRecord], Sequence[str]], list[str]]] = {
    "many_lines": _many_lines,
    "long_line": _long_line,
    "odd_text": _odd_text,
    "threads": _threads,
    "c_output": _c_output,
    "killed": _killed,
}
