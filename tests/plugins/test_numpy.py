from __future__ import annotations

import pickle
from io import BytesIO
from typing import ClassVar

import pytest

numpy = pytest.importorskip("numpy", reason="NumPy is not installed")

from headrace.testing.serializers import SerializerConformance  # noqa: E402
from headrace_plugins.numpy import NumpySerializer, headrace_serializers  # noqa: E402

Plain = type("Plain", (numpy.ndarray,), {})


class TestNumpy(SerializerConformance):
    serializer = NumpySerializer()
    values: ClassVar = (
        numpy.array([1, 2, 3]),
        numpy.array(1.5),
        numpy.zeros((0, 3), "f4"),
        numpy.asfortranarray(numpy.arange(6.0).reshape(2, 3)),
        numpy.arange(3, dtype=">i4"),
        numpy.array(["a", "é"]),
        numpy.array(["2026-01-01", "NaT"], dtype="M8[D]"),
        numpy.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        numpy.array([float("nan"), -0.0]),
    )
    refused: ClassVar = {
        "got list; `numpy.asarray(value)` makes one": [1],
        "got numpy.float64": numpy.float64(1),
        "MaskedArray": numpy.ma.array([1]),
        "Plain": numpy.array([1]).view(Plain),
        "value.dtype is object": numpy.array([object()]),
        "value.dtype is [('a', 'O')]": numpy.array([(1,)], dtype=[("a", "O")]),
    }
    damaged = (b"nonsense", b"\x93NUMPY\x01\x00", pickle.dumps(1))

    def same(self, value, found) -> bool:
        return (
            type(found) is numpy.ndarray
            and value.dtype == found.dtype
            and value.shape == found.shape
            and value.tobytes() == found.tobytes()
        )


def test_a_file_with_python_objects_is_not_read() -> None:
    file = BytesIO()
    numpy.save(file, numpy.array([print]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        NumpySerializer().deserialize(file.getvalue())


def test_the_plugin_offers_it() -> None:
    assert [spec.name for spec in headrace_serializers()] == ["numpy"]
