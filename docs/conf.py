"""How the documentation site is built: ``tox -e docs``."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "headrace"
author = "The headrace authors"
project_copyright = "The headrace authors"
release = metadata.version("headrace")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "examples/data"]

html_theme = "furo"
html_title = f"headrace {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# A name in single backticks in a docstring links to what it names, where that is documented.
default_role = "py:obj"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def keep_trees(_app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Turn a tree drawn in a docstring into a literal block, so that it keeps its lines."""
    drawn = [index for index, line in enumerate(lines) if line.lstrip().startswith(("├", "└", "│"))]
    if drawn:
        root, last = drawn[0] - 1, drawn[-1]
        lines[root : last + 1] = ["::", "", *(f"    {line}" for line in lines[root : last + 1]), ""]


def setup(app: Sphinx) -> None:
    """Connect this file's own step."""
    app.connect("autodoc-process-docstring", keep_trees)
