"""Arguments and results: as they were, whatever they are, or an error that says why not."""

from __future__ import annotations

import enum
import hashlib
import pickle
import threading
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NoReturn

from headrace import Flow, task
from headrace.abc import Capability
from headrace.exceptions import TransferError
from headrace.testing.executors._base import ExecutorTests, text_of

if TYPE_CHECKING:
    from headrace.states import State

__all__ = ["Values"]

_Point = namedtuple("_Point", "x y")  # noqa: PYI024 - one without annotations travels as well


class _Color(enum.Enum):
    RED = "red"


@dataclass
class _Order:
    number: int
    lines: list[str] = field(default_factory=list)


_ORDINARY: tuple[Any, ...] = (
    None,
    True,
    2**100,
    -0.0,
    1 + 2j,
    "",
    "Grüße \N{WATER WAVE} \ud800",
    b"\x00\xff",
    bytearray(b"abc"),
    (),
    (1, (2, (3,))),
    [[], [[]]],
    {"a": {1: {(2, 3): None}}},
    {1, 2},
    frozenset({"x"}),
    range(5),
    slice(1, None, 2),
    Decimal("1.10"),
    datetime(2026, 1, 31, 12, tzinfo=UTC),
    timedelta(days=1, microseconds=1),
    PurePosixPath("a/b"),
    OrderedDict(b=1, a=2),
    _Point(1, 2),
    _Color.RED,
    _Order(1, ["a"]),
    int,
    len,
)


@task
def _same(value: Any) -> Any:
    return value


def _listed(items: Any) -> list[Any]:
    return list(items)


class _Odd:
    """A value that raises whatever it is asked."""

    def _refuse(self, *_: object) -> NoReturn:
        raise RuntimeError("leave me alone")

    __eq__ = __bool__ = __len__ = __repr__ = __str__ = __iter__ = __hash__ = _refuse
    __lt__ = __contains__ = __format__ = _refuse


class _Unreadable:
    """Can be pickled, but not read back."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _never, ()


def _never() -> NoReturn:
    raise RuntimeError("this cannot be read")


class _Block:
    """A value whose bytes travel beside the pickle, as those of arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _Block, (pickle.PickleBuffer(self.data) if protocol >= 5 else bytes(self.data),)


def _filled(size: int) -> bytes:
    return (bytes(range(256)) * (size // 256 + 1))[:size]


def _digest(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()


def _error_of(state: State) -> BaseException:
    """Return why a result cannot be had: the task failed, or it kept its result, which cannot be fetched."""
    try:
        found = state.result
    except Exception as error:  # noqa: BLE001 - which one is what the tests are about
        return error
    assert isinstance(found, BaseException), f"a value that no other process can have came back: {type(found)}"
    return found


class Values(ExecutorTests):
    """What goes in comes out."""

    def test_ordinary_values_come_back_as_they_were(self) -> None:
        """Values and their types are the same in the task, in the tasks after it, and after the run."""
        with Flow("values") as flow:
            there = _same.map(list(_ORDINARY))
            back = _same.map(there)
        states = self.run(flow).result
        for found in (states[there].result, states[back].result):
            assert found == list(_ORDINARY)
            assert [type(value) for value in found] == [type(value) for value in _ORDINARY]

    def test_values_of_classes_defined_anywhere_come_back(self) -> None:
        """A class that was defined in a function is the same class after the run."""

        class Local:
            def __init__(self, value: object) -> None:
                self.value = value

        with Flow("local class") as flow:
            last = _same(_same(Local(5)))
        found = self.run(flow).result[last].result
        assert (type(found), found.value) == (Local, 5)

    def test_what_a_value_shares_inside_stays_shared(self) -> None:
        """The same object twice inside of one value is the same object twice there and back."""
        shared: list[Any] = []
        cycle: list[Any] = [1]
        cycle.append(cycle)
        with Flow("shared") as flow:
            last = _same({"both": [shared, shared], "cycle": task(lambda: cycle, name="cycle")()})
        found = self.run(flow).result[last].result
        assert found["both"][0] is found["both"][1]
        assert found["cycle"][1] is found["cycle"]

    def test_values_that_cannot_be_compared_or_shown_are_values_too(self) -> None:
        """Nobody asks a result whether it is true, equal, how long it is or how to show it."""
        with Flow("odd") as flow:
            made = task(_Odd, name="make")()
            last = _same(made)
            there = task(lambda value: isinstance(value, _Odd), name="look")(last)
        states = self.run(flow).result
        assert [type(states[each]).__name__ for each in (made, last, there)] == ["Success"] * 3
        assert states[there].result is True
        assert isinstance(states[last].result, _Odd)

    def test_values_stay_the_same_object_in_one_process(self) -> None:
        """What stays in this process is not copied, and need not be picklable."""
        self.needs_not(Capability.REMOTE)
        lock = threading.Lock()
        with Flow("lock") as flow:
            last = _same(_same(lock))
            generator = task(lambda: (i for i in range(3)), name="generate")()
            listed = task(_listed, name="list")(generator)
        states = self.run(flow).result
        assert states[last].result is lock
        assert states[listed].result == [0, 1, 2]

    def test_an_argument_that_cannot_be_pickled_fails_its_task_alone(self) -> None:
        """The error names the task and the place inside the argument; the rest of the flow is unharmed."""
        self.needs(Capability.REMOTE)
        with Flow("locked argument") as flow:
            bad = _same.copy(name="take")({"inner": [1, threading.Lock()]})
            good = _same(5)
            children = _same.map([1, threading.Lock(), 3])
        states = self.run(flow).result
        error = states[bad].result
        assert isinstance(error, TransferError)
        assert "take" in str(error)
        assert '["inner"][1]' in str(error)
        assert states[good].result == 5
        assert [state.is_successful() for state in states[children].map_states] == [True, False, True]

    def test_a_function_that_cannot_be_pickled_fails_its_task_alone(self) -> None:
        """The error names the variable that the function takes along."""
        self.needs(Capability.REMOTE)
        guard = threading.Lock()

        def guarded() -> bool:
            return guard.locked()

        bad, good = self.states_of(guarded, lambda: 5)
        assert isinstance(bad.result, TransferError)
        assert "guard" in str(bad.result)
        assert good.result == 5

    def test_a_result_that_cannot_be_pickled_fails_its_task_alone(self) -> None:
        """A lock, a generator, or something deep inside that is one of those: an error that says so, never a hang."""
        self.needs(Capability.REMOTE)

        def lock() -> Any:
            return {"inner": [1, threading.Lock()]}

        def generator() -> Any:
            return (i for i in range(3))

        def deep() -> Any:
            value: list[Any] = []
            for _ in range(100_000):
                value = [value]
            return value

        locked, generated, nested, good = self.states_of(lock, generator, deep, lambda: 5)
        assert good.result == 5
        for state in (locked, generated, nested):
            assert isinstance(_error_of(state), Exception)
        if not self.can(Capability.KEEPS_RESULTS):
            assert isinstance(locked.result, TransferError)
            assert '["inner"][1]' in str(locked.result)
            assert "generator" in str(generated.result)

    def test_a_value_that_cannot_be_read_back_fails_its_task_alone(self) -> None:
        """Neither an argument that the worker cannot read nor a result that the driver cannot read ends the run."""
        self.needs(Capability.REMOTE)
        with Flow("unreadable") as flow:
            argument = _same(_Unreadable())
            result = task(_Unreadable, name="make")()
            good = _same(5)
        states = self.run(flow).result
        for each in (argument, result):
            assert "this cannot be read" in text_of(_error_of(states[each]))
        assert states[good].result == 5

    def test_two_megabytes_are_passed_on(self) -> None:
        """Values of an ordinary size reach the next task whole, alone and in numbers."""
        with Flow("megabytes") as flow:
            made = task(_filled, name="fill").map([2_000_000] * 5)
            digests = task(_digest, name="digest").map(_same.map(made))
            constant = task(_digest, name="digest")(_filled(2_000_000))
            back = _same(_filled(2_000_000))
        states = self.run(flow).result
        expected = _digest(_filled(2_000_000))
        assert states[digests].result == [expected] * 5
        assert states[constant].result == expected
        assert _digest(states[back].result) == expected

    def test_buffers_beside_the_pickle_are_passed_on(self) -> None:
        """Values that hand out their memory instead of copying it into the pickle, as arrays do, come out whole."""
        with Flow("buffers") as flow:
            made = task(lambda size: _Block(_filled(size)), name="fill").map([0, 10, 70_000, 2_000_000])
            passed = _same.map(made)
            digests = task(lambda block: _digest(block.data), name="digest").map(passed)
        states = self.run(flow).result
        expected = [_digest(_filled(size)) for size in (0, 10, 70_000, 2_000_000)]
        assert states[digests].result == expected
        assert [_digest(block.data) for block in states[passed].result] == expected

    def test_a_big_value_is_passed_on(self) -> None:
        """A value of ``big_value_bytes`` reaches the next task, and the driver need not keep it."""
        size = self.big_value_bytes
        with Flow("big value") as flow:
            digest = task(_digest, name="digest")(task(_filled, name="fill")(size))
        assert self.run(flow, keep_results="auto").result[digest].result == _digest(_filled(size))
