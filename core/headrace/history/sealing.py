"""Seals: what tells bytes of this project from bytes that somebody planted.

A history and a cache hold pickles, and whoever can make somebody unpickle bytes can make him run code. So all that is
kept there is sealed with a key that only the project has, and the seal is looked at before anything else is done with
the bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.atomic import publish
from headrace.exceptions import HistoryError, SealError
from headrace.project import make_private

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["KEY_FILE", "KEY_VARIABLE", "ProjectSealer", "Sealer", "content_of", "has_key", "project_key"]

KEY_FILE: Final = "key"
"""The name of the file that has the key."""

KEY_VARIABLE: Final = "HEADRACE_KEY"
"""The variable that has the key where it is set, and the file does not count."""

_MAGIC: Final = b"HRS1"
_SEAL_SIZE: Final = 32
_KEY_SIZE: Final = 32
_SET_HINT: Final = "Set it to what is in the file `history/key` of the project."
_HINT: Final = "Do not trust this history: run the tasks again, and find out who wrote there."


class Sealer:
    """Seals bytes with a key, and refuses bytes that do not carry its seal. May be used from any thread; picklable.

    A seal is a keyed BLAKE2b digest of 256 bits. It says who wrote the bytes, not what for.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_SIZE:
            raise SealError(f"The key of a project has {_KEY_SIZE} bytes, and this one has {len(key)}.")
        self._key = key

    def __repr__(self) -> str:
        return "Sealer(...)"

    def __reduce__(self) -> tuple[type[Sealer], tuple[bytes]]:
        return Sealer, (self._key,)

    def seal(self, data: bytes) -> bytes:
        """Return ``data`` with its seal before it."""
        return _MAGIC + hashlib.blake2b(data, digest_size=_SEAL_SIZE, key=self._key).digest() + data

    def unseal(self, sealed: bytes, what: str) -> bytes:
        """Return what was sealed; raise SealError, which calls it ``what``, if this key has not sealed just this."""
        head = len(_MAGIC) + _SEAL_SIZE
        if not sealed.startswith(_MAGIC) or len(sealed) < head:
            raise SealError(f"{what} carries no seal, so headrace did not write it.", hint=_HINT)
        data = sealed[head:]
        expected = hashlib.blake2b(data, digest_size=_SEAL_SIZE, key=self._key).digest()
        if not hmac.compare_digest(sealed[len(_MAGIC) : head], expected):
            raise SealError(
                f"{what} carries a seal that was not made with this project's key, or was changed since.", hint=_HINT
            )
        return data


class ProjectSealer:
    """Seals with the key of the project in ``folder``, which is read, or made, when something is sealed or unsealed.

    Used from any thread. What is pickled of it is the `Sealer` with that key: work on another machine, which has no
    such folder, seals and unseals as its project does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "history"
        self._sealer: Sealer | None = None

    def __reduce__(self) -> tuple[type[Sealer], tuple[bytes]]:
        return self._ready().__reduce__()

    def prepare(self) -> None:
        """Make the key if there is none.

        Raises as `project_key` does, and HistoryError if its folder cannot be made.
        """
        self._ready()

    def _ready(self) -> Sealer:
        if self._sealer is not None:
            return self._sealer
        if not has_key(self._folder):
            try:
                make_private(self._folder)
            except OSError as error:
                raise HistoryError(
                    f"The folder {self._folder} for the key cannot be made: {error.strerror or error}.",
                    hint=f"Check the permissions, or set the variable {KEY_VARIABLE}.",
                ) from error
        self._sealer = Sealer(project_key(self._folder))
        return self._sealer

    def seal(self, data: bytes) -> bytes:
        """Return ``data`` with its seal before it."""
        return self._ready().seal(data)

    def unseal(self, sealed: bytes, what: str) -> bytes:
        """Return what was sealed; raise SealError, as `Sealer` does, and also where the project has no key yet."""
        if self._sealer is None:
            self._sealer = Sealer(project_key(self._folder, make=False))
        return self._sealer.unseal(sealed, what)


def content_of(sealed: bytes) -> bytes:
    """Return what was sealed without a look at the seal: fit for being compared, and never for being loaded."""
    return sealed[len(_MAGIC) + _SEAL_SIZE :] if sealed.startswith(_MAGIC) else sealed


def has_key(folder: Path) -> bool:
    """Tell whether `project_key` would find a key without making one, as far as the folder can be looked at."""
    if os.environ.get(KEY_VARIABLE):
        return True
    try:
        return (folder / KEY_FILE).exists()
    except OSError:
        return False


def project_key(folder: Path, random: Callable[[int], bytes] = secrets.token_bytes, *, make: bool = True) -> bytes:
    """Return the key in ``folder``, which exists; make one if there is none. Of several at once, one makes it.

    If ``HEADRACE_KEY`` is set, that is the key.

    Without ``make`` it is an error if there is none: where there are sealed values, a new key is of no use.

    Nobody else may read its file. Raises SealError if it is not a key, or belongs to another user, who could have
    planted it, and HistoryError if it cannot be read or made.
    """
    if named := os.environ.get(KEY_VARIABLE):
        return _parsed(f"The variable {KEY_VARIABLE}", named.encode(errors="surrogateescape"), _SET_HINT)
    path = folder / KEY_FILE
    try:
        if make and not path.exists():
            _make(path, random(_KEY_SIZE))
        with path.open("rb") as file:
            owner, text = os.fstat(file.fileno()).st_uid, file.read()
    except FileNotFoundError as error:
        raise SealError(
            f"The key of the history, {path}, is missing, so recorded values cannot be read.",
            hint="Bring back the file from a copy, or run the flow anew.",
        ) from error
    except OSError as error:
        raise HistoryError(
            f"The key of the history at {path} cannot be read or made: {error.strerror or error}.",
            hint="Check the permissions of its folder.",
        ) from error
    if hasattr(os, "geteuid") and owner not in {os.geteuid(), 0}:
        raise SealError(
            f"The key of the history at {path} belongs to user {owner}, who could have planted it.",
            hint="Use a history of your own, or have the file given to you.",
        )
    return _parsed(
        f"The file {path}",
        text,
        "Bring back the file from a copy. Without it, or with a new one, recorded values cannot be read.",
    )


def _parsed(where: str, text: bytes, hint: str) -> bytes:
    try:
        key = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_SIZE:
        raise SealError(
            f"{where} has no key: {len(text)} bytes, and not {2 * _KEY_SIZE} hexadecimal digits.", hint=hint
        )
    return key


def _make(path: Path, key: bytes) -> None:
    """Put a key at ``path`` unless there is one by then."""
    # The temporary file is readable by its owner only, and linking it never replaces a file.
    descriptor, name = tempfile.mkstemp(prefix=f".{os.getpid()}-", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.hex().encode("ascii") + b"\n")
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
