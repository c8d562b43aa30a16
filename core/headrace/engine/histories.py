"""The history that a run is recorded in, or that a command looks at, made of what people write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.abc import RunStore
from headrace.exceptions import DefinitionTypeError

if TYPE_CHECKING:
    from headrace.engine import Engine

__all__ = ["open_history"]


def open_history(wanted: bool | str | RunStore, engine: Engine) -> RunStore:
    """Return the configured history for True, the one at a URL, or ``wanted`` itself."""
    if isinstance(wanted, RunStore):
        return wanted
    if not isinstance(wanted, bool | str):
        raise DefinitionTypeError(f"`record` of a run must be True, a URL or a RunStore, and is {wanted!r}.")
    url: str = engine.config["history"]["store"] if isinstance(wanted, bool) else wanted
    found: RunStore = engine.registry.create_from_url("history", url)
    return found
