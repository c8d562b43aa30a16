"""What all tests share."""

from __future__ import annotations

import pytest

from headrace import masking


@pytest.fixture(autouse=True)
def own_masker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a masker of its own: a secret that one test resolves must not be blotted out in another."""
    monkeypatch.setattr(masking.masker, "_forms", masking.Masker()._forms)
