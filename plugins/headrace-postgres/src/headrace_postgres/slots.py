"""Slots of limited tags: who has one, and who is in line for one; each function within a transaction of its caller."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from headrace.history.folding import STATE
from headrace.history.records import LimitRecord, SlotRecord
from headrace_postgres import statements
from headrace_postgres.arrays import arrays, clean

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from headrace.history.folding import Row
    from headrace_postgres.schema import Connection

__all__ = ["give_up", "limits", "rivals", "set_limit", "take"]


def take(
    connection: Connection, schema: str, run_id: str, task_run: tuple[int, int], tags: Collection[str], now: float
) -> bool:
    """Give a task run a slot of each of ``tags`` that has a limit, or a place in line for them."""
    connection.execute(statements.ONE_TAKER, (schema,))
    row = connection.execute(statements.RUN_THAT_GOES_ON, (run_id,)).fetchone()
    if row is None or _has_finished(connection, row[0], task_run):
        return False
    place = (row[0], *task_run)
    slots: dict[str, int] = dict(connection.execute(statements.LIMITS).fetchall())
    wanted = slots.keys() & {clean(tag) for tag in tags}
    have: dict[str, float | None] = dict(connection.execute(statements.SLOTS_OF_TASK_RUN, place).fetchall())
    # Since it came into line, a limit may have gone or come.
    if have.keys() - wanted:
        connection.execute(statements.GIVE_UP_TAGS, (*place, list(have.keys() - wanted)))
    missing = wanted - have.keys()
    if missing:
        connection.execute(statements.COME_INTO_LINE, (*place, sorted(missing)))
    if missing or any(have[tag] is None for tag in wanted):
        if place not in _next_ones(connection, slots):
            return False
        connection.execute(statements.GET_SLOTS, (now, *place))
    return True


def _has_finished(connection: Connection, key: int, task_run: tuple[int, int]) -> bool:
    row = connection.execute(statements.HAS_FINISHED, (key, *task_run)).fetchone()
    return row is not None and bool(row[0])


def _next_ones(connection: Connection, slots: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
    """Yield those in line who may begin now, the first one first.

    Who waits for a slot of another tag as well, of which there is none, keeps nobody behind him waiting.
    """
    free = dict(slots)
    for tag, held in connection.execute(statements.HELD_SLOTS):
        if tag in free:
            free[tag] -= held
    line: dict[tuple[int, int, int], list[str]] = defaultdict(list)
    for key, node, map_index, tag in connection.execute(statements.LINE):
        line[key, node, map_index].append(tag)
    for task_run, tags in line.items():
        if all(free.get(tag, 1) > 0 for tag in tags):
            for tag in tags:
                free[tag] = free.get(tag, 1) - 1
            yield task_run


def give_up(connection: Connection, key: int, rows: Mapping[tuple[int, int], Row]) -> None:
    """Take the slots and the places in line from those task runs of a run that are running no longer."""
    ended = [each for each, row in rows.items() if row[STATE] != "Running"]
    if ended:
        connection.execute(statements.GIVE_UP_SLOTS, (*arrays(ended, "ii"), key))


def rivals(connection: Connection, run_id: str) -> list[str]:
    """Return the other runs that have slots or are in line."""
    return [other for (other,) in connection.execute(statements.RUNS_WITH_SLOTS, (run_id,))]


def limits(connection: Connection) -> list[LimitRecord]:
    """Return the limits and who holds slots."""
    holders: dict[str, list[SlotRecord]] = defaultdict(list)
    for row in connection.execute(statements.HOLDERS):
        holders[row[0]].append(SlotRecord(*row))
    return [LimitRecord(tag, count, tuple(holders[tag])) for tag, count in connection.execute(statements.LIMITS)]


def set_limit(connection: Connection, tag: str, slots: int | None) -> None:
    """Write a limit, or that there is none."""
    if slots is None:
        connection.execute(statements.REMOVE_LIMIT, (clean(tag),))
    else:
        connection.execute(statements.SET_LIMIT, (clean(tag), slots))
