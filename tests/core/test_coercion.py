from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import Enum, IntEnum
from pathlib import Path, PosixPath
from typing import Any, Literal, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.coercion import describe_type, from_data, from_text


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Colour(Enum):
    RED = "r"
    BLUE = "b"


class Celsius(float):
    pass


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", str, "5"),
        ("", str, ""),
        ("5", int, 5),
        (" -7 ", int, -7),
        ("5", float, 5.0),
        ("1e3", float, 1000.0),
        ("2026-01-31", date, date(2026, 1, 31)),
        ("2026-01-31T12:00:00+00:00", datetime, datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("a/b", Path, Path("a/b")),
        ("5", PosixPath, Path("5")),
        ("RED", Colour, Colour.RED),
        ("b", Colour, Colour.BLUE),
        ("HIGH", Level, Level.HIGH),
        ("1", Level, Level.LOW),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2], 2),
        ("none", None, None),
        ("", type(None), None),
        ("null", Optional[int], None),  # noqa: UP045
        ("3", Optional[int], 3),  # noqa: UP045
        ("3", int | str, 3),
        ("3", Union[str, int], 3),  # noqa: UP007
        ("three", int | str, "three"),
        ("none", str | None, None),
        ("[1, 2]", list, [1, 2]),
        ('["1", 2]', list[int], [1, 2]),
        ('["1", 2]', Sequence[int], [1, 2]),
        ('["a"]', Iterable, ["a"]),
        ('{"a": "1"}', Mapping[str, float], {"a": 1.0}),
        ("[1, 2]", list[float], [1.0, 2.0]),
        ('[1, "a"]', list[str], ["1", "a"]),
        ("[[1], []]", list[list[int]], [[1], []]),
        ('["2026-01-31"]', list[date], [date(2026, 1, 31)]),
        ("[1, 2]", tuple, (1, 2)),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ('[1, "a"]', tuple[int, str], (1, "a")),
        ("[]", tuple[()], ()),
        ("[1, 1]", set, {1}),
        ("[1, 1]", frozenset[int], frozenset([1])),
        ('{"a": 1}', dict, {"a": 1}),
        ('{"1": "2"}', dict[int, float], {1: 2.0}),
        ('{"a": null}', dict[str, int | None], {"a": None}),
        ("[1]", Any, [1]),
        ("word", Any, "word"),
        ('"5"', Any, "5"),
        ("5", bytes, 5),
        ("5", Celsius, 5.0),
    ],
)
def test_a_text_becomes_a_value_of_the_type(text, kind, value):
    found = from_text(text, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["true", "True", "YES", "on", "1", " true "])
def test_words_for_true(text):
    assert from_text(text, bool) is True


@pytest.mark.parametrize("text", ["false", "no", "OFF", "0"])
def test_words_for_false(text):
    assert from_text(text, bool) is False


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("many", int),
        ("1.5", int),
        ("", int),
        ("x", float),
        ("maybe", bool),
        ("", bool),
        ("31.01.2026", date),
        ("noon", datetime),
        ("GREEN", Colour),
        ("c", Literal["a", "b"]),
        ("x", None),
        ("x", int | None),
        ("1", list),
        ('{"a": 1}', list),
        ("[1]", dict),
        ("[1,", list),
        ('["x"]', list[int]),
        ("[true]", list[int]),
        ("[1]", tuple[int, str]),
        ("[1, 2, 3]", tuple[int, int]),
        ('{"a": "x"}', dict[str, int]),
        ('{"a": 1}', dict[int, int]),
        ("[[1]]", set),
        ("[[1]]", frozenset[list[int]]),
        ("9" * 5000, int),
    ],
)
def test_a_text_that_does_not_fit_is_a_value_error(text, kind):
    with pytest.raises(ValueError):
        from_text(text, kind)


def test_json_nested_too_deeply_is_a_value_error():
    with pytest.raises(ValueError, match="deeply"):
        from_text("[" * 100_000, list)


def test_json_nested_too_deeply_is_a_text_where_any_type_will_do():
    text = "[" * 100_000
    assert from_text(text, Any) is text


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_json_is_read_back_where_any_type_will_do(value):
    assert from_text(json.dumps(value), Any) == value


@given(st.text(), st.sampled_from([int, float, bool, date, Colour, list[int], dict[str, int], tuple[int, str], set]))
def test_whatever_the_text_there_is_a_value_or_a_value_error(text, kind):
    try:
        from_text(text, kind)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("given", "kind", "value"),
    [
        (5, int, 5),
        (5, float, 5.0),
        ("5", int, 5),
        ("5", int | str, "5"),
        ("5", Any, "5"),
        (None, int | None, None),
        (None, Any, None),
        ([1, "a"], tuple, (1, "a")),
        (["2026-01-31"], list[date], [date(2026, 1, 31)]),
        ({"a": ["b"]}, dict[str, list[Path]], {"a": [Path("b")]}),
        (date(2026, 1, 31), date, date(2026, 1, 31)),
        ("r", Colour, Colour.RED),
    ],
)
def test_data_of_a_file_become_a_value_of_the_type(given, kind, value):
    found = from_data(given, kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("given", "kind"), [(None, str), (None, int), (2.5, int), ([1], dict), (True, int), (5, list)])
def test_data_that_do_not_fit_are_a_value_error(given, kind):
    with pytest.raises(ValueError):
        from_data(given, kind)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (bool, "true or false"),
        (str, "a text"),
        (PosixPath, "a path"),
        (list[int], "a JSON list"),
        (dict, "a JSON object"),
        (Sequence[int], "a JSON list"),
        (Mapping[str, int], "a JSON object"),
        (int | None, "a whole number or nothing"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (Colour, "one of RED, BLUE"),
        (timedelta, "timedelta"),
    ],
)
def test_types_have_names_for_people(kind, words):
    assert describe_type(kind) == words
