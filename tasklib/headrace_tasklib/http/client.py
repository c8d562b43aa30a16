"""Makes requests with httpx2, the only module here that imports it."""

from __future__ import annotations

import os
import ssl
import uuid
from contextlib import contextmanager
from functools import cache
from typing import IO, TYPE_CHECKING, Final

import httpx2

from headrace_tasklib._support import mask_url, shorten
from headrace_tasklib.http.errors import HttpError, HttpTransientError
from headrace_tasklib.http.messages import HttpRequest, HttpResponse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHOWN_BODY: Final = 300
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
_SERVER_ERRORS: Final = 500
_STATUS_HINTS: Final = {
    401: "Pass `auth` or the header it asks for.",
    403: "Check that these credentials may do this.",
    404: "Check the path of the URL.",
    405: "Check `method`.",
}


def fetch(request: HttpRequest, *, raise_for_status: bool) -> HttpResponse:
    """Return the whole answer to ``request``."""
    with _answer(request) as response:
        if raise_for_status and not (response.is_redirect and not request.follow_redirects):
            _check_status(response)
        response.read()
    return HttpResponse(
        status=response.status_code,
        url=str(response.url),
        headers=dict(response.headers),
        content=response.content,
        encoding=response.encoding or "utf-8",
    )


def download(request: HttpRequest, path: Path) -> None:
    """Write the answer to ``path`` chunk by chunk; the file appears, or is replaced, when it is complete."""
    with _answer(request) as response:
        _check_status(response)
        with _replacing(path) as file:
            for chunk in response.iter_bytes():
                file.write(chunk)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _answer(request: HttpRequest) -> Iterator[httpx2.Response]:
    """Send ``request`` and yield the answer, its body unread; any failure of the exchange is raised as an HttpError."""
    client = httpx2.Client(verify=_tls(), timeout=request.timeout, follow_redirects=request.follow_redirects)
    with client:
        prepared = _prepare(client, request)
        shown = request.method, mask_url(str(prepared.url))
        try:
            response = client.send(prepared, auth=request.auth, stream=True)
            try:
                yield response
            finally:
                response.close()
        except httpx2.LocalProtocolError:
            # Its text would show the header, which may be a secret; so would the cause in a traceback.
            problem = "cannot be sent: the method or a header holds characters that HTTP does not allow"
            raise HttpError(*shown, problem, hint="Look for a line's end in a header.") from None
        except httpx2.RequestError as error:
            raise _failure(*shown, error, request.timeout) from error


@cache
def _tls() -> ssl.SSLContext:
    """Return the TLS settings of every client: reading the certificates costs more than a request."""
    return httpx2.create_ssl_context()


def _prepare(client: httpx2.Client, request: HttpRequest) -> httpx2.Request:
    try:
        return client.build_request(
            request.method,
            request.url,
            params=request.params,
            headers=request.headers,
            json=request.json,
            data=request.data,
            content=request.content,
        )
    except (TypeError, ValueError, httpx2.InvalidURL) as error:
        raise request.error(f"cannot be built: {shorten(str(error))}") from error


def _failure(method: str, url: str, error: httpx2.RequestError, timeout: float | None) -> HttpError:
    match error:
        case httpx2.TimeoutException():
            doing = "connect" if isinstance(error, httpx2.ConnectTimeout) else "answer"
            hint = "Pass a longer `request_timeout`, or `max_retries`."
            return HttpTransientError(
                method, url, f"failed: the server did not {doing} within {timeout:g} s", hint=hint
            )
        case httpx2.TooManyRedirects():
            return HttpError(method, url, "failed: the server keeps redirecting", hint="Open the URL in a browser.")
        case httpx2.DecodingError() | httpx2.UnsupportedProtocol():
            return HttpError(method, url, f"failed: {_reason(error)}")
        case httpx2.ConnectError() if _is_bad_certificate(error):
            hint = "Check the host's name, or name your authority's certificates in SSL_CERT_FILE."
            return HttpError(method, url, f"failed: {_reason(error)}", hint=hint)
        case httpx2.ConnectError():
            hint = "Check the host and port, and that the server runs; `max_retries` helps if it comes and goes."
            return HttpTransientError(method, url, f"could not connect: {_reason(error)}", hint=hint)
        case _:
            hint = "Try again, for instance with `max_retries`."
            return HttpTransientError(method, url, f"broke off: {_reason(error)}", hint=hint)


def _reason(error: Exception) -> str:
    return shorten(mask_url(str(error))).rstrip(".") or type(error).__name__


def _is_bad_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _check_status(response: httpx2.Response) -> None:
    if response.is_success:
        return
    status = response.status_code
    transient = status >= _SERVER_ERRORS or status in _TRANSIENT_STATUSES
    body = _beginning(response)
    raise (HttpTransientError if transient else HttpError)(
        response.request.method,
        mask_url(str(response.url)),
        f"was answered with {status} {response.reason_phrase}".rstrip() + (f": {body}" if body else ""),
        status=status,
        hint=_status_hint(response, transient=transient),
    )


def _status_hint(response: httpx2.Response, *, transient: bool) -> str | None:
    if not transient:
        return _STATUS_HINTS.get(response.status_code)
    wait = response.headers.get("retry-after")
    return f"The server asks to retry after {shorten(wait, 40)}." if wait else "Retry later, with `max_retries`."


def _beginning(response: httpx2.Response) -> str:
    """Return the first characters of a body without reading the rest, which may be long."""
    beginning = next(response.iter_text(_SHOWN_BODY), "")
    return shorten(beginning, _SHOWN_BODY)
