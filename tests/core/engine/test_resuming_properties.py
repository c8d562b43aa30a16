"""Random flows, cut off at a random moment and resumed: the same results, and nothing finished runs again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace import Engine, Flow, context, flatten, task, unmapped
from headrace.abc import RunJournal, RunStore
from headrace.engine.recorded_runs import open_history
from headrace.exceptions import HistoryError, ResultNotFoundError
from headrace.history import UNMAPPED
from headrace.signals import SKIP
from headrace.states import Mapped, State


class Cut(HistoryError):
    """Stands for the end of the process: nothing is taken down any more."""


class Shears:
    """Cuts a journal off when ``left`` task runs have begun, finished or been expanded."""

    def __init__(self, journal: RunJournal, left: int) -> None:
        self._journal = journal
        self._left = left

    def __getattr__(self, name: str) -> Any:
        said = getattr(self._journal, name)
        if name not in {"began", "finished", "taken_over", "expanded", "ended"}:
            return said

        def cut(*args: Any) -> Any:
            if self._left == 0:
                raise Cut("cut off")
            self._left -= 1
            return said(*args)

        return cut


@contextmanager
def cut_off(store: RunStore, left: int) -> Iterator[RunStore]:
    """Let the next run of a store be cut off."""
    begin = store.begin

    def begin_one(*args: Any, **kwargs: Any) -> Any:
        return Shears(begin(*args, **kwargs), left)

    store.begin = begin_one  # type: ignore[method-assign]
    try:
        yield store
    finally:
        store.begin = begin  # type: ignore[method-assign]


class Fate:
    """Decides how often a task run fails, by its name, and notes what has run."""

    def __init__(self, failing: frozenset[str]) -> None:
        self.failing = failing
        self.offset = 0
        self.calls: list[str] = []

    def visit(self) -> None:
        slug, index = context.get("task_slug"), context.get("map_index")
        name = slug if index is None else f"{slug}/{index}"
        self.calls.append(name)
        if name in self.failing:
            raise ValueError(name)


def build(shape: list[Any], fate: Fate) -> Flow:  # noqa: C901 - one case for each kind of task
    """Return the flow that ``shape`` describes: a task for each entry, made of tasks before it."""

    @task
    def root() -> int:
        fate.visit()
        return 1 + fate.offset

    @task
    def number(x: Any) -> int:
        fate.visit()
        return total(x) + 1

    @task
    def items(x: Any, length: int) -> list[int]:
        fate.visit()
        return [total(x) + i for i in range(length)]

    @task
    def child(x: Any, y: Any = 0) -> int:
        fate.visit()
        return 2 * total(x) + total(y)

    @task
    def children(x: Any) -> list[int]:
        fate.visit()
        return [total(x)] * 2

    @task
    def choosy(x: Any) -> int:
        fate.visit()
        if total(x) % 2:
            raise SKIP("odd")
        return total(x)

    with Flow("random") as flow:
        plain: list[Any] = [root()]
        lists: list[Any] = [items(plain[0], 2)]
        maps: list[Any] = [child.map(lists[0])]
        nested: list[Any] = []
        for kind, i, j in shape:
            one, listed, mapped = plain[i % len(plain)], lists[j % len(lists)], maps[j % len(maps)]
            if kind == "number":
                plain.append(number(one))
            elif kind == "items":
                lists.append(items(one, j % 4))
            elif kind == "map":
                maps.append(child.map(listed, unmapped(one)))
            elif kind == "follow":
                maps.append(child.map(mapped))
            elif kind == "pairs":
                maps.append(child.map(maps[i % len(maps)], mapped, strict=False))
            elif kind == "nest":
                nested.append(children.map(mapped))
                maps.append(child.map(flatten(nested[-1])))
            elif kind == "reduce":
                plain.append(number(mapped))
            else:
                plain.append(choosy(one))
    return flow


def total(x: Any) -> int:
    return sum(map(total, x)) if isinstance(x, list) else (x or 0)


def ends(flow: Flow, state: State) -> dict[str, Any]:
    """Return what each task came to, children included."""
    return {slug: end(state.result[task]) for task, slug in flow.slugs.items()}


def end(state: State) -> Any:
    if isinstance(state, Mapped):
        return [end(child) for child in state.map_states]
    return type(state).__name__, state.result if state.is_successful() else None


KINDS = ["number", "items", "map", "follow", "pairs", "nest", "reduce", "choosy"]
SHAPES = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 5), st.integers(0, 5)), max_size=8)


@contextmanager
def project() -> Iterator[Path]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield Path(folder)
        finally:
            os.chdir(before)


def finished(store: RunStore) -> set[str]:
    """Return the task runs of the last run that ended well."""
    run = store.run("latest")
    slugs = {each.node: each.slug for each in store.tasks(run.id)}
    return {
        slugs[row.node] if row.map_index == UNMAPPED else f"{slugs[row.node]}/{row.map_index}"
        for row in store.task_runs(run.id)
        if row.state in {"Success", "Skipped"}
    }


@pytest.mark.filterwarnings("ignore")
@given(shape=SHAPES, cuts=st.lists(st.integers(0, 40), min_size=1, max_size=3), capacity=st.sampled_from([1, 3]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_that_is_cut_off_again_and_again_comes_to_the_same(
    shape: list[Any], cuts: list[int], capacity: int
) -> None:
    expected = build(shape, Fate(frozenset()))
    whole = ends(expected, expected.run(keep_results="all"))
    fate = Fate(frozenset())
    flow = build(shape, fate)
    with project(), Engine() as engine, open_history(True, engine) as store:
        executor = engine.registry.create("executor", "threads", workers=capacity) if capacity > 1 else "local"
        done: set[str] = set()
        state = None
        for cut in [*cuts, None]:
            fate.calls.clear()
            with cut_off(store, -1 if cut is None else cut):
                try:
                    go_on = flow.run if not list(store.runs()) else flow.resume
                    state = go_on(record=store, executor=executor, keep_results="all", engine=engine)
                except Cut:
                    state = None
            store.sweep()
            assert not done & set(fate.calls), "what had finished ran again"
            assert len(fate.calls) == len(set(fate.calls))
            done |= finished(store)
            if state is not None:
                break
        assert state is not None
        assert ends(flow, state) == whole


@pytest.mark.filterwarnings("ignore")
@given(shape=SHAPES, data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_failed_and_what_is_asked_for_runs_again_and_comes_to_the_same(
    shape: list[Any], data: st.DataObject
) -> None:
    expected_fate = Fate(frozenset())
    expected = build(shape, expected_fate)
    whole = ends(expected, expected.run(keep_results="all"))
    failing = data.draw(st.frozensets(st.sampled_from(sorted(set(expected_fate.calls))), max_size=3))
    again = data.draw(st.lists(st.sampled_from(sorted(expected.slugs.values())), max_size=2, unique=True))
    fate = Fate(failing)
    flow = build(shape, fate)
    with project(), Engine() as engine, open_history(True, engine) as store:
        flow.run(record=store, engine=engine, executor="local")
        done = finished(store)
        fate.failing = frozenset()
        fate.calls.clear()
        state = flow.resume(record=store, engine=engine, again=again, keep_results="all")
        assert ends(flow, state) == whole
        if not again:
            below = {call for call in fate.calls if call in done}
            assert not below or failing, "nothing had failed"


def whole(shape: list[Any], offset: int) -> dict[str, Any]:
    """Return what each task comes to if nothing goes wrong."""
    fate = Fate(frozenset())
    fate.offset = offset
    flow = build(shape, fate)
    return ends(flow, flow.run(keep_results="all"))


def agrees(state: State, expected: Any) -> bool:
    """Tell whether a task came to what was expected; what nobody needs may be lost."""
    if isinstance(state, Mapped):
        return len(state.map_states) == len(expected) and all(map(agrees, state.map_states, expected))
    try:
        return bool(end(state) == expected)
    except ResultNotFoundError:
        return bool(type(state).__name__ == expected[0])


def lose(folder: Path, data: st.DataObject) -> set[str]:
    """Remove some results, and return the names of the task runs that they belong to."""
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.parts[2:])
    lost = data.draw(st.lists(st.sampled_from(files), max_size=4, unique=True)) if files else []
    for path in lost:
        path.unlink()
    return {path.relative_to(folder).with_suffix("").as_posix().split("/", 2)[2] for path in lost}


@pytest.mark.filterwarnings("ignore")
@given(
    shape=SHAPES,
    data=st.data(),
    offset=st.sampled_from([0, 0, 1, 2]),
    cuts=st.lists(st.integers(0, 25), max_size=2),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_lost_is_made_again_and_nothing_that_follows_from_it_is_old(
    shape: list[Any], data: st.DataObject, offset: int, cuts: list[int]
) -> None:
    """The first task returns something else the second time, unless the offset is 0."""
    visited = Fate(frozenset())
    build(shape, visited).run()
    failing = data.draw(st.frozensets(st.sampled_from(sorted(set(visited.calls))), max_size=2))
    fate = Fate(failing)
    flow = build(shape, fate)
    # Where a child that failed comes to something, what is flattened has other places.
    shifts = bool(failing) and "nest" in {kind for kind, *_ in shape}
    with project() as folder, Engine() as engine, open_history(True, engine) as store:
        flow.run(record=store, engine=engine, executor="local", results="file:own")
        fate.failing, fate.offset = frozenset(), offset
        done: set[str] = set()
        gone: set[str] = set()
        state, differs = None, False
        for cut in [*cuts, None]:
            gone = (gone - set(fate.calls)) | lose(folder / "own", data)
            done = (done | finished(store)) - gone
            fate.calls.clear()
            with cut_off(store, -1 if cut is None else cut), suppress(Cut):
                state = flow.resume(record=store, engine=engine, keep_results="all")
            store.sweep()
            differs = differs or (offset > 0 and "root-1" in fate.calls)
            assert differs or shifts or not done & set(fate.calls), "what was not lost ran again"
            if state is not None:
                break
        expected = whole(shape, offset if differs else 0)
        assert state is not None
        assert all(agrees(state.result[task], expected[slug]) for task, slug in flow.slugs.items())
