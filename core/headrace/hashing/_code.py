"""Functions and classes: by their source, exactly as it is written."""

from __future__ import annotations

import ast
import inspect
import sys
from functools import lru_cache
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from headrace.hashing._encoding import Node, Raw, Refusal, framed, leaf, reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FunctionType

__all__ = ["describe_class", "describe_function"]

_NO_SOURCE: Final = "whose source cannot be found"
_HINT: Final = "Define it in a file, or in a notebook."
_EMPTY: Final = Raw(b"?")

_Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def describe_function(value: FunctionType) -> bytes | Node:
    """Describe a function by its source, its default values and what it keeps of the functions around it."""
    if _in_standard_library(value.__module__):
        return leaf(b"function", reference(value))
    names = value.__code__.co_freevars
    cells = [_content(cell) for cell in value.__closure__ or ()]
    steps = (".__defaults__", ".__kwdefaults__", *(f".<{name}>" for name in names))
    source = _source(value.__code__, value.__code__.co_filename)
    head = framed(source.encode("utf-8", "surrogatepass")) + "".join(f"{name}," for name in names).encode()
    return Node(b"function", (value.__defaults__, value.__kwdefaults__, *cells), lambda i: steps[i], head)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return _EMPTY


def describe_class(value: type) -> bytes:
    """Describe a class by its name, the names of its bases and, if there is one, its source."""
    named = reference(value) + b"".join(reference(base) for base in value.__bases__)
    if _in_standard_library(value.__module__):
        return leaf(b"class", named)
    try:
        source = dedent(inspect.getsource(value))
    except (OSError, TypeError):  # written in C, or made by a call: its name is all there is
        source = ""
    return leaf(b"class", named, source.encode("utf-8", "surrogatepass"))


def _in_standard_library(module: str | None) -> bool:
    # Its source changes from one Python to the next.
    return module is not None and module.partition(".")[0] in sys.stdlib_module_names


@lru_cache(maxsize=256)
def _source(code: CodeType, file: str) -> str:
    """Return the text of one definition. ``file`` tells apart code that is equal and stands in different files."""
    del file
    try:
        lines, _ = inspect.findsource(code)
        tree = ast.parse("".join(lines))
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise Refusal(_NO_SOURCE, _HINT) from error
    found = _best([node for node in ast.walk(tree) if _begins_like(node, code)], code)
    if found is None:
        raise Refusal(_NO_SOURCE, _HINT)
    return _segment(lines, found)


def _begins_like(node: ast.AST, code: CodeType) -> bool:
    if isinstance(node, ast.Lambda):
        return code.co_name == "<lambda>" and node.lineno == code.co_firstlineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name == code.co_name and _first_line(node) == code.co_firstlineno
    return False


def _first_line(node: _Definition) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _best(candidates: list[Any], code: CodeType) -> Any:
    """Return the definition that ``code`` was made from; several lambdas may begin on one line."""
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    places = set(_places(code))
    fitting = [node for node in candidates if places and all(_covers(node.body, place) for place in places)]
    return max(fitting, key=lambda node: node.col_offset, default=None)  # the innermost one begins last


def _places(code: CodeType) -> Iterator[tuple[int, int, int, int]]:
    for first, last, begin, end in code.co_positions():
        if first is not None and last is not None and begin is not None and end is not None and begin != end:
            yield first, begin, last, end


def _covers(node: Any, place: tuple[int, int, int, int]) -> bool:
    if isinstance(node, list):  # the body of a `def`; two of one name cannot begin on one line
        return True
    begin, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
    return begin <= place[:2] and place[2:] <= end


def _segment(lines: list[str], node: Any) -> str:
    text = "".join(lines[_first_line(node) - 1 : node.end_lineno])
    if not isinstance(node, ast.Lambda):
        return dedent(text)
    # Columns count bytes.
    data = text.encode("utf-8", "surrogatepass")
    after = len(lines[(node.end_lineno or 0) - 1].encode("utf-8", "surrogatepass")) - (node.end_col_offset or 0)
    return data[node.col_offset : len(data) - after].decode("utf-8", "surrogatepass")
