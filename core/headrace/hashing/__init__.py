"""Canonical hashes of values: what the keys of caches are made from.

`digest` gives equal values the same text in every process, on every machine and under every supported Python, and
different values different texts. What it looks at is content, never identity:

* Types count: ``1``, ``1.0``, ``True``, ``"1"`` and ``b"1"`` differ, a list differs from a tuple with its elements, and
  an instance of a subclass from one of the base class. ``0.0`` and ``-0.0`` differ; a NaN is like any other NaN.
* The order of dictionaries and sets does not count.
* Dataclasses, attrs classes and named tuples count by class and fields, enum members by class, name and value, other
  objects by class and the state that ``pickle`` would keep. Values of cached properties are left out.
* Functions count by source, default values and the values of variables of enclosing functions. What they call, and
  global variables, does not count. Classes count by name and source. What the standard library defines counts by name.
* NumPy arrays, pandas and polars frames, and Arrow tables count by content, type and shape, whatever their layout in
  memory. None of these libraries is imported here.
* A class decides for itself with a method ``__headrace_content__(self)``, which returns what makes two of its instances
  the same: any value that can be hashed.

What cannot be hashed so raises `UnhashableArgumentError`, which names the place: an open connection, a lock, a
generator, a value that holds itself, a function without source.

The digest is not a secret: who can guess a value can confirm the guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["digest", "digest_arguments"]


def digest(value: object, name: str = "value") -> str:
    """Return the hash of ``value``: 40 hexadecimal digits.

    ``name`` is what messages call the value. Raises `UnhashableArgumentError`. Takes no recursion, so the depth of a
    value does not matter; may be called from any thread while nobody changes the value.
    """
    from headrace.hashing._walk import walk  # noqa: PLC0415 - most runs cache nothing

    return walk(value, name).hex()


def digest_arguments(arguments: Mapping[str, object]) -> dict[str, str]:
    """Return the hash of each argument by name; raise `UnhashableArgumentError` for the first that has none."""
    return {name: digest(value, name) for name, value in arguments.items()}
