"""A flow in the form the engine runs: integers instead of names, in an order that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.triggers import all_successful

if TYPE_CHECKING:
    from headrace.edges import Edge
    from headrace.flows import Flow
    from headrace.tasks import Task

__all__ = ["Node", "Plan", "make_plan"]


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
        "reader_count",
        "resolve",
        "slug",
        "sources",
        "task",
    )

    def __init__(
        self,
        index: int,
        task: Task,
        slug: str,
        edges: tuple[Edge, ...],
        sources: tuple[int, ...],
        constants: dict[str, Any] | None,
    ) -> None:
        self.index = index
        self.task = task
        self.slug = slug
        self.edges = edges
        self.sources = sources
        self.constants = constants
        # Pairs (argument, source): what to gather for a task that is not mapped.
        self.inputs = tuple([(e.key, s) for e, s in zip(edges, sources, strict=True) if e.key])
        self.mapped = any([e.mapped and e.key for e in edges])
        self.flattens = any([e.flattened for e in edges])
        self.default_trigger = task.trigger is all_successful
        # What stands for running a task whose value is known without an executor.
        self.resolve = getattr(task, "resolve", None)
        self.downstream: list[int] = []
        self.followers: list[int] = []
        self.gatherers: list[int] = []
        # The sources, by edge, whose children this mapped node's children follow one by one.
        self.pairwise: dict[int, int] = {}
        self.reader_count = 0


class Plan:
    """Immutable; shared by all runs of the flow until the flow changes."""

    __slots__ = ("index", "nodes", "reference")

    def __init__(self, nodes: list[Node], index: dict[Task, int], reference: list[int]) -> None:
        self.nodes = nodes
        self.index = index
        self.reference = reference


def make_plan(flow: Flow) -> Plan:
    """Return the plan of ``flow``, in time linear in its tasks and edges; raise CycleError."""
    order = flow.graph.sorted(flow.name)
    index = {task: i for i, task in enumerate(order)}
    slugs, constants, edges_to = flow.slugs, flow.constants, flow.graph.edges_to
    nodes: list[Node] = []
    for i, task in enumerate(order):
        edges = tuple(edges_to(task))
        sources = tuple([index[edge.upstream_task] for edge in edges])
        node = Node(i, task, slugs[task], edges, sources, constants.get(task))
        nodes.append(node)
        if edges:
            _connect(node, nodes)
    reference = sorted(index[task] for task in flow.reference_tasks())
    return Plan(nodes, index, reference)


def _connect(node: Node, nodes: list[Node]) -> None:
    """Tell the sources of ``node``, all planned before it, who reads them."""
    if not node.mapped:
        # An upstream task that carries no data makes a map only if it is one.
        node.mapped = any([e.mapped and nodes[s].mapped for e, s in zip(node.edges, node.sources, strict=True)])
    for k, (edge, source) in enumerate(zip(node.edges, node.sources, strict=True)):
        upstream = nodes[source]
        upstream.reader_count += 1
        if edge.mapped and upstream.mapped and edge.flattened:
            upstream.gatherers.append(node.index)
        elif edge.mapped and upstream.mapped:
            upstream.followers.append(node.index)
            node.pairwise[k] = source
        else:
            upstream.downstream.append(node.index)
