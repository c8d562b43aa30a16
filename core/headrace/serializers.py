"""How results become bytes: the serializer that is always there."""

from __future__ import annotations

import pickle

from headrace.abc import Serializer

__all__ = ["PickleSerializer"]


class PickleSerializer(Serializer):
    """Pickles values; functions and classes that only exist in a script or notebook are pickled by value."""

    def serialize(self, value: object) -> bytes:
        """Return ``value`` as a pickle; raise TypeError naming its type if it cannot be one."""
        import cloudpickle  # noqa: PLC0415 - it takes longer to import than most values to pickle

        try:
            data: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # a foreign __reduce__ may raise anything
            raise TypeError(f"A value of type {type(value).__name__} cannot be pickled: {error}") from error
        return data

    def deserialize(self, data: bytes) -> object:
        """Return the pickled value. Only read pickles that you wrote: reading one can run code."""
        return pickle.loads(data)  # noqa: S301 - the contract says so
