"""Log lines as the command line shows them: an error of a task is one line and a place, not a whole traceback."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import headrace
from headrace import config, log
from headrace.cli.failures import error_text
from headrace.tracebacks import innermost_frame, user_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["configure_logging"]

_OWN_FOLDER: Final = str(Path(headrace.__file__).parent)
_COLORS: Final = {
    logging.DEBUG: "\x1b[2m",
    logging.INFO: "",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[1;31m",
}


def configure_logging(level: str | int | None, *, tracebacks: bool, compact: bool, colors: bool) -> None:
    """Make headrace's log lines seen as ``[logging]`` of the configuration says, at ``level`` if one is given.

    ``compact`` shortens lines that nobody configured otherwise. A flow file that configures logging itself keeps its
    handlers, and these do not get a second one beside them.
    """
    if logging.root.handlers:
        if level is not None:
            logging.getLogger(log.ROOT).setLevel(level)
        return
    before = set(map(id, _handlers()))
    log.configure(level=level)
    added = [handler for handler in _handlers() if id(handler) not in before]
    compact = compact and config.current().sources()["logging.format"] == "default"
    whole = tracebacks or logging.getLogger(log.ROOT).getEffectiveLevel() <= logging.DEBUG
    for handler in added:
        usual = _CompactFormatter(colors=colors) if compact else handler.formatter or logging.Formatter()
        handler.setFormatter(usual if whole else _BriefFormatter(usual))


def _handlers() -> Iterator[logging.Handler]:
    yield from logging.root.handlers
    for logger in list(logging.root.manager.loggerDict.values()):
        yield from getattr(logger, "handlers", ())


class _BriefFormatter(logging.Formatter):
    """Shortens the errors that headrace itself reports; a user's own ``logger.exception`` stays whole."""

    def __init__(self, usual: logging.Formatter) -> None:
        super().__init__()
        self._usual = usual

    def format(self, record: logging.LogRecord) -> str:
        if record.levelno < logging.WARNING or not record.pathname.startswith(_OWN_FOLDER):
            return self._usual.format(record)
        error = record.exc_info[1] if record.exc_info else None
        brief = copy.copy(record)
        brief.exc_info = brief.exc_text = None
        first, more, _ = record.getMessage().partition("\n")
        brief.msg, brief.args = f"{first} ..." if more else first, None
        return "\n".join([self._usual.format(brief), *(_explanation(brief.msg, error) if error else ())])


def _explanation(message: str, error: BaseException) -> Iterator[str]:
    text = error_text(error).partition("\n")[0]
    said = text in message
    if not said:
        yield f"    {text}"
    where = user_frame(error) or (None if said else innermost_frame(error))
    if where is not None:
        yield f"    at {where}" + (f": {where.source}" if where.source else "")


class _CompactFormatter(logging.Formatter):
    """Time, level, the task's name and the message: what fits a line of 80 columns."""

    def __init__(self, *, colors: bool) -> None:
        super().__init__("%(message)s", "%H:%M:%S")
        self._colored = colors

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging gives it
        name = record.name.removeprefix(f"{log.ROOT}.")
        time, level = self.formatTime(record, self.datefmt), f"{record.levelname:<7}"
        if not self._colored:
            return f"{time} {level} {name}: {record.message}"
        color = _COLORS.get(record.levelno, "")
        return f"\x1b[2m{time}\x1b[0m {color}{level}\x1b[0m \x1b[36m{name}\x1b[0m: {record.message}"
