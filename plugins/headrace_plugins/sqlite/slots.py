"""Slots of limited tags: who has one, and who is in line for one; each function within a transaction of its caller."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from headrace.history.folding import STATE
from headrace.history.records import LimitRecord, SlotRecord
from headrace_plugins.sqlite import statements

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Mapping

    from headrace.history.folding import Row

__all__ = ["give_up", "limited_tags", "limits", "rivals", "set_limit", "take"]


def take(
    connection: sqlite3.Connection, key: int, task_run: tuple[int, int], tags: Collection[str], now: float
) -> bool:
    """Give a task run of run ``key`` a slot of each of ``tags`` that has a limit, or a place in line for them."""
    node, map_index = task_run
    if not connection.execute(statements.MAY_TAKE_SLOTS, (key, key, node, map_index)).fetchone()[0]:
        return False
    slots: dict[str, int] = dict(connection.execute(statements.LIMITS))
    wanted = slots.keys() & set(tags)
    have = dict(connection.execute(statements.SLOTS_OF_TASK_RUN, (key, node, map_index)))
    # Since it came into line, a limit may have gone or come.
    connection.executemany(statements.GIVE_UP_SLOT, [(key, node, map_index, tag) for tag in have.keys() - wanted])
    missing = wanted - have.keys()
    connection.executemany(statements.COME_INTO_LINE, [(key, node, map_index, tag) for tag in sorted(missing)])
    if missing or any(have[tag] is None for tag in wanted):
        if (key, node, map_index) not in _next_ones(connection, slots):
            return False
        connection.execute(statements.GET_SLOTS, (now, key, node, map_index))
    return True


def _next_ones(connection: sqlite3.Connection, slots: Mapping[str, int]) -> Iterator[tuple[int, int, int]]:
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


def give_up(connection: sqlite3.Connection, key: int, rows: Mapping[tuple[int, int], Row]) -> None:
    """Take the slots and the places in line from those task runs of a run that are running no longer."""
    # Nearly all runs have none, and are not to pay for those that do.
    found = connection.execute(statements.TASK_RUNS_WITH_SLOTS, (key,)).fetchall()
    ended = [(key, *each) for each in found if each in rows and rows[each][STATE] != "Running"]
    if ended:
        connection.executemany(statements.GIVE_UP_SLOTS, ended)


def rivals(connection: sqlite3.Connection, run_id: str) -> list[str]:
    """Return the other runs that have slots or are in line."""
    return [other for (other,) in connection.execute(statements.RUNS_WITH_SLOTS, (run_id,))]


def limited_tags(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the tags that have a limit."""
    return frozenset(tag for tag, _ in connection.execute(statements.LIMITS))


def limits(connection: sqlite3.Connection) -> list[LimitRecord]:
    """Return the limits and who holds slots."""
    holders: dict[str, list[SlotRecord]] = defaultdict(list)
    for row in connection.execute(statements.HOLDERS):
        holders[row[0]].append(SlotRecord(*row))
    return [LimitRecord(tag, count, tuple(holders[tag])) for tag, count in connection.execute(statements.LIMITS)]


def set_limit(connection: sqlite3.Connection, tag: str, slots: int | None) -> None:
    """Write a limit, or that there is none."""
    if slots is None:
        connection.execute(statements.REMOVE_LIMIT, (tag,))
    else:
        connection.execute(statements.SET_LIMIT, (tag, slots))
