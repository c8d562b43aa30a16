"""The prebuilt tasks that make HTTP requests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from headrace.exceptions import TaskDefinitionError
from headrace.tasks import Task, defaults_from_attrs
from headrace_tasklib._support import library, one_of, required_text, shorten, wrong_type
from headrace_tasklib.http.messages import HttpRequest, HttpResponse, check_auth, check_url

_RESPONSES: Final = ("bytes", "full", "json", "text")
_SHOWN_BODY: Final = 300


class HttpTask(Task):
    """Make an HTTP request and return the answer's body.

    ``url``, ``method``, ``params``, ``headers``, ``json``, ``data``, ``content`` and ``auth`` can be given to the
    constructor or when the task is called. Each run uses a connection of its own.

    Args:
        url: an http or https URL. A password in it never shows in a message.
        method: GET, POST, and so on.
        params: added to the URL's query.
        headers: request headers.
        json: a value to send as JSON.
        data: a dictionary to send as a form.
        content: a text or bytes to send as they are.
        auth: a pair of user and password, or an httpx2 ``Auth`` object.
        request_timeout: how many seconds the server may take for each step (connecting, each read, each write), or
            None for ever. For a limit on the whole run use ``timeout``.
        follow_redirects: follow up to 20 redirects; if False, a redirect counts as an answer.
        raise_for_status: fail if the status is not one of success.
        response: "text", "json", "bytes", or "full" for an `HttpResponse` with status and headers.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Raises:
        HttpError: the URL is unusable, or the answer is not one of success or not JSON.
        HttpTransientError: the same request may succeed later; see there.
        MissingDependencyError: the extra ``headrace[http]`` is not installed.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.http import HttpTask, HttpTransientError
        >>> get = HttpTask(response="json", max_retries=3, retry_delay=5, retry_on=HttpTransientError)
        >>> with Flow("stations") as flow:
        ...     stations = get("http://data.example.org/stations.json", params={"state": "WA"})
        >>> state = flow.run()
        >>> state.result[stations].result
        ['Seattle', 'Spokane']
    """

    def __init__(
        self,
        url: str | None = None,
        method: str = "GET",
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: Mapping[str, Any] | None = None,
        content: str | bytes | None = None,
        auth: object = None,
        request_timeout: float | None = 30.0,
        follow_redirects: bool = True,
        raise_for_status: bool = True,
        response: str = "text",
        **task_options: Any,
    ) -> None:
        self.url = url
        self.method = method
        self.params = params
        self.headers = headers
        self.json = json
        self.data = data
        self.content = content
        self.auth = auth
        self.request_timeout = _checked_seconds("HttpTask", request_timeout)
        self.follow_redirects = follow_redirects
        self.raise_for_status = raise_for_status
        self.response = one_of("HttpTask", "response", response, _RESPONSES)
        super().__init__(**task_options)

    @defaults_from_attrs("url", "method", "params", "headers", "json", "data", "content", "auth")
    def run(
        self,
        url: str | None = None,
        method: str = "GET",
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        data: Mapping[str, Any] | None = None,
        content: str | bytes | None = None,
        auth: object = None,
    ) -> Any:
        """Make the request; see the class."""
        method = required_text("HttpTask", "method", method).upper()
        _check_body(json, data, content)
        request = HttpRequest(
            method=method,
            url=check_url("HttpTask", url, method),
            params=_checked_mapping("HttpTask", "params", params),
            headers=_checked_mapping("HttpTask", "headers", headers),
            json=json,
            data=_checked_mapping("HttpTask", "data", data),
            content=content,
            auth=check_auth("HttpTask", auth),
            timeout=self.request_timeout,
            follow_redirects=self.follow_redirects,
        )
        with library("HttpTask", "httpx2", "http"):
            from headrace_tasklib.http.client import fetch
        answer = fetch(request, raise_for_status=self.raise_for_status)
        return _converted(request, answer, self.response)


class HttpDownload(Task):
    """Download a URL into a file and return the file's path.

    The body is written in chunks to a temporary file beside ``path``, which takes the place of ``path`` when it is
    complete. If the download fails or is interrupted the temporary file is removed, and a file that was at ``path``
    stays as it was. Missing parent folders are made.

    ``url``, ``path``, ``params``, ``headers`` and ``auth`` can be given to the constructor or when the task is called.

    Args:
        url: an http or https URL. A password in it never shows in a message.
        path: the file to write.
        params: added to the URL's query.
        headers: request headers.
        auth: a pair of user and password, or an httpx2 ``Auth`` object.
        request_timeout: how many seconds the server may take for each step, or None for ever.
        follow_redirects: follow up to 20 redirects; if False, a redirect is an error.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Returns:
        ``path`` as a `pathlib.Path`.

    Raises:
        HttpError: the URL is unusable, or the status is not one of success.
        HttpTransientError: the server was unreachable, broke off before the end, or may succeed later.
        OSError: the file cannot be written.
        MissingDependencyError: the extra ``headrace[http]`` is not installed.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.http import HttpDownload
        >>> with Flow("fetch") as flow:
        ...     file = HttpDownload(path="input/weather.csv")("http://data.example.org/weather.csv")
        >>> state = flow.run()
        >>> state.result[file].result.read_text().splitlines()[0]
        'date,precipitation'
    """

    def __init__(
        self,
        url: str | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: object = None,
        request_timeout: float | None = 30.0,
        follow_redirects: bool = True,
        **task_options: Any,
    ) -> None:
        self.url = url
        self.path = path
        self.params = params
        self.headers = headers
        self.auth = auth
        self.request_timeout = _checked_seconds("HttpDownload", request_timeout)
        self.follow_redirects = follow_redirects
        super().__init__(**task_options)

    @defaults_from_attrs("url", "path", "params", "headers", "auth")
    def run(
        self,
        url: str | None = None,
        path: str | os.PathLike[str] | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: object = None,
    ) -> Path:
        """Download the file; see the class."""
        request = HttpRequest(
            method="GET",
            url=check_url("HttpDownload", url, "GET"),
            params=_checked_mapping("HttpDownload", "params", params),
            headers=_checked_mapping("HttpDownload", "headers", headers),
            auth=check_auth("HttpDownload", auth),
            timeout=self.request_timeout,
            follow_redirects=self.follow_redirects,
        )
        target = _checked_path(path)
        with library("HttpDownload", "httpx2", "http"):
            from headrace_tasklib.http.client import download
        download(request, target)
        return target


def _checked_seconds(owner: str, seconds: object) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise wrong_type(owner, "request_timeout", seconds, "a number of seconds")
    if seconds <= 0:
        raise TaskDefinitionError(f"{owner} needs `request_timeout` to be positive, and got {seconds}.")
    return float(seconds)


def _checked_mapping(owner: str, name: str, value: object) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, Mapping):
        raise wrong_type(owner, name, value, "a dictionary")
    return value


def _checked_path(path: object) -> Path:
    if not isinstance(path, os.PathLike):
        path = required_text("HttpDownload", "path", path)
    target = Path(path)
    if target.is_dir():
        raise TaskDefinitionError(f"HttpDownload cannot write to {str(target)!r}, which is a folder.")
    return target


def _check_body(json: object, data: object, content: object) -> None:
    bodies = {"json": json, "data": data, "content": content}
    given = [name for name, value in bodies.items() if value is not None]
    if len(given) > 1:
        raise TaskDefinitionError(f"HttpTask can send one body, and got {' and '.join(given)}.")


def _converted(request: HttpRequest, answer: HttpResponse, form: str) -> Any:
    match form:
        case "text":
            return answer.text
        case "bytes":
            return answer.content
        case "full":
            return answer
    try:
        return answer.json()
    except ValueError as error:
        body = shorten(answer.text, _SHOWN_BODY)
        raise request.error(f"was answered with {answer.status} and a body that is not JSON: {body!r}") from error
