"""What a resumed run takes over although something before it ran again: what it is called with is what it was."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.core.engine.fakes import Recorder
from tests.core.testing.keeping_executor import KeepingExecutor

from headrace import Engine, Flow, Task, context, flatten, task, triggers, unmapped
from headrace.abc import RunStore
from headrace.engine.recorded_runs import open_history
from headrace.engine.resumed_runs import find_run, prepare_resume
from headrace.engine.wishes import Wishes
from headrace.exceptions import HistoryError
from headrace.history import TaskRunRecord
from headrace.history.resuming import Decision
from headrace.signals import SKIP

LARGE = "x" * 40_000


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


class World:
    """What tasks look at: each visit is noted, what is in ``broken`` raises, and ``values`` are what tasks return."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = {"last"}
        self.values: dict[str, Any] = {}

    def task(self, name: str, value: Callable[[Any], Any] | None = None, **options: Any) -> Task:
        """Return a task that comes to what ``values`` or ``value`` says, or to a text made of its argument."""

        def run(x: Any = None, y: Any = None) -> Any:
            index = context.get("map_index")
            place = name if index is None else f"{name}{index}"
            self.calls.append(place)
            if place in self.broken:
                raise ValueError(f"{place} is broken")
            if place in self.values:
                return self.values[place]
            return f"{name} of {str(x)[:20]} {str(y)[:20]}" if value is None else value(x)

        return task(run, name=name, **options)

    def since(self) -> list[str]:
        """Return what was called since the last time, sorted."""
        calls, self.calls = sorted(self.calls), []
        return calls

    def interrupted(self, flow: Flow, **options: Any) -> None:
        """Run ``flow``, of which ``last`` fails, and mend that."""
        assert not flow.run(record=True, **options).is_successful()
        self.broken.clear()
        self.since()


@pytest.fixture
def world() -> World:
    return World()


def lose(project: Path) -> None:
    """Lose all large results."""
    shutil.rmtree(project / ".headrace" / "results")


def made_again(world: World, **options: Any) -> Flow:
    """Return a flow of a task whose large result gets lost, what has finished with it, and what has not."""
    with Flow("made again") as flow:
        made = world.task("make", lambda _: LARGE, **options)()
        after = world.task("after")(world.task("done")(made))
        world.task("last")(made, after)
    return flow


def decisions(flow: Flow, **wishes: Any) -> dict[str, Decision]:
    """Return what would become of each task if the last run were resumed."""
    with Engine() as engine:
        found = find_run(engine, "latest")
        prepared = prepare_resume(flow, *found, engine, wishes=Wishes(only_looks=True, **wishes))
    return {each.slug.rpartition("-")[0]: each for each in prepared.resumption.decisions}


def rows() -> dict[tuple[str, int], TaskRunRecord]:
    """Return what is on record of the last run."""
    with Engine() as engine, open_history(True, engine) as store:
        run = store.run("latest")
        names = {each.node: each.name for each in store.tasks(run.id)}
        return {(names[row.node], row.map_index): row for row in store.task_runs(run.id)}


def taken_over() -> set[str]:
    """Return which task runs the last run has from an earlier one."""
    return {name if index < 0 else f"{name}{index}" for (name, index), row in rows().items() if row.taken_from}


# One after the other


def test_what_is_called_with_the_same_stays(world: World, project: Path) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    lose(project)
    state = flow.resume()
    assert (state.is_successful(), world.since()) == (True, ["last", "make"])
    assert taken_over() == {"done", "after"}
    results = {task.name: state.result[task].result for task in flow.tasks}
    assert results["after"] == "after of done of xxxxxxxxxxxx None"


def test_what_is_called_with_something_else_runs(world: World, project: Path) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    lose(project)
    world.values["make"] = "y" * 40_000
    assert flow.resume().is_successful()
    assert world.since() == ["after", "done", "last", "make"]
    assert taken_over() == set()


def test_what_is_after_something_that_came_to_the_same_stays(world: World, project: Path) -> None:
    """``done`` runs, since ``make`` returns something else; but it returns what it did."""
    flow = made_again(world)
    world.values["done"] = "the same"
    world.interrupted(flow)
    lose(project)
    world.values["make"] = "y" * 40_000
    assert flow.resume().is_successful()
    assert world.since() == ["done", "last", "make"]
    assert taken_over() == {"after"}


def test_what_cannot_be_pickled_is_something_else(world: World) -> None:
    flow = made_again(world)
    world.values["make"] = threading.Lock()
    world.values["done"] = 1
    world.interrupted(flow)
    assert flow.resume().is_successful()
    assert world.since() == ["done", "last", "make"]


def test_what_failed_in_the_same_way_again_is_something_else(world: World) -> None:
    """Exceptions are not compared."""
    with Flow("sorry") as flow:
        failing = world.task("last")()
        world.task("sorry", trigger=triggers.all_finished)(failing)
    assert flow.run(record=True).is_successful()
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["last", "sorry"]


@pytest.mark.parametrize(("trigger", "called"), [(triggers.all_successful, []), (triggers.all_finished, ["done"])])
def test_what_only_waits_for_something_is_not_asked_for_its_value(
    world: World, project: Path, trigger: Any, called: list[str]
) -> None:
    """The default trigger looks at no value, and one of somebody's own may."""
    with Flow("waits") as flow:
        made = world.task("make", lambda _: LARGE)()
        world.task("done", trigger=trigger)(upstream_tasks=[made])
        world.task("last")(made)
    world.interrupted(flow)
    lose(project)
    world.values["make"] = "y" * 40_000
    assert flow.resume().is_successful()
    assert world.since() == [*called, "last", "make"]


def test_what_is_skipped_now_is_something_else(world: World, project: Path) -> None:
    flow = made_again(world)
    flow.get_tasks(name="done")[0].skip_on_upstream_skip = False
    world.interrupted(flow)
    lose(project)

    def skips(x: Any = None, y: Any = None) -> Any:
        raise SKIP("no")

    flow.get_tasks(name="make")[0].run = skips
    flow.resume(accept_changes=True)
    assert "done" in world.since()


def test_a_result_that_was_found_in_the_cache_is_the_same(world: World, project: Path) -> None:
    flow = made_again(world, cache_for=3600)
    world.interrupted(flow)
    lose(project)
    assert flow.resume().is_successful()
    assert world.since() == ["last"]


def test_a_target_that_was_changed_is_looked_at(world: World, project: Path) -> None:
    """What is there counts, whoever wrote it."""
    flow = made_again(world, result="file:own", target="made.txt", serializer="text")
    world.interrupted(flow)
    (project / "own" / "made.txt").write_text("another")
    assert flow.resume().is_successful()
    assert world.since() == ["after", "done", "last"]


def test_what_is_gone_does_not_stay(world: World, project: Path) -> None:
    """It would be called with the same, but its own result cannot be read."""
    flow = made_again(world)
    world.values["after"] = "z" * 40_000
    world.interrupted(flow)
    lose(project)
    assert flow.resume().is_successful()
    assert world.since() == ["after", "last", "make"]
    assert taken_over() == {"done"}


def test_a_list_of_tasks_is_compared_as_well(world: World, project: Path) -> None:
    with Flow("lists") as flow:
        made = world.task("make", lambda _: LARGE)()
        world.task("done")([made, world.task("other")()])
        world.task("last")(made)
    world.interrupted(flow)
    lose(project)
    assert flow.resume().is_successful()
    assert world.since() == ["last", "make"]


# What somebody asks for


def test_what_depends_on_a_task_that_was_asked_for_runs(world: World) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    assert flow.resume(again=["make"]).is_successful()
    assert world.since() == ["after", "done", "last", "make"]


def test_what_depends_on_changed_code_runs(world: World, project: Path) -> None:
    def flow(factor: int) -> Flow:
        with Flow("changed") as made:
            world.task("done")(world.task("make", lambda _: factor * 0)())
        return made

    world.broken.clear()
    flow(1).run(record=True)
    world.since()
    flow(2).resume(accept_changes=True)
    assert world.since() == ["done", "make"]


def test_what_is_left_out_does_not_stay(world: World, project: Path) -> None:
    """Nor does it run: the next one who resumes the run goes on with it."""
    with Flow("left") as flow:
        made = world.task("make", lambda _: LARGE)()
        world.task("done")(made)
        world.task("last")(made)
    world.interrupted(flow)
    lose(project)
    flow.resume(rerun_failed=True)
    assert (world.since(), rows()["done", -1].state) == (["last", "make"], "Cancelled")
    assert flow.resume().is_successful()
    assert world.since() == ["done"]


# Maps


def mapped(world: World) -> Flow:
    """Return a flow that maps over a list that is made of something large."""
    with Flow("mapped") as flow:
        made = world.task("make", lambda _: LARGE)()
        items = world.task("items", lambda _: [1, 2, 3])(made)
        doubles = world.task("double", lambda x: 2 * x).map(items)
        world.task("total", sum)(doubles)
        world.task("last")(made)
    return flow


def test_children_stay_where_the_list_is_the_same(world: World, project: Path) -> None:
    flow = mapped(world)
    world.interrupted(flow)
    lose(project)
    world.values["make"] = "y" * 40_000
    state = flow.resume()
    assert (state.is_successful(), world.since()) == (True, ["items", "last", "make"])
    assert taken_over() == {"double0", "double1", "double2", "total"}
    (total,) = flow.get_tasks(name="total")
    assert state.result[total].result == 12


@pytest.mark.parametrize(
    ("now", "called"),
    [
        ([1, 5, 3], ["double1", "total"]),
        ([1, 2, 3, 4], ["double3", "total"]),
        ([1, 2], ["total"]),
        ([2, 3, 1], ["double0", "double1", "double2"]),
        ([], ["total"]),
        ((1, 2, 3), []),
    ],
    ids=str,
)
def test_children_stay_whose_element_is_the_same(
    world: World, project: Path, now: list[int], called: list[str]
) -> None:
    flow = mapped(world)
    flow.get_tasks(name="total")[0].trigger = triggers.all_successful
    world.interrupted(flow)
    lose(project)
    world.values["make"] = "y" * 40_000
    world.values["items"] = now
    state = flow.resume()
    assert state.is_successful()
    assert state.result[flow.get_tasks(name="total")[0]].result == 2 * sum(now)
    # A sum of the same numbers in another order is another call.
    expected = [*called, "total"] if now == [2, 3, 1] else called
    assert world.since() == sorted([*expected, "items", "last", "make"])


def test_elements_are_the_same_that_are_alike(world: World, project: Path) -> None:
    """Whether they are one object, or share parts with others in the list, has nothing to do with it."""
    flow = mapped(world)
    one = ["a", {"b": 1}]
    world.values |= {"items": [one, one, one], "double0": 1, "double1": 2, "double2": 3}
    world.interrupted(flow)
    lose(project)
    world.values |= {"make": "y" * 40_000, "items": [["".join("a"), {"b": 1}], one, [*one, 2]]}
    assert flow.resume().is_successful()
    assert world.since() == ["double2", "items", "last", "make"]


def test_elements_that_cannot_be_pickled_are_something_else(world: World, project: Path) -> None:
    flow = mapped(world)
    world.interrupted(flow)
    lose(project)
    world.values |= {"make": "y" * 40_000, "items": [1, 2, threading.Lock()], "double2": 6}
    assert flow.resume().is_successful()
    assert world.since() == ["double0", "double1", "double2", "items", "last", "make"]


def test_children_of_children_stay_one_by_one(world: World, project: Path) -> None:
    with Flow("pairs") as flow:
        first = world.task("first", lambda x: str(x) * 40_000).map([1, 2, 3])
        second = world.task("second", len).map(first)
        world.task("total", sum)(second)
        world.task("last")(first)
    world.interrupted(flow)
    lose(project)
    world.values["first1"] = "shorter"
    assert flow.resume().is_successful()
    assert world.since() == ["first0", "first1", "first2", "last", "second1", "total"]
    assert taken_over() == {"second0", "second2"}


def test_a_child_that_runs_reads_nothing_of_others_that_stay(world: World, project: Path) -> None:
    """The result of ``first`` that is gone is one that no child reads."""
    with Flow("apart") as flow:
        first = world.task("first", lambda x: str(x) * 40_000).map([1, 2])
        world.task("second", len).map(first)
    world.broken = {"second1"}
    world.interrupted(flow)
    (project / ".headrace" / "results").rename(project / "kept")
    for path in (project / "kept").rglob("1.result"):
        (project / ".headrace" / "results" / path.relative_to(project / "kept")).parent.mkdir(parents=True)
        path.rename(project / ".headrace" / "results" / path.relative_to(project / "kept"))
    assert flow.resume().is_successful()
    assert world.since() == ["second1"]


def test_what_all_children_get_counts_for_all(world: World, project: Path) -> None:
    with Flow("unmapped") as flow:
        made = world.task("make", lambda _: LARGE)()
        world.task("child").map([1, 2], unmapped(made))
        world.task("last")(made)
    world.interrupted(flow)
    lose(project)
    assert flow.resume().is_successful()
    assert world.since() == ["last", "make"]


@pytest.mark.parametrize(("now", "called"), [("y" * 40_000, ["child0", "child1"]), (LARGE, [])])
def test_what_is_flattened_is_compared_as_a_whole(world: World, project: Path, now: str, called: list[str]) -> None:
    with Flow("flat") as flow:
        made = world.task("make", lambda _: [LARGE]).map([1, 2])
        world.task("child", lambda _: 1).map(flatten(made))
        world.task("last")(made)
    world.interrupted(flow)
    lose(project)
    world.values["make1"] = [now]
    assert flow.resume().is_successful()
    assert world.since() == [*called, "last", "make0", "make1"]


def test_a_reduction_runs_if_one_child_comes_to_something_else(world: World) -> None:
    with Flow("some") as flow:
        children = world.task("child").map([1, 2, 3])
        world.task("any", trigger=triggers.any_successful)(children)
    world.broken = {"child1"}
    flow.run(record=True)
    world.broken.clear()
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["any", "child1"]


# What others see of it


def test_nobody_hears_of_what_stays(world: World, project: Path) -> None:
    """As of everything that is taken over."""
    heard: list[str] = []
    flow = made_again(world, state_handlers=[])
    flow.get_tasks(name="done")[0].state_handlers.append(lambda *_: heard.append("handler"))
    world.interrupted(flow)
    heard.clear()
    lose(project)
    observer = Recorder()
    flow.resume(engine=Engine(plugins=[observer]))
    assert heard == []
    assert "done" not in str(observer.__dict__)


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_it_does_not_matter_where_tasks_run(project: Path, executor: str) -> None:
    with Flow("elsewhere") as flow:
        made = task(large_of_file, name="make")("value")
        task(noted_length, name="done")(made)
        task(missing, name="last")(made)
    assert flow.run(record=True, executor=executor).is_failed()
    lose(project)
    Path("mended").touch()
    assert flow.resume().is_successful()
    assert Path("lengths").read_text() == "40000\n"


@pytest.mark.parametrize(
    ("items", "called"), [([1, 2, 3], []), ([1, 5, 3], ["double0", "double1", "double2", "total"])], ids=str
)
def test_a_list_that_stays_elsewhere_is_compared_as_a_whole(
    world: World, project: Path, items: list[int], called: list[str]
) -> None:
    flow = mapped(world)
    world.interrupted(flow)
    lose(project)
    world.values |= {"make": "y" * 40_000, "items": items}
    state = flow.resume(executor=KeepingExecutor(), keep_results="all")
    assert state.is_successful()
    assert state.result[flow.get_tasks(name="total")[0]].result == 2 * sum(items)
    assert world.since() == sorted([*called, "items", "last", "make"])


def large_of_file(name: str) -> str:
    return "x" * 40_000


def noted_length(text: str) -> int:
    with Path("lengths").open("a") as file:
        file.write(f"{len(text)}\n")
    return len(text)


def missing(text: str) -> None:
    if not Path("mended").exists():
        raise ValueError("not mended")


def test_a_dry_run_says_what_may_stay(world: World, project: Path) -> None:
    flow = mapped(world)
    world.interrupted(flow)
    lose(project)
    found = decisions(flow)
    assert {name: (each.runs, each.may_stay) for name, each in found.items()} == {
        "make": (1, 0),
        "items": (1, 1),
        "double": (None, 3),
        "total": (1, 1),
        "last": (1, 0),
    }
    assert {each.may_stay for each in decisions(flow, again=["make"]).values()} == {0}


# One resumption after the other


def test_a_run_in_which_something_stayed_can_be_resumed(world: World, project: Path) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    lose(project)
    world.broken = {"last"}
    assert flow.resume().is_failed()
    first = rows()
    world.broken.clear()
    assert world.since() == ["last", "make"]
    assert flow.resume().is_successful()
    assert world.since() == ["last"]
    assert rows()["done", -1].taken_from == first["done", -1].taken_from


class Cut(HistoryError):
    """Stands for the end of the process."""


def cut_off(store: RunStore, after: str) -> Any:
    """Let the next run of a store be cut off once the task of that name has finished."""
    begin = store.begin

    def begin_one(run: Any, tasks: Any, **kwargs: Any) -> Any:
        journal = begin(run, tasks, **kwargs)
        (node,) = [each.node for each in tasks if each.name == after]
        return Shears(journal, node)

    store.begin = begin_one  # type: ignore[method-assign]
    return begin


class Shears:
    def __init__(self, journal: Any, node: int) -> None:
        self._journal = journal
        self._node = node
        self._over = False

    def __getattr__(self, name: str) -> Any:
        said = getattr(self._journal, name)
        if name not in {"began", "finished", "expanded", "ended", "taken_over"}:
            return said

        def cut(*args: Any) -> Any:
            if self._over:
                raise Cut("cut off")
            self._over = name == "finished" and args[0] == self._node
            return said(*args)

        return cut


@pytest.mark.parametrize(("now", "called"), [(LARGE, ["last"]), ("y" * 40_000, ["after", "done", "last"])])
def test_what_might_have_stayed_when_a_run_was_cut_off_stays_in_the_next_one(
    world: World, now: str, called: list[str], project: Path
) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    lose(project)
    world.values["make"] = now
    with Engine() as engine, open_history(True, engine) as store:
        begin = cut_off(store, "make")
        with pytest.raises(Cut):
            flow.resume(record=store)
        store.begin = begin  # type: ignore[method-assign]
        store.sweep()
        assert world.since() == ["make"]
        state = flow.resume(record=store)
    assert (state.is_successful(), world.since()) == (True, called)
    (last,) = flow.get_tasks(name="last")
    assert state.result[last].result == f"last of {now[:20]} after of done of {now[:3]}"


def test_what_is_in_the_history_no_more_does_not_stay(world: World, project: Path) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    lose(project)
    with Engine() as engine, open_history(True, engine) as store:
        first = store.run("latest").id
        begin = cut_off(store, "make")
        with pytest.raises(Cut):
            flow.resume(record=store)
        store.begin = begin  # type: ignore[method-assign]
        store.sweep()
        store.delete(first)
        world.since()
        assert flow.resume(record=store).is_successful()
    assert world.since() == ["after", "done", "last"]


def test_what_might_have_stayed_may_do_so_after_many_cuts(world: World, project: Path) -> None:
    flow = mapped(world)
    world.interrupted(flow)
    lose(project)
    world.values |= {"make": "y" * 40_000, "items": [1, 2, 4]}
    with Engine() as engine, open_history(True, engine) as store:
        first = store.run("latest").id
        for name in ("make", "items"):
            begin = cut_off(store, name)
            with pytest.raises(Cut):
                flow.resume(record=store)
            store.begin = begin  # type: ignore[method-assign]
            store.sweep()
        world.since()
        assert flow.resume(record=store).is_successful()
    assert world.since() == ["double2", "last", "total"]
    assert {row.taken_from for (name, index), row in rows().items() if name == "double" and index in {0, 1}} == {first}


def test_what_was_asked_for_in_a_run_that_was_cut_off_runs_in_the_next_one(world: World) -> None:
    flow = made_again(world)
    world.interrupted(flow)
    with Engine() as engine, open_history(True, engine) as store:
        begin = cut_off(store, "make")
        with pytest.raises(Cut):
            flow.resume(record=store, again=["make"])
        store.begin = begin  # type: ignore[method-assign]
        store.sweep()
        world.since()
        assert flow.resume(record=store).is_successful()
    assert world.since() == ["after", "done", "last"]


def test_what_ran_in_a_run_that_was_cut_off_does_not_stay_as_it_was_before(world: World, project: Path) -> None:
    """Whoever was called with something else, and failed, has nothing to go back to."""
    flow = made_again(world)
    world.interrupted(flow)
    lose(project)
    world.values["make"] = "y" * 40_000
    world.broken = {"done"}
    assert flow.resume().is_failed()
    lose(project)
    world.broken.clear()
    world.values["make"] = LARGE
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["done", "last", "make"]
