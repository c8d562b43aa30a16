"""Objects that stand before others and are told of every call; made for whatever an interface has."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NO_STEPS", "standing_before"]

NO_STEPS: Final = frozenset({"logged", "bound_logs", "cancel_request", "limited_tags", "take_slots"})
"""Methods of a journal that may be called in any thread, at moments that no seed repeats."""


def standing_before(interface: type, inner: object, around: Callable[[str, Callable[[], Any]], Any]) -> Any:
    """Return an object that has all methods of ``interface`` from ``inner``.

    ``around`` gets the name of the method that was called and what calls it, and returns what comes of it.
    """
    return _class(interface)(inner, around)


@lru_cache
def _class(interface: type) -> Any:
    def initialize(self: Any, inner: object, around: Callable[[str, Callable[[], Any]], Any]) -> None:
        self._inner = inner
        self._around = around

    methods = {name: _forwarding(name) for name in interface.__abstractmethods__}  # type: ignore[attr-defined]
    return type(f"Before{interface.__name__}", (interface,), {"__init__": initialize, **methods})


def _forwarding(name: str) -> Callable[..., Any]:
    def forward(self: Any, *arguments: Any, **options: Any) -> Any:
        method = getattr(self._inner, name)
        if name in NO_STEPS:
            return method(*arguments, **options)
        return self._around(name, lambda: method(*arguments, **options))

    return forward
