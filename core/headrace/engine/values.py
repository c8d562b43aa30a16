"""Which results stay in memory after the last task that reads them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from headrace.exceptions import ConfigError, ResultReleasedError
from headrace.locations import Location
from headrace.states import ReleasedValue

if TYPE_CHECKING:
    from headrace.results import ResultKeeper
    from headrace.states import State

__all__ = ["KeepResults", "ValueKeeper", "approximate_size"]

KeepResults: TypeAlias = Literal["auto", "all", "none"]

_TINY = frozenset({type(None), bool, int, float, complex})
_CONTAINERS = (list, tuple, set, frozenset, dict)


class ValueKeeper:
    """Releases results that nobody will read any more, so that memory does not grow with finished work.

    ``"auto"`` keeps results of up to ``value_limit`` bytes, for looking at afterwards, until they add up to
    ``total_limit`` bytes; ``"all"`` keeps everything and ``"none"`` nothing but the results that no task reads.
    A released result that a store has is read back when somebody asks for it.
    """

    __slots__ = ("_keeper", "_left", "_policy", "_value_limit")

    def __init__(
        self, policy: KeepResults, value_limit: int, total_limit: int, keeper: ResultKeeper | None = None
    ) -> None:
        if policy not in {"auto", "all", "none"}:
            raise ConfigError(f"`keep_results` must be 'auto', 'all' or 'none', and is {policy!r}.")
        self._policy = policy
        self._value_limit = value_limit
        self._left = total_limit
        self._keeper = keeper

    def release(self, state: State) -> None:
        """Drop the result of ``state`` unless it may stay."""
        value = state._result
        if value.__class__ in _TINY or self._policy == "all" or value.__class__ is ReleasedValue:
            return
        if isinstance(value, BaseException):
            return
        if self._policy == "auto":
            size = approximate_size(value, self._value_limit)
            if size <= self._value_limit and size <= self._left:
                self._left -= size
                return
        state._result = ReleasedValue(self._loader(state.location))

    def _loader(self, location: str | None) -> Any:
        if isinstance(location, Location):
            return location.load
        keeper = self._keeper
        if location is None or keeper is None:
            return _gone
        return lambda: keeper.load(location)


def _gone() -> NoReturn:
    raise ResultReleasedError


def approximate_size(value: object, limit: int) -> int:
    """Return about how many bytes ``value`` takes; once that is over ``limit`` the exact number does not matter.

    Looks into lists, tuples, sets and dicts, and asks anything else for ``nbytes`` or its own size.
    """
    total = 0
    stack = [value]
    while stack and total <= limit:
        item = stack.pop()
        total += _own_size(item)
        if total <= limit and isinstance(item, _CONTAINERS):
            stack.extend(item)
            if isinstance(item, dict):
                stack.extend(item.values())
    return total


def _own_size(item: object) -> int:
    try:
        size = getattr(item, "nbytes", None)
        return size if isinstance(size, int) else sys.getsizeof(item)
    except Exception:  # noqa: BLE001 - a foreign attribute may raise anything; what has no size counts as large
        return sys.maxsize
