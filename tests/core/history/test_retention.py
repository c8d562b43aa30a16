"""Which runs leave a history, and what goes with them: nothing that a run that stays needs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from headrace import Engine, Flow, config, task
from headrace.abc import RunStore
from headrace.engine.recorded_runs import open_history
from headrace.engine.resumed_runs import find_run, prepare_resume
from headrace.engine.runs import RunOptions
from headrace.exceptions import HistoryDamagedError
from headrace.history.result_files import RecordedFiles
from headrace.history.retention import Collected, Limits, collect, collect_if_due
from headrace.states import State
from headrace.testing.history._base import a_run, a_task

DAY = 86_400.0
SIZE = 200_000


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".headrace"


@pytest.fixture
def store() -> Iterator[RunStore]:
    with Engine() as engine, open_history(True, engine) as found:
        yield found


def large(fails: set[str] | None = None) -> Flow:
    @task
    def made() -> bytes:
        return os.urandom(SIZE)

    @task
    def size(data: bytes) -> int:
        if fails:
            raise ValueError
        return len(data)

    with Flow("large") as flow:
        size(made())
    return flow


def record(*names: str) -> None:
    for name in names:
        large().run(record=True, run_name=name)


def resume(flow: Flow, run_name: str) -> State:
    engine = Engine()
    prepared = prepare_resume(flow, *find_run(engine, "latest"), engine)
    options = prepared.options(flow, RunOptions(run_name=run_name))
    return flow.run(dict(prepared.parameters), engine=engine, options=options)


def names(store: RunStore) -> list[str]:
    return [run.name for run in store.runs()]


def gc(store: RunStore, project: Path, *, after_days: float = 0.0, dry_run: bool = False, **limits: float) -> Collected:
    now = time.time() + after_days * DAY
    return collect(store, project, Limits(**limits), now, dry_run=dry_run)  # type: ignore[arg-type]


def results(project: Path) -> list[Path]:
    return sorted((project / "results").rglob("*.result"))


# Which runs


def test_without_limits_every_run_stays(store: RunStore, project: Path) -> None:
    record("a", "b")
    done = gc(store, project, after_days=1000)
    assert (done.runs, done.results) == ([], 0)
    assert names(store) == ["b", "a"]
    assert len(results(project)) == 2


def test_the_last_runs_stay_and_the_results_of_the_others_go(store: RunStore, project: Path) -> None:
    record("a", "b", "c")
    done = gc(store, project, keep_runs=2)
    assert [(run.name, why) for run, why in done.runs] == [("a", "number")]
    assert done.results == 1
    assert names(store) == ["c", "b"]
    assert len(results(project)) == 2


def test_a_run_goes_when_it_ended_long_ago(store: RunStore, project: Path) -> None:
    record("a")
    assert gc(store, project, after_days=6.9, keep_days=7).runs == []
    assert [why for _, why in gc(store, project, after_days=7.1, keep_days=7).runs] == ["age"]
    assert names(store) == []
    assert results(project) == []


def test_the_oldest_go_until_the_rest_has_room(store: RunStore, project: Path) -> None:
    record("a", "b", "c", "d")
    done = gc(store, project, max_mb=(store.size() + 2.5 * SIZE) / 1e6)
    assert [(run.name, why) for run, why in done.runs] == [("a", "space"), ("b", "space")]
    assert done.before - done.after >= 2 * SIZE
    assert names(store) == ["d", "c"]


def test_room_is_made_in_the_history_itself(store: RunStore, project: Path) -> None:
    """Small results are in it, and its file gets smaller."""

    @task
    def text(number: int) -> str:
        return f"{number}" + "x" * 20_000

    with Flow("small results") as flow:
        text.map(list(range(30)))
    for name in ("a", "b", "c"):
        flow.run(record=True, run_name=name)
    before = store.size()
    gc(store, project, max_mb=before * 0.5 / 1e6)
    assert names(store) == ["c"]
    assert store.size() < before * 0.5


def test_the_last_run_stays_however_large_it_is(store: RunStore, project: Path) -> None:
    record("a", "b")
    gc(store, project, max_mb=0.001)
    assert names(store) == ["b"]


def test_a_run_that_goes_on_stays(store: RunStore, project: Path) -> None:
    record("old")
    journal = store.begin(a_run(name="going on"), [a_task()])
    record("a", "b")
    gc(store, project, after_days=100, keep_runs=1, keep_days=1, max_mb=0.001)
    assert names(store) == ["going on"]
    journal.ended("Success", None, time.time())


def test_a_run_stays_that_another_one_goes_on_from(store: RunStore, project: Path) -> None:
    """However many are in between: what has finished in it may turn out to stay."""
    first, second = a_run(name="first"), a_run(name="second")
    store.begin(first, [a_task()]).abandon()
    store.sweep()
    store.begin(replace(second, resumed_from=first.id), [a_task()]).abandon()
    store.sweep()
    journal = store.begin(a_run(name="going on", resumed_from=second.id), [a_task()])
    record("a")
    gc(store, project, after_days=100, keep_runs=1, keep_days=1, max_mb=0.001)
    assert names(store) == ["going on", "second", "first"]
    journal.ended("Success", None, time.time())
    gc(store, project, after_days=100, keep_runs=1)
    assert names(store) == ["going on"]


def test_a_run_whose_process_died_has_ended(store: RunStore, project: Path) -> None:
    store.begin(a_run(name="dead"), [a_task()]).abandon()
    record("a")
    gc(store, project, keep_runs=1)
    assert names(store) == ["a"]


def test_a_run_that_waits_for_people_goes_for_its_age_only(store: RunStore, project: Path) -> None:
    store.begin(a_run(name="waits"), [a_task()]).ended("Paused", None, time.time())
    record("a", "b")
    gc(store, project, keep_runs=1, max_mb=0.001)
    assert names(store) == ["b", "waits"]
    gc(store, project, after_days=2, keep_days=1)
    assert names(store) == []


def test_runs_inside_of_a_run_go_with_it(store: RunStore, project: Path) -> None:
    outer = a_run(name="outer")
    journal = store.begin(outer, [a_task()])
    inner = a_run(name="inner", parent=outer.id)
    store.begin(inner, [a_task()]).ended("Success", None, time.time())
    journal.ended("Success", None, time.time())
    record("a")
    gc(store, project, keep_runs=1)
    assert names(store) == ["a"]


# What goes with them, and what does not


def test_what_another_run_has_taken_over_stays(store: RunStore, project: Path) -> None:
    fails = {"yes"}
    flow = large(fails)
    flow.run(record=True, run_name="first")
    assert resume(flow, "second").is_failed()
    assert [run.name for run, _ in gc(store, project, keep_runs=1).runs] == ["first"]
    assert len(results(project)) == 1
    fails.clear()
    state = resume(flow, "third")
    assert state.result[flow.get_tasks(name="size")[0]].result == SIZE
    gc(store, project, keep_runs=1)
    assert len(results(project)) == 1
    record("other")
    gc(store, project, keep_runs=1)
    assert names(store) == ["other"]
    assert len(results(project)) == 1


def test_a_dry_run_tells_the_same_and_removes_nothing(store: RunStore, project: Path) -> None:
    fails = {"yes"}
    flow = large(fails)
    flow.run(record=True, run_name="first")
    resume(flow, "second")
    record("third")
    told = gc(store, project, dry_run=True, keep_runs=2)
    assert names(store) == ["third", "second", "first"]
    assert len(results(project)) == 2
    done = gc(store, project, keep_runs=2)
    assert [run.name for run, _ in told.runs] == [run.name for run, _ in done.runs] == ["first"]
    # Its result is the second run's, too.
    assert told.results == done.results == 0


def test_results_that_people_keep_in_the_same_folder_stay(store: RunStore, project: Path) -> None:
    flow = large()
    flow.run(results=f"file:{project / 'results'}")
    (project / "results" / "recorded").mkdir()
    (project / "results" / "recorded" / "mine.result").write_text("mine")
    record("a")
    theirs = [path for path in results(project) if "/recorded/" not in path.as_posix()]
    assert theirs
    for path in results(project):
        os.utime(path, (0, 0))
    gc(store, project, after_days=2, keep_days=1)
    assert results(project) == sorted([*theirs, project / "results" / "recorded" / "mine.result"])


def test_results_of_another_history_stay(store: RunStore, project: Path) -> None:
    """They are in the same folder of the project."""
    record("a")
    large().run(record="sqlite:other.db", run_name="other")
    gc(store, project, after_days=400, keep_days=1)
    assert len(results(project)) == 1
    with Engine() as engine, open_history("sqlite:other.db", engine) as other:
        (location,) = other.locations()
        assert (project / "results" / location).is_file()
        gc(other, project, after_days=400, keep_days=1)
    assert results(project) == []


def test_what_nobody_refers_to_goes_when_it_is_a_day_old(store: RunStore, project: Path) -> None:
    record("a")
    (kept,) = results(project)
    gone = kept.parent.with_name("00000000-0000-0000-0000-000000000000") / "made-1" / "7.result"
    gone.parent.mkdir(parents=True)
    gone.write_text("of a run that is gone")
    lost = kept.with_name("lost-1.result")
    lost.write_text("of a task run that was killed")
    assert gc(store, project, after_days=0.9).results == 0
    assert gc(store, project, after_days=1.1, dry_run=True).results == 2
    assert gc(store, project, after_days=1.1).results == 2
    assert results(project) == [kept]
    assert not gone.parent.parent.exists()


def test_what_nobody_refers_to_stays_while_its_run_goes_on(store: RunStore, project: Path) -> None:
    record("a")
    run = a_run(name="going on")
    journal = store.begin(run, [a_task()])
    (kept,) = results(project)
    fresh = kept.parent.with_name(run.id) / "made-1.result"
    fresh.parent.mkdir()
    fresh.write_text("about to be recorded")
    gc(store, project, after_days=10)
    assert fresh.is_file()
    journal.ended("Success", None, time.time())
    gc(store, project, after_days=10)
    assert not fresh.exists()


def test_temporary_files_go_when_they_are_a_day_old(store: RunStore, project: Path) -> None:
    record("a")
    left = [project / "results" / ".abc.tmp", project / "history" / ".runs.db-1234.tmp"]
    for path in left:
        path.write_text("half")
    assert gc(store, project).leftovers == []
    assert gc(store, project, after_days=2).leftovers == sorted(left)
    assert not any(path.exists() for path in left)


def test_what_is_damaged_is_named_and_stays(store: RunStore, project: Path) -> None:
    record("a")
    aside = project / "history" / "runs.db.live" / "some.damaged"
    aside.write_text("?")
    assert gc(store, project, after_days=100, keep_days=1).damaged == [aside]
    assert aside.is_file()


def test_a_location_that_leads_elsewhere_is_not_followed(store: RunStore, project: Path, tmp_path: Path) -> None:
    """Whoever can write the history could name any file there."""
    record("a")
    files, precious = RecordedFiles(store, project), tmp_path / "precious.result"
    precious.write_text("!")
    inside = results(project)[0].parent.relative_to(project / "results")
    (project / "results" / inside / "link").symlink_to(tmp_path)
    for location in (
        "../../precious.result",
        "recorded/../../../precious.result",
        str(precious),
        f"{inside.as_posix()}/link/precious.result",
        "elsewhere/precious.result",
    ):
        assert files.remove(location) is False
    assert precious.is_file()


def test_the_folder_of_a_project_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is a part of URLs."""
    folder = tmp_path / "a #1 50%20?"
    folder.mkdir()
    monkeypatch.chdir(folder)
    fails = {"yes"}
    flow = large(fails)
    flow.run(record=True, run_name="first")
    assert len(results(folder / ".headrace")) == 1
    fails.clear()
    assert resume(flow, "second").is_successful()
    with Engine() as engine, open_history(True, engine) as found:
        gc(found, folder / ".headrace", keep_runs=1)
    assert len(results(folder / ".headrace")) == 1


# Accidents


def test_without_a_history_nothing_is_removed(store: RunStore, project: Path) -> None:
    """It may be on a disk that is not there just now."""
    record("a")
    (project / "history" / "runs.db").rename(project / "elsewhere.db")
    gc(store, project, after_days=100, keep_days=1)
    assert len(results(project)) == 1


def test_nothing_is_removed_if_the_history_is_damaged(store: RunStore, project: Path) -> None:
    record("a")
    (project / "history" / "runs.db").write_bytes(b"")
    with pytest.raises(HistoryDamagedError):
        gc(store, project, after_days=100, keep_days=1)
    assert len(results(project)) == 1


KILLED = """
import sys, os, time
from pathlib import Path
from headrace import Engine
from headrace.engine.recorded_runs import open_history
from headrace.history.retention import Limits, collect

# Dies at the Nth time that it is about to remove a file or a run.
left = int(sys.argv[1])

def watch(event, arguments):
    global left
    if event in {"os.remove", "os.rmdir"} and ".result" in str(arguments[0]):
        left -= 1
        if left == 0:
            os._exit(9)

sys.addaudithook(watch)
with Engine() as engine, open_history(True, engine) as store:
    delete = store.delete
    def counting(run_id):
        found = delete(run_id)
        watch("os.remove", [".result"])
        return found
    store.delete = counting
    collect(store, Path(".headrace").absolute(), Limits(keep_runs=1), time.time())
"""


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_one_that_is_killed_is_made_up_for_by_the_next(store: RunStore, project: Path, moment: int) -> None:
    record("a", "b", "c")
    done = subprocess.run([sys.executable, "-c", dedent(KILLED), str(moment)], check=False)
    assert done.returncode == 9
    with Engine() as engine, open_history(True, engine) as again:
        gc(again, project, after_days=1.1, keep_runs=1)
        assert names(again) == ["c"]
        assert list(again.check()) == []
        kept = [project / "results" / location for location in again.locations()]
    assert results(project) == kept
    assert len(kept) == 1


def test_two_at_once_do_the_same_once(store: RunStore, project: Path) -> None:
    record(*(f"run {number}" for number in range(12)))
    command = [sys.executable, "-m", "headrace", "gc", "--keep-runs", "2"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert names(store) == ["run 11", "run 10"]
    assert sorted(results(project)) == sorted(project / "results" / location for location in store.locations())


# Now and then


def test_it_is_done_after_a_run_if_there_is_a_limit(store: RunStore, project: Path) -> None:
    record("a", "b")
    with config.set_temporary_config({"history.keep_runs": 2}):
        record("c")
    assert names(store) == ["c", "b"]


def test_it_is_not_done_after_a_run_if_there_is_none(project: Path) -> None:
    record("a")
    assert not (project / "history" / "last-gc").exists()


def test_it_is_done_once_a_day(store: RunStore, project: Path) -> None:
    record("a", "b", "c")
    collect_if_due(store, project, Limits(keep_runs=2), time.time())
    record("d")
    collect_if_due(store, project, Limits(keep_runs=2), time.time())
    assert names(store) == ["d", "c", "b"]
    collect_if_due(store, project, Limits(keep_runs=2), time.time() + 1.1 * DAY)
    assert names(store) == ["d", "c"]


def test_what_goes_wrong_then_costs_a_warning_and_not_the_run(
    store: RunStore, project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record("a")
    (project / "history" / "last-gc").mkdir()
    os.utime(project / "history" / "last-gc", (0, 0))
    (project / "results" / "recorded").rename(project / "results" / "moved")
    (project / "history" / "runs.db").write_bytes(b"")
    collect_if_due(store, project, Limits(keep_runs=1), time.time())
    assert "Old runs could not be removed" in caplog.text
