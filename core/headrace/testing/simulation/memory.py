"""A history in memory that can be killed: what was said is there, what was not is not, and nobody tidies up.

Entries are the bytes that a journal file would have, and are taken into tables as a store does, so that a kill can
leave one half written and a power cut can take the last of them away.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import RunNotFoundError, RunOwnedError
from headrace.history.encoding import (
    ATTEMPTED,
    ENDED,
    ENTERED,
    FINISHED,
    WAITING,
    encode_began,
    encode_entered,
    encode_expanded,
    encode_noted,
    encode_state,
    encode_taken_over,
)
from headrace.history.folding import fold
from headrace.history.records import FINISHED_STATES, AttemptRecord, TaskRunRecord, ValueRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from random import Random

    from headrace.history.folding import Batch, Row
    from headrace.history.records import RunRecord, TaskRecord, TaskRunQuery

__all__ = ["MemoryHistory"]

_RUNNING: Final = frozenset({"Running", "Cancelling", "Submitted"})


@dataclass
class _Run:
    """A run in the tables, and its journal: the bytes up to ``taken`` are in the tables."""

    record: RunRecord
    tasks: Sequence[TaskRecord]
    journal: bytearray = field(default_factory=bytearray)
    taken: int = 0
    alive: bool = True
    rows: dict[tuple[int, int], TaskRunRecord] = field(default_factory=dict)
    earlier: list[AttemptRecord] = field(default_factory=list)

    def take_in(self) -> None:
        """Take in what the journal has."""
        batch = fold(self.record.id, self.taken, bytes(self.journal[self.taken :]))
        self.taken = batch.end
        for row in batch.rows.values():
            self._write(_record(row))
        for record in batch.taken_over:
            self._write(record)
        self.earlier += [_attempt(row) for row in batch.attempts]
        self._enter(batch)

    def _enter(self, batch: Batch) -> None:
        if self.record.ended is not None:
            return
        if batch.entered is not None:
            self.record = replace(self.record, state=batch.entered[0], message=batch.entered[1])
        if batch.ended is not None:
            state, message, at = batch.ended
            self.record = replace(self.record, state=state, message=message, ended=at)

    def _write(self, row: TaskRunRecord) -> None:
        known = self.rows.get(row[:2])
        if known is not None and known.is_finished:
            return
        if known is not None and row.child_count is None:
            row = row._replace(child_count=known.child_count)
        self.rows[row[:2]] = row

    def crash(self) -> None:
        """Write the end of a run whose process died."""
        self.take_in()
        if self.record.ended is None:
            self.record = replace(self.record, state="Crashed", ended=0.0, cause="died")
            for key, row in self.rows.items():
                if row.state in _RUNNING:
                    self.rows[key] = row._replace(state="Crashed")


def _record(row: Row) -> TaskRunRecord:
    node, map_index, attempt, state, message, started, entered, _, *value, until, count, details = row
    return TaskRunRecord(
        node, map_index, attempt, state, message, started, entered, until, count, _value(value), details
    )


def _attempt(row: Row) -> AttemptRecord:
    node, map_index, attempt, state, message, started, ended, *value = row
    return AttemptRecord(node, map_index, attempt, state, message, started, ended, _value(value))


def _value(fields: Sequence[Any]) -> ValueRecord | None:
    data, size, is_exception, serializer, type_name, location, digest = fields
    if is_exception is None:
        return None
    return ValueRecord(data, location, digest, serializer, type_name, size, bool(is_exception))


class MemoryHistory:
    """The tables and journals of all runs; `open` gives a process its store.

    ``random`` decides when entries are taken into the tables.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._runs: dict[str, _Run] = {}
        # Whether what was said may be missing.
        self.lost_power = False

    def open(self) -> Any:
        """Return the store as a process has it: what of one a run and its resumption need."""
        return _Store(self._runs, self._random)

    def kill(self, journals: Sequence[object]) -> None:
        """Leave all as it is when the process has died: an entry may be half written, or the last ones lost."""
        del journals
        if self._random.random() < 0.2:
            self._cut_power()
        for run in self._runs.values():
            if run.alive and self._random.random() < 0.3:
                run.journal += bytes(encode_began(0, -1, 1, 0.0))[: self._random.randint(1, 20)]
            run.alive = False

    def _cut_power(self) -> None:
        """Lose the last of what had not been taken into the tables."""
        self.lost_power = True
        for run in self._runs.values():
            if run.alive:
                del run.journal[self._random.randint(run.taken, len(run.journal)) :]


class _Store:
    """The store of one process."""

    def __init__(self, runs: dict[str, _Run], random: Random) -> None:
        self._runs = runs
        self._random = random

    def begin(
        self, run: RunRecord, tasks: Sequence[TaskRecord], *, taken_over: Iterable[TaskRunRecord] = (), **_: Any
    ) -> _Journal:
        if run.resumed_from is not None:
            self._claim(run.resumed_from)
        made = self._runs[run.id] = _Run(run, tasks)
        for row in taken_over:
            if row.state in FINISHED_STATES:
                made.rows[row[:2]] = row._replace(taken_from=row.taken_from or run.resumed_from)
        return _Journal(made, self._random)

    def _claim(self, origin: str) -> None:
        if self._runs[origin].record.ended is None:
            raise RunOwnedError(origin, origin, f"Run {origin} has not ended.")
        for run in self._runs.values():
            if run.record.resumed_from == origin:
                raise RunOwnedError(origin, run.record.id, f"Run {origin} was resumed already.")

    def run(self, name: str) -> RunRecord:
        if not self._runs:
            raise RunNotFoundError(name, "memory", ())
        return (list(self._runs.values())[-1] if name == "latest" else self._runs[name]).record

    def runs(self, query: object = None) -> Iterator[RunRecord]:
        del query
        return iter([run.record for run in reversed(self._runs.values())])

    def tasks(self, run_id: str) -> Sequence[TaskRecord]:
        return self._runs[run_id].tasks

    def task_runs(self, run_id: str, query: TaskRunQuery | None = None) -> Iterator[TaskRunRecord]:
        del query
        rows = self._runs[run_id].rows
        return iter([rows[key] for key in sorted(rows)])

    def attempts(self, run_id: str, node: int, map_index: int = -1) -> Sequence[AttemptRecord]:
        return [each for each in self._runs[run_id].earlier if each[:2] == (node, map_index)]

    def sweep(self, *, foreign: bool = False) -> Sequence[RunRecord]:
        del foreign
        dead = [run for run in self._runs.values() if not run.alive and run.record.ended is None]
        for run in dead:
            run.crash()
        return [run.record for run in dead]

    def check(self) -> Sequence[Any]:
        return ()

    def close(self) -> None:
        pass


class _Journal:
    """Writes entries."""

    def __init__(self, run: _Run, random: Random) -> None:
        self._run = run
        self._random = random

    def began(self, node: int, map_index: int, attempt: int, at: float) -> None:
        self._add(encode_began(node, map_index, attempt, at))

    def expanded(self, node: int, count: int, at: float) -> None:
        self._add(encode_expanded(node, count, at))

    def waiting(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        at: float,
        until: float | None = None,
        value: ValueRecord | None = None,
        details: str | None = None,
    ) -> None:
        self._add(encode_state(WAITING, node, map_index, attempt, state, message, None, at, until, value, details))

    def attempted(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        started: float | None,
        at: float,
        value: ValueRecord | None = None,
    ) -> None:
        self._add(encode_state(ATTEMPTED, node, map_index, attempt, state, message, started, at, None, value, None))

    def finished(
        self,
        node: int,
        map_index: int,
        attempt: int,
        state: str,
        message: str | None,
        started: float | None,
        at: float,
        value: ValueRecord | None = None,
        details: str | None = None,
    ) -> None:
        self._add(encode_state(FINISHED, node, map_index, attempt, state, message, started, at, None, value, details))

    def taken_over(self, record: TaskRunRecord) -> None:
        self._add(encode_taken_over(record))

    def noted(self, node: int, map_index: int, kind: str, text: str) -> None:
        self._add(encode_noted(node, map_index, kind, text))

    def entered(self, state: str, message: str | None, at: float) -> None:
        self._add(encode_entered(ENTERED, state, message, at))

    def flush(self) -> None:
        self._run.take_in()

    def ended(self, state: str, message: str | None, at: float) -> None:
        self._add(encode_entered(ENDED, state, message, at))
        self._run.take_in()
        self._run.alive = False

    def abandon(self, _why: str | None = None) -> None:
        self._run.alive = False

    # What the simulated tasks have no use for.

    def logged(self, *_: Any) -> None:
        pass

    def bound_logs(self, *_: Any) -> None:
        pass

    def cancel_request(self) -> None:
        pass

    def limited_tags(self) -> frozenset[str]:
        return frozenset()

    def take_slots(self, *_: Any) -> bool:
        return True

    def _add(self, entry: bytes) -> None:
        if not self._run.alive:
            raise AssertionError("A process that is dead has written to its journal.")
        self._run.journal += entry
        if self._random.random() < 0.1:
            self._run.take_in()
