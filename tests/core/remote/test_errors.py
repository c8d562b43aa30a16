"""What comes of an exception on the journey back."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, NoReturn, Self

import pytest

from headrace import remote, task
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import RemoteError
from headrace.remote.pickles import Pickler
from headrace.states import Failed


class ApiError(Exception):
    def __init__(self, code: int, text: str, **more: object) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        vars(self).update(more)


class ApiOSError(OSError):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, f"{text}, said the server", "page.html")
        self.code = code


class ApiImportError(ImportError):
    def __init__(self, *, module: str) -> None:
        super().__init__(f"no {module}", name=module)


class ApiTimeoutError(LookupError, TimeoutError):
    def __init__(self, seconds: float, where: str) -> None:
        super().__init__(f"{seconds} s at {where}")


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    code: int


class ReducedError(Exception):
    """Says itself how it is pickled: by what its constructor takes."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.code, self.text)


class ApiGroup(ExceptionGroup[Exception]):
    code: int

    def __new__(cls, errors: list[Exception], code: int) -> Self:
        made = super().__new__(cls, "several answers", errors)
        made.code = code
        return made


class StatefulError(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code

    def __setstate__(self, state: dict[str, Any] | None) -> None:
        vars(self).update(state or {}, was_read=True)


class StickyError(ConnectionError):
    def __reduce__(self) -> NoReturn:
        raise RuntimeError("not me")


def arrived(error: BaseException) -> Any:
    """Return what the driver gets for ``error``."""
    work = Work(7, task(lambda: 5, name="t"), "t-1", {}, -1, 1, None, False, None, None)
    packed = remote.pack_outcome(work, Outcome(7, Failed("it failed", error)), Pickler())
    return remote.unpack_outcome(work, packed).state.result


@pytest.mark.parametrize(
    "error",
    [
        ApiError(7, "gone"),
        ApiOSError(2, "gone"),
        ApiImportError(module="pandas"),
        ApiTimeoutError(3, "home"),
        FrozenError(7),
        ReducedError(7, "gone"),
        ValueError("plain", 1),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
)
def test_class_arguments_text_and_attributes_come_back_whatever_the_constructor_takes(error):
    found = arrived(error)
    assert (type(found), found.args, str(found), vars(found)) == (type(error), error.args, str(error), vars(error))


def test_what_the_built_in_class_keeps_comes_back():
    found = arrived(ApiOSError(2, "gone"))
    assert (found.errno, found.strerror, found.filename) == (2, "gone, said the server", "page.html")
    assert arrived(ApiImportError(module="pandas")).name == "pandas"


def test_notes_come_back():
    error = ApiError(7, "gone")
    error.add_note("on Monday")
    assert arrived(error).__notes__ == ["on Monday"]


def test_a_class_that_sets_its_own_state_does_so():
    found = arrived(StatefulError(7, "gone"))
    assert (found.code, found.was_read) == (7, True)


def test_members_of_a_group_come_back_whatever_their_constructors_take():
    (found,) = arrived(ExceptionGroup("two", [ApiError(7, "gone")])).exceptions
    assert (type(found), found.code) == (ApiError, 7)


def test_a_group_with_a_constructor_of_its_own_comes_back():
    found = arrived(ApiGroup([ValueError("one")], 7))
    assert (type(found), found.message, found.code) == (ApiGroup, "several answers", 7)
    assert [(type(each), each.args) for each in found.exceptions] == [(ValueError, ("one",))]


def test_an_exception_that_holds_itself_comes_back():
    error = ApiError(7, "gone")
    error.me = error  # type: ignore[attr-defined]
    found = arrived(error)
    assert found.me is found


class TestAttributesThatCannotBePickled:
    def test_they_are_left_out_and_the_rest_comes_back(self):
        found = arrived(ApiError(7, "gone", lock=threading.Lock()))
        assert (type(found), found.code, hasattr(found, "lock")) == (ApiError, 7, False)

    def test_a_note_names_them_after_the_others(self):
        error = ApiError(7, "gone", lock=threading.Lock())
        error.add_note("on Monday")
        first, last = arrived(error).__notes__
        assert first == "on Monday"
        assert "'lock' (type _thread.lock)" in last

    def test_the_exception_itself_keeps_them(self):
        error = ApiError(7, "gone", lock=threading.Lock())
        arrived(error)
        assert hasattr(error, "lock")
        assert not hasattr(error, "__notes__")

    def test_they_are_left_out_of_members_of_a_group(self):
        (found,) = arrived(ExceptionGroup("one", [ApiError(7, "gone", lock=threading.Lock())])).exceptions
        assert (type(found), found.code) == (ApiError, 7)


class TestSubstitutes:
    @pytest.mark.parametrize("error", [StickyError("mine"), ConnectionError(threading.Lock())])
    def test_an_exception_that_cannot_be_sent_is_replaced(self, error):
        assert type(arrived(error)) is RemoteError

    def test_they_know_the_classes_of_the_exception(self):
        names = arrived(StickyError("mine")).class_names
        assert names[0].endswith(".StickyError")
        assert names[1:4] == ("ConnectionError", "OSError", "Exception")

    def test_they_say_what_it_said(self):
        assert "StickyError: mine" in str(arrived(StickyError("mine")))
