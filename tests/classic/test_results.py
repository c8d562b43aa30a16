"""The Result object, section 4.2 of the classic reference."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace import Flow, Parameter, context, task
from headrace.exceptions import ResultError
from headrace.results import LocalResult, Result
from headrace.serializers import PickleSerializer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_arguments_are_value_location_and_serializer():
    assert list(inspect.signature(Result).parameters)[:3] == ["value", "location", "serializer"]
    assert (Result().value, Result().location, Result().serializer) == (None, None, None)


def test_without_a_serializer_it_is_pickled(folder):
    written = Result(store="file:results", location="total").write({1, 2})
    assert PickleSerializer().deserialize((folder / "results/total").read_bytes()) == {1, 2}
    assert written.value == {1, 2}


def test_the_location_may_be_a_text_or_a_function():
    assert Result(location="{x}/total").format(x=1).location == "1/total"
    assert Result(location=lambda x, **_: f"{x}/sum").format(x=1, y=2).location == "1/sum"
    with pytest.raises(TypeError, match="location"):
        Result(location=5)  # type: ignore[arg-type]


def test_a_copy_is_another_object_with_the_same_value_in_it():
    value: list[int] = []
    result = Result(value, location="total")
    assert result.copy() == result
    assert result.copy() is not result
    assert result.copy().value is value


def test_from_value_keeps_all_but_the_location():
    result = Result(1, location="total", serializer="json", store="file:results")
    assert result.from_value(2) == Result(2, serializer="json", store="file:results")


def test_by_default_the_location_is_named_after_the_day_in_utc():
    location = str(Result(store="file:results").format().location)
    assert re.fullmatch(rf"{datetime.now(UTC):%Y/%m/%d}/[0-9a-f-]{{36}}\.result", location)


def test_parameters_come_before_the_context_and_that_before_what_is_given():
    result = Result(location="{n}-{day}-{flow_name}")

    @task
    def place() -> Any:
        return result.format().location, result.format(day="given", n="given").location

    with Flow("f") as flow:
        placed = place()
        for name, default in {"n": 1, "day": "of the parameter", "flow_name": "hidden"}.items():
            flow.add_task(Parameter(name, default=default))
    found = flow.run(context={"day": "of the context"}).result[placed].result
    assert found == ("1-of the context-f", "given-given-f")


def test_without_a_store_nothing_can_be_read_or_written():
    for reach in (Result().read, Result().exists, Result().write):
        with pytest.raises(ResultError, match="no store"):
            reach("total")


def test_reading_gives_a_result_with_value_and_location():
    LocalResult("results", location="{day}").write(5, day="monday")
    found = LocalResult("results").read("monday")
    assert (found.value, found.location) == (5, "monday")


def test_results_compare_by_what_they_hold_and_not_by_what_they_have_opened():
    one, other = (LocalResult("results", location="total") for _ in range(2))
    one.exists("total")
    assert one == other
    assert one != LocalResult("results", location="sum")
    assert one != LocalResult("others", location="total")


def test_a_result_shows_its_class_its_value_and_where_it_goes():
    assert repr(Result(5, location="total")).startswith("Result(value=5, location='total'")
    assert repr(LocalResult("results")).startswith("LocalResult(")


def test_a_task_that_says_nothing_has_no_result():
    assert task(lambda: 1).result is None


def test_a_template_is_filled_in_from_the_context_outside_of_runs_too():
    with context(region="north"):
        assert Result(location="{region}/total").format().location == "north/total"
