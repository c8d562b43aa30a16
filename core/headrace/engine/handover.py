"""From task runs to work: what is handed to the executor, or to the event loop, and what of it is under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.abc import Capability
from headrace.engine.worker import Outcome, Work
from headrace.exceptions import HistoryError, TransferError, describe
from headrace.references import ResultReference
from headrace.states import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.abc import Executor
    from headrace.engine.async_tasks import LoopThread
    from headrace.engine.chains import Chains
    from headrace.engine.recording import Recorder
    from headrace.engine.task_runs import TaskRun
    from headrace.results import ResultKeeper
    from headrace.run_context import RunFrame

__all__ = ["MOST_ON_LOOP", "Handover"]

MOST_ON_LOOP: Final = 1000
"""How many coroutines are begun before others have ended."""


class Handover:
    """Hands over the work of one run. Used by the thread that drives it.

    ``frame``, ``keeper``, ``arrangements`` and ``recorder`` are those of `Driver`; ``deliver`` is given each outcome,
    in any thread. ``in_flight`` are the task runs that are under way, by the keys of their work, and ``on_loop`` counts
    those of them that the event loop has, not the executor.
    """

    def __init__(
        self,
        executor: Executor,
        deliver: Callable[[Outcome], object],
        *,
        frame: RunFrame,
        keeper: ResultKeeper | None,
        arrangements: Mapping[int, Callable[[Work], Work]],
        recorder: Recorder | None,
    ) -> None:
        self._executor = executor
        self._deliver = deliver
        self._frame = frame
        self._keeper = keeper
        self._arrangements = arrangements
        self._recorder = recorder
        self._takes_chains = Capability.CHAINS in executor.capabilities
        self._next_key = 0
        self.in_flight: dict[int, TaskRun] = {}
        self.on_loop = 0
        # Coroutines of tasks share one event loop, which is started when the first one is due.
        self._event_loop: LoopThread | None = None

    def submit(self, run: TaskRun, arguments: dict[str, Any], chains: Chains | None) -> None:
        """Hand over ``run``, which is called with ``arguments``, and what ``chains`` finds to follow on it.

        Raises HistoryError if that it begins cannot be taken down.
        """
        work = self.make(run, arguments)
        try:
            if self._takes_chains and chains is not None and (others := self._followers(run, work, chains)):
                self._submit_chain(work, others)
            elif work.task.is_async:
                self._submit_to_loop(work)
            else:
                self._executor.submit(work, self._deliver)
        except HistoryError:
            # What follows could not be taken down.
            raise
        except TransferError as error:
            self._deliver(Outcome(work.key, Failed(describe(error), error)))
        except Exception as error:  # noqa: BLE001 - an executor is a plugin: if it refuses a task, that task has failed
            self._deliver(work.failed(error))

    def make(self, run: TaskRun, arguments: dict[str, Any]) -> Work:
        """Return the work of ``run``, which counts as begun from now on."""
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
        self.in_flight[key] = run
        return work

    def returned(self, key: int) -> TaskRun | None:
        """Return the run whose work has this key, which is not under way any more, or None if it was not."""
        run = self.in_flight.pop(key, None)
        if run is not None:
            self.on_loop -= run.node.task.is_async
        return run

    def forget(self) -> None:
        """Take what is under way for what is not."""
        self.in_flight.clear()
        self.on_loop = 0

    @property
    def busy(self) -> int:
        """How many pieces of work the executor has."""
        return len(self.in_flight) - self.on_loop

    def cancel_coroutines(self) -> None:
        """Ask the coroutines that are under way to end."""
        if self._event_loop is not None:
            self._event_loop.cancel()

    def close(self) -> None:
        """End the event loop, if there is one."""
        if self._event_loop is not None:
            self._event_loop.close()

    def _followers(self, run: TaskRun, work: Work, chains: Chains) -> list[Work]:
        """Return what is handed over together with ``work``, since it follows on it and there is nothing else to do."""
        if run.node.index in self._arrangements or work.task.is_async or chains.follower(run) is None:
            return []
        count = min(self._executor.chain_length(work) - 1, self._executor.capacity - self.busy)
        return list(chains.followers(run, work, count))

    def _submit_chain(self, first: Work, others: list[Work]) -> None:
        try:
            self._executor.submit_chain([first, *others], self._deliver)
        except Exception:
            for work in others:
                self._deliver(work.not_begun())
            raise

    def _submit_to_loop(self, work: Work) -> None:
        self.on_loop += 1
        if Capability.KEEPS_RESULTS in self._executor.capabilities:
            work.arguments = {name: _fetched(value, {}) for name, value in work.arguments.items()}
        if self._event_loop is None:
            from headrace.engine.async_tasks import LoopThread  # noqa: PLC0415 - asyncio is slow to import

            self._event_loop = LoopThread()
        self._event_loop.submit(work, self._deliver)


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
