from __future__ import annotations

from xml.etree import ElementTree

import pytest

from headrace.visualize.drawing import Drawing, Edge, Node
from headrace.visualize.svg import to_svg

SVG = "{http://www.w3.org/2000/svg}"


def draw(*nodes: Node, edges: tuple[Edge, ...] = (), title: str = "My flow") -> Drawing:
    return Drawing(title=title, nodes=nodes, edges=edges)


def texts(drawing: Drawing) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(to_svg(drawing)).iter(f"{SVG}text")]


def elements(drawing: Drawing, style: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(to_svg(drawing))
    return [element for element in root.iter() if style in element.get("class", "").split()]


def test_an_empty_drawing_is_a_picture_with_a_title() -> None:
    assert texts(draw()) == ["My flow"]


def test_the_picture_has_a_title_and_a_description_for_screen_readers() -> None:
    root = ElementTree.fromstring(to_svg(draw(Node(id="a", label="x", state="Failed"), Node(id="b", label="y"))))
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "My flow"
    assert root.findtext(f"{SVG}desc") == "A flow chart of 2 tasks, 0 edges. States: 1 Failed."


def test_a_state_is_written_and_marked_and_counted_in_the_legend() -> None:
    drawing = draw(Node(id="a", label="x", state="Success"), Node(id="b", label="y", state="Success"))
    assert texts(drawing) == ["My flow", "Success 2", "x", "Success", "y", "Success"]
    assert len(elements(drawing, "icon")) == 3


def test_without_states_there_is_no_legend_and_no_badge() -> None:
    drawing = draw(Node(id="a", label="x"))
    assert texts(drawing) == ["My flow", "x"]
    assert elements(drawing, "icon") == []


def test_failures_differ_from_successes_in_outline() -> None:
    def outline(state: str) -> str:
        return to_svg(draw(Node(id="a", label="x", state=state, color="#123456"))).replace(state, "")

    assert outline("Success") != outline("Failed")


def test_a_mapped_task_is_a_stack_of_cards() -> None:
    assert len(elements(draw(Node(id="a", label="x")), "card")) == 1
    assert len(elements(draw(Node(id="a", label="x", mapped=True)), "card")) == 3


def test_a_parameter_is_a_pill() -> None:
    card = elements(draw(Node(id="a", label="x", kind="parameter")), "card")[0]
    assert float(card.get("rx", "0")) == float(card.get("height", "0")) / 2


def test_a_flow_inside_a_flow_has_a_double_outline() -> None:
    assert len(elements(draw(Node(id="a", label="x", kind="flow")), "inner")) == 1


def test_a_mapped_edge_is_dashed_and_its_key_is_written() -> None:
    nodes = Node(id="a", label="x"), Node(id="b", label="y")
    drawing = draw(*nodes, edges=(Edge(source="a", target="b", label="numbers", mapped=True),))
    assert len(elements(drawing, "mapped-line")) == 1
    assert len(elements(drawing, "head")) == 1
    assert "numbers" in texts(drawing)


def test_a_long_label_is_cut_and_its_tooltip_is_whole() -> None:
    root = ElementTree.fromstring(to_svg(draw(Node(id="a", label="long" * 50, detail="told"))))
    assert [text.text for text in root.iter(f"{SVG}text") if (text.text or "").endswith("…")]
    assert "long" * 50 + "\ntold" in [title.text for title in root.iter(f"{SVG}title")]


def test_a_colour_that_is_none_cannot_inject_markup() -> None:
    svg = to_svg(draw(Node(id="a", label="x", state="Success", color='red"><script>')))
    assert "script" not in svg
    assert "#28a745" in svg


def test_the_picture_refers_to_nothing_outside_and_follows_the_colour_scheme() -> None:
    svg = to_svg(draw(Node(id="a", label="x", state="Success")))
    assert svg.count("http") == 1  # the namespace
    assert "url(" not in svg
    assert " id=" not in svg
    assert "prefers-color-scheme:dark" in svg


def test_style_rules_touch_nothing_else_on_a_page() -> None:
    svg = to_svg(draw())
    style = svg[svg.index("<style>") + 7 : svg.index("</style>")]
    rules = [line for line in style.splitlines() if line and line not in {"}", "@media (prefers-color-scheme:dark){"}]
    selectors = [selector for rule in rules for selector in rule.partition("{")[0].split(",")]
    assert selectors
    assert all(selector.startswith((".headrace-drawing ", "svg.headrace-drawing")) for selector in selectors)


@pytest.mark.parametrize("title", ["", "w" * 300])
def test_any_title_fits(title: str) -> None:
    root = ElementTree.fromstring(to_svg(draw(title=title)))
    assert float(root.get("width", "0")) == 320.0
