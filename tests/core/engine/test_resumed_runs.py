"""What `Flow.resume` takes over, what it runs, and what it asks; the command line is tested elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace import Engine, Flow, Parameter, Secret, Task, context, flatten, resource_manager, task, triggers
from headrace.abc import RunJournal
from headrace.caching import all_inputs
from headrace.engine.recorded_runs import open_history
from headrace.engine.resumed_runs import find_run, next_name, prepare_resume
from headrace.engine.wishes import Wishes
from headrace.exceptions import DefinitionTypeError, HistoryError, OpenQuestionError, ResultReleasedError
from headrace.history import RunRecord, TaskRunQuery
from headrace.history.resuming import Decision
from headrace.masking import masker
from headrace.results import LocalResult
from headrace.states import State, Success
from headrace_plugins.sqlite.store import SQLiteRunStore

pytestmark = pytest.mark.usefixtures("project")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


class World:
    """What tasks look at: what they were called with is noted, and what is in ``broken`` raises."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.broken: set[str] = set()

    def visit(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise ValueError(f"{name} is broken")

    def since(self) -> list[str]:
        """Return what was called since the last time, sorted."""
        calls, self.calls = sorted(self.calls), []
        return calls

    def task(self, name: str, value: Callable[..., Any] = lambda *_: 1, **options: Any) -> Task:
        """Return a task that visits its name, and the number of the child if it is one."""

        def run(*, args: Any = ()) -> Any:
            index = context.get("map_index")
            self.visit(name if index is None else f"{name}{index}")
            return value(args)

        return task(run, name=name, **options)


@pytest.fixture
def world() -> World:
    return World()


def decisions(flow: Flow, **wishes: Any) -> dict[str, Decision]:
    """Return what would become of each task if the last run were resumed."""
    with Engine() as engine:
        found = find_run(engine, "latest")
        prepared = prepare_resume(flow, *found, engine, wishes=Wishes(only_looks=True, **wishes))
    return {decision.slug.rpartition("-")[0]: decision for decision in prepared.resumption.decisions}


def states(flow: Flow, state: State) -> dict[str, str]:
    return {task.name: type(state.result[task]).__name__ for task in flow.tasks}


def last_run() -> RunRecord:
    with Engine() as engine, open_history(True, engine) as store:
        return store.run("latest")


def rows() -> dict[tuple[str, int], str]:
    """Return the states of the last run as they are on record."""
    with Engine() as engine, open_history(True, engine) as store:
        run = store.run("latest")
        names = {each.node: each.name for each in store.tasks(run.id)}
        return {(names[row.node], row.map_index): row.state for row in store.task_runs(run.id, TaskRunQuery())}


def chain(world: World, *names: str, **options: Any) -> Flow:
    """Return a flow of tasks one after the other."""
    with Flow("chain") as flow:
        before: Any = ()
        for name in names:
            before = world.task(name, **options)(args=before)
    return flow


class Listening:
    """A journal that keeps a list of which task runs it was told have finished."""

    def __init__(self, journal: RunJournal, said: list[tuple[int, int]]) -> None:
        self._journal = journal
        self._said = said

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def finished(self, node: int, map_index: int, /, *rest: Any) -> None:
        self._said.append((node, map_index))
        self._journal.finished(node, map_index, *rest)


class ListeningStore(SQLiteRunStore):
    said: list[tuple[int, int]]

    def begin(self, *args: Any, **options: Any) -> Any:
        self.said = []
        return Listening(super().begin(*args, **options), self.said)


# What plain resume does


def test_what_was_taken_over_is_not_said_again(world: World, project: Path) -> None:
    with Flow("wide") as flow:
        first = world.task("first")()
        world.task("each").map(args=[first] * 20)
    world.broken.add("each7")
    with ListeningStore(f"sqlite:{project}/runs.db") as store:
        assert flow.run(record=store).is_failed()
        assert len(store.said) > 20
        before = {(row.node, row.map_index): row.state for row in store.task_runs(store.run("latest").id)}
        world.broken.clear()
        assert flow.resume(record=store).is_successful()
        (each,) = (task.node for task in store.tasks(store.run("latest").id) if task.name == "each")
        assert [said for said in store.said if said[0] == each] == [(each, 7), (each, -1)]
        assert len(store.said) < 5
        rows = {(row.node, row.map_index): row.state for row in store.task_runs(store.run("latest").id)}
        assert rows.keys() == before.keys()
        assert set(rows.values()) == {"Success", "Mapped"}


def test_states_that_a_run_is_given_are_on_record(world: World) -> None:
    """They are known from nowhere else, unlike those of a run that is resumed."""
    with Flow("given") as flow:
        first = world.task("first")()
        world.task("second")(args=first)
    assert flow.run(record=True, task_states={first: Success(result=3)}).is_successful()
    assert rows()["first", -1] == "Success"


def test_what_failed_and_what_had_not_begun_runs(world: World) -> None:
    flow = chain(world, "a", "b", "c")
    world.broken.add("b")
    assert flow.run(record=True).is_failed()
    world.broken.clear()
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["b", "c"]


def test_the_last_run_of_this_flow_is_meant(world: World) -> None:
    flow = chain(world, "a")
    flow.run(record=True)
    with Flow("other") as other:
        world.task("x")()
    other.run(record=True)
    world.since()
    flow.resume()
    assert world.since() == []
    with Flow("never run") as never, pytest.raises(HistoryError, match="no run of flow 'never run'"):
        never.resume()


def test_what_only_finished_tasks_read_is_not_made_again_although_it_is_lost(world: World) -> None:
    with Flow("locks") as flow:
        lock = world.task("lock", lambda _: threading.Lock())()
        user = world.task("user")(args=lock)
        world.task("last")(args=user)
    world.broken.add("last")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    flow.resume()
    assert world.since() == ["last"]


def test_what_nobody_reads_does_not_run_again_because_it_could_not_be_kept(world: World) -> None:
    """It has finished, whatever it returned."""
    with Flow("sent") as flow:
        world.task("send", lambda _: threading.Lock())()
        world.task("fails")()
    world.broken.add("fails")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    state = flow.resume()
    assert world.since() == ["fails"]
    with pytest.raises(ResultReleasedError, match="not kept by the run that made it"):
        _ = state.result[flow.get_tasks(name="send")[0]].result


def test_what_is_lost_is_made_again_for_who_needs_it_through_all_that_is_lost(world: World) -> None:
    """Lost values one behind the other, of which the last is needed."""
    with Flow("locks") as flow:
        before: Any = ()
        for i in range(4):
            before = world.task(f"lock{i}", lambda _: threading.Lock())(args=before)
        world.task("user")(args=before)
    world.broken.add("user")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["lock0", "lock1", "lock2", "lock3", "user"]


def test_children_that_gather_flattened_are_not_taken_for_those_with_the_same_index(world: World) -> None:
    """Child 1 of the gathering map depends on all children of the map before it, and not on its child 1."""
    flat = {"long": False}

    @task
    def pair(x: int) -> list[int]:
        world.visit(f"pair{x}")
        return [x] * (3 if flat["long"] else 1)

    @task
    def double(x: int, y: int) -> int:
        world.visit(f"double{x}")
        return 2 * x

    with Flow("flat") as flow:
        pairs = pair.map([0, 1, 2])
        doubles = double.map(flatten(pairs), world.task("same", lambda _: 0).map(args=[0, 1, 2]), strict=False)
    world.broken |= {"pair0", "same2"}
    flow.run(record=True)
    world.broken.clear()
    flat["long"] = True
    state = flow.resume()
    assert [child.result for child in state.result[doubles].map_states] == [0, 0, 0]


@pytest.mark.parametrize("now", [[5, 0, 9, 1], [9, 5], []])
def test_children_of_a_list_that_is_another_one_now_all_run(world: World, now: list[int]) -> None:
    """Whatever its length and order, none is taken for an earlier one with the same index."""
    given = [[0, 5, 9], now]

    @task
    def double(x: int) -> int:
        world.visit(f"double{x}")
        return 2 * x

    with Flow("lists") as flow:
        doubles = double.map(world.task("items", lambda _: given.pop(0))())
    world.broken.add("double9")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    state = flow.resume(again=["items"])
    assert world.since() == sorted(["items", *(f"double{x}" for x in now)])
    assert [child.result for child in state.result[doubles].map_states] == [2 * x for x in now]


def test_code_of_a_task_that_had_not_finished_may_change(world: World) -> None:
    """Mending what failed is what people resume for."""

    def made(factor: int) -> Flow:
        with Flow("mended") as flow:
            first = world.task("first")()
            world.task("second", lambda _: factor)(args=first)
        return flow

    world.broken.add("second")
    made(1).run(record=True)
    world.broken.clear()
    world.since()
    assert made(2).resume().is_successful()
    assert world.since() == ["second"]


def helper_flow(world: World, number: int) -> Flow:
    def helper() -> int:
        return number

    @task
    def calls() -> int:
        world.visit("calls")
        return helper()

    with Flow("helped") as flow:
        calls()
    return flow


def test_code_that_a_task_calls_counts_as_its_own(world: World) -> None:
    helper_flow(world, 1).run(record=True)
    with pytest.raises(HistoryError, match="The code of 'calls-1' has changed"):
        helper_flow(world, 2).resume()
    assert helper_flow(world, 2).resume(accept_changes=True).is_successful()
    assert world.since() == ["calls", "calls"]


# Values that lie elsewhere


def stored(world: World, **options: Any) -> Flow:
    with Flow("stored") as flow:
        made = world.task("made", lambda _: "made", **options)()
        world.task("use", lambda text: text + " and used")(args=made)
    return flow


WHERE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "run": ({}, {"results": "file:own"}),
    "run's object": ({}, {"results": LocalResult(dir="own")}),
    "task": ({"result": "file:own"}, {}),
    "task's object": ({"result": LocalResult(dir="own")}, {}),
    "target": ({"result": "file:own", "target": "made.pickle"}, {}),
    "location": ({"result": LocalResult(dir="own", location="made.pickle")}, {}),
    "json": ({"result": "file:own", "serializer": "json"}, {}),
}


@pytest.mark.parametrize("where", WHERE)
def test_a_result_in_a_store_of_somebody_s_own_is_taken_over(world: World, where: str) -> None:
    of_task, of_run = WHERE[where]
    flow = stored(world, **of_task)
    world.broken.add("use")
    flow.run(record=True, **of_run)
    world.broken.clear()
    world.since()
    state = flow.resume()
    assert state.result[flow.get_tasks(name="use")[0]].result == "made and used"
    assert world.since() == ["use"]


def made_elsewhere() -> str:
    return "made"


@pytest.mark.parametrize("where", ["run", "task", "target"])
def test_it_is_taken_over_from_another_process_as_well(where: str) -> None:
    of_task, of_run = WHERE[where]
    with Flow("elsewhere") as flow:
        task(made_elsewhere, name="made", **of_task)()
    flow.run(record=True, executor="processes", **of_run)
    assert decisions(flow)["made"].why == ""
    state = flow.resume()
    assert state.result[flow.get_tasks()[0]].result == "made"


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("harm", ["gone", "changed", "another"])
def test_a_result_that_is_lost_or_another_one_is_made_again(world: World, project: Path, where: str, harm: str) -> None:
    of_task, of_run = WHERE[where]
    flow = stored(world, **of_task)
    world.broken.add("use")
    flow.run(record=True, **of_run)
    (file,) = (path for path in (project / "own").rglob("*") if path.is_file())
    harmed(file, harm, of_task)
    world.broken.clear()
    world.since()
    why = decisions(flow)["made"].why
    assert why.startswith("its result is lost: ")
    state = flow.resume()
    # A target is what it is, whoever wrote it; and never is it silently another value than what was looked at.
    looks = where == "target" and harm == "another"
    assert state.result[flow.get_tasks(name="use")[0]].result == ("other and used" if looks else "made and used")
    assert world.since() == (["use"] if looks else ["made", "use"])


def harmed(file: Path, harm: str, of_task: dict[str, Any]) -> None:
    if harm == "gone":
        file.unlink()
    elif harm == "changed":
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        if of_task.get("target"):
            file.unlink()
        else:
            file.write_bytes(data)
    else:
        other = World()
        with Flow("other") as flow:
            other.task("made", lambda _: "other", **of_task)()
        file.unlink()
        known = set(file.parents[0].rglob("*"))
        flow.run(record=False, results=None if of_task else "file:own")
        new = [path for path in Path("own").rglob("*") if path.is_file() and path.resolve() not in known]
        new[0].replace(file)


def test_a_result_that_was_found_in_the_cache_is_taken_over(world: World) -> None:
    flow = stored(world, cache_for=3600, cache_validator=all_inputs, cache_key="made")
    flow.run()
    world.broken.add("use")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    with Engine() as engine:
        prepared = prepare_resume(flow, *find_run(engine, "latest"), engine)
    assert prepared.resumption.decisions[0].why == ""
    state = flow.resume()
    assert state.result[flow.get_tasks(name="use")[0]].result == "made and used"
    assert world.since() == ["use"]


def test_a_validator_is_not_asked_about_what_has_finished(world: World) -> None:
    """What was found in the cache then is the result now, whether it would be found today or not."""
    fits = [True]
    flow = stored(world, cache_for=3600, cache_validator=lambda *_: fits[0], cache_key="made")
    flow.run()
    world.broken.add("use")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    fits[0] = False
    assert flow.resume().is_successful()
    assert world.since() == ["use"]


def test_a_store_whose_name_is_not_on_record_is_given_again(world: World, project: Path) -> None:
    with Engine() as engine:
        store = engine.registry.create_from_url("store", f"file:{project / 'own'}")
    flow = stored(world)
    world.broken.add("use")
    flow.run(record=True, results=store)
    world.broken.clear()
    world.since()
    assert decisions(flow)["made"].why == "the run does not know the name of the store that its result is in"
    assert flow.resume(results=store).is_successful()
    assert world.since() == ["use"]


def test_a_result_is_found_by_the_run_that_made_it(world: World) -> None:
    """Through two resumed runs, the second of which had another store."""
    flow = stored(world)
    world.broken.add("use")
    flow.run(record=True, results="file:own")
    flow.resume(results="file:elsewhere")
    world.broken.clear()
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["use"]
    assert last_run().results == "file:elsewhere"


# What a task says of itself


@pytest.mark.parametrize(
    ("word", "called", "ends"),
    [
        ("rerun", ["b", "c"], {"a": "Success", "b": "Success", "c": "Success"}),
        ("skip", [], {"a": "Success", "b": "Skipped", "c": "Skipped"}),
    ],
)
def test_a_task_says_what_becomes_of_it(world: World, word: Any, called: list[str], ends: dict[str, str]) -> None:
    flow = chain(world, "a", "b", "c", resume=word)
    world.broken.add("b")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    assert states(flow, flow.resume()) == ends
    assert world.since() == called
    assert {name: state for (name, _), state in rows().items()} == ends


def test_a_task_that_is_skipped_says_why(world: World) -> None:
    flow = chain(world, "a", resume="skip")
    world.broken.add("a")
    flow.run(record=True)
    assert decisions(flow)["a"].why == "skipped: it was Failed"
    state = flow.resume()
    assert state.result[flow.get_tasks()[0]].message == "Not run again when the run was resumed: it was Failed."


def test_a_task_that_had_not_begun_runs_whatever_it_says(world: World) -> None:
    flow = chain(world, "a", "b", resume="rerun")
    flow.get_tasks(name="b")[0].resume = "ask"
    world.broken.add("a")
    flow.run(record=True)
    world.broken.clear()
    assert flow.resume().is_successful()


def test_a_task_that_wants_to_be_asked_is_not_run_without(world: World) -> None:
    flow = chain(world, "a", "b", resume="ask")
    world.broken.add("a")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    assert decisions(flow)["a"].why == "it was Failed"
    with pytest.raises(
        OpenQuestionError, match="'a-1' wants to be asked .*it was Failed.*--rerun a-1.*--skip a-1"
    ) as error:
        flow.resume()
    assert (error.value.slugs, world.since()) == (("a-1",), [])
    assert states(flow, flow.resume(skip=["a"])) == {"a": "Skipped", "b": "Skipped"}
    assert world.since() == []


def test_the_answer_may_be_that_it_runs_again(world: World) -> None:
    flow = chain(world, "a", "b", resume="ask")
    world.broken.add("a")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    assert flow.resume(rerun=["a"]).is_successful()
    assert world.since() == ["a", "b"]


@pytest.mark.parametrize("answer", ["rerun", "skip"])
def test_an_answer_that_nobody_asked_for_is_refused(world: World, answer: str) -> None:
    flow = chain(world, "a", "b")
    world.broken.add("b")
    flow.run(record=True)
    with pytest.raises(HistoryError, match="'a-1' had not failed and was not under way.*--from a-1"):
        flow.resume(**{answer: ["a"]})  # type: ignore[arg-type]


def test_only_the_children_that_had_begun_are_asked_about(world: World) -> None:
    with Flow("map") as flow:
        children = world.task("child", resume="ask").map(args=[0, 1, 2])
        world.task("all", sum)(args=children)
    world.broken.add("child1")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    with pytest.raises(OpenQuestionError, match="1 of its children were Failed"):
        flow.resume()
    state = flow.resume(skip=["child"])
    assert world.since() == []
    assert [child.is_skipped() for child in state.result[children].map_states] == [False, True, False]
    assert rows()["child", 1] == "Skipped"
    assert rows()["all", -1] == "Skipped"


def test_where_all_children_run_again_one_that_had_begun_is_asked_about(world: World) -> None:
    """The child with its index may be another one now, so it cannot just be skipped."""
    with Flow("map") as flow:
        items = world.task("items", lambda _: [0, 1, 2])()
        world.task("child", resume="skip").map(args=items)
    world.broken.add("child1")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    with pytest.raises(OpenQuestionError, match="1 of its children were Failed"):
        flow.resume(again=["items"])
    assert flow.resume(again=["items"], rerun=["child"]).is_successful()
    assert world.since() == ["child0", "child1", "child2", "items"]


# What whoever resumes says


def diamond(world: World) -> Flow:
    with Flow("diamond") as flow:
        a = world.task("a")()
        b = world.task("b")(args=a)
        c = world.task("c")(args=a)
        world.task("d", sum)(args=[b, c])
        world.task("e")()
    return flow


def test_a_task_runs_again_with_what_depends_on_it(world: World) -> None:
    flow = diamond(world)
    flow.run(record=True)
    world.since()
    flow.resume(again=["b"])
    assert world.since() == ["b", "d"]


def test_only_one_task_and_what_depends_on_it(world: World) -> None:
    flow = diamond(world)
    world.broken |= {"e"}
    flow.run(record=True)
    world.since()
    state = flow.resume(only=["b+"])
    assert world.since() == ["b", "d"]
    # What was left out is as it was.
    assert states(flow, state)["e"] == "Failed"


def test_only_one_task_leaves_nothing_behind_that_was_made_of_its_old_value(world: World) -> None:
    flow = diamond(world)
    flow.run(record=True)
    world.since()
    state = flow.resume(only=[flow.get_tasks(name="b")[0]])
    assert world.since() == ["b"]
    found = states(flow, state)
    assert (found["a"], found["c"], found["d"], found["e"]) == ("Success", "Success", "Cancelled", "Success")
    flow.resume()
    assert world.since() == ["d"]


def test_several_tasks_may_be_named(world: World) -> None:
    flow = diamond(world)
    flow.run(record=True)
    world.since()
    flow.resume(only=["b", "c+"])
    assert world.since() == ["b", "c", "d"]


def test_only_what_failed_and_what_depends_on_it(world: World) -> None:
    """What was under way at Ctrl-C, and what had not begun, is left for another time."""
    interrupted = [True]

    @task
    def stopped() -> None:
        world.visit("stopped")
        if interrupted[0]:
            raise KeyboardInterrupt

    with Flow("interrupted") as flow:
        first = world.task("first")()
        failing = world.task("failing")(args=first)
        world.task("below")(args=failing)
        world.task("late")(args=stopped(upstream_tasks=[first]))
    world.broken.add("failing")
    with pytest.raises(KeyboardInterrupt):
        flow.run(record=True, executor="local")
    assert world.since() == ["failing", "first", "stopped"]
    world.broken.clear()
    interrupted[0] = False
    state = flow.resume(rerun_failed=True)
    assert world.since() == ["below", "failing"]
    found = states(flow, state)
    assert (found["first"], found["stopped"], found["late"]) == ("Success", "Cancelled", "Cancelled")
    flow.resume()
    assert world.since() == ["late", "stopped"]


def test_of_a_map_only_the_children_that_failed(world: World) -> None:
    with Flow("map") as flow:
        children = world.task("child").map(args=[0, 1, 2])
        world.task("all", sum)(args=children)
        world.task("other", trigger=triggers.manual_only)()
    world.broken.add("child1")
    flow.run(record=True, on_pause=lambda _: [])
    world.broken.clear()
    world.since()
    state = flow.resume(rerun_failed=True, on_pause=lambda _: [])
    assert world.since() == ["all", "child1"]
    assert states(flow, state)["other"] == "Cancelled"


def test_where_nothing_failed_there_is_nothing_to_run_again(world: World) -> None:
    flow = chain(world, "a", "b")
    flow.run(record=True)
    with pytest.raises(HistoryError, match="No task of run .* failed by itself, so there is nothing to run"):
        flow.resume(rerun_failed=True)
    assert flow.resume().is_successful()


def test_what_depends_on_something_left_out_says_so(world: World) -> None:
    flow = chain(world, "a", "b", "c")
    world.broken.add("a")
    flow.run(record=True)
    found = decisions(flow, only=["b+"])
    assert [found[name].why for name in "abc"] == [
        "left out: it was Failed",
        "asked for, although a-1 is left out",
        "b-1 runs again",
    ]
    assert [found[name].left_out for name in "abc"] == [1, 0, 0]


@pytest.mark.parametrize(
    "wishes", [{"again": ["a"], "only": ["b"]}, {"only": ["b"], "rerun_failed": True}, {"rerun": ["a"], "skip": ["a"]}]
)
def test_wishes_that_contradict_each_other_are_refused(world: World, wishes: dict[str, Any]) -> None:
    flow = diamond(world)
    flow.run(record=True)
    with pytest.raises(HistoryError):
        flow.resume(**wishes)


@pytest.mark.parametrize("wish", ["again", "only", "rerun", "skip"])
def test_tasks_that_are_not_there_are_refused_with_the_nearest(world: World, wish: str) -> None:
    flow = chain(world, "load")
    flow.run(record=True)
    with pytest.raises(HistoryError, match="has no task 'laod'.*Did you mean 'load'"):
        flow.resume(**{wish: ["laod"]})  # type: ignore[arg-type]
    with pytest.raises(DefinitionTypeError, match="must be a list of tasks"):
        flow.resume(**{wish: "load"})  # type: ignore[arg-type]


# Resources and secrets


def test_a_resource_is_set_up_again_for_those_that_still_need_it(world: World) -> None:
    class Connection:
        def setup(self) -> Any:
            world.visit("setup")
            return threading.Lock()

        def cleanup(self, connection: Any) -> None:
            with connection:
                world.visit("cleanup")

    with Flow("connected") as flow, resource_manager(Connection)() as connection:
        world.task("first")(args=connection)
        world.task("second")(args=connection)
    world.broken.add("second")
    flow.run(record=True)
    world.broken.clear()
    assert world.since() == ["cleanup", "first", "second", "setup"]
    assert flow.resume().is_successful()
    assert world.since() == ["cleanup", "second", "setup"]
    flow.resume()
    assert world.since() == []


def test_a_secret_is_looked_up_again_and_those_that_had_it_stay(world: World) -> None:
    class Password(Task):
        ephemeral = True

        def run(self) -> str:
            world.visit("password")
            return "hunter2"

    with Flow("log in") as flow:
        password = Password(name="password", checkpoint=False)()
        world.task("first")(args=password)
        world.task("second", len)(args=password)
    world.broken.add("second")
    flow.run(record=True)
    world.broken.clear()
    world.since()
    assert flow.resume().is_successful()
    assert world.since() == ["password", "second"]


# Settings and parameters


def test_a_resumed_run_has_the_settings_of_the_one_before(world: World) -> None:
    seen: list[Any] = []

    def run() -> None:
        seen.append((context.get("region"), context.get("today"), context.get("flow_run_name")))
        raise ValueError

    with Flow("settings") as flow:
        task(run, name="look")()
    given = {"region": "north", "date": "2020-02-29"}
    flow.run(record=True, context=given, executor="threads", results="file:own", run_name="first", timeout=60)
    flow.resume()
    flow.resume()
    assert seen == [("north", "2020-02-29", f"first{n}") for n in ("", ".2", ".3")]
    run_record = last_run()
    settings: Any = run_record.details["settings"]
    assert (settings["executor"], run_record.results, settings["timeout"]) == ("threads", "file:own", 60)


def test_a_resumed_run_has_the_day_of_the_one_before(world: World) -> None:
    seen: list[Any] = []

    def run() -> None:
        seen.append((context.get("today"), context.get("scheduled_start_time").timestamp()))
        raise ValueError

    with Flow("day") as flow:
        task(run, name="look")()
    flow.run(record=True)
    began = last_run().created
    flow.resume()
    assert seen[0] == seen[1]
    assert seen[1][1] == pytest.approx(began, abs=1e-3)


def test_what_is_given_now_counts(world: World) -> None:
    seen: list[Any] = []

    def run() -> None:
        seen.append((context.get("region"), context.get("flow_run_name")))
        raise ValueError

    with Flow("settings") as flow:
        task(run, name="look")()
    flow.run(record=True, context={"region": "north"}, executor="threads", results="file:own")
    flow.resume(context={"region": "south"}, executor="local", results="file:other", run_name="again")
    assert seen[1] == ("south", "again")
    settings: Any = last_run().details["settings"]
    assert (settings["executor"], last_run().results) == ("local", "file:other")


def test_secrets_are_in_no_setting(world: World) -> None:
    masker.add("hunter2-secret")
    flow = chain(world, "a")
    options = {
        "password": "x",
        "name": "see hunter2-secret",
        "secrets": {"A": "b"},
        "fine": [1, {"a": None}],
        "object": object(),
    }
    url = "https://user:word@host/x"
    flow.run(record=True, context={**options, "url": url})
    settings: Any = last_run().details["settings"]
    assert settings["context"] == {"fine": [1, {"a": None}]}
    assert set(settings["not_kept"]) == {f"context {name!r}" for name in ("password", "name", "object", "url")}


def test_what_was_not_kept_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    flow = chain(world, "a")
    flow.run(record=True, context={"object": object()})
    flow.resume()
    assert "not on record: context 'object'" in caplog.text


def test_an_executor_object_is_known_by_the_name_it_is_registered_under(world: World) -> None:
    with Engine() as engine:
        threads = engine.registry.create("executor", "threads", workers=2)
    flow = chain(world, "a")
    flow.run(record=True, executor=threads)
    settings: Any = last_run().details["settings"]
    assert settings["executor"] == "threads"


def test_names_are_counted() -> None:
    assert [next_name(name) for name in ("first", "first.2", "first.9", "v1.x", ".2")] == [
        "first.2",
        "first.3",
        "first.10",
        "v1.x.2",
        ".2.2",
    ]


def with_parameters(world: World, plain: int = 1, hidden: Any = 2) -> Flow:
    @task
    def use(one: Any, other: Any) -> list[Any]:
        world.visit("use")
        return [one, other]

    with Flow("parameters") as flow:
        use(Parameter("plain", default=plain), Parameter("hidden", default=hidden))
    return flow


def test_a_secret_in_a_parameter_is_kept_by_its_name(world: World) -> None:
    flow = with_parameters(world)
    world.broken.add("use")
    flow.run(record=True, hidden=Secret("PASSWORD"))
    world.broken.clear()
    state = flow.resume()
    assert state.result[flow.get_tasks(name="use")[0]].result == [1, Secret("PASSWORD")]


class Hidden:
    """Looks like what other libraries call a secret text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text


@pytest.mark.parametrize(
    "value", [Hidden("swordfish"), "the canary-7731 sings", {"a": ["canary-7731"]}, threading.Lock()]
)
def test_a_parameter_that_is_secret_is_not_kept_and_is_given_again(world: World, project: Path, value: Any) -> None:
    masker.add("canary-7731")
    flow = with_parameters(world)
    world.broken.add("use")
    flow.run(record=True, hidden=value)
    for path in (project / ".headrace").rglob("*"):
        if path.is_file():
            assert not {text for text in (b"canary-7731", b"swordfish") if text in path.read_bytes()}, path
    world.broken.clear()
    with pytest.raises(HistoryError, match="Parameter 'hidden' of run .* was not kept: .*-p hidden=VALUE"):
        flow.resume()
    state = flow.resume(parameters={"hidden": 5})
    assert state.result[flow.get_tasks(name="use")[0]].result == [1, 5]


def test_a_result_with_a_secret_is_not_kept(world: World, project: Path) -> None:
    masker.add("canary-7731")
    flow = stored(world)
    flow.get_tasks(name="made")[0].run = lambda args=(): "so the canary-7731 sang"
    flow.run(record=True)
    assert not [path for path in (project / ".headrace").rglob("*.db") if b"canary-7731" in path.read_bytes()]
    assert [decisions(flow)[name].why for name in ("made", "use")] == ["", ""]
    assert [decisions(flow, again=["use"])[name].why for name in ("made", "use")] == [
        "its result was not kept",
        "asked for",
    ]


def test_other_parameters_cannot_be_given(world: World) -> None:
    flow = with_parameters(world)
    flow.run(record=True, plain=7)
    with pytest.raises(HistoryError, match="Parameter 'plain' is as run .* recorded it"):
        flow.resume(parameters={"plain": 8})


def test_parameters_may_come_and_go(world: World) -> None:
    flow = with_parameters(world)
    flow.run(record=True)

    @task
    def use(one: Any, new: Any) -> list[Any]:
        return [one, new]

    with Flow("parameters") as later:
        used = use(Parameter("plain", default=9), Parameter("new"))
    with pytest.raises(ValueError, match="new"):
        later.resume(accept_changes=True)
    assert later.resume(parameters={"new": 3}, accept_changes=True).result[used].result == [1, 3]


def test_a_run_of_another_flow_is_refused(world: World) -> None:
    chain(world, "a").run(record=True, run_name="first")
    with pytest.raises(HistoryError, match="Run 'first' is one of flow 'chain', and not of 'diamond'"):
        diamond(world).resume("first")


def test_the_default_of_a_parameter_may_change(world: World) -> None:
    with_parameters(world).run(record=True)
    flow = with_parameters(world, 100, 200)
    world.since()
    state = flow.resume()
    assert (state.result[flow.get_tasks(name="use")[0]].result, world.since()) == ([1, 2], [])


def test_nothing_is_resumed_while_a_file_is_loaded(world: World) -> None:
    flow = chain(world, "a")
    flow.run(record=True)
    with context(loading_flow=True), pytest.warns(UserWarning, match="is not run while its file is loaded"):
        assert flow.resume().is_pending()
