"""Logging: headrace's loggers, the one handler it may attach, and the capture of what tasks print.

Every logger is a child of ``headrace``. The first `get_logger` of a process makes lines seen: if neither the root
logger nor ``headrace`` has a handler, it attaches one that writes to standard error as ``[logging]`` of the
configuration says. A program that configures logging itself, before or after that, gets every line once, through its
own handlers: the handler that attached itself stands aside as soon as the root logger has another.

Records that pass headrace's handler carry ``flow_name``, ``flow_run_id``, ``task_name``, ``task_slug`` and
``task_run_id``, each None where there is none; give any other handler a `RunContextFilter` for the same.

Secrets that this process has resolved are masked in what headrace's loggers log, for every handler, and in what
headrace's handler writes; give any other logger or handler a `MaskingFilter` for the same.
"""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from logging import Logger
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from headrace.exceptions import ConfigError, nearest
from headrace.masking import mask, masker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "JsonFormatter",
    "Logger",
    "MaskingFilter",
    "RunContextFilter",
    "capture_lines",
    "capture_stdout",
    "configure",
    "copy_prints",
    "get_logger",
    "original_stream",
    "temporary_level",
]

ROOT: Final = "headrace"
RUN_ATTRIBUTES: Final = ("flow_name", "flow_run_id", "task_name", "task_slug", "task_run_id")

_configuring = Lock()


def get_logger(name: str | None = None) -> Logger:
    """Return the logger ``headrace``, or its child ``headrace.NAME``, making sure that its lines are seen.

    Raises `ConfigError` if ``[logging]`` of the configuration cannot be used.
    """
    logger = logging.getLogger(ROOT)
    if not logger.handlers and not logging.root.handlers:
        with _configuring:
            if not logger.handlers:
                _attach(_Settings(), attached_itself=True)
    if name and name != ROOT:
        logger = logging.getLogger(name if name.startswith(f"{ROOT}.") else f"{ROOT}.{name}")
    logger.addFilter(_masking)  # once, however often it is added
    return logger


def configure(
    level: str | int | None = None,
    stream: TextIO | None = None,
    format: str | None = None,  # noqa: A002 - the name that logging gives it
    datefmt: str | None = None,
    *,
    json: bool = False,
) -> None:
    """Attach headrace's handler to ``headrace`` and the ``extra_loggers``, in place of the one it attached before.

    What is not given comes from ``[logging]`` of the configuration; ``stream`` is standard error, looked up at every
    line. ``json`` writes one JSON object a line, see `JsonFormatter`. Handlers that others attached stay, and get the
    lines too. Raises `ConfigError` for a level or a format that logging does not know.
    """
    with _configuring:
        _attach(_Settings(level=level, stream=stream, format=format, datefmt=datefmt, json=json))


@contextmanager
def temporary_level(level: str | int) -> Iterator[None]:
    """Change the level of ``headrace`` inside the block, for the whole process."""
    logger = get_logger()
    before = logger.level
    logger.setLevel(_level_number(level, "The level"))
    try:
        yield
    finally:
        logger.setLevel(before)


class RunContextFilter(logging.Filter):
    """Lets every record pass, and gives it the names and ids of the run it was made in.

    ``lookup`` returns the value of a key of ``headrace.context``, or None. An attribute that a record already has, as
    from ``extra=``, stays.
    """

    def __init__(self, lookup: Callable[[str], object] | None = None) -> None:
        super().__init__()
        self._lookup = lookup or _from_run_context

    def filter(self, record: logging.LogRecord) -> bool:
        for name in RUN_ATTRIBUTES:
            if name not in record.__dict__:
                record.__dict__[name] = self._lookup(name)
        return True


class MaskingFilter(logging.Filter):
    """Lets every record pass, with the secrets in its message, traceback and stack masked.

    A record that holds a secret is changed for every handler that comes after. Headrace's loggers have this filter
    already; give it to the handlers of other loggers. A formatter that reads ``exc_info`` instead of ``exc_text``, or
    what ``extra=`` added, has to call `mask` on what it makes, as headrace's own handler does.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if not masker.is_empty:
            _mask_record(record)
        return True


def _mask_record(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - arguments that do not fit are for the handler to complain about
        return
    masked = masker.mask(message)
    if masked != message:
        record.msg, record.args = masked, None
    if record.exc_info and not record.exc_text:
        text = logging.Formatter().formatException(record.exc_info)
        masked = masker.mask(text)
        if masked != text:
            record.exc_text = masked
    elif record.exc_text:
        record.exc_text = masker.mask(record.exc_text)
    if record.stack_info:
        record.stack_info = masker.mask(record.stack_info)


_masking: Final = MaskingFilter()


def _from_run_context(key: str) -> object:
    """Look ``key`` up, unless nothing in this process ever imported the context and so set anything in it."""
    module = sys.modules.get("headrace.run_context")
    return None if module is None else module.context.get(key)


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object: time (ISO 8601, UTC), level, logger, message, the run's names and ids.

    An exception and a stack follow as text, then what ``extra=`` added; a value JSON does not have is its ``str``.
    """

    def format(self, record: logging.LogRecord) -> str:
        from json import dumps  # noqa: PLC0415 - only where JSON lines were asked for

        fields = self._fields(record)
        try:
            return dumps(_masked(fields), default=_masked_text, allow_nan=False)
        except (TypeError, ValueError, RecursionError):  # a key that is no string, not a number, or a circle
            return dumps({name: value if value is None else _masked_text(value) for name, value in fields.items()})

    def _fields(self, record: logging.LogRecord) -> dict[str, object]:
        from datetime import UTC, datetime  # noqa: PLC0415 - only where JSON lines were asked for

        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields |= {name: record.__dict__.get(name) for name in RUN_ATTRIBUTES}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            fields["stack"] = self.formatStack(record.stack_info)
        usual = logging.makeLogRecord({}).__dict__.keys() | {"message", "asctime"}
        return fields | {name: value for name, value in record.__dict__.items() if name not in usual | fields.keys()}


def _masked(value: object) -> object:
    """Mask the texts in what is going to be JSON: masking the JSON itself would break it where a secret is "null"."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {_masked(key): _masked(item) for key, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value


def _masked_text(value: object) -> str:
    return mask(str(value))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Settings:
    """What `configure` was given; None is what the configuration says."""

    level: str | int | None = None
    stream: TextIO | None = None
    format: str | None = None
    datefmt: str | None = None
    json: bool = False


class _Handler(logging.StreamHandler[TextIO]):
    """Headrace's handler. Without a stream it follows ``sys.stderr``, which tests and notebooks replace."""

    def __init__(self, stream: TextIO | None, *, attached_itself: bool) -> None:
        super().__init__(stream)
        self._follows_stderr = stream is None
        self._attached_itself = attached_itself

    def emit(self, record: logging.LogRecord) -> None:
        if self._attached_itself and any(handler is not self for handler in logging.root.handlers):
            return
        if self._follows_stderr:
            self.stream = sys.stderr
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        # Whatever the formatter wrote, and whoever's logger the record is of.
        text = super().format(record)
        return text if isinstance(self.formatter, JsonFormatter) else mask(text)


def _attach(settings: _Settings, *, attached_itself: bool = False) -> None:
    from headrace import config  # noqa: PLC0415 - read when logging starts, not when it is imported

    current = config.current()
    section = current["logging"]
    source = f"logging.level in {current.sources()['logging.level']}"
    if settings.level is None:
        level = _level_number(section["level"], source)
    else:
        level = _level_number(settings.level, "The level")
    handler = _Handler(settings.stream, attached_itself=attached_itself)
    handler.addFilter(RunContextFilter())
    handler.setFormatter(_formatter(settings, section))
    _detach()
    for name in sorted({ROOT, *section["extra_loggers"]}, key=lambda name: (name != "root", name)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        if not _reaches_handler(logger):
            logger.addHandler(handler)


def _detach() -> None:
    known = [logging.root, *logging.root.manager.loggerDict.values()]
    for logger in known:
        if isinstance(logger, Logger):
            for handler in [handler for handler in logger.handlers if isinstance(handler, _Handler)]:
                logger.removeHandler(handler)
                handler.close()


def _reaches_handler(logger: Logger) -> bool:
    """Tell whether the handler of a logger further up gets the lines already."""
    node: Logger | None = logger
    while node is not None:
        if any(isinstance(handler, _Handler) for handler in node.handlers):
            return True
        node = node.parent if node.propagate else None
    return False


def _level_number(level: str | int, what: str) -> int:
    names = logging.getLevelNamesMapping()
    if isinstance(level, int):
        return level
    if level.isdecimal():
        return int(level)
    number = names.get(level.upper())
    if number is None:
        raise ConfigError(f"{what} is {level!r}; expected a logging level.", hint=nearest(level.upper(), names))
    return number


def _formatter(settings: _Settings, section: Any) -> logging.Formatter:
    """Return the formatter, tried on a record: a wrong format would otherwise cost a traceback at every line."""
    if settings.json:
        return JsonFormatter()
    line = section["format"] if settings.format is None else settings.format
    sample = logging.getLogRecordFactory()(ROOT, logging.INFO, "", 0, "", (), None)
    RunContextFilter(lambda _: None).filter(sample)
    try:
        formatter = logging.Formatter(line, section["datefmt"] if settings.datefmt is None else settings.datefmt)
        formatter.format(sample)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"The log format {line!r} cannot be used: {error}.",
            hint='Write it with %-style attributes of log records, such as "%(levelname)s %(message)s".',
        ) from error
    return formatter


LONGEST_PARTIAL_LINE: Final = 65_536


class _Lines:
    """Hands on complete lines. Several threads may write, when they share a copied context."""

    def __init__(self, send: Callable[[str], object]) -> None:
        self.closed = False
        self._send = send
        self._parts: list[str] = []
        self._length = 0
        self._lock = Lock()

    def write(self, text: str) -> None:
        for line in self._complete(text):
            self._hand_on(line)

    def close(self) -> None:
        """Send what was written since the last line ended."""
        with self._lock:
            self.closed = True
            rest = "".join(self._parts)
        if rest:
            self._hand_on(rest)

    def _complete(self, text: str) -> Iterable[str]:
        """Add ``text``; take out the lines that are complete, or too long to be kept waiting."""
        if not isinstance(cast("object", text), str):
            raise TypeError(f"write() takes a string, not {type(text).__name__}.")
        with self._lock:
            self._parts.append(text)
            self._length += len(text)
            if "\n" not in text and self._length < LONGEST_PARTIAL_LINE:
                return ()
            *lines, rest = "".join(self._parts).split("\n")
            if len(rest) >= LONGEST_PARTIAL_LINE:
                lines, rest = [*lines, rest], ""
            self._parts, self._length = [rest], len(rest)
            return lines

    def _hand_on(self, line: str) -> None:
        # A handler that writes to sys.stdout must not get its own line back.
        token = _capturing.set(None)
        try:
            self._send(line.removesuffix("\r"))
        finally:
            _capturing.reset(token)


_capturing: ContextVar[_Lines | None] = ContextVar("headrace_capturing_stdout", default=None)
_routing = Lock()


class _Router:
    """Stands in for a standard stream while anybody captures; everything that is not captured goes to ``original``.

    ``copies`` get all that goes there too.
    """

    def __init__(self, original: TextIO | None, name: str) -> None:
        self.original = original
        self.name = name
        self.users = 0
        self.copies: tuple[Callable[[str, str], object], ...] = ()

    def write(self, text: str) -> int:
        lines = _capturing.get() if self.name == "stdout" else None
        if lines is not None and not lines.closed:
            lines.write(text)
            return len(text)
        if self.copies and isinstance(cast("object", text), str):
            for copy in self.copies:
                copy(self.name, text)
        if self.original is not None:  # None where a process has no such stream
            self.original.write(text)
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def flush(self) -> None:
        if self.original is not None:
            self.original.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


def capture_stdout(logger: Logger, level: int = logging.INFO) -> AbstractContextManager[None]:
    """Log each line printed inside the block with ``logger``, as `capture_lines` captures them."""
    # The stack level is that of the print.
    return capture_lines(lambda line: logger.log(level, "%s", line, stacklevel=5))


@contextmanager
def capture_lines(send: Callable[[str], object]) -> Iterator[None]:
    """Call ``send`` with each line printed inside the block; a last line without an end follows when it ends.

    Only what this thread and asyncio task print, and what runs in a copy of their context, is captured: other threads
    print as before. While any block is open ``sys.stdout`` is a stand-in; the last one to end puts the original back.
    What is written to ``sys.stdout.buffer``, to the file descriptor or by another process is not captured.
    """
    lines = _Lines(send)
    router = _enter_router("stdout")
    token = _capturing.set(lines)
    try:
        yield
    finally:
        _capturing.reset(token)
        _leave_router(router)
        lines.close()


@contextmanager
def copy_prints(take: Callable[[str, str], object]) -> Iterator[None]:
    """Call ``take`` with the name of a standard stream and each text written to it inside the block, by any thread.

    The text goes where it went before too, unless it is captured; ``take`` must not raise. For the rest, what is said
    of `capture_lines` holds.
    """
    routers = [_enter_router(name) for name in ("stdout", "stderr")]
    for router in routers:
        router.copies = (*router.copies, take)
    try:
        yield
    finally:
        for router in routers:
            router.copies = tuple(copy for copy in router.copies if copy is not take)
            _leave_router(router)


def original_stream(name: str) -> TextIO | None:
    """Return the standard stream of that name without what stands in for it here."""
    stream = getattr(sys, name)
    return stream.original if isinstance(stream, _Router) else stream


def _enter_router(name: str) -> _Router:
    with _routing:
        router = getattr(sys, name)
        if not isinstance(router, _Router):
            router = _Router(router, name)
            setattr(sys, name, router)
        router.users += 1
        return router


def _leave_router(router: _Router) -> None:
    """Put the original back, unless somebody put something on top: then the router stays, and passes on."""
    with _routing:
        router.users -= 1
        if router.users == 0 and getattr(sys, router.name) is router:
            setattr(sys, router.name, router.original)
