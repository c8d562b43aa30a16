"""A drawing in the DOT language, and the one function here that needs Graphviz to be installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from headrace.exceptions import GraphvizError
from headrace.visualize.marks import mark_for, safe_color
from headrace.visualize.sizes import clean_text
from headrace.visualize.structure import merge_edges

if TYPE_CHECKING:
    from os import PathLike

    from headrace.visualize.drawing import Direction, Drawing, Edge, Node

__all__ = ["GraphvizError", "render_with_graphviz", "to_dot"]

_SHAPES = {
    "task": 'shape=box, style="rounded,filled"',
    "parameter": 'shape=ellipse, style="filled"',
    "constant": 'shape=box, style="dashed,filled"',
    "flow": 'shape=component, style="filled"',
}


def to_dot(drawing: Drawing, *, direction: Direction = "TB") -> str:
    """Write in the DOT language, for Graphviz and everything else that reads it."""
    lines = [
        f"digraph {_quote(drawing.title)} {{",
        f"  graph [label={_quote(drawing.title)}, labelloc=t, rankdir={direction}, fontname=Helvetica];",
        '  node [fontname=Helvetica, fontsize=11, color="#8893a2", fillcolor="#ffffff"];',
        '  edge [fontname=Helvetica, fontsize=9, color="#8893a2", fontcolor="#556070"];',
    ]
    lines += [f"  {_quote(node.id)} [{_attributes(node)}];" for node in drawing.nodes]
    lines += [f"  {_quote(edge.source)} -> {_quote(edge.target)}{_edge(edge)};" for edge in merge_edges(drawing.edges)]
    return "\n".join(lines) + "\n}\n"


def render_with_graphviz(dot: str, path: str | PathLike[str], format: str) -> None:  # noqa: A002 - Graphviz's own word
    """Let Graphviz draw DOT text into a file, in any format it knows, such as ``"png"`` or ``"pdf"``.

    The file is written only when Graphviz succeeded. Raises `GraphvizError` when the program ``dot`` is not on the
    path or reports an error.
    """
    import shutil  # noqa: PLC0415 - only this function starts a program
    import subprocess  # noqa: PLC0415

    program = shutil.which("dot")
    if program is None:
        raise GraphvizError(
            f"Drawing {str(path)!r} as {format!r} needs the program 'dot' of Graphviz, which is not on the path.",
            hint="Install it (`apt install graphviz`, `brew install graphviz`, `winget install graphviz`), "
            'or use format "svg", which needs nothing.',
        )
    done = subprocess.run([program, f"-T{format}"], input=dot.encode(), capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split()) or f"exit code {done.returncode}"
        raise GraphvizError(f"Graphviz could not draw {str(path)!r} as {format!r}: {reason}")
    Path(path).write_bytes(done.stdout)


def _attributes(node: Node) -> str:
    label = [node.label or "(unnamed)"]
    colors = ""
    if node.state:
        color = safe_color(node.color, node.state)
        label = [f"{mark_for(node.state).symbol} {label[0]}", node.state]
        colors = f', color="{color}", fillcolor="{color}26"'
    if node.detail:
        label.append(node.detail)
    mapped = ", peripheries=2" if node.mapped else ""
    return f"{_SHAPES[node.kind]}{mapped}{colors}, label={_quote(chr(10).join(label))}"


def _edge(edge: Edge) -> str:
    attributes = [f"label={_quote(edge.label)}"] if edge.label else []
    if edge.mapped:
        attributes.append("style=dashed")
    return f" [{', '.join(attributes)}]" if attributes else ""


def _quote(text: str) -> str:
    """Return a quoted string; backslashes are doubled, since Graphviz reads escapes in labels."""
    text = clean_text(text).replace("\r\n", "\n").replace("\r", "\n")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
