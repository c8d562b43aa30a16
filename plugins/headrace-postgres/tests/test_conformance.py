"""What every history has to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.testing import RunStoreConformance
from headrace_postgres.store import PostgresRunStore


class TestOnAServer(RunStoreConformance):
    store_class = PostgresRunStore

    @pytest.fixture(autouse=True)
    def _url(self, url_of: Callable[..., str]) -> None:
        self._url_of = url_of

    def url(self, place: Path) -> str:
        return self._url_of(place)
