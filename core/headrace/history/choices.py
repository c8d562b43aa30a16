"""What whoever resumes a run asks for, and what an earlier run left of each task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from headrace.history.records import UNMAPPED, TaskRecord, TaskRunRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.history.staying import Part

__all__ = ["Choices", "Found", "has_failed", "is_good", "was_under_way"]

_GOOD: Final = frozenset({"Success", "Cached", "Skipped"})
_FAILED: Final = frozenset({"Failed", "TimedOut", "ValidationFailed", "Crashed"})
_BEGUN: Final = _FAILED | {"Running", "Cancelling", "Retrying", "Looped"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What whoever resumes a run asks for; tasks are given by their slugs.

    Attributes:
        again: tasks that run again although they have finished, with all that depend on them.
        only: tasks that run again while nothing else does, and for each whether what depends on it runs too.
        rerun_failed: whether only tasks that failed run, and what depends on them.
        rerun: tasks that run again although they want to be skipped, or to be asked before.
        skip: tasks that are skipped although they failed, or were under way.
    """

    again: Collection[str] = ()
    only: Mapping[str, bool] = field(default_factory=dict)
    rerun_failed: bool = False
    rerun: Collection[str] = ()
    skip: Collection[str] = ()

    @property
    def is_selective(self) -> bool:
        """Whether some of what has not finished is left out."""
        return bool(self.only) or self.rerun_failed


@dataclass(kw_only=True, slots=True)
class Found:
    """A task of the flow as it is now, what the earlier run left of it, and what becomes of that.

    A task that is not mapped has one part, with the index `UNMAPPED`; those of a mapped one are its children. ``whole``
    is the row of the task itself. ``kept``, ``skipped`` and ``left`` are the parts that do not run; all others do.

    Attributes:
        resolved: whether it has a value without running, as a parameter has.
        anew: whether it belongs to one run, as a secret or a resource does: it is made again only where somebody needs
            it, and what has used it is none the worse for that.
        changed: whether its code is not what it was.
        is_read: whether any task takes its value.
        lost: parts whose value somebody needs and cannot have, and why.
        undecided: parts that an earlier run had finished, and that may still stay: the run before had not come to them.
        needed: whether a task that runs needs it, of one that would be left out.
        open: whether all of it runs, so that nothing is known of its parts.
        forced: whether it was asked for or is not what it was, or depends on something of which that is so.
        in_doubt: whether a part that is not taken over had failed or was under way.
        question: what has to be answered before it runs.
    """

    now: TaskRecord
    before: TaskRecord | None
    resolved: bool = False
    anew: bool = False
    changed: bool = False
    same_edges: bool = True
    is_read: bool = False
    whole: TaskRunRecord | None = None
    children: dict[int, TaskRunRecord] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    undecided: dict[int, Part] = field(default_factory=dict)
    needed: bool = False

    why: str = ""
    open: bool = False
    forced: bool = False
    in_doubt: bool = False
    question: str = ""
    kept: dict[int, TaskRunRecord] = field(default_factory=dict)
    skipped: dict[int, TaskRunRecord] = field(default_factory=dict)
    left: dict[int, TaskRunRecord] = field(default_factory=dict)

    @property
    def parts(self) -> Mapping[int, TaskRunRecord]:
        """What the earlier run left, by index."""
        if self.now.mapped:
            return self.children
        return {} if self.whole is None else {UNMAPPED: self.whole}

    @property
    def count(self) -> int | None:
        """How many parts there are, or None if nobody knows."""
        if not self.now.mapped:
            return 1
        return None if self.whole is None else self.whole.child_count

    @property
    def stands(self) -> bool:
        """Whether all of it is as the earlier run left it."""
        if self.resolved:
            return not self.why
        return not self.open and self.count is not None and len(self.kept) == self.count

    @property
    def runs(self) -> bool:
        """Whether any of it runs."""
        if self.resolved or UNMAPPED in self.left or UNMAPPED in self.skipped:
            return False
        if self.open or self.count is None:
            return True
        return len(self.kept) + len(self.skipped) + len(self.left) < self.count

    def begin(self) -> None:
        """Forget what was decided."""
        self.why, self.question, self.open, self.forced, self.in_doubt = "", "", False, False, False
        self.kept, self.skipped, self.left = {}, {}, {}


def is_good(record: TaskRunRecord) -> bool:
    """Tell whether a task run ended well."""
    return record.state in _GOOD


def has_failed(record: TaskRunRecord, *, run_died: bool) -> bool:
    """Tell whether a task run failed by itself, and not by the death of its run or by the failure of another."""
    return record.state in _FAILED and not (run_died and record.state == "Crashed")


def was_under_way(record: TaskRunRecord) -> bool:
    """Tell whether a task run had begun, and did not end well."""
    return record.state in _BEGUN or (record.state == "Cancelled" and record.started is not None)
