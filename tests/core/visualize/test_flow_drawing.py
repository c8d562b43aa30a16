from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from headrace import Flow, Parameter, task
from headrace.states import Failed, Mapped, Skipped, Success, TimedOut
from headrace.visualize import DrawingError, Edge, Node, draw_flow, from_flow
from headrace.visualize.drawing import Drawing

if TYPE_CHECKING:
    from pathlib import Path

    from headrace.states import State


@task
def double(x):
    return 2 * x


@task
def total(numbers):
    return sum(numbers)


def mapping_flow() -> Flow:
    with Flow("doubling") as flow:
        numbers = Parameter("numbers")
        total(double.map(numbers))
    return flow


def drawn(states: dict[str, State], flow: Flow | None = None) -> dict[str, Node]:
    """Draw a flow whose tasks ended in these states, by name; return its nodes by label."""
    flow = flow or mapping_flow()
    result = {member: states[member.name] for member in flow.tasks if member.name in states}
    return {node.label: node for node in from_flow(flow, Success(result=result)).nodes}


def test_a_flow_becomes_nodes_in_order_and_edges_with_keys() -> None:
    assert from_flow(mapping_flow()) == Drawing(
        title="doubling",
        nodes=(
            Node(id="numbers", label="numbers", kind="parameter"),
            Node(id="double-1", label="double", mapped=True),
            Node(id="total-1", label="total"),
        ),
        edges=(
            Edge(source="numbers", target="double-1", label="x", mapped=True),
            Edge(source="double-1", target="total-1", label="numbers"),
        ),
    )


def test_states_carry_their_names_and_colours() -> None:
    nodes = drawn({"numbers": Success(), "total": Skipped()})
    assert (nodes["numbers"].state, nodes["numbers"].color) == ("Success", "#28a745")
    assert (nodes["total"].state, nodes["total"].color) == ("Skipped", "#62757f")


def test_a_task_that_the_state_does_not_know_has_none() -> None:
    assert drawn({"numbers": Success()})["total"].state is None


def test_mapped_children_are_counted() -> None:
    children: list[State | None] = [Success() for _ in range(1500)]
    node = drawn({"double": Mapped(map_states=children)})["double"]
    assert (node.state, node.detail) == ("Mapped", "1,500 children: 1,500 ok")


def test_a_failed_child_shows_on_its_parent() -> None:
    children: list[State | None] = [Success(), TimedOut(), Failed(), Skipped(), None]
    node = drawn({"double": Mapped(map_states=children)})["double"]
    assert (node.state, node.color) == ("TimedOut", "#ff4e33")
    assert node.detail == "5 children: 1 ok, 2 failed, 1 skipped, 1 not started"


@pytest.mark.parametrize(("count", "detail"), [(0, "0 children"), (1, "1 child: 1 ok")])
def test_few_children_are_counted_in_good_english(count: int, detail: str) -> None:
    children: list[State | None] = [Success()] * count
    assert drawn({"double": Mapped(map_states=children)})["double"].detail == detail


def test_a_state_whose_result_is_no_mapping_adds_nothing() -> None:
    assert from_flow(mapping_flow(), Failed(result=ValueError("no"))) == from_flow(mapping_flow())


def test_a_drawing_of_a_flow_is_returned_and_written(tmp_path: Path) -> None:
    text = draw_flow(mapping_flow(), filename=tmp_path / "flow.txt", format="text")
    assert text == "doubling\nnumbers  parameter\n└── x ⇉ double  mapped\n    └── numbers → total\n"
    assert (tmp_path / "flow.txt").read_text(encoding="utf-8") == text


def test_an_unknown_format_writes_no_file(tmp_path: Path) -> None:
    with pytest.raises(DrawingError):
        draw_flow(mapping_flow(), filename=tmp_path / "flow", format="png")
    assert not (tmp_path / "flow").exists()
