"""The functions that a task's code reaches: those of the user's own that it calls, and those that these call.

What is told by the code alone counts: global names and attributes of modules and of ``self``, functions in variables of
enclosing functions, and classes, all of them in modules of the same package or beside the task's file. What is
installed, what Python comes with, and what is only found while the task runs, such as a function in a dictionary, does
not.
"""

from __future__ import annotations

import sys
from collections import deque
from functools import lru_cache, partial
from inspect import getattr_static
from os.path import abspath, dirname, sep
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["reached_from"]

_MOST: Final = 1000
"""How many functions and classes are followed; what lies beyond these, the farthest, does not count."""

_INSTALLED: Final = (f"{sep}site-packages{sep}", f"{sep}dist-packages{sep}")


class _Home(NamedTuple):
    """Where what counts as one's own is: a package or module by its first name, and the folder of a file."""

    package: str
    folder: str


def reached_from(function: FunctionType, owner: type | None = None) -> list[FunctionType | type]:
    """Return the user's own functions and classes that ``function`` reaches, without itself, the nearest first.

    ``owner`` is the class whose method it is. The order depends on the source alone.
    """
    home = _home_of(function)
    found: dict[int, FunctionType | type] = {}
    pending: deque[tuple[FunctionType, type | None]] = deque([(function, owner)])
    while pending and len(found) < _MOST:
        current, cls = pending.popleft()
        for each in _referred_to(current, cls):
            if each is function or id(each) in found or not _is_own(each, home):
                continue
            found[id(each)] = each
            pending += _to_follow(each, cls)
    return list(found.values())[:_MOST]


def _to_follow(found: FunctionType | type, owner: type | None) -> Iterator[tuple[FunctionType, type | None]]:
    if isinstance(found, FunctionType):
        # A method found by its name refers to others of the same class; for other functions, that does no harm.
        yield found, owner
        return
    for value in vars(found).values():
        for function in _functions_of(value):
            if isinstance(function, FunctionType):
                yield function, found


def _referred_to(function: FunctionType, owner: type | None) -> Iterator[FunctionType | type]:
    names = _names(function.__code__)
    for value in _values(function, names):
        yield from _functions_of(value)
    if owner is not None:
        for name in names:
            yield from _functions_of(getattr_static(owner, name, None))
    for cell in function.__closure__ or ():
        try:
            yield from _functions_of(cell.cell_contents)
        except ValueError:  # the variable has no value yet
            continue


def _values(function: FunctionType, names: Sequence[str]) -> Iterator[object]:
    """Yield the global variables that ``function`` reads, and what it reads from those that are modules."""
    modules: dict[int, ModuleType] = {}
    pending = [function.__globals__]
    while pending:
        variables = pending.pop()
        for name in names:
            value = variables.get(name)
            if type(value) is not ModuleType:
                yield value
            elif id(value) not in modules:
                modules[id(value)] = value
                pending.append(vars(value))


@lru_cache(maxsize=4096)
def _names(code: CodeType) -> tuple[str, ...]:
    """Return the names of globals and of attributes in a function and in those that it defines, in order."""
    names = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(dict.fromkeys(_names(constant)))
    return tuple(names)


def _functions_of(value: Any) -> Iterator[FunctionType | type]:
    """Yield what code stands behind ``value``, if it is one of the things that can be called or read as one.

    Its type is looked at and not its class, since a stand-in for another object may raise when it is asked.
    """
    kind = type(value)
    if kind is FunctionType or issubclass(kind, type):
        yield value
    elif kind in {staticmethod, classmethod, MethodType}:
        yield from _functions_of(value.__func__)
    elif kind is partial:
        yield from _functions_of(value.func)
    elif kind is property:
        yield from _functions_of(value.fget)
        yield from _functions_of(value.fset)
    elif hasattr(kind, "signature_of_run"):
        # A task, whose `run` one's own code may call as well.
        yield from _functions_of(vars(value).get("run"))
    elif type(wrapped := getattr_static(value, "__wrapped__", None)) is FunctionType:
        yield wrapped


def _home_of(function: FunctionType) -> _Home:
    module = str(function.__module__)
    file = _file_of(module) or abspath(function.__code__.co_filename)  # noqa: PTH100 - links are not followed
    beside = "." not in module and not _is_installed(file)
    return _Home(module.partition(".")[0], dirname(file) + sep if beside else "")  # noqa: PTH120 - it may be no path


def _is_own(value: FunctionType | type, home: _Home) -> bool:
    module = str(value.__module__)
    package = module.partition(".")[0]
    if package == home.package:
        return True
    if not home.folder or package in sys.stdlib_module_names or package == "headrace":
        return False
    file = _file_of(module)
    return file.startswith(home.folder) and not _is_installed(file)


def _file_of(module: str) -> str:
    file = getattr(sys.modules.get(module), "__file__", None)
    return abspath(file) if file else ""  # noqa: PTH100 - as above


def _is_installed(file: str) -> bool:
    return any(folder in file for folder in _INSTALLED)
