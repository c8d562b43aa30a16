from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Engine
from headrace.serializers import PickleSerializer
from headrace_plugins.pickle import headrace_serializers

serializer = PickleSerializer()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_plain_values_come_back(value):
    assert serializer.deserialize(serializer.serialize(value)) == value


def test_functions_and_classes_of_a_script_come_back_by_value():
    class OfAScript:
        def __init__(self, value: int) -> None:
            self.value = value

    def make() -> Any:
        return OfAScript(5)

    assert serializer.deserialize(serializer.serialize(make))().value == 5  # type: ignore[operator]


def test_a_list_that_holds_itself_comes_back():
    knot: list[Any] = []
    knot.append(knot)
    found: Any = serializer.deserialize(serializer.serialize(knot))
    assert found[0] is found


class Unwilling:
    def __reduce__(self) -> Any:
        raise RuntimeError("not me")


@pytest.mark.parametrize("value", [threading.Lock(), (i for i in range(3)), Unwilling()])
def test_what_cannot_be_pickled_is_a_type_error_that_names_its_class_and_cause(value):
    with pytest.raises(TypeError, match=type(value).__name__) as caught:
        serializer.serialize(value)
    assert caught.value.__cause__ is not None


def test_a_list_nested_too_deeply_is_a_type_error():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="list"):
        serializer.serialize(deep)


def test_the_plugin_offers_it_by_name():
    (spec,) = headrace_serializers()
    assert spec.name == "pickle"
    assert isinstance(Engine().registry.create("serializer", "pickle"), PickleSerializer)
