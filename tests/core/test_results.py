from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import Flow, task
from headrace.abc import ResultStore
from headrace.exceptions import ResultError, ResultNotFoundError
from headrace.results import ResultKeeper
from headrace.run_context import ValuesFrame
from headrace.serializers import PickleSerializer


class Shelf(ResultStore):
    """A store that shows what it holds."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def write(self, location: str, data: bytes) -> None:
        self.held[location] = data

    def read(self, location: str) -> bytes:
        try:
            return self.held[location]
        except KeyError:
            raise ResultNotFoundError(location) from None

    def exists(self, location: str) -> bool:
        return location in self.held

    def delete(self, location: str) -> None:
        self.held.pop(location, None)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def keeper(shelf: Shelf) -> ResultKeeper:
    return ResultKeeper(shelf, PickleSerializer(), "flow")


def work(slug: str = "add-1", map_index: int = -1, run_id: str = "run-id") -> Any:
    return SimpleNamespace(slug=slug, map_index=map_index, parent=ValuesFrame({"flow_run_id": run_id}))


class TestKeepAndLoad:
    @pytest.mark.parametrize("value", [None, 5, "größe", [1, {"a": (2,)}], b"\0" * 1000, ValueError])
    def test_a_value_comes_back(self, keeper, value):
        assert keeper.load(keeper.keep(work(), value)) == value

    def test_a_function_of_a_script_comes_back(self, keeper):
        offset = 3
        found = keeper.load(keeper.keep(work(), lambda x: x + offset))
        assert found(4) == 7

    def test_the_next_attempt_replaces_what_the_one_before_kept(self, keeper, shelf):
        first, second = keeper.keep(work(), 1), keeper.keep(work(), 2)
        assert (first == second, len(shelf.held), keeper.load(second)) == (True, 1, 2)

    def test_what_cannot_be_pickled_is_a_type_error_that_names_its_class(self, keeper, shelf):
        with pytest.raises(TypeError, match="lock"):
            keeper.keep(work(), threading.Lock())
        assert shelf.held == {}

    def test_what_is_gone_is_not_found(self, keeper):
        with pytest.raises(ResultNotFoundError):
            keeper.load("flow/run-id/add-1.result")


class TestDamage:
    @pytest.mark.parametrize("position", [0, 5, 18, 30, 49, 50, -1])
    def test_one_changed_byte_is_noticed_wherever_it_is(self, keeper, shelf, position):
        location = keeper.keep(work(), list(range(100)))
        data = bytearray(shelf.held[location])
        data[position] ^= 1
        shelf.held[location] = bytes(data)
        with pytest.raises(ResultError, match="damaged"):
            keeper.load(location)

    @pytest.mark.parametrize("length", [0, 10, 18, 40, 50, 60])
    def test_a_cut_is_noticed_wherever_it_is(self, keeper, shelf, length):
        location = keeper.keep(work(), list(range(100)))
        shelf.held[location] = shelf.held[location][:length]
        with pytest.raises(ResultError, match="damaged"):
            keeper.load(location)

    def test_what_was_added_is_noticed(self, keeper, shelf):
        location = keeper.keep(work(), 5)
        shelf.held[location] += b"!"
        with pytest.raises(ResultError, match="damaged"):
            keeper.load(location)

    def test_the_error_says_where_and_what_to_do(self, keeper, shelf):
        location = keeper.keep(work(), 5)
        shelf.held[location] = b"something else"
        with pytest.raises(ResultError, match=r"flow/run-id/add-1\.result.*Run the task again"):
            keeper.load(location)

    def test_damaged_bytes_are_never_unpickled(self, keeper, shelf):
        shelf.held["x"] = b"headrace-result 1\n" + b"0" * 32 + b"cposix\nsystem\n(S'false'\ntR."
        with pytest.raises(ResultError, match="damaged"):
            keeper.load("x")


class TestLocations:
    def test_they_name_flow_run_and_task(self, keeper):
        assert keeper.keep(work(), 5) == "flow/run-id/add-1.result"

    def test_they_name_the_mapped_child(self, keeper):
        assert keeper.keep(work(map_index=7), 5) == "flow/run-id/add-1/7.result"

    def test_each_run_has_its_own(self, keeper):
        assert keeper.keep(work(run_id="one"), 1) != keeper.keep(work(run_id="two"), 2)

    @pytest.mark.parametrize("slugs", [("é-1", "ü-1"), ("a b-1", "a-b-1"), ("Add-1", "add-1"), ("[1]-1", "(1)-1")])
    def test_tasks_with_similar_names_do_not_overwrite_each_other(self, keeper, slugs):
        one, other = (keeper.keep(work(slug), slug) for slug in slugs)
        assert one.lower() != other.lower()
        assert (keeper.load(one), keeper.load(other)) == slugs

    @pytest.mark.parametrize(
        "slug", ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a\0b", "x" * 10_000, "名" * 500]
    )
    def test_any_name_stays_inside_and_is_short(self, keeper, slug):
        parts = keeper.keep(work(slug), 5).split("/")
        assert parts[:2] == ["flow", "run-id"]
        assert len(parts) == 3
        assert len(parts[2].encode()) < 200

    @given(st.lists(st.text(st.characters(exclude_categories=[])), min_size=2, max_size=2, unique=True))
    def test_different_names_never_share_a_location(self, slugs):
        keeper = ResultKeeper(Shelf(), PickleSerializer(), "flow")
        one, other = (keeper.keep(work(slug), slug) for slug in slugs)
        assert one.lower() != other.lower()

    def test_the_name_of_the_flow_is_made_safe_too(self, shelf):
        assert ResultKeeper(shelf, PickleSerializer(), "../Ü").keep(work(), 5).startswith("unnamed-")


class TestInARun:
    def test_results_are_stored_where_the_state_says(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda: [1, 2], name="numbers")()
        state = flow.run(results=f"file://{tmp_path}").result[result]
        assert state.location.endswith("/numbers-1.result")
        assert (tmp_path / state.location).is_file()

    def test_released_results_are_read_back(self, tmp_path):
        with Flow("f") as flow:
            one = task(lambda: "first", name="é")()
            two = task(lambda: "second", name="ü")()
            task(lambda x, y: None, name="reader")(one, two)
        state = flow.run(results=f"file://{tmp_path}", keep_results="none")
        assert (state.result[one].result, state.result[two].result) == ("first", "second")

    def test_a_task_can_opt_out(self, tmp_path):
        with Flow("f") as flow:
            result = task(lambda: 1, checkpoint=False)()
        assert flow.run(results=f"file://{tmp_path}").result[result].location is None
        assert list(tmp_path.iterdir()) == []

    def test_a_result_that_cannot_be_stored_fails_its_task(self, tmp_path):
        @task
        def lock():
            return threading.Lock()

        with Flow("f") as flow:
            result = lock()
        state = flow.run(results=f"file://{tmp_path}").result[result]
        assert isinstance(state.result, TypeError)

    def test_a_task_with_100000_tags_can_store_its_result(self, tmp_path):
        many = [str(i) for i in range(100_000)]
        with Flow("f") as flow:
            result = task(lambda: 1, tags=many)()
        assert flow.run(results=f"file://{tmp_path}").result[result].is_successful()
