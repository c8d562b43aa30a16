from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from headrace.exceptions import HeadraceError
from headrace.visualize import Drawing, DrawingError, Edge, Node


def test_two_nodes_with_one_id_are_refused() -> None:
    with pytest.raises(DrawingError, match="two nodes with the id 'a'"):
        Drawing(title="t", nodes=(Node(id="a", label="x"), Node(id="a", label="y")))


@pytest.mark.parametrize("edge", [Edge(source="a", target="b"), Edge(source="b", target="a")])
def test_an_edge_to_a_missing_node_is_refused(edge: Edge) -> None:
    with pytest.raises(DrawingError, match="edge at 'b'"):
        Drawing(title="t", nodes=(Node(id="a", label="x"),), edges=(edge,))


def test_a_drawing_error_is_a_headrace_error_and_a_value_error() -> None:
    assert issubclass(DrawingError, HeadraceError)
    assert issubclass(DrawingError, ValueError)


def test_nodes_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Node(id="a", label="x").label = "y"  # type: ignore[misc]
