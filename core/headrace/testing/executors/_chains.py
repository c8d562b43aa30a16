"""Chains: copies of one task that follow on each other, handed over one by one or together."""

from __future__ import annotations

import os
import time
from itertools import product, takewhile
from typing import TYPE_CHECKING, Any, Final

import pytest

from headrace import Flow, context, signals, task
from headrace.abc import Capability
from headrace.engine.worker import NOT_BEGUN
from headrace.states import Cancelled, Crashed, Failed, Skipped, State, Success, TriggerFailed
from headrace.testing.executors._base import ExecutorTests, bounded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from headrace.engine.worker import Outcome

__all__ = ["Chains"]

_LENGTH: Final = 200
# Where something happens: late enough for an executor to have found out that the task is short.
_MIDDLE: Final = 150


class _Noted:
    """Keeps a list, in a file, of which pieces have run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    def note(self, number: int) -> None:
        with self._path.open("a") as file:
            file.write(f"{number}\n")

    @property
    def numbers(self) -> list[int]:
        """The pieces that have run, in the order in which they began."""
        return [int(line) for line in self._path.read_text().split()]


def _fail(_number: int) -> None:
    raise ValueError("in the middle")


def _skip(_number: int) -> None:
    raise signals.SKIP("in the middle")


def _fail_once(number: int) -> None:
    if context.task_run_count == 1:
        _fail(number)


def _ask_once(_number: int) -> None:
    if context.task_run_count == 1:
        raise signals.RETRY("once more")


def _loop_once(number: int) -> None:
    if context.get("task_loop_count", 1) == 1:
        raise signals.LOOP(result=number)


def _die(_number: int) -> None:
    os._exit(3)


def _interrupt(_number: int) -> None:
    raise KeyboardInterrupt


def _pause(_number: int) -> None:
    time.sleep(0.2)


def _sleep(_number: int) -> None:
    time.sleep(60)


class Chains(ExecutorTests):
    """A chain comes to what its tasks come to one by one, whether or not the executor takes it as such."""

    def chain(self, noted: _Noted, act: Any = _pause, **options: Any) -> tuple[Flow, list[Any]]:
        """Return a flow of pieces, of which one does ``act`` before it returns its number, and the pieces."""
        piece = task(_piece(noted, act, _MIDDLE), name="piece", **options)
        last: Any = 0
        with Flow("chain") as flow:
            pieces = [last := piece(last) for _ in range(_LENGTH)]
        return flow, pieces

    def states_of_chain(self, noted: _Noted, act: Any = _pause, **options: Any) -> list[State]:
        """Return what the pieces end in; the first is number 1."""
        flow, pieces = self.chain(noted, act, **options)
        found = self.run(flow).result
        return [found[each] for each in pieces]

    def test_pieces_of_a_chain_run_in_order_and_once(self, tmp_path: Path) -> None:
        """Each piece gets what the one before has returned, also after one that took longer."""
        noted = _Noted(tmp_path / "pieces")
        states = self.states_of_chain(noted)
        assert [state.result for state in states] == noted.numbers == list(range(1, _LENGTH + 1))

    @pytest.mark.parametrize(("act", "ends", "follow"), [(_fail, Failed, TriggerFailed), (_skip, Skipped, Skipped)])
    def test_what_follows_on_a_piece_that_does_not_succeed_does_not_run(
        self, tmp_path: Path, act: Any, ends: type[State], follow: type[State]
    ) -> None:
        """A piece that fails or is skipped is the last that runs."""
        noted = _Noted(tmp_path / "pieces")
        states = self.states_of_chain(noted, act)
        expected = [Success] * (_MIDDLE - 1) + [ends] + [follow] * (_LENGTH - _MIDDLE)
        assert [type(state) for state in states] == expected
        assert noted.numbers == list(range(1, _MIDDLE + 1))

    @pytest.mark.parametrize("act", [_fail_once, _ask_once, _loop_once])
    def test_a_chain_goes_on_when_a_piece_has_run_again(self, tmp_path: Path, act: Any) -> None:
        """A piece that is retried, or loops, runs twice, and the rest once after that."""
        noted = _Noted(tmp_path / "pieces")
        states = self.states_of_chain(noted, act, max_retries=1, retry_delay=0)
        assert [state.result for state in states] == list(range(1, _LENGTH + 1))
        assert noted.numbers == [*range(1, _MIDDLE + 1), *range(_MIDDLE, _LENGTH + 1)]

    def test_a_crash_in_a_chain_costs_one_piece(self, tmp_path: Path) -> None:
        """What has ended before a process dies has ended, and what comes after has not begun."""
        self.needs(Capability.REMOTE)
        noted = _Noted(tmp_path / "pieces")
        states = self.states_of_chain(noted, _die)
        expected = [Success] * (_MIDDLE - 1) + [Crashed] + [TriggerFailed] * (_LENGTH - _MIDDLE)
        assert [type(state) for state in states] == expected
        assert noted.numbers == list(range(1, _MIDDLE + 1))

    def test_a_run_that_is_cancelled_in_a_chain_ends_there(self, tmp_path: Path) -> None:
        """Nothing begins after the piece in which the run was cancelled."""
        noted = _Noted(tmp_path / "pieces")
        flow, _ = self.chain(noted, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            self.run(flow)
        assert noted.numbers == list(range(1, _MIDDLE + 1))

    def test_each_piece_has_a_context_of_its_own(self) -> None:
        """``headrace.context`` tells the pieces apart."""

        @task
        def look(_before: object = None) -> tuple[str, str]:
            return context.task_slug, context.task_run_id

        last: Any = None
        with Flow("contexts") as flow:
            pieces = [last := look(last) for _ in range(_LENGTH)]
        seen = [state.result for state in map(self.run(flow).result.__getitem__, pieces)]
        assert [slug for slug, _ in seen] == [flow.slugs[each] for each in pieces]
        assert all(run_id.endswith(f"/{slug}") for slug, run_id in seen)

    def test_pieces_get_all_their_arguments(self) -> None:
        """A result may be wanted twice, and beside it what other tasks and the flow have to give."""

        @task
        def add(x: int, y: int, ten: int, one: int) -> int:
            return max(x, y) + ten + one

        with Flow("arguments") as flow:
            ten = task(lambda: 10, name="ten")()
            last: Any = add(0, 0, ten, 1)
            for _ in range(_LENGTH - 1):
                last = add(last, last, ten, 1)
        assert self.run(flow).result[last].result == 11 * _LENGTH

    def test_large_results_are_handed_on(self) -> None:
        """A chain of values that grow comes to the same."""

        @task
        def double(data: bytes) -> bytes:
            return data + data

        last: Any = b"x"
        with Flow("growing") as flow:
            pieces = [last := double(last) for _ in range(18)]
        states = self.run(flow).result
        assert [len(states[each].result) for each in pieces] == [2**number for number in range(1, 19)]

    def test_a_value_that_a_piece_changes_is_not_changed_for_others(self) -> None:
        """What a task in another process does to its arguments does not change the result of the piece before."""
        self.needs(Capability.REMOTE)

        @task
        def append(numbers: list[int]) -> list[int]:
            numbers.append(len(numbers))
            return numbers

        last: Any = []
        with Flow("changed in place") as flow:
            pieces = [last := append(last) for _ in range(_LENGTH)]
        states = self.run(flow).result
        assert [len(states[each].result) for each in pieces] == list(range(1, _LENGTH + 1))

    # -- for executors that take chains --------------------------------------------------------------------------

    @bounded
    def test_each_piece_of_a_chain_is_delivered_exactly_once(self) -> None:
        """The first pieces are run, and the rest is delivered as not begun."""
        self.needs(Capability.CHAINS)
        with self.desk() as desk:
            for _ in range(20):
                keys = desk.submit_chain(_next, desk.executor.capacity, 0)
                begun = _begun(desk.collect(len(keys)), keys)
                assert [state.result for state in begun] == list(range(1, len(begun) + 1))
            assert desk.surplus() == []

    @bounded
    def test_a_chain_is_at_least_one_piece_long(self) -> None:
        """``chain_length`` is a positive whole number, for a task that is new and for one that is known."""
        self.needs(Capability.CHAINS)
        with self.desk() as desk:
            for _ in range(20):
                length = desk.chain_length(_next, 0)
                assert isinstance(length, int)
                assert length >= 1
                desk.submit_chain(_next, 1, 0)
                desk.collect(1)

    @bounded
    def test_a_piece_that_does_not_succeed_is_the_last_that_begins(self, tmp_path: Path) -> None:
        """What comes after it is delivered as not begun, and has not run."""
        self.needs(Capability.CHAINS)
        with self.desk() as desk:
            for number, (act, place) in enumerate(product((_fail, _skip, _ask_once, _loop_once), (1, 2, 4))):
                noted = _Noted(tmp_path / str(number))
                keys = desk.submit_chain(_piece(noted, act, place), desk.executor.capacity, 0)
                begun = _begun(desk.collect(len(keys)), keys)
                assert noted.numbers == list(range(1, len(begun) + 1))
                assert len(begun) <= place
                assert [type(state) is Success for state in begun] == [each != place for each in noted.numbers]

    @bounded
    def test_what_is_put_back_can_be_submitted_again(self) -> None:
        """The rest of a chain is a chain, which comes to its end."""
        self.needs(Capability.CHAINS)
        with self.desk() as desk:
            last = 0
            while last < _LENGTH:
                keys = desk.submit_chain(_next, min(_LENGTH - last, desk.executor.capacity), last)
                begun = _begun(desk.collect(len(keys)), keys)
                assert [state.result for state in begun] == list(range(last + 1, last + 1 + len(begun)))
                last += len(begun)

    @bounded
    def test_a_chain_that_is_stopped_is_delivered_all_the_same(self, tmp_path: Path) -> None:
        """Each piece is taken back or delivered, once, and none begins after the one that was stopped."""
        self.needs(Capability.CHAINS)
        self.needs(Capability.CANCEL)
        noted = _Noted(tmp_path / "pieces")
        with self.desk() as desk:
            keys = desk.submit_chain(_piece(noted, _sleep, 1), desk.executor.capacity, 0)
            while not noted.numbers:
                time.sleep(0.01)
            back = [work.key for work in desk.executor.withdraw()]
            desk.executor.cancel(force=False)
            desk.executor.cancel(force=True)
            outcomes = desk.collect(len(keys) - len(back))
            assert sorted([*back, *(outcome.key for outcome in outcomes)]) == keys
            assert all(outcome.state is NOT_BEGUN or isinstance(outcome.state, Cancelled) for outcome in outcomes)
            assert desk.surplus() == []
        assert noted.numbers == [1]


def _next(value: int) -> int:
    return value + 1


def _piece(noted: _Noted, act: Callable[[int], None], place: int) -> Callable[[int], int]:
    """Return what is called with the number of the piece before, and does ``act`` in the one at ``place``."""

    def piece(value: int) -> int:
        noted.note(value + 1)
        if value + 1 == place:
            act(place)
        return value + 1

    return piece


def _begun(outcomes: list[Outcome], keys: list[int]) -> list[State]:
    """Return what the pieces came to that have begun: the first, and those after it as far as the chain was done."""
    assert sorted(outcome.key for outcome in outcomes) == keys
    states = [outcome.state for outcome in sorted(outcomes, key=lambda outcome: outcome.key)]
    begun = list(takewhile(lambda state: state is not NOT_BEGUN, states))
    assert begun
    assert all(state is NOT_BEGUN for state in states[len(begun) :])
    return begun
