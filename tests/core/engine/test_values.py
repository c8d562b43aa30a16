"""Which results stay in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from tests.core.engine.fakes import FakePlugins

from headrace import Engine, Flow, task
from headrace.engine.values import ValueKeeper, approximate_size
from headrace.exceptions import ResultNotFoundError, ResultReleasedError
from headrace.references import ReleasedValue, ResultReference
from headrace.states import Mapped, State, Success

LIMIT = 10_000


def keeper(
    policy: Any = "auto", value_limit: int = LIMIT, total_limit: int = 10 * LIMIT, store: Any = None
) -> ValueKeeper:
    return ValueKeeper(policy, value_limit, total_limit, store)


def kept(state: State) -> bool:
    return not isinstance(state._result, ReleasedValue)


class TestPolicies:
    def test_auto_keeps_what_is_small(self):
        state = Success(result="x" * 100)
        keeper().release(state)
        assert state.result == "x" * 100

    def test_auto_lets_go_of_what_is_large(self):
        state = Success(result="x" * (LIMIT + 1))
        keeper().release(state)
        assert not kept(state)

    def test_auto_keeps_no_more_than_the_total(self):
        values = keeper(total_limit=3500)
        states = [Success(result="x" * 1000) for _ in range(5)]
        for state in states:
            values.release(state)
        assert [kept(state) for state in states] == [True, True, True, False, False]

    def test_a_small_value_still_fits_when_a_larger_one_does_not(self):
        values = keeper(total_limit=2000)
        states = [Success(result="x" * size) for size in (1500, 1500, 10)]
        for state in states:
            values.release(state)
        assert [kept(state) for state in states] == [True, False, True]

    def test_all_keeps_everything(self):
        state = Success(result="x" * (LIMIT + 1))
        keeper("all", total_limit=0).release(state)
        assert kept(state)

    def test_none_keeps_nothing(self):
        state = Success(result="x")
        keeper("none").release(state)
        assert not kept(state)

    @pytest.mark.parametrize("value", [None, True, 1, 1.5, ValueError("odd")])
    def test_none_keeps_what_takes_no_room_and_what_went_wrong(self, value):
        state = Success(result=value)
        keeper("none", 0, 0).release(state)
        assert state.result is value

    def test_releasing_twice_changes_nothing(self):
        values = keeper("none")
        state = Success(result="x")
        values.release(state)
        values.release(state)
        assert not kept(state)


class TestReading:
    def test_reading_a_released_value_says_what_to_do(self):
        state = Success(result="x")
        keeper("none").release(state)
        with pytest.raises(ResultReleasedError, match="keep_results"):
            _ = state.result

    def test_a_released_value_in_a_store_is_read_back(self):
        class Store:
            def load(self, location: str) -> object:
                return f"from {location}"

        state = Success(result="x")
        state.location = "there"
        keeper("none", store=Store()).release(state)
        assert state.result == "from there"

    def test_a_value_that_is_not_in_the_store_is_gone(self):
        class Store:
            def load(self, location: str) -> object:
                raise AssertionError

        state = Success(result="x")
        keeper("none", store=Store()).release(state)
        with pytest.raises(ResultReleasedError):
            _ = state.result

    def test_a_released_state_can_be_shown(self):
        state = Success("done", result="x")
        keeper("none").release(state)
        assert repr(state) == '<Success: "done">'


class TestSize:
    @pytest.mark.parametrize(
        "value",
        [
            "x" * 50_000,
            b"x" * 50_000,
            ["x" * 1000] * 50,
            [["x" * 1000] * 10] * 5,
            {"a": "x" * 50_000},
            {"x" * 50_000: 1},
            ("x" * 25_000, "y" * 25_000),
            {"x" * 25_000, "y" * 25_000},
        ],
    )
    def test_what_is_inside_containers_counts(self, value):
        assert approximate_size(value, LIMIT) > LIMIT

    def test_an_array_is_asked_for_its_bytes(self):
        class Array:
            nbytes = 50_000

        assert approximate_size(Array(), LIMIT) == 50_000

    def test_a_list_that_holds_itself_ends(self):
        value: list[Any] = []
        value.append(value)
        assert approximate_size(value, LIMIT) > LIMIT

    def test_deep_nesting_needs_no_recursion(self):
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        assert approximate_size(value, 10**9) > 100_000

    def test_results_that_hold_each_other_are_looked_at_in_time_linear_in_their_number(self):
        looked: list[int] = []

        class Item:
            def __sizeof__(self) -> int:
                looked.append(1)
                return 100

        held = keeper(total_limit=10**9)
        value: Any = None
        for _ in range(2000):
            value = [value, Item()]
            held.release(Success(result=value))
        # Each would be looked at two thousand times if every result were looked through as a whole.
        assert len(looked) < 20 * 2000

    def test_what_is_kept_already_counts_once(self):
        first = ["x" * 400 for _ in range(20)]
        held = keeper(value_limit=9500, total_limit=15_000)
        outer = Success(result=[first, "y"])
        held.release(Success(result=first))
        # Counted in full, both would take more than the total.
        held.release(outer)
        assert kept(outer)

    def test_looking_stops_once_the_limit_is_passed(self):
        looked: list[int] = []

        class Item:
            def __sizeof__(self) -> int:
                looked.append(1)
                return LIMIT

        approximate_size([Item() for _ in range(1000)], LIMIT)
        assert len(looked) < 5

    @pytest.mark.parametrize("name", ["nbytes", "__sizeof__"])
    def test_what_cannot_say_its_size_counts_as_large(self, name):
        def fail(_self: Any) -> int:
            raise RuntimeError("odd")

        odd = type("Odd", (), {name: property(fail) if name == "nbytes" else fail})
        assert approximate_size(odd(), LIMIT) > LIMIT


@task
def length(x: Any) -> int:
    return len(x)


class TestRuns:
    def states(self, keep_results: Any = None, **kwargs: Any) -> tuple[State, State]:
        @task
        def make() -> str:
            return "x" * 2_000_000

        with Flow("values") as flow:
            first = make()
            last = length(first)
        result = flow.run(executor="local", keep_results=keep_results, **kwargs).result
        return result[first], result[last]

    def test_a_large_intermediate_result_is_let_go_by_default(self):
        first, last = self.states()
        assert (kept(first), last.result) == (False, 2_000_000)

    def test_keep_results_all_keeps_it(self):
        first, _ = self.states("all")
        assert len(first.result) == 2_000_000

    def test_a_store_gives_it_back(self, tmp_path):
        first, _ = self.states(results=f"folder:{tmp_path}", engine=Engine(plugins=[FakePlugins()]))
        assert not kept(first)
        assert len(first.result) == 2_000_000

    def test_a_stored_value_that_was_deleted_says_so(self, tmp_path):
        first, _ = self.states(results=f"folder:{tmp_path}", engine=Engine(plugins=[FakePlugins()]))
        (tmp_path / str(first.location)).unlink()
        with pytest.raises(ResultNotFoundError):
            _ = first.result

    def test_a_map_reads_its_childrens_values_back(self, tmp_path):
        with Flow("children") as flow:
            first = task(lambda x: [x] * 3, name="make").map([1, 2])
            task(lambda xs: None, name="read")(first)
        engine = Engine(plugins=[FakePlugins()])
        state = flow.run(executor="local", engine=engine, keep_results="none", results=f"folder:{tmp_path}").result[
            first
        ]
        assert isinstance(state, Mapped)
        assert [kept(child) for child in state.map_states] == [False, False]
        assert state.result == [[1, 1, 1], [2, 2, 2]]

    def test_the_total_counts_each_childs_value_once(self):
        with Flow("children") as flow:
            first = task(lambda x: f"{x}" * 100_000, name="make").map([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
            second = length.map(first)
            third = task(lambda xs: "y" * 100_000, name="third")(second)
            task(lambda x: None, name="last")(third)
        config = {"engine": {"kept_total_bytes": 1_200_000}}
        result = flow.run(executor="local", engine=Engine(config=merged(config))).result
        assert all(kept(state) for state in result[first].map_states)
        assert kept(result[third])


def merged(changes: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the current configuration with some settings replaced."""
    from headrace import config

    found: dict[str, Any] = dict(config.current())
    return {**found, **{section: {**found[section], **values} for section, values in changes.items()}}


class Elsewhere(ResultReference):
    """A value that is elsewhere, which remembers what it was asked."""

    __slots__ = ("length", "loaded", "outlives_run", "size")
    announced: ClassVar[list[list[ResultReference]]] = []

    def __init__(self, size: int, *, outlives_run: bool = False) -> None:
        self.size = size
        self.length = None
        self.outlives_run = outlives_run
        self.loaded = 0

    def load(self) -> object:
        self.loaded += 1
        return self.size

    @classmethod
    def prefetch(cls, references: Sequence[ResultReference]) -> None:
        cls.announced.append(list(references))


class TestBringingHome:
    """Results that are elsewhere when a run ends."""

    def test_small_results_are_fetched_whether_or_not_they_outlive_the_run(self):
        references = [Elsewhere(10), Elsewhere(20, outlives_run=True), Elsewhere(5_000)]
        states = [Success(None, reference) for reference in references]
        ValueKeeper("auto", 100, 1_000).bring_home(states)
        assert [state._result for state in states[:2]] == [10, 20]
        assert [reference.loaded for reference in references] == [1, 1, 0]
        with pytest.raises(ResultReleasedError):
            states[2].result  # noqa: B018 - reading it is what raises

    def test_large_results_that_outlive_the_run_are_fetched_when_they_are_asked_for(self):
        reference = Elsewhere(5_000, outlives_run=True)
        state = Success(None, reference)
        ValueKeeper("auto", 100, 1_000).bring_home([state])
        assert reference.loaded == 0
        assert state.result == 5_000

    def test_all_that_is_fetched_is_announced_at_once(self, monkeypatch):
        monkeypatch.setattr(Elsewhere, "announced", [])
        references = [Elsewhere(size) for size in (1, 2, 3_000)]
        ValueKeeper("all", 100, 1_000).bring_home(Success(None, reference) for reference in references)
        assert Elsewhere.announced == [references]
        assert [reference.loaded for reference in references] == [1, 1, 1]
