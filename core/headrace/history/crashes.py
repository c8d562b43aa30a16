"""What is said of runs whose owners died or gave up, and of what ran in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.history.owners import has_restarted

if TYPE_CHECKING:
    from headrace.history.journal_files import JournalFile
    from headrace.history.records import Cause, Owner

__all__ = ["ABOUT_RUNS", "ABOUT_TASK_RUNS", "about_run", "cause_of"]

ABOUT_RUNS: Final[dict[Cause, str]] = {
    "abandoned": "It was recorded no further.",
    "interrupted": "",
    "died": "Its process died without a word: it was killed, or ended itself.",
    "restarted": "Its machine was restarted or lost power.",
    "unknown": "Its process is gone, and so is its journal: what it did last is not known.",
}
"""The message of a run, by what became of its owner; one that was interrupted says more itself."""

ABOUT_TASK_RUNS: Final = "Was running when the process that drove the run died, or gave up."
"""The message of its task runs that were running."""


def cause_of(file: JournalFile, here: Owner) -> Cause:
    """Tell what became of the owner of a journal, as one process, ``here``, finds it."""
    if file.interrupted:
        return "interrupted"
    if file.given_up:
        return "abandoned"
    return "restarted" if has_restarted(file.owner, here) else "died"


def about_run(file: JournalFile, cause: Cause, damage: str) -> str:
    """Return the message of the run that a journal is of; ``damage`` is what is to be said about the journal."""
    return " ".join(filter(None, (ABOUT_RUNS[cause], file.given_up, damage)))
