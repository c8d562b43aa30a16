"""The notifier ``log:``: state changes as log lines, ``log:?level=warning``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from headrace.abc import Notifier
from headrace.exceptions import PluginOptionError, nearest
from headrace.log import get_logger
from headrace.plugins import NotifierSpec, hookimpl

if TYPE_CHECKING:
    from headrace.plugins import StateChange

__all__ = ["LogNotifier"]

_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_LEVELS = ("debug", "info", "warning", "error", "critical")


class LogNotifier(Notifier):
    """Writes a line to the logger ``headrace.notify`` for each finished flow run and each failed task run.

    The URL's ``level`` is the level of the lines (by default ``info``; a failure is never below ``error``);
    ``all=true`` writes a line for every change of state.
    """

    def __init__(self, url: str = "log:") -> None:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.netloc or parts.path:
            raise PluginOptionError(f"Notifier 'log' has no use for {url!r}.", hint="Write `log:?level=warning`.")
        unknown = options.keys() - {"level", "all"}
        if unknown:
            name = min(unknown)
            raise PluginOptionError(f"Notifier 'log' has no option {name!r}.", hint=nearest(name, ["level", "all"]))
        level = options.get("level", "info").lower()
        if level not in _LEVELS:
            raise PluginOptionError(f"Notifier 'log' has no level {level!r}.", hint=nearest(level, _LEVELS))
        self._level = getattr(logging, level.upper())
        everything = options.get("all", "false").lower()
        if everything not in _WORDS:
            raise PluginOptionError(f"Notifier 'log' reads `all` as true or false, and got {everything!r}.")
        self._all = _WORDS[everything]
        self._logger = get_logger("notify")

    def wants(self, change: StateChange) -> bool:
        """Accept everything if the URL says so."""
        return self._all or super().wants(change)

    def notify(self, change: StateChange) -> None:
        """Write the line."""
        what = f"Flow run {change.run.name!r}" if change.task_run is None else f"Task {change.task_run.name!r}"
        level = max(self._level, logging.ERROR) if change.new.is_failed() else self._level
        self._logger.log(level, "%s is %s: %s", what, type(change.new).__name__, change.new.message)


@hookimpl
def headrace_notifiers() -> list[NotifierSpec]:
    """Offer the notifier."""
    return [NotifierSpec(name="log", factory="headrace_plugins.log:LogNotifier", summary="State changes as log lines.")]
