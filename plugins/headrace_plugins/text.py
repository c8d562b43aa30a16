"""The serializers ``text`` and ``bytes``: results that are files already."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.abc import Serializer
from headrace.plugins import SerializerSpec, hookimpl
from headrace.value_paths import type_name

__all__ = ["BytesSerializer", "TextSerializer"]


@dataclass(frozen=True)
class TextSerializer(Serializer):
    """Writes texts as UTF-8."""

    def serialize(self, value: object) -> bytes:
        """Return ``value`` as UTF-8; raise TypeError for anything but a str, ValueError for a lone surrogate."""
        if type(value) is not str:
            raise TypeError(f"The serializer 'text' takes a str, and got {type_name(type(value))}.")
        return value.encode()

    def deserialize(self, data: bytes) -> str:
        """Return the text; raise ValueError if ``data`` is not UTF-8."""
        return data.decode()


@dataclass(frozen=True)
class BytesSerializer(Serializer):
    """Writes bytes as they are."""

    def serialize(self, value: object) -> bytes:
        """Return ``value``; raise TypeError for anything but bytes."""
        if type(value) is not bytes:
            raise TypeError(f"The serializer 'bytes' takes bytes, and got {type_name(type(value))}.")
        return value

    def deserialize(self, data: bytes) -> bytes:
        """Return ``data``."""
        return data


@hookimpl
def headrace_serializers() -> list[SerializerSpec]:
    """Offer both serializers."""
    return [
        SerializerSpec(name="text", factory="headrace_plugins.text:TextSerializer", summary="Texts, as UTF-8."),
        SerializerSpec(name="bytes", factory="headrace_plugins.text:BytesSerializer", summary="Bytes, as they are."),
    ]
