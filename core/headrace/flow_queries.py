"""What can be asked of a flow: its tasks, its edges, and which tasks decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.exceptions import FlowDefinitionError
from headrace.parameters import Parameter
from headrace.task_options import check_several

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, KeysView

    import networkx

    from headrace.edges import Edge
    from headrace.graph import TaskGraph
    from headrace.tasks import Task

__all__ = ["FlowQueries"]


class FlowQueries:
    """The questions that `headrace.Flow` answers. Raises FlowDefinitionError for a task that is not in the flow."""

    name: str
    graph: TaskGraph
    slugs: dict[Task, str]
    _reference_tasks: dict[Task, None]

    @property
    def tasks(self) -> KeysView[Task]:
        """The tasks in the order they were added: a live, set-like view."""
        return self.graph.tasks

    @property
    def edges(self) -> KeysView[Edge]:
        """The edges, a set-like view of this moment."""
        return self.graph.edges

    def __iter__(self) -> Iterator[Task]:
        return iter(self.sorted_tasks())

    def _require(self, *tasks: Task) -> None:
        for task in tasks:
            if task not in self.graph:
                raise FlowDefinitionError(
                    f"{task!r} is not in flow {self.name!r}.", hint="Add it with `flow.add_task`."
                )

    def edges_to(self, task: Task) -> set[Edge]:
        """Return the edges that end at ``task``."""
        self._require(task)
        return set(self.graph.edges_to(task))

    def edges_from(self, task: Task) -> set[Edge]:
        """Return the edges that begin at ``task``."""
        self._require(task)
        return set(self.graph.edges_from(task))

    def all_upstream_edges(self) -> dict[Task, set[Edge]]:
        """Return the edges that end at each task."""
        return {task: set(self.graph.edges_to(task)) for task in self.graph}

    def all_downstream_edges(self) -> dict[Task, set[Edge]]:
        """Return the edges that begin at each task."""
        return {task: set(self.graph.edges_from(task)) for task in self.graph}

    def upstream_tasks(self, task: Task) -> set[Task]:
        """Return the tasks that ``task`` waits for directly."""
        return {edge.upstream_task for edge in self.edges_to(task)}

    def downstream_tasks(self, task: Task) -> set[Task]:
        """Return the tasks that wait for ``task`` directly."""
        return {edge.downstream_task for edge in self.edges_from(task)}

    def root_tasks(self) -> set[Task]:
        """Return the tasks without upstream tasks."""
        return {task for task in self.graph if not self.graph.edges_to(task)}

    def terminal_tasks(self) -> set[Task]:
        """Return the tasks without downstream tasks."""
        return {task for task in self.graph if not self.graph.edges_from(task)}

    def parameters(self) -> set[Parameter]:
        """Return the parameters."""
        return {task for task in self.graph if isinstance(task, Parameter)}

    def sorted_tasks(self, root_tasks: Iterable[Task] | None = None) -> tuple[Task, ...]:
        """Return the tasks, each after its upstream tasks; with ``root_tasks``, only those and what follows them.

        Among tasks that are free, the one added first comes first. Raises CycleError.
        """
        tasks = self.graph.sorted(self.name)
        if root_tasks is not None:
            roots = list(check_several(repr(self), "root_tasks", root_tasks))
            self._require(*roots)
            wanted = self.graph.reachable(roots)
            tasks = [task for task in tasks if task in wanted]
        return tuple(tasks)

    def get_tasks(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        task_type: type[Task] | None = None,
    ) -> list[Task]:
        """Return the tasks that fit every given filter, in the order they were added."""
        wanted = set(check_several(repr(self), "tags", tags))
        return [
            task
            for task in self.graph
            if (name is None or task.name == name)
            and (slug is None or self.slugs[task] == slug)
            and wanted <= task.tags
            and (task_type is None or isinstance(task, task_type))
        ]

    @property
    def chose_reference_tasks(self) -> bool:
        """Whether `set_reference_tasks` was called with any."""
        return bool(self._reference_tasks)

    def reference_tasks(self) -> set[Task]:
        """Return the tasks that decide whether a run was successful."""
        return set(self._reference_tasks) or self._default_reference_tasks()

    def _default_reference_tasks(self) -> set[Task]:
        """Return the tasks at the end, where setting up and cleaning up resources does not count."""
        return {
            task
            for task in self.graph
            if not task.housekeeping and all(edge.downstream_task.housekeeping for edge in self.graph.edges_from(task))
        } or self.terminal_tasks()

    def set_reference_tasks(self, tasks: Iterable[Task]) -> None:
        """Let ``tasks`` decide whether a run was successful; an empty list restores the default."""
        found = list(check_several(repr(self), "reference_tasks", tasks))
        self._require(*found)
        self._reference_tasks = dict.fromkeys(found)
        self.graph.version += 1

    def validate(self) -> None:
        """Raise CycleError if tasks depend on each other in a circle."""
        self.graph.sorted(self.name)

    def to_networkx(self) -> networkx.MultiDiGraph[Task]:
        """Return the tasks and edges as a graph for networkx."""
        return self.graph.to_networkx()
