"""The driver: carries out what the scheduler decides, for one run of one flow.

Everything here happens in the thread that called ``flow.run()``. Executors answer through ``inbox``.
"""

from __future__ import annotations

from contextlib import ExitStack
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from headrace.abc import Capability
from headrace.engine.chains import Chains
from headrace.engine.handover import MOST_ON_LOOP, Handover
from headrace.engine.interrupts import Interrupts
from headrace.engine.pausing import ask_on_terminal
from headrace.engine.retrying import retry_state
from headrace.engine.worker import NOT_BEGUN
from headrace.exceptions import TriggerFailedError, describe
from headrace.run_context import context
from headrace.signals import FAIL
from headrace.states import Cancelled, Cancelling, Failed, Pending, Queued, Retrying, Running, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.abc import Executor, ExecutorContext
    from headrace.clock import Clock
    from headrace.engine.interrupts import Order
    from headrace.engine.limits import Limits
    from headrace.engine.plan import Plan
    from headrace.engine.recording import Recorder
    from headrace.engine.scheduler import Scheduler
    from headrace.engine.task_runs import TaskRun
    from headrace.engine.transitions import Transitions
    from headrace.engine.values import ValueKeeper
    from headrace.engine.worker import Outcome, Work
    from headrace.results import ResultKeeper
    from headrace.run_context import RunFrame

__all__ = ["Driver"]

# How many children of one map wait for slots at once; the others are made when these have gone on.
_MOST_IN_LINE: Final = 1000
_NOTHING: Final[Mapping[int, Callable[[Work], Work]]] = {}
_LEFT: Final = "Its process was to end before it had ended."
# How many task runs are named that were under way when a run was left.
_MOST_NAMED: Final = 5
# Seconds that an executor gets to report what it has killed.
_TIME_TO_DIE: Final = 5.0


class Driver:
    """Runs one plan to its end.

    ``frame`` is the context of the run; ``transitions`` tells whoever watches; ``values`` decides which results stay
    in memory; ``keeper`` writes results to a store, or is None; ``arrangements`` are, by node, what makes work of tasks
    that have a say in where their results are; ``recorder`` takes down what happens, or is None. ``timeout`` is how
    many seconds the run may take.
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
        timeout: float | None = None,
        on_pause: Callable[[list[str]], Iterable[str]] = ask_on_terminal,
    ) -> None:
        self._plan = plan
        self._scheduler = scheduler
        self._executor = executor
        self._clock = clock
        self._frame = frame
        self._transitions = transitions
        self._values = values
        self._recorder = recorder
        self._cancel_grace = cancel_grace
        self._on_pause = on_pause
        self._inbox: SimpleQueue[Outcome | None] = SimpleQueue()
        self._handover = Handover(
            executor, self._inbox.put, frame=frame, keeper=keeper, arrangements=arrangements, recorder=recorder
        )
        self._chains = Chains(scheduler, self._handover.make, self._conclude, self._carry_out)
        self._interrupts = Interrupts(
            self._inbox,
            driving=Driver._loop.__code__,
            hand_on=frame.request_cancel,
            listens=recorder is not None or timeout is not None,
        )
        self._timeout = timeout
        self._deadline = None if timeout is None else clock.now() + timeout
        # Who waits for slots, once there is a limit for a task of this flow; and the limits, when these have changed.
        self._limits: Limits | None = None
        self._limited: frozenset[str] | None = None
        self._give_up_at: float | None = None
        self._killed = False
        # Whether there was an executor to run anything.
        self.began = False
        # What to raise in the end, since somebody asked to see the first failure.
        self.error: BaseException | None = None
        self._stack = ExitStack()

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C, or a signal that asks for the same, ended the run."""
        return self._interrupts.count > 0 and self.order is None

    @property
    def order(self) -> Order | None:
        """The order that ended the run: somebody wanted that, or it took too long."""
        return self._interrupts.order

    def interruption(self) -> BaseException:
        """Return what a run that was interrupted raises."""
        return self._interrupts.error()

    def why_left(self) -> str:
        """Return what is said of a run that is left now, before it has ended. May be called in any thread."""
        again = "It was interrupted again before it had ended." if self._interrupts.count else _LEFT
        names = [run.name for run in list(self._handover.in_flight.values())]
        under_way = ", ".join(names[:_MOST_NAMED]) + (" and more" if len(names) > _MOST_NAMED else "")
        return again + (f" Under way: {under_way}." if names else "")

    def run(self, context: ExecutorContext) -> None:
        """Run until nothing is left to do or to wait for."""
        with ExitStack() as self._stack:
            self._listen_to_enclosing_run()
            self._watch()
            try:
                with self._interrupts.raised():
                    self._executor.start(context, self._stack)
            except KeyboardInterrupt:
                self._begin_nothing()
                return
            self.began = True
            self._stack.callback(self._handover.close)
            self._stack.enter_context(self._interrupts)
            self._loop()
            if Capability.KEEPS_RESULTS in self._executor.capabilities:
                self._values.bring_home(self._scheduler.states())

    def _watch(self) -> None:
        """Look at what comes from outside of the run from now on, if anything can."""
        recorder = self._recorder
        if recorder is None and self._timeout is None:
            return
        from headrace.engine.watching import Watch  # noqa: PLC0415 - most runs are not recorded

        journal, limited = None, frozenset[str]()
        if recorder is not None:
            journal = recorder.journal
            limited = journal.limited_tags()
            self._limit(limited)
        self._stack.enter_context(Watch(self._interrupts.give, self._hear_limits, journal, limited, self._timeout))

    def _hear_limits(self, limited: frozenset[str]) -> None:
        """Be told, in another thread, which tags have a limit now."""
        self._limited = limited
        self._inbox.put(None)

    def _limit(self, limited: frozenset[str]) -> None:
        self._limited = None
        if self._limits is None and limited and self._recorder is not None:
            from headrace.engine.limits import Limits  # noqa: PLC0415 - most runs have no limits

            if any(not limited.isdisjoint(node.task.tags) for node in self._plan.nodes):
                self._limits = Limits(self._plan, self._recorder.journal, self._inbox)
                self._stack.callback(self._limits.close)
        if self._limits is not None and self._give_up_at is None:
            self._limits.set(limited)
            self._scheduler.bound(self._limits.tags, _MOST_IN_LINE)

    def _begin_nothing(self) -> None:
        """End a run that was interrupted before there was an executor to run anything."""
        self._interrupts.raised_by_a_task()
        cancelled = Cancelled(self._about_tasks())
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
        in_flight, inbox, scheduler = self._handover.in_flight, self._inbox, self._scheduler
        if self._interrupts.pending:
            self._cancel()
        while True:
            self._fill()
            waiting = self._limits is not None and self._limits.waiting
            if not in_flight and not scheduler.sleeping and not waiting:
                if self._resume_paused():
                    continue
                return
            hurried = scheduler.sleeping or waiting or self._deadline is not None or self._give_up_at is not None
            self._handle(self._wait() if hurried or inbox.empty() else inbox.get())
            while not inbox.empty():
                self._handle(inbox.get())

    def _fill(self) -> None:
        """Begin as much as the executor takes."""
        handover, scheduler, limits, early = self._handover, self._scheduler, self._limits, self._chains.early
        in_flight = handover.in_flight
        capacity = self._executor.capacity
        if limits is not None:
            # For whoever gets the slot that was asked for.
            capacity -= limits.asking
        while len(in_flight) - handover.on_loop < capacity and handover.on_loop < MOST_ON_LOOP:
            if limits is not None and limits.waiting:
                if limits.free:
                    self._execute(limits.free.popleft())
                    continue
                if limits.ask():
                    capacity -= 1
                    continue
            decision = scheduler.next()
            if decision is None:
                break
            run, state = decision
            if early and run in early:
                self._decide_early(run, state)
            else:
                self._carry_out(run, state)

    def _carry_out(self, run: TaskRun, state: State | None) -> None:
        """Do what the scheduler says."""
        limits = self._limits
        if state is not None:
            self._enter(run, state)
        elif limits is not None and run.node.index in limits.tags:
            self._queue(run, limits)
        else:
            self._execute(run)

    def _resume_paused(self) -> bool:
        """Now that nothing else is left to do, ask which paused runs may go on; tell whether any may."""
        paused = {run.name: run for run in self._scheduler.paused()}
        if not paused or self._give_up_at is not None:
            return False
        try:
            with self._interrupts.at_once():
                names = list(self._on_pause(list(paused)))
        except KeyboardInterrupt:
            if not self._interrupts.pending:
                raise
            self._cancel()
            return True
        resumed = [paused[name] for name in names if name in paused]
        for run in resumed:
            self._scheduler.resume(run)
        return bool(resumed)

    def _wait(self) -> Outcome | None:
        """Wait for an outcome, but no longer than until the next run wakes, a slot may be free, or patience ends."""
        clock, limits = self._clock, self._limits
        moments = [m for m in (self._scheduler.next_wake, self._give_up_at, self._deadline) if m is not None]
        longest = min(moments) - clock.now() if moments else None
        pause = None if limits is None else limits.patience()
        if pause is not None and not self._is_full():
            longest = pause if longest is None else min(longest, pause)
        outcome = clock.wait(self._inbox, longest)
        now = clock.now()
        self._scheduler.wake(now)
        if self._timeout is not None and self._deadline is not None and now >= self._deadline:
            from headrace.engine.watching import timeout_order  # noqa: PLC0415 - only for a run that took too long

            # The thread that watches measures time as it passes here; this clock may be another one.
            self._deadline = None
            self._interrupts.give(timeout_order(self._timeout))
        if outcome is None and self._give_up_at is not None and now >= self._give_up_at:
            self._lose_patience(now)
        return outcome

    def _handle(self, outcome: Outcome | None) -> None:
        if self._interrupts.pending:
            self._cancel()
        if outcome is not None:
            run = self._handover.returned(outcome.key)
            if run is None:
                return
            if self._chains.early and run in self._chains.early:
                self._hear_early(run, outcome.state)
            else:
                self._conclude(run, outcome.state)
            return
        if self._limited is not None:
            self._limit(self._limited)
        if self._limits is not None:
            for run in self._limits.admitted():
                self._execute(run)

    def _is_full(self) -> bool:
        """Tell whether nothing more could be run."""
        busy = self._handover.busy + (self._limits.asking if self._limits else 0)
        return busy >= self._executor.capacity or self._handover.on_loop >= MOST_ON_LOOP

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

    def _queue(self, run: TaskRun, limits: Limits) -> None:
        """Let ``run`` wait for a slot of each of its limited tags."""
        queued: State = Queued(f"Waits for a slot of {', '.join(sorted(limits.tags[run.node.index]))}.")
        if self._transitions.concern(run):
            queued = self._transitions.enter(run, queued)
        if queued._finished or (queued.is_scheduled() and not queued.is_queued()):
            self._settle(run, queued)
            return
        run.state = queued
        if self._recorder is not None:
            self._recorder.queued(run, queued)
        limits.join(run)

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
        self._handover.submit(run, arguments, self._chains if self._limits is None else None)

    def _decide_early(self, run: TaskRun, verdict: State | None) -> None:
        """Do what the scheduler says of a run that was handed over early: now others hear that it runs."""
        if verdict is None and self._transitions.concern(run):
            run.state = self._transitions.enter(run, Running("Running."))
        self._chains.decide(run, verdict)

    def _hear_early(self, run: TaskRun, outcome: State) -> None:
        if outcome is NOT_BEGUN:
            if self._recorder is not None:
                self._recorder.put_back(run)
            if run.state.is_running():
                # Others have heard that it runs.
                self._transitions.enter(run, Pending(NOT_BEGUN.message))
        self._chains.hear(run, outcome)

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
        if self._limits is not None:
            self._limits.gave_up(run)
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
        self._deadline = None
        self._frame.request_cancel()
        if self._recorder is not None:
            self._recorder.cancelling(None if self.order is None else self.order.ends_in.message)
        self._scheduler.cancel(Cancelled(self._about_tasks()))
        self._stop_waiting()
        for work in self._executor.withdraw():
            self._inbox.put(work.cancelled())
        if Capability.CANCEL in self._executor.capabilities:
            self._executor.cancel(force=False)
        self._handover.cancel_coroutines()
        for run in self._handover.in_flight.values():
            if self._transitions.concern(run):
                run.state = self._transitions.enter(run, Cancelling("Asked to stop."))

    def _about_tasks(self) -> str:
        return "The run was cancelled before this task began." if self.order is None else self.order.about_tasks

    def _stop_waiting(self) -> None:
        """End what waits for slots; what cleans up begins, since nobody knows when there would be one."""
        for run in [] if self._limits is None else self._limits.withdraw():
            if run.node.task.cleans_up:
                self._execute(run)
            else:
                self._enter(run, Cancelled(self._about_tasks()))

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
        for run in list(self._handover.in_flight.values()):
            left = Cancelled("Was still running when the run gave up waiting for it.")
            if run in self._chains.early:
                self._hear_early(run, left)
            else:
                self._enter(run, left)
        self._handover.forget()
        self._killed = False
        # What cleans up begins only now, and gets as much time.
        self._give_up_at = self._clock.now() + self._cancel_grace
