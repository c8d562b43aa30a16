"""Pickles that can be read where the flow file is not: what such a file defines is pickled by value."""

from __future__ import annotations

import pickle
import sys
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING, Final

from headrace.module_names import MODULE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["by_value", "dump", "has_flow_files"]

# The list that cloudpickle keeps of such modules is one for the whole process.
_lock: Final = RLock()


def dump(value: object) -> bytes:
    """Return ``value`` as a pickle; raises whatever a foreign ``__reduce__`` does."""
    import cloudpickle  # noqa: PLC0415 - it takes longer to import than most values to pickle

    with by_value():
        data: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return data


@contextmanager
def by_value() -> Iterator[None]:
    """Let cloudpickle pickle by value, inside the block, what modules made from flow files define.

    No other process can import these. What a script or notebook itself defines is pickled by value anyway, and what
    it imports by name.
    """
    modules = _flow_files()
    if not modules:
        yield
        return
    with _lock, _registered(modules):
        yield


def has_flow_files() -> bool:
    """Tell whether there is any module that `by_value` is about."""
    return bool(_flow_files())


def _flow_files() -> list[ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.startswith(MODULE_PREFIX)]


@contextmanager
def _registered(modules: list[ModuleType]) -> Iterator[None]:
    import cloudpickle  # noqa: PLC0415 - see `dump`

    known = cloudpickle.list_registry_pickle_by_value()
    ours = [module for module in modules if module.__name__ not in known]
    for module in ours:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in ours:
            cloudpickle.unregister_pickle_by_value(module)
