"""What headrace finds through the entry points ``postgres`` and ``postgresql``."""

from __future__ import annotations

from headrace.plugins import RunStoreSpec, hookimpl

__all__ = ["headrace_run_stores"]


@hookimpl
def headrace_run_stores() -> list[RunStoreSpec]:
    """Offer the store, by both of the schemes that its URLs have."""
    return [
        RunStoreSpec(
            name=scheme,
            factory="headrace_postgres.store:PostgresRunStore",
            summary="The history of runs in a PostgreSQL database, for a team.",
        )
        for scheme in ("postgres", "postgresql")
    ]
