"""What an entry of the cache is for: the code of its task, and what its validator compares."""

from __future__ import annotations

from datetime import date, timedelta
from dis import get_instructions
from enum import Enum
from functools import cache
from inspect import getsource
from textwrap import dedent
from types import CellType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from headrace.caching._reach import reached_from
from headrace.caching._validators import Validator
from headrace.exceptions import UnhashableArgumentError
from headrace.hashing import digest, digest_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.tasks import Task

__all__ = ["CALLS", "code_of", "compared", "validator_name"]

CALLS: Final = "what it calls"
"""Beside ``run``, which may be the name of no attribute either."""


# What a task has as an attribute only where it was said, and that does not change what it returns.
_OPTIONS: Final = frozenset({"_signature_of_run", "map_strict", "max_in_flight", "resources", "resume", "storage"})


def code_of(task: Task, known: dict[object, dict[str, str]] | None = None) -> dict[str, str]:
    """Return hashes of the function behind ``task`` and, for a class, of the attributes that its constructor set.

    Functions and classes of the user's own that the function calls, see `headrace.caching._reach`, have a hash beside
    it. ``known`` remembers what was worked out for the tasks before, where there are many. Raise
    UnhashableArgumentError naming an attribute that cannot be hashed.
    """
    from headrace.tasks import FunctionTask  # noqa: PLC0415 - whoever imports tasks need not import the cache

    if isinstance(task, FunctionTask):
        return _run_code(task.run, None, known)
    own = vars(task).keys() - _options()
    attributes = {name: _attribute(task, name) for name in sorted(own)}
    return {**_run_code(type(task).run, type(task), known), **attributes}


@cache
def _options() -> frozenset[str]:
    """Return the attributes that any task has, or may have."""
    from headrace.tasks import Task  # noqa: PLC0415 - as above

    return _OPTIONS | vars(Task()).keys()


def _run_code(
    run: Callable[..., Any], owner: type | None, known: dict[object, dict[str, str]] | None
) -> dict[str, str]:
    if known is None:
        known = {}
    # By what it is, not what it equals; whoever remembers keeps the tasks, and these keep their functions.
    key = (id(run), owner)
    if key not in known:
        calls = _calls(run, owner) if isinstance(run, FunctionType) else None
        known[key] = {"run": _code(run)} if calls is None else {"run": _code(run), CALLS: calls}
    return known[key]


def _calls(run: FunctionType, owner: type | None) -> str | None:
    """Return a hash of what ``run`` calls, or None if that is nothing of the user's own."""
    found = [(each.__qualname__, _source(each)) for each in reached_from(run, owner)]
    return digest(sorted(found), "calls") if found else None


def _source(found: FunctionType | type) -> str:
    if isinstance(found, FunctionType):
        return _code(found)
    try:
        # Without the name of its module, which changes when a file is moved.
        return dedent(getsource(found))
    except (OSError, TypeError):  # made by a call
        return ""


def _code(function: Callable[..., Any]) -> str:
    try:
        return digest(_without_what_changes(function), "run")
    except UnhashableArgumentError:
        # Typed at a prompt, or written in C: its name is all there is.
        return digest((getattr(function, "__module__", None), getattr(function, "__qualname__", None)))


def _without_what_changes(value: Any, rebound: bool = False) -> Any:
    """Return what stands for a function, or for a variable of an enclosing function, in a hash.

    A function that counts its calls in a list outside is the same function at every call, so what can be changed, and
    variables that the function itself sets, count by type only.
    """
    if isinstance(value, FunctionType):
        code = value.__code__
        own = {one.argval for one in get_instructions(code) if one.opname == "STORE_DEREF"}
        cells = [_cell(cell, name in own) for name, cell in zip(code.co_freevars, value.__closure__ or (), strict=True)]
        twin = FunctionType(code, value.__globals__, value.__name__, value.__defaults__, tuple(cells))
        twin.__kwdefaults__, twin.__module__, twin.__qualname__ = (
            value.__kwdefaults__,
            value.__module__,
            value.__qualname__,
        )
        return twin
    if isinstance(value, tuple) and type(value) is tuple and not rebound:
        return tuple(map(_without_what_changes, value))
    fixed = value is None or isinstance(value, str | bytes | int | float | complex | type | date | timedelta | Enum)
    return value if fixed and not rebound else f"some {type(value).__qualname__}"


def _cell(cell: CellType, rebound: bool) -> CellType:
    try:
        content = cell.cell_contents
    except ValueError:  # the variable has no value yet
        return CellType()
    return CellType(_without_what_changes(content, rebound))


def _attribute(task: Task, name: str) -> str:
    try:
        return digest(vars(task)[name], name)
    except UnhashableArgumentError as error:
        raise UnhashableArgumentError(
            name,
            error.path,
            error.type_name,
            "and the cache tells tasks of one class apart by their attributes",
            hint=f"Give task {task.name!r} a `cache_key` of its own.",
        ) from error


def compared(
    validator: Callable[..., bool],
    code: Mapping[str, str],
    inputs: Mapping[str, Any],
    parameters: Mapping[str, Any],
    index: int | None,
) -> dict[str, Any]:
    """Return the fields of an entry that say what it is for: hashes of what is compared, and the key they make.

    A validator that is not one of `headrace.caching` may look at anything, so everything counts.
    """
    if isinstance(validator, Validator):
        hashed = validator.fingerprint(validator.inputs, inputs)
        of_parameters = validator.fingerprint(validator.parameters, parameters)
        index = index if validator.per_child else None
    else:
        hashed, of_parameters = digest_arguments(inputs), digest_arguments(parameters)
    facts = {"inputs": hashed, "parameters": of_parameters, "index": index}
    # Tasks that share a bucket and compare different things have entries of their own.
    return {**facts, "key": digest({**facts, "code": dict(code), "validator": validator_name(validator)})}


def validator_name(validator: Any) -> str:
    """Return what reports call a validator."""
    return repr(validator) if isinstance(validator, Validator) else getattr(validator, "__qualname__", "custom")
