"""What tests of histories do in processes of their own. Each says a line when it has come somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from headrace.engine.runs import new_run_id
from headrace.exceptions import HistoryError
from headrace.history import UNMAPPED, RunRecord, TaskRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from headrace.abc import RunJournal, RunStore

__all__ = ["main"]


def main(action: str, module: str, file: str, name: str, url: str, **options: Any) -> None:
    """Do ``action`` with the store that a class makes of a URL; the class may be in a test module."""
    found: Any = _imported(module, file)
    for part in name.split("."):
        found = getattr(found, part)
    _ACTIONS[action](found(url), **options)


def _imported(module: str, file: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        spec = importlib.util.spec_from_file_location(module, file)
        if spec is None or spec.loader is None:
            raise
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        return loaded


def _say(text: object) -> None:
    print(text, flush=True)  # noqa: T201 - it is how a child speaks to the test


def _begin(store: RunStore, **fields: Any) -> tuple[str, RunJournal]:
    run = RunRecord(**{"id": new_run_id(), "name": "child", "flow_name": "etl", "created": time.time(), **fields})
    return run.id, store.begin(run, [TaskRecord(node=node, slug=f"t{node}", name="t") for node in range(3)])


def _run(store: RunStore, *, hold_with: bool = False) -> None:
    """Say the id of a run; then that one of its tasks has succeeded, one is running and one waits; then hang."""
    run_id, journal = _begin(store)
    _say(run_id)
    journal.began(0, UNMAPPED, 1, 10.0)
    journal.finished(0, UNMAPPED, 1, "Success", None, 10.0, 11.0)
    journal.waiting(2, UNMAPPED, 2, "Retrying", "again", 12.0, 99.0)
    journal.began(1, UNMAPPED, 1, 12.0)
    if hold_with and os.fork() == 0:
        sys.stdin.readline()
        os._exit(0)
    _say("running")
    sys.stdin.readline()


def _count(store: RunStore) -> None:
    """Say the id of a run, then the number of each task that has finished, as fast as can be, until killed."""
    run_id, journal = _begin(store)
    _say(run_id)
    number = 0
    while True:
        journal.began(0, number, 1, 10.0)
        journal.finished(0, number, 1, "Success", None, 10.0, 11.0)
        # One write each, so that no number is half said.
        os.write(1, f"{number}\n".encode())
        number += 1


def _log(store: RunStore, *, count: int) -> None:
    """Say the id of a run; log ``count`` lines of a kilobyte each and say so; then hang."""
    run_id, journal = _begin(store)
    _say(run_id)
    journal.bound_logs(300_000, 10_000_000)
    journal.began(0, UNMAPPED, 1, 10.0)
    for number in range(count):
        journal.logged(0, UNMAPPED, 1, 10.0, 20, "etl", f"{number} {'x' * 1000}")
    _say("logged")
    sys.stdin.readline()


def _end(store: RunStore, *, count: int) -> None:
    """Say the id of a run, let ``count`` tasks succeed, end the run, and die at once without any cleaning up."""
    run_id, journal = _begin(store)
    _say(run_id)
    for number in range(count):
        journal.began(0, number, 1, 10.0)
        journal.finished(0, number, 1, "Success", None, 10.0, 11.0)
    journal.ended("Success", "done", 12.0)
    os._exit(0)


def _resume(store: RunStore, *, origin: str) -> None:
    """Wait for a word; then say the id of a run that goes on from another, or the class of what is in the way."""
    _say("ready")
    sys.stdin.readline()
    try:
        run_id, _ = _begin(store, resumed_from=origin)
    except HistoryError as error:
        _say(type(error).__name__)
    else:
        _say(run_id)
    sys.stdin.readline()


def _forked(store: RunStore) -> None:
    """Say what becomes of a journal in a forked process, and then that it still works in this one."""
    _, journal = _begin(store)
    journal.began(0, UNMAPPED, 1, 10.0)
    child = os.fork()
    if child == 0:
        try:
            journal.began(1, UNMAPPED, 1, 10.0)
        except HistoryError as error:
            os.write(1, f"{type(error).__name__}\n".encode())
        sys.exit(0)
    os.waitpid(child, 0)
    journal.finished(0, UNMAPPED, 1, "Success", None, 10.0, 11.0)
    journal.ended("Success", None, 12.0)
    _say("ended")


def _listen(store: RunStore) -> None:
    """Say the id of a run; then, when somebody asks for its end, the reason, and end it."""
    run_id, journal = _begin(store)
    _say(run_id)
    while (reason := journal.cancel_request()) is None:
        time.sleep(0.05)
    _say(reason)
    journal.ended("Cancelled", reason, 12.0)


def _hold(store: RunStore, *, tag: str) -> None:
    """Wait for a word; then say whether a slot was to be had, and hang."""
    _, journal = _begin(store)
    sys.stdin.readline()
    _say(journal.take_slots(0, UNMAPPED, [tag]))
    sys.stdin.readline()


_ACTIONS: Final[dict[str, Callable[..., None]]] = {
    "run": _run,
    "count": _count,
    "log": _log,
    "end": _end,
    "resume": _resume,
    "forked": _forked,
    "listen": _listen,
    "hold": _hold,
}
