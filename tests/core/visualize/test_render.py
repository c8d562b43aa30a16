from __future__ import annotations

import subprocess
import sys

import pytest

from headrace import visualize
from headrace.exceptions import HeadraceError
from headrace.visualize import FORMATS, Drawing, render

EMPTY = Drawing(title="flow")


@pytest.mark.parametrize(
    ("form", "start"), [("svg", "<svg "), ("mermaid", "---\n"), ("text", "flow\n"), ("dot", "digraph ")]
)
def test_every_format_writes_even_an_empty_drawing(form: str, start: str) -> None:
    assert render(EMPTY, form).startswith(start)
    assert form in FORMATS


def test_an_unknown_format_is_told_with_the_nearest() -> None:
    with pytest.raises(HeadraceError, match=r"'svgg'.*Did you mean 'svg'\? Known: dot, mermaid, svg, text"):
        render(EMPTY, "svgg")


def test_an_unknown_format_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="png"):
        render(EMPTY, "png")


def test_an_unknown_direction_is_refused() -> None:
    with pytest.raises(ValueError, match='Known: "TB" and "LR"'):
        render(EMPTY, "text", direction="BT")  # type: ignore[arg-type]


def test_every_public_name_is_there_and_the_list_is_sorted() -> None:
    assert all(hasattr(visualize, name) for name in visualize.__all__)
    assert sorted(visualize.__all__, key=lambda name: (not name.isupper(), name)) == visualize.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        visualize.nothing  # noqa: B018


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, headrace.visualize; print(sorted(n for n in sys.modules if n.startswith('headrace')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['headrace', 'headrace.visualize']"


def test_drawing_loads_neither_tasks_nor_networkx() -> None:
    code = (
        "import sys; from headrace.visualize import *; [render(Drawing(title='t'), form) for form in FORMATS]; "
        "print({'headrace.tasks', 'headrace.flows', 'networkx', 'subprocess'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
