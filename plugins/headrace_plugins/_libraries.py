"""Libraries that a plugin needs only when it is used."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.exceptions import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["library"]


@contextmanager
def library(needed_by: str, module: str, extra: str) -> Iterator[None]:
    """Turn the failed import of ``module`` inside the block into an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise MissingDependencyError(needed_by, module, extra) from error
