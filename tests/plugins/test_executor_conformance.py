"""The executors that come with headrace do what the contract says."""

from __future__ import annotations

import sys

import pytest

from headrace.abc import Executor
from headrace.testing import ExecutorConformance
from headrace_plugins.local import LocalExecutor
from headrace_plugins.processes.executor import ProcessesExecutor
from headrace_plugins.threads import ThreadsExecutor


class TestLocal(ExecutorConformance):
    def make_executor(self) -> Executor:
        return LocalExecutor()


class TestThreads(ExecutorConformance):
    def make_executor(self) -> Executor:
        return ThreadsExecutor(4)


@pytest.mark.skipif(sys.platform == "win32", reason="the executor needs POSIX")
class TestProcesses(ExecutorConformance):
    def make_executor(self) -> Executor:
        return ProcessesExecutor(2, kill_grace=1.0)
