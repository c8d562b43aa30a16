"""What holds for every drawing whatsoever: random graphs with hostile texts, in every format."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace.visualize import FORMATS, render
from headrace.visualize.drawing import Direction, Drawing, Edge, Kind, Node
from headrace.visualize.layout import Box, Layout, Route, layout
from headrace.visualize.text import to_text

HOSTILE = [
    "",
    " ",
    "plain",
    'say "hi"',
    "<script>alert(1)</script>",
    "a & b &amp; c",
    "]]>",
    "two\nlines\r\nthree",
    "\x00\x1b[31m\x7f\x85",
    "\ud800 lone",
    "] --> n9",
    "#quot; #35;",
    "`tick` %% {x}",
    "end",
    "日本語 🎉 e\u0301",
    "back\\slash\\n",
    "\u202eright to left",
    "x" * 500,
]
texts = st.sampled_from(HOSTILE) | st.text(max_size=20)
kinds: st.SearchStrategy[Kind] = st.sampled_from(["task", "parameter", "constant", "flow"])
directions: st.SearchStrategy[Direction] = st.sampled_from(["TB", "LR"])
states = st.none() | st.sampled_from(["Success", "Failed", "Skipped", "Invented"]) | texts
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    count = draw(st.integers(0, 30))
    ids = [f"{draw(texts)}{number}" for number in range(count)]
    order = draw(st.permutations(ids))
    nodes = tuple(
        Node(
            id=id_,
            label=draw(texts),
            kind=draw(kinds),
            mapped=draw(st.booleans()),
            state=draw(states),
            color=draw(st.none() | texts),
            detail=draw(st.none() | texts),
        )
        for id_ in ids
    )
    places = st.integers(0, max(0, count - 1))
    pairs = draw(st.lists(st.tuples(places, places), max_size=2 * count))
    edges = tuple(
        Edge(
            source=order[min(pair)], target=order[max(pair)], label=draw(st.none() | texts), mapped=draw(st.booleans())
        )
        for pair in pairs
        if pair[0] != pair[1]
    )
    return Drawing(title=draw(texts), nodes=nodes, edges=edges)


def overlap(first: Box, second: Box) -> bool:
    return (
        first.x < second.x + second.width
        and second.x < first.x + first.width
        and first.y < second.y + second.height
        and second.y < first.y + first.height
    )


def turned(result: Layout) -> tuple[dict[str, Box], list[list[tuple[float, float]]]]:
    """Return boxes and lines as if the drawing ran from top to bottom."""
    if result.direction == "TB":
        return dict(result.positions), [list(route.points) for route in result.routes]
    boxes = {name: Box(x=box.y, y=box.x, width=box.height, height=box.width) for name, box in result.positions.items()}
    return boxes, [[(y, x) for x, y in route.points] for route in result.routes]


@quick
@given(drawings(), directions)
def test_no_two_nodes_overlap_and_all_are_inside(drawing: Drawing, direction: Direction) -> None:
    result = layout(drawing, direction)
    assert set(result.positions) == {node.id for node in drawing.nodes}
    assert not any(overlap(first, second) for first, second in combinations(result.positions.values(), 2))
    for box in result.positions.values():
        assert box.x >= -0.001
        assert box.y >= -0.001
        assert box.x + box.width <= result.width + 0.001
        assert box.y + box.height <= result.height + 0.001


BENT_EDGES = ["16 6", "16 9", "16 9", "16 10", "16 9", "10 9", "11 12", "16 11"]
# A line that reaches its target just where it bends.
BENT_AT_THE_END = Drawing(
    title="",
    nodes=tuple(
        Node(id=str(number), label={9: "\ud800 lone", 12: "\x998\U0006e88c"}.get(number, "")) for number in range(17)
    ),
    edges=tuple(
        Edge(source=source, target=target, label=None, mapped=False)
        for source, target in (pair.split() for pair in BENT_EDGES)
    ),
)


@quick
@example(BENT_AT_THE_END, "LR")
@given(drawings(), directions)
def test_every_line_runs_forward_from_its_source_to_its_target(drawing: Drawing, direction: Direction) -> None:
    result = layout(drawing, direction)
    boxes, lines = turned(result)
    assert {(route.edge.source, route.edge.target) for route in result.routes} == {
        (edge.source, edge.target) for edge in drawing.edges
    }
    for route, line in zip(result.routes, lines, strict=True):
        source, target = boxes[route.edge.source], boxes[route.edge.target]
        assert source.y + source.height < target.y
        assert all(after[1] >= before[1] - 0.001 for before, after in pairwise(line))
        if not route.starts_at_joint:
            assert line[0] == pytest.approx((source.x + source.width / 2, source.y + source.height))
        if not route.ends_at_joint:
            assert line[-1][1] == pytest.approx(target.y)
            assert target.x < line[-1][0] < target.x + target.width


@quick
@given(drawings(), directions)
def test_no_line_passes_through_a_node(drawing: Drawing, direction: Direction) -> None:
    boxes, lines = turned(layout(drawing, direction))
    for line in lines:
        for (x, y), (to_x, to_y) in pairwise(line):
            stroke = Box(x=min(x, to_x), y=y + 0.01, width=abs(x - to_x) + 0.01, height=max(0.0, to_y - y - 0.02))
            assert not any(overlap(stroke, box) for box in boxes.values())


@quick
@given(drawings())
def test_every_joint_lies_on_another_line_of_the_same_node(drawing: Drawing) -> None:
    routes = layout(drawing).routes

    def passes(route: Route, x: float, y: float) -> bool:
        return any(
            abs(before[0] - x) < 0.06 and abs(after[0] - x) < 0.06 and before[1] - 0.01 <= y <= after[1] + 0.01
            for before, after in pairwise(route.points)
        ) or any(abs(px - x) < 0.06 and abs(py - y) < 0.01 for px, py in route.points)

    for route in routes:
        if route.starts_at_joint:
            siblings = [other for other in routes if other.edge.source == route.edge.source and other is not route]
            assert any(passes(other, *route.points[0]) for other in siblings)
        if route.ends_at_joint:
            siblings = [other for other in routes if other.edge.target == route.edge.target and other is not route]
            assert any(passes(other, *route.points[-1]) for other in siblings)


@quick
@given(drawings(), st.sampled_from(FORMATS))
def test_equal_drawings_are_written_equally_and_can_be_encoded(drawing: Drawing, form: str) -> None:
    copy = Drawing(title=drawing.title, nodes=drawing.nodes, edges=drawing.edges)
    text = render(drawing, form)
    assert text == render(copy, form)
    assert text.encode().endswith(b"\n")


@quick
@given(drawings(), directions)
def test_svg_is_well_formed_and_has_every_node_with_its_full_text(drawing: Drawing, direction: Direction) -> None:
    root = ElementTree.fromstring(render(drawing, "svg", direction=direction))
    groups = [group for group in root.iter("{http://www.w3.org/2000/svg}g") if "data-id" in group.attrib]
    assert len(groups) == len(drawing.nodes)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "g", "path", "text", "circle"}


MERMAID_LINE = re.compile(
    r"""---|title:\ ".*"|flowchart\ TD
    |\ {4}n\d+(\(|\(\[|\[|\{\{|\[\[)"[^"]*"(\)|\]\)|\]|\}\}|\]\])(:::state\d+)?
    |\ {4}n\d+\ (-->|-\.->)(\|"[^"]+"\|)?\ n\d+
    |\ {4}classDef\ state\d+\ fill:\#[0-9a-f]{6},stroke:\#[0-9a-f]{6},color:\#[0-9a-f]{6}""",
    re.VERBOSE,
)


@quick
@given(drawings())
def test_no_label_breaks_out_of_its_mermaid_line(drawing: Drawing) -> None:
    lines = render(drawing, "mermaid").removesuffix("\n").split("\n")
    assert [line for line in lines if not MERMAID_LINE.fullmatch(line)] == []


@quick
@given(drawings())
def test_text_has_a_line_for_each_node_and_each_further_arrow(drawing: Drawing) -> None:
    edges = {(edge.source, edge.target) for edge in drawing.edges}
    roots = {node.id for node in drawing.nodes} - {target for _, target in edges}
    text = to_text(drawing, ascii_only=True)
    assert text.isascii()
    if "<- " not in text:
        assert text.count("\n") == 1 + len(roots) + len(edges)
    assert all(character.isprintable() for character in text.replace("\n", ""))


DOT_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


@quick
@given(drawings())
def test_no_label_breaks_out_of_its_dot_string(drawing: Drawing) -> None:
    bare = DOT_STRING.sub("S", render(drawing, "dot"))
    assert re.fullmatch(r"[\w\s\[\]{}=,;>-]*", bare)
