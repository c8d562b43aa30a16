"""Ray itself."""

from __future__ import annotations

import pytest


def test_ray_has_a_build_for_this_python():
    pytest.importorskip("ray", reason="Ray has no build for this Python, so nothing else here can be tested")
