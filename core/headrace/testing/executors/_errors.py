"""Errors: the task's own exception, or what is left of it, and never anybody else's trouble."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from headrace import Flow, task
from headrace.exceptions import RemoteError
from headrace.states import Failed, State
from headrace.testing.executors._base import ExecutorTests, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Errors"]


class _PickyError(Exception):
    """Its constructor does not take what the exception keeps."""

    def __init__(self, code: int, place: str) -> None:
        super().__init__(f"code {code} at {place}")
        self.code = code


class _MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


class _StickyError(Exception):
    """Refuses to be pickled."""

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("not me")


class _TrapError(Exception):
    """Raises when it is read back."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _spring, ()


class _LyingError(Exception):
    """Is no exception any more when it is read back."""

    def __reduce__(self) -> tuple[Any, ...]:
        return str, ("a text",)


class _HoldingError(Exception):
    """Holds what cannot be pickled."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()


class _LoudError(BaseException):
    """Is no Exception."""


def _look_up() -> NoReturn:
    raise KeyError("missing_key")


def _spring() -> NoReturn:
    raise RuntimeError("gotcha")


def _raiser(make: Any) -> Any:
    def fail() -> NoReturn:
        raise make()

    return fail


def _kept(state: State, error_class: type[BaseException]) -> bool:
    """Tell whether a state has failed with an exception of that class, or with what stands for it and names it."""
    found = state.result
    standing_in = isinstance(found, RemoteError) and error_class.__name__ in str(found)
    return type(state) is Failed and (isinstance(found, error_class) or standing_in)


class Errors(ExecutorTests):
    """What a task raises is in its state, and harms nobody else."""

    def test_an_exception_comes_back_as_it_was(self) -> None:
        """Class, arguments, attributes and notes are those that the task raised."""

        def fail() -> NoReturn:
            error = ValueError("bad data", {"row": 7})
            error.code = 12  # type: ignore[attr-defined]
            error.add_note("seen in the third file")
            raise error

        state = self.state_of(fail)
        assert type(state) is Failed
        assert type(state.result) is ValueError
        assert state.result.args == ("bad data", {"row": 7})
        assert state.result.code == 12  # type: ignore[attr-defined]
        assert state.result.__notes__ == ["seen in the third file"]
        assert "ValueError" in str(state.message)
        assert "bad data" in str(state.message)

    def test_a_traceback_names_the_lines_of_the_task_and_the_cause(self) -> None:
        """What Python prints for the exception shows where it was raised, and what led to it."""

        def open_the_table() -> NoReturn:
            try:
                _look_up()
            except KeyError as error:
                raise LookupError("no table") from error

        text = text_of(self.state_of(open_the_table).result)
        for part in ("open_the_table", 'raise LookupError("no table") from error', "KeyError: 'missing_key'"):
            assert part in text

    def test_an_exception_of_a_class_defined_anywhere_comes_back(self) -> None:
        """A class that was defined in a function can be caught by that class after the run."""

        class LocalError(Exception):
            pass

        found = self.state_of(_raiser(lambda: LocalError("here"))).result
        assert (type(found), found.args) == (LocalError, ("here",))

    def test_an_exception_with_a_constructor_of_its_own_comes_back(self) -> None:
        """The constructor need not take what the exception keeps."""
        found = self.state_of(_raiser(lambda: _PickyError(3, "home"))).result
        assert isinstance(found, _PickyError)
        assert (found.args, found.code) == (("code 3 at home",), 3)

    def test_retry_on_holds_for_a_class_with_a_constructor_of_its_own(self) -> None:
        """A task that raises it is tried again as often as it may be."""
        assert self._tries_again(lambda: _PickyError(3, "home"), _PickyError)

    def test_an_attribute_that_cannot_be_pickled_costs_no_other(self) -> None:
        """An exception that holds a lock comes back, perhaps without the lock, and ``retry_on`` holds for it."""
        found = self.state_of(_raiser(lambda: _HoldingError("held"))).result
        assert (type(found), found.args) == (_HoldingError, ("held",))
        assert self._tries_again(lambda: _HoldingError("held"), _HoldingError)

    def test_retry_on_holds_for_exceptions_that_cannot_travel(self) -> None:
        """It goes by the class that the task raised, whatever came of the exception on the way."""
        assert self._tries_again(lambda: _StickyError("sticky"), _StickyError)
        assert self._tries_again(lambda: _TrapError("trap"), _TrapError)
        assert not self._tries_again(lambda: _StickyError("sticky"), _TrapError)

    def _tries_again(self, make: Callable[[], Exception], error_class: type[Exception]) -> bool:
        state = self.state_of(_raiser(make), max_retries=2, retry_delay=0, retry_on=error_class)
        assert type(state) is Failed
        assert len(state.attempts) in {0, 2}
        return len(state.attempts) == 2

    def test_exceptions_that_cannot_travel_still_fail_their_tasks_alone(self) -> None:
        """An odd constructor, ``__str__``, ``__reduce__`` or attribute costs the exception at most, never the run."""
        makers = {
            _PickyError: lambda: _PickyError(3, "home"),
            _MuteError: _MuteError,
            _StickyError: lambda: _StickyError("sticky"),
            _TrapError: lambda: _TrapError("trap"),
            _LyingError: lambda: _LyingError("lie"),
            _HoldingError: lambda: _HoldingError("held"),
        }
        *states, good = self.states_of(*map(_raiser, makers.values()), lambda: 5)
        for error_class, state in zip(makers, states, strict=True):
            assert _kept(state, error_class), f"{error_class.__name__} became {state!r}"
            assert error_class.__name__ in str(state.message)
        assert good.result == 5

    def test_whatever_is_raised_fails_its_task_alone(self) -> None:
        """Exceptions that end programs and threads end the task, and nothing else."""

        def leave() -> NoReturn:
            sys.exit(3)

        def recurse(depth: int = 0) -> int:
            return recurse(depth + 1) + 1

        classes = (GeneratorExit, StopIteration, StopAsyncIteration, asyncio.CancelledError, _LoudError, MemoryError)
        *states, left, recursed, good = self.states_of(
            *(_raiser(error_class) for error_class in classes), leave, recurse, lambda: 5
        )
        for error_class, state in zip(classes, states, strict=True):
            assert _kept(state, error_class), f"{error_class.__name__} became {state!r}"
        assert _kept(left, SystemExit)
        assert _kept(recursed, RecursionError)
        assert good.result == 5

    def test_groups_of_exceptions_come_back(self) -> None:
        """An exception group has its members, each with its arguments."""

        def fail() -> NoReturn:
            raise ExceptionGroup("two things", [ValueError("one"), OSError(2, "two")])

        found = self.state_of(fail).result
        assert isinstance(found, ExceptionGroup)
        assert [(type(each), each.args) for each in found.exceptions] == [
            (ValueError, ("one",)),
            (FileNotFoundError, (2, "two")),
        ]

    def test_a_long_message_is_not_lost(self) -> None:
        """An exception may hold a megabyte of text."""
        found = self.state_of(_raiser(lambda: ValueError("x" * 1_000_000))).result
        assert found.args == ("x" * 1_000_000,)

    def test_thousands_of_failures_are_all_reported(self) -> None:
        """Many errors at once do not jam what carries them."""

        def fail(number: int) -> NoReturn:
            raise ValueError(number)

        with Flow("failures") as flow:
            failed = task(fail, name="fail").map(list(range(500)))
        states = self.run(flow).result[failed].map_states
        assert [state.result.args for state in states] == [(number,) for number in range(500)]
