"""The driver: carries out what the scheduler decides, for one run of one flow.

Everything here happens in the thread that called ``flow.run()``. Executors answer through ``inbox``.
"""

from __future__ import annotations

from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from headrace.abc import Capability
from headrace.engine.interrupts import Interrupts
from headrace.engine.pausing import ask_on_terminal
from headrace.engine.retrying import retry_state
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import TransferError, TriggerFailedError, describe
from headrace.references import ResultReference
from headrace.run_context import context
from headrace.signals import FAIL
from headrace.states import Cancelled, Cancelling, Failed, Retrying, Running, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.abc import Executor, ExecutorContext
    from headrace.clock import Clock
    from headrace.engine.async_tasks import LoopThread
    from headrace.engine.plan import Plan
    from headrace.engine.recording import Recorder
    from headrace.engine.scheduler import Scheduler
    from headrace.engine.task_runs import TaskRun
    from headrace.engine.transitions import Transitions
    from headrace.engine.values import ValueKeeper
    from headrace.results import ResultKeeper
    from headrace.run_context import RunFrame

__all__ = ["Driver"]

# How many coroutines are begun before others have ended.
_MOST_ON_LOOP: Final = 1000
_NOTHING: Final[Mapping[int, Callable[[Work], Work]]] = {}
# Seconds that an executor gets to report what it has killed.
_TIME_TO_DIE: Final = 5.0


class Driver:
    """Runs one plan to its end.

    ``frame`` is the context of the run; ``transitions`` tells whoever watches; ``values`` decides which results stay
    in memory; ``keeper`` writes results to a store, or is None; ``arrangements`` are, by node, what makes work of tasks
    that have a say in where their results are; ``recorder`` takes down what happens, or is None.
    """

    def __init__(
        self,
        plan: Plan,
        scheduler: Scheduler,
        *,
        executor: Executor,
        clock: Clock,
        frame: RunFrame,
        transitions: Transitions,
        values: ValueKeeper,
        keeper: ResultKeeper | None = None,
        arrangements: Mapping[int, Callable[[Work], Work]] = _NOTHING,
        recorder: Recorder | None = None,
        cancel_grace: float = 10.0,
        on_pause: Callable[[list[str]], Iterable[str]] = ask_on_terminal,
    ) -> None:
        self._plan = plan
        self._scheduler = scheduler
        self._executor = executor
        self._clock = clock
        self._frame = frame
        self._transitions = transitions
        self._values = values
        self._keeper = keeper
        self._arrangements = arrangements
        self._recorder = recorder
        self._cancel_grace = cancel_grace
        self._on_pause = on_pause
        self._inbox: SimpleQueue[Outcome | None] = SimpleQueue()
        self._in_flight: dict[int, TaskRun] = {}
        self._next_key = 0
        self._interrupts = Interrupts(self._inbox, driving=Driver._loop.__code__, hand_on=frame.request_cancel)
        self._give_up_at: float | None = None
        self._killed = False
        # What to raise in the end, since somebody asked to see the first failure.
        self.error: BaseException | None = None
        self._stack = ExitStack()
        # Coroutines of tasks share one event loop, which is started when the first one is due.
        self._event_loop: LoopThread | None = None
        self._waiting_on_loop = 0

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C, or a signal that asks for the same, ended the run."""
        return self._interrupts.count > 0

    def interruption(self) -> BaseException:
        """Return what a run that was interrupted raises."""
        return self._interrupts.error()

    def run(self, context: ExecutorContext) -> None:
        """Run until nothing is left to do or to wait for."""
        with ExitStack() as self._stack:
            self._listen_to_enclosing_run()
            try:
                with self._interrupts.raised():
                    self._executor.start(context, self._stack)
            except KeyboardInterrupt:
                self._begin_nothing()
                return
            self._stack.enter_context(self._interrupts)
            self._loop()
            if Capability.KEEPS_RESULTS in self._executor.capabilities:
                self._values.bring_home(self._scheduler.states())

    def _begin_nothing(self) -> None:
        """End a run that was interrupted before there was an executor to run anything."""
        self._interrupts.raised_by_a_task()
        cancelled = Cancelled("The run was cancelled before this task began.")
        self._scheduler.cancel(cancelled)
        while (decision := self._scheduler.next()) is not None:
            run, state = decision
            self._enter(run, state or cancelled)

    def _listen_to_enclosing_run(self) -> None:
        """Stop when the run stops whose task this run is part of."""
        enclosing = self._frame.enclosing()
        if enclosing is not None:
            enclosing.inner.add(self._interrupts.request)
            self._stack.callback(enclosing.inner.discard, self._interrupts.request)

    def _loop(self) -> None:
        in_flight, inbox, scheduler = self._in_flight, self._inbox, self._scheduler
        while True:
            capacity = self._executor.capacity
            while len(in_flight) - self._waiting_on_loop < capacity and self._waiting_on_loop < _MOST_ON_LOOP:
                decision = scheduler.next()
                if decision is None:
                    break
                run, state = decision
                if state is None:
                    self._execute(run)
                else:
                    self._enter(run, state)
            if not in_flight and not scheduler.sleeping:
                if self._resume_paused():
                    continue
                return
            hurried = scheduler.sleeping or self._give_up_at is not None
            self._handle(self._wait() if hurried or inbox.empty() else inbox.get())
            while not inbox.empty():
                self._handle(inbox.get())

    def _resume_paused(self) -> bool:
        """Now that nothing else is left to do, ask which paused runs may go on; tell whether any may."""
        paused = {run.name: run for run in self._scheduler.paused()}
        if not paused or self._give_up_at is not None:
            return False
        resumed = [paused[name] for name in self._on_pause(list(paused)) if name in paused]
        for run in resumed:
            self._scheduler.resume(run)
        return bool(resumed)

    def _wait(self) -> Outcome | None:
        """Wait for an outcome, but no longer than until the next run wakes or patience ends."""
        clock = self._clock
        moments = [m for m in (self._scheduler.next_wake, self._give_up_at) if m is not None]
        outcome = clock.wait(self._inbox, min(moments) - clock.now() if moments else None)
        now = clock.now()
        self._scheduler.wake(now)
        if outcome is None and self._give_up_at is not None and now >= self._give_up_at:
            self._lose_patience(now)
        return outcome

    def _handle(self, outcome: Outcome | None) -> None:
        if self._interrupts.pending:
            self._cancel()
        if outcome is not None:
            run = self._in_flight.pop(outcome.key, None)
            if run is not None:
                self._waiting_on_loop -= run.node.task.is_async
                self._conclude(run, outcome.state)

    # -- one task run --------------------------------------------------------------------------------------------

    def _enter(self, run: TaskRun, state: State) -> None:
        """Let ``run`` enter a state that needs no executor."""
        brought = state is run.state
        if self._transitions.concern(run):
            state = self._transitions.enter(run, state)
        # Who refuses to run because of others has nothing to add to what they reported.
        if state._failed and not brought and not isinstance(state._result, TriggerFailedError):
            self._transitions.report_failure(run, state)
            self._stop_if_asked(state)
        self._settle(run, state)

    def _execute(self, run: TaskRun) -> None:
        if self._transitions.concern(run):
            running = self._transitions.enter(run, Running("Running."))
            if not running.is_running():
                if running._failed:
                    self._transitions.report_failure(run, running)
                    self._stop_if_asked(running)
                self._settle(run, running)
                return
            run.state = running
        try:
            arguments = run.arguments(self._scheduler.runs)
        except Exception as error:  # noqa: BLE001 - results that are flattened are iterated over, which is user code
            self._conclude(run, Failed(f"Its arguments could not be prepared: {describe(error)}", error))
            return
        if self._recorder is not None:
            self._recorder.began(run)
        key = self._next_key
        self._next_key = key + 1
        node = run.node
        work = Work(
            key,
            node.task,
            node.slug,
            arguments,
            run.map_index,
            run.attempt,
            run.loop,
            run.resumed,
            self._frame,
            self._keeper if node.task.checkpoint is not False else None,
        )
        if self._arrangements and node.index in self._arrangements:
            work = self._arrangements[node.index](work)
        self._in_flight[key] = run
        try:
            self._submit(work)
        except TransferError as error:
            self._inbox.put(Outcome(key, Failed(describe(error), error)))
        except Exception as error:  # noqa: BLE001 - an executor is a plugin: if it refuses a task, that task has failed
            self._inbox.put(work.failed(error))

    def _submit(self, work: Work) -> None:
        """Hand ``work`` to the executor, or to the event loop if its task is a coroutine function."""
        if not work.task.is_async:
            self._executor.submit(work, self._inbox.put)
            return
        if Capability.KEEPS_RESULTS in self._executor.capabilities:
            work.arguments = {name: _fetched(value, {}) for name, value in work.arguments.items()}
        if self._event_loop is None:
            from headrace.engine.async_tasks import LoopThread  # noqa: PLC0415 - asyncio is slow to import

            self._event_loop = LoopThread()
            self._stack.callback(self._event_loop.close)
        self._waiting_on_loop += 1
        self._event_loop.submit(work, self._inbox.put)

    def _conclude(self, run: TaskRun, state: State) -> None:
        """Turn what a task did into the state its run is in now."""
        if run.attempts:
            state.attempts = run.attempts
        if self._transitions.concern(run):
            state = self._transitions.enter(run, state)
        if not state._successful:
            state = self._after_trouble(run, state)
        self._settle(run, state)

    def _after_trouble(self, run: TaskRun, state: State) -> State:
        if state.is_looped():
            state.loop_count = 1 if run.loop is None else run.loop.loop_count + 1  # type: ignore[attr-defined]
            run.loop = state  # type: ignore[assignment]
            # Each iteration has all its attempts.
            run.attempt = 1
            return state
        if state.is_retrying():
            return self._count_attempt(run, state)
        if not state._failed:
            if isinstance(state._result, KeyboardInterrupt):
                self._interrupts.raised_by_a_task()
                self._cancel()
            elif state.is_paused():
                # For a run that goes on from this state.
                state.context["task_run_count"] = run.attempt
            return state
        self._stop_if_asked(state)
        retrying = None if self._give_up_at is not None else retry_state(run, state, self._clock.now())
        if retrying is None:
            self._transitions.report_failure(run, state)
            return state
        self._transitions.report_retry(run, state, retrying)
        run.state = state
        run.attempts = retrying.attempts = (*run.attempts, state)
        if self._transitions.concern(run):
            return self._count_attempt(run, self._transitions.enter(run, retrying))
        return self._count_attempt(run, retrying)

    def _stop_if_asked(self, failed: State) -> None:
        """Cancel the run at its first failure if ``context.raise_on_exception`` says so."""
        if self._give_up_at is None and context.get("raise_on_exception"):
            error = failed._result
            self.error = error if isinstance(error, BaseException) else FAIL(failed.message)
            self._cancel()

    @staticmethod
    def _count_attempt(run: TaskRun, state: State) -> State:
        if isinstance(state, Retrying):
            state.run_count = run.attempt
            run.attempt += 1
        return state

    def _settle(self, run: TaskRun, state: State) -> None:
        if self._recorder is not None:
            self._recorder.settled(run, state)
        scheduler = self._scheduler
        scheduler.settle(run, state)
        if scheduler.consumed:
            for consumed in scheduler.consumed:
                self._values.release(consumed)
            scheduler.consumed.clear()

    # -- cancelling ----------------------------------------------------------------------------------------------

    def _cancel(self) -> None:
        """Begin nothing new; give what runs a while to end."""
        self._interrupts.pending = False
        if self._give_up_at is not None:
            return
        self._give_up_at = self._clock.now() + self._cancel_grace
        self._frame.request_cancel()
        self._scheduler.cancel(Cancelled("The run was cancelled before this task began."))
        for work in self._executor.withdraw():
            self._inbox.put(work.cancelled())
        if Capability.CANCEL in self._executor.capabilities:
            self._executor.cancel(force=False)
        if self._event_loop is not None:
            self._event_loop.cancel()
        for run in self._in_flight.values():
            if self._transitions.concern(run):
                run.state = self._transitions.enter(run, Cancelling("Asked to stop."))

    def _lose_patience(self, now: float) -> None:
        """Let what still runs be killed, where that can be done; what outlives that is left alone."""
        if Capability.CANCEL in self._executor.capabilities and not self._killed:
            self._killed = True
            self._executor.cancel(force=True)
            self._give_up_at = now + _TIME_TO_DIE
        else:
            self._abandon()

    def _abandon(self) -> None:
        """Stop waiting for what still runs."""
        for run in list(self._in_flight.values()):
            self._enter(run, Cancelled("Was still running when the run gave up waiting for it."))
        self._in_flight.clear()
        self._killed = False
        # What cleans up begins only now, and gets as much time.
        self._give_up_at = self._clock.now() + self._cancel_grace


def _fetched(value: Any, known: dict[int, list[Any]]) -> Any:
    """Return an argument as a task in this process gets it: what an executor kept elsewhere is fetched.

    ``known`` are the lists that were met on the way, by id: one may hold itself.
    """
    if not isinstance(value, list):
        return value.load() if isinstance(value, ResultReference) else value
    if id(value) not in known:
        made: list[Any] = []
        known[id(value)] = made
        made.extend(_fetched(item, known) for item in value)
    return known[id(value)]
