"""The tasks behind the operators."""

from __future__ import annotations

from functools import reduce
from typing import Any

from headrace.parameters import NO_DEFAULT
from headrace.tasks import Task

__all__ = [
    "Add",
    "And",
    "Div",
    "Equal",
    "FloorDiv",
    "GetAttr",
    "GetItem",
    "GreaterThan",
    "GreaterThanOrEqual",
    "LessThan",
    "LessThanOrEqual",
    "Mod",
    "Mul",
    "Not",
    "NotEqual",
    "Or",
    "Pow",
    "Sub",
]


class Add(Task):
    """``x + y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x + y


class Sub(Task):
    """``x - y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x - y


class Mul(Task):
    """``x * y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x * y


class Div(Task):
    """``x / y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x / y


class FloorDiv(Task):
    """``x // y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x // y


class Pow(Task):
    """``x ** y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x**y


class Mod(Task):
    """``x % y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x % y


class And(Task):
    """``x and y``: one of the two, as in Python."""

    def run(self, x: Any, y: Any) -> Any:
        return x and y


class Or(Task):
    """``x or y``: one of the two, as in Python."""

    def run(self, x: Any, y: Any) -> Any:
        return x or y


class Not(Task):
    """``not x``."""

    def run(self, x: Any) -> bool:
        return not x


class Equal(Task):
    """``x == y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x == y


class NotEqual(Task):
    """``x != y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x != y


class GreaterThan(Task):
    """``x > y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x > y


class GreaterThanOrEqual(Task):
    """``x >= y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x >= y


class LessThan(Task):
    """``x < y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x < y


class LessThanOrEqual(Task):
    """``x <= y``."""

    def run(self, x: Any, y: Any) -> Any:
        return x <= y


class GetItem(Task):
    """``task_result[key]``; ``default`` stands in for a KeyError only."""

    def __init__(self, default: Any = NO_DEFAULT, **task_args: Any) -> None:
        self.default = default
        super().__init__(**task_args)

    def run(self, task_result: Any, key: Any, default: Any = NO_DEFAULT) -> Any:
        default = self.default if default is NO_DEFAULT else default
        try:
            return task_result[key]
        except KeyError:
            if default is NO_DEFAULT:
                raise
            return default


class GetAttr(Task):
    """``task_result.attribute.path``; ``default`` stands in for an AttributeError only."""

    def __init__(self, default: Any = NO_DEFAULT, **task_args: Any) -> None:
        self.default = default
        super().__init__(**task_args)

    def run(self, task_result: Any, path: str, default: Any = NO_DEFAULT) -> Any:
        default = self.default if default is NO_DEFAULT else default
        try:
            return reduce(getattr, path.split("."), task_result)
        except AttributeError:
            if default is NO_DEFAULT:
                raise
            return default
