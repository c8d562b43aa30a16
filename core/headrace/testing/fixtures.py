"""Fixtures for pytest, for a ``conftest.py`` that says ``pytest_plugins = ["headrace.testing.fixtures"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.engine import Engine
from headrace.testing.clocks import VirtualClock
from headrace.testing.observers import RecordingObserver

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_engine", "recording_observer", "virtual_clock"]


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """Return a clock that stands at 1 January 2026, UTC, and moves as the test or the run lets it."""
    return VirtualClock()


@pytest.fixture
def recording_observer() -> RecordingObserver:
    """Return the observer that the engines of this test report to."""
    return RecordingObserver()


@pytest.fixture
def make_engine(recording_observer: RecordingObserver) -> Callable[..., Engine]:
    """Return a function that makes an engine with plugin objects or modules of the test.

    Besides these the engine has the plugins that come with headrace, and none that others installed. An observer that
    is broken raises. Keywords are those of `Engine`.
    """

    def make(*plugins: object, **options: Any) -> Engine:
        return Engine(**{"plugins": [recording_observer, *plugins], "no_plugins": True, "strict": True, **options})

    return make
