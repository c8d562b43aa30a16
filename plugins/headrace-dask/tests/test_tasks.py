"""What tasks find on a worker, and what they leave there."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
import pytest
from distributed import Client, get_client, get_worker, rejoin, secede, worker_client

from headrace import Flow, context, task, unmapped
from headrace.exceptions import TaskDefinitionError
from headrace.states import Failed, TimedOut
from headrace_dask import DaskExecutor
from headrace_plugins.sqlite.store import SQLiteRunStore

Make = Callable[..., DaskExecutor]


def _length(data: bytes) -> int:
    return len(data)


def _inc(number: int) -> int:
    return number + 1


def test_tasks_may_use_the_cluster_themselves(executor: Make) -> None:
    """``worker_client``, ``get_client``, ``get_worker``, ``secede`` and ``rejoin`` do what they do in any Dask task."""

    def lent() -> int:
        with worker_client() as client:
            return int(client.submit(_inc, 1).result())

    def borrowed() -> int:
        client = get_client()
        secede()
        result = sum(client.gather(client.map(_inc, range(5))))
        rejoin()
        return int(result)

    def where() -> str:
        return str(get_worker().address)

    with Flow("nested") as flow:
        calls = [task(each, name=each.__name__)() for each in (lent, borrowed, where)]
        late = task(borrowed_in_time, timeout=30)()
    states = flow.run(executor=executor()).result
    assert [states[each].result for each in calls[:2]] == [2, 15]
    assert states[calls[2]].result.startswith("tcp://")
    assert states[late].result == 3


def borrowed_in_time() -> int:
    """Use a client under a timeout, which runs in a thread of its own."""
    return int(get_client().submit(_inc, 2).result())


def test_prints_come_out_here(executor: Make, capsys: pytest.CaptureFixture[str]) -> None:
    """In the order of each task, and not twice."""

    def talk(number: int) -> None:
        print("one", number)
        print("two", number, end="")

    with Flow("talk") as flow:
        task(talk, name="talk").map([1, 2])
    flow.run(executor=executor())
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == ["one 1", "one 2", "two 1", "two 2"]
    assert all(lines.index(f"one {number}") < lines.index(f"two {number}") for number in (1, 2))


def test_log_lines_come_while_the_task_runs(executor: Make) -> None:
    """Not only when it has ended."""
    moments: dict[str, float] = {}

    class Catcher(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            moments[record.getMessage()] = time.time()

    def talk() -> float:
        context.logger.warning("begun")
        time.sleep(1)
        return time.time()

    catcher = Catcher()
    logging.getLogger("headrace").addHandler(catcher)
    try:
        with Flow("talk") as flow:
            ended = task(talk, name="talk")()
        state = flow.run(executor=executor()).result[ended]
    finally:
        logging.getLogger("headrace").removeHandler(catcher)
    assert moments["begun"] < state.result - 0.5


def test_what_tasks_say_is_kept_in_the_history(executor: Make, tmp_path: Path) -> None:
    """Log lines and prints belong to the task run that they are from."""

    def talk(number: int) -> None:
        context.logger.warning("logged %s", number)
        print("printed", number)

    with Flow("recorded") as flow:
        task(talk, name="talk").map([1, 2])
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        flow.run(executor=executor(), record=store)
        run = store.run("latest")
        said = {(each.map_index, each.text) for each in store.logs(run.id)}
    assert said >= {(number - 1, f"{how} {number}") for number in (1, 2) for how in ("logged", "printed")}


def test_others_on_the_same_worker_are_not_heard(
    executor: Make, client: Client, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """What another client's tasks log and print meanwhile is theirs."""

    def stranger() -> None:
        for _ in range(20):
            logging.getLogger("of.somebody").error("strange")
            print("strange")
            time.sleep(0.05)

    def long() -> None:
        time.sleep(1)
        logging.getLogger("of.somebody").error("ours")

    client.run(lambda: None)
    future = client.submit(stranger, pure=False)
    with Flow("ours") as flow:
        task(long, name="long")()
    flow.run(executor=executor())
    future.cancel()
    told = [record.getMessage() for record in caplog.records if record.name == "of.somebody"]
    assert told == ["ours"]
    assert "strange" not in capsys.readouterr().out


def test_threads_of_a_task_are_heard(executor: Make, caplog: pytest.LogCaptureFixture) -> None:
    def talk() -> None:
        from threading import Thread

        thread = Thread(target=logging.getLogger("of.a.thread").error, args=("from a thread",))
        thread.start()
        thread.join()

    with Flow("threads") as flow:
        task(talk, name="talk")()
    flow.run(executor=executor())
    assert [record.getMessage() for record in caplog.records if record.name == "of.a.thread"] == ["from a thread"]


@pytest.mark.parametrize("how", [{"tags": ["dask-resource:GPU=1"]}, {"resources": {"GPU": 1}}])
def test_a_task_asks_for_a_resource(own_cluster: Callable[..., Any], how: dict[str, Any]) -> None:
    """As many tasks run at once as the worker has of what they need."""
    cluster = own_cluster(n_workers=1, threads_per_worker=4, resources={"GPU": 1})

    def span(number: int) -> tuple[float, float]:
        began = time.time()
        time.sleep(0.1)
        return began, time.time()

    with Flow("resources") as flow:
        spans = task(span, name="span", **how).map([1, 2, 3])
    found = sorted(flow.run(executor=DaskExecutor(address=cluster.address)).result[spans].result)
    assert all(before[1] <= after[0] for before, after in pairwise(found))


def test_a_resource_that_no_worker_has_is_not_waited_for_for_ever(executor: Make) -> None:
    with Flow("resources") as flow:
        greedy = task(_inc, name="greedy", tags=["dask-resource:GPU=1"])(1)
        modest = task(_inc, name="modest")(1)
    states = flow.run(executor=executor(worker_timeout=0.5)).result
    assert "{'GPU': 1.0}" in str(states[greedy].result)
    assert states[modest].result == 2


@pytest.mark.parametrize("tag", ["dask-resource:GPU", "dask-resource:GPU=many", "dask-resource:=1"])
def test_a_tag_that_makes_no_sense_fails_its_task(executor: Make, tag: str) -> None:
    with Flow("resources") as flow:
        wrong = task(_inc, name="wrong", tags=[tag])(1)
        right = task(_inc, name="right")(1)
    states = flow.run(executor=executor()).result
    assert type(states[wrong]) is Failed
    assert isinstance(states[wrong].result, TaskDefinitionError)
    assert tag in str(states[wrong].result)
    assert states[right].result == 2


def test_what_was_begun_is_brought_to_an_end_first(executor: Make) -> None:
    """A child of a map is followed by its own downstream children before most of the others begin."""

    def first(number: int) -> float:
        time.sleep(0.005)
        return time.time()

    def second(_moment: float) -> float:
        return time.time()

    with Flow("depth") as flow:
        early = task(first, name="first").map(list(range(200)))
        late = task(second, name="second").map(early)
    states = flow.run(executor=executor(), keep_results="all").result
    last_begun = max(states[early].result)
    assert sum(moment < last_begun for moment in states[late].result) > 100


def test_timeouts_are_soft(executor: Make) -> None:
    with Flow("late") as flow:
        late = task(lambda: time.sleep(1.5), name="late", timeout=0.2)()
    began = time.monotonic()
    assert isinstance(flow.run(executor=executor()).result[late], TimedOut)
    assert time.monotonic() - began < 1.4


def test_a_large_argument_is_sent_once(executor: Make) -> None:
    """Children of a map share a constant on their worker: it is pickled for the cluster, not for each of them."""
    pickled = []

    class Constant:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def __reduce__(self) -> Any:
            pickled.append(len(self.data))
            return bytes, (self.data,)

    def length(number: int, constant: Any) -> int:
        return number + len(constant["it"])

    with Flow("constants") as flow:
        found = task(length, name="length").map(
            list(range(50)), unmapped({"it": Constant(bytes(2_000_000)), "pad": bytes(100_000)})
        )
    assert flow.run(executor=executor()).result[found].result == [2_000_000 + number for number in range(50)]
    assert len(pickled) < 5


def test_a_large_closure_is_sent_once(executor: Make) -> None:
    table = numpy.arange(200_000)

    def look(index: int) -> int:
        return int(table[index])

    with Flow("closures") as flow:
        found = task(look, name="look").map(list(range(50)))
    assert flow.run(executor=executor()).result[found].result == list(range(50))


def test_mapping_over_what_is_on_the_cluster(executor: Make) -> None:
    """Over elements that travel with the whole, and over those that travel alone; arrays by rows."""

    def numbers() -> list[float]:
        # Enough of them not to travel with the outcome.
        return [float(number) for number in range(1_000)]

    def blocks() -> list[Any]:
        return [numpy.full(100_000, number) for number in range(4)]

    def rows() -> Any:
        return numpy.arange(60_000).reshape(3, 20_000)

    def total(block: Any) -> int:
        return int(numpy.sum(block))

    with Flow("maps") as flow:
        small = task(_inc, name="inc").map(task(numbers, name="numbers")())
        large = task(total, name="total").map(task(blocks, name="blocks")())
        parts = task(total, name="total").map(task(rows, name="rows")())
    states = flow.run(executor=executor(), keep_results="all").result
    assert states[small].result == list(range(1, 1_001))
    assert states[large].result == [0, 100_000, 200_000, 300_000]
    assert sum(states[parts].result) == sum(range(60_000))


def test_the_driver_never_carries_the_data(address: str, tmp_path: Path) -> None:
    """100 values of 10 MB each, passed between tasks: the memory of the driver stays within 50 MB of idle."""
    script = tmp_path / "script.py"
    script.write_text(_PASS_ON)
    command = [sys.executable, str(script), address]
    found = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[-1]) < 50, found.stdout


_PASS_ON = """
import sys
import psutil
from headrace import Flow, task
from headrace_dask import DaskExecutor

def make(number):
    return bytes([number]) * 10_000_000

def change(data):
    return data[::-1]

def measure(data):
    return len(data)

def flow_of(count):
    with Flow("pass on") as flow:
        made = task(make, name="make").map(list(range(count)))
        measured = task(measure, name="measure").map(task(change, name="change").map(made))
    return flow, measured

def run(count):
    flow, measured = flow_of(count)
    state = flow.run(executor=DaskExecutor(address=sys.argv[1]))
    assert state.result[measured].result == [10_000_000] * count

run(1)
process = psutil.Process()
idle = process.memory_info().rss
from threading import Thread, Event
peak, done = idle, Event()

def watch():
    global peak
    while not done.wait(0.02):
        peak = max(peak, process.memory_info().rss)

Thread(target=watch, daemon=True).start()
run(100)
done.set()
print((peak - idle) // 1_000_000)
"""


def test_many_children_do_not_flood_the_scheduler(executor: Make, client: Client) -> None:
    """No more than ``window`` pieces of work are known to Dask at once."""
    most = 0

    def count(number: int) -> int:
        return number

    class Watching(DaskExecutor):
        def submit(self, work: Any, deliver: Any) -> None:
            nonlocal most
            assert self._session is not None
            most = max(most, len(self._session.pending) + 1)
            super().submit(work, deliver)

    with Flow("many") as flow:
        found = task(count, name="count").map(list(range(500)))
    assert flow.run(executor=Watching(address=client.scheduler.address, window=20)).result[found].is_successful()
    assert most == 20


def test_nothing_stays_on_the_cluster(executor: Make, client: Client) -> None:
    """Neither keys nor plugins nor topics nor journals are left of a run."""

    def left_on_the_worker(dask_worker: Any) -> set[str]:
        files = {str(path) for path in Path(dask_worker.local_directory).parent.glob("headrace-*")}
        handlers = {str(each) for each in logging.root.handlers if type(each).__name__ == "RecordForwarder"}
        return {*files, *handlers, *dask_worker.extensions.get("headrace", {})}

    before = client.run(left_on_the_worker)
    with Flow("tidy") as flow:
        big = task(lambda number: bytes(100_000 * number), name="big").map([1, 2, 3])
        task(_length, name="measure").map(big)
    flow.run(executor=executor())

    def left_in_the_scheduler(dask_scheduler: Any) -> list[str]:
        names = [*dask_scheduler.plugins, *map(str, dask_scheduler.tasks), *dask_scheduler._broker._topics]
        return [name for name in names if "headrace-" in name or "measure-" in name or "big-" in name]

    deadline = time.monotonic() + 5
    while (left := client.run_on_scheduler(left_in_the_scheduler)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []
    assert client.run(left_on_the_worker) == before


def test_what_a_driver_leaves_that_was_killed_is_tidied_up(address: str, client: Client, tmp_path: Path) -> None:
    """The scheduler notices that the process that drove a run is gone."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\nfrom headrace import Flow, task\nfrom headrace_dask import DaskExecutor\n"
        "def nap(seconds):\n    time.sleep(seconds)\n"
        "with Flow('killed') as flow:\n    task(nap, name='killednap').map([0.2] * 200)\n"
        "flow.run(executor=DaskExecutor(address=sys.argv[1]))\n"
    )

    def left(dask_scheduler: Any) -> int:
        return sum("killednap-" in str(key) for key in dask_scheduler.tasks) + sum(
            name.startswith("headrace-") for name in dask_scheduler.plugins
        )

    process = subprocess.Popen([sys.executable, str(script), address], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while client.run_on_scheduler(left) < 10 and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while (found := client.run_on_scheduler(left)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == 0
