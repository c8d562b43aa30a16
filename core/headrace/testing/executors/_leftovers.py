"""Nothing is left behind: no threads, processes, descriptors or files, however a run ended."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from headrace import Flow, task
from headrace.abc import Capability
from headrace.testing.executors._base import ExecutorTests

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Leftovers", "alive"]

_PROC: Final = Path("/proc")
# How long nothing may change for a number to count as the last.
_CALM: Final = 0.5
# After how many rounds what grew in each of them is said to be left behind.
_ROUNDS: Final = 3
_SHARED: Final = Path("/dev/shm")  # noqa: S108 - only looked at


def alive(pid: int) -> bool:
    """Tell whether a process runs; on Linux, one that has ended and that nobody has asked about does not."""
    try:
        if _PROC.is_dir():
            return _fields(pid)[0] != "Z"
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _fields(pid: int) -> list[str]:
    """Return what the system says of a process, from its status on: status, parent, ..."""
    # The name before may hold blanks and brackets.
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _descendants() -> set[int]:
    """Return the processes that this one, or one of those, has started; those that have ended and linger count."""
    parents: dict[int, int] = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int(_fields(int(entry.name))[1])
            except OSError:
                continue
    found: set[int] = set()
    new = {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new}
        found |= new
    return found


def _descriptors() -> int:
    return sum(1 for _ in (_PROC / "self" / "fd").iterdir())


def _settled(measure: Callable[[], int]) -> int:
    """Return what ``measure`` returns when it has stopped going down."""
    lowest, deadline = measure(), time.monotonic() + _CALM
    while time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)
        found = measure()
        if found < lowest:
            lowest, deadline = found, time.monotonic() + _CALM
    return lowest


def _triple(number: int) -> int:
    return 3 * number


class Leftovers(ExecutorTests):
    """A run leaves this process as it found it; what the first one sets up once for all may stay."""

    def test_no_threads_are_left(self) -> None:
        """After a run there are no more threads than before."""
        self._leaves_nothing(lambda: len(threading.enumerate()))

    def test_no_processes_are_left(self) -> None:
        """After a run there are no more processes than before, ended ones that nobody has asked about included."""
        self._needs_proc()
        self._leaves_nothing(lambda: len(_descendants()))

    def test_no_descriptors_are_left(self) -> None:
        """After a run there are no more open files, pipes and sockets than before."""
        self._needs_proc()
        self._leaves_nothing(_descriptors)

    def test_nothing_is_left_of_runs_that_were_interrupted(self) -> None:
        """A run that was cancelled leaves nothing either."""
        self._needs_proc()

        def once() -> None:
            with Flow("interrupted") as flow:
                task(_interrupt, name="interrupt")()
                task(_triple, name="triple").map([1, 2, 3])
            with pytest.raises(KeyboardInterrupt):
                self.run(flow)

        self._leaves_nothing(_everything, once)

    def test_nothing_is_left_of_runs_in_which_processes_died(self) -> None:
        """A run in which workers were killed leaves neither them nor those that took their places."""
        self._needs_proc()
        self.needs(Capability.REMOTE)

        def once() -> None:
            assert not self.states_of(_die, lambda: 5, max_retries=1, retry_delay=0)[0].is_successful()

        self._leaves_nothing(_everything, once)

    def test_no_temporary_files_are_left(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was put into files on the way is removed."""
        # What is set up once for the whole process may stay, where it always is.
        self._big_run()
        # A short name: sockets that are made there must not have a long one.
        folder = tmp_path_factory.mktemp("t")
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", None)
        self._big_run()
        assert [path for path in folder.rglob("*") if not path.is_dir()] == []

    def test_no_shared_memory_is_left(self) -> None:
        """What was put into shared memory on the way is removed."""
        if not _SHARED.is_dir():
            pytest.skip(f"this system does not list shared memory under {_SHARED}")
        self._big_run()
        before = set(_SHARED.iterdir())
        self._big_run()
        deadline = time.monotonic() + self.kill_seconds
        while (left := set(_SHARED.iterdir()) - before - _used_by_others()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left

    def _big_run(self) -> None:
        with Flow("big") as flow:
            task(_length, name="measure").map(task(_filled, name="fill").map([5_000_000] * 3))
        assert self.run(flow).is_successful()

    def _ordinary_run(self) -> None:
        with Flow("ordinary") as flow:
            children = task(_triple, name="triple").map(list(range(20)))
        assert self.run(flow).result[children].result == list(range(0, 60, 3))

    def _leaves_nothing(self, measure: Callable[[], int], once: Callable[[], object] | None = None) -> None:
        once = once or self._ordinary_run
        for _ in range(2):
            once()
        counts = [_settled(measure)]
        # What a cluster sets up for itself meanwhile is there once; what runs leave there is more each time.
        while len(counts) <= _ROUNDS:
            for _ in range(3):
                once()
            counts.append(self._fewest(measure, counts[-1]))
            if counts[-1] <= counts[-2]:
                return
        pytest.fail(f"after three more runs each there were {', '.join(map(str, counts))}")

    def _fewest(self, measure: Callable[[], int], enough: int) -> int:
        """Return what is measured once it is ``enough``, or has had its time."""
        deadline = time.monotonic() + self.kill_seconds
        while (found := measure()) > enough and time.monotonic() < deadline:
            gc.collect()
            time.sleep(0.05)
        return found

    def _needs_proc(self) -> None:
        if not sys.platform.startswith("linux"):
            pytest.skip("this system does not list processes and descriptors under /proc")


def _used_by_others() -> set[Path]:
    """Return the shared memory of processes that have nothing to do with this one, as far as these can be looked at."""
    found: set[Path] = set()
    ours = _descendants() | {os.getpid()}
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal() and int(entry.name) not in ours:
            with suppress(OSError):
                lines = Path(entry.path, "maps").read_text(errors="replace").splitlines()
                found |= {Path(line[line.index("/") :]) for line in lines if str(_SHARED) in line}
    return found


def _everything() -> int:
    return len(threading.enumerate()) + len(_descendants()) + _descriptors()


def _filled(size: int) -> bytes:
    return b"x" * size


def _length(data: bytes) -> int:
    return len(data)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _die() -> None:
    os._exit(1)
