"""The tasks and edges of a flow, in the order in which they were added. The one place that knows networkx."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from headrace.exceptions import CycleError, DuplicateKeyError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, KeysView

    import networkx

    from headrace.edges import Edge
    from headrace.tasks import Task

__all__ = ["TaskGraph"]


class TaskGraph:
    """A directed multigraph of tasks. Adding is O(1); ``version`` grows with every change."""

    __slots__ = ("_downstream", "_upstream", "version")

    def __init__(self) -> None:
        # Per task, its upstream edges by argument name, or by the edge itself where it carries no data.
        self._upstream: dict[Task, dict[str | Edge, Edge]] = {}
        self._downstream: dict[Task, list[Edge]] = {}
        self.version = 0

    @property
    def tasks(self) -> KeysView[Task]:
        """All tasks; a live, ordered, set-like view."""
        return self._upstream.keys()

    @property
    def edges(self) -> KeysView[Edge]:
        """All edges, by downstream task; an ordered, set-like view of this moment."""
        return dict.fromkeys(edge for edges in self._upstream.values() for edge in edges.values()).keys()

    def __contains__(self, task: object) -> bool:
        return task in self._upstream

    def __len__(self) -> int:
        return len(self._upstream)

    def __iter__(self) -> Iterator[Task]:
        return iter(self._upstream)

    def add(self, task: Task) -> None:
        """Add ``task``, without edges."""
        self._upstream[task] = {}
        self._downstream[task] = []
        self.version += 1

    def connect(self, edge: Edge, flow_name: str) -> Edge:
        """Add ``edge`` and return it, or the equal one that was there.

        Raises DuplicateKeyError if its argument is bound to another task.
        """
        edges = self._upstream[edge.downstream_task]
        slot = edge.key or edge
        known = edges.get(slot)
        if known is None:
            edges[slot] = edge
            self._downstream[edge.upstream_task].append(edge)
            self.version += 1
            return edge
        if known != edge:
            raise DuplicateKeyError(f"{flow_name}/{edge.downstream_task.name}", str(edge.key))
        return known

    def edges_to(self, task: Task) -> Collection[Edge]:
        """Return the edges that end at ``task``; a live view."""
        return self._upstream[task].values()

    def edges_from(self, task: Task) -> Collection[Edge]:
        """Return the edges that begin at ``task``; a live view."""
        return self._downstream[task]

    def bound_keys(self, task: Task) -> set[str]:
        """Return the arguments of ``task`` that an edge provides."""
        return {key for key in self._upstream[task] if isinstance(key, str)}

    def remove(self, task: Task) -> list[Edge]:
        """Remove ``task`` and return the edges that went with it."""
        gone = [*self.edges_to(task), *self.edges_from(task)]
        for edge in gone:
            if edge.upstream_task is not task:
                self._downstream[edge.upstream_task].remove(edge)
            if edge.downstream_task is not task:
                del self._upstream[edge.downstream_task][edge.key or edge]
        del self._upstream[task], self._downstream[task]
        self.version += 1
        return gone

    def sorted(self, flow_name: str) -> list[Task]:
        """Return the tasks, each after its upstream tasks; among free ones, the first added comes first.

        Takes O(n + e) if tasks were added in such an order already, else O((n + e) log n). Raises CycleError.
        """
        position: dict[Task, int] = {}
        for task, edges in self._upstream.items():
            for edge in edges.values():
                if edge.upstream_task not in position:
                    return self._kahn({task: i for i, task in enumerate(self._upstream)}, flow_name)
            position[task] = len(position)
        return list(position)

    def _kahn(self, position: dict[Task, int], flow_name: str) -> list[Task]:
        tasks = list(position)
        missing = [len(self._upstream[task]) for task in tasks]
        ready = [i for i, count in enumerate(missing) if count == 0]
        heapify(ready)
        order: list[Task] = []
        while ready:
            task = tasks[heappop(ready)]
            order.append(task)
            for edge in self._downstream[task]:
                i = position[edge.downstream_task]
                missing[i] -= 1
                if missing[i] == 0:
                    heappush(ready, i)
        if len(order) < len(tasks):
            raise CycleError(flow_name, self._find_cycle(set(tasks).difference(order)))
        return order

    def _find_cycle(self, stuck: set[Task]) -> list[str]:
        """Walk upstream among ``stuck`` tasks, each of which has a stuck upstream task, until one repeats."""
        seen: dict[Task, int] = {}
        path: list[Task] = []
        task = next(t for t in self._upstream if t in stuck)
        while task not in seen:
            seen[task] = len(path)
            path.append(task)
            task = next(e.upstream_task for e in self._upstream[task].values() if e.upstream_task in stuck)
        circle = [*path[seen[task] :], task]
        return [t.name for t in reversed(circle)]

    def reachable(self, roots: Iterable[Task]) -> set[Task]:
        """Return ``roots`` and every task downstream of them."""
        found = set(roots)
        stack = list(found)
        while stack:
            for edge in self._downstream[stack.pop()]:
                if edge.downstream_task not in found:
                    found.add(edge.downstream_task)
                    stack.append(edge.downstream_task)
        return found

    def to_networkx(self) -> networkx.MultiDiGraph[Task]:
        """Return a copy for networkx: tasks are nodes, edges carry ``key``, ``mapped`` and ``flattened``."""
        import networkx  # noqa: PLC0415 - it takes longer to import than most flows to run

        graph: networkx.MultiDiGraph[Task] = networkx.MultiDiGraph()
        graph.add_nodes_from(self._upstream)
        for edge in self.edges:
            graph.add_edge(
                edge.upstream_task, edge.downstream_task, key=edge.key, mapped=edge.mapped, flattened=edge.flattened
            )
        return graph
