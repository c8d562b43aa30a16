"""Values that a resumed run takes over: whether they can still be had, and how they are read."""

from __future__ import annotations

import pickle
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from headrace.exceptions import HeadraceError, ResultReleasedError
from headrace.references import ReleasedValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from headrace.history.choices import Found
    from headrace.history.records import TaskRunRecord, ValueRecord
    from headrace.history.sealing import Sealer

__all__ = ["Shelf", "TakenValues", "split_location"]

_NOT_KEPT: Final = "its result was not kept"


class Shelf(Protocol):
    """Where recorded results lie. Used from any thread."""

    def verify(self, location: str, digest: bytes) -> None:
        """Raise ResultError if what is at ``location`` has another digest, ResultNotFoundError if nothing is."""

    def load_exactly(self, location: str, digest: bytes) -> object:
        """Return the value at ``location``, having looked at its digest before anything is made of it."""


class TakenValues:
    """Reads what was recorded of values. Used from any thread.

    ``shelf_of`` returns the shelf for the kind of a location, see `split_location`, a task, given by its slug, and the
    id of the run that recorded the value; or says why there is none.
    """

    def __init__(self, sealer: Sealer, run_id: str, shelf_of: Callable[[str, str, str], Shelf | str]) -> None:
        self._sealer = sealer
        self._run_id = run_id
        self._shelf_of = shelf_of
        # What was found out, by node and map index; looking is slow.
        self._problems: dict[tuple[int, int], str] = {}

    def problem(self, task: Found, record: TaskRunRecord, *, is_read: bool) -> str:
        """Say why the value of ``record`` cannot be had; return nothing if it can, or if there is none to be had.

        A value that no task reads need not have been kept; one that was kept should be there.
        """
        value = record.value
        # What is in the history itself is looked at when it is read: who planted it should not go unnoticed.
        if value is None or value.data is not None or record.state == "Skipped":
            return ""
        if value.location is None:
            return _NOT_KEPT if is_read else ""
        key = (record.node, record.map_index)
        if key not in self._problems:
            self._problems[key] = self._look(task, record, value)
        return self._problems[key]

    def _look(self, task: Found, record: TaskRunRecord, value: ValueRecord) -> str:
        try:
            shelf, location = self._shelf(task, record)
            if isinstance(shelf, str):
                return shelf
            shelf.verify(location, self._digest(value))
        except HeadraceError as error:
            return f"its result is lost: {error.message.rstrip('.')}"
        except Exception as error:  # noqa: BLE001 - a store is a plugin, and may raise anything
            return f"its result cannot be read: {type(error).__name__}"
        return ""

    def _shelf(self, task: Found, record: TaskRunRecord) -> tuple[Shelf | str, str]:
        assert record.value is not None
        assert record.value.location is not None
        kind, location = split_location(record.value.location)
        return self._shelf_of(kind, task.now.slug, record.taken_from or self._run_id), location

    def _digest(self, value: ValueRecord) -> bytes:
        return self._sealer.unseal(value.digest or b"", f"The digest of the result at {value.location!r}")

    def stand_in(self, task: Found, record: TaskRunRecord) -> Any:
        """Return what stands for the value of ``record``: it is read when somebody asks for it."""
        value = record.value
        if record.state == "Skipped" or value is None or value.is_exception:
            return None
        if value.data is not None:
            return ReleasedValue(partial(self._inline, value.data))
        if value.location is None:
            return ReleasedValue(_not_kept)
        return ReleasedValue(partial(self._stored, task, record, value))

    def _inline(self, sealed: bytes) -> object:
        return pickle.loads(self._sealer.unseal(sealed, "A recorded result"))  # noqa: S301 - under our own seal

    def _stored(self, task: Found, record: TaskRunRecord, value: ValueRecord) -> object:
        shelf, location = self._shelf(task, record)
        if isinstance(shelf, str):
            raise ResultReleasedError(f"This result cannot be had: {shelf}.", hint="Run the task again.")
        return shelf.load_exactly(location, self._digest(value))


def _not_kept() -> NoReturn:
    raise ResultReleasedError(
        "This result was not kept by the run that made it.", hint="Run the task again: `headrace resume --from TASK`."
    )


def split_location(recorded: str) -> tuple[str, str]:
    """Return what kind of place a recorded location is in, and the location itself.

    The kinds are ``store``, the result store of the run; ``own``, that of the task; ``target`` and ``cache``; and the
    empty one for the project's own results.
    """
    for kind in ("store", "own", "target", "cache"):
        if recorded.startswith(f"{kind}:"):
            return kind, recorded[len(kind) + 1 :]
    return "", recorded
