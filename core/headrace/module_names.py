"""What modules that are made from flow files are called."""

from __future__ import annotations

from typing import Final

__all__ = ["MODULE_PREFIX"]

MODULE_PREFIX: Final = "flow_file_"
"""What the names of modules that were made from flow files begin with."""
