"""What the constructor of a dataclass was given."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

__all__ = ["fields_of"]


def fields_of(instance: Any) -> dict[str, Any]:
    """Return what the constructor of a dataclass took, by name; what ``__post_init__`` adds is made anew with it."""
    names = [field.name for field in fields(instance) if field.init]
    return {name: getattr(instance, name) for name in names if hasattr(instance, name)}
