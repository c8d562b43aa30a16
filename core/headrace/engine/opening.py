"""Stores and serializers, made of the names that people write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.abc import ResultStore, Serializer
from headrace.exceptions import DefinitionTypeError, ResultError
from headrace.results import Result
from headrace.run_context import current_frame, run_around
from headrace.serializers import make_serializer

if TYPE_CHECKING:
    from headrace.hooks.registry import Registry

__all__ = ["Opener", "open_result"]


class Opener:
    """Makes each store and each serializer once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._stores: dict[str, ResultStore] = {}
        self._serializers: dict[str, Serializer] = {}

    def store(self, where: str | ResultStore | Result | None) -> ResultStore | None:
        """Return the store that ``where`` stands for, or None if it says nothing of one."""
        if isinstance(where, Result):
            where = where.store
        if where is None or isinstance(where, ResultStore):
            return where
        if not isinstance(where, str):
            raise DefinitionTypeError(f"A result store is a URL, a store or a Result, and got {where!r}.")
        if where not in self._stores:
            self._stores[where] = self._registry.create_from_url("store", where)
        return self._stores[where]

    def serializer(self, chosen: str | Serializer) -> Serializer:
        """Return the serializer that ``chosen`` names or is."""
        if isinstance(chosen, Serializer):
            return chosen
        if chosen not in self._serializers:
            self._serializers[chosen] = make_serializer(chosen, self._make_serializer)
        return self._serializers[chosen]

    def _make_serializer(self, name: str) -> Serializer:
        found: Serializer = self._registry.create("serializer", name)
        return found


def open_result(result: Result) -> tuple[ResultStore, Serializer]:
    """Return the store and the serializer that ``result`` names; in a task, the plugins are those of its run.

    Raises ResultError if neither the result nor the configuration names a store.
    """
    run = run_around(current_frame.get())
    engine = run.engine if run is not None else None
    if engine is None:
        from headrace.engine import Engine  # noqa: PLC0415 - brings pluggy

        engine = Engine()
    settings = engine.config["results"]
    opener = Opener(engine.registry)
    store = opener.store(result.store or settings["store"] or None)
    if store is None:
        raise ResultError(
            f"This {type(result).__name__} has no store to read from or to write to.",
            hint='Name one: `Result(store="file:results")`, or `store` under [results] of the configuration.',
        )
    return store, opener.serializer(result.serializer or settings["serializer"])
