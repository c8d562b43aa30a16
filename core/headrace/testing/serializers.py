"""What every serializer has to do, as tests to inherit."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from headrace.abc import Serializer

__all__ = ["SerializerConformance"]


class SerializerConformance:
    """Tests of a serializer, for pytest: inherit them in a class whose name begins with ``Test``.

    Attributes:
        serializer: the serializer.
        values: values that have to come back as they were.
        refused: values that have to raise a TypeError or ValueError, each under a text that its message must hold,
            such as the place that cannot be written.
        damaged: bytes that cannot be read, which have to raise a ValueError; empty if any bytes can be read.
    """

    serializer: ClassVar[Serializer]
    values: ClassVar[Sequence[object]] = ()
    refused: ClassVar[Mapping[str, object]] = {}
    damaged: ClassVar[Sequence[bytes]] = ()

    def same(self, value: object, found: object) -> bool:
        """Tell whether what came back is what was written; override it for values without a plain ``==``."""
        return type(value) is type(found) and value == found

    def test_values_come_back(self) -> None:
        assert self.values, "a serializer has to be tried on something"
        for value in self.values:
            found = self.serializer.deserialize(self.serializer.serialize(value))
            assert self.same(value, found), f"{value!r} came back as {found!r}"

    def test_what_it_makes_is_bytes(self) -> None:
        for value in self.values:
            assert type(self.serializer.serialize(value)) is bytes

    def test_refusals_name_the_place(self) -> None:
        for text, value in self.refused.items():
            said = self._refusal(value)
            assert said is not None, f"{value!r} was not refused"
            assert text in said, f"{said} does not say {text!r}"

    def _refusal(self, value: object) -> str | None:
        try:
            self.serializer.serialize(value)
        except (TypeError, ValueError) as error:
            return str(error)
        return None

    def test_damaged_data_is_a_value_error(self) -> None:
        for data in self.damaged:
            try:
                found = self.serializer.deserialize(data)
            except ValueError:
                continue
            raise AssertionError(f"{data!r} was read as {found!r}")

    def test_it_travels_to_another_process(self) -> None:
        copy = pickle.loads(pickle.dumps(self.serializer))  # noqa: S301 - made one line above
        for value in self.values:
            assert self.same(value, copy.deserialize(self.serializer.serialize(value)))

    def test_it_works_from_many_threads(self) -> None:
        def round_trip(value: object) -> bool:
            return self.same(value, self.serializer.deserialize(self.serializer.serialize(value)))

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(round_trip, list(self.values) * 5))
