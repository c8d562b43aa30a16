"""What somebody who resumes a run wants, in the names that people use for tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.exceptions import DefinitionTypeError, HistoryError, nearest
from headrace.history.choices import Choices

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from headrace.flows import Flow
    from headrace.tasks import Task

__all__ = ["Wishes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """What somebody who resumes a run wants; a task goes by its name, its slug, or as the task of the flow.

    Attributes:
        again: tasks that run again although they have finished, with all that depend on them.
        only: tasks to run, and nothing else; a name with a ``+`` after it stands for what depends on the task too.
        rerun_failed: run only what failed, and what depends on it.
        rerun: tasks that run again although they want to be skipped, or to be asked before.
        skip: tasks that are skipped although they failed, or were under way.
        accept_changes: run tasks whose code has changed again, instead of refusing.
        only_looks: refuse nothing, since nothing is going to run.
    """

    again: Collection[str | Task] = ()
    only: Collection[str | Task] = ()
    rerun_failed: bool = False
    rerun: Collection[str | Task] = ()
    skip: Collection[str | Task] = ()
    accept_changes: bool = False
    only_looks: bool = False

    def __post_init__(self) -> None:
        for name in ("again", "only", "rerun", "skip"):
            value = getattr(self, name)
            if isinstance(value, str) or not hasattr(value, "__len__"):
                raise DefinitionTypeError(f"`{name}` of a resumed run must be a list of tasks, and is {value!r}.")
        if (bool(self.again), bool(self.only), self.rerun_failed).count(True) > 1:
            raise HistoryError(
                "Of `--from`, `--only` and `--rerun-failed`, a resumed run takes one.",
                hint="Plain `headrace resume` runs what failed, what was under way and what had not begun.",
            )

    def choices(self, flow: Flow) -> Choices:
        """Return this in terms of slugs; raise HistoryError for a task that ``flow`` does not have."""
        rerun, skip = _slugs(flow, self.rerun), _slugs(flow, self.skip)
        if rerun & skip:
            raise HistoryError(f"Task {min(rerun & skip)!r} is to run again, and to be skipped.", hint="Say one of it.")
        only: dict[str, bool] = {}
        for each in self.only:
            slugs, below = _found(flow, each), False
            if not slugs and isinstance(each, str) and each.endswith("+"):
                slugs, below = _found(flow, each[:-1]), True
            if not slugs:
                raise _unknown(flow, each)
            only.update((slug, below or only.get(slug, False)) for slug in slugs)
        return Choices(
            again=_slugs(flow, self.again), only=only, rerun_failed=self.rerun_failed, rerun=rerun, skip=skip
        )


def _slugs(flow: Flow, tasks: Iterable[str | Task]) -> set[str]:
    found: set[str] = set()
    for each in tasks:
        slugs = _found(flow, each)
        if not slugs:
            raise _unknown(flow, each)
        found |= slugs
    return found


def _found(flow: Flow, wanted: str | Task) -> set[str]:
    """Return the slugs of the tasks that are called so, or have such a slug."""
    if not isinstance(wanted, str):
        return {flow.slugs[wanted]} if wanted in flow.slugs else set()
    return {slug for task, slug in flow.slugs.items() if wanted in {slug, task.name}}


def _unknown(flow: Flow, wanted: str | Task) -> HistoryError:
    known = set(flow.slugs.values()) | {task.name for task in flow.slugs}
    name = wanted if isinstance(wanted, str) else wanted.name
    return HistoryError(f"Flow {flow.name!r} has no task {name!r}.", hint=nearest(name, known))
