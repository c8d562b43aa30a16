"""What the prebuilt tasks share: checks of their arguments, and texts made fit for a message."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from headrace.exceptions import DefinitionTypeError, MissingDependencyError, TaskDefinitionError, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_USER_INFO: Final = re.compile(r"(?<=://)[^/?#]*(?=@)")
_SECRET_IN_QUERY: Final = re.compile(
    r"""(?<=[?&;])
        ((?: [\w.-]*(?:token|secret|passw(?:or)?d|signature|credential)[\w.-]*
           | (?:[\w.-]*[_.-])?(?:api)?(?:key|sig|auth|pwd) )=)
        [^&;\#\s]*""",
    re.IGNORECASE | re.VERBOSE,
)


def wrong_type(owner: str, name: str, value: object, expected: str) -> DefinitionTypeError:
    """Return the error for an argument of the wrong type; it shows the type only, as the value may be a secret."""
    found = "None" if value is None else f"an object of type {type(value).__name__}"
    return DefinitionTypeError(
        f"{owner} needs `{name}` to be {expected}, and got {found}.",
        hint="Pass it to the constructor or when the task is called." if value is None else None,
    )


def required_text(owner: str, name: str, value: object) -> str:
    """Return ``value`` if it is a text that is not blank."""
    if not isinstance(value, str):
        raise wrong_type(owner, name, value, "a text")
    if not value.strip():
        raise TaskDefinitionError(f"{owner} needs `{name}`, and got a blank text.")
    return value


def one_of(owner: str, name: str, value: str, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of the ``allowed`` words."""
    if value not in allowed:
        raise TaskDefinitionError(f"{owner} does not know {name}={value!r}.", hint=nearest(str(value), allowed))
    return value


def shorten(text: str, limit: int = 300) -> str:
    """Return ``text`` as one line of at most ``limit`` characters."""
    line = " ".join(text[: limit * 10].split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def mask_url(url: str) -> str:
    """Return ``url`` with the user, the password and what looks like a key in the query blotted out."""
    return mask_query(_USER_INFO.sub("***", url))


def mask_query(url: str) -> str:
    """Return ``url`` with what looks like a key in the query blotted out."""
    return _SECRET_IN_QUERY.sub(r"\1***", url)


@contextmanager
def library(owner: str, module: str, extra: str) -> Iterator[None]:
    """Turn the failed import of ``module`` inside the block into an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise MissingDependencyError(owner, module, extra) from error
