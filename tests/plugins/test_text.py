from __future__ import annotations

from typing import ClassVar

from headrace.testing.serializers import SerializerConformance
from headrace_plugins.text import BytesSerializer, TextSerializer, headrace_serializers


class Text(str):
    __slots__ = ()


class TestText(SerializerConformance):
    serializer = TextSerializer()
    values: ClassVar = ("", "é\0\r\n", "x" * 10_000)
    refused: ClassVar = {"got bytes": b"", "got int": 1, "Text": Text("a"), "surrogates": "\ud800"}
    damaged = (b"\xff",)


class TestBytes(SerializerConformance):
    serializer = BytesSerializer()
    values: ClassVar = (b"", b"\0\xff")
    refused: ClassVar = {"got str": "", "got bytearray": bytearray()}


def test_what_is_stored_is_the_text_itself() -> None:
    assert TextSerializer().serialize("é\n") == "é\n".encode()


def test_the_plugin_offers_both() -> None:
    assert [spec.name for spec in headrace_serializers()] == ["text", "bytes"]
