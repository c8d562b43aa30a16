"""Tasks written with ``async def``: they run side by side on one event loop, in a thread that the run owns."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from headrace.engine.remembering import LONGEST_PAUSE, SHORTEST_PAUSE, RememberingWork, kept
from headrace.engine.timeouts import timeout_error
from headrace.engine.worker import Outcome, state_of
from headrace.run_context import current_frame
from headrace.states import Cancelled, State, Success

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.engine.worker import Work

__all__ = ["LoopThread"]

_SUCCEEDED: Final = "Task run succeeded."


class LoopThread:
    """Runs coroutines of tasks on an event loop of its own. Entered and used by the driver's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="headrace-async", daemon=True)
        self._running: set[asyncio.Task[None]] = set()
        self._thread.start()

    def submit(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        """Begin ``work`` on the loop; its outcome is delivered from the loop's thread."""
        self._loop.call_soon_threadsafe(self._begin, work, deliver)

    def _begin(self, work: Work, deliver: Callable[[Outcome], object]) -> None:
        task = self._loop.create_task(self._run(work, deliver))
        # The loop itself only holds its tasks weakly.
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    @staticmethod
    async def _run(work: Work, deliver: Callable[[Outcome], object]) -> None:
        deliver(await _outcome_of(work))

    def cancel(self) -> None:
        """Cancel what runs: each task gets an ``asyncio.CancelledError`` where it waits."""
        self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._running])

    def close(self) -> None:
        """Stop the loop and its thread; what still runs is cancelled, and given a second to end."""
        asyncio.run_coroutine_threadsafe(self._wind_up(), self._loop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_up(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=1.0)
        await self._loop.shutdown_asyncgens()
        self._loop.stop()


async def _outcome_of(work: Work) -> Outcome:
    """Do for a coroutine what calling ``work`` does for a function."""
    current_frame.set(work)
    if not isinstance(work, RememberingWork):
        return Outcome(work.key, await _state_of(work))
    try:
        state = await _remembered(work)
    except asyncio.CancelledError:
        state = Cancelled("Cancelled while it waited.")
    except BaseException as error:  # noqa: BLE001 - the worker boundary: what goes wrong here fails the task
        state = state_of(error)
    return Outcome(work.key, state)


async def _remembered(work: RememberingWork) -> State:
    recollection = work.memory.recall(work)
    try:
        pause = SHORTEST_PAUSE
        while not recollection.settle():
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        return recollection.found or kept(recollection, await _state_of(work))
    finally:
        recollection.close()


async def _state_of(work: Work) -> State:
    started = time.time()
    try:
        value = await _in_time(work)
        state: State = Success(_SUCCEEDED, value)
        if work.keeper is not None:
            state.location = work.keeper.keep(work, value)
    except asyncio.CancelledError:
        state = Cancelled("Cancelled while it waited.")
    except BaseException as error:  # noqa: BLE001 - the worker boundary: whatever a task raises becomes its state
        state = state_of(error)
    state.started = started
    return state


async def _in_time(work: Work) -> Any:
    timeout = work.task.timeout
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            return await work.task.run(**work.arguments)
    except TimeoutError as error:
        if timeout is not None and limit.expired():
            raise timeout_error(work.name, timeout) from error
        raise
