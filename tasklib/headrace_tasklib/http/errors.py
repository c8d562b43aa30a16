"""Why an HTTP request failed."""

from __future__ import annotations

from typing import ClassVar

from headrace.exceptions import TaskRunError


class HttpError(TaskRunError):
    """An HTTP request got no usable answer.

    ``method`` and ``url`` say what was asked for, with credentials blotted out. ``status`` is None if there was no
    answer.
    """

    transient: ClassVar[bool] = False
    """Whether the same request may well succeed later."""

    def __init__(
        self, method: str, url: str, problem: str, *, status: int | None = None, hint: str | None = None
    ) -> None:
        self.method, self.url, self.status = method, url, status
        super().__init__(f"{method} {url} {problem}.", hint=hint)


class HttpTransientError(HttpError):
    """An HTTP request failed in a way that may pass.

    The server was unreachable or broke off, or answered with a status of 500 or above, 408, 425 or 429. Use it as
    ``HttpTask(..., max_retries=3, retry_delay=10, retry_on=HttpTransientError)``.
    """

    transient: ClassVar[bool] = True
