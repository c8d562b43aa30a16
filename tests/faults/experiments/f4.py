"""F4: a worker has another version of headrace or of Python, or lacks a plugin that the run needs."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.faults.dask_cluster import Cluster, make_executor
from tests.faults.experiment import Experiment, Trial
from tests.faults.sidelog import SideLog

from headrace import Flow, task
from headrace.exceptions import ExecutorError

_LIMIT = 20.0
# What the message must name.
_KINDS = {
    "headrace": ("headrace is ", " here and 9.9.9 there"),
    "Python": ("Python is ", " here and 3.99.0 there"),
    "plugin": ("headrace-odd is 1.0 here and missing there",),
}
_STORE = """\
from headrace.plugins import ResultStoreSpec, hookimpl


@hookimpl
def headrace_result_stores():
    return [ResultStoreSpec(name="odd", factory="headrace_plugins.memory:MemoryStore", summary="As memory.")]
"""
_PRETENCE = """\
import sys
from collections import namedtuple

Version = namedtuple("Version", "major minor micro releaselevel serial")
sys.version_info = Version(3, 99, 0, "final", 0)
"""


def touch(log: SideLog) -> None:
    log.write("begin", "touch")


class Difference(Experiment):
    name = "F4"
    title = "a worker has another version of headrace or Python than the process that drives the run, or lacks a plugin"
    executors = ("dask",)
    seconds = 120.0

    def inside(self, trial: Trial) -> None:
        kind = trial.choose(list(_KINDS))
        with Cluster(trial.folder) as cluster:
            cluster.add_workers(1)
            _add_odd_worker(cluster, trial.folder, kind)
            self._run(trial, cluster, kind)

    def _run(self, trial: Trial, cluster: Cluster, kind: str) -> None:
        with Flow("difference", results="odd:" if kind == "plugin" else None) as flow:
            task(touch)(trial.log)
        began = time.monotonic()
        try:
            state = flow.run(executor=make_executor(cluster))
        except ExecutorError as error:
            refusal = str(error)
        else:
            refusal = f"nothing, and ended as {state!r}"
        findings = trial.findings
        findings.time("refused after", time.monotonic() - began, _LIMIT)
        right = all(text in refusal for text in _KINDS[kind])
        findings.none_of("refusals without the difference", [] if right else [f"{kind}: {refusal}"])
        findings.none_of("begun", trial.log.count("begin"))


def _add_odd_worker(cluster: Cluster, folder: Path, kind: str) -> None:
    odd = folder / "odd"
    odd.mkdir()
    environment = dict(os.environ)
    options = []
    if kind == "headrace":
        _install(odd, "headrace", "9.9.9")
        environment["PYTHONPATH"] = os.pathsep.join([str(odd), environment["PYTHONPATH"]])
    elif kind == "Python":
        (odd / "preload.py").write_text(_PRETENCE, encoding="utf-8")
        options = ["--preload", str(odd / "preload.py")]
    else:
        # The process that drives the run has it, and only that.
        _install(odd, "headrace-odd", "1.0", "[headrace.stores]\nodd = headrace_odd\n")
        (odd / "headrace_odd.py").write_text(_STORE, encoding="utf-8")
        sys.path.insert(0, str(odd))
    cluster.add_workers(1, *options, environment=environment)


def _install(folder: Path, name: str, version: str, entry_points: str = "") -> None:
    """Put the metadata of a distribution into ``folder``."""
    information = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (information / "METADATA").write_text(metadata, encoding="utf-8")
    (information / "entry_points.txt").write_text(entry_points, encoding="utf-8")
