"""The engine: what runs flows.

Flow → `Plan` → `Scheduler` ⇄ `Driver` → executor → `Work` → `Outcome` → State → hooks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from headrace.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType
    from typing import Self

    from headrace.hooks.observers import Observers
    from headrace.hooks.registry import Registry

__all__ = ["Engine"]


class Engine:
    """Owns the plugins and the clock that runs use. Entered as a context manager; usable by one thread at a time.

    Args:
        plugins: plugin objects or modules to register besides the installed ones, which they outrank.
        config: settings by section, as ``headrace.config.current()`` returns them, which is the default.
        clock: where runs get the time from.
        no_plugins: True to block what others installed, or names of plugins or distributions to block.
        strict: raise for a broken observer instead of warning; by default as configured.
    """

    def __init__(
        self,
        *,
        plugins: Iterable[object] = (),
        config: Mapping[str, Any] | None = None,
        clock: Clock | None = None,
        no_plugins: bool | Iterable[str] = False,
        strict: bool | None = None,
    ) -> None:
        from headrace import config as configuration  # noqa: PLC0415 - read when the first engine is made
        from headrace.hooks.observers import Observers  # noqa: PLC0415 - brings pluggy
        from headrace.hooks.policy import PluginPolicy  # noqa: PLC0415
        from headrace.hooks.registry import Registry  # noqa: PLC0415

        self.config = config if config is not None else configuration.current()
        self.clock = clock or SystemClock()
        plugins = tuple(plugins)
        # Nothing but what any engine here and now would have.
        self.is_plain = config is None and not plugins
        section = self.config["plugins"]
        policy = PluginPolicy.from_config(section, os.environ, no_plugins=no_plugins, strict=strict)
        self.registry: Registry = Registry(policy=policy, plugins=[*plugins, *section["modules"]])
        self.observers: Observers = Observers(self.registry, strict=strict)
        self._depth = 0

    def __enter__(self) -> Self:
        if self._depth == 0:
            self.registry.load_observers()
            self.observers.engine_started(self._info())
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.observers.engine_stopping(self._info())

    def _info(self) -> Any:
        from headrace import __version__  # noqa: PLC0415
        from headrace.plugins import EngineInfo  # noqa: PLC0415 - brings pluggy

        return EngineInfo(version=__version__, pid=os.getpid())
