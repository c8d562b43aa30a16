from __future__ import annotations

import copy
import json
import pickle
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.engine.fakes import FakePlugins

from headrace import Engine, Flow, Parameter, config, task
from headrace.abc import ResultStore
from headrace.envelope import seal
from headrace.exceptions import ResultError, ResultFormError, ResultLocationError, ResultNotFoundError
from headrace.results import LocalResult, Result, ResultKeeper
from headrace.run_context import ValuesFrame
from headrace.serializers import PickleSerializer


class Planted:
    """What leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


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
    return SimpleNamespace(name=slug, slug=slug, map_index=map_index, parent=ValuesFrame({"flow_run_id": run_id}))


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

    def test_what_somebody_else_put_there_is_not_loaded(self, keeper, shelf, tmp_path):
        location = keeper.keep(work(), 1)
        planted = pickle.dumps(Planted(tmp_path / "loaded"))
        for stored in planted, seal(planted):
            shelf.held[location] = stored
            with pytest.raises(ResultError):
                keeper.load(location)
        assert not (tmp_path / "loaded").exists()
        pickle.loads(planted)
        assert (tmp_path / "loaded").exists()

    def test_what_cannot_be_pickled_is_a_type_error_that_names_its_class(self, keeper, shelf):
        with pytest.raises(TypeError, match="lock"):
            keeper.keep(work(), threading.Lock())
        assert shelf.held == {}

    def test_what_is_gone_is_not_found(self, keeper):
        with pytest.raises(ResultNotFoundError):
            keeper.load("flow/run-id/add-1.result")


@pytest.fixture(params=["file:{}", "memory:"], ids=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store."""
    url: str = request.param.format(tmp_path)
    return url


class TestByHand:
    """Reading and writing results without an engine."""

    def test_what_is_written_is_read_back(self, store):
        written = Result(store=store).write([1, {"a": 2}])
        assert written.value == [1, {"a": 2}]
        assert written.read(str(written.location)).value == [1, {"a": 2}]

    def test_a_result_stays_as_it_is(self, store):
        result = Result(store=store, location="{x}.pickle")
        written = result.write(5, x="a")
        assert (result.value, result.location) == (None, "{x}.pickle")
        assert (written.value, written.location) == (5, "a.pickle")
        assert result.read("a.pickle") == written

    def test_what_is_there_exists(self, store):
        result = Result(store=store, location="{day}/total")
        assert not result.exists("{day}/total", day="monday")
        result.write(5, day="monday")
        assert result.exists("{day}/total", day="monday")
        assert result.exists("monday/total")

    def test_placeholders_are_filled_in_from_context_and_parameters_too(self, tmp_path):
        result = Result(store=f"file:{tmp_path}", location="{flow_name}/{n}/{x}")
        with Flow("daily") as flow:
            place = task(lambda n: result.write(n, x="a").location, name="write")(Parameter("n"))
        assert flow.run(n=5).result[place].result == "daily/5/a"
        assert result.read("daily/5/a").value == 5

    def test_a_function_may_give_the_location(self, store):
        result = Result(store=store, location=lambda x, **_: f"at/{x}")
        assert result.write(5, x="a", y="b").location == "at/a"

    def test_a_placeholder_may_have_any_name(self, store):
        assert Result(store=store, location="{value}/{self}").write(5, value="a", self="b").location == "a/b"

    def test_a_placeholder_without_a_value_is_named(self, store):
        with pytest.raises(ResultLocationError, match=r"location of this Result .* has a value for 'x'"):
            Result(store=store, location="{x}").write(5)

    @pytest.mark.parametrize("location", ["../outside", "/etc/passwd"])
    def test_a_location_stays_inside_the_store(self, store, location):
        result = Result(store=store)
        for reach in (result.exists, result.read, Result(store=store, location=location).write):
            with pytest.raises(ResultLocationError, match=location):
                reach(location)

    def test_at_a_location_of_its_own_a_file_holds_what_the_serializer_makes(self, tmp_path):
        Result(store=f"file:{tmp_path}", location="a.json", serializer="json").write({"a": 1})
        assert json.loads((tmp_path / "a.json").read_bytes()) == {"a": 1}

    def test_elsewhere_it_is_new_at_each_write_and_one_changed_byte_is_noticed_wherever_it_is(self, tmp_path):
        result = Result(store=f"file:{tmp_path}", serializer="bytes")
        written = result.write(b"data")
        assert result.write(b"data").location != written.location
        path = tmp_path / str(written.location)
        stored = path.read_bytes()
        for i, byte in enumerate(stored):
            path.write_bytes(stored[:i] + bytes([byte ^ 1]) + stored[i + 1 :])
            with pytest.raises(ResultError, match="damaged"):
                result.read(str(written.location))

    def test_what_the_engine_wrote_is_read(self, tmp_path):
        with Flow("f") as flow:
            kept = task(lambda: [1, 2], name="kept")()
            placed = task(lambda: [3], name="placed", result=LocalResult(tmp_path, location="placed"))()
        state = flow.run(results=f"file:{tmp_path}")
        for made in (kept, placed):
            found = state.result[made]
            assert LocalResult(tmp_path).read(found.location).value == found.result

    def test_what_was_written_by_hand_is_the_target_of_a_task(self, tmp_path):
        result = LocalResult(tmp_path, location="{day}.pickle")
        result.write("by hand", day="monday")
        with Flow("f") as flow:
            made = task(lambda day: "made", target="{day}.pickle", result=LocalResult(tmp_path))("monday")
        assert flow.run().result[made].result == "by hand"

    def test_what_is_not_there_is_not_found(self, store):
        with pytest.raises(ResultNotFoundError):
            Result(store=store).read("nowhere")

    def test_what_another_serializer_wrote_is_an_error_that_says_so(self, shelf):
        Result(store=shelf, location="a", serializer="text").write("no pickle")
        with pytest.raises(ResultError, match=r"'a' exists and cannot be read: .*choose the serializer"):
            Result(store=shelf).read("a")

    def test_what_cannot_be_serialized_is_named_and_nothing_is_written(self, shelf):
        with pytest.raises(ResultFormError, match=r"This value cannot be stored: .*value\[0\] \(type _thread.lock\)"):
            Result(store=shelf).write([threading.Lock()])
        assert shelf.held == {}

    def test_without_a_store_it_says_where_to_name_one(self):
        with pytest.raises(ResultError, match=r"Result has no store.*store="):
            Result().write(5)

    def test_the_configured_store_serves_too(self, tmp_path):
        with config.set_temporary_config({"results.store": f"file:{tmp_path}", "results.serializer": "json"}):
            Result(location="a.json").write([1])
        assert (tmp_path / "a.json").read_text() == "[1]"

    def test_in_a_task_the_plugins_are_those_of_its_run(self, tmp_path):
        with Flow("f") as flow:
            made = task(lambda: Result(store=f"folder:{tmp_path}", location="a").write(5).location, name="write")()
        state = flow.run(engine=Engine(plugins=[FakePlugins()]))
        assert state.result[made].result == "a"
        assert (tmp_path / "a").is_file()

    @pytest.mark.parametrize("duplicate", [lambda r: pickle.loads(pickle.dumps(r)), copy.copy, copy.deepcopy])
    def test_it_can_be_pickled_and_copied_after_use(self, duplicate, tmp_path):
        written = LocalResult(tmp_path, location="{x}").write(5, x="a")
        new = duplicate(written)
        assert new == written
        assert new.read("a").value == 5

    def test_copies_share_a_store_in_memory(self):
        result = Result(store="memory:", location="a")
        result.exists("a")
        assert result.copy().write(5).location == "a"
        assert result.read("a").value == 5

    def test_from_value_holds_the_value_and_has_no_location(self):
        new = LocalResult("results", location="a", serializer="json").from_value(5)
        assert (new.value, new.location, new.serializer, new.dir) == (5, None, "json", "results")

    def test_format_fills_the_location_in(self):
        assert Result(location="{x}/a").format(x=1).location == "1/a"

    def test_format_without_a_location_makes_one_in_a_folder_of_the_day(self):
        today = f"{datetime.now(UTC):%Y/%m/%d}/"
        assert str(Result().format().location).startswith(today)
        assert Result().format().location != Result().format().location


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
        one, other = (str(keeper.keep(work(slug), slug)) for slug in slugs)
        assert str(one).lower() != str(other).lower()
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
        one, other = (str(keeper.keep(work(slug), slug)) for slug in slugs)
        assert one.lower() != other.lower()

    def test_the_name_of_the_flow_is_made_safe_too(self, shelf):
        location = ResultKeeper(shelf, PickleSerializer(), "../Ü").location_of(work())
        assert location.startswith("unnamed-")


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
        assert str(state.result) == (
            "The result of task 'lock' cannot be stored: "
            "A value of type _thread.lock cannot be pickled: cannot pickle '_thread.lock' object. "
            "Return something else, choose another `serializer`, or say `checkpoint=False`."
        )

    def test_a_task_with_100000_tags_can_store_its_result(self, tmp_path):
        many = [str(i) for i in range(100_000)]
        with Flow("f") as flow:
            result = task(lambda: 1, tags=many)()
        assert flow.run(results=f"file://{tmp_path}").result[result].is_successful()
