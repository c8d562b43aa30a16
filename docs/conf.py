"""How the documentation site is built: ``tox -e docs``."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click
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
    "sphinx_click",
]
exclude_patterns = ["_build", "examples/data"]

html_theme = "furo"
html_title = f"headrace {release}"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# A name in single backticks in a docstring links to what it names, where that is documented.
default_role = "py:obj"
autodoc_default_options = {"members": True, "member-order": "bysource", "show-inheritance": True}
# What a class inherits is described there; above all what the standard library says of its own methods.
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def keep_trees(_app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Turn a tree drawn in a docstring into a literal block, so that it keeps its lines."""
    drawn = [index for index, line in enumerate(lines) if line.lstrip().startswith(("├", "└", "│"))]
    if drawn:
        root, last = drawn[0] - 1, drawn[-1]
        lines[root : last + 1] = ["::", "", *(f"    {line}" for line in lines[root : last + 1]), ""]


def name_no_factories(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Write the default of a dataclass field as dots where it is made anew, so that the signature can be parsed."""
    return signature and signature.replace("<factory>", "..."), returns


def keep_code(_app: Sphinx, _context: click.Context, lines: list[str]) -> None:
    """Make code of what help texts have in backticks, where no names of Python are, and of their examples."""
    found: list[str] = []
    for line in lines:
        is_example = line.startswith("| ")
        if is_example and (not found or not found[-1].startswith("    ")):
            found += ["::", ""]
        found.append(f"    {line[2:]}" if is_example else re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line))
    lines[:] = found


def setup(app: Sphinx) -> None:
    """Connect this file's own steps."""
    app.connect("autodoc-process-docstring", keep_trees)
    app.connect("autodoc-process-signature", name_no_factories)
    app.connect("sphinx-click-process-description", keep_code)
    app.connect("sphinx-click-process-options", keep_code)
