"""How stored bytes are wrapped: under a digest that is checked, and under names that every file system takes."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from headrace.exceptions import ResultError

__all__ = ["digest_in", "digest_of", "is_sealed", "safe_name", "seal", "unseal"]

_MAGIC: Final = b"headrace-result 1\n"
_DIGEST_SIZE: Final = 32
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 100


def seal(data: bytes) -> bytes:
    """Return a magic line, the BLAKE2b digest of ``data``, and ``data``."""
    return _MAGIC + _digest(data) + data


def digest_in(sealed: bytes) -> bytes:
    """Return the digest that `seal` put there."""
    return sealed[len(_MAGIC) :][:_DIGEST_SIZE]


def digest_of(data: bytes) -> bytes:
    """Return the digest that `seal` puts before ``data``."""
    return _digest(data)


def is_sealed(stored: bytes) -> bool:
    """Tell whether ``stored`` was sealed, by its first line or, should that be damaged, by its digest."""
    head = len(_MAGIC) + _DIGEST_SIZE
    return stored.startswith(_MAGIC) or stored[len(_MAGIC) : head] == _digest(stored[head:])


def unseal(stored: bytes, location: str) -> bytes:
    """Return what was sealed; raise ResultError naming ``location`` if a single bit has changed."""
    digest, data = stored[len(_MAGIC) :][:_DIGEST_SIZE], stored[len(_MAGIC) + _DIGEST_SIZE :]
    if not stored.startswith(_MAGIC) or digest != _digest(data):
        raise ResultError(
            f"The result at {location!r} is damaged: its digest does not match.", hint="Run the task again."
        )
    return data


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_SIZE).digest()


def safe_name(text: str) -> str:
    """Return ``text`` as one part of a path that is fit for every file system; different texts never become the same.

    Some file systems take no more than 255 bytes, and some make no difference between upper and lower case.
    """
    plain = _UNSAFE.sub("-", text).strip("-.")[:_LONGEST]
    if plain and plain == text.lower():
        return plain
    return f"{plain or 'unnamed'}-{hashlib.blake2b(text.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"
