"""Checkpointing and targets, section 7.4 of the classic reference."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest

from headrace import Flow, context, task
from headrace.exceptions import FlowDefinitionError, ResultLocationError
from headrace.results import LocalResult
from headrace.states import Cached, State


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_once(value: object, results: str | None = "file:kept", **options) -> State:
    """Run a task that returns ``value`` in a flow of its own, and return its state."""
    with Flow("f") as flow:
        made = task(lambda: value, name="make", **options)()
    state: State = flow.run(results=results).result[made]
    return state


def kept(folder: Path) -> list[str]:
    root = folder / "kept"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


# Checkpointing


def test_results_are_written_without_switching_anything_on(folder):
    """A departure: the classic engine asks for ``flows.checkpointing``."""
    run_once(1)
    assert len(kept(folder)) == 1


def test_checkpoint_false_opts_out(folder):
    assert run_once(1, checkpoint=False).location is None
    assert kept(folder) == []


def test_checkpoint_true_alone_stores_nothing(folder):
    assert run_once(1, results=None, checkpoint=True).location is None
    assert list(folder.iterdir()) == []


def test_the_classic_switch_in_the_context_changes_nothing(folder):
    """A departure: ``checkpointing`` in the context used to switch writing on."""
    with context(checkpointing=False):
        run_once(1)
    assert len(kept(folder)) == 1


def test_none_is_a_result_like_any_other(folder):
    """A departure: the classic engine does not write it."""
    run_once(None)
    assert len(kept(folder)) == 1


def test_a_result_that_cannot_be_pickled_fails_the_task():
    state = run_once(threading.Lock())
    assert state.is_failed()
    assert isinstance(state.result, TypeError)


# Targets


def test_a_target_that_is_there_already_takes_the_place_of_the_run(folder):
    (folder / "kept").mkdir()
    (folder / "kept" / "it").write_bytes(pickle.dumps("of somebody else"))
    state = run_once("made", target="it")
    assert isinstance(state, Cached)
    assert state.result == "of somebody else"
    assert "'it'" in str(state.message)
    assert state.cached_result_expiration is None


def test_a_target_is_looked_for_although_nothing_is_checkpointed(folder):
    run_once("stale", target="it")
    assert run_once("fresh", target="it", checkpoint=False).result == "stale"


def test_a_target_is_written_and_found_by_the_next_run(folder):
    assert type(run_once("made", target="it")).__name__ == "Success"
    assert kept(folder) == ["it"]
    assert run_once("again", target="it").result == "made"


def test_a_target_is_written_for_none_too(folder):
    """A departure: the classic task runs every time."""
    run_once(None, target="it")
    assert run_once("again", target="it").is_cached()


def test_the_result_of_a_task_says_where_its_target_is(folder):
    run_once("made", results=None, target="it", result=LocalResult("kept"))
    assert kept(folder) == ["it"]


def test_a_target_without_a_store_is_refused_before_anything_runs():
    """A departure: the classic task fails when it runs."""
    with pytest.raises(FlowDefinitionError, match="'make' has a target, and nothing says which store"):
        run_once("made", results=None, target="it")


def test_a_target_given_as_a_function_is_not_filled_in_once_more(folder):
    run_once("made", target=lambda **names: "{task_name}")
    assert kept(folder) == ["{task_name}"]


def test_tasks_before_a_target_that_is_there_run_all_the_same():
    ran = []

    @task
    def before():
        ran.append("before")

    @task(target="it")
    def after(x):
        return 1

    with Flow("f") as flow:
        after(before())
    for _ in range(2):
        flow.run(results="file:kept")
    assert ran == ["before", "before"]


@pytest.mark.parametrize("target", ["/somewhere/else", "../somewhere/else"])
def test_a_target_outside_of_its_store_fails_the_task(folder, target):
    """A departure: the classic engine writes wherever the path leads."""
    state = run_once("made", target=target)
    assert isinstance(state.result, ResultLocationError)
    assert target in str(state.result)
