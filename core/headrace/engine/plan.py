"""A flow in the form the engine runs: integers instead of names, in an order that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.engine.garbage import collector_paused
from headrace.exceptions import MissingTaskError
from headrace.parameters import Parameter
from headrace.triggers import all_successful

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.edges import Edge
    from headrace.flows import Flow
    from headrace.tasks import Task

__all__ = ["Node", "Plan", "make_plan"]

# Shared by all nodes that have none; never changed.
_NOBODY: Final[list[int]] = []
_NOTHING: Final[Mapping[int, int]] = {}


class Node:
    """One task of a plan. Immutable once the plan is made.

    ``edges[k]`` comes from node ``sources[k]``. ``downstream`` lists, an entry an edge, the nodes that wait for this
    one to finish. Where this node is mapped, ``followers`` are the mapped nodes whose children wait for its children
    one by one, and ``gatherers`` those that wait for all of its children and map over what these returned, flattened.
    """

    __slots__ = (
        "constants",
        "default_trigger",
        "downstream",
        "edges",
        "flattens",
        "followers",
        "gatherers",
        "index",
        "inputs",
        "mapped",
        "pairwise",
        "plain",
        "reader_count",
        "resolve",
        "slug",
        "sources",
        "task",
    )

    def __init__(self, index: int, task: Task, slug: str, constants: dict[str, Any] | None) -> None:
        self.index = index
        self.task = task
        self.slug = slug
        self.constants = constants
        self.default_trigger = task.trigger is all_successful
        # What stands for running a task whose value is known without an executor.
        self.resolve = getattr(task, "resolve", None)
        # Runs whenever its upstream tasks were successful, with nothing to decide.
        self.plain = self.default_trigger and self.resolve is None
        self.mapped = False
        self.flattens = False
        self.reader_count = 0
        # Most nodes have few edges, and many have none: what is empty is shared.
        self.edges: Sequence[Edge] = ()
        self.sources: Sequence[int] = ()
        # Pairs (argument, source): what to gather for a task that is not mapped.
        self.inputs: Sequence[tuple[str, int]] = ()
        self.downstream: list[int] = _NOBODY
        self.followers: list[int] = _NOBODY
        self.gatherers: list[int] = _NOBODY
        # The sources, by edge, whose children this mapped node's children follow one by one.
        self.pairwise: Mapping[int, int] = _NOTHING


class Plan:
    """Immutable; shared by all runs of the flow until the flow or one of its tasks changes."""

    __slots__ = ("_depths", "index", "nodes", "nodes_with_storage", "parameters", "reference", "tasks")

    def __init__(self, nodes: list[Node], index: dict[Task, int], reference: list[int], tasks: list[Task]) -> None:
        self.nodes = nodes
        self.index = index
        self.reference = reference
        # In the order they were added to the flow, which reports keep.
        self.tasks = tasks
        self.parameters = [node.task for node in nodes if isinstance(node.task, Parameter)]
        self.nodes_with_storage = [node for node in nodes if node.task.storage is not None]
        self._depths: dict[str, int] = {}

    def depth_of(self, slug: str) -> int:
        """Return how many tasks lie before the one with that slug, on the longest way to it."""
        if not self._depths:
            by_index: list[int] = []
            for node in self.nodes:
                by_index.append(max((by_index[source] + 1 for source in node.sources), default=0))
            self._depths = {node.slug: depth for node, depth in zip(self.nodes, by_index, strict=True)}
        return self._depths[slug]

    def is_current(self) -> bool:
        """Tell whether what the plan knows of each task is still so, since anybody may set an attribute of one."""
        stored = []
        for node in self.nodes:
            task = node.task
            if (task.trigger is all_successful) is not node.default_trigger:
                return False
            if task.storage is not None:
                stored.append(node)
        return stored == self.nodes_with_storage


def make_plan(flow: Flow) -> Plan:
    """Return the plan of ``flow``, in time linear in its tasks and edges; raise CycleError or MissingTaskError."""
    with collector_paused(len(flow.graph)):
        return _plan_of(flow)


def _plan_of(flow: Flow) -> Plan:
    slugs, constants, edges_to = flow.slugs, flow.constants, flow.graph.edges_to
    index: dict[Task, int] = {}
    nodes: list[Node] = []
    for i, task in enumerate(flow.graph.sorted(flow.name)):
        if task._missing is not None:
            raise MissingTaskError(task.name, task._missing)
        index[task] = i
        node = Node(i, task, slugs[task], constants.get(task))
        nodes.append(node)
        edges = edges_to(task)
        if edges:
            _connect(node, tuple(edges), index, nodes)
    return Plan(nodes, index, _reference(flow, nodes, index), list(flow.tasks))


def _reference(flow: Flow, nodes: list[Node], index: dict[Task, int]) -> list[int]:
    if flow.chose_reference_tasks or any(node.task.housekeeping for node in nodes):
        return sorted(index[task] for task in flow.reference_tasks())
    return [node.index for node in nodes if not node.reader_count]


def _connect(node: Node, edges: tuple[Edge, ...], index: dict[Task, int], nodes: list[Node]) -> None:
    """Tell ``node`` where its edges come from, and their sources, all planned before it, who reads them."""
    sources: list[int] = []
    inputs: list[tuple[str, int]] = []
    for edge in edges:
        source = index[edge.upstream_task]
        sources.append(source)
        upstream = nodes[source]
        upstream.reader_count += 1
        if edge.key:
            inputs.append((edge.key, source))
        if edge.mapped:
            _connect_map(node, upstream, edge, len(sources) - 1)
        elif upstream.downstream:
            upstream.downstream.append(node.index)
        else:
            upstream.downstream = [node.index]
        if edge.flattened:
            node.flattens = True
    node.edges, node.sources, node.inputs = edges, sources, inputs


def _connect_map(node: Node, upstream: Node, edge: Edge, k: int) -> None:
    """Connect the ``k``-th edge of ``node``, a mapped one."""
    # An upstream task that carries no data makes a map only if it is one.
    if edge.key or upstream.mapped:
        node.mapped = True
    if not upstream.mapped:
        upstream.downstream = [*upstream.downstream, node.index]
    elif edge.flattened:
        upstream.gatherers = [*upstream.gatherers, node.index]
    else:
        upstream.followers = [*upstream.followers, node.index]
        node.pairwise = {**node.pairwise, k: upstream.index}
