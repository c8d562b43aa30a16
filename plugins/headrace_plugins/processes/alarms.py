"""When the pool has to look after what."""

from __future__ import annotations

from enum import Enum
from heapq import heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Alarm", "Alarms"]

T = TypeVar("T")


class Alarm(Enum):
    """What to look after when its moment has come."""

    OVERDUE = "the timeout of a job"
    QUEUE = "jobs that wait at a worker"
    RECALL = "jobs that are wanted back"
    RETIRED = "a worker that gets no more jobs"
    LAST_WORDS = "a worker that has ended, or has hung up"


class _Setting(NamedTuple):
    """``moment`` is when it goes off; ``entry`` the number of the heap's entry for it, which comes up at ``place``."""

    moment: float
    place: float
    entry: int


class Alarms(Generic[T]):
    """At most one alarm of each kind for each owner; setting it again replaces it."""

    def __init__(self) -> None:
        self._settings: dict[tuple[T, Alarm], _Setting] = {}
        # An alarm that is put off keeps its place until it comes up: most are put off again and again.
        self._entries: list[tuple[float, int, tuple[T, Alarm]]] = []
        self._numbers = count()

    @property
    def next(self) -> float | None:
        """When to look whether one is due, or None if there is none."""
        return self._entries[0][0] if self._entries else None

    def set(self, moment: float, owner: T, about: Alarm) -> bool:
        """Set an alarm; return whether `next` is earlier now."""
        alarm = owner, about
        before = self._settings.get(alarm)
        if before is not None and before.place <= moment:
            self._settings[alarm] = before._replace(moment=moment)
            return False
        first = self.next
        self._enter(alarm, moment)
        return first is None or moment < first

    def _enter(self, alarm: tuple[T, Alarm], moment: float) -> None:
        number = next(self._numbers)
        self._settings[alarm] = _Setting(moment, moment, number)
        heappush(self._entries, (moment, number, alarm))

    def due(self, now: float) -> tuple[T, Alarm] | None:
        """Take out and return an alarm whose moment has come, or None."""
        while self._entries and self._entries[0][0] <= now:
            _, number, alarm = heappop(self._entries)
            setting = self._settings.get(alarm)
            if setting is None or setting.entry != number:  # dropped, or set to an earlier moment
                continue
            if setting.moment <= now:
                del self._settings[alarm]
                return alarm
            self._enter(alarm, setting.moment)
        return None

    def drop(self, owner: T) -> None:
        """Forget all alarms of ``owner``."""
        for about in Alarm:
            self._settings.pop((owner, about), None)
