"""What every history of runs has to do, as tests to inherit."""

from __future__ import annotations

import pytest

_MODULES = (
    "_base",
    "_ends",
    "_journals",
    "_keeping",
    "_logs",
    "_owners",
    "_queries",
    "_resuming",
    "_sharing",
    "_summaries",
)
# What an assertion compares is shown as in a test of one's own.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _MODULES))

from headrace.testing.history._ends import Ends  # noqa: E402 - after the registration above
from headrace.testing.history._journals import Journals  # noqa: E402
from headrace.testing.history._keeping import Keeping  # noqa: E402
from headrace.testing.history._logs import Logs  # noqa: E402
from headrace.testing.history._owners import Owners  # noqa: E402
from headrace.testing.history._queries import Queries  # noqa: E402
from headrace.testing.history._resuming import Resuming  # noqa: E402
from headrace.testing.history._sharing import Sharing  # noqa: E402
from headrace.testing.history._summaries import Summaries  # noqa: E402

__all__ = ["RunStoreConformance"]


class RunStoreConformance(Journals, Logs, Ends, Queries, Owners, Resuming, Keeping, Sharing, Summaries):
    """Tests of a history, for pytest: inherit them in a class whose name begins with ``Test``.

    Write ``url(self, place)``, which returns the URL of the history that belongs to a folder: the same folder, the same
    history. Some tests begin runs in processes of their own and kill those.

    Attributes:
        store_class: the class of the store, which other processes can import.
        seconds: how long one process may take to begin a run.
        task_count: how many task runs the largest run has.
    """
