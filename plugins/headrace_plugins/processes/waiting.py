"""Jobs that wait for a worker, and the resources that they share."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from headrace_plugins.processes.jobs import Job

__all__ = ["Waiting"]

# Sums of fractions are not exact.
_TOLERANCE: Final = 1e-9


class Waiting:
    """Jobs in the order in which they begin; one that lacks resources lets others pass that need none of the same."""

    def __init__(self, amounts: Mapping[str, float]) -> None:
        self._jobs: deque[Job] = deque()
        self._free = dict(amounts)

    def add(self, job: Job) -> None:
        """Put a job at the end."""
        self._jobs.append(job)

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Put jobs that had been taken back to the front, in their order, and free what they needed."""
        for job in reversed(list(jobs)):
            self.release(job)
            self._jobs.appendleft(job)

    def release(self, job: Job) -> None:
        """Free what a job needed, now that it has ended."""
        for name, amount in job.needs.items():
            self._free[name] += amount

    def next(self) -> Job | None:
        """Return the job to begin next, or None."""
        wanted: set[str] = set()
        for job in self._jobs:
            if not job.needs:
                return job
            if wanted.isdisjoint(job.needs) and self._has(job.needs):
                return job
            wanted.update(job.needs)
        return None

    def _has(self, needs: Mapping[str, float]) -> bool:
        return all(self._free[name] >= amount - _TOLERANCE for name, amount in needs.items())

    def take(self, job: Job) -> None:
        """Take out a job that begins, with what it needs."""
        self._jobs.remove(job)
        for name, amount in job.needs.items():
            self._free[name] -= amount

    def drop(self, job: Job) -> None:
        """Take out a job that is not going to begin."""
        self._jobs.remove(job)

    def clear(self) -> list[Job]:
        """Take out, and return, all jobs."""
        found = list(self._jobs)
        self._jobs.clear()
        return found
