from __future__ import annotations

import collections
import datetime
import enum
import math
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.testing.serializers import SerializerConformance
from headrace_plugins.json import JsonSerializer, headrace_serializers


class Kind(enum.IntEnum):
    ONE = 1


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


SHARED = [1.5]


class TestJson(SerializerConformance):
    serializer = JsonSerializer()
    values: ClassVar[tuple[object, ...]] = (
        None,
        True,
        0,
        10**100,
        -0.0,
        0.1,
        "",
        "\ud800 é \0",
        [],
        {},
        [1, [2, {"a": [None]}]],
        {"": {"b": "c"}},
        nested(100),
        [SHARED, SHARED],
    )
    refused: ClassVar = {
        "value[1] is of type tuple, which JSON does not have; return a list.": [1, (2, 3)],
        'value["a"][0]["b"] is of type datetime.date': {"a": [{"b": datetime.date(2026, 1, 1)}]},
        "value[0] is of type set": [{1}],
        "value is of type bytes": b"",
        'value["x"] is nan': {"x": math.nan},
        "value is inf": math.inf,
        'value["rows"] has a key of type int': {"rows": {1: 2}},
        "value has a key of type NoneType": {None: 1},
        "has a key of type tuple": {(1, 2): 1},
        "value is of type collections.OrderedDict": collections.OrderedDict(a=1),
        "Kind": [Kind.ONE],
        "value is of type object": object(),
        "is nested too deeply": nested(100_000),
        "Exceeds the limit": [10**5000],
    }
    damaged = (b"", b"{", b"\xff", b"nope")


def test_what_holds_itself_is_refused_at_the_place() -> None:
    value: dict[str, Any] = {"a": [1]}
    value["a"].append({"b": value})
    with pytest.raises(ValueError, match=r'value\["a"\]\[1\]\["b"\] is what it lies in'):
        JsonSerializer().serialize(value)


def test_the_first_of_several_places_is_named() -> None:
    with pytest.raises(TypeError, match=r"value\[1\]\[0\]"):
        JsonSerializer().serialize([1, [()], (), [()]])


def test_text_is_short_and_ascii() -> None:
    assert JsonSerializer().serialize({"é": [1, 2]}) == b'{"\\u00e9":[1,2]}'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_plain_values_come_back(value: object) -> None:
    serializer = JsonSerializer()
    assert repr(serializer.deserialize(serializer.serialize(value))) == repr(value)


def test_the_plugin_offers_it() -> None:
    assert [spec.name for spec in headrace_serializers()] == ["json"]
