"""A flow in the form the engine runs: integers instead of names, in an order that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from headrace.engine.garbage import collector_paused
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
    """Immutable; shared by all runs of the flow until the flow changes."""

    __slots__ = ("index", "nodes", "parameters", "reference")

    def __init__(self, nodes: list[Node], index: dict[Task, int], reference: list[int]) -> None:
        self.nodes = nodes
        self.index = index
        self.reference = reference
        self.parameters = [node.task for node in nodes if isinstance(node.task, Parameter)]


def make_plan(flow: Flow) -> Plan:
    """Return the plan of ``flow``, in time linear in its tasks and edges; raise CycleError."""
    with collector_paused():
        return _plan_of(flow)


def _plan_of(flow: Flow) -> Plan:
    order = flow.graph.sorted(flow.name)
    index = {task: i for i, task in enumerate(order)}
    slugs, constants, edges_to = flow.slugs, flow.constants, flow.graph.edges_to
    nodes: list[Node] = []
    for i, task in enumerate(order):
        node = Node(i, task, slugs[task], constants.get(task))
        nodes.append(node)
        edges = edges_to(task)
        if edges:
            _connect(node, tuple(edges), index, nodes)
    reference = sorted(index[task] for task in flow.reference_tasks())
    return Plan(nodes, index, reference)


def _connect(node: Node, edges: tuple[Edge, ...], index: dict[Task, int], nodes: list[Node]) -> None:
    """Tell ``node`` where its edges come from, and their sources, all planned before it, who reads them."""
    node.edges = edges
    node.sources = sources = [index[edge.upstream_task] for edge in edges]
    node.inputs = [(edge.key, source) for edge, source in zip(edges, sources, strict=True) if edge.key]
    for edge, source in zip(edges, sources, strict=True):
        # An upstream task that carries no data makes a map only if it is one.
        if edge.mapped and (edge.key or nodes[source].mapped):
            node.mapped = True
        if edge.flattened:
            node.flattens = True
    for k, source in enumerate(sources):
        upstream = nodes[source]
        upstream.reader_count += 1
        if upstream.mapped and edges[k].mapped:
            _connect_maps(node, upstream, k, flattened=edges[k].flattened)
        elif upstream.downstream:
            upstream.downstream.append(node.index)
        else:
            upstream.downstream = [node.index]


def _connect_maps(node: Node, upstream: Node, k: int, *, flattened: bool) -> None:
    if flattened:
        upstream.gatherers = [*upstream.gatherers, node.index]
    else:
        upstream.followers = [*upstream.followers, node.index]
        node.pairwise = {**node.pairwise, k: upstream.index}
