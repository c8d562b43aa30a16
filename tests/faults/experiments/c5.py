"""C5: arguments, results and exceptions that cannot be sent to another process, or hit back when they are touched."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from tests.faults.experiment import Experiment, Trial

from headrace import Flow, task
from headrace.exceptions import TransferError
from headrace.states import Crashed, State

_LARGE = 2**31 + 100


class Holder:
    def __init__(self, part: object) -> None:
        self.parts = {"first": 1, "second": [2, part]}


class Hostile:
    """A value that can be sent, and that nobody may ask anything."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("compared")

    def __bool__(self) -> bool:
        raise ValueError("asked for its truth")

    def __len__(self) -> int:
        raise ValueError("asked for its length")

    def __repr__(self) -> str:
        raise ValueError("shown")

    __hash__ = None  # type: ignore[assignment]


class NotReduced:
    def __reduce__(self) -> NoReturn:
        raise ValueError("not to be pickled")


class NotRestored:
    def __reduce__(self) -> tuple[Callable[[], object], tuple[()]]:
        return _fail, ()


def _fail() -> NoReturn:
    raise ValueError("not to be unpickled")


class NeedsTwo(Exception):
    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


class NotShown(Exception):
    def __str__(self) -> str:
        raise ValueError("not to be shown")

    __repr__ = __str__


class NotReducedError(Exception):
    def __reduce__(self) -> NoReturn:
        raise ValueError("not to be pickled")


class NotReal(Exception):
    def __reduce__(self) -> Any:
        return str, ("not an exception",)


def _nested() -> list[object]:
    value: list[object] = []
    for _ in range(200_000):
        value = [value]
    return value


def _file() -> object:
    return open("/dev/null", "rb")


_VALUES: Mapping[str, tuple[Callable[[], object], str]] = {
    # What it is called in the message.
    "lock": (threading.Lock, "lock"),
    "socket": (socket.socket, "socket"),
    "generator": (lambda: (each for each in list[int]()), "generator"),
    "file": (_file, "_io"),
    "refuses to be pickled": (NotReduced, "NotReduced"),
}
_ERRORS: Mapping[str, Callable[[], BaseException]] = {
    "two arguments": lambda: NeedsTwo("one", "two"),
    "not shown": lambda: NotShown("x"),
    "not reduced": lambda: NotReducedError("x"),
    "not an exception": lambda: NotReal("x"),
    "holds a lock": lambda: ValueError(threading.Lock()),
    "group": lambda: ExceptionGroup("several", [NotShown("x"), NeedsTwo("one", "two")]),
}


class Kind(NamedTuple):
    """``named`` is what the message must hold."""

    place: str
    name: str
    named: tuple[str, ...] = ()


def _kinds() -> list[Kind]:
    values = [
        Kind(place, name, ('parts["second"][1]', shown))
        for name, (_, shown) in _VALUES.items()
        for place in ("argument", "result")
    ]
    others = [
        Kind("result", "hostile"),
        Kind("argument", "not restored", ("not to be unpickled",)),
        Kind("result", "not restored", ("not to be unpickled",)),
        Kind("result", "nested", ("nested too deeply",)),
        Kind("argument", "nested", ("nested too deeply",)),
        Kind("argument", "hostile"),
    ]
    errors = [Kind("exception", name) for name in _ERRORS]
    mixed = [kind for kinds in zip(values, errors, strict=False) for kind in kinds]
    return [*mixed, *others, *values[len(errors) :], Kind("result", "2 GB")]


def make(name: str) -> Any:
    if name == "2 GB":
        return bytearray(_LARGE)
    others = {"hostile": Hostile, "not restored": NotRestored, "nested": _nested}
    return others[name]() if name in others else Holder(_VALUES[name][0]())


def take(value: object) -> str:
    return type(value).__name__


def give(name: str) -> object:
    return make(name)


def fail(name: str) -> NoReturn:
    error = _ERRORS[name]()
    raise error


def other(number: int) -> int:
    return number


class Transfer(Experiment):
    name = "C5"
    executors = ("processes", "dask", "ray")
    # Touching so much memory for the first time may be slow on a virtual machine.
    seconds = 300.0
    title = "an argument, result or exception cannot be pickled, in 23 ways, or raises when it is touched, or has 2 GB"

    def inside(self, trial: Trial) -> None:
        sys.setrecursionlimit(10_000)
        kinds = _kinds()
        kind = kinds[trial.seed % len(kinds)]
        with Flow("transfer") as flow:
            before = task(other).map(list(range(5)))
            odd: Any
            if kind.place == "argument":
                odd = task(take)(make(kind.name))
            elif kind.place == "result":
                odd = task(give)(kind.name)
            else:
                odd = task(fail)(kind.name)
            reader = task(take)(odd)
            after = task(other).map(before)
        states = trial.run(flow, trial.make_executor(workers=2)).result
        wrong = _wrong(kind, states[odd], states[reader])
        others = [*states[before].map_states, *states[after].map_states]
        trial.findings.none_of("wrong verdicts", [f"{kind.place} {kind.name}: {wrong}"] if wrong else [])
        trial.findings.none_of("collateral", [each for each in others if not each.is_successful()])


def _wrong(kind: Kind, odd: State, reader: State) -> str:
    """Return what is wrong about the states, or nothing."""
    if kind.name in {"hostile", "2 GB"}:
        return "" if odd.is_successful() and reader.is_successful() else f"{odd.message} / {reader.message}"
    if kind.place == "result" and odd.is_successful() and "restored" in kind.name:
        # Where results stay where they were made, it is the first to read one who finds out.
        odd = reader
    if not odd.is_failed() or isinstance(odd, Crashed):
        return type(odd).__name__
    if kind.place == "exception":
        return "" if isinstance(odd.result, Exception) else "the exception is lost"
    if not isinstance(odd.result, TransferError):
        return f"failed with {type(odd.result).__name__}"
    missing = [text for text in kind.named if text not in str(odd.message)]
    return f"{odd.message!r} does not name {missing[0]}" if missing else ""
