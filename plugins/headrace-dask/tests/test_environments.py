"""Workers and schedulers that are not like the process that drives the run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from headrace import Flow, task
from headrace.abc import ExecutorContext
from headrace.exceptions import ExecutorError
from headrace_dask import DaskExecutor
from headrace_dask.environments import differences, environment, question

HERE = {"Python": "3.11.7", "headrace": "1.0", "headrace-dask": "1.0", "cloudpickle": "3.1.2", "headrace-s3": "2.0"}


def _nap(seconds: float) -> int:
    time.sleep(seconds)
    return os.getppid()


@pytest.mark.parametrize(
    ("name", "version", "told"),
    [
        ("Python", "3.12.1", ["Python is 3.11.7 here and 3.12.1 there"]),
        ("Python", "3.11.9", []),
        ("headrace", "1.0.1", ["headrace is 1.0 here and 1.0.1 there"]),
        ("headrace-dask", None, ["headrace-dask is 1.0 here and missing there"]),
        ("cloudpickle", "3.1.9", []),
        ("cloudpickle", "3.2.0", ["cloudpickle is 3.1.2 here and 3.2.0 there"]),
        ("headrace-s3", None, ["headrace-s3 is 2.0 here and missing there"]),
    ],
)
def test_what_has_to_be_the_same_is(name: str, version: str | None, told: list[str]) -> None:
    assert differences(HERE, {**HERE, name: version}) == told


def test_the_question_asks_for_what_is_installed() -> None:
    found = environment(["headrace-nowhere"])
    assert found["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["headrace-nowhere"] is None
    assert found["headrace"]
    assert eval(question(found)) == found


def _other_version(folder: Path) -> dict[str, str]:
    """Return an environment in which another version of headrace seems to be installed."""
    metadata = folder / "headrace-99.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: headrace\nVersion: 99.0\n")
    return {"PYTHONPATH": str(folder)}


def _flow(*naps: float) -> tuple[Flow, Any]:
    with Flow("naps") as flow:
        last = task(_nap, name="nap").map(list(naps))
    return flow, last


def test_a_cluster_with_other_versions_is_refused_at_the_start(own_cluster: Callable[..., Any], tmp_path: Path) -> None:
    """The error says what is different and where."""
    cluster = own_cluster(env=_other_version(tmp_path), n_workers=1)
    flow, _ = _flow(0)
    with pytest.raises(ExecutorError, match=r"The scheduler: headrace is .* here and 99.0 there; Worker tcp://"):
        flow.run(executor=DaskExecutor(address=cluster.address))


def test_a_worker_without_a_plugin_of_the_run_is_refused(address: str) -> None:
    """What brings the result store has to be where tasks run."""
    from contextlib import ExitStack

    context = ExecutorContext(flow_name="f", flow_run_id="r", task_count=1, plugins={"headrace-s3": "1.0"})
    with ExitStack() as stack, pytest.raises(ExecutorError, match=r"headrace-s3 is 1\.0 here and missing there"):
        DaskExecutor(address=address).start(context, stack)


@contextmanager
def _joining(address: str, env: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    with subprocess.Popen(command, env=os.environ | env, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_a_worker_that_joins_later_is_looked_at_too(
    own_cluster: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on without one that is different, and says so."""
    cluster = own_cluster(n_workers=1)
    with Client(cluster.address, set_as_default=False) as client, _joining(cluster.address, _other_version(tmp_path)):
        executor = DaskExecutor(address=cluster.address)
        flow, last = _flow(*[0.2] * 12)

        def start_when_both_are_there(*_: object) -> None:
            client.wait_for_workers(2, timeout=30)

        original = executor.start

        def start(context: Any, stack: Any) -> None:
            original(context, stack)
            start_when_both_are_there()

        executor.start = start  # type: ignore[method-assign]
        states = flow.run(executor=executor).result[last]
    assert states.is_successful()
    assert len(set(states.result)) == 1
    assert "takes no part in the run" in caplog.text
    assert "99.0 there" in caplog.text
