"""Executors that break the contract, each in one way, and the tests of the kit that must notice.

`test_executors.py` runs these in a process of their own and looks at which fail.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.core.engine.fakes import ChainingExecutor
from tests.core.testing.keeping_executor import KeepingExecutor, KeptResult, Shelf

from headrace import remote
from headrace.abc import Capability, Executor, ExecutorContext, ResultReference
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import RemoteError, describe
from headrace.states import Success
from headrace.testing.executors import ExecutorConformance
from headrace_plugins.threads import ThreadsExecutor

Deliver = Callable[[Outcome], object]


class Quick(ExecutorConformance):
    """Small and impatient, for what is expected to fail."""

    seconds = 0.6
    kill_seconds = 0.4
    mapped_children = 100
    big_value_bytes = 1000


class Sound(ThreadsExecutor):
    """Breaks nothing."""

    def __init__(self) -> None:
        super().__init__(3)


class DeliversTwice(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        def twice(outcome: Outcome) -> None:
            deliver(outcome)
            deliver(outcome)

        super().submit(work, twice)


class LosesWork(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        super().submit(work, (lambda _: None) if work.key == 2 else deliver)


class LosesErrors(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        def gloss_over(outcome: Outcome) -> None:
            deliver(Outcome(outcome.key, Success()) if outcome.state.is_failed() else outcome)

        super().submit(work, gloss_over)


class TellsErrorsApartByTheirText(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        def retell(outcome: Outcome) -> None:
            result = outcome.state.result
            deliver(work.failed(RuntimeError(str(result))) if isinstance(result, BaseException) else outcome)

        super().submit(work, retell)


class ForgetsWhatItReplaces(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        def replace(outcome: Outcome) -> None:
            error = outcome.state.result
            if isinstance(error, Exception):
                outcome.state.result = RemoteError(describe(error))
            deliver(outcome)

        super().submit(work, replace)


class LooksAtResults(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        def look(outcome: Outcome) -> None:
            deliver(outcome if outcome.state.result else Outcome(outcome.key, Success()))

        super().submit(work, look)


class LeaksThreads(Sound):
    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        super().start(context, stack)
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


class LeaksDescriptors(Sound):
    kept: list[Any] = []  # noqa: RUF012 - for ever, which is what is wrong with it

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        super().start(context, stack)
        self.kept.append(multiprocessing.Pipe())


class LeaksSharedMemory(Sound):
    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        super().start(context, stack)
        Path("/dev/shm", f"headrace-kit-{os.getpid()}-{time.monotonic_ns()}").write_bytes(b"x")


class WaitsForMore(Executor):
    """Begins when one more piece of work has come than it asked for."""

    capacity = 4

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        self.waiting: list[tuple[Work, Deliver]] = []

    def submit(self, work: Work, deliver: Deliver) -> None:
        self.waiting.append((work, deliver))
        if len(self.waiting) > self.capacity:
            for each, deliver_each in self.waiting:
                deliver_each(each())
            self.waiting.clear()


class WantsNothing(Sound):
    capacity = 0


class LastComesFirst(Executor):
    """Begins with what was submitted last."""

    capacity = 4

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        self.waiting: list[tuple[Work, Deliver]] = []
        self.stopped = False
        self.changed = threading.Condition()
        thread = threading.Thread(target=self.work, daemon=True)
        stack.callback(thread.join)
        stack.callback(self.stop)
        thread.start()

    def submit(self, work: Work, deliver: Deliver) -> None:
        with self.changed:
            self.waiting.append((work, deliver))
            self.changed.notify()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify()

    def work(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.waiting or self.stopped)
                if self.stopped:
                    return
                work, deliver = self.waiting.pop()
            deliver(work())


class WorksOnceOnly(Sound):
    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        if hasattr(self, "started"):
            raise RuntimeError("threads can only be started once")
        self.started = True
        super().start(context, stack)


class ForgetsTheContext(Sound):
    def submit(self, work: Work, deliver: Deliver) -> None:
        work.parent = None
        super().submit(work, deliver)


class SwallowsLogs(Sound):
    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        logging.disable()
        stack.callback(logging.disable, logging.NOTSET)
        super().start(context, stack)


class DeliversWhatItGaveBack(Sound):
    capacity = 12

    def withdraw(self) -> list[Work]:
        waiting = list(self.kept)
        return [work for work in waiting if work.key > 5]

    def submit(self, work: Work, deliver: Deliver) -> None:
        self.kept = [*getattr(self, "kept", []), work]
        super().submit(work, deliver)


class CannotCancelAfterAll(Sound):
    capabilities = frozenset({Capability.CANCEL})


class CannotKillAfterAll(Sound):
    capabilities = frozenset({Capability.HARD_TIMEOUT})


class WaitsForTheDead(Executor):
    """A pool of `multiprocessing` never says what became of the work of a process that died."""

    capabilities = frozenset({Capability.REMOTE})
    capacity = 4

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        self.pool = stack.enter_context(multiprocessing.get_context("spawn").Pool(1))

    def submit(self, work: Work, deliver: Deliver) -> None:
        def arrived(data: bytes) -> None:
            deliver(remote.unpack(work, data))

        self.pool.apply_async(remote.run, (remote.pack(work),), callback=arrived)


class OneTooLong(KeptResult):
    def __init__(self, value: Any, shelf: Shelf, *, outlives_run: bool) -> None:
        super().__init__(value, shelf, outlives_run=outlives_run)
        self.length = None if self.length is None else self.length + 1


class OnlyTheFirst(KeptResult):
    def element(self, index: int) -> ResultReference:
        return super().element(0)


class SaysItStays(KeptResult):
    def load(self) -> Any:
        self.outlives_run = False
        try:
            return super().load()
        finally:
            self.outlives_run = True


class MiscountsElements(KeepingExecutor):
    kept_class = OneTooLong


class MixesUpElements(KeepingExecutor):
    kept_class = OnlyTheFirst


class LosesWhatItPromised(KeepingExecutor):
    kept_class = SaysItStays

    def __init__(self) -> None:
        super().__init__(outlives_run=True)


class KeepsNothingAfterAll(KeepingExecutor):
    def kept(self, value: Any) -> Any:
        return value


class GoesOnAfterAFailure(ChainingExecutor):
    def submit_chain(self, chain: Sequence[Work], deliver: Deliver, /) -> None:
        for number, work in enumerate(chain):
            work.arguments = {"value": number}
            deliver(work())


class ForgetsTheRest(ChainingExecutor):
    def submit_chain(self, chain: Sequence[Work], deliver: Deliver, /) -> None:
        self.submit(chain[0], deliver)


class HandsOnTheFirstResult(ChainingExecutor):
    def submit_chain(self, chain: Sequence[Work], deliver: Deliver, /) -> None:
        first = chain[0]()
        deliver(first)
        for work in chain[1:]:
            work.arguments = {"value": first.state.result}
            deliver(work())


class TakesNoChainAfterAll(ChainingExecutor):
    def chain_length(self, work: Work, /) -> int:
        return 0


class TestSound(Quick):
    seconds = 30.0
    kill_seconds = 15.0
    make_executor = Sound


class TestDeliversTwice(Quick):
    make_executor = DeliversTwice


class TestLosesWork(Quick):
    make_executor = LosesWork


class TestLosesErrors(Quick):
    make_executor = LosesErrors


class TestTellsErrorsApartByTheirText(Quick):
    make_executor = TellsErrorsApartByTheirText


class TestForgetsWhatItReplaces(Quick):
    make_executor = ForgetsWhatItReplaces


class TestLooksAtResults(Quick):
    make_executor = LooksAtResults


class TestLeaksThreads(Quick):
    make_executor = LeaksThreads


class TestLeaksDescriptors(Quick):
    make_executor = LeaksDescriptors


class TestLeaksSharedMemory(Quick):
    make_executor = LeaksSharedMemory

    @pytest.fixture(autouse=True)
    def tidy(self) -> Iterator[None]:
        yield
        for path in Path("/dev/shm").glob(f"headrace-kit-{os.getpid()}-*"):
            path.unlink()


class TestWaitsForMore(Quick):
    make_executor = WaitsForMore


class TestWantsNothing(Quick):
    make_executor = WantsNothing


class TestLastComesFirst(Quick):
    seconds = 10.0
    make_executor = LastComesFirst


class TestWorksOnceOnly(Quick):
    make_executor = WorksOnceOnly


class TestForgetsTheContext(Quick):
    make_executor = ForgetsTheContext


class TestSwallowsLogs(Quick):
    make_executor = SwallowsLogs


class TestDeliversWhatItGaveBack(Quick):
    make_executor = DeliversWhatItGaveBack


class TestCannotCancelAfterAll(Quick):
    make_executor = CannotCancelAfterAll


class TestCannotKillAfterAll(Quick):
    seconds = 5.0
    make_executor = CannotKillAfterAll


class TestWaitsForTheDead(Quick):
    # Time to start a process, so that only the one that died is waited for.
    seconds = 4.0
    make_executor = WaitsForTheDead


class TestMiscountsElements(Quick):
    make_executor = MiscountsElements


class TestMixesUpElements(Quick):
    make_executor = MixesUpElements


class TestLosesWhatItPromised(Quick):
    make_executor = LosesWhatItPromised


class TestKeepsNothingAfterAll(Quick):
    make_executor = KeepsNothingAfterAll


class TestGoesOnAfterAFailure(Quick):
    make_executor = GoesOnAfterAFailure


class TestForgetsTheRest(Quick):
    make_executor = ForgetsTheRest


class TestHandsOnTheFirstResult(Quick):
    make_executor = HandsOnTheFirstResult


class TestTakesNoChainAfterAll(Quick):
    make_executor = TakesNoChainAfterAll
