"""The history of headrace runs in PostgreSQL; `PostgresRunStore` is what ``postgresql://...`` makes.

The database is the history; on the machine of each run that goes on lies its journal. ``addresses`` reads URLs,
``server`` and ``errors`` connect and say what is wrong, ``schema`` has the tables, ``presence`` lets the server know
which runs have an owner that lives, and ``recorder`` moves journals to the server. ``writing``, ``reading``,
``sweeping`` and ``mending`` use a connection, with the SQL in ``statements``, and ``store`` is what the core sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace_postgres.store import PostgresRunStore

__all__ = ["PostgresRunStore"]


def __getattr__(name: str) -> Any:
    # Finding the plugin costs nobody the import of a driver.
    if name == "PostgresRunStore":
        from headrace_postgres.store import PostgresRunStore

        return PostgresRunStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
