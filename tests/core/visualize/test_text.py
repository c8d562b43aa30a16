from __future__ import annotations

import pytest

from headrace.exceptions import CycleError
from headrace.visualize.drawing import Drawing, Edge, Node
from headrace.visualize.text import to_text


def chain(count: int) -> Drawing:
    return Drawing(
        title="chain",
        nodes=tuple(Node(id=str(number), label=f"task {number}") for number in range(count)),
        edges=tuple(Edge(source=str(number), target=str(number + 1)) for number in range(count - 1)),
    )


DIAMOND = Drawing(
    title="Diamond",
    nodes=(
        Node(id="p", label="day", kind="parameter"),
        Node(id="a", label="fetch", state="Success"),
        Node(id="b", label="parse", mapped=True, state="Failed", detail="2 children: 1 ok, 1 failed"),
        Node(id="c", label="save", state="TriggerFailed"),
    ),
    edges=(
        Edge(source="p", target="a", label="day"),
        Edge(source="a", target="b", label="raw", mapped=True),
        Edge(source="a", target="c"),
        Edge(source="b", target="c", label="rows"),
    ),
)


def test_a_flow_is_a_tree_that_refers_to_what_was_shown() -> None:
    assert to_text(DIAMOND) == (
        "Diamond\n"
        "day  parameter\n"
        "└── day → ✓ fetch  Success\n"
        "    ├── raw ⇉ ✗ parse  mapped · Failed · 2 children: 1 ok, 1 failed\n"
        "    │   └── rows → ⊘ save  TriggerFailed\n"
        "    └── ⊘ save (see above)\n"
    )


def test_the_ascii_tree_has_the_same_shape() -> None:
    assert to_text(DIAMOND, ascii_only=True) == (
        "Diamond\n"
        "day  parameter\n"
        "`-- day -> + fetch  Success\n"
        "    |-- raw => x parse  mapped - Failed - 2 children: 1 ok, 1 failed\n"
        "    |   `-- rows -> x save  TriggerFailed\n"
        "    `-- x save (see above)\n"
    )


def test_ascii_writes_other_letters_as_escapes() -> None:
    assert to_text(Drawing(title="t", nodes=(Node(id="a", label="é"),)), ascii_only=True) == "t\n\\xe9\n"


def test_tasks_with_one_name_are_told_apart_by_id() -> None:
    nodes = tuple(Node(id=f"load-{number}", label="load") for number in (1, 2))
    assert to_text(Drawing(title="t", nodes=nodes)) == "t\nload [load-1]\nload [load-2]\n"


def test_a_deep_flow_is_a_list_with_what_each_task_waits_for() -> None:
    lines = to_text(chain(30)).splitlines()
    assert lines[:3] == ["chain", "task 0", "task 1  ← task 0"]
    assert len(lines) == 31


def test_a_flow_at_the_limit_is_still_a_tree() -> None:
    assert "└── task 24" in to_text(chain(25))
    assert "└──" not in to_text(chain(26))


def test_the_list_names_arguments_and_not_too_many_of_them() -> None:
    deep = chain(30)
    edges = tuple(Edge(source=str(number), target="29", label=f"x{number}") for number in range(20))
    last = to_text(Drawing(title="t", nodes=deep.nodes, edges=deep.edges + edges)).splitlines()[-1]
    assert last == "task 29  ← task 28, " + ", ".join(f"x{n}=task {n}" for n in range(7)) + ", … 13 more"


def test_a_chain_of_fifty_thousand_is_written() -> None:
    assert to_text(chain(50_000)).count("\n") == 50_001


def test_a_hundred_thousand_tasks_are_written() -> None:
    count = 100_000
    nodes = tuple(Node(id=str(number), label=f"task {number}") for number in range(count))
    edges = tuple(Edge(source="0", target=str(number)) for number in range(1, count))
    assert to_text(Drawing(title="wide", nodes=nodes, edges=edges)).count("\n") == count + 1


def test_labels_cannot_steer_the_terminal() -> None:
    drawing = Drawing(title="t\x1b[2J", nodes=(Node(id="a", label="x\x1b]0;y\x07\u202ez\nw"),))
    assert to_text(drawing) == "t [2J\nx ]0;y z w\n"


def test_an_empty_drawing_is_its_title() -> None:
    assert to_text(Drawing(title="")) == "(untitled)\n"


def test_a_cycle_is_refused() -> None:
    edges = (Edge(source="a", target="b"), Edge(source="b", target="a"))
    with pytest.raises(CycleError):
        to_text(Drawing(title="t", nodes=(Node(id="a", label="a"), Node(id="b", label="b")), edges=edges))
