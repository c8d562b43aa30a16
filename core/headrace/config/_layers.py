"""Putting the layers on top of each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.config._defaults import defaults
from headrace.config._files import read_toml
from headrace.config._kinds import TABLE, kind_of
from headrace.config._resolve import Reading, Resolver, Written
from headrace.config._view import SECRETS, Config, leaves
from headrace.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from headrace.config._kinds import Kind
    from headrace.config._view import Path

PREFIX = "HEADRACE__"
Entries = dict[tuple[str, ...], Written]


def combine(files: Iterable[str], variables: Mapping[str, str], environ: Mapping[str, str]) -> Config:
    """Return the defaults under ``files``, in order, under ``variables``."""
    entries: Entries = {}
    for path, value in _flat(defaults()):
        entries[path] = Written(value=value, source="default", reading=Reading.AS_IT_IS)
    for file in files:
        for path, value in _flat(read_toml(file)):
            reading = Reading.REPLACED if _in_secrets(path) else Reading.TYPED
            _put(entries, path, Written(value=value, source=file, reading=reading))
    for path, written in _from_variables(variables).items():
        _put(entries, path, written)
    return _build(entries, environ)


def overlay(config: Config, values: Mapping[str, object]) -> Config:
    """Return ``config`` with ``values``, by dotted key, on top."""
    entries: Entries = {
        leaf.path: Written(value=leaf.value, source=leaf.source, reading=Reading.AS_IT_IS, secret=leaf.secret)
        for leaf in leaves(config)
    }
    source = "set_temporary_config"
    for key, value in values.items():
        above = tuple(key.split("."))
        if not all(above):
            raise ConfigError(f"{key!r}, given to {source}, is not a dotted key such as 'tasks.defaults.max_retries'.")
        found = _flat(value, above) if _is_table(value) else [(above, value)]
        for path, each in found:
            _put(entries, path, Written(value=each, source=source, reading=Reading.AS_IT_IS))
    return _build(entries, {})


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _flat(value: object, above: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield the values of a table by path; an empty table is a value."""
    if not isinstance(value, Mapping) or not _is_table(value) or (above and not value):
        yield above, value
        return
    for key, item in value.items():
        yield from _flat(item, (*above, key))


def _in_secrets(path: Path) -> bool:
    return path[:2] == SECRETS


def _from_variables(variables: Mapping[str, str]) -> Entries:
    entries: Entries = {}
    for name in sorted(variables):
        path = _path_of(name)
        reading = Reading.AS_IT_IS if _in_secrets(path) else Reading.TYPED
        written = Written(value=variables[name], source=name, reading=reading)
        for length in range(1, len(path) + 1):
            if path[:length] in entries:
                raise _contradiction(entries[path[:length]], written)
        entries[path] = written
    return entries


def _contradiction(one: Written, other: Written) -> ConfigError:
    return ConfigError(
        f"The variables {one.source} and {other.source} set the same configuration key, or one below the other.",
        hint="Unset one of them.",
    )


def _path_of(name: str) -> Path:
    """Return the path that a variable stands for; the name of a secret keeps its case and its underscores."""
    words = name.removeprefix(PREFIX).split("__")
    path = tuple(word.lower() for word in words)
    if _in_secrets(path) and len(path) > 2:
        path = (*SECRETS, "__".join(words[2:]))
    if not all(path):
        raise ConfigError(
            f"The variable {name} does not name a configuration key.",
            hint="Write HEADRACE__SECTION__KEY, such as HEADRACE__LOGGING__LEVEL, or unset it.",
        )
    return path


def _put(entries: Entries, path: Path, written: Written) -> None:
    """Add a value, removing what a lower layer holds at, above or below its path."""
    if kind_of(path) is TABLE and not isinstance(written.value, Mapping):
        raise _wrong(path, written, written.value, TABLE)
    for length in range(1, len(path)):
        kind = kind_of(path[:length])
        if kind is not None and kind is not TABLE:
            raise _wrong(path[:length], written, {}, kind)
        entries.pop(path[:length], None)
    below = [other for other in entries if other[: len(path)] == path and other != path]
    if below and written.value == {}:
        return  # an empty table adds nothing to one that has keys
    for other in below:
        del entries[other]
    entries[path] = written


def _build(entries: Entries, environ: Mapping[str, str]) -> Config:
    resolver = Resolver(entries, environ)
    values: dict[str, object] = {}
    for path, written in entries.items():
        value = resolver.value(path)
        kind = kind_of(path)
        if kind is not None and not kind.accepts(value):
            raise _wrong(path, written, value, kind, hidden=path in resolver.secret)
        _nest(values, path, value)
    origins = {path: written.source for path, written in entries.items() if written.source != "default"}
    return Config(values, origins, resolver.secret)


def _nest(values: dict[str, object], path: Path, value: object) -> None:
    table = values
    for key in path[:-1]:
        below = table.setdefault(key, {})
        assert isinstance(below, dict), "`_put` leaves no value above another"
        table = below
    table[path[-1]] = dict(value) if isinstance(value, Mapping) else value


def _wrong(path: Path, written: Written, value: object, kind: Kind, *, hidden: bool = False) -> ConfigError:
    key = ".".join(path)
    hidden = hidden or SECRETS[: len(path)] == path[:2]
    found = "a table" if isinstance(value, Mapping) else "hidden" if hidden else repr(value)
    if kind is TABLE:
        hint = f"Set its keys one by one, as {PREFIX}{key.upper().replace('.', '__')}__KEY or under [{key}]."
    else:
        hint = "Correct it there, or remove it to get the default."
    return ConfigError(f"{key} in {written.source} is {found}; expected {kind.expected}.", hint=hint)
