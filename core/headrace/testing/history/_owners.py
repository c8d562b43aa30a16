"""What a history promises of runs whose owners die."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from headrace.history import UNMAPPED
from headrace.testing.history._base import RunStoreTests, a_run, a_task, shown

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.abc import RunStore

__all__ = ["Owners"]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")


class Owners(RunStoreTests):
    """Whether an owner lives is a fact, and what a dead one had said is kept."""

    def test_a_run_is_alive_until_it_ends(self, store: RunStore, other: RunStore) -> None:
        """A run that is driven is alive to everybody, and one that has ended is not."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        assert (store.is_alive(run.id), other.is_alive(run.id)) == (True, True)
        assert list(other.sweep()) == []
        journal.ended("Success", None, 12.0)
        assert (store.is_alive(run.id), other.is_alive(run.id)) == (False, False)

    def test_a_run_in_another_process_is_alive_until_that_is_killed(self, store: RunStore, place: Path) -> None:
        """Within a second of its death."""
        with self.child(place, "run") as child:
            run_id = child.line()
            child.line()
            assert store.is_alive(run_id) is True
            assert list(store.sweep()) == []
            child.kill()
            deadline = time.monotonic() + 1.0
            while store.is_alive(run_id) is not False:
                assert time.monotonic() < deadline, "a dead run looked alive for a second"

    def test_what_a_killed_process_said_is_there(self, store: RunStore, place: Path) -> None:
        """Finished task runs stay, running ones crashed, waiting ones wait, and the run says why it ended."""
        run_id = self.dead_run(place)
        (swept,) = store.sweep()
        assert swept == store.run(run_id)
        assert (swept.id, swept.state, swept.cause) == (run_id, "Crashed", "died")
        assert swept.ended is not None
        assert swept.message
        assert shown(store, run_id) == [
            (0, UNMAPPED, "Success"),
            (1, UNMAPPED, "Crashed"),
            (2, UNMAPPED, "Retrying"),
        ]
        assert swept.counts == {"Success": 1, "Crashed": 1, "Retrying": 1}
        assert list(store.check()) == []

    def test_a_dead_run_is_swept_once(self, store: RunStore, other: RunStore, place: Path) -> None:
        """Of several who sweep at once, one records the end."""
        ids = {self.dead_run(place) for _ in range(3)}
        found: list[str] = []

        def sweep(each: RunStore) -> None:
            found.extend(run.id for run in each.sweep())

        threads = [threading.Thread(target=sweep, args=(each,)) for each in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.seconds)
        assert sorted(found) == sorted(ids)
        assert list(store.sweep()) == []
        assert {store.run(run_id).state for run_id in ids} == {"Crashed"}

    def test_nothing_that_was_said_is_lost_by_a_kill(self, store: RunStore, place: Path) -> None:
        """A call that has returned outlives the process, at whatever moment it is killed."""
        for trial in range(6):
            with self.child(place, "count") as child:
                run_id = child.line()
                said = int(child.line())
                deadline = time.monotonic() + 0.03 * trial
                while time.monotonic() < deadline:
                    said = int(child.line())
                child.kill()
                assert child.process.stdout is not None
                rest = [line for line in child.process.stdout.read().splitlines() if line]
                said = int(rest[-1]) if rest else said
            store.sweep()
            finished = [index for _, index, state in shown(store, run_id) if state == "Success"]
            assert finished[: said + 1] == list(range(said + 1))
            # The one that was being said may be there too.
            assert len(finished) <= said + 2
        assert list(store.check()) == []

    @needs_fork
    def test_a_process_that_a_dead_owner_had_forked_owns_nothing(self, store: RunStore, place: Path) -> None:
        """A run is not alive because a process that a task has left behind is."""
        with self.child(place, "run", hold_with=True) as child:
            run_id = child.line()
            child.line()
            child.kill()
            assert store.is_alive(run_id) is False
            assert [run.id for run in store.sweep()] == [run_id]

    @needs_fork
    def test_a_forked_process_cannot_record(self, place: Path) -> None:
        """A journal raises in a process that was forked, and goes on in the one that began the run."""
        with self.child(place, "forked") as child:
            assert [child.line(), child.line()] == ["HistoryError", "ended"]
            assert child.wait() == 0
        with self.open(place) as store:
            assert shown(store, store.run("latest").id) == [(0, UNMAPPED, "Success")]
            assert list(store.check()) == []
