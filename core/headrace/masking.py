"""Secrets in texts: what Headrace writes about a run shows asterisks in their place.

There is one `Masker` for a process, `masker`, and it is the one place in headrace that keeps state beyond a run: a
secret that one run resolved can turn up in the log line, the traceback or the message of any other, in any thread, and
logging is shared by the process as well. `headrace.secrets` adds to it, nothing is ever taken out, and it is not
inherited by worker processes, which resolve their own secrets. Until something is added, masking costs one test.

Only whole values are masked, also inside of other words: a part of a password that stands alone is not recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MASK", "Masker", "mask", "mask_error", "masker"]

MASK: Final = "********"
SHORTEST: Final = 4
_SHORTEST_PART: Final = 8


class Masker:
    """Replaces the values it was given, and the ways in which they are written, by asterisks. Used from any thread."""

    __slots__ = ("_forms", "_lock", "tell")

    def __init__(self) -> None:
        # What a worker tells of the texts it gets to know; None elsewhere.
        self.tell: Callable[[list[str]], object] | None = None
        self._lock = Lock()
        # Replaced as a whole at each change, so that readers need no lock; the longest first.
        self._forms: tuple[str, ...] = ()

    def add(self, value: object) -> None:
        """Mask ``value`` from now on: a text, bytes, or a list or dictionary with such in it.

        Texts of fewer than four characters are not masked, since they are parts of ordinary words; nor are numbers
        and keys inside of lists and dictionaries.
        """
        found = {form for text in _texts(value) for form in _forms(text)}
        with self._lock:
            self._forms = tuple(sorted(found.union(self._forms), key=lambda form: (-len(form), form)))
        if self.tell is not None:
            self.tell(list(_texts(value)))

    def mask(self, text: str) -> str:
        """Return ``text`` with every occurrence of a value replaced; where two overlap, both are."""
        spans = (
            [span for form in self._forms if form in text for span in _occurrences(form, text)] if self._forms else ()
        )
        if not spans:
            return text
        parts: list[str] = []
        end = 0
        for first, last in sorted(spans):
            if first >= end:
                parts += [text[end:first], MASK]
            end = max(end, last)
        return "".join([*parts, text[end:]])

    def is_in(self, data: bytes) -> bool:
        """Tell whether ``data``, such as a pickle, has one of the values in it, as UTF-8."""
        return bool(self._forms) and any(form.encode("utf-8", "surrogatepass") in data for form in self._forms)

    @property
    def is_empty(self) -> bool:
        """Tell whether there is nothing to mask."""
        return not self._forms


masker: Final = Masker()
"""The masker of this process."""


def mask(text: str) -> str:
    """Return ``text`` with the secrets that this process has resolved replaced by asterisks."""
    return masker.mask(text)


def mask_error(error: BaseException) -> None:
    """Replace secrets in the texts that an exception holds, and in those of its causes.

    For exceptions that leave the process in which the secret is known, or are kept. What a text is not a part of, such
    as an object with a password in an attribute, is left alone.
    """
    if masker.is_empty:
        return
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        _mask_one(each)
        pending += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            pending += each.exceptions


def _mask_one(error: BaseException) -> None:
    error.args = tuple(masker.mask(part) if isinstance(part, str) else part for part in error.args)
    for name, value in list(vars(error).items()):
        if isinstance(value, str):
            vars(error)[name] = masker.mask(value)
        elif name == "__notes__":
            vars(error)[name] = [masker.mask(note) if isinstance(note, str) else note for note in value]


# -- the ways in which a value is written ------------------------------------------------------------------------------


def _texts(value: object) -> Iterator[str]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, bytes):
            each = each.decode("utf-8", "backslashreplace")
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            pending += each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            pending += each


def _forms(text: str) -> Iterator[str]:
    """Yield the ways in which ``text`` may turn up, none of them too short to be told from ordinary words."""
    stripped = text.strip()
    if len(stripped) < SHORTEST:
        return
    lines = [line.strip() for line in text.splitlines()]
    # A key of several lines is printed line by line.
    parts = [line for line in lines if len(line) >= _SHORTEST_PART and not line.startswith("-----")]
    for part in {text, stripped, *(parts if len(lines) > 1 else ())}:
        yield part
        yield from _escaped(part)
        yield from _base64(part.encode("utf-8", "surrogatepass"))


def _escaped(text: str) -> Iterator[str]:
    import json  # noqa: PLC0415 - only processes with secrets need the ways to write them
    from urllib.parse import quote, quote_plus  # noqa: PLC0415

    data = text.encode("utf-8", "surrogatepass")
    for quoted in (quote(data), quote(data, safe=""), quote_plus(data)):
        yield quoted
        yield quoted.replace("%2F", "/")
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield text.replace("\\", "\\\\").replace("'", "\\'")
    yield repr(data)[2:-1]
    yield ascii(text)[1:-1]


def _base64(data: bytes) -> Iterator[str]:
    """Yield what of ``data`` in base64 does not depend on what comes before and after it, as in ``user:password``."""
    from base64 import b64encode  # noqa: PLC0415 - see `_escaped`

    for before in range(3):
        whole = b64encode(b"\0" * before + data).decode().rstrip("=")
        # Each character holds six bits; those that hold bits of a neighbour are not sure.
        first = -(-8 * before // 6)
        last = 8 * (before + len(data)) // 6
        sure = whole[first:last]
        candidates = (whole, sure) if before == 0 else (sure,)
        for text in candidates:
            if len(text) >= _SHORTEST_PART or text is whole:
                yield text
                yield text.replace("+", "-").replace("/", "_")


def _occurrences(form: str, text: str) -> Iterator[tuple[int, int]]:
    start = text.find(form)
    while start >= 0:
        yield start, start + len(form)
        start = text.find(form, start + 1)
