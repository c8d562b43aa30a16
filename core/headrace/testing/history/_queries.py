"""What a history promises to those who look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.exceptions import RunNotFoundError
from headrace.history import UNMAPPED, RunQuery, TaskRunQuery, ValueRecord
from headrace.testing.history._base import RunStoreTests, a_run, a_task, only, shown, succeed

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.abc import RunStore
    from headrace.history import RunRecord

__all__ = ["Queries"]


def _begin(store: RunStore, **fields: Any) -> RunRecord:
    run = a_run(**fields)
    store.begin(run, [])
    return run


class Queries(RunStoreTests):
    """Runs and task runs are found by what is asked."""

    def test_a_history_that_is_not_there_has_no_runs(self, store: RunStore, place: Path) -> None:
        """Looking makes nothing."""
        assert list(store.runs()) == []
        assert list(store.sweep()) == []
        assert list(store.check()) == []
        assert store.size() == 0
        store.compact()
        for name in ("latest", "0", ""):
            with pytest.raises(RunNotFoundError):
                store.run(name)
        with pytest.raises(RunNotFoundError):
            store.tasks("0")
        with pytest.raises(RunNotFoundError):
            list(store.task_runs("0"))
        with pytest.raises(RunNotFoundError):
            store.is_alive("0")
        with pytest.raises(RunNotFoundError):
            store.delete("0")
        store.close()
        assert list(place.iterdir()) == []

    def test_the_last_run_comes_first(self, store: RunStore) -> None:
        """Runs are listed by when they were begun, whatever their clock said."""
        runs = [_begin(store, created=100.0 - number) for number in range(5)]
        assert [run.id for run in store.runs()] == [run.id for run in reversed(runs)]
        assert store.run("latest").id == runs[-1].id

    def test_runs_are_found_by_what_they_are(self, store: RunStore) -> None:
        """Each field of a query leaves out the runs that do not fit."""
        one = _begin(store, flow_name="one", created=10.0)
        two = _begin(store, flow_name="two", created=20.0)
        inner = _begin(store, flow_name="two", created=30.0, parent=one.id)
        store.begin(a_run(flow_name="three", created=40.0), []).ended("Success", None, 41.0)

        def found(**query: Any) -> list[str]:
            return [run.flow_name for run in store.runs(RunQuery(**query))]

        assert found() == ["three", "two", "one"]
        assert found(nested=True) == ["three", "two", "two", "one"]
        assert [run.id for run in store.runs(RunQuery(parent=one.id))] == [inner.id]
        assert [run.id for run in store.runs(RunQuery(flow_name="two"))] == [two.id]
        assert found(states=frozenset({"Success", "Failed"})) == ["three"]
        assert found(states=frozenset()) == []
        assert found(since=20.0) == ["three", "two"]
        assert found(before=20.0) == ["one"]

    def test_runs_are_listed_page_by_page(self, store: RunStore) -> None:
        """``limit`` ends a page, and ``after`` begins the next; no run is left out or comes twice."""
        ids = [_begin(store).id for _ in range(7)][::-1]
        assert [run.id for run in store.runs(RunQuery(limit=3))] == ids[:3]
        assert [run.id for run in store.runs(RunQuery(limit=3, after=ids[2]))] == ids[3:6]
        assert [run.id for run in store.runs(RunQuery(limit=3, after=ids[5]))] == ids[6:]
        assert list(store.runs(RunQuery(limit=0))) == []
        assert [run.id for run in store.runs(RunQuery(limit=10**6))] == ids

    def test_a_run_goes_by_several_names(self, store: RunStore) -> None:
        """An id, the beginning of one, a name of which the last run is meant, or ``latest``."""
        first = _begin(store, id="aaaa1111-0000", name="night")
        second = _begin(store, id="aaab2222-0000", name="night")
        nested = _begin(store, id="bbbb3333-0000", name="inner", parent=first.id)
        assert store.run(first.id).id == first.id
        assert store.run("aaaa").id == first.id
        assert store.run("night").id == second.id
        assert store.run("bbbb").id == nested.id
        assert store.run("latest").id == second.id

    def test_a_name_that_fits_several_runs_lists_them(self, store: RunStore) -> None:
        """The beginning of two ids means neither."""
        ids = {_begin(store, id=each).id for each in ("aaaa1111-0000", "aaab2222-0000")}
        with pytest.raises(RunNotFoundError) as caught:
            store.run("aaa")
        assert set(caught.value.near) == ids

    @pytest.mark.parametrize("name", ["ngiht", "aaac", "%", "_____________", "", "latest'--"])
    def test_a_name_that_fits_none_lists_the_nearest(self, store: RunStore, name: str) -> None:
        """What is meant may be near what was said; nothing in a name has a meaning of its own."""
        _begin(store, id="aaaa1111-0000", name="night")
        with pytest.raises(RunNotFoundError) as caught:
            store.run(name)
        assert caught.value.near

    def test_a_name_that_several_runs_have_is_listed_once(self, store: RunStore) -> None:
        """A run that is begun every night has one name."""
        for _ in range(2):
            _begin(store, name="night")
        with pytest.raises(RunNotFoundError) as caught:
            store.run("ngiht")
        assert list(caught.value.near).count("night") == 1

    def test_an_unknown_run_is_an_error_everywhere(self, store: RunStore) -> None:
        """Methods that take an id do not answer for a run that is not there."""
        _begin(store)
        with pytest.raises(RunNotFoundError):
            list(store.task_runs("nothing"))
        for method in (store.tasks, store.is_alive, store.delete):
            with pytest.raises(RunNotFoundError):
                method("nothing")
        for look in (store.task_run, store.attempts, store.notes):
            with pytest.raises(RunNotFoundError):
                look("nothing", 0)

    def test_task_runs_are_found_by_what_they_are(self, store: RunStore) -> None:
        """A mapped task comes before its children, and each field of a query leaves out those that do not fit."""
        run = a_run()
        journal = store.begin(run, [a_task(node) for node in range(3)])
        succeed(journal, 2)
        journal.expanded(1, 3, 10.0)
        for number in (2, 0, 1):
            succeed(journal, 1, number)
        journal.finished(0, UNMAPPED, 1, "Failed", None, None, 12.0)
        journal.flush()
        children = [(1, 0, "Success"), (1, 1, "Success"), (1, 2, "Success")]
        whole = [(0, UNMAPPED, "Failed"), (1, UNMAPPED, "Running"), *children, (2, UNMAPPED, "Success")]
        assert shown(store, run.id) == whole
        assert shown(store, run.id, node=1) == whole[1:5]
        assert shown(store, run.id, node=1, children=True) == children
        assert shown(store, run.id, children=False) == [whole[0], whole[1], whole[5]]
        assert shown(store, run.id, states=frozenset({"Failed", "Running"})) == whole[:2]
        assert shown(store, run.id, limit=2) == whole[:2]
        assert shown(store, run.id, limit=3, after=(1, UNMAPPED)) == whole[2:5]
        assert store.task_run(run.id, 1, 9) is None

    def test_values_come_along_when_asked(self, store: RunStore) -> None:
        """Listing brings what is known about a value, and its bytes only if a query says so."""
        run, value = a_run(), ValueRecord(b"bytes", None, None, "pickle", "builtins.int", 5)
        journal = store.begin(run, [a_task()])
        succeed(journal, value=value)
        journal.flush()
        (without,) = store.task_runs(run.id)
        (with_data,) = store.task_runs(run.id, TaskRunQuery(data=True))
        assert (without.value, with_data.value) == (value._replace(data=None), value)
        assert only(store, run.id).value == value

    def test_a_long_list_can_be_left_early(self, store: RunStore) -> None:
        """Whoever stops looking keeps nobody from writing."""
        run = a_run()
        journal = store.begin(run, [a_task()])
        for number in range(5000):
            succeed(journal, map_index=number)
        journal.flush()
        looking = store.task_runs(run.id)
        assert next(looking).map_index == 0
        succeed(journal, map_index=5000)
        journal.ended("Success", None, 12.0)
        assert sum(1 for _ in looking) == 5000
