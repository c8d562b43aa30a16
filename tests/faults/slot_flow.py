"""A flow whose one task needs a slot, and takes long."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.sidelog import SideLog

from headrace import Flow, Parameter, task


@task
def first(folder: str, seconds: float) -> None:
    time.sleep(seconds)
    SideLog(Path(folder) / "side.log").write("waiting", "first")


@task(tags={"only one"})
def holding(folder: str) -> None:
    SideLog(Path(folder) / "side.log").write("begin", "holding")
    time.sleep(60)


with Flow("slots") as flow:
    where = Parameter("folder")
    holding(where, upstream_tasks=[first(where, Parameter("seconds"))])
