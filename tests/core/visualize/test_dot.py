from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from headrace.visualize import GraphvizError, render_with_graphviz
from headrace.visualize.dot import to_dot
from headrace.visualize.drawing import Drawing, Edge, Node

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def only_this_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def install(folder: Path, body: str) -> None:
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    program.chmod(0o755)


def test_nodes_and_edges_are_written_with_their_looks() -> None:
    drawing = Drawing(
        title="My flow",
        nodes=(
            Node(id="p", label="day", kind="parameter"),
            Node(id="a", label="load", mapped=True, state="Success", detail="2 children"),
        ),
        edges=(Edge(source="p", target="a", label="day", mapped=True),),
    )
    text = to_dot(drawing, direction="LR")
    assert text.startswith('digraph "My flow" {\n')
    assert "rankdir=LR" in text
    assert '"p" [shape=ellipse, style="filled", label="day"];' in text
    assert 'peripheries=2, color="#28a745", fillcolor="#28a74526", label="✓ load\\nSuccess\\n2 children"];' in text
    assert '"p" -> "a" [label="day", style=dashed];' in text


def test_quotes_and_backslashes_are_escaped() -> None:
    text = to_dot(Drawing(title='a"b\\', nodes=(Node(id="n", label="x\\N\ny"),)))
    assert text.startswith('digraph "a\\"b\\\\" {')
    assert 'label="x\\\\N\\ny"' in text


def test_without_graphviz_the_error_says_how_to_get_it(only_this_on_the_path: Path) -> None:
    with pytest.raises(GraphvizError, match="apt install graphviz") as caught:
        render_with_graphviz("digraph {}", only_this_on_the_path / "flow.png", "png")
    assert "which is not on the path" in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Graphviz is a script")
def test_what_graphviz_writes_is_put_into_the_file(only_this_on_the_path: Path, tmp_path: Path) -> None:
    install(only_this_on_the_path, "print(sys.argv[1:], sys.stdin.read())")
    render_with_graphviz("digraph {}", tmp_path / "flow.png", "png")
    assert (tmp_path / "flow.png").read_text() == "['-Tpng'] digraph {}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Graphviz is a script")
def test_when_graphviz_fails_its_reason_is_told_and_nothing_is_written(
    only_this_on_the_path: Path, tmp_path: Path
) -> None:
    install(only_this_on_the_path, "sys.exit('Format: \"what\" not recognized.')")
    with pytest.raises(GraphvizError, match='Format: "what" not recognized'):
        render_with_graphviz("digraph {}", tmp_path / "flow", "what")
    assert not (tmp_path / "flow").exists()
