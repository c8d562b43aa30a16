"""Writing a configuration file so that it is whole, and says what was meant."""

from __future__ import annotations

import datetime
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import toml

from headrace.atomic import write_atomically
from headrace.config._view import Config
from headrace.exceptions import ConfigError

_PLAIN = (str, bool, int, float, datetime.datetime, datetime.date, datetime.time)


def write_toml(path: str | os.PathLike[str], values: Mapping[str, object]) -> None:
    """Write ``values`` to ``path``; see `headrace.config.write`."""
    target = os.path.realpath(path)
    try:
        _replace(target, _dump(_plain_table(values, ()), target))
    except RecursionError as error:
        raise ConfigError(f"The values for {target} are nested too deeply to be written as TOML.") from error
    except OSError as error:
        raise ConfigError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Check the folder and its permissions."
        ) from error


def _plain_table(table: Mapping[Any, object], above: tuple[str, ...]) -> dict[str, object]:
    if isinstance(table, Config):
        table = table.to_dict()
    plain = {}
    for key, value in table.items():
        if not isinstance(key, str):
            raise _refusal((*above, repr(key)), "TOML keys are strings")
        plain[key] = _plain(value, (*above, key))
    return plain


def _plain(value: object, path: tuple[str, ...]) -> object:
    if isinstance(value, Mapping):
        return _plain_table(value, path)
    if isinstance(value, list | tuple):
        return [_plain(item, path) for item in value]
    if type(value) not in _PLAIN:
        raise _refusal(path, f"TOML has no {type(value).__name__}")
    return value


def _refusal(path: tuple[str, ...], reason: str) -> ConfigError:
    return ConfigError(
        f"The configuration key {'.'.join(path)!r} cannot be written: {reason}.",
        hint="Use strings, numbers, booleans, dates and times, and lists and tables of those.",
    )


def _dump(table: dict[str, object], target: str) -> bytes:
    """Return ``table`` as TOML that tomllib reads as the same table, type for type."""
    encoder = toml.TomlEncoder()
    encoder.dump_funcs[str] = _quoted  # the library's own breaks backslashes and control characters
    try:
        text = toml.dumps(table, encoder=encoder)
        data = text.encode()
        wrong = _difference(table, tomllib.loads(text), ())
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        # What the library raises, or writes, for tables and lists that it cannot handle.
        raise ConfigError(
            f"The values for {target} cannot be written as TOML: {type(error).__name__}.",
            hint="Keep backslashes and control characters out of keys, and tables out of lists of other values.",
        ) from error
    if wrong is not None:
        raise _refusal(wrong, "it would be read back as something else")
    return data


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _difference(wanted: object, found: object, path: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the path of the first value that was read back differently, or None."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        if wanted.keys() != found.keys():
            return (*path, min(wanted.keys() ^ found.keys()))
        pairs = [(wanted[key], found[key], (*path, key)) for key in wanted]
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        pairs = [(one, other, path) for one, other in zip(wanted, found, strict=True)]
    else:
        return None if _same(wanted, found) else path
    return next((wrong for pair in pairs if (wrong := _difference(*pair)) is not None), None)


def _same(wanted: object, found: object) -> bool:
    return type(wanted) is type(found) and (wanted == found or (wanted != wanted and found != found))  # noqa: PLR0124


def _replace(target: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    write_atomically(Path(target), data, mode=_mode(target))


def _mode(target: str) -> int:
    """Return the permissions of the file to replace; a new file, which may come to hold secrets, is its owner's."""
    try:
        return os.stat(target).st_mode & 0o7777
    except FileNotFoundError:
        return 0o600
