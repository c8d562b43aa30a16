"""The serializers ``gzip``, ``bz2``, ``lzma`` and ``zstd``: bytes in fewer bytes.

After another serializer's name and a plus sign they compress what it made: ``pickle+gzip``, ``json+zstd``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from headrace.abc import Serializer
from headrace.plugins import SerializerSpec, hookimpl
from headrace.value_paths import type_name
from headrace_plugins._libraries import library

__all__ = ["Bz2Serializer", "GzipSerializer", "LzmaSerializer", "ZstdSerializer"]


class _Compressor(Serializer):
    """Compresses bytes; equal bytes always become equal bytes."""

    name: ClassVar[str]

    def serialize(self, value: object) -> bytes:
        """Return ``value`` compressed; raise TypeError for anything but bytes."""
        if not isinstance(value, bytes):
            raise TypeError(
                f"The serializer {self.name!r} takes bytes, and got {type_name(type(value))}; "
                f"name what makes bytes of it first, as in 'pickle+{self.name}'."
            )
        return self._compressed(value)

    def deserialize(self, data: bytes) -> bytes:
        """Return the bytes that ``data`` was made from; raise ValueError if it is damaged."""
        try:
            return self._restored(data)
        except ImportError:
            raise
        except Exception as error:  # each library has exceptions of its own, and EOFError or OSError besides
            raise ValueError(f"This is not {self.name} data, or it is damaged: {error}") from error

    @abstractmethod
    def _compressed(self, data: bytes) -> bytes: ...

    @abstractmethod
    def _restored(self, data: bytes) -> bytes: ...


@dataclass(frozen=True)
class GzipSerializer(_Compressor):
    """Compresses with gzip: what every tool can read."""

    name = "gzip"

    def _compressed(self, data: bytes) -> bytes:
        from gzip import compress

        return compress(data, 6, mtime=0)  # without the time, equal results are equal files

    def _restored(self, data: bytes) -> bytes:
        from gzip import decompress

        return decompress(data)


@dataclass(frozen=True)
class Bz2Serializer(_Compressor):
    """Compresses with bzip2."""

    name = "bz2"

    def _compressed(self, data: bytes) -> bytes:
        from bz2 import compress

        return compress(data)

    def _restored(self, data: bytes) -> bytes:
        from bz2 import decompress

        return decompress(data)


@dataclass(frozen=True)
class LzmaSerializer(_Compressor):
    """Compresses with LZMA, as .xz files are: smallest and slowest."""

    name = "lzma"

    def _compressed(self, data: bytes) -> bytes:
        from lzma import compress

        return compress(data)

    def _restored(self, data: bytes) -> bytes:
        from lzma import decompress

        return decompress(data)


@dataclass(frozen=True)
class ZstdSerializer(_Compressor):
    """Compresses with Zstandard: fast, and smaller than gzip. Python 3.14 has it; before, the extra ``zstd`` does."""

    name = "zstd"

    def _compressed(self, data: bytes) -> bytes:
        return bytes(_zstd().compress(data))

    def _restored(self, data: bytes) -> bytes:
        return bytes(_zstd().decompress(data))


def _zstd() -> Any:
    from importlib import import_module

    try:
        return import_module("compression.zstd")
    except ImportError:  # before Python 3.14, or built without it
        with library("The serializer 'zstd'", "zstandard", "zstd"):
            return import_module("zstandard")


@hookimpl
def headrace_serializers() -> list[SerializerSpec]:
    """Offer all four."""
    return [
        SerializerSpec(
            name="gzip",
            factory="headrace_plugins.compression:GzipSerializer",
            summary="Bytes in fewer bytes: pickle+gzip compresses pickles.",
        ),
        SerializerSpec(
            name="bz2",
            factory="headrace_plugins.compression:Bz2Serializer",
            summary="Bytes in fewer bytes, with bzip2.",
        ),
        SerializerSpec(
            name="lzma",
            factory="headrace_plugins.compression:LzmaSerializer",
            summary="Bytes in the fewest bytes, slowly, as in .xz files.",
        ),
        SerializerSpec(
            name="zstd",
            factory="headrace_plugins.compression:ZstdSerializer",
            summary="Bytes in fewer bytes, fast; needs Python 3.14 or the extra zstd.",
        ),
    ]
