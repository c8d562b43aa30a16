"""The serializer ``pickle``: any value that Python, with cloudpickle's help, can pickle."""

from __future__ import annotations

from headrace.plugins import SerializerSpec, hookimpl

__all__: list[str] = []


@hookimpl
def headrace_serializers() -> list[SerializerSpec]:
    """Offer the serializer that core brings along."""
    return [
        SerializerSpec(
            name="pickle",
            factory="headrace.serializers:PickleSerializer",
            summary="Any value that Python can pickle; functions and classes of scripts by value.",
        )
    ]
