"""Which results stay in memory after the last task that reads them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias

from headrace.exceptions import ConfigError, ResultReleasedError, describe
from headrace.locations import Location
from headrace.references import ReleasedValue, ResultReference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.results import ResultKeeper
    from headrace.states import State

__all__ = ["KeepResults", "ValueKeeper", "approximate_size"]

KeepResults: TypeAlias = Literal["auto", "all", "none"]

_TINY = frozenset({type(None), bool, int, float, complex})
_CONTAINERS = (list, tuple, set, frozenset, dict)
# About as many bytes as twenty small objects; what is less is measured as fast as it is looked up.
_WORTH_REMEMBERING: Final = 1000
_NOTHING: Final[Mapping[int, object]] = {}


class ValueKeeper:
    """Releases results that nobody will read any more, so that memory does not grow with finished work.

    ``"auto"`` keeps results of up to ``value_limit`` bytes, for looking at afterwards, until they add up to
    ``total_limit`` bytes; ``"all"`` keeps everything and ``"none"`` nothing but the results that no task reads.
    A released result that a store has is read back when somebody asks for it.
    """

    __slots__ = ("_counted", "_keeper", "_left", "_policy", "_value_limit")

    def __init__(
        self, policy: KeepResults, value_limit: int, total_limit: int, keeper: ResultKeeper | None = None
    ) -> None:
        if policy not in {"auto", "all", "none"}:
            raise ConfigError(f"`keep_results` must be 'auto', 'all' or 'none', and is {policy!r}.")
        self._policy = policy
        self._value_limit = value_limit
        self._left = total_limit
        self._keeper = keeper
        # Containers that stay, by id: a result that holds another costs no more than what it adds to it, and is
        # measured without looking into that again.
        self._counted: dict[int, object] = {}

    def release(self, state: State) -> None:
        """Drop the result of ``state`` unless it may stay."""
        value = state._result
        if value.__class__ in _TINY or self._policy == "all" or value.__class__ is ReleasedValue:
            return
        if isinstance(value, BaseException):
            return
        if self._policy == "auto":
            size = value.size if isinstance(value, ResultReference) else self._size(value)
            if size <= self._value_limit and size <= self._left:
                self._left -= size
                if size > _WORTH_REMEMBERING and isinstance(value, _CONTAINERS):
                    self._counted[id(value)] = value
                return
        state._result = ReleasedValue(self._loader(state.location))

    def _size(self, value: object) -> int:
        return approximate_size(value, self._value_limit, self._counted)

    def bring_home(self, states: Iterable[State]) -> None:
        """Fetch the results that are elsewhere and can only be had as long as the executor works.

        Under ``"all"`` that is every one of them, else those that are small enough to be kept; the others are fetched
        when somebody asks for them, or say where they were.
        """
        wanted: list[tuple[State, ResultReference]] = []
        for state in states:
            value = state._result
            if not isinstance(value, ResultReference):
                continue
            if self._policy == "all" or (value.size <= self._value_limit and value.size <= self._left):
                self._left -= value.size
                wanted.append((state, value))
            elif not value.outlives_run:
                state._result = ReleasedValue(self._loader(state.location, _left_behind))
        for kind in {type(value) for _, value in wanted}:
            kind.prefetch([value for _, value in wanted if type(value) is kind])
        while wanted:
            state, value = wanted.pop()
            state._result = _fetched(value)

    def _loader(self, location: str | None, gone: Callable[[], NoReturn] | None = None) -> Any:
        if isinstance(location, Location):
            return location.load
        keeper = self._keeper
        if location is None or keeper is None:
            return gone or _gone
        return lambda: keeper.load(location)


def _gone() -> NoReturn:
    raise ResultReleasedError


def _left_behind() -> NoReturn:
    raise ResultReleasedError(
        "This result stayed where it was made, and the workers that had it are gone.",
        hint='Keep results in a store: `results="file:..."`, or run with `keep_results="all"` to fetch every one.',
    )


def _fetched(reference: ResultReference) -> object:
    try:
        return reference.load()
    except Exception as error:  # noqa: BLE001 - the cluster is a plugin's; a result that is lost does not undo a run
        lost = error

    def fail() -> NoReturn:
        raise ResultReleasedError(
            f"This result could not be fetched at the end of the run: {describe(lost)}."
        ) from lost

    return ReleasedValue(fail)


def approximate_size(value: object, limit: int, counted: Mapping[int, object] = _NOTHING) -> int:
    """Return about how many bytes ``value`` takes; once that is over ``limit`` the exact number does not matter.

    Looks into lists, tuples, sets and dicts, and asks anything else for ``nbytes`` or its own size. ``counted`` are
    containers, by id, that are known and count for nothing.
    """
    total = 0
    stack = [value]
    while stack and total <= limit:
        item = stack.pop()
        if id(item) in counted:
            continue
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
