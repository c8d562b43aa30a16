"""The history of runs in one SQLite file: ``sqlite:`` for the project's, or ``sqlite:path/to/runs.db``.

The file is the history; beside it, in a folder with the suffix ``.live``, each run that goes on has a journal.
``places`` says where these are, ``modes`` how SQLite keeps its promises on this machine, ``schema`` what the tables are
and how older ones become these; ``database`` opens the file, ``writing``, ``reading``, ``sweeping`` and ``mending`` use
it, with the SQL in ``statements``, and ``store`` is what the core sees.
"""

from __future__ import annotations

from headrace.plugins import RunStoreSpec, hookimpl

__all__ = ["headrace_run_stores"]


@hookimpl
def headrace_run_stores() -> list[RunStoreSpec]:
    """Offer the store."""
    return [
        RunStoreSpec(
            name="sqlite",
            factory="headrace_plugins.sqlite.store:SQLiteRunStore",
            summary="The history of runs in an SQLite file of this machine.",
        )
    ]
