from __future__ import annotations

import sqlite3
import threading
from typing import Any, ClassVar

import pytest

from headrace.serializers import ChainedSerializer, PickleSerializer, make_serializer
from headrace.unpicklable import find_unpicklable

LOCK = threading.Lock()


class Holder:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("lock",)


class Upper:
    def serialize(self, value):
        return value.upper()

    def deserialize(self, data):
        return data.lower()


class Reverse(Upper):
    def serialize(self, value):
        return value[::-1]

    def deserialize(self, data):
        return data[::-1]


def slotted() -> Slotted:
    value = Slotted()
    value.lock = LOCK  # type: ignore[attr-defined]
    return value


def closure():
    held = {"lock": LOCK}

    def function(x=1):
        return held, x

    return function


def iter_nothing():
    yield from ()


class TestFindUnpicklable:
    PLACES: ClassVar = {
        "an attribute": (Holder(a=1, lock=LOCK), "value.lock"),
        "deeper": ({"rows": [1, Holder(parts=(0, {"x": LOCK}))]}, 'value["rows"][1].parts[1]["x"]'),
        "a slot": (slotted(), "value.lock"),
        "an element of many": ([*range(10_000), LOCK, *range(10_000)], "value[10000]"),
        "a key": ({LOCK: 1}, "value[<_thread.lock>] (a key)"),
        "an element of a set": ({1, LOCK}, "value{…}"),
        "a variable of a function": (closure(), 'value.<held>["lock"]'),
        "an argument of an exception": (ValueError("a", LOCK), "value.args[1]"),
        "what a method is bound to": (Holder(lock=LOCK).__init__, "value.__self__.lock"),  # type: ignore[misc]
    }

    @pytest.mark.parametrize("what", PLACES)
    def test_the_innermost_place_is_found(self, what):
        value, path = self.PLACES[what]
        found = find_unpicklable(value)
        assert found is not None
        assert found.path == path
        assert found.type_name == "_thread.lock"
        assert isinstance(found.error, TypeError)

    @pytest.mark.parametrize("value", [LOCK, iter_nothing(), 1, [1]])
    def test_there_is_nothing_inside_to_name(self, value):
        assert find_unpicklable(value) is None

    def test_a_value_that_holds_itself_ends(self):
        value: Any = Holder(lock=LOCK)
        value.me = [value]
        found = find_unpicklable(value)
        assert found is not None
        assert found.type_name == "_thread.lock"

    def test_what_raises_at_every_attempt_ends(self):
        class Endless:
            def __reduce_ex__(self, protocol):
                return Endless, (), {"inner": Endless(), "lock": LOCK}

        found = find_unpicklable(Endless())
        assert found is not None


def test_pickle_says_which_attribute_cannot_be_pickled():
    connection = sqlite3.connect(":memory:")
    with pytest.raises(
        TypeError, match=r"Holder cannot be pickled because of value.connection \(type sqlite3.Connection"
    ):
        PickleSerializer().serialize(Holder(connection=connection))
    connection.close()


class TestChains:
    def test_parts_take_what_the_one_before_made_and_undo_it_in_reverse(self):
        chain = ChainedSerializer(Upper(), Reverse())  # type: ignore[arg-type]
        assert chain.serialize(b"abc") == b"CBA"
        assert chain.deserialize(b"CBA") == b"abc"

    def test_a_name_is_one_serializer_or_several(self):
        made: list[str] = []

        def make(name):
            made.append(name)
            return Reverse()

        assert isinstance(make_serializer("pickle", make), Reverse)
        chain = make_serializer("pickle + gzip+aes", make)
        assert isinstance(chain, ChainedSerializer)
        assert len(chain.parts) == 3
        assert made == ["pickle", "pickle", "gzip", "aes"]

    def test_a_serializer_that_makes_no_bytes_in_between_is_a_type_error(self):
        class Text(Upper):
            def deserialize(self, data):
                return data.decode()

        with pytest.raises(TypeError, match="reads bytes, and got str"):
            ChainedSerializer(Upper(), Text()).deserialize(b"a")  # type: ignore[arg-type]
