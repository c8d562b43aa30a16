from __future__ import annotations

import re

import pytest

from headrace.visualize.drawing import Drawing, Edge, Node
from headrace.visualize.mermaid import to_mermaid


def node_line(node: Node) -> str:
    return next(
        line.strip() for line in to_mermaid(Drawing(title="t", nodes=(node,))).splitlines() if line.startswith("    n0")
    )


def test_a_whole_flow_reads_as_expected() -> None:
    drawing = Drawing(
        title="My flow",
        nodes=(
            Node(id="x y", label="day", kind="parameter"),
            Node(id="end", label="load", mapped=True, state="Success", detail="2 children"),
        ),
        edges=(Edge(source="x y", target="end", label="day", mapped=True),),
    )
    assert to_mermaid(drawing) == (
        '---\ntitle: "My flow"\n---\n'
        "flowchart TD\n"
        '    n0(["day"])\n'
        '    n1[["#10003; load<br/>Success<br/>2 children"]]:::state0\n'
        '    n0 -.->|"day"| n1\n'
        "    classDef state0 fill:#dcf1e0,stroke:#28a745,color:#12161c\n"
    )


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("task", 'n0("a")'),
        ("parameter", 'n0(["a"])'),
        ("constant", 'n0["a"]'),
        ("flow", 'n0{{"a"}}'),
    ],
)
def test_kinds_have_shapes_of_their_own(kind: str, line: str) -> None:
    assert node_line(Node(id="a", label="a", kind=kind)) == line  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ['a "b" <i>c</i> & d', "#quot; `x` %%", "style a:b;", "{[(x)]}", "日本語"])
def test_a_label_means_itself_once_mermaid_has_decoded_it(label: str) -> None:
    line = node_line(Node(id="a", label=label))
    written = re.fullmatch(r'n0\("(.*)"\)', line)
    assert written
    assert re.sub(r"#(\d+);", lambda match: chr(int(match[1])), written[1]) == label


def test_lines_of_a_label_stay_lines() -> None:
    assert node_line(Node(id="a", label="one\ntwo")) == 'n0("one<br/>two")'


def test_dollars_begin_no_formula() -> None:
    assert "$" not in node_line(Node(id="a", label="$$x$$"))


def test_nodes_in_equal_states_share_a_class() -> None:
    nodes = [Node(id=str(number), label="x", state=("Success", "Failed")[number % 2]) for number in range(6)]
    assert to_mermaid(Drawing(title="t", nodes=tuple(nodes))).count("classDef") == 2


def test_left_to_right_is_said() -> None:
    assert "flowchart LR\n" in to_mermaid(Drawing(title="t"), direction="LR")
