"""The serializer ``numpy``: arrays as ``.npy`` files, which never run code when they are read."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import Any

from headrace.abc import Serializer
from headrace.plugins import SerializerSpec, hookimpl
from headrace.value_paths import type_name
from headrace_plugins._libraries import library

__all__ = ["NumpySerializer"]


@dataclass(frozen=True)
class NumpySerializer(Serializer):
    """Writes NumPy arrays of numbers, times, texts or records of those."""

    def serialize(self, value: object) -> bytes:
        """Return ``value`` as a ``.npy`` file; raise TypeError for anything but such an array.

        Scalars and subclasses of ndarray are refused, since they would come back as plain arrays.
        """
        numpy = _numpy()
        if type(value) is not numpy.ndarray:
            raise TypeError(
                f"The serializer 'numpy' takes a numpy.ndarray, and got {type_name(type(value))}; "
                "`numpy.asarray(value)` makes one."
            )
        array: Any = value
        if array.dtype.hasobject:
            raise TypeError(
                f"value.dtype is {array.dtype}: the array holds Python objects, which only pickle can write."
            )
        file = BytesIO()
        try:
            numpy.save(file, array, allow_pickle=False)
        except ValueError as error:
            raise TypeError(f"value.dtype is {array.dtype}, which .npy files do not have: {error}") from error
        return file.getvalue()

    def deserialize(self, data: bytes) -> object:
        """Return the array; raise ValueError if ``data`` is no ``.npy`` file or holds Python objects."""
        array: object = _numpy().load(BytesIO(data), allow_pickle=False)
        return array


def _numpy() -> Any:
    with library("The serializer 'numpy'", "numpy", "numpy"):
        return import_module("numpy")


@hookimpl
def headrace_serializers() -> list[SerializerSpec]:
    """Offer the serializer."""
    return [
        SerializerSpec(
            name="numpy",
            factory="headrace_plugins.numpy:NumpySerializer",
            summary="NumPy arrays as .npy files, without pickle.",
        )
    ]
