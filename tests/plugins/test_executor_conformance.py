"""The executors that come with headrace do what the contract says."""

from __future__ import annotations

from headrace.abc import Executor
from headrace.testing import ExecutorConformance
from headrace_plugins.local import LocalExecutor
from headrace_plugins.threads import ThreadsExecutor


class TestLocal(ExecutorConformance):
    def make_executor(self) -> Executor:
        return LocalExecutor()


class TestThreads(ExecutorConformance):
    def make_executor(self) -> Executor:
        return ThreadsExecutor(4)
