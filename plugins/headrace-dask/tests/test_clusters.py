"""Which cluster a run works on."""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster, get_worker

from headrace import Flow, config, task
from headrace.abc import ExecutorContext
from headrace.engine import Engine
from headrace.exceptions import ExecutorError, PluginOptionError
from headrace.references import ReleasedValue
from headrace.states import State
from headrace_dask import DaskExecutor

SMALL = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": ":0"}


@task
def double(number: int) -> int:
    return 2 * number


def small_flow() -> tuple[Flow, Any]:
    with Flow("small") as flow:
        last = double(double.map([1, 2, 3])[1])
    return flow, last


def run_small(executor: Any, **options: Any) -> Any:
    flow, last = small_flow()
    return flow.run(executor=executor, **options).result[last].result


def test_a_cluster_of_this_machine_is_made_for_the_run() -> None:
    before = {thread.name for thread in threading.enumerate()}
    assert run_small(DaskExecutor(cluster_kwargs=SMALL)) == 8
    assert not {thread.name for thread in threading.enumerate()} - before - {"Dask-Offload_0"}


def test_a_cluster_of_threads_is_enough() -> None:
    """What is logged and printed there is logged and printed once."""
    assert run_small(DaskExecutor(cluster_kwargs={**SMALL, "processes": False})) == 8


def test_prints_in_threads_of_this_process_come_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Flow("talk") as flow:
        task(lambda: print("hello from a thread"), name="talk")()
    flow.run(executor=DaskExecutor(cluster_kwargs={**SMALL, "processes": False}))
    assert capsys.readouterr().out == "hello from a thread\n"


def test_a_cluster_class_may_be_given_by_name() -> None:
    assert run_small(DaskExecutor(cluster_class="distributed.LocalCluster", cluster_kwargs=SMALL)) == 8


def test_a_cluster_grows_with_the_work() -> None:
    """With ``adapt_kwargs`` it may begin without a worker, and the first one comes because there is work."""
    options = {**SMALL, "n_workers": 0, "processes": False}
    executor = DaskExecutor(cluster_kwargs=options, adapt_kwargs={"minimum": 0, "maximum": 2, "interval": "50 ms"})
    assert run_small(executor) == 8


def test_a_client_is_used_and_stays_open(client: Client) -> None:
    executor = DaskExecutor(client=client)
    assert [run_small(executor), run_small(executor)] == [8, 8]
    assert client.submit(lambda: 5).result() == 5


def test_large_results_stay_on_the_cluster_of_a_client(client: Client) -> None:
    """They are fetched when somebody asks, also after the run."""
    with Flow("large") as flow:
        big = task(lambda: bytes(3_000_000), name="big")()
        small = task(lambda: bytes(30_000), name="small")()
    states = flow.run(executor=DaskExecutor(client=client)).result
    assert len(states[big].result) == 3_000_000
    assert states[small]._result == bytes(30_000)


def test_large_results_of_a_cluster_that_is_gone_say_so() -> None:
    with Flow("large") as flow:
        big = task(lambda: bytes(3_000_000), name="big")()
    state: State = flow.run(executor=DaskExecutor(cluster_kwargs=SMALL)).result[big]
    assert isinstance(state._result, ReleasedValue)
    with pytest.raises(LookupError, match="keep_results"):
        state.result  # noqa: B018 - reading it is what raises


def test_the_address_may_come_from_the_configuration(address: str) -> None:
    with config.set_temporary_config({"engine.executors.dask.address": address}):
        assert run_small("dask") == 8


def test_options_are_checked_by_name_and_type() -> None:
    registry = Engine().registry
    with pytest.raises(PluginOptionError, match=r"adress.*Did you mean 'address'"):
        registry.create("executor", "dask", adress="tcp://127.0.0.1:1")
    with pytest.raises(PluginOptionError, match=r"'window'.*expects a whole number"):
        registry.create("executor", "dask", window="many")
    made = registry.create("executor", "dask", cluster_kwargs='{"n_workers": 1}', max_worker_deaths="2")
    assert isinstance(made, DaskExecutor)
    assert made.max_worker_deaths == 2


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"address": "tcp://127.0.0.1:1", "cluster_class": LocalCluster}, "address and cluster_class"),
        ({"address": "tcp://127.0.0.1:1", "adapt_kwargs": {"maximum": 2}}, "address and adapt_kwargs"),
        ({"client": "tcp://127.0.0.1:1"}, "no Dask client"),
        ({"window": 0}, "window to be at least 1"),
        ({"address": "5"}, "'5' as the address of a scheduler: missing port number"),
        ({"address": "tcp://127.0.0.1"}, "missing port number"),
        ({"address": "here:there"}, "as the address of a scheduler"),
        ({"address": "http://127.0.0.1:8787"}, "unknown address scheme 'http'"),
        ({"client_kwargs": {"timeot": 1}}, "`client_kwargs` .*Client does not know 'timeot'.* Did you mean 'timeout'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(PluginOptionError, match=told):
        DaskExecutor(**options)


def test_a_cluster_class_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(PluginOptionError, match=r"dask_nowhere\.Cluster"):
        run_small(DaskExecutor(cluster_class="dask_nowhere.Cluster"))


def test_a_cluster_class_that_makes_something_else_is_told_what() -> None:
    with pytest.raises(PluginOptionError, match=r"os.*getcwd, which made a str, and that is no Dask cluster"):
        run_small(DaskExecutor(cluster_class=os.getcwd))


def test_why_a_cluster_cannot_be_made_is_told() -> None:
    """What Dask says first is only that a process of its own has not started."""
    told = r"made by distributed\.LocalCluster: TypeError: .*'n_workrs'.*`cluster_kwargs`"
    with pytest.raises(ExecutorError, match=told):
        run_small(DaskExecutor(cluster_kwargs={"n_workrs": 1}))


def test_why_a_cluster_cannot_adapt_is_told() -> None:
    class Fixed(LocalCluster):
        def adapt(self) -> None:
            """Take no options."""

    options = {**SMALL, "processes": False}
    executor = DaskExecutor(cluster_class=Fixed, cluster_kwargs=options, adapt_kwargs={"maximun": 2})
    with pytest.raises(ExecutorError, match=r"Fixed cannot adapt: TypeError: .*'maximun'.*`adapt_kwargs`"):
        run_small(executor)


@pytest.mark.parametrize("wrong", [{"timeout": "soon"}, {"timeout": None}, {"security": {"tsl": 1}}, {"security": 5}])
def test_client_options_of_wrong_values_are_no_matter_of_the_scheduler(address: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(PluginOptionError, match="`client_kwargs` of executor 'dask' cannot be used: "):
        run_small(DaskExecutor(address=address, client_kwargs=wrong))


@pytest.mark.parametrize("processes", [True, False])
def test_a_flow_inside_a_task_uses_the_cluster_of_the_task(processes: bool) -> None:
    """The task lends its thread, of which there is only one, and gets it back."""

    def inner() -> tuple[Any, bool]:
        flow, last = small_flow()
        before = get_worker().scheduler.address
        with flow:
            where = task(lambda: get_worker().scheduler.address, name="where")()
        states = flow.run(executor="dask").result
        return states[last].result, before == states[where].result

    with Flow("outer") as flow:
        last = task(inner, name="inner")()
    options = {**SMALL, "threads_per_worker": 1, "processes": processes}
    assert flow.run(executor=DaskExecutor(cluster_kwargs=options)).result[last].result == (8, True)


def test_a_task_that_cannot_lend_its_thread_runs_no_flow_on_its_cluster(executor: Callable[..., Any]) -> None:
    with Flow("outer") as flow:
        last = task(lambda: run_small("dask"), name="inner", timeout=30)()
    state = flow.run(executor=executor()).result[last]
    assert isinstance(state.result, ExecutorError)
    assert "Take the `timeout` off" in str(state.result)


def test_a_scheduler_that_cannot_be_reached_is_named() -> None:
    """With how long it was tried and what to do next."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        executor = DaskExecutor(address=f"tcp://127.0.0.1:{port}", client_kwargs={"timeout": 0.5})
        with pytest.raises(ExecutorError, match=rf"tcp://127.0.0.1:{port} .*tried for \d+\.\d s.*dask scheduler"):
            run_small(executor)


def test_a_cluster_without_workers_is_not_waited_for_for_ever(own_cluster: Callable[..., Any]) -> None:
    cluster = own_cluster(n_workers=0)
    with pytest.raises(ExecutorError, match=f"{cluster.address} has had no worker for 0.5 s.*dask worker"):
        run_small(DaskExecutor(address=cluster.address, worker_timeout=0.5))


def test_a_client_that_is_closed_is_refused(address: str) -> None:
    with Client(address, set_as_default=False) as client:
        executor = DaskExecutor(client=client)
    with pytest.raises(ExecutorError, match="closed"):
        run_small(executor)


def test_an_executor_can_be_pickled_without_its_client(client: Client) -> None:
    copy = pickle.loads(pickle.dumps(DaskExecutor(client=client)))
    assert run_small(copy) == 8


def test_a_performance_report_needs_a_library(tmp_path: Path, address: str) -> None:
    """With it the report is written, without it the error says what to install."""
    path = tmp_path / "report.html"
    executor = DaskExecutor(address=address, performance_report_path=str(path))
    try:
        import bokeh  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        with pytest.raises(PluginOptionError, match="pip install bokeh"):
            run_small(executor)
    else:
        assert run_small(executor) == 8
        assert "<html" in path.read_text(encoding="utf-8")


def test_the_workers_that_are_there_are_known_from_the_beginning(address: str) -> None:
    """What is said of them while the link is new may not be heard."""
    executor = DaskExecutor(address=address)
    context = ExecutorContext(flow_name="flow", flow_run_id="run", task_count=1)
    with ExitStack() as stack:
        executor.start(context, stack)
        assert executor._session is not None
        assert len(executor._session.workers) == 2


def test_an_executor_that_serves_a_run_refuses_another_at_the_same_time(address: str) -> None:
    executor = DaskExecutor(address=address)
    context = ExecutorContext(flow_name="flow", flow_run_id="run", task_count=1)
    with ExitStack() as stack:
        executor.start(context, stack)
        with pytest.raises(ExecutorError, match="another run already"), ExitStack() as second:
            executor.start(context, second)
