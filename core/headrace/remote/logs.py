"""Log records of worker processes: made there, handled in the process that drives the run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from headrace.log import ROOT, MaskingFilter, RunContextFilter, get_logger
from headrace.whereabouts import Place, places, speaking_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Levels", "RecordForwarder", "replay"]


class Levels(NamedTuple):
    """The levels that loggers have in the process that drives the run, so that nothing is sent that nobody wants."""

    by_name: Mapping[str, int]
    disabled: int

    @classmethod
    def current(cls) -> Levels:
        """Return the levels of this process."""
        get_logger()  # gives headrace's own loggers the configured level, if nobody did
        known = [logging.root, *logging.root.manager.loggerDict.values()]
        loggers = [logger for logger in known if isinstance(logger, logging.Logger)]
        return cls({logger.name: logger.level for logger in loggers if logger.level}, logging.root.manager.disable)

    def apply(self) -> None:
        """Give the loggers of this process these levels."""
        logging.disable(self.disabled)
        for name, level in self.by_name.items():
            logging.getLogger(None if name == "root" else name).setLevel(level)


class RecordForwarder(logging.Handler):
    """Hands every record to ``send`` as plain data, which `replay` handles elsewhere.

    Belongs on the root logger of a worker process. The message is formatted and its secrets are masked here, where the
    secrets are known. ``place`` is the task run of what has none of its own, such as a thread that a task has started.
    """

    place: Place | None = None

    def __init__(self, send: Callable[[dict[str, Any]], object]) -> None:
        super().__init__()
        self._send = send
        self.addFilter(RunContextFilter())
        self.addFilter(MaskingFilter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(record_fields(record) | {_PLACES: places() or ((self.place,) if self.place else ())})
        except Exception:  # noqa: BLE001 - logging must not fail what logs; this prints why it failed
            self.handleError(record)


# In what is sent, the task run that a record is from.
_PLACES: Final = "headrace places"
_PLAIN: Final = (str, int, float, bool, type(None))


def record_fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as plain data, with its message and traceback formatted."""
    fields = {name: value if isinstance(value, _PLAIN) else _shown(value) for name, value in record.__dict__.items()}
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = logging.Formatter().formatException(record.exc_info)
    return fields | {"msg": record.getMessage(), "args": None, "exc_info": None}


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return f"<{type(value).__name__}>"


def replay(fields: Mapping[str, Any]) -> None:
    """Handle a record that `RecordForwarder` sent, as if it had been made here."""
    fields = dict(fields)
    # Plain tuples, as some ways of sending make of others.
    whose = [Place(*place) for place in fields.pop(_PLACES, ())]
    record = logging.makeLogRecord(fields)
    name = str(fields.get("name") or ROOT)
    logger = get_logger(name) if name == ROOT or name.startswith(f"{ROOT}.") else logging.getLogger(name)
    if logger.isEnabledFor(record.levelno):
        with speaking_of(*whose):
            logger.handle(record)
