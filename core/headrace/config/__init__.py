"""The configuration: packaged defaults, a user file, a project file, and environment variables.

``from headrace import config`` gives this module, and the module stands for the current configuration:
``config.tasks.defaults.max_retries``, ``config["logging"]["level"]``, ``config.get("plugins.allow")`` and the other
methods of `Config` all read what `current` returns. A key that shares its name with a function of this module or with
a method of `Config` is read by item. Nothing is read before the first access.

Layers, the later wins, key by key:

1. the packaged defaults;
2. the user file, ``~/.headrace/config.toml``, or the file that ``HEADRACE__USER_CONFIG_PATH`` names;
3. the project file, the first ``.headrace/config.toml`` in the current directory or above it;
4. variables such as ``HEADRACE__TASKS__DEFAULTS__MAX_RETRIES=3``: lower-cased, except the name of a secret in
   ``HEADRACE__CONTEXT__SECRETS__NAME``, which is everything after the prefix and whose value is taken literally.

In a string, a leading ``~``, ``$NAME`` and ``${NAME}`` are replaced from the environment, and ``${section.key}`` from
the configuration; a variable that is not set stays as text. Then ``true`` and ``false`` in any case, and Python
literals, become values, unless a string is what the key holds. Strings inside lists are replaced but stay strings, and
so do secrets. A string that is one ``${section.key}`` and nothing else takes that key's value, with its type.
"""

from __future__ import annotations

import functools
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.config._defaults import defaults
from headrace.config._files import locate
from headrace.config._view import Config, refuse_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Config", "current", "load", "reload", "set_temporary_config", "write"]

_temporary: ContextVar[Config | None] = ContextVar("headrace_config", default=None)


def load(
    environ: Mapping[str, str] | None = None,
    user_file: str | os.PathLike[str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Config:
    """Read the configuration and return it, without making it the current one.

    What is not given comes from the process: its environment, the user's own file, the current directory. The home
    directory is the one that ``environ`` names. Raises `ConfigError` for anything that cannot be read, for a known
    key with a value of the wrong type, and for a ``user_file`` that does not exist.
    """
    environ = os.environ if environ is None else environ
    files = locate(environ, user_file, cwd)
    variables = {name: text for name, text in environ.items() if name.startswith("HEADRACE__")}
    variables.pop("HEADRACE__USER_CONFIG_PATH", None)
    if not files and not variables:
        return Config(defaults())
    from headrace.config._layers import combine  # noqa: PLC0415 - most processes have defaults only

    return combine(files, variables, environ)


@functools.cache
def _of_process() -> Config:
    return load()


def current() -> Config:
    """Return the configuration that holds here: the process's own, under what `set_temporary_config` changes.

    The first call in a process reads it; a `ConfigError` then is raised again by every later call.
    """
    temporary = _temporary.get()
    return _of_process() if temporary is None else temporary


def reload() -> Config:
    """Read the process's configuration again, after a file, a variable or the directory changed; return it."""
    _of_process.cache_clear()
    return _of_process()


@contextmanager
def set_temporary_config(values: Mapping[str, object]) -> Iterator[Config]:
    """Change keys of the current configuration inside the block: ``{"tasks.defaults.max_retries": 3}``.

    The change is seen by this thread and asyncio task and by what runs in a copy of their context, and by no other
    thread. Blocks nest. Values are taken as they are; a mapping is merged into the table it is given for.
    """
    from headrace.config._layers import overlay  # noqa: PLC0415 - most processes have defaults only

    token = _temporary.set(overlay(current(), values))
    try:
        yield current()
    finally:
        _temporary.reset(token)


def write(path: str | os.PathLike[str], values: Mapping[str, object]) -> None:
    """Write ``values`` to ``path`` as TOML, replacing the file whole or leaving it as it was.

    Values are strings, numbers, booleans, dates and times, and lists and mappings of those. What was written is read
    back and compared first: `ConfigError` names the key that TOML, or the library that writes it, cannot hold. Folders
    on the way are made, a symbolic link is followed, an existing file keeps its permissions.
    """
    from headrace.config._write import write_toml  # noqa: PLC0415 - few processes write configuration

    write_toml(path, values)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):  # asked by the import system, inspect, pickle: never a reason to read files
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(current(), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *defaults()})


class _ConfigModule(ModuleType):
    """Gives the module items, and keeps ``config.debug = True`` from passing as a change of the configuration."""

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        # By name, as modules are pickled: a task of a script that reads the configuration brings it along.
        from importlib import import_module  # noqa: PLC0415 - only what is pickled needs it

        return import_module, (self.__name__,)

    def __getitem__(self, key: str) -> Any:
        return current()[key]

    def __contains__(self, key: object) -> bool:
        return key in current()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and name not in vars(self):
            raise AttributeError(refuse_change(name))
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _ConfigModule
