"""What is asked for and what comes back, independent of the client library."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace_tasklib._support import mask_url, required_text, wrong_type
from headrace_tasklib.http.errors import HttpError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpRequest:
    """One request. Its repr leaves out what may be secret."""

    method: str
    url: str = field(repr=False)
    params: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    json: object = field(default=None, repr=False)
    data: Mapping[str, Any] | None = field(default=None, repr=False)
    content: str | bytes | None = field(default=None, repr=False)
    auth: Any = field(default=None, repr=False)
    timeout: float | None = 30.0
    follow_redirects: bool = True

    @property
    def shown_url(self) -> str:
        """The URL as messages show it."""
        return mask_url(self.url)

    def error(self, problem: str, *, hint: str | None = None) -> HttpError:
        """Return an error about this request."""
        return HttpError(self.method, self.shown_url, problem, hint=hint)


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpResponse:
    """A whole answer, as ``response="full"`` returns it. Picklable; names of headers are in lower case."""

    status: int
    url: str
    headers: Mapping[str, str]
    content: bytes
    encoding: str

    @property
    def text(self) -> str:
        """The body decoded; what does not fit the encoding is replaced."""
        return self.content.decode(self.encoding, errors="replace")

    def json(self) -> Any:
        """Return the body parsed as JSON; raise ValueError if it is something else."""
        return json.loads(self.content)


def check_url(owner: str, url: object, method: str) -> str:
    """Return ``url`` if a request can be made to it."""
    url = required_text(owner, "url", url)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise HttpError(method, mask_url(url), "cannot be asked for", hint="Write the URL as http(s)://host/path.")
    return url


def check_auth(owner: str, auth: object) -> Any:
    """Return ``auth`` in the form the client library takes; a wrong one is never shown."""
    if isinstance(auth, list | tuple) and len(auth) == 2 and all(isinstance(part, str) for part in auth):
        return tuple(auth)
    if auth is None or callable(auth) or hasattr(auth, "auth_flow"):
        return auth
    raise wrong_type(owner, "auth", auth, "a pair of user and password, or an httpx2 Auth object")
