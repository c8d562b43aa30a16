from __future__ import annotations

import gzip
import sys
from importlib import import_module, util
from typing import ClassVar

import pytest

from headrace.exceptions import MissingDependencyError
from headrace.serializers import ChainedSerializer, PickleSerializer
from headrace.testing.serializers import SerializerConformance
from headrace_plugins.compression import (
    Bz2Serializer,
    GzipSerializer,
    LzmaSerializer,
    ZstdSerializer,
    headrace_serializers,
)

HAS_ZSTD = util.find_spec("zstandard") is not None or sys.version_info >= (3, 14)
needs_zstd = pytest.mark.skipif(not HAS_ZSTD, reason="neither Python 3.14 nor zstandard is installed")


class Compressor(SerializerConformance):
    values: ClassVar = (b"", b"a" * 10_000, bytes(range(256)))
    refused: ClassVar = {"as in 'pickle+": [1]}
    damaged = (b"nonsense",)

    def test_it_compresses(self) -> None:
        assert len(self.serializer.serialize(b"a" * 10_000)) < 200

    def test_equal_values_make_equal_bytes(self) -> None:
        assert self.serializer.serialize(b"abc") == self.serializer.serialize(b"abc")

    def test_half_of_the_data_is_a_value_error(self) -> None:
        data = self.serializer.serialize(bytes(range(256)))
        with pytest.raises(ValueError, match="damaged"):
            self.serializer.deserialize(data[: len(data) // 2])


class TestGzip(Compressor):
    serializer = GzipSerializer()


class TestBz2(Compressor):
    serializer = Bz2Serializer()


class TestLzma(Compressor):
    serializer = LzmaSerializer()


@needs_zstd
class TestZstd(Compressor):
    serializer = ZstdSerializer()


def iter_nothing():
    yield from ()


class TestPickleAndGzip(SerializerConformance):
    serializer = ChainedSerializer(PickleSerializer(), GzipSerializer())
    values: ClassVar = (None, [1, (2,)], {"a": {1}})
    refused: ClassVar = {"value[0] (type generator)": [iter_nothing()]}
    damaged = (b"nonsense",)


def test_time_is_not_part_of_gzip_files() -> None:
    assert GzipSerializer().serialize(b"abc")[4:8] == b"\0\0\0\0"
    assert gzip.decompress(GzipSerializer().serialize(b"abc")) == b"abc"


@pytest.mark.skipif(HAS_ZSTD, reason="Zstandard is installed")
def test_without_zstandard_the_message_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError, match=r"headrace\[zstd\]"):
        ZstdSerializer().serialize(b"abc")


@pytest.mark.parametrize("spec", headrace_serializers(), ids=lambda spec: spec.name)
def test_every_spec_leads_to_a_serializer_of_its_name(spec) -> None:
    module, _, name = spec.factory.partition(":")
    assert getattr(import_module(module), name)().name == spec.name
