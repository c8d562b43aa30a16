"""What tasks log and print in a recorded run is in the history, whatever runs them and whatever ends the run."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from textwrap import dedent

import pytest

from headrace import Flow, config, context, task
from headrace.engine import Engine
from headrace.history import NO_TASK, LogQuery
from headrace_plugins.sqlite.store import SQLiteRunStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".headrace").mkdir()
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as made:
        yield made


def said(store: SQLiteRunStore, slug: str | None = None, **query) -> list[tuple[int, int, str, str]]:
    """Return map index, attempt, logger and text of what a task has logged."""
    run = store.run("latest")
    node = NO_TASK if slug is None else next(each.node for each in store.tasks(run.id) if each.slug == slug)
    return [
        (each.map_index, each.attempt, each.logger, each.text)
        for each in store.logs(run.id, LogQuery(node=node, **query))
    ]


@pytest.mark.parametrize("executor", ["local", "threads"])
def test_logs_and_prints_belong_to_their_task_runs(store, executor):
    @task
    def talk(x):
        context.logger.warning("logged %s", x)
        time.sleep(0.01)
        print("printed", x)
        print("wrong", x, file=sys.stderr)

    with Flow("loud") as flow:
        talk.map([1, 2, 3])
    flow.run(record=store, executor=executor)
    for x in (1, 2, 3):
        logged, printed, wrong = said(store, "talk-1", map_index=x - 1)
        assert logged == (x - 1, 1, f"headrace.talk[{x - 1}]", f"logged {x}")
        assert printed == (x - 1, 1, "stdout", f"printed {x}")
        assert wrong == (x - 1, 1, "stderr", f"wrong {x}")


def test_warnings_are_there_as_they_were_shown(store, capfd):
    @task
    def warn():
        warnings.warn("careful", stacklevel=1)

    with Flow("loud") as flow:
        warn()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Under pytest, warnings are shown nowhere.
        warnings._showwarnmsg_impl = usual_way_to_show_warnings  # type: ignore[attr-defined]
        flow.run(record=store)
    ((_, _, stream, text),) = said(store, "warn-1", level=logging.WARNING)
    assert stream == "stderr"
    assert "UserWarning: careful" in text
    assert text in capfd.readouterr().err


def usual_way_to_show_warnings(message: warnings.WarningMessage) -> None:
    text = warnings.formatwarning(message.message, message.category, message.filename, message.lineno, message.line)
    sys.stderr.write(text)


def test_coroutines_are_kept_apart(store):
    @task
    async def talk(x):
        print("begins", x)
        await asyncio.sleep(0.01)
        logging.getLogger("own").warning("ends %s", x)

    with Flow("loud") as flow:
        talk.map([1, 2, 3])
    flow.run(record=store)
    for x in (1, 2, 3):
        assert said(store, "talk-1", map_index=x - 1) == [
            (x - 1, 1, "stdout", f"begins {x}"),
            (x - 1, 1, "own", f"ends {x}"),
        ]


def test_each_attempt_has_its_own_and_why_it_failed(store):
    @task(max_retries=1, retry_delay=0)
    def fail():
        print("trying")
        raise ValueError("no")

    with Flow("loud") as flow:
        fail()
    flow.run(record=store)
    first, retrying, second, failed = said(store, "fail-1")
    assert first == (-1, 1, "stdout", "trying")
    assert second == (-1, 2, "stdout", "trying")
    assert retrying[:2] == (-1, 1)
    assert failed[:2] == (-1, 2)
    assert "ValueError: no" in failed[3]
    assert "Traceback" in failed[3]


def test_a_line_without_an_end_is_there(store):
    @task
    def mutter():
        print("unfinished", end="")

    with Flow("loud") as flow:
        mutter()
    flow.run(record=store)
    assert said(store, "mutter-1") == [(-1, 1, "stdout", "unfinished")]


def test_the_run_itself_may_log(store):
    def handler(flow, old, new):
        logging.getLogger("own").warning("flow is %s", type(new).__name__)

    with Flow("loud", state_handlers=[handler]) as flow:
        task(lambda: None, name="quiet")()
    flow.run(record=store)
    assert said(store) == [(-1, 0, "own", "flow is Running"), (-1, 0, "own", "flow is Success")]


def test_a_run_inside_of_a_task_that_is_not_recorded_speaks_for_the_task(store):
    @task
    def outer():
        with Flow("inner") as inner:
            task(lambda: print("from inside"), name="say")()
        inner.run()

    with Flow("loud") as flow:
        outer()
    flow.run(record=store)
    assert said(store, "outer-1") == [(-1, 1, "stdout", "from inside")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_task_forks_can_print_and_log(store):
    @task
    def fork():
        print("before")
        child = os.fork()
        if child == 0:
            print("in the child")
            logging.getLogger("own").warning("in the child")
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        print("after")

    with Flow("loud") as flow:
        fork()
    assert flow.run(record=store).is_successful()
    assert [text for *_, text in said(store, "fork-1")] == ["before", "after"]


def test_a_run_that_is_not_recorded_replaces_nothing(capsys):
    seen = []
    with Flow("loud") as flow:
        task(lambda: seen.append((sys.stdout, logging.Logger.callHandlers)), name="look")()
    before = sys.stdout, logging.Logger.callHandlers
    flow.run()
    assert seen == [before]


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_what_is_logged_comes_after_what_was_printed_before(store, executor):
    @task
    def talk(lines):
        for number in range(lines):
            print(number, "x" * 1000)
        context.logger.warning("said last")

    with Flow("in order") as flow:
        talk.map([0, 1, 5, 50, 500] * 4)
    flow.run(record=store, executor=executor)
    for index in range(20):
        *_, last = said(store, "talk-1", map_index=index)
        assert last[-1] == "said last"


def test_what_is_kept_is_bounded_by_the_configuration(store):
    @task
    def talk():
        for number in range(2000):
            print(number, "x" * 1000)

    with Flow("loud") as flow:
        talk()
    settings = config.current().to_dict()
    settings["history"] = {**settings["history"], "log_bytes_per_task": 200_000}
    flow.run(record=store, engine=Engine(config=settings))
    found = [text for *_, text in said(store, "talk-1")]
    assert found[0].startswith("0 ")
    assert found[-1].startswith("1999 ")
    assert sum(map(len, found)) < 300_000


PROGRAM = """
    import logging, sys, time
    from headrace import Flow, task
    from headrace_plugins.sqlite.store import SQLiteRunStore

    @task
    def talk():
        for number in range({count}):
            print(number, "x" * 1000)
        logging.getLogger("own").warning("last words")
        sys.__stdout__.write("ready")
        sys.__stdout__.flush()
        time.sleep(60)

    with Flow("loud") as flow:
        talk()
    if __name__ == "__main__":
        flow.run(record=SQLiteRunStore("sqlite:runs.db"), executor="{executor}")
"""


def _is_taken_down(folder: Path, *texts: bytes) -> bool:
    data = b"".join(path.read_bytes() for path in folder.glob("runs.db.live/*") if path.exists())
    return all(text in data for text in texts)


@pytest.mark.parametrize("count", [3, 3000])
@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_what_was_said_last_before_the_driver_was_killed_is_there(tmp_path: Path, store, count, executor):
    (tmp_path / "flow.py").write_text(dedent(PROGRAM).format(count=count, executor=executor))
    process = subprocess.Popen(
        [sys.executable, "flow.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    seen = b""
    while not seen.endswith(b"ready"):
        more = process.stdout.read1()  # type: ignore[attr-defined]
        assert more
        seen = (seen + more)[-100:]
    # What a worker logs and what it prints come to the driver on two ways, and nobody knows which is faster.
    deadline = time.monotonic() + 20
    while not _is_taken_down(tmp_path, b"last words", b"%d " % (count - 1)) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    store.sweep()
    assert store.run("latest").cause == "died"
    found = said(store, "talk-1")
    assert "last words" in [text for *_, logger, text in found if logger == "own"]
    # What other processes print comes in larger pieces.
    lines = [line.split()[0] for *_, logger, text in found if logger == "stdout" for line in text.splitlines()]
    kept = min(count, 60)
    assert lines[-kept:] == [str(number) for number in range(count - kept, count)]
