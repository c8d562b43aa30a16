"""Cancelling: what has not begun is taken back, what has begun is stopped where that can be done."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from headrace import Flow, config, resource_manager, task
from headrace.abc import Capability
from headrace.states import Cancelled, State
from headrace.testing.executors._base import ExecutorTests, bounded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from headrace import Task

__all__ = ["Cancelling"]

_LONG = 60.0


def _interrupt() -> None:
    time.sleep(0.2)
    raise KeyboardInterrupt


def _nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def _stubborn(seconds: float) -> str:
    """Do not listen to anybody who asks it to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not in a thread, where nobody could send any either.
        with suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            time.sleep(0.05)
        except BaseException:  # noqa: BLE001, S112 - that is what it is for
            continue
    return "ended by itself"


class _Ends:
    """Catches the states of tasks at the end of a run that raises."""

    def __init__(self) -> None:
        self.states: dict[Task, State] = {}

    def __call__(self, _flow: Flow, _state: State, states: Mapping[Task, State]) -> None:
        self.states.update(states)


class Cancelling(ExecutorTests):
    """What happens to work when its run is cancelled."""

    @bounded
    def test_work_is_either_taken_back_or_delivered(self) -> None:
        """``withdraw`` returns work that has not begun, which is not delivered; all else is, maybe as Cancelled."""
        with self.desk() as desk:
            count = min(desk.executor.capacity, 50)
            for _ in range(count):
                desk.submit(_nap, seconds=0.2)
            withdrawn = [work.key for work in desk.executor.withdraw()]
            desk.collect(count - len(withdrawn))
            delivered = [outcome.key for outcome in [*desk.delivered, *desk.surplus()]]
            assert sorted([*withdrawn, *delivered]) == list(range(count))
            ended = [outcome.state for outcome in desk.delivered if not isinstance(outcome.state, Cancelled)]
            assert all(state.result == 0.2 for state in ended)

    @bounded
    def test_there_is_nothing_to_take_back_when_everything_was_delivered(self) -> None:
        """``withdraw`` returns nothing that was delivered, and can be called at any time."""
        with self.desk() as desk:
            assert desk.executor.withdraw() == []
            desk.submit(_nap, seconds=0)
            desk.collect(1)
            assert desk.executor.withdraw() == []

    def test_an_interrupt_ends_the_run_and_cleans_up(self, tmp_path: Path) -> None:
        """A KeyboardInterrupt in a task cancels what has not begun, runs clean-up tasks, and comes out of the run."""
        journal = tmp_path / "journal"

        class Folder:
            def setup(self) -> str:
                journal.write_text("set up\n")
                return "resource"

            def cleanup(self, _resource: str) -> None:
                with journal.open("a") as file:
                    file.write("cleaned up\n")

        ends, folders = _Ends(), resource_manager(Folder)
        with Flow("interrupted", terminal_state_handler=ends) as flow:
            with folders() as folder:
                first = task(_interrupt, name="interrupt")(upstream_tasks=[folder])
                never = task(_nap, name="never")(0.01, upstream_tasks=[first])
            flow.set_reference_tasks([never])
        with pytest.raises(KeyboardInterrupt):
            self.run(flow)
        assert journal.read_text() == "set up\ncleaned up\n"
        assert isinstance(ends.states[never], Cancelled)

    def test_what_was_submitted_and_has_not_begun_does_not_begin_when_the_run_is_cancelled(
        self, tmp_path: Path
    ) -> None:
        """A cancelled run does not work off what was queued."""

        def note(number: int) -> None:
            (tmp_path / str(number)).touch()
            time.sleep(0.1)

        with Flow("queue") as flow:
            task(_interrupt, name="interrupt")()
            task(note, name="note").map(list(range(300)))
        with pytest.raises(KeyboardInterrupt):
            self.run(flow)
        assert len(list(tmp_path.iterdir())) < 300

    def test_work_that_has_begun_is_stopped(self) -> None:
        """``cancel`` ends a task that waits, long before it would end by itself."""
        self.needs(Capability.CANCEL)
        self._cancel(_nap, grace=3.0)

    def test_work_that_does_not_listen_is_killed(self) -> None:
        """``cancel(force=True)`` ends a task that was asked to end and did not."""
        self.needs(Capability.CANCEL)
        self._cancel(_stubborn, grace=0.5)

    def _cancel(self, function: Any, grace: float) -> None:
        ends = _Ends()
        with Flow("cancelled", terminal_state_handler=ends) as flow:
            task(_interrupt, name="interrupt")()
            long = task(function, name="long")(_LONG)
            flow.set_reference_tasks([long])
        began = time.monotonic()
        with config.set_temporary_config({"engine.cancel_grace": grace}), pytest.raises(KeyboardInterrupt):
            self.run(flow)
        assert time.monotonic() - began < grace + self.kill_seconds
        assert isinstance(ends.states[long], Cancelled)
        assert "gave up waiting" not in str(ends.states[long].message)

    @bounded
    def test_an_outcome_is_delivered_for_what_was_stopped(self) -> None:
        """What is stopped is delivered as Cancelled, exactly once, and the executor goes on working."""
        self.needs(Capability.CANCEL)
        with self.desk() as desk:
            key = desk.submit(_nap, seconds=_LONG)
            time.sleep(1.0)
            desk.executor.cancel(force=False)
            desk.executor.cancel(force=True)
            (outcome,) = desk.collect(1)
            assert (outcome.key, type(outcome.state)) == (key, Cancelled)
            desk.submit(_nap, seconds=0)
            assert [each.state.result for each in [*desk.collect(1), *desk.surplus()]] == [0]
