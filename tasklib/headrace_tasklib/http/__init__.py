"""Prebuilt tasks that make HTTP requests; they need the extra ``headrace[http]``."""

from headrace_tasklib.http.errors import HttpError, HttpTransientError
from headrace_tasklib.http.messages import HttpResponse
from headrace_tasklib.http.tasks import HttpDownload, HttpTask

__all__ = ["HttpDownload", "HttpError", "HttpResponse", "HttpTask", "HttpTransientError"]
