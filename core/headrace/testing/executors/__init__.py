"""What every executor has to do, as tests to inherit."""

from __future__ import annotations

import pytest

_MODULES = (
    *("_base", "_cancelling", "_chains", "_code", "_contract", "_crashes", "_errors", "_journey"),
    *("_leftovers", "_order", "_references", "_timeouts", "_values"),
)
# What an assertion compares is shown as in a test of one's own.
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _MODULES))

from headrace.testing.executors._cancelling import Cancelling  # noqa: E402 - after the registration above
from headrace.testing.executors._chains import Chains  # noqa: E402
from headrace.testing.executors._code import Code  # noqa: E402
from headrace.testing.executors._contract import Contract  # noqa: E402
from headrace.testing.executors._crashes import Crashes  # noqa: E402
from headrace.testing.executors._errors import Errors  # noqa: E402
from headrace.testing.executors._journey import Journey  # noqa: E402
from headrace.testing.executors._leftovers import Leftovers  # noqa: E402
from headrace.testing.executors._order import Order  # noqa: E402
from headrace.testing.executors._references import References  # noqa: E402
from headrace.testing.executors._timeouts import Timeouts  # noqa: E402
from headrace.testing.executors._values import Values  # noqa: E402

__all__ = ["ExecutorConformance"]


class ExecutorConformance(
    Contract, Order, Chains, Values, Errors, Code, Journey, References, Cancelling, Timeouts, Crashes, Leftovers
):
    """Tests of an executor, for pytest: inherit them in a class whose name begins with ``Test``.

    Write ``make_executor(self)``, which returns a new executor, not started. Tests of what the executor does not
    declare as a `Capability` are skipped, and say so. Every test is bounded in time: an executor that loses work fails
    instead of hanging.

    Attributes:
        seconds: how long one run may take.
        kill_seconds: how long it may take to end work that is killed.
        mapped_children: how many children the largest map has.
        big_value_bytes: how many bytes the largest value takes.
        crashes_alone: False for an executor whose processes die together, as those of a `concurrent.futures` pool do.
    """
