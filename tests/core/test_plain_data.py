"""Values as plain data; what arrives as what it was is tested with the flows that hold it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from enum import Enum
from zoneinfo import ZoneInfo

import pytest

from headrace import task
from headrace.exceptions import SerializationError
from headrace.parameters import NO_DEFAULT
from headrace.plain_data import from_plain, import_name, imported, opaque, to_plain


class Colour(Enum):
    RED = 1


@dataclass
class Box:
    content: object


@task
def double(x):
    return 2 * x


class Nowhere(tzinfo):
    def utcoffset(self, moment):
        return None

    dst = tzname = utcoffset


def nested(depth):
    value: list[object] = []
    for _ in range(depth):
        value = [value]
    return value


def test_names_are_those_that_lead_back_to_the_object():
    assert import_name(Colour.RED) == f"{__name__}:Colour.RED"
    assert import_name(double.run) == f"{__name__}:double"
    assert import_name(NO_DEFAULT) == "headrace.parameters:NO_DEFAULT"
    assert import_name(lambda: 1) is None
    assert import_name(5) is None


def test_a_function_behind_a_task_comes_back_as_the_function():
    assert from_plain(to_plain(double.run)) is double.run


def test_a_zone_is_kept_by_name():
    moment = datetime(2026, 1, 31, tzinfo=ZoneInfo("Europe/Berlin"))
    found = from_plain(json.loads(json.dumps(to_plain(moment))))
    assert (found, str(found.tzinfo)) == (moment, "Europe/Berlin")
    assert from_plain(to_plain(time(8, 30))) == time(8, 30)


def test_sets_are_written_in_one_order():
    assert to_plain({"b", "a", "c"})["items"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (object(), "value cannot"),
        ({"a": [1, object()]}, r'value\["a"\]\[1\] cannot'),
        (Box((object(),)), r"value\.content\[0\] cannot"),
        (nested(50_000), "nested too deeply"),
    ],
)
def test_what_cannot_be_written_is_named_with_its_place(value, place):
    with pytest.raises(SerializationError, match=place):
        to_plain(value, "value")


def test_a_list_that_holds_itself_is_refused():
    knot: list[object] = []
    knot.append(knot)
    with pytest.raises(SerializationError, match="holds itself"):
        to_plain(knot)


@pytest.mark.parametrize(
    "record",
    [
        {"$": "unknown"},
        {"$": "bytes", "value": "not base64!"},
        {"$": "tuple"},
        {"$": "datetime", "value": "soon"},
        {"$": "datetime", "value": "2026-01-31", "zone": "Mars/Base"},
        {"$": "import", "name": "no_such_module:x"},
        {"$": "import", "name": "json:no_such_name"},
        {"$": "import", "name": ""},
        {"$": "dataclass", "type": "builtins:dict", "fields": {}},
        {"$": "dataclass", "type": f"{__name__}:Box", "fields": {"other": 1}},
        opaque(object()),
    ],
)
def test_what_cannot_be_read_is_a_value_error(record):
    with pytest.raises(SerializationError) as caught:
        from_plain([record])
    assert isinstance(caught.value, ValueError)


def test_a_module_that_raises_is_chained(tmp_path, monkeypatch):
    (tmp_path / "raises_at_import.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SerializationError, match="ZeroDivisionError") as caught:
        imported("raises_at_import:x")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_time_zone_without_name_and_offset_is_refused():
    with pytest.raises(SerializationError, match="has no name"):
        to_plain(datetime(2026, 1, 31, tzinfo=Nowhere()))
