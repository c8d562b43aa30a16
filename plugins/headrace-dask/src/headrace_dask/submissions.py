"""What is remembered of a piece of work while it is on the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.exceptions import TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from distributed import Future

    from headrace.engine.worker import Outcome, Work
    from headrace.tasks import Task
    from headrace_dask.references import Kept

__all__ = ["Submission", "resources_of"]

_TAG = "dask-resource:"


class Submission:
    """One piece of work on the cluster.

    ``ticket`` is new each time it is sent; ``sent`` counts how often that was. ``needed`` are the values that it needs
    there, in the order of their places. ``settle`` is called when it is known what came of it.
    """

    __slots__ = (
        "call",
        "deliver",
        "future",
        "manifest",
        "needed",
        "part",
        "priority",
        "resources",
        "sent",
        "settle",
        "ticket",
        "work",
    )

    def __init__(
        self,
        work: Work,
        deliver: Callable[[Outcome], object],
        *,
        call: bytes,
        needed: list[Kept],
        manifest: tuple[str, bytes | int],
        part: tuple[str, bytes | int],
        priority: int,
        resources: Mapping[str, float],
        settle: Callable[[], object],
    ) -> None:
        self.work = work
        self.deliver = deliver
        self.call = call
        self.needed = needed
        self.manifest = manifest
        self.part = part
        self.priority = priority
        self.resources = resources
        self.settle = settle
        self.ticket = -1
        self.sent = 0
        self.future: Future | None = None

    @property
    def terms(self) -> Any:
        """What has to be the same for pieces of work that are sent together."""
        return self.priority, sorted(self.resources.items()), self.manifest

    @property
    def suspect(self) -> Any:
        """What names the task run through all of its attempts."""
        return id(self.work.parent), self.work.slug, self.work.map_index


def resources_of(task: Task) -> dict[str, float]:
    """Return what a task asks of a worker by its resources, and by tags such as ``dask-resource:GPU=1``.

    Raises TaskDefinitionError for a tag that is wrong.
    """
    found = dict(task.resources or {})
    for tag in task.tags:
        if tag.startswith(_TAG):
            name, equals, amount = tag.removeprefix(_TAG).partition("=")
            try:
                found[name] = float(amount)
            except ValueError:
                equals = ""
            if not (name and equals):
                raise TaskDefinitionError(
                    f"The tag {tag!r} does not say how much of which resource the task needs.",
                    hint=f"Write it as in {_TAG + 'GPU=1'!r}.",
                )
    return found
